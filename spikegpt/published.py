"""Checkpoints of the released code (github ridgerchu/SpikeGPT): a flat state dict, everything else inferred.

Not in such a file: the context length, the tokenizer, and whether the embedding is binarised. Training always
binarises; the released run-time binarises only for V = 77 (BookCorpus, characters) and feeds the raw embedding of the
V = 50277 models. That run-time also halves weights and activations every 6 layers, which changes the spikes of deeper
models (a fixed threshold does not scale along); this defect is not reproduced.
"""

from collections.abc import Mapping
from typing import TypeGuard

import torch

from spikegpt.config import CANONICAL, Config
from spikegpt.errors import UserError

BINARY_VOCAB = 77


def is_published(record: object) -> TypeGuard[Mapping[str, torch.Tensor]]:
    """Whether a loaded object looks like a state dict of the released code."""
    return isinstance(record, Mapping) and "emb.weight" in record and "blocks.0.ln0.weight" in record


def infer_config(weights: Mapping[str, torch.Tensor], binary_embedding: bool | str = "auto") -> Config:
    """Layers, width and vocabulary from shapes; `binary_embedding` "auto" follows the released run-time.

    Raises UserError when the shapes are not those of a SpikeGPT.
    """
    embedding = weights["emb.weight"]
    if getattr(embedding, "ndim", 0) != 2:
        raise UserError("emb.weight is not a matrix: not a SpikeGPT checkpoint")
    vocab, d = embedding.shape
    try:
        layers = 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("blocks."))
    except ValueError as error:
        raise UserError("the names of the blocks are not numbered: not a SpikeGPT checkpoint") from error
    binary = vocab == BINARY_VOCAB if binary_embedding == "auto" else bool(binary_embedding)
    return Config(vocab, layers, d, CANONICAL, binary_embedding=binary, lif_tau=2.0, ctx_len=1024)
