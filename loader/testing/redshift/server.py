"""A stand-in for Amazon Redshift and S3: strict, local, and quick enough for every test."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from loader.testing.redshift.copy import Copier
from loader.testing.redshift.data_api.server import CLUSTER, SECRET, DataApi
from loader.testing.redshift.database.admin import Admin
from loader.testing.redshift.database.bootstrap import REMEMBERED, bootstrap_sql
from loader.testing.redshift.database.postgres import socket_of, start_postgres
from loader.testing.redshift.faults import Faults
from loader.testing.redshift.isolation import Level
from loader.testing.redshift.listening import listen
from loader.testing.redshift.protocol.gateway import Gateway
from loader.testing.redshift.protocol.prepared import Statement
from loader.testing.redshift.s3.client import Store
from loader.testing.redshift.s3.server import ACCESS_KEY, SECRET_KEY, WAREHOUSE, Storage
from loader.testing.redshift.unload import Unloader

ACCOUNT = "123456789012"
_OWN_SCHEMAS = ("pg_catalog", "information_schema", "pg_toast")


class RedshiftStandIn:
    """PostgreSQL, an S3 server with one bucket, and the gateway that makes them Redshift.

    Clients connect to ``host`` and ``port`` with ``ssl=False``, and reach S3 through
    ``environment()``. ``query`` and ``objects`` look past the gateway at what is really there.
    """

    def __init__(
        self,
        *,
        region: str = "us-east-1",
        port: int = 0,
        s3_port: int = 0,
        bucket: str = "",
        password: str = "Hunter2-of-tests",  # noqa: S107  # it guards nothing but this machine
    ) -> None:
        """Describe a stand-in, which starts when its ``with`` block begins.

        Args:
            region: The region of the warehouse and of its bucket.
            port: Where the warehouse listens; 0 is any free port.
            s3_port: Where S3 listens; 0 is any free port.
            bucket: The name of the bucket; empty makes one up.
            password: The password of its user.
        """
        self.region = region
        self.database = "dev"
        self.user = "etl"
        self.password = password
        self.iam_role = f"arn:aws:iam::{ACCOUNT}:role/redshift-load"
        self.cluster_identifier, self.secret_id = CLUSTER, SECRET
        self.bucket = bucket or f"stand-in-{uuid.uuid4().hex[:12]}"
        self.faults = Faults()
        self.users: dict[str, str] = {}
        self.statements: list[Statement] = []
        self._ports = (port, s3_port)

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            self._start(opened)
            self._opened = opened.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._opened.close()

    def _start(self, opened: ExitStack) -> None:
        # Sockets first: a port that is taken is an error before the database is created.
        listener = opened.enter_context(listen(self._ports[0]))
        with listen(self._ports[1]) as s3_listener:
            storage = Storage(self.faults, self.bucket, self.region, s3_listener)
        self._storage = opened.enter_context(closing(storage))
        temporary = tempfile.TemporaryDirectory(prefix="stand-in-", ignore_cleanup_errors=True)
        folder = Path(opened.enter_context(temporary))
        postgres = start_postgres(folder / "postgres", opened)
        self._make_database(postgres.get_uri())
        uri = postgres.get_uri(database=self.database)
        self._own = opened.enter_context(closing(Admin(uri)))
        self._own.query(bootstrap_sql())
        admin = opened.enter_context(closing(Admin(uri)))
        self.endpoint_url = self._storage.endpoint_url
        store = Store(self._storage.client(WAREHOUSE), self.iam_role, lambda: self._storage.kms_key)
        self._gateway = Gateway(
            listener=listener,
            backend_address=socket_of(postgres),
            admin=admin,
            faults=self.faults,
            copier=Copier(store, admin),
            unloader=Unloader(store),
            users=self.users,
            statements=self.statements,
        )
        opened.callback(self._gateway.close)
        self.host, self.port = self._gateway.host, self._gateway.port
        with listen(0) as api_listener:
            api = DataApi(api_listener, self.faults, self._log_in, self._own_cancel)
        self._data_api = opened.enter_context(closing(api))

    def _log_in(self, user: str, *, database: str) -> dict[str, Any] | None:
        """How the Data API connects for a user, or for the own one; None for unknown ones."""
        name = user or self.user
        if name not in self.users:
            return None
        return self.connection(user=name, password=self.users[name], database=database)

    def _own_cancel(self, pid: int) -> None:
        self._own.query("SELECT pg_cancel_backend(%s)", pid)

    # --- for clients

    def environment(self) -> dict[str, str]:
        """Environment variables with which boto3 finds S3 and the Data API, and nothing else."""
        return {
            "AWS_ENDPOINT_URL_S3": self.endpoint_url,
            "AWS_ENDPOINT_URL_REDSHIFT_DATA": self._data_api.endpoint_url,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "NO_PROXY": "127.0.0.1",
        }

    def connection(self, **changes: Any) -> dict[str, Any]:
        """The arguments of ``redshift_connector.connect``."""
        return {
            "host": self.host,
            "port": self.port,
            "database": self.database,
            "user": self.user,
            "password": self.password,
            "ssl": False,
            **changes,
        }

    def target(self, **changes: Any) -> dict[str, Any]:
        """The settings of a Loader target that is this stand-in, by its transport."""
        place: dict[str, Any] = {"host": self.host, "port": self.port}
        login: dict[str, Any] = {"user": self.user, "password": self.password}
        if by_api := changes.get("transport") == "data_api":
            name = "work_group" if self.serverless else "cluster_identifier"
            place, login = {name: self.cluster_identifier}, {"user": self.user}
        return {
            "type": "redshift",
            **place,
            "database": self.database,
            **login,
            "iam_role": self.iam_role,
            "region_name": self.region,
            "staging": f"s3://{self.bucket}/loader",
            **({} if by_api else {"ssl": False}),
            **changes,
        }

    def add_user(self, name: str, password: str, read_only: bool = True) -> None:
        """Add a user who may read everything and write nothing, or who may create."""
        if name not in self.users:
            self._own.query(f'CREATE ROLE "{name}" LOGIN')
        if read_only:
            self._own.query(f'GRANT pg_read_all_data TO "{name}"')
        else:
            self._own.query(f'GRANT CREATE, TEMP ON DATABASE "{self.database}" TO "{name}"')
        self.users[name] = password

    def add_group(self, name: str) -> None:
        """A group, to which tests may grant."""
        self._add_grantee(name, "CONNECTION LIMIT 0")  # marks it as a group

    def add_role(self, name: str) -> None:
        """A role, to which tests may grant."""
        self._add_grantee(name, "")

    def _add_grantee(self, name: str, options: str) -> None:
        if not self._own.query("SELECT 1 FROM pg_roles WHERE rolname = %s", name):
            self._own.query(f'CREATE ROLE "{name}" {options}')

    def set_secadmin(self, name: str, *, granted: bool = True) -> None:
        """Grant somebody the role ``sys:secadmin``, which sees policies and is under none."""
        word, to = ("GRANT", "TO") if granted else ("REVOKE", "FROM")
        self._own.query(f'{word} "sys:secadmin" {to} "{name}"')
        self._own.query(f'ALTER ROLE "{name}" {"" if granted else "NO"}BYPASSRLS')

    def attach_rls_policy(self, table: str, name: str, using: str, *, to: str = "public") -> None:
        """Turn row-level security on, and let somebody see only the rows that meet ``using``.

        Whoever no policy is attached to sees none (dg/t_rls_ownership). INSERT is under no policy
        (dg/t_rls_usage); a COPY by somebody under one is refused here, and works on Redshift.
        """
        who = "PUBLIC" if to == "public" else f'"{to}"'
        self._own.query(
            f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;"
            f'CREATE POLICY "{name}" ON {table} TO {who} USING ({using}) WITH CHECK (true);'
            f'CREATE POLICY "{name} inserts" ON {table} FOR INSERT WITH CHECK (true)'
        )
        self._remember_policy(table, "rls", name, to)

    def attach_masking_policy(
        self, table: str, column: str, name: str, expression: str, *, to: str
    ) -> None:
        """Let somebody see another value in a column wherever they select from the table."""
        self._remember_policy(table, "mask", name, to, column, expression)
        self._gateway.masks_exist = True

    def _remember_policy(
        self, table: str, kind: str, name: str, to: str, column: str = "", expression: str = ""
    ) -> None:
        self._own.query(
            "INSERT INTO pg_catalog.redshift_policies SELECT c.oid, %s, %s, a.attnum, %s, %s, %s"
            " FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = %s"
            " WHERE c.oid = %s::regclass",
            *(kind, name, expression, to, "public" if to == "public" else "user", column, table),
        )

    def add_external_table(
        self,
        schema: str,
        name: str | None = None,
        *,
        location: str = "",
        columns: Mapping[str, str] | None = None,
    ) -> None:
        """An external schema, in which nothing can be created, and a table in it.

        Columns and their types are shown by ``svv_external_columns``; nothing can be read.
        """
        self._own.query(
            f'CREATE SCHEMA IF NOT EXISTS "{schema}"; GRANT USAGE ON SCHEMA "{schema}" TO PUBLIC'
        )
        self._own.query(
            "INSERT INTO pg_catalog.redshift_external_schemas VALUES (%s) ON CONFLICT DO NOTHING",
            schema,
        )
        if name is not None:
            self._own.query(
                "INSERT INTO pg_catalog.redshift_external_tables VALUES (%s, %s, %s, %s)",
                schema,
                name,
                location or f"s3://{self.bucket}/{schema}/{name}/",
                [f"{column} {kind}" for column, kind in (columns or {}).items()],
            )

    def add_share(self, name: str, schemas: Sequence[str] = ()) -> None:
        """A database that was made of a datashare, which can be written to.

        Clients name its tables ``name.schema.table``; `query` finds them in ``"name/schema"``.
        """
        self._own.query("INSERT INTO pg_catalog.redshift_shares VALUES (%s)", name)
        self._gateway.isolation.shares.names.add(name)
        for schema in schemas:
            self._own.query(f'CREATE SCHEMA "{name}/{schema}" AUTHORIZATION "{self.user}"')

    def manage(
        self, table: str, *, diststyle: str = "all", distkey: str = "", sortkey: Sequence[str] = ()
    ) -> None:
        """Set what Redshift has chosen for a table whose distribution and order are AUTO."""
        self._own.query(
            "SELECT pg_catalog.redshift_manage(%s::regclass, %s, %s, %s)",
            table,
            "key" if distkey else diststyle,
            distkey or None,
            list(sortkey),
        )

    @property
    def isolation(self) -> Level:
        """The isolation level of the database: ``snapshot``, or ``serializable`` as of old."""
        return self._gateway.isolation.level

    @isolation.setter
    def isolation(self, level: Level) -> None:
        self._gateway.isolation.level = level
        self._own.query("UPDATE pg_catalog.redshift_isolation SET level = %s", level)

    # --- for tests

    def query(self, sql: str, *args: object) -> list[tuple[Any, ...]]:
        """Ask PostgreSQL itself, as superuser: what is committed, whoever owns it."""
        return self._own.query(sql, *args)

    def execute(self, sql: str) -> None:
        """Have PostgreSQL do something, as superuser and at once."""
        self._own.query(sql)

    def objects(self, prefix: str = "") -> list[str]:
        """The keys in the bucket that begin so."""
        return self._storage.objects(prefix)

    def read_object(self, key: str) -> bytes:
        """What is stored there."""
        return self._storage.read(key)

    def write_object(self, key: str, data: bytes) -> str:
        """Store something; its URL."""
        self._storage.write(key, data)
        return f"s3://{self.bucket}/{key}"

    def uploads(self) -> list[dict[str, Any]]:
        """The multipart uploads that nobody completed or aborted."""
        return self._storage.uploads()

    @property
    def serverless(self) -> bool:
        """Whether it is a workgroup, which lacks the STL and STV views of clusters."""
        return self._gateway.serverless

    @serverless.setter
    def serverless(self, value: bool) -> None:
        self._gateway.serverless = self._data_api.serverless = value

    def expire_sessions(self) -> None:
        """End the idle sessions of the Data API, as if their keep-alive had passed."""
        self._data_api.sessions.expire()

    def require_kms(self, key: str) -> None:
        """Give the bucket this default key, and a policy that refuses what others encrypt."""
        self._storage.kms_key = key

    def reset(self) -> None:
        """Remove all sessions, tables, objects, faults and statements; users remain."""
        self.faults.clear()
        self.serverless = False
        self._gateway.end_sessions()
        self._data_api.sessions.clear()
        self.isolation = "snapshot"
        found = self._own.query(
            "SELECT nspname FROM pg_namespace WHERE NOT (nspname = ANY (%s))"
            r" AND nspname NOT LIKE 'pg\_temp%%' AND nspname NOT LIKE 'pg\_toast%%'",
            list(_OWN_SCHEMAS),
        )
        schemas = ", ".join('"' + name.replace('"', '""') + '"' for (name,) in found)
        self._own.query(
            (f"DROP SCHEMA {schemas} CASCADE;" if schemas else "")
            + "CREATE SCHEMA public AUTHORIZATION pg_database_owner;"
            "GRANT USAGE, CREATE ON SCHEMA public TO PUBLIC;"
            "TRUNCATE pg_catalog.redshift_load_errors, pg_catalog.redshift_spectrum_errors,"
            f" pg_catalog.redshift_sessions, {', '.join(REMEMBERED)}"
        )
        self._gateway.masks_exist = False
        self._gateway.isolation.shares.names.clear()
        self.set_secadmin(self.user)
        self._storage.empty()
        self.faults.clear()
        self.statements.clear()

    def _make_database(self, uri: str) -> None:
        admin = Admin(uri)
        try:
            admin.query(f'CREATE ROLE "{self.user}" LOGIN BYPASSRLS; CREATE ROLE "sys:secadmin"')
            admin.query(f'GRANT "sys:secadmin" TO "{self.user}"')
            admin.query(f'CREATE DATABASE "{self.database}" OWNER "{self.user}"')
        finally:
            admin.close()
        self.users[self.user] = self.password
