"""JSON and YAML that strangers wrote, checked against a schema: bounded in size, depth and time, a line for any fault.

A schema is a type as msgspec knows them: a Struct, a dict, a list. YAML aliases are refused (a few lines of them unfold
to gigabytes), and so is whatever is no regular file (a FIFO would hang).
"""

import math
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from spikegpt.errors import UserError
from spikegpt.kinds import require_file

LIMIT = 64 << 20  # bytes; the largest reports stay far below
YAML_LIMIT = 1 << 18  # bytes; its parser takes seconds for them
YAML = (".yaml", ".yml")

T = TypeVar("T")


class _Loader(yaml.SafeLoader):
    """A safe loader without aliases, dates, and numbers that are not finite: what JSON holds, in YAML's letters."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, pattern) for tag, pattern in known if tag != "tag:yaml.org,2002:timestamp"]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            line = self.peek_event().start_mark.line + 1
            raise yaml.YAMLError(f"line {line}: aliases (*name) are not read; write the value out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.YAMLError(f"line {key.start_mark.line + 1}: the key {key.value!r} stands twice")
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)

    def construct_yaml_float(self, node: Any) -> float:
        value = super().construct_yaml_float(node)
        if not math.isfinite(value):
            raise yaml.YAMLError(f"line {node.start_mark.line + 1}: {node.value} is no finite number")
        return value


_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_yaml_float)


def read_document(path: Path, schema: type[T], what: str = "") -> T:
    """The document in a file, YAML where its name ends so, else JSON.

    Raises UserError naming the place of a fault, and `what` was expected, as in "a mapping.json".
    """
    try:
        text, is_yaml = _contents(path), path.suffix in YAML
        if not text.strip():
            raise UserError(f"{path}: the file is empty")
        return parse_document(text, str(path), schema, is_yaml=is_yaml)
    except UserError as error:
        raise UserError(f"{error}; {what} is expected" if what else error) from error


def _contents(path: Path) -> bytes:
    """The bytes of a document. Raises UserError for what is no file, cannot be read, or is longer than any document."""
    require_file(path)
    limit = YAML_LIMIT if path.suffix in YAML else LIMIT
    try:
        with path.open("rb") as file:
            text = file.read(limit + 1)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from error
    if len(text) > limit:
        raise UserError(f"{path}: more than {limit:,} bytes, no such document is that long")
    return text


def parse_document(text: bytes, where: str, schema: type[T], *, is_yaml: bool = False) -> T:
    """The document in `text`; `where` names it in errors. Raises UserError."""
    try:
        if not is_yaml:
            return msgspec.json.decode(text, type=schema)
        return msgspec.convert(yaml.load(text, _Loader), schema)
    except msgspec.ValidationError as error:
        raise UserError(f"{where}: {_sentence(error)}") from error
    except RecursionError as error:
        raise UserError(f"{where}: nested too deeply") from error
    except (msgspec.MsgspecError, yaml.YAMLError, ValueError, TypeError, KeyError, OverflowError) as error:
        raise UserError(f"{where}: not {'YAML' if is_yaml else 'JSON'}: {_sentence(error)}") from error


def _sentence(error: Exception) -> str:
    """What a library says, on one line."""
    return " ".join(str(error).split())
