"""Staged CSV and JSON files as rows for PostgreSQL."""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from loader.testing.redshift.files.columns import LiveColumn
from loader.testing.redshift.files.copy_lines import TEXT, byte_length, first, lines
from loader.testing.redshift.files.text_values import BadValue, convert
from loader.testing.redshift.refusals import LoadError, Refusal, load_failed, not_implemented
from loader.testing.redshift.statements.copy_unload import CopyStatement
from loader.testing.redshift.statements.tokens import fold, stored

MAX_ROW_BYTES = 4 << 20
"""Of a line of text, and of a JSON object (dg/r_COPY, dg/copy-usage_notes-copy-from-json)."""

_NOT_IN_JSON = frozenset(
    {
        "binary varying",
        "geography",
        "geometry",
        "time with time zone",
        "time without time zone",
    }
)
"""Types for which no form in JSON is documented."""


def csv_rows(
    copy: CopyStatement, columns: Sequence[LiveColumn], data: bytes, url: str
) -> Iterator[bytes]:
    """A CSV file, or one with a delimiter and no quotes, as lines for COPY.

    Raises:
        Refusal: it cannot be read at all.
        LoadError: a row or a field does not load.
    """
    if "FILLRECORD" in copy.options:
        raise not_implemented("FILLRECORD with CSV")
    data = _plain(copy, data, url)
    table = _read_csv(copy, columns, data, url)
    fields = [column.combine_chunks() for column in table.columns]
    _check_sizes(copy, fields, data, url)
    yield from lines(_converted(copy, columns, fields, data, url))


def _plain(copy: CopyStatement, data: bytes, url: str) -> bytes:
    """The file without its compression, which must be the one that COPY names."""
    try:
        if copy.compression == "gzip":
            return gzip.decompress(data)
        if copy.compression == "zstd":
            with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
                return bytes(stream.read())
    except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
        raise Refusal(
            f"The file is not {copy.compression} compressed or damaged", detail=f"{url}: {error}"
        ) from error
    return data


