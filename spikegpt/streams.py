"""What models take for tokens: tensors, arrays or lists, of one text or of several."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikegpt.errors import UserError


def as_streams(tokens: Any) -> tuple[Tensor, bool]:
    """Tokens of one text (T,) or several (B, T) as int64 (B, T), and whether it was one. Raises UserError else."""
    try:
        found = tokens if isinstance(tokens, Tensor) else torch.as_tensor(np.asarray(tokens))
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"tokens must be whole numbers (T,) or (B, T): {' '.join(str(error).split())}") from error
    whole = found.dtype not in (torch.bool,) and not found.is_floating_point() and not found.is_complex()
    if not whole or found.ndim not in (1, 2) or not found.numel():
        kind = str(found.dtype).removeprefix("torch.")
        raise UserError(f"tokens of shape {tuple(found.shape)} and {kind}: whole numbers (T,) or (B, T) are needed")
    return (found[None] if found.ndim == 1 else found).long(), found.ndim == 1
