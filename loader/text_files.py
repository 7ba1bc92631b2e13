"""Reads small UTF-8 text files, such as specs, templates and settings."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from loader.errors import LoaderError

LARGEST = 10 << 20
"""In bytes. A spec with Redshift's maximum of 1,600 columns has less than 1 MB; a larger file is
data, or endless, and could exhaust the memory."""

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class UnreadableError(LoaderError):
    """A text file cannot be read; the message continues a sentence that begins with its name."""


def path_exists(path: Path) -> bool:
    """Whether the path exists; False when it is invalid or may not be read."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """Whether the path is a folder; False when it is invalid or may not be read."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def read_text(path: Path) -> str:
    """Read a UTF-8 text file, without its byte order mark.

    Raises:
        UnreadableError: it is not a regular file, too large, not UTF-8, or cannot be opened.
    """
    return decode_utf8(read_bytes(path))


def read_bytes(path: Path, most: int = LARGEST) -> bytes:
    """Read a file of at most `most` bytes.

    Raises:
        UnreadableError: it is not a regular file, too large, or cannot be opened.
    """
    try:
        # Non-blocking: opening a pipe would wait for a writer.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # a name with a NUL character
        raise UnreadableError(f"cannot be read: {error}") from error
    try:
        mode = os.fstat(handle).st_mode
        if not stat.S_ISREG(mode):
            what = next((word for holds, word in _KINDS if holds(mode)), "a special file")
            raise UnreadableError(f"cannot be read: it is {what}, not a regular file")
        with open(handle, "rb", closefd=False) as file:  # of a handle
            return read_limited(file, most)
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror or error}") from error
    finally:
        os.close(handle)


def read_limited(stream: BinaryIO, most: int = LARGEST) -> bytes:
    """Read a whole stream of at most `most` bytes.

    Raises:
        UnreadableError: it is larger.
    """
    data = stream.read(most + 1)
    if len(data) > most:
        raise UnreadableError(f"is larger than {most >> 20} MB, the limit for this kind of file")
    return data


def decode_utf8(data: bytes) -> str:
    """Decode UTF-8 and remove the byte order mark.

    Raises:
        UnreadableError: it is not UTF-8.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableError(f"is not UTF-8 text: {error}") from error
