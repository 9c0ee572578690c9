"""From an integer plan to a balanced list of Lava processes: which process each row becomes, and at what latency.

A Dense hands on at step t what it received at step t - 1. Every vector has therefore a depth, the steps between a
token's entry and the step in which the vector is that token's, and wherever vectors meet, the earlier ones are delayed
until all belong to the same token. Needs numpy alone, not Lava.
"""

from dataclasses import replace

from exporters.loihi.lava.standard.dataflow import order, ranges, sources
from exporters.loihi.lava.standard.nodes import Kind, Node, Schedule
from exporters.loihi.lava.watch import SIGNAL_LIMIT
from hw_sim.plan import Op, Operation, Plan
from hw_sim.plan import fixed_point as fp
from spikegpt.errors import UserError

MAX_PROCESSES = 200  # each is an OS process: about 50 ms to start, 0.4 ms a time step
LONGEST_DELAY = 63  # steps of one DelayDense: its delays of 0 to 62 come on top of its own step
RECORDED = 8  # populations that one recorder takes


def schedule(plan: Plan, generating: bool = False) -> Schedule:
    """Lower an integer plan to Lava processes of equal delay on all parallel branches.

    `generating`: tokens are followed by empty steps, in which a standard LIF with memory would leak: it becomes one of
    our own, and a token shift delays by the steps between two tokens.

    Raises UserError naming the node that cannot be lowered: one whose sum may exceed the 32 bits of a message, a LIF
    with several decays, a loop within a token.
    """
    if not plan.integer:
        raise UserError("Lava runs the integer network: export with --target loihi, or pass a checkpoint")
    lowering = _Lowering(plan, generating)
    for i in lowering.order:
        lowering.add(i)
    lowering.record()
    return Schedule(tuple(lowering.nodes), *lowering.count_synapses(), generating)


