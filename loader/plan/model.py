"""Plans: the exact statements of a load, to be printed or run. Pure data; `planner` builds them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from loader.plan.dispositions import Role
from loader.plan.expectations import DELETED, Expectation, Number
from loader.plan.figures import Kind, Level, Statistics
from loader.plan.live_table import Live
from loader.spec.model import TableSpec
from loader.spec.partitions import Slice
from loader.spec.session import SessionSettings
from loader.sql.datatypes import DataType
from loader.sql.renderer import OWN, Table

PREVIEW_LOAD_ID = "<load id>"
"""Stands in previews where a load puts its own id."""

_PREVIEW_RUN = "<run>"
"""Stands in previews of a load id of the caller's where each run of it puts its own name."""

_SLICE_BYTES = 4_000
"""What the ledger keeps of a slice's description."""


LEDGER_ADDITIONS: Mapping[str, DataType] = {
    "rows_inserted": DataType("bigint"),
    "rows_updated": DataType("bigint"),
    "rows_unchanged": DataType("bigint"),
    "rows_skipped": DataType("bigint"),
    "rows_collapsed": DataType("bigint"),
    "column_figures": DataType("varchar", (65_535,)),
    "columns_changed": DataType("varchar", (65_535,)),
}
"""Columns that ledgers of earlier versions lack; a load adds them."""


def missing_ledger_columns(present: Collection[str]) -> dict[str, DataType]:
    """The columns of the ledger that an earlier version did not make, with their types."""
    return {name: kind for name, kind in LEDGER_ADDITIONS.items() if name not in present}


_LEDGER_TEXT = LEDGER_ADDITIONS["column_figures"].length


@dataclass(frozen=True)
class Target:
    """What a plan needs to know of where it will run; holds no secrets."""

    name: str
    dialect: str
    staging: str
    """Folder or bucket URL under which loads stage their files."""
    ledger_schema: str
    """Schema of the ledger; empty turns it off."""
    iam_role: str = ""
    """The role COPY reads the bucket with; Redshift only."""
    verify: Level = "values"
    """What is compared before COMMIT, for tables whose specs do not say."""
    session: SessionSettings = field(default_factory=SessionSettings)
    """What loads set in their sessions, where specs do not say."""


@dataclass(frozen=True)
class StagedFacts:
    """How much was staged for a load."""

    rows: int
    bytes: int
    files: int
    statistics: Statistics = field(default_factory=dict)
    """Figures of each column, as the ledger keeps them."""


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
    """In a preview: the condition under which it is part of the load at all."""
    group: str | None = None
    """Routine that a short plan tells in these words, together with its neighbours."""
    expects: Expectation | None = None
    """What its answer must be; None when it has none that matters."""

    @property
    def project_template(self) -> str | None:
        """The project's template it was rendered from; None when it is Loader's own."""
        return None if self.template.startswith(OWN) else self.template

    def script(self, number: str = "") -> str:
        """The statement for a SQL client, under a comment that says what it is for."""
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
class Evolution:
    """The columns of a live table that a load has changed, as `schema_contract` lets it."""

    added: tuple[str, ...] = ()
    widened: tuple[str, ...] = ()

    def __add__(self, other: Evolution) -> Evolution:
        return Evolution(self.added + other.added, self.widened + other.widened)

    def __str__(self) -> str:
        return "".join(
            f"; {change} before: {', '.join(columns)}"
            for change, columns in (("widened", self.widened), ("added", self.added))
            if columns
        )


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
    """Everything one load will do: what it stages, then its one transaction."""

    spec: TableSpec
    target: Target
    load_id: str
    slice: Slice | None
    full_refresh: bool
    stage: StagePlan
    setup: tuple[Statement, ...]
    """What makes the ledger where there is none yet, before the transaction."""
    statements: tuple[Statement, ...]
    """What runs between BEGIN and COMMIT, in order."""
    session: tuple[Statement, ...] = ()
    """What is set in its session first."""
    outside: tuple[Statement, ...] = ()
    """What changes the live table before it, each by itself."""
    before: tuple[Statement, ...] = ()
    """The spec's hooks that run before BEGIN."""
    after: tuple[Statement, ...] = ()
    """The spec's hooks that run after COMMIT."""
    rows: int | None = None
    """How many rows it loads, when that is known."""
    notes: tuple[str, ...] = ()
    """What a reader should know: what was made up, what is not known yet."""
    evolution: Evolution = Evolution()
    """Columns that the live table lacks, or that are too narrow in it, which the load changes."""

    @property
    def slice_text(self) -> str | None:
        """The slice in a few words, None for the whole table."""
        return str(self.slice) if self.slice else None

    @property
    def replaces(self) -> Literal["slice", "table", None]:
        """What it deletes before it copies."""
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
        """What the plan is about, line by line."""
        what = "full refresh" if self.full_refresh else self.spec.write_disposition
        where = f" {self.slice}" if self.slice else " of the whole table"
        yield f"{self.spec.table} on {self.target.name} ({self.target.dialect}): {what}{where}"
        yield f"stages {self.stage.format}/{self.stage.compression} files in {self.stage.prefix}"
        yield from self.notes

    def to_dict(self) -> dict[str, object]:
        """The plan as JSON-ready data; ``plan_version`` names its form."""
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
class LoadRequest:
    """The inputs of a load's plan, beside the spec and the target."""

    slice: Slice | None = None
    full_refresh: bool = False
    load_id: str = PREVIEW_LOAD_ID
    run: str = ""
    """Tells runs of one load id apart; no part of what is loaded, and empty in previews."""
    present: frozenset[str] | None = None
    """The spec columns that the data has; None when no data has been seen."""
    staged: StagedFacts | None = None
    """None when nothing has been staged yet."""
    rows: int | None = None
    """How many rows the data has, when it was looked at and not staged."""
    keys_alike: tuple[str, ...] = ()
    """The first few primary keys of the data that the warehouse may hold equal."""
    live: Live = "unseen"
    order: tuple[str, ...] = ()
    """The live table's columns, in its order, as they were when the rows were staged."""
    evolved: Evolution = Evolution()
    """What was changed in the live table for this load, before its transaction."""
    version: str = ""
    """The version of Loader that the ledger records."""
    auto: bool = False
    """The partitions are those found in the data."""
    no_partitions: bool = False
    """The partitions were to be found in the data, and it has no rows: nothing is replaced."""


