"""`apply` makes live tables what their specs say, on DuckDB and on Redshift, whatever breaks."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from loader.errors import ApplyError, ExecuteError, LoaderError, PlanError
from loader.plan.table_changes import TableChange
from loader.project import Project
from loader.spec.model import TableSpec
from loader.testing.redshift.faults import Drop, Error
from loader.testing.redshift.server import RedshiftStandIn
from tests.conftest import MakeProject, redshift_target
from tests.plan.test_drift import AMOUNT, BASE, CHANGES, ID, NOTE, columns

pytestmark = pytest.mark.usefixtures("quick_retries")

TARGETS = ("duckdb", "redshift")
ROWS = 3


class Place:
    """One target, and a project whose one spec changes."""

    def __init__(self, name: str, make: MakeProject, stand_in: RedshiftStandIn | None) -> None:
        self.name, self.make, self.stand_in = name, make, stand_in
        self.options = redshift_target(stand_in) if stand_in else {}

    def project(self, fields: Mapping[str, Any], **others: Mapping[str, Any]) -> Project:
        """The project as its specs are now."""
        specs = {"t.yml": {"version": 1, "schema": "s", "name": "t", **fields}}
        for name, other in others.items():
            specs[f"{name}.yml"] = {"version": 1, "schema": "s", "name": name, **other}
        return self.make(specs, **self.options)

    def spec(self, fields: Mapping[str, Any]) -> tuple[Project, TableSpec]:
        """The spec under test."""
        project = self.project(fields)
        return project, project.spec(f"{fields.get('schema', 's')}.{fields.get('name', 't')}")

    def change(self, fields: Mapping[str, Any]) -> tuple[Project, TableChange]:
        """What would make the live table what these fields say."""
        project, spec = self.spec(fields)
        (found,) = project.changes([spec])
        return project, found

    def create(self, fields: Mapping[str, Any], *, rows: int = ROWS) -> None:
        """The table as these fields declare it, with some rows."""
        project, spec = self.spec(fields)
        project.apply(project.changes([spec]))
        if rows:
            project.load(spec, frame(spec, rows))

    def grantees(self) -> None:
        """Make those whom the specs under test grant something, where grants mean something."""
        if self.stand_in is None:
            return
        for role in ("bi", "etl"):
            self.stand_in.execute(
                f"DO $$ BEGIN CREATE ROLE {role}; EXCEPTION WHEN duplicate_object THEN END $$"
            )

    def rows(self, fields: Mapping[str, Any]) -> list[dict[str, Any]]:
        """What the table holds."""
        project, spec = self.spec(fields)
        table = project.read(spec, as_="arrow")
        assert isinstance(table, pa.Table)
        return sorted(table.to_pylist(), key=str)


VALUES: dict[str, list[Any]] = {
    "id": [1, 2, 3],
    "note": ["2020-01-01", "2021-02-03", "1999-12-31"],
    "amount": ["1.25", "-3.50", "99.00"],
    "flag": [True, False, True],
    "at": ["2020-01-01T10:00:00", "2021-01-01T23:59:59", "2022-01-01T00:00:00"],
    "doc": ['{"a":1}', "[1,2]", '"x"'],
}


def frame(spec: TableSpec, rows: int) -> pa.Table:
    names = [column.name for column in spec.columns if column.identity is None]
    data: dict[str, Any] = {}
    for name in names:
        values: list[Any] = (VALUES[name] * rows)[:rows]
        if name == "amount":
            data[name] = pa.array(values).cast(pa.decimal128(12, 2))
        elif name == "at":
            data[name] = pa.array(values).cast(pa.timestamp("us"))
        else:
            data[name] = pa.array(values)
    if "id" in data:
        data["id"] = pa.array(range(1, rows + 1), pa.int32())
    return pa.table(data)


ONE: dict[str, Any] = {
    "boolean": True,
    "date": dt.date(2020, 1, 1),
    "timestamp": dt.datetime(2020, 1, 1, 10),  # the type has no zone
    "decimal": Decimal("1.25"),
    "super": '{"a":1}',
    "varchar": "x",
}


def fitting(spec: TableSpec) -> pa.Table:
    """One row that fits the spec."""
    columns = [column for column in spec.columns if column.identity is None]
    return pa.table({one.name: [ONE.get(one.data_type.name, 1)] for one in columns})


@pytest.fixture(params=TARGETS)
def place(request: pytest.FixtureRequest, make_project: MakeProject) -> Place:
    stand_in = request.getfixturevalue("stand_in") if request.param == "redshift" else None
    return Place(request.param, make_project, stand_in)


@pytest.fixture
def on_redshift(make_project: MakeProject, stand_in: RedshiftStandIn) -> Place:
    return Place("redshift", make_project, stand_in)


MENDED = {name: fields for name, fields in CHANGES.items() if name not in ("types", "identity")} | {
    "types": (
        columns(NOTE, AMOUNT, {"name": "flag", "data_type": "boolean"}),
        {
            "columns": [
                {**ID, "data_type": "bigint"},
                {"name": "note", "data_type": "date"},
                {**AMOUNT, "data_type": "decimal(14,3)"},
                {"name": "flag", "data_type": "varchar(5)"},
            ]
        },
    ),
    "narrower": (BASE, columns({**NOTE, "data_type": "varchar(12)"}, AMOUNT)),
    "nothing left": (
        BASE,
        {"columns": [{"name": "other", "data_type": "date"}]},
    ),
    "identity": CHANGES["identity"],
}


@pytest.mark.parametrize("name", MENDED)
def test_what_was_applied_needs_nothing_more(place: Place, name: str) -> None:
    """Create A with rows, plan B, apply it, plan again: nothing is left, and no row is gone."""
    before, after = MENDED[name]
    place.grantees()
    place.create(before)
    kept = place.rows(before)
    project, change = place.change(after)
    project.apply([change], allow_destructive=["*"] if change.destructive else [])
    project, again = place.change(after)
    assert again.differences == ()
    assert project.apply([again]) == []
    found = place.rows(after)
    assert len(found) == ROWS
    if not change.destructive and found:
        names = [
            (
                next((old for old in (*column.renamed_from, column.name) if old in kept[0]), ""),
                column,
            )
            for column in change.spec.columns
        ]
        assert sorted([str(row[old]) for old, _ in names if old] for row in kept) == sorted(
            [str(row[column.name]) for old, column in names if old] for row in found
        )


@pytest.mark.parametrize("evolve", ["none", "additive"])
@pytest.mark.parametrize("name", MENDED)
def test_a_review_knows_whether_its_load_must_wait(place: Place, name: str, evolve: str) -> None:
    """A load fails before the changes are applied exactly where the review says that it does."""
    before, after = MENDED[name]
    after = {**after, "schema_contract": {"evolve": evolve}}
    place.grantees()
    place.create(before)
    project, spec = place.spec(after)
    (review,) = project.review([spec])
    failed: LoaderError | None = None
    try:
        project.load(spec, fitting(spec))
    except LoaderError as error:
        failed = error
    assert review.load_waits == (failed is not None), failed
    assert failed is None or isinstance(failed, PlanError)


def test_a_new_table_is_made_once(place: Place) -> None:
    """A table that is not there is made with everything the spec says; the next plan is empty."""
    fields = columns(NOTE, AMOUNT, description="One row.")
    project, change = place.change(fields)
    assert [one.kind for one in change.differences] == ["create table"]
    assert [done.spec.table for done in project.apply([change])] == ["s.t"]
    assert place.change(fields)[1].differences == ()


def test_a_change_that_fails_leaves_the_table(place: Place) -> None:
    """Text that is no date stops the change of its column's type; rows and types stay."""
    place.create(BASE)
    project, spec = place.spec(BASE)
    odd = frame(spec, 1).set_column(1, "note", pa.array(["no date"]))
    project.load(spec, odd)
    kept = place.rows(BASE)
    project, change = place.change(columns({"name": "note", "data_type": "date"}, AMOUNT))
    with pytest.raises(ApplyError, match=r"`copy the rows` of s\.t failed") as caught:
        project.apply([change], allow_destructive=["*"])
    assert "rolled back; s.t is unchanged" in str(caught.value)
    assert "note: varchar(20) → date" in str(caught.value).replace("VARCHAR", "varchar(20)").lower()
    assert caught.value.hint == "correct the value in the table, or declare a type that takes it"
    assert place.rows(BASE) == kept
    assert place.change(BASE)[1].differences == ()


