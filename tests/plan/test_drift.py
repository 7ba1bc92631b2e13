"""What differs between a spec and a live table, and the exact statements that fix it.

``ACCEPT=1 uv run pytest tests/plan/test_drift.py`` rewrites the snapshots: review their diff.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loader.errors import PlanError
from loader.plan.drift.compare import additions, drift
from loader.plan.drift.conversions import conversion
from loader.plan.drift.defaults import same_default
from loader.plan.drift.difference import Difference
from loader.plan.live_table import LiveColumn, LiveTable
from loader.plan.table_changes import TableChange, find_probes, plan_change, select_allowed
from loader.sql.datatypes import DataType, parse
from loader.warehouse.registry import BUILT_IN, get_adapter
from tests.golden import expect
from tests.plan.drifted import live_of
from tests.plan.test_plan import RICH, TARGETS, make_spec, renderer

SNAPSHOTS = Path(__file__).parents[1] / "snapshots"

ID: dict[str, Any] = {"name": "id", "data_type": "integer", "nullable": False}
NOTE: dict[str, Any] = {"name": "note", "data_type": "varchar(20)"}
AMOUNT: dict[str, Any] = {"name": "amount", "data_type": "decimal(12,2)"}


def columns(*some: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"columns": [ID, *some], **fields}


BASE = columns(NOTE, AMOUNT)

CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "add_columns": (
        BASE,
        columns(
            NOTE,
            AMOUNT,
            {"name": "at", "data_type": "timestamp", "default": "getdate()"},
            {"name": "flag", "data_type": "boolean", "nullable": False, "default": "true"},
            {"name": "doc", "data_type": "super", "description": "It's \\ all."},
        ),
    ),
    "widen": (BASE, columns({**NOTE, "data_type": "varchar(40)"}, AMOUNT)),
    "widen_with_default": (
        columns({**NOTE, "default": "'x'"}),
        columns({**NOTE, "default": "'x'", "data_type": "varchar(40)"}),
    ),
    "comments_and_grants": (
        BASE,
        columns(
            {**NOTE, "description": "Why."},
            AMOUNT,
            description="One row.",
            grants={"select": ["role:bi", "public"], "all": ["group:etl"]},
        ),
    ),
    "layout": (
        columns(NOTE, AMOUNT, dist="even", sort=["id"]),
        columns(
            {**NOTE, "encode": "zstd"},
            {**AMOUNT, "encode": "az64"},
            dist="id",
            sort=["note", "id"],
        ),
    ),
    "types": (
        columns(
            NOTE,
            AMOUNT,
            {"name": "flag", "data_type": "boolean", "description": "Kept."},
            {"name": "at", "data_type": "timestamp"},
            {"name": "doc", "data_type": "super"},
            description="Kept too.",
        ),
        {
            "columns": [
                {**ID, "data_type": "bigint"},
                {"name": "note", "data_type": "date"},
                {**AMOUNT, "data_type": "decimal(14,3)"},
                {"name": "flag", "data_type": "varchar(5)"},
                {"name": "at", "data_type": "date"},
                {"name": "doc", "data_type": "varchar(100)"},
            ]
        },
    ),
    "nullability_and_defaults": (
        columns(NOTE, AMOUNT),
        columns({**NOTE, "nullable": False}, {**AMOUNT, "default": "0"}),
    ),
    "drop_a_column": (columns(NOTE, AMOUNT), columns(AMOUNT)),
    "drop_columns": (columns(NOTE, AMOUNT, sort=["note"]), columns(AMOUNT)),
    "identity": (
        columns({"name": "n", "data_type": "bigint", "identity": [1, 1]}),
        columns({"name": "n", "data_type": "bigint", "identity": [5, -2]}),
    ),
    "interleaved": (
        columns(NOTE, sort=["id", "note"], sort_type="interleaved"),
        columns(NOTE, sort=["note"], dist="id"),
    ),
}


def change(name: str, dialect: str, **live: Any) -> TableChange:
    before, after = (make_spec(**fields) for fields in CHANGES[name])
    return plan_change(after, renderer(dialect), TARGETS[dialect], live_of(before, dialect, **live))


@pytest.mark.parametrize("dialect", BUILT_IN)
@pytest.mark.parametrize("name", CHANGES)
def test_changes(name: str, dialect: str) -> None:
    """What fixes a live table is these statements, in this order, with these reasons."""
    found = change(name, dialect)
    told = [
        f"-- {one.kind} {one.column or ''}: {one.live} -> {one.spec}; {one.remedy}; {one.loss}"
        for one in found.differences
    ]
    notes = [f"-- note: {note}" for note in found.drift.notes]
    text = "\n".join([*told, *notes, "", found.sql])
    expect(SNAPSHOTS / dialect / "changes" / f"{name}.sql", text)


@pytest.mark.parametrize("dialect", BUILT_IN)
def test_no_snapshot_is_left_over(dialect: str) -> None:
    """Every snapshot belongs to a case."""
    found = {path.stem for path in (SNAPSHOTS / dialect / "changes").glob("*.sql")}
    assert found == set(CHANGES)


@pytest.mark.parametrize("dialect", BUILT_IN)
@pytest.mark.parametrize("fields", [BASE, RICH, *(after for _, after in CHANGES.values())])
def test_a_table_that_is_as_declared_has_no_drift(fields: dict[str, Any], dialect: str) -> None:
    """A table that Loader made of a spec needs nothing."""
    spec = make_spec(**fields)
    found = drift(spec, renderer(dialect), live_of(spec, dialect))
    assert found.differences == ()


@pytest.mark.parametrize("dialect", BUILT_IN)
def test_order_case_and_spelling_are_no_drift(dialect: str) -> None:
    """Another order of columns, names in capitals and other spellings of types need nothing."""
    spec = make_spec(**BASE)
    live = live_of(spec, dialect)
    spelt = {"redshift": ["numeric(12,2)", "character varying(20)", "integer"]}
    types = spelt.get(dialect, [column.data_type.lower() for column in reversed(live.columns)])
    turned = tuple(
        replace(column, name=column.name.upper(), data_type=kind)
        for column, kind in zip(reversed(live.columns), types, strict=True)
    )
    assert drift(spec, renderer(dialect), replace(live, columns=turned)).differences == ()


def test_what_the_spec_does_not_declare_is_not_compared() -> None:
    """Comments, grants, distribution, sort keys and encodings of the live table alone may stay."""
    spec = make_spec(**BASE)
    live = live_of(
        spec,
        "redshift",
        comment="by hand",
        dist="id",
        sort=("id",),
        sort_type="compound",
        grants=frozenset({("select", "user:ann")}),
    )
    encoded = tuple(replace(column, encoding="zstd", comment="x") for column in live.columns)
    assert drift(spec, renderer("redshift"), replace(live, columns=encoded)).differences == ()


def test_a_rebuild_keeps_what_people_added() -> None:
    """Comments and grants that only the live table has are given to the new one."""
    live = {"comment": "by hand", "grants": frozenset({("select", "user:ann")}), "owner": "bob"}
    found = change("types", "redshift", **live)
    sql = "\n".join(statement.sql for statement in found.statements)
    assert 'GRANT SELECT ON "s"."t" TO "ann"' in sql
    assert "IS 'by hand'" in sql
    assert 'OWNER TO "bob"' in sql


def test_what_cannot_be_seen_is_said() -> None:
    """A DEFAULT that the catalog does not tell is a note, and neither drift nor agreement."""
    spec = make_spec(**columns({**NOTE, "default": "upper('a')"}))
    live = live_of(spec, "redshift")
    hidden = replace(live.columns[1], default="'A'::text")
    found = drift(spec, renderer("redshift"), replace(live, columns=(live.columns[0], hidden)))
    assert found.differences == ()
    assert "DEFAULT of note cannot be compared" in found.notes[0]


def test_primary_keys_are_left_to_people() -> None:
    """Redshift trusts a declared key unchecked, so one that differs is told and not altered."""
    spec = make_spec(**BASE, primary_key=["id"])
    found = drift(spec, renderer("redshift"), live_of(spec, "redshift", primary_key=()))
    assert found.differences == ()
    assert found.notes == (
        "PRIMARY KEY is id in the spec and none in the live table: Redshift does not enforce"
        " it, so change it yourself",
    )


@pytest.mark.parametrize("kind", ["view", "external table"])
def test_what_is_no_table_is_not_touched(kind: str) -> None:
    """A view or an external table under the table's name is refused, and nothing is planned."""
    spec = make_spec(**BASE)
    live = LiveTable((), kind=kind)
    found = plan_change(spec, renderer("redshift"), TARGETS["redshift"], live)
    assert found.statements == ()
    with pytest.raises(PlanError, match=f"{kind}, which Loader does not change"):
        select_allowed([found], ["*"])


