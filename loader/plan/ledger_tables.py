"""Refuses specs of the ledger's own tables, which loads and changes would break."""

from __future__ import annotations

from loader.errors import PlanError
from loader.plan.model import Target
from loader.spec.model import TableSpec
from loader.sql.renderer import Renderer

_NAMES = ("loads", "files")


def check_no_ledger(spec: TableSpec, renderer: Renderer, target: Target) -> None:
    """Check that neither a table nor one that it is renamed from is the ledger of the target.

    Raises:
        PlanError: one is.
    """
    prefixes = tuple(f"{name}_" for name in _NAMES)
    for table in (f"{spec.schema_name}.{spec.name}", *spec.renamed_from):
        schema, _, name = table.partition(".")
        if schema != target.ledger_schema.lower():
            continue
        # Where tables have ledgers of their own, these have the names of the tables.
        own = renderer.has("table_ledger_create") and name.startswith(prefixes)
        if name in _NAMES or own:
            raise PlanError(
                f"{table} is a table of Loader's own ledger on the target `{target.name}`",
                hint="choose another schema or name, or set ledger_schema of the target to a"
                " schema of its own",
            )
