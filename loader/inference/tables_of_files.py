"""Which files are of one table, by their folders and names; for drafts of many tables at once."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path, PurePosixPath

from loader.data.files.open import DataFile, expand_pattern, format_of_name, stem
from loader.errors import NoFilesError
from loader.spec.file_keys import glob_of, translate_glob
from loader.text_files import is_folder

Columns = Callable[[DataFile], frozenset[str] | None]
"""The names of a file's columns; None where it cannot be read."""

_MAGIC = re.compile(r"[*?\[]")
_GENERIC = frozenset(
    {"", "part", "data", "file", "export", "output", "out", "chunk", "batch", "page", "result"}
    | {"run", "dump", "table", "rows", "new", "latest"}
)
"""Names of files that tell nothing of what is in them; their folder does."""

_NUMBERED = re.compile(
    r"([-_. (]*(part|chunk|batch|page|run|tid|snappy|c)?[-_. (]*"
    r"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    r"|[0-9][-_.:0-9]*(t[0-9][-_.:0-9]*z?)?)\)?)+$"
)
"""The end of a name that numbers the files of one table, or dates them."""

_PERIOD = re.compile(r"[0-9]{1,4}([-_.]?[0-9]{1,2}){0,3}|[0-9]{4}-?(q[1-4]|w[0-9]{2})")
"""A folder that is a year, a month, a day, or a number."""

_LISTED = 50
"""The most files that a spec names one by one."""


@dataclass(frozen=True)
class TableFiles:
    """The files of one table."""

    name: str
    files: tuple[DataFile, ...]


@dataclass(frozen=True)
class FoundTables:
    """The tables that files are of."""

    tables: tuple[TableFiles, ...]
    skipped: tuple[str, ...]
    """The files in folders whose names are not those of data."""


@dataclass(frozen=True)
class _Place:
    """A file, the folders that may name its table, and what its own name says."""

    file: DataFile
    folders: tuple[str, ...]
    word: str
    """Empty where its name says nothing."""


def find_tables(patterns: Sequence[str], columns_of: Columns) -> FoundTables:
    """Group files by the tables that they are of.

    Files are of one table when their names differ only in numbers and dates (``orders-2026.csv``),
    when they are in one folder and their names say nothing (``orders/part-0.parquet``), or when
    they are in one folder below the given one and have the same columns (``orders/eu.csv``).

    Args:
        patterns: As for `open_files`; a folder, or ``folder/*``, means all data files below it.
        columns_of: Asked where names leave it open.

    Raises:
        SourceError: a pattern matches no file.
    """
    places: dict[str, _Place] = {}
    skipped: list[str] = []
    for pattern in patterns:
        deep, top = _deepen(pattern, alone=len(patterns) == 1)
        found = expand_pattern(deep, None)
        kept = [file for file in found if deep == pattern or _is_data(file.name)]
        skipped += [file.name for file in found if file not in kept]
        if not kept:
            raise NoFilesError(
                f"no file of {pattern} has the name of data",
                hint="names end in .csv, .parquet, .json, .arrow or the like; or name the files",
            )
        for file in kept:
            places.setdefault(file.name, _place(file, top))
    groups: dict[tuple[tuple[str, ...], str], list[_Place]] = {}
    for place in places.values():
        groups.setdefault((place.folders, place.word), []).append(place)
    merged = _merge_folders(groups, columns_of)
    return FoundTables(tuple(_name_tables(merged)), tuple(dict.fromkeys(skipped)))


def _deepen(pattern: str, *, alone: bool) -> tuple[str, str]:
    """The pattern of all files below a folder, if it names one, and the folder of all tables.

    With other patterns beside it, a folder is that of one table.
    """
    remote = "://" in pattern
    if pattern.endswith("/*"):
        deep = f"{pattern}*"
    elif remote and (pattern.endswith("/") or pattern.count("/") == 2):
        deep = f"{pattern.rstrip('/')}/**"
    elif not remote and is_folder(Path(pattern)):
        folder = pattern.rstrip("/")
        return f"{glob.escape(folder)}/**", folder if alone else folder.rpartition("/")[0]
    else:
        deep = pattern
    magic = _MAGIC.search(deep)
    start = deep[: magic.start()] if magic else deep
    return deep, start.rpartition("/")[0]


def _is_data(name: str) -> bool:
    own = PurePosixPath(name).name
    known = format_of_name(name) is not None or own.lower().endswith(".zip")
    return known and not own.startswith(("_", "."))


