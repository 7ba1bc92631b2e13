"""A rebuild loses nothing: the old table is kept, and what cannot be carried over stops it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from loader.errors import ApplyError, FrameError, PlanError
from loader.plan.backups import backup_comment, backup_name, format_moment
from loader.plan.table_changes import TableChange
from loader.project import Project
from loader.testing.redshift.faults import Drop, Error
from loader.testing.redshift.server import RedshiftStandIn
from tests.executor.test_apply import ROWS, Place, _sql, frame, on_redshift, place
from tests.plan.test_drift import AMOUNT, BASE, ID, NOTE, columns

__all__ = ["on_redshift", "place"]

BIGGER: dict[str, Any] = {"columns": [{**ID, "data_type": "bigint"}, NOTE, AMOUNT]}
WIDER = columns({**NOTE, "data_type": "varchar(40)"}, AMOUNT)
ALWAYS = timedelta(seconds=-1)
"""An age that every table has."""


def planned(place: Place, fields: dict[str, Any] = BIGGER) -> tuple[Project, TableChange]:
    """What a rebuild of a table with rows would do."""
    place.create(BASE)
    return place.change(fields)


def stand_in_of(place: Place) -> RedshiftStandIn:
    assert place.stand_in is not None
    return place.stand_in


def tables(place: Place) -> list[str]:
    """The names of the tables in the schema."""
    sql = "SELECT table_name FROM information_schema.tables WHERE table_schema = 's' ORDER BY 1"
    if place.stand_in is not None:
        return [name for (name,) in place.stand_in.query(sql)]
    with place.project(BASE).context().warehouse.session(write=False) as session:
        return [name for (name,) in session.execute(sql)]


# --- what is kept


def test_the_old_table_is_kept_until_it_is_cleaned(place: Place) -> None:
    """A rebuild renames the old table, with its rows; `clean` drops it when it is old enough."""
    project, change = planned(place)
    before = datetime.now(UTC)
    (done,) = project.apply([change])
    assert done.kept is not None
    assert re.fullmatch(r"loader_old_[0-9a-f]{16}_\d{8}t\d{12}z", done.kept.name)
    assert tables(place) == [done.kept.name, "t"]
    assert project.clean_backups().dropped == ()
    looked = project.clean_backups(ALWAYS, dry_run=True)
    assert [(one.schema, one.name, one.table) for one in looked.dropped] == [
        ("s", done.kept.name, "s.t")
    ]
    assert looked.dropped[0].kept > before
    assert tables(place) == [done.kept.name, "t"]
    assert project.clean_backups(ALWAYS).dropped == looked.dropped
    assert tables(place) == ["t"]
    assert len(place.rows(BIGGER)) == ROWS


def test_a_rebuild_can_drop_the_old_table(place: Place) -> None:
    """With drop_old the old table goes after COMMIT, in a statement of its own."""
    project, change = planned(place)
    (done,) = project.apply([change], drop_old=True)
    assert [one.name for one in done.after] == ["drop the old table"]
    assert tables(place) == ["t"]


def test_a_rebuild_twice_keeps_both(place: Place) -> None:
    """The names of kept tables hold the time, so that no rebuild is in the way of the next."""
    project, change = planned(place)
    project.apply([change])
    project, again = place.change(BASE)
    project.apply([again], allow_destructive=["*"])
    assert len(tables(place)) == 3
    assert len(project.clean_backups(ALWAYS).dropped) == 2


def test_only_tables_that_loader_kept_are_cleaned(place: Place) -> None:
    """Name and comment must both be Loader's, and say the same table."""
    project, _ = planned(place)
    moment = format_moment(datetime(2020, 1, 1, tzinfo=UTC))
    foreign = {
        "loader_old_mine": backup_comment("s.t", None),
        backup_name("s.other", moment): backup_comment("s.t", None),
        backup_name("s.t", moment): "Mine.",
        backup_name("s.t", "20201301t000000000000z"): backup_comment("s.t", None),
    }
    for name, comment in foreign.items():
        _sql(place, f'CREATE TABLE s."{name}" (a int)')
        _sql(place, f"COMMENT ON TABLE s.\"{name}\" IS '{comment}'")
    assert project.clean_backups(ALWAYS).dropped == ()
    assert set(foreign) <= set(tables(place))


