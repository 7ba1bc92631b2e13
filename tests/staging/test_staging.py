"""Staging makes a stream files of one size, in constant memory, and leaves nothing behind."""

from __future__ import annotations

import errno
import io
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from loader.config import DuckDBTarget
from loader.errors import StageError
from loader.project import Project
from loader.spec.model import Staging
from loader.staging.keep import apply_keep
from loader.staging.staged import Staged
from loader.staging.stager import Stager
from loader.staging.stores.base import Store
from loader.staging.stores.local import FolderStore
from loader.staging.stores.open import open_store
from tests.conftest import MakeProject

SCHEMA = pa.schema([("id", pa.int64()), ("noise", pa.binary())])
PREFIX = "nyc/flights/load-1"
PARTIAL = Staging(format="csv", compression="none", file_size=1 << 20, keep="never")
"""Small files of a format that is written as it comes."""


def _batch(rows: int, start: int = 0, width: int = 100) -> pa.RecordBatch:
    """Rows with numbers in order and bytes that no codec can shorten."""
    noise = os.urandom(rows * width)
    values = [noise[n : n + width] for n in range(0, len(noise), width)]
    return pa.record_batch(
        [pa.array(range(start, start + rows), pa.int64()), pa.array(values, pa.binary())],
        schema=SCHEMA,
    )


def _batches(total: int, rows: int = 10_000) -> Iterator[pa.RecordBatch]:
    for start in range(0, total, rows):
        yield _batch(min(rows, total - start), start)


def _ids(path: str) -> list[int]:
    if path.endswith(".parquet"):
        table = pq.read_table(path, columns=["id"])
    else:
        table = pa.csv.read_csv(path)
    return list(table["id"].to_pylist())


def _files(root: Path) -> list[str]:
    """Everything below a folder, empty folders too."""
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*"))


def _writers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "loader-staging"]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FolderStore]:
    """A store in an odd folder; no writer may outlive its test."""
    yield FolderStore(tmp_path / 'it\'s a [root] "ü"')
    assert not _writers()


def _stage(
    store: Store, staging: Staging, batches: Iterable[pa.RecordBatch], *, writers: int | None = None
) -> Staged:
    """Stage a whole stream, as a load does."""
    batches = iter(batches)
    first = next(batches)
    with Stager(store, PREFIX, first.schema, staging, writers=writers) as stager:
        for batch in itertools.chain([first], batches):
            stager.write(batch)
        return stager.finish()


class _Wrapped(FolderStore):
    """A folder whose files do something else than being written."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.gate = threading.Event()
        self.room = sys.maxsize

    @contextmanager
    def create(self, key: str) -> Iterator[io.BufferedIOBase]:
        outer = self

        class File(io.BytesIO):
            def write(self, data: bytes) -> int:  # type: ignore[override]  # only bytes come
                outer.gate.wait(10)
                outer.room -= len(data)
                if outer.room < 0:
                    raise OSError(errno.ENOSPC, "No space left on device")
                return file.write(data)

        with super().create(key) as file:
            yield File()


# ---------------------------------------------------------------- files and the manifest


def test_rows_arrive_once_and_in_order(store: FolderStore) -> None:
    """With one writer the files, in their order, hold the stream in its order."""
    staging = Staging(file_size=1 << 20)
    staged = _stage(store, staging, _batches(60_000), writers=1)
    assert len(staged.files) > 3
    assert [row for file in staged.files for row in _ids(file.uri)] == list(range(60_000))
    assert [Path(file.uri).name for file in staged.files] == [
        f"part-{number:05d}.parquet" for number in range(len(staged.files))
    ]


@pytest.mark.parametrize("form", ["parquet", "csv", "json"])
def test_several_writers_lose_nothing(store: FolderStore, form: str) -> None:
    """With several writers each row is in one file, and each file keeps the stream's order."""
    staging = Staging.model_validate({"format": form, "compression": "none", "file_size": "1MB"})
    staged = _stage(store, staging, _batches(60_000), writers=3)
    if form == "json":
        rows = [
            [int(json.loads(line)["id"]) for line in Path(file.uri).read_text().splitlines()]
            for file in staged.files
        ]
    else:
        rows = [_ids(file.uri) for file in staged.files]
    assert all(part == sorted(part) for part in rows)
    assert sorted(row for part in rows for row in part) == list(range(60_000))
    assert [file.rows for file in staged.files] == list(map(len, rows))
    assert staged.rows == 60_000


