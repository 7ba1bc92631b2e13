"""UNLOAD: a query's rows as Parquet files in the object store."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import time
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from loader.testing.redshift.protocol.backend import ServerError
from loader.testing.redshift.protocol.results import BYTEA, JSONB, Column, Result, compact
from loader.testing.redshift.protocol.session import Session
from loader.testing.redshift.refusals import Refusal, not_implemented
from loader.testing.redshift.s3.client import Store
from loader.testing.redshift.statements.copy_unload import UnloadStatement

SLICES = 2
"""A slice of the cluster writes files of its own."""

BATCH = 20_000
NUMERIC, TIMESTAMPTZ, BPCHAR, VARCHAR = 1700, 1184, 1042, 1043
UNLOADABLE = ("geometry", "geography", "hllsketch")

_ARROW = {
    16: pa.bool_(),
    20: pa.int64(),
    21: pa.int16(),
    23: pa.int32(),
    26: pa.int64(),
    700: pa.float32(),
    701: pa.float64(),
    1082: pa.date32(),
    1083: pa.time64("us"),
    1114: pa.timestamp("us"),
    TIMESTAMPTZ: pa.timestamp("us"),
}
"""Arrow types by PostgreSQL type number; whatever is not here is text."""

_NAMES = {
    16: "boolean",
    20: "bigint",
    21: "smallint",
    23: "integer",
    700: "real",
    701: "double precision",
    1082: "date",
    1083: "time without time zone",
    1114: "timestamp without time zone",
    TIMESTAMPTZ: "timestamp with time zone",
    BPCHAR: "character",
    JSONB: "super",
    NUMERIC: "numeric",
}


@dataclass(frozen=True)
class Written:
    """A file that an UNLOAD has written."""

    url: str
    size: int
    rows: int


class Unloader:
    """Does UNLOAD for every session."""

    int96 = False
    """Whether time stamps are written as INT96, which a cluster may do."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def run(self, session: Session, unload: UnloadStatement) -> tuple[str, str]:
        """Run an UNLOAD; its command tag, and the notice for the client."""
        if unload.format != "parquet":
            raise not_implemented(f"UNLOAD as {unload.format}")
        self._store.check_role(unload.iam_role, session.user)
        inside = session.backend.status != b"I"
        translation = session.gateway.translate(session.user, unload.query, in_transaction=inside)
        self._check_destination(unload)
        # Redshift writes the doubles themselves, and PostgreSQL is asked for their text.
        session.backend.ask("SET extra_float_digits = 3")
        result, batches = _rows(session, translation.sql)
        session.backend.ask("SET extra_float_digits = 0")
        schema = _schema(session, result.columns)
        tables = [_table(batch, schema, result.columns) for batch in batches]
        table = pa.concat_tables(tables) if tables else schema.empty_table()
        encryption = self._encryption(unload)
        written = [self._write(url, part, encryption) for url, part in _files(unload, table)]
        if unload.manifest:
            manifest = _manifest(unload, written, result.columns)
            self._store.write(f"{unload.url}manifest", manifest, encryption)
        session.backend.ask(f"SET redshift.last_unload_count = '{table.num_rows}'")
        return "UNLOAD", f"UNLOAD completed, {table.num_rows} record(s) unloaded successfully."

    def _check_destination(self, unload: UnloadStatement) -> None:
        if unload.allow_overwrite:
            return
        found = self._store.listed(unload.url)
        if unload.cleanpath:
            for each in found:
                self._store.remove(each.url)
        elif found:
            raise Refusal(
                "Specified unload destination on S3 is not empty. Consider using a different "
                "bucket / prefix, manually removing the target files in S3, or using the "
                "ALLOWOVERWRITE option."
            )

    def _encryption(self, unload: UnloadStatement) -> dict[str, str]:
        """SSE-S3 unless ENCRYPTED says otherwise, whatever the bucket's default is (r_UNLOAD)."""
        key = unload.options.get("KMS_KEY_ID", "")
        if unload.options.get("ENCRYPTED") == "auto":
            key = self._store.default_key()
        if not key:
            return {"ServerSideEncryption": "AES256"}
        return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}

    def _write(self, url: str, table: pa.Table, encryption: Mapping[str, str]) -> Written:
        sink = io.BytesIO()
        pq.write_table(
            table,
            sink,
            compression="snappy",
            version="1.0",
            use_deprecated_int96_timestamps=self.int96,
        )
        data = sink.getvalue()
        self._store.write(url, data, encryption)
        return Written(url, len(data), table.num_rows)


def _manifest(
    unload: UnloadStatement, written: Sequence[Written], columns: Sequence[Column]
) -> bytes:
    manifest: dict[str, Any] = {
        "entries": [{"url": each.url, "meta": _meta([each], unload)} for each in written]
    }
    if unload.verbose:
        elements = [{"name": column.name, "type": _described(column)} for column in columns]
        manifest["schema"] = {"elements": elements}
        manifest["meta"] = _meta(written, unload)
        manifest["author"] = {"name": "Amazon Redshift", "version": "1.0.0"}
    return json.dumps(manifest, indent=2).encode()


