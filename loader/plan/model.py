"""Plans: the exact statements of a load, as pure data. `loader.plan.load_plan` builds them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from loader.plan.expectations import DELETED, Expectation, Number
from loader.plan.figures import Figure, Kind, Level, Statistics
from loader.plan.live_table import Live
from loader.plan.loading import Evolution, Role
from loader.plan.source_files import FilesOfLoad
from loader.spec.model import TableSpec
from loader.spec.partitions import Slice
from loader.spec.session import SessionSettings
from loader.sql.datatypes import DataType
from loader.sql.renderer import OWN, Table

PREVIEW_LOAD_ID = "<load id>"
"""The placeholder for the load id in previews."""

_PREVIEW_RUN = "<run>"
"""The placeholder for the run in previews of a given load id."""

_SLICE_BYTES = 4_000
"""The most bytes of a slice's description in the ledger."""


LEDGER_ADDITIONS: Mapping[str, DataType] = {
    "rows_inserted": DataType("bigint"),
    "rows_updated": DataType("bigint"),
    "rows_unchanged": DataType("bigint"),
    "rows_skipped": DataType("bigint"),
    "rows_collapsed": DataType("bigint"),
    "column_figures": DataType("varchar", (65_535,)),
    "columns_changed": DataType("varchar", (65_535,)),
    "rows_deleted": DataType("bigint"),
    "rows_closed": DataType("bigint"),
    "rows_rejected": DataType("bigint"),
    "rejects": DataType("varchar", (65_535,)),
}
"""Columns that are missing in ledgers of earlier versions; a load adds them."""


def missing_ledger_columns(present: Collection[str]) -> dict[str, DataType]:
    """The columns that a ledger of an earlier version lacks, with their types."""
    return {name: kind for name, kind in LEDGER_ADDITIONS.items() if name not in present}


_LEDGER_TEXT = LEDGER_ADDITIONS["column_figures"].length


@dataclass(frozen=True)
class Target:
    """The facts about a target that plans need; no secrets."""

    name: str
    dialect: str
    staging: str
    """Folder or bucket URL under which loads stage their files."""
    ledger_schema: str
    """Schema of the ledger; empty turns it off."""
    iam_role: str = ""
    """The role COPY reads the bucket with; Redshift only."""
    verify: Level = "values"
    """The default of ``verify`` for specs without it."""
    session: SessionSettings = field(default_factory=SessionSettings)
    """Session settings of loads, for specs without them."""


@dataclass(frozen=True)
class StagedFacts:
    """The totals of the staged files of a load."""

    rows: int
    bytes: int
    files: int
    statistics: Statistics = field(default_factory=dict)
    """Figures of each column, in the ledger's form."""
    rows_rejected: int = 0
    rejects: str | None = None
    """The location of rejected rows."""
    reasons: tuple[Mapping[str, str | int], ...] = ()
    """Why they were rejected, and how many of them: column, reason and rows."""


@dataclass(frozen=True)
class Statement:
    """One SQL statement of a plan."""

    name: str
    sql: str
    why: str
    template: str
    """The template file it was rendered from."""
    role: Role = "run"
    when: str | None = None
    """In a preview: the condition under which the load runs it."""
    group: str | None = None
    """Text that a short plan shows instead of this statement and neighbours of the same group."""
    expects: Expectation | None = None
    """The expected result; None when the result does not matter."""
    evolves: Evolution = field(default_factory=Evolution)
    """The column of the live table that it adds or widens."""
    attached: str = ""
    """Arrow files that the session makes readable first, under this name: their folder, and a
    pattern of their names. Empty for most statements."""

    @property
    def project_template(self) -> str | None:
        """The project's template it was rendered from; None for Loader's own."""
        return None if self.template.startswith(OWN) else self.template

    def script(self, number: str = "") -> str:
        """The statement for a SQL client, after a comment with its purpose."""
        condition = f" ({self.when})" if self.when else ""
        return f"{_comment(f'{number}{self.name}{condition}: {self.why}')}\n{self.sql};"

    def to_dict(self) -> dict[str, object]:
        """The statement as JSON-ready data."""
        return {
            "name": self.name,
            "sql": self.sql,
            "why": self.why,
            "template": self.template,
            "role": self.role,
            "when": self.when,
        }


