"""A pytest plugin: a Redshift and an S3 on this machine, as fixtures.

It is registered by the installation (`pytest --fixtures` lists it), and imports nothing of the
stand-in before a test asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from loader.errors import ConfigError
from loader.testing import Faults, import_stand_in

if TYPE_CHECKING:
    from loader.testing.redshift.server import RedshiftStandIn

Connect = Callable[..., Any]
"""Opens a connection; keywords replace arguments of ``redshift_connector.connect``."""

_MISLEADING = (
    "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE",
)  # fmt: skip
"""Variables of the developer's machine that would lead boto3 elsewhere."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that chooses the isolation level of the database."""
    parser.getgroup("loader").addoption(
        "--redshift-isolation",
        choices=["snapshot", "serializable"],
        default="snapshot",
        help="The isolation level of the database of the fixture `redshift`.",
    )


@pytest.fixture(scope="session")
def _redshift_server() -> Iterator[RedshiftStandIn]:
    """The one server of this process: with pytest-xdist every worker has its own."""
    try:
        stand_in = import_stand_in()
    except ConfigError as error:
        pytest.fail(f"{error.message}: {error.hint}", pytrace=False)
    with stand_in() as running:
        yield running


@pytest.fixture
def redshift(
    _redshift_server: RedshiftStandIn,
    monkeypatch: pytest.MonkeyPatch,
    pytestconfig: pytest.Config,
) -> RedshiftStandIn:
    """An empty Redshift with an S3 bucket, and the environment with which boto3 finds it.

    boto3 finds the Data API there too, with `cluster_identifier` as the name of the cluster.

    One server runs for the whole session and is emptied before each test; its isolation level is
    that of the option `--redshift-isolation`, by default snapshot. `connection()` gives the
    arguments of `redshift_connector.connect`, `bucket` and `iam_role` those of COPY; `query()` and
    `objects()` tell what is there, `statements` what clients have sent.
    """
    _redshift_server.reset()
    _redshift_server.isolation = pytestconfig.getoption("--redshift-isolation")
    for name in _MISLEADING:
        monkeypatch.delenv(name, raising=False)
    for name, value in _redshift_server.environment().items():
        monkeypatch.setenv(name, value)
    return _redshift_server


@pytest.fixture
def redshift_target(redshift: RedshiftStandIn) -> dict[str, Any]:
    """The settings of a Loader target that is the stand-in.

    As in `Project(specs="specs", targets={"prod": redshift_target})`, or below
    `[targets.prod]` in a loader.toml.
    """
    return redshift.target()


@pytest.fixture
def redshift_connect(redshift: RedshiftStandIn) -> Iterator[Connect]:
    """Opens connections of redshift_connector, and closes them after the test.

    `redshift_connect()` is the usual user; `redshift_connect(user="reader", password="…")` is one
    that `redshift.add_user` has made.
    """
    import redshift_connector  # noqa: PLC0415  # slow to import, and not every run needs it

    opened: list[Any] = []

    def connect(**changes: Any) -> Any:
        connection = redshift_connector.connect(**redshift.connection(**changes))
        opened.append(connection)
        return connection

    yield connect
    for connection in opened:
        if connection._sock is not None:  # a test may have closed it
            connection.close()


@pytest.fixture
def redshift_faults(redshift: RedshiftStandIn) -> Faults:
    """What is to go wrong in this test: lost connections, errors, delays, cut COPYs, errors of S3.

    `redshift_faults.add("commit", "after", Drop())` loses the answer of the next COMMIT;
    `redshift_faults.s3_errors(503, "SlowDown", times=3)` refuses three requests to S3.
    """
    return redshift.faults
