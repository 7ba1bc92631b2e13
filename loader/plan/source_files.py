"""Which files a load takes: what is there, beside what the ledger knows of earlier loads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from loader.sql.datatypes import DataType

FILE_COLUMNS: Mapping[str, DataType] = {
    "load_id": DataType("varchar", (128,)),
    "table_schema": DataType("varchar", (127,)),
    "table_name": DataType("varchar", (127,)),
    "file_path": DataType("varchar", (8_192,)),
    "file_bytes": DataType("bigint"),
    "file_modified": DataType("bigint"),
    "file_version": DataType("varchar", (256,)),
    "partition_key": DataType("varchar", (8_192,)),
    "replaced_by": DataType("varchar", (128,)),
}
"""The columns of the ledger of files, which has one row for each file of each load."""


@dataclass(frozen=True)
class SourceFile:
    """A file that a table is loaded from, as it was when it was listed."""

    path: str
    """Its URL, or its path: relative to the project if it is in there, else absolute."""
    bytes: int
    modified: int | None = None
    """The time of its last change, in nanoseconds; None in S3."""
    version: str | None = None
    """The ETag of an object, or ``sha256:…`` of a local file; None where it was not read for it."""
    partition: str | None = None
    """The partition that its name tells, as in ``2013-01-01`` or ``date=2013-01-01|origin=JFK``."""


class LoadedFile(NamedTuple):
    """A file whose rows are in the table, by the ledger."""

    path: str
    bytes: int
    modified: int | None
    version: str | None
    partition: str | None
    load_id: str


@dataclass(frozen=True)
class FilesOfLoad:
    """The files that a load records in the ledger."""

    files: tuple[SourceFile, ...]
    once: bool = False
    """Whether the load is rolled back if another one has loaded some of them meanwhile."""
    known: tuple[str, ...] = ()
    """The ids of the loads by which the ledger knew the files, or their partitions, before."""
    partitions: tuple[str, ...] = ()
    """The partitions that are replaced, with all files that were loaded into them."""
    whole: bool = False
    """Whether no file of an earlier load is in the table afterwards."""


@dataclass(frozen=True)
class Choice:
    """Which of the listed files are loaded."""

    files: tuple[SourceFile, ...] = ()
    new: int = 0
    changed: tuple[SourceFile, ...] = ()
    unchanged: int = 0
    """Files that are not loaded, since they have been."""
    known: tuple[str, ...] = field(default=(), repr=False)
    """The ids of the loads that have brought files, or partitions, which are loaded again."""


def choose_files(
    files: Sequence[SourceFile],
    loaded: Iterable[LoadedFile],
    digest: Callable[[SourceFile], str],
    *,
    by_partition: bool,
) -> Choice:
    """Choose the files that are new or have changed.

    Args:
        files: The files that are there.
        loaded: The files that the ledger knows.
        digest: Reads a local file for its version.
        by_partition: Whether a partition is loaded from all its files if one of them is chosen.
    """
    listed = tuple(loaded)
    by_path = {one.path: one for one in listed}
    new: list[SourceFile] = []
    changed: list[SourceFile] = []
    for file in files:
        earlier = by_path.get(file.path)
        if earlier is None:
            new.append(file)
        elif not _is_same(file, earlier, digest):
            changed.append(file)
    paths = {file.path for file in (*new, *changed)}
    partitions = {file.partition for file in (*new, *changed)} if by_partition else set()
    chosen = [file for file in files if file.path in paths or file.partition in partitions]
    again = {file.path for file in chosen}
    known = [one for one in listed if one.path in again or one.partition in partitions]
    return Choice(
        tuple(chosen),
        len(new),
        tuple(changed),
        len(files) - len(chosen),
        tuple(dict.fromkeys(one.load_id for one in known)),
    )


def _is_same(file: SourceFile, known: LoadedFile, digest: Callable[[SourceFile], str]) -> bool:
    """Whether a file is as it was loaded; if only its time differs, its content decides."""
    if file.bytes != known.bytes:
        return False
    if file.version is not None:
        return file.version == known.version
    if file.modified == known.modified:
        return True
    return known.version is not None and digest(file) == known.version


def with_versions(
    files: Iterable[SourceFile], digest: Callable[[SourceFile], str]
) -> tuple[SourceFile, ...]:
    """The files with their versions; those of local files are read for it."""
    return tuple(
        file if file.version is not None else replace(file, version=digest(file)) for file in files
    )
