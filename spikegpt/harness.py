"""SpikeGPT in EleutherAI's lm-evaluation-harness, as its model `spikegpt`.

    python -m spikegpt.harness --model spikegpt --model_args pretrained=shipped:kjv --tasks TASK

runs the harness' own command line with the model known to it. Texts are read one by one through the recurrent state,
in pieces of `evaluation.CHUNK` tokens as `evaluate` reads them: memory does not grow with a text, none is cut short,
and log-likelihoods are those of `spikegpt evaluate` in nats.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from spikegpt import calls, checkpoint
from spikegpt.errors import UserError
from spikegpt.evaluation import CHUNK, as_run
from spikegpt.generation import feed_of
from spikegpt.sampling import continue_text
from spikegpt.shipped import resolved

NEEDED = 'pip install "spikegpt[harness]"'
try:
    from lm_eval.api.model import TemplateLM
    from lm_eval.api.registry import register_model
except ImportError as error:
    if __name__ == "__main__":
        sys.exit(f"spikegpt: lm-eval is needed ({error}): {NEEDED}")
    raise UserError(f"lm-eval is needed ({error}): {NEEDED}") from error

LENGTHS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")  # the harness' names of one setting
SETTINGS = ("until", "do_sample", "temperature", "top_p", *LENGTHS)


@register_model("spikegpt")
class SpikeGPTLM(TemplateLM):
    """A checkpoint, as `spikegpt.load` takes it or `shipped:NAME`, that answers the harness' three kinds of request.

    SpikeGPT has no token that begins a text. `prefix_token_id` names one, read in front of texts without a context;
    without it the first token of such a text is given and not scored, as in `evaluate`, and a continuation of an empty
    context is refused. The harness' `batch_size` changes nothing: texts are read one by one.
    """

    def __init__(
        self,
        pretrained: str,
        tokenizer: str | None = None,
        variant: str | None = None,
        prefix_token_id: int | None = None,
        max_gen_toks: int = 256,
        seed: int = 0,
        device: str | None = None,
        batch_size: int | str | None = None,
        max_batch_size: int | None = None,
    ):
        super().__init__()
        self.model = checkpoint.load(resolved(pretrained), tokenizer=tokenizer, variant=variant).to(device or "cpu")
        self.text_tokenizer = calls.tokenizer_of(self.model)
        vocab = self.model.config.vocab_size
        if prefix_token_id is not None and not 0 <= prefix_token_id < vocab:
            raise UserError(f"prefix_token_id = {prefix_token_id}: the vocabulary holds 0 to {vocab - 1}")
        self.prefix, self.max_gen_toks, self.seed = prefix_token_id, max_gen_toks, seed
        self._read: tuple[list[int], Any] = ([], None)  # the last context, and the state behind it

    @property
    def eot_token_id(self) -> Any:
        return None

    @property
    def prefix_token_id(self) -> int:
        if self.prefix is None:
            raise UserError(
                "an empty context: this model knows no token that begins a text; name one: --model_args ..,"
                "prefix_token_id=N (10 is a new line for bytes)"
            )
        return self.prefix

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **kwargs: Any) -> list[int]:
        return self.text_tokenizer.encode(string.encode()).tolist()

    def _loglikelihood_tokens(self, requests: Sequence[tuple], **kwargs: Any) -> list[tuple[float, bool]]:
        """(nats, whether greedy) of each ((context, continuation), their tokens, ..); a context is read once if the
        next request has it too, as the choices of a question have."""
        found = []
        for asked, context, continuation in requests:
            before = context or [self.prefix_token_id]
            found.append(self._score([before[-1], *continuation[:-1]], continuation, self._behind(before[:-1])))
            self.cache_hook.add_partial("loglikelihood", asked, found[-1])
        return found

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
        """Nats of whole texts, each from an empty state."""
        found = []
        for (text,) in (request.args for request in requests):
            tokens = self.tok_encode(text)
            tokens = tokens if self.prefix is None else [self.prefix, *tokens]
            found.append(self._score(tokens[:-1], tokens[1:], None)[0])
            self.cache_hook.add_partial("loglikelihood_rolling", (text,), found[-1])
        return found

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """The text behind each context, up to the first of the strings `until`, greedy unless a temperature is named.

        Requests that sample are each drawn from a seed of its own. Raises UserError for settings that are not known
        here, and for an empty context.
        """
        found = []
        for number, (context, told) in enumerate(request.args for request in requests):
            stops, settings = settings_of(told, self.max_gen_toks)
            text = b""
            feed, seed = feed_of(self.model), self.seed + number
            for piece in continue_text(feed, self.text_tokenizer, context.encode(), seed=seed, **settings):
                text += piece.text
                if any(stop in text for stop in stops):
                    break
            end = min((at for at in map(text.find, stops) if at >= 0), default=len(text))
            found.append(text[:end].decode(errors="replace"))
            self.cache_hook.add_partial("generate_until", (context, told), found[-1])
        return found

    def _behind(self, tokens: list[int]) -> Any:
        """The state behind tokens, None where there are none."""
        if tokens != self._read[0]:
            state = None
            for low in range(0, len(tokens), CHUNK):
                _, state = self._run(tokens[low : low + CHUNK], state)
            self._read = (tokens, state)
        return self._read[1]

    def _run(self, tokens: list[int], state: Any) -> tuple[torch.Tensor, Any]:
        """Logits (T, V) and the new state."""
        with as_run(self.model):
            logits, state = self.model.run(torch.tensor([tokens], device=self.model.head.weight.device), state)
        return logits[0], state

    def _score(self, tokens: list[int], following: list[int], state: Any) -> tuple[float, bool]:
        """Nats of `following`, each behind the token in its place of `tokens` (both N), and whether each is the
        likeliest."""
        nats, greedy = 0.0, True
        for low in range(0, len(tokens), CHUNK):
            logits, state = self._run(tokens[low : low + CHUNK], state)
            due = torch.tensor(following[low : low + CHUNK], device=logits.device)
            nats += logits.double().log_softmax(-1).gather(-1, due[:, None]).sum().item()
            greedy = greedy and bool((logits.argmax(-1) == due).all())
        return nats, greedy


def settings_of(told: Mapping[str, Any], max_gen_toks: int) -> tuple[list[bytes], dict[str, Any]]:
    """The strings that end a text, and what `generate` takes, of a request's settings. Raises UserError for others."""
    foreign = [name for name, value in told.items() if name not in SETTINGS and value is not None]
    if foreign:
        raise UserError(f"generation setting {foreign[0]!r} is not one of {', '.join(SETTINGS)}")
    until = told.get("until") or []
    stops = [stop.encode() for stop in ([until] if isinstance(until, str) else until) if stop]
    sampled = told.get("do_sample", told.get("temperature") is not None)
    temperature = float(told.get("temperature", 1.0)) if sampled else 0.0
    count = next((told[name] for name in LENGTHS if told.get(name) is not None), max_gen_toks)
    return stops, {"count": int(count), "temperature": temperature, "top_p": float(told.get("top_p") or 1.0)}


def main() -> None:
    """The harness' command line."""
    try:
        from lm_eval.__main__ import cli_evaluate

        cli_evaluate()
    except ModuleNotFoundError as error:
        sys.exit(f"spikegpt: {error}: the harness' command line needs all that lm-eval requires: {NEEDED}")
    except UserError as error:
        sys.exit(f"spikegpt: {error}")


if __name__ == "__main__":
    main()
