"""The stand-in through its own front door: the driver, COPY, UNLOAD, and what goes wrong."""

from __future__ import annotations

import gc
import io
import json
import os
import re
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import boto3
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from redshift_connector.error import InterfaceError, ProgrammingError

from loader.testing.redshift.faults import CutCopy, Delay, Drop, Error
from loader.testing.redshift.server import RedshiftStandIn

Connect = Callable[..., Any]

LOST = (InterfaceError, OSError)


def fields(caught: pytest.ExceptionInfo[Exception]) -> dict[str, str]:
    told = caught.value.args[0]
    assert isinstance(told, dict)
    return told


def refused(connect: Connect, **changes: Any) -> Exception:
    """Why a connection fails. The driver leaves the socket to the collector: see that off here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            connect(**changes)
        except (*LOST, ProgrammingError) as error:
            found = error.with_traceback(None)
            found.__context__ = None
        else:
            pytest.fail("it connected")
        gc.collect()
    return found


def stage(warehouse: RedshiftStandIn, *tables: pa.Table) -> str:
    entries = []
    for number, table in enumerate(tables):
        sink = io.BytesIO()
        pq.write_table(table, sink)
        url = warehouse.write_object(f"run/{number}.parquet", sink.getvalue())
        meta = {"content_length": len(sink.getvalue())}
        entries.append({"url": url, "mandatory": True, "meta": meta})
    return manifest(warehouse, entries)


def manifest(warehouse: RedshiftStandIn, entries: list[dict[str, Any]]) -> str:
    return warehouse.write_object("run/manifest", json.dumps({"entries": entries}).encode())


def numbers(*values: int | None, text: str | None = "x") -> pa.Table:
    columns = {"a": pa.array(values, pa.int32()), "b": pa.array([text] * len(values), pa.string())}
    return pa.table(columns)


def copy_of(warehouse: RedshiftStandIn, url: str, table: str = "t (a, b)") -> str:
    role = warehouse.iam_role
    return f"COPY {table} FROM '{url}' IAM_ROLE '{role}' FORMAT AS PARQUET MANIFEST"


@pytest.fixture
def table(warehouse: RedshiftStandIn, connect: Connect) -> Any:
    """A connection, and a committed table t (a, b)."""
    connection = connect()
    connection.cursor().execute("CREATE TABLE t (a INTEGER, b VARCHAR(10))")
    connection.commit()
    return connection


# --- the driver


def test_driver_round_trip(connect: Connect) -> None:
    """Parameters go in and values of every common type come out as the driver has them."""
    cursor = connect().cursor()
    cursor.execute(
        "CREATE TEMP TABLE v (i BIGINT, d DECIMAL(10,2), t VARCHAR(20), b BOOLEAN, y DATE,"
        " z TIMESTAMPTZ, s SUPER, x VARBYTE(8))"
    )
    moment = datetime(2026, 1, 2, 3, 4, 5, 600000, UTC)
    cursor.execute(
        "INSERT INTO v SELECT %s, %s, %s, %s, %s, %s, JSON_PARSE(%s), 'ab'",
        (2**40, Decimal("1.50"), "é\\'", True, date(2026, 1, 2), moment, '{"a": [1, "x y"]}'),
    )
    cursor.execute("SELECT v.*, pg_backend_pid() > 0 FROM v")
    (row,) = cursor.fetchall()
    assert row == [
        2**40,
        Decimal("1.50"),
        "é\\'",
        True,
        date(2026, 1, 2),
        moment,
        '{"a":[1,"x y"]}',
        "ab",
        True,
    ]


def test_commit_and_rollback(warehouse: RedshiftStandIn, table: Any) -> None:
    """What is committed is there for others, what is rolled back is not."""
    cursor = table.cursor()
    cursor.execute("INSERT INTO t VALUES (1, 'kept')")
    assert warehouse.query("SELECT count(*) FROM t") == [(0,)]
    table.commit()
    cursor.execute("INSERT INTO t VALUES (2, 'lost')")
    table.rollback()
    assert warehouse.query("SELECT * FROM t") == [(1, "kept")]


def test_backslash_escapes(connect: Connect) -> None:
    """A backslash escapes inside an ordinary literal, as it does on Redshift."""
    cursor = connect().cursor()
    cursor.execute("SELECT 'a\\\\b\\'c'")
    assert cursor.fetchall() == ([r"a\b'c"],)


def test_errors_are_dicts_and_abort(table: Any) -> None:
    """An error comes as the driver's dict, and its transaction takes no more statements."""
    cursor = table.cursor()
    with pytest.raises(ProgrammingError) as caught:
        cursor.execute("SELECT nothing FROM t")
    assert fields(caught)["C"] == "42703"
    with pytest.raises(ProgrammingError) as caught:
        cursor.execute("SELECT 1")
    assert fields(caught)["C"] == "25P02"
    table.rollback()
    cursor.execute("SELECT 1")


