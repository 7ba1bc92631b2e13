"""Reads the settings file of a project: ``loader.toml``, or ``pyproject.toml``.

It finds the tables with Loader's settings, in either form, and the line of each of their keys.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from loader.errors import Loc, Problem
from loader.text_files import UnreadableError, is_folder, read_text

OWN, SHARED = "loader.toml", "pyproject.toml"
"""The file of Loader's settings alone, and the one that they share with other tools."""

NESTED = ("tool", "loader")
"""The table of the settings in a shared file; in a file of their own they may be at the top."""

_BARE_KEY = re.compile(r"[\w-]+", re.ASCII)
_MOST_LINES = 3_000
"""Lines of a file in which keys are looked for; more are hardly settings."""


@dataclass(frozen=True)
class SettingsFile:
    """Loader's settings in one file, as written."""

    name: str
    """``loader.toml`` or ``pyproject.toml``."""
    prefix: tuple[str, ...] = ()
    """The table with the settings: empty for the top of the file."""
    table: Mapping[str, Any] = field(default_factory=dict)
    places: Mapping[Loc, tuple[int, int]] = field(default_factory=dict, repr=False)
    """The line and column of each key."""
    problems: tuple[Problem, ...] = ()
    """What is wrong with the file itself, located."""

    def header(self, *names: str) -> str:
        """The header of a table of settings in the form of this file.

        >>> SettingsFile("pyproject.toml", NESTED).header("targets", "prod")
        '[tool.loader.targets.prod]'
        """
        return header(self.prefix, *names)

    def locate(self, problem: Problem) -> Problem:
        """The problem with this file, and the line and column of the key that it is about."""
        loc = (*self.prefix, *problem.loc)
        known = (loc[:end] for end in range(len(loc), 0, -1))
        line, column = next((self.places[one] for one in known if one in self.places), (0, 0))
        return replace(problem, loc=loc, path=self.name, line=line, column=column)


def header(prefix: tuple[str, ...], *names: str) -> str:
    """The header of a table.

    >>> header((), "targets", "my target")
    '[targets."my target"]'
    """
    words = [
        one if _BARE_KEY.fullmatch(one) else '"' + one.replace('"', '\\"') + '"'
        for one in (*prefix, *names)
    ]
    return f"[{'.'.join(words)}]"


def read_settings_file(folder: Path) -> SettingsFile | None:
    """The settings of a folder; None when it has none.

    Settings that are read in one place hide those in another one, so two places are a problem.
    """
    own, shared = _read(folder / OWN), _read(folder / SHARED)
    nested = _nested(shared)
    if own is None:
        if shared is None or (nested is None and not shared.problems):
            return None
        return _shared_settings(shared, nested or {})
    found = _choose_form(own)
    if shared is None or nested is None or own.problems:
        return found
    return _two_files(found) if found.table else _shared_settings(shared, nested)


def _nested(found: SettingsFile | None) -> Mapping[str, Any] | None:
    tool = found.table.get(NESTED[0]) if found is not None else None
    table = tool.get(NESTED[1]) if isinstance(tool, Mapping) else None
    return table if isinstance(table, Mapping) else None


def _choose_form(own: SettingsFile) -> SettingsFile:
    """The settings of a file of their own: at the top, or all of them in `[tool.loader]`."""
    nested = _nested(own)
    if nested is None:
        return own
    top = {key: value for key, value in own.table.items() if key != NESTED[0]}
    if not top:
        return replace(own, prefix=NESTED, table=nested)
    # Both are read, so that the other problems of both are found.
    merged = _merge(top, nested)
    first = _first_table(nested)
    form = f"write {header((), *first)}" if first else "write the keys at the top"
    moved = {loc[2:]: place for loc, place in own.places.items() if loc[:2] == NESTED}
    found = replace(own, table=merged, places={**moved, **own.places})
    lines = [line for loc, (line, _) in own.places.items() if loc[0] in top]
    where = f" (line {min(lines)})" if lines else ""
    problem = Problem(
        f"some settings are in {header(NESTED)}, and some at the top of the file{where}: only one"
        " of them would count",
        (*NESTED, *first),
        hint=f"in {OWN} {form}, without `{'.'.join(NESTED)}`",
    )
    return replace(found, problems=(*found.problems, found.locate(problem)))


