"""Connecting to Redshift: every way to log in, a line that lasts, errors that say what to do."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest

from loader.config import RedshiftTarget
from loader.errors import ExecuteError
from loader.testing.redshift.server import RedshiftStandIn
from loader.warehouse.redshift.driver import Redshift, _login, connect
from loader.warehouse.redshift.errors import explain
from tests.conftest import redshift_target

HOST = "wg.123456789012.eu-west-1.redshift-serverless.amazonaws.com"

LOGINS: Mapping[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "password": (
        {"host": "h", "user": "u", "password": "p"},
        {"host": "h", "user": "u", "password": "p"},
    ),
    "IAM, provisioned": (
        {"host": "h", "user": "u", "cluster_identifier": "c", "region_name": "eu-west-1"},
        {
            "host": "h",
            "iam": True,
            "user": "",
            "password": "",
            "region": "eu-west-1",
            "cluster_identifier": "c",
            "db_user": "u",
        },
    ),
    "IAM, provisioned, the caller's own identity": (
        {"cluster_identifier": "c", "region_name": "eu-west-1"},
        {
            "iam": True,
            "user": "",
            "password": "",
            "region": "eu-west-1",
            "cluster_identifier": "c",
            "group_federation": True,
        },
    ),
    "IAM, Serverless": (
        {"work_group": "wg", "region_name": "eu-west-1"},
        {
            "iam": True,
            "user": "",
            "password": "",
            "region": "eu-west-1",
            "is_serverless": True,
            "serverless_work_group": "wg",
        },
    ),
    "IAM, Serverless by its host": (
        {"host": HOST},
        {"host": HOST, "iam": True, "user": "", "password": ""},
    ),
}


def target(stand_in: RedshiftStandIn, **changes: Any) -> Redshift:
    return connect(RedshiftTarget(**redshift_target(stand_in, **changes)), Path())


@pytest.mark.parametrize("way", LOGINS)
def test_each_way_to_log_in_is_the_drivers_own(way: str) -> None:
    """Settings become the driver's arguments for a password, or for IAM of either kind."""
    settings, wanted = LOGINS[way]
    found = _login(RedshiftTarget(type="redshift", database="d", **settings))
    assert found == {"database": "d", "port": 5439, **wanted}


def test_a_secret_gives_user_and_password(
    stand_in: RedshiftStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user and password of a Secrets Manager secret log in, and neither is ever told."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", stand_in.endpoint_url)
    login = {"username": stand_in.user, "password": stand_in.password, "host": stand_in.host}
    client = boto3.client("secretsmanager", region_name=stand_in.region)
    client.create_secret(Name="warehouse", SecretString=json.dumps(login))
    client.create_secret(Name="other", SecretString=json.dumps({"token": "t0p"}))
    client.create_secret(Name="wrong", SecretString=json.dumps({**login, "password": "n0pe"}))
    options: dict[str, Any] = {"password": "", "user": "", "host": ""}
    with target(stand_in, **options, secret_id="warehouse").session() as session:
        assert session.execute("SELECT current_user") == [(stand_in.user,)]
    for name, told in (("other", "no username and password"), ("none", "ResourceNotFound")):
        with (
            pytest.raises(ExecuteError, match=told) as caught,
            target(stand_in, **options, secret_id=name).session(),
        ):
            pass
        assert "t0p" not in str(caught.value)


def test_the_line_is_kept_alive_and_has_no_time_limit(stand_in: RedshiftStandIn) -> None:
    """TCP keepalives are on, and no answer may come too late: a COPY can take an hour."""
    with target(stand_in).session() as session:
        sock = session._connection._usock  # what is asked is the socket's own state
        assert sock.gettimeout() is None
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
        assert session.execute("SHOW timezone") == [("UTC",)]


# redshift_connector makes its TLS context in an old way.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_iam_credentials_are_asked_for(
    stand_in: RedshiftStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With IAM the driver asks AWS for credentials; the stand-in then lacks only TLS."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_REDSHIFT", stand_in.endpoint_url)
    client = boto3.client("redshift", region_name=stand_in.region)
    client.create_cluster(
        ClusterIdentifier="warehouse",
        NodeType="ra3.large",
        MasterUsername="master",
        MasterUserPassword="Master-12345",
    )
    options = {"password": "", "cluster_identifier": "warehouse", "ssl": True}
    with (
        pytest.raises(ExecuteError, match="Server refuses SSL") as caught,
        target(stand_in, **options).session(),
    ):
        pass
    assert "TLS" in (caught.value.hint or "")
    options["cluster_identifier"] = "elsewhere"
    with pytest.raises(ExecuteError, match="elsewhere"), target(stand_in, **options).session():
        pass


