"""Columns that tell rows apart, found while rows are looked at.

Each value is kept as a number of 64 bits: whole numbers and times as they are, text as its hash.
Different numbers are of different values, so what is called unique is unique; that two values have
one number, and hide a key, does not happen in a lifetime.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from loader.inference.names import likely_key
from loader.inference.values import Family

KEPT_BYTES = 128 << 20
"""The most that is kept of all columns; beyond it the least likely ones are let go."""

_NUMBER_BYTES = 8

_LONGEST_TEXT = 128
"""Bytes; longer text is no key that anybody would join by."""

_MOST_COLUMNS = 3
"""The columns of one key."""

_MOST_COMBINED = 16
"""The columns that are tried together, the likeliest ones."""

_TOLD = 3
"""The keys that are suggested."""

_SAMPLES = (4_096, 65_536)
"""Most columns are no key of the first rows already."""

_EFFORT = 40_000_000
"""The rows that are compared in all, a few seconds' worth."""

_SPREAD = pa.scalar(0x1E3779B97F4A7C15, pa.int64())


@dataclass
class _Candidate:
    name: str
    place: int
    likely: int
    family: Family
    parts: list[Any]


class KeySearch:
    """The columns that may still be a part of a key."""

    def __init__(self, names: Sequence[str]) -> None:
        self._places = {name: place for place, name in enumerate(names)}
        self._kept: dict[str, _Candidate] | None = None
        self._rows = self._spent = 0
        self.given_up = False
        """Whether there was more to try than is worth the time."""

    def add(self, found: Mapping[str, tuple[Family, Any] | None], rows: int) -> None:
        """Take in a chunk: the values of each column, and None of what cannot be compared."""
        self._rows += rows
        if self._kept is None:
            self._kept = {
                name: _Candidate(name, place, likely_key(name, seen[0]), seen[0], [])
                for name, place in self._places.items()
                if (seen := found.get(name)) is not None
            }
        for candidate in list(self._kept.values()):
            numbers = _numbers(candidate, found.get(candidate.name))
            if numbers is None:
                del self._kept[candidate.name]
            else:
                candidate.parts.append(numbers)
        while len(self._kept) * self._rows * _NUMBER_BYTES > KEPT_BYTES:
            least = min(self._kept.values(), key=lambda each: (each.likely, -each.place))
            del self._kept[least.name]
            self.given_up = True

    def found(self) -> list[tuple[str, ...]]:
        """Keys of all rows that were added, the smallest and likeliest first."""
        candidates = sorted((self._kept or {}).values(), key=lambda each: each.place)
        columns = {each.name: pa.chunked_array(each.parts, pa.int64()) for each in candidates}
        found: list[tuple[_Candidate, ...]] = []
        for size in range(1, _MOST_COLUMNS + 1):
            for some in _combined(candidates, size):
                names = {each.name for each in some}
                if any({each.name for each in key} <= names for key in found):
                    continue
                if self._unique([columns[each.name] for each in some]):
                    found.append(some)
                if len(found) == _TOLD or self._spent > _EFFORT:
                    self.given_up = self.given_up or self._spent > _EFFORT
                    return _named(found)
            if any(min(each.likely for each in key) > 0 for key in found):
                break
        return _named(found)

    def _unique(self, columns: Sequence[Any]) -> bool:
        rows = len(columns[0])
        for count in (*(some for some in _SAMPLES if some < rows), rows):
            self._spent += count * len(columns)
            if len(pc.unique(_together([each.slice(0, count) for each in columns]))) < count:
                return False
        return True


def _numbers(candidate: _Candidate, found: tuple[Family, Any] | None) -> Any:
    """The values of a chunk as numbers; None when the column is no part of a key."""
    if found is None or found[0] != candidate.family or found[1].null_count:
        return None
    values = found[1]
    if candidate.family != "text":
        return values.cast(pa.int64())
    if (pc.max(pc.binary_length(values)).as_py() or 0) > _LONGEST_TEXT:
        return None
    words = values.dictionary_encode()
    hashes = pa.array(map(hash, words.dictionary.to_pylist()), pa.int64())
    return hashes.take(words.indices)


def _combined(candidates: Sequence[_Candidate], size: int) -> Iterator[tuple[_Candidate, ...]]:
    """Columns that may make a key together, the likeliest ones first."""
    tried = candidates
    if size > 1:
        likely = sorted(candidates, key=lambda each: -each.likely)[:_MOST_COMBINED]
        tried = [each for each in candidates if each in likely and each.likely > 0]
    return iter(
        sorted(
            combinations(tried, size),
            key=lambda some: (-sum(each.likely for each in some), [each.place for each in some]),
        )
    )


def _together(columns: Sequence[Any]) -> Any:
    """One number for each row: other numbers are of other rows."""
    one = columns[0]
    for other in columns[1:]:
        one = pc.add(pc.multiply(one, _SPREAD), other)
    return one


def _named(found: Sequence[Sequence[_Candidate]]) -> list[tuple[str, ...]]:
    return [tuple(each.name for each in key) for key in found]
