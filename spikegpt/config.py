"""The shape and kind of a SpikeGPT, as one frozen record that travels inside the checkpoint."""

import math
from dataclasses import asdict, dataclass, fields

import msgspec

from spikegpt.errors import UserError

CANONICAL, SPIKE_DRIVEN, CONTINUOUS = "canonical", "spike-driven", "continuous"
TRANSFORMER = "transformer"  # the float32 baseline
HEAD_WIDTH = 64  # of its attention
WKV_START = -1e30  # the running maximum before the first token
LEAST_THRESHOLD = 2.0**-6  # what a bias in front of memoryless neurons leaves of their threshold: none fires unasked
RAW_VOCAB = 50277  # of the released models whose run-time feeds the raw embedding
# Absurd sizes are refused before memory is asked for.
MAX_LAYERS, MAX_EMBD, MAX_VOCAB, MAX_CONTEXT = 1024, 65536, 1 << 22, 1 << 24
HALVES = "att", "ffn"  # of a block


@dataclass(frozen=True)
class Variant:
    """Where the LIF neurons of a variant stand, by half of a block; those of a spiking head come besides."""

    before: tuple[str, ...] = ()  # halves with some in front of every matrix, which then reads spikes
    behind: tuple[str, ...] = ()  # halves with some behind them, in front of the residual sum
    tau: float = 2.0  # their time constant in tokens unless said otherwise


VARIANTS = {  # of SpikeGPT
    CANONICAL: Variant(behind=HALVES),  # as published
    SPIKE_DRIVEN: Variant(before=HALVES, tau=1.0),  # learns best without memory across tokens
    CONTINUOUS: Variant(),
}


@dataclass(frozen=True)
class Config:
    """Everything that fixes the function a SpikeGPT computes, besides its weights.

    Raises UserError when a value is out of range.
    """

    vocab_size: int = 256  # 256: raw bytes
    n_layer: int = 4
    n_embd: int = 256
    variant: str = SPIKE_DRIVEN
    binary_embedding: bool = True  # the released training code binarises the embedding
    lif_tau: float = (
        1.0  # membrane time constant in tokens; the published code uses 2, spike-driven models learn best at 1
    )
    lif_threshold: float = 1.0
    ctx_len: int = 256  # the window it was trained on; the recurrent form has no limit
    # Of spike-driven models; checkpoints from before these forms lack the fields, and new models have both (`preset`).
    spiking_head: bool = False  # the head reads a LIF population too
    late_norms: bool = False  # a norm's weight and bias stand behind the token shift: they fold into it and thresholds

    def __post_init__(self) -> None:
        known = (*VARIANTS, TRANSFORMER)
        if self.variant not in known:
            raise UserError(f"variant {self.variant!r} is not one of {', '.join(known)}")
        limits = (("n_layer", MAX_LAYERS), ("n_embd", MAX_EMBD), ("vocab_size", MAX_VOCAB), ("ctx_len", MAX_CONTEXT))
        for name, most in limits:
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
                raise UserError(f"{name} = {value!r}: must be a whole number from 1 to {most}")
        if not 1 <= self.lif_tau < math.inf or not 0 < self.lif_threshold < math.inf:
            raise UserError(
                f"lif_tau = {self.lif_tau}, lif_threshold = {self.lif_threshold}: need finite tau >= 1 token, "
                f"finite threshold > 0"
            )

        memoryless = self.variant == SPIKE_DRIVEN and self.lif_tau == 1
        if (self.spiking_head or self.late_norms) and not memoryless:
            raise UserError(f"spiking_head and late_norms are forms of {SPIKE_DRIVEN} models with lif_tau = 1")

    @property
    def lifs(self) -> Variant:
        """Where its LIF neurons stand."""
        return VARIANTS.get(self.variant, Variant())

    @property
    def n_parameters(self) -> int:
        """Number of trainable parameters: 13 L d^2 + 2 V d in matrices (Transformer: 12 L d^2), the rest in vectors."""
        d, n = self.n_embd, self.n_layer
        matrices = self.body_synapses + 2 * self.vocab_size * d
        if self.variant == TRANSFORMER:
            return matrices + (4 * n + 2 + self.ctx_len) * d
        vectors = n * (4 + 5 + 2 + ("att" in self.lifs.before)) + 4  # norms, mixes, decay and bonus, gain; ln0, ln_out
        return matrices + vectors * d

    @property
    def body_synapses(self) -> int:
        """Weights of the matrices between embedding and head."""
        return (12 if self.variant == TRANSFORMER else 13) * self.n_layer * self.n_embd**2

    @property
    def spike_synapses(self) -> int:
        """Weights of the matrices that read spikes, zeros among them: binary synapses."""
        d = self.n_embd
        of_layer = sum({"att": 4, "ffn": 9}[half] for half in self.lifs.before) * d**2
        return of_layer * self.n_layer + self.spiking_head * self.vocab_size * d

    @classmethod
    def from_dict(cls, values: dict) -> "Config":
        """Build from a mapping as stored in a checkpoint; raises UserError on unknown keys."""
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise UserError(f"unknown configuration key {unknown[0]!r}; known: {', '.join(sorted(known))}")
        try:
            return msgspec.convert(values, cls)
        except msgspec.ValidationError as error:
            raise UserError(f"the configuration is damaged: {error}") from error

    def to_dict(self) -> dict:
        return asdict(self)


@dataclass(frozen=True)
class Preset:
    """A named size: layers, width and the vocabulary it is known with."""

    n_layer: int
    n_embd: int
    vocab_size: int
    note: str
    ctx_len: int = 1024  # tokens of context, as the paper trains


# The sizes of arXiv 2302.13939. The paper does not pin its 125M model down: 12 x 768 with the 50,277 tokens of GPT-NeoX
# would have 169 M parameters; 18 x 768 over the 77 characters of BookCorpus, the released model of that size, has 138 M
# and is what `125m` means here.
PRESETS = {
    "tiny": Preset(4, 256, 256, "the shipped model: bytes", ctx_len=256),
    "45m": Preset(12, 512, 5458, "enwik8, Unicode characters"),
    "125m": Preset(18, 768, 77, "BookCorpus, characters; the paper does not pin this shape down"),
    "216m": Preset(18, 768, 50277, "OpenWebText2, GPT-NeoX 20B tokens"),
    "260m": Preset(24, 768, 50277, "OpenWebText2, GPT-NeoX 20B tokens"),
}


def preset(name: str, variant: str = SPIKE_DRIVEN, **overrides) -> Config:
    """The Config of a preset, spike-driven ones in the newest form; raises UserError for an unknown name."""
    if name not in PRESETS:
        raise UserError(f"preset {name!r} is not one of {', '.join(PRESETS)}")
    p = PRESETS[name]
    values = {"vocab_size": p.vocab_size, "n_layer": p.n_layer, "n_embd": p.n_embd, "lif_tau": default_tau(variant)}
    if variant == SPIKE_DRIVEN:
        values |= {"spiking_head": True, "late_norms": True}
    return Config(**{**values, "variant": variant, **overrides})


def default_tau(variant: str) -> float:
    """The variant's time constant; a Transformer's says nothing."""
    return VARIANTS.get(variant, Variant()).tau
