"""Live tables made up from specs, for tests of what differs and what fixes it."""

from __future__ import annotations

from typing import Any

from loader.plan.live_table import LayoutKey, LiveColumn, LiveTable, Seen
from loader.spec.model import TableSpec
from loader.warehouse.registry import get_adapter

_ALL = ("select", "insert", "update", "delete", "references")

SEEN: frozenset[Seen] = frozenset(
    {
        "keys",
        "layout",
        "sort",
        "grants",
        "column grants",
        "dependants",
        "referrers",
        "policies",
    }
)


def layout_key(spec: TableSpec, name: str) -> LayoutKey:
    """What rows of the declared table are laid out by."""
    if name == spec.dist and name in spec.sort:
        return "distribution and sort key"
    return "distribution key" if name == spec.dist else "sort key" if name in spec.sort else ""


def live_of(spec: TableSpec, dialect: str, **fields: Any) -> LiveTable:
    """The table as Loader makes it of a spec, and as all can be seen of it."""
    redshift = dialect == "redshift"
    known = get_adapter(dialect).dialect
    columns = tuple(
        LiveColumn(
            column.name,
            known.column_type(column.data_type),
            column.nullable,
            has_default=bool(column.default or column.identity),
            default=known.default(column.default) if column.default else None,
            identity=column.identity,
            comment=column.description,
            encoding=(column.encode or "raw") if redshift else None,
            layout_key=layout_key(spec, column.name) if redshift else "",
        )
        for column in spec.columns
    )
    grants = {
        (one, who)
        for what, some in spec.grants.items()
        for who in some
        for one in (_ALL if what == "all" else (what,))
    }
    layout: dict[str, Any] = {
        "dist": spec.dist or "auto",
        "sort": spec.sort,
        "sort_type": (spec.sort_type or "compound") if spec.sort else None,
        "primary_key": spec.primary_key,
        "grants": frozenset(grants),
    }
    seen = SEEN if redshift else frozenset[Seen]({"keys", "dependants"})
    facts = {"comment": spec.description, "seen": seen, **(layout if redshift else {})}
    return LiveTable(columns, **{**facts, **fields})
