"""Finds and removes the leftovers of runs in a staging location, by the names that Loader gives.

Each run writes to a folder of its own, so a folder that has not changed for longer than any load
takes belongs to no running load.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from loader.errors import StageError
from loader.staging.staged import MANIFEST
from loader.staging.stores.base import Store, StoredFile

DEFAULT_AGE = timedelta(days=7)
"""Longer than any load runs."""

_MOST_FOREIGN = 1_000
"""The most foreign files that are listed; all are counted."""

_NAME = r"[A-Za-z0-9_-][A-Za-z0-9._-]*"
_RUN = rf"{_NAME}/{_NAME}/[0-9a-f]{{12}}"
_TASK = r"\d{5,}-[0-9a-f]{8}"
_PART = r"part-\d{5,}\.(?:arrow|parquet|csv|json)(?:\.gz|\.zst)?"
_FILES = rf"(?:task-{_TASK}/)?(?:{_PART})?|manifest\.json"
_REJECTS = rf"rejects(?:-{_TASK})?\.parquet"
_UUID = r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
_UNLOADED = r"(?:\d+_part_\d+)\.parquet|manifest"
_DOCTOR = (
    rf"probe\.txt|rejects\.parquet|unload/([^/]+/{_UUID}/)?(?:{_UNLOADED})"
    rf"|{_NAME}/{_NAME}/doctor/(?:{_FILES})|{_RUN}/(?:{_FILES})|rejects/{_RUN}/{_REJECTS}"
)

_LAYOUT = tuple(
    re.compile(rf"(?P<run>{run})/(?:{files})?")
    for run, files in (
        (rf"rejects/{_RUN}", _REJECTS),
        (rf"unload/[^/]+/{_UUID}", _UNLOADED),
        (r"doctor/[0-9a-f]{32}", _DOCTOR),
        (_RUN, _FILES),
    )
)
"""The folders of runs, with the files that Loader or its UNLOAD writes there."""


@dataclass(frozen=True)
class Leftover:
    """The files that one run has left in its folder."""

    uri: str
    files: int
    bytes: int
    unfinished: int
    """How many of the files were never completed."""
    changed: float
    """When the run last wrote a file, in seconds since 1970."""


@dataclass(frozen=True)
class Cleaned:
    """What was removed from a staging location, or would be."""

    location: str
    removed: tuple[Leftover, ...]
    younger: int
    """Folders of runs that are kept, since a load may still use them."""
    foreign: int
    """Files that are not of Loader, which are kept."""
    manifests: int = 0
    """Manifests of loads in place, which are kept: they say which versions of files were loaded."""
    foreign_keys: tuple[str, ...] = ()
    """The first thousand of them."""
    notes: tuple[str, ...] = ()
    """What could not be listed, as messages."""

    @property
    def files(self) -> int:
        """Files removed."""
        return sum(file.files for file in self.removed)

    @property
    def bytes(self) -> int:
        """Bytes removed."""
        return sum(file.bytes for file in self.removed)


@dataclass
class _Contents:
    """All files below the location, by the folder of their run."""

    runs: dict[str, list[StoredFile]] = field(default_factory=dict)
    foreign: int = 0
    foreign_keys: list[str] = field(default_factory=list)

    def add(self, found: Iterable[StoredFile]) -> None:
        for file in found:
            run = run_folder(file.key)
            if run is not None:
                self.runs.setdefault(run, []).append(file)
            # Foreign empty folders are not reported.
            elif not file.key.endswith("/"):
                self.foreign += 1
                if len(self.foreign_keys) < _MOST_FOREIGN:
                    self.foreign_keys.append(file.key)

    def is_record(self, run: str) -> bool:
        """Whether a run has left only its manifest, as a load in place does.

        Loads that stage files remove the manifest with the files, and each run that was killed has
        left some.
        """
        keys = [file.key for file in self.runs[run] if not file.key.endswith("/")]
        return keys == [f"{run}/{MANIFEST}"] and re.fullmatch(_RUN, run) is not None

    def changed(self, run: str) -> float:
        """When a run last wrote a file, its rejected rows included."""
        own = run.removeprefix("rejects/")
        both = (*self.runs.get(own, ()), *self.runs.get(f"rejects/{own}", ()))
        return max(found.changed for found in both)


def clean(store: Store, older_than: timedelta = DEFAULT_AGE, *, dry_run: bool = False) -> Cleaned:
    """Remove the leftovers of runs that have not written for some time.

    Args:
        store: The staging location.
        older_than: How long a run must not have written; longer than loads take.
        dry_run: Whether to only report what would be removed.

    Raises:
        StageError: something cannot be listed or removed.
    """
    folders, notes = _Contents(), []
    folders.add(store.files())
    try:
        folders.add(store.unfinished())
    except StageError as error:
        # Listing uploads needs a permission that staging does not.
        notes.append(error.message)
    latest = time.time() - older_than.total_seconds()
    records = {run for run in folders.runs if folders.is_record(run)}
    ours = folders.runs.keys() - records
    old = sorted(run for run in ours if folders.changed(run) <= latest)
    removed = []
    for run in old:
        found = folders.runs[run]
        if not dry_run:
            store.remove(found)
        removed.append(_leftover(store, run, found, folders.changed(run)))
    return Cleaned(
        store.root,
        tuple(removed),
        len(ours) - len(old),
        folders.foreign,
        len(records),
        tuple(folders.foreign_keys),
        tuple(notes),
    )


def run_folder(key: str) -> str | None:
    """The folder of the run that a file belongs to; None for names that Loader does not give.

    >>> run_folder("shop.orders/one/0123456789ab/part-00000.parquet")
    'shop.orders/one/0123456789ab'
    >>> run_folder("shop.orders/one/part-00000.parquet") is None
    True
    """
    matches = (layout.fullmatch(key) for layout in _LAYOUT)
    return next((match["run"] for match in matches if match), None)


def _leftover(store: Store, run: str, found: list[StoredFile], changed: float) -> Leftover:
    files = [file for file in found if not file.key.endswith("/")]
    return Leftover(
        store.uri(run),
        len(files),
        sum(file.bytes for file in files),
        sum(file.unfinished for file in files),
        changed,
    )
