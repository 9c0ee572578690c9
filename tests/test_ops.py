"""Every operation, alone: the compiled loops are its numpy steps, and what it says of itself is what it does."""

from math import prod

import numpy as np
import pytest

from hw_sim.plan import FIELDS, OPERATIONS, Op, Plan, Row
from hw_sim.plan import fixed_point as fp
from hw_sim.plan.interpreter import Interpreter
from hw_sim.plan.ops.spatial import Geometry
from hw_sim.run.pipeline import run_rows

N_IN, N_OUT, TOKENS = 12, 12, 5
X, Z, Y, SPARE = 3, 20, 40, 60  # where the vectors lie; nothing else may be touched


# Operations, and their marks.
MARKED = [(op, 0) for op in Op] + [(Op.LIF, 1), (Op.LAYER_NORM, 1), (Op.EVENTS, 1), (Op.LI, 1), (Op.DELAY_READ, 3),
                                   (Op.DELAY_WRITE, 3), (Op.POOL, 1)]  # fmt: skip
NUMBERS = {"int8": True, "float32": False}
# 3 maps of 2 x 2 under a kernel of 3 x 3: as wide before as after.
WINDOW = {
    Op.CONV: Geometry(3, 2, 2, 3, 2, 2, 3, 3, 1, 1, 1, 1, 1, 1, 1),
    Op.CONV_EVENTS: Geometry(3, 2, 2, 3, 2, 2, 3, 3, 1, 1, 1, 1, 1, 1, 3),
    Op.POOL: Geometry(3, 2, 2, 3, 2, 2, 3, 3, 1, 1, 1, 1, 1, 1, 3),
}


def exists(op: Op, mark: int, integer: bool) -> bool:
    """Whether there is such a row in a plan of these numbers: means are taken in floats alone."""
    return not integer or (OPERATIONS[op].whole and (op, mark) != (Op.POOL, 1))


def one_row(op: Op, integer: bool, mark: int = 0, seed: int = 0) -> Plan:
    """A plan of one operation with random numbers of plausible size for whatever it asks for."""
    operation, rng = OPERATIONS[op], np.random.default_rng(seed)
    row = Row(op, X, Y, N_IN, N_OUT, 0, 0, 0, 0, 3 if op == Op.SCALE else mark, Z)
    n_constants = sum(map(prod, operation.parameters(row, integer)))
    n_state = operation.vectors(row) * N_OUT
    kinds = (np.int8, np.int32, np.int64) if integer else (np.float32,) * 3
    constants = rng.uniform(0.1, 1, n_constants) * (4000 if integer else 1)
    if op in WINDOW:
        constants[: len(WINDOW[op])] = WINDOW[op]
    if op == Op.DELAY_READ and mark:
        constants = rng.integers(1, mark + 1, n_constants)
    state = rng.uniform(0.1, 1, n_state) * ((1 << 17) if integer else 1)
    weights = rng.integers(-127, 128, operation.weights(row, constants)) / (1 if integer else 127)
    buffers = (values.astype(kind) for values, kind in zip((weights, constants, state), kinds, strict=True))
    return Plan(("node",), np.array([row], np.int64), *buffers, SPARE + 8, N_OUT, N_IN, integer)


def random_signals(plan: Plan, rng: np.random.Generator) -> np.ndarray:
    spikes = plan.operation(0).listens
    values = rng.integers(0, 2, plan.n_signals) if spikes else rng.normal(size=plan.n_signals)
    return (values * (fp.ONE if plan.integer else 1)).astype(plan.state.dtype)


def interpreted(plan: Plan, signals: np.ndarray, state: np.ndarray, token: int) -> Interpreter:
    slow = Interpreter(plan)
    slow.signals[:], slow.state[:] = signals, state
    slow.execute(0, token)
    return slow


def compiled(plan: Plan, signals: np.ndarray, state: np.ndarray, token: int) -> tuple[np.ndarray, ...]:
    """Signals, state, output, spikes and counters after one token."""
    x = signals[X : X + N_IN]
    events, lengths = np.zeros(N_OUT, np.int32), np.zeros(N_OUT + 1, np.int64)
    active = np.flatnonzero(x)
    events[: len(active)], lengths[0] = active, len(active)
    logits, raster = np.zeros((1, N_OUT), np.float32), np.zeros((1, N_OUT), np.uint8)
    counters = run_rows(
        plan, [0], state, signals, events, lengths, np.array([token]), logits, np.zeros(N_OUT, np.uint16), raster
    )
    return signals, state, logits[0], raster[0], counters[0]


