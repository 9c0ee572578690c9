"""SpikeGPT, a spiking RWKV language model, in its published form and in a spike-driven one.

Zhu, Zhao, Eshraghian, "SpikeGPT: Generative Pre-trained Language Model with Spiking Neural Networks",
arXiv 2302.13939. One token is one time step; every LIF membrane runs along the text. The parallel form and the
recurrent form are the same code: `forward` with a carried state, over many tokens or over one.

Variants (Config.variant), with mix(m, h)_t = m * h_t + (1 - m) * h_{t-1}:
  canonical     the published placement: a LIF after each half of a block; every matrix reads real numbers
  spike-driven  a LIF in front of every matrix, so that every synapse of the body carries a binary event, and with
                Config.spiking_head the head's too
  continuous    the non-spiking twin: no LIF at all
"""

import math
import re
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from spikegpt.config import LEAST_THRESHOLD, TRANSFORMER, Config
from spikegpt.errors import UserError
from spikegpt.kernels import WKV_START, lif, spike_linear, token_shift, wkv
from spikegpt.kernels.reference import heaviside
from spikegpt.streams import LanguageModel, State
from spikegpt.transformer import Transformer

Taps = dict[str, Tensor]  # spikes by population, (B, T, C)

INITIAL_RATE = 0.12  # input rate assumed when the spike-driven matrices are scaled at the start


class Lif(nn.Module):
    """A population of LIF neurons; `names` labels the populations stacked along the first axis of its input."""

    def __init__(self, cfg: Config, *names: str):
        super().__init__()
        self.names, self.tau, self.threshold = names, cfg.lif_tau, cfg.lif_threshold

    def forward(self, x: Tensor, state: State, new: State, taps: Taps | None) -> Tensor:
        """x (N, B, T, C) with one N for each name, or (B, T, C) for a single name -> spikes of the same shape."""
        n_chan, key = x.shape[-1], "+".join(self.names)
        rows = x.reshape(-1, x.shape[-2], n_chan)  # (N * B, T, C)
        v = state[key] if key in state else rows.new_zeros(len(rows), n_chan)
        spikes, new[key] = lif(rows, v, self.tau, self.threshold)
        spikes = spikes.view(x.shape)
        if taps is not None:
            taps.update(zip(self.names, spikes.view(len(self.names), *x.shape[-3:]), strict=True))
        return spikes


class NoLif(nn.Module):
    """Stands where this variant has no neuron: passes its input on."""

    def forward(self, x: Tensor, state: State, new: State, taps: Taps | None) -> Tensor:
        return x


class Mixer(nn.Module):
    """What the two halves of a block share: norm, token shift and the neurons behind it, in front of the matrices."""

    def __init__(self, cfg: Config, layer: int, half: str, inputs: tuple[str, ...]):
        super().__init__()
        self.prefix, self.late_norm, self.threshold = f"block{layer}_{half}", cfg.late_norms, cfg.lif_threshold
        self.reads_spikes = half in cfg.lifs.before
        self.lif_in = Lif(cfg, *(f"{self.prefix}_{i}_lif" for i in inputs)) if self.reads_spikes else NoLif()
        self.lif_after = Lif(cfg, f"{self.prefix}_lif") if half in cfg.lifs.behind else NoLif()

    def mixed(
        self, x: Tensor, norm: nn.LayerNorm, mixes: Sequence[Tensor], state: State, new: State, taps: Taps | None
    ) -> Tensor:
        """x (B, T, d) -> what the matrices read, (N, B, T, d)."""
        h = normalise(x, norm) if self.late_norm else norm(x)
        key = f"{self.prefix}_shift"
        last = state[key] if key in state else torch.zeros_like(h[:, 0])
        read, new[key] = token_shift(h, last, torch.cat([m.view(1, -1) for m in mixes]))
        if self.late_norm:
            read = current(read, norm, self.threshold)
        return self.lif_in(read, state, new, taps)


