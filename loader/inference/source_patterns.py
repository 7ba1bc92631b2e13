"""What `source.files` of a drafted spec says: a pattern for the files of one table."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Sequence
from itertools import takewhile

from loader.inference.tables_of_files import FoundTables, TableFiles
from loader.spec.file_keys import glob_of, translate_glob

_LISTED = 50
"""The most files that a spec names one by one."""

_NUMBER = re.compile("[0-9]+([-_.][0-9]*)*$")
"""The beginning of a number or date that the names of all files have."""


def name_files(table: TableFiles, found: FoundTables) -> list[str]:
    """A pattern that matches the files of a table, and no other file that was found.

    Args:
        table: One of the tables.
        found: All of them.

    Returns:
        The pattern, or else the files; nothing where they are many without a pattern.
    """
    own = table.paths
    others = [path for other in found.tables if other is not table for path in other.paths]
    others += found.skipped
    for pattern in _patterns(own):
        regex = re.compile(translate_glob(glob_of(pattern)), re.DOTALL)
        if all(map(regex.fullmatch, own)) and not any(map(regex.fullmatch, others)):
            return [pattern]
    return list(map(_escape, own)) if len(own) <= _LISTED else []


def _patterns(names: Sequence[str]) -> Iterator[str]:
    """Patterns that match the names, the simplest first."""
    split = [name.split("/") for name in names]
    last = [parts[-1] for parts in split]
    if len({len(parts) for parts in split}) == 1:
        folders = [list(parts) for parts in zip(*(parts[:-1] for parts in split), strict=True)]
        start = "/".join([*map(_folder, folders), ""])
        if any(_key(parts[0]) for parts in folders):
            yield f"{start}*{_suffix(last)}"
        yield from (f"{start}{file}" for file in _files(last))
    top = _common_start([parts[:-1] for parts in split])
    yield "/".join([*map(_escape, top), "**", f"*{_suffix(last)}"])


def _folder(parts: Sequence[str]) -> str:
    keys = set(map(_key, parts))
    if len(keys) == 1 and (key := keys.pop()):
        return f"{_escape(key)}=*"
    return _escape(parts[0]) if len(set(parts)) == 1 else "*"


def _files(names: Sequence[str]) -> Iterator[str]:
    if len(set(names)) == 1:
        yield _escape(names[0])
        return
    start = _NUMBER.sub("", "".join(_common_start(names)))
    rest = [name[len(start) :] for name in names]
    yield f"{_escape(start)}*{_suffix(rest)}"
    # What they end with, from the first character that parts words: *_orders.csv.
    end = re.search(r"[-_. ].*$", _common_end(rest), re.DOTALL)
    yield f"{_escape(start)}*{_escape(end[0]) if end else ''}"


def _key(folder: str) -> str:
    """The key of a folder such as ``day=2026-01-01``; empty if it has none."""
    key, equals, _ = folder.partition("=")
    return key if equals else ""


def _suffix(names: Sequence[str]) -> str:
    """The suffix that all names have."""
    _, dot, end = _common_end(names).partition(".")
    return _escape(f"{dot}{end}")


def _common_end(names: Sequence[str]) -> str:
    return "".join(_common_start([name[::-1] for name in names]))[::-1]


def _common_start(parts: Sequence[Sequence[str]]) -> list[str]:
    """The items that all sequences begin with."""
    same = takewhile(lambda items: len(set(items)) == 1, zip(*parts, strict=False))
    return [items[0] for items in same]


def _escape(text: str) -> str:
    return glob.escape(text).replace("{", "{{").replace("}", "}}")
