"""Specs where nobody has written one: from a frame's own types, or from a table that is there.

What a warehouse has goes before what a frame suggests: a column of integers that is all NULL in
one batch, and so looks like floats, is no other column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, islice
from typing import Any

from loader.data.chunk import Frame
from loader.data.frames import open_frame
from loader.inference.building import Disposition, Wanted, column_name
from loader.inference.columns import ColumnGuesses
from loader.inference.from_files import Draft, infer_files, infer_frame, table_name
from loader.inference.from_table import drafted_live, of_live
from loader.inference.schemas import schema_of
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
    "infer_files",
    "infer_frame",
    "infer_live",
    "inferred",
    "table_name",
    "to_yaml",
]


def inferred(
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
) -> tuple[TableSpec, Frame]:
    """The spec that a frame suggests, and the frame, of which nothing is lost.

    Only its first chunk is looked at, so text and numbers get room for larger values to come. The
    columns of a live table come first, as it has them; those it lacks are added, for drift to tell
    of them. A column with a default that the frame lacks is left to the warehouse.

    Args:
        frame: The data, as `open_frame` takes or gives it. Without rows, only the data itself
            knows its types; what was opened already does not.
        live: The table that is there, if there is one.
        dialect: Whose catalog the live table's types are of.
        schema: The table's schema.
        name: The table.
        asset_key: The asset that fills it; default ``<schema>/<name>``.
        partition_by: Its partition expressions, as in a spec's YAML.
        primary_key: Its key, of which no column is nullable.
        write_disposition: What loads do; default replace.

    Raises:
        FrameError: columns have no type, or no name for a table; all of them are named.
        PlanError: specs cannot say a type of the live table; likewise.
        SpecError: what is asked for does not go with the columns.
        SourceError: it is no frame, or cannot be read.
    """
    opened = frame if isinstance(frame, Frame) else open_frame(frame)
    wanted = Wanted(schema, name, asset_key, partition_by, primary_key, write_disposition)
    guesses = ColumnGuesses(opened.columns, wanted)
    there = live.columns if isinstance(live, LiveTable) else ()
    if not there:
        guesses.check_some()
    chunks = iter(opened.chunks)
    first = list(islice(chunks, 1))
    for chunk in first:
        guesses.add(chunk)
    if not first:
        guesses.add_schema(schema_of(frame))
    present = {column_name(each, opened.columns): each for each in opened.columns}
    kept = [
        column
        for column in there
        if column.name.lower() in present or not (present and column.has_default)
    ]
    columns = of_live(kept, dialect, wanted)
    columns += guesses.columns(roomy=True, known={column.name for column in columns})
    shaped = all(
        column.name in present and guesses.shaped(present[column.name])
        for column in columns
        if column.data_type == "super"
    )
    spec = wanted.spec(columns, opened.columns, shaped=shaped)
    return spec, Frame(opened.columns, chain(first, chunks), opened.rows)


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
    """The spec of a table that is there; the arguments are those of `inferred`.

    Raises:
        PlanError: specs cannot say the type of a column; all such columns are named.
        SpecError: what is asked for does not go with the columns.
    """
    wanted = Wanted(schema, name, asset_key, partition_by, primary_key, write_disposition)
    return drafted_live(live, dialect, wanted)[0]


def draft_live(
    live: LiveTable, *, dialect: Dialect, schema: str, name: str
) -> tuple[TableSpec, Remarks]:
    """The spec of a table that is there, and what a reviewer has to know of it.

    What Redshift manages by itself (AUTO) is not declared, nor what could not be seen.

    Raises:
        PlanError: specs cannot say the type of a column; all such columns are named.
        SpecError: the table cannot be called so.
    """
    return drafted_live(live, dialect, Wanted(schema, name))
