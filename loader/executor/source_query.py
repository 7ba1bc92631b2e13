"""Runs the query that fills a table, for the partitions that are loaded."""

from __future__ import annotations

from collections.abc import Sequence

from loader.config import Config
from loader.data.chunk import Frame
from loader.data.queries.open import Query, open_query
from loader.errors import PlanError
from loader.executor.request import AUTO, choose_slice
from loader.spec import query_parameters
from loader.spec.connections import is_connection_name
from loader.spec.model import TableSpec
from loader.spec.partitions import Request


def open_source_query(
    spec: TableSpec,
    partition: Request | None,
    config: Config,
    query: str | None = None,
    connection: str | None = None,
) -> Frame:
    """The rows of the query of a spec's source.

    Args:
        spec: The table.
        partition: The partitions that are loaded, which are the values of its parameters.
        config: Where connections are named.
        query: Another query than the spec's.
        connection: Another connection than the spec's: a name, or a URL.

    Raises:
        ConfigError: the connection is not known, a variable is not set, or a driver is missing.
        PlanError: there is no query, or it does not fit the table or the partitions.
        SourceError: the database cannot be reached, or refuses the query.
    """
    text = query if query is not None else spec.source.query
    if text is None:
        raise PlanError(
            f"the spec of {spec.table} has no query", hint="add source: {query: …, connection: …}"
        )
    for message, hint in query_parameters.problems(text, spec.dimensions):
        raise PlanError(f"the query of {spec.table}: {message}", hint=hint)
    given = connection or spec.source.connection
    if given is None:
        raise PlanError(
            f"the query of {spec.table} needs the database it runs on",
            hint="name its connection: --connection NAME, or source: {connection: …}",
        )
    unknown = partition is None or (partition == AUTO and bool(spec.partition_by))
    slice_ = None if unknown else choose_slice(spec, partition)
    return _open(text, given, config, query_parameters.parameter_values(text, spec.table, slice_))


def partition_of_run(
    spec: TableSpec, partition: Request | None, *, full_refresh: bool
) -> Request | None:
    """The partitions that a run loads by a query: the given ones, or else those in its rows.

    Raises:
        PlanError: its parameters are those of partitions, and none is given.
    """
    query = spec.source.query or ""
    if partition is None and spec.partition_by and not full_refresh:
        partition = AUTO
    if partition in (None, AUTO):
        query_parameters.parameter_values(query, spec.table, None)
    return partition


def open_any_query(query: str, connection: str, config: Config) -> Frame:
    """The rows of a query that is of no table yet, and has no parameters.

    Raises:
        ConfigError: as for `open_source_query`; SourceError too.
        PlanError: it has parameters, or is no query.
    """
    for message, hint in query_parameters.problems(query, ()):
        raise PlanError(f"the query: {message}", hint=hint)
    return _open(query, connection, config, [{}])


def _open(
    text: str, connection: str, config: Config, runs: Sequence[query_parameters.Values]
) -> Frame:
    label = connection if is_connection_name(connection) else ""
    return open_query(Query(text, config.connection(connection), config.root, label), runs)
