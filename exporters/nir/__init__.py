"""SpikeGPT as a NIR graph (Pedersen et al., Nature Communications 2024, doi 10.1038/s41467-024-52259-9)."""

from exporters.nir.lower import export
from hw_sim.graph.check import check
from hw_sim.graph.extensions import DT
from hw_sim.graph.files import read, write

__all__ = ["DT", "check", "export", "read", "write"]
