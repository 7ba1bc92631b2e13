"""Runs mutation tests: `uv run python -m tests.mutation --help`."""

import argparse
import time
from collections.abc import Iterable, Mapping, Sequence

from tests.mutation.mutants import Mutant, mutants
from tests.mutation.runner import ROOT, Reach, prepare, record, survives

_STAGING = ["staging/test_staging", "staging/test_stager_ends", "executor/test_leftovers"]

_EXECUTOR = [
    *("executor/test_ledger", "executor/test_merge", "executor/test_values"),
    *("executor/test_equal_keys", "executor/test_faults", "executor/test_check_samples"),
]
_PARTITIONS = (
    *("spec/test_partitions", "spec/test_file_patterns", "test_properties"),
    "executor/test_equal_keys",
)

TESTS: Mapping[str, Sequence[str]] = {
    **dict.fromkeys(("spec/partitions", "spec/partition_keys", "spec/periods"), _PARTITIONS),
    "sql/renderer": [
        *("sql/test_renderer", "sql/test_templates", "plan/test_plan", "spec/test_catalog_names"),
    ],
    "plan/dispositions": [
        *("plan/test_plan", "executor/test_merge", "executor/test_equal_keys"),
        "executor/test_checks",
    ],
    "staging/stager": _STAGING,
    "staging/chunk_queue": _STAGING,
    "executor/answers": ["executor/test_answers", *_EXECUTOR],
    "executor/runner": [
        *("executor/test_runner", "executor/test_transaction", *_EXECUTOR, "executor/test_apply"),
    ],
    "executor/transaction": [
        *("executor/test_transaction", *_EXECUTOR, "executor/test_checks", "executor/test_hooks"),
    ],
    "warehouse/retry": ["executor/test_transaction", "executor/test_runner"],
}
"""The test files that are about each module."""

ON_REDSHIFT: Mapping[str, Sequence[str]] = {
    "executor/transaction": [
        *("executor/test_hooks", "executor/test_checks", "executor/test_runs_at_once"),
        *("warehouse/test_redshift_refusals", "warehouse/test_redshift_faults"),
    ],
}
"""The test files about it that need the stand-in for Redshift, for ``--stand-in``."""

SLOW = (
    "killed or process or full_disk or any_statement or ctrl_c or threads or grow or any_frame"
    " or no_mutation or values_that_arrive or another_process or released_in_time"
)
"""Words in the names of tests that take long, and tell little about a small fault."""


def main() -> int:
    """Run the mutants of the modules and list those that no test notices."""
    arguments = _parser().parse_args()
    prepare()
    alive = 0
    for module in arguments.modules or TESTS:
        alive += _run(module, arguments)
    return 1 if alive else 0


def _run(module: str, arguments: argparse.Namespace) -> int:
    path = ROOT / "loader" / f"{module}.py"
    files = arguments.tests or _files_about(module, stand_in=arguments.stand_in)
    started = time.monotonic()
    chosen = [*files, "-k", f"not ({SLOW})"]
    reach = record(module, chosen, arguments.baseline, stand_in=arguments.stand_in)
    reach = {name: one for name, one in reach.items() if one.seconds <= arguments.slowest}
    source = path.read_text(encoding="utf-8")
    every = mutants(source)
    # Evenly over the module, and the same ones each time.
    step = max(len(every) / (arguments.only or len(every)), 1)
    picked = [every[int(at * step)] for at in range(int(len(every) / step))]
    if arguments.line:
        picked = [one for one in every if arguments.line.intersection(_lines(one))]
    took = time.monotonic() - started
    print(f"{module}: {len(reach)} tests in {took:.0f} s, {len(picked)} of {len(every)} mutants")
    if not survives(module, source, _quickest(reach, reach, arguments.seconds), 30 + 5 * took):
        raise SystemExit(f"the tests of {module} do not pass when nothing is wrong")
    alive = 0
    for number, mutant in enumerate(picked, 1):
        tests = _that_reach(mutant, reach, arguments.seconds)
        limit = 15 + 3 * sum(reach[name].seconds for name in tests)
        if not tests or survives(module, mutant.source, tests, limit):
            alive += 1
            why = f"{len(tests)} tests pass" if tests else "no test reaches it"
            print(f"\nloader/{module}.py:{mutant.lines[0]}: {why}\n{mutant.diff}", flush=True)
        elif number % 25 == 0:
            print(f"  {number} of {len(picked)}, {alive} alive", flush=True)
    print(f"\n{module}: {len(picked)} mutants of {len(every)}, {alive} alive\n", flush=True)
    return alive


def _files_about(module: str, *, stand_in: bool) -> list[str]:
    """The test files about a module."""
    return [f"tests/{name}.py" for name in (ON_REDSHIFT if stand_in else TESTS)[module]]


def _that_reach(mutant: Mutant, reach: Mapping[str, Reach], seconds: float) -> list[str]:
    """The quickest tests that run a mutant's lines."""
    lines = _lines(mutant)
    names = [name for name, one in reach.items() if mutant.always or one.lines.intersection(lines)]
    return _quickest(names, reach, seconds)


def _lines(mutant: Mutant) -> range:
    return range(mutant.lines[0], mutant.lines[1] + 1)


def _quickest(names: Iterable[str], reach: Mapping[str, Reach], seconds: float) -> list[str]:
    """As many of the tests as fit into the time."""
    chosen: list[str] = []
    total = 0.0
    for name in sorted(names, key=lambda name: reach[name].seconds):
        total += reach[name].seconds
        if chosen and total > seconds:
            break
        chosen.append(name)
    return chosen


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("tests.mutation", description=main.__doc__)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"of {', '.join(TESTS)}")
    parser.add_argument("--only", type=int, metavar="N", help="N mutants of each, evenly spread")
    parser.add_argument(
        "--line",
        type=lambda text: set(map(int, text.split(","))),
        help="the mutants of the statements at these lines, separated by commas",
    )
    parser.add_argument(
        "--tests", nargs="+", metavar="FILE", help="by these test files alone, for any module"
    )
    parser.add_argument(
        "--stand-in", action="store_true", help="by the tests that need the stand-in for Redshift"
    )
    parser.add_argument("--seconds", type=float, default=15, help="of tests for each mutant")
    parser.add_argument("--slowest", type=float, default=5, help="leave out slower tests")
    parser.add_argument("--baseline", type=float, default=900, help="limit of the first run")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
