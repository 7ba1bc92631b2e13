"""`loader docs --live`: what a target knows of each table, in words, numbers and pictures."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner

from loader.cli import main
from loader.docs.charts import Bar, bar_chart, share_bar
from loader.docs.write import write_site
from loader.errors import LoaderError
from loader.executor.table_facts import PARTITIONS, read_table_facts
from loader.project import Project
from loader.spec.partition_keys import locate
from tests.conftest import MakeProject
from tests.docs.test_docs import BROWSER, HOSTILE, Page, browse, pages

DAYS: dict[str, Any] = {"partition_by": [{"expr": "day", "grain": "day"}]}
COLUMNS = [
    {"name": "day", "data_type": "date", "nullable": False},
    {"name": "n", "data_type": "integer"},
    {"name": "name", "data_type": "varchar(200)"},
    {"name": "mail", "data_type": "varchar(80)", "classification": "pii"},
    {"name": "ok", "data_type": "boolean"},
    {"name": "amount", "data_type": "decimal(9,2)"},
]
CHECKS = [
    {"metric": "row_count", "must_be_greater_than": 100},
    {"metric": "null_values", "column": "day", "must_be": 0},
]


def table(name: str = "t", **fields: Any) -> dict[str, Any]:
    return {"schema": "s", "name": name, "columns": COLUMNS, **fields}


def rows(days: dict[str, int]) -> pa.Table:
    """So many rows of each day."""
    listed = [
        {
            "day": date.fromisoformat(day),
            "n": None if at == 0 else at,
            "name": HOSTILE,
            "mail": f"{at}@example.org",
            "ok": at % 2 == 0,
            "amount": None,
        }
        for day, number in days.items()
        for at in range(number)
    ]
    types = {"day": pa.date32(), "n": pa.int32(), "ok": pa.bool_(), "amount": pa.decimal128(9, 2)}
    return pa.Table.from_pylist(
        listed,
        pa.schema([(name, types.get(name, pa.string())) for name in listed[0]]),
    )


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "site"


def test_the_page_shows_what_the_target_knows(
    make_project: MakeProject, each_target: dict[str, Any], out: Path
) -> None:
    """Rows of each partition with its gaps, loads, checks that fail, and values without secrets."""
    project = make_project({"t.yml": table(**DAYS), "u.yml": table("u")}, **each_target)
    spec = project.spec("s/t")
    days = {"2026-01-01": 3, "2026-01-02": 5, "2026-01-05": 2}
    # Redshift tells the time of a load in seconds, and then the ids decide.
    project.load(spec, rows(days), "auto", load_id="b")
    project.load(spec, rows({"2026-01-02": 4}), "2026-01-02", load_id="a")
    failing = make_project({"t.yml": table(**DAYS, checks=CHECKS)}, **each_target)
    write_site(failing, out, live=True)
    text = pages(out)["tables/s-t.html"].text
    assert "Rows in each day" in text
    assert "5 days, 2026-01-01 to 2026-01-05" in text
    assert "Fewest rows: 2 for 2026-01-05; most: 4 for 2026-01-02" in text
    assert "Without rows: 2026-01-03, 2026-01-04." in text
    assert "9 rows" in text
    assert "1 of 2 checks does not hold" in text
    assert re.search(r"Rows: more than 100\. ?9 ?does not hold", text)
    assert text.index("day=2026-01-02") < text.index("day=2026-01-01, ")
    page = (out / "tables/s-t.html").read_text()
    assert "<title>2026-01-05: 2 rows</title>" in page
    assert page.count('<rect class="bar"') == 3
    assert page.count('<rect class="none"') == 2
    values = text[text.index("Values of the last load") :]
    assert re.search(r"n ?1 \(25\.0%\) ?1 ?3", values)
    assert re.search(r"ok ?0 ?2 true", values)
    assert re.search(r"amount ?4 \(100\.0%\)", values)
    assert "@example.org" not in page
    assert "<script>alert" not in page
    index = pages(out)["index.html"].text
    assert "Their data is that of local" in index
    assert "checks fail" in index
    gone = pages(out)["tables/s-u.html"].text
    assert "The live table could not be read: there is no table s.u" in gone
    assert "none in the ledger" in gone


def test_without_a_target_nothing_changes(make_project: MakeProject, tmp_path: Path) -> None:
    """The site of specs alone is the same, whatever was loaded, and asks no warehouse."""
    project = make_project({"t.yml": table()})
    write_site(project, tmp_path / "before")
    project.load(project.spec("s/t"), rows({"2026-01-01": 3}))
    write_site(project, tmp_path / "after")
    before, after = (
        {
            path.relative_to(tmp_path / name).as_posix(): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.is_file()
        }
        for name in ("before", "after")
    )
    assert before == after
    assert b"Last load" not in before["index.html"]
    assert b'id="data"' not in before["tables/s-t.html"]


def test_tables_without_periods_show_their_loads(make_project: MakeProject, out: Path) -> None:
    """Where no partition is a time, the picture is of the loads; of two there is none."""
    by_name: dict[str, Any] = {"partition_by": [{"expr": "name"}]}
    project = make_project({"t.yml": table(write_disposition="append", **by_name)})
    spec = project.spec("s/t")
    for number in (1, 2):
        project.load(spec, rows({"2026-01-01": number}), "auto")
    write_site(project, out, live=True)
    assert '<svg class="chart"' not in (out / "tables/s-t.html").read_text()
    project.load(spec, rows({"2026-01-01": 7}), "auto")
    write_site(project, out, live=True)
    text = pages(out)["tables/s-t.html"].text
    assert "Rows of each load" in text
    assert "The latest 3 loads. Fewest rows: 1 on" in text


def test_the_command_takes_a_target(
    make_project: MakeProject, out: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`--live --target T` reads T; one that cannot be reached is an error, and writes nothing."""
    project = make_project({"t.yml": table()})
    path = project.config.root / "loader.toml"
    lost = "[targets.lost]\ntype = 'redshift'\nhost = '127.0.0.1'\nport = 1\ndatabase = 'd'\n"
    lost += "user = 'u'\npassword = 'hunter22'\nssl = false\niam_role = 'default'\n"
    path.write_text(f"{path.read_text()}\n{lost}staging = 's3://bucket/x'\n")
    monkeypatch.chdir(project.config.root)
    monkeypatch.setattr("loader.warehouse.retry.ATTEMPTS", 1)
    done = CliRunner().invoke(main, ["docs", "-o", str(out), "--live"], prog_name="loader")
    assert done.exit_code == 0, done.stderr
    assert "could not be read" in pages(out)["tables/s-t.html"].text
    other = tmp_path / "other"
    done = CliRunner().invoke(
        main, ["docs", "-o", str(other), "--live", "--target", "lost"], prog_name="loader"
    )
    assert done.exit_code == 1
    assert "127.0.0.1" in done.stderr
    assert "hunter22" not in done.stderr
    assert not other.exists()