def _read_csv(
    copy: CopyStatement, columns: Sequence[LiveColumn], data: bytes, url: str
) -> pa.Table:
    names = [str(number) for number in range(len(columns))]
    schema = pa.schema([(name, TEXT) for name in names])
    if not data:
        return schema.empty_table()
    wrong: list[Any] = []

    def note(row: Any) -> str:
        wrong.append(row)
        return "skip"

    try:
        table = pa_csv.read_csv(
            pa.BufferReader(data),
            pa_csv.ReadOptions(
                use_threads=False,
                block_size=max(MAX_ROW_BYTES * 2, 1 << 20),
                column_names=names,
                skip_rows_after_names=copy.header_lines,
            ),
            pa_csv.ParseOptions(
                delimiter=copy.delimiter,
                quote_char=copy.quote or False,
                newlines_in_values=bool(copy.quote),
                ignore_empty_lines="IGNOREBLANKLINES" in copy.options,
                invalid_row_handler=note,
            ),
            pa_csv.ConvertOptions(
                column_types=schema,
                null_values=[copy.null_as],
                strings_can_be_null=True,
                # Whether Redshift takes a quoted \N as NULL is not known; here it stays text.
                quoted_strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        raise _unreadable(copy, data, url, str(error)) from error
    if wrong:
        raise _miscounted(copy, wrong[0], url)
    return table


def _miscounted(copy: CopyStatement, row: Any, url: str) -> LoadError:
    more = row.actual_columns > row.expected_columns
    return LoadError(
        load_failed(copy.table),
        file=url,
        line=row.number or 0,
        raw_line=row.text[:1024],
        reason="Extra column(s) found" if more else "Delimiter not found",
        error_code=1202 if more else 1214,
    )


def _unreadable(copy: CopyStatement, data: bytes, url: str, message: str) -> LoadError:
    """Text that is no UTF-8, a quote that does not end, or a row that is too long."""
    line, raw, reason, code = 0, "", message, 1216
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raw = _line_at(data, line)
        found = data[error.start : error.start + 4].hex(" ")
        reason = f"String contains invalid or unsupported UTF8 codepoints. Bad UTF8 hex: {found}"
        code = 1220
    return LoadError(
        load_failed(copy.table), file=url, line=line, raw_line=raw, reason=reason, error_code=code
    )


def _line_at(data: bytes, line: int) -> str:
    rows = data.split(b"\n", line)
    return rows[line - 1][:1024].decode(errors="replace") if line <= len(rows) else ""


def _check_sizes(copy: CopyStatement, fields: list[pa.Array], data: bytes, url: str) -> None:
    if len(data) <= MAX_ROW_BYTES or not fields:
        return
    total = pa.scalar(len(fields), pa.int64())
    for column in fields:
        total = pc.add(pc.cast(pc.fill_null(byte_length(column), 0), pa.int64()), total)
    row = first(pc.greater(total, MAX_ROW_BYTES))
    if row is not None:
        raise LoadError(
            load_failed(copy.table),
            file=url,
            line=row + copy.header_lines + 1,
            reason=f"Input line is longer than {MAX_ROW_BYTES} bytes",
            error_code=1204,
        )


def _converted(
    copy: CopyStatement,
    columns: Sequence[LiveColumn],
    fields: Sequence[pa.Array],
    data: bytes,
    url: str,
) -> list[pa.Array]:
    found = []
    for column, values in zip(columns, fields, strict=True):
        try:
            found.append(convert(copy, column, values))
        except BadValue as bad:
            line = bad.row + copy.header_lines + 1
            # Fields with line ends in them: the count is then of rows, not of lines.
            raise _bad_field(copy, column, bad, values, url, line, _line_at(data, line)) from bad
    return found


def _bad_field(
    copy: CopyStatement,
    column: LiveColumn,
    bad: BadValue,
    values: pa.Array,
    url: str,
    line: int,
    raw_line: str,
) -> LoadError:
    raw = values[bad.row].as_py()
    return LoadError(
        load_failed(copy.table),
        file=url,
        line=line,
        column=column.name,
        column_type=column.type,
        raw_value="" if raw is None else raw[:1024],
        raw_line=raw_line,
        reason=bad.reason,
        error_code=bad.code,
    )


def json_rows(
    copy: CopyStatement, columns: Sequence[LiveColumn], data: bytes, url: str
) -> Iterator[bytes]:
    """A file of JSON objects as lines for COPY.

    Raises:
        Refusal: it cannot be read at all, or not into these types.
        LoadError: an object or a value does not load.
    """
    for column in columns:
        if column.base in _NOT_IN_JSON:
            raise Refusal(f"COPY of JSON cannot load column {column.name} of type {column.shown}")
    if copy.json_option == "noshred" and [column.base for column in columns] != ["super"]:
        raise Refusal("JSON 'noshred' needs exactly one SUPER column")
    data = _plain(copy, data, url)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise _unreadable(copy, data, url, str(error)) from error
    gathered = _gather(copy, columns, text, url)
    places = gathered.pop()
    fields = [pa.array(column, TEXT) for column in gathered]
    found = []
    for column, values in zip(columns, fields, strict=True):
        try:
            found.append(convert(copy, column, values))
        except BadValue as bad:
            line = places[bad.row]
            raw = _line_at(data, line)
            raise _bad_field(copy, column, bad, values, url, line, raw) from bad
    yield from lines(found)


def _gather(
    copy: CopyStatement, columns: Sequence[LiveColumn], text: str, url: str
) -> list[list[Any]]:
    """The text of each value by columns, and last the lines the objects begin in."""
    gathered: list[list[Any]] = [[] for _ in columns]
    starts: list[int] = []
    supers = [column.base == "super" for column in columns]
    ignore_case = copy.json_option == "auto ignorecase"
    place, line, counted = _space(text, 0), 1, 0
    while place < len(text):
        line += text.count("\n", counted, place)
        counted = place
        try:
            members, end = _object(text, place)
        except (ValueError, StopIteration, IndexError, RecursionError) as error:
            raise _bad_object(copy, url, line, text, f"Invalid JSON: {error}") from error
        if end - place > MAX_ROW_BYTES // 4 and len(text[place:end].encode()) > MAX_ROW_BYTES:
            reason = f"JSON object is longer than {MAX_ROW_BYTES} bytes"
            raise _bad_object(copy, url, line, text, reason)
        starts.append(line)
        if copy.json_option == "noshred":
            gathered[0].append(text[place:end])
        else:
            # Keys are compared as they are, but a long one as PostgreSQL stores it.
            named = {stored(fold(key) if ignore_case else key): found for key, found in members}
            for values, column, document in zip(gathered, columns, supers, strict=True):
                values.append(_field(named.get(column.name), column, document=document))
        place = _space(text, end)
    return [*gathered, starts]


def _bad_object(copy: CopyStatement, url: str, line: int, text: str, reason: str) -> LoadError:
    return LoadError(
        load_failed(copy.table),
        file=url,
        line=line,
        raw_line=_line_at(text.encode(), line),
        reason=reason,
        error_code=1216,
    )


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


_SCAN: Any = json.JSONDecoder(parse_constant=_no_constant).scan_once  # type: ignore[attr-defined]  # typeshed lacks it


def _object(text: str, place: int) -> tuple[list[tuple[str, tuple[Any, str]]], int]:
    """The members of one object: key, value and the text of the value; and where it ends.

    Raises:
        ValueError, StopIteration, IndexError: it is not well formed.
    """
    if text[place] != "{":
        raise ValueError("an object must begin here")
    members: list[tuple[str, tuple[Any, str]]] = []
    place = _space(text, place + 1)
    if text[place] == "}":
        return members, place + 1
    while True:
        if text[place] != '"':
            raise ValueError("a key must be a string")
        key, place = json.decoder.scanstring(text, place + 1, True)  # type: ignore[attr-defined]  # typeshed lacks it
        place = _space(text, place)
        if text[place] != ":":
            raise ValueError("a colon must follow a key")
        start = _space(text, place + 1)
        value, place = _SCAN(text, start)
        members.append((key, (value, text[start:place])))
        place = _space(text, place)
        if text[place] == "}":
            return members, place + 1
        if text[place] != ",":
            raise ValueError("a comma must follow a value")
        place = _space(text, place + 1)


def _space(text: str, place: int) -> int:
    while place < len(text) and text[place] in " \t\r\n":
        place += 1
    return place


def _field(found: tuple[Any, str] | None, column: LiveColumn, *, document: bool) -> str | None:
    """What a value of an object is as a field: a document keeps its own text."""
    if found is None or found[0] is None:
        return None
    value, raw = found
    if column.base in _EXACT_NUMBERS and isinstance(value, int | float):
        return raw if isinstance(value, bool) else _through_double(raw)
    return value if isinstance(value, str) and not document else raw


_EXACT_NUMBERS = frozenset({"smallint", "integer", "bigint", "numeric"})


def _through_double(raw: str) -> str:
    """A number as COPY may read it: as a double (dg/copy-usage_notes-copy-from-json)."""
    number = float(raw)
    return f"{Decimal(number):f}" if math.isfinite(number) else raw