@dataclass(frozen=True)
class StagePlan:
    """Where and how the rows are staged before the transaction."""

    prefix: str
    format: str
    compression: str
    file_size: int
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """Everything that one load does: staging, then one transaction."""

    spec: TableSpec
    target: Target
    load_id: str
    slice: Slice | None
    full_refresh: bool
    stage: StagePlan
    setup: tuple[Statement, ...]
    """Statements that create the ledger if it is missing, before the transaction."""
    statements: tuple[Statement, ...]
    """Statements between BEGIN and COMMIT, in order."""
    session: tuple[Statement, ...] = ()
    """Statements that configure the session."""
    outside: tuple[Statement, ...] = ()
    """Statements that change the live table before BEGIN, each by itself."""
    before: tuple[Statement, ...] = ()
    """The statements right before BEGIN: the spec's hooks, and what a datashare needs."""
    after: tuple[Statement, ...] = ()
    """The spec's hooks that run after COMMIT."""
    rows: int | None = None
    """The number of rows to load, if known."""
    files: FilesOfLoad | None = None
    """The files that the ledger records; None for frames."""
    notes: tuple[str, ...] = ()
    """Notes for the reader: placeholders, and what is not known yet."""
    evolution: Evolution = field(default_factory=Evolution)
    """Columns of the live table that the load adds or widens."""

    @property
    def slice_text(self) -> str | None:
        """The slice in a few words, None for the whole table."""
        return str(self.slice) if self.slice else None

    @property
    def replaces(self) -> Literal["slice", "table", None]:
        """Whether it deletes the slice or the table before COPY."""
        deletes = any(
            isinstance(statement.expects, Number) and statement.expects.name == DELETED
            for statement in self.statements
        )
        return None if not deletes else "slice" if self.slice else "table"

    @property
    def sql(self) -> str:
        """The whole transaction as a script."""
        lines = [_comment(line) for line in self.header()]
        lines.append("")
        for statement in (*self.session, *self.setup, *self.outside, *self.before):
            lines += [statement.script(), ""]
        lines += ["BEGIN;", ""]
        for number, statement in enumerate(self.statements, 1):
            lines += [statement.script(f"{number}. "), ""]
        lines += ["COMMIT;", ""]
        for statement in self.after:
            lines += [statement.script(), ""]
        return "\n".join(lines)

    def header(self) -> Iterator[str]:
        """The lines that summarize the plan."""
        what = "full refresh" if self.full_refresh else self.spec.write_disposition
        where = f" {self.slice}" if self.slice else " of the whole table"
        yield f"{self.spec.table} on {self.target.name} ({self.target.dialect}): {what}{where}"
        yield f"stages {self.stage.format}/{self.stage.compression} files in {self.stage.prefix}"
        yield from self.notes

    def to_dict(self) -> dict[str, object]:
        """The plan as JSON-ready data; ``plan_version`` is the version of the format."""
        return {
            "plan_version": 1,
            "asset_key": self.spec.asset_key,
            "table": self.spec.table,
            "target": self.target.name,
            "dialect": self.target.dialect,
            "load_id": self.load_id,
            "write_disposition": self.spec.write_disposition,
            "full_refresh": self.full_refresh,
            "slice": self.slice_text,
            "placeholder": bool(self.slice and self.slice.placeholder),
            "stage": vars(self.stage) | {"columns": list(self.stage.columns)},
            "rows": self.rows,
            "setup": [statement.to_dict() for statement in self.setup],
            "session": [statement.to_dict() for statement in self.session],
            "outside": [statement.to_dict() for statement in self.outside],
            "before": [statement.to_dict() for statement in self.before],
            "after": [statement.to_dict() for statement in self.after],
            "statements": [statement.to_dict() for statement in self.statements],
            "notes": list(self.notes),
            "spec_hash": spec_hash(self.spec),
        }


@dataclass(frozen=True)
class FilesInPlace:
    """Files that a load copies from where they lie."""

    uris: tuple[str, ...]
    figures: frozenset[Figure]
    """The figures that are known from their footers."""


@dataclass(frozen=True)
class LoadRequest:
    """The inputs of a load's plan, beside the spec and the target."""

    slice: Slice | None = None
    full_refresh: bool = False
    load_id: str = PREVIEW_LOAD_ID
    run: str = ""
    """Distinguishes runs with the same load id; empty in previews."""
    present: frozenset[str] | None = None
    """The spec columns that the data has; None without data."""
    staged: StagedFacts | None = None
    """None before staging."""
    rows: int | None = None
    """The number of rows of data that was read but not staged."""
    keys_alike: tuple[str, ...] = ()
    """The first few primary keys of the data that the warehouse may treat as equal."""
    live: Live = "unseen"
    order: tuple[str, ...] = ()
    """The live table's columns in order, as of staging."""
    evolved: Evolution = field(default_factory=Evolution)
    """Columns that were changed for this load before its transaction."""
    version: str = ""
    """The version of Loader that the ledger records."""
    auto: bool = False
    """Whether the partitions are those found in the data."""
    keys_unchecked: bool = False
    """Whether nobody has compared the primary keys of the data with each other yet."""
    in_place: FilesInPlace | None = None
    """For files that are not staged."""
    files: FilesOfLoad | None = None
    """The files that the data comes from; None for frames."""
    loaded_at: datetime | None = None
    """When the load began, in UTC, for columns that have it; None in previews without data."""
    allow_shrink: bool = False
    """Whether partitions that lose too many rows are only reported."""
    no_partitions: bool = False
    """Whether the partitions come from data without rows, so that nothing is replaced."""


