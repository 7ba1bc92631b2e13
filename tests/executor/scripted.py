"""A load against a warehouse that follows a script: no server, and faults where a test wants them.

What is done is noted by name, in order: ``open``, ``BEGIN``, the names of statements, ``COMMIT``,
``ROLLBACK``, ``close``. Each use of a name takes the next act of its script, if there is one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from loader.errors import ExecuteError
from loader.executor.check_results import SAMPLES
from loader.executor.transaction import Outcome, execute
from loader.plan.check_plan import plan_sample
from loader.plan.live_table import Live, LiveColumn, LiveTable
from loader.plan.load_plan import plan_load
from loader.plan.loading import Evolution
from loader.plan.model import (
    LEDGER_ADDITIONS,
    LoadRequest,
    Plan,
    StagedFacts,
    Statement,
    Target,
)
from loader.spec.diagnostics import diagnose
from loader.spec.model import TableSpec
from loader.spec.partitions import Slice
from loader.sql.datatypes import parse
from loader.sql.dialects.redshift import through_share
from loader.sql.renderer import Renderer, Table
from loader.sql.templates import read_templates
from loader.warehouse.base import Row, Session
from loader.warehouse.ledger import ledgers_of
from loader.warehouse.registry import get_adapter

if TYPE_CHECKING:
    import pyarrow as pa

DIALECTS = ("duckdb", "redshift", "share")
"""``share`` is Redshift as it writes tables of a datashare."""

TABLE = Table("s", "t")
COLUMNS = [{"name": "id", "data_type": "bigint"}, {"name": "note", "data_type": "varchar(10)"}]
ROWS = 7
"""Rows staged."""

Act = BaseException | list[Row] | Callable[[], "list[Row] | None"] | None
"""Raises, answers, does something and then perhaps answers, or nothing out of the ordinary."""
Script = Mapping[str, Sequence[Act]]

ANSWERS: dict[str, list[Row]] = {
    "delete all rows": [(3,)],
    "delete the slice": [(3,)],
    "count before": [(5,)],
    "copy": [(ROWS,)],
    "count copied rows": [(ROWS,)],
    "count": [(ROWS,)],
}
"""What the warehouse answers where nothing is wrong; nothing to all other statements."""


def refused(message: str = "refused", **more: Any) -> ExecuteError:
    """An error that stays."""
    return ExecuteError(message, **{"statement": "sql", **more})


def lost(message: str = "connection lost", **more: Any) -> ExecuteError:
    """The error of a connection that is gone, and its transaction with it."""
    return ExecuteError(message, **{"statement": "sql", "transient": True, "code": "08006", **more})


def conflict() -> ExecuteError:
    """A conflict with another transaction."""
    return ExecuteError("conflict", statement="sql", transient=True, code="40001")


@cache
def make_renderer(dialect: str) -> Renderer:
    if dialect == "share":
        return Renderer(read_templates(), through_share("shared"))
    return Renderer(read_templates(), get_adapter(dialect).dialect)


def make_live(dialect: str, *columns: tuple[str, str]) -> LiveTable:
    """A live table with these columns; as the spec declares it without any."""
    spell = make_renderer(dialect).dialect.column_type
    declared = [(one["name"], one["data_type"]) for one in COLUMNS]
    return LiveTable(
        tuple(LiveColumn(name, spell(parse(kind)), True) for name, kind in columns or declared)
    )


WHOLE_LEDGER = LiveTable(tuple(LiveColumn(name, "bigint", True) for name in LEDGER_ADDITIONS))
"""A ledger that lacks nothing of this version."""

_PLANS: dict[tuple[object, ...], Plan] = {}
"""Plans that were made before: making them takes longer than running them here."""


def make_spec(**fields: Any) -> TableSpec:
    whole = {"schema": "s", "name": "t", "columns": COLUMNS, "verify": "counts", **fields}
    return _read_spec(json.dumps(whole))


@cache
def _read_spec(text: str) -> TableSpec:
    spec, problems = diagnose(json.loads(text))
    assert problems == []
    assert spec is not None
    return spec


@dataclass
class Scene:
    """A load, and the warehouse it meets."""

    dialect: str = "redshift"
    script: Script = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Of the spec."""
    live: Live | None = None
    """The live table; None means as the spec declares it."""
    ledger: str = "loader"
    rows: int = ROWS
    slice: Slice | None = None
    records: list[Row] = field(default_factory=list)
    """What the ledger has of this load."""
    answers: Mapping[str, list[Row]] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    built: list[tuple[Live, Evolution]] = field(default_factory=list)
    keeps_session_open = False

    def __post_init__(self) -> None:
        self.spec = make_spec(**self.fields)
        self.renderer = make_renderer(self.dialect)
        kind = "redshift" if self.dialect == "share" else self.dialect
        self.target = Target("there", kind, "s3://bucket/staging", self.ledger, "arn:role")
        self.ledgers = ledgers_of(self.renderer, self.ledger, TABLE) if self.ledger else []
        there = make_live(self.dialect) if self.live is None else self.live
        self.tables: dict[Table, Live] = {TABLE: there}
        self.tables |= dict.fromkeys(self.ledgers, WHOLE_LEDGER)
        self.left = {name: list(acts) for name, acts in self.script.items()}
        self.names = {**_name_queries(self.dialect), **self._name_samples()}
        self.announced: Statement | None = None

    @property
    def own(self) -> Row:
        """The ledger's row of this very run."""
        manifest = "s3://bucket/staging/s.t/load-1/run-1/manifest.json" if self.rows else None
        return str(self.slice) if self.slice else None, self.rows, 100, 1, manifest

    def run(self, **options: Any) -> Outcome:
        """Run the load."""
        given: dict[str, Any] = {
            "table": TABLE,
            "warehouse": self,
            "renderer": self.renderer,
            "rows": self.rows,
            "on_statement": self.announce,
            **options,
        }
        return execute(self.build, **given)

    def build(self, live: Live, evolved: Evolution) -> Plan:
        self.built.append((live, evolved))
        spec = json.dumps(self.fields)
        key = (self.dialect, spec, live, evolved, self.ledger, self.rows, repr(self.slice))
        if key not in _PLANS:
            _PLANS[key] = self._plan(live, evolved)
        plan = _PLANS[key]
        parts = (plan.session, plan.setup, plan.outside, plan.before, plan.statements)
        self.names |= {one.sql: one.name for part in parts for one in part}
        return plan

    def _plan(self, live: Live, evolved: Evolution) -> Plan:
        staged = StagedFacts(self.rows, 100, 1 if self.rows else 0)
        request = LoadRequest(load_id="load-1", run="run-1", staged=staged, version="1.0")
        request = replace(request, live=live, evolved=evolved, slice=self.slice)
        return plan_load(self.spec, self.renderer, self.target, request)

    def announce(self, statement: Statement) -> None:
        """Statements with the same SQL are told apart by what was announced."""
        self.announced = statement

    def name_of(self, sql: str) -> str:
        announced, self.announced = self.announced, None
        if announced is not None and announced.sql == sql:
            return announced.name
        return "wait for locks" if sql.startswith("SET statement_timeout") else self.names[sql]

    def act(self, name: str) -> list[Row]:
        """Note what is done, and do what the script has for it."""
        self.seen.append(name)
        acts = self.left.get(name)
        act = acts.pop(0) if acts else None
        if isinstance(act, BaseException):
            raise act
        answer = act() if callable(act) else act
        return self._answer(name) if answer is None else answer

    def exists(self) -> bool:
        return True

    @contextmanager
    def session(self, *, write: bool = True) -> Iterator[Session]:
        self.act("open" if write else "open for reading")
        try:
            yield ScriptedSession(self)
        finally:
            self.seen.append("close")

    def attempts(self) -> list[list[str]]:
        """What was done in each session, one after the other."""
        found: list[list[str]] = []
        for name in self.seen:
            if name.startswith("open"):
                found.append([])
            elif name != "close":
                found[-1].append(name)
        return found

    def _name_samples(self) -> dict[str, str]:
        checks = self.spec.checks
        found = (plan_sample(self.spec, self.renderer, self.slice, one, SAMPLES) for one in checks)
        return {sample.sql: sample.name for sample in found}

    def _answer(self, name: str) -> list[Row]:
        verb, _, what = name.rpartition(" ")
        if verb == "describe":
            return _rows_of(self.tables[Table(*what.split("."))])
        if verb == "find schema":
            there = [live for table, live in self.tables.items() if table.schema == what]
            return [] if "no schema" in there else [(1,)]
        if name == "look for this load":
            return self.records
        return self.answers.get(name, ANSWERS.get(name, []))


