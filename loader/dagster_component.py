"""A component for `dg`: creates assets from a folder of table specs, without Python code.

    type: loader.dagster_component.TableSpecsComponent
    attributes:
      specs: specs
      target: local
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
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import dagster as dg
from dagster.components.utils.translation import TranslationFn, TranslationFnResolver

from loader.dagster_io.component_manager import component_name, make_manager, resolve_fields
from loader.dagster_io.definitions import asset_checks, asset_spec
from loader.dagster_io.metadata import failure
from loader.dagster_io.names import op_name
from loader.dagster_io.partitions import select
from loader.dagster_io.requirements import find_project, require_manager
from loader.dagster_io.runs import forbid_run_retries
from loader.dagster_io.scaffolder import TableSpecsScaffolder
from loader.dagster_io.schedules import schedules
from loader.dagster_io.sensors import is_watched, new_files_sensor
from loader.data.source_files import SourceFiles
from loader.errors import LoaderError, PlanError
from loader.project import Project
from loader.spec import file_patterns
from loader.spec.catalog import Entry
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
    deps: Annotated[str | Sequence[str], _describe("Asset keys of the upstream assets.")] = ()


@dg.scaffold_with(TableSpecsScaffolder)
@dataclass
class TableSpecsComponent(dg.Component, dg.Resolvable):
    """Assets from a folder of table specs, with rows from functions or files."""

    specs: Annotated[
        str, _describe("The folder of the table specs, relative to this component's folder.")
    ] = "specs"
    select: Annotated[
        str | Sequence[str], _describe("Asset keys, globs or spec files; default all tables.")
    ] = ()
    io_manager_key: Annotated[
        str | None,
        _describe(
            "The resource key of the IO manager that loads the assets. With target or io_manager"
            " the component defines it, by default with a name of its own; else it is one of"
            " Loader's that is defined elsewhere, by default io_manager."
        ),
    ] = None
    target: Annotated[
        str | None,
        _describe("Load into this target of the project's settings, loader.toml or [tool.loader]."),
    ] = None
    io_manager: Annotated[
        dict[str, Any] | None,
        dg.Resolver(
            resolve_fields,
            model_field_type=dict[str, Any] | None,
            inject_before_resolve=False,
            description="Instead of target: the type, duckdb or redshift, and the fields of"
            " DuckDBIOManager or RedshiftIOManager; secrets as {{ env.NAME }}.",
        ),
    ] = None
    checks: Annotated[
        bool | Literal["partitioned"],
        _describe(
            "Whether to create the specs' asset checks; `partitioned` keeps a result of each"
            " partition, a preview in Dagster 1.13."
        ),
    ] = True
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
        kind = str(self.io_manager["type"]) if self.io_manager else None
        asset = asset_spec(project, table.asset_key, kind=kind)
        return self.translation(asset, table) if self.translation else asset

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The assets and asset checks of the folder.

        Raises:
            SpecError: a spec is invalid; lists every problem of every file.
            PlanError: there are no specs, an entry of `assets` is invalid or matches no table, or
                it is not clear what loads the tables.
            ConfigError: the settings of the target or the fields of the IO manager are wrong.
        """
        folder = context.path.parent if context.path.is_file() else context.path
        specs = folder / self.specs
        manager = make_manager(self.target, self.io_manager, specs, context.project_root)
        name = component_name(context)
        default = "io_manager" if manager is None else f"{name}__io_manager"
        key = self.io_manager_key or default
        project = Project(specs=specs, target=self.target)
        selected = _to_list(self.select)
        checks = _parse_switch("checks", self.checks, "partitioned")
        external = _parse_switch("external", self.external)
        entries = project.catalog.select(selected)
        sources = _match_sources(self.assets, entries)
        assets: list[dg.AssetsDefinition | dg.AssetSpec] = []
        loaded: list[str] = []
        for entry in entries:
            table = entry.spec
            assert table is not None, "the catalog raises for broken entries"
            source = sources.get(entry.name) or TableRows()
            asset = self.get_asset_spec(project, table).with_io_manager_key(key)
            if asset.key.path != table.asset_key.split("/"):
                raise PlanError(
                    f"the asset of {entry.shown} has the key `{asset.key.to_user_string()}`, not"
                    " the asset_key of its spec",
                    hint="set asset_key in the spec instead",
                )
            rows = self._find_rows(context, project, entry, source, folder)
            deps = [dg.AssetDep(dg.AssetKey.from_user_string(key)) for key in _to_list(source.deps)]
            if rows is not None:
                loaded.append(entry.name)
                assets.append(_make_asset(asset, rows, [*asset.deps, *deps], self.pool, key))
            elif external:
                assets.append(asset.merge_attributes(deps=deps))
        watched = [
            entry.name
            for entry in entries
            if entry.spec and is_watched(entry.spec) and entry.name not in sources
        ]
        partitioned = checks == "partitioned"
        return dg.Definitions(
            assets=assets,
            asset_checks=asset_checks(
                project, selected, io_manager_key=key, partitioned=partitioned
            )
            if checks
            else [],
            schedules=schedules(project, loaded) if loaded else [],
            sensors=[
                new_files_sensor(project, watched, io_manager_key=key, name=f"{name}__new_files")
            ]
            if watched
            else [],
            resources={} if manager is None else {key: manager},
        )

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
            files = tuple(_to_list(source.files))
            if not files:
                raise _entry_error(entry.name, "has an empty list of files", "add a file")
            for name in files:
                for message, hint in file_patterns.problems(
                    name, table.dimensions, table.path_keys
                ):
                    raise _entry_error(entry.name, message, hint)
            return _make_files(files, folder)
        if table.source.files:
            for name in table.source.files:  # which `loader run` could split by itself
                for message, hint in file_patterns.problems(
                    name, table.dimensions, table.path_keys
                ):
                    raise PlanError(f"{entry.shown}: source.files: {message}", hint=hint)
            return _make_files(table.source.files, project.config.root)
        if table.source.query is not None:
            return _make_query(project, table)
        return None


