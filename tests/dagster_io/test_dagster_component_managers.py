"""The component's own IO manager: a component loads its tables, or its definitions do not load."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pandas as pd
import pytest
import yaml

from loader.dagster_component import TableSpecsComponent
from loader.dagster_io import DuckDBIOManager, ProjectIOManager, asset_checks, asset_spec
from loader.errors import SpecError
from loader.project import Project
from loader.testing.redshift.server import RedshiftStandIn
from tests.dagster_io.componentkit import TYPE, Location, failures, new_location, table, told

# Dagster's own loader of defs.yaml uses what pydantic would rather have it not use.
pytestmark = pytest.mark.filterwarnings("ignore:`parse_obj_as` is deprecated")

ROWS = "day,origin,n\n2013-01-01,EWR,1\n"
SETTINGS = """
target = "local"
[targets.local]
type = "duckdb"
database = "kept/warehouse.duckdb"
[targets.other]
type = "duckdb"
database = "other.duckdb"
"""


@pytest.fixture
def location() -> Iterator[Location]:
    with new_location() as made:
        yield made


def component(location: Location, name: str, attributes: Mapping[str, Any], *specs: Any) -> Path:
    """A component with specs whose rows are beside it."""
    folder = location.sandbox.defs_folder_path / name
    (folder / "specs").mkdir(parents=True)
    for spec in specs:
        (folder / "specs" / f"{spec['name']}.yml").write_text(yaml.safe_dump(dict(spec)))
    (folder / "in.csv").write_text(ROWS)
    body = {
        "type": TYPE,
        "attributes": {"assets": {"*": {"files": "in.csv"}}, **attributes},
    }
    (folder / "defs.yaml").write_text(yaml.safe_dump(body))
    return folder


def run(location: Location, *resources: Any, **options: Any) -> dg.ExecuteInProcessResult:
    """Load all that is in the folder of definitions, as `dg launch` would."""
    with location.sandbox.build_all_defs() as defs:
        whole = dg.Definitions.merge(defs, *(dg.Definitions(resources=one) for one in resources))
        return whole.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=location.instance, **options
        )


def count(database: Path, name: str) -> int:
    with duckdb.connect(str(database), read_only=True) as connection:
        ((rows,),) = connection.execute(f"SELECT count(*) FROM {name}").fetchall()
    return int(rows)


def test_a_component_with_no_io_manager_is_refused(location: Location) -> None:
    """Dagster's default IO manager would pickle the rows and say success, so nothing loads."""
    component(location, "a", {}, table())
    with pytest.raises(dg.DagsterInvalidDefinitionError) as refused:
        run(location)
    assert "`s__t` needs one of Loader's IO managers as the resource `io_manager`" in str(
        refused.value
    )
    assert "set target or io_manager" in str(refused.value)
    with pytest.raises(dg.DagsterInvalidDefinitionError):
        run(location, {"io_manager": dg.FilesystemIOManager()})
    with pytest.raises(dg.DagsterInvalidDefinitionError):
        run(location, {"io_manager": dg.mem_io_manager})


def test_checks_with_no_io_manager_are_refused(tmp_path: Path) -> None:
    """Checks ask the warehouse, so that Dagster's default manager is as wrong for them."""
    (tmp_path / "t.yml").write_text(
        yaml.safe_dump(table(checks=[{"metric": "row_count", "must_be": 1}]))
    )
    project = Project(specs=tmp_path)
    defs = dg.Definitions(assets=[asset_spec(project, "s/t")], asset_checks=asset_checks(project))
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="`s__t_checks` needs one of Loader"):
        dg.Definitions.validate_loadable(defs)


