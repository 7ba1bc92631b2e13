"""A Redshift target: network, login, rights, bucket, role."""

from __future__ import annotations

import io
import json
import re
import socket
from collections.abc import Iterator

from loader.config import RedshiftTarget
from loader.data.files.open import open_files
from loader.doctor.checks import AGAIN, CONNECT_SECONDS, Examination, Step, Verdict
from loader.errors import ExecuteError
from loader.spec.model import Source
from loader.sql.renderer import Sql


class OfRedshift(Examination):
    """A cluster or workgroup, and its bucket."""

    settings: RedshiftTarget

    def _check_network(self) -> Verdict:
        host, port = self.settings.host, self.settings.port
        if not host:
            return Verdict("the settings name no host: the login asks AWS for it", "skipped")
        try:
            socket.create_connection((host, port), CONNECT_SECONDS).close()
        except OSError as error:
            why = error.strerror or str(error)
            hint = "check `host`, `port`, the security group, and whether the cluster is paused"
            return Verdict(f"{host}:{port} does not answer: {why}", "failed", hint)
        return Verdict(f"{host}:{port} answers")

    def _check_login(self) -> Verdict:
        self.session()
        user = f"as {self.settings.user} " if self.settings.user else ""
        return Verdict(f"{user}{_way(self.settings)}{'' if self.settings.ssl else ', without TLS'}")

    def _check_session(self) -> Verdict:
        ((user, database, release, _),) = self.run("session")
        release = re.sub(r".*(?=Redshift )", "", str(release))
        return Verdict(f"{user} in {database}, {release}")

    def _check_isolation(self) -> Verdict:
        found = self._isolation()
        if not found:
            views = "stv_db_isolation_level and pg_database_info"
            return Verdict(f"not visible to this user in {views}", "skipped")
        if "SERIALIZABLE" in found.upper() or "concurrency_model=2" in found:
            hint = "ALTER DATABASE … ISOLATION LEVEL SNAPSHOT, where nothing relies on the other"
            return Verdict("serializable: loads at once may be retried more often", "warning", hint)
        return Verdict("snapshot" if "concurrency_model=1" in found else found)

    def _isolation(self) -> str:
        for view in ("isolation", "isolation_config"):
            try:
                rows = self.run(view, database=self.settings.database)
            except ExecuteError as error:
                if error.transient:
                    raise
                continue
            if rows and rows[0][0]:
                return str(rows[0][0]).strip()
        return ""

    def _check_region(self) -> Verdict:
        from loader.staging.stores.s3_region import bucket_region  # noqa: PLC0415  # boto3 is slow to import

        bucket = bucket_region(self.location, self.settings.region_name)
        told = _HOST_REGION.search(self.settings.host)
        warehouse = told[1] if told else self.settings.region_name
        if not (bucket and warehouse):
            lacking = (
                "S3 does not tell where the bucket is"
                if not bucket
                else (f"the bucket is in {bucket}, and where the warehouse is is not known")
            )
            return Verdict(lacking, "warning", "set region_name, and let s3:ListBucket be allowed")
        if bucket != warehouse:
            hint = f"stage in a bucket of {warehouse}: COPY reads Parquet from its own region only"
            return Verdict(
                f"the bucket is in {bucket}, the warehouse in {warehouse}", "failed", hint
            )
        return Verdict(f"bucket and warehouse are in {bucket}")

    def _check_unload(self) -> Verdict:
        """Unload the row that COPY has left in its open transaction."""
        prefix = f"{self.prefix}/unload"
        query = self.renderer.render(
            "select_unload",
            {"table": self._stage_table, "columns": self.spec.columns, "slice": None},
        )
        with self._removed(prefix):
            url, role = f"{self.store.uri(prefix)}/", {"iam_role": self.settings.iam_role}
            self.run("unload", query=Sql(query.sql), url=url, load=role)
            manifest = json.loads(self.store.read(f"{prefix}/manifest"))
            found = [row for entry in manifest["entries"] for row in self._rows(entry["url"])]
        if found != [self._row]:
            return Verdict(
                "the row that was unloaded is not the one that was there", "failed", AGAIN
            )
        return Verdict("the row was unloaded as Parquet and read back")

    def _rows(self, url: str) -> Iterator[tuple[object, ...]]:
        data = self.store.read(url.removeprefix(f"{self.store.root}/"))
        for chunk in open_files(["-"], Source(), io.BytesIO(data)).chunks:
            columns = [values.to_pylist() for values in chunk.columns.values()]
            yield from zip(*columns, strict=True)


_HOST_REGION = re.compile(r"\.([a-z]+(?:-[a-z]+)+-\d)\.redshift(?:-serverless)?\.amazonaws\.com")


def _way(settings: RedshiftTarget) -> str:
    """How the driver logs in, as `loader.warehouse.base.redshift` decides it."""
    if settings.password:
        return "with a password"
    if settings.secret_id:
        return f"with the secret {settings.secret_id}"
    if settings.work_group:
        return f"with IAM credentials of the workgroup {settings.work_group}"
    if settings.cluster_identifier:
        return f"with IAM credentials of the cluster {settings.cluster_identifier}"
    return "with IAM credentials of the workgroup that the host names"


OfRedshift.steps = (
    Step("settings", OfRedshift._check_settings, ()),
    Step("network", OfRedshift._check_network),
    Step("login", OfRedshift._check_login, ("network",)),
    Step("session", OfRedshift._check_session, ("login",)),
    Step("time zone", OfRedshift._check_time_zone, ("login",)),
    Step("isolation", OfRedshift._check_isolation, ("login",)),
    Step("schemas", OfRedshift._check_schemas, ("login",)),
    Step("ledger", OfRedshift._check_ledger, ("login",)),
    Step("temporary tables", OfRedshift._check_temporary, ("login",)),
    # Before the first write, for what is written is only found again by listing.
    Step("bucket list", OfRedshift._check_list),
    Step("bucket write", OfRedshift._check_write_file, ("bucket list",)),
    Step("bucket read", OfRedshift._check_read, ("bucket write",)),
    Step("bucket delete", OfRedshift._check_delete, ("bucket write",)),
    Step("bucket region", OfRedshift._check_region),
    Step(
        "COPY",
        OfRedshift._check_copy,
        ("login", "temporary tables", "bucket read", "bucket delete"),
    ),
    Step("UNLOAD", OfRedshift._check_unload, ("COPY",)),
)
