"""Table specs as Dagster definitions: assets, partitions, checks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from loader.dagster_io.columns import table_schema
from loader.dagster_io.definitions import (
    asset_checks,
    asset_spec,
    asset_specs,
    partitions_def,
    with_specs,
)
from loader.dagster_io.managers import DuckDBIOManager, RedshiftIOManager
from loader.dagster_io.names import op_name
from loader.dagster_io.partitions import select
from loader.errors import PlanError, SpecError
from loader.project import Project
from loader.spec.diagnostics import diagnose
from loader.spec.model import TableSpec
from loader.spec.partition_keys import parse_key
from loader.spec.partitions import make_slice
from loader.spec.periods import WEEKDAYS, Window
from tests.conftest import MakeProject

COLUMNS = [
    {"name": "day", "data_type": "date"},
    {"name": "origin", "data_type": "varchar(3)"},
    {"name": "n", "data_type": "integer"},
]
RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


def table(**fields: Any) -> dict[str, Any]:
    return {"schema": "s", "name": "t", "columns": COLUMNS, **fields}


def spec(**fields: Any) -> TableSpec:
    found, problems = diagnose(table(**fields))
    assert problems == []
    assert found is not None
    return found


BY_DAY = [{"name": "date", "expr": "day", "grain": "day"}]
BY_ORIGIN = [{"name": "origin", "expr": "origin"}]


def listed(**partitions: Any) -> dict[str, Any]:
    return {"dagster": {"partitions": partitions}}


# Partitions


ZONES = [
    *("UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe"),
    *(
        "America/Havana",
        "America/Sao_Paulo",
        "Asia/Beirut",
        "Pacific/Auckland",
        "Africa/Casablanca",
    ),
]
"""Zones without changes, with changes at two in the morning, at midnight and around a month, and
one whose clocks move by half an hour."""

SPANS = {
    "minute": ("2018-10-28-00:00", "2018-10-28-06:00"),
    "hour": ("2018-03-01", "2018-11-30"),
    "day": ("2016-01-01", "2020-01-01"),
    "week": ("2016-01-01", "2020-01-01"),
    "month": ("2008-01-01", "2026-01-01"),
    "quarter": ("2008-01-01", "2026-01-01"),
    "year": ("2008-01-01", "2026-01-01"),
}
CASES = [
    (grain, zone, start)
    for grain in SPANS
    for zone in ZONES
    for start in (WEEKDAYS if grain == "week" else ["monday"])
    if (grain, zone) != ("hour", "Australia/Lord_Howe")
]


@pytest.mark.parametrize(("grain", "zone", "week_start"), CASES)
def test_every_key_is_the_same_window_to_both(grain: str, zone: str, week_start: str) -> None:
    """What a key of Dagster's definition means to Dagster is what it means to the table, always."""
    first, last = SPANS[grain]
    if grain == "week":
        behind = (WEEKDAYS.index(week_start) - date.fromisoformat(first).weekday()) % 7
        first = str(date.fromisoformat(first) + timedelta(days=behind))
        last = str(date.fromisoformat(first) + timedelta(weeks=200))
    weekly = {"week_start": week_start} if grain == "week" else {}
    entry = {"name": "at", "expr": "at", "grain": grain, "timezone": zone, **weekly}
    found = spec(
        columns=[{"name": "at", "data_type": "timestamptz"}],
        partition_by=[entry],
        **listed(at={"start": first, "end": last}),
    )
    definition = partitions_def(found)
    assert isinstance(definition, dg.TimeWindowPartitionsDefinition)
    keys = definition.get_partition_keys()
    assert len(set(keys)) == len(keys) > 10
    for key in keys:
        window = definition.time_window_for_partition_key(key)
        ours = parse_key(found.dimensions[0], key).cell
        assert isinstance(ours, Window)
        assert (stamp(ours.start), stamp(ours.end)) == (stamp(window.start), stamp(window.end))
    assert len(make_slice(found.dimensions, keys).boxes[0].parts[0].windows) == 1


def stamp(moment: object) -> float:
    # Times of one zone are compared by the clock, which may show one twice.
    assert isinstance(moment, datetime)
    return moment.timestamp()


