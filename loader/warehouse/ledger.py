"""The ledger of a target: which loads were committed."""

from __future__ import annotations

from typing import NamedTuple

from loader.errors import ExecuteError
from loader.plan.live_table import LiveTable
from loader.plan.model import table_ledger
from loader.sql.renderer import Renderer, Table
from loader.warehouse.base import Row, Session, Warehouse
from loader.warehouse.introspect import describe


class LoadRecord(NamedTuple):
    """What the ledger keeps of a committed load, as far as a load of the same id needs it."""

    slice: str | None
    """None is the whole table."""
    rows: int
    bytes: int
    files: int
    manifest: str | None
    """Where the manifest of the staged files was; None of a load without files."""

    @classmethod
    def of(cls, rows: list[Row]) -> LoadRecord | None:
        """The answer of the template `ledger_find`."""
        return cls(*rows[0]) if rows else None


def find_load(
    warehouse: Warehouse,
    renderer: Renderer,
    ledger_schema: str,
    table: Table,
    load_id: str,
    session: Session | None = None,
) -> LoadRecord | None:
    """The record of a table's load, through a session of the caller's or one of its own.

    Raises:
        ExecuteError: the warehouse cannot be asked.
    """
    if session is None:
        if not warehouse.exists():
            return None
        with warehouse.session(write=False) as opened:
            return find_load(warehouse, renderer, ledger_schema, table, load_id, opened)
    ledger, own = Table(ledger_schema, "loads"), table_ledger(ledger_schema, table)
    read = own if renderer.has("table_ledger_create") else ledger
    if not isinstance(describe(session, renderer, read), LiveTable):
        return None
    facts = {"ledger": ledger, "table_ledger": own, "table": table, "load": {"id": load_id}}
    return LoadRecord.of(session.execute(renderer.render("ledger_find", facts).sql))


def check_same_load(record: LoadRecord, load_id: str, table: Table, slice_: str | None) -> None:
    """Refuse a load id that an earlier load of another slice has.

    Raises:
        ExecuteError: the record is of something else.
    """
    if record.slice == slice_:
        return
    raise ExecuteError(
        f"the load id `{load_id}` is that of an earlier load of {table.schema}.{table.name}"
        f" ({record.slice or 'the whole table'})",
        hint="give each load an id of its own, or none",
        rolled_back=True,
    )
