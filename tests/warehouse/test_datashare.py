"""Writes through a datashare: names of three parts, turns without LOCK, and what is refused."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from loader.doctor.report import check_target
from loader.errors import ConfigError, ExecuteError, LoaderError, PlanError, TemplateError
from loader.executor.results import LoadResult
from loader.plan.load_plan import plan_load
from loader.plan.model import LoadRequest
from loader.project import Project
from loader.spec.partitions import make_slice
from loader.sql.dialects.redshift import through_share
from loader.sql.renderer import Renderer
from loader.sql.templates import read_templates
from loader.testing.plugin import Connect
from loader.testing.redshift.faults import Drop, Error, When
from loader.testing.redshift.server import RedshiftStandIn
from tests.conftest import MakeProject, redshift_target
from tests.executor.test_faults import AFTER, BEFORE, CASES, LOADED, SPEC, frame, hide_times
from tests.golden import expect
from tests.plan.test_plan import CASES as PLANS
from tests.plan.test_plan import SNAPSHOTS, STAGED, TARGETS, make_spec

Row = tuple[Any, ...]
FORMATS = ("parquet", "csv", "json")
PLAIN: Mapping[str, Any] = {**SPEC, **CASES["append"]}


class Consumer:
    """A consumer's target, whose tables are those of a producer."""

    def __init__(self, stand_in: RedshiftStandIn, make: MakeProject) -> None:
        self.stand_in, self._make = stand_in, make
        stand_in.add_share("shared")

    def project(self, templates: Mapping[str, str] | None = None, **spec: Any) -> Project:
        """A project with one table."""
        target = redshift_target(self.stand_in, share="shared")
        return self._make({"t.yml": {**PLAIN, **spec}}, templates, **target)

    def rows(self) -> list[Row]:
        """The rows of the table, as the producer has them."""
        return sorted(self.stand_in.query('SELECT * FROM "shared/s"."t"'), key=repr)

    def ids(self) -> list[str]:
        """The ids of the committed loads."""
        found = self.stand_in.query('SELECT load_id FROM "shared/loader"."loads"')
        return sorted(load_id for (load_id,) in found)


@pytest.fixture
def consumer(stand_in: RedshiftStandIn, make_project: MakeProject) -> Consumer:
    """A consumer of a share that is empty."""
    return Consumer(stand_in, make_project)


def load(project: Project, rows: list[Row], load_id: str, **request: Any) -> LoadResult:
    """Load rows into the project's one table."""
    (spec,) = project.catalog.specs()
    partition = request.pop("partition", None)
    return project.load(spec, frame(rows), partition, load_id=load_id, **request)


def test_new_files_are_loaded_once(consumer: Consumer) -> None:
    """The ledger of files is in the share too: the second run does nothing."""
    project = consumer.project(source={"files": "in/*.csv", "load": "new"})
    (project.config.root / "in").mkdir()
    for number in (1, 2):
        path = project.config.root / "in" / f"{number}.csv"
        path.write_text(f"id,p,v\n{number},a,x\n")
        assert project.run().rows_loaded == 1
    assert [table.status for table in project.run().tables] == ["no_new_files"]
    assert consumer.rows() == [(1, "a", "x"), (2, "a", "x")]
    assert consumer.stand_in.query('SELECT count(*) FROM "shared/loader"."files_s_t"') == [(2,)]


@pytest.mark.parametrize("case", ["replace_day", "append", "merge", "merge_statement"])
def test_plans_name_the_tables_of_the_share(case: str) -> None:
    """Every statement names tables in three parts, and no database is named for temporary ones."""
    fields, request = PLANS[case]
    spec = make_spec(**fields)
    given = dict(request)
    if "partition" in given:
        given["slice"] = make_slice(spec.dimensions, given.pop("partition"))
    wanted = LoadRequest(load_id="load-1", run="run-1", staged=STAGED, version="1.0", **given)
    plan = plan_load(
        spec, Renderer(read_templates(), through_share("shared")), TARGETS["redshift"], wanted
    )
    expect(SNAPSHOTS / "redshift" / "shares" / f"{case}.sql", plan.sql)
    assert "LOCK" not in [statement.sql.split()[0] for statement in plan.statements]


