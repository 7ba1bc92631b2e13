"""What the pages show of a target: loads, rows, checks and values, as of one moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

from loader.docs.charts import Bar, bar_chart, share_bar
from loader.docs.check_words import describe_check
from loader.executor.check_results import format_value
from loader.executor.history import LedgerEntry
from loader.executor.results import CheckResult
from loader.executor.table_facts import PartitionRows, TableFacts
from loader.spec.model import TableSpec
from loader.text_tables import format_count

_LISTED = 10
"""Loads in the table of a page; the picture has more."""
_FEWEST = 3
"""Numbers in which there is something to see."""
_GAPS = 5
"""Partitions without rows that a sentence lists."""


@dataclass(frozen=True)
class LoadRow:
    """One load in the ledger."""

    loaded: str
    slice: str
    disposition: str
    rows: str
    merged: str
    size: str
    load_id: str


@dataclass(frozen=True)
class CheckRow:
    """One check of the live table."""

    check: str
    value: str
    holds: bool


@dataclass(frozen=True)
class ValueRow:
    """The values of a column in the latest load."""

    column: str
    nulls: str
    share: Markup
    """The part of NULLs, as a picture."""
    minimum: str
    maximum: str
    others: str


@dataclass(frozen=True)
class Picture:
    """A chart, what is seen in it, and its numbers."""

    title: str
    chart: Markup
    summary: str
    head: str
    """What each number is of."""
    numbers: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class LivePage:
    """What a page shows of a target."""

    target: str
    moment: str
    problem: str
    rows: str
    last: str
    """When the latest load was; empty if there was none."""
    picture: Picture | None
    loads: tuple[LoadRow, ...]
    merges: bool
    checks: tuple[CheckRow, ...]
    values: tuple[ValueRow, ...]

    @property
    def failed(self) -> int:
        """How many checks do not hold."""
        return sum(not check.holds for check in self.checks)


def live_page(spec: TableSpec, facts: TableFacts, target: str, moment: datetime) -> LivePage:
    """The content of a page from the facts of its table."""
    latest = next((load for load in facts.loads if load.column_figures), None)
    return LivePage(
        target=target,
        moment=_format_time(moment),
        problem=facts.problem,
        rows="" if facts.rows is None else format_count(facts.rows, "row"),
        last=_format_time(facts.loads[0].loaded_at) if facts.loads else "",
        picture=_picture_of_partitions(facts.partitions) or _picture_of_loads(facts.loads),
        loads=tuple(map(_load_row, facts.loads[:_LISTED])),
        merges=any(load.merge_counts for load in facts.loads[:_LISTED]),
        checks=tuple(map(_check_row, facts.checks)),
        values=tuple(_value_rows(spec, latest)) if latest else (),
    )


def _format_time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _load_row(load: LedgerEntry) -> LoadRow:
    return LoadRow(
        _format_time(load.loaded_at),
        load.slice or "whole table",
        load.write_disposition,
        f"{load.rows_loaded:,}",
        str(load.merge_counts or ""),
        _format_size(load.bytes_staged),
        load.load_id,
    )


def _format_size(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 100_000 else f"{size / 1e3:,.1f} kB"


def _check_row(result: CheckResult) -> CheckRow:
    number = result.value
    value = format_value(result) if number is None or number % 1 else f"{number:,.0f}"
    return CheckRow(describe_check(result.check), value, result.holds)


# Pictures


def _picture_of_partitions(found: PartitionRows | None) -> Picture | None:
    if found is None or len(found.rows) < _FEWEST or not any(found.rows.values()):
        return None
    bars = [
        Bar(key, rows, f"{key}: {format_count(rows, 'row')}") for key, rows in found.rows.items()
    ]
    noun = found.grain
    filled = [bar for bar in bars if bar.value]
    low, high = (of(filled, key=lambda bar: bar.value) for of in (min, max))
    summary = f"{format_count(len(bars), noun)}, {bars[0].label} to {bars[-1].label}."
    summary += (
        f" Fewest rows: {low.value:,} for {low.label}; most: {high.value:,} for {high.label}."
    )
    summary += _describe_gaps([bar.label for bar in bars if not bar.value])
    title = f"Rows in each {noun}"
    chart = bar_chart("rows", title, summary, bars)
    numbers = tuple((bar.label, f"{bar.value:,}") for bar in reversed(bars))
    return Picture(title, chart, summary, found.dimension, numbers)


def _describe_gaps(gaps: Sequence[str]) -> str:
    if not gaps:
        return ""
    more = f" and {len(gaps) - _GAPS} more" if len(gaps) > _GAPS else ""
    return f" Without rows: {', '.join(gaps[:_GAPS])}{more}."


def _picture_of_loads(loads: Sequence[LedgerEntry]) -> Picture | None:
    if len(loads) < _FEWEST or not any(load.rows_loaded for load in loads):
        return None
    bars = [
        Bar(
            f"{load.loaded_at:%Y-%m-%d}",
            load.rows_loaded,
            f"{_format_time(load.loaded_at)}: {format_count(load.rows_loaded, 'row')}",
        )
        for load in reversed(loads)
    ]
    low, high = (of(bars, key=lambda bar: bar.value) for of in (min, max))
    summary = f"The latest {format_count(len(bars), 'load')}."
    summary += f" Fewest rows: {low.value:,} on {low.label}; most: {high.value:,} on {high.label}."
    title = "Rows of each load"
    chart = bar_chart("rows", title, summary, bars)
    numbers = tuple((_format_time(load.loaded_at), f"{load.rows_loaded:,}") for load in loads)
    return Picture(title, chart, summary, "Load", numbers)


# Values


def _value_rows(spec: TableSpec, load: LedgerEntry) -> list[ValueRow]:
    found = []
    for column in spec.columns:
        figures = (load.column_figures or {}).get(column.name)
        if figures is None:
            continue
        nulls = figures.get("nulls")
        share = int(nulls or 0) / load.rows_loaded if load.rows_loaded else 0.0
        others = []
        if (true := figures.get("true")) is not None:
            others.append(f"{int(true):,} true")
        if isinstance(size := figures.get("bytes"), int) and load.rows_loaded:
            others.append(f"{size / load.rows_loaded:,.1f} bytes on average")
        if isinstance(nan := figures.get("nan"), int) and nan:
            others.append(f"{nan:,} NaN")
        found.append(
            ValueRow(
                column.name,
                f"{int(nulls or 0):,}" + (f" ({share:.1%})" if nulls else ""),
                share_bar(share),
                _show(figures.get("minimum")),
                _show(figures.get("maximum")),
                ", ".join(others),
            )
        )
    return found


def _show(value: object) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) and abs(value) >= 10_000 else str(value)