def test_refusals_abort_too(warehouse: RedshiftStandIn, table: Any) -> None:
    """A statement only Redshift refuses aborts the transaction like any other error."""
    cursor = table.cursor()
    cursor.execute("INSERT INTO t VALUES (1, 'x')")
    with pytest.raises(ProgrammingError):
        cursor.execute("ALTER TABLE t ALTER COLUMN b TYPE VARCHAR(20)")
    with pytest.raises(ProgrammingError) as caught:
        cursor.execute("SELECT 1")
    assert fields(caught)["C"] == "25P02"
    table.commit()
    assert warehouse.query("SELECT count(*) FROM t") == [(0,)]


def test_outside_a_transaction_a_prepared_statement_is_judged_anew(table: Any) -> None:
    """A statement is refused by where it runs, not by where it was prepared."""
    table.autocommit = True
    cursor = table.cursor()
    cursor.execute("VACUUM t")
    table.autocommit = False
    with pytest.raises(ProgrammingError):
        cursor.execute("VACUUM t")


def test_truncate_commits(warehouse: RedshiftStandIn, table: Any) -> None:
    """TRUNCATE commits itself and all that came before it in the transaction."""
    cursor = table.cursor()
    cursor.execute("CREATE TABLE other (a INTEGER)")
    cursor.execute("TRUNCATE t")
    assert not table.in_transaction
    table.rollback()
    assert warehouse.query("SELECT count(*) FROM other") == [(0,)]


def test_simple_queries_of_other_clients(warehouse: RedshiftStandIn, table: Any) -> None:
    """Clients that are not redshift_connector may connect and query as well."""
    settings = {
        "host": warehouse.host,
        "port": warehouse.port,
        "dbname": warehouse.database,
        "user": warehouse.user,
        "password": warehouse.password,
    }
    with psycopg.connect(**settings) as connection:
        connection.execute("INSERT INTO t VALUES (%s, %s)", (1, "x"))
        assert connection.execute("SELECT a FROM t").fetchall() == [(1,)]
        assert connection.pgconn.exec_(b"SELECT b FROM t").get_value(0, 0) == b"x"
    assert warehouse.query("SELECT count(*) FROM t") == [(1,)]


def test_statements_are_recorded(warehouse: RedshiftStandIn, table: Any) -> None:
    """Everything a client asked for is on record, with its outcome."""
    warehouse.statements.clear()
    cursor = table.cursor()
    cursor.execute("SELECT 1")
    with pytest.raises(ProgrammingError):
        cursor.execute("SELECT nothing")
    table.rollback()
    assert [(entry.sql, entry.ok) for entry in warehouse.statements] == [
        ("begin transaction", True),
        ("SELECT 1", True),
        ("SELECT nothing", False),
        ("rollback", True),
    ]


# --- users


def test_wrong_password(connect: Connect) -> None:
    """A wrong password and an unknown user are refused with 28000."""
    for changes in ({"password": "no"}, {"user": "nobody"}):
        error = refused(connect, **changes)
        assert isinstance(error, InterfaceError)
        assert error.args[0]["C"] == "28000"


