"""Structure of a NIR graph: who feeds whom, in which order nodes run, which matrices read spikes."""

from dataclasses import dataclass
from functools import cached_property

import nir

from exporters.nir.extensions import Place
from spikegpt.errors import UserError


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
        waiting = {
            name: set() if isinstance(self.graph.nodes[name], nir.Delay) else set(sources)
            for name, sources in self.sources.items()
        }
        order: list[str] = []
        while waiting:
            ready = [name for name, sources in waiting.items() if not sources & waiting.keys()]
            if not ready:
                raise UserError(f"nodes {', '.join(sorted(waiting)[:4])} form a cycle without a Delay")
            order += ready
            for name in ready:
                del waiting[name]
        return order

    def embeds(self, name: str) -> bool:
        """Whether this node is a matrix that reads the one-hot token: a table whose rows are looked up."""
        sources = self.sources[name]
        return isinstance(self.graph.nodes[name], nir.Linear) and any(
            isinstance(self.graph.nodes[s], nir.Input) for s in sources
        )

    @cached_property
    def spiking(self) -> set[str]:
        """The nodes that put out nothing but spikes: neurons, and what only delays or places spikes."""
        found = {name for name, node in self.graph.nodes.items() if isinstance(node, nir.LIF)}
        carriers = [name for name, node in self.graph.nodes.items() if isinstance(node, nir.Delay | Place)]
        while new := {name for name in carriers if name not in found and self._reads_one_of(name, found)}:
            found |= new
        return found

    def spike_fed(self, name: str) -> bool:
        """Whether only spikes reach this node: structure, not values (a dead layer looks binary by its values)."""
        return self._reads_one_of(name, self.spiking)

    def _reads_one_of(self, name: str, names: set[str]) -> bool:
        return len(self.sources[name]) == 1 and self.sources[name][0] in names
