"""Loads, reads and commands through the Data API: the same as with the driver, whatever breaks."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

from loader.cli import main
from loader.dagster_io import RedshiftIOManager
from loader.errors import ExecuteError
from loader.project import Project
from loader.testing.redshift.server import RedshiftStandIn
from loader.warehouse.redshift import data_api, data_api_requests
from tests.conftest import MakeProject, redshift_target
from tests.executor import test_behaviours as behaviours
from tests.executor.test_behaviours import (
    DISPOSITIONS,
    KINDS,
    Table,
    World,
    after,
    cut,
    filled,
    ordered,
)
from tests.executor.test_faults import ROOT
from tests.warehouse.test_redshift_faults import BROKEN, Lab

DATA_API = "data_api"


@pytest.fixture
def world(stand_in: RedshiftStandIn, make_project: MakeProject) -> World:
    """Makes tables that are reached through the Data API."""
    options = redshift_target(stand_in, transport=DATA_API)

    def make(**spec: Any) -> Table:
        return Table(lambda data: make_project({"t.yml": data}, **options), spec)

    return make


# The behaviours that depend on what a session sends and receives, with the fixture above.
for _name in (
    "test_a_live_table_that_differs_is_refused_with_a_table_of_differences",
    "test_evolve_additive_adds_the_missing_columns",
):
    globals()[_name] = getattr(behaviours, _name)


FORMS = ("parquet", "csv", "json")


@pytest.mark.parametrize("number", range(len(DISPOSITIONS)), ids=list(DISPOSITIONS))
def test_each_disposition_does_its_work(world: World, number: int) -> None:
    """A load into a slice leaves there what the model says, staged in each of the formats."""
    disposition, kind = list(DISPOSITIONS)[number], KINDS["zone day of 25 hours"]
    table = cut(world, kind, disposition, staging={"format": FORMS[number % len(FORMS)]})
    first, second = filled(kind.in_first, 0, "one"), filled(kind.in_second, 100, "two")
    other = [(*row[:-1], "other") for row in first[:1]]
    table.load(first, kind.first)
    table.load(second, kind.second)
    table.load(other, kind.first)
    wanted = after(disposition, [*first, *second], first, other)
    assert table.rows() == ordered(wanted)
    assert table.rows(kind.second) == ordered(second)


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_every_type_comes_back(world: World, form: str) -> None:
    """Values that went through a load are read, and verified, as what they were."""
    behaviours.test_every_type_comes_back_as_it_went_in(
        world, {"format": form, "compression": "gzip"}
    )


SPEC: Mapping[str, Any] = {
    "schema": "s",
    "name": "t",
    "columns": [
        {"name": "id", "data_type": "integer", "nullable": False},
        {"name": "v", "data_type": "varchar(9)"},
    ],
}
ROWS = pa.table({"id": [1, 2, 3], "v": ["x", None, "z"]})


def make(stand_in: RedshiftStandIn, make_project: MakeProject, **target: Any) -> Project:
    found = redshift_target(stand_in, transport=DATA_API, **target)
    return make_project({"t.yml": SPEC}, **found)


def test_a_large_read_uses_unload(stand_in: RedshiftStandIn, make_project: MakeProject) -> None:
    """Rows beyond `unload_rows` come from the bucket, and a table that is there can be inferred."""
    project = make(stand_in, make_project, unload_rows=0)
    spec = project.spec("s/t")
    project.load(spec, ROWS)
    found: Any = project.read(spec, as_="arrow")
    assert sorted(found.to_pylist(), key=lambda row: row["id"]) == ROWS.to_pylist()
    assert any(one.sql.startswith("UNLOAD") for one in stand_in.statements)


# Commands.


def run(project: Project, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "--project", str(project.config.root)])


def test_the_commands_work(stand_in: RedshiftStandIn, make_project: MakeProject) -> None:
    """A plan, a load, a look at the live table, a change, a draft and the doctor."""
    project = make(stand_in, make_project)
    file = project.config.root / "rows.csv"
    file.write_text("id,v\n1,x\n2,y\n")
    assert run(project, "plan", "s/t").exit_code == 0
    assert stand_in.statements == []
    loaded = run(project, "load", "s/t", str(file), "--load-id", "one")
    assert loaded.exit_code == 0, loaded.output
    assert stand_in.query("SELECT id, v FROM s.t ORDER BY id") == [(1, "x"), (2, "y")]
    assert run(project, "plan", "s/t", "--live", "--detailed-exitcode").exit_code == 0
    stand_in.execute("ALTER TABLE s.t DROP COLUMN v")
    assert run(project, "plan", "s/t", "--live", "--detailed-exitcode").exit_code == 2
    assert run(project, "apply", "s/t").exit_code == 0
    assert "varchar(9)" in run(project, "infer", "--table", "s.t").output
    examined = run(project, "doctor", "--format", "json")
    assert examined.exit_code == 0, examined.output
    findings = {one["name"]: one for one in json.loads(examined.output)["steps"]}
    assert findings["network"]["status"] == "skipped"
    assert "Data API of the cluster stand-in" in findings["login"]["detail"]
    assert {one["status"] for name, one in findings.items() if name != "network"} == {"ok"}


def test_wrong_settings_are_told(stand_in: RedshiftStandIn, make_project: MakeProject) -> None:
    """What the transport cannot use is named, and so is a transport that there is not."""
    project = make(stand_in, make_project, password="Hunter2-of-tests", cluster_identifier="")
    told = run(project, "read", "s/t")
    assert told.exit_code == 1
    assert "cluster_identifier" in told.output
    assert "password" in told.output
    assert "Hunter2" not in told.output
    project = make_project({"t.yml": SPEC}, **redshift_target(stand_in, transport="odbc"))
    told = run(project, "plan", "s/t")
    assert told.exit_code == 1
    assert "transport" in told.output


def test_dagster_loads_and_reads(stand_in: RedshiftStandIn, make_project: MakeProject) -> None:
    """The IO manager takes the transport as a field, for outputs and inputs."""
    project = make(stand_in, make_project)
    manager = RedshiftIOManager(
        specs=str(project.config.specs),
        transport="data_api",
        cluster_identifier=stand_in.cluster_identifier,
        database=stand_in.database,
        user=stand_in.user,
        region_name=stand_in.region,
        s3_iam_role=stand_in.iam_role,
        bucket_name=stand_in.bucket,
    )

    @dg.asset(key=["s", "t"])
    def t() -> pd.DataFrame:
        return ROWS.to_pandas()

    @dg.asset(ins={"t": dg.AssetIn(["s", "t"])}, io_manager_key="memory")
    def count(t: pd.DataFrame) -> int:
        return len(t)

    resources = {"io_manager": manager, "memory": dg.mem_io_manager}
    done = dg.materialize([t, count], resources=resources)
    assert done.output_for_node("count") == 3


# Whatever breaks.


@pytest.mark.parametrize("how", ["dropped after", "in conflict"])
def test_a_fault_at_any_statement_ends_in_one_copy(
    stand_in: RedshiftStandIn, make_project: MakeProject, how: str
) -> None:
    """Where the API loses its connection, or is told of a conflict, the load is tried again."""
    lab = Lab(stand_in, make_project, "replace partition", transport=DATA_API)
    lab.load()
    count = len(stand_in.statements)
    when, action = BROKEN[how]
    # The last statements only let sessions go, and nobody waits for them.
    for number in range(how == "in conflict", count - 3, 5):
        lab.start()
        stand_in.faults.add(lambda _: True, when, action(), skip=number)
        try:
            lab.load()
        except ExecuteError:  # before the first attempt
            assert lab.is_untouched(), number
            assert lab.load().status == "loaded"
        assert stand_in.faults.fired, number
        assert lab.holds_one_copy(), number


def test_no_response_of_a_load_is_needed(
    stand_in: RedshiftStandIn, make_project: MakeProject
) -> None:
    """With every third response lost and every fifth request throttled, there is one copy."""
    lab = Lab(stand_in, make_project, "merge", transport=DATA_API)
    for rule in (stand_in.faults.lose_data_api_responses, stand_in.faults.data_api_errors):
        step = 3 if rule == stand_in.faults.lose_data_api_responses else 5
        for number in range(10):
            rule(skip=number * step)
    assert lab.load().status == "loaded"
    assert stand_in.faults.fired > 15
    assert lab.holds_one_copy()


class DiedError(BaseException):
    """The client is gone: nothing more is sent, not even a rollback."""


class Grave:
    """Has a client die at one of its statements, before or after the API has accepted it."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.at = -1
        self.seen = 0
        self.dead = False
        send = data_api_requests.Request.run

        def run(request: data_api_requests.Request, *, fully: bool) -> Mapping[str, Any]:
            if self.dead:
                raise DiedError
            number, self.seen = self.seen, self.seen + 1
            if number == self.at:
                if number % 2 == 0:
                    send(request, fully=fully)
                self.dead = True
                raise DiedError
            return send(request, fully=fully)

        close = data_api.DataApiSession.close
        patch.setattr(data_api_requests.Request, "run", run)
        patch.setattr(data_api_requests.Request, "cancel", lambda _: False)
        patch.setattr(
            data_api.DataApiSession, "close", lambda session: None if self.dead else close(session)
        )

    def dig(self, at: int) -> None:
        """Let the next client die at its statement of this number, or none if it is -1."""
        self.at, self.seen, self.dead = at, 0, False