def test_read_only_user(warehouse: RedshiftStandIn, table: Any, connect: Connect) -> None:
    """A user who may only read reads what others committed, and writes nothing."""
    warehouse.add_user("reader", "Secret-1")
    reader = connect(user="reader", password="Secret-1")
    cursor = reader.cursor()
    cursor.execute("SELECT count(*) FROM t")
    with pytest.raises(ProgrammingError) as caught:
        cursor.execute("INSERT INTO t VALUES (1, 'x')")
    assert fields(caught)["M"] == "permission denied for relation t"


# --- COPY


def test_copy_belongs_to_its_transaction(warehouse: RedshiftStandIn, table: Any) -> None:
    """A COPY is undone by ROLLBACK and kept by COMMIT, and counts its rows meanwhile."""
    sql = copy_of(warehouse, stage(warehouse, numbers(1, None), numbers(3)))
    cursor = table.cursor()
    cursor.execute(sql)
    assert cursor.rowcount == -1
    assert table.notices[-1][b"M"].endswith(b"3 record(s) loaded successfully.")
    cursor.execute("SELECT pg_last_copy_count(), pg_last_copy_id() > 0")
    assert cursor.fetchall() == ([3, True],)
    table.rollback()
    assert warehouse.query("SELECT count(*) FROM t") == [(0,)]
    cursor.execute(sql)
    table.commit()
    assert warehouse.query("SELECT * FROM t") == [(1, "x"), (None, "x"), (3, "x")]


def test_copy_outside_a_transaction_commits(warehouse: RedshiftStandIn, table: Any) -> None:
    """In autocommit mode a COPY is there as soon as it is done."""
    table.autocommit = True
    table.cursor().execute(copy_of(warehouse, stage(warehouse, numbers(1))))
    assert warehouse.query("SELECT count(*) FROM t") == [(1,)]


def test_copy_into_what_only_this_session_sees(
    warehouse: RedshiftStandIn, connect: Connect
) -> None:
    """A COPY reaches temporary tables and tables of the transaction that is still open."""
    cursor = connect().cursor()
    url = stage(warehouse, numbers(1))
    for name, create in (("s", "CREATE TEMP TABLE s"), ("n", "CREATE TABLE n")):
        cursor.execute(f"{create} (a INTEGER, b VARCHAR(10))")
        cursor.execute(copy_of(warehouse, url, name))
        cursor.execute(f"SELECT a FROM {name}")
        assert cursor.fetchall() == ([1],)


def test_copy_csv_and_json(warehouse: RedshiftStandIn, table: Any) -> None:
    """CSV and JSON files are loaded from a prefix, each by its own rules."""
    warehouse.write_object("c/1.csv", b'a,b\n1,"x,y"\n2,\\N\n')
    warehouse.write_object("j/1.json", b'{"b": "z", "a": 3}\n{"a": 4}')
    cursor = table.cursor()
    source = f"s3://{warehouse.bucket}"
    role = f"IAM_ROLE '{warehouse.iam_role}'"
    cursor.execute(f"COPY t FROM '{source}/c/' {role} FORMAT CSV IGNOREHEADER 1")
    cursor.execute(f"COPY t FROM '{source}/j/' {role} FORMAT JSON 'auto'")
    table.commit()
    rows = [(1, "x,y"), (2, None), (3, "z"), (4, None)]
    assert warehouse.query("SELECT * FROM t ORDER BY a") == rows


