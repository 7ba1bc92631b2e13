"""The files of tasks: those of the attempts that count are kept, all others removed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import count

from loader.errors import StageError
from loader.executor.spark.outcome import TaskOutcome
from loader.staging.staged import StagedFile
from loader.staging.stores.base import Store, StoredFile


def gather_files(store: Store, prefix: str, outcomes: Iterable[TaskOutcome]) -> list[StagedFile]:
    """The files of a load, after the files of all other attempts are removed.

    In a folder they are renamed to ``part-…`` below the prefix, as other loads name them, for a
    COPY by pattern: an attempt that is still at work then writes where no COPY looks.

    Raises:
        StageError: this process does not see the files, or cannot remove some.
    """
    files = [file for outcome in outcomes for file in outcome.files]
    keys = [file.uri.removeprefix(f"{store.root}/") for file in files]
    found = keep_only(store, prefix, keys)
    lost = [file.uri for file, key in zip(files, keys, strict=True) if found.get(key) != file.bytes]
    if lost:
        raise StageError(
            f"{len(lost):,} of {len(files):,} files that executors of Spark staged are not there,"
            f" the first of them {lost[0]}",
            hint="a folder must be one that the executors and this process share: set the target's"
            " `staging` to one, or run Spark on this machine",
        )
    numbers = count()
    gathered = []
    for file, key in zip(files, keys, strict=True):
        suffix = key.rpartition("/")[2].partition(".")[2]
        moved = store.move(key, f"{prefix}/part-{next(numbers):05d}.{suffix}")
        gathered.append(replace(file, uri=store.uri(moved)))
    return gathered


def keep_only(store: Store, prefix: str, keys: Iterable[str]) -> dict[str, int]:
    """Remove all complete files below a prefix but these; returns the keys and bytes of all.

    Raises:
        StageError: they cannot be listed or removed.
    """
    kept = frozenset(keys)
    found = dict(store.list(prefix))
    store.remove(StoredFile(key, size, 0.0, key) for key, size in found.items() if key not in kept)
    return found
