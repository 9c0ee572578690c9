"""A mapping as numbers for mapping.json and as a text for people."""

from collections.abc import Mapping as Named
from dataclasses import asdict
from typing import Any, NamedTuple

import msgspec
import numpy as np

from exporters.loihi.mapping.chip import load_chip
from exporters.loihi.mapping.groups import groups_of
from exporters.loihi.mapping.mapper import Mapping, map_plan
from exporters.loihi.mapping.mesh import coordinates
from exporters.loihi.mapping.picture import picture_of
from exporters.loihi.mapping.timing import speed_of
from hw_sim.counts.counts import Counts
from hw_sim.energy.chips import Picture
from hw_sim.energy.placement import Placement, Speed
from hw_sim.plan import Plan
from spikegpt.errors import UserError

BUSIEST = 10  # links listed
LABELS = {
    "neurons": "neurons",
    "synapse_bytes": "synapse memory, bytes",
    "input_axons": "input axons",
    "output_axons": "output axons",
}
ASSUMPTIONS = (
    "an estimate from declared limits: no chip compiler has seen it",
    "a matrix whose sum a LIF reads accumulates in that LIF; the sums of all others (key, value, receptance, output, "
    "ffn value and receptance) are graded custom neurons, which take neuron slots too",
    "element-wise work (LayerNorm, token shift, WKV, gates, residual) runs in these neurons' microcode or on the "
    "chip's processors and takes no slots",
    "an operation of one value runs in the neuron that holds it, of two values in the one whose group comes later; a "
    "LayerNorm sends every value to every core that holds a part of its vector; each value is sent at every token, one "
    "message a destination core, as graded messages beside those of spikes",
    "synapses lie dense at their bits, or sparse with an index of the neuron on its core added, whichever is smaller; "
    "axon tables lie elsewhere",
    "where times of the chip are published, the work is spread evenly over as many of its chips' cores as make a step "
    "shortest; else cores are filled one after the other, which makes messages fewest",
    "one message a spike and destination core, also where that is the neuron's own core (0 hops)",
    "tile = core // cores_per_tile at (x = tile // mesh_rows, y = tile % mesh_rows), XY routing; chips stand in a row "
    "along x, and a step between two is a chip crossing, not a hop",
)


def facts(mapping: Mapping, spikes: Named[str, np.ndarray]) -> dict[str, Any]:
    """Everything of a mapping for JSON; `placement` has what the energy report reads. `spikes` (T, neurons) by
    population, recorded on a text, say how long the chip takes; none, and no time is told."""
    parts, chip, tokens, values = mapping.partition, mapping.chip, max(1, mapping.tokens), mapping.values
    speed, busy = speed_of(mapping, spikes) or (None, None)
    on, x, y = coordinates(chip, mapping.places)
    held: list[list[dict]] = [[] for _ in range(parts.cores)]
    for block in parts.blocks:
        held[block.core].append({"group": mapping.groups[block.group].name, "neurons": [block.low, block.high]})
    busiest = sorted(mapping.links.items(), key=lambda item: (-item[1], item[0]))[:BUSIEST]
    with_synapses = [b for b in parts.blocks if b.synapse_bytes]
    return {
        "chip": chip.name,
        "source": chip.source,
        "grade": chip.grade,
        "assumptions": ASSUMPTIONS,
        "limits_per_core": chip.limits,
        "weight_bits": mapping.bits,
        "cores": parts.cores,
        "chips": mapping.chips,
        "neurons": sum(g.neurons for g in mapping.groups),
        "graded_neurons": sum(g.neurons for g in mapping.groups if g.population is None),
        "synapses": sum(g.weights.size for g in mapping.groups),
        "nonzero_synapses": sum(int(np.count_nonzero(g.weights)) for g in mapping.groups),
        "blocks_dense": sum(not b.sparse for b in with_synapses),
        "blocks_sparse": sum(b.sparse for b in with_synapses),
        "off_chip": mapping.off_chip,
        "utilisation": {
            key: {
                "limit": chip.limits[key],
                "min": int(min(values, default=0)),
                "mean": float(values.mean()) if len(values) else 0.0,
                "max": int(max(values, default=0)),
            }
            for key, values in parts.usage.items()
        },
        "placement": msgspec.to_builtins(placement_of(mapping, speed)),
        "traffic": {
            "tokens": mapping.tokens,
            "messages": mapping.messages,
            "messages_within_a_core": int(np.trace(mapping.traffic)),
            **asdict(mapping.hops),
            "in_dataflow_order": asdict(mapping.hops_before),
            "graded": {
                "messages": int(values.traffic.sum()),
                "messages_within_a_core": int(np.trace(values.traffic)),
                "from_host": values.from_host,
                "to_host": values.to_host,
                **asdict(mapping.value_hops),
            },
            "links_used": len(mapping.links),
            "busiest_links": [
                {"from": link[0], "to": link[1], "messages": messages, "per_token": messages / tokens}
                for link, messages in busiest
            ],
        },
        "core_rows": [
            {
                "core": i,
                "chip": int(on[i]),
                "place": int(mapping.places[i]) % chip.cores,
                "x": int(x[i]) - int(on[i]) * chip.mesh_columns,
                "y": int(y[i]),
                **{key: int(values[i]) for key, values in parts.usage.items()},
                "messages_out": int(mapping.traffic[i].sum()),
                "messages_in": int(mapping.traffic[:, i].sum()),
                **({"busy_s": float(busy[i])} if busy is not None else {}),
                "holds": held[i],
            }
            for i in range(parts.cores)
        ],
    }


