"""What runs have left below a staging location, found by the names that Loader gives, and removed.

A run writes below a name of its own and never again below another's, so what has not changed for
longer than any load takes belongs to no load that is at work.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from loader.errors import StageError
from loader.staging.stores.base import Store
from loader.staging.stores.found import Found

DEFAULT_AGE = timedelta(days=7)
"""Older than any load that is still at work."""

_MOST_FOREIGN = 1_000
"""Foreign files that are named; all are counted."""

_NAME = r"[A-Za-z0-9_-][A-Za-z0-9._-]*"
_RUN = rf"{_NAME}/{_NAME}/[0-9a-f]{{12}}"
_FILES = r"part-\d{5,}\.(?:parquet|csv|json)(?:\.gz|\.zst)?|manifest\.json"
_UUID = r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
_UNLOADED = r"(?:\d+_part_\d+)\.parquet|manifest"
_DOCTOR = rf"probe\.txt|rejects\.parquet|unload/(?:{_UNLOADED})|{_NAME}/{_NAME}/doctor/(?:{_FILES})"

_LAYOUT = tuple(
    re.compile(rf"(?P<run>{run})/(?:{files})?")
    for run, files in (
        (rf"rejects/{_RUN}", r"rejects\.parquet"),
        (rf"unload/[^/]+/{_UUID}", _UNLOADED),
        (r"doctor/[0-9a-f]{32}", _DOCTOR),
        (_RUN, _FILES),
    )
)
"""The folders of runs, and the files that Loader or its UNLOAD puts there."""


@dataclass(frozen=True)
class Leftover:
    """What one run has left in one folder."""

    uri: str
    files: int
    bytes: int
    unfinished: int
    """How many of the files were never completed."""
    changed: float
    """When the run wrote last, in seconds since 1970."""


@dataclass(frozen=True)
class Cleaned:
    """What was removed from a staging location, or would be."""

    location: str
    removed: tuple[Leftover, ...]
    younger: int
    """Folders of runs that stay, since a load may be at work in them."""
    foreign: int
    """Files that Loader has not made; they stay."""
    foreign_keys: tuple[str, ...] = ()
    """The first thousand of them."""
    notes: tuple[str, ...] = ()
    """What could not be looked at."""

    @property
    def files(self) -> int:
        """Files removed."""
        return sum(one.files for one in self.removed)

    @property
    def bytes(self) -> int:
        """Their bytes."""
        return sum(one.bytes for one in self.removed)


@dataclass
class _Folders:
    """Everything below the location, by the folders of runs."""

    runs: dict[str, list[Found]] = field(default_factory=dict)
    foreign: int = 0
    foreign_keys: list[str] = field(default_factory=list)

    def add(self, found: Iterable[Found]) -> None:
        for one in found:
            run = run_folder(one.key)
            if run is not None:
                self.runs.setdefault(run, []).append(one)
            # An empty folder of somebody else's is nothing to tell of.
            elif not one.key.endswith("/"):
                self.foreign += 1
                if len(self.foreign_keys) < _MOST_FOREIGN:
                    self.foreign_keys.append(one.key)

    def changed(self, run: str) -> float:
        """When a run wrote last; its rejected rows lie beside its staged files."""
        own = run.removeprefix("rejects/")
        both = (*self.runs.get(own, ()), *self.runs.get(f"rejects/{own}", ()))
        return max(found.changed for found in both)


def clean(store: Store, older_than: timedelta = DEFAULT_AGE, *, dry_run: bool = False) -> Cleaned:
    """Remove what runs have left, where none has written for so long.

    Args:
        store: The staging location; only what is below its root is looked at.
        older_than: How long a run must not have written anything; longer than loads take.
        dry_run: Only tell what would be removed.

    Raises:
        StageError: something cannot be listed or removed.
    """
    folders, notes = _Folders(), []
    folders.add(store.files())
    try:
        folders.add(store.unfinished())
    except StageError as error:
        # Listing uploads takes a right that staging does not.
        notes.append(error.message)
    latest = time.time() - older_than.total_seconds()
    old = sorted(run for run in folders.runs if folders.changed(run) <= latest)
    removed = []
    for run in old:
        found = folders.runs[run]
        if not dry_run:
            store.remove(found)
        removed.append(_leftover(store, run, found, folders.changed(run)))
    return Cleaned(
        store.root,
        tuple(removed),
        len(folders.runs) - len(old),
        folders.foreign,
        tuple(folders.foreign_keys),
        tuple(notes),
    )


def run_folder(key: str) -> str | None:
    """The folder of the run that a file belongs to; None when Loader gives no such name.

    >>> run_folder("shop.orders/one/0123456789ab/part-00000.parquet")
    'shop.orders/one/0123456789ab'
    >>> run_folder("shop.orders/one/part-00000.parquet") is None
    True
    """
    matches = (layout.fullmatch(key) for layout in _LAYOUT)
    return next((match["run"] for match in matches if match), None)


def _leftover(store: Store, run: str, found: list[Found], changed: float) -> Leftover:
    files = [one for one in found if not one.key.endswith("/")]
    return Leftover(
        store.uri(run),
        len(files),
        sum(one.bytes for one in files),
        sum(one.unfinished for one in files),
        changed,
    )
