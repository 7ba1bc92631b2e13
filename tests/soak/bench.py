"""Runs the soak of one target: starts workers, breaks things, takes samples."""

from __future__ import annotations

import multiprocessing
import os
import random
import re
import signal
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from loader.project import Project
from tests.soak.fault_injection import DuckDBFaultInjector, FaultInjector, RedshiftFaultInjector
from tests.soak.jobs import WORKERS, make_job
from tests.soak.journal import Journal
from tests.soak.worker import Orders, work

if TYPE_CHECKING:
    from loader.testing.redshift.server import RedshiftStandIn

SILENCE = 240.0
"""Seconds without a word after which a worker hangs: longer than all waits of a load together."""

SPARED = 0
"""The worker that is interrupted but never killed, so that one process lives all the time."""

PRELOADED = [
    "loader.executor.load",
    "loader.executor.read",
    "loader.warehouse.duckdb.driver",
    "loader.warehouse.redshift.driver",
    "loader.staging.stores.s3",
    "tests.soak.worker",
]


@dataclass
class Place:
    """A worker's place, which one process after the other takes."""

    orders: Orders
    journal: Journal
    process: BaseProcess | None = None
    heard: float = 0.0
    killed: bool = False
    """Whether this bench has killed the process."""


@dataclass
class Bench:
    """One target under load."""

    kind: str
    seed: int
    project: Project
    folder: Path
    environment: Mapping[str, str]
    stand_in: RedshiftStandIn | None
    findings: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    samples: dict[str, list[float]] = field(default_factory=dict)
    peaks: dict[int, float] = field(default_factory=dict)
    """The most memory that was seen of each worker, in KB."""

    def __post_init__(self) -> None:
        self.chance = random.Random(f"{self.seed} {self.kind}")
        self.forks: ForkServerContext = multiprocessing.get_context("forkserver")
        self.forks.set_forkserver_preload(PRELOADED)
        self.temporary = self.folder / "tmp"
        self.temporary.mkdir(parents=True)
        environment = {**self.environment, "TMPDIR": str(self.temporary)}
        root = self.project.config.root
        orders = [
            Orders(self.seed, worker, self.kind, root, self.folder, environment)
            for worker in range(WORKERS)
        ]
        self.places = [Place(one, Journal(one.journal)) for one in orders]
        self.injector = self._make_injector()

    def _make_injector(self) -> FaultInjector:
        if self.stand_in is not None:
            return RedshiftFaultInjector(self.stand_in, self.chance)
        settings: Any = self.project.config.settings()
        file = self.project.config.root / settings.database
        return DuckDBFaultInjector(file, self.forks, self.chance)

    def run(self, seconds: float) -> None:
        """Let workers load for so long while things break, and then end what they have begun."""
        ends = time.monotonic() + seconds
        due = dict.fromkeys(("signal", "fault", "sample", "list"), time.monotonic() + 2)
        every = {"signal": (3, 9), "fault": (0.3, 1.5), "sample": (1, 1), "list": (4, 4)}
        try:
            while time.monotonic() < ends:
                self._look_after_workers()
                for name in due:
                    if time.monotonic() >= due[name]:
                        getattr(self, f"_{name}")()
                        due[name] = time.monotonic() + self.chance.uniform(*every[name])
                time.sleep(0.05)
            self.injector.stop()
            self._stop()
        finally:
            for place in self.places:
                if place.process is not None:
                    place.process.kill()
                    place.process.join()

    # --- workers

    def _look_after_workers(self, *, replace: bool = True) -> None:
        now = time.monotonic()
        for place in self.places:
            if place.journal.read():
                place.heard = now
            if place.process is not None and not place.process.is_alive():
                self._bury(place)
            if place.process is None and replace:
                self._start(place)
            elif place.process is not None and now - place.heard > SILENCE:
                self._end_hanging(place)

    def _start(self, place: Place) -> None:
        place.process = self.forks.Process(target=work, args=(place.orders,))
        place.process.start()
        place.heard, place.killed = time.monotonic(), False
        self.counts["processes"] += 1

    def _bury(self, place: Place) -> None:
        assert place.process is not None
        code, place.process = place.process.exitcode, None
        place.journal.read()
        place.journal.note_death()
        if code != (-signal.SIGKILL if place.killed else 0):
            self.find(place, f"the process ended by itself with {code}")

    def _end_hanging(self, place: Place) -> None:
        assert place.process is not None
        pid = place.process.pid or 0
        self.find(place, f"silent for {SILENCE:g} s; its stacks are in {place.orders.log}")
        os.kill(pid, signal.SIGUSR1)
        time.sleep(1)
        place.killed = True
        place.process.kill()
        place.heard = time.monotonic()

    def _signal(self) -> None:
        place = self.chance.choice(self.places)
        number = self.chance.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
        if place.orders.worker == SPARED:
            number = signal.SIGINT
        place.journal.read()
        if place.process is None or place.journal.pid != place.process.pid:
            return  # it has not begun, and has no handler of signals yet
        if place.process.is_alive():
            place.killed |= number == signal.SIGKILL
            with suppress(ProcessLookupError):
                os.kill(place.process.pid or 0, number)
            self.counts[number.name] += 1

    def _stop(self) -> None:
        self.places[0].orders.stop.touch()
        ends = time.monotonic() + SILENCE + 60
        while any(place.process for place in self.places) and time.monotonic() < ends:
            # A load that was under way when its worker was killed needs another one.
            self._look_after_workers(replace=False)
            for place in self.places:
                if place.process is None and self._is_under_way(place):
                    self._start(place)
            time.sleep(0.1)
        for place in self.places:
            if place.process is not None:
                self.find(place, "does not end")

    def _is_under_way(self, place: Place) -> bool:
        return bool(place.journal.story(place.journal.next_number()).attempts)

    # --- faults and samples

    def _fault(self) -> None:
        self.injector.inject()

    def _sample(self) -> None:
        for place in self.places:
            if place.process is not None and place.process.pid:
                with suppress(psutil.Error):
                    used = psutil.Process(place.process.pid).memory_info().rss >> 10
                    worker = place.orders.worker
                    self.peaks[worker] = max(used, self.peaks.get(worker, 0))
        if self.stand_in is not None:
            self._note("connections", len(find_sessions(self.stand_in)))
            self._note("locks", count_locks(self.stand_in))
            self.stand_in.statements.clear()
        self._note("temporary", len(self.find_temporary()))

    def _list(self) -> None:
        self._note("unexplained", len(self.find_unexplained()))

    def _note(self, name: str, value: float) -> None:
        self.samples.setdefault(name, []).append(value)

    def find_temporary(self) -> list[str]:
        """Temporary files of Loader, without the one lock file of the queue for a DuckDB file."""
        return [path.name for path in self.temporary.glob("loader-*") if path.suffix != ".lock"]

    def staged(self) -> list[str]:
        """The keys of all staged files, in S3 or in the folder."""
        if self.stand_in is not None:
            return [key.removeprefix("loader/") for key in self.stand_in.objects()]
        root = self.project.config.root / self.project.config.settings().staging
        # Unlike `rglob`, it goes on where a load removes a folder meanwhile.
        files = [Path(folder, name) for folder, _, names in os.walk(root) for name in names]
        return [path.relative_to(root).as_posix() for path in files]

    def find_unloaded(self) -> set[str]:
        """The folders of reads by UNLOAD that are still there."""
        return {key.rpartition("/")[0] for key in self.staged() if key.startswith("unload/")}

    def is_kept_manifest(self, key: str) -> bool:
        """Whether a file says which files a load in place has loaded: it stays for good."""
        load = re.search(r"/w(\d+)-(\d+)/[^/]+/manifest\.json$", key)
        if load is None:
            return False
        place = next(one for one in self.places if one.orders.worker == int(load[1]))
        return place.journal.story(int(load[2])).in_place

    def find_unexplained(self) -> set[str]:
        """Load ids that have ended and have staged files, which no kill or fault explains."""
        ended = set()
        for place in self.places:
            place.journal.read()
            ended |= {
                (place.orders.worker, number)
                for number, story in place.journal.stories.items()
                if story.settled and not story.leaves
            }
        found = set()
        for key in self.staged():
            load = re.search(r"/w(\d+)-(\d+)/", key)
            if load is None or (int(load[1]), int(load[2])) not in ended:
                continue
            if self.is_kept_manifest(key):
                continue
            job = make_job(self.seed, int(load[1]), int(load[2]))
            if not (key.startswith("rejects/") and job.bad):
                found.add(job.load_id)
        return found

    def find(self, place: Place, what: str) -> None:
        """Remember what must not be."""
        self.findings.append(f"worker {place.orders.worker}: {what}")


def find_sessions(stand_in: RedshiftStandIn) -> list[tuple[Any, ...]]:
    """The sessions of clients: pid, state and the last statement."""
    return stand_in.query(
        "SELECT pid, state, left(query, 80) FROM pg_stat_activity"
        " WHERE backend_type = 'client backend' AND usename = %s",
        stand_in.user,
    )


def count_locks(stand_in: RedshiftStandIn) -> int:
    """The locks on ledgers that clients hold."""
    ((found,),) = stand_in.query(
        "SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation"
        " JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = 'loader' AND c.relkind = 'r' AND l.granted"
    )
    return int(found)