class Attention(Mixer):
    """Spatial mix: out = Wo (r * wkv(k, v)), with r = sigmoid(Wr ..)."""

    def __init__(self, cfg: Config, layer: int):
        super().__init__(cfg, layer, "att", ("key", "value", "receptance"))
        d = cfg.n_embd
        depth, place = layer_position(cfg, layer)
        channel = channels(d) / d
        mix_k = channel ** (1 - depth)
        self.time_mix_k = nn.Parameter(mix_k.view(1, 1, d))
        self.time_mix_v = nn.Parameter((mix_k + 0.3 * place).view(1, 1, d))
        self.time_mix_r = nn.Parameter((channel ** (0.5 * (1 - depth))).view(1, 1, d))
        self.time_decay = nn.Parameter(-5 + 8 * (channels(d) / max(1, d - 1)) ** (0.7 + 1.3 * place))
        self.time_first = nn.Parameter(math.log(0.3) + 0.5 * ((channels(d) + 1) % 3 - 1).float())
        self.key, self.value, self.receptance, self.output = (Matrix(d, d, self.reads_spikes) for _ in range(4))
        if self.reads_spikes:
            self.gain = nn.Parameter(torch.full((d,), 3.0))  # lifts r * wkv to the threshold of its neurons
            self.lif_out: nn.Module = Lif(cfg, f"{self.prefix}_output_lif")
        else:
            self.register_parameter("gain", None)
            self.lif_out = NoLif()

    def forward(self, x: Tensor, norm: nn.LayerNorm, state: State, new: State, taps: Taps | None) -> Tensor:
        mixes = [self.time_mix_k, self.time_mix_v, self.time_mix_r]
        x_k, x_v, x_r = self.mixed(x, norm, mixes, state, new, taps).unbind(0)
        k, v, r = self.key(x_k), self.value(x_v), self.receptance(x_r)
        key = f"{self.prefix}_wkv"
        start = state[key] if key in state else wkv_start(x)
        y, new[key] = wkv(-torch.exp(self.time_decay), self.time_first, k, v, start)
        y = torch.sigmoid(r) * y if self.gain is None else torch.sigmoid(r) * y * self.gain
        return self.lif_after(self.output(self.lif_out(y, state, new, taps)), state, new, taps)


class FeedForward(Mixer):
    """Channel mix: out = r * (Wv k'), with k' = relu(Wk ..)^2, or k' = lif(Wk ..) where spikes drive every matrix."""

    def __init__(self, cfg: Config, layer: int):
        super().__init__(cfg, layer, "ffn", ("key", "receptance"))
        d = cfg.n_embd
        depth, _ = layer_position(cfg, layer)
        mix = (channels(d) / d) ** (1 - depth)
        self.time_mix_k = nn.Parameter(mix.view(1, 1, d))
        self.time_mix_r = nn.Parameter(mix.clone().view(1, 1, d))
        self.key = Matrix(d, 4 * d, self.reads_spikes)
        self.receptance = Matrix(d, d, self.reads_spikes)
        self.value = Matrix(4 * d, d, self.reads_spikes)
        self.hidden = Lif(cfg, f"{self.prefix}_value_lif") if self.reads_spikes else None

    def forward(self, x: Tensor, norm: nn.LayerNorm, state: State, new: State, taps: Taps | None) -> Tensor:
        x_k, x_r = self.mixed(x, norm, [self.time_mix_k, self.time_mix_r], state, new, taps).unbind(0)
        k, r = self.key(x_k), self.receptance(x_r)
        k = functional.relu(k).square() if self.hidden is None else self.hidden(k, state, new, taps)
        return self.lif_after(torch.sigmoid(r) * self.value(k), state, new, taps)


def normalise(x: Tensor, norm: nn.LayerNorm) -> Tensor:
    """x (.., d) to mean 0 and variance 1, without the norm's weight and bias."""
    return functional.layer_norm(x, norm.normalized_shape, eps=norm.eps)


def current(n: Tensor, norm: nn.LayerNorm, threshold: float) -> Tensor:
    """What memoryless neurons read: the norm's weight times n (.., d), plus its bias as far as the threshold allows."""
    return torch.addcmul(norm.bias.clamp(max=threshold - LEAST_THRESHOLD), n, norm.weight)


class Matrix(nn.Linear):
    """A weight matrix (n_out, n_in); `reads_spikes` where structure makes each of its inputs 0 or 1."""

    def __init__(self, n_in: int, n_out: int, reads_spikes: bool):
        super().__init__(n_in, n_out, bias=False)
        self.reads_spikes = reads_spikes

    def forward(self, x: Tensor) -> Tensor:
        """x (.., n_in) -> (.., n_out), in the precision of x whatever autocast makes of the product."""
        return (spike_linear if self.reads_spikes else functional.linear)(x, self.weight).to(x.dtype)


class Block(nn.Module):
    """x + att(ln1(x)), then x + ffn(ln2(x)); the first block also normalises the embedding."""

    def __init__(self, cfg: Config, layer: int):
        super().__init__()
        if layer == 0:
            self.ln0 = nn.LayerNorm(cfg.n_embd)
        self.ln1, self.ln2 = nn.LayerNorm(cfg.n_embd), nn.LayerNorm(cfg.n_embd)
        self.att, self.ffn = Attention(cfg, layer), FeedForward(cfg, layer)
        self.dropout = nn.Dropout(0.0)  # training sets its share

    def forward(self, x: Tensor, state: State, new: State, taps: Taps | None) -> Tensor:
        x = x + self.dropout(self.att(x, self.ln1, state, new, taps))
        return x + self.dropout(self.ffn(x, self.ln2, state, new, taps))


