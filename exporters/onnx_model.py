"""A NIR graph as ONNX, in standard operators: one token a call, or a whole text by Scan over the same step.

ONNX has no state, so each Delay, membrane and WKV sum is an input `past_<node>` and an output `present_<node>`;
`state.json` lists the pairs, their shapes and what they start from. The matrices keep their type (float32 or int8) and
lie in one file beside the two models, which share it. Spikes go through int8 matrices in integers (MatMulInteger).
Values inside a node are called NODE/WHAT: no node has a name with a "/", so that no two of them meet.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import nir
import numpy as np
import onnx
from onnx import TensorProto, helper

from hw_sim.graph.extensions import DT, WKV, LayerNorm, Multiply, Place, Sigmoid, SquaredReLU, memoryless
from hw_sim.graph.wiring import Wiring
from spikegpt import __version__
from spikegpt.config import WKV_START
from spikegpt.errors import UserError

OPSET, IR_VERSION = 18, 9  # read by onnxruntime from 1.16 on
INLINE = 1024  # bytes of a constant that may lie in the model itself
SLAB = 1 << 20  # values written at a time


def write_onnx(graph: nir.NIRGraph, folder: Path, suffix: str = "") -> dict:
    """Write model.onnx, sequence.onnx, weights.bin and state.json of a graph; returns what the manifest says.

    `suffix` goes behind the first part of every file name. Raises UserError naming a node that has no ONNX form.
    """
    weights = f"weights{suffix}.bin"
    with (folder / weights).open("wb") as file:
        step = _Step(Wiring(graph), weights, file)
        for name in step.wiring.order:
            step.add(name)
        step.finish()
    _save(folder / f"model{suffix}.onnx", step.nodes, step, "token", ["batch"])
    _save(folder / f"sequence{suffix}.onnx", [step.scan()], step, "tokens", ["batch", "tokens"])
    states = [
        {"past": f"past_{name}", "present": f"present_{name}", "shape": ["batch", width], "initial": initial}
        for name, (width, initial) in step.states.items()
    ]
    state = json.dumps({"dtype": "float32", "states": states}, indent=1) + "\n"
    (folder / f"state{suffix}.json").write_text(state, encoding="utf-8")
    return {"opset": OPSET, "states": len(states)}


class _Step:
    """The operators of one time step, the constants they read and the state they carry."""

    def __init__(self, wiring: Wiring, location: str, file):
        self.wiring, self.graph = wiring, wiring.graph
        self.location, self.file = location, file
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[TensorProto] = []
        self.states: dict[str, tuple[int, float]] = {}
        self.values: dict[str, str] = {}  # node -> ONNX value that holds its output
        (self.logits,) = [name for name, node in self.graph.nodes.items() if isinstance(node, nir.Output)]
        self.n_logits = int(self.graph.nodes[self.logits].output_type["output"][0])

    def emit(self, op: str, inputs: Sequence[str], output: str, **attributes) -> str:
        self.nodes.append(helper.make_node(op, list(inputs), [output], **attributes))
        return output

    def constant(self, name: str, array: np.ndarray) -> str:
        """Store a constant in its own type, float64 as float32."""
        array = array.astype(np.float32) if array.dtype == np.float64 else array
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        tensor = TensorProto(name=name, data_type=kind, dims=array.shape)
        if array.nbytes <= INLINE:
            tensor.raw_data = np.ascontiguousarray(array).tobytes()
        else:
            tensor.data_location = TensorProto.EXTERNAL
            for key, value in (("location", self.location), ("offset", self.file.tell()), ("length", array.nbytes)):
                tensor.external_data.add(key=key, value=str(value))
            rows = max(1, SLAB // max(1, array[0].size))
            for low in range(0, len(array), rows):
                np.ascontiguousarray(array[low : low + rows]).tofile(self.file)
        self.constants.append(tensor)
        return name

    def state(self, name: str, width: int, initial: float = 0.0) -> str:
        if name in self.states:
            raise UserError(f"node {name!r}: there are two states of this name; rename the node")
        self.states[name] = (width, initial)
        return f"past_{name}"

    def read(self, name: str) -> str:
        """The summed input of a node."""
        total, *others = (self.values[s] for s in self.wiring.sources[name])
        for i, value in enumerate(others):
            total = self.emit("Add", [total, value], f"{name}/in_{i}")
        return total

    def operands(self, name: str) -> tuple[str, str]:
        """The two operands of a node that reads them as one concatenated vector."""
        places = [(p, self.graph.nodes[p]) for p in self.wiring.sources[name]]
        if len(places) != 2 or not all(isinstance(node, Place) for _, node in places):
            raise UserError(f"node {name!r} needs two operands, each through a Place")
        (left, low), (right, high) = sorted(places, key=lambda item: int(item[1].offset[0]))
        n = int(low.shape[0])
        if (int(low.offset[0]), int(high.offset[0]), int(low.shape[1])) != (0, n, 2 * n):
            raise UserError(f"node {name!r}: its operands do not fill its input half by half")
        return self.read(left), self.read(right)

    def add(self, name: str) -> None:
        node = self.graph.nodes[name]
        if isinstance(node, nir.Input | Place):
            return
        if isinstance(node, nir.Delay):
            if not np.allclose(node.delay, DT, rtol=1e-6):
                raise UserError(f"node {name!r}: delays of {DT} s (one token) are supported, got {np.max(node.delay)}")
            self.values[name] = self.state(name, node.delay.size)
        elif isinstance(node, nir.Output):
            self.values[name] = self.emit("Identity", [self.read(name)], "logits")
        elif self.wiring.embeds(name):
            self.values[name] = self.emit("Gather", [self.constant(f"{name}/table", node.weight.T), "token"], own(name))
        elif isinstance(node, WKV):
            self.values[name] = self.wkv(name, node)
        elif isinstance(node, Multiply):
            self.values[name] = self.emit("Mul", self.operands(name), own(name))
        else:
            self.values[name] = self.unary(name, node, self.read(name))

    def unary(self, name: str, node: nir.NIRNode, x: str) -> str:
        if isinstance(node, nir.Linear):
            if node.weight.dtype == np.int8 and self.wiring.spike_fed(name):
                return self.integer(name, node.weight, x)
            weight = self.constant(f"{name}/weight", node.weight)
            if node.weight.dtype != np.float32:
                weight = self.emit("Cast", [weight], f"{name}/weight_float", to=TensorProto.FLOAT)
            return self.emit("Gemm", [x, weight], own(name), transB=1)
        if isinstance(node, nir.Scale):
            return (
                x
                if np.all(node.scale == 1)
                else self.emit("Mul", [x, self.constant(f"{name}/c", node.scale)], own(name))
            )
        if isinstance(node, nir.LIF):
            return self.lif(name, node, x)
        if isinstance(node, LayerNorm):
            constants = [self.constant(f"{name}/weight", node.weight), self.constant(f"{name}/bias", node.bias)]
            return self.emit("LayerNormalization", [x, *constants], own(name), axis=-1, epsilon=float(node.eps[0]))
        if isinstance(node, Sigmoid):
            return self.emit("Sigmoid", [x], own(name))
        if isinstance(node, SquaredReLU):
            positive = self.emit("Relu", [x], f"{name}/relu")
            return self.emit("Mul", [positive, positive], own(name))
        raise UserError(f"node {name!r} is a {type(node).__name__}, which has no ONNX form")

    def integer(self, name: str, weight: np.ndarray, x: str) -> str:
        """Spikes through int8 weights in integers: the sums are exact, as in the simulator."""
        spikes = self.emit("Cast", [x], f"{name}/spikes", to=TensorProto.UINT8)
        product = self.emit("MatMulInteger", [spikes, self.constant(f"{name}/weight", weight.T)], f"{name}/product")
        return self.emit("Cast", [product], own(name), to=TensorProto.FLOAT)

    def lif(self, name: str, node: nir.LIF, x: str) -> str:
        """v += (r x - v + v_leak) DT / tau, spikes at v > v_threshold, in the simulator's order of operations.

        Memoryless neurons have no state: they compare their input.
        """
        if memoryless(node):
            fires = self.emit("Greater", [x, self.constant(f"{name}/threshold", node.v_threshold)], f"{name}/fires")
            return self.emit("Cast", [fires], own(name), to=TensorProto.FLOAT)
        v = self.state(name, node.tau.size)
        if np.any(node.r != 1):
            x = self.emit("Mul", [self.constant(f"{name}/r", node.r), x], f"{name}/drive")
        change = self.emit("Sub", [x, v], f"{name}/change")
        if np.any(node.v_leak):
            change = self.emit("Add", [change, self.constant(f"{name}/leak", node.v_leak)], f"{name}/leaked")
        change = self.emit("Mul", [change, self.constant(f"{name}/rate", DT / node.tau)], f"{name}/step")
        u = self.emit("Add", [v, change], f"{name}/membrane")
        fires = self.emit("Greater", [u, self.constant(f"{name}/threshold", node.v_threshold)], f"{name}/fires")
        self.emit("Where", [fires, self.constant(f"{name}/reset", node.v_reset), u], f"present_{name}")
        return self.emit("Cast", [fires], own(name), to=TensorProto.FLOAT)

    def wkv(self, name: str, node: WKV) -> str:
        """The step of `extensions.WKV`, operator by operator."""
        k, v = self.operands(name)
        n = node.decay.size
        a, b = self.state(f"{name}_a", n), self.state(f"{name}_b", n)
        p = self.state(f"{name}_p", n, WKV_START)
        bonus, decay = self.constant(f"{name}/bonus", node.bonus), self.constant(f"{name}/decay", node.decay)

        def weigh(stage: str, past: str, new: str) -> tuple[str, str, str, str]:
            """(e1, e2, e1 a + e2 v, e1 b + e2) for the exponents of the past and of the new term, and their maximum."""
            q = self.emit("Max", [past, new], f"{name}/{stage}_q")
            e1, e2 = (
                self.emit("Exp", [self.emit("Sub", [e, q], f"{name}/{stage}_{i}_d")], f"{name}/{stage}_{i}_e")
                for i, e in enumerate((past, new))
            )
            top = [self.emit("Mul", pair, f"{name}/{stage}_{i}_v") for i, pair in enumerate(((e1, a), (e2, v)))]
            return q, e2, self.emit("Add", top, f"{name}/{stage}_a"), self.emit("Mul", [e1, b], f"{name}/{stage}_b")

        _, e2, top, low = weigh("out", p, self.emit("Add", [bonus, k], f"{name}/now"))
        y = self.emit("Div", [top, self.emit("Add", [low, e2], f"{name}/sum")], own(name))
        q, e2, top, low = weigh("next", self.emit("Add", [p, decay], f"{name}/decayed"), k)
        self.emit("Identity", [top], f"present_{name}_a")
        self.emit("Add", [low, e2], f"present_{name}_b")
        self.emit("Identity", [q], f"present_{name}_p")
        return y

    def finish(self) -> None:
        """Hand every Delay the value that it gives back at the next step."""
        for name, node in self.graph.nodes.items():
            if isinstance(node, nir.Delay):
                self.emit("Identity", [self.read(name)], f"present_{name}")

    def scan(self) -> onnx.NodeProto:
        """One Scan over tokens (B, T) whose body is the step; constants are read from the graph around it."""
        body = helper.make_graph(
            self.nodes,
            "step",
            [*self.state_values("past", ["batch"]), _value("token", TensorProto.INT64, ["batch"])],
            [*self.state_values("present", ["batch"]), _value("logits", TensorProto.FLOAT, ["batch", self.n_logits])],
        )
        past, present = ([f"{time}_{name}" for name in self.states] for time in ("past", "present"))
        return helper.make_node(
            "Scan", [*past, "tokens"], [*present, "logits"], body=body, num_scan_inputs=1,
            scan_input_axes=[1], scan_output_axes=[1],
        )  # fmt: skip

    def state_values(self, time: str, batch: list) -> list[onnx.ValueInfoProto]:
        return [_value(f"{time}_{name}", TensorProto.FLOAT, [*batch, n]) for name, (n, _) in self.states.items()]


def own(name: str) -> str:
    """What the output of a node is called: as the node, where nothing else of the model is."""
    taken = name in ("token", "tokens", "logits") or name.startswith(("past_", "present_"))
    return f"{name}/y" if taken else name


def _value(name: str, kind: int, shape: list) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def _save(path: Path, nodes: list[onnx.NodeProto], step: _Step, source: str, shape: list) -> None:
    graph = helper.make_graph(
        nodes,
        "spikegpt",
        [_value(source, TensorProto.INT64, shape), *step.state_values("past", ["batch"])],
        [_value("logits", TensorProto.FLOAT, [*shape, step.n_logits]), *step.state_values("present", ["batch"])],
        initializer=step.constants,
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="spikegpt",
        producer_version=__version__,
    )
    path.write_bytes(model.SerializeToString(deterministic=True))
