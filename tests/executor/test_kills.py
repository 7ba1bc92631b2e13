"""Kill -9 at random times, on both targets and for every disposition: slow, so with ``-m slow``.

After each kill the table, the ledger, what is left and the next load of that id are looked at.
LOADER_KILLS is how many loads are killed on each target, 500 by default, LOADER_KILLS_SEED the
seed.
"""

from __future__ import annotations

import collections
import multiprocessing
import os
import random
import time
from collections.abc import Mapping
from datetime import timedelta
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from loader.project import Project
from loader.staging.clean import run_folder
from loader.staging.stores.base import Store
from loader.warehouse.registry import open_staging, open_warehouse
from tests.conftest import MakeProject, redshift_target
from tests.executor.test_faults import CASES

if TYPE_CHECKING:
    from loader.testing.redshift.server import RedshiftStandIn

KILLS = int(os.environ.get("LOADER_KILLS", "500"))
SEED = int(os.environ.get("LOADER_KILLS_SEED", "1"))
ROWS = 400
FORMATS = ["parquet", "csv", "json"]
COLUMNS = [
    {"name": "id", "data_type": "integer"},
    {"name": "p", "data_type": "varchar(9)"},
    {"name": "v", "data_type": "integer"},
    {"name": "noise", "data_type": "varchar(700)"},
]
Held = dict[int, tuple[str, int]]
"""The rows of a table, by id: the partition and the number of the load that brought them."""


def frame(number: int, start: int) -> pa.Table:
    """Rows of one partition that say which load has brought them, in several small files."""
    ids = range(start, start + ROWS)
    noise = [os.urandom(300).hex() for _ in ids]
    return pa.table({"id": ids, "p": ["a"] * ROWS, "v": [number] * ROWS, "noise": noise})


def load(
    begins: Connection,
    root: str,
    environment: Mapping[str, str],
    number: int,
    start: int,
    load_id: str,
) -> None:
    """One load, in a process of its own, which says when it begins."""
    os.environ.update(environment)
    project = Project.find(root)
    spec = project.spec("s/t")
    rows = frame(number, start)
    begins.send(None)
    project.load(spec, rows, "a" if spec.partition_by else None, load_id=load_id)


class Bench:
    """A table, what it should hold, and where its loads stage."""

    def __init__(self, make: MakeProject, target: Mapping[str, Any], case: str, form: str) -> None:
        self.case = case
        staging = {"format": form, "compression": "none", "file_size": "64KB"}
        spec: dict[str, Any] = {"schema": "s", "name": "t", "columns": COLUMNS}
        spec |= {"primary_key": ["id"], **CASES[case], "staging": staging}
        folder = case.replace(" ", "-")
        self.project = make({"t.yml": spec}, folder=folder, **target)
        self.spec = self.project.spec("s/t")
        self.partition = "a" if self.spec.partition_by else None
        first = pa.table({"id": [-1, -2], "p": ["b", "a"], "v": [0, 0], "noise": ["", ""]})
        self.project.load(self.spec, first, full_refresh=True, load_id=f"{folder} first")
        self.held: Held = {-1: ("b", 0), -2: ("a", 0)}

    def after(self, number: int, start: int) -> Held:
        """What the table holds once a load is in it."""
        new = dict.fromkeys(range(start, start + ROWS), ("a", number))
        if self.case == "replace table":
            return new
        if self.case == "replace partition":
            return {key: row for key, row in self.held.items() if row[0] != "a"} | new
        return self.held | new

    def look(self, load_id: str) -> tuple[Held, list[tuple[Any, ...]]]:
        """What is there, and the ledger's rows of a load, seen at one moment."""
        warehouse = open_warehouse(self.project.config.settings(), self.project.config.root)
        with warehouse.session(write=False) as session:
            session.begin()
            ledger = session.execute(
                f"SELECT rows_loaded FROM loader.loads WHERE load_id = '{load_id}'"
            )
            rows = session.execute("SELECT id, p, v FROM s.t")
            session.rollback()
        found = {key: (p, v) for key, p, v in rows}
        assert len(found) == len(rows), "rows are there twice"
        return found, ledger

    @property
    def store(self) -> Store:
        """The staging location."""
        settings = self.project.config.settings()
        location = settings.staging
        if "://" not in location:
            location = str(self.project.config.root / location)
        return open_staging(location, settings)

    def left(self, load_id: str) -> tuple[set[str], int]:
        """Folders that the runs of a load have left, and how many half files are in them."""
        begin = f"s.t/{load_id}/"
        files = [one.key for one in self.store.files()]
        half = [one.key for one in self.store.unfinished()]
        assert [key for key in (*files, *half) if run_folder(key) is None] == []
        mine = {run_folder(key) for key in (*files, *half) if key.startswith(begin)}
        return {run for run in mine if run}, sum(key.startswith(begin) for key in half)