def test_the_manifest_lists_what_is_there(store: FolderStore) -> None:
    """The manifest has the URL, size and rows of each file, all mandatory."""
    staging = Staging(format="csv", compression="gzip", file_size=1 << 20)
    staged = _stage(store, staging, _batches(30_000))
    entries = json.loads(Path(staged.manifest).read_text())["entries"]
    assert len(entries) == len(staged.files) > 1
    for entry, file in zip(entries, staged.files, strict=True):
        assert entry == {
            "url": file.uri,
            "mandatory": True,
            "meta": {"content_length": Path(file.uri).stat().st_size, "record_count": file.rows},
        }
    assert staged.bytes == sum(entry["meta"]["content_length"] for entry in entries)
    assert Path(staged.prefix) == Path(store.root, PREFIX) == Path(staged.manifest).parent


def test_no_rows_no_files(store: FolderStore) -> None:
    """A stream without rows, or of empty batches, leaves a manifest that lists nothing."""
    staged = _stage(store, Staging(), [_batch(0)])
    assert (staged.files, staged.rows, staged.bytes) == ((), 0, 0)
    assert json.loads(Path(staged.manifest).read_text()) == {"entries": []}
    assert [key for key, _ in store.list(PREFIX)] == [f"{PREFIX}/manifest.json"]


def test_a_small_load_is_one_file_of_one_writer(store: FolderStore) -> None:
    """Many tiny batches make one file with one row group, whatever the number of writers."""
    with Stager(store, PREFIX, SCHEMA, Staging(), writers=4) as stager:
        for batch in _batches(5_000, rows=10):
            stager.write(batch)
        assert not _writers()
        staged = stager.finish()
    assert len(staged.files) == 1
    assert pq.read_metadata(staged.files[0].uri).num_row_groups == 1
    assert _ids(staged.files[0].uri) == list(range(5_000))


@pytest.mark.parametrize("form", ["parquet", "csv", "json"])
@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("noisy", [True, False], ids=["noise", "repeats"])
def test_files_have_about_the_size_asked_for(
    store: FolderStore, form: str, compression: str, noisy: bool
) -> None:
    """Every file but the last is within a quarter of `file_size`, however well the rows pack."""
    size = 8 << 20
    staging = Staging.model_validate(
        {"format": form, "compression": compression, "file_size": size}
    )
    batch = _batch(50_000, width=100 if noisy else 4)
    with Stager(store, PREFIX, SCHEMA, staging, writers=1) as stager:
        while len(store.list(PREFIX)) < 3:
            stager.write(batch)
        staged = stager.finish()
    assert all(0.75 * size <= file.bytes <= 1.25 * size for file in staged.files[:-1])


def test_one_huge_batch_is_cut(store: FolderStore) -> None:
    """A whole table in one batch becomes several files of several writers all the same."""
    staged = _stage(store, Staging(file_size=1 << 20), [_batch(60_000)], writers=2)
    assert len(staged.files) > 3
    assert sorted(row for file in staged.files for row in _ids(file.uri)) == list(range(60_000))


def test_a_foreign_batch_is_refused(store: FolderStore) -> None:
    """A batch of another schema is a mistake of the caller, found before it is written."""
    with Stager(store, PREFIX, SCHEMA, Staging()) as stager, pytest.raises(ValueError, match="id2"):
        stager.write(pa.record_batch({"id2": [1]}))


