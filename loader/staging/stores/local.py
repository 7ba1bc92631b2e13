"""Staged files below a local folder."""

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
from loader.staging.stores.found import Found

_PARTIAL = ".partial"

_ATTEMPTS = 100
"""Races with other loads for one folder, all of which would have to be lost."""


class FolderStore:
    """Files below a local folder, which is made when the first file is."""

    def __init__(self, root: Path) -> None:
        self._root = root.expanduser().absolute()
        self.root = str(self._root)

    def uri(self, key: str) -> str:
        """The path of the key."""
        return str(self._path(key))

    @contextmanager
    def create(self, key: str) -> Iterator[io.BufferedIOBase]:
        """Write under another name, then rename."""
        path = self._path(key)
        partial = _partial(path)
        try:
            # Not synced to disk: a machine that goes down takes the load with it anyway.
            with _open_new(partial) as file:
                yield file
            partial.replace(path)
        except OSError as error:
            # Before the partial file goes, and with it the cause of a disk being full.
            failure = self._failure("write", path, error)
            self._abort(partial)
            raise failure from error
        except BaseException:
            self._abort(partial)
            raise

    def read(self, key: str) -> bytes:
        """All bytes of a complete file."""
        path = self._path(key)
        try:
            return path.read_bytes()
        except OSError as error:
            raise StageError(
                f"cannot read {path}: {error.strerror or error}",
                hint="if the files of this load were removed, run it again",
            ) from error

    def delete(self, prefix: str) -> None:
        """Remove the folder of the prefix, and the folders above it that are empty then."""
        path = self._path(prefix)
        try:
            shutil.rmtree(path)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise self._failure("remove", path, error) from error
        self._prune(path.parent)

    def list(self, prefix: str) -> list[tuple[str, int]]:
        """Keys and sizes of the complete files below the prefix, sorted."""
        path = self._path(prefix)
        try:
            return sorted(
                (file.relative_to(self._root).as_posix(), file.stat().st_size)
                for file in path.rglob("*")
                if file.is_file() and not file.name.endswith(_PARTIAL)
            )
        except OSError as error:
            raise self._failure("list", path, error) from error

    def files(self) -> Iterator[Found]:
        """Every complete file below the root; links are none."""
        return (found for found in self._walk() if not found.unfinished)

    def unfinished(self) -> Iterator[Found]:
        """What writers that were killed have left: parts of files, and folders without any."""
        return (found for found in self._walk() if found.unfinished)

    def remove(self, found: Iterable[Found]) -> None:
        """Remove these, and the folders that are empty then; that one is gone is fine."""
        for one in found:
            path = self._path(one.path.removesuffix("/"))
            try:
                path.rmdir() if one.path.endswith("/") else path.unlink()
            except FileNotFoundError:
                pass
            except OSError as error:
                # A load may have put a file into the empty folder just now.
                if error.errno != errno.ENOTEMPTY:
                    raise self._failure("remove", path, error) from error
            self._prune(path.parent)

    def _walk(self) -> Iterator[Found]:
        def fail(error: OSError) -> None:
            if not isinstance(error, FileNotFoundError):
                raise self._failure("list", Path(error.filename or self.root), error) from error

        for folder, below, names in os.walk(self._root, onerror=fail):
            for name in [*names, *([] if below or names else [""])]:
                path = Path(folder, name)
                # Other loads come and go meanwhile.
                with suppress(FileNotFoundError):
                    seen = path.lstat()
                    if path != self._root and (stat.S_ISREG(seen.st_mode) or not name):
                        yield self._found(path, seen)

    def _found(self, path: Path, seen: os.stat_result) -> Found:
        key = path.relative_to(self._root).as_posix()
        if stat.S_ISDIR(seen.st_mode):
            return Found(f"{key}/", 0, seen.st_mtime, f"{key}/", unfinished=True)
        whole = path.with_name(_whole(path.name)).relative_to(self._root).as_posix()
        partial = path.name.endswith(_PARTIAL)
        return Found(whole, seen.st_size, seen.st_mtime, key, unfinished=partial)

    def _path(self, key: str) -> Path:
        parts = key.split("/")
        # A prefix that climbs, or is the root itself, must never reach `delete`.
        if not all(parts) or {".", ".."} & set(parts) or "\0" in key or "\\" in key:
            raise StageError(f"`{key}` is not a key of the staging folder {self.root}")
        return self._root.joinpath(*parts)

    def _abort(self, partial: Path) -> None:
        with suppress(OSError):
            partial.unlink()
        self._prune(partial.parent)

    def _prune(self, folder: Path) -> None:
        """Remove folders that are empty, upwards, up to the root."""
        with suppress(OSError):
            while folder != self._root:
                folder.rmdir()
                folder = folder.parent

    def _failure(self, verb: str, path: Path, error: OSError) -> StageError:
        elsewhere = "or set the target's `staging` to another folder"
        hint = f"make {self.root} writable, {elsewhere}"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            free = f"{_free(self._root)} MB are free there now"
            hint = f"free some disk space ({free}), {elsewhere}"
        elif error.errno == errno.EFBIG:
            hint = f"raise the limit on file sizes (ulimit -f), lower `file_size`, {elsewhere}"
        return StageError(f"cannot {verb} {path}: {error.strerror or error}", hint=hint)


def _partial(path: Path) -> Path:
    """Where a file is written: no pattern for its name finds it, and no other writer meets it."""
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}{_PARTIAL}")


def _whole(name: str) -> str:
    """The name that a file of this one would have got."""
    if not name.endswith(_PARTIAL):
        return name
    name = name.removesuffix(_PARTIAL)
    return name.removeprefix(".").rpartition(".")[0] if name.startswith(".") else name


def _open_new(path: Path) -> io.BufferedWriter:
    """Open a file that is not there yet, and make its folders."""
    for _ in range(_ATTEMPTS):
        # Another load that ends may remove the empty folder before the file is in it. When it does
        # so inside of `mkdir`, that says the folder exists.
        with suppress(FileNotFoundError, FileExistsError):
            return _make(path)
    return _make(path)


def _make(path: Path) -> io.BufferedWriter:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("xb")


def _free(folder: Path) -> str:
    """Megabytes free on the disk of a folder."""
    try:
        return f"{shutil.disk_usage(folder).free / (1 << 20):,.1f}"
    except OSError:
        return "?"
