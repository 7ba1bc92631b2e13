"""Decides in which format the rows of a table are staged for a warehouse."""

from __future__ import annotations

from loader.errors import PlanError
from loader.spec.model import Staging, TableSpec
from loader.sql.renderer import Renderer


def can_load(renderer: Renderer, form: str) -> bool:
    """Whether the warehouse of a renderer loads a staging format, which may be `auto`."""
    return form == "auto" or renderer.has(f"copy_{form}")


def resolve_staging(spec: TableSpec, renderer: Renderer) -> Staging:
    """How rows are staged for the warehouse of a renderer, with a format and a compression.

    Raises:
        PlanError: the warehouse does not load the format that the spec names.
    """
    form, dialect = spec.staging.format, renderer.dialect
    if not can_load(renderer, form):
        raise PlanError(
            f"{spec.table} has `staging: {{format: {form}}}`, which {dialect.title} cannot load",
            hint="remove `format`, so that each warehouse has its own, or set"
            f" `format: {dialect.staging_format}`",
        )
    # A project's own COPY must not be passed over without a word.
    own = _has_own_copy(spec, renderer, "parquet")
    keeps = own and not _has_own_copy(spec, renderer, dialect.staging_format)
    return spec.staging.resolve("parquet" if keeps else dialect.staging_format)


def _has_own_copy(spec: TableSpec, renderer: Renderer, form: str) -> bool:
    name = f"copy_{form}"
    return name in spec.templates or renderer.is_replaced(name)
