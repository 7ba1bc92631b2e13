"""Finds the files of a load, and chooses those that the ledger does not know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from loader.data.chunk import Frame
from loader.data.files.listing import Keys, ListedFile, Listing, list_files, read_digest
from loader.data.files.open import open_files
from loader.data.in_place import InPlace, open_source
from loader.data.source_files import SourceFiles
from loader.errors import NoFilesError, PlanError
from loader.executor.context import TargetContext
from loader.plan.live_table import LiveTable
from loader.plan.model import LoadRequest
from loader.plan.source_files import (
    Choice,
    FilesOfLoad,
    LoadedFile,
    SourceFile,
    choose_files,
    with_versions,
)
from loader.spec.catalog import Entry
from loader.spec.file_keys import glob_of
from loader.spec.file_patterns import have_places
from loader.spec.model import TableSpec
from loader.spec.partition_keys import canonical_key, cell_name, parse_key
from loader.spec.partitions import Slice, make_slice
from loader.spec.path_keys import FilePath
from loader.sql.renderer import Table
from loader.text_tables import format_count
from loader.warehouse.base import Session
from loader.warehouse.introspect import describe
from loader.warehouse.ledger import find_loaded_files
from loader.warehouse.retry import with_retries

_SHOWN = 5

_NO_FILES = (
    "add `source: {files: data/*.csv}`, or a query, to the spec, or name the files: `loader load"
    " SELECT FILE`"
)


@dataclass(frozen=True)
class Selected:
    """The files of a load."""

    files: tuple[ListedFile, ...]
    request: LoadRequest
    """The load, with its files, and the partitions that their names tell."""
    choice: Choice
    notes: tuple[str, ...] = ()
    """What is to be known of files that are left out."""

    def open(self, spec: TableSpec, *, in_place: bool) -> Frame | InPlace:
        """The rows of the files, or the files themselves if they are loaded in place.

        Raises:
            SourceError: one of them cannot be read.
        """
        return open_source([file.data for file in self.files], spec.source, in_place=in_place)


def find_runnable(
    entries: Sequence[Entry], select: Sequence[str]
) -> tuple[list[TableSpec], tuple[str, ...]]:
    """The selected tables that can be loaded from their own files or queries.

    Args:
        entries: The selected specs.
        select: The patterns that have selected them.

    Returns:
        The tables whose specs name files or a query, and the asset keys of the others.

    Raises:
        PlanError: none can, or one cannot that was selected by its name.
    """
    specs = [entry.spec for entry in entries if entry.spec is not None]
    without = [entry for entry in entries if entry.spec and not _has_source(entry.spec)]
    named = [
        entry.name
        for entry in without
        if entry.spec and {entry.name, entry.spec.table, entry.shown} & set(select)
    ]
    if named or len(without) == len(specs):
        names = named or [entry.name for entry in without]
        shown = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
        raise PlanError(f"no files are named in the spec of {shown}", hint=_NO_FILES)
    return list(filter(_has_source, specs)), tuple(entry.name for entry in without)


def _has_source(spec: TableSpec) -> bool:
    return bool(spec.source.files) or spec.source.query is not None


def own_source(
    spec: TableSpec, root: Path, *, reload: bool = False, in_place: bool = False
) -> SourceFiles:
    """The files that a spec names.

    Raises:
        PlanError: it names none, or all files of an append would be loaded once more.
    """
    if not spec.source.files:
        raise PlanError(f"no files are named in the spec of {spec.asset_key}", hint=_NO_FILES)
    if reload and spec.write_disposition == "append":
        raise PlanError(
            f"{spec.table} is loaded by append: loading its files again would add their rows twice",
            hint="replace the table by all files that are there with --full-refresh",
        )
    # Names stay short where the shell is in the project.
    folder = None if root.resolve() == Path.cwd() else root
    return SourceFiles(spec.source.files, folder, own=True, reload=reload, in_place=in_place)


def select_files(
    spec: TableSpec,
    source: SourceFiles,
    request: LoadRequest,
    context: TargetContext,
    session: Session | None = None,
) -> Selected:
    """List the files of a load, and choose those that are loaded.

    Args:
        spec: The table.
        source: The files by name.
        request: The load, without its files.
        context: The target, whose ledger is asked if only new files are loaded.
        session: An open session; otherwise one is opened for the ledger.

    Raises:
        PlanError: the target has no ledger to know files by, or files have changed that must not.
        SourceError: no file matches, or files cannot be listed or read.
        ExecuteError: the ledger cannot be read.
    """
    known = _Known((), table_exists=True)
    once = _loads_once(spec, source, request)
    if once and session is not None:
        known = _find_known(spec, context, session)
    elif once:
        known = with_retries(lambda: _find_known(spec, context, None))
    listing = list_source(spec, source, request, context.root)
    if not (once and (listing.files or _has_loaded(spec, source, request, known))):
        _check_found(listing)
    return _select(spec, source, request, listing, known, once=once)


def list_source(spec: TableSpec, source: SourceFiles, request: LoadRequest, root: Path) -> Listing:
    """List the files that a load would take if the ledger knew none.

    Raises:
        SourceError: files cannot be listed.
    """
    if not source.own:
        return list_files(source.names, root, source.folder)
    _check_partition(spec, source, request)
    partitions = None if request.slice is None else list(_partitions(request.slice))
    names = source.names
    if not have_places(names, spec.dimensions):
        names = tuple(map(glob_of, names))
    listing = list_files(names, root, source.folder, spec.dimensions, partitions)
    return replace(listing, files=tuple(_with_path(one, source.names) for one in listing.files))


def _with_path(listed: ListedFile, names: Sequence[str]) -> ListedFile:
    """The file with the path that columns have: as the ledger names it, wherever this runs."""
    path = FilePath(listed.fact.path, tuple(name for name in names if "{" in name))
    return replace(listed, data=replace(listed.data, as_path=path))


def open_for_plan(
    spec: TableSpec, frame: object, request: LoadRequest, root: Path
) -> tuple[LoadRequest, object]:
    """Open source files for a plan, which does not ask the ledger: all of them, as rows.

    Returns:
        The load with its files, and its rows; both as they are for other frames.

    Raises:
        PlanError: no partition is given, and the names of the files have some.
        SourceError: no file matches, or files cannot be listed or read.
    """
    if not isinstance(frame, SourceFiles):
        return request, frame
    listing = list_source(spec, frame, request, root)
    known = _Known((), table_exists=True)
    _check_found(listing)
    selected = _select(spec, frame, request, listing, known, once=False)
    files = selected.request.files
    assert files is not None
    request = replace(
        selected.request, files=replace(files, once=_loads_once(spec, frame, request))
    )
    return request, open_files([file.data for file in selected.files], spec.source)


def _loads_once(spec: TableSpec, source: SourceFiles, request: LoadRequest) -> bool:
    """Whether files that the ledger knows are not loaded again."""
    again = source.reload or request.full_refresh
    return source.own and spec.source.load == "new" and not again


def _check_partition(spec: TableSpec, source: SourceFiles, request: LoadRequest) -> None:
    """Check that partitions are given where all files are loaded and their names have partitions.

    Raises:
        PlanError: none is given.
    """
    given = request.slice is not None or request.auto or request.full_refresh
    if given or spec.source.load == "new" or not have_places(source.names, spec.dimensions):
        return
    raise PlanError(
        f"the files of {spec.table} are named by partition, but no partition is given",
        hint="give --partition KEY, --partition auto for all partitions that have files, or"
        " --full-refresh to replace the whole table",
    )


@dataclass(frozen=True)
class _Known:
    """What the warehouse knows of earlier loads."""

    files: tuple[LoadedFile, ...]
    table_exists: bool


def _find_known(spec: TableSpec, context: TargetContext, session: Session | None) -> _Known:
    ledger, table = context.target.ledger_schema, Table(spec.schema_name, spec.name)
    if not ledger:
        raise PlanError(
            f"{spec.table} loads new files only, but the target `{context.target.name}` has no"
            " ledger to know the others by",
            hint="set ledger_schema of the target, or load all files with --reload",
        )
    if session is None:
        if not context.warehouse.exists():
            return _Known((), table_exists=False)
        with context.warehouse.session(write=False) as opened:
            return _find_known(spec, context, opened)
    files = find_loaded_files(session, context.renderer, ledger, table)
    exists = not files or isinstance(describe(session, context.renderer, table), LiveTable)
    return _Known(tuple(files), exists)


def _has_loaded(spec: TableSpec, source: SourceFiles, request: LoadRequest, known: _Known) -> bool:
    """Whether earlier loads have found files, of one of the requested partitions if there are any.

    Then files that are not there any more are no mistake in their names.
    """
    if request.slice is None or not have_places(source.names, spec.dimensions):
        return bool(known.files)
    wanted = {_partition_name(spec, keys) for keys in _partitions(request.slice)}
    return any(file.partition in wanted for file in known.files)


def _check_found(listing: Listing) -> None:
    """Check that each pattern has files.

    Raises:
        SourceError: some have none.
    """
    if not listing.missing:
        return
    shown = "\n".join(error.message for error in listing.missing[:_SHOWN])
    rest = len(listing.missing) - _SHOWN
    raise NoFilesError(
        shown + (f"\nand {rest:,} more" if rest > 0 else ""), hint=listing.missing[0].hint
    )


def _select(
    spec: TableSpec,
    source: SourceFiles,
    request: LoadRequest,
    listing: Listing,
    known: _Known,
    *,
    once: bool,
) -> Selected:
    named_by_partition = have_places(
        source.names if source.own else spec.source.files, spec.dimensions
    )
    placed = source.own and named_by_partition
    listed = {one.fact.path: one for one in _with_partitions(spec, listing.files, placed=placed)}
    facts = [one.fact for one in listed.values()]
    replaces = spec.write_disposition == "replace" and placed

    def digest(file: SourceFile) -> str:
        return read_digest(listed[file.path].data)

    if once:
        loaded = known.files if known.table_exists else ()
        choice = choose_files(facts, loaded, digest, by_partition=replaces)
        if choice.changed and not spec.reloads_changed_files:
            raise _changed_error(spec, choice, known.files)
    else:
        choice = Choice(tuple(facts), len(facts))
    chosen = choice.files
    if spec.source.load == "new":
        chosen = with_versions(chosen, digest)
    files = tuple(listed[fact.path] for fact in chosen)
    request = _with_slice(spec, source, request, files, placed=placed, once=once)
    forgets = not known.table_exists
    record = FilesOfLoad(
        chosen,
        once,
        tuple(dict.fromkeys(one.load_id for one in known.files)) if forgets else choice.known,
        _replaced_partitions(spec, request.slice) if named_by_partition else (),
        whole=forgets,
    )
    notes = tuple(_describe_unplaced(listing.unplaced))
    return Selected(files, replace(request, files=record), replace(choice, files=chosen), notes)


def _describe_unplaced(names: Sequence[str]) -> Iterator[str]:
    if names:
        count = format_count(len(names), "file")
        shown = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
        yield f"{count} left out, since the name tells no partition: {shown}"


def _with_partitions(
    spec: TableSpec, files: Iterable[ListedFile], *, placed: bool
) -> Iterable[ListedFile]:
    for file in files:
        partition = _partition_name(spec, file.keys) if placed and file.keys else None
        yield replace(file, fact=replace(file.fact, partition=partition))


def _partition_name(spec: TableSpec, keys: Keys) -> str:
    dimensions = spec.dimensions
    canonical = [canonical_key(parse_key(one, keys[one.name])) for one in dimensions]
    return cell_name(dimensions, canonical)


def _partitions(slice_: Slice) -> Iterable[Keys]:
    names = [dimension.name for dimension in slice_.dimensions]
    return (dict(zip(names, keys, strict=True)) for keys in slice_.keys)


def _replaced_partitions(spec: TableSpec, slice_: Slice | None) -> tuple[str, ...]:
    if slice_ is None or spec.write_disposition != "replace":
        return ()
    return tuple(_partition_name(spec, keys) for keys in _partitions(slice_))


def _with_slice(
    spec: TableSpec,
    source: SourceFiles,
    request: LoadRequest,
    files: Sequence[ListedFile],
    *,
    placed: bool,
    once: bool,
) -> LoadRequest:
    """The load with the partitions of its files."""
    if not source.own or request.full_refresh or not spec.partition_by:
        return request
    if not placed:
        auto = request.auto or (request.slice is None and spec.write_disposition == "replace")
        return replace(request, auto=auto)
    if request.slice is not None and not (once and spec.write_disposition == "replace"):
        return request
    keys: list[Mapping[str, str]] = [file.keys for file in files if file.keys is not None]
    chosen = make_slice(spec.dimensions, keys) if keys else request.slice
    return replace(request, slice=chosen, auto=False)


def _changed_error(spec: TableSpec, choice: Choice, known: Sequence[LoadedFile]) -> PlanError:
    loads = {one.path: one.load_id for one in known}
    lines = [f"  {one.path}: loaded by {loads[one.path]}" for one in choice.changed[:_SHOWN]]
    rest = len(choice.changed) - _SHOWN
    lines += [f"  and {rest:,} more"] if rest > 0 else []
    what = "a file has" if len(choice.changed) == 1 else f"{len(choice.changed):,} files have"
    hint = "replace the table by all files that are there with --full-refresh"
    if spec.write_disposition != "append":
        hint = "load changed files again with `changed: reload` in source, or all with --reload"
    return PlanError(
        "\n".join([f"{what} changed since {spec.table} was loaded from it:", *lines]), hint=hint
    )
