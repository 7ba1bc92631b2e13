"""The made-up load that doctor writes to the ledger, and rolls back."""

from __future__ import annotations

from loader.plan.model import table_ledger
from loader.spec.model import TableSpec
from loader.sql.renderer import Table
from loader.version import version


def make_load_facts(spec: TableSpec, schema: str, load_id: str) -> dict[str, object]:
    """The variables of all templates that write to the ledger in a schema, for an empty load."""
    table = Table(spec.schema_name, spec.name)
    empty = dict.fromkeys(("slice", "manifest", "figures", "columns_changed", "rejects"))
    return {
        "ledger": Table(schema, "loads"),
        "table_ledger": table_ledger(schema, table),
        "table": table,
        "load": {"id": load_id, "rows": 0, "bytes": 0, "files": 0, "rejected": 0, **empty},
        "counts": None,
        "asset_key": spec.asset_key,
        "disposition": spec.write_disposition,
        "spec_hash": "doctor",
        "version": version(),
    }