def _meta(written: Sequence[Written], unload: UnloadStatement) -> dict[str, int]:
    meta = {"content_length": sum(each.size for each in written)}
    if unload.verbose:
        meta["record_count"] = sum(each.rows for each in written)
    return meta


def _described(column: Column) -> dict[str, Any]:
    described: dict[str, Any] = {"base": _NAMES.get(column.type, "character varying")}
    if column.type == NUMERIC:
        precision, scale = _precision(column)
        described |= {"precision": precision, "scale": scale}
    elif column.type in (BPCHAR, VARCHAR) and column.modifier > 4:
        described["max_length"] = column.modifier - 4
    return described


def _rows(session: Session, sql: str) -> tuple[Result, list[list[list[str | None]]]]:
    result = Result()
    batches: list[list[list[str | None]]] = []

    def take(row: list[str | None]) -> None:
        if not batches or len(batches[-1]) == BATCH:
            batches.append([])
        batches[-1].append(row)

    try:
        session.backend.stream(sql, result, take)
    except UnicodeDecodeError as error:  # pragma: no cover: client_encoding is UTF8
        raise ServerError({"S": "ERROR", "C": "22021", "M": str(error)}) from error
    return result, batches


def _schema(session: Session, columns: Sequence[Column]) -> pa.Schema:
    """The Arrow schema of a result; refused where Parquet has no room for it."""
    for column in columns:
        name = "varbyte" if column.type == BYTEA else _declared(session, column)
        if name == "varbyte" or name in UNLOADABLE:
            raise Refusal(
                f'UNLOAD of column "{column.name}" of type {name.upper()} is not supported'
                " for PARQUET",
                code="0A000",
            )
    return pa.schema([(column.name, _arrow(column)) for column in columns])


def _declared(session: Session, column: Column) -> str:
    """The declared type of its table: results show the base type of a domain."""
    if not column.table or column.type in _ARROW:
        return ""
    answer = session.backend.ask(
        "SELECT pg_catalog.redshift_type(a.atttypid, a.atttypmod)"
        f" FROM pg_catalog.pg_attribute a WHERE a.attrelid = {column.table}"
        f" AND a.attnum = {column.attribute}"
    )
    return str(answer.rows[0][0]).lower() if answer.rows else ""


def _precision(column: Column) -> tuple[int, int]:
    if column.modifier < 4:
        return 38, 10
    return (column.modifier - 4) >> 16, (column.modifier - 4) & 0x7FF


def _arrow(column: Column) -> pa.DataType:
    if column.type == NUMERIC:
        return pa.decimal128(*_precision(column))
    return _ARROW.get(column.type, pa.string())


def _table(
    rows: Sequence[Sequence[str | None]], schema: pa.Schema, columns: Sequence[Column]
) -> pa.Table:
    values = list(zip(*rows, strict=True))
    arrays = [
        _array(texts, field.type, column)
        for texts, field, column in zip(values, schema, columns, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _array(texts: Sequence[str | None], kind: pa.DataType, column: Column) -> pa.Array:
    if column.type == 16:
        return pa.array([None if text is None else text == "t" for text in texts], kind)
    if column.type == JSONB:
        return pa.array(
            [None if text is None else compact(text.encode()).decode() for text in texts], kind
        )
    if pa.types.is_time(kind):
        times = [None if text is None else time.fromisoformat(text) for text in texts]
        return pa.array(times, kind)
    array = pa.array(texts, pa.string())
    if column.type == TIMESTAMPTZ:
        return array.cast(pa.timestamp("us", "UTC")).cast(kind)
    if column.type in (700, 701):
        array = pc.replace_substring(array, "Infinity", "inf")
    try:
        return array.cast(kind)
    except pa.ArrowInvalid as error:
        raise Refusal(f'column "{column.name}" cannot be unloaded: {error}') from error


def _files(unload: UnloadStatement, table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """The files, by slice and part; a slice without rows writes none."""
    extension = unload.options.get("EXTENSION", "parquet")
    slices = SLICES if unload.parallel else 1
    share = -(-table.num_rows // slices)
    for number in range(slices):
        rows = table.slice(number * share, share)
        for part, piece in enumerate(_pieces(rows, unload.max_file_size)):
            name = f"{number:04}_part_{part:02}" if unload.parallel else f"{part:03}"
            yield f"{unload.url}{name}.{extension}", piece


def _pieces(table: pa.Table, max_bytes: int | None) -> Iterator[pa.Table]:
    if not table.num_rows:
        return
    count = 1
    if max_bytes is not None:
        count = -(-table.nbytes // max_bytes)
    share = -(-table.num_rows // count)
    for start in range(0, table.num_rows, share):
        yield table.slice(start, share)
