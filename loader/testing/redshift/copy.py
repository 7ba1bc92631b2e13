"""COPY: staged files into a table, inside the client's own transaction."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from loader.testing.redshift.database.admin import Admin
from loader.testing.redshift.faults import ChangeCopied, CopyFault, CutCopy
from loader.testing.redshift.files.staged import LiveColumn, check_column_list, read_manifest, rows
from loader.testing.redshift.protocol.session import Session
from loader.testing.redshift.refusals import LoadError, Refusal, spectrum
from loader.testing.redshift.s3.client import Store, s3_refusal
from loader.testing.redshift.statements.copy_unload import CopyStatement

_COLUMNS = """
SELECT c.oid, a.attname, pg_catalog.redshift_type(a.atttypid, a.atttypmod), NOT a.attnotnull,
       a.atthasdef OR a.attidentity = 'd', a.attidentity = 'a'
FROM pg_catalog.pg_class c
LEFT JOIN pg_catalog.pg_attribute a
  ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.oid = pg_catalog.to_regclass({table})
ORDER BY a.attnum
"""


@dataclass
class Target:
    """The table a COPY loads into."""

    oid: int
    columns: list[LiveColumn]


@dataclass
class Copier:
    """Does COPY for every session."""

    store: Store
    admin: Admin
    _queries: Iterator[int] = field(default_factory=lambda: itertools.count(1001))

    def run(
        self, session: Session, copy: CopyStatement, fault: CopyFault | None
    ) -> tuple[str, str]:
        """Run a COPY; its command tag, and the notice for the client."""
        started = datetime.now(UTC).replace(tzinfo=None)
        self.store.check_role(copy.iam_role, session.user)
        target = find_table(session, copy.schema, copy.table)
        columns = check_column_list(copy, target.columns)
        urls = self._files(copy)
        query = next(self._queries)
        names = ", ".join(quoted(column.name) for column in columns)
        table = quoted(*([copy.schema] if copy.schema else []), copy.table)
        lines = self._lines(copy, columns, urls)
        if isinstance(fault, CutCopy):
            lines = _until_cut(session, fault.after_bytes, lines)
        sql = rf"COPY {table} ({names}) FROM STDIN (FORMAT csv, NULL E'\\N')"
        try:
            count = session.backend.copy_in(sql, lines)
        except Refusal as refusal:
            self._record(session, target, query, started, refusal)
            refusal.detail = refusal.detail.replace("query:     0", f"query:     {query}").replace(
                "[pid=0]", f"[pid={session.backend.pid}]"
            )
            if session.backend.status == b"I":
                session.backend.ask("SET redshift.last_copy_count = '0'")
            raise
        if isinstance(fault, ChangeCopied):
            session.backend.ask(f"UPDATE {table} SET {fault.assignments}")
        session.backend.ask(f"SET redshift.last_copy_count = '{count}'")
        session.backend.ask(f"SET redshift.last_copy_id = '{query}'")
        notice = f"Load into table '{copy.table}' completed, {count} record(s) loaded successfully."
        return "COPY", notice

    def _files(self, copy: CopyStatement) -> list[str]:
        if not copy.manifest:
            found = [entry.url for entry in self.store.listed(copy.url)]
            if not found:
                raise Refusal(
                    f"The specified S3 prefix '{copy.url.split('/', 3)[3]}' does not exist",
                    detail="error: The specified S3 prefix does not exist, code: 8001",
                )
            return found
        urls = []
        for entry in read_manifest(self.store.read(copy.url), copy.format):
            found_size = next(
                (found.size for found in self.store.listed(entry.url) if found.url == entry.url),
                None,
            )
            if found_size is None:
                if entry.mandatory:
                    raise s3_refusal(
                        f"The specified key does not exist: {entry.url}", 404, "NoSuchKey"
                    )
                continue
            if entry.content_length not in (None, found_size):
                reason = (
                    "S3ServiceException:The requested range is not satisfiable,Status 416,"
                    f"Error InvalidRange,Rid STANDIN0000 for {entry.url}"
                )
                raise spectrum(15001, reason)
            urls.append(entry.url)
        return urls

    def _lines(
        self, copy: CopyStatement, columns: Sequence[LiveColumn], urls: Sequence[str]
    ) -> Iterator[bytes]:
        for url in urls:
            yield from rows(copy, columns, self.store.read(url), url)

    def _record(
        self,
        session: Session,
        target: Target,
        query: int,
        started: datetime,
        refusal: Refusal,
    ) -> None:
        """Keep what went wrong where a rollback of the client does not reach."""
        if isinstance(refusal, LoadError):
            sized = refusal.column_type.partition("(")
            self.admin.query(
                "INSERT INTO pg_catalog.redshift_load_errors SELECT oid, %s, %s, %s,"
                " current_database(), %s, %s, left(%s, 256), %s, left(%s, 127), left(%s, 10),"
                " left(%s, 10), 0, %s, left(%s, 512), left(%s, 1024), left(%s, 1024),"
                " left(%s, 100) FROM pg_roles WHERE rolname = %s",
                query,
                query,
                session.backend.pid,
                target.oid,
                started,
                refusal.file,
                refusal.line,
                refusal.column,
                _SHORT_TYPES.get(sized[0], sized[0]),
                sized[2].rstrip(")"),
                refusal.error_code,
                refusal.reason,
                _plain(refusal.raw_line),
                _plain(refusal.raw_value),
                refusal.reason,
                session.user,
            )
        if "Spectrum" in refusal.message:
            self.admin.query(
                "INSERT INTO pg_catalog.redshift_spectrum_errors"
                " SELECT oid, %s, %s, %s, left(%s, 512) FROM pg_roles WHERE rolname = %s",
                session.backend.pid,
                query,
                started,
                " ".join(refusal.detail.split()) or refusal.message,
                session.user,
            )


_SHORT_TYPES = {
    "character varying": "varchar",
    "character": "char",
    "integer": "int4",
    "bigint": "int8",
    "smallint": "int2",
    "boolean": "bool",
    "real": "float4",
    "double precision": "float8",
    "timestamp without time zone": "timestamp",
    "timestamp with time zone": "timestamptz",
    "binary varying": "varbyte",
}


def find_table(session: Session, schema: str | None, name: str) -> Target:
    """The table as the client's own transaction sees it."""
    path = quoted(*([schema] if schema else []), name)
    answer = session.backend.ask(_COLUMNS.format(table=literal(path)))
    if not answer.rows:
        full = f"{schema}.{name}" if schema else name
        raise Refusal(f'relation "{full}" does not exist', code="42P01")
    columns = [
        LiveColumn(
            name=str(row[1]),
            type=str(row[2]),
            nullable=row[3] == "t",
            has_default=row[4] == "t",
            identity=row[5] == "t",
        )
        for row in answer.rows
        if row[1] is not None
    ]
    return Target(int(str(answer.rows[0][0])), columns)


def quoted(*names: str) -> str:
    """A dotted name, each part in double quotes."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def literal(text: str) -> str:
    """A string literal, whatever backslashes mean."""
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def _until_cut(session: Session, limit: int, lines: Iterator[bytes]) -> Iterator[bytes]:
    sent = 0
    for line in lines:
        if sent + len(line) > limit:
            break
        sent += len(line)
        yield line
    session.cut_off()


def _plain(text: str) -> str:
    return text.replace("\0", "")
