"""One stand-in serves every test here; each test finds it as good as new."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redshift_connector

from loader.testing.redshift.server import RedshiftStandIn

Connect = Callable[..., Any]


@pytest.fixture(scope="session")
def _stand_in() -> Iterator[RedshiftStandIn]:
    with RedshiftStandIn() as stand_in:
        yield stand_in


@pytest.fixture
def warehouse(_stand_in: RedshiftStandIn, monkeypatch: pytest.MonkeyPatch) -> RedshiftStandIn:
    """The stand-in, empty, and the environment that leads clients to its object store."""
    _stand_in.reset()
    for name, value in _stand_in.environment().items():
        monkeypatch.setenv(name, value)
    return _stand_in


@pytest.fixture
def connect(warehouse: RedshiftStandIn) -> Iterator[Connect]:
    """Opens connections of redshift_connector, and closes them after the test."""
    opened = []

    def open_one(**changes: Any) -> Any:
        connection = redshift_connector.connect(**warehouse.connection(**changes))
        opened.append(connection)
        return connection

    yield open_one
    for connection in opened:
        if connection._sock is not None:  # a test may have closed it
            connection.close()
