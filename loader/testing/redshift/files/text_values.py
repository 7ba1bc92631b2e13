"""Fields of text files → text for PostgreSQL, a column at once, checked as COPY would.

COPY cuts excess digits off (dg/copy-parameters-data-conversion).

Dates and times are taken in ISO 8601 only: 'auto' has more forms, which are not implemented.
"""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from loader.testing.redshift.files.columns import LiveColumn
from loader.testing.redshift.files.copy_lines import TEXT, byte_length, first, text
from loader.testing.redshift.files.documents import check_document
from loader.testing.redshift.statements.copy_unload import CopyStatement


class BadValue(Exception):  # noqa: N818  # it carries a place, and becomes a LoadError
    """A field that does not load: its row, and why, as ``stl_load_errors`` has it."""

    def __init__(self, row: int, code: int, reason: str) -> None:
        super().__init__(reason)
        self.row = row
        self.code = code
        self.reason = reason


_INTEGERS = {"smallint": pa.int16(), "integer": pa.int32(), "bigint": pa.int64()}
_INTEGER = r"^[+-]?\d+$"
_DECIMAL = r"^[+-]?(\d+\.?\d*|\.\d+)$"
_FLOAT = r"(?i)^[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf(inity)?|nan)$"
_BOOLEAN = r"(?i)^(true|t|yes|y|1|false|f|no|n|0)$"
_DATE = r"^\d{4}-\d\d-\d\d$"
_TIMESTAMP = r"^\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d+)?)?)?$"
_ZONE = r" ?(Z|[+-]\d\d(:?\d\d)?|UTC)$"
_TIME = r"^([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d+)?)?$"


def convert(copy: CopyStatement, column: LiveColumn, fields: pa.Array) -> pa.Array:
    """The column as PostgreSQL reads it.

    Raises:
        BadValue: a field is none of the column's type.
    """
    kind = column.base
    if kind not in ("character", "character varying", "super"):
        fields = pc.utf8_trim_whitespace(fields)
        # Redshift takes an empty field as NULL, where the type has no empty value.
        fields = pc.if_else(pc.equal(fields, ""), pa.scalar(None, TEXT), fields)
    converted = _CONVERTERS.get(kind, _as_it_is)(copy, column, fields)
    row = first(converted.is_null())
    if row is not None and not column.nullable:
        raise BadValue(row, 1213, "Missing data for not-null field")
    return converted


def _refuse(valid: pa.Array, code: int, reason: str) -> None:
    row = first(pc.invert(valid))
    if row is not None:
        raise BadValue(row, code, reason)


def _matching(fields: pa.Array, pattern: str, code: int, reason: str) -> None:
    _refuse(pc.match_substring_regex(fields, pattern), code, reason)


def _as_it_is(_: CopyStatement, __: LiveColumn, fields: pa.Array) -> pa.Array:
    return fields


def _integer(_: CopyStatement, column: LiveColumn, fields: pa.Array) -> pa.Array:
    kind = column.base.capitalize()
    _matching(fields, _INTEGER, 1207, f"Invalid digit, Type: {kind}")
    unsigned = pc.replace_substring_regex(fields, r"^\+", "")
    _castable(unsigned, _INTEGERS[column.base], 1204, f"Overflow, Type: {kind}")
    return unsigned


def _castable(fields: pa.Array, data_type: pa.DataType, code: int, reason: str) -> pa.Array:
    """Cast, or raise for the first value that cannot be cast."""
    try:
        return pc.cast(fields, data_type)
    except pa.ArrowInvalid:
        for row, value in enumerate(fields):
            try:
                pc.cast(value, data_type)
            except pa.ArrowInvalid:
                raise BadValue(row, code, reason) from None
        raise


def _decimal(copy: CopyStatement, column: LiveColumn, fields: pa.Array) -> pa.Array:
    """Excess digits are cut off, not rounded, unless ROUNDEC is given."""
    precision, scale = column.parameters
    _matching(fields, _DECIMAL, 1207, f"Invalid digit, Type: Decimal({precision},{scale})")
    digits = pc.replace_substring_regex(fields, r"^[+-]?0*|\..*$", "")
    fits = pc.less_equal(pc.binary_length(digits), precision - scale)
    _refuse(fits, 1204, f"Overflow, Type: Decimal({precision},{scale})")
    if "ROUNDEC" in copy.options:
        return fields
    return pc.replace_substring_regex(fields, rf"(\.\d{{{scale}}})\d+$", r"\1")


def _float(_: CopyStatement, __: LiveColumn, fields: pa.Array) -> pa.Array:
    _matching(fields, _FLOAT, 1208, "Invalid digit, Type: Float")
    return fields


def _boolean(_: CopyStatement, __: LiveColumn, fields: pa.Array) -> pa.Array:
    _matching(fields, _BOOLEAN, 1210, "Unknown boolean format")
    return fields


def _date(_: CopyStatement, __: LiveColumn, fields: pa.Array) -> pa.Array:
    _matching(fields, _DATE, 1205, "Invalid Date Format - length must be 10 or more")
    _castable(fields, pa.date32(), 1205, "Invalid date")
    return fields


