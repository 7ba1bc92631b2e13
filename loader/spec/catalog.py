"""Reads a folder of YAML specs, and remembers where in a file every word stands."""

from __future__ import annotations

import difflib
import fnmatch
import gc
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from loader.errors import Loc, PlanError, Problem, SpecError
from loader.parallel import shared
from loader.spec.diagnostics import diagnose
from loader.spec.model import TableSpec
from loader.spec.yaml_limits import DEEPEST, PARSER, check_depth, check_number
from loader.text_files import UnreadableError, is_folder, read_text

_TAGS = frozenset(
    f"tag:yaml.org,2002:{kind}"
    for kind in ("null", "bool", "int", "float", "str", "timestamp", "seq", "map", "merge")
)
"""What YAML gives to plain words, lists and mappings by itself."""


@dataclass(frozen=True)
class Entry:
    """One spec file: the spec it declares, or what is wrong with it."""

    path: Path
    shown: str
    """The path as messages show it, relative to the project."""
    spec: TableSpec | None
    problems: tuple[Problem, ...] = ()
    name: str = ""
    """The asset key, as far as a broken file tells it."""
    line: int = 1
    column: int = 1
    """Where the file says its asset key, or begins."""


@dataclass(frozen=True)
class Catalog:
    """All specs of a project."""

    folder: Path
    entries: tuple[Entry, ...]
    _by_key: dict[str, Entry] = field(default_factory=dict, compare=False)

    def problems(self) -> list[Problem]:
        """Everything wrong in any file, in the order of files and lines."""
        return [problem for entry in self.entries for problem in entry.problems]

    def specs(self) -> list[TableSpec]:
        """All specs.

        Raises:
            SpecError: a file is wrong; with every problem of every file.
        """
        return [_right(entry) for entry in _all_right(self.entries)]

    def some(self) -> tuple[Entry, ...]:
        """All entries, right or wrong, of which there is at least one.

        Raises:
            PlanError: there is none.
        """
        if self.entries:
            return self.entries
        if is_folder(self.folder):
            raise PlanError(
                f"there is no table spec in {self.folder}",
                hint="specs are its *.yml files; `loader init` makes a first one",
            )
        raise PlanError(
            f"there is no folder {self.folder}, where the table specs should be",
            hint="set `specs` in the project's settings; `loader init` makes a project",
        )

    def select(self, patterns: Sequence[str]) -> list[Entry]:
        """The entries that patterns name: asset keys, ``schema.table``, globs, or spec files.

        Raises:
            PlanError: there are no specs, or a pattern names none; with the nearest names.
            SpecError: a file that was asked for is wrong.
        """
        entries = self.some()
        if not patterns:
            return list(_all_right(entries))
        chosen: dict[Path, Entry] = {}
        for pattern in patterns:
            found = [entry for entry in entries if _matches(entry, pattern)]
            if not found:
                raise self._unknown(pattern)
            chosen.update((entry.path, entry) for entry in found)
        return list(_all_right(chosen.values()))

    def one(self, name: str) -> Entry:
        """The one entry that a name means.

        Raises:
            PlanError: it names none, or several.
        """
        found = self.select([name])
        if len(found) > 1:
            names = ", ".join(_right(entry).asset_key for entry in found)
            raise PlanError(f"`{name}` names {len(found)} tables: {names}", hint="name one")
        return found[0]

    def _unknown(self, pattern: str) -> PlanError:
        names = [entry.name for entry in self.entries if entry.name]
        tables = [entry.spec.table for entry in self.entries if entry.spec]
        dotted = "." in pattern and "/" not in pattern
        close = difflib.get_close_matches(pattern, tables if dotted else names, n=3)
        broken = [entry.shown for entry in self.entries if entry.problems]
        hint = f"did you mean {' or '.join(f'`{name}`' for name in close)}?" if close else None
        if hint is None and names:
            hint = f"the tables are {', '.join(names[:10])}{', …' if len(names) > 10 else ''}"
        if broken:
            hint = f"{hint + '; ' if hint else ''}these files are wrong: {', '.join(broken[:5])}"
        return PlanError(f"no table spec is called `{pattern}`", hint=hint)


def _right(entry: Entry) -> TableSpec:
    assert entry.spec is not None
    return entry.spec


def _all_right(entries: Iterable[Entry]) -> Sequence[Entry]:
    listed = list(entries)
    problems = [problem for entry in listed for problem in entry.problems]
    if problems:
        raise SpecError(problems)
    return listed


def _matches(entry: Entry, pattern: str) -> bool:
    names = {entry.name, entry.spec.table if entry.spec else ""}
    if pattern in names or any(name and fnmatch.fnmatchcase(name, pattern) for name in names):
        return True
    if pattern.endswith((".yml", ".yaml")):
        return pattern == entry.shown or _same(pattern, entry.path)
    return False


def _same(pattern: str, path: Path) -> bool:
    try:
        return path.samefile(pattern)
    except (OSError, ValueError):  # one of them is not there, or a circle of links
        return False


