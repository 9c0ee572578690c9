"""The simulator against others on the same network: PyTorch, SANA-FE 2.2.9 and Lava's CPU simulation."""

import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from contest import SHIPPED, median
from engines import contenders

import spikegpt
from exporters import nir as exporter
from exporters.loihi.lava import standard, supervisor
from hw_sim import Result, Simulator
from hw_sim.counts.compare import compare
from hw_sim.counts.nodes import node_counts
from hw_sim.energy import price, profiles
from hw_sim.energy.placement import Placement
from hw_sim.energy.work import AC, MatrixWork, Work
from hw_sim.graph.quantize import quantize
from hw_sim.graph.to_plan import build
from hw_sim.plan import Plan
from spikegpt.corpus import load_corpus
from spikegpt.model import SpikeGPT

LAVA_TOKENS = {"block": (8, 520), "standard": (8, 136)}  # of two runs, whose difference is without Lava's start
LAVA_LIMIT_S = 600.0


def touched(plan: Plan, result: Result, tokens: int) -> float:
    """Bytes of weights that one token had to read: rows of active inputs, or all of a dense matrix."""
    nodes = node_counts(plan, result)
    return sum(nodes[m.name].weight_bytes_read for m in result.matrices) / tokens


def against_engines(model: SpikeGPT, tokens: np.ndarray, rounds: int) -> dict:
    """Milliseconds a token of the simulator, float32 and int8, and of every engine, on the same model in turns."""
    graph = exporter.export(model)
    simulators = {"float32": Simulator.from_nir(graph), "int8": Simulator.from_nir(quantize(graph))}
    results, runs, sizes = {}, dict[tuple, Callable[[], object]](), dict[tuple, int]()
    for name, simulator in simulators.items():
        simulator.run(tokens)
        results[name] = simulator.run(tokens)
        runs["simulator", name], sizes["simulator", name] = (lambda s=simulator: s.run(tokens)), len(tokens)
    for use, engine, threads, n, run in contenders(model, tokens):
        runs[use, engine, threads], sizes[use, engine, threads] = run, n
    ms = {key: 1e3 * seconds / sizes[key] for key, seconds in median(runs, rounds).items()}
    engines: dict[str, dict[str, dict]] = {"token by token": {}, "known text": {}}
    for use, found in engines.items():
        for key, value in sorted(ms.items(), key=lambda item: item[1]):
            if key[0] == use:
                found.setdefault(key[1], {"ms_per_token": value, "threads": key[2]})
    facts: dict = {"engines": engines}
    for name, simulator in simulators.items():
        own, result = ms["simulator", name], results[name]
        read = touched(simulator.plan, result, len(tokens))
        facts[name] = {
            "ms_per_token": own,
            "tokens_per_s": 1e3 / own,
            "ratio_vs_best": {use: next(iter(found.values()))["ms_per_token"] / own for use, found in engines.items()},
            "ratio_vs_torch_fp32": engines["token by token"]["PyTorch step"]["ms_per_token"] / own,
            "synaptic_events_per_s": 1e3 * result.synops / len(tokens) / own,
            "density": result.synops / sum(m.dense for m in result.matrices if m.spike_fed),
            "weight_bytes_per_token": read,
            "weight_bytes_per_s": 1e3 * read / own,
            "threads": simulator.threads,
        }
    return facts


def projection(spikes: np.ndarray, weights: np.ndarray, threshold: float):
    """Recorded spikes (T, n) of a population through int8 `weights` (n, m) into LIFs, as a graph for the simulator."""
    import nir

    steps, n_in = spikes.shape
    n_out = weights.shape[1]
    one = np.ones(n_out)
    nodes = {
        "token": nir.Input({"input": np.array([steps])}),
        "in_drive": nir.Linear(spikes.T.astype(np.float32)),
        "in": nir.LIF(np.full(n_in, exporter.DT), np.ones(n_in), np.zeros(n_in), np.full(n_in, 0.5), np.zeros(n_in)),
        "p": nir.Linear(weights.T.astype(np.int8)),
        "out": nir.LIF(exporter.DT * one, one, 0 * one, threshold * one, 0 * one),
        "end": nir.Output({"output": np.array([n_out])}),
    }
    edges = [("token", "in_drive"), ("in_drive", "in"), ("in", "p"), ("p", "out"), ("out", "end")]
    return nir.NIRGraph(nodes, edges)


@contextmanager
def quiet() -> Iterator[None]:
    """SANA-FE prints from C++: keep that out of our output."""
    kept = os.dup(1)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        try:
            yield
        finally:
            os.dup2(kept, 1)
            os.close(kept)


