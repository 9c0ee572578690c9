"""From a NIR graph to a plan: the rows of each kind of node. A graph whose matrices are int8 gives an integer plan."""

import nir
import numpy as np

from hw_sim.graph import constants as constants_of
from hw_sim.graph.builder import Builder
from hw_sim.graph.check import MAX_VALUES
from hw_sim.graph.extensions import DT, Place, SquaredReLU
from hw_sim.graph.pieces import filled
from hw_sim.graph.windows import CONVOLUTIONS, POOLS, geometry, laid_out
from hw_sim.graph.wiring import NEURONS, Wiring
from hw_sim.plan import OPERATIONS, Op, Plan
from hw_sim.plan import fixed_point as fp
from hw_sim.plan.memory import reuse_signals, write_delays_early
from hw_sim.plan.ops.matrices import SPIKES, SUMS
from hw_sim.plan.ops.spatial import Geometry
from spikegpt.errors import UserError

SPARSE = 0.25  # share of zeros from which on a matrix counts as stored without them: rounding to int8 makes a few


class _Nodes(Builder):
    """The rows of each kind of node."""

    def add(self, name: str) -> None:
        node = self.nodes[name]
        if isinstance(node, nir.Input | Place):
            return
        if isinstance(node, nir.Delay):
            self.add_delay(name, node)
        elif isinstance(node, nir.Flatten):
            self.add_flatten(name)
        elif isinstance(node, nir.Linear):
            self.add_linear(name, node)
        elif isinstance(node, nir.Affine):
            self.add_linear(name, node)
            self.add_offset(name, node.bias)
        elif isinstance(node, CONVOLUTIONS):
            self.add_convolution(name, node)
        elif isinstance(node, POOLS):
            self.add_pool(name, node)
        elif isinstance(node, NEURONS):
            self.add_neuron(name, node)
        elif isinstance(node, nir.LI | nir.I | nir.CubaLI):
            self.add_integrator(name, node)
        elif isinstance(node, nir.Scale):
            self.add_scale(name, node)
        elif isinstance(node, nir.Output):
            n = self.width(name)
            self.emit(name, Op.OUTPUT, x=self.read(name, n), n_in=n, n_out=n)
            self.need_signals(name)
        else:
            self.add_operation(name, node)

    def add_delay(self, name: str, node: nir.Delay) -> None:
        steps = np.rint(node.delay / DT)
        if not np.allclose(node.delay, steps * DT, rtol=1e-6) or steps.min() < 1:
            raise UserError(f"node {name!r}: delays of whole steps of {DT} s are run, got {np.max(node.delay)}")
        n, longest = node.delay.size, int(steps.max())
        if n * longest > MAX_VALUES:
            raise UserError(
                f"node {name!r}: {n:,} delays of up to {longest:,} steps keep more than {MAX_VALUES:,} values"
            )
        s = self.put(name, "s", np.zeros(n * longest))
        c = self.put(name, "c", steps) if longest > 1 else 0
        y = self.place_output(name, n, self.signal_bits)
        self.emit(name, Op.DELAY_READ, y=y, n_in=n, n_out=n, s=s, c=c, shift=longest if longest > 1 else 0)

    def end_delay(self, name: str) -> None:
        read = self.table[self.names.index(name)]
        n, x = read.n_out, self.read(name, read.n_out)
        self.emit(name, Op.DELAY_WRITE, x=x, n_in=n, n_out=n, s=read.s, shift=read.shift)
        self.need_signals(name)

    def add_flatten(self, name: str) -> None:
        """What is flat already: its input by another name."""
        sources = self.wiring.sources[name]
        self.output[name], self.fraction[name] = self.read(name, self.width(name)), self.fraction_in[name]
        if len(sources) == 1 and sources[0] in self.events:
            self.events[name] = self.events[sources[0]]

    def add_linear(self, name: str, node: nir.Linear | nir.Affine) -> None:
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
        mark = self.mark(name)
        sparse = mark or isinstance(self.nodes[source], SquaredReLU)  # about half of its values are zero
        w = self.put(name, "w", node.weight.T if sparse else node.weight)
        y = self.place_output(name, n_out, self.fraction_in[name])
        self.emit(name, Op.SPARSE if sparse else Op.DENSE, x=x, y=y, n_in=n_in, n_out=n_out, w=w, shift=mark)

    def mark(self, name: str) -> int:
        """What skips zeros is told: that it reads spikes which a Delay kept, or sums of spikes."""
        return SPIKES if self.wiring.spike_fed(name) else SUMS if self.wiring.sums_fed(name) else 0

    def add_offset(self, name: str, bias: np.ndarray) -> None:
        """Adds to the output of a node a bias for every value of it, if there is any."""
        if not np.any(bias):
            return
        if self.integer:
            raise UserError(f"node {name!r}: integer plans have no bias")
        n, x = self.width(name), self.output[name]
        c = self.put(name, "c", np.repeat(np.broadcast_to(bias, bias.shape), n // bias.size))
        self.emit(name, Op.OFFSET, x=x, y=self.place_output(name, n, 0), n_in=n, n_out=n, c=c)

    def add_convolution(self, name: str, node: nir.Conv1d | nir.Conv2d) -> None:
        window = self.window(name, node)
        x, source = self.read(name, window.n_in), self.wiring.sources[name][0]
        c, w = self.put(name, "c", np.array(window)), self.put(name, "w", laid_out(node, window))
        fields = {"x": x, "n_in": window.n_in, "n_out": window.n_out, "w": w, "c": c}
        if self.wiring.spike_fed(name) and source in self.events:
            y = self.place_output(name, window.n_out, 0)
            self.emit(name, Op.CONV_EVENTS, y=y, e=self.events[source], **fields)
        else:
            y = self.place_output(name, window.n_out, self.fraction_in[name])
            self.emit(name, Op.CONV, y=y, shift=self.mark(name), **fields)
        bias = np.ravel(node.bias)
        self.add_offset(name, np.broadcast_to(bias, window.out_channels))

    def add_pool(self, name: str, node: nir.SumPool2d | nir.AvgPool2d) -> None:
        window = self.window(name, node)
        x, mean = self.read(name, window.n_in), isinstance(node, nir.AvgPool2d)
        if mean and self.integer:
            raise UserError(f"node {name!r}: an AvgPool2d divides, which integer plans do not; use SumPool2d")
        share = np.array([1 / (window.kernel_height * window.kernel_width)])
        c = self.put(name, "c", np.array(window), *((share,) if mean else ()))
        y = self.place_output(name, window.n_out, self.fraction_in[name])
        self.emit(name, Op.POOL, x=x, y=y, n_in=window.n_in, n_out=window.n_out, c=c, shift=mean)

    def window(self, name: str, node: nir.NIRNode) -> Geometry:
        return geometry(name, node, tuple(int(n) for n in np.ravel(node.input_type["input"])))

    def add_neuron(self, name: str, node: nir.NIRNode) -> None:
        """A population: its current if it has one, then the operation that fires."""
        n = self.width(name)
        x = self.read(name, n)
        if isinstance(node, nir.CubaLIF):
            x = self.add_leak(name, x, constants_of.current(name, node, self.integer), place=False)
        op, constants, mark = constants_of.neuron(name, node, self.integer, self.fraction_in[name])
        c, e = self.put(name, "c", *constants), self.sizes["e"]
        s = self.put(name, "s", np.zeros(n))
        self.events[name] = e
        self.sizes["e"] += n
        y = self.place_output(name, n, self.signal_bits)
        self.emit(name, op, x=x, y=y, n_in=n, n_out=n, c=c, s=s, e=e, shift=mark)

    def add_integrator(self, name: str, node: nir.NIRNode) -> None:
        x = self.read(name, self.width(name))
        if isinstance(node, nir.CubaLI):
            x = self.add_leak(name, x, constants_of.current(name, node, self.integer), place=False)
        self.add_leak(name, x, constants_of.membrane(name, node, self.integer))

    def add_leak(self, name: str, x: int, constants: tuple[np.ndarray, ...], place: bool = True) -> int:
        """An integrator over the signals at x; returns where its state goes, which `place` makes the node's output."""
        n = self.width(name)
        c, s = self.put(name, "c", *constants), self.put(name, "s", np.zeros(n))
        y = self.place_output(name, n, 0) if place else self.signal(n)
        self.emit(name, Op.LI, x=x, y=y, n_in=n, n_out=n, c=c, s=s, shift=len(constants) == 1)
        return y

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
    builder = _Nodes(wiring)
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
