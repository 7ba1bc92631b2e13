"""What a downstream asset is handed: partitions of a table, in the form that it asks for."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import dagster as dg

from loader.dagster_io.metadata import DRY_RUN
from loader.dagster_io.partitions import Selection, selected
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
}
"""Library and class of an annotation → what is made; by name, so that nothing is imported."""

_SUPPORTED = (
    "pandas.DataFrame, polars.DataFrame, polars.LazyFrame, pyarrow.Table or"
    " pyarrow.RecordBatchReader, each also as Optional[…] or dict[str, …], or leave it out"
)


@dataclass(frozen=True)
class Wanted:
    """What an annotation asks for."""

    form: Form
    by_partition: bool = False
    """A mapping from partition key to frame."""


def wanted(annotation: Any, default: Form) -> Wanted:
    """What an annotation asks for; without one the default.

    Raises:
        PlanError: no such thing can be made.
    """
    inner = _without_none(annotation)
    if inner is Any or inner is None or inner is type(None):
        return Wanted(default)
    origin = get_origin(inner)
    if inner is dict or (isinstance(origin, type) and issubclass(origin, Mapping)):
        arguments = get_args(inner)
        value = wanted(arguments[1], default) if len(arguments) == 2 else Wanted(default)
        if value.by_partition:
            raise _unsupported(annotation)
        return Wanted(value.form, by_partition=True)
    library = str(getattr(inner, "__module__", "")).partition(".")[0]
    form = _FORMS.get((library, getattr(inner, "__name__", "")))
    if form is None:
        raise _unsupported(annotation)
    return Wanted(form)


def _without_none(annotation: Any) -> Any:
    """The annotation without Optional and Annotated around it."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _without_none(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        others = [one for one in get_args(annotation) if one is not type(None)]
        return _without_none(others[0]) if len(others) == 1 else annotation
    return annotation


def _unsupported(annotation: Any) -> PlanError:
    shown = getattr(annotation, "__qualname__", None) or str(annotation)
    return PlanError(
        f"an input annotated `{shown}` cannot be read from a table", hint=f"write {_SUPPORTED}"
    )


_MOST_ASKED = 100
"""Partitions whose last materialization is looked at; more would take Dagster's database long."""

_READ_AS: Mapping[Form, Literal["pandas", "polars", "arrow", "batches"]] = {
    "pandas": "pandas",
    "polars": "polars",
    "polars lazy": "polars",
    "arrow": "arrow",
    "batches": "batches",
}
"""What `Project.read` makes on the way to a form."""


def fetch(tables: Tables, context: dg.InputContext) -> Any:
    """Read the partitions of a table that an input is about.

    Raises:
        LoaderError: the table or a partition is not there, or cannot be made into what is wanted.
    """
    if not context.has_asset_key:
        raise PlanError(
            f"the input `{context.name}` belongs to no asset, so there is no table to read",
            hint="give outputs between the ops of a graph another io_manager_key",
        )
    asked = _asked(context, tables.default_form)
    makes = _assets_of(context)
    # An asset that reads what it has made before has made nothing at first.
    own = makes is not None and context.asset_key in makes
    # And what makes no asset, such as a check, looks at what there is.
    lenient = own or asked.lenient or makes == set()
    spec = tables.spec_of_input(context)
    if own and (spec is None or not tables.exists(spec)):
        return asked.hand_over(partial(_empty, spec, asked), {})
    if spec is None:
        raise no_table(key_of(context))
    read = partial(_read, tables.project, spec, asked)
    selection = selected(spec, context)
    if selection is None:
        return asked.hand_over(partial(read, None), {})
    missing = _missing(tables.project, context, selection)
    if missing and not lenient:
        raise _missing_partitions(spec, missing)
    if missing:
        context.log.warning(f"{spec.table}: {_missing_text(missing)} not there; left out")
    cells = {key: cell for key, cell in selection.cells.items() if key not in missing}
    return asked.hand_over(
        partial(read, list(cells.values())) if cells else partial(_empty, spec, asked),
        {key: partial(read, [cell]) for key, cell in cells.items()},
    )


@dataclass(frozen=True)
class _Asked:
    """All that an input asks for."""

    want: Wanted
    columns: list[str] | None
    limit: int | None
    lenient: bool
    """Whether partitions that are not there may be left out."""

    def hand_over(self, whole: Callable[[], Any], parts: Mapping[str, Callable[[], Any]]) -> Any:
        """Everything in one frame, or each partition in a frame of its own."""
        if self.want.by_partition:
            return {key: part() for key, part in parts.items()}
        return whole()