@pytest.mark.parametrize(
    ("grain", "kind", "first"),
    [
        ("minute", dg.TimeWindowPartitionsDefinition, "2013-01-07-00:00"),
        ("hour", dg.HourlyPartitionsDefinition, "2013-01-07-00:00"),
        ("day", dg.DailyPartitionsDefinition, "2013-01-07"),
        ("week", dg.WeeklyPartitionsDefinition, "2013-01-07"),
        ("month", dg.MonthlyPartitionsDefinition, "2013-01-01"),
        ("quarter", dg.TimeWindowPartitionsDefinition, "2013-01-01"),
        ("year", dg.TimeWindowPartitionsDefinition, "2013-01-01"),
    ],
)
def test_a_grain_is_dagsters_own_kind_of_partitions(grain: str, kind: type, first: str) -> None:
    """Dagster names hours, days, weeks and months in its pages; keys are as it writes them."""
    starts = {"month": "2013-01", "quarter": "2013-Q1", "year": 2013}
    columns = [{"name": "at", "data_type": "timestamp"}]
    definition = partitions_def(
        spec(
            columns=columns,
            partition_by=[{"expr": "at", "grain": grain, "timezone": "Europe/Berlin"}],
            **listed(at={"start": starts.get(grain, "2013-01-07")}),
        )
    )
    assert type(definition) is kind
    assert isinstance(definition, dg.TimeWindowPartitionsDefinition)
    assert definition.timezone == "Europe/Berlin"
    assert definition.get_first_partition_key() == first


def test_an_end_and_an_offset() -> None:
    """`end` is the first key that is not there any more, `end_offset` how many are to come."""
    ended = partitions_def(
        spec(
            partition_by=BY_DAY, **listed(date={"start": date(2013, 1, 1), "end": date(2013, 1, 4)})
        )
    )
    assert ended is not None
    assert ended.get_partition_keys() == ["2013-01-01", "2013-01-02", "2013-01-03"]
    ahead = partitions_def(
        spec(partition_by=BY_DAY, **listed(date={"start": "2013-01-01", "end_offset": 1}))
    )
    assert ahead == dg.DailyPartitionsDefinition("2013-01-01", end_offset=1)


def test_no_partitions() -> None:
    """A table without partitions has no partitions definition."""
    assert partitions_def(spec()) is None


@pytest.mark.parametrize(
    ("partitions", "expected"),
    [
        ({}, dg.DynamicPartitionsDefinition(name="s.t.origin")),
        ({"origin": {"dynamic": "airports"}}, dg.DynamicPartitionsDefinition(name="airports")),
        ({"origin": {"keys": ["JFK", "EWR"]}}, dg.StaticPartitionsDefinition(["JFK", "EWR"])),
    ],
)
def test_values_are_static_or_dynamic(partitions: Any, expected: dg.PartitionsDefinition) -> None:
    """A dimension without a grain has the keys it lists, else those that come, by a name."""
    assert partitions_def(spec(partition_by=BY_ORIGIN, **listed(**partitions))) == expected


def test_keys_of_other_types_are_text() -> None:
    """Numbers, dates and booleans of YAML are keys as Dagster and the command line write them."""
    for column, kind, keys, texts in (
        ("n", "integer", [1, 20], ["1", "20"]),
        ("n", "boolean", [True, False], ["true", "false"]),
        ("n", "date", [date(2013, 1, 1)], ["2013-01-01"]),
    ):
        found = spec(
            columns=[{"name": column, "data_type": kind}],
            partition_by=[{"expr": column}],
            **listed(n={"keys": keys}),
        )
        assert partitions_def(found) == dg.StaticPartitionsDefinition(texts)


def test_two_dimensions() -> None:
    """Two dimensions are Dagster's multi-partitions, and each key is one cell of the table."""
    found = spec(
        partition_by=[*BY_DAY, *BY_ORIGIN],
        **listed(
            date={"start": "2013-01-01", "end": "2013-01-03"}, origin={"keys": ["EWR", "JFK"]}
        ),
    )
    definition = partitions_def(found)
    assert isinstance(definition, dg.MultiPartitionsDefinition)
    keys = definition.get_partition_keys()
    assert len(keys) == 4
    assert make_slice(found.dimensions, select(found, definition, keys).request).keys == (
        ("2013-01-01", "EWR"),
        ("2013-01-01", "JFK"),
        ("2013-01-02", "EWR"),
        ("2013-01-02", "JFK"),
    )


def test_a_grain_needs_a_start() -> None:
    """Dagster lists windows from a first one on; the error tells which key to add to the spec."""
    with pytest.raises(PlanError) as error:
        partitions_def(spec(partition_by=BY_DAY))
    assert str(error.value) == (
        "the spec of s.t has no first partition of `date`, so Dagster cannot list the"
        " partitions\n\nhint: add its key to the spec, `2013-01-01`: dagster: {partitions:"
        " {date: {start: …}}}"
    )


TWO_TIMES = [*BY_DAY, {"name": "week", "expr": "day", "grain": "week"}]


@pytest.mark.parametrize(
    ("partition_by", "message"),
    [
        (
            [*BY_DAY, *BY_ORIGIN, {"name": "n", "expr": "n"}],
            "s.t has 3 partition dimensions (`date`, `origin`, `n`), but Dagster supports at most"
            " two",
        ),
        (
            TWO_TIMES,
            "s.t has time windows in both dimensions (`date` and `week`), but Dagster supports at"
            " most one such dimension",
        ),
    ],
)
def test_what_dagster_has_no_partitions_for(partition_by: Any, message: str) -> None:
    """More than two dimensions, or two of time, are refused by name."""
    with pytest.raises(PlanError) as error:
        partitions_def(spec(partition_by=partition_by))
    assert error.value.message == message
    assert error.value.hint


