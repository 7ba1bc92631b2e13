"""Time stamps of Parquet's INT96: the file's own, wherever Parquet is read."""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loader.data.cast.conformer import Conformer
from loader.data.cast.match_columns import match_columns
from loader.data.chunk import Frame
from loader.data.files.open import open_files
from loader.data.frames import open_frame
from loader.errors import FrameError
from loader.inference.infer import infer_files
from loader.spec.model import Source, TableSpec

END = datetime(9999, 12, 31)
LATE = datetime(9999, 12, 31, 23, 59, 59, 999_999)
NOON = datetime(2026, 1, 1, 12, 0, 0, 1)
EARLY = datetime(1, 1, 1)

READERS: dict[str, Callable[[Path], Frame]] = {
    "file": lambda path: open_files([str(path)], Source()),
    "dataset": lambda path: open_frame(ds.dataset(path)),
    "dataset of a folder": lambda path: open_frame(ds.dataset(path.parent, format="parquet")),
    "datasets": lambda path: open_frame(ds.dataset([ds.dataset(path)])),
}


def write(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    """A file as Spark and Impala write it."""
    pq.write_table(pa.table(columns), path, use_deprecated_int96_timestamps=True, **options)
    return path


def write_nanoseconds(path: Path, stamps: list[tuple[datetime, int]], **more: Any) -> Path:
    """A file with time stamps and nanoseconds beside them, which Arrow itself cannot write."""
    marks = [datetime(1970 + at // 300, 1, 1, 0, 0, 0, at % 300 + 1) for at in range(len(stamps))]
    columns = {"at": pa.array(marks, pa.timestamp("us")), **more}
    write(path, columns, compression="none", use_dictionary=False)
    content = path.read_bytes()
    for mark, (stamp, nanoseconds) in zip(marks, stamps, strict=True):
        assert content.count(int96(mark)) == 1
        content = content.replace(int96(mark), int96(stamp, nanoseconds))
    path.write_bytes(content)
    return path


def int96(stamp: datetime, nanoseconds: int = 0) -> bytes:
    """Nanoseconds of the day and the Julian day."""
    midnight = datetime(stamp.year, stamp.month, stamp.day)
    clock = (stamp - midnight).seconds * 10**9 + stamp.microsecond * 1000 + nanoseconds
    return struct.pack("<qi", clock, stamp.toordinal() + 1_721_425)


def load(frame: Frame, data_type: str = "timestamp", **contract: Any) -> tuple[list[Any], Any]:
    """The values of the column `at`, and what was set aside."""
    columns = [{"name": "at", "data_type": data_type}]
    spec = TableSpec.model_validate(
        {
            "schema": "s",
            "name": "t",
            "columns": columns,
            "schema_contract": {"extra_columns": "ignore", **contract},
        }
    )
    conformer = Conformer(spec, match_columns(spec, frame.columns))
    values: list[Any] = []
    rejects: list[Any] = []
    for chunk in frame.chunks:
        conformed = conformer.conform(chunk)
        values += conformed.batch["at"].to_pylist()
        rejects += conformed.rejects.to_pylist() if conformed.rejects else []
    conformer.finish()
    return values, rejects


@pytest.mark.parametrize("reader", READERS)
def test_a_time_stamp_of_any_year_is_read(tmp_path: Path, reader: str) -> None:
    """The end of time that Spark writes is that, and so is what lies before 1677."""
    stamps = [END, LATE, NOON, None, EARLY]
    path = write(tmp_path / "t.parquet", {"at": pa.array(stamps, pa.timestamp("us"))})
    assert load(READERS[reader](path))[0] == stamps


@pytest.mark.parametrize("reader", READERS)
def test_a_date_at_the_end_of_time_is_read(tmp_path: Path, reader: str) -> None:
    """Midnights are dates, of any year."""
    path = write(tmp_path / "t.parquet", {"at": pa.array([END], pa.timestamp("us"))})
    assert load(READERS[reader](path), "date")[0] == [date(9999, 12, 31)]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("stamp", [NOON, LATE, EARLY], ids=str)
def test_what_is_finer_than_a_microsecond_is_refused(
    tmp_path: Path, reader: str, stamp: datetime
) -> None:
    """Nanoseconds are not cut off, and only their rows are refused."""
    given_ = [(NOON, 0), (stamp, 1), (END, 0)]
    path = write_nanoseconds(tmp_path / "t.parquet", given_)
    with pytest.raises(FrameError, match=r"row 2: .* finer than a microsecond") as caught:
        load(READERS[reader](path))
    assert "row 1" not in caught.value.message
    values, rejects = load(READERS[reader](path), bad_rows="reject", max_rejects=1)
    assert values == [NOON, END]
    assert [reject["_row"] for reject in rejects] == [2]


@pytest.mark.parametrize("reader", READERS)
def test_time_stamps_in_documents_are_the_files_own(tmp_path: Path, reader: str) -> None:
    """INT96 inside of lists and structs is exact too."""
    kind = pa.list_(pa.struct([("t", pa.timestamp("us")), ("n", pa.int64())]))
    array = pa.array([[{"t": END, "n": 1}], None, []], kind)
    path = write(tmp_path / "t.parquet", {"at": array})
    values, _ = load(READERS[reader](path), "super")
    assert values == ['[{"t":"9999-12-31T00:00:00","n":1}]', None, "[]"]


def test_a_filter_looks_at_the_files_own_time_stamps(tmp_path: Path) -> None:
    """A filtered dataset keeps the rows that fulfil it, numbered through."""
    path = write(
        tmp_path / "t.parquet",
        {"n": range(4), "at": pa.array([END, NOON, LATE, EARLY], pa.timestamp("us"))},
    )
    found = open_frame(ds.dataset(path).filter(pc.field("at") > datetime(2026, 1, 1)))
    (chunk,) = found.chunks
    assert (chunk.rows, chunk.first_row) == (3, 1)
    assert chunk.columns["n"].to_pylist() == [0, 1, 2]
    assert chunk.columns["at"].to_pylist() == [END, NOON, LATE]


def test_a_dataset_of_many_files_keeps_its_partitions(tmp_path: Path) -> None:
    """Columns of the paths, files with other columns and files without INT96 come together."""
    for at, options in enumerate([{}, {"n": [1]}, {}]):
        folder = tmp_path / f"p={at}"
        folder.mkdir()
        stamp = END if at < 2 else NOON
        columns = {"at": pa.array([stamp], pa.timestamp("us")), **options}
        pq.write_table(
            pa.table(columns), folder / "t.parquet", use_deprecated_int96_timestamps=at < 2
        )
    schema = pa.schema([("at", pa.timestamp("ns")), ("n", pa.int64()), ("p", pa.int32())])
    frame = open_frame(ds.dataset(tmp_path, schema, partitioning="hive"))
    assert frame.columns == ("at", "n", "p")
    rows = [
        row
        for chunk in frame.chunks
        for row in zip(*(values.to_pylist() for values in chunk.columns.values()), strict=True)
    ]
    assert rows == [(END, None, 0), (END, 1, 1), (NOON, None, 2)]


def test_long_files_are_read_in_step(tmp_path: Path) -> None:
    """Chunks that are cut otherwise than the batches of the file keep each row's own stamp."""
    size = 70_001
    stamps = pc.add(pa.array(range(size)), 253_402_214_400_000_000).cast(pa.timestamp("us"))
    text = pa.array(["x" * 2_000] * size)
    path = write(tmp_path / "t.parquet", {"s": text, "at": stamps}, row_group_size=30_000)
    frame = open_files([str(path)], Source())
    found = pa.chunked_array([chunk.columns["at"] for chunk in frame.chunks])
    assert found.equals(pa.chunked_array([stamps]))


def test_an_inferred_table_takes_the_end_of_time(tmp_path: Path) -> None:
    """What is inferred from a file with INT96 is a timestamp, with the file's own range."""
    path = write(tmp_path / "t.parquet", {"at": pa.array([END, NOON], pa.timestamp("us"))})
    draft = infer_files([str(path)], schema="s", name="t")
    assert str(draft.spec.columns[0].data_type) == "timestamp"
    assert "9999-12-31" in str(draft.remarks)


STAMPS = st.tuples(st.datetimes(datetime(1, 1, 1), LATE), st.sampled_from([0, 0, 0, 1, 999]))


@settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(st.lists(STAMPS, min_size=1, max_size=6))
def test_int96_is_exact_or_refused(tmp_path: Path, stamps: list[tuple[datetime, int]]) -> None:
    """Whole microseconds of the years 1 to 9999 are stored, and all else is refused."""
    path = write_nanoseconds(tmp_path / "t.parquet", stamps)
    for reader in ("file", "dataset"):
        values, rejects = load(READERS[reader](path), bad_rows="reject", max_rejects=9)
        assert values == [stamp for stamp, nanoseconds in stamps if not nanoseconds]
        fine = [at for at, (_, nanoseconds) in enumerate(stamps, 1) if nanoseconds]
        assert [reject["_row"] for reject in rejects] == fine
