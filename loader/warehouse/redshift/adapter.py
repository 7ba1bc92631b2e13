"""Amazon Redshift: clusters and Serverless workgroups, with files staged in S3."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from loader.plan.figures import Level
from loader.plan.model import Target
from loader.sql.dialects.base import Dialect
from loader.sql.dialects.redshift import DIALECT, through_share
from loader.warehouse.adapter import Adapter, DatabaseInfo, ExplainCopy, Read, RowsFile
from loader.warehouse.base import Session, Warehouse
from loader.warehouse.redshift.settings import RedshiftTarget

if TYPE_CHECKING:
    import pyarrow as pa

    from loader.staging.stores.base import Store
    from loader.warehouse.doctor import Doctor
    from loader.warehouse.redshift.unload import Unload


class RedshiftAdapter(Adapter[RedshiftTarget]):
    """A cluster or workgroup, and a bucket."""

    dialect = DIALECT
    settings = RedshiftTarget

    def connect(self, settings: RedshiftTarget, root: Path) -> Warehouse:
        """The cluster or workgroup of a target."""
        if settings.transport == "data_api":
            from loader.warehouse.redshift import data_api  # noqa: PLC0415  # not every target has it

            return data_api.connect(settings, root)
        from loader.warehouse.redshift import driver  # noqa: PLC0415  # the driver is slow to import

        return driver.connect(settings, root)

    def doctor(self) -> type[Doctor[RedshiftTarget]]:
        """The steps that examine network, login, privileges, bucket and role."""
        from loader.warehouse.redshift.doctor import RedshiftDoctor  # noqa: PLC0415

        return RedshiftDoctor

    def dialect_of(self, settings: RedshiftTarget) -> Dialect:
        """Redshift, or a datashare as a consumer of it writes."""
        return through_share(settings.share) if settings.share else DIALECT

    def target(
        self, name: str, settings: RedshiftTarget, root: Path, verify: Level = "values"
    ) -> Target:
        """What plans need to know of a target, with the role that COPY reads the bucket with."""
        target = super().target(name, settings, root, verify)
        return replace(target, iam_role=settings.iam_role, session=settings.session)

    def describe(self, settings: RedshiftTarget, root: Path) -> DatabaseInfo:  # noqa: ARG002
        """The cluster or workgroup and its database; of a datashare the database that has it."""
        name = settings.host or settings.cluster_identifier or settings.work_group
        uri = f"redshift://{name}:{settings.port}/{settings.database}"
        return DatabaseInfo(settings.share or settings.database, uri)

    def example_target(self) -> Target:
        """An invented target, for pages that show the SQL of a load."""
        return Target("prod", self.dialect.name, "s3://<bucket>/loader", "loader", "<iam role>")

    def open_staging(self, location: str, settings: RedshiftTarget) -> Store:
        """Open the store of a staging location, with the encryption of the settings."""
        from loader.staging.stores.open import open_store  # noqa: PLC0415  # plans open none
        from loader.warehouse.redshift.bucket import store_options  # noqa: PLC0415

        return open_store(location, store_options(settings))

    def refuse_in_place(self, uri: str) -> str:
        """Refuse files that do not lie in S3."""
        return "" if uri.startswith("s3://") else "Redshift reads only files in S3"

    def stream(
        self, settings: RedshiftTarget, session: Session, read: Read
    ) -> Generator[pa.RecordBatch, None, None]:
        """Stream the rows of a read; large reads use UNLOAD to the bucket."""
        unload = self._find_unload(settings, session, read)
        return unload.batches(session) if unload else super().stream(settings, session, read)

    def unload(
        self, settings: RedshiftTarget, session: Session, read: Read
    ) -> Sequence[RowsFile] | None:
        """Write a large read to the bucket with UNLOAD; small ones are streamed."""
        unload = self._find_unload(settings, session, read)
        return unload.files(session) if unload else None

    def _find_unload(self, settings: RedshiftTarget, session: Session, read: Read) -> Unload | None:
        """The UNLOAD of a read, if it is large enough and not of a template of the project."""
        from loader.warehouse.redshift.unload import Unload  # noqa: PLC0415  # pyarrow is slow to import

        if read.own_select or not read.renderer.has("unload"):
            return None
        unload = Unload(read, settings)
        return unload if unload.is_worth_it(session) else None

    def copy_explainer(self) -> ExplainCopy | None:
        """The function that reads the system views of load errors."""
        from loader.warehouse.redshift.copy_errors import find_rejected_rows  # noqa: PLC0415

        return find_rejected_rows

    def contract_server(self, settings: RedshiftTarget) -> Mapping[str, str] | None:
        """The target as a server of type ``redshift``; None until its database is known."""
        database = settings.share or settings.database
        if not database or "${" in database:
            return None
        return {"type": "redshift", "database": database}


ADAPTER = RedshiftAdapter()
