"""Chunks made to fit their spec: matched by name, cast exactly, refused with the reason.

Columns are matched here, rows are judged, and what is refused is counted, told or set aside;
`casts` knows the types and `regions` the partitions.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from loader.data.cast import json_text
from loader.data.cast.arrow_types import arrow_type, is_arrow, pick, plain
from loader.data.cast.column import ColumnCast
from loader.data.cast.errors import Reading, show
from loader.data.cast.nested import DocumentCast, shape_of
from loader.data.cast.partition_of_row import Discovery, Membership, TrailingBlanks, all_but
from loader.data.cast.scalars import base_value
from loader.data.chunk import Chunk
from loader.errors import FrameError
from loader.spec.model import Column, TableSpec, in_order
from loader.spec.partitions import Slice
from loader.staging.encoders import JSON_METADATA

Batch = Any
"""A `pyarrow.RecordBatch`; pyarrow has no type stubs."""

_EMPTY_BYTES = "no bytes, which a CSV file cannot tell from NULL; use staging: {format: parquet}"

_NUL = "holds a NUL character, which Redshift text cannot"

REJECT_COLUMNS = ("_origin", "_row", "_reason")


def arrow_schema(columns: Sequence[Column]) -> Any:
    """The Arrow schema that rows of these columns have."""
    return pa.schema([pa.field(column.name, arrow_type(column.data_type)) for column in columns])


@dataclass(frozen=True)
class Layout:
    """How a warehouse wants rows staged, where that is more than their types."""

    order: tuple[str, ...] = ()
    """The live table's columns in its order; the staged columns follow it."""
    documents: Literal["text", "json", "nested"] = "text"
    """What SUPER values travel as: text that is JSON, JSON inside of JSON, or nested Parquet."""
    empty_is_null: bool = False
    """Whether an empty field of a CSV file is NULL for all but text."""
    nul_in_text: bool = True
    """Whether text may hold the character NUL."""
    ignores_trailing_blanks: bool = False
    """Whether the warehouse holds ``'a'`` and ``'a '`` equal."""


PLAIN = Layout()
"""In the spec's order, documents as text."""


# Columns, by name.


def match_columns(spec: TableSpec, present: Sequence[str]) -> dict[str, str]:
    """Column of the table → column of the data, for those that are staged.

    A name is matched exactly, else ignoring case when only one column is meant. What
    `source.columns` names is looked for first, then the table's own name.

    Raises:
        FrameError: columns are missing, too many or ambiguous; all of them are named.
    """
    matched: dict[str, str] = {}
    problems: list[tuple[str, str, str]] = []
    for column in spec.columns:
        found = _find(spec, column, present)
        if len(found) > 1:
            names = ", ".join(f"`{name}`" for name in found)
            problems.append(("unclear", column.name, f"may be any of {names}"))
        if found and column.identity is None:
            matched[column.name] = found[0]
        elif found and spec.schema_contract.extra_columns == "fail":
            problems.append(("extra", found[0], "is an identity column: the warehouse numbers it"))
        elif not found and _is_needed(spec, column):
            problems.append(("missing", column.name, str(column.data_type)))
    problems.extend(_extra(spec, present, matched, problems))
    if problems:
        raise _mismatch(spec, problems)
    return matched


def _is_needed(spec: TableSpec, column: Column) -> bool:
    """Whether the data must have the column: the warehouse does not fill it in by itself."""
    if column.identity is not None:
        return False
    return column.default is None or column.name in spec.merged_by


def _find(spec: TableSpec, column: Column, present: Sequence[str]) -> list[str]:
    """The columns of the data that a column of the table may mean; one when it is clear."""
    for name in dict.fromkeys([spec.source.columns.get(column.name, column.name), column.name]):
        if name in present:
            return [name]
        similar = [other for other in present if other.casefold() == name.casefold()]
        if similar:
            return similar
    return []


def _extra(
    spec: TableSpec,
    present: Sequence[str],
    matched: Mapping[str, str],
    problems: Sequence[tuple[str, str, str]],
) -> list[tuple[str, str, str]]:
    if spec.schema_contract.extra_columns == "ignore":
        return []
    missing = [name for kind, name, _ in problems if kind == "missing"]
    told = {name for kind, name, _ in problems if kind == "extra"}
    rows = []
    for name in present:
        if name not in matched.values() and name not in told:
            close = difflib.get_close_matches(name.casefold(), missing, n=1)
            rows.append(("extra", name, f"did you mean `{close[0]}`?" if close else ""))
    return rows


