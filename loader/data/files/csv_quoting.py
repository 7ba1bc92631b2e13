"""Refuses quotes and escapes in CSV that parsers interpret differently.

A field is either quoted as a whole, with doubled quotes inside, or not at all: then its quotes are
plain text. A closing quote is followed by a delimiter or the end of the line.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from loader.data.files.encodings import BLOCK
from loader.errors import SourceError
from loader.spec.model import Source


class EscapeError(SourceError):
    """Quotes seem to be escaped by a character instead of being doubled."""

    def __init__(self, message: str, escape: str) -> None:
        super().__init__(
            message,
            hint=f'set source: {{escape: "{escape * 2}"}}, so that \\" is a quote inside a field',
        )
        self.escape = escape


@dataclass(frozen=True)
class _Quotes:
    """The quotes of a block, as arrays of one length."""

    at: Any
    """Their offsets."""
    opens: Any
    """Whether each is at the beginning of a field."""
    bad_open: Any
    """Whether each is neither that nor the second half of a doubled quote."""
    bad_close: Any
    """Whether each is neither at the end of a field nor the first half of a doubled quote."""

    def faults(self, first: int) -> Any:
        """A mask of misplaced quotes if every other one, from ``first`` on, opens a field."""
        found = self.bad_open.copy()
        found[1 - first % 2 :: 2] = self.bad_close[1 - first % 2 :: 2]
        return found


@dataclass(frozen=True)
class _Region:
    """A part of a block in which every other quote opens a field."""

    start: int
    """Its start, which is outside of quotes unless its first quote is a closing one."""
    first: int
    """The index of its first opening quote; -1 where that is before the block."""
    stop: int
    """The index of the first quote after it."""


class QuoteCheck:
    """Checks the rows of a CSV file block by block, all quotes of a block at once."""

    def __init__(self, name: str, source: Source, line: int) -> None:
        """``line`` is the number of the line that the first block starts with."""
        self._name, self._source, self._line = name, source, line
        self._quote = source.quote.encode()
        edges = (source.delimiter + "\r\n").encode()
        self._is_edge = np.isin(np.arange(256), list(edges))
        self._edge = re.compile(b"[" + re.escape(edges) + b"]")
        self._escape = (source.escape or "").encode()
        escapable = re.escape(edges + self._quote + self._escape)
        self._escaped = re.compile(re.escape(self._escape) + b"[" + escapable + b"]")
        self._inside = False
        self._before = b"\n"
        """The beginning of the line in which a block starts, from earlier blocks."""
        self._last = ord("\n")
        """The byte before a block, or a non-edge byte where that one is escaped."""
        self._opened = ""
        """The place of the last quoted field that continues in the next block."""
        self._row_end = 0
        """The length of the whole rows in the last block."""

    def rows(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """The same bytes, as whole rows that are well-formed.

        Raises:
            SourceError: text follows a closing quote, an escape is invalid, a quote is never
                closed, or a row is too long; file and line are named.
        """
        begun = b""
        """The beginning of a row that has not ended."""
        for block in self._check_blocks(blocks):
            if self._row_end:
                yield begun + block[: self._row_end]
                begun = block[self._row_end :]
            else:
                begun += block
            if len(begun) > BLOCK:
                place = self._opened or f"{self._name}:{self._line}"
                raise SourceError(
                    f"{place}: a row is longer than {BLOCK >> 20} MB",
                    hint=f"check for an unclosed quote `{self._source.quote}`",
                )
        if begun:
            yield begun

    def _check_blocks(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        held = b""
        for more in blocks:
            block = held + more
            # The meaning of a quote or escape at the end depends on the next byte; the last byte
            # of a file is a line end.
            known = len(block.rstrip(self._quote + self._escape))
            block, held = block[:known], block[known:]
            if len(held) > BLOCK:
                raise SourceError(f"{self._name}:{self._line}: a row consists only of quotes")
            if block:
                self._check(block)
                yield block
        if self._inside:
            raise SourceError(
                f"{self._opened}: a quote `{self._source.quote}` is opened and never closed",
                hint="close it, or double it in a quoted field if it belongs to the value",
            )

    def _check(self, block: bytes) -> None:
        plain = block
        if self._escape and self._escape in block:
            plain = self._escaped.sub(b"\x80\x80", block)
            if (at := plain.find(self._escape)) >= 0:
                raise self._escape_error(block, at)
        if self._quote in plain:
            self._row_end = self._check_quotes(block, plain)
        else:
            self._row_end = 0 if self._inside else _last_line_end(plain, 0, _safe_end(plain))
        self._line += self._count_line_ends(block, len(block))
        start = max(block.rfind(b"\n"), block.rfind(b"\r"))
        self._before = self._before + block if start < 0 else block[start:]
        self._last = plain[-1]

    def _count_line_ends(self, block: bytes, stop: int) -> int:
        joined = stop > 0 and self._before.endswith(b"\r") and block.startswith(b"\n")
        found = block.count(b"\n", 0, stop) - joined
        if b"\r" in block:
            found += block.count(b"\r", 0, stop) - block.count(b"\r\n", 0, stop)
        return found

    def _check_quotes(self, block: bytes, plain: bytes) -> int:
        """The end of the last whole row in the block; 0 where there is none."""
        quotes = self._find_quotes(plain)
        first = -1 if self._inside else 0
        if not self._inside and not self._is_edge[self._last]:
            first = self._skip_field(plain, quotes.at.tolist(), 0)
        regions = self._divide(block, plain, quotes, first)
        first = regions[-1].first
        self._inside = (len(quotes.at) - first) % 2 == 1
        if self._inside:
            self._store_opened(block, quotes, first, len(quotes.at))
        return _last_row_end(plain, quotes.at, regions)

    def _find_quotes(self, plain: bytes) -> _Quotes:
        data = np.frombuffer(plain, np.uint8)
        quote = self._quote[0]
        at = np.flatnonzero(data == quote)
        before, after = data[at - 1], data[np.minimum(at + 1, len(data) - 1)]
        if at[0] == 0:
            before[0] = self._last
        opens, closes = self._is_edge[before], self._is_edge[after]
        return _Quotes(at, opens, ~(opens | (before == quote)), ~(closes | (after == quote)))

    def _divide(self, block: bytes, plain: bytes, quotes: _Quotes, first: int) -> list[_Region]:
        """Divide a block at unquoted fields that contain quotes."""
        start, regions = 0, []
        if not quotes.faults(first).any():
            return [_Region(start, first, len(quotes.at))]
        places = quotes.at.tolist()
        faults = [np.flatnonzero(quotes.faults(phase)).tolist() for phase in (0, 1)]
        while True:
            bad = faults[first % 2]
            found = bisect_left(bad, first)
            fault = bad[found] if found < len(bad) else len(places)
            regions.append(_Region(start, first, fault))
            if fault == len(places):
                return regions
            if (fault - first) % 2:
                self._store_opened(block, quotes, first, fault)
                raise self._close_error(block, places[fault])
            start = places[fault]
            first = self._skip_field(plain, places, start)

    def _skip_field(self, plain: bytes, places: Sequence[int], start: int) -> int:
        """The index of the first quote after the unquoted field at a position."""
        end = self._edge.search(plain, start)
        return bisect_left(places, end.start()) if end else len(places)

    def _store_opened(self, block: bytes, quotes: _Quotes, first: int, stop: int) -> None:
        """Store the place of the quoted field that is open before a quote."""
        openers = np.flatnonzero(quotes.opens[:stop] & (np.arange(stop) % 2 == first % 2))
        openers = openers[openers >= first]
        if len(openers):
            self._opened = self._locate(block, int(quotes.at[openers[-1]]))

    # Errors

    def _close_error(self, block: bytes, at: int) -> SourceError:
        quote = self._source.quote
        whole = self._before + block
        at += len(self._before)
        start = max(whole.rfind(mark, 0, at) for mark in (b"\n", b"\r")) + 1
        shown = _show_line(whole[max(start, at - 40) : at + 40])
        message = (
            f"{self._locate(block, at - len(self._before))}: text follows the quote `{quote}` that"
            f" closes the field opened at {self._opened.removeprefix(f'{self._name}:')}: {shown}"
        )
        if not self._escape and whole[at - 1 : at] == b"\\":
            return EscapeError(message, "\\")
        return SourceError(
            message,
            hint=f"double a quote that belongs to the value, as in {quote}say {quote * 2}hi"
            f"{quote * 2}{quote}; for other quotes or escapes, set source:"
            " {quote: …} or {escape: …}",
        )

    def _escape_error(self, block: bytes, at: int) -> SourceError:
        escape, quote = self._source.escape or "", self._source.quote
        shown = _show_line(block[at : at + 5])[:2]
        return SourceError(
            f"{self._locate(block, at)}: `{shown}` is not an escape: `{escape}`"
            f" may only precede `{quote}`, `{escape}`, the delimiter and line ends",
            hint=f"double an escape character that belongs to the value: `{escape * 2}`",
        )

    def _locate(self, block: bytes, at: int) -> str:
        """File, line and column of a byte of a block; columns count characters."""
        start = max(block.rfind(b"\n", 0, at), block.rfind(b"\r", 0, at)) + 1
        text = block[start:at] if start else self._before.lstrip(b"\r\n") + block[:at]
        line = self._line + self._count_line_ends(block, at)
        return f"{self._name}:{line}:{len(text.decode(errors='replace')) + 1}"


def _last_row_end(plain: bytes, at: Any, regions: Sequence[_Region]) -> int:
    """The position after the last line end outside of quotes; 0 where there is none."""
    stop = _safe_end(plain)
    for region in reversed(regions):
        for index in range(region.stop, max(region.first, 0) - 1, -1):
            start = int(at[index - 1]) + 1 if index > max(region.first, 0) else region.start
            if (index - region.first) % 2 == 0 and (end := _last_line_end(plain, start, stop)):
                return end
            stop = start - 1
        stop = region.start
    return 0


def _safe_end(plain: bytes) -> int:
    """The end of a block, without a carriage return that may be half of a line end."""
    return len(plain) - plain.endswith(b"\r")


def _last_line_end(text: bytes, start: int, stop: int) -> int:
    return max(text.rfind(b"\n", start, stop), text.rfind(b"\r", start, stop)) + 1


def _show_line(text: bytes) -> str:
    """The first line of some bytes, which may start or end inside a character."""
    return text.strip(b"\r\n").decode(errors="ignore").splitlines()[0]