# The rows of each partition

ZONES: list[tuple[str, str, str, str | None]] = [
    ("timestamp", "hour", "UTC", None),
    ("timestamp", "day", "America/New_York", None),
    ("timestamp", "day", "Asia/Kolkata", "Europe/Berlin"),
    ("timestamptz", "day", "Asia/Kolkata", None),
    ("timestamptz", "hour", "America/New_York", None),
    ("timestamptz", "week", "Europe/Berlin", None),
    ("timestamptz", "month", "UTC", None),
    ("timestamp", "minute", "UTC", None),
    ("date", "quarter", "UTC", None),
]


@pytest.mark.parametrize(("kind", "grain", "zone", "column_zone"), ZONES)
def test_rows_are_counted_by_the_periods_of_the_spec(
    kind: str,
    grain: str,
    zone: str,
    column_zone: str | None,
    make_project: MakeProject,
    each_target: dict[str, Any],
) -> None:
    """In any grain and time zone, a row counts for the partition that a load would put it into."""
    entry: dict[str, Any] = {"expr": "at", "grain": grain}
    if kind != "date":
        entry["timezone"] = zone
    if column_zone:
        entry["column_timezone"] = column_zone
    columns = [{"name": "at", "data_type": kind}]
    spec_data = {"schema": "s", "name": "t", "columns": columns, "partition_by": [entry]}
    project = make_project({"t.yml": spec_data}, **each_target)
    spec = project.spec("s/t")
    start = datetime(2026, 10, 24, 17, 20, tzinfo=UTC)
    moments: list[Any] = [start + timedelta(minutes=17 * at) for at in range(400)]
    arrow: Any = pa.timestamp("us", "UTC")
    if kind == "timestamp":
        moments, arrow = [moment.replace(tzinfo=None) for moment in moments], pa.timestamp("us")
    elif kind == "date":
        moments, arrow = [moment.date() for moment in moments], pa.date32()
    project.load(spec, pa.table({"at": pa.array(moments, arrow)}), full_refresh=True)
    found = read_table_facts(spec, project.context()).partitions
    assert found is not None
    expected = Counter(locate(spec.dimensions[0], moment) for moment in moments)
    counted = {key: number for key, number in found.rows.items() if number}
    assert counted == {key: expected[key] for key in counted}
    assert len(found.rows) <= PARTITIONS
    assert sum(counted.values()) == len(moments) or len(found.rows) == PARTITIONS


