"""Reads CSV as chunks of text columns; the casts turn them into the types of the spec."""

from __future__ import annotations

import csv
import io
import re
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv

from loader.data.batches import number_batches
from loader.data.chunk import Chunk, Frame
from loader.data.column_names import RepeatedNamesError, check_names
from loader.data.files.csv_quoting import QuoteCheck
from loader.data.files.encodings import Utf8
from loader.errors import SourceError
from loader.spec.model import Source
from loader.text_tables import format_count

_HEADER = 1 << 20
"""Bytes that are first searched for the header."""

_MAX_HEADER = 64 << 20
_DELIMITERS = (",", ";", "\t", "|", ":")
_QUOTED_FIELD = re.compile(rf'"(?:[^"]|"")*"([{re.escape("".join(_DELIMITERS))}])')
_LINE = re.compile(rb"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")
_EXCEL_BYTES = 16
_EXCEL_LINE = re.compile(rb'"?sep=([^\r\n\x80-\xff])"?(?:\r\n|\r|\n)', re.IGNORECASE)


class DelimiterError(SourceError):
    """The header seems to be separated by another delimiter."""

    def __init__(self, message: str, delimiter: str) -> None:
        super().__init__(
            message, hint=f'set source: {{delimiter: "{_quote_delimiter(delimiter)}"}}'
        )
        self.delimiter = delimiter


def open_csv(stream: Any, name: str, source: Source) -> Frame:
    """The rows of a CSV file; only unquoted fields can be NULL.

    Raises:
        SourceError: the header is invalid; from the chunks, with the line, that a row has too few
            or too many fields, quotes are malformed, or the text is not in its encoding.
    """
    text = Utf8(stream, name, source.encoding)
    source = apply_excel_line(text, name, source)
    lines, names = read_header(text, name, source)
    return Frame(names, _read_chunks(text, _RowParser(name, source, names, lines)))


def apply_excel_line(text: Utf8, name: str, source: Source) -> Source:
    """The options with the delimiter of a line ``sep=;`` that Excel writes before the header."""
    found = _EXCEL_LINE.match(text.peek(_EXCEL_BYTES))
    if found is None:
        return source
    delimiter = found[1].decode()
    if source.delimiter not in (delimiter, Source.model_fields["delimiter"].default):
        raise SourceError(
            f"{name}:1: the line `sep={delimiter}` declares the delimiter `{delimiter}`, the spec"
            f" declares `{source.delimiter}`",
            hint=f'set source: {{delimiter: "{_quote_delimiter(delimiter)}"}}, or skip the line by'
            " skip_rows: 1 when it is wrong",
        )
    return source.model_copy(update={"delimiter": delimiter, "skip_rows": max(source.skip_rows, 1)})


def _quote_delimiter(delimiter: str) -> str:
    return "\\t" if delimiter == "\t" else delimiter


def read_header(
    text: Utf8, name: str, source: Source, size: int | None = None
) -> tuple[int, tuple[str, ...]]:
    """Read the header; returns the number of lines before the rows, and the column names.

    Args:
        text: The file, of which the lines before the rows are skipped.
        name: What the file is called in messages.
        source: How it is read.
        size: How many bytes are searched first, by default `_HEADER`.

    Raises:
        SourceError: there is no header, or it is invalid.
    """
    looks = (
        (lines, _parse_header(lines, name, source, ended=ended))
        for lines, ended in _read_heads(text, name, size or _HEADER)
    )
    lines, (before, names) = next((lines, found) for lines, found in looks if found is not None)
    text.skip(sum(map(len, lines[:before])))
    return before, names


def _read_heads(text: Utf8, name: str, size: int) -> Iterator[tuple[list[bytes], bool]]:
    """The first whole lines of a file, more of them each time, and whether those are all.

    Raises:
        SourceError: they are longer than `_MAX_HEADER`.
    """
    while True:
        head = text.peek(size)
        ended = len(head) < size
        # A carriage return at the very end may be half of a line end.
        end = len(head) - (not ended and head.endswith(b"\r"))
        whole = max(head.rfind(b"\n", 0, end), head.rfind(b"\r", 0, end)) + 1
        yield _LINE.findall(head, 0, whole), ended
        if len(head) > _MAX_HEADER:
            raise SourceError(
                f"{name}: the header, with the lines before it, is longer than the limit of"
                f" {_MAX_HEADER >> 20} MB",
                hint="check for an unclosed quote; for a file without a header, set source:"
                " {header: false, names: […]}",
            )
        size = 2 * len(head)


