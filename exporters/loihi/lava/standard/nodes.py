"""The processes of a standard Lava network as data: kinds, nodes with their depth, and the whole schedule."""

from collections import Counter
from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What a process of the network is; the first group are processes of Lava's own library."""

    DENSE = "Dense"
    LIF = "LIF"
    SPARSE = "Sparse"  # the identity with a shift by 2^exponent
    DELAY = "DelayDense"  # the identity, some steps later
    RELU = "GradedReluVec"
    PRODUCT = "ProdNeuron"  # a b >> 11; the last bit is rounded by the Sparse behind it
    ONES = "RingBuffer"  # 1 in every step: the half that is added before rounding down
    EMBEDDING = "Embedding"
    GENERATOR = "Generator"  # an embedding that goes on with the likeliest token of the logits
    OPERATION = "Operation"  # a row of the plan by its own integer step; without a row, a mere limit
    MIX = "Mix"  # two vectors scaled and added: the token shift
    LOGITS = "Logits"
    RECORDER = "Recorder"


STANDARD = (Kind.DENSE, Kind.LIF, Kind.SPARSE, Kind.DELAY, Kind.RELU, Kind.PRODUCT, Kind.ONES)


@dataclass(frozen=True)
class Node:
    """One process. `inputs` are its ports, each the processes whose outputs the port adds up.

    `rows` are the rows of the plan that give its parameters, `n` the width of its output. Its output belongs to token
    i at step i + `depth`, its input `latency` steps before. `shift_tokens` marks the delay that is a token shift, which
    holds the vector back without changing its depth. An Operation or Mix saturates at `limit`, a Sparse multiplies by
    2^`exponent`.
    """

    name: str
    kind: Kind
    inputs: tuple[tuple[int, ...], ...]
    n: int
    depth: int
    latency: int = 0
    rows: tuple[int, ...] = ()
    shift_tokens: bool = False
    limit: int | None = None
    exponent: int = 0


@dataclass(frozen=True)
class Schedule:
    """All processes, each after those it reads, and the plan's synapses. `generating` closes the loop of the tokens."""

    nodes: tuple[Node, ...]
    synapses: int
    standard_synapses: int
    generating: bool

    @property
    def depth(self) -> int:
        """Steps by which the logits follow their token."""
        return next(node.depth for node in self.nodes if node.kind == Kind.LOGITS)

    @property
    def period(self) -> int:
        """Steps from one token to the next: a generated token has to wait for the logits of the one before."""
        return self.depth + 1 if self.generating else 1

    def steps(self, n_tokens: int) -> int:
        """Time steps until the logits of the last token have arrived."""
        return (n_tokens - 1) * self.period + 1 + self.depth

    def summary(self) -> dict:
        """Counts for a report: processes by kind, standard ones, their share of the synapses, latency in steps."""
        kinds = Counter(node.kind for node in self.nodes)
        standard = sum(kinds[kind] for kind in STANDARD)
        share = self.standard_synapses / self.synapses if self.synapses else 0.0
        return {
            "processes": len(self.nodes),
            "standard_processes": standard,
            "custom_processes": len(self.nodes) - standard,
            "synapses": self.synapses,
            "standard_synapses": self.standard_synapses,
            "standard_synapse_share": share,
            "latency_steps": self.depth,
            "by_kind": {kind.value: kinds[kind] for kind in Kind if kinds[kind]},
        }
