"""Loads of all dispositions for an hour while things break: nothing is lost, twice, or grows.

Run with ``-m soak``; ``--soak-minutes`` and ``--soak-seed`` are its options.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import MakeProject, redshift_target
from tests.soak.bench import Bench
from tests.soak.checks import find_problems, summarize
from tests.soak.jobs import make_specs

if TYPE_CHECKING:
    from loader.testing.redshift.server import RedshiftStandIn


@pytest.fixture(params=["duckdb", "redshift"])
def stand_in_or_none(request: pytest.FixtureRequest) -> RedshiftStandIn | None:
    """What is soaked: a DuckDB file, or the stand-in."""
    if request.param == "duckdb":
        return None
    found: RedshiftStandIn = request.getfixturevalue("stand_in")
    return found


@pytest.fixture
def seed(pytestconfig: pytest.Config) -> int:
    """The seed that was given, or another one each time."""
    given: int | None = pytestconfig.getoption("--soak-seed")
    return random.SystemRandom().randrange(10**6) if given is None else given


@pytest.mark.soak
def test_an_hour_of_faults_leaves_what_the_ledger_says(
    stand_in_or_none: RedshiftStandIn | None,
    make_project: MakeProject,
    pytestconfig: pytest.Config,
    seed: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Tables are the ledger's loads, each load is there once, and nothing grows or is left."""
    stand_in = stand_in_or_none
    kind = "duckdb" if stand_in is None else "redshift"
    settings: dict[str, Any] = {"lock_timeout": 60}
    if stand_in is not None:
        settings = redshift_target(stand_in, unload_rows=20_000)
    specs = {f"{name}.yml": spec for name, spec in make_specs(seed).items()}
    project = make_project(specs, **settings)
    seconds = 60 * pytestconfig.getoption("--soak-minutes") / 2
    folder = tmp_path / "soak"
    # With an arena for each thread, the pieces that are free in them look like growth for hours.
    monkeypatch.setenv("MALLOC_ARENA_MAX", "1")
    with capsys.disabled():
        print(f"\n{kind}: {seconds:.0f} s, --soak-seed {seed}, journals and logs in {folder}")
    bench = Bench(kind, seed, project, folder, dict(os.environ), stand_in)
    began = time.monotonic()
    bench.run(seconds)
    found = find_problems(bench)
    told = "\n".join(f"- {line}" for line in found)
    with capsys.disabled():
        print(summarize(bench, time.monotonic() - began))
        print(told)
    if found:
        pytest.fail(f"{kind}, --soak-seed {seed}; look into {folder}\n{told}", pytrace=False)
