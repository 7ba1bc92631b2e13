"""The component for `dg`: a folder of table specs as assets, in a sandbox of Dagster's own."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dagster.components.testing.utils import component_defs

from loader.dagster_component import TableSpecsComponent
from loader.dagster_io.managers import DuckDBIOManager
from loader.project import Project
from loader.spec.model import TableSpec
from loader.testing.redshift.server import RedshiftStandIn
from tests.dagster_io.componentkit import (
    BY_DAY,
    RANGE,
    Location,
    failures,
    new_location,
    table,
)

# Dagster's own loader of defs.yaml uses what pydantic would rather have it not use.
pytestmark = pytest.mark.filterwarnings("ignore:`parse_obj_as` is deprecated")


@pytest.fixture
def location() -> Iterator[Location]:
    with new_location() as made:
        yield made


def test_a_table_from_files_of_its_spec(location: Location) -> None:
    """A spec that names its files is an asset without another word: YAML only."""
    files: dict[str, Any] = {"source": {"files": "data/t-{date:%Y/%m-%d}.csv"}}
    checks = [{"metric": "row_count", "must_be_greater_than": 0}]
    location.spec(table(**BY_DAY, **files, checks=checks))
    for day, n in (("01", 1), ("02", 2), ("03", 3)):
        location.file(f"data/t-2013/01-{day}.csv", f"day,origin,n\n2013-01-{day},EWR,{n}\n")
    assert location.run("s/t", partition_key="2013-01-02").success
    assert location.rows() == [("2013-01-02", "EWR", 2)]
    tags = dict(zip(RANGE, ("2013-01-01", "2013-01-03"), strict=True))
    done = location.run("s/t", tags=tags)
    assert done.success
    assert location.rows() == [(f"2013-01-0{n}", "EWR", n) for n in (1, 2, 3)]
    assert len(done.asset_materializations_for_node("s__t")) == 3
    assert [one.passed for one in done.get_asset_check_evaluations()] == [True]


def test_new_files_of_a_partition(location: Location) -> None:
    """With `load: new` a run loads a partition that has new files, from all of them, or nothing."""
    source: dict[str, Any] = {"source": {"files": "data/{date}/*.csv", "load": "new"}}
    location.spec(table(**BY_DAY, **source))
    location.file("data/2013-01-02/a.csv", "day,origin,n\n2013-01-02,EWR,1\n")

    def run() -> dict[str, Any]:
        done = location.run("s/t", partition_key="2013-01-02")
        assert done.success
        (event,) = done.asset_materializations_for_node("s__t")
        return {
            name: event.metadata[name].value for name in ("status", "files_read", "rows_loaded")
        }

    assert run() == {"status": "loaded", "files_read": 1, "rows_loaded": 1}
    assert run() == {"status": "no_new_files", "files_read": 0, "rows_loaded": 0}
    location.file("data/2013-01-02/b.csv", "day,origin,n\n2013-01-02,JFK,2\n")
    assert run() == {"status": "loaded", "files_read": 2, "rows_loaded": 2}
    assert location.rows() == [("2013-01-02", "EWR", 1), ("2013-01-02", "JFK", 2)]
    (text,) = failures(location.run("s/t", partition_key="2013-01-03"))
    assert "no file matches" in text


def test_files_of_a_partitioned_table_are_named_by_partition(location: Location) -> None:
    """`loader run` may split files by their rows; a run of Dagster is of some partitions."""
    location.spec(table(**BY_DAY, source={"files": "data/all.csv"}))
    assert "`data/all.csv` has no place for the partitions of `date`" in location.fails()


def test_a_table_from_a_query_of_its_spec(location: Location) -> None:
    """A spec with a query is an asset too: each run reads the windows of its partitions."""
    (location.sandbox.project_root / "loader.toml").write_text("")
    query = "SELECT * FROM rows WHERE day >= :start AND day < :end"
    source = {"query": query, "connection": "sqlite:///shop.db"}
    location.spec(table(**BY_DAY, source=source))
    location.spec(table("u", source={**source, "query": "SELECT * FROM nope"}), "u.yml")
    with sqlite3.connect(location.sandbox.project_root / "shop.db") as shop:
        shop.execute("CREATE TABLE rows (day, origin, n)")
        days = [(f"2013-01-0{n}", "EWR", n) for n in (1, 2, 3)]
        shop.executemany("INSERT INTO rows VALUES (?, ?, ?)", days)
    shop.close()
    assert location.run("s/t", partition_key="2013-01-02").success
    assert location.rows() == days[1:2]
    tags = dict(zip(RANGE, ("2013-01-02", "2013-01-03"), strict=True))
    assert location.run("s/t", tags=tags).success
    assert location.rows() == days[1:]
    (text,) = failures(location.run("s/u"))
    assert text.startswith("the query on sqlite:///shop.db failed: no such table: nope")


def test_files_of_a_spec_are_below_the_project(location: Location) -> None:
    """Paths in a spec begin at the folder of the project's settings, wherever the specs are."""
    (location.sandbox.project_root / "loader.toml").write_text("")
    (location.sandbox.project_root / "data.csv").write_text("day,origin,n\n2013-01-01,EWR,1\n")
    location.spec(table(source={"files": ["data.csv"]}))
    assert location.run("s/t").success
    assert location.rows() == [("2013-01-01", "EWR", 1)]