def test_hours_of_clocks_that_move_by_half_an_hour() -> None:
    """Where Dagster's hours would not be hours of the clock, the zone is refused."""
    columns = [{"name": "at", "data_type": "timestamptz"}]
    entry = {"expr": "at", "grain": "hour", "timezone": "Australia/Lord_Howe"}
    found = spec(columns=columns, partition_by=[entry], **listed(at={"start": "2018-01-01"}))
    with pytest.raises(
        PlanError, match="the UTC offset of Australia/Lord_Howe changes by less than"
    ):
        partitions_def(found)


# Columns


def test_columns_are_shown_as_they_are_declared() -> None:
    """Types are the spec's, and a column is unique only when it is the whole primary key."""
    columns = [
        {"name": "id", "data_type": "bigint", "identity": [0, 1]},
        {"name": "a", "data_type": "varchar(3)", "description": "An a.", "classification": "pii"},
        {"name": "b", "data_type": "decimal(5,2)", "default": "0"},
    ]
    shown = table_schema(
        spec(columns=columns, primary_key=["a"], dist="a", sort=["b"], partition_by=[{"expr": "a"}])
    )
    assert shown.columns == [
        dg.TableColumn(
            "id",
            "bigint",
            constraints=dg.TableColumnConstraints(nullable=False, other=["identity(0, 1)"]),
        ),
        dg.TableColumn(
            "a",
            "varchar(3)",
            description="An a.",
            constraints=dg.TableColumnConstraints(
                nullable=False, unique=True, other=["primary key", "dist key"]
            ),
            tags={"classification": "pii"},
        ),
        dg.TableColumn(
            "b",
            "decimal(5,2)",
            constraints=dg.TableColumnConstraints(other=["sort key", "default 0"]),
        ),
    ]
    assert shown.constraints.other == [
        *("PRIMARY KEY (a)", "DISTKEY (a)", "SORTKEY (b)", "PARTITION BY a"),
    ]
    two = table_schema(spec(primary_key=["day", "n"], dist="even", partition_by=BY_DAY))
    assert not any(column.constraints.unique for column in two.columns)
    assert two.constraints.other == [
        *("PRIMARY KEY (day, n)", "DISTSTYLE EVEN", "PARTITION BY day (day)"),
    ]


# Assets


FULL = table(
    description="One row per thing.",
    owners=["team:data", "someone@example.com"],
    tags={"domain": "things"},
    meta={
        "link": "https://example.com",
        "day": date(2013, 1, 1),
        "deep": {"days": [date(2013, 1, 1)]},
        "none": None,
        "number": 3,
    },
    partition_by=BY_DAY,
    dagster={
        "group": "raw",
        "kinds": ["table", "csv"],
        "freshness": {"fail": "2d", "warn": "24h"},
        "automation": {"on_cron": "0 6 * * *", "timezone": "Europe/Berlin"},
        "partitions": {"date": {"start": "2013-01-01"}},
    },
)


def test_an_asset_is_what_its_spec_says(make_project: MakeProject) -> None:
    """Key, description, owners, tags, kinds, group, columns, policies and place reach Dagster."""
    project = make_project({"a/t.yml": {"asset_key": "raw/deep/t", **FULL}})
    made = asset_spec(project, "s.t", deps=[dg.AssetKey("up")])
    assert made.key == dg.AssetKey(["raw", "deep", "t"])
    assert made.description == "One row per thing."
    assert list(made.owners) == ["team:data", "someone@example.com"]
    assert made.tags["domain"] == "things"
    assert made.kinds == {"table", "csv", "duckdb"}
    assert made.group_name == "raw"
    assert made.partitions_def == dg.DailyPartitionsDefinition("2013-01-01")
    assert made.freshness_policy == dg.FreshnessPolicy.time_window(
        fail_window=timedelta(days=2), warn_window=timedelta(hours=24)
    )
    assert made.automation_condition == dg.AutomationCondition.on_cron("0 6 * * *", "Europe/Berlin")
    assert [dep.asset_key for dep in made.deps] == [dg.AssetKey("up")]
    found = {name: getattr(value, "value", value) for name, value in made.metadata.items()}
    assert found["link"] == "https://example.com"
    assert (found["day"], found["deep"], found["none"], found["number"]) == (
        *("2013-01-01", {"days": ["2013-01-01"]}, None, 3),
    )
    assert made.metadata["dagster/table_name"] == "s.t"
    assert made.metadata["dagster/column_schema"] == table_schema(project.spec("s.t"))
    assert made.metadata["dagster/io_manager_key"] == "io_manager"
    (reference,) = made.metadata["dagster/code_references"].code_references
    path = project.config.specs / "a" / "t.yml"
    assert (reference.file_path, reference.line_number) == (str(path.resolve()), 1)


