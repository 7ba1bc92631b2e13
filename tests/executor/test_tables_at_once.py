"""Loads of different tables at the same time: none makes another one fail or try again."""

from __future__ import annotations

import threading
from typing import Any, Literal

import pyarrow as pa
import pytest

from loader.project import Project
from loader.testing import RedshiftStandIn
from tests.conftest import MakeProject, redshift_target

TABLES = 8
ROW = pa.table({"day": pa.nulls(1, pa.date32()), "id": [7]})
COLUMNS = [{"name": "day", "data_type": "date"}, {"name": "id", "data_type": "bigint"}]


def spec(number: int) -> dict[str, Any]:
    """Tables of all dispositions."""
    disposition = ("append", "replace", "merge")[number % 3]
    return {
        "schema": "s",
        "name": f"t{number}",
        "columns": COLUMNS,
        "write_disposition": disposition,
        **({"primary_key": ["id"]} if disposition == "merge" else {}),
    }


@pytest.mark.parametrize(
    ("isolation", "rounds"),
    [
        ("serializable", 4),
        pytest.param("snapshot", 20, marks=pytest.mark.slow),
        pytest.param("serializable", 20, marks=pytest.mark.slow),
    ],
)
def test_no_load_of_another_table_is_a_conflict(
    stand_in: RedshiftStandIn,
    make_project: MakeProject,
    isolation: Literal["snapshot", "serializable"],
    rounds: int,
) -> None:
    """8 tables, many loads each, all at once: not one statement is refused, in either isolation."""
    specs = {f"t{number}.yml": spec(number) for number in range(TABLES)}
    project = make_project(specs, **redshift_target(stand_in))
    for number in range(TABLES):
        project.load(project.spec(f"s/t{number}"), ROW, load_id="first")
    stand_in.isolation = isolation
    stand_in.statements.clear()
    failed: list[BaseException] = []
    gate = threading.Barrier(TABLES)

    def work(number: int) -> None:
        gate.wait()
        try:
            for round_ in range(1, rounds + 1):
                project.load(project.spec(f"s/t{number}"), ROW, load_id=f"load {round_}")
        except BaseException as error:  # noqa: BLE001  # it is what the test is about
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(TABLES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert [one.sql for one in stand_in.statements if one.ok is False] == []
    recorded = stand_in.query("SELECT table_name, count(*) FROM loader.loads GROUP BY 1 ORDER BY 1")
    assert recorded == [(f"t{number}", rounds + 1) for number in range(TABLES)]
    held = [stand_in.query(f"SELECT count(*) FROM s.t{number}")[0][0] for number in range(TABLES)]
    assert held == [(rounds + 1 if number % 3 == 0 else 1) for number in range(TABLES)]


@pytest.fixture(params=["duckdb", "redshift"])
def target(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The settings of a target of each kind."""
    if request.param == "duckdb":
        return {}
    return redshift_target(request.getfixturevalue("stand_in"))


def test_a_load_id_belongs_to_a_table(target: dict[str, Any], make_project: MakeProject) -> None:
    """Loads of different tables may share an id, such as that of the run which does both."""
    project: Project = make_project({"a.yml": spec(0), "b.yml": spec(3)}, **target)
    for table in ("s/t0", "s/t3"):
        assert project.load(project.spec(table), ROW, load_id="run 1").status == "loaded"
    for table in ("s/t0", "s/t3"):
        assert project.load(project.spec(table), ROW, load_id="run 1").status == "already_loaded"
        assert len(project.read(project.spec(table))) == 1