def placement_of(mapping: Mapping, speed: Speed | None = None) -> Placement:
    """What the energy report reads of a mapping."""
    tokens, values = max(1, mapping.tokens), mapping.values
    return Placement(
        chip=mapping.chip.name,
        cores=mapping.partition.cores,
        chips=mapping.chips,
        populations={g.population: g.neurons for g in mapping.groups if g.population is not None},
        synapses=sum(g.weights.size for g in mapping.groups),
        messages_per_token=mapping.messages / tokens,
        hops_ew_per_token=mapping.hops.ew / tokens,
        hops_ns_per_token=mapping.hops.ns / tokens,
        graded_messages_per_token=int(values.traffic.sum()) / tokens,
        graded_hops_ew_per_token=mapping.value_hops.ew / tokens,
        graded_hops_ns_per_token=mapping.value_hops.ns / tokens,
        host_values_per_token=(values.from_host + values.to_host) / tokens,
        speed=speed,
    )


def table(described: dict[str, Any]) -> str:
    """What `facts` gave, as text: totals, limits, busiest links, then a line a core."""
    d, traffic, placed = described, described["traffic"], msgspec.convert(described["placement"], Placement)
    tokens = max(1, traffic["tokens"])
    lines = [
        *([warning] if (warning := nothing_runs(d)) else []),
        f"{d['chip']}: {d['cores']} cores on {d['chips']} chip(s)",
        f"limits: {d['source']}; {d['grade']}",
        f"{d['synapses']:,} synapses ({d['nonzero_synapses']:,} not zero) at {d['weight_bits']} bits in "
        f"{d['blocks_dense']} dense and {d['blocks_sparse']} sparse blocks; {d['neurons']:,} neurons, "
        f"{d['graded_neurons']:,} of them graded custom ones",
        f"off the chip: {', '.join(d['off_chip'])}",
        "",
        f"{'a core':24}{'limit':>10}{'min':>10}{'mean':>12}{'max':>10}",
    ]
    for key, row in d["utilisation"].items():
        limit = "-" if row["limit"] is None else f"{row['limit']:,}"
        lines.append(f"{LABELS[key]:24}{limit:>10}{row['min']:>10,}{row['mean']:>12,.1f}{row['max']:>10,}")
    lines += ["", f"per token, over {traffic['tokens']:,} tokens:"]
    own = traffic["messages_within_a_core"]
    lines.append(f"{traffic['messages'] / tokens:,.1f} spike messages, {own / tokens:,.1f} of them within a core")
    for label, hops in (("as placed", traffic), ("in dataflow order", traffic["in_dataflow_order"])):
        lines.append(
            f"hops {label}: {hops['ew'] / tokens:,.1f} E-W, {hops['ns'] / tokens:,.1f} N-S; "
            f"{hops['inter_chip_messages'] / tokens:,.1f} messages to another chip"
        )
    graded = traffic["graded"]
    lines.append(
        f"{graded['messages'] / tokens:,.1f} graded messages between custom neurons, "
        f"{graded['messages_within_a_core'] / tokens:,.1f} of them within a core; "
        f"hops: {graded['ew'] / tokens:,.1f} E-W, {graded['ns'] / tokens:,.1f} N-S; "
        f"{graded['from_host'] / tokens:,.1f} from the host, {graded['to_host'] / tokens:,.1f} values to it"
    )
    lines += ["", *speed_lines(d["chip"], placed.speed)]
    lines += ["", "busiest links, tile to tile (x over all chips, y): messages a token"]
    lines += [f"{tuple(k['from'])} -> {tuple(k['to'])}: {k['per_token']:,.1f}" for k in traffic["busiest_links"]]
    timed = placed.speed is not None
    columns = ("core", "chip", "x", "y", "neurons", "synapse_bytes", "input_axons", "output_axons", "messages_out",
               "messages_in")  # fmt: skip
    heads = ("core", "chip", "x", "y", "neurons", "bytes", "axons in", "axons out", "sent", "received")
    lines += ["", "".join(f"{head:>10}" for head in heads) + f"{'busy, us':>10}" * timed + "  holds"]
    for row in d["core_rows"]:
        held = ", ".join(f"{h['group']}[{h['neurons'][0]}:{h['neurons'][1]}]" for h in row["holds"])
        busy = f"{row['busy_s'] * 1e6:>10,.1f}" if timed else ""
        lines.append("".join(f"{row[key]:>10,}" for key in columns) + f"{busy}  {held}")
    return "\n".join([*lines, "", "assumptions:", *(f"- {a}" for a in d["assumptions"])]) + "\n"