def test_text_gets_the_types_that_its_values_have(place: Place) -> None:
    """A table of text becomes one of numbers and times; empty text is NULL, no value is lost."""
    names = ["id", "n", "amount", "day", "at", "flag"]
    wide = [{"name": name, "data_type": "varchar(10000)"} for name in names]
    project, spec = place.spec({"columns": wide})
    rows = [
        ["1", "2", " 3"],
        ["70000", "", None],
        ["19.90", "7.5", " "],
        ["2026-01-01", "", "2026-01-02"],
        ["2026-01-01 10:00:00", "2026-01-01T10:00:00.25", ""],
        ["True", "", "f"],
    ]
    project.load(spec, pa.table(dict(zip(names, rows, strict=True))))
    kinds = ["smallint", "bigint", "decimal(12,2)", "date", "timestamp", "boolean"]
    typed = [{"name": n, "data_type": kind} for n, kind in zip(names, kinds, strict=True)]
    project, change = place.change({"columns": typed})
    assert all("empty text" in one.loss or one.column == "flag" for one in change.differences)
    project.apply([change], allow_destructive=["*"])
    wanted = [
        [1, 2, 3],
        [70000, None, None],
        [Decimal("19.90"), Decimal("7.50"), None],
        [dt.date(2026, 1, 1), None, dt.date(2026, 1, 2)],
        [dt.datetime(2026, 1, 1, 10), dt.datetime(2026, 1, 1, 10, 0, 0, 250_000), None],
        [True, None, False],
    ]
    found = place.rows({"columns": typed})
    assert [list(row.values()) for row in found] == [list(row) for row in zip(*wanted, strict=True)]
    assert place.change({"columns": typed})[1].differences == ()


