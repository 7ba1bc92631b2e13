"""A schema for trials: loads, reads and table changes in it are those of any project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from loader.doctor.checks import Examination
from loader.doctor.ledger import make_load_facts
from loader.errors import LoaderError
from loader.executor.results import LoadResult
from loader.project import Project
from loader.spec.model import TableSpec
from loader.spec.partitions import Request
from loader.sql.renderer import Renderer, Table
from loader.warehouse.base import Row, Session

if TYPE_CHECKING:
    import pyarrow as pa


class ScratchSchema:
    """A schema of its own on a target, with a ledger and staged files; all of it is removed."""

    def __init__(self, examination: Examination) -> None:
        """Prepare it; nothing is created yet.

        Args:
            examination: The examination of the target, whose settings are complete.
        """
        self.examination = examination
        self.schema = f"loader_doctor_{examination.token[:12]}"
        self.project = self._project({})

    def _project(self, changes: Mapping[str, object]) -> Project:
        doctor, name = self.examination.doctor, self.examination.name
        settings = doctor.connection_settings().model_copy(
            update={
                "ledger_schema": self.schema,
                "staging": f"{doctor.location}/{self.examination.prefix}",
                **changes,
            }
        )
        config = self.examination.config
        return Project.of(replace(config, targets={name: settings}, target=name))

    def __enter__(self) -> Self:
        self.examination.remove_files_later()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(LoaderError):
            self.remove()

    def create(self) -> str:
        """Create the schema, and say so."""
        with self.session() as session:
            self.run(session, "create_schema", schema=self.schema)
        return f"{self.schema} is created"

    def remove(self) -> str:
        """Drop the schema with all that is in it, delete the staged files, and say so.

        Raises:
            LoaderError: they cannot be removed.
        """
        with self.session() as session:
            self.run(session, "drop_schema", schema=self.schema)
        self.examination.store.delete(self.examination.prefix)
        return f"{self.schema} is dropped, and the staged files are deleted"

    # --- statements

    @property
    def renderer(self) -> Renderer:
        """The target's templates."""
        return self.project.renderer()

    def session(self) -> AbstractContextManager[Session]:
        """Open a new session."""
        return self.project.context().warehouse.session()

    def run(self, session: Session, template: str, **facts: object) -> list[Row]:
        """Render a template and run its statement."""
        return session.execute(self.renderer.render(template, facts).sql)

    def table(self, name: str) -> Table:
        """A table of the schema."""
        return Table(self.schema, name)

    def count(self, session: Session, name: str) -> int:
        """The rows of a table, as a session sees them."""
        ((rows,),) = self.run(session, "count", table=self.table(name), slice=None)
        return int(rows)

    def write_ledger(self, session: Session, spec: TableSpec) -> None:
        """Write a row to the ledger that all tables share."""
        facts = make_load_facts(spec, self.schema, self.examination.token)
        self.run(session, "ledger_insert", **facts)

    # --- tables

    def spec(
        self, name: str, columns: Mapping[str, str | Mapping[str, Any]], **keys: Any
    ) -> TableSpec:
        """The spec of a table.

        Args:
            name: Its name.
            columns: Column → data type, or all keys of the column.
            keys: Further keys of the language.
        """
        listed = [
            {"name": column, **({"data_type": kind} if isinstance(kind, str) else kind)}
            for column, kind in columns.items()
        ]
        return TableSpec.model_validate(
            {"schema": self.schema, "name": name, "columns": listed, **keys}
        )

    def load(
        self,
        spec: TableSpec,
        rows: Sequence[Mapping[str, object]],
        partition: Request | None = None,
        **options: Any,
    ) -> LoadResult:
        """Load rows, as `Project.load` does."""
        import pyarrow as pa  # noqa: PLC0415  # slow to import, and only trials need it

        from loader.data.cast.layout import arrow_schema  # noqa: PLC0415

        given = [column for column in spec.columns if not rows or column.name in rows[0]]
        frame = pa.Table.from_pylist(list(rows), arrow_schema(given))
        return self.project.load(spec, frame, partition, **options)

    def read(self, spec: TableSpec, way: str | None = None) -> list[dict[str, Any]]:
        """The rows of a table, ordered by their column ``id``."""
        project = self.project if way is None else self.reads[way]
        found: pa.Table = project.read(spec, as_="arrow")
        rows: list[dict[str, Any]] = found.to_pylist()
        return sorted(rows, key=lambda row: row["id"])

    @cached_property
    def reads(self) -> Mapping[str, Project]:
        """The ways to read a table, each with a project that reads so."""
        return {
            way: self._project(changes) for way, changes in self.examination.doctor.reads.items()
        }