@pytest.mark.parametrize(
    ("automation", "expected"),
    [
        ("eager", dg.AutomationCondition.eager()),
        ("on_missing", dg.AutomationCondition.on_missing()),
        (None, None),
    ],
)
def test_automation(make_project: MakeProject, automation: Any, expected: Any) -> None:
    """The words for when a table is materialized are Dagster's conditions."""
    project = make_project({"t.yml": table(dagster={"automation": automation})})
    assert asset_spec(project, "s/t").automation_condition == expected


def test_kinds_have_room_and_sense(make_project: MakeProject) -> None:
    """Where the table is becomes a kind, unless the spec says it or already has ten."""
    many = [f"k{number}" for number in range(10)]
    project = make_project(
        {
            "a.yml": table(name="a", dagster={"kinds": many}),
            "b.yml": table(name="b", dagster={"kinds": ["redshift"]}),
            "c.yml": table(name="c"),
        }
    )
    a, b, c = asset_specs(project)
    assert (a.kinds, b.kinds, c.kinds) == (set(many), {"redshift"}, {"duckdb"})


def test_a_project_without_settings_has_no_kind(tmp_path: Path) -> None:
    """A folder of specs alone does not tell where its tables are."""
    (tmp_path / "t.yml").write_text("schema: s\nname: t\ncolumns: [{name: a, data_type: date}]\n")
    assert asset_spec(Project(specs=tmp_path), "s/t").kinds == set()


def test_assets_are_selected_as_on_the_command_line(make_project: MakeProject) -> None:
    """Asset keys, globs and files choose tables; an unknown one is told with the nearest."""
    project = make_project({f"{name}.yml": table(name=name) for name in ("ab", "ac", "b")})
    keys = [made.key.to_user_string() for made in asset_specs(project, ["s/a*"])]
    assert keys == ["s/ab", "s/ac"]
    (made,) = asset_specs(project, ["specs/b.yml"], io_manager_key="other")
    assert made.metadata["dagster/io_manager_key"] == "other"
    with pytest.raises(PlanError, match="no table spec is called `s/abb`"):
        asset_specs(project, ["s/abb"])


def test_what_dagster_refuses_is_told_with_the_file(make_project: MakeProject) -> None:
    """Dagster's rules are its own; what it refuses is told with the spec's file and line."""
    project = make_project(
        {
            "a.yml": table(name="a", owners=["a@b"]),
            "b.yml": table(name="b", dagster={"freshness": {"fail": "30s"}}),
            "c.yml": table(name="c", dagster={"automation": {"on_cron": "99 * * * *"}}),
        }
    )
    for name, message in (
        ("a", "specs/a.yml:1: Dagster rejects the asset `s/a`: Invalid owner 'a@b'"),
        ("b", "specs/b.yml:1: Dagster rejects the asset `s/b`: .*fail_window"),
        ("c", "specs/c.yml:1: Dagster rejects the asset `s/c`: .*99 "),
    ):
        with pytest.raises(PlanError, match=message):
            asset_spec(project, f"s/{name}")


def test_two_specs_of_one_key(make_project: MakeProject) -> None:
    """Broken specs, such as a second one of a key, stop the definitions with all problems."""
    project = make_project({"a.yml": table(), "b.yml": table(), "c.yml": {"schema": "s"}})
    for attempt in (
        lambda: asset_specs(project),
        lambda: asset_checks(project),
        lambda: with_specs(dg.Definitions(), project),
    ):
        with pytest.raises(SpecError) as error:
            attempt()
        text = str(error.value)
        assert "specs/b.yml:1:1: the asset key `s/t` is already that of specs/a.yml" in text
        assert "specs/c.yml:1:1: `name` is missing" in text


def test_without_a_folder(tmp_path: Path) -> None:
    """A folder of specs that is not there is told by its path."""
    project = Project(specs=tmp_path / "nowhere")
    with pytest.raises(PlanError, match=r"nowhere, does not exist"):
        asset_specs(project)


# Hand-written assets


