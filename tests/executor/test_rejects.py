"""Rows that are set aside: why and how many, in the result, the ledger and the file itself."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from loader.data.cast.report import ErrorReport, summarize
from loader.errors import FrameError
from loader.project import Project
from tests.conftest import MakeProject

SPEC: dict[str, Any] = {
    "schema": "s",
    "name": "t",
    "columns": [
        {"name": "id", "data_type": "integer", "nullable": False},
        {"name": "amount", "data_type": "decimal(6,2)"},
        {"name": "mail", "data_type": "varchar(5)", "classification": "pii"},
    ],
    "schema_contract": {"bad_rows": "reject", "max_rejects": 5},
    "write_disposition": "append",
}
ROWS = pa.table(
    {
        "id": ["1", None, "3", "x", "5"],
        "amount": ["1.00", "1.234", "2.3456", "7", "8"],
        "mail": ["a", "b", "it's too long", "d", "secret; id: 7"],
    }
)
REASONS = [
    {"column": "amount", "reason": "has too many decimals, decimal(6,2) holds 2", "rows": 2},
    {"column": "mail", "reason": "has too many bytes, varchar(5) holds 5", "rows": 2},
    {"column": "id", "reason": "NULL, but it is NOT NULL", "rows": 1},
    {"column": "id", "reason": "is not an integer", "rows": 1},
]


@pytest.fixture
def project(make_project: MakeProject, each_target: dict[str, Any]) -> Project:
    """A project on a target of each kind."""
    return make_project({"t.yml": SPEC}, **each_target)


def test_reasons_are_counted_wherever_a_load_is_told_of(project: Project) -> None:
    """The result, the ledger and the file have the same reasons, and none has a value in it."""
    spec = project.spec("s.t")
    result = project.load(spec, ROWS, load_id="one")
    assert (result.rows_rejected, list(result.reject_reasons)) == (4, REASONS)
    (entry,) = project.history("s.t")
    assert entry.rows_rejected == 4
    assert entry.rejects == {"file": result.rejects, "reasons": REASONS}
    found = project.rejects(spec, limit=2)
    assert found is not None
    assert (found.location, found.load_id, found.total) == (result.rejects, "one", 4)
    assert list(found.reasons) == REASONS
    assert [row["_row"] for row in found.rows] == [2, 3]
    assert found.rows[0]["_reason"] == (
        "id: NULL, but it is NOT NULL; amount: '1.234' has 3 decimals, decimal(6,2) holds 2"
    )
    assert str(found.rows[1]["_reason"]).endswith("decimal(6,2) holds 2; mail: (classified)")
    project.load(spec, ROWS.slice(0, 1), load_id="two")
    assert project.history("s.t")[0].rows_rejected == 0


def test_the_last_rows_are_shown_also_of_a_load_that_failed(project: Project) -> None:
    """A load with too many bad rows keeps them too; an older load is found by its id."""
    spec = project.spec("s.t")
    assert project.rejects(spec) is None
    project.load(spec, ROWS.slice(0, 2), load_id="one")
    with pytest.raises(FrameError, match="max_rejects allows 5"):
        project.load(spec, pa.concat_tables([ROWS] * 2), load_id="two")
    last, first = project.rejects(spec), project.rejects(spec, load_id="one", limit=0)
    assert last is not None
    assert first is not None
    assert (last.load_id, last.total, len(last.rows)) == ("two", 8, 8)
    assert (first.load_id, first.total, first.rows) == ("one", 1, ())
    assert not any("secret" in str(value) for row in last.rows for value in row.values())
    assert project.rejects(spec, load_id="three") is None


def test_reasons_stay_few() -> None:
    """Values in a reason are left out of it, and from the hundred-and-first reason on it is one."""
    assert summarize("has the key 'it\\'s' twice, \"x\" too") == "has the key … twice, … too"
    assert summarize("has 1 digit before the point, decimal(3) holds 0") == (
        "has too many digits before the point, decimal(3) holds 0"
    )
    report = ErrorReport()
    for number in range(250):
        report.add_reasons({("a", f"reason {number}"): 2})
    report.add_reasons({("a", "reason 7"): 1})
    assert len(report.reasons) == 101
    assert report.reasons["a", "reason 7"] == 3
    assert report.reasons["", "other reasons"] == 300
