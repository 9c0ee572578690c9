"""Structure of a NIR graph: who feeds whom, in which order nodes run, which matrices read spikes."""

from dataclasses import dataclass
from functools import cached_property

import nir

from hw_sim.graph.extensions import Place
from spikegpt.errors import UserError

NEURONS = (nir.LIF, nir.IF, nir.CubaLIF, nir.Threshold)  # nodes that put out spikes
POOLS = (nir.SumPool2d, nir.AvgPool2d)  # nodes that put out sums of what they read
CARRIERS = (nir.Delay, nir.Flatten, Place)  # nodes that only move what they read
SPIKE_INPUT = "spike_input"  # of metadata: the node whose values were told to be spikes
CYCLE = 8  # nodes of a cycle that an error names


@dataclass(frozen=True)
class Wiring:
    """A NIR graph with its derived structure."""

    graph: nir.NIRGraph

    @cached_property
    def sources(self) -> dict[str, list[str]]:
        """The nodes whose outputs sum into each node, in a fixed order: the file format keeps none."""
        found: dict[str, list[str]] = {name: [] for name in self.graph.nodes}
        for source, target in self.graph.edges:
            found[target].append(source)
        return {name: sorted(found[name]) for name in sorted(found)}

    @cached_property
    def readers(self) -> dict[str, list[str]]:
        """The nodes that read each node."""
        found: dict[str, list[str]] = {name: [] for name in self.graph.nodes}
        for source, target in sorted(self.graph.edges):
            found[source].append(target)
        return found

    @cached_property
    def order(self) -> list[str]:
        """Nodes so that each comes after its sources; a Delay hands out the past, so it waits for nothing.

        Raises UserError on a cycle without a Delay.
        """
        depth: dict[str, int] = {}
        for name in self._depth_first({}):
            depth[name] = 1 + max((depth[source] for source in self._awaited(name)), default=0)
        return self._depth_first(depth)

    def _awaited(self, name: str) -> list[str]:
        return [] if isinstance(self.graph.nodes[name], nir.Delay) else self.sources[name]

    def _depth_first(self, depth: dict[str, int]) -> list[str]:
        """From the outputs, deepest sources first: a value is computed where it is needed, and is soon read."""
        order: list[str] = []
        open_, done = set(), set()
        ends = [name for name in self.sources if not self.readers[name]]
        delays = [name for name in self.sources if isinstance(self.graph.nodes[name], nir.Delay)]
        stack = [(name, False) for name in reversed([*ends, *delays, *self.sources])]
        while stack:
            name, ready = stack.pop()
            if ready:
                open_.discard(name)
                done.add(name)
                order.append(name)
            elif name not in done:
                if name in open_:
                    raise UserError(
                        f"nodes {', '.join(self._cycle(name))} form a cycle without a Delay: a Delay of one step in it "
                        f"makes it run"
                    )
                open_.add(name)
                stack.append((name, True))
                awaited = [source for source in self._awaited(name) if source not in done]
                stack += [(source, False) for source in sorted(awaited, key=lambda source: depth.get(source, 0))]
        return order

    def _cycle(self, start: str) -> list[str]:
        """The nodes of the shortest cycle without a Delay through this node, the first few by name."""
        came_from: dict[str, str] = {}
        reached = [start]
        for name in reached:
            for source in self._awaited(name):
                if source == start:
                    cycle = [name]
                    while cycle[-1] != start:
                        cycle.append(came_from[cycle[-1]])
                    return [*sorted(cycle)[:CYCLE], *(["..."] if len(cycle) > CYCLE else [])]
                if source not in came_from:
                    came_from[source] = name
                    reached.append(source)
        raise AssertionError(f"{start} is in no cycle")

    def embeds(self, name: str) -> bool:
        """Whether this node is a matrix that reads the one-hot token: a table whose rows are looked up."""
        sources = self.sources[name]
        return isinstance(self.graph.nodes[name], nir.Linear) and any(
            isinstance(self.graph.nodes[s], nir.Input) for s in sources
        )

    @cached_property
    def spiking(self) -> set[str]:
        """The nodes that put out nothing but spikes: neurons, inputs said to be spikes, and what only delays, places
        or lines up spikes."""
        found = {name for name, node in self.graph.nodes.items() if isinstance(node, NEURONS)}
        found |= self.graph.nodes.keys() & {self.graph.metadata.get(SPIKE_INPUT)}
        carriers = [name for name, node in self.graph.nodes.items() if isinstance(node, CARRIERS)]
        while new := {name for name in carriers if name not in found and self._reads_one_of(name, found)}:
            found |= new
        return found

    @cached_property
    def summed(self) -> set[str]:
        """The nodes that put out sums of spikes: pools behind them, and what only delays, places or lines those up."""
        found: set[str] = set()
        kinds = (*POOLS, *CARRIERS)
        candidates = [name for name, node in self.graph.nodes.items() if isinstance(node, kinds)]
        while new := {name for name in candidates if name not in self.spiking | found and self._adds(name, found)}:
            found |= new
        return found

    def sums_fed(self, name: str) -> bool:
        """Whether structure makes every input of this node a sum of spikes, and not one spike."""
        return not self.spike_fed(name) and self._adds(name, self.summed)

    def _adds(self, name: str, summed: set[str]) -> bool:
        sources = self.sources[name]
        return bool(sources) and all(source in self.spiking or source in summed for source in sources)

    def spike_fed(self, name: str) -> bool:
        """Whether only spikes reach this node: structure, not values (a dead layer looks binary by its values)."""
        return self._reads_one_of(name, self.spiking)

    def _reads_one_of(self, name: str, names: set[str]) -> bool:
        return len(self.sources[name]) == 1 and self.sources[name][0] in names
