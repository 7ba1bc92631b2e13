"""What differs between warehouses in SQL, as data: one record each."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Literal

from loader.sql.datatypes import DataType

Value = str | int | float | bool | Decimal | date | datetime | time | None
"""What can be rendered as a literal."""


@dataclass(frozen=True)
class Dialect:
    """Facts about a warehouse's SQL: quoting, type names, limits."""

    name: str
    """Also the folder of its templates."""

    title: str
    """The warehouse's name in messages."""

    column_type: Callable[[DataType], str]
    """The column type as the warehouse itself spells it in its catalog."""

    default: Callable[[str], str]
    """An expression of a spec, such as a DEFAULT, in this dialect's words."""

    differs: Callable[[DataType, str], bool]
    """Whether a column's type in the warehouse's catalog is another one than the declared."""

    spelling: Callable[[str], str]
    """A type of the warehouse's catalog as specs spell it, where that is another way."""

    known: Callable[[str], DataType | None]
    """A type of the warehouse's catalog as one of ours; None when it is none."""

    spec_type: Callable[[str], str | None]
    """The type that a spec inferred from a live table declares for a type of the catalog; None
    when specs do not support it. Types that Redshift lacks become the narrowest type that fits, and
    lengths that a catalog does not store become the maximum."""

    backslash: bool
    """Whether a backslash escapes the next character inside a literal."""

    commits: Mapping[str, str]
    """Statements that end a transaction: pattern over bare words → the reason for the message."""

    catalogs: frozenset[str] = frozenset()
    """Databases that are always there: a schema of such a name needs its own database in front."""

    staging_format: str = "parquet"
    """The staging format that it loads fastest, for specs that name none."""

    documents: Mapping[str, Literal["text", "json", "nested"]] = field(default_factory=dict)
    """What SUPER values travel as in a staging format, when it is not JSON text."""

    parquet_types: Mapping[str, str] = field(default_factory=dict)
    """Type → the physical type of Parquet that it is loaded from, where Parquet has several."""

    document_bytes: Mapping[str, int] = field(default_factory=dict)
    """The most bytes of JSON in a SUPER value, by staging format, where it is less than SUPER's."""

    widens: Callable[[DataType, DataType], bool] = lambda live, wanted: False  # noqa: ARG005
    """Whether a column's type can be changed to a wider one where it is."""

    identity_by_hand: bool = True
    """Whether rows can be inserted with the numbers they have in an identity column."""

    unenforced_keys: bool = False
    """Whether tables declare primary keys that the warehouse does not enforce."""

    checks_compressed: bool = False
    """Whether compressed text that was cut off or damaged is refused when it is read."""

    nul_in_text: bool = True
    """Whether text may hold the character NUL."""

    ignores_trailing_blanks: bool = False
    """Whether comparisons ignore blanks (U+0020) at the end of text, so that ``'a'`` equals
    ``'a '``. Of other types all dialects hold the same equal: NaN is NaN, and -0.0 is 0.0."""

    empty_is_null: bool = False
    """Whether COPY makes NULL of an empty CSV field of any type but text."""

    text_figures: tuple[Literal["minimum", "maximum", "ends"], ...] = ()
    """Which figures show the values of text, beside its bytes (`loader.plan.figures`)."""

    casts_floats: bool = True
    """Whether a cast from text surely gives the nearest floating point number."""

    opaque: frozenset[str] = frozenset()
    """Types for which only NULLs are counted, since their values have several spellings."""

    alter_blocks_readers: bool = False
    """Whether ALTER keeps readers waiting until COMMIT, so that loads alter before they begin."""

    copies_by_position: bool = False
    """Whether staged columns must lie in the order of the live table's columns."""

    keeps_lengths: bool = True
    """Whether its catalog has the declared lengths of text and binary columns."""

    has_layout: bool = True
    """Whether tables have distribution, sort keys and encodings."""

    has_comments: bool = True
    """Whether tables and columns have comments."""

    has_grants: bool = True
    """Whether there are users that privileges are granted to."""

    rename_note: str = "views and queries that use an earlier name need the new one"
    """What a rename of a table or a column leaves to others."""

    share: str = ""
    """The database of a datashare, which goes before the schema of every table; empty for tables
    of the session's own database."""

    lacks: frozenset[str] = frozenset()
    """Templates that it has, and that do nothing for the tables of a datashare."""

    hidden: str = ""
    """Why the catalog shows no more of a table than its columns; empty where it does."""

    def ident(self, name: str) -> str:
        """Quote a name.

        Raises:
            ValueError: the name is empty or holds a NUL, which no warehouse can store.
        """
        if not name or "\0" in name:
            raise ValueError(f"{name!r} cannot be a name: it is empty or holds a NUL character")
        return '"' + name.replace('"', '""') + '"'

    def equality_key(self, text: str) -> str:
        """The text that represents all texts that the warehouse treats as equal to this one.

        >>> from loader.sql.dialects import duckdb, redshift
        >>> redshift.DIALECT.equality_key(" a  "), duckdb.DIALECT.equality_key("a ")
        (' a', 'a ')
        """
        return text.rstrip(" ") if self.ignores_trailing_blanks else text

    def literal(self, value: Value) -> str:
        """Write a value as a typed literal; times with a zone are written in UTC.

        Raises:
            ValueError: text with a NUL character, or a number that is not finite.
            TypeError: a value of another type.
        """
        match value:
            case None:
                return "NULL"
            case bool():
                return "TRUE" if value else "FALSE"
            case int():
                return str(value)
            case float() | Decimal():
                return self._number(value)
            case datetime():
                return self._instant(value)
            case date():
                return f"DATE '{value.isoformat()}'"
            case time():
                return f"TIME '{value.isoformat()}'"
            case str():
                return self._text(value)
        raise TypeError(f"{value!r} cannot be written as a SQL literal")

    def _text(self, value: str) -> str:
        if "\0" in value:
            raise ValueError(f"{value!r} holds a NUL character, which SQL text cannot")
        escaped = value.replace("\\", "\\\\") if self.backslash else value
        return "'" + escaped.replace("'", "''") + "'"

    def _number(self, value: float | Decimal) -> str:
        if not Decimal(value).is_finite():
            raise ValueError(f"{value!r} is not a finite number")
        return format(value, "f") if isinstance(value, Decimal) else repr(value)

    def _instant(self, value: datetime) -> str:
        if value.tzinfo is None:
            return f"TIMESTAMP '{value.isoformat(sep=' ')}'"
        utc = value.astimezone(UTC).replace(tzinfo=None)
        return f"TIMESTAMPTZ '{utc.isoformat(sep=' ')}+00'"


RESERVED_SCHEMAS = r"pg_|information_schema$"
"""Prefixes of schema names that are reserved by warehouses (``r_CREATE_SCHEMA``)."""


def check_schema(name: str) -> str:
    """The name of a schema that can be created.

    Raises:
        ValueError: warehouses keep it for themselves.
    """
    if re.match(RESERVED_SCHEMAS, name, re.IGNORECASE):
        raise ValueError(
            f"`{name}` is reserved: pg_* and information_schema are the warehouse's own schemas"
        )
    return name
