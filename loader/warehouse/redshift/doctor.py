"""Examines Redshift targets: network, login, privileges, bucket, role."""

from __future__ import annotations

import io
import json
import re
import socket
import sys
from typing import ClassVar

import pyarrow.parquet as pq

from loader.errors import ExecuteError
from loader.sql.renderer import Sql
from loader.staging.int96 import UNIT
from loader.warehouse.doctor import AGAIN, Doctor, Step, StepResult
from loader.warehouse.redshift.bucket import store_options
from loader.warehouse.redshift.settings import RedshiftTarget
from loader.warehouse.redshift.trials import TRIALS
from loader.warehouse.redshift.unload import access

CONNECT_SECONDS = 5.0


class RedshiftDoctor(Doctor[RedshiftTarget]):
    """Examines a cluster or workgroup, and its bucket."""

    def check_network(self) -> StepResult:
        """Open a connection to the host, and close it."""
        host, port = self.settings.host, self.settings.port
        if self.settings.transport == "data_api":
            return StepResult("the Data API needs no network path to the warehouse", "skipped")
        if not host:
            return StepResult("no `host` in the settings: the login gets it from AWS", "skipped")
        try:
            socket.create_connection((host, port), CONNECT_SECONDS).close()
        except OSError as error:
            why = error.strerror or str(error)
            hint = "check `host`, `port`, the security group, and whether the cluster is paused"
            return StepResult(f"{host}:{port} does not answer: {why}", "failed", hint)
        return StepResult(f"{host}:{port} answers")

    def check_login(self) -> StepResult:
        """Log in."""
        self.examination.session()
        user = f"as {self.settings.user} " if self.settings.user else ""
        by_driver = self.settings.transport == "driver"
        plain = ", without TLS" if by_driver and not self.settings.ssl else ""
        return StepResult(f"{user}{describe_login(self.settings)}{plain}")

    def check_session(self) -> StepResult:
        """Query user, database and release."""
        ((user, database, release, _),) = self.examination.run("session")
        release = re.sub(r".*(?=Redshift )", "", str(release))
        return StepResult(f"{user} in {database}, {release}")

    def check_isolation(self) -> StepResult:
        """Query the isolation level of the database."""
        if self.settings.share:
            detail = "the producer's database, which has to be SNAPSHOT, is not visible here"
            return StepResult(detail, "skipped")
        found = self._find_isolation()
        if not found:
            views = "stv_db_isolation_level and pg_database_info"
            return StepResult(f"not visible to this user in {views}", "skipped")
        if "SERIALIZABLE" in found.upper() or "concurrency_model=2" in found:
            hint = "ALTER DATABASE … ISOLATION LEVEL SNAPSHOT, unless something needs serializable"
            detail = "serializable: concurrent loads may be retried more often"
            return StepResult(detail, "warning", hint)
        return StepResult("snapshot" if "concurrency_model=1" in found else found)

    def _find_isolation(self) -> str:
        for view in ("isolation", "isolation_config"):
            try:
                rows = self.examination.run(view, database=self.settings.database)
            except ExecuteError as error:
                if error.transient:
                    raise
                continue
            if rows and rows[0][0]:
                return str(rows[0][0]).strip()
        return ""

    def check_region(self) -> StepResult:
        """Compare the regions of the bucket and of the warehouse."""
        from loader.staging.stores.s3_region import bucket_region  # noqa: PLC0415  # boto3 is slow to import

        bucket = bucket_region(self.location, store_options(self.settings))
        named = _HOST_REGION.search(self.settings.host)
        warehouse = named[1] if named else self.settings.region_name
        if not (bucket and warehouse):
            lacking = (
                "S3 does not return the region of the bucket"
                if not bucket
                else f"the bucket is in {bucket}, but the region of the warehouse is not known"
            )
            hint = "set region_name, and allow s3:ListBucket"
            return StepResult(lacking, "warning", hint)
        if bucket != warehouse:
            hint = f"use a bucket in {warehouse}: COPY reads Parquet only from its own region"
            return StepResult(
                f"the bucket is in {bucket}, the warehouse in {warehouse}", "failed", hint
            )
        return StepResult(f"bucket and warehouse are both in {bucket}")

    def check_unload(self) -> StepResult:
        """Unload the row that the ``copy`` check has loaded in the open transaction."""
        examination = self.examination
        prefix = f"{examination.prefix}/unload"
        query = examination.renderer.render(
            "select_unload",
            {
                "table": examination.stage_table,
                "columns": examination.spec.columns,
                "slice": None,
                "limit": None,
            },
        )
        with examination.removed(prefix):
            store = examination.store
            url, load = f"{store.uri(prefix)}/", access(self.settings)
            examination.run("unload", query=Sql(query.sql), url=url, load=load)
            manifest = json.loads(store.read(f"{prefix}/manifest"))
            found = [row for entry in manifest["entries"] for row in self._read(entry["url"])]
        if found != [examination.row]:
            detail = "the unloaded row differs from the loaded one"
            return StepResult(detail, "failed", AGAIN)
        return StepResult("the row was unloaded as Parquet and read back")

    def _read(self, url: str) -> list[tuple[object, ...]]:
        store = self.examination.store
        content = io.BytesIO(store.read(url.removeprefix(f"{store.root}/")))
        table = pq.read_table(content, coerce_int96_timestamp_unit=UNIT)
        return [tuple(row.values()) for row in table.to_pylist()]

    trials = TRIALS
    reads: ClassVar = {"SELECT": {"unload_rows": sys.maxsize}, "UNLOAD": {"unload_rows": 0}}

    steps = (
        Step("settings", "settings", ()),
        Step("network", check_network),
        Step("login", check_login, ("network",)),
        Step("session", check_session, ("login",)),
        Step("time zone", "time zone", ("login",)),
        Step("isolation", check_isolation, ("login",)),
        Step("schemas", "schemas", ("login",)),
        Step("ledger", "ledger", ("login",)),
        Step("temporary tables", "temporary tables", ("login",)),
        # Before the first write, because files can only be removed by listing them.
        Step("bucket list", "list"),
        Step("bucket write", "write file", ("bucket list",)),
        Step("bucket read", "read file", ("bucket write",)),
        Step("bucket delete", "delete file", ("bucket write",)),
        Step("bucket region", check_region),
        Step("COPY", "copy", ("login", "temporary tables", "bucket read", "bucket delete")),
        Step("UNLOAD", check_unload, ("COPY",)),
    )


_HOST_REGION = re.compile(r"\.([a-z]+(?:-[a-z]+)+-\d)\.redshift(?:-serverless)?\.amazonaws\.com")


def describe_login(settings: RedshiftTarget) -> str:
    """Describe how a session logs in with these settings."""
    if settings.transport == "data_api":
        place = f"workgroup {settings.work_group}"
        if not settings.work_group:
            place = f"cluster {settings.cluster_identifier}"
        how = f"the secret {settings.secret_id}" if settings.secret_id else "IAM credentials"
        return f"through the Data API of the {place}, with {how}"
    if settings.password:
        return "with a password"
    if settings.secret_id:
        return f"with the secret {settings.secret_id}"
    if settings.work_group:
        return f"with IAM credentials of the workgroup {settings.work_group}"
    if settings.cluster_identifier:
        return f"with IAM credentials of the cluster {settings.cluster_identifier}"
    return "with IAM credentials of the workgroup that the host names"
