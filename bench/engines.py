"""The engines that a user would pick instead of the simulator: onnxruntime and PyTorch at their best, on one model.

Token by token: our ONNX files, float32 and int8, onnxruntime's own dynamic int8 of the first, PyTorch's step, and
`torch.compile` of the exported step. A known text: PyTorch's parallel forward over several stretches at once, and our
ONNX file for whole texts. Each runs with one and with two threads; the better one counts.
"""

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic

from exporters import nir as exporter
from exporters.onnx_model import write_onnx
from exporters.torch_program import Step
from hw_sim.graph.quantize import quantize
from spikegpt.model import SpikeGPT

FEW = 32  # tokens that an engine takes one by one
STRETCHES, LENGTH = 4, 256  # that PyTorch scores at once
THREADS = sorted({1, os.cpu_count() or 1})

Run = Callable[[], object]


class Session:
    """An exported model with its state; one call is a token, or a text (1, T)."""

    def __init__(self, path: Path, states: Path, threads: int):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(str(path), options)
        self.states = json.loads(states.read_text())["states"]
        self.names = [output.name for output in self.session.get_outputs()]

    def run(self, name: str, texts: list[np.ndarray]) -> np.ndarray:
        feed = {s["past"]: np.full((1, s["shape"][1]), s["initial"], np.float32) for s in self.states}
        for tokens in texts:
            out = dict(zip(self.names, self.session.run(None, {name: tokens, **feed}), strict=True))
            feed = {s["past"]: out[s["present"]] for s in self.states}
        return out["logits"]


def token_by_token(model: SpikeGPT, tokens: np.ndarray, folder: Path) -> Iterator[tuple[str, int, Run]]:
    """(engine, threads, a run of FEW tokens)."""
    graph = exporter.export(model)
    write_onnx(graph, folder)
    write_onnx(quantize(graph), folder, "-int8")
    quantize_dynamic(folder / "model.onnx", folder / "dynamic.onnx", weight_type=QuantType.QInt8)
    texts = [np.array([token]) for token in tokens[:FEW].tolist()]
    files = {"onnxruntime float32": ("model", ""), "onnxruntime, our int8": ("model-int8", "-int8"),
             "onnxruntime, its dynamic int8": ("dynamic", "")}  # fmt: skip
    for name, (stem, suffix) in files.items():
        for threads in THREADS:
            session = Session(folder / f"{stem}.onnx", folder / f"state{suffix}.json", threads)
            yield name, threads, lambda s=session: s.run("token", texts)
    given = [torch.tensor([int(token)]) for token in tokens[:FEW]]
    for name, step in (("PyTorch step", model.step), ("torch.compile of the step", compiled(model))):
        for threads in THREADS:
            yield name, threads, lambda step=step, threads=threads: steps(step, given, threads)


def compiled(model: SpikeGPT) -> Callable:
    """The step of one stream, compiled; called as `model.step`."""
    token = torch.zeros(1, dtype=torch.int64)
    with torch.no_grad():
        _, state = model.step(token)
        names = sorted(state)
        program = torch.export.export(Step(model, names), (token, *(state[name] for name in names)))
    fast = torch.compile(program.module())
    start = {name: torch.zeros_like(value) for name, value in state.items()}

    def step(token: torch.Tensor, held: dict[str, torch.Tensor] | None) -> tuple:
        logits, *new = fast(token, *((held or start)[name] for name in names))
        return logits, dict(zip(names, new, strict=True))

    return step


def steps(step: Callable, tokens: list[torch.Tensor], threads: int) -> None:
    torch.set_num_threads(threads)
    state = None
    with torch.inference_mode():
        for token in tokens:
            _, state = step(token, state)


def known_text(model: SpikeGPT, tokens: np.ndarray, folder: Path) -> Iterator[tuple[str, int, int, Run]]:
    """(engine, threads, tokens, a run of so many)."""
    batch = torch.from_numpy(np.resize(tokens, (STRETCHES, LENGTH)))

    def parallel(threads: int) -> None:
        torch.set_num_threads(threads)
        with torch.inference_mode():
            model(batch)

    for threads in THREADS:
        yield "PyTorch's parallel forward", threads, batch.numel(), lambda n=threads: parallel(n)
        session = Session(folder / "sequence.onnx", folder / "state.json", threads)
        text = tokens[None, :FEW]
        yield "onnxruntime, whole text", threads, FEW, lambda s=session, text=text: s.run("tokens", [text])


def contenders(model: SpikeGPT, tokens: np.ndarray) -> Iterator[tuple[str, str, int, int, Run]]:
    """(use, engine, threads, tokens, run), warm; the use is "token by token" or "known text"."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for engine, threads, run in token_by_token(model, tokens, folder):
            run()
            yield "token by token", engine, threads, FEW, run
        for engine, threads, n, run in known_text(model, tokens, folder):
            run()
            yield "known text", engine, threads, n, run
