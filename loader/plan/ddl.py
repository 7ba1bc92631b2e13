"""The steps that create tables, and that make live tables match their specs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import chain

from loader.plan.dispositions import Step
from loader.plan.drift.conversions import conversion
from loader.plan.drift.difference import Difference
from loader.plan.expectations import BEFORE, Number, RowCount
from loader.plan.live_table import LiveTable
from loader.spec.model import Column, TableSpec
from loader.sql.renderer import Renderer, Table

_COMMENTS = "comments from the spec's descriptions"


def table_of(spec: TableSpec) -> Table:
    """The table that a spec declares."""
    return Table(spec.schema_name, spec.name)


def create(spec: TableSpec, renderer: Renderer) -> Iterator[Step]:
    """The steps that create a table."""
    schema = {"schema": spec.schema_name}
    yield Step("create the schema", "for the table", "create_schema", facts=schema)
    yield from _usage(renderer, chain.from_iterable(spec.grants.values()))
    sequences = _sequences(spec, renderer)
    yield from _create_sequences(spec, sequences)
    facts = {"columns": spec.columns, "sequences": sequences}
    yield Step("create the table", "as the spec declares it", "create_table", facts=facts)
    yield from _comments(spec, renderer)
    if renderer.has("grant"):
        for privilege, grantees in spec.grants.items():
            for grantee in grantees:
                yield _grant(privilege, grantee, "the spec's grants")


def widen(spec: TableSpec, found: Iterable[Difference]) -> Iterator[Step]:
    """The steps that cannot run inside a transaction; they are idempotent."""
    for one in found:
        if one.remedy == "before_transaction":
            assert one.column is not None
            column = spec.by_name[one.column]
            why = f"the live column is {one.live}; this cannot run inside the transaction"
            name = f"widen the column {column.name}"
            yield Step(name, why, "widen_column", facts={"column": column})


def alter(spec: TableSpec, renderer: Renderer, found: Iterable[Difference]) -> Iterator[Step]:
    """The steps that fix differences in place, in the transaction."""
    differences = [one for one in found if one.remedy == "in place"]
    for one in differences:
        if one.kind == "add column":
            yield from _add(spec, renderer, one)
    for one in differences:
        if one.kind == "drop column":
            facts = {"column": one.column}
            why = "the live table has it, but the spec does not"
            yield Step(f"drop the column {one.column}", why, "drop_column", facts=facts)
    yield from _layout(spec, differences)
    for one in differences:
        if one.kind == "comment":
            yield _comment_step(spec, one.column)
        elif one.kind == "grant":
            assert one.spec is not None
            privilege, _, grantee = one.spec.partition(" to ")
            yield from _usage(renderer, [grantee])
            yield _grant(privilege, grantee, "the spec's grants")


def rebuild(spec: TableSpec, renderer: Renderer, live: LiveTable) -> Iterator[Step]:
    """The steps that create a new table, copy and count the rows, and replace the live table.

    They run in one transaction, so others see either the old table or the new one.
    """
    table, new = table_of(spec), Table(spec.schema_name, _new_name(spec))
    if renderer.has("lock_table"):
        why = "no writes while the table is being replaced"
        yield Step("lock the table", why, "lock_table", "lock")
    copied = tuple(_columns_to_copy(spec, renderer, live))
    if copied:
        yield Step("count before", "the number of rows to copy", "count", expects=Number(BEFORE))
    sequences = _sequences(spec, renderer)
    yield from _create_sequences(spec, sequences)
    facts = {
        "table": new,
        "columns": spec.columns,
        "sequences": sequences,
        "strict": True,
        **_layout_to_keep(spec, live),
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
    why = "the new table replaces it; fails if other objects depend on it"
    yield Step("drop the old table", why, "drop_table")
    facts = {"table": new, "name": spec.name}
    yield Step("rename the new table", "it replaces the old table", "rename_table", facts=facts)
    yield from _comments(spec, renderer, live)
    if live.owner is not None and renderer.has("set_owner"):
        why = "the owner of the old table"
        yield Step(f"set the owner to {live.owner}", why, "set_owner", facts={"owner": live.owner})
    if renderer.has("grant"):
        yield from _all_grants(spec, renderer, live)


_ALL_COPIED = RowCount(
    (BEFORE,), "rows were copied", "expected", "check whether something else writes to the table"
)


def _new_name(spec: TableSpec) -> str:
    """A name for the new table, unique for each spec."""
    return "loader_new_" + hashlib.sha256(spec.table.encode()).hexdigest()[:16]


def _layout_to_keep(spec: TableSpec, live: LiveTable) -> dict[str, object]:
    """The live table's distribution and sort key, where the spec declares none."""
    live_comment: dict[str, object] = {}
    if spec.dist is None and live.dist in ("even", "all", *spec.by_name):
        live_comment["dist"] = live.dist
    undeclared = not spec.sort and spec.sort_type is None
    if undeclared and live.sort and all(name in spec.by_name for name in live.sort):
        live_comment |= {"sort": live.sort, "sort_type": live.sort_type}
    return live_comment


