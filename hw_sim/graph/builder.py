"""A plan in the making: its table and buffers, and where the input of each node lies.

Every signal of an integer plan is an integer with a known number of fraction bits: FRACTION_BITS behind every
operation, fewer only between a matrix and the Scale or neuron that reads it.
"""

from collections.abc import Callable

import nir
import numpy as np

from hw_sim.graph.extensions import Place
from hw_sim.graph.pieces import Piece
from hw_sim.graph.windows import CONVOLUTIONS
from hw_sim.graph.wiring import Wiring
from hw_sim.plan import Op, Row
from hw_sim.plan import fixed_point as fp
from spikegpt.errors import UserError


class Builder:
    """Rows and buffers that grow node by node."""

    def __init__(self, wiring: Wiring):
        self.wiring, self.nodes = wiring, wiring.graph.nodes
        kinds_of = (nir.Linear, nir.Affine, *CONVOLUTIONS)
        matrices = (n for k, n in self.nodes.items() if isinstance(n, kinds_of) and not wiring.embeds(k))
        kinds = {n.weight.dtype.kind for n in matrices}
        if not kinds <= {"f", "i"} or len(kinds) > 1:
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

    def place_output(self, name: str, n: int, fraction: int) -> int:
        self.output[name], self.fraction[name] = self.signal(n), fraction
        return self.output[name]

    @property
    def signal_bits(self) -> int:
        return fp.FRACTION_BITS if self.integer else 0
