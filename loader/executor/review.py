"""Loads and table changes held against the live tables; only looks, and asks little."""

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
from loader.plan.review import Review, deletes, live_for_load
from loader.plan.table_changes import (
    Question,
    TableChange,
    has_all_columns,
    plan_change,
    questions,
)
from loader.spec.model import TableSpec
from loader.spec.partitions import Request
from loader.sql.renderer import Table
from loader.warehouse.introspect import ask, inspect


@dataclass(frozen=True)
class _Seen:
    """A live table, what differs from its spec, and the answers to what was asked of it."""

    live: Live
    drift: Drift
    answers: Mapping[str, int | None]


def inspect_table(table: Table, context: TargetContext) -> Live:
    """What the warehouse has under the name of a table.

    Raises:
        ExecuteError: it cannot be asked.
    """
    if not context.warehouse.exists():
        return "no schema"
    with context.warehouse.session(write=False) as session:
        return inspect(session, context.renderer, [table])[table]


def find_changes(specs: Sequence[TableSpec], context: TargetContext) -> list[TableChange]:
    """What would make the live tables what their specs say.

    Args:
        specs: The tables; how many there are does not change how often the warehouse is asked.
        context: Where they are.

    Raises:
        ExecuteError: the warehouse cannot be asked.
        TemplateError: a template is missing, broken, or would commit by itself.
    """
    return [
        _change(spec, context, seen)
        for spec, seen in zip(specs, _look(specs, context, lambda _, __: ()), strict=True)
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
    """What loads would run, held against the live tables.

    Args:
        specs: The tables.
        partition: The partitions to be loaded, where tables have partitions.
        context: Where to.
        load_id: The id of the load.
        full_refresh: Replace the whole tables.
        frame: The data to be loaded, of one table; it is read and not written.

    Raises:
        PlanError, TemplateError: it cannot be planned.
        FrameError: the data does not fit.
        ExecuteError: the warehouse cannot be asked.
    """
    renderer = context.renderer
    types: Mapping[str, str] = {}
    requests: list[LoadRequest] = []
    for spec in specs:
        wanted = partition if spec.partition_by or len(specs) == 1 else None
        request = make_request(spec, wanted, load_id, full_refresh=full_refresh)
        if frame is not None:
            from loader.data.frames import peek  # noqa: PLC0415  # pyarrow is slow to import
            from loader.executor.load import with_data  # noqa: PLC0415

            opened, types = peek(frame)
            request = with_data(spec, request, opened, renderer.dialect)
        requests.append(request)
    counts = {
        spec.table: plan_counts(spec, renderer, [request.slice])[0].sql
        for spec, request in zip(specs, requests, strict=True)
        if deletes(spec, request)
    }

    def count_deleted(spec: TableSpec, live: Live) -> tuple[Question, ...]:
        if spec.table in counts and has_all_columns(spec, live):
            return (Question("deleted", counts[spec.table]),)
        return ()

    asked = partition is not None or full_refresh or frame is not None
    reviews = []
    looked = _look(specs, context, count_deleted)
    for spec, request, seen in zip(specs, requests, looked, strict=True):
        change = _change(spec, context, seen)
        live = live_for_load(change, renderer)
        found = seen.drift if live is seen.live else None
        load = plan_load(spec, renderer, context.target, replace(request, live=live), found)
        deleted = seen.answers.get("deleted") if isinstance(seen.live, LiveTable) else 0
        reviews.append(Review(change, load, asked, deleted, types))
    return reviews


def _change(spec: TableSpec, context: TargetContext, seen: _Seen) -> TableChange:
    return plan_change(spec, context.renderer, context.target, seen.live, seen.answers, seen.drift)


def _look(
    specs: Sequence[TableSpec],
    context: TargetContext,
    more: Callable[[TableSpec, Live], tuple[Question, ...]],
) -> list[_Seen]:
    """The live tables of some specs, with the answers to what their changes and ``more`` ask."""
    renderer = context.renderer
    if not context.warehouse.exists():
        return [_Seen("no schema", drift(spec, renderer, "no schema"), {}) for spec in specs]
    with context.warehouse.session(write=False) as session:
        found = inspect(session, renderer, [table_of(spec) for spec in specs])
        lives = [found[table_of(spec)] for spec in specs]
        drifts = [drift(spec, renderer, live) for spec, live in zip(specs, lives, strict=True)]
        asked = [
            (*questions(spec, renderer, live, differing), *more(spec, live))
            for spec, live, differing in zip(specs, lives, drifts, strict=True)
        ]
        flat = [question.sql for some in asked for question in some]
        answers = iter(ask(session, renderer, flat))
        named = [{question.what: next(answers) for question in some} for some in asked]
    return [_Seen(*each) for each in zip(lives, drifts, named, strict=True)]
