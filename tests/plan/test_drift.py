"""What differs between a spec and a live table, and the exact statements that fix it.

``ACCEPT=1 uv run pytest tests/plan/test_drift.py`` rewrites the snapshots: review their diff.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loader.errors import PlanError
from loader.plan.ddl import table_of
from loader.plan.drift.compare import additions, drift
from loader.plan.drift.conversions import conversion
from loader.plan.drift.defaults import same_default
from loader.plan.drift.difference import Difference
from loader.plan.live_table import Live, LiveColumn, LiveTable
from loader.plan.model import table_ledger
from loader.plan.renames import find_earlier, names_to_inspect
from loader.plan.table_changes import TableChange, find_probes, plan_change, select_allowed
from loader.sql.datatypes import DataType, parse
from loader.sql.renderer import Table
from loader.warehouse.registry import BUILT_IN, get_adapter
from tests.golden import expect
from tests.plan.drifted import SEEN, live_of
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
    "rename_columns": (
        columns(NOTE, AMOUNT, sort=["note"], dist="amount", primary_key=["id"]),
        {
            "columns": [
                {**ID, "name": "number", "renamed_from": "id"},
                # The one takes the other's name, whose values go on under a third one.
                {**NOTE, "name": "amount", "renamed_from": "note"},
                {**AMOUNT, "name": "price", "renamed_from": ["cost", "amount"]},
                {**NOTE, "name": "more"},
            ],
            "sort": ["amount"],
            "dist": "price",
            "primary_key": ["number"],
        },
    ),
    "rename_and_rebuild": (
        columns(NOTE, {**AMOUNT, "description": "Kept."}),
        columns({**NOTE, "name": "text", "data_type": "date", "renamed_from": "note"}, AMOUNT),
    ),
    "rename_table": (
        columns(NOTE, name="old"),
        columns(
            {**NOTE, "data_type": "varchar(40)", "name": "text", "renamed_from": "note"}, AMOUNT
        )
        | {"renamed_from": "s.old"},
    ),
    "move_table": (
        columns(NOTE, schema="elsewhere"),
        columns({**NOTE, "name": "text", "renamed_from": "note"}, renamed_from="elsewhere.t"),
    ),
    "interleaved": (
        columns(NOTE, sort=["id", "note"], sort_type="interleaved"),
        columns(NOTE, sort=["note"], dist="id"),
    ),
}


def change(name: str, dialect: str, **live: Any) -> TableChange:
    before, after = (make_spec(**fields) for fields in CHANGES[name])
    there, using = live_of(before, dialect, **live), renderer(dialect)
    names = names_to_inspect(after, using, TARGETS[dialect])
    lives: dict[Table, Live] = dict.fromkeys(names, there)
    lives[table_of(after)] = there if before.table == after.table else "no schema"
    if name == "rename_table":  # no ledger has its new name yet
        lives[table_ledger("loader", table_of(after))] = "absent"
    earlier = find_earlier(after, using, TARGETS[dialect], lives)
    found = drift(after, using, there, earlier)
    return plan_change(after, using, TARGETS[dialect], there, found=found)


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


REFERRER = (("s", "child", "child_fk"),)
VIEW = ("the view s.v",)
SOME = ("the masking policy stars for user ann",)
HINDERED: dict[str, tuple[str, dict[str, Any], str, str, str]] = {
    # what is changed, what is known of the live table, the remedy, why it is blocked, or unproven
    "nothing in the way": ("types", {}, "rebuild", "", ""),
    "a view": ("types", {"dependants": VIEW}, "rebuild", r"drop it first", ""),
    "a foreign key": (
        *("types", {"referrers": REFERRER}, "rebuild"),
        *(r'run ALTER TABLE "s"\."child" DROP CONSTRAINT "child_fk" first', ""),
    ),
    "both": (
        *("types", {"dependants": VIEW, "referrers": REFERRER}, "rebuild"),
        *(r"drop it first.*; .*child_fk of s\.child", ""),
    ),
    "views unseen": (
        *("types", {"seen": SEEN - {"dependants"}}, "rebuild"),
        *("dependent objects cannot be seen", ""),
    ),
    "foreign keys unseen": (
        *("types", {"seen": SEEN - {"referrers"}}, "rebuild"),
        *("foreign keys that reference the table cannot be seen", ""),
    ),
    "policies": ("types", {"policies": SOME}, "rebuild", "stars for user ann is attached", ""),
    "policies unseen": (
        *("types", {"seen": SEEN - {"policies"}}, "rebuild", ""),
        "row-level security and masking policies cannot be seen",
    ),
    "a view, and a column of its own": (
        *("widen_with_default", {"dependants": VIEW}, "swap", "", ""),
    ),
    "a foreign key, and a column of its own": (
        *("widen_with_default", {"referrers": REFERRER}, "swap", "", ""),
    ),
    "a view of the column": (
        *("widen_with_default", {"dependants": VIEW, "bound_columns": ("note",)}, "rebuild"),
        *("drop it first", ""),
    ),
    "a view, and policies": (
        *("widen_with_default", {"dependants": VIEW, "policies": SOME}, "swap"),
        *("stars for user ann is attached", ""),
    ),
    "a view, and the layout unseen": (
        *("widen_with_default", {"dependants": VIEW, "seen": SEEN - {"layout"}}, "rebuild"),
        *("drop it first", ""),
    ),
    "in place, and policies unseen": (
        "widen",
        {"seen": SEEN - {"policies"}},
        "before_transaction",
        "",
        "",
    ),
}


@pytest.mark.parametrize("case", HINDERED)
def test_what_hangs_on_a_table_decides_the_remedy(case: str) -> None:
    """A rebuild, a column in place of the column, or neither; never where something is unseen."""
    name, known, remedy, blocked, unproven = HINDERED[case]
    found = change(name, "redshift", **known)
    assert {one.remedy for one in found.differences} == {remedy}
    assert re.search(blocked, "; ".join(found.blocked)) if blocked else not found.blocked
    assert re.search(unproven, "; ".join(found.unproven)) if unproven else not found.unproven
    assert bool(found.statements or found.outside) is not bool(found.blocked)


def test_columns_whose_grants_are_unseen_are_a_loss() -> None:
    """Grants on columns that cannot be read are named among what a rebuild loses."""
    found = change("widen_with_default", "redshift", seen=SEEN - {"column grants"})
    (lost,) = (one for one in found.differences if one.loss)
    assert lost.kind == "column grants"
    assert lost.loss.startswith("grants on columns cannot be seen")


def test_all_that_keeps_tables_as_they_are_is_one_error() -> None:
    """What is not proven and what would be lost are said together, with the way on for each."""
    unproven = change("widen_with_default", "redshift", seen=SEEN - {"policies"})
    losing = change("drop_columns", "redshift")
    with pytest.raises(PlanError) as caught:
        select_allowed([unproven, losing], [])
    said = str(caught.value)
    assert "policies may be attached" in said
    assert "drop column note" in said
    assert "--assume-no-policies; to apply them anyway: --allow-destructive s/t" in said
    assert select_allowed([unproven, losing], ["s/t"], assume_no_policies=True) == [
        unproven,
        losing,
    ]


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
        ("widen_with_default", "additive", []),
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
        "reason": None,
        "loss": None,
        "blocked": None,
        "unproven": None,
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