def test_a_kept_table_that_cannot_be_dropped_is_a_note(on_redshift: Place) -> None:
    """A drop that fails undoes no rebuild: the table is changed, and `clean` is told to go on."""
    project, change = planned(on_redshift)
    stand_in_of(on_redshift).faults.add("DROP TABLE", "instead", Error("42501", "no"), times=2)
    (done,) = project.apply([change], drop_old=True)
    assert "`loader clean` drops it later" in done.drift.notes[-1]
    assert on_redshift.change(BIGGER)[1].differences == ()
    assert "stays: no" in project.clean_backups(ALWAYS).notes[0]
    assert len(project.clean_backups(ALWAYS).dropped) == 1


def test_a_drop_whose_answer_is_lost_is_done_once(on_redshift: Place) -> None:
    """The drop after COMMIT does nothing the second time."""
    project, change = planned(on_redshift)
    stand_in_of(on_redshift).faults.add("DROP TABLE", "after", Drop())
    (done,) = project.apply([change], drop_old=True)
    assert done.drift.notes == change.drift.notes
    assert tables(on_redshift) == ["t"]


# --- policies


def test_a_rebuild_without_proof_is_refused(on_redshift: Place) -> None:
    """Who cannot see policies is told which right is needed, and the way on; both cover only it."""
    stand_in_of(on_redshift).set_secadmin("etl", granted=False)
    project, change = planned(on_redshift)
    assert change.statements, "the plan shows what would run"
    with pytest.raises(PlanError, match="policies may be attached") as caught:
        project.apply([change], allow_destructive=["*"])
    assert "GRANT ROLE sys:secadmin" in str(caught.value.hint)
    assert "--assume-no-policies" in str(caught.value.hint)
    project.apply([change], assume_no_policies=True)
    assert on_redshift.change(BIGGER)[1].differences == ()


@pytest.mark.parametrize("kind", ["row-level security", "masking"])
def test_policies_stop_a_rebuild(on_redshift: Place, kind: str) -> None:
    """Policies that are seen stop a rebuild by name, whatever is assumed; no row is lost."""
    on_redshift.create(BASE)
    stand_in = stand_in_of(on_redshift)
    if kind == "masking":
        stand_in.attach_masking_policy("s.t", "note", "stars", "'***'", to="etl")
    else:
        stand_in.attach_rls_policy("s.t", "ones", "id = 1", to="etl")
    project, change = on_redshift.change(BIGGER)
    name = "stars" if kind == "masking" else "ones"
    with pytest.raises(PlanError, match=f"the {kind} policy {name} for user etl"):
        project.apply([change], allow_destructive=["*"], assume_no_policies=True)
    assert stand_in.query("SELECT count(*) FROM s.t WHERE note <> '***'") == [(ROWS,)]
    assert on_redshift.change(BASE)[1].differences == ()


def test_what_row_level_security_would_have_lost_is_kept(on_redshift: Place) -> None:
    """Even where somebody assumed wrongly, rows and policies are with the table that is kept."""
    on_redshift.create(BASE)
    stand_in = stand_in_of(on_redshift)
    stand_in.attach_rls_policy("s.t", "ones", "id = 1", to="etl")
    stand_in.set_secadmin("etl", granted=False)
    project, change = on_redshift.change(BIGGER)
    (done,) = project.apply([change], assume_no_policies=True)
    assert done.kept is not None
    assert stand_in.query("SELECT count(*) FROM s.t") == [(1,)]
    assert stand_in.query(f'SELECT count(*) FROM s."{done.kept.name}"') == [(ROWS,)]
    attached = "SELECT relname FROM svv_rls_attached_policy"
    assert stand_in.query(attached) == [(done.kept.name,)]


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("CREATE VIEW s.v AS SELECT * FROM s.t", "the view s.v"),
        ("ALTER TABLE s.t ENABLE ROW LEVEL SECURITY", "row-level security"),
    ],
)
def test_what_came_since_the_plan_stops_a_rebuild(on_redshift: Place, sql: str, named: str) -> None:
    """A view or a policy of the last minute would stay with the old table, so it is refused."""
    project, change = planned(on_redshift)
    _sql(on_redshift, sql)
    with pytest.raises(ApplyError, match=f"s.t has {named} since the plan was made"):
        project.apply([change])
    assert tables(on_redshift)[0] == "t"


# --- foreign keys, views and grants


