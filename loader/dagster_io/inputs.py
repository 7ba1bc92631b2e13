"""Reads the partitions of a table for a downstream asset, as the frame type it asks for."""

from __future__ import annotations

import difflib
import types
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import dagster as dg

from loader.dagster_io.partitions import Selection, selection_of
from loader.dagster_io.tables import Form, Tables, key_of, no_table
from loader.errors import PlanError
from loader.project import Project
from loader.spec.model import TableSpec

_FORMS: Mapping[tuple[str, str], Form] = {
    ("pandas", "DataFrame"): "pandas",
    ("polars", "DataFrame"): "polars",
    ("polars", "LazyFrame"): "polars lazy",
    ("pyarrow", "Table"): "arrow",
    ("pyarrow", "RecordBatchReader"): "batches",
    ("duckdb", "DuckDBPyRelation"): "duckdb",
    ("_duckdb", "DuckDBPyRelation"): "duckdb",
    ("pyspark", "DataFrame"): "spark",
}
"""The form for the library and class of an annotation; by name, to import no library."""

_SUPPORTED = (
    "pandas.DataFrame, polars.DataFrame, polars.LazyFrame, pyarrow.Table,"
    " pyarrow.RecordBatchReader, duckdb.DuckDBPyRelation or pyspark.sql.DataFrame, each also as"
    " Optional[…] or dict[str, …], or leave it out"
)


@dataclass(frozen=True)
class Wanted:
    """The frame type that an annotation asks for."""

    form: Form
    by_partition: bool = False
    """A mapping from partition key to frame."""
    optional: bool = False
    """None stands for a table that does not exist."""


def parse_annotation(annotation: Any, default: Form) -> Wanted:
    """The frame type that an annotation asks for; `default` without an annotation.

    Raises:
        PlanError: the annotated type is not supported.
    """
    optional, inner = _without_none(annotation)
    if inner is Any or inner is None or inner is type(None):
        return Wanted(default)
    origin = get_origin(inner)
    if inner is dict or (isinstance(origin, type) and issubclass(origin, Mapping)):
        arguments = get_args(inner)
        value = parse_annotation(arguments[1], default) if len(arguments) == 2 else Wanted(default)
        if value.by_partition or value.optional:
            raise _unsupported(annotation)
        return Wanted(value.form, by_partition=True, optional=optional)
    library = str(getattr(inner, "__module__", "")).partition(".")[0]
    form = _FORMS.get((library, getattr(inner, "__name__", "")))
    if form is None:
        raise _unsupported(annotation)
    return Wanted(form, optional=optional)