def ledger_slice(slice_: Slice | None) -> str | None:
    """The description of a slice in the ledger.

    A long one is truncated, with a digest that distinguishes it from others.
    """
    if slice_ is None:
        return None
    text = whole = str(slice_)
    while len(text.encode()) > _SLICE_BYTES:
        text = text[: len(text) * 3 // 4] + "…"
    if text == whole and "…" not in text:
        return text
    digest = hashlib.sha256(repr((slice_.keys, slice_.boxes)).encode()).hexdigest()
    return f"{text} #{digest[:12]}"


def ledger_figures(statistics: Statistics) -> str | None:
    """The figures of columns for the ledger, as JSON.

    If they do not fit, only NULL counts, minimum and maximum.

    Returns:
        None when there are none, or when even those do not fit.
    """
    kinds: tuple[Kind, ...] = ("nulls", "minimum", "maximum")
    short = {
        column: {kind: figures[kind] for kind in kinds if kind in figures}
        for column, figures in statistics.items()
    }
    for figures_to_keep in (statistics, short):
        text = json.dumps(figures_to_keep, ensure_ascii=False, separators=(",", ":"))
        if figures_to_keep and len(text.encode()) <= _LEDGER_TEXT:
            return text
    return None


def ledger_rejects(staged: StagedFacts) -> str | None:
    """Where the rejected rows are and why, for the ledger, as JSON; as many reasons as fit.

    Returns:
        None when there are none.
    """
    if not staged.rows_rejected:
        return None
    reasons = list(staged.reasons)
    while True:
        text = json.dumps({"file": staged.rejects, "reasons": reasons}, ensure_ascii=False)
        if not reasons or len(text.encode()) <= _LEDGER_TEXT:
            return text
        reasons.pop()


def _comment(text: str) -> str:
    """A SQL comment on one line, even if the text has line breaks."""
    return "-- " + " ".join(text.splitlines())


def spec_hash(spec: TableSpec) -> str:
    """A digest of everything a spec declares; stable when later versions add fields."""
    declared_fields = spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    declared = json.dumps(declared_fields, sort_keys=True)
    return hashlib.sha256(declared.encode()).hexdigest()


def stage_prefix(spec: TableSpec, load_id: str, run: str) -> str:
    """The key prefix for the staged files of a run, safe in any path or URL.

    Runs with the same load id may run concurrently, so each has its own prefix. Without a
    ``run``, it is the prefix for a preview.
    """
    preview = load_id == PREVIEW_LOAD_ID and not run
    last = load_id if preview else f"{_slug(load_id)}/{run or _PREVIEW_RUN}"
    return f"{_slug(spec.table)}/{last}"


def table_ledger(ledger_schema: str, table: Table) -> Table:
    """The ledger of one table, which its loads lock; only some warehouses have it.

    Transactions that read and write a ledger of all tables would conflict with each other in
    databases with SERIALIZABLE isolation (``c_serial_isolation``).
    """
    schema, full = table.schema or "", f"{table.schema}_{table.name}"
    name = _safe(full, 40)
    if name != full or "_" in schema:  # a_b.c is another table than a.b_c
        name += "-" + _digest(f"{schema}\0{table.name}")
    return Table(ledger_schema, f"loads_{name}")


def file_ledger(ledger_schema: str, table: Table, *, per_table: bool) -> Table:
    """The ledger of the files of a table's loads, which is its own where tables have ledgers."""
    if not per_table:
        return Table(ledger_schema, "files")
    own = table_ledger(ledger_schema, table).name.removeprefix("loads")
    return Table(ledger_schema, f"files{own}")


def _slug(text: str) -> str:
    """Text as a path segment; a digest keeps changed texts distinct."""
    safe = _safe(text, 80)
    if safe == text:
        return safe
    return f"{safe}-{_digest(text)}"


def _safe(text: str, length: int) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", text)[:length].lstrip("._") or "_"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
