"""From a NIR graph to a plan. A graph whose matrices are int8 gives an integer plan.

Every signal of an integer plan is an integer with a known number of fraction bits: FRACTION_BITS behind every
operation, fewer only between a matrix and the Scale or LIF that reads it.
"""

from collections.abc import Callable

import nir
import numpy as np

from hw_sim.graph import constants as constants_of
from hw_sim.graph.extensions import DT, Place, SquaredReLU
from hw_sim.graph.pieces import Piece, filled
from hw_sim.graph.wiring import Wiring
from hw_sim.plan import OPERATIONS, Op, Plan, Row
from hw_sim.plan import fixed_point as fp
from hw_sim.plan.memory import reuse_signals, write_delays_early
from spikegpt.errors import UserError

SPARSE = 0.25  # share of zeros from which on a matrix counts as stored without them: rounding to int8 makes a few


class _Builder:
    def __init__(self, wiring: Wiring):
        self.wiring, self.nodes = wiring, wiring.graph.nodes
        matrices = (n for k, n in self.nodes.items() if isinstance(n, nir.Linear) and not wiring.embeds(k))
        kinds = {n.weight.dtype.kind for n in matrices}
        if not kinds or not kinds <= {"f", "i"} or len(kinds) > 1:
            raise UserError("a graph needs matrices that are all floating-point or all int8")
        self.integer = kinds == {"i"}
        self.names: list[str] = []
        self.table: list[Row] = []
        self.weights: list[Piece] = []
        self.constants: list[Piece] = []
        self.state: list[Piece] = []
        self.sizes = {"w": 0, "c": 0, "s": 0, "x": 0, "e": 0}
        self.starts: list[int] = []  # of every vector of signals
        self.output: dict[str, int] = {}  # node -> where its output lies in the signals
        self.events: dict[str, int] = {}  # LIF -> its event list
        self.fraction: dict[str, int] = {}  # node -> fraction bits of its output
        self.fraction_in: dict[str, int] = {}  # node -> those of its input

    def emit(self, name: str, op: Op, **fields: int) -> None:
        self.names.append(name)
        self.table.append(Row(int(op), *(int(fields.get(f, 0)) for f in Row._fields[1:])))

    def put(self, name: str, buffer: str, *arrays: np.ndarray, convert: Callable = np.asarray) -> int:
        """Append arrays to a buffer, to be converted when it is filled; returns the offset of the first."""
        at = self.sizes[buffer]
        for array in arrays:
            pieces = {"w": self.weights, "c": self.constants, "s": self.state}[buffer]
            pieces.append(Piece(name, np.asarray(array), convert))
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
        self.meet(name, {self.fraction[s] for s in sources})
        if len(sources) == 1:
            return self.output[sources[0]]
        at, total = self.signal(n), self.output[sources[0]]
        for source in sources[1:]:
            self.emit(name, Op.ADD, x=total, z=self.output[source], y=at, n_in=n, n_out=n)
            total = at
        return at

    def meet(self, name: str, fractions: set[int]) -> None:
        """Note the fraction bits of a node's input. Raises UserError where several meet."""
        if len(fractions) > 1:
            raise UserError(f"node {name!r} reads integers of different scale; put a Scale before each")
        (self.fraction_in[name],) = fractions

    def need_signals(self, name: str) -> None:
        """Raises UserError unless the input that was read has the fraction bits of a signal."""
        if self.fraction_in[name] != self.signal_bits:
            raise UserError(f"node {name!r} reads an unscaled matrix output; put a Scale before it")

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
            self.meet(name, {self.fraction_in[place] for place in places.values()})
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
        self.meet(name, {self.fraction_in[source] for source in sources})
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
            n = self.width(name)
            self.emit(name, Op.OUTPUT, x=self.read(name, n), n_in=n, n_out=n)
            self.need_signals(name)
        else:
            self.add_operation(name, node)

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
        read = self.table[self.names.index(name)]
        self.emit(name, Op.DELAY_WRITE, x=self.read(name, read.n_out), n_in=read.n_out, n_out=read.n_out, s=read.s)
        self.need_signals(name)

    def add_linear(self, name: str, node: nir.Linear) -> None:
        n_out, n_in = node.weight.shape
        if self.wiring.embeds(name):
            table = node.weight.T
            c = self.put(name, "c", table, convert=fp.to_fixed if self.integer else np.asarray)
            y = self.place_output(name, n_out, self.signal_bits)
            self.emit(name, Op.EMBED, y=y, n_in=n_in, n_out=n_out, c=c)
            return
        x = self.read(name, n_in)
        source = self.wiring.sources[name][0]
        if self.wiring.spike_fed(name) and source in self.events:
            w, y = self.put(name, "w", node.weight.T), self.place_output(name, n_out, 0)
            sparse = np.count_nonzero(node.weight) <= (1 - SPARSE) * node.weight.size
            self.emit(name, Op.EVENTS, x=x, y=y, n_in=n_in, n_out=n_out, w=w, e=self.events[source], shift=sparse)
            return
        sparse = isinstance(self.nodes[source], SquaredReLU)  # about half of its values are zero
        w = self.put(name, "w", node.weight.T if sparse else node.weight)
        y = self.place_output(name, n_out, self.fraction_in[name])
        self.emit(name, Op.SPARSE if sparse else Op.DENSE, x=x, y=y, n_in=n_in, n_out=n_out, w=w)

    def add_lif(self, name: str, node: nir.LIF) -> None:
        n = node.tau.size
        x = self.read(name, n)
        constants, forgets = constants_of.lif(name, node, self.integer, self.fraction_in[name])
        c, s, e = self.put(name, "c", *constants), self.put(name, "s", np.zeros(n)), self.sizes["e"]
        self.events[name] = e
        self.sizes["e"] += n
        y = self.place_output(name, n, self.signal_bits)
        self.emit(name, Op.LIF, x=x, y=y, n_in=n, n_out=n, c=c, s=s, e=e, shift=forgets)

    def add_scale(self, name: str, node: nir.Scale) -> None:
        n = node.scale.size
        x, fraction = self.read(name, n), self.fraction_in[name]
        if np.all(node.scale == 1) and fraction == self.signal_bits:
            self.output[name], self.fraction[name] = x, fraction  # a named sum: nothing to do
            return
        y = self.place_output(name, n, self.signal_bits)
        factor, shift = constants_of.scale(node, self.integer, fraction)
        self.emit(name, Op.SCALE, x=x, y=y, n_in=n, n_out=n, c=self.put(name, "c", factor), shift=shift)

    def add_operation(self, name: str, node: nir.NIRNode) -> None:
        """A node that is one operation on signals of one width."""
        if type(node) not in constants_of.SIGNALS:
            raise UserError(f"node {name!r} is a {type(node).__name__}, which the simulator cannot run")
        (op, given), n, z = constants_of.SIGNALS[type(node)], self.width(name), 0
        if len(OPERATIONS[op].reads) == 2:
            x, z = self.read_pair(name, n)
        else:
            x = self.read(name, n)
        self.need_signals(name)
        constants, state = given(name, node, self.integer)
        c = self.put(name, "c", *constants) if constants else 0
        s = self.put(name, "s", *state) if state else 0
        y = self.place_output(name, n, self.signal_bits)
        self.emit(name, op, x=x, z=z, y=y, n_in=n, n_out=n, c=c, s=s, shift=constants_of.is_bare(node))


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
    order = write_delays_early(builder.table)
    table, n_signals = reuse_signals(
        np.array([builder.table[i] for i in order], np.int64), np.array([*builder.starts, builder.sizes["x"]])
    )
    integer = builder.integer
    return Plan(
        names=tuple(builder.names[i] for i in order),
        table=table,
        weights=filled(builder.weights, np.int8 if integer else np.float32),
        constants=filled(builder.constants, np.int32 if integer else np.float32),
        state=filled(builder.state, np.int64 if integer else np.float32),
        n_signals=n_signals,
        n_events=builder.sizes["e"],
        n_vocab=int(np.prod(np.asarray(graph.nodes[inputs[0]].output_type["output"]))),
        integer=integer,
    )
