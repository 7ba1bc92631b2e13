"""Runs cases in forks of one process, each within a limit of time and memory."""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import json
import os
import pickle
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fuzz.inputs import KINDS, Case, case, corpus, write

BATCH = 25
"""Cases in one fork: a fork takes as long as a case of the quick kinds."""

MEMORY = 2 << 30
"""Bytes that a case may take beyond what the process has before."""

CODES = (0, 1, 2)
USAGE = 64
"""Words that no command has are wrong usage."""

_LOADED = (
    *("loader.cli", "loader.executor.load", "loader.inference.infer", "loader.contracts.convert"),
    *("loader.docs.write", "loader.doctor.report", "loader.executor.read", "loader.data.export"),
    *("loader.plan.plan_file", "loader.executor.history", "loader.cli.output.plans"),
    *("loader.cli.output.reviews", "loader.cli.output.github", "loader.spec.json_schema"),
    *(
        "pyarrow.csv",
        "pyarrow.json",
        "pyarrow.parquet",
        "pyarrow.dataset",
        "pyarrow.compute",
        "duckdb",
    ),
)
"""What is imported once, for all forks."""


@dataclass(frozen=True)
class Finding:
    """A case that broke the rule."""

    kind: str
    number: int
    what: str
    """What happened, and where: the same for cases that break in the same place."""
    told: str
    """The traceback, or the end of the output."""


@dataclass
class Outcome:
    """What became of many cases."""

    cases: Counter[str] = field(default_factory=Counter)
    """How many there were of each kind."""
    codes: Counter[str] = field(default_factory=Counter)
    """How many ended with each exit code."""
    findings: list[Finding] = field(default_factory=list)

    def distinct(self) -> dict[str, list[Finding]]:
        """The findings by what happened."""
        found: dict[str, list[Finding]] = {}
        for one in self.findings:
            found.setdefault(one.what, []).append(one)
        return found


def prepare() -> dict[str, list[bytes]]:
    """Load what the cases need, and make the valid inputs, in a fork that may start threads."""
    for name in _LOADED:
        importlib.import_module(name)
    reader, writer = os.pipe()
    if not (child := os.fork()):
        with os.fdopen(writer, "wb") as out:
            pickle.dump(corpus(), out)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as source:
        data = source.read()
    os.waitpid(child, 0)
    found: dict[str, list[bytes]] = pickle.loads(data)
    return found


def run(
    kinds: Sequence[str],
    seed: int,
    numbers: Sequence[int],
    seconds: float,
    limit: float,
    seeds: dict[str, list[bytes]],
) -> Outcome:
    """Run the cases of these numbers of each kind, as many as the time allows."""
    outcome = Outcome()
    until = time.monotonic() + seconds
    with tempfile.TemporaryDirectory(prefix="loader-fuzz-") as folder:
        for start in range(0, len(numbers), BATCH):
            for kind in kinds:
                left = list(numbers[start : start + BATCH])
                while left and time.monotonic() < until:
                    done = _forked(kind, seed, left, Path(folder), limit, seeds, outcome)
                    left = left[done:]
    return outcome


def _forked(
    kind: str,
    seed: int,
    numbers: Sequence[int],
    folder: Path,
    limit: float,
    seeds: dict[str, list[bytes]],
    outcome: Outcome,
) -> int:
    """Run cases until one takes the process with it; how many there were."""
    reader, writer = os.pipe()
    faults = folder / "faults"
    if not (child := os.fork()):
        os.close(reader)
        _child(kind, seed, numbers, folder, limit, seeds, writer, faults)
    os.close(writer)
    with os.fdopen(reader, "r", encoding="utf-8") as source:
        told = [json.loads(line) for line in source]
    _, status = os.waitpid(child, 0)
    for number, (code, what, text) in zip(numbers, told, strict=False):
        outcome.cases[kind] += 1
        outcome.codes[code] += 1
        if what:
            outcome.findings.append(Finding(kind, number, what, text))
    if len(told) == len(numbers) or (told and status == 0):
        return len(told)
    number = numbers[len(told)]
    dump = faults.read_text(errors="replace") if faults.exists() else ""
    end = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else "hang"
    outcome.cases[kind] += 1
    outcome.codes[end] += 1
    outcome.findings.append(
        Finding(kind, number, f"{end} {_place(dump, first=True)}", dump[-6_000:])
    )
    return len(told) + 1