def test_progress_is_told_in_the_callers_thread(store: FolderStore) -> None:
    """Rows, bytes and files only grow, and end at what was staged."""
    told: list[tuple[int, int, int]] = []

    def progress(*numbers: int) -> None:
        assert threading.current_thread() is threading.main_thread()
        told.append((numbers[0], numbers[1], numbers[2]))

    with Stager(store, PREFIX, SCHEMA, PARTIAL, progress=progress) as stager:
        for batch in _batches(30_000):
            stager.write(batch)
        staged = stager.finish()
    assert told == sorted(told)
    assert told[-1] == (staged.rows, staged.bytes, len(staged.files))


# ---------------------------------------------------------------- bounds and faults


def test_the_producer_waits_for_the_writers(tmp_path: Path) -> None:
    """Writers that stand still stop the stream after a bounded number of bytes."""
    store = _Wrapped(tmp_path)
    taken = 0

    def produce() -> None:
        nonlocal taken
        with Stager(store, PREFIX, SCHEMA, PARTIAL, writers=2) as stager:
            for batch in [_batch(10_000)] * 60:
                stager.write(batch)
                taken += batch.nbytes
            stager.finish()

    producer = threading.Thread(target=produce)
    producer.start()
    time.sleep(1)
    assert 10 << 20 < taken < 25 << 20
    store.gate.set()
    producer.join()
    parts = [store.uri(key) for key, _ in store.list(PREFIX) if "part" in key]
    assert sum(len(_ids(part)) for part in parts) == 600_000


@pytest.mark.parametrize("staging", [PARTIAL, Staging(file_size=1 << 20, keep="never")])
@pytest.mark.parametrize("room", [0, 3, 5_000_000])
def test_a_full_disk_ends_the_load(tmp_path: Path, staging: Staging, room: int) -> None:
    """No space: one error that names path, free space and the way out; nothing stays behind."""
    store = _Wrapped(tmp_path)
    store.gate.set()
    store.room = room
    with pytest.raises(StageError, match=r"cannot write .*part-\d+.*: No space left") as caught:
        _stage(store, staging, _batches(500_000))
    assert isinstance(caught.value.__cause__, OSError)
    assert "MB are free there now" in str(caught.value.hint)
    assert _files(tmp_path) == []
    assert not _writers()


def test_a_waiting_producer_hears_of_a_fault(tmp_path: Path) -> None:
    """An error wakes a producer that waits for room, and each later call raises it again."""
    store = _Wrapped(tmp_path)
    store.room = 0
    threading.Timer(0.3, store.gate.set).start()
    batch = _batch(10_000)
    with Stager(store, PREFIX, SCHEMA, PARTIAL, writers=1) as stager:
        with pytest.raises(StageError, match="No space left"):
            any(map(stager.write, itertools.repeat(batch)))
        with pytest.raises(StageError, match="No space left"):
            stager.finish()
    assert _files(tmp_path) == []


def test_an_encoder_fault_names_the_column(store: FolderStore) -> None:
    """What the format refuses in a writer thread arrives as it was said."""
    schema = pa.schema([("x", pa.list_(pa.int64()))])
    with pytest.raises(StageError, match="column `x`: csv files cannot hold"):
        _stage(store, PARTIAL, [pa.record_batch({"x": [[1]]}, schema=schema)])


def test_any_other_fault_is_told_too(tmp_path: Path) -> None:
    """A surprise in a writer thread becomes a StageError that keeps its cause."""

    class Broken(FolderStore):
        def create(self, key: str) -> Any:
            raise RuntimeError(f"a surprise at {key}")

    with pytest.raises(StageError, match="a surprise") as caught:
        _stage(Broken(tmp_path), PARTIAL, [_batch(10)])
    assert isinstance(caught.value.__cause__, RuntimeError)


