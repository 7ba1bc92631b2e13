"""A component for `dg`: a folder of table specs as assets, so that a new table needs YAML only.

    type: loader.dagster_component.TableSpecsComponent
    attributes:
      specs: specs
      assets:
        nyc/flights: {files: "data/flights-{date}.csv.gz"}
        nyc/air*: {callable: my_project.loads:airlines}

A table whose spec names its files (``source: {files: […]}``) needs no entry here.
"""

# Without postponed annotations: Dagster reads those of the attributes as they are.

import difflib
import fnmatch
import glob
import importlib
import inspect
import json
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import dagster as dg
from dagster.components.utils.translation import TranslationFn, TranslationFnResolver

from loader.atomic_write import write_text
from loader.dagster_io.checks import op_name
from loader.dagster_io.definitions import asset_checks, asset_spec
from loader.dagster_io.metadata import failure
from loader.dagster_io.partitions import select
from loader.errors import LoaderError, PlanError, SpecError
from loader.project import Project
from loader.spec import file_patterns
from loader.spec.catalog import Entry, read_entry
from loader.spec.model import TableSpec

Rows = Callable[[dg.AssetExecutionContext], Any]
"""Makes the rows of a run: whatever the IO manager takes."""


def _told(description: str) -> dg.Resolver:
    return dg.Resolver.default(description=description)


@dataclass
class TableRows(dg.Resolvable):
    """Where the rows of tables come from: a function, or files."""

    callable: Annotated[
        str | None,
        _told(
            "package.module:function, or .module:function beside defs.yaml; it is called with the"
            " asset's context and returns a frame."
        ),
    ] = None
    files: Annotated[
        str | Sequence[str] | None,
        _told(
            "Paths or globs, relative to this component's folder, or s3://…; {date} or"
            " {date:%Y/%m/%d} in them is the key of the dimension `date`."
        ),
    ] = None
    deps: Annotated[Sequence[str], _told("Asset keys of what the rows are made of.")] = ()


class TableSpecsParams(dg.Model):
    """What the first table spec of a new component is about."""

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
    """A first table that loads: its spec, the rows of one day, and the component itself."""

    @classmethod
    def get_scaffold_params(cls) -> type[TableSpecsParams]:
        """What may be asked of it."""
        return TableSpecsParams

    def scaffold(self, request: dg.ScaffoldRequest[TableSpecsParams]) -> None:
        """Write the files; nothing that is there is written over.

        Raises:
            SpecError: the schema or table cannot have this name; nothing was written.
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
    """A folder of table specs as assets, around functions or straight from files."""

    specs: Annotated[
        str, _told("The folder of the table specs, relative to this component's folder.")
    ] = "specs"
    select: Annotated[
        Sequence[str], _told("Asset keys, globs or spec files; default all tables.")
    ] = ()
    io_manager_key: Annotated[
        str, _told("The resource that loads what assets return, one of Loader's IO managers.")
    ] = "io_manager"
    checks: Annotated[bool, _told("Whether the specs' checks become asset checks.")] = True
    assets: Annotated[
        dict[str, TableRows],
        _told("Asset key or glob → where its rows come from; an exact key goes first."),
    ] = field(default_factory=dict)
    external: Annotated[
        bool,
        _told(
            "Whether tables without rows of their own become assets that others fill; false leaves"
            " them to assets that are written by hand."
        ),
    ] = True
    pool: Annotated[
        str | None, _told("The concurrency pool of the loads, such as one for a DuckDB file.")
    ] = None
    translation: (
        Annotated[
            TranslationFn[TableSpec],
            TranslationFnResolver[TableSpec](lambda table: {"table_spec": table}),
        ]
        | None
    ) = None

    def get_asset_spec(self, project: Project, table: TableSpec) -> dg.AssetSpec:
        """The asset of a table; to be overridden for other words of it. Its key stays.

        Raises:
            PlanError: its partitions have no start, or Dagster refuses it.
        """
        made = asset_spec(project, table.asset_key, io_manager_key=self.io_manager_key)
        return self.translation(made, table) if self.translation else made

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The assets and checks of the folder.

        Raises:
            SpecError: a spec is wrong; with every problem of every file.
            PlanError: there are no specs, an entry of `assets` means none or says nothing that can
                be used.
        """
        folder = context.path.parent if context.path.is_file() else context.path
        project = Project(specs=_specs_folder(folder, self.specs))
        entries = project.catalog.select(list(self.select))
        sources = _sources(self.assets, entries)
        assets: list[dg.AssetsDefinition | dg.AssetSpec] = []
        for entry in entries:
            table = entry.spec
            assert table is not None, "the catalog raises for broken entries"
            given = sources.get(entry.name) or TableRows()
            made = self.get_asset_spec(project, table)
            if made.key.path != table.asset_key.split("/"):
                raise PlanError(
                    f"the asset of {entry.shown} is given the key `{made.key.to_user_string()}`, by"
                    " which the IO manager would not find its spec",
                    hint="set asset_key in the spec",
                )
            rows = self._rows(context, project, entry, given, made, folder)
            deps = [dg.AssetDep(dg.AssetKey.from_user_string(key)) for key in given.deps]
            if rows is not None:
                assets.append(_asset(made, rows, [*made.deps, *deps], self.pool))
            elif self.external:
                assets.append(made.merge_attributes(deps=deps))
        checks = asset_checks(project, list(self.select), io_manager_key=self.io_manager_key)
        return dg.Definitions(assets=assets, asset_checks=checks if self.checks else [])

    def _rows(
        self,
        context: dg.ComponentLoadContext,
        project: Project,
        entry: Entry,
        given: TableRows,
        made: dg.AssetSpec,
        folder: Path,
    ) -> Rows | None:
        """What makes the rows of a table; None when nothing does."""
        table = entry.spec
        assert table is not None
        if given.callable is not None and given.files is not None:
            raise _wrong(entry.name, "has both callable and files", "leave one of them out")
        if given.callable is not None:
            return _function(context, entry.name, given.callable)
        if given.files is not None:
            files = (given.files,) if isinstance(given.files, str) else tuple(given.files)
            if not files:
                raise _wrong(entry.name, "has an empty list of files", "name a file")
            for name in files:
                for message, hint in file_patterns.problems(name, table.dimensions):
                    raise _wrong(entry.name, message, hint)
            return _Files(table, files, folder, made.partitions_def)
        if table.source.files:
            root = project.config.root
            return _Files(table, table.source.files, root, made.partitions_def)
        return None


