"""SQLite's SQL as facts: what types become, how values are written, what may not be run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal

from loader.sql.datatypes import DataType, parse
from loader.sql.dialects.base import Dialect, Value

_AS_TEXT = ("super", "geometry", "geography", "hllsketch")


@dataclass(frozen=True)
class SQLiteDialect(Dialect):
    """SQLite has no dates, times and decimals: they are kept as text, of which equal values have
    equal ones, and later values greater ones.
    """

    def literal(self, value: Value) -> str:
        """A value as it is kept."""
        return super().literal(
            as_text(value) if isinstance(value, Decimal | date | time) else value
        )


def as_text(value: Decimal | date | time) -> str:
    """The text that is kept of a decimal, date, time or time stamp; those with a zone in UTC."""
    match value:
        case Decimal():
            text = format(value, "f")
            return text.rstrip("0").rstrip(".") if "." in text else text
        case datetime():
            utc = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
            return utc.isoformat(sep=" ", timespec="microseconds")
        case time():
            return value.isoformat(timespec="microseconds")
    return value.isoformat()


def _column_type(data_type: DataType) -> str:
    # Words in the name of a type decide how SQLite keeps its values: TEXT as they come.
    if data_type.name in _AS_TEXT or data_type.name.startswith("interval"):
        return "TEXT"
    if data_type.name == "varbyte":
        return "BLOB"
    return str(data_type).upper().replace("DECIMAL", "DECIMAL_TEXT")


def _known(live: str) -> DataType | None:
    spelled = {"TEXT": "varchar(65535)", "BLOB": "varbyte(1024000)"}
    try:
        return parse(spelled.get(live.upper(), live.lower().replace("decimal_text", "decimal")))
    except ValueError:
        return None


DIALECT = SQLiteDialect(
    name="sqlite",
    title="SQLite",
    column_type=_column_type,
    default=str,
    differs=lambda data_type, live: live.upper() != _column_type(data_type),
    spelling=str,
    known=_known,
    spec_type=lambda live: str(_known(live)) if _known(live) else None,
    backslash=False,
    commits={
        r"(BEGIN|COMMIT|END|ROLLBACK)\b": "Loader opens and ends the transaction",
        r"VACUUM\b": "it cannot run inside a transaction",
    },
    has_layout=False,
    has_comments=False,
    has_grants=False,
    text_figures=("minimum", "maximum"),
    # Of decimals only NULLs are counted, since SQLite adds up text as floats.
    opaque=frozenset({"decimal", "timetz", "interval year to month", "interval day to second"}),
)