@pytest.mark.parametrize(
    "op, mark, numbers",
    [(op, mark, n) for op, mark in MARKED for n, integer in NUMBERS.items() if exists(op, mark, integer)],
)
def test_the_compiled_loop_does_what_the_numpy_step_does(op, mark, numbers):
    integer = NUMBERS[numbers]
    plan, rng = one_row(op, integer, mark), np.random.default_rng(1)
    if mark and integer and op == Op.LIF:
        plan.constants[:N_OUT] = 1 << fp.DECAY_BITS
    state, theirs_state = plan.state.copy(), plan.state.copy()
    for token in range(TOKENS):
        signals = random_signals(plan, rng)
        slow = interpreted(plan, signals, state, token)
        ours, theirs_state, logits, spikes, _ = compiled(plan, signals.copy(), theirs_state, token)
        state = slow.state
        close = np.array_equal if integer else lambda a, b: np.allclose(a, b, rtol=1e-5, atol=1e-6)
        assert close(ours, slow.signals)
        assert close(theirs_state, state)
        assert np.array_equal(spikes, slow.spikes)
        if slow.output is not None:
            assert np.array_equal(logits, (slow.output / (fp.ONE if integer else 1)).astype(np.float32))


@pytest.mark.parametrize(
    "op, numbers", [(op, n) for op in Op for n, integer in NUMBERS.items() if exists(op, 0, integer)]
)
def test_an_operation_touches_and_reads_what_it_says(op, numbers):
    """A signal or state that it does not name has no influence, one that it names has; nothing else is written."""
    integer = NUMBERS[numbers]
    plan, operation, rng = one_row(op, integer), OPERATIONS[op], np.random.default_rng(2)
    signals = random_signals(plan, rng)

    def outcome(signals: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, ...]:
        after = interpreted(plan, signals, state, 3)
        nothing = np.zeros(0)
        return after.signals[Y : Y + N_OUT], after.state, nothing if after.output is None else after.output

    def differs(a: tuple[np.ndarray, ...], b: tuple[np.ndarray, ...]) -> bool:
        return any(not np.array_equal(x, y) for x, y in zip(a, b, strict=True))

    before = outcome(signals, plan.state)
    for name, at, n in (("x", X, N_IN), ("z", Z, N_OUT), ("nothing", SPARE, 8)):
        changed = signals.copy()
        changed[at : at + n] = fp.ONE * integer + 1 - changed[at : at + n]
        assert differs(before, outcome(changed, plan.state)) == (name in operation.reads), name
    if operation.state_read:
        assert differs(before, outcome(signals, plan.state // 2 if integer else plan.state / 2))
    after = interpreted(plan, signals, plan.state, 3)
    assert (not np.array_equal(after.state, plan.state)) == (operation.state_written > 0)
    rest = np.delete(np.arange(plan.n_signals), np.s_[Y : Y + N_OUT])
    assert np.array_equal(after.signals[rest], signals[rest])
    assert (not np.array_equal(after.signals, signals)) == operation.writes
    assert after.spikes.any() == operation.fires


@pytest.mark.parametrize("op", [op for op, operation in OPERATIONS.items() if operation.writes and operation.whole])
def test_no_integer_leaves_the_reach_of_its_operation(op):
    plan, operation = one_row(op, True), OPERATIONS[op]
    rng, largest = np.random.default_rng(3), 0
    slow = Interpreter(plan)
    limit = fp.ONE if operation.listens else 3 * fp.ONE
    if operation.reads:
        slow.state[:] = (
            np.clip(slow.state, -limit, limit) if operation.state_written < 3 else [0] * 24 + [fp.WKV_START] * 12
        )
    for token in range(40):
        signals = (
            rng.integers(0, 2, plan.n_signals) * limit
            if operation.listens
            else rng.integers(-limit, limit + 1, plan.n_signals)
        )
        slow.signals[:] = signals
        slow.execute(0, token % N_IN)
        largest = max(largest, int(np.abs(slow.signals[Y : Y + N_OUT]).max()))
    inputs = [limit if operation.reads else int(np.abs(plan.state).max(initial=0)), limit][
        : max(1, len(operation.reads))
    ]
    assert 0 < largest <= operation.reach(plan.given(0), *inputs)


def test_every_operation_has_a_place_in_the_table_of_operations():
    assert list(OPERATIONS) == list(Op)
    assert FIELDS[0] == "op"
