"""Collects evidence from the rows of files, for the remarks on a draft."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from loader.data.cast.arrow_types import is_arrow
from loader.data.cast.column import ColumnCast, null_empty_text
from loader.data.cast.errors import TYPES_WITH_EMPTY, CastOptions
from loader.data.chunk import Chunk
from loader.inference.guesses import MONEY_SCALE, Guess
from loader.inference.keys import KeySearch
from loader.inference.names import likely_partition
from loader.inference.text_formats import DEFAULT, Reading
from loader.inference.values import MOST_DAYS, Range, count_nulls, to_comparable, to_plain_values
from loader.spec.comments import Remarks, SampleSize, Suggestion
from loader.spec.model import TableSpec
from loader.spec.periods import Grain
from loader.sql.datatypes import DataType
from loader.sql.dialects.redshift import SYSTEM_COLUMNS

_PARTITIONS = 2
"""The most partition columns that are suggested."""

_SLICE_ROWS = 100
"""The least average number of rows for a slice to be worth its own load."""

_MONTH = 31
"""Data of at most so many days, or months, is partitioned by day, or by month."""

_TIMES = ("date", "time", "timetz", "timestamp", "timestamptz")

_BITS = {"smallint": 15, "integer": 31, "bigint": 63}


class Evidence:
    """Counts, ranges and keys of all columns, collected in bounded memory."""

    def __init__(self, names: Sequence[str], reading: Reading = DEFAULT) -> None:
        self._names, self._reading = tuple(names), reading
        self._nulls = dict.fromkeys(names, 0)
        self._empty = dict.fromkeys(names, 0)
        """Empty strings, which are NULL in columns whose type has no empty value."""
        self._ranges = {name: Range() for name in names}
        self._refused: dict[str, str] = {}
        """The first time of a column that no load takes, and why."""
        self._keys = KeySearch(names)
        self._rows = 0

    def add(self, chunk: Chunk, guesses: Mapping[str, Guess]) -> None:
        """Add a chunk, with the current guesses about its columns."""
        if not chunk.rows:
            return
        self._rows += chunk.rows
        found = {}
        for name in self._names:
            values, kind = to_plain_values(chunk.columns[name]), guesses[name].kind
            self._nulls[name] += count_nulls(values)
            if chunk.text and is_arrow(values):
                filled = null_empty_text(values)
                self._empty[name] += count_nulls(filled) - count_nulls(values)
                values = values if kind in TYPES_WITH_EMPTY else filled
            if chunk.text:
                values = self._reading.parse_times(values, kind)
            elif kind in _TIMES and name not in self._refused:
                self._look_for_refused(name, chunk.columns[name], kind)
            found[name] = to_comparable(values, kind)
            if kind != "null":
                self._ranges[name].add(found[name])
        self._keys.add(found, chunk.rows)

    def _look_for_refused(self, name: str, values: Any, kind: str) -> None:
        cast = ColumnCast(values, DataType(kind), CastOptions())
        if cast.bad_rows:
            self._refused[name] = " ".join(cast.explain_error(cast.bad_rows[0]))

    @property
    def notes(self) -> list[str]:
        """What keeps the draft from loading the data as it is."""
        return [
            f"`{name}`: loads refuse such values: {problem}; change them in the data, or set their"
            " rows aside with schema_contract: {bad_rows: reject}"
            for name, problem in self._refused.items()
        ]

    def remarks(self, spec: TableSpec, guesses: Mapping[str, Guess], sample: SampleSize) -> Remarks:
        """The remarks on a draft; its columns in the data are in the order of the data."""
        own = (column.name for column in spec.columns if column.is_in_data)
        columns = dict(zip(own, self._names, strict=True))
        described = {
            name: self._describe_column(
                source, guesses[source], spec.by_name[name].data_type, sample
            )
            for name, source in columns.items()
        }
        by_source = {source: name for name, source in columns.items()}
        keys = self._suggest_keys(by_source, sample)
        notes = [] if sample.complete else [f"only {sample} were read"]
        if self._keys.is_incomplete and self._rows > 1:
            notes.append("there may be other primary keys: not all combinations were tried")
        notes += [
            f"`{source}` is `{name}` in the table: no Redshift column can be called `{source}`"
            for name, source in columns.items()
            if source.lower() in SYSTEM_COLUMNS
        ]
        return Remarks(
            notes=tuple(notes),
            columns={name: words for name, (words, _) in described.items()},
            suggestions=(*keys, *self._suggest_partitions(by_source, sample)),
            facts={"rows": sample.rows, "complete": sample.complete},
            column_facts={name: facts for name, (_, facts) in described.items()},
        )

    def _describe_column(
        self, name: str, guess: Guess, data_type: DataType, sample: SampleSize
    ) -> tuple[str, dict[str, Any]]:
        """The remark on a column as text, and its facts for programs."""
        nulls = self._nulls[name] + self._empty[name] * (guess.kind not in TYPES_WITH_EMPTY)
        facts: dict[str, Any] = {"nulls": nulls}
        if not self._rows:
            return "no rows", facts
        if nulls == self._rows:
            return f"no value in {sample}", facts
        words = []
        seen = self._ranges[name]
        if seen.known and seen.low is not None:
            low, high = (format_bound(end, data_type) for end in (seen.low, seen.high))
            words.append(low if low == high else f"{low}..{high}")
            facts |= {"min": low, "max": high}
            if seen.family == "whole":
                facts |= {"min": seen.low, "max": seen.high}
                words += _describe_width(seen, data_type)
        if data_type.name in ("varchar", "varbyte") and guess.size:
            words.append(f"longest {_count(guess.size, 'byte')}")
            facts["longest"] = guess.size
        if guess.kind == "number":
            digits = _count(guess.whole, "digit")
            words.append(f"at most {digits} before the point and {guess.scale} after it")
            facts |= {"whole": guess.whole, "scale": guess.scale}
            if data_type.name == "double precision" and guess.scale > MONEY_SCALE:
                words.append("so taken for measurements")
            if data_type.name == "varchar":
                words.append("more than a decimal holds, so text")
        words.append(f"{_count(nulls, 'NULL') if nulls else 'no NULL'} in {sample}")
        return ", ".join(words), facts

    def _suggest_keys(self, names: Mapping[str, str], sample: SampleSize) -> list[Suggestion]:
        if self._rows < 2:  # every column of a single row is unique
            return []
        return [
            Suggestion(
                "primary_key",
                [names[source] for source in key],
                f"unique and never NULL in {sample.all_rows}",
                {"rows": sample.rows, "complete": sample.complete},
            )
            for key in self._keys.found()
        ]

    def _suggest_partitions(self, names: Mapping[str, str], sample: SampleSize) -> list[Suggestion]:
        """Date and time columns without NULL, the likeliest first."""
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
        return [self._suggest_partition(names[name], name, sample) for name in chosen[:_PARTITIONS]]

    def _suggest_partition(self, column: str, name: str, sample: SampleSize) -> Suggestion:
        seen = self._ranges[name]
        days = seen.days
        grain = _choose_grain(days, self._rows)
        count = len({_WINDOWS[grain](day) for day in days})
        kind = DataType("timestamptz" if seen.family == "zoned" else "date")
        low, high = (format_bound(end, kind)[:10] for end in (seen.low, seen.high))
        each = f" of about {_count(self._rows // count, 'row')} each" if count > 1 else ""
        return Suggestion(
            "partition_by",
            [{"expr": column, "grain": grain}],
            f"{low}..{high}, {_count(count, grain)}{each}, in {sample}",
            {
                "min": low,
                "max": high,
                "days": len(days),
                "months": len({_WINDOWS["month"](day) for day in days}),
                "rows": sample.rows,
                "complete": sample.complete,
            },
        )


def _describe_width(seen: Range, data_type: DataType) -> list[str]:
    """Remark on an integer type that the data nearly fills, or does not need."""
    bits = max(seen.high, ~seen.low, 0).bit_length()
    if data_type.name not in _BITS:
        return []
    if bits == _BITS[data_type.name]:
        return [f"uses more than half of the range of {data_type}"]
    least = next(name for name, room in _BITS.items() if bits <= room)
    return [] if least == data_type.name else [f"{least} would be enough"]


def _has_clock(seen: Range) -> bool:
    return any(
        isinstance(end, datetime) and end.time() != end.min.time() for end in (seen.low, seen.high)
    )


def format_bound(value: Any, data_type: DataType) -> str:
    """Format the minimum or maximum of a range."""
    if isinstance(value, datetime):
        if data_type.name == "date":
            return value.date().isoformat()
        text = value.replace(tzinfo=None).isoformat(sep=" ")
        return f"{text}Z" if value.tzinfo is not None else text
    return str(value)


def _choose_grain(days: set[int], rows: int) -> Grain:
    """The finest grain whose windows have enough rows for a load each."""
    if len(days) <= _MONTH or rows >= _SLICE_ROWS * len(days):
        return "day"
    months = len({_WINDOWS["month"](day) for day in days})
    return "month" if months <= _MONTH or rows >= _SLICE_ROWS * months else "year"


def _to_date(day: int) -> date:
    return date(1970, 1, 1) + timedelta(days=day)


_WINDOWS: dict[str, Callable[[int], object]] = {
    "day": lambda day: day,
    "month": lambda day: (_to_date(day).year, _to_date(day).month),
    "year": lambda day: _to_date(day).year,
}


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