def test_another_default_of_dagsters_is_looked_at_in_the_run(
    location: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be seen in definitions fails the run before any row is made."""
    component(location, "a", {}, table())
    monkeypatch.setenv("DAGSTER_DEFAULT_IO_MANAGER_MODULE", "dagster")
    monkeypatch.setenv("DAGSTER_DEFAULT_IO_MANAGER_ATTRIBUTE", "mem_io_manager")
    done = run(location, raise_on_error=False)
    (text,) = failures(done)
    assert "the resource `io_manager` is a InMemoryIOManager" in text
    assert done.get_asset_materialization_events() == []


def test_a_target_of_the_settings(location: Location) -> None:
    """With `target` a component needs nothing else: the settings say where its tables are."""
    root = location.sandbox.project_root
    (root / "loader.toml").write_text(SETTINGS)
    checks = [{"metric": "row_count", "must_be": 1}]
    component(location, "a", {"target": "local"}, table(checks=checks))
    component(location, "b", {"target": "other"}, table("u"))
    done = run(location)
    assert done.success
    assert [one.passed for one in done.get_asset_check_evaluations()] == [True]
    assert count(root / "kept" / "warehouse.duckdb", "s.t") == 1
    assert count(root / "other.duckdb", "s.u") == 1
    with location.sandbox.build_all_defs() as defs:
        assert set(defs.resources or {}) == {"a__io_manager", "b__io_manager"}
        kinds = defs.resolve_asset_graph().get(dg.AssetKey(["s", "t"])).kinds
    assert kinds == {"duckdb"}


def test_components_share_a_manager(location: Location) -> None:
    """An asset carries its spec, so that one manager loads tables of any folder of specs."""
    root = location.sandbox.project_root
    component(location, "a", {"io_manager_key": "warehouse"}, table())
    component(location, "b/c", {"io_manager_key": "warehouse"}, table("u"))
    manager = DuckDBIOManager(database=str(root / "w.duckdb"), specs=str(root / "none"))
    seen: list[int] = []

    @dg.asset(ins={"t": dg.AssetIn(["s", "t"]), "u": dg.AssetIn(["s", "u"])})
    def below(t: Any, u: Any) -> None:
        seen.append(len(t) + len(u))

    with location.sandbox.build_all_defs() as defs:
        more = dg.Definitions(assets=[below], resources={"warehouse": manager})
        whole = dg.Definitions.merge(defs, more)
        job = whole.resolve_implicit_global_asset_job_def()
        assert job.execute_in_process(instance=location.instance).success
    assert seen == [2]
    assert count(root / "w.duckdb", "s.t") == count(root / "w.duckdb", "s.u") == 1


def test_a_component_defines_the_manager_of_others(location: Location) -> None:
    """With a key of its own choice a component defines the manager that other assets use too."""
    (location.sandbox.project_root / "loader.toml").write_text(SETTINGS)
    component(location, "a", {"target": "other", "io_manager_key": "io_manager"}, table())
    component(location, "b", {}, table("u"))
    assert run(location).success
    assert count(location.sandbox.project_root / "other.duckdb", "s.u") == 1


def test_fields_of_an_io_manager(location: Location, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fields of DuckDBIOManager: paths begin at the project's root, variables are read in runs."""
    fields = {"type": "duckdb", "database": "b.duckdb", "lock_timeout": "{{ env.WAIT }}"}
    monkeypatch.setenv("WAIT", "7")
    component(location, "a", {"io_manager": fields}, table())
    assert run(location).success
    assert count(location.sandbox.project_root / "b.duckdb", "s.t") == 1
    with location.sandbox.build_all_defs() as defs:
        assert (defs.resources or {})["a__io_manager"].lock_timeout == 7.0


def test_fields_of_redshift(
    location: Location, stand_in: RedshiftStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster in YAML only: the values of variables are in no page of Dagster's."""
    fields = {
        "type": "redshift",
        "host": stand_in.host,
        "port": "{{ env.PORT }}",
        "database": stand_in.database,
        "user": "{{ env('LOGIN') }}",
        "password": "{{ env.PASSWORD }}",
        "s3_iam_role": stand_in.iam_role,
        "bucket_name": stand_in.bucket,
        "ssl": False,
    }
    component(location, "a", {"io_manager": fields}, table())
    with location.sandbox.build_all_defs() as defs:
        dg.Definitions.validate_loadable(defs)  # without the variables
    monkeypatch.setenv("PORT", str(stand_in.port))
    monkeypatch.setenv("LOGIN", stand_in.user)
    monkeypatch.setenv("PASSWORD", stand_in.password)
    assert run(location).success
    assert stand_in.query("SELECT n FROM s.t") == [(1,)]
    with location.sandbox.build_all_defs() as defs:
        resource = defs.get_repository_def().get_top_level_resources()["a__io_manager"]
        shown = json.dumps(resource.config_schema.default_value)
    assert '"env": "PASSWORD"' in shown
    assert stand_in.password not in shown


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"target": "local"}, r"there is no loader.toml.*above .*specs"),
    ({"target": "a", "io_manager": {"type": "duckdb"}}, "target and io_manager are both set"),
    ({"io_manager": {"database": "x"}}, "type must be one of duckdb, redshift, which is missing"),
    ({"io_manager": {"type": "sqlite"}}, "type must be one of duckdb, redshift, not `sqlite`"),
    (
        {"io_manager": {"type": "duckdb", "databas": "x"}},
        "DuckDBIOManager has no field `databas`.*did you mean `database`",
    ),
    ({"io_manager": {"type": "duckdb", "database": "x", "specs": "y"}}, "specs is an attribute"),
    (
        {"io_manager": {"type": "redshift", "password": "hunter22"}},
        "`password` must come from the environment.*env.NAME",
    ),
    (
        {"io_manager": {"type": "duckdb", "database": "x", "memory_limit": "lots"}},
        "memory_limit.*such as 320MB",
    ),
    ({"io_manager": {"type": "duckdb", "database": "x", "lock_timeout": -1}}, "lock_timeout"),
]


