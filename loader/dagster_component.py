"""A component for `dg`: creates assets from a folder of table specs, without Python code.

    type: loader.dagster_component.TableSpecsComponent
    attributes:
      specs: specs
      assets:
        nyc/flights: {files: "data/flights-{date}.csv.gz"}
        nyc/air*: {callable: my_project.loads:airlines}

A table whose spec has a source (``source: {files: […]}`` or a query) needs no entry here.
"""

# No `from __future__ import annotations`: Dagster reads the annotations at run time.

import difflib
import fnmatch
import importlib
import inspect
import json
import os
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import dagster as dg
from dagster.components.utils.translation import TranslationFn, TranslationFnResolver

from loader.atomic_write import write_text
from loader.dagster_io.checks import op_name
from loader.dagster_io.definitions import asset_checks, asset_spec
from loader.dagster_io.metadata import failure
from loader.dagster_io.partitions import select
from loader.data.source_files import SourceFiles
from loader.errors import LoaderError, PlanError, SpecError
from loader.project import Project
from loader.spec import file_patterns
from loader.spec.catalog import Entry, read_entry
from loader.spec.model import TableSpec

Rows = Callable[[dg.AssetExecutionContext], Any]
"""Returns the frame of a run, of any type that the IO manager accepts."""


def _describe(description: str) -> dg.Resolver:
    return dg.Resolver.default(description=description)


@dataclass
class TableRows(dg.Resolvable):
    """Where the rows of tables come from: a function, or files."""

    callable: Annotated[
        str | None,
        _describe(
            "package.module:function, or .module:function next to defs.yaml; it is called with the"
            " asset's context and returns a frame."
        ),
    ] = None
    files: Annotated[
        str | Sequence[str] | None,
        _describe(
            "Paths or globs, relative to this component's folder, or s3://…; {date} or"
            " {date:%Y/%m/%d} is replaced by the partition key of the dimension `date`."
        ),
    ] = None
    deps: Annotated[Sequence[str], _describe("Asset keys of the upstream assets.")] = ()


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
source:
  files: {files}
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


class TableSpecsScaffolder(dg.Scaffolder[TableSpecsParams]):
    """Scaffolds a component with one table: its spec, one day of data, and defs.yaml."""

    @classmethod
    def get_scaffold_params(cls) -> type[TableSpecsParams]:
        """The parameters of the scaffolder."""
        return TableSpecsParams

    def scaffold(self, request: dg.ScaffoldRequest[TableSpecsParams]) -> None:
        """Write the files; existing files are not overwritten.

        Raises:
            SpecError: the name of the schema or table is invalid; nothing was written.
        """
        schema, table = request.params.schema_name, request.params.table
        folder = request.target_path
        data = folder / "data" / f"{table}-2026-01-01.csv"
        root = Project(specs=folder / "specs").config.root
        name = os.path.relpath(folder.resolve() / "data", root.resolve())
        files = json.dumps(f"{Path(name).as_posix()}/{table}-{{ordered_on}}.csv")
        text = _SPEC.format(schema=schema, table=table, files=files)
        _write(folder / "specs" / f"{schema}.{table}.yml", text, check=True)
        _write(data, _DATA)
        if not request.append:
            dg.scaffold_component(request, {"specs": "specs"})


def _write(path: Path, text: str, *, check: bool = False) -> None:
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)
    problems = read_entry(path, path.parent).problems if check else ()
    if problems:
        path.unlink()
        raise SpecError(problems)


