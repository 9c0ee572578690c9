"""Forged JSON and YAML: valid documents in which a value, a key or the nesting is not what a reader expects."""

import copy
import json
from typing import Any

import numpy as np
import yaml

from tests.campaign.damage import Rng

DEEP = "a value nested very deeply goes here"
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 0.5, -0.0, 1e308, 1e-320, float("nan"), float("inf"), -float("inf"), 1 << 31, 1 << 63,
    -(1 << 63), 10**30, 10**400, "", " ", "x" * 100_000, "\x1b]0;title\x07\x1b[2J", "[red]x[/]", "[/x]",
    "<script>alert(1)</script>", "$\\frac{$", "|`*_#", "\u202eabc", "\ud800", "\x00", "../../../etc/passwd", "NaN",
    "1e5", "0x10", "2026-11-25", [], {}, [[]], [0] * 1000, {"a": None}, DEEP,
)  # fmt: skip
LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join(['*' + old] * 9)}]\n" for old, new in zip("abcdefghi", "bcdefghij", strict=True)
)
YAML_TRICKS = (
    LAUGHS, "a: &a [*a]\n", "<<: {a: 1}\n", "a: !!python/object/apply:os.system ['touch run-by-yaml']\n",
    "a: !!binary ////\n", "a: 2026-11-25\n", "a: 190:20:30\n", "a: 0x" + "f" * 5000 + "\n", "a: " + "9" * 5000 + "\n",
    "? [1, 2]\n: 3\n", "? {a: 1}\n: 3\n", "a: !!set {1, 2}\n", "%YAML 9.9\n---\na: 1\n", "---\na: 1\n---\nb: 2\n",
    "a: 1\na: 2\n", "\ta: 1\n", "a: .inf\nb: .nan\n", "- " * 3000 + "1\n", "{" * 5000,
)  # fmt: skip


def places(tree: Any, found: list | None = None) -> list[tuple[Any, Any]]:
    """Every (container, key) of a document."""
    found = [] if found is None else found
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        found.append((tree, key))
        places(value, found)
    return found


def alter(tree: Any, rng: Rng) -> Any:
    """The document with one to three things of it changed."""
    holder = {"": copy.deepcopy(tree)}
    for _ in range(rng.integers(1, 4)):
        known = places(holder[""]) or [(holder, "")]
        at, key = known[rng.integers(len(known))] if rng.integers(12) else (holder, "")
        change = rng.integers(8)
        if change < 3:
            at[key] = VALUES[rng.integers(len(VALUES))]
        elif change == 3 and at is not holder:
            del at[key]
        elif change == 4 and isinstance(at, dict) and at is not holder:
            name = VALUES[rng.integers(len(VALUES))]
            at[name if isinstance(name, str) else str(name)] = at.pop(key)
        elif change == 5:
            other, place = known[rng.integers(len(known))]
            at[key] = copy.deepcopy(other[place]) if other is not holder else None
        elif change == 6:
            at[key] = [at[key]] if rng.integers(2) else {"value": at[key]}
        elif isinstance(at[key], int | float) and not isinstance(at[key], bool) and abs(at[key]) < 1e300:
            at[key] = float(rng.choice([-at[key], at[key] * 1e6, at[key] + 0.5, at[key] / 7]))
        else:
            at[key] = str(at[key])
    return holder[""]


def deep(rng: Rng) -> str:
    depth = int(rng.choice([100, 1500, 100_000]))
    return ("[" * depth + "]" * depth) if rng.integers(2) else ('{"a":' * depth + "1" + "}" * depth)


def forge_json(data: bytes, rng: Rng) -> bytes:
    """A JSON document, or one line of several, altered."""
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    text = data.decode(encoding)
    lines = text.splitlines() if text.count("\n{") else [text]
    k = rng.integers(len(lines))
    if rng.integers(40) == 0:
        lines[k] = deep(rng)
    else:
        lines[k] = json.dumps(alter(json.loads(lines[k]), rng)).replace(json.dumps(DEEP), deep(rng))
    if rng.integers(40) == 0:
        return "\n".join(lines).encode(str(rng.choice(["utf-16", "utf-32", "utf-8-sig"])))
    return "\n".join(lines).encode(encoding)


def forge_yaml(data: bytes, rng: Rng) -> bytes:
    """A YAML document altered, or with one of its language's traps in it."""
    if rng.integers(6) == 0:
        return data + YAML_TRICKS[rng.integers(len(YAML_TRICKS))].encode()
    if rng.integers(12) == 0:
        return YAML_TRICKS[rng.integers(len(YAML_TRICKS))].encode()
    tree = alter(yaml.safe_load(data), rng)
    text = yaml.safe_dump(tree, sort_keys=False, width=1 << 30)
    return text.replace(DEEP, deep(rng)).encode("utf-8", "surrogatepass")


def forge_safetensors(data: bytes, rng: Rng) -> bytes:
    """The header altered, also inside the JSON that its metadata hold, or of a length that lies."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    metadata = header.get("__metadata__", {})
    inner = [k for k, v in metadata.items() if v.startswith("{")]
    if inner and rng.integers(2):
        key = inner[rng.integers(len(inner))]
        metadata[key] = json.dumps(alter(json.loads(metadata[key]), rng)).replace(json.dumps(DEEP), deep(rng))
    else:
        header = alter(header, rng)
    head = json.dumps(header).replace(json.dumps(DEEP), deep(rng)).encode()
    length = len(head) if rng.integers(10) else int(rng.choice([0, 1, 1 << 20, 1 << 40, (1 << 63) - 1]))
    return np.uint64(length).tobytes() + head + data[8 + size :]
