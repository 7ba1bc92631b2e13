r"""Batches → the bytes of one staged file: Parquet, CSV or JSON lines, each with its compressions.

What the text formats write is the same for every warehouse:

- CSV has a header, quotes all text and nothing else, and writes NULL as a bare ``\N``; so NULL,
  ``''`` and the text ``\N`` stay apart.
- JSON has one object in each line. Columns of JSON text (`JSON_METADATA`) are embedded as JSON.
  Decimals and 64-bit integers are strings, since COPY reads JSON numbers through a double.
- Times are ISO 8601 with a space; binary is hex; decimals never have an exponent.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from typing import Any, Literal, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from loader.errors import StageError
from loader.spec.model import Staging

JSON_METADATA = {b"loader": b"json"}
"""The metadata of a field whose text is JSON."""

_EXACT_DIGITS = 15
"""Digits a decimal may have to survive a reader that turns JSON numbers into doubles."""

_GZIP_LEVEL = 1
"""Level 6 takes five times as long for a fifth less; the warehouse reads both at one speed."""

_GROUP_BYTES = 32 << 20
"""Arrow bytes of a Parquet row group: what one writer holds in memory."""

_GROUP_ROWS = 1 << 20

_GROUP_STEP = 122_880
"""Rows of DuckDB's own groups: what it reads in whole ones it writes once, on all cores."""

_NEARLY = 0.9
"""The share of its size at which a file is not worth going on with."""

_TEXT = pa.large_string()
"""64-bit offsets, so that no batch of text is too long."""


_Kind = Literal["number", "bigint", "decimal", "digits", "float", "time", "hex", "text"]
"""`number` is booleans too; `digits` is a decimal that has more of them than a double."""