@pytest.mark.parametrize(("case", "staged"), list(zip(CASES, itertools.cycle(FORMATS))))
def test_each_disposition_and_format_loads_the_share(
    consumer: Consumer, case: str, staged: str
) -> None:
    """A load through a share does to the table what it does to a local one, and nothing else."""
    fields = {**PLAIN, "write_disposition": "replace", "partition_by": []}
    project = consumer.project(**{**fields, **CASES[case]}, staging={"format": staged})
    load(project, BEFORE, "first", full_refresh=True)
    partition = "a" if CASES[case].get("partition_by") else None
    result = load(project, LOADED, "again", partition=partition)
    assert result.rows_loaded == len(LOADED)
    assert hide_times(consumer.rows()) == sorted(AFTER[case], key=repr)
    assert load(project, LOADED, "again", partition=partition).status == "already_loaded"
    assert consumer.ids() == ["again", "first"]
    local = "SELECT nspname FROM pg_namespace WHERE nspname IN ('s', 'loader')"
    assert consumer.stand_in.query(local) == []


def at_once(loads: Sequence[Callable[[], LoadResult]]) -> list[str]:
    """What loads say that begin at the same time."""
    gate = threading.Barrier(len(loads))

    def run(one: Callable[[], LoadResult]) -> str:
        gate.wait(60)
        return one().status

    with ThreadPoolExecutor(len(loads)) as pool:
        return sorted(pool.map(run, loads))


@pytest.mark.parametrize("there", ["nothing", "the ledger", "the producer's ledger"])
def test_one_load_id_is_loaded_once_by_runs_at_once(consumer: Consumer, there: str) -> None:
    """Without LOCK too, one of several runs of a load id loads, and all others find it."""
    project = consumer.project()
    if there != "nothing":
        load(project, BEFORE, "first")
    if there == "the producer's ledger":  # it is without the row that consumers update
        consumer.stand_in.execute('DELETE FROM "shared/loader"."loads_s_t" WHERE files < 0')
    said = at_once([lambda: load(project, LOADED, "same")] * 5)
    assert said == ["already_loaded"] * 4 + ["loaded"]
    before = [] if there == "nothing" else BEFORE
    assert consumer.rows() == sorted([*before, *LOADED], key=repr)


def test_appends_at_once_are_all_loaded(consumer: Consumer) -> None:
    """More loads of one table than a transaction has attempts wait for each other, and all load."""
    project = consumer.project()
    load(project, BEFORE, "first")
    rows = {f"l{n}": [(10 + n, "a", "x")] for n in range(8)}
    said = at_once([lambda one=one: load(project, rows[one], one) for one in rows])  # type: ignore[misc]
    assert said == ["loaded"] * 8
    wanted = [row for brought in rows.values() for row in brought]
    assert consumer.rows() == sorted([*BEFORE, *wanted], key=repr)
    assert consumer.ids() == sorted(["first", *rows])


def test_waiting_for_others_uses_up_no_attempts(consumer: Consumer) -> None:
    """A load lets more others go first than a transaction has attempts, and is then loaded."""
    project = consumer.project()
    load(project, BEFORE, "first")
    conflict = Error("XX000", "1023", "Serializable isolation violation on table - 1")
    consumer.stand_in.faults.add("UPDATE", "instead", conflict, times=20)
    assert load(project, LOADED, "again").status == "loaded"
    assert consumer.rows() == sorted([*BEFORE, *LOADED], key=repr)


