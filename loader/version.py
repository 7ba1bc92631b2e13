"""Which Loader this is."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed


@cache
def version() -> str:
    """The installed version, or ``0+unknown`` from a bare checkout."""
    try:
        return installed("loader")
    except PackageNotFoundError:
        return "0+unknown"
