"""What fixes a difference: in place, by rebuilding the table, by swapping a column, or nothing.

The rule, which is written down here and nowhere else:

- **In place** where the warehouse has a statement for it. A VARCHAR is widened in place unless
  something is in the way (`resizing_obstacle`); a column is dropped in place unless rows are laid
  out by it. A key that the spec gives to another column is changed first. It is not changed to
  widen a column in place: ALTER SORTKEY and ALTER DISTKEY write every row anew, as a rebuild does.
- **Rebuild** for everything else: every row is written once, sorted, and counted.
- **Swap** (add a column, UPDATE, drop the old one, rename) only where views or foreign keys that do
  not use the column stop a rebuild. An UPDATE on Redshift deletes and writes every row, leaves the
  old ones for VACUUM, and the new ones unsorted: it costs more than a rebuild, and keeps nothing
  that a rebuild loses but what hangs on the table. It is no way round policies, for an UPDATE
  changes only the rows that its user sees.
- **Nothing** where it would lose what nobody has asked to lose; the reason says what to do first.

Neither a rebuild nor a swap is done before it is known that no policies are attached to the table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from loader.plan.drift.difference import Difference
from loader.plan.live_table import LiveColumn, LiveTable, Seen, reason_unseen
from loader.spec.model import Column, TableSpec
from loader.sql.dialects.redshift import NOT_RESIZABLE
from loader.sql.renderer import Renderer, Table

RENUMBERED = "new identity values are generated"


def resizing_obstacle(spec: TableSpec, column: Column, live: LiveTable, there: LiveColumn) -> str:
    """What keeps ALTER COLUMN TYPE from widening a column; empty when nothing does.

    ``r_ALTER_TABLE``; keys and views are reported from live clusters (estuary/connectors#4893,
    #3259, move-coop/parsons#180). ``there`` is the column of the live table.
    """
    keys = {*spec.primary_key, *live.primary_key}
    encodings = {there.encoding} if "layout" in live.seen else {there.encoding, column.encode}
    if there.layout_key:
        return f"it is the {there.layout_key}"
    if there.name in live.bound_columns:
        return "a view uses it"
    if there.has_default:
        return "it has a default"
    if column.name in keys:
        return "it is in the primary key"
    if found := encodings & NOT_RESIZABLE:
        return f"its encoding is {found.pop()}"
    return ""


def is_freed(spec: TableSpec, live: LiveTable, there: LiveColumn) -> bool:
    """Whether the spec lays rows out by other columns than this one, by an ALTER in place."""
    if live.sort_type == "interleaved" or spec.sort_type == "interleaved":
        return False
    dist, sort = (kind in there.layout_key for kind in ("distribution", "sort"))
    # ALTER DISTSTYLE AUTO and ALTER SORTKEY AUTO keep the keys that there are.
    return not (dist and spec.dist in (None, "auto")) and not (sort and not spec.sort)


def choose_remedies(
    spec: TableSpec, renderer: Renderer, live: LiveTable, found: tuple[Difference, ...]
) -> tuple[Difference, ...]:
    """The differences with the remedies that the rule has for them, given all of them."""
    if not any(one.remedy == "rebuild" for one in found):
        return found
    return _Choice(spec, renderer, live).choose(found)


@dataclass(frozen=True)
class _Choice:
    spec: TableSpec
    renderer: Renderer
    live: LiveTable

    def choose(self, found: tuple[Difference, ...]) -> tuple[Difference, ...]:
        obstacles = list(self._obstacles())
        rebuilt = [one for one in found if one.remedy == "rebuild"]
        if not (obstacles and all(self._can_swap(one) for one in rebuilt)):
            remedied = (*found, *self._losses(found))
        else:
            why = " and ".join(obstacle for obstacle, _ in obstacles)
            reason = f"a rebuild is impossible: {why}"
            swapped = {one.column for one in rebuilt}
            remedied = tuple(
                replace(one, remedy="swap", reason=reason) if one.column in swapped else one
                for one in found
            )
            obstacles = []
        blocked = [f"the table would be rebuilt, but {text}: {way}" for text, way in obstacles]
        blocked += self._policies()
        return tuple(
            replace(one, blocked=one.blocked or "; ".join(blocked), unproven=self._unproven())
            if one.remedy in ("rebuild", "swap")
            else one
            for one in remedied
        )

    def _obstacles(self) -> Iterator[tuple[str, str]]:
        """What a rebuild would leave with the old table, and what to do about it."""
        live, several = self.live, len(self.live.dependants) > 1
        if live.dependants:
            them = "them" if several else "it"
            yield (
                f"{', '.join(live.dependants)} {'depend' if several else 'depends'} on it",
                f"drop {them} first, and create {them} again afterwards",
            )
        if live.referrers:
            names = [f"{name} of {schema}.{table}" for schema, table, name in live.referrers]
            statements = [self._drop_constraint(*one) for one in live.referrers]
            one_of_them = len(names) == 1
            yield (
                f"the foreign key{'s' * (not one_of_them)} {', '.join(names)}"
                f" {'references' if one_of_them else 'reference'} it",
                f"run {'; '.join(statements)} first, and add {'it' if one_of_them else 'them'}"
                " again afterwards",
            )
        needed: tuple[tuple[Seen, str], ...] = (
            ("dependants", "live_dependants"),
            ("referrers", "live_referrers"),
        )
        for what, template in needed:
            if what not in live.seen and self.renderer.has(template):
                yield reason_unseen(live, what), "have it granted to the user of the target"

    def _drop_constraint(self, schema: str, table: str, name: str) -> str:
        facts = {"table": Table(schema, table), "constraint": name}
        return self.renderer.render("drop_constraint", facts).sql

    def _can_swap(self, one: Difference) -> bool:
        """Whether a column of its own can take the place of this one."""
        live, name = self.live, one.column
        if one.kind not in ("type", "widen column", "nullability", "default") or name is None:
            return False
        column = self.spec.by_name[name]
        there = next(found for found in live.columns if found.name.lower() == name)
        tied = name in (*self.spec.primary_key, *live.primary_key)
        laid_out = name in (*self.spec.sort, self.spec.dist) or bool(there.layout_key)
        numbered = column.identity is not None or there.identity is not None
        # ADD COLUMN takes NOT NULL only with a default, and nothing closes a column later.
        closed = not column.nullable and not column.default
        return (
            self.renderer.has("update_column")
            and {"layout", "keys", "dependants", "referrers"} <= live.seen
            and there.name not in live.bound_columns
            and not (tied or laid_out or numbered or closed)
        )

    def _policies(self) -> Iterator[str]:
        live, several = self.live, len(self.live.policies) > 1
        if live.policies:
            them = "them" if several else "it"
            yield (
                f"{', '.join(live.policies)} {'are' if several else 'is'} attached to the table:"
                " whoever is under a policy would copy only what they see, and the new table"
                f" would be without {them}: have {them} detached first, and attached again"
                " afterwards"
            )

    def _unproven(self) -> str:
        if "policies" in self.live.seen or not self.renderer.has("live_policies"):
            return ""
        return (
            f"{reason_unseen(self.live, 'policies')}; under one only the rows and masks that this"
            " user sees would be copied, and the new table would be without it"
        )

    def _losses(self, found: tuple[Difference, ...]) -> Iterator[Difference]:
        """What a table that is rebuilt cannot keep."""
        if self.renderer.has("live_column_grants") and "column grants" not in self.live.seen:
            loss = reason_unseen(self.live, "column grants")
            yield Difference("column grants", None, None, None, "rebuild", loss=loss)
        if self.renderer.dialect.identity_by_hand:
            return
        named = {one.column for one in found if one.kind in ("identity", "add column")}
        live_names = {column.name.lower() for column in self.live.columns}
        for column in self.spec.columns:
            if column.identity is not None and column.name in live_names - named:
                text = identity_text(column.identity)
                yield Difference("identity", column.name, text, text, "rebuild", loss=RENUMBERED)


def identity_text(identity: tuple[int, int] | None) -> str | None:
    """An identity as it is declared."""
    return None if identity is None else f"IDENTITY({identity[0]}, {identity[1]})"


def fit_to_live(spec: TableSpec, renderer: Renderer, live: LiveTable) -> TableSpec:
    """The spec as loads can fulfil it while columns keep a width that no load can change.

    Under ``evolve: additive`` such a column stops no load whose values fit it as it is.
    """
    dialect = renderer.dialect
    there = {column.name.lower(): column for column in live.columns}

    def fitted(column: Column) -> Column:
        found = there.get(column.name)
        known = dialect.known(found.data_type) if found else None
        if found is None or known is None or not is_stuck(spec, renderer, column, live, found):
            return column
        return column.model_copy(update={"data_type": known})

    columns = tuple(fitted(column) for column in spec.columns)
    return spec if columns == spec.columns else spec.model_copy(update={"columns": columns})


def may_be_stuck(spec: TableSpec, renderer: Renderer, live: LiveTable) -> bool:
    """Whether a load would widen columns, so that it has to know what is in the way."""
    there = {column.name.lower(): column for column in live.columns}
    return any(
        _may_widen(spec, renderer, column, there[column.name])
        for column in spec.columns
        if column.name in there
    )


def explain_stuck_columns(declared: TableSpec, fitted: TableSpec) -> Iterator[str]:
    """Explain the columns that `fit_to_live` has changed, for errors of a load."""
    for column, as_it_is in zip(declared.columns, fitted.columns, strict=True):
        if column != as_it_is:
            yield (
                f"{column.name} is {as_it_is.data_type} in the live table, and no load can make it"
                f" {column.data_type}: `loader apply {declared.asset_key}` does"
            )


def _may_widen(spec: TableSpec, renderer: Renderer, column: Column, there: LiveColumn) -> bool:
    known = renderer.dialect.known(there.data_type)
    additive = spec.schema_contract.evolve == "additive" and renderer.has("widen_column")
    return additive and known is not None and renderer.dialect.widens(known, column.data_type)


def is_stuck(
    spec: TableSpec, renderer: Renderer, column: Column, live: LiveTable, there: LiveColumn
) -> bool:
    """Whether loads may widen a column of the live table, and cannot."""
    return _may_widen(spec, renderer, column, there) and bool(
        resizing_obstacle(spec, column, live, there)
    )
