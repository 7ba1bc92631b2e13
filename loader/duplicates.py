"""Duplicate primary keys of a stream, found in bounded memory before the warehouse sees a row."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from loader.conform.verdicts import show
from loader.errors import FrameError, StageError

TOLD = 5
"""How many duplicated keys a message names."""

GATHERED_BYTES = 16 << 20
"""Keys that are held before they go to DuckDB together."""


class KeyIndex:
    """The keys seen so far, in an in-memory DuckDB that spills to a folder of its own.

    Keys that come in rising order, as they do from a sorted file, need no look-up at all.
    """

    def __init__(self, columns: Sequence[str], *, memory_limit: str = "96MB") -> None:
        self._columns = list(columns)
        self._names = [f"k{at}" for at in range(len(self._columns))]
        self._limit = memory_limit
        self._gathered: list[Any] = []
        self._gathered_bytes = 0
        self._folder: Path | None = None
        self._db: duckdb.DuckDBPyConnection | None = None
        self._rising = True
        self._last: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._gathered.clear()
        if self._db is not None:
            self._db.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def add(self, batch: Any) -> None:
        """Take in the keys of a batch."""
        if batch.num_rows == 0:
            return
        # A copy: a slice of a batch that came through the C interface keeps all of it alive.
        keys = pa.concat_batches([batch.select(self._columns).rename_columns(self._names)])
        self._rising = self._rising and self._still_rising(keys)
        self._last = keys.slice(keys.num_rows - 1)
        self._gathered.append(keys)
        self._gathered_bytes += keys.nbytes
        if self._gathered_bytes >= GATHERED_BYTES:
            self._store()

    def check(self, table: str) -> None:
        """Refuse keys that occur more than once.

        Raises:
            FrameError: there are some; it names the first few, how often each occurs, and how
                many there are in all.
        """
        if self._rising:
            return
        self._store()
        keys = ", ".join(self._names)
        query = (
            f"SELECT {keys}, count(*) AS times, count(*) OVER () AS duplicated FROM keys"
            f" GROUP BY {keys} HAVING count(*) > 1 ORDER BY {keys} LIMIT {TOLD}"
        )
        found = self._run(query).fetchall()
        if found:
            raise _refusal(table, self._columns, found)

    def _still_rising(self, keys: Any) -> bool:
        """Whether each key is greater than the one before it, the last batch's last included."""
        pairs = [(keys.slice(0, keys.num_rows - 1), keys.slice(1))]
        if self._last is not None:
            pairs.append((self._last, keys.slice(0, 1)))
        return all(pc.all(_before(*pair), skip_nulls=False).as_py() for pair in pairs)

    def _store(self) -> None:
        if not self._gathered:
            return
        verb = "CREATE TABLE keys AS" if self._db is None else "INSERT INTO keys"
        database = self._database()
        database.register("gathered", pa.Table.from_batches(self._gathered))
        self._run(f"{verb} SELECT * FROM gathered")
        database.unregister("gathered")
        self._gathered.clear()
        self._gathered_bytes = 0

    def _database(self) -> duckdb.DuckDBPyConnection:
        """The database, opened when there is something to put into it."""
        if self._db is None:
            self._folder = Path(tempfile.mkdtemp(prefix="loader-keys-"))
            self._db = duckdb.connect(
                config={"memory_limit": self._limit, "temp_directory": str(self._folder)}
            )
            self._db.execute("SET preserve_insertion_order = false")
        return self._db

    def _run(self, query: str) -> duckdb.DuckDBPyConnection:
        try:
            return self._database().execute(query)
        except duckdb.Error as error:
            raise StageError(
                f"the primary keys of the load could not be compared: {error}",
                hint=f"they are spilled to {self._folder}; TMPDIR names a disk with more room",
            ) from error


def _before(left: Any, right: Any) -> Any:
    """A mask: where the left row sorts strictly before the right one, column by column."""
    less: Any = pa.scalar(False)
    for first, second in zip(reversed(left.columns), reversed(right.columns), strict=True):
        less = pc.or_kleene(pc.less(first, second), pc.and_kleene(pc.equal(first, second), less))
    return less


def _refusal(table: str, columns: Sequence[str], found: Sequence[Sequence[Any]]) -> FrameError:
    count = found[0][-1]
    noun = "1 primary key occurs" if count == 1 else f"{count:,} primary keys occur"
    lines = [f"{noun} more than once in the data of {table}; nothing was loaded"]
    for *key, times, _ in found:
        cells = ", ".join(
            f"{column} {show(value)}" for column, value in zip(columns, key, strict=True)
        )
        lines.append(f"  {cells}: {times:,} rows")
    if count > len(found):
        lines.append(f"  and {count - len(found):,} more")
    return FrameError("\n".join(lines))
