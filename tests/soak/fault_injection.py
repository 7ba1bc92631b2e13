"""What breaks around the loads: on the stand-in its faults and locks, on DuckDB another process."""

from __future__ import annotations

import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from loader.plan.model import table_ledger
from loader.sql.renderer import Table
from loader.testing.redshift.faults import ChangeCopied, CutCopy, Delay, Drop, Error
from tests.soak.jobs import SCHEMA, table_names

if TYPE_CHECKING:
    from loader.testing.redshift.server import RedshiftStandIn

ANY = re.compile(r"^\s*(SELECT|INSERT|DELETE|COPY|CREATE|BEGIN|LOCK|MERGE|UPDATE|SET)\b", re.I)
COPY = re.compile(r"^\s*COPY\b", re.I)
COMMIT = re.compile(r"^\s*COMMIT\b", re.I)


class FaultInjector(Protocol):
    """What makes faults from outside of the workers."""

    counts: Counter[str]

    def inject(self) -> None:
        """Make one fault, which may meet a load or none."""

    def stop(self) -> None:
        """Make no more faults, and wait until those that last are over."""


class RedshiftFaultInjector:
    """Faults of the stand-in: one at a time waits for its statement or request."""

    def __init__(self, stand_in: RedshiftStandIn, chance: random.Random) -> None:
        self.counts: Counter[str] = Counter()
        self._stand_in, self._chance = stand_in, chance
        self._pending: tuple[str, Any] | None = None
        self._holders: list[threading.Thread] = []

    def inject(self) -> None:
        """Let the next fault wait instead of the one before, which may not have fired."""
        self._count()
        name, add = self._chance.choice(list(self._faults().items()))
        self._pending = (name, add())

    def stop(self) -> None:
        """Take the faults away, and wait for the sessions that hold locks."""
        self._count()
        for thread in self._holders:
            thread.join()

    def _count(self) -> None:
        if self._pending is not None and self._pending[1] is not None:
            self.counts[self._pending[0]] += self._pending[1].fired
        self._pending = None
        self._stand_in.faults.clear()

    def _faults(self) -> dict[str, Callable[[], Any]]:
        faults, chance = self._stand_in.faults, self._chance
        skip = chance.randrange(30)
        conflict = Error("XX000", "1023", "Serializable isolation violation on table - 1")
        change = ChangeCopied("amount = amount + 1")

        def refuse() -> Any:
            return faults.s3_errors(403, "AccessDenied", 1, "PutObject", by="client")

        return {
            "lost before a statement": lambda: faults.add(ANY, "before", Drop(), skip=skip),
            "lost after a statement": lambda: faults.add(ANY, "after", Drop(reset=True), skip=skip),
            "lost, session lingers": lambda: faults.add(ANY, "before", Drop(linger=1), skip=skip),
            "lost before COMMIT": lambda: faults.add(COMMIT, "before", Drop()),
            "lost after COMMIT": lambda: faults.add(COMMIT, "after", Drop()),
            "lost, COMMIT comes later": lambda: faults.add(COMMIT, "after", Drop(late=1)),
            "a conflict": lambda: faults.add(ANY, "instead", conflict, skip=skip),
            "a delay": lambda: faults.add(ANY, "before", Delay(chance.uniform(0.2, 2)), skip=skip),
            "a COPY that is cut": lambda: faults.add(COPY, "before", CutCopy(300)),
            "values changed by COPY": lambda: faults.add(COPY, "before", change),
            "connections refused": lambda: faults.refuse_connections(2),
            "S3 slow for clients": lambda: faults.s3_errors(times=2, by="client"),
            "S3 slow for the warehouse": lambda: faults.s3_errors(by="warehouse"),
            "S3 refuses": refuse,
            "S3 breaks": lambda: faults.s3_errors(500, "InternalError", 2, by="client"),
            "a lock held": self._hold_lock,
        }

    def _hold_lock(self) -> None:
        name, seconds = self._chance.choice(table_names()), self._chance.uniform(0.3, 2)
        ledger = table_ledger("loader", Table(SCHEMA, name))
        thread = threading.Thread(target=self._hold, args=(ledger, seconds))
        thread.start()
        self._holders = [one for one in self._holders if one.is_alive()] + [thread]
        self.counts["a lock held"] += 1

    def _hold(self, ledger: Table, seconds: float) -> None:
        import redshift_connector

        # The table may not be there yet, and a fault that is meant for a load may come here.
        with suppress(Exception), redshift_connector.connect(**self._stand_in.connection()) as held:
            held.cursor().execute(f'LOCK TABLE "{ledger.schema}"."{ledger.name}"')
            time.sleep(seconds)
            held.rollback()


class DuckDBFaultInjector:
    """Another program that holds the database file for a moment."""

    def __init__(self, file: Path, forks: ForkServerContext, chance: random.Random) -> None:
        self.counts: Counter[str] = Counter()
        self._file, self._forks, self._chance = file, forks, chance
        self._holder: BaseProcess | None = None

    def inject(self) -> None:
        """Let another process hold the file, if none does and it is a good moment."""
        if self._chance.random() < 0.8 or not self._file.exists():
            return
        if self._holder is None or not self._holder.is_alive():
            self.stop()
            facts = (self._file, self._chance.uniform(0.2, 2), self._chance.random() < 0.5)
            self._holder = self._forks.Process(target=hold_file, args=facts)
            self._holder.start()

    def stop(self) -> None:
        """Wait until the file is free."""
        if self._holder is not None:
            self._holder.join()
            self.counts["the file held" if not self._holder.exitcode else "not held"] += 1
            self._holder.close()
            self._holder = None


def hold_file(file: Path, seconds: float, read_only: bool) -> None:
    """Hold a database file without a place in Loader's queue.

    Only the folder's lock is respected: DuckDB itself may lose a commit where a file is opened
    while another process closes it.
    """
    import duckdb

    from loader.warehouse.duckdb.driver import _lock_folder

    ends = time.monotonic() + 20
    while True:
        try:
            with _lock_folder(file.parent):
                connection = duckdb.connect(file, read_only=read_only)
            break
        except duckdb.IOException:
            if time.monotonic() > ends:
                raise SystemExit(1) from None
            time.sleep(0.005)
    time.sleep(seconds)
    with _lock_folder(file.parent):
        connection.close()
