"""CSV as a stream of chunks whose columns are all text; types are the spec's business."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.csv as pacsv

from loader.errors import SourceError
from loader.frames import Chunk, Frame, check_names, number_batches
from loader.spec import Source

BLOCK = 4 << 20
"""Bytes that are parsed together, which is also the most a row may have."""

_HEADER = 1 << 20
_DELIMITERS = {",": ",", ";": ";", "\t": "\\t", "|": "|", ":": ":"}


class EncodingError(SourceError):
    """The text is in another encoding than was said."""

    def __init__(self, message: str) -> None:
        super().__init__(message, hint="say what it is: source: {encoding: latin-1}")


class DelimiterError(SourceError):
    """The header looks separated by another character."""

    def __init__(self, message: str, delimiter: str) -> None:
        written = _DELIMITERS[delimiter]
        super().__init__(message, hint=f'set source: {{delimiter: "{written}"}}')
        self.delimiter = delimiter


def open_csv(
    stream: Any, name: str, source: Source, again: Callable[[], Any] | None = None
) -> Frame:
    """The rows of a CSV file with a header; only unquoted null words are NULL.

    ``again`` opens the file once more, to find the line of a row that is wrong.

    Raises:
        SourceError: the header is unusable; from the chunks, with the line, that a row has too few
            or too many fields, a quote never closes, or the text is not in its encoding.
    """
    text = _Utf8(stream, name, source)
    lines, header = _header(text, name, source)
    _check_delimiter(header, name, source)
    names = check_names(header, f"the header of {name}")
    wrong = _Wrong(name, source, len(names), again)
    return Frame(names, _chunks(text, wrong, names, _options(source, names, lines)))


class _Utf8(io.RawIOBase):
    """The file in UTF-8 without a byte order mark and with a last line end; counts its quotes."""

    def __init__(self, stream: BinaryIO, name: str, source: Source) -> None:
        self._stream, self._name, self._encoding = stream, name, source.encoding
        utf8 = codecs.lookup(source.encoding).name == "utf-8"
        self._decoder = codecs.getincrementaldecoder("utf-8-sig" if utf8 else source.encoding)()
        self._quote = source.quote.encode()
        self._ahead = b""
        self._ended = False
        self._line_ended = True
        self._lines = 0
        self.quotes = 0

    def readable(self) -> bool:
        return True

    def peek(self, size: int) -> bytes:
        while len(self._ahead) < size and self._more():
            pass
        return self._ahead

    def has_rows(self, lines: int) -> bool:
        """Whether anything follows so many lines, which pyarrow asks before it reads."""
        return self._more() or len(re.findall(rb"\r\n|\r|\n", self.peek(1))) > lines

    def readinto(self, buffer: Any) -> int:
        if not self._ahead:
            self._more()
        part, self._ahead = self._ahead[: len(buffer)], self._ahead[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()

    def _more(self) -> bool:
        if self._ended:
            return False
        block = self._stream.read(BLOCK) or b""
        try:
            part = self._decoder.decode(block, final=not block).encode()
        except UnicodeError as error:
            raise _bad_encoding(self._name, self._encoding, self._lines + 1, error) from error
        if not block:
            self._ended = True
            if not (part or b"\n" * self._line_ended).endswith((b"\n", b"\r")):
                part += b"\n"
        elif part:
            self._line_ended = part.endswith((b"\n", b"\r"))
        self._lines += part.count(b"\n")
        self.quotes += part.count(self._quote)
        self._ahead += part
        return True


def _bad_encoding(name: str, encoding: str, line: int, error: UnicodeError) -> EncodingError:
    if isinstance(error, UnicodeDecodeError):
        line += error.object[: error.start].count(b"\n")
    reason = getattr(error, "reason", str(error))
    return EncodingError(f"{name}:{line}: the text is not {encoding}: {reason}")


def _header(text: _Utf8, name: str, source: Source) -> tuple[int, list[str]]:
    """How many lines the header takes with all before it, and its names."""
    head = text.peek(_HEADER)
    complete = head[: head.rfind(b"\n") + 1] if len(head) > _HEADER else head
    lines = re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+$", complete.decode())
    reader = csv.reader(
        lines[source.skip_rows :], delimiter=source.delimiter, quotechar=source.quote, strict=True
    )
    try:
        for row in reader:
            if row:
                return source.skip_rows + reader.line_num, row
    except csv.Error as error:
        line = source.skip_rows + reader.line_num
        raise SourceError(f"{name}:{line}: the header is not CSV: {error}") from error
    raise SourceError(f"{name} has no header: nothing is in it after {source.skip_rows} lines")


def _check_delimiter(header: Sequence[str], name: str, source: Source) -> None:
    if len(header) > 1:
        return
    for delimiter, written in _DELIMITERS.items():
        if delimiter in header[0] and delimiter != source.delimiter:
            raise DelimiterError(
                f"{name} has one column by the delimiter `{source.delimiter}`,"
                f" but its header looks separated by `{written}`: {header[0][:80]}",
                delimiter,
            )


def _options(source: Source, names: Sequence[str], lines: int) -> dict[str, Any]:
    try:
        return {
            "read_options": pacsv.ReadOptions(
                column_names=names, skip_rows=lines, block_size=BLOCK
            ),
            "parse_options": pacsv.ParseOptions(
                delimiter=source.delimiter,
                quote_char=source.quote,
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
    text: _Utf8, wrong: _Wrong, names: Sequence[str], options: dict[str, Any]
) -> Iterator[Chunk]:
    last = None
    with text:
        for chunk in number_batches(_batches(text, wrong, options), wrong.name):
            last = chunk
            yield Chunk(chunk.columns, chunk.rows, chunk.origin, chunk.first_row, text=True)
    # pyarrow takes a quote that is open at the end of the file for closed.
    if last and text.quotes % 2 and _runs_to_the_end(last.columns[names[-1]]):
        quote = wrong.source.quote
        raise SourceError(
            f"{wrong.name}: a quote `{quote}` opens and never closes; the last value runs to the"
            " end of the file"
        )


def _runs_to_the_end(values: Any) -> bool:
    return str(values[-1].as_py()).endswith(("\n", "\r"))


def _batches(text: _Utf8, wrong: _Wrong, options: dict[str, Any]) -> Iterator[Any]:
    if not text.has_rows(options["read_options"].skip_rows):
        return
    try:
        yield from pacsv.open_csv(pa.PythonFile(text, mode="r"), **options)
    except pa.ArrowInvalid as error:
        raise wrong.row(str(error)) from error


class _Wrong:
    """Tells which row of a CSV file is wrong, by reading the file again."""

    def __init__(
        self, name: str, source: Source, fields: int, again: Callable[[], Any] | None
    ) -> None:
        self.name, self.source = name, source
        self._fields, self._again = fields, again

    def row(self, reason: str) -> SourceError:
        """The error for a row that pyarrow stumbled on."""
        if "straddling" in reason:
            return SourceError(
                f"{self.name}: a row is longer than {BLOCK >> 20} MB",
                hint=f"is a quote `{self.source.quote}` not closed?",
            )
        found = re.search(r"Expected (\d+) columns, got (\d+): (.*)", reason, re.DOTALL)
        if found is None:
            return SourceError(f"{self.name} is not CSV: {reason}")
        place, got = self._place() or (self.name, int(found[2]))
        text = found[3] if len(found[3]) <= 80 else f"{found[3][:79]}…"
        return SourceError(
            f"{place}: the header has {self._fields} fields, this row has {got}: {text}"
        )

    def _place(self) -> tuple[str, int] | None:
        if self._again is None:
            return None
        lines = io.TextIOWrapper(
            io.BufferedReader(self._again()), self.source.encoding, newline="", errors="replace"
        )
        with lines:
            for _ in range(self.source.skip_rows):
                lines.readline()
            rows = csv.reader(lines, delimiter=self.source.delimiter, quotechar=self.source.quote)
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
