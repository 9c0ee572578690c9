"""What one layer of any network did, whatever it came from: exact integers by the definitions of `counts.py`.

An operation is one weight applied to one input. `dense` are those with no zero skipped, `effective` those on inputs
that are not zero; a convolution has as many as there are taps inside its output, so that no padding is counted.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

SCHEMA = "spikegpt-count-1"
SPIKES, GRADED, REAL, INPUT = "spikes", "graded", "real", "input"  # what structure makes of a tensor
BINARY, ZERO = "binary", "zero"  # what values may look like, beside GRADED and REAL
LEVELS = 1 << 16  # the largest multiple that still counts as graded
CLOSE = 1e-5  # by how much, relatively, a float32 multiple may miss


@dataclass
class LayerCount:
    """One layer over a run. `structure` says what feeds it: spikes of a neuron, graded (sums of spikes), real, or the
    network's input, of which only values can tell; `values` what they looked like. Of the effective operations,
    `accumulates` are on spikes, `graded` on whole multiples of one constant, `macs` on all else. None: not looked at.
    """

    name: str
    kind: str
    structure: str | None = None
    values: str | None = None
    dense: int = 0
    effective: int | None = 0
    macs: int | None = 0
    accumulates: int | None = 0
    graded: int | None = 0
    elementwise: dict[str, int] = field(default_factory=dict)
    updates: int = 0
    spikes: int | None = 0


TOTALS = ("dense", "effective", "macs", "accumulates", "graded", "updates", "spikes")


@dataclass(frozen=True)
class LayerCounts:
    """The layers of a run in order of first use; `samples` and `steps` are those that the totals are over."""

    layers: tuple[LayerCount, ...]
    steps: int = 1
    samples: int = 1
    notes: tuple[str, ...] = ()

    def total(self, of: str) -> int | None:
        """One of TOTALS over all layers; None where a layer was not looked at."""
        found = [getattr(layer, of) for layer in self.layers]
        return None if None in found else sum(found)

    @property
    def elementwise(self) -> dict[str, int]:
        """Operations outside the matrices by kind, those of neurons left out where they are updates."""
        kinds = sorted({kind for layer in self.layers for kind in layer.elementwise})
        return {kind: sum(layer.elementwise.get(kind, 0) for layer in self.layers) for kind in kinds}

    def to_dict(self) -> dict:
        """As `--json` prints it: docs/outputs.md."""
        totals = {of: self.total(of) for of in TOTALS} | {"elementwise": sum(self.elementwise.values())}
        return {
            "schema": SCHEMA,
            "steps": self.steps,
            "samples": self.samples,
            "total": totals,
            "per_sample": {of: None if n is None else n / self.samples for of, n in totals.items()},
            "layers": [asdict(layer) for layer in self.layers],
            "notes": list(self.notes),
        }


def split(structure: str, values: str, effective: int) -> dict[str, int]:
    """Effective operations as accumulates, graded or MACs: structure decides, values only where it cannot tell.

    A dead layer looks binary by its values; a neuron that sends more than 0 and 1 is no source of accumulates.
    """
    seen = BINARY if values == ZERO else values
    if structure in (SPIKES, INPUT):
        kind = {BINARY: "accumulates", GRADED: "graded"}.get(seen, "macs")
    else:
        kind = "graded" if structure == GRADED and seen in (BINARY, GRADED) else "macs"
    return {"accumulates": 0, "graded": 0, "macs": 0} | {kind: effective}


def verdict(x: np.ndarray) -> str:
    """What values look like: zero, binary (0 and 1), graded (whole multiples of their smallest magnitude), or real."""
    found = np.abs(x[x != 0].astype(np.float64))
    if not found.size:
        return ZERO
    if (x[x != 0] == 1).all():
        return BINARY
    least = found.min()
    multiples = found / least
    whole = np.isfinite(multiples).all() and multiples.max() <= LEVELS
    return GRADED if whole and np.allclose(multiples, np.rint(multiples), rtol=CLOSE, atol=0) else REAL


def join(verdicts: Iterable[str]) -> str:
    """The verdict on several tensors: that of the least regular."""
    rank = [ZERO, BINARY, GRADED, REAL]
    return max(verdicts, key=rank.index, default=ZERO)


def taps(n: int, out: int, kernel: int, stride: int, padding: int, dilation: int) -> np.ndarray:
    """(n,): how many pairs of an output position and a tap read each input position along one axis."""
    read = np.arange(out)[:, None] * stride + np.arange(kernel) * dilation - padding
    return np.bincount(read[(read >= 0) & (read < n)], minlength=n)


def convolution(x: np.ndarray, out: Sequence[int], channels: int, kernel: Sequence[int], stride: Sequence[int],
                padding: Sequence[int], dilation: Sequence[int]) -> tuple[int, int]:  # fmt: skip
    """(dense, effective) of x (N, C, *space) into `channels` outputs a group and positions `out`."""
    weight = np.ones((), np.int64)
    for axis, n in enumerate(x.shape[2:]):
        along = taps(n, out[axis], kernel[axis], stride[axis], padding[axis], dilation[axis])
        weight = weight[..., None] * along
    active = np.count_nonzero(x, axis=(0, 1)).astype(np.int64)
    return int(weight.sum()) * x.shape[0] * x.shape[1] * channels, int((active * weight).sum()) * channels


def transposed(x: np.ndarray, out: Sequence[int], channels: int, kernel: Sequence[int], stride: Sequence[int],
               padding: Sequence[int], dilation: Sequence[int]) -> tuple[int, int]:  # fmt: skip
    """(dense, effective) of a transposed convolution: an input scatters its kernel, cut at the output's border."""
    weight = np.ones((), np.int64)
    for axis, n in enumerate(x.shape[2:]):
        at = np.arange(n)[:, None] * stride[axis] + np.arange(kernel[axis]) * dilation[axis] - padding[axis]
        weight = weight[..., None] * ((at >= 0) & (at < out[axis])).sum(axis=1)
    active = np.count_nonzero(x, axis=(0, 1)).astype(np.int64)
    return int(weight.sum()) * x.shape[0] * x.shape[1] * channels, int((active * weight).sum()) * channels


