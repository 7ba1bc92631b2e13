"""A staged Parquet file as rows for PostgreSQL: first its schema, then its values, by columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from loader.testing.redshift.files.columns import LiveColumn
from loader.testing.redshift.files.copy_lines import (
    TEXT,
    byte_length,
    first,
    hexadecimal,
    lines,
    text,
)
from loader.testing.redshift.files.documents import MAX_STRING_BYTES, to_json
from loader.testing.redshift.files.parquet_schema import check_schema
from loader.testing.redshift.refusals import SPECTRUM, LoadError, spectrum, spectrum_detail
from loader.testing.redshift.statements.copy_unload import CopyStatement

_BATCH = 32_768

_DATES = (-719_162, 2_932_896)
"""The days of the years 1 to 9999, counted from 1970."""

_DAY = 86_400_000_000

Converter = Callable[[pa.Array], pa.Array]


class _Bad(Exception):  # noqa: N818  # it carries a place, and becomes a LoadError
    """A value that does not load: its row in the batch, and why."""

    def __init__(self, row: int, reason: str, code: int = 15001) -> None:
        super().__init__(reason)
        self.row = row
        self.reason = reason
        self.code = code


def parquet_rows(
    copy: CopyStatement, columns: Sequence[LiveColumn], data: bytes, url: str
) -> Iterator[bytes]:
    """The file as lines for COPY.

    Raises:
        Refusal: its schema is not the table's.
        LoadError: a value does not fit.
    """
    try:
        file = pq.ParquetFile(pa.BufferReader(data), coerce_int96_timestamp_unit="us")
    except pa.ArrowException as error:
        raise spectrum(15001, f"File '{url}' is not a Parquet file: {error}") from error
    with file:
        check_schema(copy, columns, file, url)
        start = 0
        for batch in _batches(file, url):
            yield from lines(_convert(columns, batch, url, start))
            start += batch.num_rows


def _batches(file: pq.ParquetFile, url: str) -> Iterator[pa.RecordBatch]:
    try:
        yield from file.iter_batches(batch_size=_BATCH)
    except (pa.ArrowException, OSError) as error:
        raise spectrum(15001, f"File '{url}' cannot be read: {error}") from error


def _convert(
    columns: Sequence[LiveColumn], batch: pa.RecordBatch, url: str, start: int
) -> list[pa.Array]:
    found = []
    for number, column in enumerate(columns):
        missing = number >= batch.num_columns  # FILLRECORD
        values = pa.nulls(batch.num_rows, TEXT) if missing else _plain(batch.column(number))
        try:
            _check_null(column, values)
            found.append(values if missing else _CONVERTERS[column.base](column, values))
        except _Bad as bad:
            raise _error(column, bad, url, start, values) from bad
    return found


def _plain(values: pa.Array) -> pa.Array:
    """The values without what Arrow remembers of them and Parquet does not."""
    if isinstance(values, pa.ExtensionArray):
        values = values.storage
    return values.dictionary_decode() if isinstance(values, pa.DictionaryArray) else values


def _error(column: LiveColumn, bad: _Bad, url: str, start: int, values: pa.Array) -> LoadError:
    context = f"{bad.reason} in file '{url}', row {start + bad.row + 1}"
    return LoadError(
        SPECTRUM,
        detail=spectrum_detail(bad.code, context),
        file=url,
        line=start + bad.row + 1,
        column=column.name,
        column_type=column.type,
        raw_value=str(values[bad.row].as_py()),
        reason=bad.reason,
        error_code=bad.code,
    )


def _check_null(column: LiveColumn, values: pa.Array) -> None:
    # A NULL for a NOT NULL column that has a default becomes the default, says dg/r_ALTER_TABLE
    # of 2023. That is refused too: a COPY of PostgreSQL cannot do it.
    if not column.nullable and values.null_count:
        row = first(values.is_null())
        assert row is not None
        reason = f"Missing data for not-null field: column {column.name}"
        raise _Bad(row, reason, 1213)


def _cast(_: LiveColumn, values: pa.Array) -> pa.Array:
    return pc.cast(values, TEXT)


def _bigint(_: LiveColumn, values: pa.Array) -> pa.Array:
    # A duration of Arrow is a plain INT64 in the file.
    return pc.cast(values.view(pa.int64()), TEXT)


def _decimal(column: LiveColumn, values: pa.Array) -> pa.Array:
    if column.parameters[0] == 19:
        # It is kept in 64 bits.
        units = pc.abs(values.view(pa.decimal128(38, 0)))
        bound = pa.scalar(2**63 - 1, pa.int64()).cast(pa.decimal128(38, 0))
        row = first(pc.greater(units, bound))
        if row is not None:
            raise _Bad(row, f"Numeric overflow in column {column.name} of {column.shown}", 1204)
    return pc.cast(values, TEXT)


def _text(column: LiveColumn, values: pa.Array) -> pa.Array:
    found = pc.cast(values, TEXT)
    sizes = byte_length(found)  # of bytes: aws/aws-sdk-pandas#280
    row = first(pc.greater(sizes, column.length))
    if row is not None:
        raise _Bad(
            row,
            f"The length of the data column {column.name} is longer than the length defined in "
            f"the table. Table: {column.length}, Data: {sizes[row].as_py()}",
        )
    if column.base == "character":
        row = first(pc.invert(pc.string_is_ascii(found)))
        if row is not None:
            raise _Bad(
                row,
                f"Multibyte character not supported for CHAR in column {column.name} "
                "(Hint: try using VARCHAR)",
                1220,
            )
    row = first(pc.match_substring(found, "\0"))
    if row is not None:
        raise _Bad(row, f"NUL in the text of column {column.name}", 1220)
    return found


def _varbyte(column: LiveColumn, values: pa.Array) -> pa.Array:
    sizes = pc.binary_length(pc.cast(values, pa.large_binary()))
    row = first(pc.greater(sizes, column.length))
    if row is not None:
        raise _Bad(
            row,
            f"The length of the data column {column.name} is longer than the length defined in "
            f"the table. Table: {column.length}, Data: {sizes[row].as_py()}",
        )
    return hexadecimal(values)


def _date(column: LiveColumn, values: pa.Array) -> pa.Array:
    days = pc.cast(values, pa.date32()).view(pa.int32())
    _check_years(column, days, 1)
    return pc.cast(days.view(pa.date32()), TEXT)


def _timestamp(column: LiveColumn, values: pa.Array) -> pa.Array:
    # A value with a zone goes into TIMESTAMP as its wall clock in UTC.
    unit = values.type.unit
    instants = pc.cast(values.view(pa.int64()).view(pa.timestamp(unit)), pa.timestamp("us"))
    _check_years(column, instants.view(pa.int64()), _DAY)
    return pc.cast(instants, TEXT)


def _timestamptz(column: LiveColumn, values: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(_timestamp(column, values), text("+00"), text(""))


def _check_years(column: LiveColumn, units: pa.Array, day: int) -> None:
    low, high = _DATES[0] * day, (_DATES[1] + 1) * day - 1
    row = first(pc.or_(pc.less(units, low), pc.greater(units, high)))
    if row is not None:
        reason = f"the stand-in knows the years 1 to 9999 only: column {column.name}"
        raise _Bad(row, reason, 1205)


def _super(column: LiveColumn, values: pa.Array) -> pa.Array:
    """Nested values become documents; a plain string becomes a string of JSON, unparsed."""
    written: list[str | None] = []
    for row, value in enumerate(values.to_pylist(maps_as_pydicts=None)):
        try:
            written.append(None if value is None else to_json(value, values.type))
        except ValueError as error:
            reason = f"column {column.name}: {error} (strings up to {MAX_STRING_BYTES} bytes)"
            raise _Bad(row, reason, 1204) from error
    return pa.array(written, TEXT)


_CONVERTERS: dict[str, Callable[[LiveColumn, pa.Array], pa.Array]] = {
    "smallint": _cast,
    "integer": _cast,
    "bigint": _bigint,
    "real": _cast,
    "double precision": _cast,
    "boolean": _cast,
    "numeric": _decimal,
    "character": _text,
    "character varying": _text,
    "date": _date,
    "timestamp without time zone": _timestamp,
    "timestamp with time zone": _timestamptz,
    "binary varying": _varbyte,
    "super": _super,
}