class ScriptedSession:
    """A session that holds to what warehouses do after errors."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.state: Literal["idle", "open", "aborted", "lost"] = "idle"

    def execute(self, sql: str) -> list[Row]:
        return self._act(self.scene.name_of(sql))

    def stream(self, sql: str, schema: pa.Schema) -> Generator[pa.RecordBatch, None, None]:
        raise AssertionError("a load streams nothing")

    def attach(self, files: str) -> None:
        """Nothing: the scene has no files."""

    def begin(self) -> None:
        assert self.state in ("idle", "lost")
        self._act("BEGIN")
        self.state = "open"

    def commit(self) -> None:
        assert self.state == "open"
        self.state = "idle"
        self._act("COMMIT")

    def rollback(self) -> None:
        if self.state == "idle":
            return
        if self.state == "aborted":
            self.state = "open"
        self._act("ROLLBACK")
        self.state = "idle"

    def _act(self, name: str) -> list[Row]:
        if self.state == "lost":
            self.scene.seen.append(name)
            raise lost()
        if self.state == "aborted":
            self.scene.seen.append(name)
            raise refused("the transaction is aborted", code="25P02")
        try:
            return self.scene.act(name)
        except ExecuteError as error:
            if error.code == "08006":
                self.state = "lost"
            elif self.state == "open":
                self.state = "aborted"
            raise


def _rows_of(live: Live) -> list[Row]:
    if not isinstance(live, LiveTable):
        return []
    return [
        (one.name, one.data_type, one.nullable, one.has_default, live.is_table)
        for one in live.columns
    ]


@cache
def _name_queries(dialect: str) -> dict[str, str]:
    """The queries of the catalog."""
    renderer = make_renderer(dialect)
    found: dict[str, str] = {}
    for table in (TABLE, *ledgers_of(renderer, "loader", TABLE)):
        facts = {"table": table}
        name = f"{table.schema}.{table.name}"
        found[renderer.render("describe", facts).sql] = f"describe {name}"
        found[renderer.render("find_schema", facts).sql] = f"find schema {table.schema}"
    return found
