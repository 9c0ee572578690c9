"""Lowering of SpikeGPT: a torch model to a NIR graph, and a NIR graph to deployment targets."""