def _timestamp(copy: CopyStatement, _: LiveColumn, fields: pa.Array) -> pa.Array:
    if copy.time_format != "auto":
        return _epoch(copy, fields)
    zoned = pc.match_substring_regex(fields, _ZONE)
    bare = pc.if_else(zoned, pc.replace_substring_regex(fields, _ZONE, ""), fields)
    # A date alone has no zone: its last two digits are not one.
    bare = pc.if_else(pc.match_substring_regex(fields, _DATE), fields, bare)
    reason = "Invalid timestamp format or value [YYYY-MM-DD HH24:MI:SS]"
    _matching(bare, _TIMESTAMP, 1206, reason)
    seconds = pc.replace_substring_regex(bare, r"\.\d+$", "")
    _castable(seconds, pa.timestamp("s"), 1206, reason)
    # PostgreSQL would round what is beyond microseconds.
    return pc.replace_substring_regex(fields, r"(\.\d{6})\d+", r"\1")


def _epoch(copy: CopyStatement, fields: pa.Array) -> pa.Array:
    reason = f"Invalid {copy.time_format} value"
    unit = "s" if copy.time_format == "epochsecs" else "ms"
    _matching(fields, r"^-?\d+$", 1206, reason)
    numbers = _castable(fields, pa.int64(), 1206, reason)
    written = pc.cast(pc.cast(numbers.view(pa.timestamp(unit)), pa.timestamp("us")), TEXT)
    return pc.binary_join_element_wise(written, text("+00"), text(""))


def _time(_: CopyStatement, column: LiveColumn, fields: pa.Array) -> pa.Array:
    bare = fields
    if column.base == "time with time zone":
        bare = pc.replace_substring_regex(fields, _ZONE, "")
    _matching(bare, _TIME, 1206, "Invalid time format or value")
    return fields


def _text(copy: CopyStatement, column: LiveColumn, fields: pa.Array) -> pa.Array:
    fields = _adjusted(copy, fields)
    _refuse(
        pc.invert(pc.match_substring(fields, "\0")),
        1220,
        "String contains invalid or unsupported UTF8 codepoints: a NUL",
    )
    sizes = byte_length(fields)
    row = first(pc.greater(sizes, column.length))
    if row is not None and "TRUNCATECOLUMNS" in copy.options:
        fields = _truncated(fields, column.length)
    elif row is not None:
        raise BadValue(row, 1204, "String length exceeds DDL length")
    if column.base == "character":
        reason = "Multibyte character not supported for CHAR (Hint: try using VARCHAR)"
        _refuse(pc.string_is_ascii(fields), 1220, reason)
    return fields


def _adjusted(copy: CopyStatement, fields: pa.Array) -> pa.Array:
    null = pa.scalar(None, TEXT)
    if "TRIMBLANKS" in copy.options:
        fields = pc.utf8_rtrim(fields, characters=" ")
    if "BLANKSASNULL" in copy.options:
        fields = pc.if_else(pc.match_substring_regex(fields, r"^\s+$"), null, fields)
    if "EMPTYASNULL" in copy.options:
        fields = pc.if_else(pc.equal(fields, ""), null, fields)
    return fields


def _truncated(fields: pa.Array, size: int) -> pa.Array:
    cut = (value and value.encode()[:size].decode(errors="ignore") for value in fields.to_pylist())
    return pa.array(cut, TEXT)


def _varbyte(_: CopyStatement, column: LiveColumn, fields: pa.Array) -> pa.Array:
    _matching(fields, r"^([0-9A-Fa-f]{2})*$", 1219, "Invalid hexadecimal digit for VARBYTE")
    fits = pc.less_equal(pc.binary_length(fields), 2 * column.length)
    _refuse(fits, 1204, "VARBYTE length exceeds DDL length")
    return pc.binary_join_element_wise(text("\\x"), fields, text(""))


MAX_CSV_DOCUMENT = 1 << 20
"""Larger values load from Parquet and JSON only (r_SUPER_type)."""


def _super(copy: CopyStatement, _: LiveColumn, fields: pa.Array) -> pa.Array:
    if copy.format == "csv":
        fits = pc.less_equal(byte_length(fields), MAX_CSV_DOCUMENT)
        _refuse(fits, 1224, "SUPER values above 1 MB load from PARQUET and JSON only")
    for row, value in enumerate(fields.to_pylist()):
        if value is not None:
            try:
                check_document(value)
            except (ValueError, RecursionError) as error:
                raise BadValue(row, 1216, f"Invalid JSON for SUPER: {error}") from error
    return fields


_CONVERTERS: dict[str, Callable[[CopyStatement, LiveColumn, pa.Array], pa.Array]] = {
    **dict.fromkeys(_INTEGERS, _integer),
    "numeric": _decimal,
    "real": _float,
    "double precision": _float,
    "boolean": _boolean,
    "date": _date,
    "timestamp without time zone": _timestamp,
    "timestamp with time zone": _timestamp,
    "time without time zone": _time,
    "time with time zone": _time,
    "character": _text,
    "character varying": _text,
    "binary varying": _varbyte,
    "super": _super,
}