def test_manifests(warehouse: RedshiftStandIn, table: Any) -> None:
    """Optional files may be missing, mandatory ones not, twice is twice, lengths must be true."""
    cursor = table.cursor()
    stage(warehouse, numbers(1))
    entry = json.loads(warehouse.read_object("run/manifest"))["entries"][0]
    missing = {**entry, "url": entry["url"] + ".not"}
    url = manifest(warehouse, [entry, entry, {**missing, "mandatory": False}])
    cursor.execute(copy_of(warehouse, url))
    table.commit()
    assert warehouse.query("SELECT count(*) FROM t") == [(2,)]
    for entries, words in (
        ([entry, missing], "NoSuchKey"),
        ([{**entry, "meta": {"content_length": 1}}], "416"),
    ):
        with pytest.raises(ProgrammingError, match=words):
            cursor.execute(copy_of(warehouse, manifest(warehouse, entries)))
        table.rollback()
    assert warehouse.query("SELECT count(*) FROM t") == [(2,)]


def test_copy_needs_the_attached_role(warehouse: RedshiftStandIn, table: Any) -> None:
    """A COPY with a role that is not attached to the warehouse is refused."""
    sql = copy_of(warehouse, stage(warehouse, numbers(1))).replace("redshift-load", "somebody")
    with pytest.raises(ProgrammingError, match="not authorized to assume"):
        table.cursor().execute(sql)


def test_load_errors_outlive_the_rollback(warehouse: RedshiftStandIn, table: Any) -> None:
    """A value that does not load fails the COPY, and the system tables remember it."""
    url = stage(warehouse, numbers(1, text="more than ten bytes"))
    cursor = table.cursor()
    cursor.execute("SELECT pg_backend_pid()")
    (pid,) = cursor.fetchone()
    with pytest.raises(ProgrammingError) as caught:
        cursor.execute(copy_of(warehouse, url))
    assert fields(caught)["C"] == "XX000"
    table.rollback()
    cursor.execute(
        "SELECT TRIM(file_name), line_number, TRIM(column_name), TRIM(error_message),"
        f" LENGTH(column_name) FROM sys_load_error_detail WHERE session_id = {pid}"
    )
    ((file, line, column, message, _),) = cursor.fetchall()
    assert (file, line, column) == (f"s3://{warehouse.bucket}/run/0.parquet", 1, "b")
    assert message
    cursor.execute("SELECT TRIM(raw_field_value) FROM stl_load_errors")
    assert cursor.fetchall() == (["more than ten bytes"],)
    cursor.execute("SELECT pg_last_copy_count()")
    assert cursor.fetchall() == ([0],)


def test_spectrum_errors_are_logged(warehouse: RedshiftStandIn, table: Any) -> None:
    """A Parquet file of other types than the table's is refused, in full in svl_s3log."""
    wrong = pa.table({"a": pa.array([1], pa.int64()), "b": ["x"]})
    cursor = table.cursor()
    with pytest.raises(ProgrammingError, match="Spectrum Scan Error") as caught:
        cursor.execute(copy_of(warehouse, stage(warehouse, wrong)))
    assert "15007" in fields(caught)["D"]
    table.rollback()
    cursor.execute("SELECT message FROM svl_s3log")
    assert "incompatible Parquet schema" in cursor.fetchone()[0]


def test_copy_generates_identities(warehouse: RedshiftStandIn, connect: Connect) -> None:
    """A COPY leaves an IDENTITY column to the table."""
    cursor = connect().cursor()
    cursor.execute("CREATE TEMP TABLE k (n BIGINT IDENTITY(5, 2), a INTEGER, b VARCHAR(5))")
    cursor.execute(copy_of(warehouse, stage(warehouse, numbers(7, 8)), "k"))
    cursor.execute("SELECT n, a FROM k ORDER BY n")
    assert cursor.fetchall() == ([5, 7], [7, 8])


# --- UNLOAD


