"""The trials of every warehouse: values, tables, loads and the catalog."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial

from loader.doctor.lab import Lab
from loader.doctor.samples import SAMPLES
from loader.doctor.transfers import FORMATS, Transfers, can_stage
from loader.errors import VerifyError
from loader.executor.results import LoadResult
from loader.plan.live_table import LiveTable
from loader.plan.table_changes import describe_difference
from loader.spec.model import TableSpec
from loader.warehouse.doctor import DiffersError, Trial
from loader.warehouse.introspect import describe

# --- values


def try_values(lab: Lab, transfers: Transfers, data_type: str) -> str:
    """Send the values of a type through all formats that carry it, and read them in all ways."""
    formats = [one for one in FORMATS if can_stage(data_type, one[0])]
    problems = {
        f"{name} ({compression})": problem
        for name, compression in formats
        if (problem := transfers.problems(name, compression).get(data_type))
    }
    if problems:
        raise DiffersError("; ".join(f"{name}: {problem}" for name, problem in problems.items()))
    carriers = ", ".join(dict.fromkeys(name for name, _ in formats))
    return f"{carriers}: COPY, {', '.join(lab.reads)}"


# --- tables


def try_catalog_agrees(lab: Lab) -> str:
    """Create a table with every type, and find no difference between it and its spec."""
    columns = {f"c{at}": data_type for at, data_type in enumerate(SAMPLES)}
    spec = lab.spec(
        "every_type",
        {"id": "integer", **columns},
        primary_key=["id"],
        description="a table of every type",
        staging={"format": "csv"},
    )
    lab.project.apply(lab.project.changes([spec]))
    (change,) = lab.project.changes([spec])
    if change.differences:
        raise DiffersError("; ".join(map(describe_difference, change.differences)))
    return f"{len(spec.columns)} columns, primary key and comment are found as they were declared"


def try_column_order(lab: Lab) -> str:
    """Load a table whose columns lie in another order than those of its spec."""
    turned = {"b": "varchar(10)", "a": "varchar(10)", "id": "integer"}
    lab.project.apply(lab.project.changes([lab.spec("turned", turned)]))
    wanted = [{"id": 1, "a": "is a", "b": "is b"}]
    for name, compression in FORMATS:
        staging = {"format": name, "compression": compression}
        spec = lab.spec("turned", dict(reversed(turned.items())), staging=staging)
        lab.load(spec, wanted)
        if (found := lab.read(spec)) != wanted:
            raise DiffersError(f"{name} ({compression}) gives {found} for {wanted}")
    return "columns are matched by name, in every format"


def try_default(lab: Lab) -> str:
    """Load without a column whose default is the present time."""
    at = {"data_type": "timestamp", "default": "now()"}
    spec = lab.spec("defaults", {"id": "integer", "at": at})
    lab.load(spec, [{"id": 1}])
    ((row),) = lab.read(spec)
    now = datetime.now(UTC).replace(tzinfo=None)
    if row["at"] is None or abs(row["at"] - now) > timedelta(hours=1):
        raise DiffersError(f"now() gave {row['at']}, while it is {now:%F %T} UTC")
    return "now() gave the present time in UTC"


def try_rolled_back_ddl(lab: Lab) -> str:
    """Create a table in a transaction that is rolled back."""
    spec = lab.spec("rolled_back", {"id": "integer"})
    (change,) = lab.project.changes([spec])
    with lab.session() as session:
        session.begin()
        for statement in change.statements:
            session.execute(statement.sql)
        seen = describe(session, lab.renderer, lab.table(spec.name))
        session.rollback()
        left = describe(session, lab.renderer, lab.table(spec.name))
    if not isinstance(seen, LiveTable) or isinstance(left, LiveTable):
        raise DiffersError(f"the table was {_presence(seen)} before, {_presence(left)} after it")
    return "CREATE TABLE is seen inside its transaction, and undone with it"


def _presence(live: object) -> str:
    return "there" if isinstance(live, LiveTable) else "not there"


def try_change(lab: Lab, name: str, before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Load a row, apply another spec, and find the row in it."""
    row = {"id": 1, "x": "é1"} if "x" in before and "char" in before["x"] else {"id": 1, "x": 7}
    lab.load(lab.spec(name, before), [row])
    spec = lab.spec(name, after)
    changes = lab.project.changes([spec])
    done = lab.project.apply(
        changes, allow_destructive=["*"], assume_no_policies=True, drop_old=True
    )
    (left,) = lab.project.changes([spec])
    if left.differences:
        raise DiffersError("; ".join(map(describe_difference, left.differences)))
    wanted = [{**dict.fromkeys(after), **row}]
    found = lab.read(spec)
    if found != wanted:
        raise DiffersError(f"the row was {wanted}, and is {found}")
    remedies = {one.remedy.replace("_", " the ") for change in done for one in change.differences}
    return f"{' and '.join(sorted(remedies)) or 'nothing to change'}; the row is as it was"


