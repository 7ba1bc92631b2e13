"""Tests against a Redshift that runs on this machine, and a pytest plugin for them."""

from __future__ import annotations

from loader.testing.redshift.server import RedshiftStandIn

__all__ = ["RedshiftStandIn"]
