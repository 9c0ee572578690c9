"""SpikeGPT as a NIR graph (Pedersen et al., Nature Communications 2024, doi 10.1038/s41467-024-52259-9)."""

from exporters.nir.check import check
from exporters.nir.extensions import register
from exporters.nir.files import read, write
from exporters.nir.lower import DT, export

register()

__all__ = ["DT", "check", "export", "read", "write"]
