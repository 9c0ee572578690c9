"""The float32 baseline: a plain GPT (pre-LayerNorm, learned positions, GELU), with a cache of keys and values.

Radford et al. 2019 (GPT-2) without biases in the matrices, so that its operations are 12 L d^2 + d V + 2 t d L.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from spikegpt.config import HEAD_WIDTH, Config
from spikegpt.errors import UserError
from spikegpt.streams import LanguageModel, State


class Block(nn.Module):
    """x + attention(ln1(x)), then x + mlp(ln2(x))."""

    def __init__(self, cfg: Config, layer: int):
        super().__init__()
        d = cfg.n_embd
        self.name, self.n_head = f"block{layer}", max(1, d // HEAD_WIDTH)
        if d % self.n_head:
            raise UserError(f"n_embd = {d} does not divide into {self.n_head} heads; use a multiple of {HEAD_WIDTH}")
        self.ln1, self.ln2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.projection = nn.Linear(d, 3 * d, bias=False), nn.Linear(d, d, bias=False)
        self.fc, self.fc_out = nn.Linear(d, 4 * d, bias=False), nn.Linear(4 * d, d, bias=False)
        self.dropout = nn.Dropout(0.0)  # training sets its share

    def forward(self, x: Tensor, state: State, new: State) -> Tensor:
        """x (B, T, d); the cache holds keys and values (2, B, heads, past, d / heads) of every block."""
        b, t, d = x.shape
        q, k, v = self.qkv(self.ln1(x)).view(b, t, 3, self.n_head, d // self.n_head).permute(2, 0, 3, 1, 4)
        past = 0
        if self.name in state:
            past = state[self.name].shape[3]
            k, v = torch.cat([state[self.name], torch.stack([k, v])], dim=3).unbind(0)
        new[self.name] = torch.stack([k, v]).detach()
        mask = torch.ones(t, past + t, dtype=torch.bool, device=x.device).tril(past) if past and t > 1 else None
        y = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=not past and t > 1)
        x = x + self.dropout(self.projection(y.transpose(1, 2).reshape(b, t, d)))
        return x + self.dropout(self.fc_out(functional.gelu(self.fc(self.ln2(x)))))


class Transformer(LanguageModel):
    """Tokens in, logits out; at most `ctx_len` tokens, as its positions are learned."""

    def __init__(self, config: Config):
        super().__init__(config)
        self.emb = nn.Embedding(config.vocab_size, config.n_embd)
        self.position = nn.Embedding(config.ctx_len, config.n_embd)
        self.blocks = nn.ModuleList([Block(config, i) for i in range(config.n_layer)])
        self.ln_out = nn.LayerNorm(config.n_embd)
        self.head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:  # GPT-2: residual branches start smaller the deeper the network
                deep = name.endswith(("projection.weight", "fc_out.weight"))
                nn.init.normal_(parameter, std=0.02 / (math.sqrt(2 * config.n_layer) if deep else 1))

    def run(self, tokens: Tensor, state: State | None = None, taps: dict | None = None) -> tuple[Tensor, State]:
        """tokens (B, T) after those in `state` -> logits (B, T, V) and the cache. It has no spikes: `taps` stays empty.

        Raises UserError beyond `ctx_len` tokens and on a token out of range.
        """
        if tokens.numel() and not 0 <= int(tokens.min()) <= int(tokens.max()) < self.config.vocab_size:
            raise UserError(f"a token is out of range: the vocabulary holds 0 to {self.config.vocab_size - 1}")
        past = next(iter(state.values())).shape[3] if state else 0
        if past + tokens.shape[1] > self.config.ctx_len:
            raise UserError(
                f"{past + tokens.shape[1]} tokens are more than this Transformer's context of {self.config.ctx_len}"
            )
        place = torch.arange(past, past + tokens.shape[1], device=tokens.device)
        x, new = self.emb(tokens) + self.position(place), State()
        for block in self.blocks:
            x = block(x, state or {}, new)
        return self.head(self.ln_out(x)).float(), new
