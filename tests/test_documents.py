"""JSON and YAML of strangers: whatever they hold, a schema's value or one line that names file and place."""

import os
import time

import msgspec
import pytest

from spikegpt.documents import LIMIT, parse_document, read_document
from spikegpt.errors import UserError


class Prices(msgspec.Struct, forbid_unknown_fields=True):
    mac_j: float
    more: dict[str, int] = {}


BOMB = b"a: &a [x, x]\n" + b"".join(b"%c: &%c [*%c, *%c]\n" % (c + 1, c + 1, c, c) for c in range(97, 120))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"mac_j: x", r"\$\.mac_j"),
        (b"mac_j: true", r"\$\.mac_j"),
        (b"mac_j: 1\nmor: {}", "mor"),
        (b"mac_j: .nan", "line 1"),
        (b"mac_j: -.inf", "line 1"),
        (b"mac_j: 2024-01-01", r"\$\.mac_j"),
        (b"mac_j: " + b"9" * 10_000, "YAML"),
        (b"mac_j: &x 1\nmore: {a: *x}", "line 2: aliases"),
        (BOMB, "aliases"),
        (b"[" * 100_000, "nested"),
        (b"mac_j: \x00", "YAML"),
        (b"\xff\xfe\x00", "YAML"),
        (b"mac_j: !!python/object/apply:os.system [ls]", "YAML"),
        (b"? [1, 2]\n: 3", "YAML"),
        (b"? {a: 1}\n: 3", "YAML"),
        (b"", "null"),
    ],
)
def test_bad_yaml_is_one_line_that_names_the_place(text, said):
    started = time.process_time()
    with pytest.raises(UserError, match=said) as raised:
        parse_document(text, "f.yaml", Prices, is_yaml=True)
    assert str(raised.value).startswith("f.yaml: ")
    assert "\n" not in str(raised.value)
    assert time.process_time() - started < 10


@pytest.mark.parametrize(
    "text", [b'{"mac_j": NaN}', b'{"mac_j": 1e999}', b"{" * 9, b'{"mac_j"' * 99_999, b"[" * 99_999, b"\xff"]
)
def test_bad_json_is_one_line(text):
    with pytest.raises(UserError, match=r"^f\.json: [^\n]+$"):
        parse_document(text, "f.json", Prices)


def test_a_good_document_becomes_its_schema():
    assert parse_document(b"mac_j: 4.6e-12\nmore: {x: 1}", "f", Prices, is_yaml=True) == Prices(4.6e-12, {"x": 1})


def test_folders_pipes_and_endless_files_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    long = tmp_path / "long.json"
    with long.open("wb") as file:
        file.truncate(LIMIT + 1)
    for path in (tmp_path, tmp_path / "pipe.json", long, tmp_path / "absent.json"):
        with pytest.raises(UserError, match=path.name):
            read_document(path, Prices)
