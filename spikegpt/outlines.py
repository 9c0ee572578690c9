"""What a checkpoint of ours says of itself, read without torch, whose import takes longer than all that is asked.

Only files that hold what they did when they were written are looked at: by our mark at their end, or by the checksums
of their records. The pickle inside is read by a machine that knows a tensor's shape and plain values, and nothing that
could run.
"""

import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

from spikegpt import files
from spikegpt.config import Config

FORMAT = "spikegpt-checkpoint-1"
LIMIT = 4 << 20  # bytes of a pickle
ALLOWED = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): lambda storage, offset, size, *rest: tuple(size),
    ("torch", "FloatStorage"): "float32",
    ("torch", "HalfStorage"): "float16",
}


class _Shapes(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} is not read")
        return ALLOWED[module, name]

    def persistent_load(self, pid: Any) -> None:
        return None


def outline(path: Path) -> dict[str, Any] | None:
    """Config (a dict), provenance and tokenizer of a checkpoint of ours; None where that takes a closer look."""
    try:
        if not path.is_file() or not zipfile.is_zipfile(path) or files.signature(path) is False:
            return None
        with zipfile.ZipFile(path) as archive:
            if any(r.compress_type != zipfile.ZIP_STORED or not r.CRC for r in archive.infolist() if r.file_size):
                return None
            if files.signature(path) is None and archive.testzip() is not None:
                return None
            (entry,) = [r for r in archive.infolist() if r.filename.endswith("data.pkl")]
            if entry.file_size > LIMIT:
                return None
            with archive.open(entry) as file:
                record = _Shapes(file).load()
        config = Config.from_dict(record["config"])
        sizes = [_numbers(shape) for shape in record["model"].values()]
        if record["format"] != FORMAT or sum(sizes) != config.n_parameters:
            return None
        return {"config": config, "provenance": dict(record["provenance"]), "tokenizer": record.get("tokenizer")}
    except Exception:  # whatever is wrong with it, the reader that knows all kinds of file says so
        return None


def _numbers(shape: tuple[int, ...]) -> int:
    found = 1
    for n in shape:
        found *= n
    return found
