"""How staging ends: finished, given up, discarded, or with a disk that is full."""

from __future__ import annotations

import errno
import gc
import io
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest

from loader.errors import StageError
from loader.spec.model import Staging
from loader.staging.stager import Stager
from loader.staging.stores.local import FolderStore

BATCH = pa.record_batch({"id": pa.array(range(1_000), pa.int64())})
PREFIX = "s.t/one/0123456789ab"


class FullDisk(FolderStore):
    """A folder with room for a few writes; what is tried after the first refusal is counted."""

    def __init__(self, root: Path, room: int, error: Exception) -> None:
        super().__init__(root)
        self.room = room
        self.error = error
        self.late = 0

    @contextmanager
    def create(self, key: str) -> Iterator[io.BufferedIOBase]:
        """A file that takes what there is room for."""
        outer = self

        class File(io.BytesIO):
            refused = False

            def write(self, data: bytes) -> int:  # type: ignore[override]  # only bytes come
                outer.late += self.refused
                outer.room -= 1
                if outer.room < 0:
                    self.refused = True
                    raise outer.error
                return len(data)

        try:
            yield File()
        except OSError as error:
            raise StageError(f"cannot write {key}: {error}") from error


def write_files(one: Stager, folder: Path) -> None:
    """Write until there is a finished file."""
    deadline = time.monotonic() + 20
    while not any(folder.rglob("part-*.csv")) and time.monotonic() < deadline:
        one.write(BATCH)


def stage_all(one: Stager) -> None:
    """Write more than a disk has room for."""
    with one:
        for _ in range(2_000):
            one.write(BATCH)
        one.finish()


def leave_with_error(one: Stager, *actions: Callable[[], None]) -> None:
    """Do something, and leave by an error of the caller's."""
    with one:
        for action in actions:
            action()
        raise KeyError


def stager(store: FolderStore, **staging: object) -> Stager:
    chosen = Staging.model_validate({"compression": "none", **staging})
    return Stager(store, PREFIX, BATCH.schema, chosen, writers=1)


@pytest.mark.parametrize(("keep", "stay"), [("always", True), ("failed", True), ("never", False)])
def test_leaving_without_a_word_gives_the_load_up(tmp_path: Path, keep: str, stay: bool) -> None:
    """A block that is left before `finish` has failed, and `keep` decides about its files."""
    with stager(FolderStore(tmp_path), keep=keep, format="csv", file_size=1 << 20) as one:
        write_files(one, tmp_path)
    assert any(tmp_path.rglob("part-*.csv")) is stay


def test_a_failure_says_what_stays(tmp_path: Path) -> None:
    """The error that leaves the block tells where staged files are kept, if any are."""
    for keep, told in (("always", True), ("never", False)):
        folder = tmp_path / keep
        one = stager(FolderStore(folder), keep=keep, format="csv", file_size=1 << 20)
        with pytest.raises(KeyError) as caught:
            leave_with_error(one, lambda: write_files(one, folder))  # noqa: B023  # it runs now
        assert bool(getattr(caught.value, "__notes__", [])) is told


def test_what_was_discarded_is_not_said_to_be_kept(tmp_path: Path) -> None:
    """After `discard` nothing is left, and an error on the way out names no files."""
    one = stager(FolderStore(tmp_path), keep="always")
    with pytest.raises(KeyError) as caught:
        leave_with_error(one, lambda: one.write(BATCH), one.discard)
    assert not hasattr(caught.value, "__notes__")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_progress_ends_with_all_that_was_staged(tmp_path: Path) -> None:
    """The last report has every row, byte and file."""
    reports: list[tuple[int, int, int]] = []
    staging = Staging.model_validate({"file_size": 1 << 20, "compression": "none"})

    def report(rows: int, size: int, files: int) -> None:
        reports.append((rows, size, files))

    with Stager(
        FolderStore(tmp_path), PREFIX, BATCH.schema, staging, writers=1, progress=report
    ) as one:
        for _ in range(400):
            one.write(BATCH)
        staged = one.finish()
    assert reports[-1] == (400_000, staged.bytes, len(staged.files))
    assert reports == sorted(reports)
    assert len(reports) > 2


@pytest.mark.parametrize("form", ["parquet", "csv", "json"])
def test_a_full_disk_is_told_with_what_was_staged_and_nothing_more_is_written(
    tmp_path: Path, form: str
) -> None:
    """After a failed write the encoder writes no more, and the error says how far it came."""
    store = FullDisk(tmp_path, 3, OSError(errno.ENOSPC, "No space left on device"))
    one = stager(store, format=form, keep="never")
    with pytest.raises(StageError) as caught:
        stage_all(one)
    assert "No space left" in caught.value.message
    assert "rows and" in caught.value.message
    assert isinstance(caught.value.__cause__, OSError)
    assert store.late <= 1  # PyArrow's own, on its way out of the write that failed


@pytest.mark.parametrize("form", ["parquet", "arrow", "csv", "json"])
def test_a_failed_load_keeps_no_rows_in_memory(tmp_path: Path, form: str) -> None:
    """What staged a load is gone once its error is, also where PyArrow's encoders refer to it."""
    store = FullDisk(tmp_path, 3, OSError(errno.ENOSPC, "No space left on device"))
    one = stager(store, format=form, keep="never")
    alive = weakref.ref(one)
    with pytest.raises(StageError):
        stage_all(one)
    del one, store  # whose error has the traceback
    gc.collect()
    assert alive() is None


def test_other_failures_of_a_store_are_told_as_they_are(tmp_path: Path) -> None:
    """Only where the disk or bucket failed does it matter how much was staged."""
    store = FullDisk(tmp_path, 3, StageError("access denied"))
    one = stager(store, format="csv", keep="never")
    with pytest.raises(StageError) as caught:
        stage_all(one)
    assert caught.value.message == "access denied"