@pytest.mark.parametrize("case", ["append", "merge"])
def test_a_client_that_dies_at_any_statement_loads_once(
    stand_in: RedshiftStandIn,
    make_project: MakeProject,
    monkeypatch: pytest.MonkeyPatch,
    case: str,
) -> None:
    """Once its session has ended, the next run of the load id leaves one copy, and is told so."""
    grave = Grave(monkeypatch)
    lab = Lab(stand_in, make_project, case, transport=DATA_API)
    grave.dig(-1)
    lab.load()
    count = grave.seen
    # In an odd step deaths come before and after a statement in turn.
    for number in range(case == "merge", count, 7):
        grave.dig(-1)
        lab.start()
        grave.dig(number)
        with pytest.raises(DiedError):
            lab.load()
        stand_in.expire_sessions()
        committed = not lab.is_untouched()
        grave.dig(-1)
        assert lab.load().status == ("already_loaded" if committed else "loaded"), number
        assert lab.holds_one_copy(), number


WORKER = """
import os, signal, sys
import pyarrow as pa
from loader import Project
from loader.warehouse.redshift import data_api_requests

run = data_api_requests.Request.run

def die(request, *, fully):
    if request._arguments["Sql"] == "COMMIT":
        request._submit()
        print("redshift_connector" in sys.modules, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    return run(request, fully=fully)

project = Project.find(sys.argv[1])
rows = pa.table({"id": [1, 2, 3], "v": ["x", None, "z"]})
project.load(project.spec("s/t"), rows.slice(0, 1), load_id="first")
data_api_requests.Request.run = die
project.load(project.spec("s/t"), rows, load_id="one")
"""


def test_a_process_that_is_killed_loads_once(
    stand_in: RedshiftStandIn, make_project: MakeProject
) -> None:
    """Killed right after its COMMIT was accepted, a load is done; it has imported no driver."""
    project = make(stand_in, make_project)
    arguments = [sys.executable, "-c", WORKER, str(project.config.root)]
    done = subprocess.run(
        arguments, capture_output=True, text=True, check=False, timeout=60, cwd=ROOT
    )
    assert (done.returncode, done.stdout.strip()) == (-9, "False"), done.stderr
    assert project.load(project.spec("s/t"), ROWS, load_id="one").status == "already_loaded"
    assert stand_in.query("SELECT count(*) FROM s.t") == [(3,)]
