"""What starts runs by itself: sensors for new files, and schedules of specs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from loader.dagster_io import DuckDBIOManager, new_files_sensor, schedules
from loader.errors import PlanError
from loader.project import Project
from tests.dagster_io.componentkit import BY_DAY, TYPE, Location, new_location, table

# Dagster's own doing, in components and runs of two dimensions.
pytestmark = [
    pytest.mark.filterwarnings("ignore:`parse_obj_as` is deprecated"),
    pytest.mark.filterwarnings("ignore:Non-compliant tag keys like"),
]

NEW: dict[str, Any] = {
    "write_disposition": "append",
    "source": {"files": "data/*.csv", "load": "new"},
}


@pytest.fixture
def location(tmp_path: Path) -> Iterator[Location]:
    # Ticks look up dynamic partitions in instances that have a home only.
    with new_location() as location, dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        location.instance = instance
        yield location


def rows(*numbers: int, day: str = "2013-01-01", origin: str = "JFK") -> str:
    lines = [f"{day},{origin},{number}" for number in numbers]
    return "\n".join(["day,origin,n", *lines, ""])


def tick(location: Location, name: str = "warehouse__new_files", cursor: str | None = None) -> Any:
    """What a look of the sensor asks for."""
    with location.defs() as defs:
        # As the daemon makes it; that of `build_sensor_context` knows no dynamic partitions.
        context = dg.SensorEvaluationContext(
            location.instance.get_ref(),
            cursor=cursor,
            repository_def=defs.get_repository_def(),
            resources={"io_manager": (defs.resources or {})["io_manager"]},
        )
        with context:
            return defs.resolve_sensor_def(name).evaluate_tick(context)


def run_requested(location: Location, found: Any) -> None:
    """Run what a tick asks for, as the daemon does."""
    for addition in found.dynamic_partitions_requests:
        location.instance.add_dynamic_partitions(
            addition.partitions_def_name, addition.partition_keys
        )
    for request in found.run_requests:
        (key,) = request.asset_selection
        done = location.run("/".join(key.path), partition_key=request.partition_key)
        assert done.success


def test_new_files_are_loaded_once(location: Location) -> None:
    """A tick asks for one run of all new files; after it, only for files that came since."""
    location.spec(table(**NEW))
    location.file("loader.toml", "")
    location.file("data/a.csv", rows(1))
    location.file("data/b.csv", rows(2))
    first = tick(location)
    assert len(first.run_requests) == 1
    assert tick(location).run_requests[0].run_key == first.run_requests[0].run_key
    run_requested(location, first)
    assert [n for _, _, n in location.rows()] == [1, 2]
    assert tick(location).skip_message == "no new files"
    location.file("data/c.csv", rows(3))
    second = tick(location)
    assert second.run_requests[0].run_key != first.run_requests[0].run_key
    run_requested(location, second)
    assert [n for _, _, n in location.rows()] == [1, 2, 3]


def test_each_partition_with_new_files_has_a_run(location: Location) -> None:
    """Files that are named by partition ask for these partitions, and again when they change."""
    location.file("loader.toml", "")
    location.spec(table(**BY_DAY, source={"files": "data/{date}/*.csv", "load": "new"}))
    location.file("data/2013-01-01/a.csv", rows(1))
    location.file("data/2013-01-03/a.csv", rows(3, day="2013-01-03"))
    location.file("data/2999-01-01/a.csv", rows(9, day="2999-01-01"))
    found = tick(location)
    assert sorted(one.partition_key for one in found.run_requests) == ["2013-01-01", "2013-01-03"]
    run_requested(location, found)
    assert [n for _, _, n in location.rows()] == [1, 3]
    assert "2999-01-01" in tick(location).skip_message
    location.file("data/2013-01-03/b.csv", rows(4, day="2013-01-03"))
    found = tick(location)
    assert [one.partition_key for one in found.run_requests] == ["2013-01-03"]
    run_requested(location, found)
    assert [n for _, _, n in location.rows()] == [1, 3, 4]


def test_tables_with_other_partitions_have_one_sensor(location: Location) -> None:
    """Dagster runs tables with different partitions in different jobs; the sensor names them."""
    location.file("loader.toml", "")
    source = {"files": "data/{date}/*.csv", "load": "new"}
    location.spec(table(**BY_DAY, source=source))
    later = {"date": {"start": "2013-01-02"}}
    others: dict[str, dict[str, Any]] = {
        "later": {**BY_DAY, "dagster": {"partitions": later}, "source": source},
        "same": {**BY_DAY, "source": source},
        "whole": {**NEW, "source": {"files": "data/*/a.csv", "load": "new"}},
    }
    for name, fields in others.items():
        location.spec({**table(**fields), "name": name}, f"{name}.yml")
    location.file("data/2013-01-02/a.csv", rows(1, day="2013-01-02"))
    found = tick(location)
    assert len(found.run_requests) == 4
    assert len({one.job_name for one in found.run_requests}) == 3
    run_requested(location, found)
    assert tick(location).skip_message == "no new files"


def test_a_look_requests_a_hundred_runs_and_later_ones_the_others(location: Location) -> None:
    """Thousands of new days do not flood Dagster, and runs that fail do not stop the others."""
    location.file("loader.toml", "")
    location.spec(table(**BY_DAY, source={"files": "data/{date}/*.csv", "load": "new"}))
    days = [str(date(2013, 1, 1) + timedelta(days=n)) for n in range(230)]
    for day in days:
        location.file(f"data/{day}/a.csv", rows(1, day=day))
    cursor, asked = None, list[str]()
    for _ in range(4):
        found = tick(location, cursor=cursor)
        assert len(found.run_requests) == 100
        asked += [one.partition_key for one in found.run_requests]
        cursor = found.cursor
    # No run loads anything here, as if each had failed: the last looks ask once more.
    assert sorted(asked[:230]) == days
    assert len(set(asked)) == 230


def test_dynamic_partitions_are_added_with_their_files(location: Location) -> None:
    """A file of a key that Dagster does not know adds it, beside a window of time."""
    location.file("loader.toml", "")
    dimensions = [*BY_DAY["partition_by"], {"name": "from", "expr": "origin"}]
    source = {"files": "data/{date}/{from}.csv", "load": "new"}
    location.spec(table(**{**BY_DAY, "partition_by": dimensions}, source=source))
    location.file("data/2013-01-01/JFK.csv", rows(1))
    location.file("data/2013-01-02/JFK.csv", rows(2, day="2013-01-02"))
    location.file("data/2013-01-01/EWR.csv", rows(3, origin="EWR"))
    found = tick(location)
    added = [key for one in found.dynamic_partitions_requests for key in one.partition_keys]
    assert sorted(added) == ["EWR", "JFK"]
    run_requested(location, found)
    assert [n for _, _, n in location.rows()] == [3, 1, 2]
    assert tick(location).skip_message == "no new files"


def test_a_table_that_fails_does_not_hide_the_others(location: Location) -> None:
    """A changed file that may not be loaded again is told; new files of other tables are loaded."""
    location.file("loader.toml", "")
    location.spec(table(**NEW))
    other: dict[str, Any] = {**NEW, "source": {"files": "other/*.csv", "load": "new"}}
    location.spec(table("u", **other), "u.yml")
    location.file("data/a.csv", rows(1))
    location.file("other/a.csv", rows(1))
    run_requested(location, tick(location))
    location.file("data/a.csv", rows(7, 8))
    location.file("other/b.csv", rows(2))
    found = tick(location)
    assert [one.asset_selection[0].path[-1] for one in found.run_requests] == ["u"]
    run_requested(location, found)
    with pytest.raises(dg.Failure, match=r"s\.t: a file has changed"):
        tick(location)


def test_components_in_folders_of_one_name_have_sensors_of_their_own(location: Location) -> None:
    """The name of a sensor is the component's place, as the key of its IO manager is."""
    home = location.sandbox.defs_folder_path
    body = {"type": TYPE, "attributes": {"target": "local"}}
    settings = '[targets.local]\ntype = "duckdb"\ndatabase = "w.duckdb"\n'
    (location.sandbox.project_root / "loader.toml").write_text(settings)
    for team in ("sales", "crm"):
        folder = home / team / "tables"
        (folder / "specs").mkdir(parents=True)
        (folder / "specs" / "t.yml").write_text(yaml.safe_dump({**table(**NEW), "schema": team}))
        (folder / "defs.yaml").write_text(yaml.safe_dump(body))
    with location.sandbox.build_all_defs() as defs:
        names = {sensor.name for sensor in defs.sensors or ()}
        defs.get_repository_def()
    assert names == {"crm__tables__new_files", "sales__tables__new_files"}