def attention(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: np.ndarray | None, *, causal: bool
) -> tuple[tuple[int, int], tuple[int, int], tuple[int, ...]]:
    """Of scores (.., queries, keys) and of values weighed by them: dense and effective products, and the scores' shape.

    q, k, v (.., heads, places, width); a mask of floats is -inf where no score is.
    """
    allowed = np.ones((q.shape[-2], k.shape[-2]), np.int64)
    if mask is not None:
        allowed = allowed * (mask if mask.dtype == bool else mask > -np.inf)
    if causal:
        allowed = np.tril(allowed)
    heads = q.shape[-3] // k.shape[-3] if q.ndim > 2 else 1  # that share keys and values
    k, v = (np.repeat(x, heads, axis=-3) if heads > 1 else x for x in (k, v))
    shape = (*q.shape[:-2], *allowed.shape[-2:])
    pairs = np.broadcast_to(allowed, shape)
    met = np.matmul((q != 0).astype(np.int64), np.swapaxes(k != 0, -1, -2).astype(np.int64)) * pairs
    weighed = np.matmul(pairs, (v != 0).astype(np.int64))
    dense = int(pairs.sum())
    return (dense * q.shape[-1], int(met.sum())), (dense * v.shape[-1], int(weighed.sum())), shape


def product(a: np.ndarray, b: np.ndarray) -> tuple[int, int]:
    """(dense, effective) of two activations a (.., m, k), b (.., k, n): pairs where neither is zero."""
    m, k, n = a.shape[-2], a.shape[-1], b.shape[-1]
    lead = math.prod(np.broadcast_shapes(a.shape[:-2], b.shape[:-2]))
    pairs = np.count_nonzero(a, axis=-2).astype(np.int64) * np.count_nonzero(b, axis=-1)
    pairs = np.broadcast_to(pairs, (*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), k))
    return lead * m * k * n, int(pairs.sum())


def matrix(x: np.ndarray, weight: np.ndarray, spike_fed: bool, sparse: float) -> tuple[int, int]:
    """(dense, effective) of x (.., k) through weight (k, n). As in the simulator, weights of zero are left out where
    spikes reach a matrix of at least the share `sparse` of zeros, and nowhere else."""
    k, n = weight.shape
    active = np.count_nonzero(x.reshape(-1, k), axis=0).astype(np.int64)
    kept = np.count_nonzero(weight, axis=1)
    fans = kept if spike_fed and kept.sum() <= (1 - sparse) * weight.size else np.full(k, n)
    return x.size * n, int(active @ fans)