def test_files_of_a_spec_are_loaded_in_place(location: Location) -> None:
    """With `in_place` the warehouse reads the files itself; what it cannot read fails the run."""
    (location.sandbox.project_root / "loader.toml").write_text("")
    location.spec(table(source={"files": ["rows.parquet"], "in_place": "always"}))
    day, origin, n = (date(2013, 1, 1), "EWR", 1)
    types = pa.schema([("day", pa.date32()), ("origin", pa.string()), ("n", pa.int32())])
    rows = pa.Table.from_pylist([{"day": day, "origin": origin, "n": n}], types)
    pq.write_table(rows, location.sandbox.project_root / "rows.parquet")
    assert location.run("s/t").success
    assert location.rows() == [("2013-01-01", "EWR", 1)]
    wide = rows.set_column(2, "n", pa.array([1], pa.int64()))
    pq.write_table(wide, location.sandbox.project_root / "rows.parquet")
    (text,) = failures(location.run("s/t"))
    assert "`n`: it is int64" in text


def test_a_table_from_files_of_the_component(location: Location) -> None:
    """Files of an attribute begin at the component's folder, go before the spec's, and are any
    of the formats that `loader load` reads.
    """
    location.spec(table(source={"files": "nowhere.csv"}))
    location.spec(table("u"), "u.yml")
    location.file("in/a.csv", "day,origin,n\n2013-01-01,EWR,1\n")
    location.file("in/b.csv", "day,origin,n\n2013-01-02,JFK,2\n")
    rows = pa.table({"day": ["2013-01-01"], "origin": ["LGA"], "n": [3]})
    pq.write_table(
        rows.set_column(0, "day", rows["day"].cast(pa.date32())), location.folder / "u.parquet"
    )
    attributes = {"assets": {"s/t": {"files": "in/*.csv"}, "s/u": {"files": ["u.parquet"]}}}
    assert location.run("s/t", "s/u", attributes=attributes).success
    assert location.rows() == [("2013-01-01", "EWR", 1), ("2013-01-02", "JFK", 2)]
    assert location.rows("u") == [("2013-01-01", "LGA", 3)]


def test_files_of_cells(location: Location) -> None:
    """With two dimensions each cell has files of its own."""
    crossed: dict[str, Any] = {
        "partition_by": [*BY_DAY["partition_by"], {"name": "origin", "expr": "origin"}],
        "dagster": {
            "partitions": {"date": {"start": "2013-01-01"}, "origin": {"keys": ["EWR", "J*K"]}}
        },
    }
    location.spec(table(**crossed, source={"files": "data/{origin}/{date}.csv"}))
    for origin in ("EWR", "J*K", "JFK"):
        location.file(f"data/{origin}/2013-01-01.csv", f"day,origin,n\n2013-01-01,{origin},1\n")
    for origin in ("EWR", "J*K"):
        key = dg.MultiPartitionKey({"date": "2013-01-01", "origin": origin})
        assert location.run("s/t", partition_key=key).success
    assert location.rows() == [("2013-01-01", "EWR", 1), ("2013-01-01", "J*K", 1)]