@pytest.mark.parametrize(("keep", "kept"), [("always", True), ("failed", True), ("never", False)])
def test_an_abandoned_load_keeps_complete_files_only(
    store: FolderStore, keep: str, kept: bool
) -> None:
    """An exception in the stream stops the writers; partial files go, others as `keep` says."""

    def broken() -> Iterator[pa.RecordBatch]:
        yield from _batches(50_000)
        while not store.list(PREFIX):
            time.sleep(0.01)
        raise ZeroDivisionError

    staging = PARTIAL.model_copy(update={"keep": keep})
    with pytest.raises(ZeroDivisionError):
        _stage(store, staging, broken(), writers=2)
    if not kept:
        assert _files(Path(store.root)) == []
        return
    names = [path.name for path in Path(store.root, PREFIX).iterdir()]
    assert names
    for name in names:
        assert name.startswith("part-")
        assert name.endswith(".csv")
        assert _ids(str(Path(store.root, PREFIX, name)))


def test_cleaning_up_does_not_hide_the_first_error(tmp_path: Path) -> None:
    """When the files cannot be removed either, the first error is raised with a note of it."""

    class Stuck(FolderStore):
        def delete(self, prefix: str) -> None:
            raise StageError(f"cannot remove {prefix}")

    with (
        pytest.raises(ZeroDivisionError) as caught,
        Stager(Stuck(tmp_path), PREFIX, SCHEMA, PARTIAL),
    ):
        raise ZeroDivisionError
    (note,) = caught.value.__notes__
    assert f"cannot remove {PREFIX}" in note
    with (
        pytest.raises(StageError, match="cannot remove"),
        Stager(Stuck(tmp_path), PREFIX, SCHEMA, PARTIAL),
    ):
        pass


def test_discard_removes_everything(store: FolderStore) -> None:
    """Discarding stops the writers and leaves nothing, even when `keep` is `always`."""
    staging = PARTIAL.model_copy(update={"keep": "always"})
    with Stager(store, PREFIX, SCHEMA, staging) as stager:
        for batch in _batches(50_000):
            stager.write(batch)
        stager.discard()
    assert _files(Path(store.root)) == []


@pytest.mark.parametrize(
    ("keep", "after_success", "after_failure"),
    [("always", True, True), ("failed", False, True), ("never", False, False)],
)
def test_keep(store: FolderStore, keep: str, after_success: bool, after_failure: bool) -> None:
    """`keep` decides by how the load ended, and touches no other load."""
    staging = Staging.model_validate({"keep": keep})
    for failed, kept in ((False, after_success), (True, after_failure)):
        for prefix in (PREFIX, f"{PREFIX}0"):
            with store.create(f"{prefix}/part-00000.parquet") as file:
                file.write(b"x")
        assert apply_keep(store, PREFIX, staging, failed=failed) is kept
        assert bool(store.list(PREFIX)) is kept
        assert store.list(f"{PREFIX}0")
        store.delete(PREFIX)
        assert apply_keep(store, PREFIX, staging, failed=failed) is False


SCRIPT = """
import resource, signal, sys, threading
import pyarrow as pa
from loader.errors import StageError
from loader.spec.model import Staging
from loader.staging.stager import Stager
from loader.staging.stores.open import open_store

how, root, form, keep = sys.argv[1:]
if how == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
batch = pa.record_batch({"n": pa.array(range(100_000), pa.int64())})
staging = Staging.model_validate(
    {"format": form, "compression": "gzip", "file_size": "4MB", "keep": keep}
)
try:
    with Stager(open_store(root), "p", batch.schema, staging, writers=2) as stager:
        for number in range(10**9):
            stager.write(batch)
            if number == 50:
                print("started", flush=True)
except (KeyboardInterrupt, StageError) as error:
    print(type(error).__name__, threading.active_count(), error, flush=True)
"""


def _run(how: str, root: Path, form: str, keep: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, how, str(root), form, keep],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )


