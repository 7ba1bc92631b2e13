"""Finds duplicate primary keys in a stream, in bounded memory, before anything is loaded."""

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

SHOWN_KEYS = 5
"""The most duplicate keys that an error lists."""

BUFFER_BYTES = 16 << 20
"""Bytes of keys that are buffered before they are written to disk."""

PASS_BYTES = 24 << 20
"""Bytes of keys that are compared at once; spilling by DuckDB itself would take minutes."""

_MEMORY = "320MB"
"""The memory limit of DuckDB while it compares keys."""


class KeyIndex:
    """Collects the primary keys of a load: in memory, and in a temporary folder beyond a limit.

    Keys in strictly ascending order, as from a sorted file, need not be compared at all.

    Args:
        columns: The columns of the key.
        ignores_trailing_blanks: Whether the warehouse treats ``'a'`` and ``'a '`` as equal.
    """

    def __init__(self, columns: Sequence[str], *, ignores_trailing_blanks: bool = False) -> None:
        self._columns = list(columns)
        self._ignores_trailing_blanks = ignores_trailing_blanks
        self._names = [f"k{at}" for at in range(len(self._columns))]
        self._buffer: list[Any] = []
        self._buffered_bytes = self._spilled_bytes = 0
        self._folder: Path | None = None
        self._file: Any = None
        self._ascending = True
        self._last: Any = None
        self._cases = {"lower", "upper"}
        """The letter cases that all text of the keys has; none where it is mixed, or not ASCII."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._buffer.clear()
        if self._file is not None:
            with suppress(OSError, pa.ArrowException):  # its end mark is not needed
                self._file.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def add(self, batch: Any) -> None:
        """Add the keys of a batch.

        Raises:
            StageError: they cannot be written to disk.
        """
        if batch.num_rows == 0:
            return
        # A copy: a slice of a batch from the C interface keeps the whole batch in memory.
        keys = pa.concat_batches([batch.select(self._columns).rename_columns(self._names)])
        self._ascending = self._ascending and self._is_ascending(keys)
        self._cases = {case for case in self._cases if _has_case(keys, case)}
        self._last = keys.slice(keys.num_rows - 1)
        self._buffer.append(keys)
        self._buffered_bytes += keys.nbytes
        if self._buffered_bytes >= BUFFER_BYTES:
            with self._raise_stage_errors():
                self._spill()

    def check(self, table: str) -> tuple[str, ...]:
        """Fail when a key occurs more than once.

        Args:
            table: The name of the table, for the message.

        Returns:
            The first few keys that differ only in case or accents, which a collation of the
            warehouse may treat as equal.

        Raises:
            FrameError: keys occur more than once; it lists the first few and the total.
            StageError: the keys cannot be compared.
        """
        # Equal keys are similar too, so the data is only compared twice where some are similar.
        similar = (
            _NO_DUPLICATES if self._cases else self._find_duplicates(self._similarity_expression)
        )
        if not self._ascending and (self._cases or similar.keys):
            found = self._find_duplicates(self._equality_expression)
            if found.keys:
                raise _duplicates_error(table, self._columns, found)
        return tuple(", ".join(map(_show_cell, self._columns, *pair)) for pair in similar.keys)

    def _find_duplicates(self, compared: _Compared) -> _Duplicates:
        passes = self._spilled_bytes // PASS_BYTES + 1
        with self._raise_stage_errors():
            parts = [self._find_in_share(compared, at, passes) for at in range(passes)]
            found = sorted(row for part in parts for row in part)[:SHOWN_KEYS]
            return _Duplicates(
                [self._find_spellings(compared, row[:-2]) for row in found],
                [row[-2] for row in found],
                sum(part[0][-1] for part in parts if part),
            )

    def _find_in_share(self, compared: _Compared, at: int, passes: int) -> list[tuple[Any, ...]]:
        """The first duplicate keys in a share of all keys, which fits into memory.

        Each row has the key, its count, and the number of duplicate keys in the share.
        """
        keys = ", ".join(compared(name) for name in self._names)
        return self._run_query(
            f"SELECT {keys}, count(*) AS times, count(*) OVER () AS duplicated FROM keys"
            f" WHERE hash({keys}) % {passes} = {at}"
            f" GROUP BY {keys} HAVING count(*) > 1 ORDER BY {keys} LIMIT {SHOWN_KEYS}"
        )

    def _find_spellings(self, compared: _Compared, key: Sequence[Any]) -> _Pair:
        """Two spellings of a compared key in the data; the same twice where there is only one."""
        if all(compared(name) == name for name in self._names):
            return key, key
        row = f"row({', '.join(self._names)})"
        same = " AND ".join(f"{compared(name)} = ?" for name in self._names)
        ((first, second),) = self._run_query(
            f"SELECT min({row}), max({row}) FROM keys WHERE {same}", key
        )
        return first, second

    def _run_query(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with duckdb.connect(config={"memory_limit": _MEMORY}) as database:
            database.execute("SET preserve_insertion_order = false")
            database.register("keys", self._read_all_keys())
            return database.execute(query, values).fetchall()

    def _equality_expression(self, name: str) -> str:
        """The SQL expression of a key column by which equal keys are found."""
        trims = self._ignores_trailing_blanks and self._is_text(name)
        return f"rtrim({name}, ' ')" if trims else name

    def _similarity_expression(self, name: str) -> str:
        """The SQL expression by which keys that differ only in case or accents are found."""
        return (
            f"strip_accents(lower({self._equality_expression(name)}))"
            if self._is_text(name)
            else name
        )

    def _is_text(self, name: str) -> bool:
        return bool(pa.types.is_string(self._last.schema.field(name).type))

    def _is_ascending(self, keys: Any) -> bool:
        """Whether each key is greater than the one before it, also across batches."""
        pairs = [(keys.slice(0, keys.num_rows - 1), keys.slice(1))]
        if self._last is not None:
            pairs.append((self._last, keys.slice(0, 1)))
        if self._ignores_trailing_blanks:
            pairs = [(_strip_blanks(left), _strip_blanks(right)) for left, right in pairs]
        return all(pc.all(_sorts_before(*pair), skip_nulls=False).as_py() for pair in pairs)

    def _spill(self) -> None:
        if self._file is None:
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            path = self._make_folder() / "keys.arrow"
            self._file = pa.ipc.new_stream(str(path), self._last.schema, options=options)
        for keys in self._buffer:
            self._file.write_batch(keys)
        self._buffer.clear()
        self._spilled_bytes += self._buffered_bytes
        self._buffered_bytes = 0

    def _read_all_keys(self) -> pa.RecordBatchReader:
        """All keys, as a stream."""
        spilled: Iterable[Any] = ()
        if self._file is not None:
            self._file.close()
            spilled = pa.ipc.open_stream(pa.OSFile(str(self._make_folder() / "keys.arrow")))
        return pa.RecordBatchReader.from_batches(self._last.schema, chain(spilled, self._buffer))

    def _make_folder(self) -> Path:
        """The temporary folder, which is created on the first call."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="loader-keys-"))
        return self._folder

    @contextmanager
    def _raise_stage_errors(self) -> Iterator[None]:
        try:
            yield
        except (duckdb.Error, OSError, pa.ArrowException) as error:
            raise StageError(
                f"the primary keys of the load could not be compared: {error}",
                hint=f"they are spilled to {self._folder}; set TMPDIR to a disk with more space",
            ) from error


