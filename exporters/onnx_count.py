"""The layers of an ONNX model over a run, node by node, by the definitions of `hw_sim.counts.layers`.

Structure is read off the operators: what compares gives spikes, what only moves them keeps them, what adds them up
gives graded values. Weights are initialisers and what is made of nothing else.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper

from hw_sim.counts import layers as of
from hw_sim.counts.layers import GRADED, INPUT, REAL, SPIKES, LayerCount, LayerCounts
from hw_sim.counts.networks import UNSEEN, unseen
from hw_sim.graph.to_plan import SPARSE
from spikegpt.errors import UserError

PRODUCTS = ("MatMul", "Gemm", "MatMulInteger", "Conv", "ConvTranspose")
REFUSED = ("Loop", "Scan", "If", "RNN", "LSTM", "GRU", "Einsum", "Attention", "QLinearConv", "QLinearMatMul",
           "ConvInteger", "MultiHeadAttention", "DeformConv", "SequenceMap")  # fmt: skip
COMPARE = ("Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal", "Not", "And", "Or", "Xor")
MOVE = ("Identity", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Split", "Concat", "Gather",
        "MaxPool", "Expand", "Cast", "Pad", "Tile", "Dropout", "GlobalMaxPool", "Relu")  # fmt: skip
ADD_UP = ("AveragePool", "GlobalAveragePool", "ReduceSum", "ReduceMean", "Add", "Sum")
ELEMENTWISE = {
    "Mul": ("mul",), "Add": ("add",), "Sub": ("add",), "Div": ("div",), "Neg": ("add",), "Exp": ("exp",),
    "Sigmoid": ("exp", "add", "div"), "Relu": ("cmp",), "Greater": ("cmp",), "GreaterOrEqual": ("cmp",),
    "Less": ("cmp",), "LessOrEqual": ("cmp",), "Where": ("cmp",), "Max": ("cmp",), "Min": ("cmp",), "Sqrt": ("sqrt",),
    "Sum": ("add",), "BatchNormalization": ("mul", "add"), "Pow": ("mul",), "Clip": ("cmp", "cmp"),
    "LayerNormalization": ("add", "mul", "add", "add", "mul", "mul", "add"),
}  # fmt: skip


def count_onnx(
    path: Path,
    inputs: dict[str, np.ndarray] | None,
    steps: int | None = None,
    spike_input: bool = False,
    progress: Callable[[int], None] = lambda done: None,
) -> LayerCounts:
    """Count a model on inputs by name; None: by structure alone, free dimensions taken as 1.

    `steps`: the inputs have a leading time dimension, and the model runs once a step; what it puts out as present_X
    comes back as past_X, from zeros or the initial value in the state.json
    beside it. Raises UserError where the file is no ONNX model, an input is missing, and for operators that are not
    counted, by name.
    """
    from onnx.reference import ReferenceEvaluator

    model = _load(path)
    refused = [node for node in model.graph.node if node.op_type in REFUSED]
    if refused:
        named = ", ".join(f"{node.name or node.output[0]!r} ({node.op_type})" for node in refused[:8])
        raise UserError(
            f"{path}: not counted, as operations inside are hidden or the operator is unknown here: {named}"
        )
    counter = _Counter(model, spike_input)
    feeds = _first(path, model, inputs, steps)
    exposed = sorted(counter.wanted - {o.name for o in model.graph.output} - feeds.keys())
    model.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in exposed)
    names = [o.name for o in model.graph.output]
    session = ReferenceEvaluator(model)
    for t in range(steps or 1):
        now = {k: v[t] if steps and inputs and k in inputs else v for k, v in feeds.items()}
        try:
            found = dict(zip(names, session.run(None, now), strict=True))
        except Exception as error:  # whatever numpy says of shapes that do not meet
            raise UserError(f"{path}: does not run on these inputs: {' '.join(str(error).split())[:200]}") from error
        counter.step({**now, **found})
        feeds |= {f"past_{k[8:]}": v for k, v in found.items() if k.startswith("present_")}
        progress(1)
    layers = tuple(counter.layers.values())
    seen = inputs is not None
    return LayerCounts(
        layers if seen else tuple(map(unseen, layers)), steps or 1, notes=counter.notes() if seen else (UNSEEN,)
    )


def input_names(path: Path) -> list[str]:
    """The inputs of a model that its file does not fill, states last."""
    model = _load(path)
    held = {tensor.name for tensor in model.graph.initializer}
    return sorted((v.name for v in model.graph.input if v.name not in held), key=lambda n: n.startswith("past_"))


def _load(path: Path) -> Any:
    try:
        model = onnx.load(str(path))
        onnx.checker.check_model(str(path))
    except Exception as error:  # protobuf, onnx and what a damaged file leads to
        raise UserError(f"{path}: not a readable ONNX model: {' '.join(str(error).split())[:200]}") from error
    return model


def _first(path: Path, model: Any, inputs: dict[str, np.ndarray] | None, steps: int | None) -> dict[str, np.ndarray]:
    """What the first run is fed. Raises UserError where an input is missing or has other dimensions."""
    beside = path.with_name(path.name.replace("model", "state", 1)).with_suffix(".json")
    initial: dict[str, float] = {}
    if beside != path and beside.is_file():
        held = json.loads(beside.read_text(encoding="utf-8"))
        initial = {state["past"]: float(state["initial"]) for state in held.get("states", ())}
    constants = {tensor.name for tensor in model.graph.initializer}
    feeds = {}
    for value in model.graph.input:
        if value.name in constants:
            continue
        kind = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        shape = [d.dim_value or 1 for d in value.type.tensor_type.shape.dim]
        if inputs is not None and value.name in inputs:
            given = np.asarray(inputs[value.name]).astype(kind)
            if given.ndim - bool(steps) != len(shape):
                raise UserError(
                    f"{path}: input {value.name!r} has {len(shape)} dimensions; the data have {given.shape}"
                )
            feeds[value.name] = given
        elif inputs is None or value.name.startswith("past_"):
            feeds[value.name] = np.full(shape, initial.get(value.name, 0), kind)
        else:
            raise UserError(f"{path}: input {value.name!r} is missing in the data, which hold {', '.join(inputs)}")
    return feeds


class _Counter:
    """The layers so far, and what structure makes of every value of the graph."""

    def __init__(self, model: Any, spike_input: bool):
        self.nodes, self.layers = list(model.graph.node), {}
        self.constants = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
        self.weights = set(self.constants)
        self.structure = {
            value.name: SPIKES if spike_input else INPUT
            for value in model.graph.input
            if value.name not in self.weights and not value.name.startswith("past_")
        }
        self.spike_input, self.by_values = spike_input, set[str]()
        self.wanted: set[str] = set()
        for node in self.nodes:
            self._place(node)
            self.wanted |= {name for name in [*node.input, node.output[0]] if name and name not in self.constants}
        self.layers = dict[int, LayerCount]()

    def _place(self, node: Any) -> None:
        given = [name for name in node.input if name]
        if node.op_type == "Constant" or (given and all(name in self.weights for name in given)):
            self.weights |= set(node.output)
            return
        read = {self.structure.get(name, REAL) for name in given if name not in self.weights}
        scaled = node.op_type in ("Mul", "Div") and len(read) == 1 and len(given) == 2
        made = REAL
        if node.op_type in COMPARE:
            made = SPIKES
        elif node.op_type in MOVE and len(read) == 1:
            (made,) = read
        elif (node.op_type in ADD_UP or scaled) and read <= {SPIKES, GRADED}:
            made = GRADED
        self.structure |= dict.fromkeys(node.output, made)

    def step(self, values: dict[str, np.ndarray]) -> None:
        """Count one run, with every value that was wanted."""
        values = {**self.constants, **values}
        for i, node in enumerate(self.nodes):
            if any(name not in self.weights for name in node.output):
                layer = self.layers.setdefault(i, LayerCount(node.name or node.output[0], node.op_type))
                if node.op_type in PRODUCTS:
                    self._product(layer, node, values)
                else:
                    self._elementwise(layer, node, values)

    def _product(self, layer: LayerCount, node: Any, values: dict[str, np.ndarray]) -> None:
        a, b = values[node.input[0]], values[node.input[1]]
        told = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        name = node.input[0]
        if node.op_type in ("Conv", "ConvTranspose"):
            if node.input[1] not in self.weights:
                raise UserError(f"node {layer.name!r}: a convolution whose kernel is no constant")
            work = _convolution(node.op_type, a, b, values[node.output[0]].shape[2:], told, layer.name)
        else:
            a = a.T if told.get("transA") else a
            b = b.T if told.get("transB") else b
            if node.input[0] in self.weights and node.input[1] not in self.weights:
                name, a, b = node.input[1], np.swapaxes(b, -1, -2), np.swapaxes(a, -1, -2)
            if node.input[0] in self.weights or node.input[1] in self.weights:
                work = of.matrix(a, b, self.structure.get(name) == SPIKES, SPARSE)
            else:
                work = of.product(a, b)
                name, a = min(
                    ((n, x) for n, x in zip(node.input, (a, b), strict=False)),
                    key=lambda item: [SPIKES, GRADED, INPUT, REAL].index(self.structure.get(item[0], REAL)),
                )
        structure = self.structure.get(name, REAL)
        if structure == INPUT:
            self.by_values.add(layer.name)
        look = of.verdict(a)
        if structure == SPIKES and self.spike_input and look not in (of.ZERO, of.BINARY):
            raise UserError(f"node {layer.name!r}: its inputs are not 0 and 1, so they are no spikes")
        layer.structure, layer.values = structure, of.join([layer.values or of.ZERO, look])
        layer.dense += work[0]
        layer.effective = (layer.effective or 0) + work[1]
        for key, n in of.split(structure, layer.values, layer.effective).items():
            setattr(layer, key, n)

    def _elementwise(self, layer: LayerCount, node: Any, values: dict[str, np.ndarray]) -> None:
        made = values[node.output[0]].size
        kinds = {"add": values[node.input[0]].size - made} if node.op_type.startswith(("AverageP", "Reduce")) else {}
        for kind in ELEMENTWISE.get(node.op_type, ()):
            kinds[kind] = kinds.get(kind, 0) + made
        for kind, n in kinds.items():
            layer.elementwise[kind] = layer.elementwise.get(kind, 0) + n
        if node.op_type in COMPARE:  # one neuron a value
            layer.updates += made
            layer.spikes = (layer.spikes or 0) + int(np.count_nonzero(values[node.output[0]]))

    def notes(self) -> tuple[str, ...]:
        if not self.by_values:
            return ()
        return (f"{', '.join(sorted(self.by_values))}: fed by the input itself, so values tell what it counts as",)


def _convolution(op: str, x: np.ndarray, w: np.ndarray, out: tuple, told: dict[str, Any], name: str) -> tuple[int, int]:
    space = w.ndim - 2
    if told.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        raise UserError(f"node {name!r}: auto_pad {told['auto_pad'].decode()}; name the pads in numbers")
    stride, dilation = (told.get(key, [1] * space) for key in ("strides", "dilations"))
    pads = told.get("pads", [0] * 2 * space)
    channels = w.shape[1] if op == "ConvTranspose" else w.shape[0] // told.get("group", 1)
    counted = of.transposed if op == "ConvTranspose" else of.convolution
    return counted(x, out, channels, w.shape[2:], stride, pads[:space], dilation)
