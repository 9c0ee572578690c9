"""How a stage of the pipeline takes a token's signals from the stage before it and gives them to the next.

`done[k * STRIDE]` is how many tokens stage k has finished; it is the only thing two threads touch at once. Boxes hold
the signals of BOX tokens, so that no stage waits for the other's every token.
"""

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

BOX = 8  # tokens between two stages
STRIDE = 16  # words: each counter has cache lines of its own
SPINS = 1 << 12  # looks before the core is offered to others

_sched_yield = types.ExternalFunction("sched_yield", types.intc())


@intrinsic
def _look(typing, array, at):
    """Read array[at] atomically: what was written before it was set is seen after."""

    def codegen(context, builder, signature, args):
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.load_atomic(builder.gep(data, [args[1]]), "acquire", 8)

    return types.int64(array, types.int64), codegen


@intrinsic
def _set(typing, array, at, value):
    """Write array[at] atomically."""

    def codegen(context, builder, signature, args):
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        builder.store_atomic(args[2], builder.gep(data, [args[1]]), "release", 8)
        return ir.Constant(ir.IntType(64), 0)

    return types.int64(array, types.int64, types.int64), codegen


@njit(cache=True, nogil=True)
def _wait(done, stage, tokens):
    """Wait until `stage` has finished so many tokens."""
    spins = 0
    while _look(done, np.int64(stage * STRIDE)) < tokens:
        spins += 1
        if spins % SPINS == 0:
            _sched_yield()


@njit(cache=True, nogil=True)
def put(target, at, source):
    """target[at : at + source.size] = source, without what numba compiles for shapes that may not meet: seconds."""
    for j in range(source.size):
        target[at + j] = source[j]


@njit(cache=True, nogil=True)
def widest(table):
    """The longest vector that a row of the table reads or leaves."""
    found = 0
    for i in range(table.shape[0]):
        found = max(found, table[i, 3], table[i, 4])
    return found


@njit(cache=True, nogil=True)
def take(stage, done, t, incoming, inbox, signals):
    """Fetch the signals at `incoming` (n, 2), pairs of start and length, of token t."""
    if incoming.shape[0] == 0:
        return
    _wait(done, stage - 1, t + 1)
    at = 0
    for span in range(incoming.shape[0]):
        start, n = incoming[span, 0], incoming[span, 1]
        put(signals, start, inbox[t % BOX, at : at + n])
        at += n


@njit(cache=True, nogil=True)
def give(stage, done, t, outgoing, outbox, signals):
    """Leave the signals at `outgoing` for the next stage, once it has finished the token whose place they take."""
    if outgoing.shape[0]:
        _wait(done, stage + 1, t - BOX + 1)
        at = 0
        for span in range(outgoing.shape[0]):
            start, n = outgoing[span, 0], outgoing[span, 1]
            put(outbox[t % BOX], at, signals[start : start + n])
            at += n
    _set(done, np.int64(stage * STRIDE), np.int64(t + 1))
