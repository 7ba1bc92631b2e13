"""Whatever breaks on the way to Redshift: one copy of the rows, or the table as it was."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loader.errors import ExecuteError, StageError
from loader.executor.results import LoadResult
from loader.project import Project
from loader.testing.redshift.faults import CutCopy, Drop, Error, When
from loader.testing.redshift.server import RedshiftStandIn
from tests.conftest import MakeProject, redshift_target
from tests.executor.test_faults import AFTER, BEFORE, CASES, LOADED, ROOT, SPEC, frame, hide_times

pytestmark = pytest.mark.usefixtures("quick_retries")

Row = tuple[Any, ...]

BROKEN: Mapping[str, tuple[Any, Any]] = {
    "dropped before": ("before", Drop),
    "dropped after": ("after", Drop),
    "refused": ("instead", lambda: Error("42501", "permission denied for relation t")),
    "in conflict": (
        "instead",
        lambda: Error("XX000", "1023", "Serializable isolation violation on table - 1"),
    ),
}


class Lab:
    """A table on the stand-in, with rows in two partitions."""

    def __init__(
        self,
        stand_in: RedshiftStandIn,
        make: MakeProject,
        case: str,
        *,
        empty: bool = False,
        **target: Any,
    ) -> None:
        self.stand_in, self.case, self.empty = stand_in, case, empty
        settings = redshift_target(stand_in, **target)
        self.project = make({"t.yml": {**SPEC, **CASES[case]}}, **settings)
        (self.spec,) = self.project.catalog.specs()
        self.start()

    def start(self) -> None:
        """Everything as it is before the load."""
        self.stand_in.reset()
        if not self.empty:
            refresh: Any = {"full_refresh": True, "load_id": "first"}
            self.project.load(self.spec, frame(BEFORE), **refresh)
        self.stand_in.statements.clear()
        self.before = self.contents()

    def load(self, load_id: str = "again") -> LoadResult:
        """The load under test."""
        partition = "a" if self.spec.partition_by else None
        return self.project.load(self.spec, frame(LOADED), partition, load_id=load_id)

    def contents(self) -> dict[str, list[Row]]:
        """Every table of every schema, with its rows."""
        names = self.stand_in.query(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('s', 'loader')"
        )
        return {
            f"{schema}.{name}": sorted(
                self.stand_in.query(f'SELECT * FROM "{schema}"."{name}"'), key=repr
            )
            for schema, name in sorted(names)
        }

    def is_untouched(self) -> bool:
        """Whether all that is there was there before; a ledger without rows may have come."""
        found = self.contents()
        return {n: found[n] for n in found if found[n] or n in self.before} == self.before

    def holds_one_copy(self) -> bool:
        """Whether the table and the ledger are as after exactly one load."""
        found = self.contents()
        held = sorted(LOADED if self.empty else AFTER[self.case], key=repr)
        ids = sorted(row[0] for row in found["loader.loads"])
        rows = hide_times(found["s.t"])
        return rows == held and ids == ["again", *([] if self.empty else ["first"])]


@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.parametrize("case", CASES)
def test_a_fault_at_any_statement_ends_in_one_copy(
    stand_in: RedshiftStandIn, make_project: MakeProject, case: str, how: str
) -> None:
    """After the retry or a rerun the table holds one copy; failed for good, it is unchanged."""
    lab = Lab(stand_in, make_project, case)
    lab.load()
    assert lab.holds_one_copy()
    statements = [statement.sql for statement in stand_in.statements]
    when, action = BROKEN[how]
    for number, sql in enumerate(statements):
        # Every statement breaks in one of the ways; `test_transaction` breaks each in all of them.
        if (number + list(BROKEN).index(how) + list(CASES).index(case)) % len(BROKEN):
            continue
        lab.start()
        stand_in.faults.add(lambda _: True, when, action(), skip=number)
        failure: ExecuteError | None = None
        try:
            lab.load()
        except ExecuteError as error:
            failure = error
        if failure is not None:
            assert how == "refused" or failure.rolled_back, (number, sql)
            assert lab.is_untouched(), (number, sql)
            assert lab.load().status == "loaded", sql
        assert stand_in.faults.fired, sql
        assert lab.holds_one_copy(), (number, sql)
        assert lab.load().status == "already_loaded"


@pytest.mark.parametrize("how", ["dropped before", "dropped after"])
def test_a_first_load_survives_faults_too(
    stand_in: RedshiftStandIn, make_project: MakeProject, how: str
) -> None:
    """Where there is no ledger, schema or table yet, a lost connection leaves one copy as well."""
    lab = Lab(stand_in, make_project, "append", empty=True)
    lab.load()
    count = len(stand_in.statements)
    when, action = BROKEN[how]
    for number in range(how == "dropped after", count, 2):  # the one way and the other in turn
        lab.start()
        stand_in.faults.add(lambda _: True, when, action(), skip=number)
        lab.load()
        assert lab.holds_one_copy(), number


def test_a_commit_that_is_still_going_on_is_waited_for(
    stand_in: RedshiftStandIn, make_project: MakeProject
) -> None:
    """The line is lost at COMMIT and the server commits later: the ledger is asked after that."""
    lab = Lab(stand_in, make_project, "append")
    slow: list[tuple[When, Drop]] = [("after", Drop(late=0.6)), ("before", Drop(linger=0.6))]
    for when, drop in slow:
        lab.start()
        stand_in.faults.add("commit", when, drop)
        assert lab.load().status == "loaded"
        assert lab.holds_one_copy()


def test_a_copy_that_is_cut_leaves_nothing(
    stand_in: RedshiftStandIn, make_project: MakeProject
) -> None:
    """A connection lost in the middle of COPY is retried, and no row is there twice."""
    lab = Lab(stand_in, make_project, "append")
    stand_in.faults.add("copy", "before", CutCopy(3))
    assert lab.load().status == "loaded"
    assert lab.holds_one_copy()


def test_a_warehouse_that_refuses_connections_is_waited_for(
    stand_in: RedshiftStandIn, make_project: MakeProject
) -> None:
    """Connections are tried again for a while, and then it is said where none could be made."""
    lab = Lab(stand_in, make_project, "append")
    stand_in.faults.refuse_connections(2)
    assert lab.load().status == "loaded"
    assert lab.holds_one_copy()


def test_slow_downs_of_s3_are_waited_for(
    stand_in: RedshiftStandIn, make_project: MakeProject
) -> None:
    """S3 that asks to slow down is asked again, by the upload and by COPY."""
    lab = Lab(stand_in, make_project, "replace partition")
    stand_in.faults.s3_errors(status=503, code="SlowDown", times=2, by="client")
    assert lab.load().status == "loaded"
    lab.start()
    stand_in.faults.s3_errors(status=503, code="SlowDown", times=1, by="warehouse")
    assert lab.load().status == "loaded"
    assert lab.holds_one_copy()


def test_a_load_that_fails_for_good_leaves_no_half_upload(
    stand_in: RedshiftStandIn, make_project: MakeProject
) -> None:
    """When S3 refuses for good nothing is changed, and no part of an object stays."""
    lab = Lab(stand_in, make_project, "append")
    stand_in.faults.s3_errors(
        status=403, code="AccessDenied", times=99, operation="PutObject", by="client"
    )
    with pytest.raises(StageError, match="s3:PutObject"):
        lab.load()
    assert lab.is_untouched()
    assert stand_in.uploads() == []


# Several loads at once.

WORKER = """
import json, sys
import pyarrow as pa
from loader import Project
job = json.loads(sys.argv[1])
project = Project.find(job["root"])
(spec,) = project.catalog.specs()
rows = job["rows"]
frame = pa.table({"id": [r[0] for r in rows], "p": [r[1] for r in rows], "v": [r[2] for r in rows]})
print(project.load(spec, frame, job["partition"], load_id=job["load_id"]).status)
"""


def at_once(project: Project, jobs: Sequence[Mapping[str, Any]]) -> list[str]:
    """What loads in processes of their own say."""

    def run(job: Mapping[str, Any]) -> str:
        whole = json.dumps({"root": str(project.config.root), **job})
        done = subprocess.run(
            [sys.executable, "-c", WORKER, whole],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            cwd=ROOT,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(run, jobs))


CROWDS: Mapping[str, tuple[str, list[dict[str, Any]]]] = {
    "four partitions": (
        "replace partition",
        [
            {
                "partition": f"p{n}",
                "load_id": f"l{n}",
                "rows": [(n * 10 + i, f"p{n}", "x") for i in range(5)],
            }
            for n in range(4)
        ],
    ),
    "one partition": (
        "replace partition",
        [
            {"partition": "p", "load_id": f"l{n}", "rows": [(i, "p", f"by {n}") for i in range(5)]}
            for n in range(4)
        ],
    ),
    "appends": (
        "append",
        [
            {
                "partition": "p",
                "load_id": f"l{n}",
                "rows": [(n * 10 + i, "p", "x") for i in range(5)],
            }
            for n in range(4)
        ],
    ),
    "one load id": (
        "append",
        [
            {"partition": "p", "load_id": "same", "rows": [(i, "p", "x") for i in range(5)]}
            for _ in range(3)
        ],
    ),
}


@pytest.mark.parametrize("crowd", CROWDS)
def test_loads_of_one_table_at_once(
    stand_in: RedshiftStandIn, make_project: MakeProject, crowd: str
) -> None:
    """Processes that load one table at the same time: the right rows, and every ledger row."""
    case, jobs = CROWDS[crowd]
    lab = Lab(stand_in, make_project, case, empty=True)
    said = at_once(lab.project, jobs)
    found = lab.contents()
    ids = sorted(row[0] for row in found["loader.loads"])
    assert ids == sorted({job["load_id"] for job in jobs})
    rows = found["s.t"]
    if crowd == "one partition":
        (winner,) = {row[2] for row in rows}
        assert len(rows) == 5
        assert winner.startswith("by ")
    elif crowd == "one load id":
        assert len(rows) == 5
        assert sorted(said) == ["already_loaded"] * 2 + ["loaded"]
    else:
        wanted = sorted(tuple(row) for job in jobs for row in job["rows"])
        assert rows == sorted(wanted, key=repr)


# What COPY refuses.


@pytest.mark.parametrize("view", ["sys_load_error_detail", "stl_load_errors"])
def test_rows_that_copy_refuses_are_told_with_their_values(
    stand_in: RedshiftStandIn, make_project: MakeProject, view: str
) -> None:
    """A refused row is told with its file, number, column, type, value and the reason for it."""
    spec = {
        "schema": "s",
        "name": "t",
        "columns": [
            {"name": "id", "data_type": "integer"},
            {"name": "amount", "data_type": "decimal(12,2)"},
        ],
        "staging": {"format": "csv", "compression": "none", "keep": "always"},
    }
    project = make_project({"t.yml": spec}, **redshift_target(stand_in))
    (found,) = project.catalog.specs()
    if view == "stl_load_errors":
        stand_in.faults.add(
            "sys_load_error_detail", "instead", Error("42501", "permission denied"), times=9
        )

    def sabotage(progress: Any) -> None:
        if progress.phase == "look for this load":
            (key,) = (key for key in stand_in.objects() if "part-" in key)
            data = stand_in.read_object(key).replace(b"22.50", b"2z.50")
            stand_in.write_object(key, data)

    rows = pa.table({"id": [1, 2, 3], "amount": [Decimal("1.25"), Decimal("22.50"), Decimal(3)]})
    with pytest.raises(ExecuteError) as caught:
        project.load(found, rows, on_progress=sabotage)
    text = str(caught.value)
    assert "part-00000.csv row 2, amount" in text
    assert "'2z.50'" in text
    assert "s.t is unchanged" in text
    assert stand_in.query("SELECT count(*) FROM loader.loads") == [(0,)]


def test_who_may_not_create_schemas_loads_into_those_that_are_there(
    stand_in: RedshiftStandIn, make_project: MakeProject
) -> None:
    """The right to create tables in a schema is enough, where the schema exists already."""
    stand_in.add_user("clerk", "Clerk-1", read_only=False)
    stand_in.execute('REVOKE CREATE ON DATABASE dev FROM "clerk"')
    for schema in ("s", "loader"):
        stand_in.execute(f"CREATE SCHEMA {schema}; GRANT USAGE, CREATE ON SCHEMA {schema} TO clerk")
    target = redshift_target(stand_in, user="clerk", password="Clerk-1")
    project = make_project({"t.yml": {**SPEC, **CASES["append"]}}, **target)
    (spec,) = project.catalog.specs()
    assert project.load(spec, frame(LOADED), "a").status == "loaded"
    stand_in.execute("DROP SCHEMA s CASCADE")
    with pytest.raises(ExecuteError, match="GRANT CREATE ON DATABASE"):
        project.load(spec, frame(LOADED), "a")


@pytest.mark.parametrize("noted", [True, False])
def test_a_value_that_parquet_has_too_long_is_found_again(
    stand_in: RedshiftStandIn, make_project: MakeProject, noted: bool
) -> None:
    """Spectrum names a column and two lengths; the row and the value are looked up in the files."""
    columns = [{"name": "id", "data_type": "integer"}, {"name": "name", "data_type": "varchar(9)"}]
    spec = {"schema": "s", "name": "t", "columns": columns, "staging": {"keep": "always"}}
    project = make_project({"t.yml": spec}, **redshift_target(stand_in))
    (found,) = project.catalog.specs()
    if not noted:
        for view in ("sys_load_error_detail", "stl_load_errors"):
            stand_in.faults.add(view, "instead", Error("42501", "permission denied"), times=9)

    def sabotage(progress: Any) -> None:
        if progress.phase == "look for this load":
            (key,) = (key for key in stand_in.objects() if "part-" in key)
            sink = io.BytesIO()
            ids = pa.array([1, 2], pa.int32())
            pq.write_table(pa.table({"id": ids, "name": ["x", "far too long"]}), sink)
            stand_in.write_object(key, sink.getvalue())
            path = key.rpartition("/")[0] + "/manifest.json"
            manifest = json.loads(stand_in.read_object(path))
            manifest["entries"][0]["meta"]["content_length"] = len(sink.getvalue())
            stand_in.write_object(path, json.dumps(manifest).encode())

    rows = pa.table({"id": [1, 2], "name": ["x", "y"]})
    with pytest.raises(ExecuteError) as caught:
        project.load(found, rows, on_progress=sabotage)
    assert "part-00000.parquet row 2, name" in str(caught.value)
    assert "'far too long'" in str(caught.value)
