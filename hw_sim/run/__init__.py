"""Execution of a plan, event by event: compiled loops, streams, clusters of workers, traces."""