def _without_none(annotation: Any) -> tuple[bool, Any]:
    """Unwrap Optional and Annotated; whether None is allowed, and the type beside it."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _without_none(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        others = [one for one in get_args(annotation) if one is not type(None)]
        if len(others) != 1:
            return False, annotation
        return len(others) < len(get_args(annotation)), _without_none(others[0])[1]
    return False, annotation


def _unsupported(annotation: Any) -> PlanError:
    is_class = isinstance(annotation, type) and not get_args(annotation)
    shown = annotation.__qualname__ if is_class else str(annotation)
    return PlanError(
        f"an input cannot be read as `{shown}`, its annotation", hint=f"use {_SUPPORTED}"
    )


_READ_AS: Mapping[Form, Literal["pandas", "polars", "arrow", "batches", "spark"]] = {
    "pandas": "pandas",
    "polars": "polars",
    "polars lazy": "polars",
    "arrow": "arrow",
    "batches": "batches",
    "duckdb": "arrow",
    "spark": "spark",
}
"""The argument of `Project.read` for each form."""


def fetch(tables: Tables, context: dg.InputContext) -> Any:
    """Read the partitions of the upstream table for an input.

    Raises:
        LoaderError: the table or a partition does not exist, or the annotation is not supported.
    """
    if not context.has_asset_key:
        raise PlanError(
            f"the input `{context.name}` has no asset key, so it has no table to read",
            hint="set another io_manager_key for outputs between the ops of a graph",
        )
    request = _parse_request(context, tables.default_form)
    outputs = _output_assets(context)
    # On its first run, an asset that reads itself has no table or partitions yet.
    is_own = outputs is not None and context.asset_key in outputs
    # A step without output assets, such as an asset check, reads the partitions that exist.
    lenient = is_own or request.lenient or outputs == set()
    spec = tables.spec_of_input(context)
    if request.wanted.optional and (spec is None or not tables.exists(spec)):
        return None
    if is_own and (spec is None or not tables.exists(spec)):
        return request.make_frames(partial(_empty, spec, request), {})
    if spec is None:
        raise no_table(key_of(context))
    read = partial(_read, tables.project, spec, request)
    selection = selection_of(spec, context)
    if selection is None:
        return request.make_frames(partial(read, None), {})
    missing = _find_missing(tables.project, context, selection)
    if missing and not lenient:
        raise _missing_partitions(spec, missing)
    if missing:
        context.log.warning(f"{spec.table}: {_format_missing(missing)} missing; skipped")
    cells = {key: cell for key, cell in selection.cells.items() if key not in missing}
    return request.make_frames(
        partial(read, list(cells.values())) if cells else partial(_empty, spec, request),
        {key: partial(read, [cell]) for key, cell in cells.items()},
    )


@dataclass(frozen=True)
class _Request:
    """The annotation and metadata of an input."""

    wanted: Wanted
    columns: list[str] | None
    limit: int | None
    where: str | None
    lenient: bool
    """Whether missing partitions are skipped."""

    def make_frames(self, whole: Callable[[], Any], parts: Mapping[str, Callable[[], Any]]) -> Any:
        """One frame with all rows, or a dict with one frame for each partition."""
        if self.wanted.by_partition:
            return {key: part() for key, part in parts.items()}
        return whole()


_OPTIONS = ("columns", "limit", "where", "allow_missing_partitions")
"""The metadata of an input that its IO manager knows."""


def _unknown_option(name: str) -> PlanError:
    close = difflib.get_close_matches(name, _OPTIONS, n=1)
    known = ", ".join(f"`{option}`" for option in _OPTIONS)
    return PlanError(
        f"the input's metadata has an unknown key `{name}`",
        hint=f"did you mean `{close[0]}`?"
        if close
        else f"the keys are {known}; put what is meant"
        " for others under a name with a slash, as in `team/note`",
    )


def _parse_request(context: dg.InputContext, default: Form) -> _Request:
    options = context.definition_metadata or {}
    for name in options:
        if name not in _OPTIONS and "/" not in name:  # such as dagster/…, for others
            raise _unknown_option(name)
    annotation: Any = Any
    with suppress(dg.DagsterInvariantViolationError):  # build_input_context may leave it out
        annotation = context.dagster_type.typing_type
    return _Request(
        parse_annotation(annotation, default),
        _columns(options),
        _limit(options),
        _where(options),
        _lenient(options),
    )


def _read(project: Project, spec: TableSpec, request: _Request, partition: Any) -> Any:
    form = request.wanted.form
    read: Any = project.read  # whose overloads do not know a union of forms
    frame = read(
        spec,
        partition,
        columns=request.columns,
        limit=request.limit,
        where=request.where,
        as_=_READ_AS[form],
    )
    if form == "batches":
        from loader.executor.read import on_disk  # noqa: PLC0415  # pyarrow is slow to import

        return on_disk(frame)  # or the open stream would block a load into the same warehouse
    return _convert(frame, form)


def _convert(frame: Any, form: Form) -> Any:
    if form == "duckdb":
        from loader.data.to_duckdb import to_relation  # noqa: PLC0415  # only where asked for

        return to_relation(frame)
    return frame.lazy() if form == "polars lazy" else frame


def _empty(spec: TableSpec | None, request: _Request) -> Any:
    """An empty frame with the spec's types; without a spec it has no columns either."""
    from loader.executor.read import no_rows  # noqa: PLC0415  # pyarrow is slow to import

    frame = no_rows(spec, request.columns, _READ_AS[request.wanted.form])
    return _convert(frame, request.wanted.form)


