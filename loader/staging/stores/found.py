"""What lies in a store, as somebody who tidies it up needs to know it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Found:
    """A file, or what its writer has left of it."""

    key: str
    """Its key, or the one that it would have got; with a slash at its end it is an empty folder."""
    bytes: int
    changed: float
    """When it was written last, in seconds since 1970."""
    path: str
    """Where its bytes are: a key, or the id of an upload."""
    unfinished: bool = False
    """Whether it was never completed."""
