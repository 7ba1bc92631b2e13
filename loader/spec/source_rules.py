"""Rules for which of its files a table is loaded from."""

from __future__ import annotations

from collections.abc import Iterator

from loader.errors import Problem
from loader.spec import file_patterns
from loader.spec.column_names import list_names
from loader.spec.model import TableSpec


def source_problems(spec: TableSpec) -> Iterator[Problem]:
    """Find problems of `source.load` and `source.changed`, if the names of files are valid."""
    source = spec.source
    if source.load == "all":
        if source.changed is not None:
            yield Problem("has no effect with load: all", ("source", "changed"), "add `load: new`")
        return
    if not source.files:
        yield Problem("has no effect without files", ("source", "load"), "add `files: data/*.csv`")
        return
    if spec.write_disposition == "replace":
        yield from _replaced(spec)
    if spec.write_disposition == "append" and source.changed == "reload":
        yield Problem(
            "an append would add the rows of a changed file a second time",
            ("source", "changed"),
            "use `changed: fail`, or write_disposition: merge with a primary_key",
        )


def _replaced(spec: TableSpec) -> Iterator[Problem]:
    loc, others = ("source", "load"), "use write_disposition: append, or merge with a primary_key"
    if not spec.partition_by:
        yield Problem(
            "`new` would replace the rows of all earlier files by those of the new ones",
            loc,
            f"{others}, or remove `load: new`",
        )
    elif not file_patterns.have_places(spec.source.files, spec.dimensions):
        places = list_names(f"{{{dimension.name}}}" for dimension in spec.dimensions)
        yield Problem(
            "`new` would replace all of a partition by a new file that holds a part of it",
            loc,
            f"write {places} into the names of the files, so that each is of one partition; or"
            f" {others}",
        )