def test_a_table_that_views_hold_on_to_is_not_made_anew() -> None:
    """Bound views would go on showing the old table, so they have to go first."""
    found = change("types", "redshift", dependants=("the view s.v", "the view s.w"))
    assert found.statements == ()
    with pytest.raises(PlanError, match=r"the view s\.v, the view s\.w depend on it"):
        select_allowed([found], ["*"])


@pytest.mark.parametrize(
    ("encoding", "primary_key", "remedy"),
    [
        ("lzo", (), "before_transaction"),
        ("text255", (), "rebuild"),
        ("bytedict", (), "rebuild"),
        ("lzo", ("note",), "rebuild"),
    ],
)
def test_varchar_is_widened_where_redshift_takes_it(
    encoding: str, primary_key: tuple[str, ...], remedy: str
) -> None:
    """Encodings and keys that ALTER COLUMN TYPE refuses need a rebuild of the table."""
    before, after = (make_spec(**fields) for fields in CHANGES["widen"])
    live = live_of(before, "redshift", primary_key=primary_key)
    noted = replace(live.columns[1], encoding=encoding)
    live = replace(live, columns=(live.columns[0], noted, *live.columns[2:]))
    (found,) = drift(after, renderer("redshift"), live).differences
    assert found.remedy == remedy
    assert not found.loss


