"""What dbt and datacontract-cli, each in an environment of its own, say to exports."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from loader.cli import main

pytestmark = pytest.mark.slow

SPECS = {
    "customers": """
        columns:
          - {name: customer_id, data_type: bigint, description: "Their number"}
          - {name: name, data_type: varchar(40), nullable: false}
          - {name: tier, data_type: varchar(10)}
          - {name: score, data_type: double}
        primary_key: [customer_id]
        write_disposition: merge
        checks:
          - {metric: invalid_values, column: tier, valid_values: [gold, basic], must_be: 0}
          - {metric: invalid_values, column: score, minimum: 0, must_be: 0}
          - {metric: duplicate_values, column: name, must_be: 0}
        """,
    "orders": """
        columns:
          - {name: order_id, data_type: bigint}
          - {name: ordered_on, data_type: date, nullable: false}
          - {name: customer_id, data_type: bigint}
          - {name: amount, data_type: "decimal(12,2)"}
        primary_key: [order_id]
        partition_by:
          - {expr: ordered_on, grain: day}
        checks:
          - metric: invalid_values
            column: customer_id
            references: {schema: shop, table: customers, column: customer_id}
            must_be: 0
        """,
    "visits": """
        columns:
          - {name: page, data_type: varchar(200)}
          - {name: seen_at, data_type: timestamptz}
        write_disposition: append
        schema_contract: {evolve: additive}
        checks:
          - {metric: row_count, must_be_greater_than: 0}
        """,
    "prices": """
        columns:
          - {name: sku, data_type: varchar(20)}
          - {name: price, data_type: "decimal(10,2)"}
          - {name: changed_at, data_type: timestamp, nullable: false}
        primary_key: [sku]
        write_disposition: scd2
        scd2: {effective_at: changed_at}
        """,
}
"""A table for each way of writing, with checks that dbt has and that it lacks."""

DATA = {
    "customers": "customer_id,name,tier,score\n1,Ada,gold,0.5\n2,Bob,basic,\n",
    "orders": "order_id,ordered_on,customer_id,amount\n1,2026-01-01,1,9.90\n2,2026-01-02,2,5.00\n",
    "visits": "page,seen_at\n/,2026-01-01T10:00:00Z\n",
    "prices": "sku,price,changed_at\na,1.00,2026-01-01T00:00:00\n",
}

PROJECT = """
name: shop
profile: shop
version: "1.0"
models:
  shop:
    +materialized: table
"""

PROFILE = """
shop:
  target: dev
  outputs:
    dev: {type: duckdb, path: ../warehouse.duckdb}
"""


class Tool:
    """The commands of packages that are installed in an environment of their own."""

    def __init__(self, home: Path, *packages: str) -> None:
        """Make the environment.

        Args:
            home: Its folder.
            packages: What is installed.
        """
        uv = shutil.which("uv")
        assert uv is not None
        # uv finds its cache and its registry in the home folder of whoever runs this.
        self._shell = {**os.environ, "HOME": pwd.getpwuid(os.getuid()).pw_dir}
        self._shell.pop("VIRTUAL_ENV", None)
        self._bin = home / "bin"
        self._do([uv, "venv", "--quiet", "--python", sys.executable, str(home)], home.parent)
        install = [uv, "pip", "install", "--quiet", "--python", str(self._bin / "python")]
        self._do([*install, *packages], home.parent)

    def run(self, folder: Path, command: str, *words: str) -> str:
        """What a command prints, which must succeed."""
        return self._do([str(self._bin / command), *words], folder)

    def _do(self, words: list[str], folder: Path) -> str:
        done = subprocess.run(
            words,
            cwd=folder,
            env=self._shell,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{words}\n{done.stdout}"
        return done.stdout


@pytest.fixture(scope="module")
def dbt(tmp_path_factory: pytest.TempPathFactory) -> Tool:
    """Dbt with its DuckDB adapter."""
    return Tool(tmp_path_factory.mktemp("dbt") / "venv", "dbt-core==1.11.*", "dbt-duckdb")


@pytest.fixture(scope="module")
def datacontract(tmp_path_factory: pytest.TempPathFactory) -> Tool:
    """The command line of data contracts."""
    return Tool(tmp_path_factory.mktemp("datacontract") / "venv", "datacontract-cli>=1.2")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a project whose four tables are loaded."""
    folder = tmp_path / "warehouse"
    for name, spec in SPECS.items():
        path = folder / "specs" / "shop" / f"{name}.yml"
        path.parent.mkdir(parents=True, exist_ok=True)
        head = {"schema": "shop", "name": name}
        path.write_text(yaml.safe_dump({**head, **yaml.safe_load(spec)}))
        (folder / f"{name}.csv").write_text(DATA[name])
    (folder / "loader.toml").write_text(
        '[targets.local]\ntype = "duckdb"\ndatabase = "../warehouse.duckdb"\n'
    )
    monkeypatch.chdir(folder)
    for name in ("customers", "orders", "visits", "prices"):
        partition = ("--partition", "auto") if name == "orders" else ()
        loader("load", f"shop/{name}", f"{name}.csv", *partition)
    return folder


def dbt_project(folder: Path) -> Path:
    """A new dbt project beside Loader's, on the same database."""
    home = folder.parent / "dbt"
    (home / "models").mkdir(parents=True)
    (home / "dbt_project.yml").write_text(PROJECT)
    (home / "profiles.yml").write_text(PROFILE)
    return home


def export(to: str, path: Path) -> None:
    """Write a file of all tables."""
    loader("export", "--to", to, "-o", str(path))


def loader(*words: str) -> None:
    """Run a command of Loader, which must succeed."""
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output


def test_dbt_builds_on_exported_sources(project: Path, dbt: Tool) -> None:
    """A model over the sources is built from the loaded tables, whose tests pass."""
    home = dbt_project(project)
    export("dbt-source", home / "models" / "sources.yml")
    (home / "models" / "revenue.sql").write_text(
        "select name, sum(amount) as revenue"
        " from {{ source('shop', 'orders') }} join {{ source('shop', 'customers') }}"
        " using (customer_id) group by name"
    )
    told = dbt.run(home, "dbt", "build", "--no-use-colors")
    assert "ERROR=0" in told
    assert "source_relationships_shop_orders_customer_id" in told
    assert "source_accepted_values_shop_customers_tier" in told
    shown = dbt.run(home, "dbt", "show", "--no-use-colors", "-s", "revenue", "--output", "json")
    assert '"revenue": 9.9' in shown


def test_dbt_enforces_exported_models(project: Path, dbt: Tool) -> None:
    """Models with the exported contracts are parsed and built, also the second time."""
    home = dbt_project(project)
    export("dbt", home / "models" / "models.yml")
    for name in SPECS:
        (home / "models" / f"{name}.sql").write_text(f"select * from shop.{name}")
    told = dbt.run(home, "dbt", "parse", "--no-use-colors")
    assert "WARNING" not in told.upper(), told
    for _ in range(2):
        told = dbt.run(home, "dbt", "build", "--no-use-colors")
        assert "ERROR=0" in told


def test_datacontract_takes_exported_contracts(project: Path, datacontract: Tool) -> None:
    """The published schema of ODCS holds, and dbt sources can be made of the contract."""
    path = project / "shop.odcs.yaml"
    export("odcs", path)
    assert "valid" in datacontract.run(project, "datacontract", "lint", str(path))
    made = datacontract.run(project, "datacontract", "export", "dbt-sources", str(path))
    assert all(name in made for name in SPECS)
