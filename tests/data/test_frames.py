"""What counts as a frame, and the stream of chunks it becomes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import chain, pairwise
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from loader.data.batches import number_batches
from loader.data.chunk import CHUNK_ROWS, Frame
from loader.data.frames import open_frame
from loader.errors import SourceError

TABLE = pa.table({"a": [1, 2, 3], "b": ["x", None, "z"]})
ROWS = [{"a": 1, "b": "x"}, {"a": 2, "b": None}, {"a": 3, "b": "z"}]


def rows(frame: Frame) -> list[dict[str, object]]:
    """Everything in a frame, as Python objects."""
    found = []
    for chunk in frame.chunks:
        columns = {
            name: values if isinstance(values, list) else values.to_pylist()
            for name, values in chunk.columns.items()
        }
        found += [{name: columns[name][row] for name in columns} for row in range(chunk.rows)]
    return found


class Capsule:
    """Somebody else's table, of which only the protocol is known."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return TABLE.__arrow_c_stream__(requested_schema)


class Batch:
    """Somebody else's record batch."""

    def __arrow_c_array__(self, requested_schema: object = None) -> object:
        return TABLE.to_batches()[0].__arrow_c_array__(requested_schema)


def relation() -> object:
    """The table as a DuckDB relation, with its connection."""
    connection = duckdb.connect()
    connection.register("t", TABLE)
    return connection.sql("SELECT * FROM t")


FRAMES: list[tuple[str, Callable[[], object], int | None]] = [
    ("table", lambda: TABLE, 3),
    ("record batch", lambda: TABLE.to_batches()[0], None),
    ("reader", TABLE.to_reader, None),
    ("capsule", Capsule, None),
    ("batch capsule", Batch, 3),
    ("dataset", lambda: ds.dataset(TABLE), None),
    ("scanner", lambda: ds.dataset(TABLE).scanner(), None),
    ("pandas", TABLE.to_pandas, 3),
    ("pandas objects", lambda: pd.DataFrame(ROWS, dtype=object), 3),
    ("pandas with an index", lambda: TABLE.to_pandas().set_axis([5, 5, 9]), 3),
    ("polars", lambda: pl.DataFrame(ROWS), 3),
    ("lazy polars", lambda: pl.DataFrame(ROWS).lazy(), None),
    ("duckdb", relation, None),
    ("list", lambda: [TABLE.slice(0, 1), pl.DataFrame(ROWS[1:2]), pd.DataFrame(ROWS[2:])], None),
    ("generator", lambda: (TABLE.slice(at, 1) for at in range(3)), None),
    ("other order", lambda: iter([TABLE.slice(0, 1), TABLE.select(["b", "a"]).slice(1)]), None),
    ("dicts", lambda: ROWS, None),
    ("iterator of dicts", lambda: iter(ROWS), None),
    ("lists in lists", lambda: [[TABLE.slice(0, 2)], TABLE.slice(2)], None),
]


@pytest.mark.parametrize(("make", "count"), [f[1:] for f in FRAMES], ids=[f[0] for f in FRAMES])
def test_every_frame_is_the_same_stream(make: Callable[[], object], count: int | None) -> None:
    """Whatever holds the rows, they come out in order under their names."""
    frame = open_frame(make())
    assert frame.columns == ("a", "b")
    assert count is None or frame.rows == count
    assert rows(frame) == ROWS


REFUSED = [
    (5, "type int is not a frame"),
    ("flights.csv", "type str is not a frame"),
    ({"a": [1]}, "type dict is not a frame"),
    (None, "type NoneType is not a frame"),
    ([5], "first item of the list is of type int"),
    ([TABLE, "x"], "item 2 of the stream is of type str"),
    ([TABLE, TABLE.rename_columns(["a", "c"])], "item 2 .* lacks `b` and also has `c`"),
    ([{"a": 1}, TABLE], "item 2 of the rows is of type Table"),
    ([{"a": 1}, "x"], "item 2 of the rows is of type str"),
    ([{1: 1}], "not text: 1"),
    (pa.chunked_array([[1]]), "ChunkedArray is not a frame"),
    (pd.DataFrame([[1, 2]], columns=["a", "a"]), "more than one column named `a`"),
    (pd.DataFrame([[1, 2]]), "not text: 0, 1"),
    (pa.table([[1], [2]], names=["a", "a"]), "more than one column named `a`"),
]


