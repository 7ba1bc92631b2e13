"""Whatever the input, no command ends in a traceback, a signal, a hang or all of the memory."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.inputs import KINDS

ROOT = Path(__file__).parents[1]


def fuzz(cases: int, seed: int) -> str:
    """The report of so many cases; in a process of its own, which forks before it has threads."""
    words = ["-m", "tests.fuzz", "--cases", str(cases), "--seed", str(seed)]
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-5_000:]
    return done.stdout


def test_changed_inputs_end_in_words() -> None:
    """Changed specs, settings, templates, data, plans, contracts and keys are read or refused."""
    report = fuzz(330, seed=1)
    counts = dict(re.findall(r"(\w+) (\d+)", report.partition("): ")[2].partition("\n")[0]))
    assert counts == dict.fromkeys(KINDS, "30")


@pytest.mark.slow
def test_many_changed_inputs_end_in_words() -> None:
    """The same of 22,000 inputs (`LOADER_FUZZ_CASES` for others), of another seed."""
    print(fuzz(int(os.environ.get("LOADER_FUZZ_CASES", "22000")), seed=20261129))