@pytest.mark.parametrize("form", ["parquet", "csv"])
@pytest.mark.parametrize("keep", ["never", "failed"])
def test_ctrl_c_leaves_nothing_by_accident(tmp_path: Path, form: str, keep: str) -> None:
    """Ctrl-C ends writers within a moment; what stays are complete files, if `keep` says so."""
    with _run("interrupt", tmp_path / "root", form, keep) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.stdout.read().split()[:2] == ["KeyboardInterrupt", "1"]
    assert process.returncode == 0
    assert time.monotonic() - began < 5
    names = [name for name in _files(tmp_path) if not Path(tmp_path, name).is_dir()]
    assert not [name for name in names if name.endswith(".partial")]
    if keep == "never":
        assert _files(tmp_path) in ([], ["root"])
    for name in names:
        path = tmp_path / name
        # Both fail on a file that is cut short.
        rows = pq.read_table(path) if form == "parquet" else pa.csv.read_csv(path)
        assert rows.num_rows


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on file sizes")
@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_a_file_the_system_refuses_to_extend(tmp_path: Path, form: str) -> None:
    """The system's own refusal, from a real file, is told and leaves nothing."""
    with _run("limit", tmp_path / "root", form, "never") as process:
        assert process.stdout is not None
        told = process.stdout.read().removeprefix("started\n")
    assert told.startswith("StageError 1 cannot write ")
    assert "File too large" in told
    assert "ulimit" in told
    assert _files(tmp_path) in ([], ["root"])


def test_memory_does_not_grow_with_the_stream(store: FolderStore) -> None:
    """However long the stream, Arrow holds a few row groups and a short queue."""
    pool = pa.default_memory_pool()
    before = pool.bytes_allocated()
    most = 0

    def progress(*_: int) -> None:
        nonlocal most
        most = max(most, pool.bytes_allocated() - before)

    schema = pa.schema([("n", pa.int64())])
    with Stager(store, PREFIX, schema, Staging(), writers=2, progress=progress) as stager:
        for number in range(60):
            values = pa.array(range(number, number + 10), pa.int64())
            # Made of allocated memory: 8 MB each, 480 MB in all.
            stager.write(pa.record_batch([values.take(pa.array([3] * 1_000_000))], schema=schema))
        stager.finish()
    assert most < 200 << 20


# ---------------------------------------------------------------- stores


def test_a_file_appears_when_it_is_complete(store: FolderStore) -> None:
    """Nobody lists a file that is being written, and an aborted one never was."""
    with store.create("a/b/c.csv") as file:
        file.write(b"12")
        assert store.list("a") == []
    assert store.list("a") == [("a/b/c.csv", 2)]
    with pytest.raises(ZeroDivisionError), store.create("a/d/e.csv") as file:
        raise ZeroDivisionError
    assert _files(Path(store.root)) == ["a", "a/b", "a/b/c.csv"]


def test_what_a_killed_writer_left_is_in_nobodys_way(store: FolderStore) -> None:
    """Half a file has a name of its own: no other writer of the key meets it, no copy reads it."""
    killed = store.create("a/part-00000.csv")
    killed.__enter__().write(b"1\n2\n")
    with store.create("a/part-00000.csv") as file:
        file.write(b"n\n3\n")
    assert len([*Path(store.root, "a").iterdir()]) == 2
    assert [path.name for path in Path(store.root, "a").glob("part-*")] == ["part-00000.csv"]
    folder = re.sub(r"([*?\[])", r"[\1]", f"{store.root}/a")
    read = duckdb.execute("SELECT n FROM read_csv(?)", [f"{folder}/part-*"])
    assert read.fetchall() == [(3,)]
    assert [key for key, _ in store.list("a")] == ["a/part-00000.csv"]
    store.delete("a")
    assert _files(Path(store.root)) == []


def test_delete_takes_the_prefix_and_nothing_else(store: FolderStore) -> None:
    """Neighbours whose names begin alike stay; empty folders go, up to the root."""
    for key in ("t/load-1/a", "t/load-1/sub/b", "t/load-10/a", "u/v/w/c"):
        with store.create(key) as file:
            file.write(b"x")
    store.delete("t/load-1")
    store.delete("u/v/w")
    store.delete("u/v/w")
    store.delete("nothing/there")
    assert _files(Path(store.root)) == ["t", "t/load-10", "t/load-10/a"]


