"""A process of the soak: one long-lived project that loads, fails, and loads again."""

from __future__ import annotations

import errno
import faulthandler
import gc
import io
import os
import random
import re
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

import loader.staging.stores.local as local_store
from loader.errors import ExecuteError, LoaderError
from loader.project import Project
from tests.soak.frames import (
    BrokenSourceError,
    add_bad_rows,
    break_midway,
    make_frames,
    make_table,
    spoil,
)
from tests.soak.jobs import NAMES, SCHEMA, Job, fold, make_job
from tests.soak.journal import Journal, append
from tests.soak.samples import measure_held

MOST_ATTEMPTS = 20
CALM = 6
"""After so many attempts a worker makes no more faults of its own."""


SLOW = 55.0
"""Seconds that no load takes unless it waits for what nobody has: most wait a second or two.

It is less than `lock_timeout` of the DuckDB target, and than the wait for a lost transaction.
"""


INTERNED = 100_000
"""So many strings let Python's table of them double now, as those of 800 loads would: by 1.9 MB."""


@dataclass(frozen=True)
class Orders:
    """What a worker has to know."""

    seed: int
    worker: int
    kind: str
    root: Path
    folder: Path
    """Where journals, logs, source files and the sign to stop are."""
    environment: Mapping[str, str]

    @property
    def journal(self) -> Path:
        """Where the worker tells what it does."""
        return self.folder / f"worker-{self.worker}.jsonl"

    @property
    def log(self) -> Path:
        """Where its output and stacks go."""
        return self.folder / f"worker-{self.worker}.log"

    @property
    def stop(self) -> Path:
        """A file that is there once the worker is to end."""
        return self.folder / "stop"


class TerminatedError(KeyboardInterrupt):
    """SIGTERM, as a program that cleans up handles it."""


class Signals:
    """SIGINT and SIGTERM interrupt loads only, and never what is told of them."""

    def __init__(self) -> None:
        self.loading = False
        self.ended = False
        signal.signal(signal.SIGINT, self._interrupt)
        signal.signal(signal.SIGTERM, self._interrupt)

    def _interrupt(self, number: int, _: FrameType | None) -> None:
        self.ended |= number == signal.SIGTERM
        if self.loading:
            self.loading = False
            raise TerminatedError if self.ended else KeyboardInterrupt


class _FullDisk(io.FileIO):
    """A file on a disk that becomes full after some bytes."""

    left = 0

    def write(self, data: Any) -> int:
        self.left -= memoryview(data).nbytes
        if self.left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


@contextmanager
def fill_disk(left: int) -> Iterator[None]:
    """Let each staged file end in ENOSPC after so many bytes."""
    create = local_store._create_file

    def limited(path: Path) -> io.BufferedWriter:
        create(path).close()
        raw = _FullDisk(path, "wb")
        raw.left = left
        return io.BufferedWriter(raw)

    local_store._create_file = limited
    try:
        yield
    finally:
        local_store._create_file = create


def work(orders: Orders) -> None:
    """Load until told to stop, from the load on that was under way when the last worker ended."""
    _prepare(orders)
    try:
        Worker(orders).run()
    except BaseException:
        traceback.print_exc()
        raise


def _prepare(orders: Orders) -> None:
    log = orders.log.open("ab", buffering=0)
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
    log.close()
    sys.stdout = sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    faulthandler.enable(2)
    faulthandler.register(signal.SIGUSR1, file=2)
    os.environ.clear()
    os.environ.update(orders.environment)
    tempfile.tempdir = None
    for number in range(INTERNED):
        sys.intern(f"soak {number}")
    print(f"--- process {os.getpid()} begins")


