"""The files of a new component: a spec, a day of data, and the target that they are loaded into."""

# No `from __future__ import annotations`: Dagster reads the annotations at run time.

import os
from pathlib import Path
from typing import Any

import dagster as dg

from loader.atomic_write import write_text
from loader.config import find_config
from loader.errors import ConfigError, SpecError
from loader.spec.catalog import read_entry


class TableSpecsParams(dg.Model):
    """The schema and name of the first table of a new component."""

    schema_name: str = "shop"
    table: str = "orders"


_SPEC = """\
version: 1
schema: {schema}
name: {table}
description: One row per order.
columns:
  - {{name: order_id, data_type: bigint, description: Number on the receipt}}
  - {{name: ordered_on, data_type: date, nullable: false, description: Local date of the order}}
  - {{name: customer, data_type: varchar(80), nullable: false}}
  - {{name: amount, data_type: "decimal(12,2)", description: In euros}}
primary_key: [order_id]
partition_by:
  - {{expr: ordered_on, grain: day}}
checks:
  - {{metric: row_count, must_be_greater_than: 0}}
dagster:
  partitions: {{ordered_on: {{start: "2026-01-01"}}}}
"""

_DATA = """\
order_id,ordered_on,customer,amount
1,2026-01-01,Ada,19.90
2,2026-01-01,Grace,7.50
"""

_SETTINGS = """\
# Loader's settings: the specs that the command line works with, and the targets of loads.
specs = "{specs}"
target = "local"

[targets.local]
type = "duckdb"
database = ".loader/warehouse.duckdb"
staging = ".loader/staging"
"""

_PYTHON = """\
import dagster as dg
from loader.dagster_component import TableRows, TableSpecsComponent


@dg.component_instance
def load(context: dg.ComponentLoadContext) -> TableSpecsComponent:
    return TableSpecsComponent(
        specs="specs",
        target="{target}",
        assets={{"{schema}/{table}": TableRows(files="{files}")}},
    )
"""


class TableSpecsScaffolder(dg.Scaffolder[TableSpecsParams]):
    """Scaffolds a component with one table that can be launched as it is."""

    @classmethod
    def get_scaffold_params(cls) -> type[TableSpecsParams]:
        """The parameters of the scaffolder."""
        return TableSpecsParams

    def scaffold(self, request: dg.ScaffoldRequest[TableSpecsParams]) -> None:
        """Write the files; existing files are not overwritten.

        The target is the default target of the project's settings. Without settings a `loader.toml`
        with an embedded DuckDB is written to the root of the Dagster project.

        Raises:
            SpecError: the name of the schema or table is invalid; nothing was written.
            ConfigError: the project's settings are invalid.
        """
        schema, table = request.params.schema_name, request.params.table
        # With `append` the path is that of the component's defs.yaml.
        folder = request.target_path.parent if request.append else request.target_path
        text = _SPEC.format(schema=schema, table=table)
        _write(folder / "specs" / f"{schema}.{table}.yml", text, check=True)
        _write(folder / "data" / f"{table}-2026-01-01.csv", _DATA)
        files = f"data/{table}-{{ordered_on}}.csv"
        target = _find_target(folder, request.project_root or folder)
        if request.scaffold_format == "python":
            code = _PYTHON.format(target=target, schema=schema, table=table, files=files)
            _write(folder / "component.py", code)
            return
        attributes: dict[str, Any] = {
            "specs": "specs",
            "target": target,
            "assets": {f"{schema}/{table}": {"files": files}},
        }
        dg.scaffold_component(request, attributes)


def _find_target(folder: Path, root: Path) -> str:
    """The default target of the settings above a folder, which are written if there are none."""
    try:
        config = find_config(folder)
    except ConfigError:
        config = None
        if (root / "loader.toml").exists():
            raise
    if config is not None and config.source != "the defaults":
        return config.target
    specs = Path(os.path.relpath((folder / "specs").resolve(), root.resolve())).as_posix()
    _write(root / "loader.toml", _SETTINGS.format(specs=specs))
    _write(root / ".loader" / ".gitignore", "# staged files and the embedded database\n*\n")
    return "local"


def _write(path: Path, text: str, *, check: bool = False) -> None:
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)
    problems = read_entry(path, path.parent).problems if check else ()
    if problems:
        path.unlink()
        raise SpecError(problems)