def test_unload_and_read_back(warehouse: RedshiftStandIn, table: Any) -> None:
    """UNLOAD writes Parquet by slices with a manifest, and COPY takes it back."""
    cursor = table.cursor()
    cursor.execute("INSERT INTO t VALUES (1, 'x'), (2, NULL), (3, 'z')")
    sql = (
        f"UNLOAD ('SELECT * FROM t WHERE b <> '''' OR b IS NULL') TO 's3://{warehouse.bucket}/u/'"
        f" IAM_ROLE '{warehouse.iam_role}' FORMAT PARQUET MANIFEST VERBOSE"
    )
    cursor.execute(sql)
    cursor.execute("SELECT pg_last_unload_count()")
    assert cursor.fetchall() == ([3],)
    assert len(warehouse.objects("u/0")) == 2
    told = json.loads(warehouse.read_object("u/manifest"))
    assert told["meta"]["record_count"] == 3
    with pytest.raises(ProgrammingError, match="not empty"):
        cursor.execute(sql)
    table.rollback()
    cursor.execute(copy_of(warehouse, f"s3://{warehouse.bucket}/u/manifest"))
    table.commit()
    assert warehouse.query("SELECT * FROM t") == [(1, "x"), (2, None), (3, "z")]


def test_unload_refuses_what_parquet_cannot_hold(
    connect: Connect, warehouse: RedshiftStandIn
) -> None:
    """VARBYTE and spatial columns, and a LIMIT at the top, are not unloaded to Parquet."""
    connection = connect()
    cursor = connection.cursor()
    for query in ("SELECT v FROM w", "SELECT g FROM w", "SELECT 1 AS a LIMIT 1"):
        cursor.execute("CREATE TEMP TABLE w (v VARBYTE(4), g GEOMETRY)")
        with pytest.raises(ProgrammingError, match=r"(?i)not supported"):
            cursor.execute(
                f"UNLOAD ('{query}') TO 's3://{warehouse.bucket}/u/'"
                f" IAM_ROLE '{warehouse.iam_role}' FORMAT PARQUET"
            )
        connection.rollback()


# --- isolation


def test_lock_first_sees_what_the_other_committed(table: Any, connect: Connect) -> None:
    """A transaction that begins with LOCK waits, and then sees the work it has waited for."""
    first, second = table.cursor(), connect().cursor()
    first.execute("LOCK t")
    first.execute("INSERT INTO t VALUES (1, 'x')")
    seen = []

    def work() -> None:
        second.execute("LOCK t")
        second.execute("SELECT count(*) FROM t")
        seen.append(second.fetchone()[0])

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.1)
    assert not seen
    table.commit()
    thread.join(10)
    assert seen == [1]


def test_snapshots_conflict_without_lock(table: Any, connect: Connect) -> None:
    """Two transactions that change the same row from one snapshot end in error 1023."""
    cursor, other = table.cursor(), connect()
    cursor.execute("INSERT INTO t VALUES (1, 'x')")
    table.commit()
    cursor.execute("SELECT * FROM t")
    other.cursor().execute("UPDATE t SET b = 'y'")
    other.commit()
    cursor.execute("SELECT b FROM t")
    assert cursor.fetchall() == (["x"],)
    with pytest.raises(ProgrammingError) as caught:
        cursor.execute("UPDATE t SET b = 'z'")
    told = fields(caught)
    assert (told["C"], told["M"]) == ("XX000", "1023")
    assert told["D"].startswith("Serializable isolation violation on table")


# --- faults


def test_drop_before_commit(warehouse: RedshiftStandIn, table: Any) -> None:
    """Cut off before its COMMIT, a transaction has not happened and its session is gone."""
    warehouse.faults.add("commit", "before", Drop())
    cursor = table.cursor()
    cursor.execute("SELECT pg_backend_pid()")
    (pid,) = cursor.fetchone()
    cursor.execute("INSERT INTO t VALUES (1, 'x')")
    with pytest.raises(LOST):
        table.commit()
    assert warehouse.query("SELECT count(*) FROM t") == [(0,)]
    assert warehouse.query("SELECT 1 FROM pg_stat_activity WHERE pid = %s", pid) == []
    assert (warehouse.faults.fired, warehouse.statements[-1].ok) == (1, None)


