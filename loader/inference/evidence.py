"""What the rows of files prove beyond types, as remarks on a draft."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from loader.data.cast.arrow_types import is_arrow
from loader.data.cast.column import null_empty_text
from loader.data.cast.errors import TYPES_WITH_EMPTY
from loader.data.chunk import Chunk
from loader.inference.guesses import MONEY_SCALE, Guess
from loader.inference.keys import KeySearch
from loader.inference.names import likely_partition
from loader.inference.values import MOST_DAYS, Range, meant, nulls_in, plain_values
from loader.spec.comments import Looked, Remarks, Suggestion
from loader.spec.model import TableSpec
from loader.spec.periods import Grain
from loader.sql.datatypes import DataType
from loader.sql.dialects.redshift import SYSTEM_COLUMNS

_PARTITIONS = 2
"""The partition columns that are suggested."""

_SLICE_ROWS = 100
"""The rows that a slice should have for partitions to be worth their loads."""

_MONTH = 31
"""Days of data that tell nothing of how the year goes on."""

_BITS = {"smallint": 15, "integer": 31, "bigint": 63}


class Evidence:
    """What is seen of all columns while their rows are looked at, in bounded memory."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self._nulls = dict.fromkeys(names, 0)
        self._empty = dict.fromkeys(names, 0)
        """Empty texts, which are NULL in columns that cannot hold them."""
        self._ranges = {name: Range() for name in names}
        self._keys = KeySearch(names)
        self._rows = 0

    def add(self, chunk: Chunk, guesses: Mapping[str, Guess]) -> None:
        """Look at a chunk, with what is guessed of its columns so far."""
        if not chunk.rows:
            return
        self._rows += chunk.rows
        found = {}
        for name in self._names:
            values, kind = plain_values(chunk.columns[name]), guesses[name].kind
            self._nulls[name] += nulls_in(values)
            if chunk.text and is_arrow(values):
                filled = null_empty_text(values)
                self._empty[name] += nulls_in(filled) - nulls_in(values)
                values = values if kind in TYPES_WITH_EMPTY else filled
            found[name] = meant(values, kind)
            if kind != "null":
                self._ranges[name].add(found[name])
        self._keys.add(found, chunk.rows)

    def remarks(self, spec: TableSpec, guesses: Mapping[str, Guess], looked: Looked) -> Remarks:
        """What there is to say of a draft whose columns are those of the data, in their order."""
        columns = dict(zip((column.name for column in spec.columns), self._names, strict=True))
        told = {
            name: self._of_column(source, guesses[source], spec.by_name[name].data_type, looked)
            for name, source in columns.items()
        }
        by_source = {source: name for name, source in columns.items()}
        keys = self._primary_keys(by_source, looked)
        notes = [] if looked.complete else [f"only {looked} were looked at"]
        if self._keys.given_up and self._rows > 1:
            notes.append("there may be other primary keys: not all columns were tried together")
        notes += [
            f"`{source}` is `{name}` in the table: no Redshift column can be called `{source}`"
            for name, source in columns.items()
            if source.lower() in SYSTEM_COLUMNS
        ]
        return Remarks(
            notes=tuple(notes),
            columns={name: words for name, (words, _) in told.items()},
            suggestions=(*keys, *self._partitions(by_source, looked)),
            facts={"rows": looked.rows, "complete": looked.complete},
            column_facts={name: facts for name, (_, facts) in told.items()},
        )

    def _of_column(
        self, name: str, guess: Guess, data_type: DataType, looked: Looked
    ) -> tuple[str, dict[str, Any]]:
        """A column in words, and the same for programs."""
        nulls = self._nulls[name] + self._empty[name] * (guess.kind not in TYPES_WITH_EMPTY)
        facts: dict[str, Any] = {"nulls": nulls}
        if not self._rows:
            return "no rows", facts
        if nulls == self._rows:
            return f"no value in {looked}", facts
        words = []
        seen = self._ranges[name]
        if seen.known and seen.low is not None:
            low, high = (written(end, data_type) for end in (seen.low, seen.high))
            words.append(low if low == high else f"{low}..{high}")
            facts |= {"min": low, "max": high}
            if seen.family == "whole":
                facts |= {"min": seen.low, "max": seen.high}
                words += _fit(seen, data_type)
        if data_type.name in ("varchar", "varbyte") and guess.size:
            words.append(f"longest {_counted(guess.size, 'byte')}")
            facts["longest"] = guess.size
        if guess.kind == "number":
            digits = _counted(guess.whole, "digit")
            words.append(f"at most {digits} before the point and {guess.scale} behind it")
            facts |= {"whole": guess.whole, "scale": guess.scale}
            if data_type.name == "double precision" and guess.scale > MONEY_SCALE:
                words.append("so measured and not counted")
        words.append(f"{_counted(nulls, 'NULL') if nulls else 'no NULL'} in {looked}")
        return ", ".join(words), facts

    def _primary_keys(self, names: Mapping[str, str], looked: Looked) -> list[Suggestion]:
        if self._rows < 2:  # a single row is unique in everything
            return []
        return [
            Suggestion(
                "primary_key",
                [names[source] for source in key],
                f"unique and never NULL in {looked.all_of_them}",
                {"rows": looked.rows, "complete": looked.complete},
            )
            for key in self._keys.found()
        ]

    def _partitions(self, names: Mapping[str, str], looked: Looked) -> list[Suggestion]:
        """Times without NULL, which belongs to no partition, the likeliest first."""
        times = [
            name
            for name in self._names
            if self._ranges[name].known
            and 0 < len(self._ranges[name].days) <= MOST_DAYS
            and not self._nulls[name] + self._empty[name]
        ]
        dates = {name for name in times if not _has_clock(self._ranges[name])}
        likely = {name: (likely_partition(name), name in dates) for name in times}
        chosen = sorted(
            (name for name in times if likely[name][0] >= 0),
            key=lambda name: likely[name],
            reverse=True,
        )
        return [self._partition(names[name], name, looked) for name in chosen[:_PARTITIONS]]

    def _partition(self, column: str, name: str, looked: Looked) -> Suggestion:
        seen = self._ranges[name]
        days = seen.days
        grain = _grain(days, self._rows)
        count = len({_WINDOWS[grain](day) for day in days})
        kind = DataType("timestamptz" if seen.family == "zoned" else "date")
        low, high = (written(end, kind)[:10] for end in (seen.low, seen.high))
        each = f" of about {_counted(self._rows // count, 'row')} each" if count > 1 else ""
        return Suggestion(
            "partition_by",
            [{"expr": column, "grain": grain}],
            f"{low}..{high}, {_counted(count, grain)}{each}, in {looked}",
            {
                "min": low,
                "max": high,
                "days": len(days),
                "months": len({_WINDOWS["month"](day) for day in days}),
                "rows": looked.rows,
                "complete": looked.complete,
            },
        )


