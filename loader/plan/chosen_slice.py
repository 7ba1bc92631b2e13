"""Chooses the slice of a load: the requested one, a placeholder, or the whole table."""

from __future__ import annotations

from loader.errors import PlanError
from loader.plan.model import LoadRequest
from loader.spec.model import TableSpec
from loader.spec.partitions import Slice, placeholder


def full_refresh_conflict() -> PlanError:
    """The error for a full refresh with a partition."""
    return PlanError(
        "a full refresh replaces the whole table, so it cannot have a partition",
        hint="remove either --full-refresh or --partition",
    )


def choose_slice(
    spec: TableSpec, request: LoadRequest, *, preview: bool
) -> tuple[Slice | None, tuple[str, ...]]:
    """Choose the slice of a load, with notes for the reader of a preview.

    Raises:
        PlanError: a full refresh has a partition, or a partitioned table would be emptied.
    """
    if request.full_refresh and request.slice is not None:
        raise full_refresh_conflict()
    needed = spec.partition_by and spec.write_disposition == "replace" and not request.full_refresh
    if request.slice is not None or not needed or request.no_partitions:
        return request.slice, ()
    names = ", ".join(dimension.name for dimension in spec.dimensions)
    if not preview:
        raise PlanError(
            f"{spec.table} is partitioned by {names}, but no partition is given",
            hint="give --partition KEY, --partition auto for the partitions in the data, or"
            " --full-refresh to replace the whole table",
        )
    example = placeholder(spec.dimensions)
    why = "no partition is given"
    if request.auto:
        why = "`auto` uses the partitions in the data, but no data is given with --from"
    return example, (f"{why}: {example} is a PLACEHOLDER for the one you load",)
