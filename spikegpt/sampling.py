"""A text continued token by token by whatever gives logits; needs numpy alone."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from spikegpt.errors import UserError
from spikegpt.tokenizer import Tokenizer

CONTEXT = 8  # tokens decoded together; DecodeStream of `tokenizers` gives up on byte tokens that make no UTF-8
INCOMPLETE = "\N{REPLACEMENT CHARACTER}".encode()


class TokenText(NamedTuple):
    """A token of a continuation, and the bytes that it adds to the text; they may come with a later one."""

    token: int
    text: bytes


def continue_text(
    feed: Callable[[np.ndarray], np.ndarray],
    tokenizer: Tokenizer,
    prompt: bytes,
    count: int,
    temperature: float = 0.8,
    top_p: float = 0.95,
    seed: int = 0,
) -> Iterator[TokenText]:
    """Yield `count` tokens after `prompt`, one by one, with their text.

    `feed` takes the next tokens (T,) of the stream and gives the logits (V,) after the last. Each token is sampled from
    the smallest set of probability `top_p` (Holtzman et al. 2019). Temperature 0 always takes the likeliest token.
    Raises UserError on an empty prompt.
    """
    tokens = tokenizer.encode(prompt).tolist()
    if not tokens:
        raise UserError("the prompt is empty; at least one token is needed")
    rng = np.random.default_rng(seed)
    logits = feed(np.array(tokens))
    shown, pending = tokens[-CONTEXT:], []  # a token may read differently behind others, or be part of a character
    for i in range(count):
        token = sample(logits.astype(np.float64)[: tokenizer.vocab_size], temperature, top_p, rng)
        pending.append(token)
        text = tokenizer.decode(np.array(shown + pending))
        if text.endswith(INCOMPLETE) and len(pending) < CONTEXT:
            yield TokenText(token, b"")
        else:
            yield TokenText(token, text[len(tokenizer.decode(np.array(shown))) :])
            shown, pending = (shown + pending)[-CONTEXT:], []
        if i + 1 < count:
            logits = feed(np.array([token]))


def sample(logits: np.ndarray, temperature: float, top_p: float, rng: np.random.Generator) -> int:
    """Draw one token from logits (V,). Raises UserError where they are no numbers."""
    if not np.isfinite(logits).all():
        raise UserError("the model gave numbers that are not finite: its weights are damaged, or too large for float32")
    if temperature == 0:
        return int(logits.argmax())
    p = np.exp((logits - logits.max()) / temperature)
    p /= p.sum()
    order = np.argsort(-p, kind="stable")
    keep = order[: int(np.searchsorted(np.cumsum(p[order]), top_p)) + 1]
    return int(rng.choice(keep, p=p[keep] / p[keep].sum()))