def test_text_that_is_too_long_for_its_new_type_is_not_cut(on_redshift: Place) -> None:
    """A narrower VARCHAR takes what fits; one longer value, and the table stays as it was."""
    narrow = columns({**NOTE, "data_type": "varchar(3)"}, AMOUNT)
    on_redshift.create(BASE)
    project, change = planned(on_redshift, narrow)
    assert [one.loss for one in change.differences] == ["longer text fails"]
    before = on_redshift.rows(BASE)
    with pytest.raises(ApplyError, match="longer text fails"):
        project.apply([change], allow_destructive=["*"])
    assert on_redshift.rows(BASE) == before
    _run(on_redshift, "UPDATE s.t SET note = 'abc'")
    project.apply([change], allow_destructive=["*"])
    assert {row["note"] for row in on_redshift.rows(narrow)} == {"abc"}


def keyed(place: Place) -> dict[str, Any]:
    """A table with a primary key, which another table references."""
    fields = {**BASE, "primary_key": ["id"]}
    place.create(fields)
    _run(
        place, "CREATE TABLE s.child (id int, CONSTRAINT child_fk FOREIGN KEY (id) REFERENCES s.t)"
    )
    return fields


def _run(place: Place, *statements: str) -> None:
    """Run statements as the user of the target, so that the gateway takes note of them."""
    with place.project(BASE).context().warehouse.session() as session:
        for sql in statements:
            session.execute(sql)


def test_foreign_keys_of_others_stop_a_rebuild(on_redshift: Place) -> None:
    """They would go on referencing the old table: named, with the statement to run."""
    fields = keyed(on_redshift)
    project, change = on_redshift.change({**BIGGER, "primary_key": ["id"]})
    with pytest.raises(
        PlanError, match=r"the foreign key child_fk of s\.child references it"
    ) as no:
        project.apply([change])
    statement = 'ALTER TABLE "s"."child" DROP CONSTRAINT "child_fk"'
    assert f"run {statement} first" in str(no.value)
    assert on_redshift.change(fields)[1].differences == ()
    _run(on_redshift, statement)
    project, change = on_redshift.change({**BIGGER, "primary_key": ["id"]})
    project.apply([change])


def test_grants_on_columns_and_grant_options_are_carried(on_redshift: Place) -> None:
    """What the old table granted on columns, and to be granted on, the new one grants as well."""
    stand_in = stand_in_of(on_redshift)
    stand_in.add_user("ann", "Of-tests-2")
    on_redshift.grantees()
    on_redshift.create(BASE)
    _run(
        on_redshift,
        "GRANT SELECT ON s.t TO ann WITH GRANT OPTION",
        "GRANT INSERT ON s.t TO ann",
        "GRANT SELECT (note), UPDATE (amount) ON s.t TO ROLE bi",
    )
    lists = (
        "SELECT relname, attname, privilege_type, is_grantable FROM pg_class c"
        " LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attacl IS NOT NULL"
        " CROSS JOIN LATERAL aclexplode(coalesce(a.attacl, c.relacl)) x"
        " JOIN pg_roles r ON r.oid = x.grantee AND r.rolname IN ('ann', 'bi')"
        " WHERE c.relname = 't' ORDER BY 2, 3"
    )
    options = (
        "SELECT privilege_type, admin_option FROM svv_relation_privileges"
        " WHERE relation_name = 't' AND identity_name = 'ann' ORDER BY 1"
    )
    kept = stand_in.query(lists), stand_in.query(options)
    project, change = on_redshift.change(BIGGER)
    assert not change.destructive
    project.apply([change])
    assert (stand_in.query(lists), stand_in.query(options)) == kept
    assert ("SELECT", True) in kept[1]


def test_grants_on_columns_that_are_hidden_are_named_as_lost(on_redshift: Place) -> None:
    """Where grants on columns cannot be read, a rebuild is destructive and says why."""
    on_redshift.grantees()
    on_redshift.create(BASE)
    _run(on_redshift, "GRANT SELECT (note) ON s.t TO ROLE bi")
    stand_in = stand_in_of(on_redshift)
    stand_in.faults.add("svv_column_privileges", "instead", Error("42501", "denied"), times=1)
    project, change = on_redshift.change(BIGGER)
    assert change.destructive
    with pytest.raises(PlanError, match="grants on columns cannot be seen: denied"):
        project.apply([change])
    project.apply([change], allow_destructive=["s/t"])


# --- AUTO


