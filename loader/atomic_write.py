"""Writes files whole or not at all: under another name in the same folder, then renamed."""

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
"""Standard output and standard error, which ``/dev/stdout`` and ``/dev/stderr`` name."""


def write_text(path: Path, text: str) -> None:
    """Write a file of text, in UTF-8, without secrets; the folder that it is in must be there.

    Raises:
        StageError: it cannot be written; what was there is still there.
    """
    with new_file(path) as file:
        file.write(KNOWN.hide(text).encode("utf-8", "backslashreplace"))


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A file to be written, which is there under its name once the block has ended well.

    A file that is there already keeps its rights, and links to it stay links. Devices, pipes and
    what is standard output already are written as the block goes on, since nothing takes their
    place.

    Raises:
        StageError: it cannot be written; what was there is still there.
    """
    try:
        with _opened(path) as file:
            yield file
    except BrokenPipeError:
        raise  # whoever read it has had enough
    except OSError as error:
        raise StageError(f"{path} cannot be written: {error.strerror or error}") from error


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        there = path.stat()
    except FileNotFoundError:
        there = None
    handle = next((fd for fd in _STANDARD if there and _is_open_as(fd, there)), None)
    if handle is not None:
        with open(os.dup(handle), "wb") as file:  # noqa: PTH123  # of a handle
            yield file
    elif there is not None and not stat.S_ISREG(there.st_mode):
        with path.open("wb") as file:
            yield file
    else:
        with _aside(Path(os.path.realpath(path)), there) as file:
            yield file


def _is_open_as(handle: int, there: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), there)
    except OSError:  # it is closed
        return False


@contextmanager
def _aside(path: Path, there: os.stat_result | None) -> Iterator[BinaryIO]:
    """A file that takes the place of another when the block has ended well."""
    if there is not None and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    aside = path.with_name(f".loader-{uuid.uuid4().hex[:16]}")
    handle = _made(aside, there)
    if handle is None:
        with _over(path) as file:
            yield file
        return
    try:
        with open(handle, "wb") as file:  # noqa: PTH123  # of a handle
            yield file
        if there is not None:
            _like(aside, there)
        _renamed(aside, path)
    finally:
        with suppress(OSError):
            aside.unlink()


def _made(aside: Path, there: os.stat_result | None) -> int | None:
    """The handle of a new file; None where another's bytes must be written over instead.

    A name with another name of its own (a hard link) would part from it, if it were renamed; and
    whoever may write a file may not always write the folder it is in.
    """
    if there is not None and there.st_nlink > 1:
        return None
    # From the first byte on nobody reads it who could not read what it takes the place of.
    rights = stat.S_IMODE(there.st_mode) & 0o666 if there else 0o666
    try:
        return os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, rights)
    except OSError as error:
        if there is None or error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        return None


@contextmanager
def _over(path: Path) -> Iterator[BinaryIO]:
    """A file whose bytes are written over those of another when the block has ended well."""
    with tempfile.TemporaryFile(prefix="loader-") as spool:
        yield spool
        spool.seek(0)
        with path.open("wb") as file:
            shutil.copyfileobj(spool, file)


def _like(path: Path, there: os.stat_result) -> None:
    """Give a file the owner and the rights of another."""
    now = path.stat()
    if (now.st_uid, now.st_gid) != (there.st_uid, there.st_gid):
        with suppress(OSError, AttributeError):  # only root may give files away
            os.chown(path, there.st_uid, there.st_gid)
    path.chmod(stat.S_IMODE(there.st_mode))


def _renamed(aside: Path, path: Path) -> None:
    try:
        aside.replace(path)
    except OSError as error:
        # A file that is mounted by itself can be written, and not be put in another's place.
        if error.errno != errno.EBUSY:
            raise
        shutil.copyfile(aside, path)