class _Lowering:
    """Nodes so far, and for each row of the plan the nodes whose sum is its vector, all of one depth."""

    def __init__(self, plan: Plan, generating: bool):
        self.plan, self.generating = plan, generating
        self.reads = sources(plan)
        self.order = order(plan, self.reads)
        self.range = ranges(plan, self.reads, self.order)
        self.readers: dict[int, list[int]] = {i: [] for i in range(len(plan.table))}
        for i, rows in enumerate(self.reads):
            if plan.table[i, 0] not in (Op.DELAY_WRITE, Op.COPY):
                for k in rows:
                    self.readers[k].append(i)
        self.nodes: list[Node] = []
        self.parts: dict[int, tuple[int, ...]] = {}
        self.delayed: dict[tuple[tuple[int, ...], int], int] = {}
        self.signals: dict[int, int] = {}  # row of a population -> the node that gives its spikes as a signal
        self.ones: dict[int, int] = {}  # width -> the node that sends so many ones

    def op(self, i: int) -> int:
        return self.plan.row(i).op

    def does(self, i: int) -> Operation:
        return self.plan.operation(i)

    def put(self, kind: Kind, name: str, inputs: tuple[tuple[int, ...], ...], i: int, **more) -> tuple[int, ...]:
        """Append a node whose ports get `inputs`, all of one depth; returns it as parts."""
        latency = more.pop("latency", 0)
        before = self.nodes[inputs[0][0]].depth if inputs else 0
        node = Node(name, kind, inputs, self.plan.row(i).n_out, before + latency, latency, **{"rows": (i,), **more})
        self.nodes.append(node)
        return (len(self.nodes) - 1,)

    def join(self, *values: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        """The same values, the earlier ones delayed to the depth of the latest."""
        latest = max(self.nodes[parts[0]].depth for parts in values)
        return tuple(self.delay(parts, latest - self.nodes[parts[0]].depth) for parts in values)

    def delay(self, parts: tuple[int, ...], steps: int) -> tuple[int, ...]:
        """The sum of `parts` some steps later, by as many DelayDense as their longest delay asks for."""
        while steps:
            once = min(steps, LONGEST_DELAY)
            if (parts, once) not in self.delayed:
                first = self.nodes[parts[0]]
                name = f"{first.name}_delay{once}"
                node = Node(name, Kind.DELAY, (parts,), first.n, first.depth + once, once)
                self.nodes.append(node)
                self.delayed[parts, once] = len(self.nodes) - 1
            parts, steps = (self.delayed[parts, once],), steps - once
        return parts

    def signal(self, row: int) -> tuple[int, ...]:
        """The vector of a row as a signal: spikes count 1 on the wire and ONE in the plan."""
        parts = self.parts[row]
        if not self.does(row).fires:
            return parts
        if row not in self.signals:
            name = f"{self.plan.names[row]}_signal"
            more = {"rows": (), "latency": 1, "exponent": fp.FRACTION_BITS}
            (self.signals[row],) = self.put(Kind.SPARSE, name, (parts,), row, **more)
        return (self.signals[row],)

    def add(self, i: int) -> None:
        """Lower row i, whose inputs are lowered."""
        op, name = self.op(i), self.plan.names[i]
        if op in (Op.COPY, Op.DELAY_WRITE):
            return
        if op == Op.EMBED:
            self.parts[i] = self.put(Kind.GENERATOR if self.generating else Kind.EMBEDDING, name, (), i)
        elif op == Op.SCALE and self.is_mixed(i):
            self.parts[i] = self.signal(self.reads[i][0])  # the Mix behind it scales
        elif op == Op.ADD:
            self.add_sum(i)
        elif op == Op.LIF:
            self.add_lif(i)
        elif self.fits_dense(i):
            source = self.reads[i][0]
            parts = self.parts[source] if self.does(i).listens else self.signal(source)
            self.parts[i] = self.put(Kind.DENSE, name, (parts,), i, latency=1)
        elif op == Op.DELAY_READ:
            parts = self.signal(self.reads[i][0])
            more = {"rows": (), "latency": 0, "shift_tokens": True}
            self.parts[i] = self.put(Kind.DELAY, f"{name}_token", (parts,), i, **more)
        elif op in (Op.SQUARED_RELU, Op.MULTIPLY) and self.fits_product(i):
            self.add_product(i)
        else:
            kind = Kind.LOGITS if op == Op.OUTPUT else Kind.OPERATION
            self.parts[i] = self.put(kind, name, self.join(*map(self.signal, self.reads[i])), i)

    def range_of(self, row: int) -> int:
        """The largest magnitude that can arrive from a row: processes of our own stop the run beyond 32 bits."""
        return min(self.range[row], SIGNAL_LIMIT)

    def fits_product(self, i: int) -> bool:
        """Whether a ProdNeuron is exact: it multiplies in 32 bits."""
        factors = self.reads[i] if len(self.reads[i]) == 2 else self.reads[i] * 2
        return self.range_of(factors[0]) * self.range_of(factors[1]) <= SIGNAL_LIMIT

    def add_product(self, i: int) -> None:
        """fixed_point.multiply: ProdNeuron rounds down, so that it keeps one bit more, and (y + 1) >> 1 rounds it."""
        name, n = self.plan.names[i], self.plan.row(i).n_out
        ports = self.join(*map(self.signal, self.reads[i]))
        if len(ports) == 1:  # a squared ReLU
            ports = (self.put(Kind.RELU, f"{name}_relu", ports, i),) * 2
        if n not in self.ones:
            (self.ones[n],) = self.put(Kind.ONES, f"ones{n}", (), i, rows=())
        product = self.put(Kind.PRODUCT, name, ports, i)
        port = (*product, self.ones[n])
        self.parts[i] = self.put(Kind.SPARSE, f"{name}_rounded", (port,), i, rows=(), latency=1, exponent=-1)

    def is_mixed(self, i: int) -> bool:
        """Whether row i is a SCALE that only an ADD of two such reads."""
        (add, *others) = self.readers[i] or (i,)
        both = {k for k in self.reads[add] if self.op(k) == Op.SCALE and self.readers[k] == [add]}
        return not others and self.op(add) == Op.ADD and len(both) == 2

    def add_sum(self, i: int) -> None:
        """An ADD needs no process: a port adds what arrives. With two SCALEs before it, it is a Mix."""
        name, (a, b) = self.plan.names[i], self.reads[i]
        if self.op(a) == Op.SCALE and self.is_mixed(a):
            ports = self.join(self.parts[a], self.parts[b])
            self.parts[i] = self.put(Kind.MIX, f"{name}_mix", ports, i, rows=(a, b))
            return
        if self.range[i] > SIGNAL_LIMIT:
            raise UserError(
                f"node {name!r}: its sum can reach {self.range[i]}, more than the {SIGNAL_LIMIT} of a 32-bit message"
            )
        self.parts[i] = sum(self.join(self.signal(a), self.signal(b)), ())

    def add_lif(self, i: int) -> None:
        name, source = self.plan.names[i], self.reads[i][0]
        decay, _ = self.plan.parameters(i)
        if decay.min() != decay.max():
            raise UserError(f"node {name!r}: a standard LIF has one decay, this one {decay.min()} to {decay.max()}")
        parts = self.signal(source)
        if self.range[source] > fp.INPUT_LIMIT:
            # Lava's LIF wraps where ours saturates: what feeds it saturates first.
            feeder = self.nodes[parts[0]]
            scales = feeder.kind == Kind.MIX or (feeder.rows == (source,) and self.op(source) == Op.SCALE)
            alone = len(parts) == 1 and self.readers[source] == [i] and scales
            if alone:
                self.nodes[parts[0]] = replace(feeder, limit=fp.INPUT_LIMIT)
            else:
                parts = self.put(Kind.OPERATION, f"{name}_clip", (parts,), i, rows=(), limit=fp.INPUT_LIMIT)
        forgets = int(decay[0]) == 1 << fp.DECAY_BITS
        self.parts[i] = self.put(Kind.OPERATION if self.generating and not forgets else Kind.LIF, name, (parts,), i)

    def fits_dense(self, i: int) -> bool:
        """Whether row i is a matrix for which a Dense is exact: it sums twice the weights, in 32 bits."""
        return self.does(i).matrix and 2 * self.range[i] <= SIGNAL_LIMIT

    def record(self) -> None:
        """Recorders for the spikes of all populations."""
        rows = {p.row for p in self.plan.populations}
        firing = [k for k, node in enumerate(self.nodes) if rows.intersection(node.rows)]
        for at in range(0, len(firing), RECORDED):
            some = firing[at : at + RECORDED]
            node = Node(
                name=f"recorder{at // RECORDED}",
                kind=Kind.RECORDER,
                inputs=tuple((k,) for k in some),
                n=sum(self.nodes[k].n for k in some),
                depth=max(self.nodes[k].depth for k in some),
            )
            self.nodes.append(node)

    def count_synapses(self) -> tuple[int, int]:
        """Synapses of the plan's matrices, all and those in a standard Dense."""
        sizes = {i: self.plan.row(i).n_in * self.plan.row(i).n_out for i in self.plan.matrices}
        return sum(sizes.values()), sum(size for i, size in sizes.items() if self.fits_dense(i))
