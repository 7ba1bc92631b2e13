"""Reads a folder of YAML table specs; problems carry the file, line and column they are about."""

from __future__ import annotations

import difflib
import fnmatch
import gc
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from loader.errors import PlanError, Problem, SpecError
from loader.parallel import run_parallel
from loader.spec.diagnostics import diagnose
from loader.spec.model import TableSpec
from loader.spec.yaml_reader import read_document
from loader.text_files import UnreadableError, is_folder, read_text

TAG = "tag:"
"""What a tag begins with among names of tables."""


@dataclass(frozen=True)
class Entry:
    """One spec file: the spec it declares, or its problems."""

    path: Path
    shown: str
    """The path as messages show it, relative to the project."""
    spec: TableSpec | None
    problems: tuple[Problem, ...] = ()
    name: str = ""
    """The asset key, if the file is valid enough to have one."""
    line: int = 1
    column: int = 1
    """The line of the asset key, or of the start of the spec."""


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
        """All entries, valid or not; at least one.

        Raises:
            PlanError: there are no specs.
        """
        if self.entries:
            return self.entries
        if is_folder(self.folder):
            raise PlanError(
                f"there is no table spec in {self.folder}",
                hint="specs are its *.yml files; `loader init` makes a first one",
            )
        wrong = "is not a folder" if self.folder.exists() else "does not exist"
        raise PlanError(
            f"the folder of table specs, {self.folder}, {wrong}",
            hint="set `specs` to a folder of table specs; `loader init` makes a project",
        )

    def select(self, patterns: Sequence[str]) -> list[Entry]:
        """The entries that patterns name; all entries without a pattern.

        A pattern is an asset key, ``schema.table``, a glob of either, a spec file, or a folder of
        spec files. ``tag:KEY`` and ``tag:KEY=VALUE`` narrow what the others name: an entry has all
        of these keys, and one of the values given for a key.

        Raises:
            PlanError: there are no specs, or a pattern matches none; with the nearest names.
            SpecError: a selected file is not valid.
        """
        entries = self.some()
        tags = [word for word in patterns if word.startswith(TAG)]
        names = [word for word in patterns if not word.startswith(TAG)]
        chosen: dict[Path, Entry] = {} if names else {entry.path: entry for entry in entries}
        for pattern in names:
            found = [entry for entry in entries if _matches(entry, pattern)]
            found = found or _in_folder(entries, pattern)
            if not found:
                raise self._unknown(pattern)
            chosen.update((entry.path, entry) for entry in found)
        if not tags:
            return list(_all_right(chosen.values()))
        tagged = list(_tagged(_all_right(chosen.values()), tags))
        if not tagged:
            raise _unknown_tag(tags, [entry.spec for entry in entries if entry.spec])
        return tagged

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


def _tagged(entries: Iterable[Entry], words: Iterable[str]) -> Iterator[Entry]:
    """The entries with all of the tags; of several values of a key, with one of them."""
    wanted: dict[str, set[str | None]] = {}
    for word in words:
        key, equals, value = word.removeprefix(TAG).partition("=")
        wanted.setdefault(key, set()).add(value if equals else None)
    for entry in entries:
        tags = _right(entry).tags
        if all(key in tags and not {None, tags[key]}.isdisjoint(wanted[key]) for key in wanted):
            yield entry


def _unknown_tag(words: Sequence[str], specs: Sequence[TableSpec]) -> PlanError:
    shown = " and ".join(f"`{word.removeprefix(TAG)}`" for word in words)
    pairs = dict.fromkeys(f"{key}={value}" for spec in specs for key, value in spec.tags.items())
    keys = dict.fromkeys(key for spec in specs for key in spec.tags)
    known = [*keys, *pairs]
    missing = [tag for tag in (word.removeprefix(TAG) for word in words) if tag not in known]
    close = [name for tag in missing for name in difflib.get_close_matches(tag, known, n=1)]
    if close:
        hint = f"did you mean {' or '.join(f'`{name}`' for name in close)}?"
    elif pairs:
        hint = f"the tags are {', '.join(list(pairs)[:10])}{', …' if len(pairs) > 10 else ''}"
    else:
        hint = "no spec has tags; add them: `tags: {domain: sales}`"
    return PlanError(f"no selected table has the tag {shown}", hint=hint)


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
        return fnmatch.fnmatchcase(entry.shown, pattern) or _same(pattern, entry.path)
    return False