def _specs_folder(folder: Path, specs: str) -> Path:
    found = folder / specs
    if found.resolve() == folder.resolve():
        raise PlanError(
            "the table specs cannot lie beside defs.yaml, which would be read as one of them",
            hint="give them a folder of their own: specs: specs",
        )
    return found


def _sources(given: dict[str, TableRows], entries: Sequence[Entry]) -> dict[str, TableRows]:
    """Where the rows of each table come from, by asset key."""
    names = [entry.name for entry in entries]
    found: dict[str, TableRows] = {}
    for pattern, rows in given.items():
        meant = [pattern] if pattern in names else fnmatch.filter(names, pattern)
        if not meant:
            close = difflib.get_close_matches(pattern, names, n=1)
            hint = f"did you mean `{close[0]}`?" if close else f"the tables are {_few(names)}"
            raise _wrong(pattern, "names no table spec of this component", hint)
        for name in meant:
            if name == pattern:
                found[name] = rows
            elif name not in given:
                found.setdefault(name, rows)
    return found


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (", …" if len(names) > 10 else "")


def _wrong(key: str, message: str, hint: str | None) -> PlanError:
    return PlanError(f"assets: `{key}`: {message}", hint=hint)


def _function(context: dg.ComponentLoadContext, key: str, path: str) -> Rows:
    """The function that a path names."""
    module, colon, name = path.partition(":")
    if not (module and colon and name):
        raise _wrong(key, f"`{path}` names no function", "write package.module:function")
    try:
        found = importlib.import_module(context.normalize_component_type_str(module))
    except ModuleNotFoundError as error:
        raise _wrong(key, f"{path}: {error}", "write package.module:function") from error
    function = getattr(found, name, None)
    if not callable(function):
        known = [one for one, value in vars(found).items() if callable(value) and one[0] != "_"]
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean `{close[0]}`?" if close else None
        raise _wrong(key, f"{path}: there is no function `{name}` in {found.__name__}", hint)
    with suppress(ValueError):  # some that are built in tell nothing
        try:
            inspect.signature(function).bind(None)
        except TypeError as error:
            hint = "it is called with the asset's context, and nothing else"
            raise _wrong(key, f"{path}: {error}", hint) from error
    made: Rows = function
    return made


@dataclass(frozen=True)
class _Files:
    """Reads the files of the partitions that a run is about."""

    table: TableSpec
    names: tuple[str, ...]
    folder: Path
    partitions: dg.PartitionsDefinition | None

    def __call__(self, context: dg.AssetExecutionContext) -> Any:
        from loader.data.files.open import open_files  # noqa: PLC0415  # pyarrow is slow to import

        try:
            keys = None if self.partitions is None else context.partition_keys
            return open_files(list(self._patterns(keys)), self.table.source)
        except LoaderError as error:
            if error.transient:
                raise
            raise failure(error) from error

    def _patterns(self, keys: Sequence[str] | None) -> Iterator[str]:
        dimensions = self.table.dimensions
        cells = [{}] if keys is None else self._cells(keys)
        for cell, name in product(cells, self.names):
            yield _below(self.folder, file_patterns.file_name(name, dimensions, cell))

    def _cells(self, keys: Sequence[str]) -> list[dict[str, str]]:
        """The keys of the partitions, one for each dimension."""
        assert self.partitions is not None
        dimensions = self.table.dimensions
        return [
            {d.name: partition.key for d, partition in zip(dimensions, row, strict=True)}
            for cell in select(self.table, self.partitions, keys).cells.values()
            for row in product(*(cell[dimension.name] for dimension in dimensions))
        ]


def _below(folder: Path, name: str) -> str:
    return name if "://" in name else os.path.join(glob.escape(str(folder.absolute())), name)  # noqa: PTH118  # a pattern is no path


def _asset(
    made: dg.AssetSpec, rows: Rows, deps: Sequence[dg.AssetDep], pool: str | None
) -> dg.AssetsDefinition:
    """An asset around what makes its rows."""
    key = "/".join(made.key.path)

    def fill(context: dg.AssetExecutionContext) -> Any:
        return _result(rows(context))

    # Dagster would take the annotation of what is returned for that of the output.
    fill.__annotations__ = {"context": dg.AssetExecutionContext}
    policy = dg.BackfillPolicy.single_run() if made.partitions_def is not None else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)  # backfill policies are
        out = dg.AssetOut.from_spec(
            made.replace_attributes(deps=[]),
            io_manager_key=made.metadata.get("dagster/io_manager_key"),
        )
        return dg.multi_asset(
            name=op_name(key),
            outs={"result": out},
            deps=deps,
            partitions_def=made.partitions_def,
            backfill_policy=policy,
            pool=pool,
        )(fill)


def _result(value: Any) -> dg.MaterializeResult[Any]:
    """What a function returned, as a result; a bare generator would be taken for events."""
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
