"""Checks of the cast values of a chunk: their type, NOT NULL, and what the staged file can hold."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from loader.data.cast import json_text
from loader.data.cast.column import ColumnCast
from loader.data.cast.layout import Layout
from loader.data.cast.load_columns import RepeatedCast
from loader.data.cast.nested import DocumentCast
from loader.data.cast.report import RowErrors
from loader.spec.model import Column

_EMPTY_BYTES = (
    "no bytes, which a CSV file cannot distinguish from NULL; use staging: {format: parquet}"
)

_DOCUMENT_TOO_LONG = (
    "has more than 1 MB of JSON, which Redshift loads from Parquet and JSON files only;"
    " use staging: {format: json}"
)


def check_values(
    column: Column, cast: ColumnCast | DocumentCast | RepeatedCast, layout: Layout
) -> Iterator[RowErrors]:
    """The rows whose value does not fit the column, for each kind of error that occurs."""
    values, data_type = cast.values, column.data_type.name
    if cast.bad_rows:
        yield RowErrors(column.name, cast.bad_rows, cast.explain_error)
    if not column.nullable and values.null_count > len(cast.bad_rows):
        failed = set(cast.bad_rows)
        rows = [row for row in _true_rows(values.is_null()) if row not in failed]
        yield RowErrors(column.name, rows, lambda _: ("", "NULL, but it is NOT NULL"))
    if not layout.nul_in_text and pa.types.is_string(values.type):
        rows = _true_rows(pc.match_substring(values, "\0"))
        if rows:
            yield RowErrors(column.name, rows, lambda _: ("", json_text.NUL_IN_TEXT))
    if not layout.nul_in_text and data_type == "super":
        yield from _check_documents(column, cast, null=layout.documents != "json")
    if layout.document_bytes is not None and data_type == "super":
        rows = _true_rows(pc.greater(pc.binary_length(cast.texts), layout.document_bytes))
        if rows:
            yield RowErrors(column.name, rows, lambda _: ("", _DOCUMENT_TOO_LONG))
    if layout.empty_is_null and data_type == "varbyte":
        rows = _true_rows(pc.equal(pc.binary_length(values), 0))
        if rows:
            yield RowErrors(column.name, rows, lambda _: ("", _EMPTY_BYTES))


def _check_documents(
    column: Column, cast: ColumnCast | DocumentCast | RepeatedCast, *, null: bool
) -> Iterator[RowErrors]:
    """JSON text that Redshift would refuse, or load as another value."""
    failed = set(cast.bad_rows)
    reasons = {
        row: ("", reason)
        for row, text in enumerate(cast.texts.to_pylist())
        if text is not None
        and row not in failed
        and (reason := json_text.find_redshift_error(text, null=null))
    }
    if reasons:
        yield RowErrors(column.name, list(reasons), reasons.__getitem__)


def _true_rows(mask: pa.Array) -> list[int]:
    rows: list[int] = pc.indices_nonzero(mask).to_pylist()
    return rows
