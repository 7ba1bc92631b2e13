"""Long streams: slow, so they run only with ``-m slow``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import json, sys
from pathlib import Path
import psutil
import pyarrow as pa
import loader

rows, root = int(sys.argv[1]), Path(sys.argv[2])
(root / "specs").mkdir(parents=True)
(root / "specs" / "t.yml").write_text(
    "{schema: s, name: t, primary_key: [id], columns: ["
    "{name: id, data_type: bigint}, {name: text, data_type: varchar(40)}]}"
)
project = loader.Project(specs=root / "specs", root=root)
process, seen = psutil.Process(), []

def batches():
    text = pa.array([f"row {n} of many" for n in range(100_000)])
    for start in range(0, rows, 100_000):
        ids = pa.array(range(start, start + 100_000), pa.int64())
        yield pa.record_batch({"id": ids, "text": text})
        seen.append(process.memory_info().rss >> 20)

result = project.load(project.spec("s/t"), batches())
assert result.rows_loaded == rows, result
print(json.dumps(seen))
"""


def measure_megabytes(rows: int, root: Path) -> list[int]:
    """The memory of a load while it streams, at every 100,000 rows."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(rows), str(root)],
        capture_output=True,
        text=True,
        check=True,
        timeout=1_800,
    )
    found: list[int] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.slow
def test_a_stream_is_loaded_in_constant_memory(tmp_path: Path) -> None:
    """Memory levels off: the last half of a long stream needs no more than what was reached before.

    A few percent are the allocator's; a leak of one byte for each row would be 40 MB.
    """
    seen = measure_megabytes(80_000_000, tmp_path)
    half = len(seen) // 2
    quarters = [max(seen[at : at + half // 2]) for at in range(0, len(seen), half // 2)]
    print("MB by quarters:", quarters)
    assert max(seen[half:]) <= max(seen[:half]) + 30
    assert max(seen) < 700
