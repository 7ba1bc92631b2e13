"""The Data API as a transport: one outcome of each statement, values and errors as the driver's."""

from __future__ import annotations

import math
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from loader.config import RedshiftTarget
from loader.errors import ExecuteError
from loader.project import Project
from loader.testing.redshift.data_api import server
from loader.testing.redshift.data_api.values import tell_error
from loader.testing.redshift.faults import ApiOperation, Delay, Drop, Error
from loader.testing.redshift.server import RedshiftStandIn
from loader.warehouse.redshift import data_api, data_api_requests, driver, sessions
from loader.warehouse.redshift.data_api import DataApi, DataApiSession, make_login
from loader.warehouse.redshift.data_api_values import read_rows
from loader.warehouse.redshift.errors import explain, explain_text
from tests.conftest import MakeProject, redshift_target
from tests.warehouse.test_redshift_connect import SAID


def settings(stand_in: RedshiftStandIn, **changes: Any) -> RedshiftTarget:
    return RedshiftTarget(**redshift_target(stand_in, transport="data_api", **changes))


def warehouse(stand_in: RedshiftStandIn, **changes: Any) -> DataApi:
    return data_api.connect(settings(stand_in, **changes), Path())


@pytest.fixture
def session(stand_in: RedshiftStandIn) -> Iterator[DataApiSession]:
    """A session of the API."""
    with warehouse(stand_in).session() as opened:
        yield opened


@pytest.fixture
def by_driver(stand_in: RedshiftStandIn) -> Iterator[driver.DriverSession]:
    """A session of the driver, to compare with."""
    connected = driver.connect(RedshiftTarget(**redshift_target(stand_in)), Path())
    with connected.session() as opened:
        yield opened


def times_run(stand_in: RedshiftStandIn, sql: str) -> int:
    """How many times the warehouse has run a statement."""
    return sum(one.sql == sql for one in stand_in.statements)