def test_hand_written_assets_get_what_they_lack(make_project: MakeProject) -> None:
    """What an asset does not say comes from the spec of its key; what it says stays."""
    full = {name: value for name, value in FULL.items() if name != "partition_by"}
    del full["dagster"]["partitions"]
    project = make_project({f"{name}.yml": {**full, "name": name} for name in ("bare", "said")})
    said_freshness = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=1))

    @dg.asset(key=["s", "bare"])
    def bare() -> None: ...

    @dg.asset(
        key=["s", "said"],
        description="Mine.",
        owners=["team:me"],
        tags={"domain": "mine", "other": "x"},
        kinds={"polars"},
        group_name="mine",
        metadata={"link": "mine", "dagster/table_name": "mine", "more": 1},
        freshness_policy=said_freshness,
        automation_condition=dg.AutomationCondition.eager(),
    )
    def said() -> None: ...

    @dg.asset
    def unknown() -> None: ...

    manager = RedshiftIOManager(
        host="h", database="d", user="u", s3_iam_role="r", bucket_name="b", cluster_identifier="c"
    )
    defs = with_specs(
        dg.Definitions(assets=[bare, said, unknown], resources={"io_manager": manager}), project
    )
    graph = defs.resolve_asset_graph()
    one = graph.get(dg.AssetKey(["s", "bare"]))
    assert (one.description, list(one.owners), one.group_name) == (
        *("One row per thing.", ["team:data", "someone@example.com"], "raw"),
    )
    assert one.kinds == {"table", "csv", "redshift"}
    assert one.tags["domain"] == "things"
    assert "dagster/column_schema" in one.metadata
    assert one.automation_condition is not None
    two = graph.get(dg.AssetKey(["s", "said"]))
    assert (two.description, list(two.owners), two.group_name) == ("Mine.", ["team:me"], "mine")
    assert two.kinds == {"polars", "table", "csv", "redshift"}
    assert (two.tags["domain"], two.tags["other"]) == ("mine", "x")
    assert (two.metadata["link"], two.metadata["dagster/table_name"]) == ("mine", "mine")
    assert two.metadata["more"] == 1
    assert two.metadata["number"] == 3
    assert two.freshness_policy == said_freshness
    assert two.automation_condition == dg.AutomationCondition.eager()
    assert graph.get(dg.AssetKey("unknown")).metadata == {}


def test_code_references_are_joined(make_project: MakeProject) -> None:
    """The asset's code stays the first reference, and the spec's file comes behind it."""
    project = make_project({"t.yml": table()})

    @dg.asset(key=["s", "t"])
    def made() -> None: ...

    assets = dg.with_source_code_references([made])
    graph = with_specs(dg.Definitions(assets=assets), project).resolve_asset_graph()
    found = graph.get(dg.AssetKey(["s", "t"])).metadata["dagster/code_references"]
    files = [Path(one.file_path).name for one in found.code_references]
    assert files == [Path(__file__).name, "t.yml"]


def test_kinds_of_hand_written_assets_have_a_limit(make_project: MakeProject) -> None:
    """Ten kinds are Dagster's most; the asset's own go first."""
    project = make_project({"t.yml": table(dagster={"kinds": ["a", "b", "c"]})})
    own = {f"k{number}" for number in range(9)}

    @dg.asset(key=["s", "t"], kinds=own)
    def made() -> None: ...

    graph = with_specs(dg.Definitions(assets=[made]), project).resolve_asset_graph()
    assert graph.get(dg.AssetKey(["s", "t"])).kinds == {*own, "a"}


# Checks


@dataclass
class Bench:
    """A project with one table, an asset that fills it, and its checks."""

    project: Project
    instance: dg.DagsterInstance
    partitions: dg.PartitionsDefinition | None = None

    @property
    def database(self) -> Path:
        """The database file."""
        return self.project.config.root / "warehouse.duckdb"

    def resources(self) -> dict[str, Any]:
        """An IO manager for the database."""
        specs = str(self.project.config.specs)
        return {"io_manager": DuckDBIOManager(database=str(self.database), specs=specs)}

    def fill(self, frame: Any, **load: Any) -> None:
        """Load the table, without Dagster."""
        manager = self.resources()["io_manager"]
        manager.project.load(manager.project.spec("s/t"), frame, **load)

    def materialize(self, frame: Any, **run: Any) -> dg.ExecuteInProcessResult:
        """Run the asset, its checks, and an asset below."""
        policy = dg.BackfillPolicy.single_run() if self.partitions else None

        @dg.asset(key=["s", "t"], partitions_def=self.partitions, backfill_policy=policy)
        def t() -> Any:
            return frame

        @dg.asset(deps=[t])
        def below() -> None: ...

        return dg.materialize(
            [t, below, *asset_checks(self.project)],
            instance=self.instance,
            resources=self.resources(),
            raise_on_error=False,
            **run,
        )

    def check(self, *names: str, resources: Mapping[str, Any] | None = None) -> Results:
        """Run checks by themselves, as the button does; all of them by default."""
        key = dg.AssetKey(["s", "t"])
        checks = [dg.AssetCheckKey(key, name) for name in names]
        selection = (
            dg.AssetSelection.checks(*checks)
            if checks
            else dg.AssetSelection.checks_for_assets(key)
        )
        job = dg.define_asset_job("only", selection=selection)
        defs = dg.Definitions(
            assets=[asset_spec(self.project, "s/t")],
            asset_checks=asset_checks(self.project),
            jobs=[job],
            resources=resources or self.resources(),
        )
        done = defs.resolve_job_def("only").execute_in_process(
            instance=self.instance, raise_on_error=False
        )
        return Results(done)