@pytest.mark.parametrize("key", ["", "/", "/a", "a/", "a//b", ".", "..", "a/../..", "a\0", "a\\b"])
def test_a_key_cannot_leave_the_root(store: FolderStore, key: str) -> None:
    """A key that climbs, or means the root itself, reaches no file operation."""
    for action in (store.uri, store.delete, store.list, lambda key: store.create(key).__enter__()):
        with pytest.raises(StageError, match="is not a key"):
            action(key)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """A root that is a file, or under one, is an error that names it and says what to do."""
    (tmp_path / "root").write_text("a file")
    store = FolderStore(tmp_path / "root")
    with pytest.raises(StageError, match=r"cannot write .*root") as caught, store.create("a"):
        pass
    assert "`staging`" in str(caught.value.hint)
    assert (tmp_path / "root").read_text() == "a file"


def test_loads_that_begin_and_end_at_once(store: FolderStore) -> None:
    """One load may remove the shared empty folder in the moment another creates a file in it."""
    faults: list[BaseException] = []

    def load(number: int) -> None:
        try:
            for _ in range(200):
                with store.create(f"shared/folder/{number}/file") as file:
                    file.write(b"x")
                store.delete(f"shared/folder/{number}")
        except BaseException as error:  # noqa: BLE001  shown by the test
            faults.append(error)

    threads = [threading.Thread(target=load, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert _files(Path(store.root)) == []


def test_open_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A location is a folder, relative to where one is; other schemes are refused."""
    monkeypatch.chdir(tmp_path)
    store: Store = open_store(".loader/staging")
    assert store.root == str(tmp_path / ".loader/staging")
    assert store.uri("a/b") == str(tmp_path / ".loader/staging/a/b")
    assert not (tmp_path / ".loader").exists()
    with pytest.raises(StageError, match="gs:// is not supported"):
        open_store("gs://bucket/prefix")


PARTITIONS = ["region=eu", "region=9/id=7", "filename=x"]
FOLDERS = [
    "a*b",
    "**",
    "what?",
    "[abc]",
    "[!a]",
    "{eu,us}",
    "~",
    "$HOME",
    "%20",
    "s3:x",
    "two  words ",
    "line\nend",
    "it's",
    ".hidden",
    "#!;&",
]


@pytest.mark.parametrize(
    ("folder", "form"),
    [
        *itertools.product(PARTITIONS, ("parquet", "csv", "json")),
        *zip(FOLDERS, itertools.cycle(("parquet", "csv", "json")), strict=False),
    ],
)
def test_the_name_of_the_staging_folder_says_nothing_of_the_rows(
    make_project: MakeProject, tmp_path: Path, folder: str, form: str
) -> None:
    """DuckDB reads what is in the staged files, whatever the folders above are called."""
    columns = [
        {"name": "id", "data_type": "integer"},
        {"name": "region", "data_type": "varchar(9)"},
        {"name": "filename", "data_type": "varchar(9)"},
    ]
    spec = {"schema": "s", "name": "t", "columns": columns, "staging": {"format": form}}
    project = make_project({"t.yml": spec})
    settings = DuckDBTarget(type="duckdb", database="w.duckdb", staging=str(tmp_path / folder))
    project = Project(
        specs=project.config.specs, root=project.config.root, targets={"local": settings}
    )
    rows = [(1, "us", "a"), (2, None, "b"), (3, "ap", None)]
    frame = pa.table(dict(zip(("id", "region", "filename"), zip(*rows, strict=True), strict=True)))
    project.load(project.spec("s/t"), frame)
    found: Any = project.read(project.spec("s/t"), as_="arrow")
    assert sorted(map(tuple, (row.values() for row in found.to_pylist()))) == rows


def test_a_staging_folder_that_duckdb_cannot_name_is_refused() -> None:
    """DuckDB has no way to write a backslash in a pattern, so nothing is staged below one."""
    with pytest.raises(StageError, match="backslash"):
        open_store("stage\\eu")