def test_files_in_s3(location: Location, stand_in: RedshiftStandIn) -> None:
    """Objects of a bucket are files like others, with the same places for keys."""
    url = f"s3://{stand_in.bucket}/raw/{{date:%Y}}/{{date}}*.csv"
    location.spec(table(**BY_DAY, source={"files": [url]}))
    for day in ("01", "02"):
        text = f"day,origin,n\n2013-01-{day},EWR,1\n"
        stand_in.write_object(f"raw/2013/2013-01-{day}-x.csv", text.encode())
    assert location.run("s/t", partition_key="2013-01-02").success
    assert location.rows() == [("2013-01-02", "EWR", 1)]
    (text,) = failures(location.run("s/t", partition_key="2013-01-03"))
    assert f"s3://{stand_in.bucket}/raw/2013/2013-01-03" in text


def test_files_of_an_hour_that_clocks_show_twice(location: Location) -> None:
    """A partition of Dagster's is the same to file names, offsets and all."""
    entry = {"expr": "at", "grain": "hour", "timezone": "America/New_York"}
    location.spec(
        {
            "schema": "s",
            "name": "t",
            "columns": [{"name": "at", "data_type": "timestamptz"}],
            "partition_by": [entry],
            "dagster": {"partitions": {"at": {"start": "2013-11-03-00:00"}}},
            "source": {"files": "{at}.csv"},
        }
    )
    location.file("2013-11-03-01:00-0400.csv", "at\n2013-11-03T05:30:00Z\n")
    location.file("2013-11-03-01:00-0500.csv", "at\n2013-11-03T06:30:00Z\n")
    for key in ("2013-11-03-01:00", "2013-11-03-01:00-0500"):
        assert location.run("s/t", partition_key=key).success
    assert failures(location.run("s/t", partition_key="2013-11-03-02:00")) != []


def test_a_file_that_is_not_there(location: Location) -> None:
    """The partition whose file is missing fails, is not retried, and names what was looked for."""
    location.spec(table(**BY_DAY, source={"files": "data/{date}.csv"}))
    location.file("data/2013-01-01.csv", "day,origin,n\n2013-01-01,EWR,1\n")
    (text,) = failures(location.run("s/t", partition_key="2013-01-02"))
    assert text.startswith("no file matches ")
    assert "data/2013-01-02.csv" in text
    assert "did you mean" in text


def test_keys_that_cannot_be_files(location: Location) -> None:
    """A key that would leave its folder is refused before anything is opened."""
    by_origin: dict[str, Any] = {"partition_by": [{"expr": "origin"}]}
    location.spec(table(**by_origin, source={"files": "data/{origin}/rows.csv"}))
    location.file("rows.csv", "day,origin,n\n2013-01-01,..,1\n")
    location.instance.add_dynamic_partitions("s.t.origin", ["..", "a/b"])
    for key in ("..", "a/b"):
        (text,) = failures(location.run("s/t", partition_key=key))
        assert f"the partition key `{key}` of `origin` cannot be used in the name of a file" in text


def test_a_folder_with_odd_characters(location: Location) -> None:
    """What looks like a pattern in the folder's own name is not one."""
    location.folder = location.sandbox.defs_folder_path / "a[b]*"
    location.spec(table(source={"files": "../a[b]*/in.csv"}))
    location.file("in.csv", "day,origin,n\n2013-01-01,EWR,1\n")
    assert location.run("s/t", attributes={"assets": {"s/t": {"files": "in.csv"}}}).success


FUNCTIONS = """
import dagster as dg
import pyarrow as pa

def frame(n=1):
    return pa.table({"day": ["2013-01-01"], "origin": ["EWR"], "n": [n]})

def whole(context):
    return frame()

def stream(context):
    for n in (1, 2):
        yield frame(n)

def output(context):
    return dg.Output(frame(), metadata={"mine": 1})

def result(context):
    return dg.MaterializeResult(value=frame(), metadata={"mine": 1})

def nothing(context):
    return None

def partitions(context):
    days = context.partition_keys
    return pa.table({"day": days, "origin": ["EWR"] * len(days), "n": [1] * len(days)})

constant = 5
"""


