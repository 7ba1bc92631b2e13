"""Expressions that tell the time: one spec, the same moment on every target."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from loader.testing.redshift.server import RedshiftStandIn
from tests.conftest import MakeProject, redshift_target

WORDS = ("getdate()", "sysdate", "now()", "current_timestamp", "localtimestamp")


@pytest.mark.parametrize("target", ["duckdb", "redshift"])
@pytest.mark.parametrize("kind", ["timestamp", "timestamptz"])
def test_every_word_for_now_is_now(
    make_project: MakeProject, stand_in: RedshiftStandIn, target: str, kind: str
) -> None:
    """A DEFAULT or a partition by any word for the time of the load works, and nothing drifts."""
    defaults = [
        {"name": f"at{at}", "data_type": kind, "default": word} for at, word in enumerate(WORDS)
    ]
    columns = [{"name": "day", "data_type": "timestamptz"}, *defaults]
    before = {"name": "old", "expr": "day < now()", "data_type": "boolean"}
    spec = {"version": 1, "schema": "s", "name": "t", "columns": columns, "partition_by": [before]}
    options = redshift_target(stand_in) if target == "redshift" else {}
    project = make_project({"t.yml": spec}, **options)
    found = project.spec("s.t")
    started = datetime.now(UTC)
    project.load(found, pa.table({"day": ["2020-01-01T00:00Z"]}), partition="true")
    rows: Any = project.read(found, partition="true", as_="arrow")
    (row,) = rows.to_pylist()
    for at, word in enumerate(WORDS):
        told = row[f"at{at}"].replace(tzinfo=UTC)
        assert abs(told - started) < timedelta(seconds=60), word
    (change,) = project.changes([found])
    assert change.statements == ()
