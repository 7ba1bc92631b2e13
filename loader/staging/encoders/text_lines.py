r"""Encodes CSV and JSON lines, each with its compressions, the same for every warehouse.

- CSV has a header, quotes all text and nothing else, and writes NULL as a bare ``\N``; so NULL,
  ``''`` and the text ``\N`` stay distinct.
- JSON has one object on each line. Columns of JSON text (`JSON_METADATA`) are embedded as JSON.
  Decimals and 64-bit integers are strings, since COPY reads JSON numbers through a double.
"""

from __future__ import annotations

import gzip
import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from loader.spec.model import Staging
from loader.staging.encoders.base import GZIP_LEVEL, JSON_METADATA, is_full
from loader.staging.encoders.text_values import (
    Encoder,
    TextKind,
    as_text_scalar,
    escape_json,
    find_encoder,
    join_text,
    refuse_infinite,
)


class _LineWriter:
    """Writes one line of text for each row, all rows of a batch at once.

    Args:
        staging: Compression and file size.
        sink: Where the bytes go.
        schema: Of all batches.
    """

    end = "\n"
    """The end of a line."""

    def __init__(self, staging: Staging, sink: io.BufferedIOBase, schema: pa.Schema) -> None:
        self._sink = sink
        self._file_size = staging.file_size
        self._encoders = [self._column_encoder(field) for field in schema]
        self._prefixes = [as_text_scalar(prefix) for prefix in self._make_prefixes(schema.names)]
        self._out = _compress(sink, staging.compression)

    @property
    def full(self) -> bool:
        return is_full(self._sink, self._file_size)

    def write(self, batch: pa.RecordBatch) -> None:
        if not batch.num_rows:
            return
        parts = []
        for prefix, encode, column in zip(
            self._prefixes, self._encoders, batch.columns, strict=True
        ):
            parts += [prefix, encode(column)]
        # The last argument is the separator, which is empty: the prefixes contain the commas.
        lines = pc.binary_join_element_wise(*parts, as_text_scalar(self.end), as_text_scalar(""))
        self._out.write(lines.buffers()[2])

    def close(self) -> None:
        if self._out is not self._sink:
            self._out.close()

    def abort(self) -> None:
        self.close()

    def _make_prefixes(self, names: list[str]) -> list[str]:
        """The text before the value of each column."""
        raise NotImplementedError

    def _column_encoder(self, field: pa.Field) -> Encoder:
        """The function that turns a column into text without nulls."""
        raise NotImplementedError


class CsvWriter(_LineWriter):
    """Writes CSV with a header."""

    def __init__(self, staging: Staging, sink: io.BufferedIOBase, schema: pa.Schema) -> None:
        super().__init__(staging, sink, schema)
        names = (name.replace('"', '""') for name in schema.names)
        self._out.write(",".join(f'"{name}"' for name in names).encode() + b"\n")

    def _make_prefixes(self, names: list[str]) -> list[str]:
        return ["", *"," * (len(names) - 1)]

    def _column_encoder(self, field: pa.Field) -> Encoder:
        to_text, kind = find_encoder(field, "csv")

        def encode(column: pa.Array) -> pa.Array:
            text = to_text(column)
            if kind in ("text", "hex"):
                escaped = pc.replace_substring(text, '"', '""') if kind == "text" else text
                text = join_text('"', escaped, '"')
            return text.fill_null("\\N")

        return encode


class JsonWriter(_LineWriter):
    """Writes JSON lines."""

    end = "}\n"
    bare: frozenset[TextKind] = frozenset({"number", "float"})
    """The kinds of values that are written without quotes."""

    def _make_prefixes(self, names: list[str]) -> list[str]:
        keys = [json.dumps(name, ensure_ascii=False) for name in names]
        return [f"{mark}{key}:" for mark, key in zip(["{", *"," * len(keys)], keys, strict=False)]

    def _column_encoder(self, field: pa.Field) -> Encoder:
        to_text, kind = find_encoder(field, "json")
        embedded = (field.metadata or {}).items() >= JSON_METADATA.items()

        def encode(column: pa.Array) -> pa.Array:
            text = to_text(column)
            if kind == "float":
                refuse_infinite(column, field.name)
            elif kind == "text" and embedded:
                # A document may have line ends between its tokens, but not inside its strings.
                text = pc.replace_substring_regex(text, "[\r\n]", " ")
            elif kind == "text":
                text = escape_json(text)
            if kind not in self.bare and not (kind == "text" and embedded):
                text = join_text('"', text, '"')
            return text.fill_null("null")

        return encode


class JsonNumbersWriter(JsonWriter):
    """JSON lines with 64-bit integers and short decimals as numbers, not as strings."""

    bare = JsonWriter.bare | {"bigint", "decimal"}


def _compress(sink: io.BufferedIOBase, compression: str) -> Any:
    """A stream that compresses into the sink, or the sink itself."""
    if compression == "gzip":
        # Without name and time, so that the same rows give the same bytes.
        return gzip.GzipFile(
            filename="", mode="wb", compresslevel=GZIP_LEVEL, fileobj=sink, mtime=0
        )
    if compression == "zstd":
        return pa.CompressedOutputStream(pa.PythonFile(sink, mode="w"), "zstd")
    return sink
