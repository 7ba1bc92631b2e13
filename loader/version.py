"""The version of Loader."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed


@cache
def version() -> str:
    """The installed version, or ``0+unknown`` in a source checkout without an installation."""
    try:
        return installed("loader")
    except PackageNotFoundError:
        return "0+unknown"
