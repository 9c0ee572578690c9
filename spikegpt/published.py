"""State dicts without a configuration: the released code's (github ridgerchu/SpikeGPT), and what looks like them.

Not in such a file: the variant, the context length, the tokenizer, and whether the embedding is binarised. RWKV-4's
files have the same layout. Training always binarises; the released run-time feeds the raw embedding of its V = 50277
models alone. That run-time also halves weights and activations every 6 layers, which changes the spikes of deeper
models (a fixed threshold does not scale along); this defect is not reproduced.
"""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from spikegpt.config import CANONICAL, CONTINUOUS, RAW_VOCAB, SPIKE_DRIVEN, TRANSFORMER, Config, default_tau
from spikegpt.errors import UserError
from spikegpt.weights import require_float, tensors

EMBEDDING = "emb.weight"
WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}  # of torch, inside a name
COUNTERS = {"n_averaged"}  # that torch.optim.swa_utils keeps beside the weights
QUANTISED = "quantised weights need their scales, which are not read; save float ones"
OTHERS = (
    (r"(^|\.)embeddings\.weight$|\.attention\.(time_|key)|\.feed_forward\.", "a name of Hugging Face's RWKV"),
    (r"\.att\.(x_[rwkvag]|[wavg][012]|r_k|k_k|k_a)$", "a name of RWKV-7"),
    (r"\.att\.time_(maa|decay_w)", "a name of RWKV-6"),
    (r"\.att\.(time_faaaa|gate\.weight|ln_x\.(weight|bias)|time_mix_g)$", "a name of RWKV-5"),
    (r"_packed_params|\.scales?$|\.zero_points?$|\.q(weight|zeros)$|\.(absmax|quant_map|SCB|g_idx)", QUANTISED),
    (r"\.lora_[AB]|lora_(embedding|magnitude)", "an adapter (LoRA), which has to be merged into the weights first"),
    (r"\.parametrizations\.|\.weight_(g|v|orig|mask)$", "a parametrised weight, which has to be folded first"),
)


def find_state_dict(record: Any) -> dict[str, Tensor]:
    """The weights of a language model inside the wrappers, and behind the prefixes, that training frameworks leave.

    Raises UserError where there is none, more than one, or that of a model which this code is not.
    """
    found = {place: held for place, held in _mappings(record) if any(_is_embedding(name) for name in held)}
    if len(found) > 1:
        raise UserError(f"holds several models ({', '.join(sorted(found))}); save the one that is meant, alone")
    if not found:
        names = [name for name, _ in tensors(record)] if isinstance(record, Mapping | list | tuple) else []
        _refuse_others(names)
        first = f"{len(names)} tensors ({', '.join(names[:2])})" if names else "no tensors"
        raise UserError(f"it holds {first}, but no {EMBEDDING}: not a SpikeGPT checkpoint")
    (held,) = found.values()
    stripped: dict[str, Any] = {}
    for name, value in held.items():
        plain = ".".join(part for part in str(name).split(".") if part not in WRAPPERS)
        if plain in stripped:
            raise UserError(f"it holds {plain} twice")
        stripped[plain] = value
    prefixes = {name.removesuffix(EMBEDDING) for name in stripped if _is_embedding(name)}
    if len(prefixes) > 1:
        raise UserError(
            f"holds several models (behind {', '.join(sorted(prefixes))}); save the one that is meant, alone"
        )
    (prefix,) = prefixes
    weights = {name.removeprefix(prefix): value for name, value in stripped.items()}
    weights = {name: value for name, value in weights.items() if name not in COUNTERS}
    _refuse_others(weights)
    for name, value in weights.items():
        require_float(name, value)
    return weights


def infer_config(weights: Mapping[str, Tensor], variant: str | None, binary: bool | None) -> tuple[Config, str]:
    """Layers, width and vocabulary from names and shapes, the rest as named or else as the released training does it.

    Returns the configuration and what was taken for granted, in words. Raises UserError when the names and shapes are
    not those of a SpikeGPT.
    """
    vocab, d, layers = _sizes(weights)
    if variant is None:
        _refuse_unsaid(weights)
    taken, named = variant or CANONICAL, binary is not None
    binary = vocab != RAW_VOCAB if binary is None else binary
    context = len(weights["position.weight"]) if taken == TRANSFORMER and "position.weight" in weights else 1024
    config = Config(vocab, layers, d, taken, binary_embedding=binary, lif_tau=default_tau(taken), ctx_len=context)
    said = f"{taken}, {'binary' if binary else 'raw'} embedding"
    if taken in (CANONICAL, SPIKE_DRIVEN):
        said += f", time constant {config.lif_tau:g}, threshold {config.lif_threshold:g}"
    unsure = [] if variant else [f"--variant {CONTINUOUS} if it is RWKV-4's, which looks the same"]
    if taken == SPIKE_DRIVEN:
        unsure.append("its head is taken to read real numbers: a spiking head is known in files of spikegpt.save alone")
    if not named and taken != TRANSFORMER:
        other = "raw" if binary else "binary"
        why = "the released training binarises" if binary else f"the released models of {RAW_VOCAB:,} tokens are run so"
        unsure.append(f"--embedding {other} if it was made so ({why})")
    return config, f"a state dict without a configuration, taken as {said}" + "".join(f"; {text}" for text in unsure)


def _sizes(weights: Mapping[str, Tensor]) -> tuple[int, int, int]:
    """Vocabulary, width and number of layers."""
    embedding = weights[EMBEDDING]
    if embedding.ndim != 2 or not embedding.numel():
        raise UserError(f"{EMBEDDING} has shape {tuple(embedding.shape)}, not that of a matrix")
    numbers = {name.split(".")[1] for name in weights if name.startswith("blocks.")}
    if numbers != {str(i) for i in range(len(numbers))} or not numbers:
        raise UserError(f"its blocks are numbered {', '.join(sorted(numbers)[:8])}, not from 0: a part of a model")
    return *embedding.shape, len(numbers)


def _refuse_unsaid(weights: Mapping[str, Tensor]) -> None:
    """Raise UserError for a model that is not the released one, where nobody said which it is."""
    if "blocks.0.att.gain" in weights:
        raise UserError(
            "blocks.0.att.gain: a spike-driven state dict without its configuration; save it with spikegpt.save, or "
            "name --variant spike-driven (time constant 1, threshold 1)"
        )
    if "position.weight" in weights:
        raise UserError(
            "position.weight: a Transformer's state dict without its configuration; save it with spikegpt.save, or "
            "name --variant transformer"
        )


def _is_embedding(name: Any) -> bool:
    return isinstance(name, str) and (name == EMBEDDING or name.endswith(f".{EMBEDDING}"))


def _mappings(record: Any) -> list[tuple[str, Mapping]]:
    """A mapping and those inside it, down to four levels, by place; not those that are the same object."""
    found: dict[int, tuple[str, Mapping]] = {}
    level = [("", record)]
    for _ in range(4):
        level = [(place, value) for place, value in level if isinstance(value, Mapping) and id(value) not in found]
        found |= {id(value): (place, value) for place, value in level}
        level = [
            (f"{place}.{key}" if place else str(key), inner) for place, value in level for key, inner in value.items()
        ]
    return list(found.values())


def _refuse_others(names: Any) -> None:
    """Raise UserError for a name that tells of another model or of weights in another form."""
    for pattern, what in OTHERS:
        for name in names:
            if re.search(pattern, name):
                read = "" if "need" in what or "has to" in what else ": another model, which is not read"
                raise UserError(f"{name}: {what}{read}")
