"""The Data API of the stand-in, as boto3 speaks to it: sessions, tokens, results, refusals."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import boto3.session
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

from loader.testing.redshift.data_api import server
from loader.testing.redshift.server import RedshiftStandIn

Client = Any


@pytest.fixture
def client(stand_in: RedshiftStandIn) -> Iterator[Client]:
    """A client that sends nothing twice."""
    config = Config(retries={"total_max_attempts": 1})
    made = boto3.session.Session().client("redshift-data", config=config)
    yield made
    made.close()


@pytest.fixture
def place(stand_in: RedshiftStandIn) -> dict[str, str]:
    """Where and as whom a session begins."""
    return {
        "ClusterIdentifier": stand_in.cluster_identifier,
        "Database": stand_in.database,
        "DbUser": stand_in.user,
    }


def run(client: Client, sql: str, **arguments: Any) -> dict[str, Any]:
    """Run a statement to its end; the arguments keep a session alive where they say nothing."""
    arguments = {"SessionKeepAliveSeconds": 60, "WaitTimeSeconds": 20, **arguments}
    found: dict[str, Any] = client.execute_statement(Sql=sql, **arguments)
    return found


def refusal(caught: pytest.ExceptionInfo[ClientError]) -> tuple[str, str]:
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_statements_of_a_session_share_its_transaction(
    stand_in: RedshiftStandIn, client: Client, place: dict[str, str]
) -> None:
    """Temporary tables and BEGIN … COMMIT live in a session, and in no other one."""
    first = run(client, "BEGIN", **place)
    session = {"SessionId": first["SessionId"]}
    assert run(client, "CREATE TEMP TABLE x (a int)", **session)["Status"] == "FINISHED"
    assert run(client, "CREATE TABLE t AS SELECT 1 AS a", **session)["Status"] == "FINISHED"
    assert run(client, "SELECT * FROM x", **place)["Status"] == "FAILED"
    assert stand_in.query("SELECT to_regclass('t')") == [(None,)]
    run(client, "COMMIT", **session)
    assert stand_in.query("SELECT * FROM t") == [(1,)]


def test_a_statement_is_asked_about(client: Client, place: dict[str, str]) -> None:
    """It begins at once, and its end, its error and its rows are told when they are asked for."""
    begun = client.execute_statement(Sql="SELECT 1 AS a", **place)
    found = client.describe_statement(Id=begun["Id"], WaitTimeSeconds=20)
    assert (found["Status"], found["HasResultSet"], found["ResultRows"]) == ("FINISHED", True, 1)
    page = client.get_statement_result(Id=begun["Id"])
    assert page["Records"] == [[{"longValue": 1}]]
    assert page["ColumnMetadata"][0]["typeName"] == "int4"
    failed = run(client, "SELECT * FROM nothing", **place)
    told = client.describe_statement(Id=failed["Id"])["Error"]
    assert told.startswith('ERROR: relation "nothing" does not exist [ErrorId: ')
    assert "42P01" not in told


def test_one_token_is_one_statement(
    stand_in: RedshiftStandIn, client: Client, place: dict[str, str]
) -> None:
    """The same request again gives the same statement; another one with its token is refused."""
    stand_in.execute("CREATE TABLE t (a int); GRANT ALL ON t TO PUBLIC")
    sql = "INSERT INTO t VALUES (1)"
    ids = {run(client, sql, **place, ClientToken="one")["Id"] for _ in range(3)}
    assert len(ids) == 1
    assert stand_in.query("SELECT * FROM t") == [(1,)]
    with pytest.raises(ClientError) as caught:
        run(client, "SELECT 1", **place, ClientToken="one")
    assert refusal(caught)[0] == "ValidationException"


def test_a_session_runs_one_statement_at_a_time(
    stand_in: RedshiftStandIn, client: Client, place: dict[str, str]
) -> None:
    """What comes while another statement runs is refused, not queued, until that is cancelled."""
    session = {"SessionId": run(client, "SELECT 1", **place)["SessionId"]}
    slow = client.execute_statement(Sql="SELECT pg_sleep(60)", **session)
    with pytest.raises(ClientError) as caught:
        run(client, "SELECT 1", **session)
    assert refusal(caught) == ("ValidationException", "Session is not available")
    running = "SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'"
    while not stand_in.query(f"{running} AND state = 'active'"):
        time.sleep(0.02)
    assert client.cancel_statement(Id=slow["Id"])["Status"] is True
    found = client.describe_statement(Id=slow["Id"], WaitTimeSeconds=20)
    assert (found["Status"], found["HasResultSet"]) == ("ABORTED", False)
    assert run(client, "SELECT 1", **session)["Status"] == "FINISHED"


def test_an_idle_session_ends(
    stand_in: RedshiftStandIn, client: Client, place: dict[str, str]
) -> None:
    """It ends when its keep-alive has passed, and what is open there is rolled back."""
    session = {"SessionId": run(client, "CREATE TABLE t (a int)", **place)["SessionId"]}
    run(client, "BEGIN", **session)
    run(client, "INSERT INTO t VALUES (1)", **session, SessionKeepAliveSeconds=1)
    deadline = time.monotonic() + 10
    while stand_in.query("SELECT 1 FROM pg_stat_activity WHERE state LIKE 'idle in%'"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    with pytest.raises(ClientError) as caught:
        run(client, "COMMIT", **session)
    assert refusal(caught)[0] == "ValidationException"
    assert stand_in.query("SELECT * FROM t") == []
    kept = {"SessionId": run(client, "SELECT 1", **place)["SessionId"]}
    stand_in.expire_sessions()
    with pytest.raises(ClientError):
        run(client, "SELECT 1", **kept)
    unkept = client.execute_statement(Sql="SELECT 1", **place, WaitTimeSeconds=20)
    with pytest.raises(ClientError):
        run(client, "SELECT 1", SessionId=unkept["SessionId"])


def test_a_long_result_has_pages(
    client: Client, place: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each response has so many rows, and a token for the next ones."""
    monkeypatch.setattr(server, "PAGE_ROWS", 2)
    done = run(client, "SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3", **place)
    first = client.get_statement_result(Id=done["Id"])
    second = client.get_statement_result(Id=done["Id"], NextToken=first["NextToken"])
    assert (len(first["Records"]), len(second["Records"]), first["TotalNumRows"]) == (2, 1, 3)
    assert "NextToken" not in second


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"ClusterIdentifier": "other"}, "Redshift endpoint doesn't exist"),
    ({"WorkgroupName": "stand-in"}, "Redshift endpoint doesn't exist"),
    ({"SecretArn": "other"}, "specified secret"),
    ({"DbUser": "nobody"}, "nobody"),
    ({"SecretArn": "stand-in-login"}, "DbUser"),
    ({"Sql": "SELECT '" + "x" * 100_000 + "'"}, "100000"),
    ({"SessionId": "00000000-0000-0000-0000-000000000000"}, "not allowed with SessionId"),
]


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_arguments_that_do_not_fit_are_refused(
    client: Client, place: dict[str, str], number: int
) -> None:
    """Unknown names, arguments that exclude each other, and long statements are refused."""
    changes, words = REFUSED[number]
    with pytest.raises(ClientError) as caught:
        client.execute_statement(**{"Sql": "SELECT 1", **place, **changes})
    code, message = refusal(caught)
    assert code == "ValidationException"
    assert words in message


