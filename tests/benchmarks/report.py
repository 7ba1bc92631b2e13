"""Turns runs into the table that is printed, or into JSON."""

import json
import os
import platform
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tests.benchmarks.cases import CASES, TARGETS, Case, Load, Target
from tests.benchmarks.measure import Run

QUIET = 0.3


@dataclass(frozen=True)
class Line:
    """The runs of one case, summed up."""

    case: str
    runs: int
    seconds_min: float
    seconds_median: float
    other_cores: float
    peak_mb: float
    before_mb: float | None
    start_seconds: float | None
    rows: int | None
    rows_per_second: float | None
    mb_per_second: float | None
    ratio_to_limit: float | None


@dataclass(frozen=True)
class Verdict:
    """A target beside what was measured."""

    target: str
    measured: float
    met: bool
    disturbed: bool
    """Whether other work kept more than `QUIET` cores busy: then time says little."""


@dataclass(frozen=True)
class Report:
    """All that one invocation measured."""

    lines: list[Line]
    verdicts: list[Verdict]
    failures: dict[str, str]


def summarize(
    runs: dict[str, list[Run]], megabytes_per_row: float, failures: dict[str, str]
) -> Report:
    """Sum up the runs of each case; ratios compare the fastest runs, which noise disturbs least."""
    fastest = {name: min(run.seconds for run in many) for name, many in runs.items()}
    lines = [
        _line(case, runs[case.name], fastest, megabytes_per_row)
        for case in CASES
        if case.name in runs
    ]
    by_name = {line.case: line for line in lines}
    verdicts = [verdict for target in TARGETS for verdict in _judge(target, by_name)]
    return Report(lines, verdicts, failures)


def _line(case: Case, runs: list[Run], fastest: dict[str, float], mb_per_row: float) -> Line:
    best = min(runs, key=lambda run: run.seconds)
    seconds = best.seconds
    rows = runs[0].rows
    limit = fastest.get(case.limit) if isinstance(case, Load) else None
    return Line(
        case=case.name,
        runs=len(runs),
        seconds_min=seconds,
        seconds_median=statistics.median(run.seconds for run in runs),
        other_cores=best.other_cores,
        peak_mb=max(run.peak_mb for run in runs),
        before_mb=max((run.before_mb for run in runs if run.before_mb is not None), default=None),
        start_seconds=min(
            (run.start_seconds for run in runs if run.start_seconds is not None), default=None
        ),
        rows=rows,
        rows_per_second=rows / seconds if rows else None,
        mb_per_second=rows * mb_per_row / seconds if rows else None,
        ratio_to_limit=seconds / limit if limit else None,
    )


def _judge(target: Target, lines: dict[str, Line]) -> Iterator[Verdict]:
    line, other = lines.get(target.case), lines.get(target.of or "")
    if line is None or (target.of and other is None):
        return
    busy = max(each.other_cores for each in (line, other) if each is not None)
    if target.measure == "peak_mb":
        measured, busy = line.peak_mb, 0.0
    elif other is not None:
        measured = line.seconds_min / other.seconds_min
    else:
        measured = line.seconds_median
    yield Verdict(target.text, measured, measured <= target.at_most, busy > QUIET)


def machine() -> dict[str, Any]:
    """What the numbers depend on."""
    return {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "system": platform.system(),
    }


def to_json(report: Report) -> str:
    """The report as one JSON document."""
    return json.dumps({"machine": machine(), **asdict(report)}, indent=2)


HEADER = (
    *("case", "runs", "min s", "median s", "x limit", "others"),
    *("rows", "rows/s", "MB/s", "peak MB", "before MB", "start s"),
)


def to_text(report: Report) -> str:
    """The report as tables for people."""
    facts = machine()
    sections = [
        f"TPC-H lineitem, Python {facts['python']}, {facts['cores']} cores {facts['machine']}",
        _table([HEADER, *(_cells(line) for line in report.lines)]),
    ]
    if report.verdicts:
        rows = [("target", "measured", "")]
        rows += [(v.target, f"{v.measured:.3g}", _word(v)) for v in report.verdicts]
        sections.append(_table(rows))
    sections.append(
        "x limit, others: of the fastest run; others are the cores that other work kept busy.\n"
        "MB are those of the rows in Arrow. peak: process tree during the load; before: the same\n"
        "process just before it, frame in hand. start: interpreter, imports, a load of 1,000 rows."
    )
    sections += [f"{name} failed: {why}" for name, why in report.failures.items()]
    return "\n\n".join(sections)


def _cells(line: Line) -> tuple[str, ...]:
    return (
        line.case,
        str(line.runs),
        f"{line.seconds_min:.3f}",
        f"{line.seconds_median:.3f}",
        _number(line.ratio_to_limit, ".2f"),
        f"{line.other_cores:.1f}",
        _number(line.rows, ",d"),
        _number(line.rows_per_second, ",.0f"),
        _number(line.mb_per_second, ",.0f"),
        f"{line.peak_mb:,.0f}",
        _number(line.before_mb, ",.0f"),
        _number(line.start_seconds, ".2f"),
    )


def _number(value: float | None, style: str) -> str:
    return "" if value is None else format(value, style)


def _word(verdict: Verdict) -> str:
    word = "met" if verdict.met else "MISSED"
    return f"{word}, but the machine was busy" if verdict.disturbed else word


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [first.ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
