"""Columns that the data does not have: facts of the load, the file or the spec, by `from`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from loader.data.cast.column import ColumnCast
from loader.data.cast.errors import CastOptions
from loader.data.cast.report import format_rows
from loader.data.chunk import Chunk
from loader.errors import FrameError
from loader.spec.column_source import ColumnSource
from loader.spec.model import Column, TableSpec
from loader.spec.path_keys import FilePath, PathKeyError
from loader.spec.typed_values import typed_constant
from loader.text_tables import format_count

_SHOWN = 5
"""The most files that an error names."""


@dataclass(frozen=True)
class LoadFacts:
    """What the rows of one load have in common."""

    load_id: str
    loaded_at: datetime
    """When the load began, in UTC."""


class RepeatedCast:
    """A column of a chunk with one value in all rows."""

    def __init__(self, one: ColumnCast, rows: int) -> None:
        self._one = one
        value = one.values[0]
        self.values = pa.repeat(value, rows) if value.is_valid else pa.nulls(rows, value.type)
        self.bad_rows = list(range(rows)) if one.bad_rows else []

    @property
    def texts(self) -> Any:
        """The values; those of a SUPER column are JSON text."""
        return self.values

    def explain_error(self, _: int) -> tuple[str, str]:
        """The value, and the reason why it does not fit."""
        return self._one.explain_error(0)


class LoadColumns:
    """Fills the columns of one load that are not in its data.

    Args:
        spec: The table.
        facts: Of the load; needed only where columns come from them.
        files: The files that are loaded; empty for other frames.
    """

    def __init__(
        self, spec: TableSpec, facts: LoadFacts | None, files: Sequence[FilePath] = ()
    ) -> None:
        self._spec, self._facts, self._files = spec, facts, files
        self._columns = {
            column.name: column
            for column in spec.load_columns
            if files or not (_source(column).is_of_file and column.default is not None)
        }
        self._casts: dict[str, tuple[FilePath | None, ColumnCast]] = {}
        """By column, the cast of its last value, and the file that it is of."""

    @property
    def names(self) -> frozenset[str]:
        """The columns that are filled.

        Those that only files can fill are left to their default where there are none.
        """
        return frozenset(self._columns)

    def check(self) -> None:
        """Check that there are values for columns that need the files or their paths.

        Raises:
            FrameError: a column may not be NULL and its source has no value, or a path has no such
                key; all columns and the first few files are told.
        """
        rows = [*self._find_missing_values(), *self._find_missing_keys()]
        if rows:
            table = self._spec.table
            raise FrameError(
                "\n".join([f"the data has no values for columns of {table}", *format_rows(rows)]),
                hint="name files by the paths that hold these values, or change `from`",
                details=[{"column": name, "problem": problem} for name, problem in rows],
            )

    def _find_missing_values(self) -> Iterator[tuple[str, str]]:
        for column in self._columns.values():
            source = _source(column)
            if column.nullable or not source.is_of_file:
                continue
            if not self._files:
                yield (
                    column.name,
                    f"`from: {source}`: it is NOT NULL, and the data is not from files",
                )
            elif source.kind != "file_row" and not all(file.name for file in self._files):
                yield (
                    column.name,
                    f"`from: {source}`: it is NOT NULL, and standard input has no path",
                )

    def _find_missing_keys(self) -> Iterator[tuple[str, str]]:
        for column in self._columns.values():
            source = _source(column)
            if source.kind != "path":
                continue
            wrong = [text for file in self._files if (text := _find_problem(file, source.name))]
            for text in wrong[:_SHOWN]:
                yield column.name, f"`from: {source}`: {text}"
            if len(wrong) > _SHOWN:
                yield column.name, f"and {format_count(len(wrong) - _SHOWN, 'more file')}"

    def cast(self, chunk: Chunk, column: Column, options: CastOptions) -> ColumnCast | RepeatedCast:
        """The values of a column for a chunk, cast to its type.

        Args:
            chunk: Some rows.
            column: One of `names`.
            options: How values are staged, and the time zone of those without one.
        """
        if chunk.file is not None and _source(column).kind == "file_row":
            numbers = np.arange(chunk.first_row, chunk.first_row + chunk.rows)
            return ColumnCast(pa.array(numbers), column.data_type, options)
        last = self._casts.get(column.name)
        if last is None or last[0] is not chunk.file:
            last = chunk.file, self._cast_value(chunk.file, column, options)
            self._casts[column.name] = last
        return RepeatedCast(last[1], chunk.rows)

    def _cast_value(
        self, file: FilePath | None, column: Column, options: CastOptions
    ) -> ColumnCast:
        """The one value of a column in all rows of a file."""
        source, format_ = _source(column), None
        value: object = None
        match source.kind:
            case "constant":
                assert source.value is not None, "the field has seen to it"
                value = typed_constant(column.data_type, source.value)
            case "file" if file is not None:
                value = file.full_name or None
            case "path" if file is not None:
                found = file.value(source.name)
                value, format_ = found.text, found.format or None
            case "load_id":
                value = self._known_facts.load_id
            case "loaded_at":
                at = self._known_facts.loaded_at
                value = at if column.data_type.name == "timestamptz" else at.replace(tzinfo=None)
        return ColumnCast(
            [value],
            column.data_type,
            # A path is text as in a file, whose own formats are not those of its path.
            replace(
                options,
                text=source.kind == "path",
                json=False,
                decimal=".",
                empty_is_null=False,
                date_format=format_,
                timestamp_format=format_,
                nan_is_null=False,
            ),
        )

    @property
    def _known_facts(self) -> LoadFacts:
        assert self._facts is not None, "whoever loads says what load it is"
        return self._facts


def _source(column: Column) -> ColumnSource:
    assert column.from_ is not None, "it is a column of the load"
    return column.from_


def _find_problem(file: FilePath, key: str) -> str | None:
    try:
        file.value(key)
    except PathKeyError as error:
        return f"{file.name} {error}"
    return None
