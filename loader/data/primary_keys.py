"""Duplicate primary keys of a stream, found in bounded memory before the warehouse sees a row."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from loader.data.cast.errors import show
from loader.data.cast.partition_of_row import strip_trailing_blanks
from loader.errors import FrameError, StageError

TOLD = 5
"""How many duplicated keys a message names."""

GATHERED_BYTES = 16 << 20
"""Keys that are held before they go to disk together."""

PASS_BYTES = 24 << 20
"""Keys that are compared at once. DuckDB could spill, but takes minutes in so little memory."""

_MEMORY = "320MB"
"""The most that comparing them may use."""


class KeyIndex:
    """The keys seen so far: a few in memory, the others in a folder of their own.

    Keys that come in rising order, as they do from a sorted file, need no look-up at all.

    Args:
        columns: The columns of the key.
        ignores_trailing_blanks: Whether the warehouse holds ``'a'`` and ``'a '`` equal, so that
            they are one key.
    """

    def __init__(self, columns: Sequence[str], *, ignores_trailing_blanks: bool = False) -> None:
        self._columns = list(columns)
        self._ignores_trailing_blanks = ignores_trailing_blanks
        self._names = [f"k{at}" for at in range(len(self._columns))]
        self._gathered: list[Any] = []
        self._gathered_bytes = self._spilled_bytes = 0
        self._folder: Path | None = None
        self._file: Any = None
        self._rising = True
        self._last: Any = None
        self._cases = {"lower", "upper"}
        """The cases that all text of the keys is in; none where it is mixed, or not ASCII."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._gathered.clear()
        if self._file is not None:
            with suppress(OSError, pa.ArrowException):  # what it would still write is not wanted
                self._file.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def add(self, batch: Any) -> None:
        """Take in the keys of a batch.

        Raises:
            StageError: they cannot be kept.
        """
        if batch.num_rows == 0:
            return
        # A copy: a slice of a batch that came through the C interface keeps all of it alive.
        keys = pa.concat_batches([batch.select(self._columns).rename_columns(self._names)])
        self._rising = self._rising and self._still_rising(keys)
        self._cases = {case for case in self._cases if _is_in_case(keys, case)}
        self._last = keys.slice(keys.num_rows - 1)
        self._gathered.append(keys)
        self._gathered_bytes += keys.nbytes
        if self._gathered_bytes >= GATHERED_BYTES:
            with self._telling():
                self._spill()

    def check(self, table: str) -> tuple[str, ...]:
        """Refuse keys that occur more than once.

        Returns:
            The first few of those that differ only in case or accents, which a collation of the
            warehouse may hold equal.

        Raises:
            FrameError: there are some; it names the first few, how often each occurs, and how
                many there are in all.
            StageError: they cannot be compared.
        """
        # Equal keys are also alike, so the data is compared twice only where some are.
        alike = _NO_DUPLICATES if self._cases else self._duplicates(self._alike)
        if not self._rising and (self._cases or alike.keys):
            found = self._duplicates(self._equal)
            if found.keys:
                raise _refusal(table, self._columns, found)
        return tuple(", ".join(map(_spelled, self._columns, *pair)) for pair in alike.keys)

    def _duplicates(self, compared: _Compared) -> _Duplicates:
        passes = self._spilled_bytes // PASS_BYTES + 1
        with self._telling():
            parts = [self._twice(compared, at, passes) for at in range(passes)]
            found = sorted(row for part in parts for row in part)[:TOLD]
            return _Duplicates(
                [self._spellings(compared, row[:-2]) for row in found],
                [row[-2] for row in found],
                sum(part[0][-1] for part in parts if part),
            )

    def _twice(self, compared: _Compared, at: int, passes: int) -> list[tuple[Any, ...]]:
        """The first duplicated keys of a share of all keys, which fits into memory.

        Each with how often it occurs, and how many there are in the share.
        """
        keys = ", ".join(compared(name) for name in self._names)
        return self._query(
            f"SELECT {keys}, count(*) AS times, count(*) OVER () AS duplicated FROM keys"
            f" WHERE hash({keys}) % {passes} = {at}"
            f" GROUP BY {keys} HAVING count(*) > 1 ORDER BY {keys} LIMIT {TOLD}"
        )

    def _spellings(self, compared: _Compared, key: Sequence[Any]) -> _Pair:
        """Two keys of the data that are equal to this one; the same twice where there is one."""
        if all(compared(name) == name for name in self._names):
            return key, key
        row = f"row({', '.join(self._names)})"
        same = " AND ".join(f"{compared(name)} = ?" for name in self._names)
        ((first, second),) = self._query(
            f"SELECT min({row}), max({row}) FROM keys WHERE {same}", key
        )
        return first, second

    def _query(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with duckdb.connect(config={"memory_limit": _MEMORY}) as database:
            database.execute("SET preserve_insertion_order = false")
            database.register("keys", self._all())
            return database.execute(query, values).fetchall()

    def _equal(self, name: str) -> str:
        """What DuckDB is to compare of a column of the key, so that it finds equal keys."""
        trims = self._ignores_trailing_blanks and self._is_text(name)
        return f"rtrim({name}, ' ')" if trims else name

    def _alike(self, name: str) -> str:
        """What it is to compare so that it finds keys that differ only in case or accents."""
        return f"strip_accents(lower({self._equal(name)}))" if self._is_text(name) else name

    def _is_text(self, name: str) -> bool:
        return bool(pa.types.is_string(self._last.schema.field(name).type))

    def _still_rising(self, keys: Any) -> bool:
        """Whether each key is greater than the one before it, the last batch's last included."""
        pairs = [(keys.slice(0, keys.num_rows - 1), keys.slice(1))]
        if self._last is not None:
            pairs.append((self._last, keys.slice(0, 1)))
        if self._ignores_trailing_blanks:
            pairs = [(_trimmed(left), _trimmed(right)) for left, right in pairs]
        return all(pc.all(_before(*pair), skip_nulls=False).as_py() for pair in pairs)

    def _spill(self) -> None:
        if self._file is None:
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            path = self._place() / "keys.arrow"
            self._file = pa.ipc.new_stream(str(path), self._last.schema, options=options)
        for keys in self._gathered:
            self._file.write_batch(keys)
        self._gathered.clear()
        self._spilled_bytes += self._gathered_bytes
        self._gathered_bytes = 0

    def _all(self) -> pa.RecordBatchReader:
        """All keys, as a stream."""
        spilled: Iterable[Any] = ()
        if self._file is not None:
            self._file.close()
            spilled = pa.ipc.open_stream(pa.OSFile(str(self._place() / "keys.arrow")))
        return pa.RecordBatchReader.from_batches(self._last.schema, chain(spilled, self._gathered))

    def _place(self) -> Path:
        """The folder, made when there is something to put into it."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="loader-keys-"))
        return self._folder

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except (duckdb.Error, OSError, pa.ArrowException) as error:
            raise StageError(
                f"the primary keys of the load could not be compared: {error}",
                hint=f"they are spilled to {self._folder}; TMPDIR names a disk with more room",
            ) from error


_Compared = Callable[[str], str]
"""What DuckDB compares of a column."""

_Pair = tuple[Sequence[Any], Sequence[Any]]
"""Two keys that are held equal."""


@dataclass(frozen=True)
class _Duplicates:
    """Keys that occur more than once."""

    keys: Sequence[_Pair]
    """The first few."""
    times: Sequence[int]
    """How often each of them occurs."""
    count: int
    """How many there are in all."""


_NO_DUPLICATES = _Duplicates((), (), 0)


def _is_in_case(keys: Any, case: str) -> bool:
    """Whether all text is ASCII without letters of the other case."""
    convert = pc.ascii_lower if case == "lower" else pc.ascii_upper
    return all(
        pc.all(pc.and_(pc.string_is_ascii(text), pc.equal(text, convert(text)))).as_py()
        for text in keys.columns
        if pa.types.is_string(text.type)
    )


def _trimmed(keys: Any) -> Any:
    """The keys without blanks at the end of text."""
    return pa.RecordBatch.from_arrays(
        [strip_trailing_blanks(one) for one in keys.columns], keys.schema.names
    )


def _before(left: Any, right: Any) -> Any:
    """A mask: where the left row sorts strictly before the right one, column by column."""
    less: Any = pa.scalar(False)
    for first, second in zip(reversed(left.columns), reversed(right.columns), strict=True):
        less = pc.or_kleene(pc.less(first, second), pc.and_kleene(pc.equal(first, second), less))
    return less


def _refusal(table: str, columns: Sequence[str], found: _Duplicates) -> FrameError:
    count = found.count
    noun = "1 primary key occurs" if count == 1 else f"{count:,} primary keys occur"
    lines = [f"{noun} more than once in the data of {table}; nothing was loaded"]
    hint = None
    for (first, second), rows in zip(found.keys, found.times, strict=True):
        cells = ", ".join(map(_spelled, columns, first, second))
        lines.append(f"  {cells}: {rows:,} rows")
        if any(isinstance(a, str) and a != b for a, b in zip(first, second, strict=True)):
            hint = (
                "the warehouse ignores blanks at the end of text, so these are one key to it: trim"
                " them in the data, and keep one row of each key"
            )
    if count > len(found.keys):
        lines.append(f"  and {count - len(found.keys):,} more")
    return FrameError("\n".join(lines), hint=hint)


def _spelled(column: str, first: Any, second: Any) -> str:
    """A cell of a key; in both ways, when the rows spell text differently."""
    other = f" and {show(second)}" if isinstance(first, str) and first != second else ""
    return f"{column} {show(first)}{other}"
