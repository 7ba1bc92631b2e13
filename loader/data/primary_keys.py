"""Finds duplicate primary keys in a stream, in bounded memory, before anything is loaded."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from loader.data.cast.errors import show
from loader.data.cast.partition_of_row import strip_trailing_blanks
from loader.data.key_spill import HASH, OPTIONS, BufferedPart, KeyPart, KeySpill, gather
from loader.errors import FrameError, StageError
from loader.interrupts import query_rows
from loader.memory_database import open_memory_database

SHOWN_KEYS = 5
"""The most duplicate keys that an error lists."""

BUFFER_BYTES = 16 << 20
"""Bytes of keys that are buffered before they are written to disk."""

PASS_BYTES = 24 << 20
"""Bytes of keys that are compared at once; spilling by DuckDB itself would take minutes."""

_FEW_BYTES = 1 << 20
"""Bytes of keys below which opening a database takes longer than comparing them."""

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
        self._buffered_bytes = 0
        self._folder: Path | None = None
        self._sorted: Any = None
        self._parts: KeySpill | None = None
        self._database: duckdb.DuckDBPyConnection | None = None
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
        if self._database is not None:
            self._database.close()
            self._database = None
        for file in (self._sorted, self._parts):
            if file is not None:
                with suppress(OSError, pa.ArrowException):  # its end mark is not needed
                    file.close()
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
        if self._last is None or (self._ascending and self._cases):
            return ()
        with self._raise_stage_errors():
            similar, equal = self._compare_all()
        if equal.rows:
            raise _duplicates_error(table, self._columns, equal)
        return tuple(", ".join(map(_show_cell, self._columns, *pair)) for pair in similar.keys)

    def _compare_all(self) -> tuple[_Duplicates, _Duplicates]:
        """The keys that are similar, and those that are equal, where there may be some.

        Such keys have one hash, so that hardly any key is looked at where there are none.
        """
        similar, equal = _Duplicates(), _Duplicates()
        wanted: list[tuple[_Duplicates, _Compared]] = []
        if not self._cases:  # otherwise only equal keys are similar
            wanted.append((similar, self._similarity_expression))
        if not self._ascending:
            wanted.append((equal, self._equality_expression))
        for part in self._read_parts():
            hashes = part.repeated_hashes()
            if hashes is None or len(hashes):
                for found, compared in wanted:
                    found.add(self._find_in_part(compared, part.keys(hashes)))
        return similar, equal

    def _find_in_part(self, compared: _Compared, keys: Iterable[Any]) -> list[tuple[Any, ...]]:
        """The first duplicate keys in a part of all keys.

        Each row has the key, two of its spellings, its count, and the number of duplicate keys.
        """
        row = f"row({', '.join(self._names)})"
        key = ", ".join(map(compared, self._names))
        same = all(compared(name) == name for name in self._names)
        spellings = f"row({key}), row({key})" if same else f"min({row}), max({row})"
        found: list[tuple[Any, ...]] = self._run_query(
            f"SELECT {key}, {spellings}, count(*), count(*) OVER () FROM keys"
            f" GROUP BY {key} HAVING count(*) > 1 ORDER BY {key} LIMIT {SHOWN_KEYS}",
            pa.RecordBatchReader.from_batches(self._last.schema, keys),
            lambda result: result.fetchall(),
        )
        return found

    def _run_query(
        self, query: str, keys: Any, fetch: Callable[[duckdb.DuckDBPyRelation], Any]
    ) -> Any:
        if self._database is None:
            few = self._folder is None and self._buffered_bytes < _FEW_BYTES
            self._database = (
                open_memory_database() if few else duckdb.connect(config={"memory_limit": _MEMORY})
            )
        return query_rows(self._database, "keys", keys, query, fetch)

    def _add_hashes(self, keys: Any) -> Any:
        """A table of keys with their hashes, which are equal where keys are equal or similar."""
        compared = ", ".join(map(self._similarity_expression, self._names))
        # DuckDB keeps the order of the rows.
        hashes = self._run_query(
            f"SELECT hash({compared}) AS hash FROM keys",
            keys,
            lambda result: result.to_arrow_table()["hash"].combine_chunks(),
        )
        return keys.append_column(HASH, hashes)

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
        if self._ascending:
            # As long as keys ascend, it is not known whether they will be compared at all.
            if self._sorted is None:
                path = str(self._make_folder() / "sorted.arrow")
                self._sorted = pa.ipc.new_stream(path, self._last.schema, options=OPTIONS)
            for keys in self._buffer:
                self._sorted.write_batch(keys)
        else:
            self._write_parts(pa.Table.from_batches(self._buffer))
        self._buffer.clear()
        self._buffered_bytes = 0

    def _write_parts(self, keys: Any) -> None:
        if self._parts is None:
            self._parts = KeySpill(self._make_folder() / "parts.arrow")
        self._parts.write(self._add_hashes(keys))

    def _read_parts(self) -> Iterator[KeyPart]:
        """All keys, in parts; each is to be used before the next."""
        if self._folder is None:
            yield BufferedPart(self._add_hashes(pa.Table.from_batches(self._buffer)))
            return
        if self._sorted is not None:
            self._sorted.close()
            with pa.OSFile(str(self._folder / "sorted.arrow")) as file:
                for keys in gather(pa.ipc.open_stream(file), BUFFER_BYTES):
                    self._write_parts(keys)
        if self._buffer:
            self._write_parts(pa.Table.from_batches(self._buffer))
            self._buffer.clear()
        if self._parts is not None:
            yield from self._parts.parts(PASS_BYTES, BUFFER_BYTES)

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
"""Two spellings of keys that are treated as equal; the same twice where there is only one."""


@dataclass
class _Duplicates:
    """Keys that occur more than once."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    """The first few, as `KeyIndex._find_in_part` returns them."""
    count: int = 0
    """The number of duplicate keys in total."""

    def add(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Add those of a part."""
        self.rows = sorted([*self.rows, *rows], key=_sort_key)[:SHOWN_KEYS]
        self.count += rows[0][-1] if rows else 0

    @property
    def keys(self) -> list[_Pair]:
        """The first few, in two spellings."""
        return [(row[-4], row[-3]) for row in self.rows]

    @property
    def times(self) -> list[int]:
        """The number of rows of each of them."""
        return [row[-2] for row in self.rows]


def _sort_key(row: tuple[Any, ...]) -> list[tuple[bool, Any]]:
    """Keys in the order of SQL, where NaN is behind all numbers."""
    nan = [isinstance(value, float) and math.isnan(value) for value in row[:-4]]
    return [(last, 0 if last else value) for last, value in zip(nan, row, strict=False)]


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
