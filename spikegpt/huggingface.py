"""SpikeGPT as a model of Hugging Face's transformers: configuration, folders, `generate` with the recurrent state.

    import spikegpt
    from spikegpt.huggingface import wrap
    wrap(spikegpt.load("shipped:kjv")).save_pretrained("folder")

Importing this file registers the model: `AutoModelForCausalLM.from_pretrained("folder")` finds it.
The state takes the place of a cache of keys and values: its size does not grow with the text.
"""

from collections import defaultdict
from dataclasses import dataclass, fields
from typing import Any, cast

import torch
from torch import Tensor

from spikegpt.config import TRANSFORMER, Config
from spikegpt.errors import UserError
from spikegpt.model import SpikeGPT, State
from spikegpt.pretrained import MODEL_TYPE, texts_of
from spikegpt.streams import joined, selected, streams_of
from spikegpt.tokenizer import tokenizer_from_dict
from spikegpt.transformer import Transformer
from spikegpt.weights import dtype_of

LEAST = (5, 18)  # transformers before it leave the states of beams in their old order

try:
    import transformers
    from transformers import AutoConfig, AutoModelForCausalLM, GenerationMixin, PreTrainedConfig, PreTrainedModel
    from transformers.utils import ModelOutput
except ImportError as error:
    raise UserError(f'transformers is needed ({error}): pip install "spikegpt[hf]"') from error
if tuple(int(part) for part in transformers.__version__.split(".")[:2]) < LEAST:
    raise UserError(f'transformers {transformers.__version__} is too old: pip install --upgrade "spikegpt[hf]"')

IGNORED = -100  # a label that is not scored
PRECISIONS = (torch.float32, torch.float64)  # that the kernels compute in
UNKNOWN_OUTPUTS = ("output_hidden_states", "output_attentions")  # settings of a generation


class SpikeGPTConfig(PreTrainedConfig):
    """The fields of `spikegpt.Config`, and what else a checkpoint says of its model: `provenance` and `tokenizer`.

    Raises UserError when a value is out of range, and for the variant transformer.
    """

    model_type = MODEL_TYPE
    attribute_map = {  # noqa: RUF012
        "hidden_size": "n_embd",
        "num_hidden_layers": "n_layer",
        "max_position_embeddings": "ctx_len",
    }

    def __init__(self, tokenizer: dict[str, str] | None = None, provenance: dict | None = None, **values: Any) -> None:
        for field in fields(Config):
            setattr(self, field.name, values.pop(field.name, field.default))
        texts = texts_of({"tokenizer": tokenizer, "provenance": provenance})
        self.tokenizer, self.provenance = texts.tokenizer, texts.provenance
        super().__init__(**{"tie_word_embeddings": False, **values})
        if self.to_config().variant == TRANSFORMER:
            raise UserError(
                f"variant {TRANSFORMER!r} has no recurrent state: only models of the other variants are wrapped"
            )

    @classmethod
    def from_model(cls, model: SpikeGPT | Transformer) -> "SpikeGPTConfig":
        tokenizer = model.tokenizer.to_dict() if model.tokenizer else None
        return cls(tokenizer=tokenizer, provenance=model.provenance, **model.config.to_dict())

    def to_config(self) -> Config:
        return Config.from_dict({field.name: getattr(self, field.name) for field in fields(Config)})