@dg.scaffold_with(TableSpecsScaffolder)
@dataclass
class TableSpecsComponent(dg.Component, dg.Resolvable):
    """Assets from a folder of table specs, with rows from functions or files."""

    specs: Annotated[
        str, _describe("The folder of the table specs, relative to this component's folder.")
    ] = "specs"
    select: Annotated[
        Sequence[str], _describe("Asset keys, globs or spec files; default all tables.")
    ] = ()
    io_manager_key: Annotated[
        str, _describe("The resource key of one of Loader's IO managers, which loads the assets.")
    ] = "io_manager"
    checks: Annotated[bool, _describe("Whether to create the specs' asset checks.")] = True
    assets: Annotated[
        dict[str, TableRows],
        _describe("Asset key or glob → the source of its rows; an exact key overrides a glob."),
    ] = field(default_factory=dict)
    external: Annotated[
        bool,
        _describe(
            "Whether to create external assets for tables without a source of rows; set false if"
            " these have hand-written assets."
        ),
    ] = True
    pool: Annotated[
        str | None, _describe("The concurrency pool of the loads, for example one per DuckDB file.")
    ] = None
    translation: (
        Annotated[
            TranslationFn[TableSpec],
            TranslationFnResolver[TableSpec](lambda table: {"table_spec": table}),
        ]
        | None
    ) = None

    def get_asset_spec(self, project: Project, table: TableSpec) -> dg.AssetSpec:
        """The asset spec of a table; override it to change attributes other than the key.

        Raises:
            PlanError: its partitions have no start, or Dagster rejects it.
        """
        asset = asset_spec(project, table.asset_key, io_manager_key=self.io_manager_key)
        return self.translation(asset, table) if self.translation else asset

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The assets and asset checks of the folder.

        Raises:
            SpecError: a spec is invalid; lists every problem of every file.
            PlanError: there are no specs, or an entry of `assets` is invalid or matches no table.
        """
        folder = context.path.parent if context.path.is_file() else context.path
        project = Project(specs=_specs_folder(folder, self.specs))
        entries = project.catalog.select(list(self.select))
        sources = _match_sources(self.assets, entries)
        assets: list[dg.AssetsDefinition | dg.AssetSpec] = []
        for entry in entries:
            table = entry.spec
            assert table is not None, "the catalog raises for broken entries"
            source = sources.get(entry.name) or TableRows()
            asset = self.get_asset_spec(project, table)
            if asset.key.path != table.asset_key.split("/"):
                raise PlanError(
                    f"the asset of {entry.shown} has the key `{asset.key.to_user_string()}`, but"
                    " the IO manager finds its spec by asset_key",
                    hint="set asset_key in the spec instead",
                )
            rows = self._find_rows(context, project, entry, source, folder)
            deps = [dg.AssetDep(dg.AssetKey.from_user_string(key)) for key in source.deps]
            if rows is not None:
                assets.append(_make_asset(asset, rows, [*asset.deps, *deps], self.pool))
            elif self.external:
                assets.append(asset.merge_attributes(deps=deps))
        checks = asset_checks(project, list(self.select), io_manager_key=self.io_manager_key)
        return dg.Definitions(assets=assets, asset_checks=checks if self.checks else [])

    def _find_rows(
        self,
        context: dg.ComponentLoadContext,
        project: Project,
        entry: Entry,
        source: TableRows,
        folder: Path,
    ) -> Rows | None:
        """The function that returns the rows of a table; None if it has no source."""
        table = entry.spec
        assert table is not None
        if source.callable is not None and source.files is not None:
            raise _entry_error(entry.name, "has both callable and files", "remove one of them")
        if source.callable is not None:
            return _import_function(context, entry.name, source.callable)
        if source.files is not None:
            files = (source.files,) if isinstance(source.files, str) else tuple(source.files)
            if not files:
                raise _entry_error(entry.name, "has an empty list of files", "add a file")
            for name in files:
                for message, hint in file_patterns.problems(name, table.dimensions):
                    raise _entry_error(entry.name, message, hint)
            return _make_files(files, folder)
        if table.source.files:
            for name in table.source.files:  # which `loader run` could split by itself
                for message, hint in file_patterns.problems(name, table.dimensions):
                    raise PlanError(f"{entry.shown}: source.files: {message}", hint=hint)
            return _make_files(table.source.files, project.config.root)
        if table.source.query is not None:
            return _make_query(project, table)
        return None


def _specs_folder(folder: Path, specs: str) -> Path:
    found = folder / specs
    if found.resolve() == folder.resolve():
        raise PlanError(
            "the table specs cannot be in the folder of defs.yaml, which would be read as a spec",
            hint="move them to a folder of their own: specs: specs",
        )
    return found


def _match_sources(given: dict[str, TableRows], entries: Sequence[Entry]) -> dict[str, TableRows]:
    """The source of each table's rows, by asset key; exact keys override globs."""
    names = [entry.name for entry in entries]
    found: dict[str, TableRows] = {}
    for pattern, rows in given.items():
        matches = [pattern] if pattern in names else fnmatch.filter(names, pattern)
        if not matches:
            close = difflib.get_close_matches(pattern, names, n=1)
            tables = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
            hint = f"did you mean `{close[0]}`?" if close else f"the tables are {tables}"
            raise _entry_error(pattern, "matches no table spec of this component", hint)
        for name in matches:
            if name == pattern:
                found[name] = rows
            elif name not in given:
                found.setdefault(name, rows)
    return found


