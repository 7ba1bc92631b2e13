r"""Columns of text → lines for PostgreSQL's ``COPY … FROM STDIN (FORMAT csv, NULL '\N')``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

TEXT = pa.large_string()
"""64-bit offsets, so that no batch of text is too long."""

_ROWS = 32_768
_BYTES = 8 << 20
"""A chunk of lines has about as many at most."""


def lines(columns: Sequence[pa.Array]) -> Iterator[bytes]:
    r"""Lines of these columns of large strings: NULL is a bare ``\N``, all else is quoted."""
    count = len(columns[0]) if columns else 0
    size = sum(column.nbytes for column in columns)
    step = max(1, min(_ROWS, count * _BYTES // max(size, 1)))
    for start in range(0, count, step):
        yield _chunk([column.slice(start, step) for column in columns])


def _chunk(columns: Sequence[pa.Array]) -> bytes:
    parts: list[pa.Array | pa.Scalar] = []
    for number, column in enumerate(columns):
        if number:
            parts.append(text(","))
        parts.append(_field(column))
    joined = pc.binary_join_element_wise(*parts, text("\n"), text(""))
    _, offsets, data = joined.buffers()
    edges = pa.Array.from_buffers(pa.int64(), len(joined) + 1, [None, offsets], 0, joined.offset)
    return memoryview(data)[edges[0].as_py() : edges[-1].as_py()].tobytes()


def _field(column: pa.Array) -> pa.Array:
    if any_of(pc.match_substring(column, '"')):
        column = pc.replace_substring(column, '"', '""')
    quoted = pc.binary_join_element_wise(text('"'), column, text('"'), text(""))
    return pc.fill_null(quoted, text("\\N"))


def text(value: str) -> pa.Scalar:
    """A scalar of the one type all columns have."""
    return pa.scalar(value, TEXT)


def any_of(mask: pa.Array) -> bool:
    """Whether it is true anywhere."""
    return bool(pc.any(mask).as_py())


def first(mask: pa.Array) -> int | None:
    """The first row where it is true."""
    place = pc.index(pc.fill_null(mask, False), pa.scalar(True)).as_py()
    return None if place < 0 else int(place)


def byte_length(column: pa.Array) -> pa.Array:
    """Bytes of UTF-8 in each value."""
    return pc.binary_length(pc.cast(column, pa.large_binary()))


def hexadecimal(column: pa.Array) -> pa.Array:
    r"""Binary values as PostgreSQL reads them: ``\x`` and two digits a byte."""
    column = pc.cast(column, pa.large_binary())
    _, offsets, data = column.buffers()
    edges = pa.Array.from_buffers(
        pa.int64(), len(column) + 1, [None, offsets], offset=column.offset
    )
    start, end = edges[0].as_py(), edges[-1].as_py()
    digits = memoryview(data)[start:end].hex().encode() if data else b""
    doubled = pc.multiply(pc.subtract(edges, start), 2).buffers()[1]
    plain = pa.Array.from_buffers(TEXT, len(column), [None, doubled, pa.py_buffer(digits)])
    known = pc.if_else(column.is_valid(), plain, pa.scalar(None, TEXT))
    return pc.binary_join_element_wise(text("\\x"), known, text(""))
