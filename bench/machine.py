"""What the machine gives and the simulator takes: read bandwidth, cost of counting, growth with density and layers."""

import importlib.util
import inspect
import tempfile
import threading
from pathlib import Path

import numpy as np
from contest import median, random_model
from numba import njit

from exporters import nir as exporter
from hw_sim import Simulator
from hw_sim.graph.quantize import quantize
from hw_sim.plan import Plan
from hw_sim.run.pipeline import Pipeline


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


def counting_cost(plan: Plan, tokens: np.ndarray, rounds: int) -> float:
    """Share of the time that counters take: the same loop from its source with the counting lines taken out."""
    from hw_sim.run import loop_int8 as whole

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
                from hw_sim.run import pipeline as kernels

                kernels.run_integer, kept = module.run_integer, kernels.run_integer
                pipeline, n = Pipeline(plan, 1), len(tokens)
                pipeline.run(plan.state.copy(), tokens, np.zeros((n, plan.n_vocab), np.float32),
                             np.zeros(plan.n_events, np.uint16), np.zeros((0, 0), np.uint8))  # fmt: skip
                kernels.run_integer = kept

            run()
            contenders[name] = run
        seconds = median(contenders, 3 * rounds)
    return seconds["counted"] / seconds["bare"] - 1


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