CSV = {"staging": {"format": "csv"}}
REFUSED = [
    ("bigint", "6.5"),
    ("bigint", "1_000"),
    ("integer", "0x10"),
    ("smallint", "1e3"),
    ("bigint", "0b11"),
    ("decimal(10,2)", "1_000"),
    ("double precision", "1_000"),
    ("double precision", "1e400"),
    ("real", "1e300"),
    ("double precision", "infinity"),
    ("date", "infinity"),
    ("date", "99999-01-01"),
    ("date", "0044-03-15 (BC)"),
    ("timestamp", "-infinity"),
    ("timestamptz", "99999-01-01 00:00:00+00"),
    ("timestamp", "2026-01-01 10:00:00.1234567"),
    ("time", "10:00:00.1234567"),
    ("time", "24:00:00"),
]


@pytest.mark.parametrize(("kind", "text"), REFUSED)
def test_text_that_duckdb_would_change_fails(
    make_project: MakeProject, kind: str, text: str
) -> None:
    """Text that is no plain value of the new type fails with its column, and nothing changes."""
    place = Place("duckdb", make_project, None)
    before = [ID, {"name": "v", "data_type": "varchar(40)"}]
    project, spec = place.spec({"columns": before})
    project.load(spec, pa.table({"id": [1, 2], "v": [None, text]}))
    project, change = place.change({"columns": [ID, {"name": "v", "data_type": kind}], **CSV})
    with pytest.raises(ApplyError) as failed:
        project.apply([change], allow_destructive=["*"])
    assert f"column v: not a valid {kind.partition('(')[0]}: {text}" in str(failed.value)
    assert [row["v"] for row in place.rows({"columns": before})] == [None, text]


TAKEN = [
    ("bigint", " -007 ", -7),
    ("decimal(10,2)", "+1e3", Decimal(1000)),
    ("decimal(10,2)", ".5", Decimal("0.5")),
    ("double precision", "-1.5E-3", -0.0015),
    ("timestamp", "9999-12-31 23:59:59.9999990", dt.datetime(9999, 12, 31, 23, 59, 59, 999_999)),
    ("date", "0001-01-01", dt.date(1, 1, 1)),
    ("time", "23:59:59.999999", dt.time(23, 59, 59, 999_999)),
]


