"""Rows that are set aside: why and how many, in the result, the ledger and the file itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest

from loader.data.cast.report import ErrorReport, summarize
from loader.errors import FrameError
from loader.plan.model import StagedFacts, ledger_rejects
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
    """The result, the ledger and `rejects` have the same reasons, and none has a value in it."""
    spec = project.spec("s.t")
    result = project.load(spec, ROWS, load_id="one")
    assert (result.rows_rejected, list(result.reject_reasons)) == (4, REASONS)
    (entry,) = project.history("s.t")
    assert entry.rows_rejected == 4
    assert entry.rejects == {"file": result.rejects, "reasons": REASONS}
    (found,) = project.rejects("s.t", limit=2)
    assert (found.location, found.load_id, found.total) == (result.rejects, "one", 4)
    assert (found.committed, found.kept, list(found.reasons)) == (True, True, REASONS)
    assert [row["_row"] for row in found.rows] == [2, 3]
    assert found.rows[0]["_reason"] == (
        "id: NULL, but it is NOT NULL; amount: '1.234' has 3 decimals, decimal(6,2) holds 2"
    )
    assert str(found.rows[1]["_reason"]).endswith("decimal(6,2) holds 2; mail: (classified)")
    project.load(spec, ROWS.slice(0, 1), load_id="two")
    assert {one.load_id: one.rows_rejected for one in project.history()} == {"one": 4, "two": 0}
    assert [one.load_id for one in project.rejects()] == ["one"]


def test_the_last_rows_are_shown_also_of_a_load_that_failed(project: Project) -> None:
    """A load with too many bad rows keeps them too; an older load is found by its id."""
    spec = project.spec("s.t")
    assert project.rejects("s.t") == []
    project.load(spec, ROWS.slice(0, 2), load_id="one")
    with pytest.raises(FrameError, match="max_rejects allows 5"):
        project.load(spec, pa.concat_tables([ROWS] * 2), load_id="two")
    (last,), (first,) = project.rejects(), project.rejects(load_id="one", limit=0)
    assert (last.load_id, last.committed, last.total, len(last.rows)) == ("two", False, 8, 8)
    assert [one["rows"] for one in last.reasons] == [4, 4, 2, 2]
    assert (first.load_id, first.committed, first.total, first.rows) == ("one", True, 1, ())
    assert project.rejects(load_id="three") == []
    with pytest.raises(FrameError):
        project.load(spec, pa.concat_tables([ROWS] * 2), load_id="a/b: 4")
    assert [one.load_id for one in project.rejects(load_id="a/b: 4")] == ["a/b: 4"]


def test_the_ledger_tells_the_reasons_when_the_rows_are_gone(project: Project) -> None:
    """Rows that `clean` has removed are still counted, and said to be gone."""
    result = project.load(project.spec("s.t"), ROWS, load_id="one")
    project.clean(timedelta(0))
    (found,) = project.rejects()
    assert (found.total, list(found.reasons), found.location) == (4, REASONS, result.rejects)
    assert (found.kept, found.rows) == (False, ())


def test_values_of_classified_columns_are_not_shown(project: Project) -> None:
    """Neither the value nor the text of a reason that begins with it, whatever is in it."""
    project.load(project.spec("s.t"), ROWS, load_id="one")
    (found,) = project.rejects()
    shown = [str(value) for row in found.rows for value in row.values()]
    assert not any(word in text for text in shown for word in ("secret", "7'", "too long"))
    assert shown.count("(classified)") == 4


def test_a_ledger_of_an_earlier_version_gets_the_columns(project: Project) -> None:
    """A load adds them; until then there are no rejected rows, and history is as it was."""
    spec = project.spec("s.t")
    project.load(spec, ROWS.slice(0, 1), load_id="one")
    with project.context().warehouse.session() as session:
        for column in ("rejects", "rows_rejected"):
            session.execute(f'ALTER TABLE "loader"."loads" DROP COLUMN "{column}"')
    assert project.rejects("s.t") == []
    assert [entry.rows_rejected for entry in project.history()] == [None]
    project.load(spec, ROWS, load_id="two")
    assert {one.load_id: one.rows_rejected for one in project.history()} == {"one": None, "two": 4}
    assert [one.load_id for one in project.rejects()] == ["two"]


def test_without_a_ledger_the_files_tell(make_project: MakeProject) -> None:
    """Nobody knows then whether the load has committed."""
    project = make_project({"t.yml": SPEC}, ledger_schema="")
    project.load(project.spec("s.t"), ROWS, load_id="one")
    (found,) = project.rejects()
    assert (found.load_id, found.committed, found.total) == ("one", None, 4)
    assert list(found.reasons) == REASONS


def test_reasons_stay_few() -> None:
    """Values in a reason are left out of it, and from the hundred-and-first reason on it is one."""
    assert summarize("has the keys 'a\\'s' and \"it's\"") == "has the keys … and …"
    assert summarize('is text; set source: {decimal: ","}').endswith('{decimal: ","}')
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


def test_reasons_fit_into_the_ledger() -> None:
    """Of long reasons the ledger keeps as many as it has room for, the most frequent first."""
    told: list[Mapping[str, str | int]] = [
        {"column": "a", "reason": f"{at} {'ü' * 1_000}", "rows": 9} for at in range(99)
    ]
    file = "s3://b/rejects.parquet"
    staged = StagedFacts(0, 0, 0, rows_rejected=9, rejects=file, reasons=tuple(told))
    text = ledger_rejects(staged)
    assert text is not None
    assert 60_000 < len(text.encode()) <= 65_535
    kept = json.loads(text)
    assert (kept["file"], kept["reasons"]) == (file, told[: len(kept["reasons"])])
    assert ledger_rejects(StagedFacts(1, 1, 1)) is None
