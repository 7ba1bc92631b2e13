"""The stand-in's own tests use the fixtures of the plugin, by shorter names."""

from __future__ import annotations

import pytest

from loader.testing.plugin import Connect
from loader.testing.redshift.server import RedshiftStandIn

__all__ = ["Connect"]


@pytest.fixture
def warehouse(redshift: RedshiftStandIn) -> RedshiftStandIn:
    """The plugin's `redshift`: the stand-in, empty."""
    return redshift


@pytest.fixture
def connect(redshift_connect: Connect) -> Connect:
    """The plugin's `redshift_connect`."""
    return redshift_connect
