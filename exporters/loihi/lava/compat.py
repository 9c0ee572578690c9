"""Imports lava-nc 0.10 on Python 3.11 and newer, where one of its modules needs help; nothing on disk changes."""

import copy
import dataclasses
import importlib
import sys
from functools import partial
from typing import Any

INSTALL = "pip install --no-deps --ignore-requires-python lava-nc==0.10.0 && pip install scipy networkx asteval"


def import_lava() -> None:
    """Make `import lava...` work; raises ImportError where lava-nc is not installed.

    lava/magma/compiler/var_model.py has dataclass instances as field defaults, which Python 3.11 refuses because they
    are unhashable: while it is imported, such a default becomes a default_factory.
    """
    name = "lava.magma.compiler.var_model"
    if name in sys.modules or sys.version_info < (3, 11):
        importlib.import_module(name)
        return
    original = dataclasses.dataclass

    def patched(cls: Any = None, /, **options: Any) -> Any:
        if cls is None:
            return lambda late: patched(late, **options)
        for field_name, default in list(vars(cls).items()):
            if dataclasses.is_dataclass(default) and not isinstance(default, type):
                factory = dataclasses.field(default_factory=partial(copy.copy, default))
                setattr(cls, field_name, factory)
        return original(cls, **options)

    dataclasses.dataclass = patched  # type: ignore[assignment]
    try:
        importlib.import_module(name)
    finally:
        dataclasses.dataclass = original