def _find_missing(project: Project, context: dg.InputContext, selection: Selection) -> list[str]:
    """The partitions that were never materialized in Dagster and have no rows in the table."""
    materialized = _find_materialized(context, list(selection.cells))
    unknown = [key for key in selection.cells if key not in materialized]
    if not unknown:
        return []
    requests = [[selection.cells[key]] for key in unknown]
    (rows,) = project.count(selection.spec, [[cell for (cell,) in requests]])
    if not rows:
        return unknown
    counts = project.count(selection.spec, requests)
    return [key for key, rows in zip(unknown, counts, strict=True) if not rows]


def _find_materialized(context: dg.InputContext, keys: list[str]) -> set[str]:
    """The partitions that Dagster has materialized; empty without an instance."""
    with suppress(Exception):
        return set(keys) & set(context.instance.get_materialized_partitions(context.asset_key))
    return set()


def _output_assets(context: dg.InputContext) -> set[dg.AssetKey] | None:
    """The assets that the reading step materializes; None if there is no step."""
    with suppress(Exception):  # Dagster has no public API for it, and there may be no step
        step = context.step_context
        assets = step.job_def.asset_layer.get_assets_def_for_node(step.node_handle)
        return set(assets.keys) if assets else set()
    return None


def _columns(options: Mapping[str, Any]) -> list[str] | None:
    given = _plain(options.get("columns"))
    if given is None:
        return None
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, Iterable) or not all(isinstance(name, str) for name in names):
        raise PlanError(
            f"the input's `columns` must be a list of names, not {given!r}",
            hint="set the metadata `columns` to a list of column names",
        )
    twice = [name for name, times in Counter(map(str.lower, names)).items() if times > 1]
    if twice:
        raise PlanError(
            f"the input's `columns` name `{twice[0]}` twice",
            hint="set the metadata `columns` to a list of different column names",
        )
    return list(names)


def _lenient(options: Mapping[str, Any]) -> bool:
    given = _plain(options.get("allow_missing_partitions"))
    if given is not None and not isinstance(given, bool):
        raise PlanError(
            f"the input's `allow_missing_partitions` must be true or false, not {given!r}",
            hint="set the metadata `allow_missing_partitions` to True, or leave it out",
        )
    return bool(given)


def _limit(options: Mapping[str, Any]) -> int | None:
    number = _plain(options.get("limit"))
    invalid = isinstance(number, bool) or not isinstance(number, int) or number < 0
    if number is not None and invalid:
        raise PlanError(
            f"the input's `limit` must be a number of rows, not {number!r}",
            hint="set the metadata `limit` to 0 or a positive whole number",
        )
    return number


def _where(options: Mapping[str, Any]) -> str | None:
    given = _plain(options.get("where"))
    if given is not None and not isinstance(given, str):
        raise PlanError(
            f"the input's `where` must be a SQL condition, not {given!r}",
            hint="set the metadata `where` to text such as `amount > 10`",
        )
    return given


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, dg.MetadataValue) else value


def _missing_partitions(spec: TableSpec, missing: Sequence[str]) -> PlanError:
    return PlanError(
        f"{spec.table} lacks data for the input: {_format_missing(missing)} missing",
        hint="materialize them first, or skip them: AssetIn(metadata={'allow_missing_partitions':"
        " True})",
    )


def _format_missing(missing: Sequence[str]) -> str:
    shown = ", ".join(f"`{key}`" for key in missing[:5])
    more = f" and {len(missing) - 5:,} more" if len(missing) > 5 else ""
    return f"the partition {shown} is" if len(missing) == 1 else f"the partitions {shown}{more} are"
