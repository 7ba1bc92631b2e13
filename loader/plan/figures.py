"""Figures of columns: what shows that the values in the warehouse are those that were staged.

Staging takes them of the rows it writes, the warehouse of the rows it holds, and each must be the
same. None depends on the order of rows, and each is computed exactly on both sides:

- ``nulls``: how many values are NULL.
- ``minimum``, ``maximum``: of numbers, dates and times; of text where the dialect surely compares
  its bytes.
- ``sum``: of integers and decimals; of dates in days and of times in microseconds since the epoch.
- ``low_digits``: the sum of the remainders modulo 2⁶² units of the last digit, for decimals of
  which a sum may have more than 38 digits.
- ``true``: how many are true.
- ``bytes``: of text (UTF-8) and binary values together.
- ``ends``: of each text the code point of the first character, times 1,000, and of the last.
- ``nan``, ``whole``, ``fraction``: of floats, how many are NaN, and two integers made of each by
  steps that IEEE 754 defines to the bit (`scaled.sql.j2`).
- ``checksum``: the sum of the first 60 bits of each value's MD5.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from math import isclose
from typing import Literal

from loader.sql.datatypes import DataType
from loader.sql.dialects.base import Dialect

Level = Literal["values", "counts", "checksums"]
"""What is compared before COMMIT: figures of all columns, numbers of rows, or figures with
checksums of text and binary values."""

Kind = Literal[
    "nulls",
    "minimum",
    "maximum",
    "sum",
    "low_digits",
    "true",
    "bytes",
    "ends",
    "nan",
    "whole",
    "fraction",
    "checksum",
]

Value = int | float | bytes | None
"""A figure's value: decimals in units of their last digit, dates in days and times in microseconds
since the epoch, text as its bytes. None is the minimum or maximum of no values."""

SAFE_PRECISION = 28
"""Digits of which ten billion numbers add up to no more than 38."""

MODULUS = 1 << 62
"""Of `low_digits`."""

Statistics = Mapping[str, Mapping[Kind, str | int | float | None]]
"""Figures by column and kind, in a form for display and JSON."""

_FIGURES_PER_STATEMENT = 1_000
"""Redshift allows at most 1,600 columns in a SELECT (``r_CREATE_TABLE_NEW``)."""

_SHOWN_CHARACTERS = 60


@dataclass(frozen=True)
class Figure:
    """One figure of one column."""

    column: str
    data_type: DataType
    kind: Kind

    @property
    def modulus(self) -> Decimal:
        """The modulus of `low_digits`, in units of the column's last digit."""
        digits = tuple(map(int, str(MODULUS)))
        return Decimal((0, digits, -self.data_type.scale))


def figures_of(
    columns: Iterable[tuple[str, DataType]], dialect: Dialect, level: Level
) -> tuple[Figure, ...]:
    """The figures that a level compares in a dialect, column by column."""
    if level == "counts":
        return ()
    return tuple(
        Figure(name, data_type, kind)
        for name, data_type in columns
        for kind in _kinds(data_type, dialect, checksums=level == "checksums")
    )


def _kinds(data_type: DataType, dialect: Dialect, *, checksums: bool) -> tuple[Kind, ...]:
    name = data_type.name
    if name in dialect.opaque:
        return ("nulls",)
    checksum: tuple[Kind, ...] = ("checksum",) if checksums else ()
    if data_type.is_integer or data_type.is_temporal or name == "time":
        return ("nulls", "minimum", "maximum", "sum")
    match name:
        case "decimal":
            exact: Kind = "sum" if data_type.precision <= SAFE_PRECISION else "low_digits"
            return ("nulls", "minimum", "maximum", exact)
        case "boolean":
            return ("nulls", "true")
        case "real" | "double precision":
            return ("nulls", "minimum", "maximum", "nan", "whole", "fraction")
        case "char" | "varchar":
            return ("nulls", "bytes", *dialect.text_figures, *checksum)
        case _:  # binary, and types that are stored as text
            return ("nulls", "bytes", *checksum)


def split_statements(figures: Sequence[Figure]) -> list[tuple[tuple[Figure, ...], ...]]:
    """Split the figures by statement, and within a statement by column."""
    statements: list[tuple[tuple[Figure, ...], ...]] = []
    columns: list[tuple[Figure, ...]] = []
    size = 0
    for column in dict.fromkeys(figure.column for figure in figures):
        own = tuple(figure for figure in figures if figure.column == column)
        if size + len(own) > _FIGURES_PER_STATEMENT:
            statements.append(tuple(columns))
            columns, size = [], 0
        columns.append(own)
        size += len(own)
    return [*statements, tuple(columns)] if columns else statements


