"""Rules for `source: {query: …}`, which takes the place of files."""

from __future__ import annotations

from collections.abc import Iterator

from loader.errors import Problem
from loader.spec import query_parameters
from loader.spec.model import TableSpec

OF_QUERIES = frozenset({"query", "connection", "columns", "timezone"})
"""What says something about rows from a query; all other keys of `source` are about files."""


def query_problems(spec: TableSpec) -> Iterator[Problem]:
    """Find problems of the query of a source, if the dimensions are valid."""
    source = spec.source
    if source.query is None:
        if source.connection is not None:
            yield Problem("has no effect without query", ("source", "connection"), "add query")
        return
    if source.connection is None:
        yield Problem(
            "a query needs the database it runs on",
            ("source", "query"),
            "add connection: a name below [tool.loader.connections], or a URL such as"
            " postgresql://reader:${SHOP_PASSWORD}@db.example.com/shop",
        )
    for field in sorted(source.model_fields_set - OF_QUERIES):
        yield Problem(
            "excludes `query`: rows come from files or from a query"
            if field == "files"
            else "has no effect on the rows of a query",
            ("source", field),
            "remove one of them" if field == "files" else "remove it",
        )
    for message, hint in query_parameters.problems(source.query, spec.dimensions):
        yield Problem(message, ("source", "query"), hint)