def test_partitions_that_lie_far_apart_are_no_gaps(make_project: MakeProject) -> None:
    """One row in the year 9999 does not hide all others behind three million empty days."""
    project = make_project({"t.yml": table(**DAYS)})
    spec = project.spec("s/t")
    project.load(spec, rows({"2026-01-01": 1, "2026-01-02": 2, "9999-12-30": 1}), "auto")
    facts = read_table_facts(spec, project.context())
    assert facts.partitions is not None
    assert facts.partitions.rows == {"2026-01-01": 1, "2026-01-02": 2, "9999-12-30": 1}


# Pictures


def drawn(values: list[int], tmp_path: Path) -> tuple[str, Page]:
    bars = [Bar(f"<{at}>", value, f"<{at}>: {value}") for at, value in enumerate(values)]
    chart = str(bar_chart("x", "Rows & more", "What <is> seen", bars))
    path = tmp_path / "chart.html"
    path.write_text(chart)
    return chart, Page(path)


@pytest.mark.parametrize(
    "values", [[0], [1], [7, 0, 3], [999, 1000, 1001], [10**12, 1], list(range(200))]
)
def test_a_chart_has_a_bar_for_each_number(values: list[int], tmp_path: Path) -> None:
    """Bars are inside of the picture and in proportion, each says its number; all is escaped."""
    chart, page = drawn(values, tmp_path)
    boxes = [given for tag, given in page.attributes if tag == "rect"]
    assert len(boxes) == len(values)
    tallest = max(float(box["height"]) for box in boxes)
    for box, value in zip(boxes, values, strict=True):
        assert 0 <= float(box["x"]) <= float(box["x"]) + float(box["width"]) <= 880
        assert 0 < float(box["height"]) <= 200 - 24 - 12 + 0.1
        assert box["class"] == ("bar" if value else "none")
        if value > max(values) / 50 and value:
            share = float(box["height"]) / tallest
            assert 0 in values or share == pytest.approx(value / max(values), abs=0.01)
    assert page.open == []
    assert "<0>" in page.text
    assert 'role="img"' in chart
    assert "What &lt;is&gt; seen" in chart
    named = dict(page.attributes)["svg"]["aria-labelledby"].split()
    assert set(named) <= set(page.anchors)


def test_a_share_is_a_bar_of_its_length() -> None:
    """From nothing to all."""
    assert 'class="part" width="0.0"' in share_bar(0)
    assert 'class="part" width="30.0"' in share_bar(0.5)
    assert 'class="part" width="60.0"' in share_bar(1)


@BROWSER
def test_the_page_opens_in_a_browser(make_project: MakeProject, out: Path, tmp_path: Path) -> None:
    """Nothing complains, and the picture is there."""
    project = make_project({"t.yml": table(**DAYS)})
    days = {f"2026-01-{day:02}": day for day in range(1, 20)}
    project.load(project.spec("s/t"), rows(days), "auto")
    write_site(project, out, live=True)
    dom = browse(f"file://{out}/tables/s-t.html", tmp_path)
    assert dom.count('<rect class="bar"') == 19
    browse(f"file://{out}/index.html", tmp_path)


def test_projects_need_a_target_that_is_there(tmp_path: Path) -> None:
    """A target without a name is an error of the settings, as everywhere."""
    project = Project(root=tmp_path, targets={"local": {"type": "duckdb"}})
    with pytest.raises(LoaderError):
        write_site(project, tmp_path / "site", live=True, target="none")