class SpikeGPT(LanguageModel):
    """The language model: tokens in, logits out, with an explicit recurrent state.

    Parameters carry the names of the released checkpoints.
    """

    def __init__(self, config: Config):
        super().__init__(config)
        self.emb = nn.Embedding(config.vocab_size, config.n_embd)
        self.blocks = nn.ModuleList([Block(config, i) for i in range(config.n_layer)])
        self.ln_out = nn.LayerNorm(config.n_embd)
        if config.spiking_head:
            self.head_lif = Lif(config, "head_lif")
        self.head = Matrix(config.n_embd, config.vocab_size, config.spiking_head)
        initialise(self)

    def run(self, tokens: Tensor, state: State | None = None, taps: Taps | None = None) -> tuple[Tensor, State]:
        """tokens (B, T) after `state` (None: the start of a text) -> logits (B, T, V) and the new state.

        `taps`, if given, is filled with the spikes (B, T, C) of every population.
        """
        x = self.embed(tokens)
        new: State = {}
        for block in self.blocks:
            x = block(x, state or {}, new, taps)
        if self.config.spiking_head:
            read = current(normalise(x, self.ln_out), self.ln_out, self.config.lif_threshold)
            x = self.head_lif(read, state or {}, new, taps)
        else:
            x = self.ln_out(x)
        return self.head(x).float(), new

    def embed(self, tokens: Tensor) -> Tensor:
        """Look tokens (B, T) up in the (binary) embedding and normalise them: (B, T, d)."""
        checked = not (tokens.is_cuda or torch.compiler.is_exporting())  # where values are seen late, or not at all
        if checked and tokens.numel() and not 0 <= int(tokens.min()) <= int(tokens.max()) < self.config.vocab_size:
            bad = tokens[(tokens < 0) | (tokens >= self.config.vocab_size)][0]
            raise UserError(f"token {int(bad)} is out of range: the vocabulary holds 0 to {self.config.vocab_size - 1}")
        e = self.emb(tokens)
        return cast(Any, self.blocks[0]).ln0(heaviside(e) if self.config.binary_embedding else e)

    def spike_fed(self) -> dict[str, Matrix]:
        """The matrices that read spikes, by the tap of the population that each of them reads."""
        return {
            re.sub(r"^blocks\.(\d+)", r"block\1", name).replace(".", "_") + "_lif": module
            for name, module in self.named_modules()
            if isinstance(module, Matrix) and module.reads_spikes
        }


def build(config: Config) -> SpikeGPT | Transformer:
    """A fresh model of the variant that the configuration names."""
    return Transformer(config) if config.variant == TRANSFORMER else SpikeGPT(config)


def channels(d: int) -> Tensor:
    """0 .. d - 1, on the CPU even while a model is built on "meta", where arange imports sympy."""
    return torch.arange(d, device="cpu")


def layer_position(cfg: Config, layer: int) -> tuple[float, float]:
    """(l / L, l / (L - 1)): where a layer stands, as the published initialisation counts it."""
    return layer / cfg.n_layer, layer / max(1, cfg.n_layer - 1)


def wkv_start(h: Tensor) -> Tensor:
    """The WKV state before the first token, (3, B, d), for activations h (B, T, d)."""
    state = h.new_zeros(3, h.shape[0], h.shape[2])
    state[2] = WKV_START
    return state


@torch.no_grad()
def initialise(model: SpikeGPT) -> None:
    """The published initial values; matrices that read spikes are scaled so that no population starts dead."""
    if model.emb.weight.is_meta:  # to be loaded: there is nothing to fill
        return

    def lift(matrix: Matrix) -> float:
        return 1 / math.sqrt(INITIAL_RATE) if matrix.reads_spikes else 1.0

    nn.init.orthogonal_(model.emb.weight, gain=1e-4 * math.sqrt(max(model.emb.weight.shape)))
    nn.init.orthogonal_(model.head.weight, gain=0.5 * lift(model.head))
    for block in cast(Any, model.blocks):
        for zero in (block.att.key, block.att.receptance, block.att.output, block.ffn.value, block.ffn.receptance):
            nn.init.zeros_(zero.weight)
        nn.init.orthogonal_(block.att.value.weight, gain=lift(block.att.value))
        nn.init.orthogonal_(block.ffn.key.weight, gain=2 * lift(block.ffn.key))  # gain sqrt(rows / columns)
