"""How tables are laid out: rows of the catalog, by table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from loader.plan.live_table import LayoutKey, LiveTable, unseen
from loader.warehouse.base import Row

_EFFECTIVE_AUTO = (10, 11, 12)
"""What ``pg_class_info.releffectivediststyle`` says of tables whose style Redshift manages."""


@dataclass(frozen=True)
class Layout:
    """How tables are laid out: rows of the catalog, by table."""

    columns: Mapping[tuple[str, str], Mapping[str, Row]] = field(default_factory=dict)
    styles: Mapping[tuple[str, str], Row] = field(default_factory=dict)
    automatic: frozenset[tuple[str, str]] = frozenset()
    """Those whose sort key Redshift chooses."""

    def add_to(self, key: tuple[str, str], table: LiveTable) -> LiveTable:
        """The table with what the catalog says of its layout; ``key`` is schema and name."""
        if not table.is_table or "layout" not in table.seen:
            return table
        rows = self.columns.get(key)
        if not rows:
            return _hidden(table, "this user has no privileges on it")
        by_name = [
            (column.name, rows[column.name.lower()])
            for column in table.columns
            if column.name.lower() in rows
        ]
        if key not in self.styles and all(_has_no_layout(row) for _, row in by_name):
            return _hidden(table, "the catalog has none")
        sort, sort_type = _sort_key(by_name)
        if key in self.automatic:
            sort_type = "auto"
        dist_keys = [name for name, row in by_name if row[5]]
        return replace(table, dist=self._style(key, dist_keys), sort=sort, sort_type=sort_type)

    def _style(self, key: tuple[str, str], dist_keys: list[str]) -> str | None:
        style = self.styles.get(key)
        if style is not None:
            number, effective = int(style[2] or 0), int(style[3] or 0)
            if number not in (0, 1, 8) or effective in _EFFECTIVE_AUTO:
                return "auto"
            if number != 1:
                return "all" if number == 8 else "even"
        return dist_keys[0] if dist_keys else None


def _has_no_layout(row: Row) -> bool:
    """Whether a column has no encoding, is no dist key and is in no sort key."""
    return str(row[4] or "none").strip().lower() == "none" and not (row[5] or row[6])


def _sort_key(by_name: Iterable[tuple[str, Row]]) -> tuple[tuple[str, ...], str | None]:
    """The columns of the sort key in order, and its kind: their numbers are signed if interleaved.

    ``by_name`` are the table's columns, each with its row of the catalog.
    """
    numbered = [(int(row[6]), name) for name, row in by_name if row[6]]
    if not numbered:
        return (), None
    names = tuple(name for _, name in sorted((abs(number), name) for number, name in numbered))
    return names, "interleaved" if any(number < 0 for number, _ in numbered) else "compound"


def _hidden(table: LiveTable, why: str) -> LiveTable:
    told = unseen("layout", why)
    return replace(table, seen=table.seen - {"layout"}, unseen=(*table.unseen, told))


def layout_key_of(row: Row | None) -> LayoutKey:
    """What rows are laid out by, of a row of the catalog."""
    dist, sort = (row[5], row[6]) if row is not None else (False, 0)
    if dist and sort:
        return "distribution and sort key"
    return "distribution key" if dist else "sort key" if sort else ""