def _child(
    kind: str,
    seed: int,
    numbers: Sequence[int],
    folder: Path,
    limit: float,
    seeds: dict[str, list[bytes]],
    writer: int,
    faults: Path,
) -> None:
    code = 1
    try:
        with faults.open("w") as dump, os.fdopen(writer, "w", encoding="utf-8") as tell:
            faulthandler.enable(dump)
            before = _taken()
            _limit(before)
            for number in numbers:
                faulthandler.dump_traceback_later(limit, exit=True, file=dump)
                told = judged(case(kind, seed, number, seeds), folder / f"{kind}-{number}", kind)
                faulthandler.cancel_dump_traceback_later()
                tell.write(json.dumps(told) + "\n")
                tell.flush()
                if _taken() > before + MEMORY // 2:
                    break  # what is kept of this case is none of the next one's
        code = 0
    finally:
        os._exit(code)


def _taken() -> int:
    """Bytes of addresses that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _limit(before: int) -> None:
    most = before + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 29, 1 << 29))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)


def judged(one: Case, folder: Path, kind: str) -> tuple[str, str, str]:
    """Run a case: its exit code, how it broke the rule, and what it said then."""
    project = folder / "a" / "b" / "c"
    project.mkdir(parents=True)
    write(project, one.files)
    os.environ["HOME"] = str(folder)
    os.chdir(project)
    try:
        with _captured(folder / "output") as output:
            code, broken, text = _ended(one.command)
        told = output.read_text(encoding="utf-8", errors="replace")
    finally:
        os.chdir(folder.parent)
        shutil.rmtree(folder, ignore_errors=True)
    allowed = (*CODES, USAGE) if kind in ("keys", "arguments") else CODES
    if not broken and ("Traceback (most recent" in told or "Exception ignored" in told):
        return str(code), f"printed {_kind(told)} {_place(told)}", told[-6_000:]
    if not broken and code not in allowed:
        return str(code), f"exit code {code}", told[-2_000:]
    return str(code), broken, text


def _ended(command: list[str]) -> tuple[Any, str, str]:
    from loader.cli import main

    try:
        main(command)
    except SystemExit as stop:
        return (0 if stop.code is None else stop.code), "", ""
    except BaseException as error:  # noqa: BLE001  # whatever it is
        text = "".join(traceback.format_exception(error))
        return "error", f"{type(error).__name__} {_place(text)}", text[-6_000:]
    return 0, "", ""


@contextlib.contextmanager
def _captured(path: Path) -> Any:
    """Standard output and standard error in a file, whoever writes to them."""
    kept = [os.dup(1), os.dup(2)]
    streams = sys.stdout, sys.stderr
    with path.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
        try:
            yield path
        finally:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError, ValueError):
                    stream.flush()
            sys.stdout, sys.stderr = streams
            for number, handle in zip((1, 2), kept, strict=True):
                os.dup2(handle, number)
                os.close(handle)


_ERROR = re.compile(r"^(?:\w+\.)*(\w+(?:Error|Exception|Invalid|Warning))\b", re.M)


def _kind(text: str) -> str:
    """The class of the error that a traceback in a text ends with."""
    found = _ERROR.findall(text)
    return str(found[-1]) if found else "?"


_FRAME = re.compile(r'File "[^"]*/loader/((?:\w+/)*\w+\.py)", line (\d+)')


def _place(text: str, *, first: bool = False) -> str:
    """The innermost line of Loader's in a traceback; faulthandler has it first."""
    frames = _FRAME.findall(text)
    return ":".join(frames[0 if first else -1]) if frames else "?"


def show(kind: str, seed: int, number: int, folder: Path, seeds: dict[str, list[bytes]]) -> Case:
    """Write the files of a case, to be looked at."""
    found = case(kind, seed, number, seeds)
    write(folder, found.files)
    return found


__all__ = ["KINDS", "Finding", "Outcome", "prepare", "run", "show"]