@pytest.mark.parametrize(("kind", "text", "value"), TAKEN)
def test_text_of_a_plain_value_becomes_it(
    make_project: MakeProject, kind: str, text: str, value: object
) -> None:
    """Text that is a plain value of the new type becomes that value."""
    place = Place("duckdb", make_project, None)
    project, spec = place.spec({"columns": [ID, {"name": "v", "data_type": "varchar(40)"}]})
    project.load(spec, pa.table({"id": [1], "v": [text]}))
    after = {"columns": [ID, {"name": "v", "data_type": kind}], **CSV}
    project, change = place.change(after)
    project.apply([change], allow_destructive=["*"])
    assert [row["v"] for row in place.rows(after)] == [value]


def test_null_in_the_way_is_told_before_anything_is_done(place: Place) -> None:
    """A column that is to be NOT NULL and has NULL is counted, and nothing is run."""
    place.create(BASE)
    project, spec = place.spec(BASE)
    project.load(spec, frame(spec, 2).set_column(1, "note", pa.array([None, "x"], pa.string())))
    project, change = place.change(columns({**NOTE, "nullable": False}, AMOUNT))
    with pytest.raises(PlanError, match=r"NULL in 1 row of s\.t"):
        project.apply([change], allow_destructive=["*"])


def test_a_column_without_a_value_for_the_rows_is_told(place: Place) -> None:
    """A new NOT NULL column without a default needs a table without rows."""
    wanted = columns(NOTE, AMOUNT, {"name": "z", "data_type": "integer", "nullable": False})
    place.create(BASE)
    project, change = place.change(wanted)
    with pytest.raises(PlanError, match=r"z is NOT NULL without a default, and s\.t has 3 rows"):
        project.apply([change])


def test_an_empty_table_takes_it(place: Place) -> None:
    """The same column is no trouble where there are no rows."""
    place.create(BASE, rows=0)
    wanted = columns(NOTE, AMOUNT, {"name": "z", "data_type": "integer", "nullable": False})
    project, change = place.change(wanted)
    project.apply([change])
    assert place.change(wanted)[1].differences == ()


def test_what_failed_first_does_not_stop_what_is_done(place: Place) -> None:
    """When a table fails, those before it stay changed, and the error says where it stopped."""
    others = {"a": BASE, "z": BASE}
    project = place.project(BASE, **others)
    project.apply(project.changes(project.catalog.specs()))
    spec = project.spec("s.t")
    project.load(spec, frame(spec, 1))
    wider = columns(NOTE, AMOUNT, {"name": "more", "data_type": "date"})
    date = columns({"name": "note", "data_type": "boolean"}, {**AMOUNT, "data_type": "smallint"})
    project = place.project(date, a=wider, z=wider)
    project.load(place.spec(BASE)[1], _large(place))
    project = place.project(date, a=wider, z=wider)
    changes = project.changes(project.catalog.specs())
    with pytest.raises(ApplyError) as caught:
        project.apply(changes, allow_destructive=["*"])
    said = str(caught.value)
    assert "s.a: done" in said
    assert "s.t: failed" in said
    assert "s.z: not begun" in said
    left = {one.spec.name: one.differences for one in project.changes(project.catalog.specs())}
    assert left["a"] == ()
    assert left["z"]


def _large(place: Place) -> pa.Table:
    """A number that no SMALLINT holds."""
    _, spec = place.spec(BASE)
    amounts = pa.array(["9999999999.00"]).cast(pa.decimal128(12, 2))
    return frame(spec, 1).set_column(2, "amount", amounts)


def _rebuild(place: Place) -> tuple[Project, TableChange]:
    place.create(BASE)
    project, change = place.change(
        {"columns": [{**ID, "data_type": "bigint"}, NOTE, AMOUNT], "description": "New."}
    )
    assert change.drift.rebuilds
    return project, change


