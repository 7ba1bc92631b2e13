"""Definitions of columns, keys and layout, which must fit each other as on Redshift."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from loader.testing.redshift.refusals import BAD_DEFINITION, SYNTAX, Refusal
from loader.testing.redshift.statements.column_types import KEY_TYPES, ColumnType
from loader.testing.redshift.statements.rewrite import Domains, need, render
from loader.testing.redshift.statements.tokens import Cursor, Token, quote

MAX_COMPOUND = 400
MAX_INTERLEAVED = 8

INTEGER_RANGES = {
    "integer": (-(2**31), 2**31 - 1),
    "bigint": (-(2**63), 2**63 - 1),
}


@dataclass(frozen=True)
class Key:
    """A constraint that is not enforced; the target is that of a foreign key."""

    type: str
    """As ``pg_constraint.contype`` has it: ``p``, ``u`` or ``f``."""
    columns: tuple[str, ...]
    name: str | None = None
    target: str | None = None
    target_columns: tuple[str, ...] = ()


@dataclass
class Column:
    """A column definition as it was read."""

    name: str
    type: ColumnType
    default: list[Token] = field(default_factory=list)
    identity: tuple[int, int] | None = None
    by_default: bool = False
    encode: str = ""
    not_null: bool | None = None
    marks: set[str] = field(default_factory=set)
    """``distkey``, ``sortkey``, ``collate``, ``unique``, ``primary``, ``references``."""
    keys: list[Key] = field(default_factory=list)

    def sql(self, domains: Domains) -> str:
        """The definition for PostgreSQL."""
        parts = [quote(self.name), need(self.type, domains)]
        if self.default:
            parts.append(f"DEFAULT {render(self.default, domains)}")
        if self.identity is not None:
            parts.append(self._identity())
        if self.not_null:
            parts.append("NOT NULL")
        return " ".join(parts)

    def _identity(self) -> str:
        assert self.identity is not None
        seed, step = self.identity
        low, high = INTEGER_RANGES[self.type.name]
        # ALWAYS for the plain one: Redshift lets no INSERT set it.
        how = "BY DEFAULT" if self.by_default else "ALWAYS"
        return (
            f"GENERATED {how} AS IDENTITY (START WITH {seed} INCREMENT BY {step} "
            f"MINVALUE {low} MAXVALUE {high})"
        )


@dataclass
class TableLayout:
    """How the table is laid out."""

    style: str = ""
    distkey: tuple[str, ...] = ()
    sortkey: tuple[str, ...] = ()
    sort_kind: str = ""
    given: bool = False

    def note(self, columns: Sequence[Column] = (), keys: Sequence[Key] = ()) -> dict[str, Any]:
        """What is remembered of the table."""
        return {
            "diststyle": self.style or ("key" if self.distkey else "auto"),
            "distkey": next(iter(self.distkey), None),
            "sortkind": self.sort_kind or "auto",
            "sortkey": self.sortkey,
            "encode": {column.name: column.encode for column in columns if column.encode},
            "keys": [asdict(key) for key in keys],
        }


def read_layout(cursor: Cursor) -> TableLayout:
    """Read DISTSTYLE, DISTKEY, SORTKEY and their like up to an AS or the end."""
    found = TableLayout()
    while not cursor.done and not cursor.at("as"):
        found.given = True
        if cursor.take("diststyle"):
            if found.style:
                raise Refusal("conflicting or redundant options: DISTSTYLE", SYNTAX)
            found.style = cursor.name()
            if found.style not in ("auto", "even", "key", "all"):
                raise Refusal(f'invalid DISTSTYLE "{found.style}"', SYNTAX)
        elif cursor.take("distkey"):
            found.distkey += cursor.names()
        elif cursor.take("backup"):
            if not (cursor.take("yes") or cursor.take("no")):
                raise cursor.unexpected()
        elif cursor.take("encode"):
            cursor.expect("auto")
        else:
            _read_sortkey(cursor, found)
    return found


def _read_sortkey(cursor: Cursor, found: TableLayout) -> None:
    kind = next((kind for kind in ("compound", "interleaved") if cursor.take(kind)), "")
    cursor.expect("sortkey")
    if found.sort_kind:
        raise Refusal("conflicting or redundant options: SORTKEY", SYNTAX)
    if not kind and cursor.take("auto"):
        found.sort_kind = "auto"
        return
    found.sort_kind = kind or "compound"
    found.sortkey = cursor.names()


def move_column_keys(layout: TableLayout, columns: dict[str, Column]) -> None:
    """Take DISTKEY and SORTKEY of columns to those of the table."""
    distkey = tuple(name for name, column in columns.items() if "distkey" in column.marks)
    sortkey = tuple(name for name, column in columns.items() if "sortkey" in column.marks)
    layout.distkey += distkey
    if sortkey:
        if layout.sort_kind:
            raise Refusal("SORTKEY is specified for both a column and the table", SYNTAX)
        layout.sort_kind, layout.sortkey = "compound", sortkey


def check_layout(layout: TableLayout, columns: dict[str, ColumnType | None] | None) -> None:
    """Refuse a layout that contradicts itself, or the columns where they are known."""
    if len(layout.distkey) > 1:
        raise Refusal("a table can have only one DISTKEY column", BAD_DEFINITION)
    if layout.distkey and layout.style not in ("", "key"):
        raise Refusal(
            f"DISTKEY cannot be specified with DISTSTYLE {layout.style.upper()}", BAD_DEFINITION
        )
    if layout.style == "key" and not layout.distkey:
        raise Refusal("DISTSTYLE KEY requires a DISTKEY column", BAD_DEFINITION)
    limit = MAX_INTERLEAVED if layout.sort_kind == "interleaved" else MAX_COMPOUND
    if len(layout.sortkey) > limit:
        raise Refusal(f"{layout.sort_kind} sort keys can have at most {limit} columns", "54011")
    if len(set(layout.sortkey)) < len(layout.sortkey):
        raise Refusal("a column appears twice in SORTKEY", "42701")
    for key, names in (("DISTKEY", layout.distkey), ("SORTKEY", layout.sortkey)):
        for name in names:
            if columns is None:
                continue
            if name not in columns:
                raise Refusal(f'column "{name}" named in {key} does not exist', "42703")
            found = columns[name]
            if found is not None and found.name not in KEY_TYPES:
                raise Refusal(
                    f'column "{name}" of type {found.name} cannot be a {key}', BAD_DEFINITION
                )