class FileWriter(Protocol):
    """One file being written."""

    @property
    def full(self) -> bool:
        """Whether the file is about as long as the staging options ask for."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""

    def close(self) -> None:
        """Complete the file; the sink gets nothing more."""

    def abort(self) -> None:
        """Let go of a file that will not be completed; its bytes are worthless."""


def suffix(staging: Staging) -> str:
    """The ending of file names, without a leading dot: ``parquet``, ``csv.gz``."""
    if staging.format == "parquet":
        return "parquet"
    return staging.format + {"gzip": ".gz", "zstd": ".zst", "none": ""}[staging.compression]


def open_writer(
    staging: Staging, sink: io.BufferedIOBase, schema: pa.Schema, *, json_numbers: bool = False
) -> FileWriter:
    """Begin one file of rows of this schema.

    ``json_numbers`` writes 64-bit integers and decimals of at most 15 digits as JSON numbers, for
    readers other than COPY.

    Raises:
        StageError: the format has no place for one of the columns.
    """
    if json_numbers and staging.format == "json":
        return _JsonWithNumbers(staging, sink, schema)
    return _WRITERS[staging.format](staging, sink, schema)


class _Parquet:
    """Collects batches into row groups, because small ones cost readers and bytes."""

    def __init__(self, staging: Staging, sink: io.BufferedIOBase, schema: pa.Schema) -> None:
        self._schema = schema
        self._sink = sink
        self._held: list[pa.RecordBatch] = []
        self._held_bytes = 0
        self._held_rows = 0
        self._file_size = staging.file_size
        # The first group tells how well the data packs; it must come well before the file's end.
        self._group_bytes = min(_GROUP_BYTES, staging.file_size // 4)
        self._packing = 1.0
        self._writer = pq.ParquetWriter(
            pa.PythonFile(sink, mode="w"),
            schema,
            compression=staging.compression,
            compression_level=_GZIP_LEVEL if staging.compression == "gzip" else None,
            store_schema=False,
        )

    @property
    def full(self) -> bool:
        return self._sink.tell() >= self._file_size * _NEARLY

    def write(self, batch: pa.RecordBatch) -> None:
        self._held.append(batch)
        self._held_bytes += batch.nbytes
        self._held_rows += batch.num_rows
        # What is held may pack worse than the last group did: only what is encoded has a size.
        expected = self._sink.tell() + self._held_bytes * self._packing
        if (
            expected >= self._file_size
            or self._held_bytes >= self._group_bytes
            or self._held_rows >= _GROUP_ROWS
        ):
            self._write_group()

    def close(self) -> None:
        while self._held_rows:
            self._write_group()
        self._writer.close()

    def abort(self) -> None:
        self._held.clear()
        # Closed all the same, or it would try to when it is collected.
        self._writer.close()

    def _write_group(self) -> None:
        start = self._sink.tell()
        whole = self._held_rows - self._held_rows % _GROUP_STEP or self._held_rows
        held = pa.Table.from_batches(self._held, self._schema)
        self._writer.write_table(held.slice(0, whole), row_group_size=whole)
        written = self._held_bytes * whole / self._held_rows
        self._packing = (self._sink.tell() - start) / max(written, 1)
        self._held = held.slice(whole).to_batches()
        self._held_rows -= whole
        self._held_bytes -= int(written)
        self._group_bytes = _GROUP_BYTES


class _Lines:
    """One line of text for each row, all rows of a batch at once."""

    end = "\n"
    """What closes a line."""

    def __init__(self, staging: Staging, sink: io.BufferedIOBase, schema: pa.Schema) -> None:
        self._sink = sink
        self._file_size = staging.file_size
        self._columns = [self._column(field) for field in schema]
        self._leads = [_text(lead) for lead in self._spell_leads(schema.names)]
        self._out = _compressed(sink, staging.compression)

    @property
    def full(self) -> bool:
        return self._sink.tell() >= self._file_size * _NEARLY

    def write(self, batch: pa.RecordBatch) -> None:
        if not batch.num_rows:
            return
        parts = []
        for lead, encode, column in zip(self._leads, self._columns, batch.columns, strict=True):
            parts += [lead, encode(column)]
        # The separator of the join is its last argument; all there is to separate is in the parts.
        lines = pc.binary_join_element_wise(*parts, _text(self.end), _text(""))
        self._out.write(lines.buffers()[2])

    def close(self) -> None:
        if self._out is not self._sink:
            self._out.close()

    def abort(self) -> None:
        self.close()

    def _spell_leads(self, names: list[str]) -> list[str]:
        """What stands before the value of each column."""
        raise NotImplementedError

    def _column(self, field: pa.Field) -> _Encoder:
        """What turns a column into text without nulls."""
        raise NotImplementedError


class _Csv(_Lines):
    def __init__(self, staging: Staging, sink: io.BufferedIOBase, schema: pa.Schema) -> None:
        super().__init__(staging, sink, schema)
        names = (name.replace('"', '""') for name in schema.names)
        self._out.write(",".join(f'"{name}"' for name in names).encode() + b"\n")

    def _spell_leads(self, names: list[str]) -> list[str]:
        return ["", *"," * (len(names) - 1)]

    def _column(self, field: pa.Field) -> _Encoder:
        plain, kind = _plain(field, "csv")

        def encode(column: pa.Array) -> pa.Array:
            text = plain(column)
            if kind in ("text", "hex"):
                escaped = pc.replace_substring(text, '"', '""') if kind == "text" else text
                text = _join('"', escaped, '"')
            return text.fill_null("\\N")

        return encode


class _Json(_Lines):
    end = "}\n"
    bare: frozenset[_Kind] = frozenset({"number", "float"})
    """What is no string."""

    def _spell_leads(self, names: list[str]) -> list[str]:
        keys = [json.dumps(name, ensure_ascii=False) for name in names]
        return [f"{mark}{key}:" for mark, key in zip(["{", *"," * len(keys)], keys, strict=False)]

    def _column(self, field: pa.Field) -> _Encoder:
        plain, kind = _plain(field, "json")
        embedded = (field.metadata or {}).items() >= JSON_METADATA.items()

        def encode(column: pa.Array) -> pa.Array:
            text = plain(column)
            if kind == "float":
                _refuse_not_finite(column, field.name)
            elif kind == "text" and embedded:
                # Outside of its strings JSON may hold line ends; inside it may not.
                text = pc.replace_substring_regex(text, "[\r\n]", " ")
            elif kind == "text":
                text = _escaped(text)
            if kind not in self.bare and not (kind == "text" and embedded):
                text = _join('"', text, '"')
            return text.fill_null("null")

        return encode


class _JsonWithNumbers(_Json):
    bare = _Json.bare | {"bigint", "decimal"}


_WRITERS: dict[str, Callable[[Staging, io.BufferedIOBase, pa.Schema], FileWriter]] = {
    "parquet": _Parquet,
    "csv": _Csv,
    "json": _Json,
}
"""The staging formats."""


def _compressed(sink: io.BufferedIOBase, compression: str) -> Any:
    """What compresses into the sink, or the sink itself."""
    if compression == "gzip":
        # No name and no time: the same rows give the same bytes.
        return gzip.GzipFile(
            filename="", mode="wb", compresslevel=_GZIP_LEVEL, fileobj=sink, mtime=0
        )
    if compression == "zstd":
        return pa.CompressedOutputStream(pa.PythonFile(sink, mode="w"), "zstd")
    return sink


_Encoder = Callable[[pa.Array], pa.Array]

_USE_PARQUET = "stage this table with `staging: {format: parquet}`"


def _plain(field: pa.Field, form: str) -> tuple[_Encoder, _Kind]:
    """How a column's values are spelled, nulls kept, and the kind of its text."""
    data_type, types = field.type, pa.types
    if types.is_boolean(data_type) or types.is_integer(data_type):
        return _cast, "bigint" if data_type.bit_width == 64 else "number"
    if types.is_float32(data_type) or types.is_float64(data_type):
        return _float, "float"
    if types.is_decimal128(data_type) and data_type.scale >= 0:
        return _decimal, "decimal" if data_type.precision <= _EXACT_DIGITS else "digits"
    if types.is_string(data_type) or types.is_large_string(data_type):
        return _cast, "text"
    if types.is_binary(data_type) or types.is_large_binary(data_type):
        return as_hex, "hex"
    return _temporal(field, form), "time"


