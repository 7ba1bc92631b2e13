"""What a COPY reads: manifests, column lists, and staged files as rows for PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from loader.testing.redshift.files.columns import LiveColumn
from loader.testing.redshift.files.parquet import parquet_rows
from loader.testing.redshift.files.text import csv_rows, json_rows
from loader.testing.redshift.refusals import Refusal, spectrum
from loader.testing.redshift.statements.copy_unload import CopyStatement

__all__ = ["Entry", "LiveColumn", "check_column_list", "read_manifest", "rows"]


@dataclass(frozen=True)
class Entry:
    """One file of a manifest."""

    url: str
    mandatory: bool
    content_length: int | None


def read_manifest(data: bytes, format: str) -> list[Entry]:  # noqa: A002
    """The files a manifest names, in its order; a file named twice is loaded twice.

    Raises:
        Refusal: it is not a manifest, or lacks what the format needs
            (dg/loading-data-files-using-manifest).
    """
    try:
        manifest = json.loads(data.decode())
    except ValueError as error:
        raise _bad_manifest(f"it is not JSON (nor may it be compressed): {error}") from error
    entries = manifest.get("entries") if isinstance(manifest, dict) else None
    if not isinstance(entries, list) or not entries:
        raise _bad_manifest("it has no list `entries`")
    return [_entry(entry, format) for entry in entries]


def _entry(entry: Any, form: str) -> Entry:
    url = entry.get("url") if isinstance(entry, dict) else None
    if not isinstance(url, str) or not url.startswith("s3://"):
        raise _bad_manifest(f"an entry has no S3 url: {entry!r}")
    mandatory = entry.get("mandatory", False)
    if not isinstance(mandatory, bool):
        raise _bad_manifest(f"`mandatory` of {url} is not true or false")
    meta = entry.get("meta")
    if form == "parquet" and not isinstance(meta, dict):
        # awslabs/aws-lambda-redshift-loader#221
        raise spectrum(15003, f"File entry does not have 'meta' key: {url}")
    length = meta.get("content_length") if isinstance(meta, dict) else None
    whole = isinstance(length, int) and not isinstance(length, bool) and length >= 0
    if form == "parquet" and not whole:
        raise spectrum(15003, f"File entry does not have 'content_length' in 'meta': {url}")
    return Entry(url, mandatory, length if whole else None)


def _bad_manifest(reason: str) -> Refusal:
    return Refusal("The specified S3 manifest file is not valid", detail=reason)


def check_column_list(copy: CopyStatement, live: Sequence[LiveColumn]) -> tuple[LiveColumn, ...]:
    """The columns that the fields of the files go to.

    Raises:
        Refusal: the list cannot be loaded into the table
            (dg/copy-parameters-column-mapping, dg/ingest-super).
    """
    explicit = "EXPLICIT_IDS" in copy.options
    by_name = {column.name: column for column in live}
    if copy.columns is None:
        columns = tuple(column for column in live if explicit or not column.identity)
    else:
        for name in copy.columns:
            if name not in by_name:
                raise Refusal(f'column "{name}" of relation "{copy.table}" does not exist', "42703")
        columns = tuple(by_name[name] for name in copy.columns)
        _check_identity(columns, live, explicit=explicit)
        _check_left_out(columns, live)
    documents = any(column.base == "super" for column in columns)
    if copy.format == "parquet" and documents and not copy.serialize_to_json:
        raise Refusal("SUPER column in COPY query requires SERIALIZETOJSON option")
    return columns


def _check_identity(
    columns: Sequence[LiveColumn], live: Sequence[LiveColumn], *, explicit: bool
) -> None:
    for column in live:
        if column.identity and column in columns and not explicit:
            raise Refusal(
                f'cannot set an identity column to a value: "{column.name}"',
                "42601",
                hint="COPY with EXPLICIT_IDS, or leave the column out of the list",
            )
        if column.identity and column not in columns and explicit:
            raise Refusal(
                f'EXPLICIT_IDS is given and the identity column "{column.name}" is not in the list',
                "42601",
            )


def _check_left_out(columns: Sequence[LiveColumn], live: Sequence[LiveColumn]) -> None:
    for column in live:
        required = not (column.nullable or column.has_default or column.identity)
        if required and column not in columns:
            raise Refusal(
                f'column "{column.name}" is NOT NULL, has no default and is not in the column list',
                "23502",
            )


def rows(
    copy: CopyStatement, columns: Sequence[LiveColumn], data: bytes, url: str
) -> Iterator[bytes]:
    r"""A staged file as input for ``COPY … FROM STDIN (FORMAT csv, NULL '\N')``.

    Each item is one or more whole lines.

    Raises:
        Refusal: the file cannot be read into these columns at all.
        LoadError: one of its values does not load.
    """
    readers = {"parquet": parquet_rows, "csv": csv_rows, "json": json_rows, "text": csv_rows}
    return readers[copy.format](copy, columns, data, url)
