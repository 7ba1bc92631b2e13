"""The steps that put a new table, or a new column, in the place of an old one.

On Redshift whoever reads a table while it is replaced may be told that it was dropped or changed in
a concurrent transaction, and may read the old rows until their own transaction ends: a rebuild is
one transaction, and no reader sees half of it, but readers may have to ask again.

The old table is kept under a name of its own. Its rows, grants and policies stay with it until
somebody drops it, after COMMIT: so there is no moment at which only one of the two could be lost,
and a drop that fails undoes no rebuild.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from loader.plan.backups import backup_comment, backup_name, digest
from loader.plan.ddl import (
    add_column,
    all_comments,
    all_grants,
    column_comment,
    create_sequences,
    declared_key,
    grant_on_column,
    sequences_of,
    table_of,
)
from loader.plan.drift.conversions import conversion
from loader.plan.drift.difference import Drift
from loader.plan.expectations import BEFORE, Number, RowCount
from loader.plan.live_table import LiveColumn, LiveTable
from loader.plan.loading import Step
from loader.plan.model import Statement
from loader.plan.renames import lock
from loader.spec.model import Column, TableSpec
from loader.sql.renderer import Renderer, Table

_ALL_COPIED = RowCount(
    (BEFORE,), "rows were copied", "expected", "check whether something else writes to the table"
)


def kept_table(live: Table, moment: str) -> Table:
    """The table that a rebuild of a live table at this moment keeps."""
    return Table(live.schema, backup_name(f"{live.schema}.{live.name}", moment))


def drop_kept(table: Table) -> Step:
    """What drops a table that a rebuild has kept; it does nothing the second time."""
    why = "the new table is committed, and --drop-old was given"
    return Step("drop the old table", why, "drop_table", facts={"table": table})


def rebuild(
    spec: TableSpec, renderer: Renderer, live: LiveTable, found: Drift, moment: str
) -> Iterator[Step]:
    """The table rebuilt beside the live one, its rows copied and counted, then put in its place.

    Args:
        spec: The table.
        renderer: In the dialect of the target.
        live: The live table, as it is once its columns are renamed; they are copied instead.
        found: Its drift, with the names that the live table and its columns have.
        moment: When, as it stands in the name of the table that is kept.
    """
    earlier = found.earlier
    table = earlier.table if earlier else table_of(spec)
    new = Table(spec.schema_name, f"loader_new_{digest(spec.table)}")
    yield from lock(renderer, table, earlier)
    copied = tuple(_copied(spec, renderer, live, found.renames))
    if copied:
        why, counted = "the number of rows to copy", {"table": table}
        yield Step("count before", why, "count", facts=counted, expects=Number(BEFORE))
    if earlier is not None and earlier.new_schema:
        schema = {"schema": spec.schema_name}
        yield Step("create the schema", "for the new table", "create_schema", facts=schema)
    sequences = sequences_of(spec, renderer)
    yield from create_sequences(spec, sequences)
    facts: dict[str, object] = {
        "table": new,
        "columns": spec.columns,
        "sequences": sequences,
        "strict": True,
        **declared_key(spec, live),
        **_kept_layout(spec, live),
    }
    why = "the table as the spec declares it, under a temporary name"
    yield Step("create the new table", why, "create_table", facts=facts)
    if copied:
        facts = {"source": table, "table": new, "copied": copied}
        why = "all rows, with conversions where types change"
        yield Step("copy the rows", why, "copy_rows", "run", facts)
        facts = {"table": new}
        why = "no row may be lost or duplicated"
        yield Step("count the rows", why, "count", "count", facts, expects=_ALL_COPIED)
    yield from _replace(spec, renderer, live, table, new, moment)
    yield from all_comments(spec, renderer, live)
    if live.owner is not None and renderer.has("set_owner"):
        why = "the owner of the old table"
        yield Step(f"set the owner to {live.owner}", why, "set_owner", facts={"owner": live.owner})
    if renderer.has("grant"):
        yield from all_grants(spec, renderer, live)


def _replace(
    spec: TableSpec, renderer: Renderer, live: LiveTable, old: Table, new: Table, moment: str
) -> Iterator[Step]:
    kept = kept_table(old, moment)
    why = "its rows stay until --drop-old or `loader clean` drops it"
    facts: dict[str, object] = {"table": old, "name": kept.name}
    yield Step("keep the old table", why, "rename_table", facts=facts)
    facts = {"table": new, "name": spec.name}
    yield Step("rename the new table", "it replaces the old table", "rename_table", facts=facts)
    if renderer.dialect.has_comments:
        why = "`loader clean` recognises it by its name and this comment"
        facts = {"table": kept, "text": backup_comment(f"{old.schema}.{old.name}", live.comment)}
        yield Step("comment on the old table", why, "comment_table", facts=facts)


def converts_values(statement: Statement) -> bool:
    """Whether a statement of a rebuild or a swap converts values of columns."""
    return statement.template.endswith(("/copy_rows.sql.j2", "/update_column.sql.j2"))


def swap(spec: TableSpec, renderer: Renderer, live: LiveTable, found: Drift) -> Iterator[Step]:
    """Columns added, filled and put in the place of the old ones, which are dropped.

    The columns are the last ones then; loads follow the live order. A table that was renamed before
    is locked already.
    """
    if found.earlier is None:
        yield from lock(renderer, table_of(spec))
    there = {column.name.lower(): column for column in live.columns}
    for name in found.swaps:
        yield from _swap_column(spec, renderer, live, there[name])


def _swap_column(
    spec: TableSpec, renderer: Renderer, live: LiveTable, old: LiveColumn
) -> Iterator[Step]:
    column = spec.by_name[old.name.lower()]
    new = f"loader_new_{digest(column.name)}"
    why = f"it replaces {column.name}"
    yield add_column(column.model_copy(update={"name": new}), why)
    how = _conversion(column, old, renderer)
    if how != "none":
        why = "every value, converted"
        facts = {"column": column, "new": new, "name": old.name, "how": how}
        yield Step(f"fill the new {column.name}", why, "update_column", facts=facts)
    why = "the new column has its values"
    name = f"drop the old {column.name}"
    yield Step(name, why, "drop_column", facts={"column": old.name})
    facts = {"column": new, "name": column.name}
    yield Step(
        f"rename the new {column.name}", "it replaces the old column", "rename_column", facts=facts
    )
    yield from column_comment(column, old.comment, renderer)
    for privilege, granted, grantee in sorted(live.column_grants):
        if granted == column.name:
            yield grant_on_column(privilege, granted, grantee)


def _kept_layout(spec: TableSpec, live: LiveTable) -> dict[str, object]:
    """The live table's distribution and sort key, where the spec declares none.

    What AUTO chose is AUTO's to choose again: neither is declared then.
    """
    kept: dict[str, object] = {}
    if spec.dist is None and live.dist in ("even", "all", "auto", *spec.by_name):
        kept["dist"] = live.dist
    undeclared = not spec.sort and spec.sort_type is None
    if undeclared and live.sort_type == "auto":
        kept["sort_type"] = "auto"
    elif undeclared and live.sort and all(name in spec.by_name for name in live.sort):
        kept |= {"sort": live.sort, "sort_type": live.sort_type}
    return kept


def _copied(
    spec: TableSpec, renderer: Renderer, live: LiveTable, renames: Mapping[str, str]
) -> Iterator[tuple[Column, str, str]]:
    """The columns that bring values along: the declared one, the live one's name, and how."""
    there = {column.name.lower(): column for column in live.columns}
    for column in spec.columns:
        found = there.get(column.name)
        if found is None or (column.identity is not None and not renderer.dialect.identity_by_hand):
            continue
        how = _conversion(column, found, renderer)
        if how != "none":
            yield column, renames.get(column.name, found.name), how


def _conversion(column: Column, found: LiveColumn, renderer: Renderer) -> str:
    """How the values of a live column become those of the declared one."""
    dialect = renderer.dialect
    if not dialect.differs(column.data_type, found.data_type):
        return "copy"
    return conversion(dialect.known(found.data_type), column.data_type).how
