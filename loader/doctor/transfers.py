"""Loads and reads of every type, through every staging format and in every way to read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from loader.doctor.samples import SAMPLES, is_same
from loader.doctor.scratch import ScratchSchema
from loader.errors import LoaderError
from loader.plan.staging import can_load
from loader.spec.rules import find_other_format
from loader.sql.renderer import Renderer

FORMATS = (
    ("parquet", "snappy"),
    ("parquet", "zstd"),
    ("csv", "gzip"),
    ("csv", "zstd"),
    ("json", "gzip"),
    ("arrow", "none"),
)
"""Staging format and compression; not every warehouse loads each."""


def list_formats(renderer: Renderer) -> list[tuple[str, str]]:
    """The formats that a warehouse loads."""
    return [one for one in FORMATS if can_load(renderer, one[0])]


class Transfers:
    """Loads and reads of all types in one table per format, of fewer where that fails."""

    def __init__(self, scratch: ScratchSchema) -> None:
        self._scratch = scratch
        self._found: dict[tuple[str, str], Mapping[str, str]] = {}

    def problems(self, name: str, compression: str) -> Mapping[str, str]:
        """The types that a format does not carry as they are → what happens instead."""
        key = (name, compression)
        if key not in self._found:
            types = [data_type for data_type in SAMPLES if can_stage(data_type, name)]
            staging = {"format": name, "compression": compression}
            found: dict[str, str] = {}
            for data_type, problem in self._transfer(types, staging):
                found.setdefault(data_type, problem)
            self._found[key] = found
        return self._found[key]

    def _transfer(
        self, types: Sequence[str], staging: Mapping[str, str]
    ) -> Iterator[tuple[str, str]]:
        columns = {_name_column(data_type): data_type for data_type in types}
        try:
            yield from self._load_and_read(columns, staging)
        except LoaderError as error:
            if len(types) == 1:
                yield types[0], error.message
                return
            middle = len(types) // 2
            yield from self._transfer(types[:middle], staging)
            yield from self._transfer(types[middle:], staging)

    def _load_and_read(
        self, columns: Mapping[str, str], staging: Mapping[str, str]
    ) -> list[tuple[str, str]]:
        scratch = self._scratch
        name = "_".join((*staging.values(), "values"))
        spec = scratch.spec(name, {"id": "integer", **columns}, staging=staging)
        rows = list(_rows(columns))
        with scratch.session() as session:
            scratch.run(session, "drop_table", table=scratch.table(name))
        scratch.load(spec, rows)
        return [
            (data_type, f"{way} gives {row[column]!r} for {wanted[column]!r}")
            for way in scratch.reads
            for row, wanted in zip(scratch.read(spec, way), rows, strict=True)
            for column, data_type in columns.items()
            if not is_same(data_type, row[column], wanted[column])
        ]


def _name_column(data_type: str) -> str:
    """The column of a type, such as ``a_decimal_9_2``."""
    return "_".join(("a", *re.findall(r"\w+", data_type)))


def can_stage(data_type: str, staging: str) -> bool:
    """Whether a type can be staged in a format."""
    return find_other_format(data_type.partition("(")[0], staging) is None


def _rows(columns: Mapping[str, str]) -> Iterator[dict[str, object]]:
    """Rows that hold each sample of each type, and at last NULLs."""
    for at in range(max(len(SAMPLES[kind]) for kind in columns.values())):
        samples = {name: SAMPLES[kind] for name, kind in columns.items()}
        yield {"id": at, **{name: some[at % len(some)] for name, some in samples.items()}}
    yield {"id": 9, **dict.fromkeys(columns)}