@pytest.fixture(params=["duckdb", "redshift"])
def target(request: pytest.FixtureRequest) -> tuple[dict[str, Any], dict[str, str]]:
    """The settings of a target of each kind, and the environment to reach it."""
    if request.param == "duckdb":
        return {"lock_timeout": 60}, {}
    stand_in: RedshiftStandIn = request.getfixturevalue("stand_in")
    return redshift_target(stand_in), stand_in.environment()


@pytest.mark.slow
def test_loads_that_are_killed_at_any_time_leave_one_copy_or_none(
    make_project: MakeProject, target: tuple[dict[str, Any], dict[str, str]]
) -> None:
    """Table and ledger agree, the next load of that id loads once, and clean leaves nothing."""
    settings, environment = target
    chance = random.Random(SEED)  # a test's
    forks = multiprocessing.get_context("forkserver")
    preloaded = [
        "loader.executor.load",
        "loader.warehouse.duckdb.driver",
        "loader.staging.stores.s3",
    ]
    forks.set_forkserver_preload([*preloaded, "loader.warehouse.redshift.driver", __name__])
    counts: collections.Counter[str] = collections.Counter()
    done = 0
    for place, case in enumerate(CASES):
        if "staging" in settings:
            _empty(make_project, settings)
        bench = Bench(make_project, settings, case, FORMATS[place % len(FORMATS)])
        usual = 0.5
        for number in range(1, 1 + KILLS // len(CASES) + (place < KILLS % len(CASES))):
            load_id = f"{place}-{number}"
            # A merge meets half of the rows that are there; an append none, by its primary key.
            step = ROWS if case == "append" else ROWS // 2
            start = number * step
            ours, theirs = forks.Pipe(duplex=False)
            facts = (str(bench.project.config.root), environment, number, start, load_id)
            process = forks.Process(target=load, args=(theirs, *facts))
            process.start()
            assert ours.poll(60)
            began = time.monotonic()
            process.join(chance.uniform(0, usual * 1.1))
            killed = process.is_alive()
            process.kill()
            process.join()
            if not killed:
                usual = 0.7 * usual + 0.3 * (time.monotonic() - began)
                assert process.exitcode == 0
            counts["killed" if killed else "ended before"] += 1
            _check(bench, load_id, number, start, counts)
            done += 1
        counts["folders removed by clean"] += len(bench.project.clean(timedelta(0)).removed)
        assert [*bench.store.files(), *bench.store.unfinished()] == []
    kind = settings.get("type", "duckdb")
    print(f"\n{kind}: {done} loads: " + ", ".join(f"{n:,} {what}" for what, n in counts.items()))
    assert done == KILLS


def _check(
    bench: Bench, load_id: str, number: int, start: int, counts: collections.Counter[str]
) -> None:
    found, ledger = bench.look(load_id)
    wanted = bench.after(number, start)
    assert len(ledger) <= 1
    assert found == (wanted if ledger else bench.held), (bench.case, load_id)
    folders, half = bench.left(load_id)
    counts["committed" if ledger else "not committed"] += 1
    counts["left staged files"] += bool(folders)
    counts["left half files"] += bool(half)
    counts["left files after COMMIT"] += bool(folders and ledger)
    again = bench.project.load(bench.spec, frame(number, start), bench.partition, load_id=load_id)
    # On a server a COMMIT may be on its way when its client dies.
    late = again.status == "already_loaded" and not ledger
    counts["committed after the kill"] += late
    assert again.status == ("already_loaded" if ledger or late else "loaded")
    assert again.rows_loaded == ROWS
    assert again.warnings == ()
    bench.held = wanted
    found, ledger = bench.look(load_id)
    assert (found, ledger) == (wanted, [(ROWS,)])
    stay, _ = bench.left(load_id)
    # Only what the run that committed has left is known to be nobody's.
    assert stay == (set() if again.status == "already_loaded" else folders), load_id
    counts["next load: " + again.status] += 1


def _empty(make_project: MakeProject, settings: dict[str, Any]) -> None:
    """Take away the table of the case before, where all cases share one database."""
    project = make_project({"t.yml": {"schema": "s", "name": "t", "columns": COLUMNS}}, **settings)
    warehouse = open_warehouse(project.config.settings(), project.config.root)
    with warehouse.session() as session:
        session.execute("DROP TABLE IF EXISTS s.t")
