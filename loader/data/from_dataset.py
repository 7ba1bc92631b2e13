"""PyArrow datasets and scanners as chunks; INT96 in their Parquet files is read exactly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from loader.data.batches import number_chunks, read_batches
from loader.data.chunk import CHUNK_ROWS, Chunk, Frame
from loader.data.column_names import check_names
from loader.data.exact_int96 import exact_int96
from loader.data.read_errors import raise_source_errors
from loader.staging import int96


def open_dataset(obj: Any) -> Frame:
    """The chunks of a `pyarrow.dataset.Dataset` or `Scanner`.

    Raises:
        SourceError: a column name occurs twice.
    """
    scanner = obj.scanner(batch_size=CHUNK_ROWS) if hasattr(obj, "scanner") else obj
    names = check_names(scanner.projected_schema.names, "the dataset")
    if scanner is not obj and int96.may_have_int96(obj.schema):
        # PyArrow has no public access to the filter of a dataset, nor to its files when it has one.
        row_filter = getattr(obj, "_scan_options", {}).get("filter")
        fragments = list(obj._get_fragments(row_filter))
        if all(hasattr(each, "row_groups") for each in fragments):  # they are Parquet files
            stamps = int96.int96_columns(fragments, obj.schema)
            if stamps:
                chunks = _int96_chunks(fragments, obj.schema, stamps, row_filter)
                return Frame(names, raise_source_errors(chunks))
    return Frame(names, read_batches(scanner.to_reader()))


def _int96_chunks(
    fragments: Sequence[Any], schema: Any, stamps: Mapping[str, Any], row_filter: Any
) -> Iterator[Chunk]:
    """The chunks of a dataset with INT96, whose filter is applied to the exact values."""
    import pyarrow.dataset as ds  # noqa: PLC0415  # loaded already where there is a dataset

    types = [pa.field(each.name, stamps.get(each.name, each.type)) for each in schema]
    coarse_parts = [int96.in_microseconds(each) for each in fragments]
    coarse = ds.FileSystemDataset(coarse_parts, pa.schema(types), coarse_parts[0].format)
    fine = ds.FileSystemDataset(fragments, schema, fragments[0].format)
    chunks = read_batches(coarse.scanner(batch_size=CHUNK_ROWS).to_reader())
    batches = fine.scanner(columns=list(stamps), batch_size=CHUNK_ROWS).to_reader()
    return number_chunks(exact_int96(chunks, batches, list(stamps), row_filter))
