"""Many tables in one run: all that can be loaded are, and what cannot says why."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from loader.cli import main
from loader.errors import FrameError, PlanError
from loader.executor.run import TableRun
from loader.project import Project
from tests.conftest import MakeProject, redshift_target, stored_keys

if TYPE_CHECKING:
    from loader.testing.redshift.server import RedshiftStandIn

ROOT = Path(__file__).parents[2]
COLUMNS = [{"name": "id", "data_type": "integer"}, {"name": "day", "data_type": "date"}]
BY_DAY = [{"expr": "day", "grain": "day"}]
DAY = "2026-01-01"


def spec(name: str, files: str | None, **fields: Any) -> dict[str, Any]:
    source = {"source": {"files": files, **fields.pop("source", {})}} if files else {}
    return {"schema": "s", "name": name, "columns": COLUMNS, **source, **fields}


def write(project: Project, name: str, *ids: object, day: str = DAY) -> None:
    path = project.config.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("id,day\n" + "".join(f"{number},{day}\n" for number in ids))


def some(make_project: MakeProject, **target: Any) -> Project:
    """Tables of all kinds: good ones, a bad one, one without files."""
    project = make_project(
        {
            "a/good.yml": spec("good", "in/good.csv"),
            "a/bad.yml": spec("bad", "in/bad.csv"),
            "a/gone.yml": spec("gone", "in/gone.csv"),
            "b/days.yml": spec("days", "in/days-*.csv", partition_by=BY_DAY),
            "b/keyed.yml": spec("keyed", "in/{day}.csv", partition_by=BY_DAY),
            "b/none.yml": spec("none", None),
        },
        **target,
    )
    write(project, "in/good.csv", 1, 2)
    write(project, "in/bad.csv", 1, "x")
    for day in (DAY, "2026-01-02"):
        write(project, f"in/days-{day}.csv", 3, day=day)
        write(project, f"in/{day}.csv", 4, day=day)
    return project


def statuses(tables: tuple[TableRun, ...]) -> dict[str, str]:
    return {table.asset_key.removeprefix("s/"): table.status for table in tables}


@pytest.mark.parametrize("jobs", [1, 4])
def test_a_table_that_fails_stops_no_other(
    each_target: Mapping[str, Any], make_project: MakeProject, jobs: int
) -> None:
    """Every table is tried; each failure has its error, and what failed is unchanged."""
    project = some(make_project, **each_target)
    told: list[tuple[str, int]] = []
    result = project.run(
        jobs=jobs, on_table=lambda table, number: told.append((table.table, number))
    )
    wanted = {"good": "loaded", "days": "loaded"} | dict.fromkeys(
        ("bad", "gone", "keyed"), "failed"
    )
    assert statuses(result.tables) == wanted
    assert sorted(told) == [(f"s.{name}", 5) for name in sorted(wanted)]
    assert (result.ok, result.rows_loaded, result.skipped) == (False, 4, ("s/none",))
    errors = {table.table: table.error for table in result.failed}
    assert isinstance(errors["s.bad"], FrameError)
    assert str(errors["s.gone"]).startswith("no file matches ")
    assert "no partition is given" in str(errors["s.keyed"])
    assert [entry.table for entry in project.history("s/bad")] == []
    assert project.run("s/keyed", "auto").rows_loaded == 2


def valid_ids(table: str, **schema: str) -> list[dict[str, Any]]:
    there = {"references": {**schema, "table": table, "column": "id"}}
    return [{"metric": "invalid_values", "column": "id", **there, "must_be": 0}]


@pytest.mark.parametrize("jobs", [1, 4])
def test_what_checks_refer_to_is_loaded_first(make_project: MakeProject, jobs: int) -> None:
    """A table whose values must be in others waits for these; circles wait for nothing."""
    project = make_project(
        {
            "a.yml": spec("a", "in/x.csv", checks=valid_ids("b")),
            "b.yml": spec("b", "in/x.csv", checks=valid_ids("c", schema="s") + valid_ids("b")),
            "c.yml": spec("c", "in/x.csv", checks=valid_ids("c")),
            "d.yml": spec("d", "in/x.csv", checks=valid_ids("e")),
            "e.yml": spec("e", "in/x.csv", checks=valid_ids("d")),
            "f.yml": spec("f", "in/x.csv", checks=valid_ids("elsewhere", schema="other")),
        }
    )
    write(project, "in/x.csv", 1, 2)
    done: list[str] = []
    result = project.run(jobs=jobs, on_table=lambda table, _: done.append(table.table))
    assert [name for name in done if name in ("s.a", "s.b", "s.c")] == ["s.c", "s.b", "s.a"]
    wanted = dict.fromkeys("abc", "loaded") | dict.fromkeys("def", "failed")
    assert statuses(result.tables) == wanted
    assert [table.asset_key for table in result.tables] == [f"s/{name}" for name in "abcdef"]


def test_what_waits_for_a_table_that_fails_is_tried(make_project: MakeProject) -> None:
    """Its check decides, by the rows that the other table has still."""
    project = make_project(
        {"a.yml": spec("a", "in/x.csv", checks=valid_ids("b")), "b.yml": spec("b", "in/b.csv")}
    )
    write(project, "in/x.csv", 1)
    write(project, "in/b.csv", 1)
    assert project.run().ok
    write(project, "in/b.csv", "no number")
    assert statuses(project.run().tables) == {"a": "loaded", "b": "failed"}


def test_partitions_of_a_run(make_project: MakeProject) -> None:
    """Partitions are for partitioned tables; the others are loaded as a whole."""
    project = some(make_project)
    result = project.run(["s/good", "s/keyed"], DAY)
    assert {table.table: table.result.slice for table in result.tables if table.result} == {
        "s.good": None,
        "s.keyed": f"day={DAY}",
    }
    only = project.run(["s/good"], DAY)
    assert "has no partitions" in str(only.failed[0].error)
    with pytest.raises(PlanError, match="no selected table has some"):
        project.run(["s/good", "s/bad"], DAY)
    with pytest.raises(PlanError, match="cannot have a partition"):
        project.run(partition=DAY, full_refresh=True)


def test_a_partitioned_table_keeps_other_partitions(make_project: MakeProject) -> None:
    """A run without partitions replaces those that the files hold, and no others."""
    project = some(make_project)
    project.run(["s/days"])
    (project.config.root / f"in/days-{DAY}.csv").unlink()
    write(project, "in/days-2026-01-02.csv", 7, 8, day="2026-01-02")
    (table,) = project.run(["s/days"]).tables
    assert table.result is not None
    assert (table.result.slice, table.result.rows_deleted) == ("day=2026-01-02", 1)
    assert len(project.read(project.spec("s/days"))) == 3


@pytest.mark.parametrize("select", [["s/none"], ["s.none"], ["specs/b/none.yml"], ["b/none.yml"]])
def test_a_table_without_files_that_is_named(make_project: MakeProject, select: list[str]) -> None:
    """It is an error by its name, as is a selection in which no table has files."""
    project = some(make_project)
    with pytest.raises(PlanError):
        project.run(select)
    assert project.run(["s/good", "s/no*"]).skipped == ("s/none",)


def test_a_dry_run_loads_nothing(make_project: MakeProject) -> None:
    """It says which files and partitions would be loaded, and what would fail."""
    project = some(make_project)
    tables = {table.table: table for table in project.run(dry_run=True).tables}
    assert tables["s.good"].files == ("in/good.csv",)
    assert tables["s.days"].slice == "the partitions in the files"
    assert tables["s.gone"].status == "failed"
    (keyed,) = project.run(["s/keyed"], "auto", dry_run=True).tables
    assert (keyed.slice, len(keyed.files)) == ("day=2026-01-01..2026-01-02", 2)
    assert not project.context().warehouse.exists()


def test_an_interrupt_rolls_back_and_begins_nothing(make_project: MakeProject) -> None:
    """What is at work is rolled back, what waits is not begun, and nothing stays staged."""
    clean = {"staging": {"keep": "never"}}
    project = make_project({f"{n}.yml": spec(f"t{n}", "in/*.csv", **clean) for n in range(6)})
    write(project, "in/a.csv", *range(50))

    def stop(table: TableRun, _: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        project.run(jobs=2, on_table=stop)
    (note,) = caught.value.__notes__
    done = int(note.split()[0])
    assert f"{done} table" in note
    assert 1 <= done <= 3
    assert len(project.history()) == done
    assert stored_keys(project, "s.t0", "s.t1", "s.t2", "s.t3", "s.t4", "s.t5") == []
    assert project.run(jobs=2).ok


def test_a_defect_ends_the_run_after_the_others(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that is none of Loader's own is raised, and not made a table's."""
    project = make_project({f"{n}.yml": spec(f"t{n}", "in/*.csv") for n in range(3)})
    write(project, "in/a.csv", 1)

    def broken(*_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr("loader.executor.load.select_files", broken)
    with pytest.raises(ZeroDivisionError):
        project.run(jobs=2)


def run(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, ["run", *words], prog_name="loader")
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done.exit_code, done.stdout, done.stderr


def test_what_the_command_prints(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Progress is on stderr and the summary on stdout; the exit code tells of failures."""
    project = some(make_project)
    monkeypatch.chdir(project.config.root)
    code, out, err = run("s/good", "s/bad")
    assert code == 1
    assert "[1/2] " in err
    assert "[2/2] " in err
    assert "s.bad failed:\n  1 row of in/bad.csv does not fit" in out
    assert "hint:" in out
    assert "2 tables: 1 loaded, 1 failed; 2 rows loaded" in out
    assert run("s/good", "-q")[::2] == (0, "")
    assert run("specs/a", "--dry-run")[0] == 1
    assert run("s/none")[0] == 1
    assert run("--jobs", "0")[0] == 64


# --- twenty tables


class Shop:
    """Tables of all dispositions, and many files for each."""

    def __init__(self, make: MakeProject, target: Mapping[str, Any], tables: int, files: int):
        kinds: list[dict[str, Any]] = [
            {"write_disposition": "append"},
            {"write_disposition": "merge", "primary_key": ["id"]},
            {"partition_by": BY_DAY},
        ]
        self.tables = [f"t{number:02}" for number in range(tables)]
        self.files = files
        self.project = make(
            {
                f"{name}.yml": spec(
                    name, self._pattern(name), source={"load": "new"}, **kinds[number % 3]
                )
                for number, name in enumerate(self.tables)
            },
            **target,
        )
        for name in self.tables:
            for number in range(files):
                self.add(name, number)

    def _pattern(self, name: str) -> str:
        """Files of tables that replace days are in folders of days."""
        return f"in/{name}/{{day}}/*.csv" if int(name[1:]) % 3 == 2 else f"in/{name}/*/*.csv"

    def add(self, name: str, number: int) -> None:
        """One more file, of one row."""
        day = f"2026-01-{1 + number % 20:02}"
        write(self.project, f"in/{name}/{day}/{number:04}.csv", number, day=day)

    def ids(self, name: str) -> list[int]:
        found: Any = self.project.read(self.project.spec(f"s/{name}"), columns=["id"], as_="arrow")
        return sorted(found["id"].to_pylist())


def kill_in_the_middle(project: Project, environment: Mapping[str, str], jobs: int) -> int:
    """Kill a run as soon as some of its tables are done; how many it had told."""
    process = subprocess.Popen(
        [sys.executable, "-m", "loader", "run", "--jobs", str(jobs)],
        cwd=project.config.root,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    told = 0
    for line in process.stderr:
        told += line.startswith("[")
        if told == 3:
            break
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    process.stderr.close()
    return told


@pytest.mark.parametrize(
    ("kind", "tables", "files"),
    [
        ("duckdb", 12, 20),
        ("redshift", 6, 4),
        pytest.param("duckdb", 20, 100, marks=pytest.mark.slow),
        pytest.param("redshift", 20, 100, marks=pytest.mark.slow),
    ],
)
def test_many_tables_of_many_files_are_loaded_once(
    kind: str, tables: int, files: int, make_project: MakeProject, request: pytest.FixtureRequest
) -> None:
    """After a kill a run loads each file once; the next one does nothing, or what is new."""
    target, environment = {}, {}
    if kind == "redshift":
        stand_in: RedshiftStandIn = request.getfixturevalue("redshift")
        target, environment = redshift_target(stand_in), stand_in.environment()
    shop = Shop(make_project, target, tables, files)
    assert kill_in_the_middle(shop.project, environment, jobs=3) == 3
    committed = {entry.table for entry in shop.project.history(limit=99)}
    assert 3 <= len(committed) < tables
    result = shop.project.run(jobs=4)
    assert result.ok, result.failed
    again = {table.table for table in result.tables if table.status == "loaded"}
    # A COMMIT may be on its way when its client dies.
    assert again <= {f"s.{name}" for name in shop.tables} - committed
    assert all(shop.ids(name) == list(range(files)) for name in shop.tables)
    second = shop.project.run(jobs=4)
    assert {table.status for table in second.tables} == {"no_new_files"}
    new = shop.tables[:3]
    for name in new:
        shop.add(name, files)
    third = shop.project.run(jobs=4)
    loaded = {table.table: table.result for table in third.tables if table.status == "loaded"}
    assert sorted(loaded) == [f"s.{name}" for name in new]
    assert loaded["s.t00"] is not None
    assert loaded["s.t00"].files_read == 1
    assert all(shop.ids(name) == list(range(files + (name in new))) for name in shop.tables)
    current = [file for file in shop.project.history_files(limit=99) if not file.replaced_by]
    assert len(current) == len({(file.load.table, file.path) for file in current})
    assert len(current) == tables * files + 3


def test_files_whose_names_tell_no_partition_are_told(make_project: MakeProject) -> None:
    """A file that is left out, since its name tells no partition, is a warning with its name."""
    project = some(make_project)
    write(project, "in/2026-01-backup.csv", 7)
    (table,) = project.run(["s/keyed"], "auto").tables
    assert table.result is not None
    (warning,) = [text for text in table.result.warnings if "left out" in text]
    assert " in/2026-01-backup.csv" in warning
    (planned,) = project.run(["s/keyed"], "auto", dry_run=True).tables
    assert " in/2026-01-backup.csv" in planned.notes[0]
