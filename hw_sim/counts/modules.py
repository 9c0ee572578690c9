"""`hw_sim.count`: what a torch module does on given inputs, counted from the operators that it runs.

Alone in hw_sim it imports torch, and nothing imports it before it is called. Operators are seen as torch dispatches
them, so functional products count as layers do; hooks say which module runs, and what neurons send.
"""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from hw_sim.counts import layers as of
from hw_sim.counts.layers import GRADED, INPUT, REAL, SPIKES, LayerCount, LayerCounts
from hw_sim.counts.operators import CARRY, ELEMENTWISE, IDLE, NEURONS, POOLS, SILENT, SUMS
from hw_sim.graph.to_plan import SPARSE
from spikegpt.errors import UserError


def count(
    module: Any,
    *inputs: Any,
    steps: int | None = None,
    samples: int = 1,
    spike_input: bool = False,
    run: Callable[[], Any] | None = None,
) -> LayerCounts:
    """Count what `module(*inputs)` does, exactly and layer by layer; the module's state moves on as by the call.

    `steps`: the inputs have a leading time dimension of this size and the module is called once a step, a state that it
    returns handed on to the next call (norse); without it, once. `samples` is how many the inputs hold, for the figures
    per sample. `spike_input` says that the inputs are events; else their values tell. `run` is called in place of the
    module, for those that need more than that. Raises UserError where inputs have not that many steps, and for torch
    operators with weights that are not known.
    """
    if steps is not None and any(len(x) != steps for x in inputs):
        raise UserError(f"inputs have {[len(x) for x in inputs]} steps; {steps} are to be counted")
    if samples < 1:
        raise UserError(f"samples = {samples}: at least one is needed")
    seen = _Seen(module, spike_input)
    with torch.no_grad(), ExitStack() as stack:
        seen.watch(module, stack)
        for x in inputs:
            if isinstance(x, torch.Tensor):
                seen.note(x, INPUT)
        stack.enter_context(seen)
        if run is not None:
            run()
        elif steps is None:
            module(*inputs)
        else:
            state: tuple = ()
            for t in range(steps):
                result = module(*(x[t] for x in inputs), *state)
                norse = type(module).__module__.startswith("norse")
                state = (result[1],) if norse and isinstance(result, tuple) else ()
    return LayerCounts(tuple(seen.layers.values()), steps or 1, samples, seen.notes())