def _mismatch(spec: TableSpec, problems: Sequence[tuple[str, str, str]]) -> FrameError:
    order = ("missing", "unclear", "extra")
    rows = sorted(problems, key=lambda problem: order.index(problem[0]))
    lines = [f"the data does not match {spec.table}", *_table(rows)]
    extra = [name for kind, name, _ in rows if kind == "extra"]
    missing = any(kind == "missing" for kind, _, _ in rows)
    hint = None
    if extra and not missing:
        hint = "schema_contract: {extra_columns: ignore} leaves out what the spec lacks"
    elif missing and any(re.fullmatch(r"[-+0-9.,:/ ]*[0-9][-+0-9.,:/ ]*", name) for name in extra):
        hint = "CSV files without a header are read by source: {header: false, names: […]}"
    return FrameError(
        "\n".join(lines),
        hint=hint,
        details=[{"column": name, "problem": f"{kind} {why}".strip()} for kind, name, why in rows],
    )


def _table(rows: Iterable[Sequence[str]]) -> list[str]:
    """Rows of text under each other, the last column ragged."""
    rows = list(rows)
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]) - 1)]
    return [
        "  "
        + "  ".join(
            [*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]
        ).rstrip()
        for row in rows
    ]


# Rows, by type.


@dataclass(frozen=True)
class Conformed:
    """A chunk as the table takes it, and the rows it does not take."""

    batch: Batch
    """The good rows: columns in table order, in the types of `arrow_schema`."""
    rejects: Batch | None = None
    """With `bad_rows: reject`, the others: origin, row, reason, and the source's values as text."""


@dataclass(frozen=True)
class _Finding:
    """What one look at a chunk found wrong: the rows, and the complaint about each on demand."""

    name: str
    rows: Sequence[int]
    why: Callable[[int], str]


@dataclass
class _Complaint:
    """The first bad row of a column, in words, and how many there are."""

    origin: str
    row: int
    why: str
    rows: int = 0


@dataclass
class _Tally:
    """Everything refused so far."""

    rows: int = 0
    complaints: dict[str, _Complaint] = field(default_factory=dict)
    origins: set[str] = field(default_factory=set)

    def add(self, chunk: Chunk, findings: Sequence[_Finding], rows: int) -> None:
        self.rows += rows
        self.origins.add(chunk.origin)
        for found in findings:
            if found.name not in self.complaints:
                first = found.rows[0]
                self.complaints[found.name] = _Complaint(
                    chunk.origin, chunk.first_row + first, found.why(first)
                )
            self.complaints[found.name].rows += len(found.rows)

    def lines(self) -> list[str]:
        """A line for each column."""
        several = len(self.origins) > 1
        rows = []
        for name, found in self.complaints.items():
            place = f"{found.origin} row {found.row:,}" if several else f"row {found.row:,}"
            others = found.rows - 1
            more = f" ({others:,} more row{'s' * (others > 1)})" if others else ""
            rows.append((name, f"{place}: {found.why}{more}"))
        return _table(rows)

    def details(self) -> list[dict[str, str | int]]:
        """The same as rows of a table."""
        return [
            {
                "column": name,
                "origin": found.origin,
                "first_row": found.row,
                "problem": found.why,
                "rows": found.rows,
            }
            for name, found in self.complaints.items()
        ]


