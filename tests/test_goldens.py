"""What three small int8 networks give, all integers, is what it was: a change that is meant to change nothing is seen.

Where a change is meant: `python -m tests.test_goldens` writes tests/data/goldens.json anew; say in the commit why.
"""

import hashlib
import json
from collections.abc import Iterable
from enum import Enum
from pathlib import Path

import numpy as np
import pytest
import torch

from exporters import nir as exporter
from exporters.loihi.lava.blocks.cut import cut
from exporters.loihi.lava.standard import schedule
from exporters.loihi.lava.standard.dataflow import order, ranges, sources
from exporters.loihi.mapping.groups import groups_of
from exporters.loihi.netx import chains
from hw_sim import Simulator
from hw_sim.counts.counts import nonzero_operations
from hw_sim.counts.nodes import node_counts
from hw_sim.graph.quantize import quantize
from hw_sim.plan import Plan
from hw_sim.plan.interpreter import Interpreter
from hw_sim.run.pipeline import divide
from spikegpt.config import VARIANTS
from tests.conftest import lively_model

GOLDENS = Path(__file__).parent / "data" / "goldens.json"


def network(variant: str) -> Plan:
    """A lively model whose matrices do not depend on how torch draws random numbers."""
    model, rng = lively_model(variant, 2, 12), np.random.default_rng(0)
    for parameter in model.parameters():
        if parameter.ndim == 2:
            values = rng.integers(-127, 128, parameter.shape) / (32 * np.sqrt(parameter.shape[1]))
            parameter.data = torch.from_numpy(values.astype(np.float32))
    return Simulator.from_nir(quantize(exporter.export(model))).plan


def digest(*values: object) -> str:
    """sha256 of values, and of what they consist of."""
    found = hashlib.sha256()

    def feed(value: object) -> None:
        if isinstance(value, np.ndarray):
            found.update(
                f"{value.dtype.kind}{value.shape}".encode() + value.astype(value.dtype.newbyteorder("<")).tobytes()
            )
        elif isinstance(value, dict):
            feed(list(value.items()))
        elif isinstance(value, str | int | float | Enum | None):
            found.update(f"{value};".encode())
        elif isinstance(value, Iterable):
            found.update(b"(")
            for part in value:
                feed(part)
            found.update(b")")
        else:
            feed(vars(value))

    feed(values)
    return found.hexdigest()[:16]


def facts(plan: Plan) -> dict[str, str]:
    tokens = np.random.default_rng(1).integers(0, plan.n_vocab, 60)
    simulator, slow = Simulator(plan, threads=1), Interpreter(plan)
    result = simulator.run(tokens, record=True)
    reads = sources(plan)
    in_order = order(plan, reads)
    return {
        "plan": plan.digest,
        "logits": digest(result.logits),
        "spikes": digest(result.spikes),
        "state": digest(simulator.state),
        "interpreter": digest([slow.step(int(token)) for token in tokens[:20]], slow.state),
        "counts": digest(result.matrices, result.populations, nonzero_operations(plan, result)),
        "nodes": digest(node_counts(plan, result)),
        "pipeline": digest(divide(plan, 3)),
        "netx": digest(chains(plan)),
        "groups": digest([(g.name, g.population, g.source, g.weights) for g in groups_of(plan)]),
        "blocks": digest(cut(plan)),
        "dataflow": digest(reads, in_order, ranges(plan, reads, in_order)),
        "standard": digest(schedule(plan)),
        "generating": digest(schedule(plan, generating=True)),
    }


@pytest.mark.parametrize("variant", VARIANTS)
def test_plan_run_counts_and_lowerings_are_those_on_record(variant):
    assert facts(network(variant)) == json.loads(GOLDENS.read_text())[variant]


if __name__ == "__main__":
    GOLDENS.write_text(json.dumps({variant: facts(network(variant)) for variant in VARIANTS}, indent=1) + "\n")