class Worker:
    """One process."""

    def __init__(self, orders: Orders) -> None:
        self.orders = orders
        self.signals = Signals()
        self.project = Project.find(orders.root)
        files = orders.folder / "files" / str(orders.worker)
        self.frames = make_frames(self.project, files)
        self.journal = Journal(orders.journal)
        self.journal.read()
        self.journal.note_death()
        self.process = psutil.Process()

    def run(self) -> None:
        """Load in a loop."""
        while not self.signals.ended:
            number = self.journal.next_number()
            story = self.journal.story(number)
            if not story.attempts and self.orders.stop.exists():
                print("threads:", sorted(thread.name for thread in threading.enumerate()))
                return
            self.attempt(make_job(self.orders.seed, self.orders.worker, number), story.attempts)
            self.rest()

    def attempt(self, job: Job, before: int) -> None:
        """Make one attempt at a load, and maybe give the load up after it has failed."""
        chance = random.Random(f"{self.orders.seed} {job.load_id} {before}")
        calm = before >= CALM or self.orders.stop.exists()
        fault = "" if calm else self._choose_fault(chance, job)
        kind = chance.choice(list(self.frames))
        self.tell("begin", number=job.number, fault=fault, frame=kind, table=job.table)
        began = time.monotonic()
        told = self._try(chance, job, kind, fault)
        self.tell("end", number=job.number, **told)
        if (seconds := time.monotonic() - began) > SLOW:
            self.find(job, f"({kind}, {fault or 'no fault'}) took {seconds:.0f} s")
        if told["outcome"] in ("loaded", "already_loaded"):
            if chance.random() < 0.15:
                self.compare(job)
        elif self.signals.ended:
            return
        elif before + 1 >= MOST_ATTEMPTS:
            self.find(job, f"is not loaded after {MOST_ATTEMPTS} attempts: {told['error']}")
            self.tell("abandon", number=job.number)
        elif not self.orders.stop.exists() and chance.random() < 0.15:
            self.tell("abandon", number=job.number)

    def _choose_fault(self, chance: random.Random, job: Job) -> str:
        choices = {"source raises": 0.05}
        if not job.rejects:
            choices["bad rows"] = 0.05
        if self.orders.kind == "duckdb":
            choices["disk full"] = 0.05
        (chosen,) = chance.choices(["", *choices], [1 - sum(choices.values()), *choices.values()])
        return chosen

    def _try(self, chance: random.Random, job: Job, kind: str, fault: str) -> dict[str, Any]:
        rows = add_bad_rows(chance, job)
        if fault == "bad rows":
            rows = spoil(chance, rows)
        table = make_table(rows)
        frame = (
            break_midway(table) if fault == "source raises" else self.frames[kind](job.table, table)
        )
        disk = fill_disk(0) if fault == "disk full" else nullcontext()
        spec = self.project.spec(f"{SCHEMA}/{job.table}")
        told = {"outcome": "failed", "uncertain": False, "leaves": False, "error": ""}
        try:
            with disk:
                self.signals.loading = True
                result = self.project.load(spec, frame, job.partition, load_id=job.load_id)
                self.signals.loading = False
        except KeyboardInterrupt as stop:
            notes = "; ".join(getattr(stop, "__notes__", []))
            print(f"{job.load_id} of {job.table} ({kind}, {fault}): {type(stop).__name__}: {notes}")
            told |= {"outcome": "interrupted", "uncertain": True, "leaves": True}
            return told | {"error": f"{type(stop).__name__}: {notes[:40]}"}
        except Exception as error:  # noqa: BLE001  # which ones may come is checked there
            self.signals.loading = False
            return told | self._tell_error(job, kind, fault, error)
        story = self.journal.story(job.number)
        if result.status == "already_loaded" and not story.uncertain:
            self.find(job, "was loaded already, though no attempt of it can have been committed")
        self._check_result(job, fault, result)
        left = [line for line in _warnings(result) if "cannot" in line]
        return told | {"outcome": result.status, "leaves": bool(left), "error": "".join(left)[:60]}

    def _check_result(self, job: Job, fault: str, result: Any) -> None:
        told = [line for line in _warnings(result) if "cannot" not in line]
        if told:
            self.find(job, f"has warnings: {told}")
        if fault and result.status == "loaded":
            self.find(job, f"is loaded though {fault}")
        wanted = (len(job.rows), len(job.bad))
        found = (result.rows_loaded, result.rows_rejected)
        if result.status == "loaded" and found != wanted:
            self.find(job, f"loaded and rejected {found} rows, not {wanted}")

    def _tell_error(self, job: Job, kind: str, fault: str, error: Exception) -> dict[str, Any]:
        text = str(error)
        certain = not isinstance(error, ExecuteError) or error.rolled_back
        ours = fault == "source raises" and isinstance(error, BrokenSourceError)
        # In a DuckDB file nothing breaks but what the attempt itself breaks.
        unasked = self.orders.kind == "duckdb" and not fault
        if unasked or not (ours or isinstance(error, LoaderError)):
            traceback.print_exception(error)
            self.find(
                job, f"({kind}, {fault or 'no fault'}) failed: {type(error).__name__}: {text}"
            )
        leaves = job.keeps_failed or "cleaning up failed" in text or not certain
        print(f"{job.load_id} of {job.table} ({kind}, {fault}): {type(error).__name__}: {text}")
        short = re.sub(r"\S*\d\S*", "N", text.splitlines()[0])[:110]
        return {
            "uncertain": not certain,
            "leaves": leaves,
            "error": f"{type(error).__name__}: {short}",
        }

    def compare(self, job: Job) -> None:
        """Read what the load has replaced, which nobody else writes."""
        if job.partition is None and not job.table.startswith("whole"):
            return
        spec = self.project.spec(f"{SCHEMA}/{job.table}")
        try:
            found: Any = self.project.read(spec, job.partition, columns=NAMES, as_="arrow")
        except LoaderError as error:
            if self.orders.kind == "duckdb":
                self.find(job, f"cannot be read: {error}")
            self.tell("read", ok=False)
            return
        self.tell("read", ok=True)
        rows = {row["id"]: tuple(row.values()) for row in found.to_pylist()}
        if rows != fold([job]) or found.num_rows != len(job.rows):
            self.find(job, f"is not what is read afterwards: {found.num_rows} rows")

    def rest(self) -> None:
        """Sample what the process holds between loads, where it should hold nothing."""
        gc.collect()
        with self.process.oneshot():
            self.tell(
                "rest",
                rss=self.process.memory_info().rss >> 10,
                held=measure_held(),
                fds=self.process.num_fds(),
                threads=threading.active_count(),
                native=self.process.num_threads(),
            )

    def find(self, job: Job, what: str) -> None:
        """Tell what must not be."""
        self.tell("finding", load_id=job.load_id, table=job.table, what=what)

    def tell(self, event: str, **facts: Any) -> None:
        """Write an event to the journal, and read it back."""
        append(
            self.orders.journal,
            {"event": event, "pid": os.getpid(), "time": time.time(), **facts},
        )
        self.journal.read()
        self.journal.rests.clear()  # what is told must not make the process grow


def _warnings(result: Any) -> list[str]:
    """The warnings of a load, but for the note that files were not loaded in place."""
    return [line for line in result.warnings if not line.startswith("the files were staged:")]