def test_drop_after_commit(warehouse: RedshiftStandIn, table: Any) -> None:
    """Cut off after its COMMIT, a transaction has happened though the client never heard."""
    warehouse.faults.add("commit", "after", Drop(reset=True))
    table.cursor().execute("INSERT INTO t VALUES (1, 'x')")
    with pytest.raises(LOST):
        table.commit()
    assert warehouse.query("SELECT count(*) FROM t") == [(1,)]


def test_drop_that_lingers(warehouse: RedshiftStandIn, table: Any) -> None:
    """A session may outlive its client for a while, and hold its locks."""
    warehouse.faults.add("commit", "before", Drop(linger=0.3))
    cursor = table.cursor()
    cursor.execute("SELECT pg_backend_pid()")
    (pid,) = cursor.fetchone()
    with pytest.raises(LOST):
        table.commit()
    alive = "SELECT 1 FROM stv_sessions WHERE process = %s"
    assert warehouse.query(alive, pid) == [(1,)]
    deadline = time.monotonic() + 5
    while warehouse.query(alive, pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_commit_that_comes_late(warehouse: RedshiftStandIn, table: Any) -> None:
    """A COMMIT may happen well after the client has lost its connection."""
    warehouse.faults.add("commit", "after", Drop(late=0.3))
    table.cursor().execute("INSERT INTO t VALUES (1, 'x')")
    with pytest.raises(LOST):
        table.commit()
    assert warehouse.query("SELECT count(*) FROM t") == [(0,)]
    deadline = time.monotonic() + 5
    while warehouse.query("SELECT count(*) FROM t") == [(0,)]:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_errors_on_demand(warehouse: RedshiftStandIn, table: Any) -> None:
    """An error can be had at the n-th statement that matches, and aborts its transaction."""
    action = Error("XX000", "1023", "Serializable isolation violation on table - 1")
    rule = warehouse.faults.add(re.compile("^insert", re.IGNORECASE), "before", action, skip=1)
    cursor = table.cursor()
    cursor.execute("INSERT INTO t VALUES (1, 'x')")
    with pytest.raises(ProgrammingError) as caught:
        cursor.execute("INSERT INTO t VALUES (2, 'x')")
    assert (fields(caught)["M"], rule.fired) == ("1023", 1)
    with pytest.raises(ProgrammingError, match="25P02"):
        cursor.execute("SELECT 1")
    table.rollback()
    cursor.execute("INSERT INTO t VALUES (2, 'x')")


def test_error_after_the_deed(warehouse: RedshiftStandIn, table: Any) -> None:
    """An error that comes after a COMMIT tells the client of a failure that was none."""
    warehouse.faults.add(lambda sql: sql == "commit", "after", Error("57P01", "shutting down"))
    table.cursor().execute("INSERT INTO t VALUES (1, 'x')")
    with pytest.raises(ProgrammingError, match="57P01"):
        table.commit()
    assert warehouse.query("SELECT count(*) FROM t") == [(1,)]


def test_delay(warehouse: RedshiftStandIn, table: Any) -> None:
    """A statement can be made to take longer."""
    warehouse.faults.add("SELECT 1", "after", Delay(0.2))
    started = time.monotonic()
    table.cursor().execute("SELECT 1")
    assert time.monotonic() - started >= 0.2


def test_cut_copy(warehouse: RedshiftStandIn, table: Any) -> None:
    """A connection that breaks in the middle of a COPY leaves nothing of it."""
    warehouse.faults.add("copy", "before", CutCopy(after_bytes=10))
    with pytest.raises(LOST):
        table.cursor().execute(copy_of(warehouse, stage(warehouse, numbers(*range(100)))))
    assert warehouse.query("SELECT count(*) FROM t") == [(0,)]
    assert warehouse.query("SELECT count(*) FROM stv_sessions WHERE user_name = 'etl'") == [(0,)]


def test_refused_connections(warehouse: RedshiftStandIn, connect: Connect) -> None:
    """Connections can be refused, silently or in words, and work again afterwards."""
    warehouse.faults.refuse_connections(times=1)
    assert isinstance(refused(connect), LOST)
    warehouse.faults.refuse_connections(1, "57P03", "the database system is starting up")
    assert refused(connect).args[0]["C"] == "57P03"
    connect()


def test_object_store_faults(warehouse: RedshiftStandIn) -> None:
    """The object store can refuse a client's requests, by operation, with code and headers."""
    config = Config(retries={"total_max_attempts": 1})
    client = boto3.client("s3", config=config)
    put = {"Bucket": warehouse.bucket, "Key": "k", "Body": b"x" * 100_000}
    warehouse.faults.s3_errors(times=1, operation="PutObject")
    client.list_objects_v2(Bucket=warehouse.bucket)
    for status, code in ((503, "SlowDown"), (403, "AccessDenied"), (400, "ExpiredToken")):
        warehouse.faults.clear()
        warehouse.faults.s3_errors(status, code, operation="PutObject")
        with pytest.raises(ClientError) as caught:
            client.put_object(**put)
        assert caught.value.response["Error"]["Code"] == code
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    warehouse.faults.s3_errors(301, "PermanentRedirect", times=9, operation="GetObject")
    client.put_object(**put)
    with pytest.raises(ClientError) as caught:
        client.get_object(Bucket=warehouse.bucket, Key="k")
    headers = caught.value.response["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amz-bucket-region"] == "eu-west-1"
    upload = client.create_multipart_upload(Bucket=warehouse.bucket, Key="big")
    assert [each["UploadId"] for each in warehouse.uploads()] == [upload["UploadId"]]
    client.close()


KEY = "arn:aws:kms:us-east-1:123456789012:key/1"


@pytest.mark.parametrize(
    ("options", "encryption"),
    [
        ("", None),
        (f"KMS_KEY_ID '{KEY}' ENCRYPTED", KEY),
        ("KMS_KEY_ID 'another' ENCRYPTED", None),
        ("ENCRYPTED AUTO", KEY),
    ],
)
def test_unload_into_a_bucket_that_takes_only_kms(
    warehouse: RedshiftStandIn, table: Any, options: str, encryption: str | None
) -> None:
    """UNLOAD uses S3's own keys unless it is told otherwise, which a policy can refuse."""
    cursor = table.cursor()
    cursor.execute("INSERT INTO t VALUES (1, 'x')")
    warehouse.require_kms(KEY)
    sql = (
        f"UNLOAD ('SELECT * FROM t') TO 's3://{warehouse.bucket}/u/'"
        f" IAM_ROLE '{warehouse.iam_role}' FORMAT PARQUET MANIFEST {options}"
    )
    if encryption is None:
        with pytest.raises(ProgrammingError, match=r"Access Denied.*Status 403"):
            cursor.execute(sql)
        return
    cursor.execute(sql)
    client = boto3.client("s3")
    for key in warehouse.objects("u/"):
        assert client.head_object(Bucket=warehouse.bucket, Key=key)["SSEKMSKeyId"] == encryption
    client.close()


def test_a_bucket_can_refuse_clients_without_kms(warehouse: RedshiftStandIn) -> None:
    """A client's objects and uploads are refused unless they name KMS, and this key or none."""
    client = boto3.client("s3", config=Config(retries={"total_max_attempts": 1}))
    warehouse.require_kms(KEY)
    to = {"Bucket": warehouse.bucket, "Key": "k"}
    for extra in ({}, {"ServerSideEncryption": "AES256"}):
        for write in (client.put_object, client.create_multipart_upload):
            with pytest.raises(ClientError, match="AccessDenied"):
                write(**to, **extra)
    client.put_object(**to, ServerSideEncryption="aws:kms")
    client.put_object(**to, ServerSideEncryption="aws:kms", SSEKMSKeyId=KEY)
    client.create_multipart_upload(**to, ServerSideEncryption="aws:kms")
    client.close()


def test_object_store_faults_inside_copy(warehouse: RedshiftStandIn, table: Any) -> None:
    """A COPY that meets a 503 fails with Redshift's words for it, and works when repeated."""
    sql = copy_of(warehouse, stage(warehouse, numbers(1)))
    warehouse.faults.s3_errors(by="warehouse", operation="GetObject", skip=1)
    cursor = table.cursor()
    with pytest.raises(ProgrammingError, match=r"S3ServiceException.*503"):
        cursor.execute(sql)
    table.rollback()
    cursor.execute(sql)
    table.commit()
    assert warehouse.query("SELECT count(*) FROM t") == [(1,)]


# --- several processes, and the system views


def test_several_processes(warehouse: RedshiftStandIn, table: Any) -> None:
    """Clients in processes of their own work at the same time."""
    program = (
        "import json, sys, redshift_connector\n"
        "connection = redshift_connector.connect(**json.loads(sys.argv[1]))\n"
        "connection.cursor().execute('INSERT INTO t VALUES (%s, %s)', (int(sys.argv[2]), 'p'))\n"
        "connection.commit()\n"
    )
    told = json.dumps(warehouse.connection())
    processes = [
        subprocess.Popen([sys.executable, "-c", program, told, str(number)], env=os.environ)
        for number in range(2)
    ]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert warehouse.query("SELECT a FROM t ORDER BY a") == [(0,), (1,)]


def test_system_views(warehouse: RedshiftStandIn, table: Any) -> None:
    """The system views a loader reads are there, each to those who may read it."""
    cursor = table.cursor()
    cursor.execute(
        "SELECT column_name, data_type, is_nullable FROM svv_redshift_columns"
        " WHERE table_name = 't' ORDER BY ordinal_position"
    )
    columns = (["a", "integer", "YES"], ["b", "character varying(10)", "YES"])
    assert cursor.fetchall() == columns
    cursor.execute("SELECT process FROM stv_sessions WHERE process = pg_backend_pid()")
    assert len(cursor.fetchall()) == 1
    for view in ("sys_session_history", "stv_db_isolation_level", "pg_database_info", "svl_s3log"):
        cursor.execute(f"SELECT count(*) FROM {view}")
    assert warehouse.query("SELECT * FROM svv_table_info") == []
    with pytest.raises(ProgrammingError, match="permission denied"):
        cursor.execute("SELECT * FROM svv_table_info")


def test_reset(warehouse: RedshiftStandIn, table: Any) -> None:
    """After a reset there is nothing: no tables, sessions, objects, faults or statements."""
    table.cursor().execute("SELECT 1")
    warehouse.write_object("k", b"x")
    warehouse.faults.add("select", "before", Drop())
    warehouse.reset()
    assert warehouse.query("SELECT count(*) FROM pg_tables WHERE tablename = 't'") == [(0,)]
    assert warehouse.query("SELECT count(*) FROM stv_sessions WHERE user_name = 'etl'") == [(0,)]
    assert (warehouse.objects(), warehouse.uploads(), warehouse.statements) == ([], [], [])
    with pytest.raises(LOST):
        table.cursor().execute("SELECT 1")


@pytest.mark.parametrize(
    ("service", "path", "status"),
    [
        ("", "/{bucket}/kept", 403),
        ("lambda", "/", 501),
        ("s3", "/moto-api/reset", 501),
        ("s3", "/{bucket}/kept", 200),
    ],
)
def test_s3_refuses_requests_without_a_signature(
    warehouse: RedshiftStandIn, service: str, path: str, status: int
) -> None:
    """Anonymous requests, as of a web page, are denied, and so is what is not needed."""
    warehouse.write_object("kept", b"x")
    address = urlsplit(warehouse.endpoint_url)
    connection = HTTPConnection(address.hostname or "", address.port)
    scope = f"AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/{service}/aws4_request"
    headers = {"Authorization": scope} if service else {}
    connection.request("GET", path.format(bucket=warehouse.bucket), headers=headers)
    assert connection.getresponse().status == status
    connection.close()