def against_sana_fe(rounds: int) -> dict:
    """512 x 2048 synapses, 10 % of inputs active: events a second, spikes and joules of both."""
    import sanafe

    n_in, n_out, steps, theirs_steps, threshold = 512, 2048, 20_000, 20, 300.0
    rng = np.random.default_rng(0)
    weights = rng.integers(-64, 64, (n_in, n_out))
    spikes = (rng.random((steps, n_in)) < 0.1).astype(np.int8)
    simulator = Simulator(build(projection(spikes, weights, threshold)))
    result = simulator.run(np.arange(theirs_steps), record=True)

    def load(log: bool = False):
        network, architecture = sanafe.Network(), sanafe.load_loihi()
        cores = [core for tile in architecture.tiles for core in tile.cores]
        source = network.create_neuron_group("in", n_in)
        attributes = {
            "threshold": threshold,
            "leak_decay": 0.0,
            "reset": 0.0,
            "reset_mode": "hard",
            "force_update": True,
        }
        target = network.create_neuron_group("out", n_out, model_attributes=attributes, soma_hw_name="loihi_lif",
                                             default_synapse_hw_name="loihi_dense_synapse", log_spikes=log)  # fmt: skip
        for i, neuron in enumerate(source.neurons):
            neuron.set_attributes(
                soma_hw_name=f"loihi_inputs[{i}]", model_attributes={"spikes": spikes[:theirs_steps, i].tolist()}
            )
            neuron.map_to_core(cores[0])
        for i, neuron in enumerate(target.neurons):
            neuron.map_to_core(cores[4] if i < n_out // 2 else cores[16])
        source.connect_neurons_dense(target, {"weight": weights.astype(float).ravel().tolist()})
        chip = sanafe.SpikingChip(architecture)
        chip.load(network)
        return chip

    with quiet():
        out = load(log=True).sim(theirs_steps + 1, timing_model="simple", spike_trace=True)
    fired = [{n.neuron_offset for n in step if n.group_name == "out"} for step in out["spike_trace"]]
    ours = [set(np.flatnonzero(row).tolist()) for row in result.spikes["out"]]
    n_spikes, n_fired = int(spikes[:theirs_steps].sum()), sum(map(len, ours))
    steps_run = theirs_steps + 1
    work = Work("p", steps_run, (MatrixWork("p", AC, n_spikes * n_out, steps_run * n_in * n_out, n_in * n_out, n_out),),
                {}, {}, (), True, neurons=steps_run * n_out, active=steps_run * n_out, spikes=n_fired)  # fmt: skip
    placement = Placement(
        chip="Loihi 1", cores=3, chips=1, populations={"out": n_out}, synapses=n_in * n_out,
        messages_per_token=2 * n_spikes / steps_run, hops_ew_per_token=n_spikes / steps_run,
        hops_ns_per_token=n_spikes / steps_run,
    )  # fmt: skip
    joules = price.price(work, profiles.shipped()["loihi1-silicon"], "chip", placement=placement).total_j * steps_run
    theirs_s = []
    for _ in range(max(3, rounds // 2)):
        chip = load()
        with quiet():
            started = time.perf_counter()
            chip.sim(theirs_steps + 1, timing_model="simple")
            theirs_s.append(time.perf_counter() - started)
    tokens = np.arange(steps)
    ours_s = median({"ours": lambda: simulator.run(tokens)}, rounds)["ours"]
    rate = int(spikes.sum()) * n_out / ours_s
    their_rate = n_spikes * n_out / statistics.median(theirs_s)
    return {
        "synaptic_events_per_s": rate,
        "sana_fe_synaptic_events_per_s": their_rate,
        "ratio_vs_sana_fe": rate / their_rate,
        "equal_spikes": ours == fired[1:],
        "spikes": n_fired,
        "joules": joules,
        "sana_fe_joules": out["energy"]["total"],
    }


def against_lava(rounds: int) -> dict:
    """The shipped model in int8: tokens a second of the simulator and of both Lava networks, equal spikes and logits.

    "standard" is made of Lava's own processes, "block" of ours, one a block. Lava starts processes and compiles for
    seconds: its time a token is the difference of runs of two lengths.
    """
    plan = build(quantize(exporter.export(spikegpt.load(SHIPPED))))
    text = np.asarray(load_corpus().split("test")[:1024], np.int64)
    simulator = Simulator(plan)
    simulator.run(text)
    facts: dict = {}
    for name, (few, many) in LAVA_TOKENS.items():
        execute = {"block": supervisor.run, "standard": standard.run}[name]
        simulator.reset()
        ours = simulator.run(text[:many], record=True)
        runs = {n: [execute(plan, text[:n], LAVA_LIMIT_S) for _ in range(max(1, rounds // 3))] for n in (few, many)}
        times = {n: statistics.median(run.time_s for run in runs[n]) for n in (few, many)}
        lava = runs[many][0]
        agreement = compare(ours.logits, ours.spikes, lava.logits, lava.spikes)
        facts[name] = {
            "tokens_per_s": (many - few) / (times[many] - times[few]),
            "equal": agreement["spike_mismatches"] == 0 and agreement["equal_logits"],
            "spikes": sum(ours.spike_counts.values()),
        }
    rate = len(text) / median({"ours": lambda: simulator.run(text)}, rounds)["ours"]
    return {
        "tokens_per_s": rate,
        **facts,
        "ratio_vs_lava": {name: rate / facts[name]["tokens_per_s"] for name in LAVA_TOKENS},
    }