def _fit(seen: Range, data_type: DataType) -> list[str]:
    """What a number's type is not, where the data leaves a question."""
    bits = max(seen.high, ~seen.low, 0).bit_length()
    if data_type.name not in _BITS:
        return []
    if bits == _BITS[data_type.name]:
        return [f"more than half of what {data_type} holds"]
    least = next(name for name, room in _BITS.items() if bits <= room)
    return [] if least == data_type.name else [f"{least} would hold them"]


def _has_clock(seen: Range) -> bool:
    return any(
        isinstance(end, datetime) and end.time() != end.min.time() for end in (seen.low, seen.high)
    )


def written(value: Any, data_type: DataType) -> str:
    """The end of a range as people write it."""
    if isinstance(value, datetime):
        if data_type.name == "date":
            return value.date().isoformat()
        text = value.replace(tzinfo=None).isoformat(sep=" ")
        return f"{text}Z" if value.tzinfo is not None else text
    return str(value)


def _grain(days: set[int], rows: int) -> Grain:
    """The finest grain whose windows are worth a load each."""
    if len(days) <= _MONTH or rows >= _SLICE_ROWS * len(days):
        return "day"
    months = len({_WINDOWS["month"](day) for day in days})
    return "month" if months <= _MONTH or rows >= _SLICE_ROWS * months else "year"


def _date(day: int) -> date:
    return date(1970, 1, 1) + timedelta(days=day)


_WINDOWS: dict[str, Callable[[int], object]] = {
    "day": lambda day: day,
    "month": lambda day: (_date(day).year, _date(day).month),
    "year": lambda day: _date(day).year,
}


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