@dataclass
class SpikeGPTOutput(ModelOutput):
    """Logits (B, T, V), the state behind the last token where it was asked for, and the mean loss in nats of labels."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    state: State | None = None


class SpikeGPTForCausalLM(PreTrainedModel, GenerationMixin):
    """A SpikeGPT, `.model`, behind the calls of transformers."""

    config_class = SpikeGPTConfig
    base_model_prefix = "model"
    main_input_name = "input_ids"
    _is_stateful = True  # a state cannot take tokens back: generation with an assistant is refused

    def __init__(self, config: SpikeGPTConfig, model: SpikeGPT | None = None):
        super().__init__(config)
        self.model = SpikeGPT(config.to_config()) if model is None else model
        if model is None:
            self.model.provenance = dict(config.provenance)
            if config.tokenizer:
                self.model.tokenizer = tokenizer_from_dict(config.tokenizer)
        self.post_init()

    @classmethod
    def from_pretrained(cls, *args: Any, output_loading_info: bool = False, **kwargs: Any) -> Any:
        """As of every model, in float32 unless `dtype` says else.

        Raises UserError where the file lacks a weight, which transformers would draw anew.
        """
        kwargs = {"dtype": torch.float32, **kwargs}
        model, told = cast(Any, super().from_pretrained(*args, output_loading_info=True, **kwargs))
        for fault in ("missing", "unexpected", "mismatched"):
            if told[f"{fault}_keys"]:
                raise UserError(
                    f"the weights do not fit the configuration: {sorted(told[f'{fault}_keys'])[0]} is {fault}"
                )
        return (model, told) if output_loading_info else model

    def _init_weights(self, module: torch.nn.Module) -> None:
        """SpikeGPT draws its own initial values as published; transformers would draw others over them."""

    def get_input_embeddings(self) -> torch.nn.Module:
        return self.model.emb

    def get_output_embeddings(self) -> torch.nn.Module:
        return self.model.head

    def resize_token_embeddings(self, *args: Any, **kwargs: Any) -> Any:
        raise UserError("the vocabulary of a SpikeGPT is that of its tokenizer; train a model with another")

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        state: State | None = None,
        use_cache: bool | None = None,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> SpikeGPTOutput | tuple:
        """Tokens `input_ids` (B, T) after `state` -> logits (B, T, V), and with `use_cache` the state behind them.

        A zero of `attention_mask` (B, T or more, of which the last T count) is a pad, left or right of the text: it is
        not read, so that a text gives the logits it gives alone; those of pads are zero. `labels` (B, T) are
        `input_ids`, or -100 where nothing is scored; the loss is over every token with a token of its text before it.
        Raises UserError for pads inside a text, a text of pads alone, a state of another batch, and for arguments
        that mean nothing here (positions, embeddings, hidden states).
        """
        items = kwargs.pop("num_items_in_batch", None)
        foreign = [name for name, value in kwargs.items() if value is not None and value is not False]
        if foreign:
            raise not_taken(foreign[0])
        if self.dtype not in PRECISIONS:
            raise UserError(f"weights of {dtype_of(self.model.head.weight)}: spikes are made in float32 (`.float()`)")
        if state is not None and streams_of(state) != len(input_ids):
            raise UserError(f"a state of {streams_of(state)} texts in front of {len(input_ids)}")
        mask = None if attention_mask is None else mask_of(attention_mask, input_ids)
        logits, behind = self.model.run(input_ids, state) if mask is None else self._run_padded(input_ids, mask, state)
        loss = None
        if labels is not None:
            if mask is not None:
                labels = labels.masked_fill(~mask, IGNORED)
                labels[:, 1:].masked_fill_(~mask[:, :-1], IGNORED)  # a text's first token has none before it
            loss = self.loss_function(logits, labels, self.config.vocab_size, num_items_in_batch=items)
        kept = behind if (not self.training if use_cache is None else use_cache) else None
        if return_dict if return_dict is not None else self.config.return_dict:
            return SpikeGPTOutput(loss, cast(Any, logits), cast(Any, kept))
        return tuple(part for part in (loss, logits, kept) if part is not None)

    def _run_padded(self, tokens: Tensor, mask: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Logits and state of texts with pads around them: texts of one place and length run together."""
        alike: dict[tuple[int, int], list[int]] = defaultdict(list)
        for row, kept in enumerate(mask.tolist()):
            if True not in kept:
                raise UserError(f"text {row} is of pads alone")
            low, high = kept.index(True), len(kept) - kept[::-1].index(True)
            if not all(kept[low:high]):
                raise UserError(f"text {row} has pads inside; they may stand in front of a text or behind it")
            alike[low, high].append(row)
        logits = torch.zeros(*tokens.shape, self.config.vocab_size, device=tokens.device)
        parts = []
        for (low, high), rows in alike.items():
            before = None if state is None else selected(state, torch.tensor(rows, device=tokens.device))
            logits[rows, low:high], behind = self.model.run(tokens[rows, low:high], before)
            parts.append(behind)
        order = torch.tensor([row for rows in alike.values() for row in rows], device=tokens.device).argsort()
        return logits, selected(joined(parts), order)

    def _prepare_generation_config(self, *args: Any, **kwargs: Any) -> Any:
        """Raises UserError for outputs that `forward` refuses: `generate` would look for them in what it gives."""
        config, rest = cast(Any, super())._prepare_generation_config(*args, **kwargs)
        for name in UNKNOWN_OUTPUTS:
            if getattr(config, name, None):
                raise not_taken(name)
        return config, rest

    def prepare_inputs_for_generation(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        state: State | None = None,
        use_cache: bool | None = None,
        is_first_iteration: bool = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """The prompt at first, then the newest token after the state. Raises UserError for a prompt padded behind."""
        if is_first_iteration and attention_mask is not None and not attention_mask[:, -1].all():
            raise UserError(
                "a prompt is padded behind its text: pad in front of it (padding_side='left') to go on from it"
            )
        whole = state is None or is_first_iteration or use_cache is False  # then the state stays that of the caller
        read = input_ids if whole else input_ids[:, -1:]
        return {"input_ids": read, "attention_mask": attention_mask, "state": state, "use_cache": use_cache}

    def _update_model_kwargs_for_generation(self, outputs: ModelOutput, model_kwargs: dict, *args: Any, **kwargs: Any):
        if outputs.get("state") is not None:
            model_kwargs["state"] = outputs["state"]
        return super()._update_model_kwargs_for_generation(outputs, model_kwargs, *args, **kwargs)

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        return False  # the state is ours; transformers need not make a cache of keys and values

    @staticmethod
    def _reorder_cache(state: State, beam_idx: Tensor) -> State:
        """The states of the beams that go on (beam search)."""
        return selected(state, beam_idx)


def wrap(model: SpikeGPT | Transformer) -> SpikeGPTForCausalLM:
    """A model behind the calls of transformers, sharing its weights. Raises UserError for a Transformer.

    >>> import tempfile
    >>> import spikegpt
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     wrap(spikegpt.SpikeGPT(spikegpt.Config(n_layer=1, n_embd=8))).save_pretrained(folder)
    ...     again = spikegpt.load(folder)
    >>> again.config.n_embd, again.tokenizer
    (8, Bytes(vocab_size=256))
    """
    return SpikeGPTForCausalLM(SpikeGPTConfig.from_model(model), cast(SpikeGPT, model)).train(model.training)


def not_taken(name: str) -> UserError:
    return UserError(f"a SpikeGPT takes no {name}: tokens, a mask of pads, labels and the recurrent state")


def mask_of(attention_mask: Tensor, tokens: Tensor) -> Tensor | None:
    """Which of the tokens (B, T) are no pads, as booleans; None where none is. Raises UserError for another shape."""
    batch, length = tokens.shape
    if attention_mask.ndim != 2 or len(attention_mask) != batch or attention_mask.shape[1] < length:
        raise UserError(
            f"attention_mask of shape {tuple(attention_mask.shape)}: ({batch}, {length}) is needed, as the tokens have"
        )
    mask = attention_mask[:, -length:].bool()
    return None if bool(mask.all()) else mask


AutoConfig.register(MODEL_TYPE, SpikeGPTConfig, exist_ok=True)
AutoModelForCausalLM.register(SpikeGPTConfig, SpikeGPTForCausalLM, exist_ok=True)
