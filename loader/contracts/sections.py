"""Reads the mappings of a foreign document key by key; keys that nothing reads are reported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from loader.errors import Loc, Problem
from loader.spec.yaml_reader import Document


@dataclass
class Findings:
    """What is reported about one document: problems, parts not carried over, choices made."""

    document: Document
    problems: list[Any] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    """The places whose content a spec cannot hold."""
    notes: list[str] = field(default_factory=list)
    """Where the document left something open, and what was made of it."""
    tables_without_schema: list[tuple[str, Loc]] = field(default_factory=list)
    """The tables, by name and place, whose schema the document does not tell."""

    def wrong(self, message: str, loc: Loc, hint: str | None = None) -> None:
        """Tell of a problem."""
        self.problems.append(self.document.problem(message, loc, hint))

    def ask_for_schema(self, told: str) -> None:
        """Tell of all tables without a schema at once; one option fixes them all."""
        if self.tables_without_schema:
            names = ", ".join(f"`{name}`" for name, _ in self.tables_without_schema[:12])
            more = ", …" if len(self.tables_without_schema) > 12 else ""
            self.wrong(
                f"the schema of {names}{more} is not told; {told}",
                self.tables_without_schema[0][1],
                "name it with --schema NAME",
            )

    def drop(self, loc: Loc) -> None:
        """Tell that a part is not carried over."""
        place = shown(loc)
        if place not in self.dropped:
            self.dropped.append(place)

    def note(self, loc: Loc, text: str) -> None:
        """Tell what was made of a part."""
        self.notes.append(f"{shown(loc)}: {text}")


class Section:
    """A mapping of a foreign document; each key is either read or reported as dropped."""

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
        """Where a key of this section stands."""
        return (*self.loc, key)

    def take(self, key: str) -> Any:
        """The value of a key, whatever it is; None when it is not there."""
        self._taken.add(key)
        return self._data.get(key)

    def text(self, key: str) -> str | None:
        """The text of a key; anything else is a problem."""
        value = self.take(key)
        if value is None or isinstance(value, str):
            return value
        self._wrong("text", value, self.at(key), quotes=True)
        return None

    def flag(self, key: str) -> bool | None:
        """The true or false of a key; anything else is a problem."""
        value = self.take(key)
        if value is None or isinstance(value, bool):
            return value
        self._wrong("true or false", value, self.at(key))
        return None

    def whole(self, key: str) -> int | None:
        """The whole number of a key; anything else is a problem."""
        value = self.take(key)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        self._wrong("a whole number", value, self.at(key))
        return None

    def entries(self, key: str) -> list[tuple[Any, Loc]]:
        """The entries of a list, each with its place; anything but a list is a problem."""
        value = self.take(key)
        if value is None:
            return []
        if not isinstance(value, list):
            self._wrong("a list", value, self.at(key))
            return []
        return [(item, (*self.at(key), at)) for at, item in enumerate(value)]

    def words(self, key: str) -> list[tuple[str, Loc]]:
        """The texts of a list, or the one text that stands in its place."""
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
        """The mapping of a key; an empty one when it is not there."""
        return Section(self.take(key), self.at(key), self.findings)

    def sections(self, key: str) -> list[Section]:
        """The mappings of a list; whatever else is in it is a problem."""
        found = []
        for item, loc in self.entries(key):
            if isinstance(item, Mapping):
                found.append(Section(item, loc, self.findings))
            else:
                self._wrong("a mapping", item, loc)
        return found

    def items(self) -> Iterator[tuple[str, Any]]:
        """All keys that nobody has asked for yet, which are asked for now."""
        for key, value in self._data.items():
            if key not in self._taken:
                self._taken.add(key)
                yield key, value

    def says_more(self) -> bool:
        """Whether there are keys that nobody asked for; they are asked for now."""
        return bool([key for key, value in self.items() if value not in (None, "", [], {})])

    def rest(self, **empty: object) -> None:
        """Tell of every key that nobody asked for and that says something.

        Args:
            empty: Keys with the value that says no more than leaving them out.
        """
        for key, value in self.items():
            said = value not in (None, "", [], {})
            if said and not (key in empty and empty[key] == value):
                self.findings.drop(self.at(key))

    def _wrong(self, wanted: str, value: Any, loc: Loc, *, quotes: bool = False) -> None:
        text = str(value).lower() if isinstance(value, bool) else str(value)
        found = "nothing" if value is None else f"`{text[:57] + '…' if len(text) > 60 else text}`"
        scalar = quotes and not isinstance(value, dict | list | None)
        hint = "put quotes around it" if scalar else None
        self.findings.wrong(f"expected {wanted}, found {found}", loc, hint)


def shown(loc: Loc) -> str:
    """A location in a document as people write it: ``schema[0].properties[2].name``."""
    return Problem("", loc).where