def _to_list(given: str | Sequence[str]) -> list[str]:
    return [given] if isinstance(given, str) else list(given)


def _parse_switch(name: str, given: object, *words: str) -> object:
    """True, False or one of the words; YAML that is filled in from variables gives text.

    Raises:
        PlanError: it is something else.
    """
    known = {"true": True, "false": False, **{word: word for word in words}}
    found = known.get(str(given).strip().lower())
    if found is None:
        raise PlanError(f"{name}: `{given}` is not one of {', '.join(known)}")
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
                keys = context.partition_keys
                request = select(table, partitions, keys, context.instance).request
            return project.open_query(table, request)
        except LoaderError as error:
            if error.transient:
                raise
            forbid_run_retries(context)
            raise failure(error) from error

    return read


def _make_asset(
    asset: dg.AssetSpec,
    rows: Rows,
    deps: Sequence[dg.AssetDep],
    pool: str | None,
    io_manager_key: str,
) -> dg.AssetsDefinition:
    """An asset that returns what `rows` returns."""
    key = "/".join(asset.key.path)

    def materialize(context: dg.AssetExecutionContext) -> Any:
        find_project(getattr(context.resources, io_manager_key), io_manager_key)
        return _to_result(rows(context))

    # Without the return annotation, which Dagster would use as the type of the output.
    materialize.__annotations__ = {"context": dg.AssetExecutionContext}
    policy = dg.BackfillPolicy.single_run() if asset.partitions_def is not None else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)  # backfill policies are in beta
        out = dg.AssetOut.from_spec(
            asset.replace_attributes(deps=[]),
            io_manager_key=io_manager_key,
        )
        made = dg.multi_asset(
            name=op_name(key),
            outs={"result": out},
            deps=deps,
            partitions_def=asset.partitions_def,
            backfill_policy=policy,
            pool=pool,
            required_resource_keys={io_manager_key},
        )(materialize)
    require_manager(made.op, io_manager_key)
    return made


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