def read_catalog(folder: Path, root: Path, *, forks: bool = False) -> Catalog:
    """Read every ``*.yml`` and ``*.yaml`` under a folder; ``root`` shortens the paths shown.

    Broken files are kept with their problems, so that one broken spec does not hide the others.
    ``forks`` lets very many be read by all cores, which is for programs of one thread.
    """
    there = is_folder(folder)
    found = sorted([*folder.rglob("*.yml"), *folder.rglob("*.yaml")]) if there else []

    def read(paths: Sequence[Path]) -> list[Entry]:
        return [read_entry(path, root) for path in paths]

    with _no_collection():
        entries = shared(read, found, enough=_ENOUGH) if forks else read(found)
        return Catalog(folder, tuple(_unique(entries)))


_ENOUGH = 200
"""Files that are worth a process: about a tenth of a second."""


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the garbage collector out: specs are many objects that all stay, and it finds nothing.

    With a thousand files it took a third of the time.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _unique(entries: Iterable[Entry]) -> Iterator[Entry]:
    first: dict[str, Entry] = {}
    for entry in entries:
        other = first.setdefault(entry.name, entry) if entry.spec else entry
        if other is entry:
            yield entry
            continue
        problem = Problem(
            f"the asset key `{entry.name}` is already that of {other.shown}",
            path=entry.shown,
            line=entry.line,
            column=entry.column,
            hint="give one of them an asset_key of its own",
        )
        yield replace(entry, spec=None, problems=(*entry.problems, problem))


def read_entry(path: Path, root: Path) -> Entry:
    """Read one spec file."""
    shown = _shown(path, root)
    try:
        text = read_text(path)
    except UnreadableError as error:
        return Entry(path, shown, None, (Problem(error.message, path=shown),))
    if path.is_symlink() and not path.resolve().is_relative_to(root.resolve()):
        # A link of a stranger's would have its errors tell what some file of this machine says.
        message, hint = "is a link that leads out of the project", "put the spec itself there"
        return Entry(path, str(path), None, (Problem(message, path=str(path), hint=hint),))
    return _entry(path, shown, text)


def _entry(path: Path, shown: str, text: str) -> Entry:
    plain = _Plain(text)
    data = plain.mapping()
    if data is not None:
        spec, _ = diagnose(data)
        if spec is not None:
            line, column = plain.place
            return Entry(path, shown, spec, name=spec.asset_key, line=line, column=column)
    return _placed_entry(path, shown, text)


def _placed_entry(path: Path, shown: str, text: str) -> Entry:
    """The entry of a file that is not quite right, or not quite plain."""
    document = _Document(shown)
    data = document.parse(text)
    if data is None:
        return Entry(path, shown, None, tuple(document.problems))
    spec, problems = diagnose(data)
    told = {problem.loc for problem in document.problems}
    more = (document.place(problem) for problem in problems if problem.loc not in told)
    placed = [*document.problems, *more]
    placed.sort(key=lambda problem: (problem.line, problem.column))
    if placed:
        return Entry(path, shown, None, tuple(placed), _name(data))
    assert spec is not None
    key = document.place(Problem("", ("asset_key",)))
    return Entry(path, shown, spec, name=spec.asset_key, line=key.line, column=key.column)


def _name(data: dict[str, Any]) -> str:
    key = data.get("asset_key") or f"{data.get('schema', '?')}/{data.get('name', '?')}"
    return str(key)


def _shown(path: Path, root: Path) -> str:
    # The folder by its real name; a link keeps the name that it has in there.
    real = Path(os.path.realpath(path.parent), path.name)
    try:
        return str(real.relative_to(os.path.realpath(root)))
    except ValueError:
        return str(path)


class _UnusualError(Exception):
    """Something that takes a closer look."""


class _Plain:
    """A YAML text as nearly all are: its data alone, which takes half the time of `_Document`.

    Whatever else there may be in YAML, and whatever is wrong with it, is unusual.
    """

    def __init__(self, text: str) -> None:
        self.place = (1, 1)
        """The line and column of the asset key, or of the beginning."""
        self._loader = PARSER(text)
        self._next = self._loader.get_event

    def mapping(self) -> dict[str, Any] | None:
        """What the text says, or None when that takes a closer look."""
        try:
            self._next()  # the stream begins
            self._next()  # the document begins
            data = self._value(self._next(), 0)
            self._next()  # the document ends
            alone = isinstance(self._next(), yaml.StreamEndEvent)
        except (_UnusualError, yaml.YAMLError, ValueError, KeyError):
            return None
        finally:
            self._loader.dispose()
        return data if alone and isinstance(data, dict) else None

    def _value(self, event: Any, depth: int) -> Any:
        if not isinstance(event, _NODES) or event.anchor or event.tag or depth > DEEPEST:
            raise _UnusualError
        if isinstance(event, yaml.ScalarEvent):
            return _word(event.value) if event.implicit[0] else event.value
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(event, depth)
        items = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            items.append(self._value(event, depth + 1))
        return items

    def _mapping(self, start: Any, depth: int) -> dict[str, Any]:
        data: dict[str, Any] = {}
        mark = start.start_mark
        while isinstance(event := self._next(), yaml.ScalarEvent):
            key = event.value
            if event.anchor or event.tag or key in data or key == "<<":
                raise _UnusualError
            event = self._next()
            data[key] = self._value(event, depth + 1)
            if key == "asset_key":
                mark = event.start_mark
        if not isinstance(event, yaml.MappingEndEvent):
            raise _UnusualError
        if depth == 0:
            self.place = (mark.line + 1, mark.column + 1)
        return data