@pytest.mark.parametrize("attempts", [1, 6], ids=["rerun", "retried"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_load_that_ends_at_any_statement_leaves_one_copy(
    consumer: Consumer, monkeypatch: pytest.MonkeyPatch, when: When, attempts: int
) -> None:
    """Wherever a client is lost, with the retry or a rerun there is one copy of its rows."""
    monkeypatch.setattr("loader.warehouse.retry.ATTEMPTS", attempts)
    project = consumer.project()
    load(project, BEFORE, "first")
    consumer.stand_in.statements.clear()
    load(project, LOADED, "counted")
    count = len(consumer.stand_in.statements)
    rows = [*BEFORE, *LOADED]
    # Each statement breaks in one of the four ways.
    for number in range(2 * (when == "after") + (attempts > 1), count, 4):
        consumer.stand_in.faults.add(lambda _: True, when, Drop(), skip=number)
        with suppress(ExecuteError):
            load(project, LOADED, f"n{number}")
        assert consumer.rows() in (sorted(rows, key=repr), sorted([*rows, *LOADED], key=repr))
        load(project, LOADED, f"n{number}")
        rows += LOADED
        assert consumer.rows() == sorted(rows, key=repr), number


def test_the_second_of_two_updates_of_a_row_conflicts(
    consumer: Consumer, redshift_connect: Connect
) -> None:
    """Loads take turns by this: who waited for a row that another transaction updated fails."""
    consumer.stand_in.add_share("other", ["s"])
    one, two = redshift_connect(), redshift_connect()
    first, second = one.cursor(), two.cursor()
    first.execute("CREATE TABLE other.s.t (a int)")
    first.execute("INSERT INTO other.s.t VALUES (1)")
    one.commit()
    first.execute("UPDATE other.s.t SET a = 2")
    waiting = threading.Timer(0.3, one.commit)
    waiting.start()
    with pytest.raises(Exception, match="1023"):
        second.execute("UPDATE other.s.t SET a = 3")
    waiting.join()


MORE = {"name": "more", "data_type": "integer"}
WIDER = [
    {**column, "data_type": "varchar(80)"} if column["name"] == "v" else column
    for column in SPEC["columns"]
]


def test_a_missing_column_is_added_where_the_spec_lets_loads_do_that(consumer: Consumer) -> None:
    """A column that the share lacks stops loads; ADD COLUMN is among what a consumer can do."""
    load(consumer.project(), BEFORE, "first")
    columns = [*SPEC["columns"], MORE]
    with pytest.raises(PlanError, match=r"more\s+integer\s+-\s+missing"):
        load(consumer.project(columns=columns), LOADED, "again")
    project = consumer.project(columns=columns, schema_contract={"evolve": "additive"})
    more = frame(LOADED).append_column("more", [[7] * len(LOADED)])
    result = project.load(project.spec("s/t"), more)
    assert result.columns_added == ("more",)
    added = [(*row, None) for row in BEFORE] + [(*row, 7) for row in LOADED]
    assert consumer.rows() == sorted(added, key=repr)


def test_other_differences_are_left_to_the_producer(consumer: Consumer) -> None:
    """A type that differs stops loads and `apply` in words that say where to alter it."""
    load(consumer.project(), BEFORE, "first")
    project = consumer.project(columns=WIDER, schema_contract={"evolve": "additive"})
    (spec,) = project.catalog.specs()
    with pytest.raises(PlanError, match=r"v\s+varchar\(80\)\s+varchar\(40\)\s+too narrow") as told:
        load(project, LOADED, "again")
    assert told.value.hint is not None
    assert told.value.hint.endswith("takes no such change: alter it on the producer")
    (change,) = project.changes([spec])
    assert change.blocked == (told.value.hint,)
    assert change.statements == ()
    with pytest.raises(PlanError, match="alter it on the producer"):
        project.apply(project.changes([spec]))
    assert consumer.rows() == sorted(BEFORE, key=repr)


def test_what_a_share_does_not_show_is_said(consumer: Consumer) -> None:
    """A layout that cannot be compared is a note, and tables of that name elsewhere are not it."""
    consumer.stand_in.execute(
        "CREATE SCHEMA s; CREATE TABLE s.t (other int); GRANT ALL ON SCHEMA s TO PUBLIC"
    )
    project = consumer.project(sort=["id"], description="Things.")
    load(project, BEFORE, "first")
    (change,) = project.changes(project.catalog.specs())
    assert change.differences == ()
    assert change.drift.notes == (
        "distribution, sort key and encodings cannot be seen: a datashare does not show it",
    )


def test_no_table_with_an_interleaved_sort_key_is_planned(consumer: Consumer) -> None:
    """What no share takes is refused before data is read, and by `apply` before it begins."""
    project = consumer.project(sort=["id", "p"], sort_type="interleaved")
    (spec,) = project.catalog.specs()
    with pytest.raises(PlanError, match="interleaved sort key") as told:
        project.plan(spec)
    assert told.value.hint == "use another sort_type, or a target without `share`"
    with pytest.raises(PlanError, match="interleaved sort key"):
        project.apply(project.changes([spec]))
    assert not consumer.stand_in.query("SELECT 1 FROM pg_namespace WHERE nspname LIKE 'shared/%%'")


def test_a_template_with_compupdate_is_refused(consumer: Consumer) -> None:
    """A COPY of the project's own template that a share would refuse is refused by the plan."""
    copy = "COPY {{ target|table }} FROM {{ load.manifest|literal }} FORMAT PARQUET COMPUPDATE OFF"
    project = consumer.project({"redshift/copy_parquet.sql.j2": copy})
    with pytest.raises(TemplateError, match="through a datashare takes no COMPUPDATE"):
        project.plan(*project.catalog.specs())


def test_what_was_loaded_is_read_back_and_told(consumer: Consumer) -> None:
    """Small reads and the history work through the share; the row of turns is no load."""
    project = consumer.project()
    load(project, BEFORE, "first")
    (spec,) = project.catalog.specs()
    found: Any = project.read(spec, as_="arrow")
    assert found.num_rows == len(BEFORE)
    assert [entry.load_id for entry in project.history()] == ["first"]
    blank = load(project, LOADED, " ")  # equal to the empty id of that row
    assert blank.status == "loaded"


def test_unload_reads_the_share(stand_in: RedshiftStandIn, make_project: MakeProject) -> None:
    """Large reads go through UNLOAD of the table's three-part name."""
    stand_in.add_share("shared")
    target = redshift_target(stand_in, share="shared", unload_rows=0)
    project = make_project({"t.yml": PLAIN}, **target)
    load(project, BEFORE, "first")
    found: Any = project.read(*project.catalog.specs(), as_="arrow")
    assert sorted(found["id"].to_pylist()) == [1, 2, 3]
    (unload,) = [one.sql for one in stand_in.statements if one.sql.startswith("UNLOAD")]
    assert '"shared"."s"."t"' in unload


def test_the_doctor_examines_the_share(consumer: Consumer) -> None:
    """Schemas and ledger are tried in the share, and nothing stays there."""
    project = consumer.project()
    found = {one.name: one for one in check_target(project)}
    assert {one.status for one in found.values()} <= {"ok", "skipped"}, found
    assert found["isolation"].status == "skipped"
    assert any(
        one.sql.startswith('CREATE SCHEMA IF NOT EXISTS "shared".')
        for one in consumer.stand_in.statements
    )
    shared = "SELECT 1 FROM pg_namespace WHERE nspname LIKE 'shared/%%'"
    assert consumer.stand_in.query(shared) == []


def test_a_share_that_is_not_there_is_told(
    stand_in: RedshiftStandIn, make_project: MakeProject
) -> None:
    """A name of no database is the warehouse's error, and nothing is written."""
    project = make_project({"t.yml": PLAIN}, **redshift_target(stand_in, share="nowhere"))
    with pytest.raises(LoaderError, match="nowhere"):
        load(project, BEFORE, "first")


def test_the_own_database_is_no_share(stand_in: RedshiftStandIn, make_project: MakeProject) -> None:
    """The setting says what it is for when it names the database of the connection."""
    project = make_project({"t.yml": PLAIN}, **redshift_target(stand_in, share="DEV"))
    with pytest.raises(ConfigError, match="share: is the database of the connection"):
        project.config.settings()
