"""What a load says of itself: how far it is while it runs, and two lines when it is done."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loader.data.files.open import open_files
from loader.data.files.read_share import ReadShare, weigh
from loader.executor.results import LoadResult, Progress
from loader.spec.model import Source
from tests.conftest import MakeProject

SPEC: dict[str, Any] = {
    "schema": "s",
    "name": "t",
    "columns": [{"name": "n", "data_type": "bigint"}],
}
ROWS = 150_000


def files_of(folder: Path, kind: str) -> list[str]:
    """Three files of numbers."""
    numbers = range(ROWS // 3)
    text = "n\n" + "\n".join(map(str, numbers)) + "\n"
    paths = []
    for at in range(3):
        path = folder / f"{at}.{kind}"
        if kind == "parquet":
            pq.write_table(pa.table({"n": pa.array(numbers, pa.int64())}), path)
        else:
            path.write_bytes(gzip.compress(text.encode()) if kind == "csv.gz" else text.encode())
        paths.append(str(path))
    return paths


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet", "stdin"])
def test_progress_knows_the_share_of_an_input_of_known_size(
    make_project: MakeProject, tmp_path: Path, kind: str
) -> None:
    """The share that was read grows to all of it; of a stream of unknown length there is none."""
    project = make_project({"t.yml": SPEC})
    stdin = io.BytesIO(b"n\n" + b"\n".join(b"%d" % n for n in range(ROWS)))
    patterns = ["-"] if kind == "stdin" else files_of(tmp_path, kind)
    steps: list[Progress] = []
    frame = open_files(patterns, Source(), stdin)
    project.load(project.spec("s.t"), frame, on_progress=steps.append)
    staging = [step.share for step in steps if step.phase == "staging"]
    assert {step.share for step in steps if step.phase != "staging"} == {None}
    if kind == "stdin":
        assert set(staging) == {None}
        return
    assert None not in staging
    assert 0.9 < max(share or 0 for share in staging) <= 1.0
    if kind != "parquet":
        shares = shares_of(patterns)
        assert len(set(shares)) > 1
        assert shares == sorted(shares)
        assert shares[-1] == 1.0


def shares_of(patterns: list[str]) -> list[float]:
    """What is told after each chunk of some files."""
    frame = open_files(patterns, Source())
    assert frame.share is not None
    shares = [frame.share() for _ in frame.chunks]
    return [-1.0 if share is None else share for share in shares]


def test_each_file_is_measured_by_what_can_be_counted_of_it(tmp_path: Path) -> None:
    """An archive is as long as what is in it, Parquet has rows; of other files nothing is told."""
    csv = files_of(tmp_path, "csv")[0]
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(csv, "a.csv")
        archive.write(csv, "b.csv")
    shares = shares_of([str(tmp_path / "a.zip")])
    assert (shares == sorted(shares), len(set(shares)) > 1, shares[-1]) == (True, True, 1.0)
    both = shares_of([files_of(tmp_path, "parquet")[0], csv])
    assert (both == sorted(both), both[-1], both[0] < 1.0) == (True, 1.0, True)
    arrow = tmp_path / "a.arrow"
    table = pa.table({"n": pa.array(range(10), pa.int64())})
    with pa.ipc.new_file(arrow, table.schema) as writer:
        writer.write(table)
    assert shares_of([str(arrow)]) == [-1.0]


def test_files_of_unknown_size_weigh_the_same() -> None:
    """Where the size of one file is not known, each is the same part of the whole."""
    assert weigh([10, 0, 90]) == [10, 1, 90]
    share = ReadShare(weigh([10, None]))
    told = [share.value()]
    for size, read in ((10, 5), (90, 90)):
        share.open_file(size)
        share.add(read)
        told.append(share.value())
    assert told == [0.0, 0.25, 1.0]
    share.add(5)
    assert share.value() == 1.0
    share.rescale(None)
    assert share.value() is None


def test_a_result_is_two_lines(make_project: MakeProject) -> None:
    """`print(result)` says what became of the load and what it was made of, and no more."""
    contract = {"bad_rows": "reject", "max_rejects": 1}
    project = make_project({"t.yml": {**SPEC, "schema_contract": contract}})
    result = project.load(project.spec("s.t"), pa.table({"n": ["1", "x"]}), load_id="one")
    first, second = str(result).splitlines()
    assert first.startswith("s.t: 1 row loaded, 0 deleted, verified and committed in ")
    assert second.startswith("  target local, load id one, 1 file staged, ")
    assert second.endswith(" kB, 1 row rejected")
    again = project.load(project.spec("s.t"), pa.table({"n": [1]}), load_id="one")
    assert str(again) == (
        "s.t: load id `one` is already committed, with 1 row; skipped\n  target local, load id one"
    )
    skipped = LoadResult("no_new_files", "one", "s.t", "local", None, files_skipped=1)
    assert str(skipped) == (
        "s.t: no new files; 1 file loaded before; nothing was done\n  target local, load id one"
    )
    merged = LoadResult(
        "loaded",
        "l\n2",
        "s.t",
        "prod",
        "day=2026-01-01",
        rows_loaded=3,
        files_staged=2,
        in_place=True,
        warnings=("a",),
        rows_inserted=2,
        rows_updated=1,
        rows_unchanged=0,
        rows_skipped=0,
        rows_collapsed=0,
    )
    assert str(merged).splitlines() == [
        "s.t (day=2026-01-01): 3 rows merged: 2 inserted, 1 updated, 0 unchanged, counts verified"
        " and committed in 0.0 s",
        "  target prod, load id l\\n2, 2 files in place, 0 B, 1 warning",
    ]