def _in_folder(entries: Sequence[Entry], folder: str) -> list[Entry]:
    """The spec files in a folder, which is relative to the project or to the working directory."""
    name = os.path.normpath(folder) + os.sep
    real = Path(os.path.realpath(folder)) if folder and is_folder(Path(folder)) else None
    return [
        entry
        for entry in entries
        if entry.shown.startswith(name)
        or (real is not None and real in Path(os.path.realpath(entry.path)).parents)
    ]


def _same(pattern: str, path: Path) -> bool:
    try:
        return path.samefile(pattern)
    except (OSError, ValueError):  # one of them is not there, or a circle of links
        return False


def read_catalog(folder: Path, root: Path, *, forks: bool = False) -> Catalog:
    """Read every ``*.yml`` and ``*.yaml`` under a folder; ``root`` shortens the paths shown.

    The ``defs.yaml`` of Dagster's components are none.

    Broken files are kept with their problems, so that one broken spec does not hide the others.
    ``forks`` lets very many be read by all cores, which is for programs of one thread.
    """
    there = is_folder(folder)
    found = sorted([*folder.rglob("*.yml"), *folder.rglob("*.yaml")]) if there else []

    def read(paths: Sequence[Path]) -> list[Entry]:
        return [read_entry(path, root) for path in paths if not _is_component(path)]

    with _no_collection():
        entries = run_parallel(read, found, per_process=_ENOUGH) if forks else read(found)
        return Catalog(folder, tuple(_without_claims(list(_unique(entries)))))


def _is_component(path: Path) -> bool:
    """Whether a file is the defs.yaml of a component of Dagster, which may lie among specs."""
    if path.name != "defs.yaml":
        return False
    try:
        text = read_text(path)
    except UnreadableError:
        return False
    keys = set(re.findall(r"^(\w+):", text, re.MULTILINE))
    return "type" in keys and keys.isdisjoint(("schema", "columns"))


_ENOUGH = 200
"""Files that are worth a process: about a tenth of a second."""


@contextmanager
def _no_collection() -> Iterator[None]:
    """Pause garbage collection: specs are many objects that all stay, so that it finds nothing.

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
            hint="add a different asset_key to one of them",
        )
        yield replace(entry, spec=None, problems=(*entry.problems, problem))


def _without_claims(entries: Sequence[Entry]) -> Iterator[Entry]:
    """The entries, wrong where the earlier name of a table is that of another spec's table.

    The live table of that name could be either of them.
    """
    owners = {entry.spec.table: entry for entry in entries if entry.spec}
    for entry in entries:
        for name in entry.spec.renamed_from if entry.spec else ():
            other = owners.setdefault(name, entry)
            if other is not entry:
                problem = Problem(
                    f"`{name}` belongs to {other.shown}: it is its table, or an earlier name of it",
                    ("renamed_from",),
                    "remove it here once the live table is renamed",
                )
                entry = replace(entry, spec=None, problems=(_located(problem, entry),))  # noqa: PLW2901
                break
        yield entry


def _located(problem: Problem, entry: Entry) -> Problem:
    """A problem of a spec that was valid by itself, with its place in the file."""
    document, _ = read_document(read_text(entry.path), entry.shown)
    return document.locate(problem) if document else replace(problem, path=entry.shown)


def read_entry(path: Path, root: Path) -> Entry:
    """Read one spec file."""
    shown = _shown(path, root)
    try:
        text = read_text(path)
    except UnreadableError as error:
        return Entry(path, shown, None, (Problem(error.message, path=shown),))
    if path.is_symlink() and not path.resolve().is_relative_to(root.resolve()):
        # Errors about a link could reveal the contents of any file on this machine.
        message, hint = "is a link that leads out of the project", "put the spec itself there"
        return Entry(path, str(path), None, (Problem(message, path=str(path), hint=hint),))
    return _entry(path, shown, text)


def _entry(path: Path, shown: str, text: str) -> Entry:
    document, problems = read_document(text, shown)
    if document is None:
        return Entry(path, shown, None, tuple(problems))
    data = document.data
    if not isinstance(data, dict):
        message = "a table spec is a mapping of keys such as schema, name and columns"
        kind = "list" if isinstance(data, list) else "single value"
        found = "the file is empty" if data is None else f"this is a {kind}"
        problem = document.problem(f"{message}; {found}", ())
        return Entry(path, shown, None, (*problems, problem))
    spec, found_problems = diagnose(data)
    explained = {problem.loc for problem in problems}
    problems += [document.locate(one) for one in found_problems if one.loc not in explained]
    if problems:
        problems.sort(key=lambda problem: (problem.line, problem.column))
        return Entry(path, shown, None, tuple(problems), _name(data))
    assert spec is not None
    line, column = document.place(("asset_key",))
    return Entry(path, shown, spec, name=spec.asset_key, line=line, column=column)


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
