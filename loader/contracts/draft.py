"""A spec that is being built, with the location in the foreign document of each of its parts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from loader.contracts.sections import Findings
from loader.errors import Loc
from loader.spec.diagnostics import diagnose
from loader.spec.model import TableSpec

UNKNOWN = "unknown"
"""The schema of a table that tells none, so that everything else of it is judged too."""

_TAG = re.compile(r"((?:[A-Za-z0-9_.-]{1,63}/)?[A-Za-z0-9_.-]{1,63})(?::([A-Za-z0-9_.-]{0,63}))?")


@dataclass
class Draft:
    """What a foreign document says of one table, in the words of a spec."""

    loc: Loc
    """The table's place in the document."""
    data: dict[str, Any] = field(default_factory=dict)
    _origins: dict[Loc, Loc] = field(default_factory=dict)

    def put(self, loc: Loc, value: Any, origin: Loc) -> None:
        """Declare something, which stands at ``origin`` in the document."""
        place = self.data
        for step in loc[:-1]:
            place = place[step]  # type: ignore[index]  # a list's steps are numbers
        place[loc[-1]] = value  # type: ignore[index]  # likewise
        self._origins[loc] = origin

    def came(self, loc: Loc, origin: Loc) -> None:
        """Record the origin of a part that is already declared."""
        self._origins[loc] = origin

    def override(self, loc: Loc, entries: Mapping[str, tuple[Any, Loc]]) -> None:
        """Put Loader's own entries over what the rest of the document implies; None removes one."""
        place: Any = self.data
        for step in loc:
            place = place[step]
        for key, (value, origin) in entries.items():
            if value is None:
                place.pop(key, None)
            else:
                self.put((*loc, key), value, origin)

    def spec(self, findings: Findings) -> TableSpec | None:
        """The spec, or None when something is wrong, which the findings then tell."""
        data = {key: value for key, value in self.data.items() if value not in ({}, [])}
        if "columns" not in data:
            return None  # which the reader has told
        spec, problems = diagnose(data)
        for form in () if spec or "staging" in data else ("csv", "json"):
            other, _ = diagnose({**data, "staging": {"format": form}})
            if other is not None:
                kept = "Redshift cannot load all of its types from parquet"
                findings.note(self.loc, f"{other.table} is staged as {form}: {kept}")
                return other
        for problem in problems:
            place = self._origin(problem.loc)
            told = findings.document.problem(problem.message, place, problem.hint)
            findings.problems.append(replace(told, on_key=False))
        return spec

    def _origin(self, loc: Loc) -> Loc:
        """Where the document says what stands at ``loc``, or at the nearest place above it."""
        for length in range(len(loc), -1, -1):
            origin = self._origins.get(loc[:length])
            if origin is not None:
                return (*origin, *loc[length:])
        return self.loc


def to_infer(draft: Draft) -> str:
    """The command that finds the columns of a table that is there."""
    schema = draft.data.get("schema")
    schema = "SCHEMA" if schema == UNKNOWN else schema
    return f"`loader infer --table {schema}.{draft.data.get('name', 'TABLE')}`"


def ordered(checks: Sequence[Any], order: object) -> list[Any]:
    """Checks in the order that a spec had them; as they are when somebody has added one."""
    places = range(len(checks))
    if not isinstance(order, list) or set(map(repr, order)) != set(map(repr, places)):
        return list(checks)
    return [checks[at] for at in order] if len(order) == len(checks) else list(checks)


def order_of(checks: Sequence[Any], natural: Sequence[Any]) -> list[int] | None:
    """Where each check stands in another order of the same checks; None when both are one."""
    left = list(enumerate(natural))
    order = []
    for check in checks:
        at = next(place for place, (_, other) in enumerate(left) if other == check)
        order.append(left.pop(at)[0])
    return None if order == sorted(order) else order


def read_tags(words: Sequence[tuple[str, Loc]], findings: Findings) -> dict[str, str]:
    """Tags of words such as ``finance`` and ``domain:aviation``; others are told as dropped."""
    tags: dict[str, str] = {}
    for word, loc in words:
        match = _TAG.fullmatch(word)
        if match is None or tags.get(match[1], match[2] or "") != (match[2] or ""):
            findings.drop(loc)
        else:
            tags[match[1]] = match[2] or ""
    return tags


def write_tags(tags: Mapping[str, str]) -> list[str]:
    """Tags as words: ``finance``, ``domain:aviation``."""
    return [f"{key}:{value}" if value else key for key, value in tags.items()]


def differences(actual: Mapping[str, Any], suggested: Mapping[str, Any]) -> dict[str, Any]:
    """What must be said beside a foreign document for it to mean the same spec.

    None stands for what the document suggests and the spec does not have.
    """
    said = {key: value for key, value in suggested.items() if value not in (None, {}, [])}
    keys = dict.fromkeys([*actual, *said])
    return {key: actual.get(key) for key in keys if actual.get(key) != said.get(key)}


def folded(name: str, loc: Loc, findings: Findings) -> str:
    """A name as Redshift keeps it."""
    if name != name.lower():
        findings.note(loc, f"`{name}` is `{name.lower()}`; Redshift folds names to lower case")
    return name.lower()
