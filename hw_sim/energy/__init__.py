"""Energy per token from exact counts: `work` counts, `profiles` holds prices with their sources, `price` multiplies."""