def _parse_header(
    lines: Sequence[bytes], name: str, source: Source, *, ended: bool
) -> tuple[int, tuple[str, ...]] | None:
    """The result of `read_header` from the first lines; None where more of them are needed.

    Raises:
        SourceError: the header is not CSV, or its names are invalid.
    """
    if len(lines) <= source.skip_rows and not ended:
        return None
    if not source.header:
        row = b"".join(lines[source.skip_rows : source.skip_rows + 1]).decode()
        if len(source.names) > 1 and source.delimiter not in row:
            _check_delimiter(row.rstrip(), "first row", name, source)
        return source.skip_rows, check_names(source.names, "source: {names: …}")
    reader = csv.reader(
        (line.decode() for line in lines[source.skip_rows :]),
        delimiter=source.delimiter,
        quotechar=source.quote,
        escapechar=source.escape,
        strict=True,
    )
    names, problem = None, ""
    try:
        names = next((row for row in reader if row), None)
    except csv.Error as error:
        problem = str(error)
    before = source.skip_rows + reader.line_num
    if names is None and before >= len(lines) and not ended:
        return None
    if "field limit" in problem:
        problem = f"a name is longer than {csv.field_size_limit():,} characters"
    if problem:
        told = f"{name}:{before}: the header is not CSV: {problem}"
        other = _QUOTED_FIELD.match(b"".join(lines[source.skip_rows : before]).decode())
        if source.quote == '"' and other is not None and other[1] != source.delimiter:
            raise DelimiterError(told, other[1])
        raise SourceError(told)
    if names is None:
        raise SourceError(
            f"{name} has no header: it is empty after {format_count(source.skip_rows, 'line')}"
        )
    if len(names) == 1:
        _check_delimiter(names[0], "header", name, source)
    try:
        return before, check_names(names, f"the header of {name}")
    except RepeatedNamesError as error:
        error.lines = before
        error.hint = (
            "give the columns other names in the file, or in source:"
            f" {{header: false, skip_rows: {before}, names: […]}}"
        )
        raise


def _check_delimiter(line: str, what: str, name: str, source: Source) -> None:
    """Refuse a line that seems to be separated by another delimiter."""
    for delimiter in _DELIMITERS:
        if delimiter in line and delimiter != source.delimiter:
            raise DelimiterError(
                f"{name} has one column with the delimiter `{source.delimiter}`, but its {what}"
                f" seems to be separated by `{_quote_delimiter(delimiter)}`: {line[:80]}",
                delimiter,
            )


def _make_options(source: Source, names: Sequence[str]) -> tuple[Any, Any]:
    """The parse and convert options of PyArrow."""
    try:
        return (
            pacsv.ParseOptions(
                delimiter=source.delimiter,
                quote_char=source.quote,
                escape_char=source.escape or False,
                newlines_in_values=True,
                # In a file of one column an empty line is a row whose field is empty.
                ignore_empty_lines=len(names) > 1,
            ),
            pacsv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=list(source.null_values),
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except (ValueError, TypeError, pa.ArrowException) as error:
        raise SourceError(
            f"CSV cannot be read with the delimiter `{source.delimiter}` and the quote"
            f" `{source.quote}`: {error}",
            hint="both must be single ASCII characters, and differ",
        ) from error


def _read_chunks(text: Utf8, rows: _RowParser) -> Iterator[Chunk]:
    with closing(text):
        batches = (batch for part in rows.parts(text) for batch in rows.parse(part))
        for chunk in number_batches(batches, rows.name):
            yield replace(chunk, text=True)


class _RowParser:
    """Parses the rows of a CSV file in the calling thread.

    PyArrow's own streams read ahead in threads that cannot be joined: one that calls into Python
    while the process ends aborts it.
    """

    def __init__(self, name: str, source: Source, columns: Sequence[str], line: int) -> None:
        """``line`` is the number of lines before the first row."""
        self.name, self._source, self._columns, self._line = name, source, columns, line
        self._options = _make_options(source, columns)

    def parts(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """The text as parts of whole rows, some megabytes each."""
        return QuoteCheck(self.name, self._source, self._line + 1).rows(blocks)

    def parse(self, part: bytes) -> Sequence[Any]:
        """Parse a part of whole rows to record batches.

        Raises:
            SourceError: a row has too few or too many fields.
        """
        # PyArrow takes one byte order mark away, also from the middle of a file.
        text = BOM_UTF8 + part if part.startswith(BOM_UTF8) else part
        # Arrow's own memory, which any thread can release without Python.
        memory = pa.allocate_buffer(len(text))
        memoryview(memory).cast("B")[:] = text
        reading = pacsv.ReadOptions(
            column_names=self._columns, block_size=len(text), use_threads=False
        )
        try:
            found = pacsv.read_csv(pa.BufferReader(memory), reading, *self._options)
        except pa.ArrowInvalid as error:
            raise self._parse_error(str(error), part) from error
        self._line += part.count(b"\n") + part.count(b"\r") - part.count(b"\r\n")
        return found.to_batches()

    def _parse_error(self, reason: str, part: bytes) -> SourceError:
        """The error for a row that PyArrow could not parse."""
        found = re.search(r"Expected (\d+) columns, got (\d+): (.*)", reason, re.DOTALL)
        if found is None:
            return SourceError(f"{self.name} is not CSV: {reason}")
        place, got = self._locate_bad_row(part) or (self.name, int(found[2]))
        text = found[3] if len(found[3]) <= 80 else f"{found[3][:79]}…"
        wanted = "the header has" if self._source.header else "source: {names: …} has"
        fields = format_count(len(self._columns), "field")
        return SourceError(f"{place}: {wanted} {fields}, this row has {got}: {text}")

    def _locate_bad_row(self, part: bytes) -> tuple[str, int] | None:
        """File and line of the first row with another number of fields, and that number."""
        rows = csv.reader(
            io.StringIO(part.decode(), newline=""),
            delimiter=self._source.delimiter,
            quotechar=self._source.quote,
            escapechar=self._source.escape,
        )
        start = 0
        with suppress(csv.Error):
            for row in rows:
                if row and len(row) != len(self._columns):
                    return f"{self.name}:{self._line + start + 1}", len(row)
                start = rows.line_num
        return None