def wait_until(happens: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not happens() and time.monotonic() < deadline:
        time.sleep(0.02)


# Values.

VALUES = (
    "CAST(-32768 AS smallint)", "CAST(2147483647 AS int)", "CAST(-9223372036854775808 AS bigint)",
    "CAST(1.50 AS decimal(18,4))", "CAST(-0.0000000001 AS decimal(38,10))",
    "CAST(99999999999999999999999999999999999999 AS decimal(38,0))",
    "CAST(0.1 AS real)", "CAST(0.1 AS double precision)", "CAST('Infinity' AS double precision)",
    "true", "false", "CAST('a' AS char(4))", "CAST('日本 \"\\'' AS varchar(40))", "''",
    "CAST('0001-01-01' AS date)", "CAST('9999-12-31' AS date)",
    "CAST('0001-01-01' AS timestamp)", "CAST('9999-12-31 23:59:59.999999' AS timestamp)",
    "CAST('2013-11-03 05:30:00.1' AS timestamp)", "CAST('2013-11-03 05:30:00+02' AS timestamptz)",
    "CAST('23:59:59.999999' AS time)", "CAST('12:30:00+02' AS timetz)",
    "CAST('12:30:00.5-11' AS timetz)", "json_parse('{\"a\": [1, null]}')",
    "NULL", "CAST(NULL AS decimal(9,2))", "current_user",
)  # fmt: skip


def test_values_are_those_of_the_driver(
    session: DataApiSession, by_driver: driver.DriverSession
) -> None:
    """Whatever the API sends as text has the Python value that the driver gives."""

    def read(one: sessions.RedshiftSession) -> list[tuple[str, type, str]]:
        found = [one.execute(f"SELECT {value} AS v")[0][0] for value in VALUES]
        return [(sql, type(v), repr(v)) for sql, v in zip(VALUES, found, strict=True)]

    assert read(session) == read(by_driver)


def test_bytes_are_hex_digits(session: DataApiSession) -> None:
    """VARBYTE comes in hex digits, which become bytes in a batch."""
    sql = "SELECT to_varbyte('00ff275c', 'hex') AS v"
    assert session.execute(sql) == [("00ff275c",)]
    (batch,) = session.stream(sql, pa.schema({"v": pa.binary()}))
    assert batch["v"].to_pylist() == [b"\x00\xff'\\"]


def test_values_of_either_form_are_read() -> None:
    """Instants with and without an offset, and dates that Python does not have, as the driver."""
    kinds = ["timestamptz", "timestamptz", "timetz", "date", "date", "float8", "varbyte"]
    texts = ["2020-01-02 03:04:05", "2020-01-02 03:04:05+00", "03:04:05", "0044-03-15 BC"]
    fields: list[dict[str, Any]] = [{"stringValue": text} for text in texts]
    fields += [{"stringValue": "10000-01-01"}, {"doubleValue": "NaN"}, {"blobValue": b"x"}]
    page = {"ColumnMetadata": [{"typeName": kind} for kind in kinds], "Records": [fields]}
    ((with_zone, without, clock, first, last, number, blob),) = read_rows(page)
    assert with_zone == without
    assert clock.tzinfo is not None
    assert (first.year, last.year, blob) == (1, 9999, b"x")
    assert math.isnan(number)


def test_pages_become_batches(session: DataApiSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long result is streamed page by page, every row once and in its order."""
    monkeypatch.setattr(sessions, "BATCH_ROWS", 7)
    monkeypatch.setattr(server, "PAGE_ROWS", 10)
    session.execute("CREATE TABLE numbers (n int)")
    session.execute("INSERT INTO numbers VALUES " + ", ".join(f"({n})" for n in range(23)))
    batches = list(session.stream("SELECT n FROM numbers ORDER BY n", pa.schema({"n": pa.int32()})))
    assert [batch.num_rows for batch in batches] == [7, 7, 7, 2]
    assert pa.Table.from_batches(batches)["n"].to_pylist() == list(range(23))
    assert session.execute("SELECT n FROM numbers WHERE n < 0") == []


def test_counts_of_rows(session: DataApiSession) -> None:
    """INSERT and DELETE give their counts, other statements without a result give nothing."""
    assert session.execute("CREATE TABLE t (a int)") == []
    assert session.execute("INSERT INTO t VALUES (1), (2)") == [(2,)]
    assert session.execute("DELETE FROM t WHERE a = 1") == [(1,)]


# Login.

PLACE = {"type": "redshift", "transport": "data_api", "database": "d"}
LOGINS: Mapping[str, tuple[dict[str, str], dict[str, str]]] = {
    "a user of a cluster": (
        {"cluster_identifier": "c", "user": "u"},
        {"ClusterIdentifier": "c", "DbUser": "u"},
    ),
    "one's own identity": ({"cluster_identifier": "c"}, {"ClusterIdentifier": "c"}),
    "a workgroup, whose user is one's own": (
        {"work_group": "w", "user": "u"},
        {"WorkgroupName": "w"},
    ),
    "a secret of a cluster": (
        {"cluster_identifier": "c", "secret_id": "s", "user": "u"},
        {"ClusterIdentifier": "c", "SecretArn": "s"},
    ),
    "a secret of a workgroup": (
        {"work_group": "w", "secret_id": "s"},
        {"WorkgroupName": "w", "SecretArn": "s"},
    ),
}


@pytest.mark.parametrize("way", LOGINS)
def test_each_way_to_log_in_is_the_apis_own(way: str) -> None:
    """Settings become the arguments of ExecuteStatement, and only those that it takes together."""
    given, wanted = LOGINS[way]
    assert make_login(RedshiftTarget(**PLACE, **given)) == {"Database": "d", **wanted}


@pytest.mark.parametrize("way", ["user", "identity", "secret", "workgroup"])
def test_each_way_logs_in(stand_in: RedshiftStandIn, way: str) -> None:
    """A session runs as its user, in UTC, with what the target SETs."""
    stand_in.serverless = way == "workgroup"
    changes = {"identity": {"user": ""}, "secret": {"secret_id": stand_in.secret_id}}.get(way, {})
    options: dict[str, Any] = {"session": {"query_group": "etl"}, **changes}
    with warehouse(stand_in, **options).session() as opened:
        assert opened.execute("SELECT current_user") == [(stand_in.user,)]
        assert opened.execute("SHOW timezone") == [("UTC",)]
        assert opened.execute("SHOW query_group") == [("etl",)]


WRONG: Mapping[str, tuple[dict[str, str], str, str]] = {
    "cluster": ({"cluster_identifier": "other"}, "endpoint doesn't exist", "`cluster_identifier`"),
    "secret": ({"secret_id": "other"}, "the specified secret", "`secret_id`"),
    "user": ({"user": "nobody"}, "nobody", "loader doctor"),
    "database": ({"database": "nowhere"}, "nowhere", "`database`"),
}


@pytest.mark.parametrize("what", WRONG)
def test_who_cannot_connect_is_told_where_and_why(stand_in: RedshiftStandIn, what: str) -> None:
    """The error names the place and the user, and the setting to look at."""
    changes, told, hint = WRONG[what]
    with (
        pytest.raises(ExecuteError, match=told) as caught,
        warehouse(stand_in, **changes).session(),
    ):
        pass
    assert "through the Data API as" in str(caught.value)
    assert hint in (caught.value.hint or "")


def test_without_a_region_the_setting_is_named(
    stand_in: RedshiftStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the settings nor the environment have a region: `region_name` is what lacks."""
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.delenv("AWS_REGION")
    with (
        pytest.raises(ExecuteError) as caught,
        warehouse(stand_in, region_name="").session(),
    ):
        pass
    assert "`region_name`" in (caught.value.hint or "")


INCOMPLETE: Mapping[str, tuple[dict[str, str], str]] = {
    "no place": ({"cluster_identifier": ""}, "cluster_identifier"),
    "two places": ({"work_group": "w"}, "work_group"),
    "a password": ({"password": "Hunter2-of-tests"}, "password"),
}


@pytest.mark.parametrize("what", INCOMPLETE)
def test_settings_that_the_api_cannot_use_are_named(stand_in: RedshiftStandIn, what: str) -> None:
    """A name is needed, and a password is of no use; nothing of a connection is asked for."""
    assert settings(stand_in).find_missing() == {}
    changes, key = INCOMPLETE[what]
    assert list(settings(stand_in, **changes).find_missing()) == [key]


def test_many_sessions_are_waited_for(stand_in: RedshiftStandIn) -> None:
    """A quota of the API passes, and so does a warehouse that refuses connections."""
    stand_in.faults.data_api_errors(400, "ActiveSessionsExceededException", times=2)
    stand_in.faults.refuse_connections(1)
    with warehouse(stand_in).session() as opened:
        assert opened.execute("SELECT 1") == [(1,)]


# One outcome of each statement.


def test_a_statement_of_more_than_100_kb_is_not_sent(
    stand_in: RedshiftStandIn, session: DataApiSession
) -> None:
    """It is an error with a way out, and the session goes on."""
    sent = len(stand_in.statements)
    with pytest.raises(ExecuteError, match="100,000") as caught:
        session.execute(f"SELECT '{'ä' * 50_000}'")
    assert "`driver`" in (caught.value.hint or "")
    assert len(stand_in.statements) == sent
    assert not caught.value.transient
    assert session.execute("SELECT 1") == [(1,)]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "ThrottlingException"),
        (400, "ActiveStatementsExceededException"),
        (400, "ValidationException"),
        (500, "InternalServerException"),
        (503, "ServiceUnavailable"),
    ],
)
def test_requests_that_are_refused_for_now_are_sent_again(
    stand_in: RedshiftStandIn, session: DataApiSession, status: int, code: str
) -> None:
    """Throttling, errors of the service, and a session that is still busy pass; it runs once."""
    sql = "CREATE TABLE once (a int)"
    stand_in.faults.data_api_errors(status, code, times=3)
    session.execute(sql)
    assert stand_in.faults.fired == 3
    assert times_run(stand_in, sql) == 1


