"""Work that all cores share comes to the same as work that one process does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from loader import parallel
from loader.errors import PlanError
from tests.benchmarks.manyspecs import write

ITEMS = list(range(1_000))


@pytest.fixture(params=[1, 2, 3, 7])
def cores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """As many cores as the test says, whatever the machine has."""
    count: int = request.param
    monkeypatch.setattr(parallel, "_count_cores", lambda: count)
    return count


def test_results_come_in_the_order_of_the_items(cores: int) -> None:
    """Whoever did it, and however much there is to send."""

    def work(some: Sequence[int]) -> list[tuple[int, str, int]]:
        return [(one, str(one) * 1_000, os.getpid()) for one in some]

    found = parallel.run_parallel(work, ITEMS, per_process=100)
    assert [(one, text) for one, text, _ in found] == [(one, str(one) * 1_000) for one in ITEMS]
    assert len({pid for *_, pid in found}) == min(cores, 4)


@pytest.mark.parametrize("count", [0, 1, 99, 199])
def test_little_is_done_here(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has less to do than it takes to start one is none."""
    monkeypatch.setattr(parallel, "_count_cores", lambda: 8)
    found = parallel.run_parallel(
        lambda some: [os.getpid() for _ in some], ITEMS[:count], per_process=100
    )
    assert found == [os.getpid()] * count


@pytest.mark.parametrize("wrong", [0, 499, 500, 999])
def test_what_is_raised_there_is_raised_here(cores: int, wrong: int) -> None:
    """With its hint, and of the first item that is wrong, as one process would find it."""

    def work(some: Sequence[int]) -> list[int]:
        for one in some:
            if one >= wrong:
                raise PlanError(f"{one} is wrong", hint=f"leave {one} out")
        return list(some)

    with pytest.raises(PlanError) as caught:
        parallel.run_parallel(work, ITEMS, per_process=100)
    assert caught.value.message == f"{wrong} is wrong"
    assert caught.value.hint == f"leave {wrong} out"


def test_what_a_killed_process_did_not_do_is_done_here(cores: int) -> None:
    """The kernel takes a process when memory runs out; nothing is missing then."""
    here = os.getpid()

    def work(some: Sequence[int]) -> list[int]:
        if os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        return list(some)

    assert parallel.run_parallel(work, ITEMS, per_process=100) == ITEMS


RUN = """
import sys
from loader import parallel
cores = int(sys.argv.pop(1))
parallel._count_cores = lambda: cores
run_parallel = parallel.run_parallel
parallel.run_parallel = lambda work, items, per_process: run_parallel(
    work, items, per_process=20
)
from loader.cli import main
main()
"""


def loader(folder: Path, cores: int, *words: str) -> tuple[int, str, str]:
    ran = subprocess.run(
        [sys.executable, "-c", RUN, str(cores), *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return ran.returncode, ran.stdout, ran.stderr


def test_commands_say_the_same_on_any_number_of_cores(tmp_path: Path) -> None:
    """In every form, with right specs and with broken ones."""
    folder = tmp_path / "many"
    write("loader", folder, 50)
    lines = [
        ("plan", "--format", "sql"),
        ("plan", "--detailed-exitcode", "-v", "-o", "plan.json"),
        ("validate",),
    ]
    alone = [loader(folder, 1, *line) for line in lines]
    assert [code for code, *_ in alone] == [0, 2, 0], alone
    assert [loader(folder, 2, *line) for line in lines] == alone

    specs = sorted(folder.rglob("*.yml"))
    specs[-1].write_text(specs[0].read_text())  # the same asset key twice
    specs[30].write_text(specs[30].read_text().replace("bigint", "bigger"))
    alone = [loader(folder, 1, *line) for line in lines]
    assert {code for code, *_ in alone} == {1}
    assert "bigger" in alone[0][2]
    assert "already" in alone[0][2]
    assert [loader(folder, 2, *line) for line in lines] == alone