class _Seen(TorchDispatchMode):
    """What was dispatched so far: the layers, and what structure makes of each piece of memory."""

    def __init__(self, module: torch.nn.Module, spike_input: bool):
        super().__init__()
        self.layers: dict[tuple, LayerCount] = {}
        self.spike_input = spike_input
        # By address; each entry keeps its tensor, as else the address could be given out again.
        self.known: dict[int, tuple[torch.Tensor, int, str]] = {}
        self.weights = {p.untyped_storage().data_ptr() for p in [*module.parameters(), *module.buffers()]}
        self.kept: list[torch.Tensor] = []  # copies of weights, whose addresses stay theirs
        self.inside: list[tuple[str, torch.nn.Module]] = []
        self.by_values: set[str] = set()
        self.uncounted: set[str] = set()

    def watch(self, module: torch.nn.Module, stack: ExitStack) -> None:
        for name, part in module.named_modules():
            before = part.register_forward_pre_hook(lambda m, _, name=name: self.inside.append((name, m)))
            after = part.register_forward_hook(lambda m, _, result: self.leave(m, result))
            stack.callback(before.remove)
            stack.callback(after.remove)

    def leave(self, module: torch.nn.Module, result: Any) -> None:
        name, _ = self.inside.pop()
        if not is_neuron(module) or any(is_neuron(m) for _, m in self.inside):
            return
        sent = result[0] if isinstance(result, tuple) else result
        layer = self.layer(name, type(module).__name__)
        layer.updates += sent.numel()
        if type(module).__name__ not in SILENT:
            values = self.array(sent)
            layer.spikes = (layer.spikes or 0) + int(np.count_nonzero(values))
            layer.values = of.join([layer.values or of.ZERO, of.verdict(values)])
            self.note(sent, SPIKES)

    def layer(self, name: str, kind: str, *more: Any) -> LayerCount:
        return self.layers.setdefault((name, kind, *more), LayerCount(name or "(root)", kind))

    def array(self, x: torch.Tensor) -> np.ndarray:
        with torch.utils._python_dispatch._disable_current_modes():
            x = x.detach().cpu()
            return (x.float() if x.dtype in (torch.bfloat16, torch.float16) else x).numpy()

    def note(self, x: torch.Tensor, structure: str) -> None:
        at = x.untyped_storage().data_ptr()
        if structure == REAL:
            self.known.pop(at, None)
        else:
            self.known[at] = (x, x._version, structure)

    def structure(self, x: torch.Tensor) -> str:
        """What feeds x; memory that was written since is real."""
        held = self.known.get(x.untyped_storage().data_ptr())
        return held[2] if held is not None and held[0]._version == held[1] else REAL

    def is_weight(self, x: Any) -> bool:
        return isinstance(x, torch.Tensor) and x.untyped_storage().data_ptr() in self.weights

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        operator = func._schema.name.removeprefix("aten::")
        name = operator.rstrip("_") if not operator.startswith("_") else operator
        tensors = [x for x in _flat(args) if isinstance(x, torch.Tensor)]
        before = [self.structure(x) for x in tensors]
        carried = [s for s, x in zip(before, tensors, strict=True) if x.is_floating_point() or x.dtype == torch.bool]
        weights = self.is_weight(tensors[0]) if tensors else False
        result = func(*args, **(kwargs or {}))
        self.operate(name, args, result, _told(func, args, kwargs or {}))
        made = [x for x in _flat((result,)) if isinstance(x, torch.Tensor)]
        if weights and name in CARRY:  # a transposed or copied weight is one still
            self.weights |= {x.untyped_storage().data_ptr() for x in made}
            self.kept += made
            return result
        if operator.endswith("_") and not operator.startswith("_"):
            return result
        structure = self.made(name, args, carried)
        for x in made:
            self.note(x, structure)
        return result

    def made(self, name: str, args: tuple, read: list[str]) -> str:
        """What structure makes of a result, by what was read."""
        if not read:
            return REAL
        same = read[0] if len(set(read)) == 1 else None
        if name in CARRY:
            return same or (GRADED if set(read) <= {SPIKES, GRADED} else REAL)
        scaled = name in ("mul", "div") and len(read) == 1 and not isinstance(args[1], torch.Tensor)
        if (name in SUMS or scaled) and set(read) <= {SPIKES, GRADED}:
            return GRADED
        return REAL

    def operate(self, name: str, args: tuple, result: Any, told: dict[str, Any]) -> None:
        """Count one operator."""
        if name in ("mm", "addmm", "linear", "bmm", "baddbmm", "mv", "addmv", "matmul"):
            a, b = args[1:3] if name.startswith(("add", "badd")) else args[:2]
            self.multiply(name, a, b)
        elif name in ("convolution", "_convolution", "conv1d", "conv2d", "conv3d"):
            self.convolve(args, result)
        elif "scaled_dot_product" in name:
            self.attend(told)
        elif name in ("embedding",):
            self.layer(self.here(), "embedding")
        elif not any(is_neuron(m) for _, m in self.inside):
            self.require_known(name, args, result)
            self.elementwise(name, args, result)

    def require_known(self, name: str, args: tuple, result: Any) -> None:
        """Raises UserError for an operator with weights that nobody here counts; others are noted."""
        if name in CARRY or name in SUMS or name in POOLS or name in ELEMENTWISE or name in IDLE:
            return
        if any(self.is_weight(x) and x.ndim > 1 for x in _flat(args)):
            raise UserError(
                f"{self.here() or 'the module'}: operator {name} has weights and is not known here, so its work would "
                f"be left out; write it in matrix products (an LSTM as a loop over LSTMCell)"
            )
        if all(any(isinstance(x, torch.Tensor) and x.is_floating_point() for x in _flat(v)) for v in (args, (result,))):
            self.uncounted.add(name)

    def here(self) -> str:
        return self.inside[-1][0] if self.inside else ""

    def kind(self, otherwise: str) -> str:
        leaf = self.inside and not list(self.inside[-1][1].children())
        return type(self.inside[-1][1]).__name__ if leaf else otherwise

    def multiply(self, name: str, a: torch.Tensor, b: torch.Tensor) -> None:
        if name == "linear":
            b = b.mT
        left, right = self.array(a), self.array(b)
        if self.is_weight(a) and not self.is_weight(b):
            a, b, left, right = b, a, np.swapaxes(right, -1, -2), np.swapaxes(left, -1, -2)
        if not self.is_weight(b) or right.ndim > 2:
            self.activations(left[:, None] if left.ndim == 1 else left, right[:, None] if right.ndim == 1 else right,
                             self.structure(a), self.structure(b))  # fmt: skip
            return
        right = right[:, None] if right.ndim == 1 else right
        structure = self.structure(a)
        work = of.matrix(left, right, structure == SPIKES, SPARSE)
        self.add(self.kind("matrix"), structure, of.verdict(left), work, right.shape)

    def activations(self, a: np.ndarray, b: np.ndarray, *structures: str) -> None:
        """A product of two activations: an accumulate where either is spikes, as a spike only lets the other pass."""
        values = [of.verdict(a), of.verdict(b)]
        best = min((0, 1), key=lambda i: (structures[i] != SPIKES, structures[i] != GRADED))
        self.add("product", structures[best], values[best], of.product(a, b), (a.shape[-2:], b.shape[-2:]))

    def attend(self, told: dict[str, Any]) -> None:
        """Fused attention: scores of queries and keys, then values weighed by them; none behind a mask."""
        q, k, v = (self.array(told[key]) for key in ("query", "key", "value"))
        mask = told.get("attn_mask")
        scores, weighing, shape = of.attention(
            q, k, v, None if mask is None else self.array(mask), causal=bool(told.get("is_causal"))
        )
        structures = [self.structure(told[key]) for key in ("query", "key", "value")]
        first = 0 if structures[0] == SPIKES else 1 if structures[1] == SPIKES else 0
        self.add("scores", structures[first], of.verdict((q, k)[first]), scores, shape)
        self.add("weighing", structures[2], of.verdict(v), weighing, shape)

    def convolve(self, args: tuple, result: torch.Tensor) -> None:
        x, weight, _, stride, padding, dilation, flipped, _, groups = args[:9]
        if not self.is_weight(weight):
            raise UserError(f"{self.here() or 'the module'}: a convolution whose kernel is no parameter")
        space = weight.ndim - 2
        geometry = [list(v) * space if len(v) == 1 else list(v) for v in (stride, padding, dilation)]
        values = self.array(x)
        channels = weight.shape[1] if flipped else weight.shape[0] // groups
        counted = of.transposed if flipped else of.convolution
        work = counted(values, result.shape[2:], channels, weight.shape[2:], *geometry)
        self.add(self.kind("convolution"), self.structure(x), of.verdict(values), work, tuple(weight.shape))

    def add(self, kind: str, structure: str, values: str, work: tuple[int, int], shape: tuple) -> None:
        if structure == INPUT and self.spike_input:
            if values not in (of.ZERO, of.BINARY):
                raise UserError(f"{self.here() or 'the module'}: its inputs are not 0 and 1, so they are no spikes")
            structure = SPIKES
        layer = self.layer(self.here(), kind, shape, structure)
        if structure == INPUT:
            self.by_values.add(layer.name)
        layer.structure = structure
        layer.values = of.join([layer.values or of.ZERO, values])
        layer.dense += work[0]
        # The verdict holds for the whole run, so it is drawn anew over all that was seen.
        layer.effective = (layer.effective or 0) + work[1]
        for key, n in of.split(structure, layer.values, layer.effective).items():
            setattr(layer, key, n)

    def elementwise(self, name: str, args: tuple, result: Any) -> None:
        made = result[0] if isinstance(result, tuple) else result
        if not isinstance(made, torch.Tensor) or not (made.is_floating_point() or made.dtype == torch.bool):
            return
        kinds: dict[str, int] = {}
        if name in POOLS:
            kinds = {"add": max(0, args[0].numel() - made.numel())}
            if name != "sum":
                kinds["mul"] = made.numel()
        elif name.startswith("max_pool"):
            kinds = {"cmp": args[0].numel() - made.numel()}
        for kind in ELEMENTWISE.get(name, ()):
            kinds[kind] = kinds.get(kind, 0) + made.numel()
        if kinds:
            held = self.layer(self.here(), self.kind("element-wise")).elementwise
            for kind, n in kinds.items():
                held[kind] = held.get(kind, 0) + n

    def notes(self) -> tuple[str, ...]:
        found = []
        if self.by_values:
            named = ", ".join(sorted(self.by_values))
            found.append(f"{named}: fed by the input itself, so values tell what it counts as")
        if self.uncounted:
            found.append(f"not counted, as what they take is not known here: {', '.join(sorted(self.uncounted))}")
        return tuple(found)


def _told(func: Any, args: tuple, kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of an operator by name."""
    return {a.name: value for a, value in zip(func._schema.arguments, args, strict=False)} | kwargs


def is_neuron(module: torch.nn.Module) -> bool:
    """Whether a module is a neuron of a package that is known."""
    return any(c.__name__ in NEURONS.get(c.__module__.split(".")[0], ()) for c in type(module).__mro__)


def _flat(values: Any) -> list[Any]:
    found: list[Any] = []
    for value in values:
        found += _flat(value) if isinstance(value, list | tuple) else [value]
    return found
