"""Infers table specs from a frame's types or from an existing table.

The column types of an existing table take precedence over those of the frame: a batch in which an
integer column is all NULL, and looks like floats, must not change the column's type.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import Any, Literal

from loader.data.chunk import Frame
from loader.data.frames import open_frame
from loader.data.write_texts import write_texts
from loader.inference.building import Disposition, SpecRequest, column_name
from loader.inference.columns import ColumnGuesses
from loader.inference.files_to_read import peek_columns
from loader.inference.from_files import Draft, infer_files, infer_frame, table_name
from loader.inference.from_table import draft_columns, draft_from_table
from loader.inference.schemas import arrow_schema
from loader.inference.source_patterns import name_files
from loader.inference.tables_of_files import find_tables
from loader.plan.live_table import Live, LiveTable
from loader.spec.comments import Remarks
from loader.spec.model import TableSpec
from loader.spec.yaml_writer import declared, to_yaml
from loader.sql.dialects.base import Dialect

__all__ = [
    "Draft",
    "Remarks",
    "declared",
    "draft_live",
    "find_tables",
    "infer_files",
    "infer_frame",
    "infer_live",
    "infer_spec",
    "name_files",
    "peek_columns",
    "table_name",
    "to_yaml",
]


def infer_spec(
    frame: object,
    live: Live | None = None,
    *,
    dialect: Dialect,
    schema: str,
    name: str,
    asset_key: str | None = None,
    partition_by: Sequence[Mapping[str, Any]] = (),
    primary_key: Sequence[str] = (),
    write_disposition: Disposition | None = None,
    evolve: Literal["none", "additive"] = "none",
) -> tuple[TableSpec, Frame]:
    """Infer a spec from a frame; return it with a frame that still has all rows.

    Only the first chunk is read, so text and numbers get the widest types. Columns of the existing
    table come first and keep their types; new columns of the frame follow, and are reported as
    drift. A table column that has a default and is not in the frame is left out. If all columns of
    the table are text, numbers and times become text too, as when it was loaded from CSV.

    Args:
        frame: The data: what `open_frame` accepts, or its result. Types of data without rows are
            known only when `open_frame` has not been called on it yet.
        live: The existing table, if any.
        dialect: The dialect of the existing table's types.
        schema: The table's schema.
        name: The table's name.
        asset_key: The asset that fills it; default ``<schema>/<name>``.
        partition_by: Its partition expressions, as in a spec's YAML.
        primary_key: Its key columns, which become NOT NULL.
        write_disposition: Default ``replace``.
        evolve: What loads may change in the table: with ``additive`` they add new columns.

    Raises:
        FrameError: columns have no type, or names that a table cannot have; lists all of them.
        PlanError: the existing table has types that specs do not support; lists all of them.
        SpecError: the arguments do not match the columns.
        SourceError: the data is not a frame, or cannot be read.
    """
    opened = frame if isinstance(frame, Frame) else open_frame(frame)
    more = {"schema_contract": {"evolve": evolve}} if evolve != "none" else {}
    request = SpecRequest(
        schema, name, asset_key, partition_by, primary_key, write_disposition, more=more
    )
    guesses = ColumnGuesses(opened.columns, request)
    live_columns = live.columns if isinstance(live, LiveTable) else ()
    if not live_columns:
        guesses.check_has_columns()
    chunks = iter(opened.chunks)
    first = list(islice(chunks, 1))
    for chunk in first:
        guesses.add(chunk)
    if not first:
        guesses.add_schema(arrow_schema(frame))
    present = {column_name(each, opened.columns): each for each in opened.columns}
    loaded = [
        column
        for column in live_columns
        if column.name.lower() in present or not (present and column.has_default)
    ]
    columns = draft_columns(loaded, dialect, request)
    names = {column.name for column in columns}
    columns += guesses.columns(known=names)
    has_fixed_shape = all(
        column.name in present and guesses.has_fixed_shape(present[column.name])
        for column in columns
        if column.data_type == "super"
    )
    spec = request.spec(columns, opened.columns, has_fixed_shape=has_fixed_shape)
    whole = replace(opened, chunks=chain(first, chunks))
    known = [column for column in spec.columns if column.name in names]
    if not all(column.data_type.is_text for column in known):
        return spec, whole
    return spec, write_texts(whole, {present[each.name] for each in known if each.name in present})


def infer_live(
    live: LiveTable,
    *,
    dialect: Dialect,
    schema: str,
    name: str,
    asset_key: str | None = None,
    partition_by: Sequence[Mapping[str, Any]] = (),
    primary_key: Sequence[str] = (),
    write_disposition: Disposition | None = None,
) -> TableSpec:
    """Infer the spec of an existing table; the arguments are those of `infer_spec`.

    Raises:
        PlanError: columns have types that specs do not support; lists all of them.
        SpecError: the arguments do not match the columns.
    """
    request = SpecRequest(schema, name, asset_key, partition_by, primary_key, write_disposition)
    return draft_from_table(live, dialect, request)[0]


def draft_live(
    live: LiveTable, *, dialect: Dialect, schema: str, name: str
) -> tuple[TableSpec, Remarks]:
    """Draft the spec of an existing table, with remarks for the reviewer.

    The draft leaves out what Redshift manages by itself (AUTO) and what the user cannot see.

    Raises:
        PlanError: columns have types that specs do not support; lists all of them.
        SpecError: the table's name is not valid in a spec.
    """
    return draft_from_table(live, dialect, SpecRequest(schema, name))
