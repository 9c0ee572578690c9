"""A torch SpikeGPT as one NIR graph: translated node for node (`spikegpt/model.py`), then lowered by `PASSES`.

The residual stream is a Scale of ones, so that no node sums more than two edges.
"""

from collections.abc import Callable
from typing import Any

import nir
import numpy as np

from exporters.nir.passes import PASSES
from hw_sim.graph.extensions import DT, WKV, LayerNorm, Multiply, Place, Sigmoid, SquaredReLU, TokenShift
from hw_sim.graph.origin import SOURCE, with_tokenizer
from spikegpt.config import LEAST_THRESHOLD, VARIANTS
from spikegpt.errors import UserError
from spikegpt.escape import printable


class _Builder:
    """Collects nodes and edges; every method returns the name of what it added."""

    def __init__(self) -> None:
        self.nodes: dict[str, nir.NIRNode] = {}
        self.edges: list[tuple[str, str]] = []

    def add(self, name: str, node: nir.NIRNode, *sources: str) -> str:
        self.nodes[name] = node
        self.edges += [(source, name) for source in sources]
        return name

    def join(self, name: str, node: nir.NIRNode, *operands: str) -> str:
        """Add a node that reads its operands as one concatenated vector."""
        size = int(node.input_type["input"][0])
        n = size // len(operands)
        places = [
            self.add(f"{name}_in{i}", Place(np.array([i * n]), np.array([n, size])), operand)
            for i, operand in enumerate(operands)
        ]
        return self.add(name, node, *places)


def export(model: Any, watch: Callable[[str, nir.NIRGraph], None] = lambda name, graph: None) -> nir.NIRGraph:
    """The complete SpikeGPT model as a NIR graph: one-hot token in, logits out; weights stay float32.

    Spiking populations are named as the model's taps, e.g. `block3_att_key_lif` in front of `block3_att_key`.
    `watch` is shown the graph after the translation and after every pass. Raises UserError for a Transformer.
    """
    graph = translate(model)
    watch("translate", graph)
    for lower in PASSES:
        graph = lower(graph)
        watch(lower.__name__, graph)
    return graph


def translate(model: Any) -> nir.NIRGraph:
    """The model's own operators as nodes, before any pass; a matrix is a view of the model's, not a copy."""
    cfg, graph = model.config, _Builder()
    if cfg.variant not in VARIANTS:
        raise UserError(f"a {cfg.variant} cannot be lowered: its attention over a growing cache has no NIR form")
    graph.add("token", nir.Input({"input": np.array([cfg.vocab_size])}))
    table = model.emb.weight.detach().numpy().T  # (d, V)
    graph.add("embedding", nir.Linear((table >= 0).view(np.int8) if cfg.binary_embedding else table), "token")
    x = _norm(graph, "embedding_ln", model.blocks[0].ln0, "embedding")
    for i, block in enumerate(model.blocks):
        branch = _attention(graph, f"block{i}_att", cfg, block.att, block.ln1, x)
        x = _residual(graph, f"block{i}_att", cfg, "att" in cfg.lifs.behind, x, branch)
        branch = _feed_forward(graph, f"block{i}_ffn", cfg, block.ffn, block.ln2, x)
        x = _residual(graph, f"block{i}_ffn", cfg, "ffn" in cfg.lifs.behind, x, branch)
    if cfg.spiking_head:
        h = _current(graph, "head", cfg, model.ln_out, _normal(graph, "head_ln", model.ln_out, x))
    else:
        h = _norm(graph, "head_ln", model.ln_out, x)
    graph.add("head", nir.Linear(_array(model.head.weight)), h)
    graph.add("logits", nir.Output({"output": np.array([cfg.vocab_size])}), "head")
    provenance = {
        f"{SOURCE}{printable(k).replace('/', '_')}": printable(v) if isinstance(v, str) else v
        for k, v in getattr(model, "provenance", {}).items()
        if isinstance(v, str | float) or (isinstance(v, int) and abs(v) < 1 << 63)
    }
    translated = nir.NIRGraph(graph.nodes, graph.edges, metadata={"variant": cfg.variant, **provenance})
    return with_tokenizer(translated, model.tokenizer)