_Compared = Callable[[str], str]
"""Returns the SQL expression by which a key column is compared."""

_Pair = tuple[Sequence[Any], Sequence[Any]]
"""Two keys that are treated as equal."""


@dataclass(frozen=True)
class _Duplicates:
    """Keys that occur more than once."""

    keys: Sequence[_Pair]
    """The first few."""
    times: Sequence[int]
    """The number of rows of each of them."""
    count: int
    """The number of duplicate keys in total."""


_NO_DUPLICATES = _Duplicates((), (), 0)


def _has_case(keys: Any, case: str) -> bool:
    """Whether all text is ASCII without letters of the other case."""
    convert = pc.ascii_lower if case == "lower" else pc.ascii_upper
    return all(
        pc.all(pc.and_(pc.string_is_ascii(text), pc.equal(text, convert(text)))).as_py()
        for text in keys.columns
        if pa.types.is_string(text.type)
    )


def _strip_blanks(keys: Any) -> Any:
    """The keys without trailing blanks."""
    return pa.RecordBatch.from_arrays(
        list(map(strip_trailing_blanks, keys.columns)), keys.schema.names
    )


def _sorts_before(left: Any, right: Any) -> Any:
    """A mask: where the left row sorts strictly before the right one, column by column."""
    less: Any = pa.scalar(False)
    for first, second in zip(reversed(left.columns), reversed(right.columns), strict=True):
        less = pc.or_kleene(pc.less(first, second), pc.and_kleene(pc.equal(first, second), less))
    return less


def _duplicates_error(table: str, columns: Sequence[str], found: _Duplicates) -> FrameError:
    count = found.count
    noun = "1 primary key occurs" if count == 1 else f"{count:,} primary keys occur"
    lines = [f"{noun} more than once in the data of {table}; nothing was loaded"]
    hint = None
    for (first, second), rows in zip(found.keys, found.times, strict=True):
        cells = ", ".join(map(_show_cell, columns, first, second))
        lines.append(f"  {cells}: {rows:,} rows")
        if any(
            isinstance(one, str) and one != other for one, other in zip(first, second, strict=True)
        ):
            hint = (
                "the warehouse ignores trailing blanks, so these are one key: trim them in the"
                " data, and keep one row of each key"
            )
    if count > len(found.keys):
        lines.append(f"  and {count - len(found.keys):,} more")
    return FrameError("\n".join(lines), hint=hint)


def _show_cell(column: str, first: Any, second: Any) -> str:
    """One column of a key; in both spellings where the rows differ."""
    other = f" and {show(second)}" if isinstance(first, str) and first != second else ""
    return f"{column} {show(first)}{other}"
