"""Compares a live table with its spec, and finds the remedy for each difference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from loader.errors import PlanError
from loader.plan.drift.conversions import conversion
from loader.plan.drift.defaults import same_default
from loader.plan.drift.difference import Difference, Drift, EarlierTable, Remedy
from loader.plan.drift.remedies import (
    RENUMBERED,
    choose_remedies,
    identity_text,
    is_freed,
    is_stuck,
    resizing_obstacle,
)
from loader.plan.drift.renames import (
    find_renames,
    rename_columns,
    rename_differences,
    rename_notes,
)
from loader.plan.drift.shares import block_in_share
from loader.plan.live_table import Live, LiveColumn, LiveTable, Seen, reason_unseen
from loader.spec.model import Column, TableSpec
from loader.spec.primary_key import declares_key
from loader.sql.renderer import Renderer
from loader.text_tables import align

_ALL_PRIVILEGES = frozenset({"select", "insert", "update", "delete", "references"})
"""The privileges that a grant of ``all`` contains."""


def drift(
    spec: TableSpec, renderer: Renderer, live: Live, earlier: EarlierTable | None = None
) -> Drift:
    """Find all differences between a live table and its spec.

    Ignores column order, the case of names and the spelling of types; and comments, grants,
    distribution, sort keys and encodings that the spec does not declare, since Redshift or
    somebody else manages them. Columns with an earlier name are compared as if they were renamed.

    Args:
        spec: The table.
        renderer: In the dialect of the target.
        live: The live table.
        earlier: The name of the live table, if it is an earlier one.
    """
    if not isinstance(live, LiveTable):
        created = Difference("create table", None, spec.table, None, "in place")
        return Drift(block_in_share(spec, renderer, [created]))
    if not live.is_table:
        return Drift((_not_a_table(spec, live),))
    renames = find_renames(spec, live)
    due = tuple(rename_differences(spec, live, renames, earlier))
    renamed = rename_columns(live, renames)
    comparison = _Comparison(spec, renderer, renamed)
    found = choose_remedies(spec, renderer, renamed, (*due, *comparison.differences()))
    found = block_in_share(spec, renderer, found)
    rebuilds = any(one.remedy == "rebuild" for one in found)
    notes = (
        *rename_notes(spec, renderer, renamed, renames=bool(due)),
        *comparison.notes(rebuilds=rebuilds),
    )
    return Drift(found, notes, renames, earlier)


def additions(
    spec: TableSpec, renderer: Renderer, live: LiveTable, found: Drift | None = None
) -> tuple[Difference, ...]:
    """The changes that a load applies to its table first, under ``evolve: additive``.

    Args:
        spec: The table.
        renderer: In the dialect of the target.
        live: The live table.
        found: The drift, if it is known already.

    Raises:
        PlanError: the live table differs from the spec in a way that a load does not fix.
    """
    if not live.is_table:
        kind = _with_article(live.kind)
        raise PlanError(
            f"{spec.table} is {kind}: rows cannot be loaded into it",
            hint=f"name a table in the spec, or drop the {live.kind}: a load then creates it",
        )
    found = found or drift(spec, renderer, live)
    needed = [one for one in found.differences if one.stops_loads]
    additive = spec.schema_contract.evolve == "additive"
    if all(one.additive for one in needed) and (additive or not needed):
        return tuple(needed)
    raise _drift_error(spec, renderer, needed)


def _not_a_table(spec: TableSpec, live: LiveTable) -> Difference:
    kind = live.kind
    return Difference(
        "relation",
        None,
        "table",
        kind,
        "none",
        blocked=f"{spec.table} is {_with_article(kind)}, which Loader does not change: name a table"
        f" in the spec, or drop the {kind}",
        stops_loads=True,
    )


@dataclass(frozen=True)
class _Comparison:
    spec: TableSpec
    renderer: Renderer
    live: LiveTable

    def differences(self) -> Iterator[Difference]:
        live_columns = {column.name.lower(): column for column in self.live.columns}
        for column in self.spec.columns:
            if column.name in live_columns:
                yield from self._common_column(column, live_columns[column.name])
            else:
                yield self._missing_column(column)
        for other in self.live.columns:
            if other.name.lower() not in self.spec.by_name:
                yield self._extra_column(other)
        if "layout" in self.live.seen:
            yield from self._layout()
        yield from self._comment(None, self.spec.description, self.live.comment)
        if "grants" in self.live.seen and self.renderer.has("grant"):
            yield from self._grants()

    def _missing_column(self, column: Column) -> Difference:
        wanted = self.renderer.dialect.column_type(column.data_type)
        found = Difference("add column", column.name, wanted, None, "in place", stops_loads=True)
        if column.identity is not None:
            return replace(
                found, spec=f"{wanted} {identity_text(column.identity)}", remedy="rebuild"
            )
        if not column.nullable and not column.default:
            # In place, it would need a DEFAULT; a rebuild only needs an empty table.
            return replace(found, spec=f"{wanted} NOT NULL", remedy="rebuild", probe="rows")
        return found

    def _extra_column(self, other: LiveColumn) -> Difference:
        live = self.renderer.dialect.spelling(other.data_type)
        found = Difference(
            "drop column",
            other.name,
            None,
            live,
            "in place",
            loss="the column's values",
            stops_loads=not (other.nullable or other.has_default),
        )
        if other.layout_key and not is_freed(self.spec, self.live, other):
            return replace(found, remedy="rebuild", reason=f"it is the {other.layout_key}")
        return found

    def _common_column(self, column: Column, live_column: LiveColumn) -> Iterator[Difference]:
        dialect, name = self.renderer.dialect, column.name
        if dialect.differs(column.data_type, live_column.data_type):
            yield self._type_difference(column, live_column)
        if column.nullable != live_column.nullable:
            wanted = "NULL" if column.nullable else "NOT NULL"
            yield Difference(
                "nullability",
                name,
                wanted,
                "NULL" if live_column.nullable else "NOT NULL",
                "rebuild",
                probe="" if column.nullable else "nulls",
            )
        if self._identity_differs(column, live_column):
            numbers, live = identity_text(column.identity), identity_text(live_column.identity)
            loss = RENUMBERED if numbers and not dialect.identity_by_hand else ""
            yield Difference("identity", name, numbers, live, "rebuild", loss=loss)
        elif column.identity is None and self._same_default(column, live_column) is False:
            yield Difference("default", name, column.default, live_column.default, "rebuild")
        yield from self._comment(name, column.description, live_column.comment)

    def _type_difference(self, column: Column, live_column: LiveColumn) -> Difference:
        dialect = self.renderer.dialect
        known = dialect.known(live_column.data_type)
        found = Difference(
            "type",
            column.name,
            dialect.column_type(column.data_type),
            dialect.spelling(live_column.data_type),
            "rebuild",
            stops_loads=True,
        )
        if known is not None and dialect.widens(known, column.data_type):
            found = replace(found, kind="widen column")
            obstacle = resizing_obstacle(self.spec, column, self.live, live_column)
            if not obstacle:
                return replace(found, remedy="before_transaction")
            stuck = is_stuck(self.spec, self.renderer, column, self.live, live_column)
            found = replace(found, reason=obstacle, stops_loads=not stuck)
        way = conversion(known, column.data_type)
        unfilled = way.how == "none" and not column.nullable and not column.default
        return replace(found, loss=way.loss, probe="rows" if unfilled else "")

    def _identity_differs(self, column: Column, live_column: LiveColumn) -> bool:
        if column.identity is None:
            return live_column.identity is not None
        if live_column.identity is None:
            # A catalog may not show the seed of an identity, or the identity itself.
            return not live_column.has_default and not self._hides_identity(column, live_column)
        return tuple(column.identity) != live_column.identity

    def _hides_identity(self, column: Column, live_column: LiveColumn) -> bool:
        """Whether a column may be an identity that the catalog does not show."""
        visible = self.renderer.dialect.identity_by_hand
        return column.identity is not None and not visible and not live_column.nullable

    def _same_default(self, column: Column, live_column: LiveColumn) -> bool | None:
        if live_column.has_default and live_column.default is None and live_column.identity is None:
            return None
        return same_default(
            column.default, live_column.default, column.data_type, self.renderer.dialect
        )

    def _comment(
        self, column: str | None, text: str | None, live: str | None
    ) -> Iterator[Difference]:
        if text and text != live and self.renderer.dialect.has_comments:
            yield Difference("comment", column, text, live, "in place")

    def _layout(self) -> Iterator[Difference]:
        spec, live = self.spec, self.live
        interleaved = live.sort_type == "interleaved"
        live_columns = {column.name.lower(): column for column in live.columns}
        # Only the sort key of an interleaved table can be altered.
        remedy: Remedy = "rebuild" if interleaved else "in place"
        for column in spec.columns:
            found = live_columns.get(column.name)
            if column.encode and found and found.encoding not in (None, column.encode):
                yield Difference("encoding", column.name, column.encode, found.encoding, remedy)
        # Without a dist key, the style may not be visible.
        styled = live.dist is not None or spec.dist not in ("even", "all", "auto")
        if spec.dist and spec.dist != live.dist and styled:
            yield Difference("dist", None, spec.dist, live.dist, remedy)
        # With one column, the catalog does not distinguish interleaved from compound.
        kind = spec.sort_type or "compound"
        same_kind = live.sort_type != "auto" and (kind == live.sort_type or len(spec.sort) == 1)
        alike = spec.sort == live.sort and same_kind
        if spec.sort and not alike:
            wanted = _sort_text(spec.sort, spec.sort_type or "compound")
            sort_remedy: Remedy = "rebuild" if spec.sort_type == "interleaved" else "in place"
            yield Difference(
                "sort", None, wanted, _sort_text(live.sort, live.sort_type), sort_remedy
            )

    def _grants(self) -> Iterator[Difference]:
        for privilege, grantees in self.spec.grants.items():
            for grantee in grantees:
                needed = _ALL_PRIVILEGES if privilege == "all" else {privilege}
                if not all((one, grantee) in self.live.grants for one in needed):
                    yield Difference("grant", None, f"{privilege} to {grantee}", None, "in place")

    def notes(self, *, rebuilds: bool) -> Iterator[str]:
        yield from self._unseen()
        spec, live = self.spec, self.live
        unknown = "sort" not in live.seen and self.renderer.has("live_sort")
        if rebuilds and live.sort and unknown and not spec.sort and spec.sort_type is None:
            yield (
                f"{reason_unseen(live, 'sort')}; the new table declares it as"
                f" {_sort_text(live.sort, live.sort_type)}, and `sort_type: auto` leaves it to"
                f" {self.renderer.dialect.title}"
            )
        live_columns = {column.name.lower(): column for column in self.live.columns}
        for column in self.spec.columns:
            found = live_columns.get(column.name)
            if found is None or found.identity is not None:
                continue
            if column.identity is not None:
                if not found.has_default and self._hides_identity(column, found):
                    yield f"the catalog does not say whether {column.name} is an IDENTITY"
                continue
            if self._same_default(column, found) is None:
                default = found.default if found.default is not None else "cannot be seen"
                yield (
                    f"DEFAULT of {column.name} cannot be compared: the spec has"
                    f" {column.default or 'none'}, the live table {default}"
                )
        if "keys" in self.live.seen and self.renderer.dialect.unenforced_keys:
            yield from self._keys()

    def _unseen(self) -> Iterator[str]:
        """The parts that the spec declares and that could not be read."""
        spec, has = self.spec, self.renderer.has
        encoded = any(column.encode for column in spec.columns)
        declared: dict[Seen, object] = {
            "layout": has("alter_dist") and (spec.dist or spec.sort or spec.sort_type or encoded),
            "grants": has("grant") and spec.grants,
        }
        for what, is_declared in declared.items():
            if is_declared and what not in self.live.seen:
                yield reason_unseen(self.live, what)

    def _keys(self) -> Iterator[str]:
        spec, live, title = self.spec, self.live.primary_key, self.renderer.dialect.title
        if live and {*live} == {*spec.primary_key} and not declares_key(spec):
            why = "loads of this spec can repeat a key"
            if spec.primary_key_constraint == "never":
                why = "the spec says primary_key_constraint: never"
            yield (
                f"the live table declares PRIMARY KEY ({', '.join(live)}), which {title} trusts"
                f" unchecked, and {why}: ALTER TABLE … DROP CONSTRAINT drops it, and"
                " primary_key_constraint: always keeps it"
            )
            return
        declared = spec.primary_key if declares_key(spec) else ()
        if declared != live:
            yield (
                f"PRIMARY KEY is {', '.join(declared) or 'none'} in the spec and"
                f" {', '.join(live) or 'none'} in the live table:"
                f" {title} does not enforce it, so change it yourself"
            )


def _with_article(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def _sort_text(sort: tuple[str, ...], sort_type: str | None) -> str | None:
    return f"{sort_type or 'compound'} ({', '.join(sort)})" if sort else sort_type


def _drift_error(spec: TableSpec, renderer: Renderer, found: list[Difference]) -> PlanError:
    rows = [
        (one.column or "", one.spec or "-", one.live or "-", _problem_text(one)) for one in found
    ]
    table = [("column", "spec", "live", ""), *rows]
    lines = [f"  {line}" for line in align(table)]
    hint = (
        f"`loader plan {spec.asset_key} --live` shows the changes,"
        f" `loader apply {spec.asset_key}` applies them"
    )
    if all(one.additive for one in found):
        hint += "; with `schema_contract: {evolve: additive}`, loads apply them"
    blocked = {one.blocked: None for one in found if one.blocked}
    if blocked and renderer.dialect.share:
        hint = "; ".join(blocked)
    shown = "\n".join(line.rstrip() for line in lines)
    names = ("column", "spec", "live", "problem")
    return PlanError(
        f"the live table {spec.table} differs from its spec\n{shown}",
        hint=hint,
        details=[dict(zip(names, row, strict=True)) for row in rows],
    )


def _problem_text(one: Difference) -> str:
    if one.kind == "add column":
        return "missing" if one.additive else "missing; cannot be added to existing rows"
    if one.kind == "drop column":
        return "NOT NULL, but not in the spec"
    if one.kind == "rename column":
        return "has its earlier name"
    return "too narrow" if one.kind == "widen column" else "type differs"
