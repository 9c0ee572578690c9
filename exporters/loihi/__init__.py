"""The Loihi target: int8 synapses, fixed-point neurons, Lava processes and a check of the chip's limits."""
