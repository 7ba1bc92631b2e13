"""CSV as a stream of chunks whose columns are all text; types are the spec's business."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv

from loader.errors import SourceError
from loader.frames import Chunk, Frame, check_names, number_batches
from loader.sources.encodings import BLOCK, Utf8, codec_of
from loader.sources.quoting import QuoteCheck
from loader.spec import Source

_HEADER = 1 << 20
_DELIMITERS = (",", ";", "\t", "|", ":")
_LINE = re.compile(rb"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")
_EXCEL_LINE = re.compile(rb'"?sep=([^\r\n\x80-\xff])"?(?:\r\n|\r|\n)', re.IGNORECASE)


class DelimiterError(SourceError):
    """The header looks separated by another character."""

    def __init__(self, message: str, delimiter: str) -> None:
        super().__init__(message, hint=f'set source: {{delimiter: "{_written(delimiter)}"}}')
        self.delimiter = delimiter


def open_csv(
    stream: Any, name: str, source: Source, again: Callable[[], Any] | None = None
) -> Frame:
    """The rows of a CSV file; only unquoted null words are NULL.

    ``again`` opens the file once more, to find the line of a row that is wrong.

    Raises:
        SourceError: the header is unusable; from the chunks, with the line, that a row has too few
            or too many fields, quotes are not well-formed, or the text is not in its encoding.
    """
    text = Utf8(stream, name, source.encoding)
    source = _with_excel_line(text, name, source)
    lines, names = _header(text, name, source)
    check = QuoteCheck(name, source, lines + 1)
    wrong = _Wrong(name, source, len(names), again, check)
    return Frame(names, _chunks(text, check.check(text), wrong, _options(source, names)))


class _Blocks(io.RawIOBase):
    """Blocks of bytes as a file that pyarrow reads."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks, self._ahead = blocks, b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """So many bytes, fewer only at the end: pyarrow takes no row longer than what it gets."""
        parts, found = [self._ahead], len(self._ahead)
        while found < size and (block := next(self._blocks, b"")):
            parts.append(block)
            found += len(block)
        whole = b"".join(parts) if len(parts) > 1 else parts[0]
        self._ahead = whole[size:]
        return whole[:size]


def _with_excel_line(text: Utf8, name: str, source: Source) -> Source:
    """The source with the delimiter of the line ``sep=;`` that Excel writes before the header."""
    found = _EXCEL_LINE.match(text.peek(_HEADER))
    if found is None:
        return source
    delimiter = found[1].decode()
    if source.delimiter not in (delimiter, Source.model_fields["delimiter"].default):
        raise SourceError(
            f"{name}:1: the line `sep={delimiter}` says that `{delimiter}` is the delimiter, the"
            f" spec says `{source.delimiter}`",
            hint=f'set source: {{delimiter: "{_written(delimiter)}"}}, or skip the line by'
            " skip_rows: 1 when it is wrong",
        )
    return source.model_copy(update={"delimiter": delimiter, "skip_rows": max(source.skip_rows, 1)})


def _written(delimiter: str) -> str:
    return "\\t" if delimiter == "\t" else delimiter


def _header(text: Utf8, name: str, source: Source) -> tuple[int, tuple[str, ...]]:
    """How many lines there are before the rows, which are dropped, and the names of the columns."""
    head = text.peek(_HEADER)
    end = max(head.rfind(b"\n"), head.rfind(b"\r")) + 1
    complete = head[:end] if len(head) > _HEADER else head
    lines = _LINE.findall(complete)
    if not source.header:
        row = b"".join(lines[source.skip_rows : source.skip_rows + 1]).decode()
        if len(source.names) > 1 and source.delimiter not in row:
            _check_delimiter(row.rstrip(), "first row", name, source)
        text.skip(sum(map(len, lines[: source.skip_rows])))
        return source.skip_rows, check_names(source.names, "source: {names: …}")
    reader = csv.reader(
        (line.decode() for line in lines[source.skip_rows :]),
        delimiter=source.delimiter,
        quotechar=source.quote,
        escapechar=source.escape,
        strict=True,
    )
    try:
        names = next((row for row in reader if row), None)
    except csv.Error as error:
        line = source.skip_rows + reader.line_num
        raise SourceError(f"{name}:{line}: the header is not CSV: {error}") from error
    if names is None:
        raise SourceError(f"{name} has no header: nothing is in it after {source.skip_rows} lines")
    if len(names) == 1:
        _check_delimiter(names[0], "header", name, source)
    before = source.skip_rows + reader.line_num
    text.skip(sum(map(len, lines[:before])))
    return before, check_names(names, f"the header of {name}")


def _check_delimiter(line: str, what: str, name: str, source: Source) -> None:
    """Refuse a line that seems to be separated by another character."""
    for delimiter in _DELIMITERS:
        if delimiter in line and delimiter != source.delimiter:
            raise DelimiterError(
                f"{name} has one column by the delimiter `{source.delimiter}`,"
                f" but its {what} looks separated by `{_written(delimiter)}`: {line[:80]}",
                delimiter,
            )


def _options(source: Source, names: Sequence[str]) -> dict[str, Any]:
    try:
        return {
            "read_options": pacsv.ReadOptions(column_names=names, block_size=BLOCK),
            "parse_options": pacsv.ParseOptions(
                delimiter=source.delimiter,
                quote_char=source.quote,
                escape_char=source.escape or False,
                newlines_in_values=True,
                # In a file of one column an empty line is a row whose field is empty.
                ignore_empty_lines=len(names) > 1,
            ),
            "convert_options": pacsv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=list(source.null_values),
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        }
    except (ValueError, TypeError, pa.ArrowException) as error:
        raise SourceError(
            f"CSV cannot be read with the delimiter `{source.delimiter}` and the quote"
            f" `{source.quote}`: {error}",
            hint="both are one ASCII character, and not the same one",
        ) from error


def _chunks(
    text: Utf8, blocks: Iterator[bytes], wrong: _Wrong, options: dict[str, Any]
) -> Iterator[Chunk]:
    with closing(text):
        for chunk in number_batches(_batches(blocks, wrong, options), wrong.name):
            yield Chunk(chunk.columns, chunk.rows, chunk.origin, chunk.first_row, text=True)


def _batches(blocks: Iterator[bytes], wrong: _Wrong, options: dict[str, Any]) -> Iterator[Any]:
    first = next(blocks, None)
    if first is None:  # pyarrow does not read an empty file
        return
    rows = pa.PythonFile(_Blocks(chain([first], blocks)), mode="r")
    try:
        with pacsv.open_csv(rows, **options) as reader:
            yield from reader
    except pa.ArrowInvalid as error:
        raise wrong.row(str(error)) from error


class _Wrong:
    """Tells which row of a CSV file is wrong, by reading the file again."""

    def __init__(
        self,
        name: str,
        source: Source,
        fields: int,
        again: Callable[[], Any] | None,
        quotes: QuoteCheck,
    ) -> None:
        self.name, self.source, self._quotes = name, source, quotes
        self._fields, self._again = fields, again

    def row(self, reason: str) -> SourceError:
        """The error for a row that pyarrow stumbled on."""
        if "straddling" in reason:
            return SourceError(
                f"{self._quotes.opened or self.name}: a row is longer than {BLOCK >> 20} MB",
                hint=f"is a quote `{self.source.quote}` not closed?",
            )
        found = re.search(r"Expected (\d+) columns, got (\d+): (.*)", reason, re.DOTALL)
        if found is None:
            return SourceError(f"{self.name} is not CSV: {reason}")
        place, got = self._place() or (self.name, int(found[2]))
        text = found[3] if len(found[3]) <= 80 else f"{found[3][:79]}…"
        wanted = "the header has" if self.source.header else "source: {names: …} has"
        return SourceError(f"{place}: {wanted} {self._fields} fields, this row has {got}: {text}")

    def _place(self) -> tuple[str, int] | None:
        if self._again is None:
            return None
        file = io.BufferedReader(self._again())
        codec = codec_of(file.peek(4), self.source.encoding)
        lines = io.TextIOWrapper(file, codec, newline="", errors="replace")
        with lines:
            for _ in range(self.source.skip_rows):
                lines.readline()
            rows = csv.reader(
                lines,
                delimiter=self.source.delimiter,
                quotechar=self.source.quote,
                escapechar=self.source.escape,
            )
            start = 0
            try:
                for row in rows:
                    if row and len(row) != self._fields:
                        line = self.source.skip_rows + start + 1
                        return f"{self.name}:{line}", len(row)
                    start = rows.line_num
            except csv.Error:
                pass
        return None