def _place(file: DataFile, top: str) -> _Place:
    path = PurePosixPath(file.name)
    inside = file.name.removeprefix(f"{top}/") if top else file.name
    folders = [_clean(part) for part in inside.split("/")[:-1] if not _is_period(part)]
    word = _clean(_NUMBERED.sub("", stem(path.name).lower().removesuffix(".zip")))
    word = "" if word in _GENERIC else word
    if not folders and not word:
        folders = [_clean(PurePosixPath(top).name)]
    return _Place(file, tuple(folders), word)


def _is_period(folder: str) -> bool:
    return "=" in folder or folder == "." or _PERIOD.fullmatch(folder.lower()) is not None


def _clean(text: str) -> str:
    return re.sub(r"\W+", "_", text.lower()).strip("_")


def _merge_folders(
    groups: dict[tuple[tuple[str, ...], str], list[_Place]], columns_of: Columns
) -> dict[tuple[tuple[str, ...], str], list[_Place]]:
    """Groups of one folder become one, if their files have the same columns."""
    merged: dict[tuple[tuple[str, ...], str], list[_Place]] = {}
    for folders in dict.fromkeys(folders for folders, _ in groups):
        own = {key: group for key, group in groups.items() if key[0] == folders}
        if folders and len(own) > 1:
            found = [columns_of(group[0].file) for group in own.values()]
            if None not in found and len(set(found)) == 1:
                merged[folders, ""] = [place for group in own.values() for place in group]
                continue
        merged |= own
    return merged


def _name_tables(
    groups: dict[tuple[tuple[str, ...], str], list[_Place]],
) -> Iterator[TableFiles]:
    short = {(folders, word): word or folders[-1] for folders, word in groups}
    used: set[str] = set()
    for (folders, word), group in groups.items():
        name = short[folders, word] or "data"
        if list(short.values()).count(short[folders, word]) > 1:
            name = "_".join([*folders, *([word] if word else [])]) or name
        number, distinct = 1, name
        while distinct in used:
            number += 1
            distinct = f"{name}_{number}"
        used.add(distinct)
        yield TableFiles(distinct, tuple(place.file for place in group))


# Names for `source.files`.


def name_files(table: TableFiles, found: FoundTables, root: Path) -> tuple[str, ...]:
    """What `source.files` says for the files of a table, and for no other file that was found.

    Args:
        table: One of the tables.
        found: All of them.
        root: The project's folder, from which files in it are named.

    Returns:
        A pattern, or the files; nothing where they are many without a pattern.
    """
    own = [_relative(file.name, root) for file in table.files]
    others = [_relative(f.name, root) for t in found.tables for f in t.files if t is not table]
    others += [_relative(name, root) for name in found.skipped]
    if len(own) == 1:
        return (_escape(own[0]),)
    for pattern in _patterns(own):
        regex = re.compile(translate_glob(glob_of(pattern)), re.DOTALL)
        if all(map(regex.fullmatch, own)) and not any(map(regex.fullmatch, others)):
            return (pattern,)
    return tuple(map(_escape, own)) if len(own) <= _LISTED else ()


def _patterns(names: Sequence[str]) -> Iterator[str]:
    split = [name.split("/") for name in names]
    if len({len(parts) for parts in split}) == 1:
        yield "/".join(_segment([*parts]) for parts in zip(*split, strict=True))
    top = _common_start([parts[:-1] for parts in split])
    end = _end([parts[-1] for parts in split])
    yield "/".join([*map(_escape, top), "**", f"*{_escape(end)}"])


def _segment(parts: Sequence[str]) -> str:
    """The pattern of a part of the paths."""
    if len(set(parts)) == 1:
        return _escape(parts[0])
    keys = {part.partition("=")[0] for part in parts if "=" in part}
    if len(keys) == 1 and all("=" in part for part in parts):
        return f"{_escape(keys.pop())}=*"
    start = re.sub(r"[0-9]+$", "", "".join(_common_start(parts)))
    return f"{_escape(start)}*{_escape(_end([part[len(start) :] for part in parts]))}"


def _end(names: Sequence[str]) -> str:
    """The suffixes that all names end with."""
    common = "".join(_common_start([name[::-1] for name in names]))[::-1]
    return common[common.index(".") :] if "." in common else ""


def _common_start(parts: Sequence[Sequence[str]]) -> list[str]:
    """The items that all sequences begin with."""
    same = takewhile(lambda items: len(set(items)) == 1, zip(*parts, strict=False))
    return [items[0] for items in same]


def _relative(name: str, root: Path) -> str:
    """The path from the project's folder, if the file is in it; else absolute. URLs unchanged."""
    if "://" in name:
        return name
    path = Path(os.path.abspath(name))  # noqa: PTH100  # links keep the names they have
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def _escape(text: str) -> str:
    return glob.escape(text).replace("{", "{{").replace("}", "}}")
