"""Runs fuzz tests: `uv run python -m tests.fuzz --help`."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from pathlib import Path

from tests.fuzz.runner import KINDS, Outcome, prepare, run, show


def main() -> int:
    """Run the cases, and tell how many there were and what broke the rule."""
    arguments = _parser().parse_args()
    seeds = prepare()
    kinds = arguments.kinds or list(KINDS)
    if arguments.show is not None:
        found = show(kinds[0], arguments.seed, arguments.show, arguments.into, seeds)
        print(f"cd {arguments.into} && loader {shlex.join(found.command)}")
        return 0
    started = time.monotonic()
    each = -(-arguments.cases // len(kinds))
    numbers = range(arguments.begin, arguments.begin + each)
    outcome = run(kinds, arguments.seed, numbers, arguments.seconds, arguments.limit, seeds)
    _tell(outcome, arguments.seed, time.monotonic() - started)
    return 1 if outcome.findings else 0


def _tell(outcome: Outcome, seed: int, seconds: float) -> None:
    counts = ", ".join(f"{kind} {count:,}" for kind, count in outcome.cases.items())
    print(f"{outcome.cases.total():,} cases in {seconds:.0f} s (seed {seed}): {counts}")
    print("exit codes:", json.dumps(dict(sorted(outcome.codes.items()))))
    for what, found in outcome.distinct().items():
        first = found[0]
        print(f"\n=== {what} ({len(found)} times)\n{first.told.rstrip()}")
        print(
            f"again: uv run python -m tests.fuzz {first.kind} --seed {seed} --show {first.number}"
            f" --into DIR; also {[(one.kind, one.number) for one in found[1:6]]}"
        )
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("kinds", nargs="*", choices=[*KINDS, []], help="default: all kinds")
    parser.add_argument("--cases", type=int, default=5_000, help="of all kinds together")
    parser.add_argument(
        "--begin", type=int, default=0, metavar="N", help="number of the first case"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3_600, help="the most for all cases")
    parser.add_argument("--limit", type=float, default=20, help="the most seconds for one case")
    parser.add_argument("--show", type=int, metavar="N", help="write the files of one case")
    parser.add_argument("--into", type=Path, default=Path("case"), metavar="DIR")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
