"""What the workers that write to S3 share: the bucket, and how to count the rows in it."""

import gzip
import io
from pathlib import Path
from typing import Any

import boto3
import pyarrow.parquet as pq

BUCKET = "loader-benchmark"


def client() -> Any:
    """A client of boto3's own default session, with its default settings."""
    return boto3.client("s3")


def url(folder: Path) -> str:
    """Where a load writes: below a prefix that is named as its folder."""
    return f"s3://{BUCKET}/{folder.name}"


def count(folder: Path) -> int:
    """Count the rows of all Parquet files, or the lines of all CSV files, of a load."""
    s3 = client()
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{folder.name}/")
    keys = [found["Key"] for page in pages for found in page.get("Contents", ())]
    return sum(_rows(s3, key) for key in keys)


def _rows(s3: Any, key: str) -> int:
    if not key.endswith((".parquet", ".csv.gz")):
        return 0
    with io.BytesIO(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()) as file:
        if key.endswith(".parquet"):
            return int(pq.read_metadata(file).num_rows)
        with gzip.open(file, "rb") as lines:
            return sum(1 for _ in lines) - 1