def parse_figure(figure: Figure, answer: object) -> Value:
    """Parse a figure from a query result.

    Raises:
        ValueError: the result is not of the figure's type.
    """
    kind, name = figure.kind, figure.data_type.name
    if answer is None:
        # A sum of no values is NULL in SQL.
        return None if kind in ("minimum", "maximum") else 0
    if kind in ("minimum", "maximum"):
        if name in ("char", "varchar"):
            return _parse_text(answer)
        if name in ("real", "double precision"):
            return _parse_float(answer)
    if name == "decimal" and kind != "nulls":
        return _parse_units(answer, figure.data_type.scale)
    return _parse_units(answer, 0)


def _parse_text(answer: object) -> bytes:
    if isinstance(answer, str):
        return answer.encode()
    if isinstance(answer, bytes | bytearray | memoryview):
        return bytes(answer)
    raise ValueError(f"{answer!r} is not text")


def _parse_float(answer: object) -> float:
    if isinstance(answer, bool) or not isinstance(answer, float | int | Decimal):
        raise ValueError(f"{answer!r} is not a number")
    return float(answer)


def _parse_units(answer: object, scale: int) -> int:
    """A number in units of the last of its ``scale`` digits after the point."""
    if isinstance(answer, int) and not isinstance(answer, bool):
        return answer * 10**scale
    if isinstance(answer, Decimal) and answer.is_finite():
        units = decimal_units(answer, scale)
        if units is not None:
            return units
    raise ValueError(f"{answer!r} is not a number of at most {scale} digits after the point")


def decimal_units(value: Decimal, scale: int) -> int | None:
    """A finite decimal in units of the last of its ``scale`` digits; None when it has more.

    >>> decimal_units(Decimal("1.50"), 2), decimal_units(Decimal("1.5"), 0)
    (150, None)
    """
    # No decimal arithmetic, since it rounds to the precision of the context.
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    number = int("".join(map(str, digits)) or "0") * (-1 if sign else 1)
    shift = exponent + scale
    if shift >= 0:
        return number * 10**shift
    whole, rest = divmod(number, 10**-shift)
    return None if rest else whole


def same(staged: Value, found: Value) -> bool:
    """Whether a figure from the warehouse equals the staged one."""
    if isinstance(staged, float) and isinstance(found, float):
        # Drivers print floats with 15 digits; `whole` and `fraction` cover the others.
        return isclose(staged, found, rel_tol=1e-14)
    return staged == found


def show_figure(figure: Figure, value: Value) -> str | int | float | None:
    """Convert a figure for display and JSON: decimals and timestamps become text.

    >>> from loader.sql.datatypes import parse
    >>> show_figure(Figure("day", parse("date"), "minimum"), 19723)
    '2024-01-01'
    """
    if value is None or figure.kind in ("nulls", "true", "bytes", "ends", "nan", "checksum"):
        return value if not isinstance(value, bytes) else None
    if isinstance(value, bytes):
        text = value.decode(errors="replace")
        return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
    name = figure.data_type.name
    if name == "decimal":
        return _show_units(int(value), figure.data_type.scale)
    if figure.kind in ("minimum", "maximum") and isinstance(value, int):
        return _show_instant(name, value)
    return value


def _show_units(units: int, scale: int) -> str:
    digits = str(abs(units)).rjust(scale + 1, "0")
    point = len(digits) - scale
    sign = "-" if units < 0 else ""
    return f"{sign}{digits[:point]}.{digits[point:]}" if scale else f"{sign}{digits}"


def _show_instant(name: str, units: int) -> int | str:
    try:
        match name:
            case "date":
                return (date(1970, 1, 1) + timedelta(days=units)).isoformat()
            case "time":
                return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=units)).strftime(
                    "%H:%M:%S.%f"
                )
            case "timestamp" | "timestamptz":
                moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=units)
                text = moment.replace(tzinfo=None).isoformat(sep=" ")
                return f"{text}+00" if name == "timestamptz" else text
    except OverflowError:  # outside Python's date range
        pass
    return units


def statistics_of(values: Mapping[Figure, Value], hidden: Iterable[str] = ()) -> Statistics:
    """The figures by column and kind, in a form for display and JSON.

    The minimum and maximum of ``hidden`` columns are left out.
    """
    secret = frozenset(hidden)
    found: dict[str, dict[Kind, str | int | float | None]] = {}
    for figure, value in values.items():
        if figure.column in secret and figure.kind in ("minimum", "maximum"):
            continue
        found.setdefault(figure.column, {})[figure.kind] = show_figure(figure, value)
    return found