def test_no_files_yet_is_no_error(location: Location) -> None:
    """A folder that nothing has arrived in is looked at again later."""
    location.file("loader.toml", "")
    location.spec(table(**NEW))
    assert tick(location).skip_message == "no new files"


def test_a_sensor_without_tables_is_refused(tmp_path: Path) -> None:
    """A sensor that could never ask for a run is a mistake, told with what it takes."""
    (tmp_path / "t.yml").write_text(
        "{schema: s, name: t, columns: [{name: id, data_type: bigint}], source: {files: a.csv}}"
    )
    with pytest.raises(PlanError, match="no selected table loads new files") as caught:
        new_files_sensor(Project(specs=tmp_path))
    assert "load: new" in str(caught.value.hint)


# Schedules.

SCHEDULED: dict[str, tuple[dict[str, Any], list[str | None]]] = {
    "no partitions": ({}, [None]),
    "windows of time": (BY_DAY, ["2013-01-05"]),
    "windows of a zone": (
        {
            "columns": [{"name": "day", "data_type": "timestamptz"}],
            "partition_by": [
                {"name": "date", "expr": "day", "grain": "day", "timezone": "Asia/Tokyo"}
            ],
            "dagster": BY_DAY["dagster"],
        },
        ["2013-01-06"],
    ),
    "keys": (
        {
            "partition_by": [{"expr": "origin"}],
            "dagster": {"partitions": {"origin": {"keys": ["EWR", "JFK"]}}},
        },
        ["EWR", "JFK"],
    ),
    "dynamic keys": ({"partition_by": [{"expr": "origin"}]}, ["LGA"]),
    "windows and keys": (
        {
            "partition_by": [*BY_DAY["partition_by"], {"name": "origin", "expr": "origin"}],
            "dagster": BY_DAY["dagster"],
        },
        ["2013-01-05|LGA"],
    ),
    "before the first": (
        {**BY_DAY, "dagster": {"partitions": {"date": {"start": "2013-02-01"}}}},
        [],
    ),
    "days that begin before their end": (
        {**BY_DAY, "dagster": {"partitions": {"date": {"start": "2013-01-01", "end_offset": 2}}}},
        ["2013-01-05"],
    ),
    "days that come late": (
        {**BY_DAY, "dagster": {"partitions": {"date": {"start": "2013-01-01", "end_offset": -1}}}},
        ["2013-01-04"],
    ),
}


