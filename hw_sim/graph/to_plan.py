"""From a NIR graph to a plan. A graph whose matrices are int8 gives an integer plan.

Every signal of an integer plan is an integer with a known number of fraction bits: FRACTION_BITS behind every
operation, fewer only between a matrix and the Scale or LIF that reads it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, log2

import nir
import numpy as np

from hw_sim.graph.extensions import DT, WKV, LayerNorm, Multiply, Place, Sigmoid, SquaredReLU
from hw_sim.graph.files import forget
from hw_sim.graph.wiring import Wiring
from hw_sim.plan import FIELDS, Op, Plan
from hw_sim.plan import fixed_point as fp
from hw_sim.plan.memory import WRITES_Y, reuse_signals
from spikegpt.errors import UserError

SLAB = 1 << 18  # values converted at a time, to bound memory


@dataclass(frozen=True)
class _Piece:
    """Part of a buffer: a node's array and what its values become. It is copied once, from where the graph holds it."""

    name: str
    values: np.ndarray
    convert: Callable[[np.ndarray], np.ndarray]


def _filled(pieces: list[_Piece], number: type) -> np.ndarray:
    """The pieces one after the other, as a flat array of this type. Raises UserError on integers beyond 32 bits."""
    filled: np.ndarray = np.empty(sum(piece.values.size for piece in pieces), number)
    at = 0
    for piece in pieces:
        values = np.atleast_1d(piece.values)
        place = filled[at : at + values.size].reshape(values.shape)
        if not values.flags.c_contiguous:  # in the order in which they lie in the file
            values, place = values.T, place.T
        rows = max(1, SLAB // max(1, values[0].size))
        for low in range(0, len(values), rows):
            slab = piece.convert(values[low : low + rows])
            if number == np.int32 and (largest := np.abs(slab).max()) > np.iinfo(np.int32).max:
                raise UserError(f"node {piece.name!r}: parameter {largest:.0f} exceeds 32 bits; scale it down")
            place[low : low + rows] = slab
            forget(values)
        at += place.size
    return filled


class _Builder:
    def __init__(self, wiring: Wiring):
        self.wiring, self.nodes = wiring, wiring.graph.nodes
        kinds = {
            n.weight.dtype.kind for k, n in self.nodes.items() if isinstance(n, nir.Linear) and not self.is_embed(k)
        }
        if not kinds or not kinds <= {"f", "i"} or len(kinds) > 1:
            raise UserError("a graph needs matrices that are all floating-point or all int8")
        self.integer = kinds == {"i"}
        self.names: list[str] = []
        self.table: list[list[int]] = []
        self.weights: list[_Piece] = []
        self.constants: list[_Piece] = []
        self.state: list[_Piece] = []
        self.sizes = {"w": 0, "c": 0, "s": 0, "x": 0, "e": 0}
        self.starts: list[int] = []  # of every vector of signals
        self.output: dict[str, int] = {}  # node -> where its output lies in the signals
        self.events: dict[str, int] = {}  # LIF -> its event list
        self.fraction: dict[str, int] = {}  # node -> fraction bits of its output

    def is_embed(self, name: str) -> bool:
        return any(isinstance(self.nodes[s], nir.Input) for s in self.wiring.sources[name])

    def emit(self, name: str, op: Op, **fields: int) -> None:
        self.names.append(name)
        self.table.append([int(op), *(int(fields.get(f, 0)) for f in FIELDS[1:])])

    def put(self, name: str, buffer: str, *arrays: np.ndarray, convert: Callable = np.asarray) -> int:
        """Append arrays to a buffer, to be converted when it is filled; returns the offset of the first."""
        at = self.sizes[buffer]
        for array in arrays:
            pieces = {"w": self.weights, "c": self.constants, "s": self.state}[buffer]
            pieces.append(_Piece(name, np.asarray(array), convert))
            self.sizes[buffer] += array.size
        return at

    def signal(self, n: int) -> int:
        self.starts.append(self.sizes["x"])
        self.sizes["x"] += n
        return self.starts[-1]

    def read(self, name: str, n: int) -> int:
        """Where the summed (or placed) input of a node lies; emits what brings it there."""
        sources = self.wiring.sources[name]
        if not sources:
            raise UserError(f"node {name!r} has no input")
        if any(isinstance(self.nodes[s], Place) for s in sources):
            return self.read_placed(name, sources, n)
        for source in sources:
            if self.width(source) != n:
                raise UserError(f"edge {source!r} to {name!r}: {self.width(source)} values meet {n}")
        if len({self.fraction[s] for s in sources}) > 1:
            raise UserError(f"node {name!r} sums integers of different scale; put a Scale before each")
        self.fraction[f"{name}:in"] = self.fraction[sources[0]]
        if len(sources) == 1:
            return self.output[sources[0]]
        at, total = self.signal(n), self.output[sources[0]]
        for source in sources[1:]:
            self.emit(name, Op.ADD, x=total, z=self.output[source], y=at, n_in=n, n_out=n)
            total = at
        return at

    def read_pair(self, name: str, n: int) -> tuple[int, int]:
        """Where the first and the last n of 2 n inputs lie; two Places that hold one each need no copy."""
        sources = self.wiring.sources[name]
        places = {
            int(node.offset[0]): source
            for source in sources
            if isinstance(node := self.nodes[source], Place) and node.shape.tolist() == [n, 2 * n]
        }
        if len(sources) == 2 and places.keys() == {0, n}:
            x, z = self.read(places[0], n), self.read(places[n], n)
            fractions = {self.fraction[f"{place}:in"] for place in places.values()}
            if len(fractions) > 1:
                raise UserError(f"node {name!r} reads integers of different scale; put a Scale before each")
            (self.fraction[f"{name}:in"],) = fractions
            return x, z
        x = self.read(name, 2 * n)
        return x, x + n

    def read_placed(self, name: str, sources: list[str], n: int) -> int:
        at, taken = self.signal(n), np.zeros(n, bool)
        for source in sources:
            place = self.nodes[source]
            if not isinstance(place, Place) or int(place.shape[1]) != n:
                raise UserError(f"node {name!r} mixes Place with other inputs, or sizes that differ from {n}")
            low, width = int(place.offset[0]), int(place.shape[0])
            if taken[low : low + width].any():
                raise UserError(f"node {name!r}: two Places overlap")
            taken[low : low + width] = True
            inner = self.read(source, width)
            self.emit(name, Op.COPY, x=inner, y=at + low, n_in=width, n_out=width)
            self.fraction[f"{name}:in"] = self.fraction[f"{source}:in"]
        if not taken.all():
            raise UserError(f"node {name!r}: its Places leave {int((~taken).sum())} of {n} inputs open")
        return at

    def width(self, name: str) -> int:
        return int(np.prod(np.asarray(self.nodes[name].output_type["output"])))

    def add(self, name: str) -> None:
        node = self.nodes[name]
        if isinstance(node, nir.Input | Place):
            return
        if isinstance(node, nir.Delay):
            self.add_delay(name, node)
        elif isinstance(node, nir.Linear):
            self.add_linear(name, node)
        elif isinstance(node, nir.LIF):
            self.add_lif(name, node)
        elif isinstance(node, nir.Scale):
            self.add_scale(name, node)
        elif isinstance(node, nir.Output):
            n = int(np.prod(np.asarray(node.output_type["output"])))
            self.emit(name, Op.OUTPUT, x=self.read(name, n), n_in=n, n_out=n)
        else:
            self.add_continuous(name, node)

    def place_output(self, name: str, n: int, fraction: int) -> int:
        self.output[name], self.fraction[name] = self.signal(n), fraction
        return self.output[name]

    @property
    def signal_bits(self) -> int:
        return fp.FRACTION_BITS if self.integer else 0

    def add_delay(self, name: str, node: nir.Delay) -> None:
        if not np.allclose(node.delay, DT, rtol=1e-6):
            raise UserError(f"node {name!r}: delays of {DT} s (one token) are supported, got {np.max(node.delay)}")
        n = node.delay.size
        s = self.put(name, "s", np.zeros(n))
        self.emit(name, Op.DELAY_READ, y=self.place_output(name, n, self.signal_bits), n_in=n, n_out=n, s=s)

    def end_delay(self, name: str) -> None:
        row = self.table[self.names.index(name)]
        n, s = row[FIELDS.index("n_in")], row[FIELDS.index("s")]
        self.emit(name, Op.DELAY_WRITE, x=self.read(name, n), n_in=n, n_out=n, s=s)
        if self.fraction[f"{name}:in"] != self.signal_bits:
            raise UserError(f"node {name!r} delays an unscaled matrix output; put a Scale before it")

    def add_linear(self, name: str, node: nir.Linear) -> None:
        n_out, n_in = node.weight.shape
        if self.is_embed(name):
            table = node.weight.T
            c = self.put(name, "c", table, convert=fp.to_fixed if self.integer else np.asarray)
            y = self.place_output(name, n_out, self.signal_bits)
            self.emit(name, Op.EMBED, y=y, n_in=n_in, n_out=n_out, c=c)
            return
        x = self.read(name, n_in)
        source = self.wiring.sources[name][0]
        if self.wiring.spike_fed(name) and source in self.events:
            w, y = self.put(name, "w", node.weight.T), self.place_output(name, n_out, 0)
            self.emit(name, Op.EVENTS, x=x, y=y, n_in=n_in, n_out=n_out, w=w, e=self.events[source])
            return
        sparse = isinstance(self.nodes[source], SquaredReLU)  # about half of its values are zero
        w = self.put(name, "w", node.weight.T if sparse else node.weight)
        y = self.place_output(name, n_out, self.fraction[f"{name}:in"])
        self.emit(name, Op.SPARSE if sparse else Op.DENSE, x=x, y=y, n_in=n_in, n_out=n_out, w=w)

    def add_lif(self, name: str, node: nir.LIF) -> None:
        n, forgets = node.tau.size, False
        x = self.read(name, n)
        rate = DT / np.ravel(node.tau)
        if not self.integer:
            c = self.put(name, "c", rate, node.r, node.v_leak, node.v_reset, node.v_threshold)
        else:
            if np.any(node.v_reset) or np.any(node.v_leak) or np.any(np.ravel(node.r) != 1):
                raise UserError(f"node {name!r}: integer LIFs need v_reset = v_leak = 0 and r = 1")
            decay, threshold = self.loihi_lif(name, np.ravel(node.v_threshold), rate)
            c = self.put(name, "c", decay, threshold)
            forgets = bool(np.all(decay == 1 << fp.DECAY_BITS))
        self.events[name] = self.sizes["e"]
        self.sizes["e"] += n
        y = self.place_output(name, n, self.signal_bits)
        s, e = self.put(name, "s", np.zeros(n)), self.events[name]
        self.emit(name, Op.LIF, x=x, y=y, n_in=n, n_out=n, c=c, s=s, e=e, shift=forgets)

    def loihi_lif(self, name: str, threshold: np.ndarray, rate: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Decay and threshold mantissa of Loihi's LIF, whose membrane is tau times NIR's."""
        decay = np.floor(rate * (1 << fp.DECAY_BITS) + 0.5)
        mantissa = np.floor(threshold / rate * 2.0 ** self.fraction[f"{name}:in"])
        if np.any(mantissa < 0):
            raise UserError(f"node {name!r}: negative thresholds cannot be held")
        # A threshold beyond the field can only be clipped where no input reaches it without memory.
        if np.any((mantissa > fp.THRESHOLD_LIMIT) & (decay < 1 << fp.DECAY_BITS)):
            raise UserError(
                f"node {name!r}: threshold mantissa {int(mantissa.max())} exceeds {fp.THRESHOLD_LIMIT} (17 bits)"
            )
        return decay, np.minimum(mantissa, fp.THRESHOLD_LIMIT)

    def add_scale(self, name: str, node: nir.Scale) -> None:
        n = node.scale.size
        x, fraction = self.read(name, n), self.fraction[f"{name}:in"]
        if np.all(node.scale == 1) and fraction == self.signal_bits:
            self.output[name], self.fraction[name] = x, fraction  # a named sum: nothing to do
            return
        y, shift, factor = self.place_output(name, n, self.signal_bits), 0, np.ravel(node.scale)
        if self.integer:
            factor = factor.astype(np.float64) * 2.0 ** (self.signal_bits - fraction)
            largest = float(np.max(np.abs(factor))) or 1.0
            shift = max(0, fp.SCALE_BITS - ceil(log2(largest)))
            factor = np.floor(factor * 2.0**shift + 0.5)
        self.emit(name, Op.SCALE, x=x, y=y, n_in=n, n_out=n, c=self.put(name, "c", factor), shift=shift)

    def add_continuous(self, name: str, node: nir.NIRNode) -> None:
        n_in = int(np.prod(np.asarray(node.input_type["input"])))
        n_out = self.width(name)
        z = 0
        if isinstance(node, WKV | Multiply):
            n_in = n_out
            x, z = self.read_pair(name, n_out)
        else:
            x = self.read(name, n_in)
        if self.fraction[f"{name}:in"] != self.signal_bits:
            raise UserError(f"node {name!r} reads an unscaled matrix output; put a Scale before it")
        c = s = 0
        if isinstance(node, LayerNorm):
            op, c = Op.LAYER_NORM, self.put(name, "c", *self.norm_constants(name, node))
        elif isinstance(node, WKV):
            start = node.start().astype(np.float64)
            if self.integer:
                start[2] = fp.WKV_START
            constants = (node.decay, node.bonus)
            c = self.put(name, "c", *(map(fp.to_exponent, constants) if self.integer else constants))
            op, s = Op.WKV, self.put(name, "s", start)
        elif isinstance(node, Sigmoid):
            op = Op.SIGMOID
        elif isinstance(node, SquaredReLU):
            op = Op.SQUARED_RELU
        elif isinstance(node, Multiply):
            op = Op.MULTIPLY
        else:
            raise UserError(f"node {name!r} is a {type(node).__name__}, which the simulator cannot run")
        y = self.place_output(name, n_out, self.signal_bits)
        self.emit(name, op, x=x, z=z, y=y, n_in=n_in, n_out=n_out, c=c, s=s)

    def norm_constants(self, name: str, node: LayerNorm) -> tuple[np.ndarray, ...]:
        if not self.integer:
            return node.weight, node.bias, node.eps
        if node.weight.size > fp.NORM_WIDTH_LIMIT:
            raise UserError(f"node {name!r}: {node.weight.size} channels, more than {fp.NORM_WIDTH_LIMIT}")
        variance_bits = 2 * fp.FRACTION_BITS
        return (
            fp.to_fixed(node.weight, fp.GAIN_BITS),
            fp.to_fixed(node.bias),
            np.maximum(fp.to_fixed(node.eps, variance_bits), 1),
        )


def _write_delays_early(table: list[list[int]]) -> list[int]:
    """The order of rows in which each DELAY_WRITE follows at once on its DELAY_READ and on what it stores."""
    x, y, n_in, n_out, s = (FIELDS.index(name) for name in ("x", "y", "n_in", "n_out", "s"))
    made: dict[int, int] = {}
    read: dict[int, int] = {}
    after: dict[int, list[int]] = {i: [] for i in range(len(table))}
    for i, row in enumerate(table):
        if row[0] == Op.DELAY_WRITE:
            stored = [made[at] for at in range(row[x], row[x] + row[n_in])]
            after[max(read[row[s]], *stored)].append(i)
            continue
        if row[0] in WRITES_Y:
            made.update(dict.fromkeys(range(row[y], row[y] + row[n_out]), i))
        if row[0] == Op.DELAY_READ:
            read[row[s]] = i
    return [k for i, row in enumerate(table) if row[0] != Op.DELAY_WRITE for k in (i, *after[i])]


def build(graph: nir.NIRGraph) -> Plan:
    """Plan the execution of a graph with one token Input and one Output.

    Raises UserError naming the node when the graph cannot be run.
    """
    wiring = Wiring(graph)
    inputs = [k for k, n in graph.nodes.items() if isinstance(n, nir.Input)]
    outputs = [k for k, n in graph.nodes.items() if isinstance(n, nir.Output)]
    if len(inputs) != 1 or len(outputs) != 1:
        raise UserError(f"the graph has {len(inputs)} Inputs and {len(outputs)} Outputs; one of each is needed")
    readers = [k for k, sources in wiring.sources.items() if inputs[0] in sources]
    if any(not isinstance(graph.nodes[k], nir.Linear) for k in readers):
        raise UserError(f"node {readers[0]!r} reads the token directly; only a Linear (an embedding table) can")
    builder = _Builder(wiring)
    for name in wiring.order:
        builder.add(name)
    for name in wiring.order:
        if isinstance(graph.nodes[name], nir.Delay):
            builder.end_delay(name)
    order = _write_delays_early(builder.table)
    table, n_signals = reuse_signals(
        np.array([builder.table[i] for i in order], np.int64), np.array([*builder.starts, builder.sizes["x"]])
    )
    integer = builder.integer
    return Plan(
        names=tuple(builder.names[i] for i in order),
        table=table,
        weights=_filled(builder.weights, np.int8 if integer else np.float32),
        constants=_filled(builder.constants, np.int32 if integer else np.float32),
        state=_filled(builder.state, np.int64 if integer else np.float32),
        n_signals=n_signals,
        n_events=builder.sizes["e"],
        n_vocab=int(np.prod(np.asarray(graph.nodes[inputs[0]].output_type["output"]))),
        integer=integer,
    )
