"""Reads JSON as chunks of Python objects; numbers are exact.

A file has objects one after the other (JSON lines, or pretty-printed), or one array of objects. The
columns are the keys of the first chunk (`CHUNK_BYTES` of text or `CHUNK_ROWS` rows, whichever comes
first). A key that an object lacks is NULL there; one that first occurs later is an error, since
the rows before it may be staged already.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from typing import Any

from loader.data.chunk import Chunk, Frame
from loader.data.column_names import check_names
from loader.data.files.encodings import Utf8
from loader.data.json_parsing import object_without_repeats, refuse_constant
from loader.data.row_columns import CHUNK_ROWS, to_columns
from loader.errors import SourceError
from loader.spec.model import Source

CHUNK_BYTES = 8 << 20
MAX_OBJECT = 64 << 20
"""The most characters of one object."""

_BLANK = re.compile(r"[ \t\r\n]*")
_CUT = 16
"""Where text ends in the middle of an object, parsers complain at most so far before its end."""


def open_json(stream: Any, name: str, source: Source) -> Frame:
    """The rows of a file with one object for each row.

    Raises:
        SourceError: a value is not a JSON object, repeats a key, adds one too late, or contains
            NaN or Infinity, or the array is not closed; file and line are named.
    """
    groups = _group_objects(_Parser(Utf8(stream, name, source.encoding), name))
    first = next(groups, None)
    if first is None:
        raise SourceError(f"{name} is empty: it has no JSON objects")
    keys = dict.fromkeys(key for _, row in first for key in row)
    columns = check_names(list(keys), name)
    return Frame(columns, _to_chunks(first, groups, name, columns))


_Group = list[tuple[int, dict[str, object]]]
"""Objects with the numbers of the lines they start in."""


def _to_chunks(
    first: _Group, groups: Iterator[_Group], name: str, columns: tuple[str, ...]
) -> Iterator[Chunk]:
    known, remedy = frozenset(columns), "add it to the first objects, with null if necessary"
    start, group = 1, first
    while group:
        lines, rows = zip(*group, strict=True)
        values = to_columns(rows, columns, known, lambda at: f"{name}:{lines[at]}", remedy)  # noqa: B023  # called at once
        yield Chunk(values, len(group), name, start, text=True)
        start += len(group)
        group = next(groups, [])


def _group_objects(parser: _Parser) -> Iterator[_Group]:
    group: _Group = []
    size = 0
    with closing(parser.text):
        for line, row, length in parser.objects():
            group.append((line, row))
            size += length
            if len(group) >= CHUNK_ROWS or size >= CHUNK_BYTES:
                yield group
                group, size = [], 0
    if group:
        yield group


class _Parser:
    """Parses one object of a text after the other, and holds little more than one of them."""

    def __init__(self, text: Utf8, name: str) -> None:
        self.text, self._name = text, name
        self._blocks = iter(text)
        self._held, self._at = "", 0
        self._line, self._column = 1, 0
        """The line of the position, and the characters of its line before the held text."""
        self._decode = json.JSONDecoder(
            object_pairs_hook=object_without_repeats,
            parse_float=Decimal,
            parse_constant=refuse_constant,
        ).raw_decode

    def objects(self) -> Iterator[tuple[int, dict[str, object], int]]:
        """All objects, each with the line it starts in and its length in characters."""
        if self._skip_blanks() == "[":
            yield from self._elements()
            if self._skip_blanks():
                raise self._error("there is text after the end of the array", _ONE)
            return
        while self._skip_blanks():
            yield self._object()

    def _elements(self) -> Iterator[tuple[int, dict[str, object], int]]:
        opened = self._line
        self._at += 1
        mark = self._skip_blanks()
        while mark != "]":
            if mark:
                yield self._object()
                mark = self._skip_blanks()
            if not mark:
                raise SourceError(
                    f"{self._name}:{opened}: the array that starts here never closes",
                    hint="the file is damaged or truncated; download or export it again",
                )
            if mark not in ",]":
                raise self._error("a `,` or `]` is missing after an object")
            if mark == ",":
                self._at += 1
                mark = self._skip_blanks()
                if mark == "]":
                    raise self._error("an object is missing after a `,`")
        self._at += 1

    def _object(self) -> tuple[int, dict[str, object], int]:
        """The object at the position, which moves behind it."""
        while True:
            try:
                row, end = self._decode(self._held, self._at)
                break
            except (ValueError, RecursionError) as error:
                if not (self._is_cut(error) and self._read_more()):
                    raise self._parse_error(error) from error
        if not isinstance(row, dict):
            raise self._error(f"not a JSON object: {self._excerpt(self._at)}", _ONE)
        line, length = self._line, end - self._at
        self._line += self._held.count("\n", self._at, end)
        self._at = end
        return line, row, length

    def _is_cut(self, error: Exception) -> bool:
        """Whether an error may come from the end of the text that is held."""
        if not isinstance(error, json.JSONDecodeError):
            return False
        return error.pos >= len(self._held) - _CUT or error.msg.startswith("Unterminated")

    def _read_more(self) -> bool:
        """Read about as much as is held from the position on; whether there was anything.

        Raises:
            SourceError: what is held exceeds `MAX_OBJECT`.
        """
        wanted = len(self._held) - self._at
        if wanted > MAX_OBJECT:
            raise self._error(f"an object is longer than {MAX_OBJECT >> 20} MB")
        block = next(self._blocks, b"")
        if not block:
            return False
        start = self._held.rfind("\n", 0, self._at)
        self._column = self._at - start - 1 + (self._column if start < 0 else 0)
        parts, size = [self._held[self._at :]], wanted
        while block:
            parts.append(block.decode())
            size += len(parts[-1])
            block = next(self._blocks, b"") if size <= 2 * wanted else b""
        self._held, self._at = "".join(parts), 0
        return True

    def _skip_blanks(self) -> str:
        """Move to the next character that is not blank, and return it; empty at the end."""
        while True:
            found = _BLANK.match(self._held, self._at)
            assert found is not None, "no blanks are a match too"
            self._line += self._held.count("\n", self._at, found.end())
            self._at = found.end()
            if self._at < len(self._held):
                return self._held[self._at]
            if not self._read_more():
                return ""

    # Errors

    def _error(self, problem: str, hint: str | None = None) -> SourceError:
        return SourceError(f"{self._name}:{self._line}: {problem}", hint=hint)

    def _parse_error(self, error: Exception) -> SourceError:
        if not isinstance(error, json.JSONDecodeError):
            return self._error(f"not a JSON object: {error}: {self._excerpt(self._at)}")
        start = self._held.rfind("\n", 0, error.pos) + 1
        line = self._line + self._held.count("\n", self._at, error.pos)
        column = error.pos - start + 1 + (0 if start else self._column)
        reason = error.msg.removesuffix(" at")
        began = f"; the object starts at line {self._line}" if line > self._line else ""
        return SourceError(
            f"{self._name}:{line}: not a JSON object: {reason} at column {column}:"
            f" {self._excerpt(max(start, self._at))}{began}",
            hint=None if self._held[self._at] == "{" else _ONE,
        )

    def _excerpt(self, at: int) -> str:
        return self._held[at : at + 80].strip().partition("\n")[0]


_ONE = "a file of JSON has one object on each line, or one array of objects"