@pytest.mark.parametrize("when", ["before", "after", "instead"])
@pytest.mark.parametrize("at", range(11))
def test_a_rebuild_that_is_interrupted_is_not_half_done(
    on_redshift: Place, at: int, when: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At whichever statement the connection breaks, the table is the old one or the new one."""
    monkeypatch.setattr("loader.warehouse.retry.ATTEMPTS", 2)
    project, change = _rebuild(on_redshift)
    assert on_redshift.stand_in is not None
    statements = [*(one.sql for one in change.statements), "COMMIT"]
    if at >= len(statements):
        pytest.skip("there are not so many statements")
    kept = on_redshift.rows(BASE)
    action = Error("42501", "permission denied") if when == "instead" else Drop()
    # Once is passing, so it is retried; for good it is told.
    on_redshift.stand_in.faults.add(
        lambda sql: sql.strip() == statements[at], when, action, times=99
    )
    said = ""
    try:
        project.apply([change])
    except ExecuteError as error:
        said = str(error)
    on_redshift.stand_in.faults.clear()
    fields = {"columns": [{**ID, "data_type": "bigint"}, NOTE, AMOUNT], "description": "New."}
    new = on_redshift.change(fields)[1].differences == ()
    old = on_redshift.change(BASE)[1].differences == ()
    assert new != old
    assert new == (not said)
    assert not said or "s.t" in said
    assert on_redshift.rows(fields if new else BASE) == kept
    (left,) = on_redshift.stand_in.query(
        "SELECT count(*) FROM pg_class WHERE relname LIKE 'loader_new%'"
    )
    assert left == (0,)


def test_a_passing_fault_is_retried(on_redshift: Place) -> None:
    """A connection that breaks once does not stop a rebuild."""
    project, change = _rebuild(on_redshift)
    assert on_redshift.stand_in is not None
    on_redshift.stand_in.faults.add("INSERT INTO", "before", Drop())
    project.apply([change])
    assert len(on_redshift.rows({"columns": [{**ID, "data_type": "bigint"}, NOTE, AMOUNT]})) == ROWS


def test_a_table_that_moved_meanwhile_is_left_alone(place: Place) -> None:
    """What was planned for another table than the one that is there now is not run."""
    place.create(BASE)
    project, change = place.change({"columns": [{**ID, "data_type": "bigint"}, NOTE, AMOUNT]})
    between = columns(NOTE, AMOUNT, {"name": "more", "data_type": "date"})
    other, meanwhile = place.change(between)
    other.apply([meanwhile])
    with pytest.raises(ApplyError, match=r"s\.t has changed since the plan was made"):
        project.apply([change])
    assert place.change(between)[1].differences == ()


def test_looking_sends_nothing_but_questions(on_redshift: Place) -> None:
    """`changes` and `review` only read, and a few queries are enough for many tables."""
    assert on_redshift.stand_in is not None
    on_redshift.create(BASE)
    others = {f"t{number}": BASE for number in range(40)}
    project = on_redshift.project(columns(NOTE, dist="id"), **others)
    on_redshift.stand_in.statements.clear()
    project.review(project.catalog.specs(), full_refresh=True)
    sent = [one.sql.split()[0].upper() for one in on_redshift.stand_in.statements]
    assert set(sent) <= {"SELECT", "SET"}
    assert sent.count("SELECT") == 14


def test_a_plan_offline_sends_nothing(on_redshift: Place) -> None:
    """Without --live the warehouse is not even connected to."""
    assert on_redshift.stand_in is not None
    project, spec = on_redshift.spec(BASE)
    on_redshift.stand_in.statements.clear()
    project.plan(spec)
    assert list(on_redshift.stand_in.statements) == []


def test_a_view_is_not_touched(place: Place) -> None:
    """A view under the table's name is told, and nothing is done."""
    place.create(BASE)
    project = place.project(BASE, v=BASE)
    view = project.spec("s.v")
    _sql(place, "CREATE VIEW s.v AS SELECT * FROM s.t")
    with pytest.raises(PlanError, match=r"s\.v is a view, which Loader does not change"):
        project.apply(project.changes([view]))
    assert project.review([view])[0].change.blocked


def _sql(place: Place, sql: str) -> None:
    if place.stand_in is not None:
        place.stand_in.execute(sql)
        return
    with duckdb.connect(place.project(BASE).config.root / "warehouse.duckdb") as connection:
        connection.execute(sql)


def test_bound_views_stop_a_rebuild(on_redshift: Place) -> None:
    """A view that is bound to the table is named, and the table stays."""
    on_redshift.create(BASE)
    _sql(on_redshift, "CREATE VIEW s.v AS SELECT * FROM s.t")
    project, change = on_redshift.change({"columns": [{**ID, "data_type": "bigint"}, NOTE, AMOUNT]})
    with pytest.raises(PlanError, match=r"the view s\.v depends on it"):
        project.apply([change])
    assert on_redshift.change(BASE)[1].differences == ()


def test_a_load_widens_and_adds_when_it_may(on_redshift: Place) -> None:
    """Under `evolve: additive` a load widens before its transaction and adds columns in it."""
    on_redshift.create(BASE)
    wanted = {
        **columns(
            {**NOTE, "data_type": "varchar(40)"}, AMOUNT, {"name": "flag", "data_type": "boolean"}
        ),
        "schema_contract": {"evolve": "additive"},
    }
    project, spec = on_redshift.spec(wanted)
    result = project.load(spec, frame(spec, 2))
    assert result.plan is not None
    assert result.rows_loaded == 2
    assert on_redshift.change(wanted)[1].differences == ()


def test_a_load_that_may_not_says_what_to_do(on_redshift: Place) -> None:
    """Under `evolve: none` a load fails with the table of differences and the command."""
    on_redshift.create(BASE)
    project, spec = on_redshift.spec(columns({**NOTE, "data_type": "varchar(40)"}, AMOUNT))
    with pytest.raises(PlanError, match=r"varchar\(40\)  varchar\(20\)  too narrow") as caught:
        project.load(spec, frame(spec, 2))
    assert "`loader apply s/t` applies them" in str(caught.value)


def test_a_table_without_rights_is_left_alone(on_redshift: Place) -> None:
    """Whoever may not alter a table sees what differs; the change is refused, and undone."""
    assert on_redshift.stand_in is not None
    on_redshift.create(BASE)
    on_redshift.stand_in.add_user("stranger", "secret")
    wanted = {"columns": [{**ID, "data_type": "bigint"}, NOTE, AMOUNT]}
    place = Place("redshift", on_redshift.make, on_redshift.stand_in)
    place.options |= {"user": "stranger", "password": "secret"}
    project, change = place.change(wanted)
    assert change.drift.rebuilds
    with pytest.raises(ApplyError, match=r"s\.t") as caught:
        project.apply([change], assume_no_policies=True)
    assert "42501" in str(caught.value) or "permission" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert on_redshift.change(BASE)[1].differences == ()


def test_a_schema_without_rights_is_told(on_redshift: Place) -> None:
    """Rows that this user may not count are told as not known, and everything else is planned."""
    assert on_redshift.stand_in is not None
    on_redshift.create(BASE)
    on_redshift.stand_in.execute('DROP ROLE IF EXISTS "blind"; CREATE ROLE "blind" LOGIN')
    on_redshift.stand_in.users["blind"] = "secret"
    place = Place("redshift", on_redshift.make, on_redshift.stand_in)
    place.options |= {"user": "blind", "password": "secret"}
    project, spec = place.spec(columns({**NOTE, "nullable": False}, AMOUNT))
    (review,) = project.review([spec], full_refresh=True)
    assert review.rows_to_delete is None
    assert [one.kind for one in review.change.differences] == ["nullability"]


def test_an_external_table_is_not_touched(on_redshift: Place) -> None:
    """A table that lies outside of the warehouse, and a place among such tables, are told."""
    assert on_redshift.stand_in is not None
    on_redshift.stand_in.add_external_table("lake", "events", columns={"id": "int"})
    project = on_redshift.project(
        BASE, events={**BASE, "schema": "lake"}, other={**BASE, "schema": "lake"}
    )
    changes = project.changes([project.spec("lake.events"), project.spec("lake.other")])
    assert [change.statements for change in changes] == [(), ()]
    with pytest.raises(PlanError, match=r"lake\.events is an external table") as caught:
        project.apply(changes)
    assert "lake.other is a name in an external schema" in str(caught.value)
