"""Files of text that the warehouse reads line by line, and splits into fields by SQL.

How a warehouse reads CSV is told by no document to the letter: what quotes are, which of them are
dropped, when a row is cut short. So it reads whole lines, and SQL does what is left, by rules that
are written here. A line is a row; a field that holds a line end is no field of these files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from loader.plan.text_patterns import text_pattern
from loader.spec.model import Column, TableSpec
from loader.sql.renderer import Renderer

_DELIMITERS = (",", ";", "\t", "|", ":", "~")
_QUOTES = ('"', "'")
"""Characters that stand for themselves in every pattern."""

_MOST_FIELDS = 250
"""Repetitions that all engines take in a pattern."""

_FLOATS = ("real", "double precision")


@dataclass(frozen=True)
class TextFiles:
    """How the lines of some files become rows; all of them are alike."""

    format: Literal["csv", "json"]
    compression: Literal["gzip", "zstd", "none"]
    delimiter: str
    quote: str
    header: bool
    """Whether the first line of each file is no row."""
    nulls: tuple[str, ...]
    """Words that mean NULL where they are not quoted."""
    decimal: str
    names: tuple[str, ...]
    """The names of the fields, in their order; of JSON the keys."""
    places: Mapping[str, str]
    """Column → its field."""
    extra_keys: bool = False
    """Whether objects may have other keys."""
    absent: tuple[str, ...] = ()
    """Keys of columns that no first line has, in lower case: later ones may not have them either,
    since the columns get their defaults."""

    @property
    def fields(self) -> int:
        """The number of fields of each line."""
        return len(self.names)

    @property
    def field_pattern(self) -> str:
        """The pattern of one field, with its quotes; lines hold no line ends."""
        quote, delimiter = self.quote, self.delimiter
        return f"([^{delimiter}{quote}][^{delimiter}]*|{quote}([^{quote}]|{quote}{quote})*{quote})?"

    @property
    def line_pattern(self) -> str:
        """The pattern of a line with as many fields."""
        more = f"({self.delimiter_pattern}{self.field_pattern})"
        return f"{self.field_pattern}{more}{{{self.fields - 1}}}"

    @property
    def next_pattern(self) -> str:
        """The pattern of a field and the delimiter after it."""
        return f"({self.field_pattern}){self.delimiter_pattern}"

    @property
    def delimiter_pattern(self) -> str:
        """The pattern of the delimiter."""
        return f"[{self.delimiter}]"

    @property
    def empty_is_null(self) -> bool:
        """Whether an empty field is NULL, quoted or not, where its type has no empty value."""
        return self.format == "csv" and "" in self.nulls

    @property
    def numbers(self) -> Mapping[str, int]:
        """Column → the number of its field, from 1."""
        return {column: self.names.index(name) + 1 for column, name in self.places.items()}

    @property
    def pointers(self) -> Mapping[str, str]:
        """Column → the JSON pointer of its value."""
        return {
            column: "/" + name.replace("~", "~0").replace("/", "~1")
            for column, name in self.places.items()
        }

    def json_types(self, column: Column) -> tuple[str, ...]:
        """What the values of a column are in JSON, as DuckDB calls it.

        Numbers with a point are doubles to parsers, so decimals are strings or whole numbers, and
        so are those of REAL, which would be rounded twice.
        """
        return ("NULL", "VARCHAR", *_JSON_TYPES.get(column.data_type.name, ()))


_WHOLE = ("BIGINT", "UBIGINT")
_JSON_TYPES: Mapping[str, tuple[str, ...]] = {
    "smallint": _WHOLE,
    "integer": _WHOLE,
    "bigint": _WHOLE,
    "decimal": _WHOLE,
    "real": _WHOLE,
    "double precision": (*_WHOLE, "DOUBLE"),
    "boolean": ("BOOLEAN", "UBIGINT"),
}


def find_text_obstacles(
    spec: TableSpec, files: TextFiles, columns: tuple[Column, ...], renderer: Renderer
) -> Iterator[str]:
    """Why the warehouse may read these files in another way than staging does.

    Args:
        spec: The table.
        files: The files.
        columns: The columns that they have values for.
        renderer: Of the warehouse.
    """
    title, source, kind = renderer.dialect.title, spec.source, files.format
    if files.compression != "none" and not renderer.dialect.checks_compressed:
        yield f"{title} does not notice when {files.compression} text is cut off or damaged"
    if not renderer.has(f"split_{kind}"):
        yield _NO_JSON if kind == "json" else f"{title} has no statement that splits its lines"
        return
    if source.encoding != "utf-8":
        yield f"source: {{encoding: {source.encoding}}}: {title} reads UTF-8"
    types = {column.data_type.name for column in columns}
    if source.date_format and "date" in types:
        yield "source.date_format: dates are cast in the warehouse as ISO 8601"
    if source.timestamp_format and types & {"timestamp", "timestamptz"}:
        yield "source.timestamp_format: timestamps are cast in the warehouse as ISO 8601"
    if source.timezone and "timestamptz" in types:
        yield "source.timezone: local times may occur twice or never, which no cast tells"
    for column in columns:
        if text_pattern(column.data_type) is None:
            yield f"`{column.name}`: no cast from text to {column.data_type} is known to be exact"
        elif column.data_type.name in _FLOATS and not renderer.dialect.casts_floats:
            yield f"`{column.name}`: {title} may round the last digit of a {column.data_type}"
    yield from _find_csv_obstacles(files) if kind == "csv" else _find_json_obstacles(spec)


def _find_csv_obstacles(files: TextFiles) -> Iterator[str]:
    if files.delimiter not in _DELIMITERS:
        known = ", ".join(map(repr, _DELIMITERS))
        yield f"source.delimiter: `{files.delimiter}` is none of {known}"
    if files.quote not in _QUOTES:
        yield f"source.quote: `{files.quote}` is neither \" nor '"
    if files.fields == 1:
        yield "the files have one column, where an empty line is a row"
    if files.fields > _MOST_FIELDS:
        yield f"the files have {files.fields} columns, more than {_MOST_FIELDS}"


def _find_json_obstacles(spec: TableSpec) -> Iterator[str]:
    if spec.source.decimal != ".":
        yield "source.decimal: numbers of JSON have a point"


_NO_JSON = (
    "COPY of JSON drops keys that the table lacks, keeps one of two values with the same key, and"
    " reads numbers as doubles, without a word"
)
