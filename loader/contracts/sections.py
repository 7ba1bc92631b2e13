"""Reads the mappings of a document key by key; unread keys are reported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from loader.errors import Loc, Problem
from loader.spec.yaml_reader import Document


@dataclass
class Findings:
    """The report on one document: problems, dropped parts, and choices."""

    document: Document
    problems: list[Problem] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    """The locations of contents that a spec does not support."""
    notes: list[str] = field(default_factory=list)
    """The choices that were made where the document was ambiguous."""
    tables_without_schema: list[tuple[str, Loc]] = field(default_factory=list)
    """The tables, by name and location, whose schema the document does not name."""

    def add_problem(self, message: str, loc: Loc, hint: str | None = None) -> None:
        """Report a problem."""
        self.problems.append(self.document.problem(message, loc, hint))

    def problems_within(self, loc: Loc) -> list[Problem]:
        """The problems of one part of the document."""
        return [problem for problem in self.problems if problem.loc[: len(loc)] == loc]

    def report_missing_schemas(self, advice: str) -> None:
        """Report all tables without a schema as one problem, since one option fixes all."""
        if self.tables_without_schema:
            names = ", ".join(f"`{name}`" for name, _ in self.tables_without_schema[:12])
            more = ", …" if len(self.tables_without_schema) > 12 else ""
            self.add_problem(
                f"the schema of {names}{more} is missing; {advice}",
                self.tables_without_schema[0][1],
                "name it with --schema NAME",
            )

    def drop(self, loc: Loc) -> None:
        """Report that a part is dropped."""
        place = format_location(loc)
        if place not in self.dropped:
            self.dropped.append(place)

    def note(self, loc: Loc, text: str) -> None:
        """Report how a part was interpreted."""
        self.notes.append(f"{format_location(loc)}: {text}" if loc else text)


class Section:
    """A mapping of a document; each key is either read or reported as dropped."""

    def __init__(self, data: Any, loc: Loc, findings: Findings) -> None:
        self.loc = loc
        self.findings = findings
        self._data: Mapping[str, Any] = {}
        self._taken: set[str] = set()
        if isinstance(data, Mapping):
            self._data = data
        elif data is not None:
            self._wrong("a mapping", data, loc)

    def __contains__(self, key: str) -> bool:
        return self._data.get(key) is not None

    def at(self, key: str) -> Loc:
        """The location of a key of this section."""
        return (*self.loc, key)

    def take(self, key: str) -> Any:
        """The value of a key, of any type; None when the key is missing."""
        self._taken.add(key)
        return self._data.get(key)

    def text(self, key: str) -> str | None:
        """The text of a key; anything else is a problem."""
        value = self.take(key)
        if value is None or isinstance(value, str):
            return value
        self._wrong("text", value, self.at(key), quotes=True)
        return None

    def report_missing(self, key: str) -> None:
        """Report that a key is missing; one that is there with a wrong value is told already."""
        if key not in self:
            self.findings.add_problem(f"`{key}` is missing", self.loc)

    def flag(self, key: str) -> bool | None:
        """The boolean of a key; anything else is a problem."""
        value = self.take(key)
        if value is None or isinstance(value, bool):
            return value
        self._wrong("true or false", value, self.at(key))
        return None

    def integer(self, key: str) -> int | None:
        """The integer of a key; anything else is a problem."""
        value = self.take(key)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        self._wrong("a whole number", value, self.at(key))
        return None

    def entries(self, key: str) -> list[tuple[Any, Loc]]:
        """The entries of a list, with their locations; anything but a list is a problem."""
        value = self.take(key)
        if value is None:
            return []
        if not isinstance(value, list):
            self._wrong("a list", value, self.at(key))
            return []
        return [(item, (*self.at(key), at)) for at, item in enumerate(value)]

    def words(self, key: str) -> list[tuple[str, Loc]]:
        """The strings of a list, with their locations; a single string is a list of one."""
        value = self._data.get(key)
        if isinstance(value, str):
            self._taken.add(key)
            return [(value, self.at(key))]
        found = []
        for item, loc in self.entries(key):
            if isinstance(item, str):
                found.append((item, loc))
            else:
                self._wrong("text", item, loc, quotes=True)
        return found

    def section(self, key: str) -> Section:
        """The mapping of a key; empty when the key is missing."""
        return Section(self.take(key), self.at(key), self.findings)

    def sections(self, key: str) -> list[Section]:
        """The mappings of a list; any other entry is a problem."""
        found = []
        for item, loc in self.entries(key):
            if isinstance(item, Mapping):
                found.append(Section(item, loc, self.findings))
            else:
                self._wrong("a mapping", item, loc)
        return found

    def items(self) -> Iterator[tuple[str, Any]]:
        """All unread keys with their values; marks them as read."""
        for key, value in self._data.items():
            if key not in self._taken:
                self._taken.add(key)
                yield key, value

    def has_unread_keys(self) -> bool:
        """Whether there are unread keys with a value; marks them as read."""
        return bool([key for key, value in self.items() if value not in (None, "", [], {})])

    def drop_unread(self, **empty: object) -> None:
        """Report all unread keys with a value as dropped.

        Args:
            empty: Keys with their default values, which are not reported.
        """
        for key, value in self.items():
            has_content = value not in (None, "", [], {})
            if has_content and not (key in empty and empty[key] == value):
                self.findings.drop(self.at(key))

    def _wrong(self, wanted: str, value: Any, loc: Loc, *, quotes: bool = False) -> None:
        text = str(value).lower() if isinstance(value, bool) else str(value)
        found = "nothing" if value is None else f"`{text[:57] + '…' if len(text) > 60 else text}`"
        scalar = quotes and not isinstance(value, dict | list | None)
        hint = "put quotes around it" if scalar else None
        self.findings.add_problem(f"expected {wanted}, found {found}", loc, hint)


def format_location(loc: Loc) -> str:
    """Format a location in a document: ``schema[0].properties[2].name``."""
    return Problem("", loc).where
