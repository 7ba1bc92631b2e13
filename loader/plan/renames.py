"""The steps that rename a live table and its columns, and let the table keep its loads.

The ledger knows loads by their table. It is changed in the transaction of the rename, so that no
load of the table is done again under its new name, and `loader history` shows them all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from loader.plan.ddl import table_of
from loader.plan.drift.difference import Drift, EarlierTable
from loader.plan.drift.renames import earlier_tables
from loader.plan.live_table import Live, LiveTable, is_a_table
from loader.plan.loading import Step
from loader.plan.model import Target, file_ledger, table_ledger
from loader.plan.source_files import FILE_COLUMNS
from loader.spec.model import TableSpec
from loader.sql.renderer import Renderer, Table


def rename(spec: TableSpec, renderer: Renderer, found: Drift) -> Iterator[Step]:
    """The steps that rename the table and its columns, in an order in which no name is taken."""
    earlier = found.earlier
    if earlier is not None:
        yield from lock(renderer, earlier.table, earlier)
        facts: dict[str, object] = {"table": earlier.table, "name": spec.name}
        why = f"the live table has its earlier name, {earlier}"
        yield Step("rename the table", why, "rename_table", facts=facts)
    for name, old in found.renames.items():
        why = "the live column has its earlier name"
        facts = {"column": old, "name": name}
        yield Step(f"rename the column {old} to {name}", why, "rename_column", facts=facts)


def lock(renderer: Renderer, table: Table, earlier: EarlierTable | None = None) -> Iterator[Step]:
    """The steps that wait for writers of a table, before the transaction's snapshot is taken.

    Where loads lock a ledger of the table, which is changed too, it is locked in their order.
    """
    if earlier is not None and earlier.table_ledger is not None:
        why = "its loads in the ledger are renamed too: none of them may be at work"
        facts = {"table_ledger": earlier.table_ledger}
        yield Step("lock the ledger of the table", why, "lock", "lock", facts=facts)
    if renderer.has("lock_table"):
        why = "no writes while the table is being changed"
        yield Step("lock the table", why, "lock_table", "lock", facts={"table": table})


def keep_loads(spec: TableSpec, target: Target, earlier: EarlierTable) -> Iterator[Step]:
    """The steps after which the ledger knows the loads of the earlier table as the spec's."""
    schema, group = target.ledger_schema, "keep the table's loads in the ledger"
    if earlier.has_loads:
        why = "loads that are committed are not repeated under the new name"
        facts: dict[str, object] = {"earlier": earlier.table}
        yield Step("rename the table's loads", why, "ledger_rename", facts=facts, group=group)
    yield from _keep_files(earlier, group)
    old, new = earlier.table_ledger, table_ledger(schema, table_of(spec))
    if old is None:
        return
    if not earlier.has_new_ledger:
        why, facts = "its loads look for their ids there", {"table": old, "name": new.name}
        yield Step("rename the ledger of the table", why, "rename_table", facts=facts, group=group)
        return
    why = "the table has a ledger of its new name too"
    yield Step("copy the loads to it", why, "table_ledger_fill", group=group)
    facts = {"table": old}
    yield Step("drop the earlier ledger", why, "drop_table", facts=facts, group=group)


def _keep_files(earlier: EarlierTable, group: str) -> Iterator[Step]:
    """The steps after which the ledger of files knows those of the earlier table as the spec's."""
    old, new = earlier.file_ledger, earlier.new_file_ledger
    if old is None or new is None:
        return
    why = "files that are loaded are not loaded again under the new name"
    facts: dict[str, object] = {"ledger": old, "earlier": earlier.table}
    yield Step("rename the table's files", why, "ledger_rename", facts=facts, group=group)
    if old == new:
        return
    if not earlier.has_new_file_ledger:
        why, facts = "its loads look for their files there", {"table": old, "name": new.name}
        yield Step("rename the ledger of its files", why, "rename_table", facts=facts, group=group)
        return
    why = "the table has one of its new name too"
    facts = {"file_ledger": new, "earlier": old, "file_columns": FILE_COLUMNS}
    yield Step("copy the files to it", why, "files_fill", facts=facts, group=group)
    yield Step("drop the earlier one", why, "drop_table", facts={"table": old}, group=group)


def name_ledgers(
    spec: TableSpec, renderer: Renderer, target: Target, earlier: Table
) -> tuple[Table, ...]:
    """The ledgers that may know the table: that of all, that of its earlier and of its new name.

    Only that of all where a warehouse has no others; none where the target has no ledger.
    """
    schema = target.ledger_schema
    if not schema:
        return ()
    own = (earlier, table_of(spec)) if renderer.has("table_ledger_create") else ()
    return (Table(schema, "loads"), *(table_ledger(schema, name) for name in own))


def name_file_ledgers(
    spec: TableSpec, renderer: Renderer, target: Target, earlier: Table
) -> tuple[Table, ...]:
    """The ledgers that may know the files of the table, by its earlier and by its new name.

    Both are one where tables share a ledger; there are none where the target has no ledger.
    """
    schema, per_table = target.ledger_schema, renderer.has("table_ledger_create")
    names = (earlier, table_of(spec)) if schema else ()
    return tuple(file_ledger(schema, name, per_table=per_table) for name in names)


def find_earlier(
    spec: TableSpec, renderer: Renderer, target: Target, live: Mapping[Table, Live]
) -> EarlierTable | None:
    """The live table with an earlier name, if there is none with the spec's own.

    Args:
        spec: The table.
        renderer: In the dialect of the target.
        target: Where it is.
        live: What is there, of `names_to_inspect`.
    """
    now = live[table_of(spec)]
    if isinstance(now, LiveTable):
        return None
    found = [table for table in earlier_tables(spec) if is_a_table(live[table])]
    if not found:
        return None
    old, *others = found
    ledgers = name_ledgers(spec, renderer, target, old)
    there = [ledger if is_a_table(live[ledger]) else None for ledger in ledgers] + [None] * 3
    files = name_file_ledgers(spec, renderer, target, old)
    have_files = [is_a_table(live[ledger]) for ledger in files]
    return EarlierTable(
        old,
        has_loads=there[0] is not None,
        table_ledger=there[1],
        has_new_ledger=there[2] is not None,
        file_ledger=files[0] if any(have_files[:1]) else None,
        new_file_ledger=files[1] if files else None,
        has_new_file_ledger=any(have_files[1:]),
        others=tuple(others),
        new_schema=now == "no schema",
    )


def names_to_inspect(spec: TableSpec, renderer: Renderer, target: Target) -> Iterator[Table]:
    """The live tables that may be the spec's, and the ledgers that may know them."""
    yield table_of(spec)
    for earlier in earlier_tables(spec):
        yield earlier
        yield from name_ledgers(spec, renderer, target, earlier)
        yield from name_file_ledgers(spec, renderer, target, earlier)
