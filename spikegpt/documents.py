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

LIMIT = 64 << 20  # bytes; the largest reports stay far below
YAML_LIMIT = 1 << 18  # bytes; its parser takes seconds for them

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


def read_document(path: Path, schema: type[T]) -> T:
    """The document in a file, YAML where its name ends so, else JSON. Raises UserError naming the place of a fault."""
    if path.is_dir() or (path.exists() and not path.is_file()):
        raise UserError(f"{path} is not a regular file")
    is_yaml = path.suffix in (".yaml", ".yml")
    try:
        with path.open("rb") as file:
            text = file.read(LIMIT + 1)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from error
    if len(text) > (YAML_LIMIT if is_yaml else LIMIT):
        raise UserError(f"{path}: more than {YAML_LIMIT if is_yaml else LIMIT:,} bytes, no such document is that long")
    return parse_document(text, str(path), schema, is_yaml=is_yaml)


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
