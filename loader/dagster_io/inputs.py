"""What a downstream asset wants to be handed, as its annotation says, and frames made into that."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from loader.errors import PlanError
from loader.spec import TableSpec

Form = Literal["pandas", "polars", "polars lazy", "arrow", "batches"]

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

    def make(self, whole: Callable[[Form], Any], parts: Mapping[str, Callable[[Form], Any]]) -> Any:
        """Everything in one frame, or each part in a frame of its own."""
        if self.by_partition:
            return {key: part(self.form) for key, part in parts.items()}
        return whole(self.form)


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


READ_AS: Mapping[Form, Literal["pandas", "polars", "arrow", "batches"]] = {
    "pandas": "pandas",
    "polars": "polars",
    "polars lazy": "polars",
    "arrow": "arrow",
    "batches": "batches",
}
"""What `Project.read` makes on the way to a form."""


def finished(frame: Any, form: Form) -> Any:
    """What was read, in its last form."""
    return frame.lazy() if form == "polars lazy" else frame


def empty(spec: TableSpec | None, form: Form, columns: list[str] | None = None) -> Any:
    """No rows, in the spec's types; without a spec no columns either.

    Raises:
        PlanError: a column is not one of the table's.
    """
    from loader.reading import no_rows  # noqa: PLC0415  # pyarrow is slow to import

    return finished(no_rows(spec, columns, READ_AS[form]), form)
