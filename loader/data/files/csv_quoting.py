"""Refuses quotes and escapes in CSV that readers take for different values.

A field is quoted as a whole, with the quotes inside it doubled, or not at all: then its quotes are
text like the rest. What follows a closing quote is a delimiter or the end of the line.
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
    """Quotes look escaped by a character, not doubled."""

    def __init__(self, message: str, escape: str) -> None:
        super().__init__(
            message,
            hint=f'set source: {{escape: "{escape * 2}"}}, which reads \\" as a quote in a field',
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
        """Which are out of place when every other one opens a field, from the given one on."""
        found = self.bad_open.copy()
        found[1 - first % 2 :: 2] = self.bad_close[1 - first % 2 :: 2]
        return found


@dataclass(frozen=True)
class _Region:
    """A part of a block in which every other quote opens a field."""

    start: int
    """Where it starts, outside of quotes unless its first quote is a closing one."""
    first: int
    """The index of its first opening quote; -1 when the quote before the block is that."""
    stop: int
    """The index of the first quote behind it."""


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
        """The line that a block begins in, as far as it came before, behind its line end."""
        self._last = ord("\n")
        """The byte before a block, or another than an edge when that one is escaped."""
        self._opened = ""
        """Where the last quoted field begins that goes on in another block."""
        self._row_end = 0
        """How much of the last block is whole rows."""

    def rows(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """The same bytes as whole rows, once they are known to be well-formed.

        Raises:
            SourceError: text follows a closing quote, an escape is none, a quote never closes, or
                a row is too long; file and line are named.
        """
        begun = b""
        """A row that has not ended."""
        for block in self._checked(blocks):
            if self._row_end:
                yield begun + block[: self._row_end]
                begun = block[self._row_end :]
            else:
                begun += block
            if len(begun) > BLOCK:
                place = self._opened or f"{self._name}:{self._line}"
                raise SourceError(
                    f"{place}: a row is longer than {BLOCK >> 20} MB",
                    hint=f"is a quote `{self._source.quote}` not closed?",
                )
        if begun:
            yield begun

    def _checked(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        held = b""
        for more in blocks:
            block = held + more
            # What a quote or an escape at the very end means, the next byte says; the last byte
            # of a file is a line end.
            known = len(block.rstrip(self._quote + self._escape))
            block, held = block[:known], block[known:]
            if len(held) > BLOCK:
                raise SourceError(f"{self._name}:{self._line}: a row is nothing but quotes")
            if block:
                self._check(block)
                yield block
        if self._inside:
            raise SourceError(
                f"{self._opened}: a quote `{self._source.quote}` opens and never closes",
                hint="close it, or double it inside of a quoted field when it belongs to the value",
            )

    def _check(self, block: bytes) -> None:
        plain = block
        if self._escape and self._escape in block:
            plain = self._escaped.sub(b"\x80\x80", block)
            if (at := plain.find(self._escape)) >= 0:
                raise self._bad_escape(block, at)
        if self._quote in plain:
            self._row_end = self._check_quotes(block, plain)
        else:
            self._row_end = 0 if self._inside else _last_line_end(plain, 0, _end(plain))
        self._line += self._line_ends(block, len(block))
        start = max(block.rfind(b"\n"), block.rfind(b"\r"))
        self._before = self._before + block if start < 0 else block[start:]
        self._last = plain[-1]

    def _line_ends(self, block: bytes, stop: int) -> int:
        joined = stop > 0 and self._before.endswith(b"\r") and block.startswith(b"\n")
        found = block.count(b"\n", 0, stop) - joined
        if b"\r" in block:
            found += block.count(b"\r", 0, stop) - block.count(b"\r\n", 0, stop)
        return found

    def _check_quotes(self, block: bytes, plain: bytes) -> int:
        """Where the last row ends that ends in the block; 0 when none does."""
        quotes = self._find_quotes(plain)
        first = -1 if self._inside else 0
        if not self._inside and not self._is_edge[self._last]:
            first = self._after_field(plain, quotes.at.tolist(), 0)
        regions = self._walk(block, plain, quotes, first)
        first = regions[-1].first
        self._inside = (len(quotes.at) - first) % 2 == 1
        if self._inside:
            self._keep_opened(block, quotes, first, len(quotes.at))
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

    def _walk(self, block: bytes, plain: bytes, quotes: _Quotes, first: int) -> list[_Region]:
        """The parts of a block that unquoted fields with quotes divide it into."""
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
                self._keep_opened(block, quotes, first, fault)
                raise self._bad_close(block, places[fault])
            start = places[fault]
            first = self._after_field(plain, places, start)

    def _after_field(self, plain: bytes, places: Sequence[int], start: int) -> int:
        """The index of the first quote behind the unquoted field that spans a position."""
        end = self._edge.search(plain, start)
        return bisect_left(places, end.start()) if end else len(places)

    def _keep_opened(self, block: bytes, quotes: _Quotes, first: int, stop: int) -> None:
        """Remember where the quoted field begins that is open before a quote."""
        openers = np.flatnonzero(quotes.opens[:stop] & (np.arange(stop) % 2 == first % 2))
        openers = openers[openers >= first]
        if len(openers):
            self._opened = self._place(block, int(quotes.at[openers[-1]]))

    # Errors

    def _bad_close(self, block: bytes, at: int) -> SourceError:
        quote = self._source.quote
        whole = self._before + block
        at += len(self._before)
        start = max(whole.rfind(mark, 0, at) for mark in (b"\n", b"\r")) + 1
        shown = _shown(whole[max(start, at - 40) : at + 40])
        message = (
            f"{self._place(block, at - len(self._before))}: text follows the quote `{quote}` that"
            f" closes the field opened at {self._opened.removeprefix(f'{self._name}:')}: {shown}"
        )
        if not self._escape and whole[at - 1 : at] == b"\\":
            return EscapeError(message, "\\")
        return SourceError(
            message,
            hint=f"double a quote that belongs to the value, as in {quote}say {quote * 2}hi"
            f"{quote * 2}{quote}; when the file quotes or escapes in another way, set source:"
            " {quote: …} or {escape: …}",
        )

    def _bad_escape(self, block: bytes, at: int) -> SourceError:
        escape, quote = self._source.escape or "", self._source.quote
        shown = _shown(block[at : at + 5])[:2]
        return SourceError(
            f"{self._place(block, at)}: `{shown}` is not an escape: `{escape}`"
            f" may stand before `{quote}`, `{escape}`, the delimiter and line ends",
            hint=f"double an escape character that belongs to the value: `{escape * 2}`",
        )

    def _place(self, block: bytes, at: int) -> str:
        """File, line and column of a byte of a block; columns are counted in characters."""
        start = max(block.rfind(b"\n", 0, at), block.rfind(b"\r", 0, at)) + 1
        text = block[start:at] if start else self._before.lstrip(b"\r\n") + block[:at]
        line = self._line + self._line_ends(block, at)
        return f"{self._name}:{line}:{len(text.decode(errors='replace')) + 1}"


def _last_row_end(plain: bytes, at: Any, regions: Sequence[_Region]) -> int:
    """Behind the last line end of a block that is outside of quotes; 0 when there is none."""
    stop = _end(plain)
    for region in reversed(regions):
        for index in range(region.stop, max(region.first, 0) - 1, -1):
            start = int(at[index - 1]) + 1 if index > max(region.first, 0) else region.start
            if (index - region.first) % 2 == 0 and (end := _last_line_end(plain, start, stop)):
                return end
            stop = start - 1
        stop = region.start
    return 0


def _end(plain: bytes) -> int:
    """Where a block ends, without a carriage return that may be the first half of a line end."""
    return len(plain) - plain.endswith(b"\r")


def _last_line_end(text: bytes, start: int, stop: int) -> int:
    return max(text.rfind(b"\n", start, stop), text.rfind(b"\r", start, stop)) + 1


def _shown(text: bytes) -> str:
    """The first line of some bytes that may begin or end inside of a character."""
    return text.strip(b"\r\n").decode(errors="ignore").splitlines()[0]
