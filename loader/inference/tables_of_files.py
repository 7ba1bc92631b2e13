"""Which files are of one table, by their folders and names; for drafts of many tables at once."""

from __future__ import annotations

import glob
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from loader.data.files.listing import ledger_path
from loader.data.files.open import DataFile, expand_pattern, format_of_name, stem
from loader.errors import NoFilesError
from loader.inference.clean_names import distinct_name
from loader.spec.path_keys import FilePath
from loader.text_files import is_folder

Columns = Callable[[DataFile], frozenset[str] | None]
"""The names of a file's columns; None where it cannot be read."""

_MAGIC = re.compile(r"[*?\[]")
_GENERIC = frozenset(
    {"", "part", "data", "file", "export", "output", "out", "chunk", "batch", "page", "result"}
    | {"run", "dump", "table", "rows", "new", "latest"}
)
"""Names of files that tell nothing of what is in them; their folder does."""

_NUMBER = "[0-9][-_.:0-9]*(t[0-9][-_.:0-9]*z?)?"
_UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_NUMBERED = re.compile(
    rf"^{_NUMBER}[-_. ]+(?=[^\W\d])"
    rf"|[-_. (]*(part|chunk|batch|page|run|tid|c)?[-_. (]*({_UUID}|{_NUMBER})\)?$"
    r"|\.snappy$"
)
"""What numbers the files of one table, or dates them, in their names."""

_PERIOD = re.compile(r"[0-9]{1,4}([-_.]?[0-9]{1,2}){0,3}|[0-9]{4}-?(q[1-4]|w[0-9]{2})")
"""A folder that is a year, a month, a day, or a number."""


@dataclass(frozen=True)
class TableFiles:
    """The files of one table."""

    name: str
    files: tuple[DataFile, ...]

    @property
    def paths(self) -> tuple[str, ...]:
        """The files as a spec names them: from the project's folder, if they are in it."""
        return tuple(file.as_path.name for file in self.files)


@dataclass(frozen=True)
class FoundTables:
    """The tables that files are of."""

    tables: tuple[TableFiles, ...]
    skipped: tuple[str, ...]
    """The files in folders whose names are not those of data, as a spec names them."""


@dataclass(frozen=True)
class _Place:
    """A file, the folders that may name its table, and what its own name says."""

    file: DataFile
    folders: tuple[str, ...]
    word: str
    """Empty where its name says nothing."""


_Groups = dict[tuple[tuple[str, ...], str], list[DataFile]]
"""Files by what folders and names say."""


def find_tables(patterns: Sequence[str], root: Path, columns_of: Columns) -> FoundTables:
    """Group files by the tables that they are of.

    Files are of one table when their names differ only in numbers and dates (``orders-2026.csv``),
    when they are in one folder and their names say nothing (``orders/part-0.parquet``), or when
    they are in one folder below the given one and have the same columns (``orders/eu.csv``).

    Args:
        patterns: As for `open_files`; a folder, or ``folder/*``, means all data files below it.
        root: The project's folder.
        columns_of: Asked where names leave it open.

    Raises:
        SourceError: a pattern matches no file.
    """
    places: dict[str, _Place] = {}
    skipped: list[str] = []
    for pattern in patterns:
        deep, top = _deepen(pattern, alone=len(patterns) == 1)
        found = [_named_from(root, file) for file in expand_pattern(deep, None)]
        named = deep == pattern  # one by one, whatever they are called
        kept = [file for file in found if named or _is_data(file.name)]
        skipped += [f.as_path.name for f in found if not (named or _is_data(f.name))]
        if not kept:
            raise NoFilesError(
                f"{pattern} has no data files",
                hint="names end in .csv, .parquet, .json, .arrow or the like; or name the files",
            )
        for file in kept:
            places.setdefault(file.as_path.name, _place(file, top))
    groups: _Groups = {}
    for place in places.values():
        groups.setdefault((place.folders, place.word), []).append(place.file)
    tables = sorted(_name_tables(_merge_folders(groups, columns_of)), key=lambda table: table.name)
    return FoundTables(tuple(tables), tuple(dict.fromkeys(skipped)))


def _named_from(root: Path, file: DataFile) -> DataFile:
    path = file.name if file.remote else ledger_path(file.name, root)
    return replace(file, as_path=FilePath(path))


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
    word = _word_of(stem(path.name).lower().removesuffix(".zip"))
    if not folders and not word:
        folders = [_clean(PurePosixPath(top).name)]
    return _Place(file, tuple(folders), word)


def _word_of(name: str) -> str:
    """What the name of a file says, without numbers and dates; empty if that is nothing."""
    shorter = _NUMBERED.sub("", name)
    while shorter != name:
        name, shorter = shorter, _NUMBERED.sub("", shorter)
    word = _clean(name)
    return "" if word in _GENERIC else word


def _is_period(folder: str) -> bool:
    return "=" in folder or folder == "." or _PERIOD.fullmatch(folder.lower()) is not None


def _clean(text: str) -> str:
    return re.sub(r"\W+", "_", text.lower()).strip("_")


def _merge_folders(groups: _Groups, columns_of: Columns) -> _Groups:
    """Groups of one folder become one, if their files have the same columns."""
    merged: _Groups = {}
    for folders in dict.fromkeys(folders for folders, _ in groups):
        own = {key: files for key, files in groups.items() if key[0] == folders}
        if folders and len(own) > 1:
            found = [columns_of(files[0]) for files in own.values()]
            if None not in found and len(set(found)) == 1:
                merged[folders, ""] = [file for files in own.values() for file in files]
                continue
        merged |= own
    return merged


def _name_tables(groups: _Groups) -> Iterator[TableFiles]:
    """Tables are named after their files, else their folders; by both where names are alike."""
    short = {(folders, word): word or folders[-1] for folders, word in groups}
    times = Counter(short.values())
    taken: set[str] = set()
    for key, files in groups.items():
        folders, word = key
        long = "_".join([*folders, *([word] if word else [])])
        name = distinct_name((short[key] if times[short[key]] == 1 else long) or "data", taken)
        taken.add(name)
        yield TableFiles(name, tuple(files))
