"""Plans loads and table changes against the live tables; reads from the warehouse, never writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from loader.executor.context import TargetContext
from loader.executor.request import make_request
from loader.plan.ddl import table_of
from loader.plan.drift.compare import drift
from loader.plan.drift.difference import Drift
from loader.plan.live_table import Live, LiveTable
from loader.plan.load_plan import plan_load
from loader.plan.model import LoadRequest
from loader.plan.read_plan import plan_counts
from loader.plan.renames import find_earlier, names_to_inspect
from loader.plan.review import Review, deletes, live_for_load
from loader.plan.table_changes import (
    Probe,
    TableChange,
    find_probes,
    has_all_columns,
    plan_change,
)
from loader.spec.model import TableSpec
from loader.spec.partitions import Request
from loader.sql.renderer import Table
from loader.warehouse.introspect import inspect, run_probes


@dataclass(frozen=True)
class _Inspected:
    """A live table, its drift, and the results of its probes."""

    live: Live
    drift: Drift
    results: Mapping[str, int | None]


def inspect_table(table: Table, context: TargetContext) -> Live:
    """Read a live table from the catalog.

    Raises:
        ExecuteError: the warehouse cannot be queried.
    """
    if not context.warehouse.exists():
        return "no schema"
    with context.warehouse.session(write=False) as session:
        return inspect(session, context.renderer, [table])[table]


def find_changes(specs: Sequence[TableSpec], context: TargetContext) -> list[TableChange]:
    """Plan the changes that make live tables match their specs.

    Args:
        specs: The tables. The number of queries does not depend on their number.
        context: The target.

    Raises:
        ExecuteError: the warehouse cannot be queried.
        TemplateError: a template is missing or broken, or would commit.
    """
    return [
        _change(spec, context, table)
        for spec, table in zip(specs, _inspect_all(specs, context, lambda _, __: ()), strict=True)
    ]


def review_loads(
    specs: Sequence[TableSpec],
    partition: Request | None,
    context: TargetContext,
    load_id: str,
    *,
    full_refresh: bool = False,
    frame: object = None,
) -> list[Review]:
    """Plan loads against the live tables.

    Args:
        specs: The tables.
        partition: The partitions to load, for partitioned tables.
        context: The target.
        load_id: The id of the load.
        full_refresh: Whether to replace whole tables.
        frame: The data to load, for one table; it is read, but not loaded.

    Raises:
        PlanError, TemplateError: a load cannot be planned.
        FrameError: the data does not fit.
        ExecuteError: the warehouse cannot be queried.
    """
    renderer = context.renderer
    types: Mapping[str, str] = {}
    requests: list[LoadRequest] = []
    for spec in specs:
        wanted = partition if spec.partition_by or len(specs) == 1 else None
        request = make_request(spec, wanted, load_id, full_refresh=full_refresh)
        if frame is not None:
            from loader.data.frames import peek  # noqa: PLC0415  # pyarrow is slow to import
            from loader.data.in_place import InPlace  # noqa: PLC0415
            from loader.executor.in_place import Place  # noqa: PLC0415
            from loader.executor.load import with_data  # noqa: PLC0415
            from loader.executor.source import open_for_plan  # noqa: PLC0415

            request, frame = open_for_plan(spec, frame, request, context.root)
            opened = frame
            if not isinstance(frame, InPlace):
                opened, as_found = peek(frame)
                types = _name_columns(spec, as_found)
            by_position = isinstance(frame, InPlace) and renderer.dialect.copies_by_position
            live = inspect_table(table_of(spec), context) if by_position else "unseen"
            order = live.order if isinstance(live, LiveTable) else ()
            place = Place(context.adapter, renderer, context.target, order)
            request = with_data(spec, request, opened, place)
        requests.append(request)
    counts = {
        spec.table: plan_counts(spec, renderer, [request.slice])[0].sql
        for spec, request in zip(specs, requests, strict=True)
        if deletes(spec, request)
    }

    def count_deleted(spec: TableSpec, live: Live) -> tuple[Probe, ...]:
        if spec.table in counts and has_all_columns(spec, live):
            return (Probe("deleted", counts[spec.table]),)
        return ()

    asked = partition is not None or full_refresh or frame is not None
    reviews = []
    inspected = _inspect_all(specs, context, count_deleted)
    for spec, request, state in zip(specs, requests, inspected, strict=True):
        change = _change(spec, context, state)
        live = live_for_load(change, renderer)
        found = state.drift if live is state.live else None
        load = plan_load(spec, renderer, context.target, replace(request, live=live), found)
        deleted = state.results.get("deleted") if isinstance(state.live, LiveTable) else 0
        reviews.append(Review(change, load, asked, deleted, types))
    return reviews


def _name_columns(spec: TableSpec, types: Mapping[str, str]) -> dict[str, str]:
    """The types of the data's columns by the names that the table has for them.

    Raises:
        FrameError: columns are missing, unexpected or ambiguous.
    """
    from loader.data.cast.match_columns import match_columns  # noqa: PLC0415

    matched = match_columns(spec, list(types)) if types else {}
    known = {
        name: types[found] + (f" `{found}`" if found.casefold() != name.casefold() else "")
        for name, found in matched.items()
    }
    return known | {name: kind for name, kind in types.items() if name not in matched.values()}


def _change(spec: TableSpec, context: TargetContext, state: _Inspected) -> TableChange:
    return plan_change(
        spec, context.renderer, context.target, state.live, state.results, state.drift
    )


def _inspect_all(
    specs: Sequence[TableSpec],
    context: TargetContext,
    more: Callable[[TableSpec, Live], tuple[Probe, ...]],
) -> list[_Inspected]:
    """Inspect the live tables, and run the probes of their changes and of ``more``."""
    renderer = context.renderer
    if not context.warehouse.exists():
        return [_Inspected("no schema", drift(spec, renderer, "no schema"), {}) for spec in specs]
    with context.warehouse.session(write=False) as session:
        target = context.target
        names = (name for spec in specs for name in names_to_inspect(spec, renderer, target))
        found = inspect(session, renderer, list(dict.fromkeys(names)))
        earlier = [find_earlier(spec, renderer, target, found) for spec in specs]
        lives = [
            found[old.table if old else table_of(spec)]
            for spec, old in zip(specs, earlier, strict=True)
        ]
        drifts = [
            drift(spec, renderer, live, old)
            for spec, live, old in zip(specs, lives, earlier, strict=True)
        ]
        probes = [
            (
                *find_probes(spec, renderer, live, differing),
                *(() if differing.earlier else more(spec, live)),
            )
            for spec, live, differing in zip(specs, lives, drifts, strict=True)
        ]
        flat = [probe.sql for some in probes for probe in some]
        results = iter(run_probes(session, renderer, flat))
        named = [{probe.name: next(results) for probe in some} for some in probes]
    return [_Inspected(*each) for each in zip(lives, drifts, named, strict=True)]