@pytest.mark.parametrize("seen", [True, False])
def test_what_auto_chose_is_not_frozen(on_redshift: Place, seen: bool) -> None:
    """A table whose layout is AUTO is rebuilt with AUTO; where that cannot be seen, it is said."""
    on_redshift.create(BASE)
    stand_in = stand_in_of(on_redshift)
    stand_in.manage("s.t", distkey="id", sortkey=["note"])
    if seen:
        stand_in.execute("GRANT SELECT ON pg_catalog.svv_table_info TO etl")
        stand_in.execute("GRANT EXECUTE ON FUNCTION pg_catalog.redshift_rows TO etl")
    project, change = on_redshift.change(BIGGER)
    project.apply([change])
    stand_in.execute("REVOKE SELECT ON pg_catalog.svv_table_info FROM etl")
    shown = stand_in.query('SELECT diststyle, sortkey1 FROM svv_table_info WHERE "table" = %s', "t")
    assert shown == [("AUTO(ALL)", "AUTO(SORTKEY)" if seen else "note")]
    notes = [note for note in change.drift.notes if "AUTO" in note]
    assert notes == [] if seen else "`sort_type: auto` leaves it to Redshift" in notes[0]


# --- keys in the way of widening and dropping

KEYS: dict[str, dict[str, Any]] = {
    "a sort key": {"sort": ["note"]},
    "a distribution key": {"dist": "note"},
    "a sort key of AUTO": {},
    "a distribution key of AUTO": {},
}


def key_of_auto(place: Place, name: str) -> None:
    if "AUTO" in name:
        chosen = {"distkey": "note"} if "dist" in name else {"sortkey": ["note"]}
        stand_in_of(place).manage("s.t", **chosen)


@pytest.mark.parametrize("name", KEYS)
def test_a_key_column_is_widened_by_a_rebuild(on_redshift: Place, name: str) -> None:
    """Redshift widens no dist or sort key, declared or AUTO's: the table is rebuilt, and why."""
    on_redshift.create({**BASE, **KEYS[name]})
    key_of_auto(on_redshift, name)
    project, change = on_redshift.change({**WIDER, **KEYS[name]})
    (widening,) = (one for one in change.differences if one.kind == "widen column")
    kind = "distribution key" if "dist" in name else "sort key"
    assert (widening.remedy, widening.reason) == ("rebuild", f"it is the {kind}")
    project.apply([change])
    assert on_redshift.change({**WIDER, **KEYS[name]})[1].differences == ()


@pytest.mark.parametrize("name", KEYS)
def test_a_key_column_is_dropped_by_a_rebuild(on_redshift: Place, name: str) -> None:
    """DROP COLUMN takes no key: the table is rebuilt, unless the spec lays rows out otherwise."""
    on_redshift.create({**BASE, **KEYS[name]})
    key_of_auto(on_redshift, name)
    project, change = on_redshift.change(columns(AMOUNT))
    assert [one.remedy for one in change.differences] == ["rebuild"]
    project.apply([change], allow_destructive=["*"])
    assert on_redshift.change(columns(AMOUNT))[1].differences == ()


@pytest.mark.parametrize("name", KEYS)
def test_a_key_that_the_spec_moves_is_moved_before_its_column_is_dropped(
    on_redshift: Place, name: str
) -> None:
    """A layout that the spec declares by other columns frees one, which is dropped in place."""
    on_redshift.create({**BASE, **KEYS[name]})
    key_of_auto(on_redshift, name)
    moved = columns(AMOUNT, dist="id", sort=["id"])
    project, change = on_redshift.change(moved)
    assert {one.remedy for one in change.differences} == {"in place"}
    project.apply([change], allow_destructive=["*"])
    assert on_redshift.change(moved)[1].differences == ()


# --- loads that may not widen


@pytest.mark.parametrize("name", [*KEYS, "a column of a view"])
def test_loads_go_on_at_the_width_that_there_is(on_redshift: Place, name: str) -> None:
    """Under `evolve: additive` a width that no load can change stops only values that need it."""
    layout = KEYS.get(name, {})
    on_redshift.create({**BASE, **layout})
    key_of_auto(on_redshift, name)
    if "view" in name:
        _sql(on_redshift, "CREATE VIEW s.v AS SELECT note FROM s.t")
    wanted = {**WIDER, **layout, "schema_contract": {"evolve": "additive"}}
    project, spec = on_redshift.spec(wanted)
    (review,) = project.review([spec])
    assert not review.load_waits
    result = project.load(spec, frame(spec, 2))
    assert result.rows_loaded == 2
    assert result.columns_widened == ()
    said = (
        "note is varchar(20) in the live table, and no load can make it varchar(40):"
        " `loader apply s/t` does"
    )
    assert said in result.warnings
    long = frame(spec, 1).set_column(1, "note", pa.array(["x" * 30]))
    with pytest.raises(FrameError, match="note") as caught:
        project.load(spec, long)
    assert said in str(caught.value.hint)
    if "view" not in name:
        project.apply(project.changes([spec]))
        assert project.load(spec, long).rows_loaded == 1