def _entry_error(key: str, message: str, hint: str | None) -> PlanError:
    return PlanError(f"assets: `{key}`: {message}", hint=hint)


def _import_function(context: dg.ComponentLoadContext, key: str, path: str) -> Rows:
    """Import the function at ``package.module:function``."""
    expected = "write package.module:function"
    module, colon, name = path.partition(":")
    if not (module and colon and name):
        raise _entry_error(key, f"`{path}` is not the path of a function", expected)
    try:
        found = importlib.import_module(context.normalize_component_type_str(module))
    except ModuleNotFoundError as error:
        raise _entry_error(key, f"{path}: {error}", expected) from error
    function = getattr(found, name, None)
    if not callable(function):
        known = [one for one, value in vars(found).items() if callable(value) and one[0] != "_"]
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean `{close[0]}`?" if close else None
        raise _entry_error(key, f"{path}: there is no function `{name}` in {found.__name__}", hint)
    with suppress(ValueError):  # some built-in functions have no signature
        try:
            inspect.signature(function).bind(None)
        except TypeError as error:
            hint = "it must take one argument, the asset's context"
            raise _entry_error(key, f"{path}: {error}", hint) from error
    rows: Rows = function
    return rows


def _make_files(names: Sequence[str], folder: Path) -> Rows:
    """The function that names the files of a run; the IO manager lists, reads and records them."""
    files = SourceFiles(tuple(names), folder.absolute(), own=True)
    return lambda _: files


def _make_query(project: Project, table: TableSpec) -> Rows:
    """The function that runs the query of a table's source for the partitions of a run."""

    def read(context: dg.AssetExecutionContext) -> Any:
        try:
            partitions, request = context.assets_def.partitions_def, None
            if partitions is not None:
                request = select(table, partitions, context.partition_keys).request
            return project.open_query(table, request)
        except LoaderError as error:
            if error.transient:
                raise
            raise failure(error) from error

    return read


def _make_asset(
    asset: dg.AssetSpec, rows: Rows, deps: Sequence[dg.AssetDep], pool: str | None
) -> dg.AssetsDefinition:
    """An asset that returns what `rows` returns."""
    key = "/".join(asset.key.path)

    def materialize(context: dg.AssetExecutionContext) -> Any:
        return _to_result(rows(context))

    # Without the return annotation, which Dagster would use as the type of the output.
    materialize.__annotations__ = {"context": dg.AssetExecutionContext}
    policy = dg.BackfillPolicy.single_run() if asset.partitions_def is not None else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)  # backfill policies are in beta
        out = dg.AssetOut.from_spec(
            asset.replace_attributes(deps=[]),
            io_manager_key=asset.metadata.get("dagster/io_manager_key"),
        )
        return dg.multi_asset(
            name=op_name(key),
            outs={"result": out},
            deps=deps,
            partitions_def=asset.partitions_def,
            backfill_policy=policy,
            pool=pool,
        )(materialize)


def _to_result(value: Any) -> dg.MaterializeResult[Any]:
    """Wrap what a function returned; Dagster would take a bare generator for events."""
    if isinstance(value, dg.MaterializeResult):
        return value
    if isinstance(value, dg.Output):
        return dg.MaterializeResult(
            value=value.value,
            metadata=value.metadata,
            data_version=value.data_version,
            tags=value.tags,
        )
    return dg.MaterializeResult(value=value)
