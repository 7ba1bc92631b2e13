"""Refuses other IO managers for tables of specs; Dagster's default one would pickle their rows."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from loader.dagster_io.metadata import failure
from loader.errors import LoaderError, PlanError
from loader.project import Project


def find_project(manager: object, io_manager_key: str) -> Project:
    """The project of one of Loader's IO managers.

    Raises:
        Failure: the resource is another IO manager, or its fields are wrong.
    """
    try:
        project = getattr(manager, "project", None)
    except LoaderError as error:
        raise failure(error) from error
    if isinstance(project, Project):
        return project
    raise failure(
        PlanError(
            f"the resource `{io_manager_key}` is a {type(manager).__name__}, but tables of specs"
            " need one of Loader's IO managers",
            hint=_hint(io_manager_key),
        )
    )


def require_manager(op: dg.OpDefinition, io_manager_key: str) -> None:
    """Let definitions with this op load only if the resource may be one of Loader's IO managers.

    Raises:
        DagsterInvalidDefinitionError: later, when the definitions are loaded without one.
    """
    plain = op.get_resource_requirements

    def with_manager(*args: Any, **kwargs: Any) -> Iterator[Any]:
        yield from plain(*args, **kwargs)
        yield _LoaderManager(op.name, io_manager_key)

    # Dagster has no public way; runs check it again, with `find_project`.
    op.get_resource_requirements = with_manager  # type: ignore[method-assign]


class _LoaderManager:
    """A requirement that Dagster's own IO managers, which pickle values, do not meet."""

    expected_type = dg.IOManagerDefinition
    is_io_manager_requirement = True

    def __init__(self, op: str, key: str) -> None:
        self.op, self.key = op, key

    def is_satisfied(self, resource_defs: Mapping[str, object]) -> bool:
        """Whether the resource may be one of Loader's IO managers."""
        return not _pickles(resource_defs.get(self.key))

    def ensure_satisfied(self, resource_defs: Mapping[str, object]) -> None:
        """Raise an error unless it may be."""
        if not self.is_satisfied(resource_defs):
            raise dg.DagsterInvalidDefinitionError(
                f"`{self.op}` needs one of Loader's IO managers as the resource `{self.key}`, but"
                f" that is Dagster's own, which would not load its table: {_hint(self.key)}"
            )


def _pickles(resource: object) -> bool:
    """Whether a resource is an IO manager of Dagster itself."""
    if not isinstance(resource, dg.IOManagerDefinition):
        return False
    made_by = getattr(resource, "configurable_resource_cls", None) or resource.resource_fn
    name = getattr(made_by, "__name__", "")
    if name.startswith("default_job_io_manager") and os.getenv("DAGSTER_DEFAULT_IO_MANAGER_MODULE"):
        return False  # another default, which runs look at
    # A resource with a given value has a lambda of Dagster's.
    return (
        str(getattr(made_by, "__module__", "")).startswith("dagster._core.") and name.isidentifier()
    )


def _hint(io_manager_key: str) -> str:
    return (
        "put DuckDBIOManager, RedshiftIOManager or ProjectIOManager into the resources as"
        f" `{io_manager_key}`; or, in defs.yaml, set target or io_manager"
    )