WRONG: Mapping[str, tuple[dict[str, Any], str, str]] = {
    "password": (
        {"password": "n0pe"},
        "password authentication failed|28",
        "`user` and `password`",
    ),
    "database": ({"database": "nowhere"}, "nowhere", "`database`"),
    "host": ({"host": "no.such.host.invalid"}, "no.such.host.invalid", "`host`"),
    "port": ({"port": 1}, "refused", "`port`"),
}


@pytest.mark.parametrize("what", WRONG)
def test_who_cannot_connect_is_told_where_and_why(
    stand_in: RedshiftStandIn, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """The error names the place and the user, and the setting to look at; never the password."""
    monkeypatch.setattr("loader.warehouse.redshift.sessions._CONNECT_ATTEMPTS", 1)
    changes, told, hint = WRONG[what]
    with (
        pytest.raises(ExecuteError, match=told) as caught,
        target(stand_in, **changes).session(),
    ):
        pass
    assert "cannot connect to" in str(caught.value)
    assert hint in (caught.value.hint or "")
    assert "n0pe" not in str(caught.value)
    assert stand_in.password not in str(caught.value)


SAID: list[tuple[dict[str, str], bool]] = [
    ({"C": "XX000", "M": "1023", "D": "Serializable isolation violation on table - 1"}, True),
    ({"C": "40P01", "M": "deadlock detected"}, True),
    (
        {"C": "XX000", "M": "could not complete because of conflict with concurrent transaction"},
        True,
    ),
    ({"C": "XX000", "M": "could not open relation with OID 100"}, True),
    ({"C": "XX000", "M": "table 100 dropped in concurrent transaction"}, True),
    ({"C": "XX000", "M": "cannot alter table t while VACUUM is running on it"}, True),
    ({"C": "0A000", "M": "VACUUM is running"}, True),
    ({"C": "XX000", "M": "ALTER DISTKEY failed during a concurrent VACUUM"}, True),
    ({"C": "25001", "M": "VACUUM cannot run inside a transaction block"}, False),
    ({"C": "XX000", "M": "found unexpected dependency for column"}, False),
    ({"C": "57P01", "M": "terminating connection due to administrator command"}, True),
    ({"C": "XX000", "M": "S3ServiceException:Please reduce your request rate,Status 503"}, True),
    ({"C": "42501", "M": "permission denied for relation t"}, False),
    ({"C": "42P01", "M": 'relation "x" does not exist'}, False),
    ({"C": "XX000", "M": "Spectrum Scan Error", "D": "code: 15007"}, False),
    ({"C": "XX000", "M": "S3ServiceException:Access Denied,Status 403"}, False),
    ({"C": "XX000", "M": "Load into table 't' failed. Check 'stl_load_errors'"}, False),
    ({"C": "22001", "M": "value too long for type character varying(3)"}, False),
    ({"C": "53100", "M": "Disk Full"}, False),
]


@pytest.mark.parametrize(("fields", "passes"), SAID)
def test_what_may_pass_is_told_from_what_will_not(fields: dict[str, str], passes: bool) -> None:
    """Conflicts, restarts and slow-downs are tried again; refusals are not (facts, section 9.4)."""
    assert explain(Exception({"S": "ERROR", **fields})).transient is passes


def test_a_spectrum_error_is_told_in_one_line() -> None:
    """Of the frame that COPY draws around its error, the context and the code are told."""
    detail = (
        "\n  -----------------------------------------------\n  error:  Spectrum Scan Error\n"
        "  code:      15007\n  context:   File 'x' has an incompatible Parquet schema.\n"
        "  query:     7\n  -----------------------------------------------\n"
    )
    found = explain(Exception({"C": "XX000", "M": "Spectrum Scan Error", "D": detail}))
    assert found.message == (
        "Spectrum Scan Error: File 'x' has an incompatible Parquet schema. (code 15007)"
    )
