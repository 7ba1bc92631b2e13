"""Staged files in a local folder."""

from __future__ import annotations

import errno
import io
import os
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from loader.errors import StageError
from loader.staging.stores.base import StoredFile, split_key

_PARTIAL = ".partial"

_ATTEMPTS = 100
"""Attempts to create a file while other loads remove its empty folder."""


class FolderStore:
    """Files in a local folder, which is created with the first file.

    Args:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.expanduser().absolute()
        self.root = str(self._root)

    def uri(self, key: str) -> str:
        """The path of the key."""
        return str(self._path_of(key))

    @contextmanager
    def create(self, key: str) -> Iterator[io.BufferedIOBase]:
        """Write under a temporary name, then rename."""
        path = self._path_of(key)
        partial = _partial_path(path)
        try:
            # Not synced to disk: a crash of the machine fails the load anyway.
            with _create_file(partial) as file:
                yield file
            partial.replace(path)
        except OSError as error:
            # Built before the partial file is removed, since it reports the free disk space.
            stage_error = self._stage_error("write", path, error)
            self._remove_partial(partial)
            raise stage_error from error
        except BaseException:
            self._remove_partial(partial)
            raise

    def read(self, key: str) -> bytes:
        """Read all bytes of a complete file."""
        path = self._path_of(key)
        try:
            return path.read_bytes()
        except OSError as error:
            raise StageError(
                f"cannot read {path}: {error.strerror or error}",
                hint="if the files of this load were removed, run it again",
            ) from error

    def move(self, key: str, to: str) -> str:
        """Rename a file, and remove the folders that become empty; returns its new key."""
        path, target = self._path_of(key), self._path_of(to)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
        except OSError as error:
            raise self._stage_error("move", path, error) from error
        self._remove_empty_folders(path.parent)
        return to

    def delete(self, prefix: str) -> None:
        """Remove the folder of the prefix, and the folders above it that become empty."""
        path = self._path_of(prefix)
        try:
            shutil.rmtree(path)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise self._stage_error("remove", path, error) from error
        self._remove_empty_folders(path.parent)

    def list(self, prefix: str) -> list[tuple[str, int]]:
        """List keys and bytes of the complete files below the prefix, sorted."""
        path = self._path_of(prefix)
        try:
            return sorted(
                (file.relative_to(self._root).as_posix(), file.stat().st_size)
                for file in path.rglob("*")
                if file.is_file() and not file.name.endswith(_PARTIAL)
            )
        except OSError as error:
            raise self._stage_error("list", path, error) from error

    def files(self, prefix: str | None = None) -> Iterator[StoredFile]:
        """All complete files below the root or the prefix, without links."""
        return (found for found in self._walk_files(prefix) if not found.unfinished)

    def unfinished(self) -> Iterator[StoredFile]:
        """What killed writers have left: partial files and empty folders."""
        return (found for found in self._walk_files() if found.unfinished)

    def remove(self, files: Iterable[StoredFile]) -> None:
        """Remove these, and the folders that become empty; some may no longer exist."""
        for file in files:
            path = self._path_of(file.path.removesuffix("/"))
            try:
                path.rmdir() if file.path.endswith("/") else path.unlink()
            except FileNotFoundError:
                pass
            except OSError as error:
                # A load may have created a file in the empty folder.
                if error.errno != errno.ENOTEMPTY:
                    raise self._stage_error("remove", path, error) from error
            self._remove_empty_folders(path.parent)

    def _walk_files(self, prefix: str | None = None) -> Iterator[StoredFile]:
        def fail(error: OSError) -> None:
            if not isinstance(error, FileNotFoundError):
                raise self._stage_error("list", Path(error.filename or self.root), error) from error

        start = self._root if prefix is None else self._path_of(prefix)
        for folder, below, names in os.walk(start, onerror=fail):
            for name in [*names, *([] if below or names else [""])]:
                path = Path(folder, name)
                # Other loads may remove files at the same time.
                with suppress(FileNotFoundError):
                    info = path.lstat()
                    if path != self._root and (stat.S_ISREG(info.st_mode) or not name):
                        yield self._to_stored_file(path, info)

    def _to_stored_file(self, path: Path, info: os.stat_result) -> StoredFile:
        key = path.relative_to(self._root).as_posix()
        if stat.S_ISDIR(info.st_mode):
            return StoredFile(f"{key}/", 0, info.st_mtime, f"{key}/", unfinished=True)
        whole = path.with_name(_final_name(path.name)).relative_to(self._root).as_posix()
        partial = path.name.endswith(_PARTIAL)
        return StoredFile(whole, info.st_size, info.st_mtime, key, unfinished=partial)

    def _path_of(self, key: str) -> Path:
        return self._root.joinpath(*split_key(key, f"staging folder {self.root}"))

    def _remove_partial(self, partial: Path) -> None:
        with suppress(OSError):
            partial.unlink()
        self._remove_empty_folders(partial.parent)

    def _remove_empty_folders(self, folder: Path) -> None:
        """Remove a folder and those above it, as far as they are empty and below the root."""
        with suppress(OSError):
            while folder != self._root:
                folder.rmdir()
                folder = folder.parent

    def _stage_error(self, verb: str, path: Path, error: OSError) -> StageError:
        alternative = "or set the target's `staging` to another folder"
        hint = f"make {self.root} writable, {alternative}"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            free = f"{_free_megabytes(self._root)} MB are free there now"
            hint = f"free some disk space ({free}), {alternative}"
        elif error.errno == errno.EFBIG:
            hint = f"raise the limit on file sizes (ulimit -f), lower `file_size`, {alternative}"
        return StageError(f"cannot {verb} {path}: {error.strerror or error}", hint=hint)


def _partial_path(path: Path) -> Path:
    """A unique path to write a file at, which no pattern for the final name matches."""
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}{_PARTIAL}")


def _final_name(name: str) -> str:
    """The final name of a partial file; any other name unchanged."""
    if not name.endswith(_PARTIAL):
        return name
    name = name.removesuffix(_PARTIAL)
    return name.removeprefix(".").rpartition(".")[0] if name.startswith(".") else name


def _create_file(path: Path) -> io.BufferedWriter:
    """Create a file and its folders, and open it."""
    for _ in range(_ATTEMPTS):
        # Another load may remove the empty folder before the file is in it. During `mkdir`, that
        # raises FileExistsError.
        with suppress(FileNotFoundError, FileExistsError):
            return _try_create(path)
    return _try_create(path)


def _try_create(path: Path) -> io.BufferedWriter:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("xb")


def _free_megabytes(folder: Path) -> str:
    """The free megabytes on the disk of a folder, as text."""
    try:
        return f"{shutil.disk_usage(folder).free / (1 << 20):,.1f}"
    except OSError:
        return "?"
