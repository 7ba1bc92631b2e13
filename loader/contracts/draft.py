"""A draft of a spec that records which location of the source document each part comes from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from loader.contracts.sections import Findings
from loader.errors import Loc, Problem
from loader.spec.diagnostics import diagnose
from loader.spec.model import TableSpec

UNKNOWN = "unknown"
"""The schema of a table whose file names none, so that the rest is validated too."""

_OWN = frozenset({"loader", "value", "implementation"})
"""Keys that checks of Loader's own stand below, in ``meta: {loader: …}`` and the like."""

_TAG = re.compile(r"((?:[A-Za-z0-9_.-]{1,63}/)?[A-Za-z0-9_.-]{1,63})(?::([A-Za-z0-9_.-]{0,63}))?")


@dataclass
class Draft:
    """The spec of one table of a document, as plain data."""

    loc: Loc
    """The table's location in the document."""
    data: dict[str, Any] = field(default_factory=dict)
    _origins: dict[Loc, Loc] = field(default_factory=dict)

    @property
    def table(self) -> str:
        """``schema.name``, as far as it is known."""
        return f"{self.data.get('schema', '?')}.{self.data.get('name', '?')}"

    def put(self, loc: Loc, value: Any, origin: Loc) -> None:
        """Set a value that comes from ``origin`` in the document."""
        place = self.data
        for step in loc[:-1]:
            place = place[step]  # type: ignore[index]  # a list's steps are numbers
        place[loc[-1]] = value  # type: ignore[index]  # likewise
        self._origins[loc] = origin

    def set_origin(self, loc: Loc, origin: Loc) -> None:
        """Record the origin of a part that is already set."""
        self._origins[loc] = origin

    def override(self, loc: Loc, entries: Mapping[str, tuple[Any, Loc]]) -> None:
        """Replace entries by those of Loader's extensions; a value of None removes the entry."""
        place: Any = self.data
        for step in loc:
            place = place[step]
        for key, (value, origin) in entries.items():
            if value is None:
                place.pop(key, None)
            else:
                self.put((*loc, key), value, origin)

    def spec(self, findings: Findings) -> TableSpec | None:
        """Build the spec; None when it is not valid, with the problems added to the findings."""
        if not self.data.get("columns"):
            return None  # the reader has reported it
        data = self._content()
        spec, problems = diagnose(data)
        if self._leave_out_checks(problems, findings):
            data = self._content()
            spec, problems = diagnose(data)
        for form in () if spec or "staging" in data else ("csv", "json"):
            other, _ = diagnose({**data, "staging": {"format": form}})
            if other is not None:
                reason = "Redshift cannot load all of its types from Parquet"
                findings.note(self.loc, f"{other.table} is staged as {form}: {reason}")
                return other
        for problem in problems:
            place = self._origin(problem.loc)
            located = findings.document.problem(problem.message, place, problem.hint)
            findings.problems.append(replace(located, on_key=False))
        return spec

    def _content(self) -> dict[str, Any]:
        return {key: value for key, value in self.data.items() if value not in ({}, [])}

    def _leave_out_checks(self, problems: Sequence[Problem], findings: Findings) -> bool:
        """Leave out checks of the document that do not fit their columns; True if there are any.

        Those that Loader has written itself stay, as mistakes.
        """
        reasons: dict[int, str] = {}
        for problem in problems:
            if problem.loc[:1] == ("checks",) and len(problem.loc) > 1:
                at = int(problem.loc[1])
                if not _OWN.intersection(self._origin(("checks", at))):
                    reasons.setdefault(at, problem.message)
        kept, origins = [], []
        for at, check in enumerate(self.data.get("checks", ())):
            origin = self._origin(("checks", at))
            if at in reasons:
                findings.note(origin, f"left out: {reasons[at]}")
                findings.drop(origin)
            else:
                kept.append(check)
                origins.append(origin)
        if reasons:
            self.data["checks"] = kept
            for at, origin in enumerate(origins):
                self.set_origin(("checks", at), origin)
        return bool(reasons)

    def _origin(self, loc: Loc) -> Loc:
        """The location in the document that ``loc``, or its nearest known parent, comes from."""
        for length in range(len(loc), -1, -1):
            origin = self._origins.get(loc[:length])
            if origin is not None:
                return (*origin, *loc[length:])
        return self.loc


def infer_command(draft: Draft) -> str:
    """The command that drafts a spec from the existing table."""
    schema = draft.data.get("schema")
    schema = "SCHEMA" if schema == UNKNOWN else schema
    return f"`loader infer --table {schema}.{draft.data.get('name', 'TABLE')}`"


def sort_checks(checks: Sequence[Any], order: object) -> list[Any]:
    """Restore the order of checks in the original spec; unchanged if the order does not match."""
    places = range(len(checks))
    if not isinstance(order, list) or set(map(repr, order)) != set(map(repr, places)):
        return list(checks)
    return [checks[at] for at in order] if len(order) == len(checks) else list(checks)


def check_order(checks: Sequence[Any], natural: Sequence[Any]) -> list[int] | None:
    """The index of each check in ``natural``; None when the order is the same."""
    left = list(enumerate(natural))
    order = []
    for check in checks:
        at = next(place for place, (_, other) in enumerate(left) if other == check)
        order.append(left.pop(at)[0])
    return None if order == sorted(order) else order


def read_tags(words: Sequence[tuple[str, Loc]], findings: Findings) -> dict[str, str]:
    """Parse tags such as ``finance`` and ``domain:aviation``; others are reported as dropped."""
    tags: dict[str, str] = {}
    for word, loc in words:
        match = _TAG.fullmatch(word)
        if match is None or tags.get(match[1], match[2] or "") != (match[2] or ""):
            findings.drop(loc)
        else:
            tags[match[1]] = match[2] or ""
    return tags


def write_tags(tags: Mapping[str, str]) -> list[str]:
    """Format tags as ``finance`` or ``domain:aviation``."""
    return [f"{key}:{value}" if value else key for key, value in tags.items()]


def differences(actual: Mapping[str, Any], suggested: Mapping[str, Any]) -> dict[str, Any]:
    """The entries that a document needs in addition, to be read as the same spec.

    None marks entries that the document implies and the spec does not have.
    """
    stated = {key: value for key, value in suggested.items() if value not in (None, {}, [])}
    keys = dict.fromkeys([*actual, *stated])
    return {key: actual.get(key) for key in keys if actual.get(key) != stated.get(key)}


def fold_name(name: str, loc: Loc, findings: Findings) -> str:
    """Convert a name to lower case, as Redshift does; adds a note when that changes it."""
    if name != name.lower():
        findings.note(loc, f"`{name}` becomes `{name.lower()}`; Redshift folds names to lower case")
    return name.lower()
