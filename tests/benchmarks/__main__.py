"""Runs the benchmarks: `uv run python -m tests.benchmarks --help`."""

import argparse
import sys
from pathlib import Path

import pyarrow.parquet as pq

from tests.benchmarks import cache, report
from tests.benchmarks.cases import CASES, Case, Command, Load, Objects, select
from tests.benchmarks.measure import CaseError, Run, run_command, run_load, run_objects

ROWS = 1_000_000
STREAMED_ROWS = 60_000_000
SAMPLE_ROWS = 1_000


def main() -> int:
    """Measure the selected cases in rounds (A B C A B C …) and print the report."""
    arguments = _parser().parse_args()
    try:
        selected = select(arguments.only, peers=arguments.peers)
    except LookupError as error:
        _parser().error(str(error))
    runs: dict[str, list[Run]] = {}
    failures: dict[str, str] = {}
    for number in range(1, arguments.repeat + 1):
        for case in selected:
            if case.name in failures:
                continue
            _say(f"round {number} of {arguments.repeat}: {case.name}")
            try:
                measured = _run(case, arguments.rows)
            except CaseError as error:
                failures[case.name] = str(error)
            else:
                runs.setdefault(case.name, []).extend(measured)
    result = report.summarize(runs, _megabytes_per_row(), failures)
    print(report.to_json(result) if arguments.format == "json" else report.to_text(result))
    return 1 if failures else 0


def _run(case: Case, rows: int | None) -> list[Run]:
    if isinstance(case, Command):
        return run_command(case)
    if isinstance(case, Objects):
        return [run_objects(case)]
    return [run_load(case, _data(case, rows), cache.exactly(SAMPLE_ROWS))]


def _data(case: Load, rows: int | None) -> Path:
    if case.streams:
        return cache.generated(case.rows or rows or STREAMED_ROWS)
    return cache.exactly(rows or ROWS)


def _megabytes_per_row() -> float:
    sample = pq.read_table(cache.exactly(SAMPLE_ROWS))
    return float(sample.nbytes / sample.num_rows / 1e6)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description="Measure this loader, its peers and the limit side by side.",
    )
    parser.add_argument(
        "--rows",
        type=int,
        help=f"line items to load (default: {ROWS:,}; {STREAMED_ROWS:,} when streamed)",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        default=[],
        metavar="NAME",
        help="cases, in full or by first word (default: all but the streams): "
        + ", ".join(case.name for case in CASES),
    )
    parser.add_argument(
        "--peers",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="run the peers too (an environment is made for each)",
    )
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="rounds (default: 3)")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    return parser


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
