"""The energy report of a network of any tool: its counts and prices a step, beside its twins that multiply."""