def _add(spec: TableSpec, renderer: Renderer, one: Difference) -> Iterator[Step]:
    assert one.column is not None
    column = spec.by_name[one.column]
    why = "the spec has it, but the live table does not"
    facts = {"column": column}
    yield Step(f"add the column {column.name}", why, "add_column", facts=facts)
    if not column.nullable and renderer.has("set_not_null"):
        why = "NOT NULL cannot be set when the column is added"
        yield Step(f"set {column.name} NOT NULL", why, "set_not_null", facts=facts)
    if column.description and renderer.dialect.has_comments:
        yield _comment_step(spec, column.name)


def _layout(spec: TableSpec, differences: Iterable[Difference]) -> Iterator[Step]:
    encoded = []
    for one in differences:
        if one.kind == "dist":
            why = f"the live table has {one.live or 'no visible distribution'}"
            yield Step("change the distribution", why, "alter_dist")
        elif one.kind == "sort":
            why = f"the live table has {one.live or 'none'}"
            yield Step("change the sort key", why, "alter_sort")
        elif one.kind == "encoding":
            assert one.column is not None
            encoded.append(spec.by_name[one.column])
    if encoded:
        why = "the spec's encodings"
        facts = {"columns": tuple(encoded)}
        yield Step("change the encodings", why, "alter_encodings", facts=facts)


def _sequences(spec: TableSpec, renderer: Renderer) -> dict[str, Table]:
    """The sequences for identity columns; the name contains seed and step."""
    if not renderer.has("create_sequence"):
        return {}
    return {
        column.name: Table(
            spec.schema_name,
            "{}_{}_seq_{}_{}".format(spec.name, column.name, *column.identity),
        )
        for column in spec.columns
        if column.identity is not None
    }


def _create_sequences(spec: TableSpec, sequences: dict[str, Table]) -> Iterator[Step]:
    for name, sequence in sequences.items():
        facts = {"sequence": sequence, "column": spec.by_name[name]}
        yield Step(
            f"create the sequence of {name}", "generates its values", "create_sequence", facts=facts
        )


def _columns_to_copy(
    spec: TableSpec, renderer: Renderer, live: LiveTable
) -> Iterator[tuple[Column, str, str]]:
    """The columns whose values are copied: the column, its live name, and the conversion."""
    live_columns = {column.name.lower(): column for column in live.columns}
    for column in spec.columns:
        found = live_columns.get(column.name)
        if found is None or (column.identity is not None and not renderer.dialect.identity_by_hand):
            continue
        dialect = renderer.dialect
        how = "copy"
        if dialect.differs(column.data_type, found.data_type):
            how = conversion(dialect.known(found.data_type), column.data_type).how
        if how != "none":
            yield column, found.name, how


def _comments(spec: TableSpec, renderer: Renderer, live: LiveTable | None = None) -> Iterator[Step]:
    """Comments from the spec, and from the live table where the spec has none."""
    if not renderer.dialect.has_comments:
        return
    live_comment = live.comment if live else None
    if spec.description or live_comment:
        yield _comment_on_table(
            spec.description or live_comment or "", "spec" if spec.description else ""
        )
    live_columns = {column.name.lower(): column.comment for column in live.columns} if live else {}
    for column in spec.columns:
        text = column.description or live_columns.get(column.name)
        if text:
            yield _comment_on_column(column, text, "spec" if column.description else "")


def _comment_step(spec: TableSpec, column: str | None) -> Step:
    if column is None:
        return _comment_on_table(spec.description or "", "spec")
    return _comment_on_column(spec.by_name[column], spec.by_name[column].description or "", "spec")


def _comment_on_table(text: str, whose: str) -> Step:
    why = "the spec's description" if whose else "the live table's own comment"
    return Step("comment on the table", why, "comment_table", "run", {"text": text}, _COMMENTS)


def _comment_on_column(column: Column, text: str, whose: str) -> Step:
    why = "the spec's description" if whose else "the live column's own comment"
    same = text == column.description
    facts = {"column": column if same else column.model_copy(update={"description": text})}
    return Step(f"comment on {column.name}", why, "comment_column", "run", facts, _COMMENTS)


def _all_grants(spec: TableSpec, renderer: Renderer, live: LiveTable) -> Iterator[Step]:
    yield from _usage(renderer, chain.from_iterable(spec.grants.values()))
    covered: set[tuple[str, str]] = set()
    for declared, grantees in spec.grants.items():
        for grantee in grantees:
            covered.add((declared, grantee))
            yield _grant(declared, grantee, "the spec's grants")
    for privilege, grantee in sorted(live.grants):
        kind, _, name = grantee.partition(":")
        if kind in ("role", "group") and (privilege, f"user:{name}") in live.grants:
            continue  # an access list does not distinguish users and roles; one grant is enough
        if (privilege, grantee) not in covered and ("all", grantee) not in covered:
            yield _grant(privilege, grantee, "the live table's own grants")


def _usage(renderer: Renderer, grantees: Iterable[str]) -> Iterator[Step]:
    if not renderer.has("grant_usage"):
        return
    for grantee in dict.fromkeys(grantees):
        why = "grants on the table need it"
        yield Step(f"grant usage to {grantee}", why, "grant_usage", facts=_grantee(grantee))


def _grant(privilege: str, grantee: str, why: str) -> Step:
    facts = {"privilege": privilege, **_grantee(grantee)}
    return Step(f"grant {privilege} to {grantee}", why, "grant", facts=facts)


def _grantee(text: str) -> dict[str, object]:
    kind, _, name = text.partition(":")
    return {"kind": kind, "grantee": name}
