"""Compares the first lines of CSV and JSON files with the table that they are loaded into."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from loader.data.cast.match_columns import match_columns
from loader.data.files.heads import Head
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
        FrameError: columns are missing or unexpected.
    """
    problems = _find_differences(spec, heads)
    first = heads[0]
    if first.format not in _FORMATS:
        return FoundFiles(problems)
    names = tuple(dict.fromkeys(name for head in heads for name in head.names))
    matched = match_columns(spec, names)
    columns = tuple(column for column in spec.columns if column.name in matched)
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
        extra_keys=spec.schema_contract.extra_columns == "ignore",
    )
    problems += find_text_obstacles(spec, text, columns, renderer)
    staged = tuple(
        StagedFile(head.uri, None, head.bytes, head.version) for head in heads if head.has_rows
    )
    return FoundFiles(problems, FilesInPlace((), text=text), staged, frozenset(matched))


def _find_differences(spec: TableSpec, heads: Sequence[Head]) -> list[str]:
    """Files that are not like the first, and what SQL cannot read in a file, each told once."""
    first, source = heads[0], spec.source
    found: dict[str, str] = {}
    for head in heads:
        other = f"unlike {first.uri}"
        if head.format not in _FORMATS:
            found.setdefault("format", f"{head.uri} is a file of {head.format.title()}")
            continue
        if _FORMATS[head.format] != _FORMATS.get(first.format) or head.delimiter != first.delimiter:
            found.setdefault("like", f"{head.uri} is {head.format}, {other}")
        if head.compression not in ("none", "gzip", "zstd"):
            found.setdefault("codec", f"{head.uri} is compressed as {head.compression}")
        elif head.compression != first.compression:
            found.setdefault("codecs", f"{head.uri} is compressed as {head.compression}, {other}")
        if head.codec not in ("utf-8", "utf-8-sig"):
            found.setdefault("text", f"{head.uri} is {head.codec}, and not UTF-8")
        if head.format == "json":
            continue
        if head.codec == "utf-8-sig" and not source.header:
            found.setdefault("mark", f"{head.uri} has a byte order mark before its first row")
        if head.lines != int(source.header):
            found.setdefault("lines", f"{head.uri} has {head.lines} lines before its rows")
        if head.names != first.names:
            found.setdefault("names", f"{head.uri} has other columns, or in another order, {other}")
    if source.escape and _FORMATS.get(first.format) == "csv":
        found["escape"] = "source.escape: quotes must be doubled, and not escaped"
    return list(found.values())
