"""Atomic file writes: to a temporary file in the same folder, which then replaces the target."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from loader.errors import StageError
from loader.redaction import KNOWN

_STANDARD = (1, 2)
"""Stdout and stderr, the files behind ``/dev/stdout`` and ``/dev/stderr``."""


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file, with secrets replaced by ``***``; its folder must exist.

    Raises:
        StageError: it cannot be written; an existing file is unchanged.
    """
    with new_file(path) as file:
        file.write(KNOWN.hide(text).encode("utf-8", "backslashreplace"))


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write to; it appears under its name when the block ends without an error.

    An existing file keeps its permissions, and links to it stay links. Devices, pipes and files
    that are already open as stdout or stderr cannot be replaced, so they are written directly.

    Raises:
        StageError: it cannot be written; an existing file is unchanged.
    """
    try:
        with _open_target(path) as file:
            yield file
    except BrokenPipeError:
        raise  # the reader closed the pipe
    except OSError as error:
        raise StageError(f"{path} cannot be written: {error.strerror or error}") from error


@contextmanager
def _open_target(path: Path) -> Iterator[BinaryIO]:
    try:
        existing = path.stat()
    except FileNotFoundError:
        existing = None
    handle = next((fd for fd in _STANDARD if existing and _is_open_as(fd, existing)), None)
    if handle is not None:
        with open(os.dup(handle), "wb") as file:  # noqa: PTH123  # of a handle
            yield file
    elif existing is not None and not stat.S_ISREG(existing.st_mode):
        with path.open("wb") as file:
            yield file
    else:
        with _open_temporary(Path(os.path.realpath(path)), existing) as file:
            yield file


def _is_open_as(handle: int, existing: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), existing)
    except OSError:  # it is closed
        return False


@contextmanager
def _open_temporary(path: Path, existing: os.stat_result | None) -> Iterator[BinaryIO]:
    """A temporary file that replaces `path` when the block ends without an error."""
    if existing is not None and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    temporary = path.with_name(f".loader-{uuid.uuid4().hex[:16]}")
    handle = _create_temporary(temporary, existing)
    if handle is None:
        with _open_spool(path) as file:
            yield file
        return
    try:
        with open(handle, "wb") as file:  # noqa: PTH123  # of a handle
            yield file
        if existing is not None:
            _copy_owner_and_mode(temporary, existing)
        _replace(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink()


def _create_temporary(temporary: Path, existing: os.stat_result | None) -> int | None:
    """The handle of the new file; None when the existing file must be overwritten in place.

    That is so for a file with several hard links, which a rename would separate, and for a file
    in a folder that this user may not write to.
    """
    if existing is not None and existing.st_nlink > 1:
        return None
    # Never readable by anyone who cannot read the existing file, not even while it is written.
    rights = stat.S_IMODE(existing.st_mode) & 0o666 if existing else 0o666
    try:
        return os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, rights)
    except OSError as error:
        if existing is None or error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        return None


@contextmanager
def _open_spool(path: Path) -> Iterator[BinaryIO]:
    """A spool file that is copied over `path` when the block ends without an error."""
    with tempfile.TemporaryFile(prefix="loader-") as spool:
        yield spool
        spool.seek(0)
        with path.open("wb") as file:
            shutil.copyfileobj(spool, file)


def _copy_owner_and_mode(path: Path, existing: os.stat_result) -> None:
    now = path.stat()
    if (now.st_uid, now.st_gid) != (existing.st_uid, existing.st_gid):
        with suppress(OSError, AttributeError):  # only root may change the owner
            os.chown(path, existing.st_uid, existing.st_gid)
    path.chmod(stat.S_IMODE(existing.st_mode))


def _replace(temporary: Path, path: Path) -> None:
    try:
        temporary.replace(path)
    except OSError as error:
        # A file that is itself a mount point can be written, but not replaced.
        if error.errno != errno.EBUSY:
            raise
        shutil.copyfile(temporary, path)