@dataclass
class Results:
    """What the checks of a run found."""

    done: dg.ExecuteInProcessResult

    @property
    def by_name(self) -> dict[str, dg.AssetCheckEvaluation]:
        """What each check found."""
        return {one.check_name: one for one in self.done.get_asset_check_evaluations()}

    @property
    def passed(self) -> dict[str, bool]:
        """Which checks hold."""
        return {name: one.passed for name, one in self.by_name.items()}

    def metadata(self, name: str) -> dict[str, Any]:
        """What a check tells besides."""
        return {key: value.value for key, value in self.by_name[name].metadata.items()}

    @property
    def failures(self) -> list[str]:
        """What the steps that failed say."""
        found = []
        for event in self.done.all_events:
            data = event.step_failure_data.user_failure_data if event.is_step_failure else None
            if data is not None:
                found.append(str(data.description))
        return found


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def rows(*found: tuple[str | None, str | None, int | None]) -> pd.DataFrame:
    frame = pd.DataFrame(found, columns=["day", "origin", "n"])
    return frame.astype({"n": "Int64"})


CHECKS = [
    {"metric": "row_count", "must_be_greater_than": 0},
    {"metric": "row_count", "must_be_less_than": 3, "severity": "warning"},
    {"metric": "null_values", "column": "n", "must_be_less_than": 50, "unit": "percent"},
    {"metric": "duplicate_values", "columns": ["day", "n"], "must_be": 0, "name": "größe: no-dup!"},
    {"metric": "row_count", "must_be": 1, "name": "???", "severity": "warning"},
]
NAMES = ["row_count", "row_count_2", "null_values_n", "gr_e_no_dup", "row_count_3"]


def test_checks_have_names_that_dagster_takes(make_project: MakeProject) -> None:
    """A check is named by its name or metric in letters, digits and _, each name once."""
    (found,) = asset_checks(make_project({"t.yml": table(checks=CHECKS), "u.yml": table(name="u")}))
    declared = {one.name: one for one in found.check_specs}
    assert list(declared) == NAMES
    assert [one.blocking for one in declared.values()] == [True, False, True, True, False]
    assert declared["row_count"].description == "row_count must be > 0"
    assert declared["null_values_n"].description == (
        "null_values of n must be < 50 percent of the rows"
    )
    assert declared["gr_e_no_dup"].description == (
        "größe: no-dup!: duplicate_values of day, n must be = 0"
    )


def test_checks_ask_the_warehouse(make_project: MakeProject, instance: dg.DagsterInstance) -> None:
    """Each check tells whether it holds, how bad that is, and a number that plots."""
    bench = Bench(make_project({"t.yml": table(checks=CHECKS)}), instance)
    bench.fill(rows(("2013-01-01", "a", 1), ("2013-01-02", "b", 2), ("2013-01-03", "b", None)))
    found = bench.check()
    assert found.done.success
    assert found.passed == dict(zip(NAMES, [True, False, True, True, False], strict=True))
    assert found.by_name["row_count"].severity == dg.AssetCheckSeverity.ERROR
    assert found.by_name["row_count_2"].severity == dg.AssetCheckSeverity.WARN
    assert found.by_name["row_count_2"].description == "row_count is 3, must be < 3"
    assert found.metadata("row_count") == {
        "value": 3,
        "expectation": "> 0",
        "slice": "the whole table",
    }
    share = found.metadata("null_values_n")["value"]
    assert isinstance(share, float)
    assert share == pytest.approx(100 / 3)


def test_a_check_that_fails_shows_rows_that_break_it(
    make_project: MakeProject, instance: dg.DagsterInstance
) -> None:
    """The page of a check has a table of some of its rows, and none where it holds."""
    nulls = {"metric": "null_values", "column": "n", "must_be": 0, "severity": "warning"}
    checks = [nulls, CHECKS[0]]
    bench = Bench(make_project({"t.yml": table(checks=checks)}), instance)
    bench.fill(rows(("2013-01-01", "a", 1), ("2013-01-03", "b", None)))
    found = bench.check().by_name
    shown = found["null_values_n"].metadata["rows"]
    assert isinstance(shown, dg.TableMetadataValue)
    (row,) = shown.records
    assert row.data["n"] == "NULL"
    assert row.data["day"] == "2013-01-03"
    assert "rows" not in found["row_count"].metadata


