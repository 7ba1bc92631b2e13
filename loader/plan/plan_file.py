"""Plan documents: `loader plan` prints and saves them as JSON, `loader apply` reads them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from loader.errors import PlanError
from loader.plan.model import Target, spec_hash
from loader.plan.review import Review
from loader.plan.table_changes import TableChange, fingerprint, live_state
from loader.redaction import KNOWN
from loader.sql.renderer import Template
from loader.text_files import UnreadableError, read_bytes
from loader.version import version

VERSION: Literal[1] = 1
ID = "urn:loader:plan:v1"

LARGEST = 1 << 30
"""The largest plan file, in bytes; the plan of one table has about 10 kB."""


class Document(BaseModel):
    """Base class: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class StatementDocument(Document):
    """One SQL statement."""

    name: str
    sql: str
    why: str
    template: str
    role: str
    when: str | None


class DifferenceDocument(Document):
    """One difference between a spec and its live table."""

    kind: str
    column: str | None
    spec: str | None
    live: str | None
    remedy: Literal["in place", "before_transaction", "rebuild", "swap", "none"]
    reason: str | None
    destructive: bool
    loss: str | None
    blocked: str | None
    unproven: str | None


class ChangeDocument(Document):
    """The changes that make one live table match its spec."""

    asset_key: str
    table: str
    target: str
    renamed_from: str | None = None
    """The live table, if it has an earlier name."""
    live: dict[str, Any] | str
    rows: int | None
    destructive: bool
    blocked: list[str]
    unproven: list[str]
    kept: str | None
    differences: list[DifferenceDocument]
    outside: list[StatementDocument]
    statements: list[StatementDocument]
    after: list[StatementDocument]
    notes: list[str]


class StageDocument(Document):
    """Where and how a load stages its rows."""

    prefix: str
    format: str
    compression: str
    file_size: int
    columns: list[str]


class LoadDocument(Document):
    """The plan of one load."""

    plan_version: Literal[1]
    asset_key: str
    table: str
    target: str
    dialect: str
    load_id: str
    write_disposition: str
    full_refresh: bool
    slice: str | None
    placeholder: bool
    stage: StageDocument
    in_place: list[str] = []
    """The files that are loaded from where they lie."""
    rows: int | None
    setup: list[StatementDocument]
    session: list[StatementDocument] = []
    outside: list[StatementDocument]
    before: list[StatementDocument] = []
    after: list[StatementDocument] = []
    statements: list[StatementDocument]
    notes: list[str]
    spec_hash: str
    asked: bool | None = None
    rows_to_delete: int | None = None
    frame: dict[str, str] = {}
    makes_changes: bool | None = None


class Fingerprint(Document):
    """Digests of the inputs of a live plan; when one has changed, the plan is stale."""

    specs: dict[str, str]
    """Asset key → digest of the spec."""
    templates: dict[str, str]
    """Template → digest of its text."""
    live: dict[str, str]
    """Table → digest of the live table."""
    seal: str
    """Digest of the rest of the document, to detect edits."""


class PlanDocument(Document):
    """Plans of loads, and with ``--live`` the changes their tables need."""

    plan_version: Literal[1]
    loader_version: str
    target: str
    dialect: str
    live: bool
    """Whether the plan was compared with the live tables."""
    destructive: bool
    changes: list[ChangeDocument]
    plans: list[LoadDocument]
    fingerprint: Fingerprint | None