@pytest.mark.parametrize(("frame", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_what_is_not_a_frame_is_refused(frame: object, message: str) -> None:
    """Anything else is told apart by its type, and a frame by its columns."""
    with pytest.raises(SourceError, match=message):
        rows(open_frame(frame))


def test_a_dict_that_is_filled_again_and_again_is_each_row() -> None:
    """A generator may yield one dict with other values; each is a row of its own."""

    def fill() -> Iterator[dict[str, int]]:
        row: dict[str, int] = {}
        for row["a"] in range(3):
            yield row

    assert rows(open_frame(fill())) == [{"a": 0}, {"a": 1}, {"a": 2}]


def test_keys_of_dicts_may_be_missing_but_not_come_late() -> None:
    """A key that a row lacks is NULL; one that occurs after rows were handed on is told."""
    some = [{"a": 1}, {"b": 2}]
    assert rows(open_frame(some)) == [{"a": 1, "b": None}, {"a": None, "b": 2}]
    late = chain(({"a": 1} for _ in range(20_000)), [{"b": 1}])
    with pytest.raises(SourceError, match="row 20,001: the key 'b' first occurs here"):
        rows(open_frame(late))


def test_a_stream_that_breaks_keeps_its_cause() -> None:
    """What a generator or reader raises in mid-stream is the cause of our error."""

    def broken() -> Iterator[object]:
        yield TABLE
        raise KeyError("gone")

    frame = open_frame(broken())
    with pytest.raises(SourceError, match=r"the frame cannot be read: KeyError: 'gone'") as caught:
        rows(frame)
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_lazy_frame_that_fails_is_told() -> None:
    """A query that cannot run is an error when its columns are asked for."""
    with pytest.raises(SourceError, match="ColumnNotFound"):
        open_frame(pl.LazyFrame({"a": [1]}).select("nope"))


def test_an_iterable_is_taken_one_frame_at_a_time() -> None:
    """Only the first part is looked at before the stream is read, and no more than is needed."""
    taken = []
    part = pa.table({"a": range(10_000)})

    def parts() -> Iterator[object]:
        for at in range(3):
            taken.append(at)
            yield part

    frame = open_frame(parts())
    assert taken == [0]
    next(frame.chunks)
    assert taken == [0]
    assert len(rows(frame)) == 20_000


def test_nothing_at_all_is_an_empty_frame() -> None:
    """An iterable without items has neither columns nor rows."""
    frame = open_frame(iter([]))
    assert (frame.columns, list(frame.chunks)) == ((), [])


def test_chunks_are_bounded_and_numbered_through() -> None:
    """No chunk is long, and each knows the number of its first row."""
    size = 2 * CHUNK_ROWS + 5
    for frame in (
        pa.table({"a": np.arange(size)}),
        pd.DataFrame({"a": np.arange(size)}),
        [pa.table({"a": np.arange(CHUNK_ROWS + 1)}), pa.table({"a": np.arange(CHUNK_ROWS + 4)})],
    ):
        chunks = list(open_frame(frame).chunks)
        assert max(chunk.rows for chunk in chunks) <= CHUNK_ROWS
        assert chunks[0].first_row == 1
        for before, after in pairwise(chunks):
            assert after.first_row == before.first_row + before.rows
        assert sum(chunk.rows for chunk in chunks) == size


def test_wide_rows_are_cut_by_bytes() -> None:
    """A batch of many bytes is cut to fewer rows."""
    batch = pa.record_batch({"a": ["x" * (1 << 20)] * 200})
    assert max(chunk.rows for chunk in number_batches([batch], "frame")) < 100


PANDAS: list[tuple[Any, list[object]]] = [
    (pd.Series([1.5, np.nan]), [1.5, None]),
    (pd.Series(["2013-01-01", None], dtype="datetime64[ns]"), [pd.Timestamp("2013-01-01"), None]),
    (pd.Series(pd.Categorical(["x", None])), ["x", None]),
    (pd.Series([True, pd.NA], dtype="boolean"), [True, None]),
    (pd.Series([[1], np.nan, {"a": 1}], dtype=object), [[1], None, {"a": 1}]),
    (pd.Series(pd.arrays.SparseArray([1, 0])), [1, 0]),
    (pd.Series([1j, 2]), [1j, 2]),
]


@pytest.mark.parametrize(("series", "values"), PANDAS, ids=[str(s.dtype) for s, _ in PANDAS])
def test_pandas_columns_mean_what_pandas_means(series: Any, values: list[object]) -> None:
    """Missing values of every pandas kind are NULL, and objects stay objects."""
    assert [row["a"] for row in rows(open_frame(pd.DataFrame({"a": series})))] == values


def test_other_libraries_are_not_imported() -> None:
    """A PyArrow table is opened without pandas or Polars."""
    code = (
        "import sys, pyarrow as pa; from loader.data.frames import open_frame;"
        "import loader.data.cast.conformer;"
        "import loader.data.files.open; list(open_frame(pa.table({'a': pa.nulls(1)})).chunks);"
        "assert not {'pandas', 'polars', 'pyarrow.dataset'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