OPERATIONS: tuple[ApiOperation, ...] = (
    "ExecuteStatement",
    "DescribeStatement",
    "GetStatementResult",
)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_lost_response_runs_nothing_twice(
    stand_in: RedshiftStandIn, session: DataApiSession, operation: ApiOperation
) -> None:
    """The same request gives the same statement, whichever response was lost."""
    session.execute("CREATE TABLE t (a int)")
    stand_in.faults.lose_data_api_responses(2, operation)
    assert session.execute("INSERT INTO t VALUES (1)") == [(1,)]
    assert session.execute("SELECT a FROM t") == [(1,)]
    assert stand_in.faults.fired == 2
    assert times_run(stand_in, "INSERT INTO t VALUES (1)") == 1


def test_statements_are_waited_for_without_long_polling(
    stand_in: RedshiftStandIn, session: DataApiSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a botocore that does not know WaitTimeSeconds the end is asked for again and again."""
    monkeypatch.setattr(data_api_requests, "_waiting", lambda *_: {})
    stand_in.faults.add("select 7", "before", Delay(0.3))
    assert session.execute("SELECT 7") == [(7,)]


def test_an_idle_transaction_ends_with_its_session(
    stand_in: RedshiftStandIn, session: DataApiSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is gone holds locks no longer than the keep-alive; whoever comes back may retry."""
    monkeypatch.setattr(data_api, "KEEP_ALIVE_IN_TRANSACTION", 1)
    session.execute("CREATE TABLE t (a int)")
    session.begin()
    session.execute("INSERT INTO t VALUES (1)")
    locks = "SELECT 1 FROM pg_locks WHERE relation = 't'::regclass"
    wait_until(lambda: not stand_in.query(locks))
    with pytest.raises(ExecuteError, match="session has ended") as caught:
        session.execute("SELECT a FROM t")
    assert caught.value.transient
    session.rollback()  # nothing is left to roll back
    assert stand_in.query("SELECT * FROM t") == []


def test_a_session_ends_with_its_use(stand_in: RedshiftStandIn) -> None:
    """What is open is rolled back, and no session waits for its keep-alive."""
    with warehouse(stand_in).session() as opened:
        opened.execute("CREATE TABLE t (a int)")
        opened.begin()
        opened.execute("INSERT INTO t VALUES (1)")
    backends = "SELECT 1 FROM pg_stat_activity WHERE usename = 'etl'"
    wait_until(lambda: not stand_in.query(backends))
    assert stand_in.query(backends) == []
    assert stand_in.query("SELECT * FROM t") == []


# COMMIT.

SPEC = {"schema": "s", "name": "t", "columns": [{"name": "id", "data_type": "integer"}]}


def make(make_project: MakeProject, stand_in: RedshiftStandIn, **target: Any) -> Project:
    spec = {**SPEC, "write_disposition": "append"}
    found = redshift_target(stand_in, transport="data_api", **target)
    return make_project({"t.yml": spec}, **found)


def load(project: Project) -> str:
    return project.load(project.spec("s/t"), pa.table({"id": [1, 2]})).status


def held(stand_in: RedshiftStandIn) -> int:
    ((count,),) = stand_in.query("SELECT count(*) FROM s.t")
    return int(count)


@pytest.mark.parametrize("ledger", ["loader", ""])
def test_a_commit_whose_response_is_lost_is_asked_about(
    stand_in: RedshiftStandIn, make_project: MakeProject, ledger: str
) -> None:
    """Its outcome is that of its statement: no ledger is needed, and no new session."""
    project = make(make_project, stand_in, ledger_schema=ledger)
    load(project)
    opened = times_run(stand_in, "SET timezone TO 'UTC'")
    stand_in.faults.lose_data_api_responses(3, "ExecuteStatement", match="commit")
    assert load(project) == "loaded"
    assert stand_in.faults.fired == 3
    assert held(stand_in) == 4
    assert times_run(stand_in, "SET timezone TO 'UTC'") == opened + 1


def test_a_commit_that_fails_is_known_to_have_failed(
    stand_in: RedshiftStandIn, make_project: MakeProject
) -> None:
    """Without a ledger too: a conflict is tried again, and an error leaves the table alone."""
    project = make(make_project, stand_in, ledger_schema="")
    detail = "Serializable isolation violation on table - 1"
    stand_in.faults.add("commit", "instead", Error("XX000", "1023", detail))
    assert load(project) == "loaded"
    assert held(stand_in) == 2
    stand_in.faults.add("commit", "instead", Error("53100", "Disk Full"))
    with pytest.raises(ExecuteError, match=r"COMMIT failed: Disk Full\n.*s\.t is unchanged") as bad:
        load(project)
    assert bad.value.rolled_back
    assert held(stand_in) == 2


@pytest.mark.parametrize("what", ["lost by the API", "lost before", "no response"])
def test_a_commit_of_unknown_outcome_is_settled_by_the_ledger(
    stand_in: RedshiftStandIn,
    make_project: MakeProject,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
) -> None:
    """Where the API itself does not know, or does not answer, the ledger does: one copy."""
    project = make(make_project, stand_in)
    load(project)
    if what == "no response":
        monkeypatch.setattr(data_api, "COMMIT_PATIENCE", 1e-9)
        stand_in.faults.lose_data_api_responses(1, "ExecuteStatement", match="commit")
    else:
        stand_in.faults.add("commit", "before" if what == "lost before" else "after", Drop())
    assert load(project) == "loaded"
    assert stand_in.faults.fired == 1
    assert held(stand_in) == 4
    stand_in.faults.add("commit", "after", Drop())
    with pytest.raises(ExecuteError, match="it is unknown whether"):
        load(make(make_project, stand_in, ledger_schema=""))


# Ctrl-C.


@contextmanager
def meanwhile(stand_in: RedshiftStandIn, act: Callable[[], object]) -> Iterator[None]:
    """Do something as soon as a statement waits for a lock."""

    def run() -> None:
        waiting = "SELECT 1 FROM pg_locks WHERE NOT granted"
        wait_until(lambda: stand_in.query(waiting))
        act()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def locked(by_driver: driver.DriverSession) -> driver.DriverSession:
    """A session of somebody else that has locked the table t."""
    by_driver.execute("CREATE TABLE t (a int)")
    by_driver.begin()
    by_driver.execute("LOCK t")
    return by_driver


@pytest.mark.parametrize("long_polling", [True, False])
def test_an_interrupted_statement_is_cancelled(
    stand_in: RedshiftStandIn,
    session: DataApiSession,
    locked: driver.DriverSession,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    long_polling: bool,
) -> None:
    """Ctrl-C ends the statement on the server, and the transaction is rolled back."""
    # A run in the background ignores the signal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    monkeypatch.setattr(data_api_requests, "_SUBMIT_WAIT", 1)
    if not long_polling:
        monkeypatch.setattr(data_api_requests, "_waiting", lambda *_: {})
    session.begin()
    with pytest.raises(KeyboardInterrupt), meanwhile(stand_in, interrupt):
        session.execute("INSERT INTO t VALUES (1)")
    session.rollback()
    assert session.execute("SELECT 1") == [(1,)]
    locked.commit()
    assert stand_in.query("SELECT * FROM t") == []


def test_an_interrupted_commit_goes_on(
    stand_in: RedshiftStandIn, session: DataApiSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A COMMIT is not cancelled: the ledger is asked about it, as with the driver."""
    session.execute("CREATE TABLE t (a int)")
    session.begin()
    session.execute("INSERT INTO t VALUES (1)")
    send = data_api_requests.Request.run

    def stop(request: data_api_requests.Request, *, fully: bool) -> None:
        send(request, fully=fully)
        raise KeyboardInterrupt

    monkeypatch.setattr(data_api_requests.Request, "run", stop)
    with pytest.raises(KeyboardInterrupt):
        session.commit()
    session.rollback()
    session.close()
    assert stand_in.query("SELECT * FROM t") == [(1,)]
    assert stand_in.statements[-1].sql == "COMMIT"


# Errors.

TOLD = [
    *(fields for fields, _ in SAID),
    {"C": "40001", "M": "could not serialize access due to concurrent update"},
    {"C": "55P03", "M": "could not obtain lock on relation t"},
    {"C": "57014", "M": "Query (7) cancelled on user's request"},
    {"C": "57014", "M": "canceling statement due to statement timeout"},
    {"C": "53300", "M": 'too many connections for role "etl"'},
    {"C": "28000", "M": 'password authentication failed for user "etl"', "S": "FATAL"},
    {"C": "3D000", "M": 'database "x" does not exist', "S": "FATAL"},
    {"C": "42501", "M": "must be owner of relation t"},
    {"C": "XX000", "M": "Spectrum Scan Error", "D": "\n  error: x\n  code: 15007\n  context: File"},
    {"C": "42601", "M": "syntax error", "P": "7", "H": "look"},
]


@pytest.mark.parametrize("fields", TOLD, ids=lambda fields: fields["M"][:40])
def test_an_error_is_explained_as_that_of_the_driver(fields: dict[str, str]) -> None:
    """Message, hint and whether it may pass are the same; so is the code where Loader needs it."""
    error = Exception({"S": "ERROR", **fields})
    wanted, found = explain(error), explain_text(tell_error(error))
    assert (found.hint, found.transient) == (wanted.hint, wanted.transient)
    assert found.code in ("", wanted.code)
    without_code = re.sub(rf" \({fields['C']}\)$", "", wanted.message)
    assert found.message == (wanted.message if found.code else without_code)


FAILING = (
    "SELECT * FROM nowhere.nothing", "SELECT 1 / 0", "SELEC 1", "SELECT CAST('x' AS int)",
    "ALTER TABLE t ADD x int, ADD y int", "DROP TABLE secrets.t",
)  # fmt: skip


def test_a_refusal_is_told_as_by_the_driver(
    session: DataApiSession, by_driver: driver.DriverSession
) -> None:
    """The server's message without its prefix and its id, and the same hint."""
    for sql in FAILING:
        told = []
        for one in (session, by_driver):
            with pytest.raises(ExecuteError) as caught:
                one.execute(sql)
            assert caught.value.statement == sql
            message = re.sub(r" \([0-9A-Z]{5}\)$", "", caught.value.message)
            told.append((message, caught.value.hint, caught.value.transient))
        assert told[0] == told[1]
        assert "Error" not in told[0][0]


def test_rights_that_lack_are_named(stand_in: RedshiftStandIn, session: DataApiSession) -> None:
    """An identity that may not use the API is told what to allow; it is not tried again."""
    stand_in.faults.data_api_errors(400, "AccessDeniedException", times=1)
    with pytest.raises(ExecuteError) as caught:
        session.execute("SELECT 1")
    assert not caught.value.transient
    who = "User: arn:aws:iam::1:user/x is not authorized to perform"
    assert "DescribeStatement" in (explain_text(f"{who}: redshift-data:Any").hint or "")
    assert "`secret_id`" in (explain_text(f"{who}: redshift:GetClusterCredentials").hint or "")


def test_a_statement_that_somebody_cancels_is_told(
    stand_in: RedshiftStandIn, session: DataApiSession, locked: driver.DriverSession
) -> None:
    """A statement that is ABORTED from outside has the code of a cancelled one."""
    api = stand_in._data_api.sessions

    def cancel() -> None:
        api.cancel(next(one for one in api._statements.values() if "INSERT" in one.sql))

    with pytest.raises(ExecuteError) as caught, meanwhile(stand_in, cancel):
        session.execute("INSERT INTO t VALUES (1)")
    assert caught.value.code == "57014"
    locked.rollback()
