"""Speed of the event-driven simulator against PyTorch, SANA-FE and memory bandwidth.

    python bench/simulate.py [--json] [--plot bench/simulate.svg] [--tokens 256] [--rounds 7]

One process, both sides warm, medians over rounds in which the contenders take turns. The 45m shape has random weights
whose gains are set so that every population fires at a given density, as in trained models; the shipped model runs on
its own text. PyTorch takes the recurrent float32 step at the number of threads that is fastest. SANA-FE's row needs
`pip install sanafe==2.2.9` and is left out otherwise. Stop other work on the machine first.
"""

import argparse
import importlib.util
import inspect
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numba import njit

import spikegpt
from exporters import nir as exporter
from exporters.loihi.quantize import quantize
from hw_sim import Result, Simulator
from hw_sim.energy import price, profiles
from hw_sim.energy.work import AC, MatrixWork, Work
from hw_sim.pipeline import Pipeline
from hw_sim.plan import Op, Plan
from hw_sim.planner import build
from spikegpt.config import preset
from spikegpt.corpus import load_corpus
from spikegpt.model import Lif, SpikeGPT

SHIPPED = Path(__file__).resolve().parents[1] / "models" / "kjv-spike-driven.pt"
PRECISIONS = ("float32", "int8")


def median(contenders: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each contender, taking turns."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def at_density(model: SpikeGPT, density: float, tokens: torch.Tensor) -> None:
    """Scale what drives each population so that this share of its neurons fires."""

    def scale(lif: Lif, args: tuple) -> tuple:
        quantile = float(torch.quantile(args[0].flatten()[:1_000_000].float(), 1 - density))
        block = model.blocks[int(lif.names[0].split("_")[0].removeprefix("block"))]
        if lif.names[0].endswith("output_lif"):
            block.att.gain.data /= quantile
        elif lif.names[0].endswith("ffn_value_lif"):
            block.ffn.key.weight.data /= quantile
        else:
            norm = block.ln1 if "_att_" in lif.names[0] else block.ln2
            norm.weight.data /= quantile
            norm.bias.data /= quantile
        return (args[0] / quantile, *args[1:])

    hooks = [m.register_forward_pre_hook(scale) for m in model.modules() if isinstance(m, Lif)]
    with torch.no_grad():
        model(tokens)
    for hook in hooks:
        hook.remove()


def random_model(density: float, **shape) -> SpikeGPT:
    torch.manual_seed(0)
    model = SpikeGPT(preset("45m", **shape)).eval()
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2 and name.startswith("blocks"):
            torch.nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
    at_density(model, density, torch.randint(0, model.config.vocab_size, (1, 256)))
    return model


def torch_step(model: SpikeGPT, tokens: np.ndarray, threads: int) -> Callable[[], None]:
    """The recurrent form over tokens, token by token."""
    steps = [torch.tensor([int(token)]) for token in tokens]

    def run() -> None:
        torch.set_num_threads(threads)
        state = None
        with torch.inference_mode():
            for token in steps:
                _, state = model.step(token, state)

    return run


def touched(plan: Plan, result: Result, tokens: int) -> float:
    """Bytes of weights that one token had to read: rows of active inputs, or all of a dense matrix."""
    kinds = dict(zip(plan.names, plan.field("op"), strict=True))
    dense = sum(m.fan_in * m.fan_out * m.tokens for m in result.matrices if kinds[m.name] == Op.DENSE)
    return (
        (dense + sum(m.effective for m in result.matrices if kinds[m.name] != Op.DENSE))
        / tokens
        * plan.weights.itemsize
    )


@njit(nogil=True)
def _read(values):
    total = 0
    for value in values:
        total += value
    return total


def bandwidth(threads: int, rounds: int) -> float:
    """Bytes a second that so many threads read together from a buffer the size of the int8 weights of the 45m body."""
    buffers = [np.ones((48 << 20) // 8 // threads, np.int64) for _ in range(threads)]

    def run() -> None:
        workers = [threading.Thread(target=_read, args=(buffer,)) for buffer in buffers]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    run()
    return sum(b.nbytes for b in buffers) / median({"read": run}, rounds)["read"]


def against_torch(model: SpikeGPT, tokens: np.ndarray, rounds: int) -> dict:
    """Tokens a second of the simulator, float32 and int8, and of PyTorch on the same tokens."""
    graph = exporter.export(model)
    simulators = {"float32": Simulator.from_nir(graph), "int8": Simulator.from_nir(quantize(graph))}
    few = tokens[:32]
    contenders: dict[str, Callable[[], object]] = {}
    for threads in (1, torch.get_num_threads()):
        contenders[f"torch, {threads} threads"] = torch_step(model, few, threads)
        contenders[f"torch, {threads} threads"]()
    results = {}
    for name, simulator in simulators.items():
        simulator.run(tokens)
        results[name] = simulator.run(tokens)
        contenders[name] = lambda s=simulator: s.run(tokens)
    seconds = median(contenders, rounds)
    baseline = min(s / len(few) for name, s in seconds.items() if name.startswith("torch"))
    facts: dict = {"torch_ms_per_token": 1e3 * baseline}
    for name, simulator in simulators.items():
        per_token, result = seconds[name] / len(tokens), results[name]
        facts[name] = {
            "ms_per_token": 1e3 * per_token,
            "tokens_per_s": 1 / per_token,
            "ratio_vs_torch_fp32": baseline / per_token,
            "synaptic_events_per_s": result.synops / len(tokens) / per_token,
            "density": result.synops / sum(m.dense for m in result.matrices if m.spike_fed),
            "weight_bytes_per_token": touched(simulator.plan, result, len(tokens)),
            "weight_bytes_per_s": touched(simulator.plan, result, len(tokens)) / per_token,
            "threads": simulator.threads,
        }
    return facts


def counting_cost(plan: Plan, tokens: np.ndarray, rounds: int) -> float:
    """Share of the time that counters take: the same loop from its source with the counting lines taken out."""
    from hw_sim.kernels import whole

    lines = inspect.getsource(whole).splitlines()
    marks = ("counters[i, 0] += driven", "counters[i, 0] += active.size", "fired[j] +=", "driven +=")
    bare_lines = [line for line in lines if not line.strip().startswith(marks)]
    assert len(bare_lines) == len(lines) - 5, "the counting lines have changed"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "uncounted.py"
        path.write_text("\n".join(bare_lines).replace("cache=True, ", ""))
        spec = importlib.util.spec_from_file_location("uncounted", path)
        assert spec is not None and spec.loader is not None
        bare = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(bare)
        contenders = {}
        for name, module in (("counted", whole), ("bare", bare)):

            def run(module=module) -> None:
                import hw_sim.kernels as kernels

                kernels.run_integer, kept = module.run_integer, kernels.run_integer
                pipeline, n = Pipeline(plan, 1), len(tokens)
                pipeline.run(plan.state.copy(), tokens, np.zeros((n, plan.n_vocab), np.float32),
                             np.zeros(plan.n_events, np.uint16), np.zeros((0, 0), np.uint8))  # fmt: skip
                kernels.run_integer = kept

            run()
            contenders[name] = run
        seconds = median(contenders, 3 * rounds)
    return seconds["counted"] / seconds["bare"] - 1


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
                {}, True, neurons=steps_run * n_out, active=steps_run * n_out, spikes=n_fired)  # fmt: skip
    placement = price.Placement(2 * n_spikes / steps_run, n_spikes / steps_run, n_spikes / steps_run, cores=3, chips=1)
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


def linearity(rounds: int, tokens: int) -> dict:
    """Milliseconds a token against density and against layers, int8, width 512."""
    densities, layers = (0.02, 0.05, 0.1, 0.2, 0.3), (2, 4, 8, 12)
    runs = {}
    for key, density, n_layer in [(("density", d), d, 6) for d in densities] + [
        (("layers", n), 0.1, n) for n in layers
    ]:
        simulator = Simulator.from_nir(
            quantize(exporter.export(random_model(density, n_layer=n_layer, vocab_size=256)))
        )
        text = np.random.default_rng(1).integers(0, 256, tokens)
        simulator.run(text)
        runs[key] = lambda s=simulator, text=text: s.run(text)
    seconds = median(runs, rounds)
    return {
        kind: [{"at": at, "ms_per_token": 1e3 * s / tokens} for (k, at), s in seconds.items() if k == kind]
        for kind in ("density", "layers")
    }


def plot(facts: dict, path: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    titles = {"density": "share of active inputs (6 layers of width 512)", "layers": "layers (density 0.1, width 512)"}
    for axis, (kind, rows) in zip(axes, facts.items(), strict=True):
        x, y = [row["at"] for row in rows], [row["ms_per_token"] for row in rows]
        slope, start = np.polyfit(x, y, 1)
        axis.plot(x, y, "o", color="C0", label="measured, int8")
        ends = np.array([0, max(x)])
        axis.plot(ends, start + slope * ends, "-", color="C1", label="least squares")
        axis.set(xlabel=titles[kind], ylabel="ms a token", xlim=(0, None), ylim=(0, None))
        axis.legend()
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--densities", type=float, nargs="+", default=[0.15, 0.05])
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_flush_denormal(True)
    facts: dict = {"models": {}}
    for density in args.densities:
        print(f"45m at density {density} ...", file=sys.stderr)
        model = random_model(density)
        tokens = np.random.default_rng(0).integers(0, model.config.vocab_size, args.tokens)
        facts["models"][f"45m, density {density}"] = against_torch(model, tokens, args.rounds)
    print("shipped model ...", file=sys.stderr)
    text = np.asarray(load_corpus().split("test")[: 4 * args.tokens], np.int64)
    facts["models"]["shipped"] = against_torch(spikegpt.load(SHIPPED), text, args.rounds)
    graph = quantize(exporter.export(random_model(0.15)))
    facts["counting_cost"] = counting_cost(build(graph), np.arange(args.tokens) % 5458, args.rounds)
    threads = facts["models"]["shipped"]["int8"]["threads"]
    most = max(m["int8"]["threads"] for m in facts["models"].values())
    facts["read_bytes_per_s"] = {n: bandwidth(n, args.rounds) for n in {1, threads, most}}
    for name in ("ratio_vs_torch_fp32", "bandwidth_fraction"):
        facts[name] = {precision: {} for precision in PRECISIONS}
    for label, row in facts["models"].items():
        for precision in PRECISIONS:
            one = row[precision]
            key = label.removeprefix("45m, density ")
            facts["ratio_vs_torch_fp32"][precision][key] = one["ratio_vs_torch_fp32"]
            facts["bandwidth_fraction"][precision][key] = (
                one["weight_bytes_per_s"] / facts["read_bytes_per_s"][one["threads"]]
            )
    if importlib.util.find_spec("sanafe"):
        print("SANA-FE ...", file=sys.stderr)
        facts["sana_fe"] = against_sana_fe(args.rounds)
    if args.plot:
        print("density and layers ...", file=sys.stderr)
        facts["linearity"] = linearity(args.rounds, args.tokens)
        plot(facts["linearity"], args.plot)
    print(json.dumps(facts, indent=1) if args.json else report(facts))


def report(facts: dict) -> str:
    """The facts as text."""
    lines = []
    for label, row in facts["models"].items():
        lines.append(f"{label}: PyTorch float32 step {row['torch_ms_per_token']:.2f} ms a token")
        for precision in PRECISIONS:
            one, key = row[precision], label.removeprefix("45m, density ")
            lines.append(
                f"  {precision:8} {one['ms_per_token']:.3f} ms, {one['ratio_vs_torch_fp32']:.1f}x; "
                f"{one['synaptic_events_per_s'] / 1e9:.2f} G synaptic events/s; weights read at "
                f"{one['weight_bytes_per_s'] / 1e9:.1f} GB/s = {facts['bandwidth_fraction'][precision][key]:.0%} of "
                f"the machine's with {one['threads']} threads"
            )
    lines.append(f"counters take {facts['counting_cost']:.1%} of the time")
    if "sana_fe" in facts:
        s = facts["sana_fe"]
        lines.append(
            f"512 x 2048: {s['synaptic_events_per_s'] / 1e9:.2f} G events/s, {s['ratio_vs_sana_fe']:.0f}x SANA-FE; "
            f"equal spikes: {s['equal_spikes']} ({s['spikes']:,}); {s['joules']:.4g} J, "
            f"theirs {s['sana_fe_joules']:.4g} J"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