def _attention(graph: _Builder, p: str, cfg: Any, att: Any, norm: Any, x: str) -> str:
    k, v, r = _read(graph, p, cfg, att, norm, x, {"key": "k", "value": "v", "receptance": "r"})
    decay = _array(-att.time_decay.detach().exp())
    wkv = graph.join(f"{p}_wkv", WKV(decay, _array(att.time_first)), k, v)
    gate = graph.add(f"{p}_gate", Sigmoid(np.array([cfg.n_embd])), r)
    y = graph.join(f"{p}_gated", Multiply(np.array([cfg.n_embd])), gate, wkv)
    if att.reads_spikes:
        y = graph.add(f"{p}_gain", nir.Scale(_array(att.gain)), y)
        y = graph.add(f"{p}_output_lif", _lif(cfg, cfg.n_embd), y)
    return graph.add(f"{p}_output", nir.Linear(_array(att.output.weight)), y)


def _feed_forward(graph: _Builder, p: str, cfg: Any, ffn: Any, norm: Any, x: str) -> str:
    k, r = _read(graph, p, cfg, ffn, norm, x, {"key": "k", "receptance": "r"})
    width = ffn.key.weight.shape[0]
    if ffn.reads_spikes:
        hidden = graph.add(f"{p}_value_lif", _lif(cfg, width), k)
    else:
        hidden = graph.add(f"{p}_relu2", SquaredReLU(np.array([width])), k)
    value = graph.add(f"{p}_value", nir.Linear(_array(ffn.value.weight)), hidden)
    gate = graph.add(f"{p}_gate", Sigmoid(np.array([cfg.n_embd])), r)
    return graph.join(f"{p}_gated", Multiply(np.array([cfg.n_embd])), gate, value)


def _read(graph: _Builder, p: str, cfg: Any, half: Any, norm: Any, x: str, matrices: dict[str, str]) -> list[str]:
    """Norm, token shift, neurons and first matrices of a half block; `matrices`: part -> the letter of its mix."""
    h, outputs = (_normal if cfg.late_norms else _norm)(graph, f"{p}_ln", norm, x), []
    for part, letter in matrices.items():
        mix = TokenShift(_array(getattr(half, f"time_mix_{letter}").view(-1)))
        read = graph.add(f"{p}_{part}_mix", mix, h)
        if cfg.late_norms:
            read = _current(graph, f"{p}_{part}", cfg, norm, read)
        elif half.reads_spikes:
            read = graph.add(f"{p}_{part}_lif", _lif(cfg, cfg.n_embd), read)
        outputs.append(graph.add(f"{p}_{part}", nir.Linear(_array(getattr(half, part).weight)), read))
    return outputs


def _residual(graph: _Builder, p: str, cfg: Any, fires: bool, x: str, branch: str) -> str:
    if fires:
        branch = graph.add(f"{p}_lif", _lif(cfg, cfg.n_embd), branch)
    return graph.add(f"{p}_residual", nir.Scale(np.ones(cfg.n_embd, np.float32)), x, branch)


def _norm(graph: _Builder, name: str, ln: Any, x: str) -> str:
    return graph.add(name, LayerNorm(_array(ln.weight), _array(ln.bias), np.array([ln.eps])), x)


def _normal(graph: _Builder, name: str, ln: Any, x: str) -> str:
    """A norm without weight and bias."""
    d = len(ln.weight)
    return graph.add(name, LayerNorm(np.ones(d, np.float32), np.zeros(d, np.float32), np.array([ln.eps])), x)


def _current(graph: _Builder, name: str, cfg: Any, norm: Any, n: str) -> str:
    """A norm's weight as a Scale, and memoryless neurons that have its bias in their thresholds."""
    bias = np.minimum(_array(norm.bias), np.float32(cfg.lif_threshold - LEAST_THRESHOLD))
    scaled = graph.add(f"{name}_gain", nir.Scale(_array(norm.weight)), n)
    return graph.add(f"{name}_lif", _lif(cfg, len(bias), cfg.lif_threshold - bias), scaled)


def _lif(cfg: Any, n: int, threshold: np.ndarray | None = None) -> nir.LIF:
    """The published LIF in NIR's terms: NIR spikes at v > threshold, so the threshold is one float32 step lower."""
    threshold = np.full(n, cfg.lif_threshold) if threshold is None else threshold
    below = np.nextafter(threshold.astype(np.float32), np.float32(0))
    return nir.LIF(
        tau=np.full(n, cfg.lif_tau * DT),
        r=np.ones(n),
        v_leak=np.zeros(n),
        v_reset=np.zeros(n),
        v_threshold=below.astype(np.float64),
    )


def _array(tensor: Any) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().numpy())