# --- VACUUM


def test_a_layout_is_altered_once_vacuum_has_ended(on_redshift: Place) -> None:
    """An ALTER of a key that fails since VACUUM runs is tried again, as a whole."""
    on_redshift.create(BASE)
    moved = {**BASE, "dist": "id", "sort": ["note"]}
    project, change = on_redshift.change(moved)
    rule = stand_in_of(on_redshift).faults.vacuum("t", times=2)
    project.apply([change])
    assert rule.fired == 2
    assert on_redshift.change(moved)[1].differences == ()


# --- columns in place of columns


def test_a_column_is_swapped_where_a_view_does_not_use_it(on_redshift: Place) -> None:
    """A view that stops a rebuild and does not use the column goes on, and so do its grants."""
    on_redshift.grantees()
    on_redshift.create(columns({**NOTE, "description": "Kept."}, AMOUNT))
    _sql(on_redshift, "CREATE VIEW s.v AS SELECT id, amount FROM s.t")
    _run(on_redshift, "GRANT SELECT (note) ON s.t TO ROLE bi")
    wanted = columns({"name": "note", "data_type": "date"}, AMOUNT)
    project, change = on_redshift.change(wanted)
    (found,) = change.differences
    assert found.remedy == "swap"
    assert found.reason == "a rebuild is impossible: the view s.v depends on it"
    assert [one.template.rpartition("/")[2] for one in change.statements] == [
        "lock_table.sql.j2",
        "add_column.sql.j2",
        "update_column.sql.j2",
        "drop_column.sql.j2",
        "rename_column.sql.j2",
        "comment_column.sql.j2",
        "grant.sql.j2",
    ]
    project.apply([change], allow_destructive=["*"])
    assert on_redshift.change(wanted)[1].differences == ()
    stand_in = stand_in_of(on_redshift)
    assert stand_in.query("SELECT count(*) FROM s.v") == [(ROWS,)]
    granted = "SELECT column_name, identity_name FROM svv_column_privileges"
    assert stand_in.query(granted) == [("note", "bi")]
    assert [row["id"] for row in on_redshift.rows(wanted)] == [1, 2, 3]
    project, spec = on_redshift.spec(wanted)
    assert project.load(spec, pa.table({"id": [9], "note": ["2020-01-01"], "amount": ["1"]}))


@pytest.mark.parametrize(
    ("view", "wanted"),
    [
        ("SELECT note FROM s.t", columns({"name": "note", "data_type": "date"}, AMOUNT)),
        ("SELECT amount FROM s.t", columns({**NOTE, "nullable": False}, AMOUNT)),
        ("SELECT amount FROM s.t", columns({"name": "note", "data_type": "date"}, sort=["note"])),
    ],
)
def test_columns_that_cannot_be_swapped_stop_a_change(
    on_redshift: Place, view: str, wanted: dict[str, Any]
) -> None:
    """A column that the view uses, that is a key, or that nothing closes to NULL is refused."""
    on_redshift.create({**BASE, **({"sort": ["note"]} if wanted.get("sort") else {})})
    _sql(on_redshift, f"CREATE VIEW s.v AS {view}")
    project, change = on_redshift.change(wanted)
    with pytest.raises(PlanError, match=r"the view s\.v depends on it"):
        project.apply([change], allow_destructive=["*"])


def test_a_swap_needs_the_proof_of_a_rebuild(on_redshift: Place) -> None:
    """An UPDATE changes only rows that its user sees, so a swap is no way round policies."""
    on_redshift.create(BASE)
    _sql(on_redshift, "CREATE VIEW s.v AS SELECT amount FROM s.t")
    stand_in_of(on_redshift).set_secadmin("etl", granted=False)
    project, change = on_redshift.change(columns({"name": "note", "data_type": "date"}, AMOUNT))
    assert change.drift.swaps == ("note",)
    with pytest.raises(PlanError, match="policies may be attached"):
        project.apply([change], allow_destructive=["*"])
