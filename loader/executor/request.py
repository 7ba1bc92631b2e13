"""Converts a caller's request to the inputs of a load's plan."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from loader.errors import PlanError
from loader.plan.chosen_slice import full_refresh_conflict
from loader.plan.model import LoadRequest
from loader.spec.column_source import MAX_LOAD_ID
from loader.spec.model import TableSpec
from loader.spec.partitions import Request, Slice, make_slice
from loader.version import version

if TYPE_CHECKING:
    from loader.data.cast.load_columns import LoadFacts

AUTO = "auto"
"""The partition that means: exactly the partitions found in the data."""


def choose_slice(spec: TableSpec, partition: Request | None) -> Slice | None:
    """The slice of a table that a partition request names; None names the whole table.

    Raises:
        PlanError: the table has no partitions, or the request does not parse.
    """
    if partition is None:
        return None
    if not spec.partition_by:
        raise PlanError(
            f"{spec.table} has no partitions, but one is given",
            hint="remove the partition, or add partition_by to the spec",
        )
    return make_slice(spec.dimensions, partition)


def make_request(
    spec: TableSpec, partition: Request | None, load_id: str, *, full_refresh: bool
) -> LoadRequest:
    """Make the inputs of a load's plan that are known without the data.

    Args:
        spec: The table.
        partition: The partitions to load; ``"auto"`` for those in the data.
        load_id: The id of the load.
        full_refresh: Whether to replace the whole table.

    Raises:
        PlanError: the arguments conflict, a partition does not parse, or the load id is not valid.
    """
    if not load_id or len(load_id.encode()) > MAX_LOAD_ID or "\0" in load_id:
        raise PlanError(
            f"{load_id!r} is not a valid load id",
            hint=f"use 1 to {MAX_LOAD_ID} bytes without NUL characters",
        )
    auto = partition == AUTO and bool(spec.partition_by)
    if auto and full_refresh:
        raise full_refresh_conflict()
    return LoadRequest(
        slice=None if auto else choose_slice(spec, partition),
        full_refresh=full_refresh,
        load_id=load_id,
        version=version(),
        auto=auto,
        loaded_at=datetime.now(UTC),
    )


def facts_of(request: LoadRequest) -> LoadFacts:
    """What the rows of a load have in common."""
    from loader.data.cast.load_columns import LoadFacts  # noqa: PLC0415  # pyarrow is slow to import

    assert request.loaded_at is not None, "`make_request` has set it"
    return LoadFacts(request.load_id, request.loaded_at)