def test_checks_of_every_kind_are_asset_checks(
    make_project: MakeProject, instance: dg.DagsterInstance
) -> None:
    """Each has a description of its own, a number where there is one, and its rows; some warn."""
    checks: list[dict[str, Any]] = [
        {"metric": "invalid_values", "column": "origin", "pattern": "^[a-c]$", "must_be": 0},
        {"metric": "failed_rows", "expression": "n < 3", "must_be": 0},
        {
            "metric": "freshness",
            "column": "day",
            "unit": "days",
            "must_be_less_than": 2,
            "severity": "warning",
        },
        {"metric": "sql", "name": "top", "query": "SELECT max(n) FROM {slice}", "must_be": 3},
        {"metric": "maximum", "column": "n", "must_be_less_than": 3, "severity": "warning"},
    ]
    bench = Bench(make_project({"t.yml": table(checks=checks)}), instance)
    declared = {one.name: one for one in asset_checks(bench.project)[0].check_specs}
    names = [
        "invalid_values_origin_pattern_a_c",
        "failed_rows_n_3",
        "freshness_day",
        "top",
        "maximum_n",
    ]
    assert list(declared) == names
    assert declared[names[0]].description == (
        "invalid_values of origin (pattern ^[a-c]$) must be = 0"
    )
    assert declared["freshness_day"].description == "freshness of day must be < 2 days"
    without = Bench(make_project({"t.yml": table()}), instance)
    without.fill(rows(("2013-01-01", "a", 1), ("2013-01-03", "x", 3)))
    bench = Bench(make_project({"t.yml": table(checks=checks)}), instance)
    found = bench.check()
    assert found.passed == dict(zip(names, [False, False, False, True, False], strict=True))
    assert found.by_name["freshness_day"].severity == dg.AssetCheckSeverity.WARN
    assert found.metadata("freshness_day")["value"] > 4_000
    assert found.metadata("top")["value"] == 3
    for name in (names[0], names[1], "freshness_day", "maximum_n"):
        shown = found.by_name[name].metadata["rows"]
        assert isinstance(shown, dg.TableMetadataValue)
        assert shown.records[0].data["n"] == "3"


def test_one_check_alone(make_project: MakeProject, instance: dg.DagsterInstance) -> None:
    """Checks run one by one too, and then nothing else is asked."""
    bench = Bench(make_project({"t.yml": table(checks=CHECKS)}), instance)
    bench.fill(rows(("2013-01-01", "a", 1)))
    assert bench.check("row_count_2").passed == {"row_count_2": True}


@pytest.mark.parametrize(("severity", "ran"), [("error", False), ("warning", True)])
def test_a_failed_check_keeps_what_is_downstream_from_running(
    make_project: MakeProject, instance: dg.DagsterInstance, severity: str, ran: bool
) -> None:
    """Of an asset that writes by itself, a check that does not hold stops the assets below."""
    checks = [{"metric": "row_count", "must_be_less_than": 3, "severity": severity}]
    bench = Bench(make_project({"t.yml": table(checks=checks)}), instance)
    bench.fill(rows(("2013-01-01", "a", 1)))
    loose = bench.project.spec("s/t").model_copy(
        update={"checks": (), "write_disposition": "append"}
    )
    manager = bench.resources()["io_manager"]
    manager.project.load(loose, rows(*(("2013-01-01", "a", n) for n in range(4))))

    @dg.asset(key=["s", "t"])
    def t() -> None: ...

    @dg.asset(deps=[t])
    def below() -> None: ...

    done = dg.materialize(
        [t, below, *asset_checks(bench.project)],
        instance=instance,
        resources=bench.resources(),
        raise_on_error=False,
    )
    assert Results(done).metadata("row_count")["value"] == 5
    assert bool(done.asset_materializations_for_node("below")) is ran


def test_checks_of_a_table_that_is_not_there(
    make_project: MakeProject, instance: dg.DagsterInstance
) -> None:
    """Without a table no check holds, and each says why."""
    bench = Bench(make_project({"t.yml": table(checks=CHECKS)}), instance)
    found = bench.check()
    assert set(found.passed.values()) == {False}
    assert found.by_name["row_count"].description == (
        "there is no table s.t, so row_count cannot be checked; materialize the asset"
    )
    assert found.by_name["row_count_2"].severity == dg.AssetCheckSeverity.WARN
    assert found.failures == []


def test_a_broken_warehouse_is_no_failed_check(
    make_project: MakeProject, instance: dg.DagsterInstance
) -> None:
    """When the warehouse cannot be asked, the step fails and says so; the data is not blamed."""
    bench = Bench(make_project({"t.yml": table(checks=CHECKS)}), instance)
    bench.database.write_text("this is no database" * 100)
    found = bench.check()
    assert found.by_name == {}
    assert "warehouse.duckdb" in found.failures[0]


def test_checks_of_another_resource(
    make_project: MakeProject, instance: dg.DagsterInstance
) -> None:
    """Only Loader's managers know a warehouse; another one is told by its class."""
    bench = Bench(make_project({"t.yml": table(checks=CHECKS)}), instance)
    other = dg.IOManagerDefinition.hardcoded_io_manager(dg.InMemoryIOManager())  # type: ignore[no-untyped-call]  # Dagster's
    found = bench.check(resources={"io_manager": other})
    assert found.failures[0].startswith("the resource `io_manager` is a InMemoryIOManager, but")


