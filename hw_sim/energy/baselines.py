"""The other systems of the paper's table as analytic rows: operations of one token from shapes, nothing measured.

Published bits per character are those of the paper (arXiv 2302.13939, tables 1 and 2: enwik8, test, L = 12, d = 512,
T = 1024, Unicode characters; read second hand). They are not comparable with a row measured on another text.
"""

from dataclasses import dataclass

from hw_sim.energy.work import MAC, MatrixWork, Work, elementwise_of

HASHES, BUCKET = 4, 64  # Reformer's published defaults: rounds of hashing, chunk length
FEATURES = 256  # random features of a Performer head's kernel, the default of its code


@dataclass(frozen=True)
class Baseline:
    """One system: what it computes a token, where that comes from, and what its paper row scored."""

    name: str
    formula: str
    reference: str
    bits_per_character: float

    def work(self, n_layer: int, d: int, vocab: int, context: int) -> Work:
        """Multiply-accumulates of one token of a model of this shape in a window of `context` tokens."""
        body, mixing, weights = MIXING[self.name](n_layer, d, context)
        matrices = (
            MatrixWork("body", MAC, body, body, weights),
            MatrixWork("mixing", MAC, mixing, mixing, 0),
            MatrixWork("head", MAC, d * vocab, d * vocab, d * vocab),
        )
        return Work(self.name, 1, matrices, elementwise_of({}), measured=False)


def _reformer(n: int, d: int, t: int) -> tuple[int, int, int]:
    dense = 11 * n * d * d  # queries and keys share one matrix
    seen = min(t, 2 * BUCKET) * HASHES  # a chunk attends to itself and the one before it, in every round
    return dense, n * (2 * seen * d + HASHES * d * max(1, t // BUCKET) // 2), dense


def _synthesizer(n: int, d: int, t: int) -> tuple[int, int, int]:
    dense = n * (d * d + d * t + 2 * d * d + 8 * d * d)  # W2 relu(W1 x): d^2 + d T; value and output; MLP
    return dense, n * t * d, dense


def _linear(n: int, d: int, t: int) -> tuple[int, int, int]:
    head = 64
    dense = 12 * n * d * d
    return dense, n * 2 * d * head, dense  # per head: k v^T into the state, q times the state


def _performer(n: int, d: int, t: int) -> tuple[int, int, int]:
    dense = 12 * n * d * d
    return dense, n * (2 * d * FEATURES + 2 * d * FEATURES), dense  # feature maps of q and k; state and readout


def _lstm(n: int, d: int, t: int) -> tuple[int, int, int]:
    dense = 7 * 8 * d * d  # the paper's 7 layers, four gates each, input and recurrent
    return dense, 0, dense


def _sha_lstm(n: int, d: int, t: int) -> tuple[int, int, int]:
    wide = 1024
    dense = 4 * (8 * wide * wide + 8 * wide * wide)  # the paper's 4 layers of width 1024: LSTM and the Boom layer
    return dense, 0, dense


MIXING = {
    "reformer": _reformer,
    "synthesizer": _synthesizer,
    "linear-transformer": _linear,
    "performer": _performer,
    "stacked-lstm": _lstm,
    "sha-lstm": _sha_lstm,
}

BASELINES = (
    Baseline(
        "reformer",
        "11 L d^2 + L (2 * 4 min(T, 128) d + 4 d (T / 64) / 2) + d V",
        "Kitaev et al. 2020, arXiv 2001.04451: shared queries and keys, 4 rounds of hashing, chunks of 64",
        1.195,
    ),
    Baseline(
        "synthesizer",
        "L (11 d^2 + d T + T d) + d V",
        "Tay et al. 2021, arXiv 2005.00743, dense Synthesizer: weights W2 relu(W1 x) instead of query times key",
        1.298,
    ),
    Baseline(
        "linear-transformer",
        "12 L d^2 + 2 L d * 64 + d V",
        "Katharopoulos et al. 2020, arXiv 2006.16236: a state of 64 x 64 a head",
        1.207,
    ),
    Baseline(
        "performer",
        "12 L d^2 + 4 L d * 256 + d V",
        "Choromanski et al. 2021, arXiv 2009.14794: 256 random features a head",
        1.199,
    ),
    Baseline("stacked-lstm", "7 * 8 d^2 + d V", "Hochreiter and Schmidhuber 1997; the paper's 7 layers", 1.670),
    Baseline(
        "sha-lstm",
        "4 * 16 * 1024^2 + d V",
        "Merity 2019, arXiv 1911.11423, without attention; the paper's 4 layers of width 1024",
        1.330,
    ),
)