def _first_table(table: Mapping[str, Any]) -> tuple[str, ...]:
    """The path of a first table in it, for an example."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            inner = next((name for name, one in value.items() if isinstance(one, Mapping)), None)
            return (key,) if inner is None else (key, inner)
    return ()


def _merge(top: Mapping[str, Any], nested: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**top, **nested}
    ours, theirs = top.get("targets"), nested.get("targets")
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        merged["targets"] = {**ours, **theirs}
    return merged


def _shared_settings(shared: SettingsFile, nested: Mapping[str, Any]) -> SettingsFile:
    """The settings in a shared file; `[targets.x]` at its top is a problem: nothing reads it."""
    found = replace(shared, prefix=NESTED, table=nested)
    if "targets" not in shared.table:
        return found
    problem = replace(shared, table=nested).locate(
        Problem(
            f"`targets` is not in {header(NESTED)}, so that nothing reads it",
            ("targets",),
            hint=f"write {header(NESTED, 'targets', 'NAME')}",
        )
    )
    return replace(found, problems=(*shared.problems, problem))


def _two_files(own: SettingsFile) -> SettingsFile:
    problem = Problem(
        f"{SHARED} beside it has {header(NESTED)}, which would not count",
        hint=f"keep one of them: move all settings into {OWN} and remove {header(NESTED)}, or"
        f" remove {OWN}",
        path=OWN,
    )
    return replace(own, problems=(*own.problems, problem))


def _read(path: Path) -> SettingsFile | None:
    """The whole data of a TOML file; None when there is no such file."""
    if not os.path.lexists(path) or is_folder(path):
        return None
    name = path.name
    try:
        text = read_text(path)
    except UnreadableError as error:
        return SettingsFile(name, problems=(Problem(error.message, path=name),))
    try:
        data = tomllib.loads(text)
    except RecursionError:
        return SettingsFile(name, problems=(Problem("it is nested too deeply", path=name),))
    except ValueError as error:  # TOML errors, and numbers with thousands of digits
        return SettingsFile(name, problems=(_syntax_problem(name, str(error), text),))
    return SettingsFile(name, table=data, places=_Places(text))


def _syntax_problem(name: str, message: str, text: str) -> Problem:
    where = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", message)
    if where is None:
        return Problem(f"is not TOML: {message}", path=name)
    line, column = (int(where[1]), int(where[2])) if where[1] else (text.count("\n") + 1, 1)
    return Problem(f"is not TOML: {message[: where.start()]}", path=name, line=line, column=column)


class _Places(Mapping[Loc, tuple[int, int]]):
    """The line and column of each table and key of a TOML text, found when first asked for."""

    def __init__(self, text: str) -> None:
        self._text = text.replace("\r\n", "\n")
        self._found: dict[Loc, tuple[int, int]] | None = None

    def _all(self) -> dict[Loc, tuple[int, int]]:
        if self._found is None:
            self._found = {}
            for loc, place in _find_places(self._text):
                self._found.setdefault(loc, place)
        return self._found

    def __getitem__(self, loc: Loc) -> tuple[int, int]:
        return self._all()[loc]

    def __iter__(self) -> Iterator[Loc]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


def _find_places(text: str) -> Iterator[tuple[Loc, tuple[int, int]]]:
    """The path and place of each table and key; each statement of TOML is a text of its own."""
    table: Loc = ()
    for number, statement in _statements(text):
        path = list(_paths(tomllib.loads(statement)))
        if statement.lstrip().startswith("["):
            table = path[-1]
            column = len(statement) - len(statement.lstrip()) + 1
            yield from ((loc, (number, column)) for loc in path)
            continue
        for loc in path:
            yield (*table, *loc), _find_key(statement, str(loc[-1]), number)


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """The statements of a TOML text that is valid, each with the number of its first line."""
    pending: list[str] = []
    for number, line in enumerate(text.split("\n")[:_MOST_LINES], 1):
        if not pending and (not line.strip() or line.lstrip().startswith("#")):
            continue
        pending.append(line)
        if len(pending) > 1 and not re.search(r"[]}'\"]", line):
            continue  # it does not end here
        statement = "\n".join(pending)
        try:
            tomllib.loads(statement)
        except ValueError:
            continue
        yield number - len(pending) + 1, statement
        pending.clear()


def _paths(data: object, loc: Loc = ()) -> Iterator[Loc]:
    """The path of each key in it."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield (*loc, key)
            yield from _paths(value, (*loc, key))
    elif isinstance(data, list):
        for value in data:
            yield from _paths(value, loc)


def _find_key(statement: str, key: str, number: int) -> tuple[int, int]:
    """The line and column of a key in its statement; those of the statement if it is escaped."""
    found = re.search(rf"(?<![\w-]){re.escape(key)}(?=[\"']?\s*[.=])", statement)
    at = found.start() if found else len(statement) - len(statement.lstrip())
    before = statement[:at]
    return number + before.count("\n"), at - (before.rfind("\n") + 1) + 1
