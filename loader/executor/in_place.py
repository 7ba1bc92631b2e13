"""Finds out whether files can be loaded in place, by their footers and first lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from loader.data.files.footers import read_footers
from loader.data.files.heads import read_heads
from loader.data.files.located import LocatedFile, changed_files, expand_patterns
from loader.data.files.open import DataFile
from loader.data.in_place import InPlace
from loader.errors import ExecuteError, PlanError
from loader.executor.in_place_parquet import find_parquet
from loader.executor.in_place_text import find_text
from loader.executor.stage import Destination, Ingested, check_not_empty
from loader.plan.figures import Figure, Value
from loader.plan.files_in_place import FilesInPlace
from loader.plan.model import LoadRequest, Target
from loader.spec.model import TableSpec
from loader.sql.renderer import Renderer
from loader.staging.staged import StagedFile, write_manifest
from loader.warehouse.adapter import Adapter

_SHOWN = 5


class NotInPlaceError(PlanError):
    """The files cannot be loaded in place."""


@dataclass(frozen=True)
class Place:
    """Where files are to be loaded in place."""

    adapter: Adapter[Any]
    renderer: Renderer
    target: Target
    order: tuple[str, ...] = ()
    """The live table's columns, where COPY goes by position; empty for a new table."""


@dataclass(frozen=True)
class Found:
    """Files that can be loaded in place, and what is known of them."""

    files: FilesInPlace
    located: tuple[LocatedFile, ...]
    staged: tuple[StagedFile, ...]
    """Those with rows."""
    present: frozenset[str]
    """The columns that they have values for."""
    figures: Mapping[Figure, Value]

    @property
    def rows(self) -> int | None:
        """Their rows; None where the warehouse has to count them."""
        rows = [file.rows for file in self.staged if file.rows is not None]
        return sum(rows) if len(rows) == len(self.staged) else None


def inspect_files(spec: TableSpec, files: InPlace, request: LoadRequest, place: Place) -> Found:
    """Look at the footers or first lines of files, and at nothing else of them.

    Raises:
        NotInPlaceError: they cannot be loaded in place; all reasons are told.
        FrameError: columns are missing or unexpected, or there are no rows and must be some.
        SourceError: a file is not there, or not what its name says.
    """
    found_files = expand_patterns(files.files)
    problems = list(_find_obstacles(spec, request))
    heads = [] if _are_parquet(found_files) else read_heads(found_files, spec.source)
    located: Sequence[LocatedFile] = heads
    if all(head.format == "parquet" and head.compression == "none" for head in heads):
        footers = read_footers(found_files)
        found = find_parquet(spec, footers, place.renderer, place.target, place.order)
        located = footers
    else:
        found = find_text(spec, heads, place.renderer)
    problems += _find_unreadable(located, place.adapter)
    problems += found.problems
    if problems or found.files is None:
        raise NotInPlaceError(
            "\n".join(
                [f"the files cannot be loaded into {spec.table} in place", *map(_indent, problems)]
            ),
            hint="load them without --in-place, or with `in_place: auto`: they are staged then",
        )
    check_not_empty(spec, bool(found.staged))
    return Found(
        replace(
            found.files,
            uris=tuple(file.uri for file in found.staged),
            figures=frozenset(found.figures),
            bytes=sum(file.bytes for file in found.staged),
        ),
        tuple(located),
        found.staged,
        found.present,
        found.figures,
    )


def ingest_in_place(found: Found, destination: Destination) -> Ingested:
    """Write the manifest that lists files in place, for COPY and for those who ask later.

    Raises:
        StageError: it cannot be written.
    """
    staged = write_manifest(destination.store, destination.prefix, found.staged, found.figures)
    return Ingested(
        staged,
        found.present,
        rows_read=staged.rows,
        rows_rejected=0,
        rejects=None,
        reasons=(),
        keys=(),
        in_place=found.files,
        located=found.located,
    )


def check_unchanged(table: str, files: Sequence[LocatedFile]) -> None:
    """Check that files are what they were when they were looked at.

    Raises:
        ExecuteError: some are not.
    """
    report_changed(table, list(changed_files(files)))


def report_changed(table: str, changed: Sequence[str]) -> None:
    """Fail if files have changed while they were loaded.

    Args:
        table: The table that was loaded.
        changed: The names of the files that have.

    Raises:
        ExecuteError: there are some.
    """
    if changed:
        names = "".join(f"\n  {name}" for name in changed[:_SHOWN])
        more = f"\n  and {len(changed) - _SHOWN:,} more" if len(changed) > _SHOWN else ""
        raise ExecuteError(
            f"files changed while they were loaded into {table}:{names}{more}\n"
            f"rolled back; {table} is unchanged",
            hint="load them again when nobody writes them",
            rolled_back=True,
        )


def _are_parquet(files: Sequence[DataFile]) -> bool:
    """Whether the names say so: then nothing but footers is read."""
    return all(file.name.lower().endswith((".parquet", ".pq")) for file in files)


def _indent(line: str) -> str:
    return f"  {line}"


def _find_obstacles(spec: TableSpec, request: LoadRequest) -> Iterator[str]:
    """Requests that need the rows themselves."""
    if request.auto:
        yield "`--partition auto` looks for the partitions in the rows: name them"
    if spec.schema_contract.bad_rows == "reject":
        yield "schema_contract: {bad_rows: reject} sets rows aside before they are loaded"
    for column in spec.load_columns:
        yield f"`{column.name}`: `from: {column.from_}` is not in the files"
    for dimension in spec.dimensions:
        if request.slice and (zone := dimension.clock_zone):
            yield f"`{dimension.name}`: times that the clocks of {zone} skip are found in the rows"


def _find_unreadable(files: Sequence[LocatedFile], adapter: Adapter[Any]) -> Iterator[str]:
    """The files that the warehouse cannot read."""
    reasons: dict[str, list[str]] = {}
    for file in files:
        if reason := adapter.refuse_in_place(file.uri):
            reasons.setdefault(reason, []).append(file.uri)
    for reason, names in reasons.items():
        yield f"{names[0]}{f' and {len(names) - 1:,} more' * (len(names) > 1)}: {reason}"
