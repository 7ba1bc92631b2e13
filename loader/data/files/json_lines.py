"""Reads JSON lines as chunks of Python objects; numbers are exact.

The columns are the keys of the first chunk (`CHUNK_BYTES` of text or `CHUNK_ROWS` rows, whichever
comes first). A key that a line lacks is NULL there; one that first occurs later is an error, since
the rows before it may be staged already.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from loader.data.chunk import Chunk, Frame
from loader.data.column_names import check_names
from loader.data.files.encodings import EncodingError, find_codec
from loader.data.json_parsing import object_without_repeats, refuse_constant
from loader.errors import SourceError
from loader.spec.model import Source

CHUNK_ROWS = 16_384
CHUNK_BYTES = 8 << 20
MAX_LINE = 64 << 20
"""The most characters of a line; longer ones are files without line ends."""


def open_json(stream: Any, name: str, source: Source) -> Frame:
    """The rows of a file with one JSON object on each line; blank lines are skipped.

    Raises:
        SourceError: a line is not a JSON object, repeats a key, adds one too late, or contains NaN
            or Infinity; file and line are named.
    """
    groups = _parse_groups(stream, name, source)
    first = next(groups, None)
    if first is None:
        raise SourceError(f"{name} is empty: all of its lines are blank")
    keys = dict.fromkeys(key for _, row in first for key in row)
    columns = check_names(list(keys), name)
    return Frame(columns, _to_chunks(first, groups, name, columns))


_Group = list[tuple[int, dict[str, object]]]
"""Objects with their line numbers."""


def _to_chunks(
    first: _Group, groups: Iterator[_Group], name: str, columns: tuple[str, ...]
) -> Iterator[Chunk]:
    known = frozenset(columns)
    start, group = 1, first
    while group:
        for line, row in group:
            if not known.issuperset(row):
                late = next(key for key in row if key not in known)
                raise SourceError(
                    f"{name}:{line}: the key {late!r} first occurs here, after rows without it",
                    hint="add it to the first lines, with null if necessary; known keys:"
                    f" {', '.join(columns[:20])}",
                )
        values = {key: [row.get(key) for _, row in group] for key in columns}
        yield Chunk(values, len(group), name, start, text=True)
        start += len(group)
        group = next(groups, [])


def _parse_groups(stream: Any, name: str, source: Source) -> Iterator[_Group]:
    decode = json.JSONDecoder(
        object_pairs_hook=object_without_repeats,
        parse_float=Decimal,
        parse_constant=refuse_constant,
    ).decode
    group: _Group = []
    size = 0
    for number, line in _read_lines(stream, name, source):
        group.append((number, _parse_line(line, number, name, decode)))
        size += len(line)
        if len(group) >= CHUNK_ROWS or size >= CHUNK_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _read_lines(stream: Any, name: str, source: Source) -> Iterator[tuple[int, str]]:
    buffered = io.BufferedReader(stream, 1 << 20)
    encoding = find_codec(buffered.peek(4), source.encoding)
    number = 0
    with io.TextIOWrapper(buffered, encoding, newline="\n") as text:
        while True:
            number += 1
            try:
                line = text.readline(MAX_LINE)
            except UnicodeError as error:
                raise EncodingError(
                    f"{name}:{number}: the text is not valid {encoding} from here on:"
                    f" {getattr(error, 'reason', error)}"
                ) from error
            if not line:
                return
            if len(line) == MAX_LINE:
                raise SourceError(f"{name}:{number}: the line is longer than {MAX_LINE >> 20} MB")
            if not line.isspace():
                yield number, line


def _parse_line(line: str, number: int, name: str, decode: Any) -> dict[str, object]:
    try:
        row = decode(line)
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        place = f" at column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        raise SourceError(
            f"{name}:{number}: not a JSON object: {reason}{place}: {line.strip()[:80]}",
            hint=_ARRAY if line.lstrip().startswith("[") else None,
        ) from error
    if not isinstance(row, dict):
        raise SourceError(
            f"{name}:{number}: not a JSON object: {line.strip()[:80]}",
            hint=_ARRAY if isinstance(row, list) else None,
        )
    return row


_ARRAY = "JSON lines have one object on each line; convert an array with: jq -c '.[]'"
