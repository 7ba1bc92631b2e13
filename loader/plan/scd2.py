"""The steps of `write_disposition: scd2`: rows of a load become versions in a history.

A version holds from ``valid_from`` up to ``valid_to``, which is NULL in the current one. The rows
of a load and the versions of their keys are put in the order of their times; a row that differs
from what holds before it becomes a version, which ends when the next one begins.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from loader.plan.expectations import AFTER, BEFORE, MergeCounted, RowCount, Zero
from loader.plan.loading import MERGE_COUNTS, STAGE, Loading, Step
from loader.plan.merge_counts import COUNTS_OF_MERGES
from loader.spec.column_source import KEYWORDS
from loader.sql.dialects.redshift import KEY_TYPES
from loader.sql.renderer import Table

_WORK: Mapping[str, Table] = {
    name: Table(None, f"loader_{name}")
    for name in ("versions", "timeline", "changes", "events", "firsts", "loaded", "previous")
}
"""The temporary tables of a load, then the names of parts of their queries.

versions: the rows of the load, each with its time, and once. timeline: the times of the load's
keys, in the load and in the table, and what becomes of each row. changes: when new versions end,
and which versions of the table end.
"""

_COUNTS = (*COUNTS_OF_MERGES, "rows_deleted", "rows_closed")
_REMOVED = "rows_removed"
"""Versions of the table that never held: they would end when they begin."""


def update_history(loading: Loading) -> Iterator[Step]:
    """The steps from the stage table, which holds the rows of the load, to the history."""
    facts = _make_facts(loading)
    why = "each row of the load holds from a time"
    yield Step("find the versions", why, "scd2_versions", facts=facts)
    yield from _check_times(loading, facts)
    why = "orders the rows of the load and the versions of their keys, and compares neighbours"
    yield Step("compare with the history", why, "scd2_timeline", facts=facts)
    if loading.spec.scd2.on_late == "fail":
        yield _look_for_late_rows(loading, facts)
    why = "a version ends when the next one of its key begins"
    if loading.spec.scd2.on_absent == "close":
        why += ", or when the key is not in the load"
    yield Step("find the changes", why, "scd2_changes", facts=facts)
    why = "counts the new, changed, unchanged and late rows, and the versions that end"
    yield Step("count the changes", why, "scd2_compare", facts=facts)
    why = "each row of the load must have become one of these"
    yield Step("count the history", why, "merge_counts", "verify", facts, expects=_COUNTED)
    yield from _write(loading, facts)
    yield from _check_history(loading, facts)
    for name in ("changes", "timeline", "versions"):
        why, group = "no longer needed", "drop the work tables"
        stage = {"stage": _WORK[name]}
        yield Step("drop a work table", why, "drop_stage", facts=stage, group=group)


_COUNTED = MergeCounted(
    _COUNTS,
    (_REMOVED,),
    "the table has several versions of a key that begin at the same time",
    "remove those that are wrong from the table, or replace all of it with --full-refresh",
)


def _make_facts(loading: Loading) -> Mapping[str, object]:
    spec, scd2 = loading.spec, loading.spec.scd2
    times = [spec.by_name[scd2.effective_at]] if scd2.effective_at else []
    # Of rows that differ only in what is ignored, always the same one is taken.
    uncompared = _uncompared(loading)
    ignored = [c for c in loading.columns if c.name in uncompared and c not in times]
    return {
        **loading.comparison(loading.table_columns, *uncompared),
        "stage": STAGE,
        "work": _WORK,
        "scd2": scd2,
        "counts": MERGE_COUNTS,
        "more": (*_COUNTS[len(COUNTS_OF_MERGES) :], _REMOVED),
        "order_by": [*times, *(c for c in ignored if c.data_type.name in KEY_TYPES)],
        "carried": _carried_columns(loading),
    }


def _uncompared(loading: Loading) -> tuple[str, ...]:
    """The columns whose values do not tell versions apart: also those that tell of the load."""
    spec, scd2 = loading.spec, loading.spec.scd2
    facts = (one.name for one in spec.load_columns if one.from_ and one.from_.kind in KEYWORDS)
    times = [scd2.effective_at] if scd2.effective_at else []
    return (*scd2.ignore_changes, *facts, *times)


def _carried_columns(loading: Loading) -> tuple[str, ...]:
    """The columns that the load does not bring, and that versions take over from those before."""
    own = loading.spec.by_name
    # Each version has a number of its own.
    return tuple(n for n in loading.kept_columns if n not in own or own[n].identity is None)


def _check_times(loading: Loading, facts: Mapping[str, object]) -> Iterator[Step]:
    """Check that the rows of a key are in an order, and that a snapshot has one time."""
    spec, time = loading.spec, loading.spec.scd2.effective_at
    if time is None:
        return
    tied = {
        **facts,
        **loading.comparison(loading.columns, *_uncompared(loading)),
        "table": _WORK["versions"],
        "keys": (*spec.primary_key, time),
        "order_by": (),
    }
    expects = Zero(
        f"`look for ties` of {spec.table}: the load has <count> with the same key and {time} as"
        " another row, but other values: it is ambiguous which of them holds",
        "row",
        "",
        f"give each row of a key its own {time}, or keep one of them in the data",
    )
    why = f"rows with the same key and the same {time} must be identical"
    yield Step("look for ties", why, "merge_ties", "verify", tied, expects=expects)
    if spec.scd2.on_absent == "close":
        expects = Zero(
            f"a snapshot of {spec.table} has one {time}, and the load has <count>; the first and"
            " the last",
            "further one",
            "`on_absent: close` ends the versions of absent keys at that time",
            "load one snapshot after the other; or remove effective_at, so that versions begin and"
            " end at the time of the load, or set on_absent: keep",
        )
        why = f"a snapshot has the same {time} in all rows"
        yield Step("look for other times", why, "scd2_times", "verify", facts, expects=expects)
        expects = Zero(
            f"the snapshot is older than {spec.table}: <count> of the table begin or end after it",
            "version",
            "",
            "load snapshots in the order of their times, or replace the whole history with"
            " --full-refresh",
        )
        why = "a snapshot must not be older than the history"
        yield Step("look for later versions", why, "scd2_later", "verify", facts, expects=expects)


def _look_for_late_rows(loading: Loading, facts: Mapping[str, object]) -> Step:
    spec = loading.spec
    shown = [
        name
        for name in spec.primary_key
        if not spec.by_name[name].classification and spec.by_name[name].data_type.name != "boolean"
    ]
    expects = Zero(
        f"`scd2.on_late: fail` of {spec.table}: <count> would change the history before the latest"
        " version of the key",
        "row",
        "",
        "remove these rows from the data, or set on_late: insert or on_late: skip",
    )
    why = "no row may change the history before the latest version of its key"
    facts = {**facts, "shown": shown}
    return Step("look for late rows", why, "scd2_late", "verify", facts, expects=expects)


def _counted(*of: str) -> RowCount:
    """The sum of these counts, if the warehouse reports a number."""
    return RowCount(of, "rows", optional=True)


def _write(loading: Loading, facts: Mapping[str, object]) -> Iterator[Step]:
    scd2, columns = loading.spec.scd2, loading.table_columns
    if scd2.effective_at:
        updated = [c for c in columns if c.name not in loading.spec.primary_key]
        why = f"the load has other values for the same {scd2.effective_at}"
        yield Step(
            "correct versions",
            why,
            "scd2_update",
            "write",
            {**facts, "updated": updated},
            expects=_counted("rows_updated"),
        )
    why = "a newer version begins"
    if scd2.on_absent == "close":
        why += ", or the key is not in the load"
    expects = _counted("rows_closed", _REMOVED)
    yield Step("close versions", why, "scd2_close", "write", facts, expects=expects)
    kept = _carried_columns(loading)
    for taken in (kept, ()) if kept else ((),):
        why = "the rows of the load that differ from what held before"
        if taken:
            why = f"{why}; the load has no {', '.join(taken)}, so they take over the values there"
        elif kept:
            why = f"{why}, of keys without a version before"
        # Of two statements only the sum is known, which `count after` looks at.
        count = None if kept else _counted("rows_inserted")
        inserted = {**facts, "columns": columns, "taken": taken}
        yield Step("insert versions", why, "scd2_insert", "write", inserted, expects=count)
    if scd2.deleted_when or (scd2.on_absent == "close" and scd2.effective_at):
        why = "versions that end when they begin never held"
        expects = _counted(_REMOVED)
        yield Step("remove versions", why, "scd2_remove", "write", facts, expects=expects)


def _check_history(loading: Loading, facts: Mapping[str, object]) -> Iterator[Step]:
    why = "each row of the load must be what the history says of its time"
    missing = RowCount((), "rows are missing or ambiguous in the history")
    yield Step("look for missing rows", why, "scd2_missing", "verify", facts, expects=missing)
    why = "versions of a key must not overlap, and only the last one is current"
    broken = RowCount((), "versions overlap or have a wrong end")
    yield Step("look for broken histories", why, "scd2_broken", "verify", facts, expects=broken)
    if loading.spec.scd2.on_absent == "close":
        why = "no key that is not in the load may be current"
        left = RowCount((), "versions of absent keys are current")
        yield Step("look for absent keys", why, "scd2_absent", "verify", facts, expects=left)
    why = "the table must have grown by the inserted versions"
    keep = None if loading.slice else AFTER
    grown = RowCount((BEFORE, "rows_inserted"), "rows", less=(_REMOVED,), keep=keep)
    yield Step("count after", why, "count", "count", {"slice": None}, expects=grown)