@pytest.mark.parametrize(
    ("name", "rows", "mine"),
    [
        ("whole", 1, False),
        ("stream", 2, False),
        ("output", 1, True),
        ("result", 1, True),
        ("nothing", 0, False),
    ],
)
def test_a_table_from_a_function(location: Location, name: str, rows: int, mine: bool) -> None:
    """A function beside the component returns whatever an asset may return."""
    location.spec(table())
    location.file("loads.py", FUNCTIONS)
    done = location.run("s/t", attributes={"assets": {"s/*": {"callable": f".loads:{name}"}}})
    assert done.success
    assert len(location.rows()) == rows
    (made,) = done.asset_materializations_for_node("s__t")
    assert ("mine" in made.metadata) is mine
    assert "dagster/column_schema" in made.metadata


def test_a_function_of_partitions(location: Location) -> None:
    """A function is called once for all partitions of a run, with the asset's context."""
    location.spec(table(**BY_DAY))
    location.file("loads.py", FUNCTIONS)
    attributes = {"assets": {"s/t": {"callable": ".loads:partitions", "deps": ["up/stream"]}}}
    tags = dict(zip(RANGE, ("2013-01-01", "2013-01-03"), strict=True))
    assert location.run("s/t", attributes=attributes, tags=tags).success
    assert len(location.rows()) == 3
    with location.defs(**attributes) as defs:
        node = defs.resolve_asset_graph().get(dg.AssetKey(["s", "t"]))
        assert node.parent_keys == {dg.AssetKey(["up", "stream"])}
        assert node.backfill_policy == dg.BackfillPolicy.single_run()
        assert node.partitions_def == dg.DailyPartitionsDefinition("2013-01-01")


def test_an_exact_key_goes_before_a_glob(location: Location) -> None:
    """Of several entries for a table the one with its key is used, else the first that fits."""
    for name in ("a", "b"):
        location.spec(table(name), f"{name}.yml")
    location.file("loads.py", FUNCTIONS)
    attributes = {
        "assets": {
            "s/*": {"callable": ".loads:stream"},
            "s/a": {"callable": ".loads:whole"},
            "*": {"callable": ".loads:nothing"},
        }
    }
    assert location.run("s/a", "s/b", attributes=attributes).success
    assert (len(location.rows("a")), len(location.rows("b"))) == (1, 2)


def test_tables_without_rows_of_their_own(location: Location) -> None:
    """A table that says nothing of its rows is an asset that others fill, or none at all."""
    location.spec(table(checks=[{"metric": "row_count", "must_be": 1}]))
    with location.defs(assets={"s/t": {"deps": ["up"]}}) as defs:
        node = defs.resolve_asset_graph().get(dg.AssetKey(["s", "t"]))
        assert not node.is_executable
        assert node.parent_keys == {dg.AssetKey("up")}
        assert len(node.check_keys) == 1

    @dg.asset(key=["s", "t"])
    def by_hand() -> None: ...

    with location.defs(external=False) as defs:
        graph = dg.Definitions.merge(defs, dg.Definitions(assets=[by_hand])).resolve_asset_graph()
        assert graph.get(dg.AssetKey(["s", "t"])).is_executable
        assert len(graph.get(dg.AssetKey(["s", "t"])).check_keys) == 1


def test_other_attributes(location: Location) -> None:
    """Tables are selected, checks left out, and pool and IO manager named."""
    location.spec(table("a", checks=[{"metric": "row_count", "must_be": 1}], source={"files": "x"}))
    location.spec(table("b"), "b.yml")
    attributes = {
        "select": ["s/a"],
        "checks": False,
        "pool": "duckdb",
        "io_manager_key": "io_manager",
    }
    with location.defs(**attributes) as defs:
        graph = defs.resolve_asset_graph()
        assert graph.get_all_asset_keys() == {dg.AssetKey(["s", "a"])}
        node = graph.get(dg.AssetKey(["s", "a"]))
        assert (node.pools, node.check_keys) == ({"duckdb"}, set())
        references = node.metadata["dagster/code_references"].code_references
        assert [Path(one.file_path).name for one in references] == ["t.yml", "defs.yaml"]


