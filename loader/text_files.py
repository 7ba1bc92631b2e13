"""Small files that people write, such as specs, templates and settings: regular ones, in UTF-8."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from loader.errors import LoaderError

LARGEST = 10 << 20
"""Bytes. A spec of Redshift's 1,600 columns, each described at length, has less than one MB; what
is larger is data, or has no end, and would take all memory."""

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class UnreadableError(LoaderError):
    """A file of text cannot be read; the message goes on after the file's name."""


def is_there(path: Path) -> bool:
    """Whether something is at a path; not where nobody may look, or no file can be."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """Whether a folder is at a path; not where nobody may look, or no folder can be."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def read_text(path: Path) -> str:
    """The text of a file, without its byte order mark.

    Raises:
        UnreadableError: it is no regular file, too large, no UTF-8, or cannot be opened.
    """
    return decoded(read_bytes(path))


def read_bytes(path: Path, most: int = LARGEST) -> bytes:
    """The content of a file of at most so many bytes.

    Raises:
        UnreadableError: it is no regular file, too large, or cannot be opened.
    """
    try:
        # Or a pipe would be waited for, until somebody writes to it.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # a name with a NUL character
        raise UnreadableError(f"cannot be read: {error}") from error
    try:
        mode = os.fstat(handle).st_mode
        if not stat.S_ISREG(mode):
            what = next((word for holds, word in _KINDS if holds(mode)), "something else")
            raise UnreadableError(f"cannot be read: it is {what}, not a file")
        with open(handle, "rb", closefd=False) as file:  # of a handle
            return bounded(file, most)
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror or error}") from error
    finally:
        os.close(handle)


def bounded(stream: BinaryIO, most: int = LARGEST) -> bytes:
    """All of a stream, when that is not too much.

    Raises:
        UnreadableError: it is.
    """
    data = stream.read(most + 1)
    if len(data) > most:
        raise UnreadableError(f"is larger than {most >> 20} MB, which no file of this kind is")
    return data


def decoded(data: bytes) -> str:
    """UTF-8 as text, without its byte order mark.

    Raises:
        UnreadableError: it is not UTF-8.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableError(f"is not UTF-8 text: {error}") from error
