"""Compares the first lines of CSV and JSON files with the table that they are loaded into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from loader.data.cast.match_columns import match_columns
from loader.data.files.heads import Head
from loader.errors import FrameError
from loader.executor.in_place_parquet import FoundFiles
from loader.plan.files_in_place import FilesInPlace
from loader.plan.text_files import TextFiles, find_text_obstacles
from loader.spec.model import TableSpec
from loader.sql.renderer import Renderer
from loader.staging.staged import StagedFile

_FORMATS = {"csv": "csv", "tsv": "csv", "json": "json"}


def find_text(spec: TableSpec, heads: Sequence[Head], renderer: Renderer) -> FoundFiles:
    """Compare first lines with a table.

    Args:
        spec: The table.
        heads: Of all files.
        renderer: Of the warehouse.

    Raises:
        FrameError: columns of CSV files are missing or unexpected.
    """
    problems, first = _find_differences(spec, heads), heads[0]
    if spec.source.escape and _FORMATS.get(first.format) == "csv":
        problems.append("source.escape: quotes must be doubled, and not escaped")
    names = tuple(dict.fromkeys(name for head in heads for name in head.names))
    if problems and not all(head.names for head in heads):
        return FoundFiles(problems)
    try:
        matched = match_columns(spec, names)
    except FrameError as error:
        if first.format != "json":
            raise
        # Staging reads more lines before it knows the keys.
        return FoundFiles([*problems, f"the first lines of {first.uri}: {error.message}"])
    columns = tuple(column for column in spec.input_columns if column.name in matched)
    source, kind = spec.source, _FORMATS[first.format]
    options: dict[str, Any] = {"format": kind, "compression": first.compression}
    text = TextFiles(
        **options,
        delimiter=first.delimiter,
        quote=source.quote,
        header=kind == "csv" and source.header,
        nulls=source.null_values,
        decimal=source.decimal,
        names=names if kind == "json" else first.names,
        places=matched,
        absent=_find_absent(spec, matched),
        extra_keys=spec.schema_contract.extra_columns == "ignore",
    )
    problems += find_text_obstacles(spec, text, columns, renderer)
    staged = tuple(
        StagedFile(head.uri, None, head.bytes, head.version) for head in heads if head.has_rows
    )
    return FoundFiles(problems, FilesInPlace((), text=text), staged, frozenset(matched))


def _find_absent(spec: TableSpec, matched: Mapping[str, str]) -> tuple[str, ...]:
    """What data may call the columns that are not in the first lines, in lower case."""
    absent = (c for c in spec.input_columns if c.identity is None and c.name not in matched)
    names = (
        name
        for column in absent
        for name in (spec.name_in_data(column), column.name, *column.renamed_from)
    )
    return tuple(dict.fromkeys(name.casefold() for name in names))


def _find_differences(spec: TableSpec, heads: Sequence[Head]) -> list[str]:
    """Files that are not like the first, and what SQL cannot read in a file, each told once."""
    first, source = heads[0], spec.source
    keyed = next((head for head in heads if head.has_rows), first)
    found: dict[str, str] = {}
    for head in heads:
        other = f"unlike {first.uri}"
        if head.compression not in ("none", "gzip", "zstd"):
            found.setdefault("codec", f"{head.uri} is compressed as {head.compression}")
            continue
        if head.format not in _FORMATS:
            whole = f", compressed as {head.compression}" * (head.compression != "none")
            found.setdefault("format", f"{head.uri} is a file of {head.format.title()}{whole}")
            continue
        if not head.has_lines:
            found.setdefault("rows", f"{head.uri}: its first line is not one whole JSON object")
            continue
        if _FORMATS[head.format] != _FORMATS.get(first.format) or head.delimiter != first.delimiter:
            found.setdefault("like", f"{head.uri} is {head.format}, {other}")
        if head.compression != first.compression:
            found.setdefault("codecs", f"{head.uri} is compressed as {head.compression}, {other}")
        if head.codec not in ("utf-8", "utf-8-sig"):
            found.setdefault("text", f"{head.uri} is {head.codec}, and not UTF-8")
        if head.format == "json":
            if head.has_rows and set(head.names) != set(keyed.names):
                told = f"{head.uri} begins with other keys, unlike {keyed.uri}"
                found.setdefault("keys", told)
            continue
        if head.codec == "utf-8-sig" and not source.header:
            found.setdefault("mark", f"{head.uri} has a byte order mark before its first row")
        if head.lines != int(source.header):
            found.setdefault("lines", f"{head.uri} has {head.lines} lines before its rows")
        if head.names != first.names:
            found.setdefault("names", f"{head.uri} has other columns, or in another order, {other}")
    return list(found.values())
