"""The ledger of a target: which loads were committed."""

from __future__ import annotations

from typing import NamedTuple

from loader.errors import ExecuteError
from loader.plan.live_table import LiveTable
from loader.plan.model import file_ledger, table_ledger
from loader.plan.source_files import LoadedFile
from loader.sql.renderer import Renderer, Table
from loader.warehouse.base import Row, Session, Warehouse
from loader.warehouse.introspect import describe


class LoadRecord(NamedTuple):
    """The ledger's row for a committed load, as needed by a load with the same id."""

    slice: str | None
    """None means the whole table."""
    rows: int
    bytes: int
    files: int
    manifest: str | None
    """The location of the staged files' manifest; None for a load without files."""

    @classmethod
    def of(cls, rows: list[Row]) -> LoadRecord | None:
        """The record in the result of the template `ledger_find`."""
        return cls(*rows[0]) if rows else None


def ledgers_of(renderer: Renderer, schema: str, table: Table) -> list[Table]:
    """The ledgers of a table's loads; a load looks for its id in the last one."""
    shared = [Table(schema, "loads")]
    own = [table_ledger(schema, table)] if renderer.has("table_ledger_create") else []
    return shared + own


def find_load(
    warehouse: Warehouse,
    renderer: Renderer,
    ledger_schema: str,
    table: Table,
    load_id: str,
    session: Session | None = None,
) -> LoadRecord | None:
    """Find the record of a table's load, with the given session or a new one.

    Raises:
        ExecuteError: the warehouse cannot be queried.
    """
    if session is None:
        if not warehouse.exists():
            return None
        with warehouse.session(write=False) as opened:
            return find_load(warehouse, renderer, ledger_schema, table, load_id, opened)
    ledgers = ledgers_of(renderer, ledger_schema, table)
    shared, searched = ledgers[0], ledgers[-1]
    if not isinstance(describe(session, renderer, searched), LiveTable):
        return None
    facts = {"ledger": shared, "table_ledger": searched, "table": table, "load": {"id": load_id}}
    return LoadRecord.of(session.execute(renderer.render("ledger_find", facts).sql))


def file_ledger_of(renderer: Renderer, schema: str, table: Table) -> Table:
    """The ledger of the files of a table's loads."""
    return file_ledger(schema, table, per_table=renderer.has("table_ledger_create"))


def find_loaded_files(
    session: Session, renderer: Renderer, ledger_schema: str, table: Table
) -> list[LoadedFile]:
    """The files whose rows are in a table, by the ledger.

    Raises:
        ExecuteError: the warehouse cannot be queried.
    """
    ledger = file_ledger_of(renderer, ledger_schema, table)
    if not isinstance(describe(session, renderer, ledger), LiveTable):
        return []
    rendered = renderer.render("files_known", {"file_ledger": ledger, "table": table})
    return [LoadedFile(*row) for row in session.execute(rendered.sql)]


def check_same_load(record: LoadRecord, load_id: str, table: Table, slice_: str | None) -> None:
    """Check that a record belongs to this load.

    Raises:
        ExecuteError: a load of another slice of the table has the same load id.
    """
    if record.slice == slice_:
        return
    raise ExecuteError(
        f"the load id `{load_id}` belongs to an earlier load of {table.schema}.{table.name}"
        f" ({record.slice or 'the whole table'})",
        hint="use a unique load id for each load, or none",
        rolled_back=True,
    )
