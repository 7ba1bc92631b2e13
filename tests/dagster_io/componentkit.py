"""What the tests of the component share: a code location in a sandbox of Dagster's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster.components.testing import create_defs_folder_sandbox
from dagster.components.testing.utils import DefsFolderSandbox

from loader.dagster_component import TableSpecsComponent
from loader.dagster_io.managers import DuckDBIOManager
from loader.errors import LoaderError

COLUMNS = [
    {"name": "day", "data_type": "date"},
    {"name": "origin", "data_type": "varchar(3)"},
    {"name": "n", "data_type": "integer"},
]
BY_DAY: dict[str, Any] = {
    "partition_by": [{"name": "date", "expr": "day", "grain": "day"}],
    "dagster": {"partitions": {"date": {"start": "2013-01-01"}}},
}
RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
TYPE = "loader.dagster_component.TableSpecsComponent"


def table(name: str = "t", **fields: Any) -> dict[str, Any]:
    return {"schema": "s", "name": name, "columns": COLUMNS, **fields}


@dataclass
class Location:
    """A code location with one component, and a DuckDB file."""

    sandbox: DefsFolderSandbox
    folder: Path
    instance: dg.DagsterInstance
    attributes: dict[str, Any] = field(default_factory=dict)

    def spec(self, spec: Mapping[str, Any] | str, name: str = "t.yml") -> None:
        """Write a spec."""
        text = spec if isinstance(spec, str) else yaml.safe_dump(dict(spec), sort_keys=False)
        self.file(f"specs/{name}", text)

    def file(self, name: str, text: str) -> None:
        """Write a file into the component's folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    @contextmanager
    def defs(self, **attributes: Any) -> Iterator[dg.Definitions]:
        """The definitions of the component, with a warehouse."""
        body = {"type": TYPE, "attributes": {**self.attributes, **attributes}}
        (self.folder / "defs.yaml").write_text(yaml.safe_dump(body, sort_keys=False))
        with self.sandbox.load_component_and_build_defs(defs_path=self.folder) as (found, defs):
            assert isinstance(found, TableSpecsComponent)
            manager = DuckDBIOManager(
                database=str(self.sandbox.project_root / "warehouse.duckdb"),
                specs=str(self.folder / found.specs),
            )
            yield dg.Definitions.merge(defs, dg.Definitions(resources={"io_manager": manager}))

    def fails(self, **attributes: Any) -> str:
        """What is wrong with the component."""
        with pytest.raises(Exception) as caught, self.defs(**attributes) as defs:  # noqa: PT011  # Dagster wraps it as it likes
            defs.resolve_asset_graph()
        return told(caught.value)

    def run(
        self, *keys: str, attributes: Mapping[str, Any] | None = None, **run: Any
    ) -> dg.ExecuteInProcessResult:
        """Materialize assets, with their checks."""
        with self.defs(**(attributes or {})) as defs:
            selection = dg.AssetSelection.assets(*(key.split("/") for key in keys))
            job = dg.define_asset_job("job", selection=selection)
            whole = dg.Definitions.merge(defs, dg.Definitions(jobs=[job]))
            return whole.resolve_job_def("job").execute_in_process(
                instance=self.instance, raise_on_error=False, **run
            )

    def rows(self, name: str = "t") -> list[tuple[Any, ...]]:
        """What a table holds."""
        database = str(self.sandbox.project_root / "warehouse.duckdb")
        project = DuckDBIOManager(database=database, specs=str(self.folder / "specs")).project
        frame: Any = project.read(project.spec(f"s.{name}"), as_="arrow")
        return sorted(
            (str(day), origin, n)
            for day, origin, n in zip(*frame.to_pydict().values(), strict=True)
        )


@contextmanager
def new_location() -> Iterator[Location]:
    """A new code location with an instance of its own."""
    with create_defs_folder_sandbox() as sandbox, dg.DagsterInstance.ephemeral() as instance:
        folder = sandbox.defs_folder_path / "warehouse"
        folder.mkdir(parents=True)
        yield Location(sandbox, folder, instance)


def told(error: BaseException) -> str:
    """What an error says, or the error of Loader's that it comes from."""
    said = []
    one: BaseException | None = error
    while one is not None:
        said.append(str(one))
        if isinstance(one, LoaderError):
            return f"{one}\n{one.hint}"
        one = one.__cause__ or one.__context__
    return "\n".join(said)


def failures(result: dg.ExecuteInProcessResult) -> list[str]:
    found = []
    for event in result.all_events:
        if event.is_step_failure:
            data = event.step_failure_data
            failed = data.user_failure_data
            found.append(str(failed.description) if failed else data.error_display_string)
    return found