@pytest.mark.parametrize(("attributes", "message"), WRONG, ids=[message for _, message in WRONG])
def test_a_wrong_manager_is_told_when_definitions_load(
    location: Location, attributes: dict[str, Any], message: str
) -> None:
    """A manager that cannot be is refused with its definitions, and no secret is shown."""
    component(location, "a", attributes, table())
    with pytest.raises(Exception) as caught, location.sandbox.build_all_defs():  # noqa: PT011  # Dagster wraps it as it likes
        pass
    found = told(caught.value)
    assert re.search(message, found, re.DOTALL), found
    assert "hunter22" not in found


def test_a_target_that_does_not_exist(location: Location) -> None:
    """A misspelt target is told with the nearest one."""
    (location.sandbox.project_root / "loader.toml").write_text(SETTINGS)
    component(location, "a", {"target": "locl"}, table())
    with pytest.raises(Exception) as caught, location.sandbox.build_all_defs():  # noqa: PT011  # Dagster wraps it as it likes
        pass
    assert "no target `locl`" in told(caught.value)
    assert "did you mean `local`" in told(caught.value)


def test_specs_beside_defs_yaml(location: Location) -> None:
    """The defs.yaml of a component is no spec, so that specs may lie in the same folder."""
    (location.sandbox.project_root / "loader.toml").write_text(SETTINGS)
    folder = component(location, "a", {"target": "other", "specs": "."})
    (folder / "t.yml").write_text(yaml.safe_dump(table()))
    assert run(location).success
    assert count(location.sandbox.project_root / "other.duckdb", "s.t") == 1
    (folder / "sub").mkdir()
    (folder / "sub" / "defs.yaml").write_text(yaml.safe_dump(table("u")))
    assert {spec.table for spec in Project(specs=folder).catalog.specs()} == {"s.t", "s.u"}