def speed_lines(chip: str, speed: Speed | None) -> list[str]:
    """How long the chip takes, for people."""
    if speed is None:
        return [f"how long {chip} takes is not known: no times of its events are published, or no matrix runs on it"]
    parts = ", ".join(f"{seconds * 1e6:,.1f} {name}" for name, seconds in speed.slowest_parts.items() if seconds)
    return [
        f"time, modelled over {speed.tokens:,} recorded tokens; it takes at least:",
        f"a known text, a token a step: {speed.tokens_per_s:,.0f} tokens/s, a step of {speed.step_s * 1e6:,.1f} us, "
        f"{speed.barrier_s * 1e6:,.1f} of them the barrier",
        f"a text being written, one token at a time: {speed.tokens_per_s_alone:,.0f} tokens/s, "
        f"{speed.latency_s * 1e6:,.0f} us in {speed.steps_per_token} steps",
        f"the slowest core is {speed.slowest_core}, in {speed.slowest_share:.0%} of the steps; us a step: {parts}",
        f"times: {speed.source}; {speed.grade}",
        *(f"left out: {part}" for part in speed.left_out),
    ]


def nothing_runs(described: dict[str, Any]) -> str | None:
    """What is to be said first of a model none of whose matrices can live on the chip, else None."""
    d = described
    if d["synapses"]:
        return None
    return (
        f"NOTHING of this model's arithmetic runs on {d['chip']}: 0 of its {len(d['off_chip'])} matrices read "
        f"spikes of its neurons, all stay on the host (of SpikeGPT, the spike-driven variant was made for a chip)"
    )


def headline(described: dict[str, Any]) -> str:
    """One line for the terminal."""
    d, placement = described, described["placement"]
    if not d["synapses"]:
        return f"{nothing_runs(d)}; {d['cores']} core(s) hold the {d['neurons']:,} neurons"
    return (
        f"{d['chip']}: {d['cores']} cores on {d['chips']} chip(s) for {d['synapses']:,} synapses of "
        f"{d['weight_bits']} bits and {d['neurons']:,} neurons; "
        f"{placement['messages_per_token']:,.1f} spike messages and "
        f"{placement['hops_ew_per_token'] + placement['hops_ns_per_token']:,.1f} hops a token, "
        f"{placement['graded_messages_per_token']:,.1f} graded messages{_rates(placement['speed'])}"
    )


def _rates(speed: dict[str, Any] | None) -> str:
    if speed is None:
        return ""
    told = msgspec.convert(speed, Speed)
    return (
        f"; at most {told.tokens_per_s:,.0f} tokens/s of a known text, {told.tokens_per_s_alone:,.0f} of one being "
        f"written (modelled)"
    )


class Footprint(NamedTuple):
    """A plan on a chip: what a report says of it, where it lies, None where it does not fit, and the chip as drawn,
    None where its times are not known."""

    facts: dict[str, Any]
    placement: Placement | None
    picture: Picture | None = None


def footprint(plan: Plan, name: str, counts: Counts, spikes: Named[str, np.ndarray]) -> Footprint:
    """What an energy report says of a plan on a chip; where it does not fit, why. `spikes` as for `facts`."""
    chip = load_chip(name)
    groups = groups_of(plan)
    found: dict[str, Any] = {
        "chip": chip.name,
        "source": chip.source,
        "synapses": sum(g.weights.size for g in groups),
        "neurons": sum(g.neurons for g in groups),
        **dict.fromkeys(("cores", "chips", "messages_per_token", "hops_per_token", "graded_messages_per_token")),
    }
    try:
        mapping = map_plan(plan, chip, counts)
    except UserError as error:
        return Footprint({**found, "note": str(error)}, None)
    speed, busy = speed_of(mapping, spikes) or (None, None)
    p = placement_of(mapping, speed)
    facts = {
        **found,
        "cores": p.cores,
        "chips": p.chips,
        "messages_per_token": p.messages_per_token,
        "hops_per_token": p.hops_ew_per_token + p.hops_ns_per_token,
        "graded_messages_per_token": p.graded_messages_per_token,
        "note": f"placed by our mapper at {mapping.bits} bits, an estimate",
    }
    return Footprint(facts, p, None if busy is None else picture_of(mapping, busy))
