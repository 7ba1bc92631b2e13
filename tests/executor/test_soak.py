"""Long streams: slow, so they run only with ``-m slow``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import resource, sys
from pathlib import Path
import pyarrow as pa
import loader

rows, root = int(sys.argv[1]), Path(sys.argv[2])
(root / "specs").mkdir(parents=True)
(root / "specs" / "t.yml").write_text(
    "{schema: s, name: t, primary_key: [id], columns: ["
    "{name: id, data_type: bigint}, {name: text, data_type: varchar(40)}]}"
)
project = loader.Project(specs=root / "specs", root=root)

def batches():
    text = pa.array([f"row {n} of many" for n in range(100_000)])
    for start in range(0, rows, 100_000):
        ids = pa.array(range(start, start + 100_000), pa.int64())
        yield pa.record_batch({"id": ids, "text": text})

result = project.load(project.spec("s/t"), batches())
assert result.rows_loaded == rows, result
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def peak_megabytes(rows: int, root: Path) -> int:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(rows), str(root)],
        capture_output=True,
        text=True,
        check=True,
        timeout=900,
    )
    return int(done.stdout.split()[-1])


@pytest.mark.slow
def test_a_stream_is_loaded_in_constant_memory(tmp_path: Path) -> None:
    """Four times the rows need no more than a fifth more memory, and never 700 MB."""
    short = peak_megabytes(10_000_000, tmp_path / "short")
    long = peak_megabytes(40_000_000, tmp_path / "long")
    assert long < short * 1.2
    assert long < 700