# --- loads


def try_replace(lab: Lab) -> str:
    """Load a partition twice, and leave the other one alone."""
    spec = _daily(lab, "replaced")
    lab.load(spec, [_row(1, 1), _row(2, 2)], "auto")
    result = lab.load(spec, [_row(3, 1)], "2026-01-01")
    _expect_rows(lab, spec, [_row(2, 2), _row(3, 1)])
    return f"{result.rows_deleted} row of the partition made way for {result.rows_loaded} other"


def try_append_once(lab: Lab) -> str:
    """Append the same load twice."""
    spec = lab.spec("appended", {"id": "integer"}, write_disposition="append")
    statuses = [lab.load(spec, [{"id": 1}], load_id="once").status for _ in range(2)]
    _expect_rows(lab, spec, [{"id": 1}])
    if statuses != ["loaded", "already_loaded"]:
        raise DiffersError(f"the same load was {statuses[0]}, then {statuses[1]}")
    return "a load that is run again with its id loads nothing twice"


def try_merge(lab: Lab, strategy: str) -> str:
    """Merge rows by key: one that is there, one that is new, one that is older."""
    spec = lab.spec(
        f"merged_by_{strategy}",
        {"id": "integer", "x": "varchar(10)", "version": "integer"},
        primary_key=["id"],
        write_disposition="merge",
        merge={"strategy": strategy, "order_by": ["version"]},
    )

    def row(number: int, x: str, version: int) -> dict[str, object]:
        return {"id": number, "x": x, "version": version}

    lab.load(spec, [row(1, "old", 1), row(2, "kept", 5)])
    result = lab.load(spec, [row(1, "new", 2), row(2, "older", 4), row(3, "more", 1)])
    _expect_rows(lab, spec, [row(1, "new", 2), row(2, "kept", 5), row(3, "more", 1)])
    return _describe_merge(result)


def _describe_merge(result: LoadResult) -> str:
    return (
        f"{result.rows_updated} row updated, {result.rows_inserted} inserted,"
        f" {result.rows_skipped} older one skipped"
    )


def try_failed_check(lab: Lab) -> str:
    """Load rows that break a check, and find the table as it was."""
    checks = [{"metric": "invalid_values", "column": "id", "valid_values": [1], "must_be": 0}]
    spec = lab.spec("checked", {"id": "integer"}, checks=checks)
    lab.load(spec, [{"id": 1}])
    try:
        lab.load(spec, [{"id": -1}])
    except VerifyError:
        _expect_rows(lab, spec, [{"id": 1}])
        return "a failed check rolls back, and the table is unchanged"
    raise DiffersError("rows that break a check were committed")


def _daily(lab: Lab, name: str) -> TableSpec:
    daily = [{"expr": "day", "grain": "day"}]
    return lab.spec(name, {"id": "integer", "day": "date"}, partition_by=daily)


def _row(number: int, day: int) -> dict[str, object]:
    return {"id": number, "day": date(2026, 1, day)}


def _expect_rows(lab: Lab, spec: TableSpec, wanted: Sequence[Mapping[str, object]]) -> None:
    if (found := lab.read(spec)) != list(wanted):
        raise DiffersError(f"the table holds {found}, where {list(wanted)} were loaded")


# --- the catalog


def try_query(lab: Lab, template: str) -> str:
    """Run one query of the catalog about a table of the schema."""
    with lab.session() as session:
        names = {"schemas": [lab.schema], "names": ["every_type"], "prefix": "every_type"}
        lab.run(session, template, **names)
    return "the query runs"


def find_trials(lab: Lab) -> list[Trial]:
    """All trials of a target, in the order in which they are run."""
    transfers = Transfers(lab)
    x = {"id": "integer", "x": "varchar(10)"}
    changes = {
        "add a column": (x, {**x, "y": "integer"}),
        "widen a VARCHAR": (x, {**x, "x": "varchar(20)"}),
        "change a type": ({**x, "x": "integer"}, {**x, "x": "bigint"}),
    }
    queries = lab.renderer.names("live_")
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
        *lab.examination.doctor.trials,
    ]
