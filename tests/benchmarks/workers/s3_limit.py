"""The limit of staging to S3: Arrow → snappy Parquet → boto3, written by hand, without a check."""

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.benchmarks.lineitem import SCHEMA
from tests.benchmarks.workers import bucket, harness


def load(frame: Any, folder: Path) -> None:
    """Encode the frame in memory and have boto3 send it, in parts and several at once."""
    if not isinstance(frame, pa.Table):
        frame = pa.Table.from_pandas(frame, schema=SCHEMA, preserve_index=False)
    file = io.BytesIO()
    pq.write_table(frame, file, compression="snappy")
    file.seek(0)
    bucket.client().upload_fileobj(file, bucket.BUCKET, f"{folder.name}/lineitem.parquet")


if __name__ == "__main__":
    harness.main(load, bucket.count)
