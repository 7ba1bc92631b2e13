"""Finds unique columns, and combinations of columns, that can be primary keys.

Each value is kept as a 64-bit integer: whole numbers and times unchanged, text as its hash.
Different integers mean different values, so a reported key is unique. A hash collision could only
hide a key, and is very unlikely.
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
"""The most memory for values, in bytes; beyond it the least likely columns are dropped."""

_NUMBER_BYTES = 8

_LONGEST_TEXT = 128
"""In bytes; longer text is not considered as a key."""

_MOST_COLUMNS = 3
"""The most columns of one key."""

_MOST_COMBINED = 16
"""The most columns that are combined, the likeliest first."""

_MAX_KEYS = 3
"""The most keys that are suggested."""

_SAMPLES = (4_096, 65_536)
"""Row counts that are tested first: most columns are not unique in few rows already."""

_EFFORT = 40_000_000
"""The most values that are compared in total, which takes a few seconds."""

_SPREAD = pa.scalar(0x1E3779B97F4A7C15, pa.int64())


@dataclass
class _Candidate:
    name: str
    position: int
    likely: int
    family: Family
    parts: list[Any]


class KeySearch:
    """The columns that can still be part of a key."""

    def __init__(self, names: Sequence[str]) -> None:
        self._positions = {name: position for position, name in enumerate(names)}
        self._candidates: dict[str, _Candidate] | None = None
        self._rows = self._spent = 0
        self.is_incomplete = False
        """Whether candidates were left out to save time or memory."""

    def add(self, found: Mapping[str, tuple[Family, Any] | None], rows: int) -> None:
        """Add the values of a chunk, by column; None where they cannot be compared."""
        self._rows += rows
        if self._candidates is None:
            self._candidates = {
                name: _Candidate(name, position, likely_key(name, seen[0]), seen[0], [])
                for name, position in self._positions.items()
                if (seen := found.get(name)) is not None
            }
        for candidate in list(self._candidates.values()):
            numbers = _to_numbers(candidate, found.get(candidate.name))
            if numbers is None:
                del self._candidates[candidate.name]
            else:
                candidate.parts.append(numbers)
        while len(self._candidates) * self._rows * _NUMBER_BYTES > KEPT_BYTES:
            least = min(self._candidates.values(), key=lambda each: (each.likely, -each.position))
            del self._candidates[least.name]
            self.is_incomplete = True

    def found(self) -> list[tuple[str, ...]]:
        """The keys of all added rows, those with the fewest and likeliest columns first."""
        candidates = sorted((self._candidates or {}).values(), key=lambda each: each.position)
        columns = {each.name: pa.chunked_array(each.parts, pa.int64()) for each in candidates}
        found: list[tuple[_Candidate, ...]] = []
        for size in range(1, _MOST_COLUMNS + 1):
            for columns_of_key in _combine(candidates, size):
                names = {each.name for each in columns_of_key}
                if any({each.name for each in key} <= names for key in found):
                    continue
                if self._unique([columns[each.name] for each in columns_of_key]):
                    found.append(columns_of_key)
                if len(found) == _MAX_KEYS or self._spent > _EFFORT:
                    self.is_incomplete = self.is_incomplete or self._spent > _EFFORT
                    return _names_of_keys(found)
            if any(min(each.likely for each in key) > 0 for key in found):
                break
        return _names_of_keys(found)

    def _unique(self, columns: Sequence[Any]) -> bool:
        rows = len(columns[0])
        for count in (*(size for size in _SAMPLES if size < rows), rows):
            self._spent += count * len(columns)
            if len(pc.unique(_hash_rows([each.slice(0, count) for each in columns]))) < count:
                return False
        return True


def _to_numbers(candidate: _Candidate, found: tuple[Family, Any] | None) -> Any:
    """The values of a chunk as integers; None when the column cannot be part of a key."""
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


def _combine(candidates: Sequence[_Candidate], size: int) -> Iterator[tuple[_Candidate, ...]]:
    """Combinations of columns, the likeliest first."""
    tried = candidates
    if size > 1:
        likely = sorted(candidates, key=lambda each: -each.likely)[:_MOST_COMBINED]
        tried = [each for each in candidates if each in likely and each.likely > 0]
    return iter(
        sorted(
            combinations(tried, size),
            key=lambda key: (-sum(each.likely for each in key), [each.position for each in key]),
        )
    )


def _hash_rows(columns: Sequence[Any]) -> Any:
    """One integer for each row; equal rows have equal integers."""
    one = columns[0]
    for other in columns[1:]:
        one = pc.add(pc.multiply(one, _SPREAD), other)
    return one


def _names_of_keys(found: Sequence[Sequence[_Candidate]]) -> list[tuple[str, ...]]:
    return [tuple(each.name for each in key) for key in found]