@pytest.mark.parametrize(
    ("run", "counts", "where"),
    [
        ({"partition_key": "2013-01-02"}, 1, "2013-01-02"),
        (
            {"tags": dict(zip(RANGE, ("2013-01-01", "2013-01-02"), strict=True))},
            3,
            "2013-01-01, 2013-01-02",
        ),
    ],
)
def test_a_run_of_partitions_checks_these(
    make_project: MakeProject,
    instance: dg.DagsterInstance,
    run: dict[str, Any],
    counts: int,
    where: str,
) -> None:
    """In a run about partitions the checks are about their rows, as those before COMMIT were."""
    data = {("2013-01-01", "a", 1), ("2013-01-01", "a", 2), ("2013-01-02", "b", 3)}
    checks = [{"metric": "row_count", "must_be_less_than": 4}]
    project = make_project(
        {"t.yml": table(partition_by=BY_DAY, checks=checks, **listed(date={"start": "2013-01-01"}))}
    )
    bench = Bench(project, instance, partitions_def(project.spec("s/t")))
    other = rows(*(("2013-02-01", "z", n) for n in range(3)))
    bench.fill(other, partition="2013-02-01")
    frame = rows(*(row for row in sorted(data) if row[0] in where))
    results = Results(bench.materialize(frame, **run))
    assert results.done.success
    assert results.metadata("row_count") == {
        "value": counts,
        "expectation": "< 4",
        "slice": where,
    }
    assert bench.check().metadata("row_count")["value"] == 3 + counts


def test_checks_of_crossed_partitions(
    make_project: MakeProject, instance: dg.DagsterInstance
) -> None:
    """A cell of two dimensions is checked alone, static or dynamic; so is an asset's own kind."""
    project = make_project(
        {
            "t.yml": table(
                partition_by=[*BY_DAY, *BY_ORIGIN],
                checks=[{"metric": "row_count", "must_be": 1}],
                **listed(date={"start": "2013-01-01"}),
            )
        }
    )
    definition = partitions_def(project.spec("s/t"))
    bench = Bench(project, instance, definition)
    instance.add_dynamic_partitions("s.t.origin", ["EWR", "JFK"])
    for origin in ("EWR", "JFK"):
        key = dg.MultiPartitionKey({"date": "2013-01-01", "origin": origin})
        results = Results(bench.materialize(rows(("2013-01-01", origin, 1)), partition_key=key))
        assert results.passed == {"row_count": True}
        assert results.metadata("row_count")["slice"] == str(key)


@pytest.mark.parametrize("key", ["s/odd key-1", 's/a"b', "s/größe", "a__b/c", "a/b.c"])
def test_odd_asset_keys_have_checks_too(
    make_project: MakeProject, instance: dg.DagsterInstance, key: str
) -> None:
    """Asset keys may hold any text, and names of ops may not."""
    checks = [{"metric": "row_count", "must_be_greater_than": 0}]
    project = make_project({"t.yml": table(asset_key=key, checks=checks)})
    bench = Bench(project, instance)
    bench.resources()["io_manager"].project.load(project.spec("s.t"), rows(("2013-01-01", "a", 1)))
    defs = dg.Definitions(
        assets=asset_specs(project),
        asset_checks=asset_checks(project),
        jobs=[dg.define_asset_job("only", selection=dg.AssetSelection.all_asset_checks())],
        resources=bench.resources(),
    )
    done = defs.resolve_job_def("only").execute_in_process(instance=instance)
    assert Results(done).passed == {"row_count": True}


def test_ops_have_names_of_their_own() -> None:
    """Keys that differ in what names may not hold have ops of different names."""
    keys: Sequence[str] = ["a/b", "a__b", "a b", "a_b", "a-b", "ä/b", "ö/b", "a/b_", "a/_b", "a_/b"]
    names = {op_name(key) for key in keys}
    assert len(names) == len(keys)
    assert op_name("nyc/flights") == "nyc__flights"
    assert all(name.replace("_", "").isalnum() and name.isascii() for name in names)


# The cost of an import


def test_nothing_heavy_is_imported_for_definitions() -> None:
    """A code location that only defines assets loads no frame library, driver or cloud client."""
    heavy = ["pandas", "polars", "pyarrow", "boto3", "duckdb", "redshift_connector"]
    script = f"""
import sys
import loader
from loader.dagster_io.definitions import asset_checks, asset_specs, with_specs
import dagster as dg
project = loader.Project.find()
asset_specs(project, ["nyc/airlines"])
with_specs(dg.Definitions(asset_checks=asset_checks(project)), project)
loaded = [name for name in {heavy!r} if name in sys.modules]
assert not loaded, loaded
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
