"""The shape and kind of a SpikeGPT, as one frozen record that travels inside the checkpoint."""

from dataclasses import asdict, dataclass, fields

from spikegpt.errors import UserError

CANONICAL, SPIKE_DRIVEN, CONTINUOUS = "canonical", "spike-driven", "continuous"
VARIANTS = (CANONICAL, SPIKE_DRIVEN, CONTINUOUS)
MAX_LAYERS, MAX_EMBD, MAX_VOCAB = 1024, 65536, 1 << 22  # refuse absurd sizes before memory is asked for


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

    def __post_init__(self) -> None:
        if self.variant not in VARIANTS:
            raise UserError(f"variant {self.variant!r} is not one of {', '.join(VARIANTS)}")
        limits = (("n_layer", MAX_LAYERS), ("n_embd", MAX_EMBD), ("vocab_size", MAX_VOCAB))
        for name, most in limits:
            value = getattr(self, name)
            if not isinstance(value, int) or not 1 <= value <= most:
                raise UserError(f"{name} = {value!r}: must be a whole number from 1 to {most}")
        if not self.lif_tau >= 1 or not self.lif_threshold > 0:
            raise UserError(
                f"lif_tau = {self.lif_tau}, lif_threshold = {self.lif_threshold}: need tau >= 1 token and threshold > 0"
            )

    @classmethod
    def from_dict(cls, values: dict) -> "Config":
        """Build from a mapping as stored in a checkpoint; raises UserError on unknown keys."""
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise UserError(f"unknown configuration key {unknown[0]!r}; known: {', '.join(sorted(known))}")
        return cls(**values)

    def to_dict(self) -> dict:
        return asdict(self)
