"""Random small networks of everything that the planner takes, for property tests."""

from collections.abc import Sequence
from typing import Any

import nir
import numpy as np
from hypothesis import strategies as st

from hw_sim.graph.extensions import DT, WKV, LayerNorm, Multiply, Place, Sigmoid, SquaredReLU

TOKENS = 11  # vocabulary
WIDTHS = (1, 2, 3, 7, 8, 9, 17, 24, 33, 290)  # around the blocks of the kernels, and beyond PARTIAL rows
KINDS = ("linear", "threshold", "lif", "scale", "norm", "sigmoid", "square", "delay", "sum", "multiply", "wkv")


class Network:
    """A graph as it grows: every signal in `widths` may be read by what is added next."""

    def __init__(self, rng: np.random.Generator, integer: bool, width: int):
        self.rng, self.integer = rng, integer
        self.nodes: dict[str, Any] = {"token": nir.Input({"input": np.array([TOKENS])})}
        self.edges: list[tuple[str, str]] = []
        self.widths: dict[str, int] = {}
        self.grown = 0  # products, which square what they read
        table = rng.normal(size=(width, TOKENS)).astype(np.float32)
        self.put("embedding", nir.Linear(table), width, "token")

    def put(self, name: str, node: nir.NIRNode, width: int, *sources: str) -> str:
        self.nodes[name] = node
        self.edges += [(source, name) for source in sources]
        self.widths[name] = width
        return name

    def matrix(self, name: str, source: str, n_out: int) -> str:
        n_in = self.widths[source]
        weight = self.rng.integers(-127, 128, (n_out, n_in)).astype(np.int8)
        self.put(name, nir.Linear(weight if self.integer else (weight / 64).astype(np.float32)), n_out, source)
        del self.widths[name]  # of another scale than signals: only a Scale or a LIF may read it
        return name

    def lif(self, name: str, n: int, source: str, threshold: float) -> str:
        tau = DT * self.rng.choice([1.0, 2.0, 3.5])
        free = not self.integer
        leak, reset = (self.rng.normal(size=n) * 0.1 * free for _ in range(2))
        r = 1 + 0.1 * free * self.rng.normal(size=n)
        thresholds = threshold * self.rng.uniform(0.5, 1.5, n)
        return self.put(name, nir.LIF(np.full(n, tau), r, leak, thresholds, reset), n, source)

    def pair(self, name: str, sources: Sequence[str]) -> tuple[str, str]:
        n = self.widths[sources[0]]
        places = []
        for i, source in enumerate(sources):
            places.append(self.put(f"{name}_at{i}", Place(np.array([i * n]), np.array([n, 2 * n])), n, source))
            del self.widths[places[-1]]
        return places[0], places[1]

    def add(self, name: str, kind: str, sources: tuple[str, str], n_out: int) -> None:
        """One more operation on the first source, or on both, which have the same width."""
        source, n = sources[0], self.widths[sources[0]]
        if kind in ("square", "multiply") and self.grown == 2:
            kind = "norm"
        if kind == "linear":
            self.matrix(name, source, n_out)
            steps = np.full(n_out, 1 / (64 * n if self.integer else n))
            self.put(
                f"{name}_scale", nir.Scale((steps * self.rng.uniform(0.5, 2, n_out)).astype(np.float32)), n_out, name
            )
        elif kind == "threshold":  # a LIF reads the sums as they are
            spikes = isinstance(self.nodes[source], nir.LIF)
            self.matrix(name, source, n_out)
            self.lif(f"{name}_lif", n_out, name, 60.0 if spikes and self.integer else 1.0)
        elif kind == "lif":
            self.lif(name, n, source, 0.4)
        elif kind == "scale":
            self.put(name, nir.Scale(self.rng.normal(size=n).astype(np.float32)), n, source)
        elif kind == "norm":
            weight, bias = self.rng.normal(size=(2, n)).astype(np.float32)
            self.put(name, LayerNorm(weight, bias, np.array([1e-5], np.float32)), n, source)
        elif kind == "sigmoid":
            self.put(name, Sigmoid(np.array([n])), n, source)
        elif kind == "delay":
            self.put(name, nir.Delay(np.full(n, DT)), n, source)
        elif kind == "sum":
            self.put(name, nir.Scale(np.ones(n, np.float32)), n, *dict.fromkeys(sources))
        elif kind == "wkv":
            decay, bonus = -self.rng.uniform(0.01, 3, n).astype(np.float32), self.rng.normal(size=n).astype(np.float32)
            self.put(name, WKV(decay, bonus), n, *self.pair(name, sources))
        else:
            self.grown += 1
            if kind == "square":
                self.put(name, SquaredReLU(np.array([n])), n, source)
            else:
                self.put(name, Multiply(np.array([n])), n, *self.pair(name, sources))

    def feed_back(self, source: str) -> None:
        """A leaky sum of what it was one token ago and a source."""
        n = self.widths[source]
        self.put("loop", nir.Scale(np.full(n, 0.5, np.float32)), n, source, "loop_before")
        self.put("loop_before", nir.Delay(np.full(n, DT)), n, "loop")

    def end(self, source: str) -> nir.NIRGraph:
        self.matrix("head", source, 5)
        self.put("head_scale", nir.Scale(np.full(5, 1 / 64, np.float32)), 5, "head")
        self.put("out", nir.Output({"output": np.array([5])}), 5, "head_scale")
        return nir.NIRGraph(self.nodes, self.edges, type_check=False)


@st.composite
def networks(draw: st.DrawFn, integer: bool, loops: bool = False) -> nir.NIRGraph:
    """A graph from one token to five outputs; with `loops` some feed back through a Delay."""
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    network = Network(rng, integer, draw(st.sampled_from(WIDTHS)))
    for k in range(draw(st.integers(1, 9))):
        kind = draw(st.sampled_from(KINDS))
        first = draw(st.sampled_from(sorted(network.widths)))
        alike = sorted(name for name, n in network.widths.items() if n == network.widths[first] and name != first)
        second = draw(st.sampled_from(alike)) if alike else first
        if second == first and kind in ("multiply", "wkv", "sum"):
            kind = "scale"
        network.add(f"n{k}_{kind}", kind, (first, second), draw(st.sampled_from(WIDTHS)))
    if loops and draw(st.booleans()):
        network.feed_back(draw(st.sampled_from(sorted(network.widths))))
    return network.end(draw(st.sampled_from(sorted(network.widths))))
