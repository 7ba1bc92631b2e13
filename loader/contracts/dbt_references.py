"""Finds the tables that dbt names by ``ref`` and ``source``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from loader.contracts.sections import Findings
from loader.errors import Loc

Resolve = Callable[[str, Loc], tuple[str | None, str] | None]
"""Converts the text of a ``ref`` or ``source`` to a schema and a table; None when it is neither.

The schema is None where it is that of the table with the test.
"""

_CALL = re.compile(
    r"\s*(?:\{\{)?\s*(ref|source)\(\s*([\"'])([^\"']+)\2\s*(?:,\s*([\"'])([^\"']+)\4\s*)?\)\s*(?:\}\})?\s*"
)


class References:
    """The models and sources of one document, by their names in dbt."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        data = findings.document.data
        self._models = dict(_models(data))
        self._sources = dict(_sources(data))

    def resolve(self, text: str, loc: Loc) -> tuple[str | None, str] | None:
        """Convert the text of a ``ref`` or ``source``; see `Resolve`."""
        match = _CALL.fullmatch(text)
        if match is None:
            return None
        first, second = match[3], match[5]
        if match[1] == "source":
            if second is None:
                return None
            return self._sources.get((first, second), (first.lower(), second.lower()))
        name = second or first  # a package may go before the model
        found = self._models.get(name)
        if found is None:
            note = f"`{name}` is not in this file; it is taken for a table of the same schema"
            self._findings.note(loc, note)
            return (None, name.lower())
        return found


def _models(data: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str | None, str]]]:
    for model in _entries(data, "models"):
        config = model.get("config")
        config = config if isinstance(config, Mapping) else {}
        name = model.get("name")
        if isinstance(name, str):
            yield name, (_plain(config.get("schema")), _plain(config.get("alias")) or name.lower())


def _sources(data: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], tuple[str | None, str]]]:
    for source in _entries(data, "sources"):
        name = source.get("name")
        for table in _entries(source, "tables"):
            other = table.get("name")
            if isinstance(name, str) and isinstance(other, str):
                schema = _plain(source.get("schema")) or name.lower()
                yield (name, other), (schema, _plain(table.get("identifier")) or other.lower())


def _entries(data: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    listed = data.get(key)
    return [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []


def _plain(text: object) -> str | None:
    """A name in lower case; None for what only dbt can render."""
    return text.lower() if isinstance(text, str) and "{{" not in text else None
