"""One model on one text: its counts, its quality, and the class of every matrix input."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass

import nir
import numpy as np

from hw_sim.counts.counts import Counts, merge
from hw_sim.energy.quality import Interval, interval_of
from hw_sim.energy.schema import Shape
from hw_sim.energy.vectors import Task, vector_work
from hw_sim.energy.work import AC, GRADED, MAC, MatrixWork, Tensor, Work
from hw_sim.graph import reference
from hw_sim.graph.wiring import NEURONS, Wiring
from hw_sim.plan import Op, Plan
from hw_sim.run.simulator import Simulator
from hw_sim.run.streams import LOGITS, next_token_nats, token_nats
from spikegpt.config import HALVES, VARIANTS
from spikegpt.errors import UserError
from spikegpt.tokenizer import Tokenizer

OBSERVED_TOKENS = 64  # enough to see the class of an input; the reference that shows it is slow


@dataclass(frozen=True)
class Measurement:
    """A model run on a text: what it did, and how well it predicted.

    `nats` (T - 1,) is -ln p of every one of `tokens` (T,) after the first; `observed` the share of zeros, zeros or
    ones, and whole numbers at matrix inputs.
    """

    variant: str
    shape: Shape
    work: Work
    plan: Plan
    counts: Counts
    tokens: np.ndarray
    tokenizer: Tokenizer
    nats: np.ndarray
    observed: dict[str, dict[str, float]]
    spikes: dict[str, np.ndarray]  # (OBSERVED_TOKENS or fewer, neurons) by population, of a float plan
    file: str | None = None

    @property
    def bits_per_byte(self) -> float:
        """-log2 p of all tokens after the first, over the bytes that they stand for."""
        return self.bits_per_byte_of(len(self.tokens))

    def bits_per_byte_of(self, n: int) -> float:
        """The quality on the first `n` tokens."""
        return math.fsum(self.nats[: n - 1]) / math.log(2) / len(self.tokenizer.decode(self.tokens[1:n]))

    @property
    def interval(self) -> Interval | None:
        """Of the bits per byte: see `quality.interval_of`."""
        return interval_of(self.nats, self.tokens, self.tokenizer)

    @property
    def text_sha256(self) -> str:
        """Of the bytes that were read."""
        return hashlib.sha256(self.tokenizer.decode(self.tokens)).hexdigest()


def measure(
    graph: nir.NIRGraph,
    name: str,
    variant: str,
    tokens: np.ndarray,
    tokenizer: Tokenizer,
    progress: Callable[[int], None] = lambda done: None,
    file: str | None = None,
) -> Measurement:
    """Run `tokens` (T,) through a graph from an empty state; raises UserError as the simulator does."""
    simulator = Simulator.from_nir(graph)
    plan = simulator.plan
    nats, parts, piece = [], [], max(1, LOGITS // shape_of(plan).vocab)
    for low in range(0, len(tokens), piece):
        result = simulator.run(tokens[low : low + piece], progress=progress)
        targets = tokens[low + 1 : low + 1 + piece]
        nats.append(token_nats(result.logits[: len(targets)], targets))
        parts.append(Counts(result.matrices, result.populations))
    counts = merge(parts)
    return Measurement(
        variant,
        shape_of(plan),
        counted(name, plan, counts),
        plan,
        counts,
        tokens,
        tokenizer,
        np.concatenate(nats),
        *(({}, {}) if plan.integer else observe(graph, tokens[:OBSERVED_TOKENS])),
        file,
    )


def counted(name: str, plan: Plan, result: Counts) -> Work:
    """The counts of a simulated run."""
    matrices = tuple(
        MatrixWork(m.name, AC if m.spike_fed else GRADED if m.graded else MAC, m.effective, m.dense,
                   plan.operation(i).weights(plan.row(i), plan.constants), m.fan_out)
        for i, m in zip(plan.matrices, result.matrices, strict=True)
    )  # fmt: skip
    tokens = result.tokens
    read = {m.name: m.active_inputs if m.spike_fed else m.tokens * m.fan_in for m in result.matrices}
    tables = [plan.row(int(i)) for i in plan.rows(Op.EMBED)]
    operations = []
    for i in range(len(plan.table)):
        row, operation = plan.row(i), plan.operation(i)
        if row.op != Op.OUTPUT:
            fetched = read[plan.names[i]] if operation.matrix else 0
            operations.append(Task(operation.op, row.n_out, row.n_in, fetched, marked=row.shift > 0))
    found = vector_work(operations, tokens)
    return Work(
        name,
        tokens,
        matrices,
        found.components,
        found.channels,
        (*found.tensors, *(Tensor("embedding", t.n_in * t.n_out, t.n_out * tokens) for t in tables)),
        counted=True,
        state_words=len(plan.state),
        neurons=sum(p.updates for p in result.populations),
        active=sum(p.active for p in result.populations),
        spikes=sum(p.spikes for p in result.populations),
    )


def variant_of(graph: nir.NIRGraph) -> str:
    """Which variant a SpikeGPT graph is, by its structure. Raises UserError for other networks."""
    if "block0_att_key" not in graph.nodes or "head" not in graph.nodes:
        raise UserError("this graph is not a SpikeGPT: it has no node block0_att_key or head")
    before, behind = (tuple(half for half in HALVES if f"block0_{half}{at}_lif" in graph.nodes) for at in ("_key", ""))
    for name, variant in VARIANTS.items():
        if (variant.before, variant.behind) == (before, behind):
            return name
    raise UserError(f"this graph is none of {', '.join(VARIANTS)}: the LIFs of its first block stand elsewhere")


def shape_of(plan: Plan) -> Shape:
    """Read the shape off the matrices of a plan."""
    rows = {plan.names[i]: i for i in plan.matrices}
    head, layers = rows["head"], sum(name.endswith("_att_key") for name in rows)
    return Shape(layers, int(plan.field("n_in")[head]), int(plan.field("n_out")[head]))


def bits_per_byte(logits: np.ndarray, tokens: np.ndarray, tokenizer: Tokenizer) -> float:
    """-log2 p of every token after the first, for logits (T, V) given at tokens (T,), over the bytes they stand for."""
    return next_token_nats(logits[:-1], tokens[1:]) / math.log(2) / len(tokenizer.decode(tokens[1:]))


def observe(graph: nir.NIRGraph, tokens: np.ndarray) -> tuple[dict[str, dict[str, float]], dict[str, np.ndarray]]:
    """What matrix inputs look like by their values alone, and the spikes (T, n) of every population.

    A dead layer looks binary, so structure decides the class.
    """
    wiring = Wiring(graph)
    seen: dict[str, dict[str, float]] = {}
    spikes: dict[str, np.ndarray] = {}

    def see(name: str, drive: np.ndarray, out: np.ndarray) -> None:
        if isinstance(graph.nodes[name], nir.Linear) and not wiring.embeds(name):
            seen[name] = {
                "zeros": float((drive == 0).mean()),
                "binary": float(((drive == 0) | (drive == 1)).mean()),
                "integers": float((drive == np.round(drive)).mean()),
            }
        elif isinstance(graph.nodes[name], NEURONS):
            spikes[name] = out > 0

    reference.run(graph, tokens, see)
    return seen, spikes