def json_schema() -> dict[str, Any]:
    """The schema of a plan document, as JSON Schema 2020-12."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": ID,
        **PlanDocument.model_json_schema(),
        "title": "Loader plan, version 1",
    }


def offline_document(plans: Sequence[Mapping[str, Any]], place: Target) -> dict[str, Any]:
    """The document for plans that were made without live tables."""
    return _document(place, live=False, changes=[], plans=list(plans))


def live_document(
    reviews: Sequence[Review], place: Target, templates: Mapping[str, Template]
) -> dict[str, Any]:
    """The document for plans against live tables, with a fingerprint of their inputs."""
    changes = [review.change for review in reviews]
    found = _document(
        place,
        live=True,
        changes=[change.to_dict() for change in changes],
        plans=[review.to_dict() for review in reviews],
    )
    found["fingerprint"] = {**_digests(changes, place.dialect, templates), "seal": ""}
    found["fingerprint"]["seal"] = _seal(found)
    return found


def _document(place: Target, **parts: Any) -> dict[str, Any]:
    # Secrets are hidden before the seal is computed, so that it matches the file.
    found: dict[str, Any] = KNOWN.hide_in(_make_document(place, **parts))
    return found


def _make_document(place: Target, **parts: Any) -> dict[str, Any]:
    return {
        "plan_version": VERSION,
        "loader_version": version(),
        "target": place.name,
        "dialect": place.dialect,
        "live": parts["live"],
        "destructive": any(change["destructive"] for change in parts["changes"]),
        "changes": parts["changes"],
        "plans": parts["plans"],
        "fingerprint": None,
    }


def _digests(
    changes: Sequence[TableChange], dialect: str, templates: Mapping[str, Template]
) -> dict[str, dict[str, str]]:
    return {
        "specs": {change.spec.asset_key: spec_hash(change.spec) for change in changes},
        "templates": {
            name: hashlib.sha256(template.source.encode()).hexdigest()[:16]
            for name, template in sorted(templates.items())
            if name.partition("/")[0] in (dialect, "ansi") or "/" not in name
        },
        "live": {change.spec.table: fingerprint(live_state(change.live)) for change in changes},
    }


def _seal(document: Mapping[str, Any]) -> str:
    digests = {key: value for key, value in document["fingerprint"].items() if key != "seal"}
    return fingerprint({**document, "fingerprint": digests})


def read_plan(path: Path) -> PlanDocument:
    """Read a saved plan.

    Raises:
        PlanError: it cannot be read, has another version, was made offline, or was edited.
    """
    try:
        data = json.loads(read_bytes(path, LARGEST))
    except UnreadableError as error:
        raise PlanError(f"{path} {error.message}") from error
    except ValueError as error:
        raise PlanError(f"{path} is not valid JSON: {error}", hint=_PLAN_AGAIN) from error
    except RecursionError as error:
        raise PlanError(
            f"{path} is not a plan: it is nested too deeply", hint=_PLAN_AGAIN
        ) from error
    found = data.get("plan_version") if isinstance(data, dict) else None
    if found != VERSION:
        raise PlanError(
            f"{path} is not a plan of version {VERSION}"
            + (f": plan_version is {found!r}" if found is not None else ""),
            hint=_PLAN_AGAIN,
        )
    try:
        document = PlanDocument.model_validate(data)
    except ValidationError as error:
        places = [".".join(map(str, one["loc"])) + ": " + one["msg"] for one in error.errors()]
        raise PlanError(
            "\n  ".join([f"{path} is not a valid plan", *places[:9]]), hint=_PLAN_AGAIN
        ) from error
    if document.fingerprint is None:
        raise PlanError(
            f"{path} was made without --live, so it has no changes of live tables",
            hint=_PLAN_AGAIN,
        )
    if _seal(data) != document.fingerprint.seal:
        raise PlanError(
            f"{path} was edited after it was saved",
            hint="edit the specs or templates instead; " + _PLAN_AGAIN,
        )
    return document


_PLAN_AGAIN = "create it again: loader plan --live -o plan.json"


def check_place(document: PlanDocument, place: Target) -> None:
    """Check that a plan was made for this target.

    Raises:
        PlanError: it was made for another target.
    """
    if (document.target, document.dialect) != (place.name, place.dialect):
        raise PlanError(
            f"the plan was made for the target {document.target} ({document.dialect}), but this"
            f" is {place.name} ({place.dialect})",
            hint=f"apply it with --target {document.target}",
        )


def check_fresh(
    document: PlanDocument,
    changes: Sequence[TableChange],
    place: Target,
    templates: Mapping[str, Template],
) -> None:
    """Check that the inputs of a plan are unchanged, except by an earlier run of the plan itself.

    Raises:
        PlanError: specs, templates or live tables have changed; lists all changes.
    """
    stale = list(_stale(document, changes, place, templates))
    if stale:
        raise PlanError(
            "\n  ".join(["the plan is stale; nothing was changed", *stale]),
            hint="review the changes, then " + _PLAN_AGAIN,
        )


def _stale(
    document: PlanDocument,
    changes: Sequence[TableChange],
    place: Target,
    templates: Mapping[str, Template],
) -> Iterator[str]:
    assert document.fingerprint is not None
    then, now = document.fingerprint, _digests(changes, place.dialect, templates)
    for key, digest in now["specs"].items():
        if then.specs.get(key) != digest:
            yield f"the spec of {key} has changed"
    for name in sorted({*then.templates, *now["templates"]}):
        if then.templates.get(name) != now["templates"].get(name):
            yield f"the template {name} has changed"
    saved = {change.table: change for change in document.changes}
    for change in changes:
        table = change.spec.table
        if table not in saved:
            yield f"the table of {change.spec.asset_key} is now {table}"
        elif then.live.get(table) != now["live"][table] and not _resumes(saved[table], change):
            yield from _describe_changes(saved[table], change)


def _resumes(saved: ChangeDocument, change: TableChange) -> bool:
    """Whether only some of the saved differences are left, so that the plan can be resumed."""
    planned = {(one.kind, one.column, one.spec) for one in saved.differences}
    left = {(one.kind, one.column, one.spec) for one in change.differences}
    return left < planned


def _describe_changes(saved: ChangeDocument, change: TableChange) -> Iterator[str]:
    """Describe how a live table has changed since the plan was saved."""
    table, then, now = change.spec.table, saved.live, live_state(change.live)
    if isinstance(then, str) or isinstance(now, str):
        words = [state if isinstance(state, str) else "a table" for state in (then, now)]
        yield f"{table} was {words[0]}, and is now {words[1]}"
        return
    columns = [_by_name(then), _by_name(now)]
    for name in dict.fromkeys([*columns[0], *columns[1]]):
        before, after = columns[0].get(name), columns[1].get(name)
        if before is None or after is None:
            yield f"{table}: the column {name} {'is new' if before is None else 'is gone'}"
        elif before != after:
            for key in before:
                if before[key] != after.get(key):
                    what = key.replace("_", " ")
                    yield f"{table}: {what} of {name} was {before[key]}, is now {after.get(key)}"
    for key in then:
        if key != "columns" and then[key] != now.get(key):
            yield f"{table}: {key.replace('_', ' ')} changed"
    if list(columns[0]) != list(columns[1]) and set(columns[0]) == set(columns[1]):
        yield f"{table}: the order of the columns changed"


def _by_name(state: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {column["name"]: column for column in state["columns"]}