def _asked(context: dg.InputContext, default: Form) -> _Asked:
    options = context.definition_metadata or {}
    annotation: Any = Any
    with suppress(dg.DagsterInvariantViolationError):  # a context by hand may lack it
        annotation = context.dagster_type.typing_type
    return _Asked(
        wanted(annotation, default),
        _columns(options),
        _limit(options),
        bool(_plain(options.get("allow_missing_partitions"))),
    )


def _read(project: Project, spec: TableSpec, asked: _Asked, partition: Any) -> Any:
    frame: Any = project.read(
        spec,
        partition,
        columns=asked.columns,
        limit=asked.limit,
        as_=_READ_AS[asked.want.form],
    )
    if asked.want.form == "batches":
        from loader.executor.read import on_disk  # noqa: PLC0415  # pyarrow is slow to import

        return on_disk(frame)  # or the asset would hold on to the warehouse that it is to fill
    return frame.lazy() if asked.want.form == "polars lazy" else frame


def _empty(spec: TableSpec | None, asked: _Asked) -> Any:
    """No rows, in the spec's types; without a spec no columns either."""
    from loader.executor.read import no_rows  # noqa: PLC0415  # pyarrow is slow to import

    frame = no_rows(spec, asked.columns, _READ_AS[asked.want.form])
    return frame.lazy() if asked.want.form == "polars lazy" else frame


def _missing(project: Project, context: dg.InputContext, selection: Selection) -> list[str]:
    """The partitions that Dagster never materialized and the table has no rows of."""
    done = _materialized(context, list(selection.cells))
    open_ = [key for key in selection.cells if key not in done]
    if not open_:
        return []
    requests = [[selection.cells[key]] for key in open_]
    (rows,) = project.count(selection.spec, [[cell for (cell,) in requests]])
    if not rows:
        return open_
    counts = project.count(selection.spec, requests)
    return [key for key, rows in zip(open_, counts, strict=True) if not rows]


def _materialized(context: dg.InputContext, keys: list[str]) -> set[str]:
    """The partitions that were materialized, dry runs aside, as far as Dagster knows.

    Without an instance, and for tables that others fill, the table alone knows.
    """
    found: set[str] = set()
    with suppress(Exception):
        found = set(context.instance.get_materialized_partitions(context.asset_key))
    found &= set(keys)
    if len(found) <= _MOST_ASKED:
        with suppress(Exception):
            found -= {key for key in found if _was_dry(context, key)}
    return found


def _was_dry(context: dg.InputContext, key: str) -> bool:
    """Whether the latest materialization of a partition wrote nothing."""
    wanted = dg.AssetRecordsFilter(asset_key=context.asset_key, asset_partitions=[key])
    records = context.instance.fetch_materializations(wanted, limit=1).records
    for record in records:
        event = record.asset_materialization
        status = event.metadata.get("status") if event is not None else None
        return status is not None and status.value == DRY_RUN
    return False


def _assets_of(context: dg.InputContext) -> set[dg.AssetKey] | None:
    """The assets that the step which reads makes; None when there is no step."""
    with suppress(Exception):  # Dagster has no public way to tell, and contexts may have no step
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
        raise PlanError(f"the input's `columns` are {given!r}", hint="give a list of names")
    return list(names)


def _limit(options: Mapping[str, Any]) -> int | None:
    number = _plain(options.get("limit"))
    wrong = isinstance(number, bool) or not isinstance(number, int) or number < 0
    if number is not None and wrong:
        raise PlanError(f"the input's `limit` is {number!r}", hint="give a number of rows")
    return number


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, dg.MetadataValue) else value


def _missing_partitions(spec: TableSpec, missing: Sequence[str]) -> PlanError:
    return PlanError(
        f"{spec.table} lacks what the input asks for: {_missing_text(missing)} not there",
        hint="materialize them first, or allow it: AssetIn(metadata={'allow_missing_partitions':"
        " True})",
    )


def _missing_text(missing: Sequence[str]) -> str:
    shown = ", ".join(f"`{key}`" for key in missing[:5])
    more = f" and {len(missing) - 5:,} more" if len(missing) > 5 else ""
    return f"the partition {shown} is" if len(missing) == 1 else f"the partitions {shown}{more} are"