_NODES = (yaml.ScalarEvent, yaml.SequenceStartEvent, yaml.MappingStartEvent)


@lru_cache(maxsize=10_000)
def _word(text: str) -> Any:
    """What YAML makes of a word without quotes."""
    loader = PARSER("")
    try:
        tag = loader.resolve(yaml.ScalarNode, text, (True, False))
        if tag not in _TAGS or tag == "tag:yaml.org,2002:merge":
            raise _UnusualError
        check_number(tag, text)
        return loader.construct_object(yaml.ScalarNode(tag, text))
    finally:
        loader.dispose()


class _Document:
    """One YAML text: its data, and the line and column of each of its parts."""

    def __init__(self, shown: str) -> None:
        self.shown = shown
        self.problems: list[Problem] = []
        self._root: Any = None
        self._seen: set[int] = set()

    def parse(self, text: str) -> dict[str, Any] | None:
        """The document as plain data, or None when it is no mapping at all."""
        loader = None
        try:
            anchors = check_depth(text)
            loader = PARSER(text)
            self._root = loader.get_single_node()
            data = self._construct(loader, self._root) if self._root is not None else None
            for mark in anchors:  # one that nobody refers to is a mistake too
                self._add("anchors are not part of this language; write it out", mark)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            self._add(f"is not YAML: {error.problem or error.context}", mark)
            return None
        except yaml.YAMLError as error:
            first = str(error).splitlines()[0]
            self.problems.append(
                Problem(f"is not YAML: {first}", path=self.shown, line=1, column=1)
            )
            return None
        finally:
            if loader is not None:
                loader.dispose()
        if not isinstance(data, dict):
            message = "a table spec is a mapping of keys such as schema, name and columns"
            kind = "list" if isinstance(data, list) else "single value"
            found = "the file is empty" if data is None else f"this is a {kind}"
            self._add(f"{message}; {found}", getattr(self._root, "start_mark", None))
            return None
        return data

    def place(self, problem: Problem) -> Problem:
        """The problem with the line and column of what it is about."""
        mark = self._mark(problem.loc, on_key=problem.on_key)
        return replace(problem, path=self.shown, line=mark.line + 1, column=mark.column + 1)

    def _add(self, message: str, mark: Any, loc: Loc = ()) -> None:
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        self.problems.append(Problem(message, loc, path=self.shown, line=line, column=column))

    def _construct(self, loader: Any, node: Any, loc: Loc = (), mark: Any = None) -> Any:
        if id(node) in self._seen:
            message = "aliases are not part of this language; write it out"
            self._add(message, mark or node.start_mark, loc)
            return None
        self._seen.add(id(node))
        if node.tag not in _TAGS:
            message = f"tags (`{node.tag}`) are not part of this language; write plain YAML"
            self._add(message, node.start_mark, loc)
            return None
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(loader, node, loc)
        if isinstance(node, yaml.SequenceNode):
            items = enumerate(node.value)
            return [self._construct(loader, item, (*loc, at)) for at, item in items]
        return self._mapping(loader, node, loc)

    def _scalar(self, loader: Any, node: Any, loc: Loc) -> Any:
        if node.tag == "tag:yaml.org,2002:str":
            return node.value
        try:
            check_number(node.tag, node.value)
            return loader.construct_object(node)
        except (ValueError, KeyError) as error:
            self._add(f"cannot be read: {str(error).split(';')[0]}", node.start_mark, loc)
            return None

    def _mapping(self, loader: Any, node: Any, loc: Loc) -> dict[str, Any]:
        lines: dict[str, int] = {}
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                message = "merge keys (`<<`) are not part of this language; write it out"
                self._add(message, key_node.start_mark, loc)
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self._add("a key is one word", key_node.start_mark, loc)
                continue
            key = str(key_node.value)
            if key in lines:
                message = f"the key `{key}` is already set in line {lines[key]}"
                self._add(message, key_node.start_mark, (*loc, key))
            lines.setdefault(key, key_node.start_mark.line + 1)
            data[key] = self._construct(loader, value_node, (*loc, key), key_node.start_mark)
        return data

    def _mark(self, loc: Loc, *, on_key: bool) -> Any:
        node, mark = self._root, self._root.start_mark
        for at, step in enumerate(loc):
            last = at == len(loc) - 1
            if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
                if step >= len(node.value):
                    return mark
                node = node.value[step]
            elif isinstance(node, yaml.MappingNode):
                pairs = [pair for pair in node.value if pair[0].value == str(step)]
                if not pairs:
                    return mark
                key_node, node = pairs[-1]
                if last and on_key:
                    return key_node.start_mark
            else:
                return mark
            mark = node.start_mark
        return mark
