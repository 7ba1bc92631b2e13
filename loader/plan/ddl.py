"""The steps that create tables, and that make live tables match their specs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from loader.plan.drift.difference import Difference, Drift
from loader.plan.live_table import LiveTable
from loader.plan.loading import Evolution, Step
from loader.spec.model import Column, TableSpec
from loader.spec.primary_key import declares_key
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
    sequences = sequences_of(spec, renderer)
    yield from create_sequences(spec, sequences)
    facts = {"columns": spec.columns, "sequences": sequences, **declared_key(spec)}
    yield Step("create the table", "as the spec declares it", "create_table", facts=facts)
    yield from all_comments(spec, renderer)
    if renderer.has("grant"):
        for privilege, grantees in spec.grants.items():
            for grantee in grantees:
                yield _grant(privilege, grantee, "the spec's grants")


def widen(
    spec: TableSpec, found: Iterable[Difference], drift: Drift | None = None
) -> Iterator[Step]:
    """The steps that cannot run inside a transaction; they are idempotent.

    They run before the renames of ``drift``, and so by the names that the live table has.
    """
    for one in found:
        if one.remedy == "before_transaction":
            assert one.column is not None
            column = spec.by_name[one.column]
            why = f"the live column is {one.live}; this cannot run inside the transaction"
            name = f"widen the column {column.name}"
            facts: dict[str, object] = {"column": column}
            if drift is not None:
                live_name = drift.renames.get(column.name, column.name)
                facts = {"column": column.model_copy(update={"name": live_name})}
                facts |= {"table": drift.earlier.table} if drift.earlier else {}
            widened = Evolution(widened=(column.name,))
            yield Step(name, why, "widen_column", facts=facts, evolves=widened)


def alter(spec: TableSpec, renderer: Renderer, found: Iterable[Difference]) -> Iterator[Step]:
    """The steps that fix differences in place, in the transaction."""
    differences = [one for one in found if one.remedy == "in place"]
    for one in differences:
        if one.kind == "add column":
            yield from _add(spec, renderer, one)
    yield from _layout(spec, differences)
    # Rows may have been laid out by a column that goes, so this comes after the layout.
    for one in differences:
        if one.kind == "drop column":
            facts = {"column": one.column}
            why = "the live table has it, but the spec does not"
            yield Step(f"drop the column {one.column}", why, "drop_column", facts=facts)
    for one in differences:
        if one.kind == "comment":
            yield _comment_step(spec, one.column)
        elif one.kind == "grant":
            assert one.spec is not None
            privilege, _, grantee = one.spec.partition(" to ")
            yield from _usage(renderer, [grantee])
            yield _grant(privilege, grantee, "the spec's grants")


def declared_key(spec: TableSpec, live: LiveTable | None = None) -> dict[str, object]:
    """The primary key that a new table declares; ``live`` is the table whose rows it takes over."""
    declared = declares_key(spec)
    # Nothing proves a key of rows that were loaded before the table declared it.
    if live is not None and spec.primary_key_constraint == "proven":
        declared = declared and {*live.primary_key} == {*spec.primary_key}
    return {"primary_key": spec.primary_key if declared else ()}


def add_column(column: Column, why: str) -> Step:
    """The step that adds a column."""
    name, facts = f"add the column {column.name}", {"column": column}
    return Step(name, why, "add_column", facts=facts, evolves=Evolution(added=(column.name,)))


def _add(spec: TableSpec, renderer: Renderer, one: Difference) -> Iterator[Step]:
    assert one.column is not None
    column = spec.by_name[one.column]
    yield add_column(column, "the spec has it, but the live table does not")
    facts = {"column": column}
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


def sequences_of(spec: TableSpec, renderer: Renderer) -> dict[str, Table]:
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


def create_sequences(spec: TableSpec, sequences: dict[str, Table]) -> Iterator[Step]:
    """The steps that make the sequences of `sequences_of`."""
    for name, sequence in sequences.items():
        facts = {"sequence": sequence, "column": spec.by_name[name]}
        yield Step(
            f"create the sequence of {name}", "generates its values", "create_sequence", facts=facts
        )


def all_comments(
    spec: TableSpec, renderer: Renderer, live: LiveTable | None = None
) -> Iterator[Step]:
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
        yield from column_comment(column, live_columns.get(column.name), renderer)


def column_comment(column: Column, kept: str | None, renderer: Renderer) -> Iterator[Step]:
    """The comment on a new column: from the spec, or from the live column."""
    text = column.description or kept
    if text and renderer.dialect.has_comments:
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


def all_grants(spec: TableSpec, renderer: Renderer, live: LiveTable) -> Iterator[Step]:
    """The spec's grants, and those of the live table, on a table that takes its place."""
    yield from _usage(renderer, chain.from_iterable(spec.grants.values()))
    covered: set[tuple[str, str]] = set()
    for declared, grantees in spec.grants.items():
        for grantee in grantees:
            covered.add((declared, grantee))
            yield _grant(declared, grantee, "the spec's grants")
    why = "the live table's own grants"
    for privilege, grantee in sorted(live.grants):
        kind, _, name = grantee.partition(":")
        if kind in ("role", "group") and (privilege, f"user:{name}") in live.grants:
            continue  # an access list does not say what a name is; one grant is enough
        grantable = (privilege, grantee) in live.grant_options
        known = (privilege, grantee) in covered or ("all", grantee) in covered
        if grantable or not known:
            yield _grant(privilege, grantee, why, grantable=grantable)
    for privilege, column, grantee in sorted(live.column_grants):
        if column in spec.by_name:
            yield grant_on_column(privilege, column, grantee)


def grant_on_column(privilege: str, column: str, grantee: str) -> Step:
    """The step that grants what the live table has granted on a column."""
    return _grant(privilege, grantee, "the live column's own grants", column=column)


def _usage(renderer: Renderer, grantees: Iterable[str]) -> Iterator[Step]:
    if not renderer.has("grant_usage"):
        return
    for grantee in dict.fromkeys(grantees):
        why = "grants on the table need it"
        yield Step(f"grant usage to {grantee}", why, "grant_usage", facts=_grantee(grantee))


def _grant(
    privilege: str, grantee: str, why: str, *, column: str | None = None, grantable: bool = False
) -> Step:
    what = f"{privilege} on {column}" if column else privilege
    facts = {"privilege": privilege, "column": column, "grantable": grantable, **_grantee(grantee)}
    return Step(f"grant {what} to {grantee}", why, "grant", facts=facts)


def _grantee(text: str) -> dict[str, object]:
    kind, _, name = text.partition(":")
    return {"kind": kind, "grantee": name}
