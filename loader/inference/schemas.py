"""The Arrow schema of a frame without rows."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from loader.data.from_polars import columns_without_arrow


def arrow_schema(frame: Any) -> Any:
    """The Arrow schema of a frame; None when it has none or cannot give it."""
    try:
        if hasattr(frame, "collect") and hasattr(frame, "collect_schema"):  # a LazyFrame of Polars
            frame = frame.head(0).collect()
        if hasattr(frame, "collect_schema"):  # a DataFrame of Polars
            frame = frame.drop(columns_without_arrow(frame))
        if isinstance(getattr(frame, "schema", None), pa.Schema):
            return frame.schema
        if hasattr(frame, "__arrow_c_stream__"):
            return pa.RecordBatchReader.from_stream(frame).schema
    except Exception:  # noqa: BLE001  # another library's frame may raise anything
        return None
    return None