@pytest.mark.parametrize(
    ("answers", "said"),
    [({"nulls note": 3}, "NULL in 3 rows"), ({"nulls note": 0}, None), ({}, None)],
)
def test_not_null_needs_a_column_without_null(answers: dict[str, int], said: str | None) -> None:
    """NULL that is there is counted before, and told instead of failing in mid-change."""
    before, after = (make_spec(**fields) for fields in CHANGES["nullability_and_defaults"])
    live = live_of(before, "duckdb")
    asked = [probe.name for probe in find_probes(after, renderer("duckdb"), live)]
    assert asked == ["rows", "nulls note"]
    found = plan_change(after, renderer("duckdb"), TARGETS["duckdb"], live, answers)
    assert any(said in reason for reason in found.blocked) if said else not found.blocked


def test_losses_need_to_be_allowed() -> None:
    """What may lose something is done only where a glob says so; all of it is told."""
    found = change("drop_columns", "redshift")
    with pytest.raises(PlanError, match="drop column note: the column's values") as caught:
        select_allowed([found], ["other/*", "s.u"])
    assert "--allow-destructive s/t" in str(caught.value)
    assert select_allowed([found], ["s/*"]) == [found]
    assert select_allowed([found], ["s.t"]) == [found]


@pytest.mark.parametrize(
    ("name", "evolve", "kinds"),
    [
        ("add_columns", "additive", ["add column"] * 3),
        ("widen", "additive", ["widen column"]),
        ("comments_and_grants", "none", []),
        ("layout", "none", []),
        ("add_columns", "none", None),
        ("widen", "none", None),
        ("types", "additive", None),
        ("widen_with_default", "additive", None),
    ],
)
def test_loads_mend_what_they_need_and_may(name: str, evolve: str, kinds: list[str] | None) -> None:
    """A load does the additive part under `evolve: additive`; what stops it is told in a table."""
    before = make_spec(**CHANGES[name][0])
    after = make_spec(**CHANGES[name][1], schema_contract={"evolve": evolve})
    live = live_of(before, "redshift")
    if kinds is not None:
        assert [one.kind for one in additions(after, renderer("redshift"), live)] == kinds
        return
    with pytest.raises(PlanError, match="differs from its spec") as caught:
        additions(after, renderer("redshift"), live)
    assert "`loader apply s/t` applies them" in str(caught.value.hint)
    assert caught.value.details


NAMES = (
    "smallint",
    "integer",
    "bigint",
    "real",
    "double precision",
    "boolean",
    "date",
    "timestamp",
    "timestamptz",
    "time",
    "timetz",
    "super",
    "decimal(5,2)",
    "decimal(12,4)",
    "decimal(38,0)",
    "char(4)",
    "varchar(4)",
    "varchar(100)",
    "varbyte(9)",
    "geometry",
    "hllsketch",
)
TYPES = {name: parse(name) for name in NAMES}