def _temporal(field: pa.Field, form: str) -> _Encoder:
    if field.type == pa.time64("us"):
        return _cast
    if pa.types.is_date32(field.type):
        return _bounded(field.name, form, pa.int32(), *_DATES)
    if pa.types.is_timestamp(field.type) and field.type.unit == "us":
        dated = _bounded(field.name, form, pa.int64(), *_STAMPS)
        return _utc(dated) if field.type.tz else dated
    raise StageError(
        f"column `{field.name}`: {form} files cannot hold values of the Arrow type {field.type}",
        hint=_USE_PARQUET,
    )


def _text(value: str) -> pa.Scalar:
    return pa.scalar(value, _TEXT)


def _cast(column: pa.Array) -> pa.Array:
    return pc.cast(column, _TEXT)


def _join(*parts: pa.Array | str) -> pa.Array:
    """The parts side by side in each row; null where one of them is."""
    texts = [_text(part) if isinstance(part, str) else part for part in parts]
    return pc.binary_join_element_wise(*texts, _text(""))


def _any(mask: pa.Array) -> bool:
    return bool(pc.any(mask).as_py())


def _float(column: pa.Array) -> pa.Array:
    """The shortest text that reads back as the same number; NaN and infinities by name."""
    text = _cast(column)
    # A bare -0 is an integer to readers, and integers have no negative zero.
    text = pc.if_else(pc.equal(text, _text("-0")), _text("-0.0"), text)
    if not _any(pc.invert(pc.is_finite(column))):
        return text
    infinity = pc.if_else(pc.greater(column, 0), _text("Infinity"), _text("-Infinity"))
    named = pc.if_else(pc.is_nan(column), _text("NaN"), infinity)
    return pc.if_else(pc.is_finite(column), text, named)


def _refuse_not_finite(column: pa.Array, name: str) -> None:
    if _any(pc.invert(pc.is_finite(column))):
        raise StageError(
            f"column `{name}`: JSON has no form for NaN and infinite numbers",
            hint="write csv, parquet or arrow instead",
        )


def _decimal(column: pa.Array) -> pa.Array:
    """All digits behind the point, and no exponent, which Arrow uses for small numbers."""
    text, scale = _cast(column), column.type.scale
    if not _any(pc.match_substring(text, "E")):
        return text
    units = column.view(pa.decimal128(38, 0))
    digits = pc.utf8_lpad(_cast(pc.abs(units)), scale + 1, "0")
    sign = pc.if_else(pc.starts_with(text, "-"), _text("-"), _text(""))
    return _join(sign, pc.replace_substring_regex(digits, rf"(\d{{{scale}}})$", r".\1"))


_DATES = (-719_162, 2_932_896)
"""The days of the years 1 to 9999, counted from 1970."""

_STAMPS = (_DATES[0] * 86_400_000_000, (_DATES[1] + 1) * 86_400_000_000 - 1)
"""Their microseconds."""


def _bounded(name: str, form: str, units: pa.DataType, low: int, high: int) -> _Encoder:
    """Spell dates and time stamps, and refuse the years that have no four-digit spelling."""

    def encode(column: pa.Array) -> pa.Array:
        ends = pc.min_max(column.view(units)).as_py()
        if ends["min"] is not None and not low <= ends["min"] <= ends["max"] <= high:
            raise StageError(
                f"column `{name}`: {form} files cannot hold years before 1 or after 9999",
                hint=_USE_PARQUET,
            )
        return _cast(column)

    return encode


def _utc(dated: _Encoder) -> _Encoder:
    """Spell instants in UTC, with its offset."""
    return lambda column: _join(dated(column.view(pa.timestamp("us"))), "+00")


def as_hex(column: pa.Array) -> pa.Array:
    """Two hex digits a byte: the bytes of all values in one go, at twice their offsets."""
    column = pc.cast(column, pa.large_binary())
    _, offsets, data = column.buffers()
    edges = pa.Array.from_buffers(
        pa.int64(), len(column) + 1, [None, offsets], offset=column.offset
    )
    first, last = edges[0].as_py(), edges[-1].as_py()
    digits = memoryview(data)[first:last].hex().encode() if data else b""
    doubled = pc.multiply(pc.subtract(edges, first), 2).buffers()[1]
    text = pa.Array.from_buffers(_TEXT, len(column), [None, doubled, pa.py_buffer(digits)])
    return pc.if_else(column.is_valid(), text, pa.scalar(None, _TEXT))


_COMMON = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}
_RARE = {chr(code): f"\\u{code:04x}" for code in range(32) if chr(code) not in _COMMON}


def _escaped(text: pa.Array) -> pa.Array:
    """Text as the inside of a JSON string."""
    text = pc.replace_substring(text, "\\", "\\\\")
    text = pc.replace_substring(text, '"', '\\"')
    for escapes in (_COMMON, _RARE):
        # One look at the text is cheaper than a pass for each character it does not have.
        if not _any(pc.match_substring_regex(text, "[\x01-\x1f]|\\x00")):
            break
        for character, escape in escapes.items():
            text = pc.replace_substring(text, character, escape)
    return text
