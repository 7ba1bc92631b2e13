"""The trials of every warehouse: values, tables, loads and the catalog."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial

from loader.doctor.samples import SAMPLES
from loader.doctor.scratch import ScratchSchema
from loader.doctor.transfers import Transfers, can_stage, list_formats
from loader.errors import VerifyError
from loader.executor.results import LoadResult
from loader.plan.live_table import LiveTable
from loader.plan.table_changes import describe_difference
from loader.spec.model import TableSpec
from loader.warehouse.doctor import DiffersError, Trial
from loader.warehouse.introspect import describe

# --- values


def try_values(scratch: ScratchSchema, transfers: Transfers, data_type: str) -> str:
    """Send the values of a type through all formats that carry it, and read them in all ways."""
    formats = [one for one in list_formats(scratch.renderer) if can_stage(data_type, one[0])]
    problems = {
        f"{name} ({compression})": problem
        for name, compression in formats
        if (problem := transfers.problems(name, compression).get(data_type))
    }
    if problems:
        raise DiffersError("; ".join(f"{name}: {problem}" for name, problem in problems.items()))
    carriers = ", ".join(dict.fromkeys(name for name, _ in formats))
    return f"{carriers}: COPY, {', '.join(scratch.reads)}"


# --- tables


def try_catalog_agrees(scratch: ScratchSchema) -> str:
    """Create a table with every type, and find no difference between it and its spec."""
    columns = {f"c{at}": data_type for at, data_type in enumerate(SAMPLES)}
    spec = scratch.spec(
        "every_type",
        {"id": "integer", **columns},
        primary_key=["id"],
        description="a table of every type",
        staging={"format": "csv"},
    )
    scratch.project.apply(scratch.project.changes([spec]))
    (change,) = scratch.project.changes([spec])
    if change.differences:
        raise DiffersError("; ".join(map(describe_difference, change.differences)))
    return f"{len(spec.columns)} columns, primary key and comment are found as they were declared"


def try_column_order(scratch: ScratchSchema) -> str:
    """Load a table whose columns lie in another order than those of its spec."""
    turned = {"b": "varchar(10)", "a": "varchar(10)", "id": "integer"}
    scratch.project.apply(scratch.project.changes([scratch.spec("turned", turned)]))
    wanted = [{"id": 1, "a": "is a", "b": "is b"}]
    for name, compression in list_formats(scratch.renderer):
        staging = {"format": name, "compression": compression}
        spec = scratch.spec("turned", dict(reversed(turned.items())), staging=staging)
        scratch.load(spec, wanted)
        if (found := scratch.read(spec)) != wanted:
            raise DiffersError(f"{name} ({compression}) gives {found} for {wanted}")
    return "columns are matched by name, in every format"


def try_default(scratch: ScratchSchema) -> str:
    """Load without a column whose default is the present time."""
    at = {"data_type": "timestamp", "default": "now()"}
    spec = scratch.spec("defaults", {"id": "integer", "at": at})
    scratch.load(spec, [{"id": 1}])
    ((row),) = scratch.read(spec)
    now = datetime.now(UTC).replace(tzinfo=None)
    if row["at"] is None or abs(row["at"] - now) > timedelta(hours=1):
        raise DiffersError(f"now() gave {row['at']}, while it is {now:%F %T} UTC")
    return "now() gave the present time in UTC"


def try_rolled_back_ddl(scratch: ScratchSchema) -> str:
    """Create a table in a transaction that is rolled back."""
    spec = scratch.spec("rolled_back", {"id": "integer"})
    (change,) = scratch.project.changes([spec])
    with scratch.session() as session:
        session.begin()
        for statement in change.statements:
            session.execute(statement.sql)
        seen = describe(session, scratch.renderer, scratch.table(spec.name))
        session.rollback()
        left = describe(session, scratch.renderer, scratch.table(spec.name))
    if not isinstance(seen, LiveTable) or isinstance(left, LiveTable):
        raise DiffersError(f"the table was {_presence(seen)} before, {_presence(left)} after it")
    return "CREATE TABLE is seen inside its transaction, and undone with it"


def _presence(live: object) -> str:
    return "there" if isinstance(live, LiveTable) else "not there"


def try_change(
    scratch: ScratchSchema, name: str, before: Mapping[str, str], after: Mapping[str, str]
) -> str:
    """Load a row, apply another spec, and find the row in it."""
    row = {"id": 1, "x": "é1"} if "x" in before and "char" in before["x"] else {"id": 1, "x": 7}
    scratch.load(scratch.spec(name, before), [row])
    spec = scratch.spec(name, after)
    changes = scratch.project.changes([spec])
    done = scratch.project.apply(
        changes, allow_destructive=["*"], assume_no_policies=True, drop_old=True
    )
    (left,) = scratch.project.changes([spec])
    if left.differences:
        raise DiffersError("; ".join(map(describe_difference, left.differences)))
    wanted = [{**dict.fromkeys(after), **row}]
    found = scratch.read(spec)
    if found != wanted:
        raise DiffersError(f"the row was {wanted}, and is {found}")
    remedies = {one.remedy.replace("_", " the ") for change in done for one in change.differences}
    return f"{' and '.join(sorted(remedies)) or 'nothing to change'}; the row is as it was"


# --- loads


def try_replace(scratch: ScratchSchema) -> str:
    """Load a partition twice, and leave the other one alone."""
    spec = _daily(scratch, "replaced")
    scratch.load(spec, [_row(1, 1), _row(2, 2)], "auto")
    result = scratch.load(spec, [_row(3, 1)], "2026-01-01")
    _expect_rows(scratch, spec, [_row(2, 2), _row(3, 1)])
    return f"{result.rows_deleted} row of the partition made way for {result.rows_loaded} other"


def try_append_once(scratch: ScratchSchema) -> str:
    """Append the same load twice."""
    spec = scratch.spec("appended", {"id": "integer"}, write_disposition="append")
    statuses = [scratch.load(spec, [{"id": 1}], load_id="once").status for _ in range(2)]
    _expect_rows(scratch, spec, [{"id": 1}])
    if statuses != ["loaded", "already_loaded"]:
        raise DiffersError(f"the same load was {statuses[0]}, then {statuses[1]}")
    return "a load that is run again with its id loads nothing twice"


def try_merge(scratch: ScratchSchema, strategy: str) -> str:
    """Merge rows by key: one that is there, one that is new, one that is older."""
    spec = scratch.spec(
        f"merged_by_{strategy}",
        {"id": "integer", "x": "varchar(10)", "version": "integer"},
        primary_key=["id"],
        write_disposition="merge",
        merge={"strategy": strategy, "order_by": ["version"]},
    )

    def row(number: int, x: str, version: int) -> dict[str, object]:
        return {"id": number, "x": x, "version": version}

    scratch.load(spec, [row(1, "old", 1), row(2, "kept", 5)])
    result = scratch.load(spec, [row(1, "new", 2), row(2, "older", 4), row(3, "more", 1)])
    _expect_rows(scratch, spec, [row(1, "new", 2), row(2, "kept", 5), row(3, "more", 1)])
    return _describe_merge(result)


def _describe_merge(result: LoadResult) -> str:
    return (
        f"{result.rows_updated} row updated, {result.rows_inserted} inserted,"
        f" {result.rows_skipped} older one skipped"
    )


def try_failed_check(scratch: ScratchSchema) -> str:
    """Load rows that break a check, and find the table as it was."""
    checks = [{"metric": "invalid_values", "column": "id", "valid_values": [1], "must_be": 0}]
    spec = scratch.spec("checked", {"id": "integer"}, checks=checks)
    scratch.load(spec, [{"id": 1}])
    try:
        scratch.load(spec, [{"id": -1}])
    except VerifyError:
        _expect_rows(scratch, spec, [{"id": 1}])
        return "a failed check rolls back, and the table is unchanged"
    raise DiffersError("rows that break a check were committed")


def _daily(scratch: ScratchSchema, name: str) -> TableSpec:
    daily = [{"expr": "day", "grain": "day"}]
    return scratch.spec(name, {"id": "integer", "day": "date"}, partition_by=daily)


def _row(number: int, day: int) -> dict[str, object]:
    return {"id": number, "day": date(2026, 1, day)}


def _expect_rows(
    scratch: ScratchSchema, spec: TableSpec, wanted: Sequence[Mapping[str, object]]
) -> None:
    if (found := scratch.read(spec)) != list(wanted):
        raise DiffersError(f"the table holds {found}, where {list(wanted)} were loaded")


# --- the catalog


def try_query(scratch: ScratchSchema, template: str) -> str:
    """Run one query of the catalog about a table of the schema."""
    with scratch.session() as session:
        names = {"schemas": [scratch.schema], "names": ["every_type"], "prefix": "every_type"}
        scratch.run(session, template, **names)
    return "the query runs"


def find_trials(scratch: ScratchSchema) -> list[Trial]:
    """All trials of a target, in the order in which they are run."""
    transfers = Transfers(scratch)
    x = {"id": "integer", "x": "varchar(10)"}
    changes = {
        "add a column": (x, {**x, "y": "integer"}),
        "widen a VARCHAR": (x, {**x, "x": "varchar(20)"}),
        "change a type": ({**x, "x": "integer"}, {**x, "x": "bigint"}),
    }
    queries = scratch.renderer.names("live_")
    return [
        *(
            Trial("values", kind, partial(try_values, transfers=transfers, data_type=kind))
            for kind in SAMPLES
        ),
        Trial("tables", "every type in the catalog", try_catalog_agrees),
        Trial("tables", "order of columns", try_column_order),
        Trial("tables", "default now()", try_default),
        Trial("tables", "DDL in a transaction", try_rolled_back_ddl),
        *(
            Trial(
                "tables",
                name,
                partial(
                    try_change, name=name.replace(" ", "_").lower(), before=before, after=after
                ),
            )
            for name, (before, after) in changes.items()
        ),
        Trial("loads", "replace a partition", try_replace),
        Trial("loads", "append once", try_append_once),
        Trial("loads", "merge by DELETE and INSERT", partial(try_merge, strategy="delete_insert")),
        Trial("loads", "merge by MERGE", partial(try_merge, strategy="merge")),
        Trial("loads", "failed check", try_failed_check),
        *(Trial("catalog", name, partial(try_query, template=name)) for name in queries),
        *scratch.examination.doctor.trials,
    ]