@pytest.mark.parametrize("live", TYPES)
@pytest.mark.parametrize("wanted", TYPES)
def test_every_pair_of_types_has_an_answer(live: str, wanted: str) -> None:
    """A type becomes another exactly, with a loss that is told, or not at all, which is one too."""
    found = conversion(TYPES[live], TYPES[wanted])
    assert found.how != "none" or found.loss
    if live == wanted:
        assert (found.how, found.loss) == ("copy", "")


EXACT = {
    ("smallint", "bigint"),
    ("integer", "double precision"),
    ("bigint", "decimal(38,0)"),
    ("real", "double precision"),
    ("decimal(5,2)", "decimal(12,4)"),
    ("date", "timestamp"),
    ("integer", "varchar(100)"),
    ("timestamptz", "varchar(100)"),
    ("char(4)", "varchar(4)"),
    ("boolean", "integer"),
}


@pytest.mark.parametrize(("live", "wanted"), sorted(EXACT))
def test_widening_loses_nothing(live: str, wanted: str) -> None:
    """Every value of these is a value of those, and back again is a loss."""
    assert not conversion(TYPES[live], TYPES[wanted]).loss
    assert conversion(TYPES[wanted], TYPES[live]).loss


DEFAULTS = [
    ("0", "0", "integer", True),
    ("-1", "'-1'::integer", "integer", True),
    ("1.50", "1.5", "decimal(5,2)", True),
    ("1.50", "(1.5)::numeric(5,2)", "decimal(5,2)", True),
    ("'it''s'", "'it''s'::character varying", "varchar(9)", True),
    ("'a::b'", "'a::b'::text", "varchar(9)", True),
    ("DATE '2020-01-01'", "'2020-01-01'::date", "date", True),
    ("true", "'t'::boolean", "boolean", True),
    ("TRUE", "true", "boolean", True),
    ("GETDATE()", "getdate()", "timestamp", True),
    ("1 + 1", "(1 + 1)", "integer", True),
    ("NULL", None, "integer", True),
    (None, "NULL::character varying", "varchar(9)", True),
    ("'a'", "'A'::character varying", "varchar(9)", False),
    ("0", "1", "integer", False),
    ("0", None, "integer", False),
    (None, "0", "integer", False),
    ("0", "getdate()", "timestamp", False),
    ("1 + 1", "2", "integer", None),
    ("sysdate", "('now'::text)::timestamp without time zone", "timestamp", None),
]


@pytest.mark.parametrize(("declared", "live", "kind", "same"), DEFAULTS)
def test_defaults_are_compared_by_meaning(
    declared: str | None, live: str | None, kind: str, same: bool | None
) -> None:
    """What a catalog adds to a value does not make it another; what texts cannot tell is None."""
    found = same_default(declared, live, parse(kind), get_adapter("redshift").dialect)
    assert found is same


def test_a_difference_is_plain_data() -> None:
    """Programs see what people see."""
    one = Difference("type", "a", "bigint", "integer", "rebuild")
    assert one.to_dict() == {
        "kind": "type",
        "column": "a",
        "spec": "bigint",
        "live": "integer",
        "remedy": "rebuild",
        "destructive": False,
        "loss": None,
        "blocked": None,
    }


def test_types_that_nobody_knows_are_converted_with_care() -> None:
    """A live type that is none of Redshift's is cast, and told to be risky."""
    spec = make_spec(**BASE)
    live = live_of(spec, "duckdb")
    odd = LiveColumn("note", "UUID", nullable=True)
    (found,) = drift(
        spec, renderer("duckdb"), replace(live, columns=(live.columns[0], odd, live.columns[2]))
    ).differences
    assert (found.kind, found.remedy) == ("type", "rebuild")
    assert found.loss
    assert conversion(None, DataType("date")).how == "cast"


def test_an_interleaved_key_of_one_column_cannot_be_told() -> None:
    """The catalog marks every second column of an interleaved key, so one alone looks compound."""
    spec = make_spec(**BASE, sort=["id"], sort_type="interleaved")
    live = live_of(spec, "redshift", sort_type="compound")
    assert drift(spec, renderer("redshift"), live).differences == ()
