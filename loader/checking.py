"""Questions about the rows of a live table: what the spec's checks find, how many there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from loader.config import TargetSettings
from loader.errors import ExecuteError
from loader.execute import describe, measured, whole_number
from loader.live import LiveTable
from loader.plan import Statement
from loader.render import Renderer, Table
from loader.results import CheckResult
from loader.spec import TableSpec
from loader.warehouses import Row, Session, open_warehouse


def ask(
    statements: Sequence[Statement],
    spec: TableSpec,
    settings: TargetSettings,
    root: Path,
    renderer: Renderer,
) -> list[list[Row]]:
    """The answers to statements that only read the table.

    Raises:
        ExecuteError: there is no such table, or it cannot be read.
    """
    with table_session(spec, settings, root, renderer) as session:
        return [session.execute(statement.sql) for statement in statements]


@contextmanager
def table_session(
    spec: TableSpec, settings: TargetSettings, root: Path, renderer: Renderer, purpose: str = ""
) -> Iterator[Session]:
    """A session that only reads, in a warehouse that has the table.

    Raises:
        ExecuteError: it has not; ``purpose`` ends the sentence that says so.
    """
    warehouse = open_warehouse(settings, root)
    if warehouse.exists():
        with warehouse.session(write=False) as session:
            table = Table(spec.schema_name, spec.name)
            if isinstance(describe(session, renderer, table), LiveTable):
                yield session
                return
    raise ExecuteError(
        f"there is no table {spec.table}{purpose}",
        hint=f"load it first: loader load {spec.asset_key} FILE",
    )


def counted(statements: Sequence[Statement], answers: Sequence[list[Row]]) -> list[int]:
    """The numbers that statements which count have answered with.

    Raises:
        ExecuteError: one has answered with something else.
    """
    return [whole_number(*both) for both in zip(statements, answers, strict=True)]


def judged(statements: Sequence[Statement], answers: Sequence[list[Row]]) -> list[CheckResult]:
    """The answers to the statements of checks, held against their bounds."""
    found = []
    for statement, rows in zip(statements, answers, strict=True):
        assert statement.check is not None
        value = measured(statement, rows)
        found.append(CheckResult(statement.check, value, statement.check.holds(value)))
    return found