def ledger_slice(slice_: Slice | None) -> str | None:
    """A slice's description as the ledger keeps it.

    What is left out of a long one counts all the same: a digest tells such slices apart.
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
    """Figures of columns as the ledger keeps them: JSON, and of very many columns what fits.

    Returns:
        None when there are none, or too many columns even for their NULLs and extremes.
    """
    kinds: tuple[Kind, ...] = ("nulls", "minimum", "maximum")
    short = {
        column: {kind: figures[kind] for kind in kinds if kind in figures}
        for column, figures in statistics.items()
    }
    for kept in (statistics, short):
        text = json.dumps(kept, ensure_ascii=False, separators=(",", ":"))
        if kept and len(text.encode()) <= _LEDGER_TEXT:
            return text
    return None


def _comment(text: str) -> str:
    """A comment that stays on its line, whatever names and keys it tells."""
    return "-- " + " ".join(text.splitlines())


def spec_hash(spec: TableSpec) -> str:
    """A fingerprint of everything a spec declares, whatever else later versions may let it say."""
    told = spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    declared = json.dumps(told, sort_keys=True)
    return hashlib.sha256(declared.encode()).hexdigest()


def stage_prefix(spec: TableSpec, load_id: str, run: str) -> str:
    """The key under which a run stages its files: its own, and safe in any path or URL.

    Runs of one load id may be at work at the same time, so none writes where another one may.
    Without a ``run`` it is what a preview shows.
    """
    preview = load_id == PREVIEW_LOAD_ID and not run
    last = load_id if preview else f"{_slug(load_id)}/{run or _PREVIEW_RUN}"
    return f"{_slug(spec.table)}/{last}"


def table_ledger(ledger_schema: str, table: Table) -> Table:
    """The ledger of one table, where a warehouse has one: its loads lock it to take turns.

    Transactions that read and write a ledger of all tables would conflict with each other in
    databases with SERIALIZABLE isolation (``c_serial_isolation``).
    """
    schema, full = table.schema or "", f"{table.schema}_{table.name}"
    name = _safe(full, 40)
    if name != full or "_" in schema:  # a_b.c is another table than a.b_c
        name += "-" + _digest(f"{schema}\0{table.name}")
    return Table(ledger_schema, f"loads_{name}")


def _slug(text: str) -> str:
    """Text as a path segment; what is replaced is told apart by a digest."""
    safe = _safe(text, 80)
    if safe == text:
        return safe
    return f"{safe}-{_digest(text)}"


def _safe(text: str, length: int) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", text)[:length].lstrip("._") or "_"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