def test_what_is_not_there_is_not_found(client: Client, place: dict[str, str]) -> None:
    """Statements that nobody has sent, and results of those that have none."""
    done = run(client, "CREATE TABLE t (a int)", **place)
    calls: list[Callable[[], Any]] = [
        lambda: client.get_statement_result(Id=done["Id"]),
        lambda: client.describe_statement(Id="00000000-0000-0000-0000-000000000000"),
    ]
    for call in calls:
        with pytest.raises(ClientError) as caught:
            call()
        assert refusal(caught)[0] == "ResourceNotFoundException"
    with pytest.raises(ClientError) as caught:
        client.cancel_statement(Id=done["Id"])
    assert refusal(caught)[0] == "ValidationException"
    with pytest.raises(ClientError):
        client.list_databases(**place)


def test_faults_meet_the_request_that_they_are_about(
    stand_in: RedshiftStandIn, client: Client, place: dict[str, str]
) -> None:
    """A refused request is not served, and one whose response is lost is."""
    stand_in.execute("CREATE TABLE t (a int); GRANT ALL ON t TO PUBLIC")
    stand_in.faults.data_api_errors(match="insert", operation="ExecuteStatement")
    run(client, "SELECT 1", **place)
    with pytest.raises(ClientError) as caught:
        run(client, "INSERT INTO t VALUES (1)", **place)
    assert refusal(caught) == ("ThrottlingException", "Rate exceeded")
    stand_in.faults.lose_data_api_responses(match="insert", skip=1)
    run(client, "INSERT INTO t VALUES (2)", **place)
    with pytest.raises(ConnectionClosedError):
        run(client, "INSERT INTO t VALUES (3)", **place)
    assert stand_in.query("SELECT a FROM t ORDER BY a") == [(2,), (3,)]


def test_requests_without_a_signature_are_refused(stand_in: RedshiftStandIn) -> None:
    """A web page in a browser of this machine reaches nothing."""
    request = urllib.request.Request(
        stand_in.environment()["AWS_ENDPOINT_URL_REDSHIFT_DATA"],
        b"{}",
        {"X-Amz-Target": "RedshiftData.ExecuteStatement"},
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    assert caught.value.code == 403
    caught.value.close()
