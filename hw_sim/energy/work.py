"""What a model does for one token or for many, as exact counts: operations of matrices, element-wise ones, and tensors.

Counting rules (after NeuroBench, Yik et al. 2025): an operation of a matrix is an accumulate (`ac`) only where the
structure guarantees binary inputs; every other one is a multiply-accumulate (`mac`), of which those with zeros are
skipped where the structure leaves them (behind relu^2).
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from hw_sim.counts.nodes import summed
from hw_sim.energy.schema import Assumption

MAC, AC, GRADED = "mac", "ac", "graded"  # real inputs; binary by structure; integer events (multiply and add)
TERNARY = "ternary"  # weights of -1, 0, 1: an operation is an addition, done for every input
DECODE, MEAN, PREFILL = "decode", "mean", "prefill"  # at the last position, over the window, all of a prompt at once


@dataclass(frozen=True)
class MatrixWork:
    """Operations of one matrix: `effective` done out of `dense`, of a kind; `weights` is its size (0: none stored),
    `bits` of a weight where they are not the column's."""

    name: str
    kind: str
    effective: int
    dense: int
    weights: int
    fan_out: int = 0
    bits: int | None = None


@dataclass(frozen=True)
class Tensor:
    """Memory other than weights: `words` in size, of which `moved` are read or written over all tokens.

    `role` says which bits and price: embedding, parameters (constant vectors), state, activations, kv. A `shared` one
    is read once for all streams of a batch; any other is kept by every stream. `copies` are alike.
    """

    role: str
    words: int
    moved: int
    shared: bool = False
    copies: int = 1


@dataclass(frozen=True)
class Work:
    """All counts of a model over `tokens` tokens.

    `components` holds the element-wise operations by component (layer_norm, wkv, ..) and kind, `channels` how many
    channels each component computed; `neurons` are LIF updates, of which `active` had an input event; `counted` says
    whether activity was counted on a text or follows from shapes and `assumptions`; `prompt` tokens are computed at
    once (prefill) and share one read of whatever streams share. `kv_words` and `state_words` are footprints a stream.
    """

    name: str
    tokens: int
    matrices: tuple[MatrixWork, ...]
    components: dict[str, dict[str, int]]
    channels: dict[str, int]
    tensors: tuple[Tensor, ...]
    counted: bool
    neurons: int = 0
    active: int = 0
    spikes: int = 0
    kv_words: int = 0
    state_words: int = 0
    prompt: int = 1
    assumptions: tuple[Assumption, ...] = ()

    def done(self, kind: str) -> int:
        """Operations of the matrices of one kind."""
        return sum(m.effective for m in self.matrices if m.kind == kind)

    @cached_property
    def dense(self) -> int:
        return sum(m.dense for m in self.matrices)

    @property
    def macs(self) -> int:
        """Multiply-accumulates done, and the additions that stand for them where weights are ternary."""
        return self.done(MAC) + self.done(TERNARY)

    @property
    def acs(self) -> int:
        return self.done(AC)

    @property
    def graded(self) -> int:
        return self.done(GRADED)

    @property
    def synops(self) -> int:
        """Everything that matrices did."""
        return sum(m.effective for m in self.matrices)

    @property
    def spiking(self) -> bool:
        """Whether a matrix reads spikes, by structure: also where none came."""
        return any(m.kind == AC for m in self.matrices)

    @cached_property
    def elementwise(self) -> dict[str, int]:
        """Element-wise operations by kind, absent ones as zero."""
        return summed(self.components.values())

    @cached_property
    def alike(self) -> dict[MatrixWork, int]:
        """The matrices without their names, and how many there are of each."""
        return Counter(
            MatrixWork("", m.kind, m.effective, m.dense, m.weights, m.fan_out, m.bits) for m in self.matrices
        )

    @property
    def density(self) -> float:
        """Active share of the body's synapse inputs, weighted by fan-out."""
        body = [m for m in self.matrices if m.name != "head"]
        return sum(m.effective for m in body) / sum(m.dense for m in body)


def merged(tensors: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """Equal tensors as copies of one."""
    found: Counter[tuple[str, int, int, bool]] = Counter()
    for t in tensors:
        found[t.role, t.words, t.moved, t.shared] += t.copies
    return tuple(Tensor(*key, copies=n) for key, n in found.items())