def test_a_project_io_manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In Python too a target of the settings is all that a manager needs to know."""
    (tmp_path / "loader.toml").write_text(SETTINGS)
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "t.yml").write_text(yaml.safe_dump(table()))
    monkeypatch.chdir(tmp_path)

    @dg.asset(key=["s", "t"])
    def t() -> Any:
        return pd.DataFrame({"day": ["2013-01-01"], "origin": ["EWR"], "n": [1]})

    with dg.DagsterInstance.ephemeral() as instance:
        for target in ("", "other"):
            manager = ProjectIOManager(target=target)
            assert manager.kind == "duckdb"
            dg.materialize([t], resources={"io_manager": manager}, instance=instance)
    assert count(tmp_path / "kept" / "warehouse.duckdb", "s.t") == 1
    assert count(tmp_path / "other.duckdb", "s.t") == 1
    assert ProjectIOManager(specs=str(tmp_path / "specs"), target="no").kind is None


# What the scaffolder writes.


def scaffold(location: Location, name: str = "tables", **params: str) -> Path:
    return location.sandbox.scaffold_component(
        TableSpecsComponent, defs_path=name, scaffold_params=params
    )


def test_what_is_scaffolded_launches_as_it_is(location: Location) -> None:
    """The scaffolder writes spec, data and target: nothing has to be added to load the table."""
    root = location.sandbox.project_root
    folder = scaffold(location, schema_name="sales", table="receipts")
    made = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert made == ["data/receipts-2026-01-01.csv", "defs.yaml", "specs/sales.receipts.yml"]
    assert yaml.safe_load((folder / "defs.yaml").read_text()) == {
        "type": TYPE,
        "attributes": {
            "specs": "specs",
            "target": "local",
            "assets": {"sales/receipts": {"files": "data/receipts-{ordered_on}.csv"}},
        },
    }
    done = run(location, partition_key="2026-01-01")
    assert done.success
    assert [one.passed for one in done.get_asset_check_evaluations()] == [True]
    assert count(root / ".loader" / "warehouse.duckdb", "sales.receipts") == 2
    project = Project.find(root)  # what the command line works with
    assert [spec.table for spec in project.catalog.specs()] == ["sales.receipts"]


def test_later_settings_do_not_move_the_scaffolded_data(location: Location) -> None:
    """Data of a component is found beside it, whatever settings are written above it later."""
    root = location.sandbox.project_root
    folder = scaffold(location)
    (root / "loader.toml").unlink()
    (root / "pyproject.toml").write_text('[tool.loader.targets.local]\ntype = "duckdb"\n')
    assert run(location, partition_key="2026-01-01").success
    (folder.parent / "loader.toml").write_text('[targets.local]\ntype = "duckdb"\n')
    assert run(location, partition_key="2026-01-01").success


def test_a_second_component_uses_the_settings_that_are_there(location: Location) -> None:
    """The scaffolder names the project's default target, and leaves its settings as they are."""
    root = location.sandbox.project_root
    settings = SETTINGS.replace('target = "local"', 'target = "other"')
    (root / "loader.toml").write_text(settings)
    scaffold(location, "first")
    second = scaffold(location, "second", table="returns")
    assert (root / "loader.toml").read_text() == settings
    assert yaml.safe_load((second / "defs.yaml").read_text())["attributes"]["target"] == "other"
    assert run(location, partition_key="2026-01-01").success
    assert count(root / "other.duckdb", "shop.orders") == 2
    assert count(root / "other.duckdb", "shop.returns") == 2


def test_a_component_is_scaffolded_in_python(location: Location) -> None:
    """`--format python` writes a component.py that launches as well."""
    location.sandbox.scaffold_component(
        TableSpecsComponent, defs_path="tables", scaffold_format="python"
    )
    assert run(location, partition_key="2026-01-01").success
    root = location.sandbox.project_root
    assert count(root / ".loader" / "warehouse.duckdb", "shop.orders") == 2


def test_scaffolding_leaves_what_is_there(location: Location) -> None:
    """A spec that is there is not written over, and a name no table can have is refused."""
    folder = location.sandbox.defs_folder_path / "other"
    spec = folder / "specs" / "shop.orders.yml"
    spec.parent.mkdir(parents=True)
    spec.write_text("mine")
    scaffold(location, "other")
    assert spec.read_text() == "mine"
    with pytest.raises(SpecError, match="write `sales`"):
        scaffold(location, "bad", schema_name="Sales")
    assert not list((location.sandbox.defs_folder_path / "bad").rglob("*.yml"))