class Conformer:
    """Casts the chunks of one load, and remembers what it had to refuse."""

    columns: tuple[Column, ...]
    """The columns that are staged, in table order."""
    schema: Any
    """Their Arrow schema."""
    rows_read: int
    """Rows seen so far."""

    def __init__(
        self,
        spec: TableSpec,
        matched: Mapping[str, str],
        slice_: Slice | None = None,
        *,
        discover: bool = False,
        layout: Layout = PLAIN,
        first: Chunk | None = None,
    ) -> None:
        self._spec, self._matched = spec, matched
        self.columns = in_order(spec.staged_columns(frozenset(matched)), layout.order)
        self._empty_is_null, self._nul_in_text = layout.empty_is_null, layout.nul_in_text
        self._documents = layout.documents
        self._shapes: dict[str, Any] = {}
        if layout.documents == "nested" and first is not None:
            self._shapes = self._find_shapes(first)
        self.schema = self._staged_schema(layout)
        self.rows_read = 0
        self._rejects = spec.schema_contract.bad_rows == "reject"
        blanks = layout.ignores_trailing_blanks
        self._trailing_blanks = [
            TrailingBlanks(dimension)
            for dimension in spec.dimensions
            if blanks and dimension.grain is None and dimension.data_type.name == "varchar"
        ]
        self._membership = Membership(slice_, ignores_trailing_blanks=blanks) if slice_ else None
        counts = slice_ is not None and len(slice_.keys) > 1
        self._discovery = (
            Discovery(spec.dimensions, required=discover, ignores_trailing_blanks=blanks)
            if discover or counts
            else None
        )
        regions = (*self._trailing_blanks, self._membership, self._discovery)
        self._regions = [region for region in regions if region]
        self._tally = _Tally()
        self._source_names: tuple[str, ...] = ()

    @property
    def rows_rejected(self) -> int:
        """Rows refused so far; a row that is bad in two columns counts once."""
        return self._tally.rows

    @property
    def failed(self) -> bool:
        """Whether so much was refused that the load cannot succeed, whatever follows."""
        if not self._rejects:
            return self.rows_rejected > 0
        limit = self._spec.schema_contract.max_rejects
        return isinstance(limit, int) and self.rows_rejected > limit

    def conform(self, chunk: Chunk) -> Conformed:
        """The good rows of a chunk in table order and type; the bad ones counted or set aside."""
        self.rows_read += chunk.rows
        casts = [self._cast(chunk, column) for column in self.columns]
        batch = pa.RecordBatch.from_arrays([cast.values for cast in casts], schema=self.schema)
        findings = self._misfits(casts)
        bad = {row for found in findings for row in found.rows}
        for region in self._regions:
            strays = region.strays(batch, bad)
            if strays:
                findings.append(_Finding(region.name, list(strays), strays.__getitem__))
                bad |= strays.keys()
        if not bad:
            return Conformed(batch)
        self._tally.add(chunk, findings, len(bad))
        rejects = self._set_aside(chunk, findings, sorted(bad)) if self._rejects else None
        return Conformed(batch.filter(all_but(bad, chunk.rows)), rejects)

    def finish(self) -> None:
        """Refuse the load when rows were refused, or more than the spec allows.

        Raises:
            FrameError: they were; for each column it names the first row and how many more.
        """
        rows, allowed = self.rows_rejected, self._spec.schema_contract
        if rows == 0 or (self._rejects and allowed.allows(rows, self.rows_read)):
            return
        origin = next(iter(self._tally.origins)) if len(self._tally.origins) == 1 else ""
        of = f" of {'the frame' if origin == 'frame' else origin}" if origin else ""
        head = f"1 row{of} does" if rows == 1 else f"{rows:,} rows{of} do"
        head += f" not fit {self._spec.table}"
        if self._rejects:
            head += f", of {self.rows_read:,} read, and max_rejects allows {allowed.max_rejects}"
        lines = [f"{head}; nothing was loaded", *self._tally.lines()]
        details = self._tally.details()
        raise FrameError("\n".join(lines), hint=self._hint(), details=details)

    def _hint(self) -> str | None:
        if any(region.found for region in self._trailing_blanks):
            return (
                "trim the text in the data, or partition by it without blanks:"
                " partition_by: [{expr: rtrim(…), data_type: …}]"
            )
        if self._membership is not None and self._membership.met_others:
            return "name the partitions of these rows too, or load with the partition `auto`"
        if not self._rejects:
            return "schema_contract: {bad_rows: reject} sets such rows aside instead"
        return None

    def partition_keys(self) -> list[dict[str, str]]:
        """With `discover`: the partitions of the good rows, each as dimension → key, in order."""
        return self._discovery.keys() if self._discovery else []

    def partition_rows(self) -> dict[str, int] | None:
        """How many good rows each partition has, by `slices.cell_name`; None when not told apart.

        Rows are told apart when partitions are discovered, or several were asked for.
        """
        return self._discovery.rows() if self._discovery else None

    def _staged_schema(self, layout: Layout) -> Any:
        fields = []
        for column in self.columns:
            kind = self._shapes.get(column.name, arrow_type(column.data_type))
            embedded = layout.documents == "json" and column.data_type.name == "super"
            metadata = JSON_METADATA if embedded else None
            fields.append(pa.field(column.name, kind, metadata=metadata))
        return pa.schema(fields)

    def _find_shapes(self, first: Chunk) -> dict[str, Any]:
        """The nested types of SUPER columns, as the first rows have them.

        Raises:
            FrameError: they have none; all such columns are named.
        """
        found: dict[str, Any] = {}
        for column in self.columns:
            if column.data_type.name == "super":
                values = first.columns[self._matched[column.name]]
                values = plain(values) if is_arrow(values) else values
                texts = self._cast_text(first, column).values.to_pylist()
                found[column.name] = shape_of(texts, values.type if is_arrow(values) else None)
        missing = [name for name, shape in found.items() if shape is None]
        if missing:
            names = ", ".join(f"`{name}`" for name in missing)
            raise FrameError(
                f"the documents of {names} have no single shape, which Parquet needs;"
                " nothing was loaded",
                hint="stage the table with `staging: {format: json}`, which takes any document",
            )
        return found

    def _cast(self, chunk: Chunk, column: Column) -> ColumnCast | DocumentCast:
        cast = self._cast_text(chunk, column)
        shape = self._shapes.get(column.name)
        return cast if shape is None else DocumentCast(cast, shape)

    def _cast_text(self, chunk: Chunk, column: Column) -> ColumnCast:
        values = chunk.columns[self._matched[column.name]]
        source = self._spec.source
        json = chunk.text and not isinstance(values, pa.Array | pa.ChunkedArray)
        reading = Reading(
            text=chunk.text,
            json=json,
            decimal=source.decimal,
            empty_is_null=chunk.text and not json and "" in source.null_values,
            date_format=source.date_format,
            timestamp_format=source.timestamp_format,
            timezone=source.timezone,
            null_marker=self._spec.staging.format == "csv",
            finite=self._spec.staging.format == "json",
            nan_is_null=chunk.nan_is_null,
        )
        return ColumnCast(values, column.data_type, reading)

    def _misfits(self, casts: Sequence[ColumnCast | DocumentCast]) -> list[_Finding]:
        """Values that do not fit their type, and NULL where there may be none."""
        found = []
        for column, cast in zip(self.columns, casts, strict=True):
            if cast.bad:
                found.append(_Finding(column.name, cast.bad, cast.complaint))
            if not column.nullable and cast.values.null_count > len(cast.bad):
                known = set(cast.bad)
                nulls = pc.indices_nonzero(cast.values.is_null()).to_pylist()
                empty = [row for row in nulls if row not in known]
                found.append(_Finding(column.name, empty, lambda _: "NULL, but it is NOT NULL"))
            if not self._nul_in_text and pa.types.is_string(cast.values.type):
                odd = pc.indices_nonzero(pc.match_substring(cast.values, "\0")).to_pylist()
                if odd:
                    found.append(_Finding(column.name, odd, lambda _: _NUL))
            if not self._nul_in_text and column.data_type.name == "super":
                found += self._odd_documents(column, cast)
            if self._empty_is_null and column.data_type.name == "varbyte":
                empty = pc.indices_nonzero(pc.equal(pc.binary_length(cast.values), 0)).to_pylist()
                if empty:
                    found.append(_Finding(column.name, empty, lambda _: _EMPTY_BYTES))
        return found

    def _odd_documents(self, column: Column, cast: ColumnCast | DocumentCast) -> Iterator[_Finding]:
        """JSON text that Redshift refuses, or takes for another value."""
        known, nulls = set(cast.bad), self._documents != "json"
        why = {
            row: reason
            for row, text in enumerate(cast.texts.to_pylist())
            if text is not None
            and row not in known
            and (reason := json_text.misfit(text, null=nulls))
        }
        if why:
            yield _Finding(column.name, list(why), why.__getitem__)

    def _set_aside(self, chunk: Chunk, findings: Sequence[_Finding], bad: Sequence[int]) -> Batch:
        """The bad rows as they came, with where they came from and every reason."""
        reasons: dict[int, list[str]] = {row: [] for row in bad}
        for found in findings:
            for row in found.rows:
                reasons[row].append(f"{found.name}: {found.why(row)}")
        self._source_names = self._source_names or tuple(chunk.columns)
        columns = {
            "_origin": pa.array([chunk.origin] * len(bad), pa.string()),
            "_row": pa.array([chunk.first_row + row for row in bad], pa.int64()),
            "_reason": pa.array(["; ".join(texts) for texts in reasons.values()], pa.string()),
        }
        for name in self._source_names:
            key = f"{name}_" if name in REJECT_COLUMNS else name
            values = pick(chunk.columns[name], bad) if name in chunk.columns else [None] * len(bad)
            texts = [None if value is None else _as_text(value) for value in values]
            columns[key] = pa.array(texts, pa.string())
        return pa.RecordBatch.from_pydict(columns)


def _as_text(value: object) -> str:
    value = base_value(value)
    text = value if isinstance(value, str) else show(value, limit=None)
    return text.encode(errors="backslashreplace").decode()