def test_another_io_manager(location: Location) -> None:
    """The key of the IO manager reaches assets and checks alike."""
    checks = [{"metric": "row_count", "must_be": 1}]
    location.spec(table(checks=checks, source={"files": "in.csv"}))
    location.file("in.csv", "day,origin,n\n2013-01-01,EWR,1\n")
    database = str(location.sandbox.project_root / "other.duckdb")
    manager = DuckDBIOManager(database=database, specs=str(location.folder / "specs"))
    with location.defs(io_manager_key="other") as defs:
        whole = dg.Definitions.merge(defs, dg.Definitions(resources={"other": manager}))
        done = whole.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=location.instance
        )
    assert done.success
    assert [one.passed for one in done.get_asset_check_evaluations()] == [True]
    assert manager.project.live("s", "t") != "no schema"


def test_one_key_needs_no_list_and_switches_come_from_variables(
    location: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One text is one key, not its characters, and `false` of the environment is false."""
    monkeypatch.setenv("WITH_CHECKS", "false")
    checked = table(checks=[{"metric": "row_count", "must_be_greater_than": 0}])
    location.spec(checked)
    location.spec({**table(), "name": "other"}, "other.yml")
    location.file("__init__.py", "")
    location.file("loads.py", "def rows(context): return None")
    source = {"callable": ".loads:rows", "deps": "lake/raw"}
    attributes = {"select": "s/t", "assets": {"s/t": source}}
    with location.defs(**attributes, checks="{{ env.WITH_CHECKS }}") as defs:
        graph = defs.resolve_asset_graph()
        assert {key.to_user_string() for key in graph.get_all_asset_keys()} == {"s/t", "lake/raw"}
        assert not graph.asset_check_keys
    with location.defs(**attributes, checks="true") as defs:
        assert len(defs.resolve_asset_graph().asset_check_keys) == 1


def test_translation(location: Location) -> None:
    """Words of the asset can be changed as in other components; its key cannot."""
    location.spec(table(source={"files": "in.csv"}, tags={"a": "b"}))
    words = {"description": "Of {{ table_spec.table }}.", "owners": ["team:x"], "tags": {"c": "d"}}
    with location.defs(translation=words) as defs:
        node = defs.resolve_asset_graph().get(dg.AssetKey(["s", "t"]))
        assert (node.description, list(node.owners)) == ("Of s.t.", ["team:x"])
        assert (node.tags["a"], node.tags["c"]) == ("b", "d")
        assert "dagster/column_schema" in node.metadata
    text = location.fails(translation={"key": "other/{{ table_spec.name }}"})
    assert "has the key `other/t`, not the asset_key of its spec" in text


def test_an_override(location: Location) -> None:
    """A subclass has the last word on each asset."""

    class Ours(TableSpecsComponent):
        def get_asset_spec(self, project: Project, table: TableSpec) -> dg.AssetSpec:
            made = super().get_asset_spec(project, table)
            return made.merge_attributes(metadata={"columns": len(table.columns)})

    location.spec(table(source={"files": "in.csv"}))
    manager = {"type": "duckdb", "database": "w.duckdb"}
    made = Ours(specs=str(location.folder / "specs"), io_manager=manager)
    defs = component_defs(component=made)
    assert defs.resolve_asset_graph().get(dg.AssetKey(["s", "t"])).metadata["columns"] == 3


def _with(*specs: Mapping[str, Any] | str) -> Callable[[Location], None]:
    def write(location: Location) -> None:
        for number, spec in enumerate(specs):
            location.spec(spec, f"{number}.yml")
        location.file("loads.py", FUNCTIONS)

    return write


WRONG: list[tuple[Callable[[Location], None], dict[str, Any], str]] = [
    (_with(), {}, "specs, does not exist"),
    (_with(table()), {"specs": "nowhere"}, "nowhere, does not exist"),
    (_with(table(), table()), {}, "the asset key `s/t` is already that of"),
    (_with("schema: s\nname: t\ncolumn: []\n"), {}, "0.yml:3:1: column: unknown key `column`"),
    (_with(table()), {"select": ["s/u"]}, "no table spec is called `s/u`.*did you mean `s/t`"),
    (_with(table()), {"assets": {"s/u": {"files": "x"}}}, "assets: `s/u`: matches no table spec"),
    (_with(table()), {"assets": {"s/t": {"files": []}}}, "has an empty list of files"),
    (
        _with(table()),
        {"assets": {"s/t": {"files": "x", "callable": "a:b"}}},
        "has both callable and files",
    ),
    (
        _with(table()),
        {"assets": {"s/t": {"callable": "json"}}},
        "`json` is not the path of a function",
    ),
    (_with(table()), {"assets": {"s/t": {"callable": "getpass:getuser"}}}, "too many positional"),
    (_with(table()), {"assets": {"s/t": {"callable": "no.such:f"}}}, "No module named"),
    (_with(table()), {"assets": {"s/t": {"callable": ".loads:whol"}}}, "did you mean `whole`"),
    (
        _with(table()),
        {"assets": {"s/t": {"callable": ".loads:constant"}}},
        "no function `constant`",
    ),
    (
        _with(table(**BY_DAY)),
        {"assets": {"s/t": {"files": "all.csv"}}},
        "`all.csv` has no place for the partitions of `date`.*write {date} where",
    ),
    (
        _with(table(**BY_DAY)),
        {"assets": {"s/t": {"files": "{dat}.csv"}}},
        "`{dat}` is no dimension.*did you mean `{date}`",
    ),
    (
        _with(table()),
        {"assets": {"s/t": {"files": "{day}.csv"}}},
        "`{day}` is no partition of the table",
    ),
    (
        _with(table(partition_by=BY_DAY["partition_by"])),
        {},
        "has no first partition of `date`",
    ),
    (_with(table()), {"assets": {"s/t": {"fils": "x"}}}, "fils.*[Ee]xtra"),
    (_with(table()), {"check": True}, "check.*[Ee]xtra"),
    (
        _with(table()),
        {"checks": "partitoned"},
        "checks: `partitoned` is not one of true, false, pa",
    ),
    (_with(table()), {"external": "no"}, "external: `no` is not one of true, false"),
    (_with(table()), {"io_manager": "duckdb"}, "io_manager: .*{type: duckdb"),
]


@pytest.mark.parametrize(
    ("write", "attributes", "message"), WRONG, ids=[message for _, _, message in WRONG]
)
def test_what_is_wrong_is_told_when_definitions_load(
    location: Location,
    write: Callable[[Location], None],
    attributes: dict[str, Any],
    message: str,
) -> None:
    """Wrong attributes and specs fail when Dagster loads the component, not in the first run."""
    import re

    write(location)
    found = location.fails(**attributes)
    assert re.search(message, found, re.DOTALL), found


def test_the_attributes_have_a_schema() -> None:
    """Editors complete the attributes and tell what each is for."""
    model = TableSpecsComponent.get_model_cls()
    assert model is not None
    schema = model.model_json_schema()
    fields = schema["properties"]
    assert set(fields) == {
        *("specs", "select", "io_manager_key", "checks", "assets", "external", "pool"),
        *("target", "io_manager", "translation"),
    }
    assert all(one.get("description") for name, one in fields.items() if name != "translation")
    rows = schema["$defs"]["TableRowsModel"]
    assert set(rows["properties"]) == {"callable", "files", "deps"}
    assert schema["additionalProperties"] is rows["additionalProperties"] is False


def test_dg_finds_the_component() -> None:
    """The entry point names a module that has the component at its top."""
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    points = tomllib.loads(text)["project"]["entry-points"]
    assert points["dagster_dg_cli.registry_modules"] == {"loader": "loader.dagster_component"}


def test_nothing_heavy_is_imported_for_the_component() -> None:
    """`dg` imports the module to list components, which loads no frame library or driver."""
    heavy = ["pandas", "polars", "pyarrow", "boto3", "duckdb", "redshift_connector"]
    script = f"""
import sys
import loader.dagster_component
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