@pytest.mark.parametrize("kind", SCHEDULED)
def test_a_schedule_runs_what_is_due(location: Location, kind: str) -> None:
    """Of time the last complete window at the time of the tick, of other dimensions all keys."""
    fields, wanted = SCHEDULED[kind]
    options = {**fields.get("dagster", {}), "cron": "0 16 * * *", "timezone": "UTC"}
    location.spec(table(**{**fields, "dagster": options}))
    location.instance.add_dynamic_partitions("s.t.origin", ["LGA"])
    location.file("__init__.py", "")
    location.file("loads.py", "def rows(context): return None")
    with location.defs(assets={"s/t": {"callable": ".loads:rows"}}) as defs:
        schedule = defs.resolve_schedule_def("s__t__schedule")
        context = dg.build_schedule_context(
            location.instance,
            datetime(2013, 1, 6, 16, tzinfo=UTC),
            repository_def=defs.get_repository_def(),
        )
        found = schedule.evaluate_tick(context)
    assert [one.partition_key for one in found.run_requests or ()] == wanted
    assert schedule.cron_schedule == "0 16 * * *"
    assert schedule.execution_timezone == "UTC"


def test_only_tables_with_a_cron_have_a_schedule(tmp_path: Path) -> None:
    """`schedules` is for hand-written definitions too, and for the selected tables."""
    spec = "{schema: s, name: NAME, columns: [{name: id, data_type: bigint}]MORE}"
    cron = ', dagster: {cron: "@daily", timezone: Europe/Berlin}'
    for name, more in (("a", cron), ("b", ""), ("c", cron)):
        (tmp_path / f"{name}.yml").write_text(spec.replace("NAME", name).replace("MORE", more))
    project = Project(specs=tmp_path)
    assert [one.name for one in schedules(project)] == ["s__a__schedule", "s__c__schedule"]
    (one,) = schedules(project, ["s/c"])
    assert one.execution_timezone == "Europe/Berlin"
    asset = dg.asset(key=["s", "c"])(lambda: None)
    manager = DuckDBIOManager(database=str(tmp_path / "w.duckdb"))
    dg.Definitions(
        assets=[asset], schedules=[one], resources={"io_manager": manager}
    ).resolve_schedule_def(one.name)


def test_a_cron_that_no_clock_keeps_is_refused(tmp_path: Path) -> None:
    """A cron expression that Dagster cannot read is told with its table."""
    (tmp_path / "t.yml").write_text(
        "{schema: s, name: t, columns: [{name: id, data_type: bigint}],"
        ' dagster: {cron: "99 6 * * *"}}'
    )
    with pytest.raises(PlanError, match=r"s\.t: dagster\.cron: Dagster rejects `99 6"):
        schedules(Project(specs=tmp_path))
