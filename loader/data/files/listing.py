"""Lists the files that names and patterns stand for, with what tells one version from another."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from loader.data.files.open import DataFile, expand_pattern
from loader.errors import NoFilesError, SourceError
from loader.plan.source_files import SourceFile
from loader.spec.file_keys import find_keys, glob_of
from loader.spec.file_patterns import file_name, have_places
from loader.spec.periods import Dimension

Keys = Mapping[str, str]
"""A partition: keys by dimension."""


@dataclass(frozen=True)
class ListedFile:
    """A file as it was when it was listed."""

    fact: SourceFile
    data: DataFile = field(compare=False)
    keys: Keys | None = None
    """The partition that its name tells; None if it tells none."""


@dataclass(frozen=True)
class Listing:
    """The files of some names, each file once."""

    files: tuple[ListedFile, ...]
    missing: tuple[NoFilesError, ...]
    """One for each pattern that no file matches."""
    unplaced: tuple[str, ...] = ()
    """The files whose names tell no partition where the others' do; they are left out."""


def list_files(
    names: Sequence[str],
    root: Path,
    folder: Path | None,
    dimensions: Sequence[Dimension] = (),
    partitions: Sequence[Keys] | None = None,
) -> Listing:
    """List files.

    Args:
        names: Paths, globs, or URLs of S3. With ``dimensions`` they may have placeholders.
        root: The project's folder, from which the ledger names the files in it.
        folder: The folder that relative names are in; None for the working directory.
        dimensions: The dimensions of the table.
        partitions: The partitions that placeholders stand for; None for those that the files have.

    Raises:
        SourceError: a pattern is a folder, or a bucket cannot be listed.
    """
    found: dict[str, ListedFile] = {}
    missing: list[NoFilesError] = []
    unplaced: dict[str, None] = {}
    for pattern, name, keys in _patterns(names, dimensions, partitions):
        try:
            files = expand_pattern(_join_path(folder, pattern), None)
        except NoFilesError as error:
            missing.append(error)
            continue
        matched = list(_with_keys(files, name, keys, dimensions, folder))
        if not matched:
            missing.append(_no_keys(name, files))
        placed, start = {file.name for file, _ in matched}, _start_of(folder)
        others = (file.name for file in files if file.name not in placed)
        unplaced |= dict.fromkeys(name.removeprefix(start) for name in others)
        for file, own_keys in matched:
            fact = _describe(file, root)
            if fact is not None:
                found.setdefault(_identity(file), ListedFile(fact, file, own_keys))
    return Listing(tuple(found.values()), tuple(missing), tuple(unplaced))


def _patterns(
    names: Sequence[str], dimensions: Sequence[Dimension], partitions: Sequence[Keys] | None
) -> Iterator[tuple[str, str, Keys | None]]:
    """Patterns, each with its name in the spec and the partition of its files."""
    if not have_places(names, dimensions):
        yield from ((name, "", None) for name in names)
    elif partitions is None:
        yield from ((glob_of(name), name, None) for name in names)
    else:
        for keys in partitions:
            yield from ((file_name(name, dimensions, keys), "", keys) for name in names)


def _with_keys(
    files: Iterable[DataFile],
    name: str,
    keys: Keys | None,
    dimensions: Sequence[Dimension],
    folder: Path | None,
) -> Iterator[tuple[DataFile, Keys | None]]:
    """The files with their partitions; without those whose name tells none, and should."""
    if not name:
        yield from ((file, keys) for file in files)
        return
    start = _start_of(folder)
    for file in files:
        own = find_keys(name, dimensions, file.name.removeprefix(start))
        if own is not None:
            yield file, own


def _start_of(folder: Path | None) -> str:
    """What the names of files in a folder begin with."""
    return "" if folder is None else f"{folder}{os.sep}"


def _no_keys(name: str, files: Sequence[DataFile]) -> NoFilesError:
    return NoFilesError(
        f"no file matches {name}", hint=f"{files[0].name} has no partition key in that place"
    )


def _join_path(folder: Path | None, name: str) -> str:
    if folder is None or "://" in name:
        return name
    return os.path.join(glob.escape(str(folder)), name)  # noqa: PTH118  # a pattern, not a path


def _identity(file: DataFile) -> str:
    return file.name if file.remote else os.path.realpath(file.name)


def _describe(file: DataFile, root: Path) -> SourceFile | None:
    """The facts of a file; None if it is not there any more.

    Raises:
        SourceError: an object cannot be read.
    """
    if file.remote is not None:
        size, tag = file.remote.bytes, file.remote.tag
        if size is None:
            size, version = file.remote.bucket.head(file.remote.key)
            tag = version["etag"]
        return SourceFile(file.name, size, version=tag.strip('"'))
    try:
        status = os.stat(file.name)  # noqa: PTH116  # the name may be no valid path
    except OSError:
        return None
    return SourceFile(ledger_path(file.name, root), status.st_size, status.st_mtime_ns)


def ledger_path(name: str, root: Path) -> str:
    """How the ledger names a local file: from the project's folder, if it is in there."""
    path, base = os.path.abspath(name), os.path.abspath(root)  # noqa: PTH100  # keeps links
    if path.startswith(base + os.sep):
        return Path(os.path.relpath(path, base)).as_posix()
    return Path(path).as_posix()


def read_digest(file: DataFile) -> str:
    """The version of a local file, from its content.

    Raises:
        SourceError: it cannot be read.
    """
    try:
        with open(file.path, "rb") as stream:  # noqa: PTH123
            return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"
    except OSError as error:
        raise SourceError(f"{file.name} cannot be read: {error.strerror or error}") from error


def find_changed(files: Iterable[ListedFile]) -> list[str]:
    """The local files that have changed since they were listed; objects are read by their ETag."""
    changed = []
    for listed in files:
        if listed.data.remote is not None:
            continue
        try:
            status = os.stat(listed.data.name)  # noqa: PTH116
        except OSError:
            changed.append(listed.data.name)
            continue
        if (status.st_size, status.st_mtime_ns) != (listed.fact.bytes, listed.fact.modified):
            changed.append(listed.data.name)
    return changed
