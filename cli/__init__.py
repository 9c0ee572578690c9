"""The `spikegpt` command: parse, call one library function, print."""
