"""The network in Lava as one process a block: for models of any size."""
