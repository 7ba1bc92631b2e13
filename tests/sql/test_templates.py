"""The shipped templates: each is used, and what it renders is SQL to an independent parser."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlglot
from sqlglot import exp

from loader.errors import TemplateError
from loader.plan.backups import PREFIX
from loader.plan.check_plan import plan_sample
from loader.plan.files_in_place import FilesInPlace
from loader.plan.load_plan import plan_ledger_upgrade, plan_load
from loader.plan.model import LoadRequest, Plan, Statement, Target
from loader.plan.read_plan import plan_partition_rows, plan_read
from loader.plan.source_files import FILE_COLUMNS
from loader.plan.table_changes import set_moment
from loader.plan.text_files import TextFiles
from loader.spec.checks import OPERATORS
from loader.sql.dialects.redshift import through_share
from loader.sql.renderer import Renderer, Sql, Table
from loader.sql.templates import read_templates
from loader.warehouse.registry import BUILT_IN
from tests.plan.test_drift import CHANGES, change
from tests.plan.test_plan import (
    ALL_COLUMNS,
    CASES,
    STAGED,
    TARGETS,
    hostile,
    live,
    make_plan,
    make_spec,
    renderer,
)

JSON = TextFiles(
    "json", "gzip", ",", '"', False, (), ".", ALL_COLUMNS, {name: name for name in ALL_COLUMNS}
)

UNKNOWN = {
    # r_CREATE_TABLE_NEW: [COMPOUND | INTERLEAVED] SORTKEY (…); sqlglot knows the first only
    "INTERLEAVED SORTKEY": "COMPOUND SORTKEY",
    # r_CREATE_TABLE_NEW: SORTKEY AUTO; sqlglot wants columns
    "SORTKEY AUTO": 'SORTKEY ("auto")',
}
"""What sqlglot does not know of Redshift → what it knows in its place."""

STATEMENTS_UNKNOWN = ("REFRESH MATERIALIZED VIEW", "LOCK", "UNLOAD")
"""Statements of Redshift that sqlglot keeps as text (r_LOCK, r_UNLOAD)."""

TEMPLATES_UNKNOWN = {
    "set_owner.sql.j2",
    "alter_dist.sql.j2",
    "alter_sort.sql.j2",
    "alter_encodings.sql.j2",
}
"""Forms of ALTER TABLE that it keeps as text (r_ALTER_TABLE)."""

PARTS = {
    "age",
    "boxes",
    "bucket",
    "check_join",
    "check_rows",
    "check_slice",
    "columns",
    "convert",
    "dimension",
    "files_earlier",
    "grantee",
    "guard_holds",
    "iam_role",
    "key_list",
    "matches",
    "now",
    "period",
    "same_text",
    "shared_default",
    "shared_type",
    "slice",
    "where",
} | {
    *("merge_equal", "merge_matched", "merge_older", "merge_same", "merge_value", "only_files"),
    *("bad_json", "bad_line_csv", "bad_line_json", "bad_value", "cast_field", "csv_fields"),
    *("csv_value", "line_too_long", "full_match", "number_field", "row_lines", "rows_loaded"),
    *("load_time", "merge_deleted", "next_time", "scd2_first", "scd2_matched"),
    *("checksum", "content", "double", "extreme", "figure", "is_nan", "octets", "scaled", "units"),
}
"""Templates that only others include."""


def plans(dialect: str) -> Iterator[Plan]:
    for fields, given in CASES.values():
        spec, request = make_spec(**fields), dict(given)
        if "live" in request:
            request["live"] = live(spec, dialect, *request["live"])
        yield make_plan(spec, dialect, **request)
    yield make_plan(make_spec(staging={"format": "parquet"}), dialect)
    if dialect == "duckdb":
        yield make_plan(make_spec(), dialect, in_place=FilesInPlace(("/x.json",), text=JSON))
    yield make_plan(hostile(), dialect, partition=["d; --=2013-01-01", "l\nb=it's\n\n\\"])


def all_statements(plan: Plan) -> Iterator[Statement]:
    """The statements of a plan, and those that would show rows that are not as expected."""
    for statement in (*plan.session, *plan.setup, *plan.statements, *plan.after):
        yield statement
        if statement.sample is not None:
            yield from statement.sample.statements


def rendered(dialect: str) -> Iterator[tuple[str, str]]:
    """Every statement that Loader runs on a dialect, with the name of its template."""
    for plan in plans(dialect):
        for statement in all_statements(plan):
            yield statement.template, statement.sql
        for where in (None, "1 = 1"):
            read = plan_read(plan.spec, renderer(dialect), plan.slice, where=where)
            yield read.template, read.sql
        for dimension in plan.spec.dimensions:
            counts = plan_partition_rows(plan.spec, renderer(dialect), dimension)
            yield counts.template, counts.sql
        for check in plan.spec.checks:
            sample = plan_sample(plan.spec, renderer(dialect), plan.slice, check, 5)
            if check.metric != "row_count":
                yield sample.template, sample.sql
    place = Target("local", dialect, "staging", "loader")
    for statement in plan_ledger_upgrade(hostile(), renderer(dialect), place, ()):
        yield statement.template, statement.sql
    facts = {"table": Table("s", "it's"), "ledger": Table("loader", "loads"), "limit": 7}
    for name in ("describe", "find_schema", "ledger_history"):
        if renderer(dialect).has(name):
            some = (Table("s", "it's"), Table("s", "b"))
            for tables, rejected in (((), False), (some, False), ((), True), (some, True)):
                kept = {"tables": tables, "added": ("a", "b"), "present": ("b",)}
                found = renderer(dialect).render(name, {**facts, **kept, "rejected": rejected})
                yield found.path, found.sql
    ledger = {"table": Table("s", "it's"), "file_ledger": Table("loader", "files")}
    for name, more in (("files_known", {}), ("files_history", {"load_ids": ("it's", "b")})):
        found = renderer(dialect).render(name, {**ledger, **more})
        yield found.path, found.sql
    yield from rendered_for_changes(dialect)
    session = renderer(dialect).render("session", {})
    yield session.path, session.sql
    if dialect == "redshift":
        yield from rendered_for_redshift()


def rendered_for_changes(dialect: str) -> Iterator[tuple[str, str]]:
    """What looks at live tables, and what fixes them."""
    names = {"schemas": ["s", "it's"], "names": ["t", 'a"b'], "prefix": PREFIX}
    asked: dict[str, Any] = {"queries": [Sql("SELECT count(*) FROM t"), Sql("SELECT 1")]}
    for file in read_templates():
        name = Path(file).name.removesuffix(".sql.j2")
        if name.startswith("live_") and renderer(dialect).has(name):
            found = renderer(dialect).render(name, names)
            yield found.path, found.sql
    counted: dict[str, dict[str, Any]] = {
        "probes": asked,
        "drop_schema": {"schema": "it's"},
        "count_nulls": {"table": Table("s", "it's"), "column": "a b"},
        "drop_constraint": {"table": Table("s", "it's"), "constraint": 'a"b'},
        "guard_keep": {"query": Sql("SELECT 1"), "kept": Table(None, 'a"b')},
        "guard_rows": {"query": Sql("SELECT 'it''s'")},
        "guard_sum": {"query": Sql("SELECT 1 AS a, 2 AS b"), "columns": ["a", "b"]},
    }
    for operator in OPERATORS:
        guard: dict[str, Any] = {"query": Sql("SELECT 1"), "operator": operator, "message": "it's"}
        guard["bound"] = [Decimal("1.5"), Decimal(7)][: 1 + ("between" in operator)]
        guard["plus"] = [(Table(None, 'a"b'), "n")] if operator == "must_be" else []
        found = renderer(dialect).render("guard", guard)
        yield found.path, found.sql
    for name, facts in counted.items():
        if not renderer(dialect).has(name):
            continue
        found = renderer(dialect).render(name, facts)
        yield found.path, found.sql
    owned: dict[str, Any] = {"owner": "bob"} if dialect == "redshift" else {}
    changes = [change(name, dialect, **owned) for name in CHANGES]
    rebuilt = change("types", dialect, **owned)
    changes.append(set_moment(rebuilt, renderer(dialect), "20260101t000000000000z", drop_old=True))
    if dialect == "redshift":
        # A view in the way of a rebuild: the column is swapped.
        granted = frozenset({("select", "note", "user:ann")})
        bound = {"dependants": ("the view s.v",), "column_grants": granted}
        changes.append(change("widen_with_default", dialect, **bound))
    for planned in changes:
        for statement in (*planned.outside, *planned.statements, *planned.after):
            yield statement.template, statement.sql


def rendered_for_shares() -> Iterator[tuple[str, str]]:
    """What loads of a datashare run, and what looks at its tables."""
    share = Renderer(read_templates(), through_share("it's"))
    request = LoadRequest(load_id="load-1", run="run-1", staged=STAGED, version="1.0")
    for case in ("append", "merge", "merge_statement"):
        plan = plan_load(make_spec(**CASES[case][0]), share, TARGETS["redshift"], request)
        for statement in (*plan.setup, *plan.before, *plan.statements):
            yield statement.template, statement.sql
    names = {"schemas": ["s", "it's"], "names": ["t", 'a"b'], "table": Table("s", "it's")}
    for name in ("describe", "find_schema", "live_columns"):
        found = share.render(name, names)
        yield found.path, found.sql


def rendered_for_redshift() -> Iterator[tuple[str, str]]:
    """What runs around a load, and reads with UNLOAD."""
    spec = make_spec(**CASES["rich_table"][0])
    select = {"table": Table("s", "it's"), "columns": spec.columns, "slice": None, "limit": 5}
    access = {"iam_role": "default", "encryption": "aws:kms", "kms_key_id": "k'"}
    unload = {"query": Sql("SELECT 'it''s'"), "url": "s3://b/'/", "load": access}
    errors = {"prefix": "s3://b/'", "limit": 5}
    ledgers = {"file_ledger": Table("loader", "files_it's"), "earlier": Table("loader", "files_b")}
    several: dict[str, Any] = {
        "select_unload": select,
        "unload": unload,
        "lock_wait": {"milliseconds": 60_000},
        "load_errors": errors,
        "load_errors_stl": errors,
        "files_fill": {**ledgers, "file_columns": FILE_COLUMNS},
        "isolation": {"database": "d"},
        "isolation_config": {"database": "d"},
    }
    yield from rendered_for_shares()
    for name, facts in several.items():
        found = renderer("redshift").render(name, facts)
        yield found.path, found.sql


@pytest.mark.parametrize("dialect", BUILT_IN)
def test_an_independent_parser_reads_every_statement(
    dialect: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Each statement is one statement of its dialect to sqlglot, hostile names included."""
    caplog.set_level(logging.CRITICAL)  # it warns about what it keeps as text
    for path, sql in rendered(dialect):
        known = sql
        for words, instead in UNKNOWN.items():
            known = known.replace(words, instead)
        parsed = sqlglot.parse(known, dialect=dialect)
        assert len(parsed) == 1, (path, sql)
        if not (sql.startswith(STATEMENTS_UNKNOWN) or Path(path).name in TEMPLATES_UNKNOWN):
            assert not isinstance(parsed[0], exp.Command), (path, sql)


@pytest.mark.parametrize("dialect", BUILT_IN)
def test_hostile_names_stay_names(dialect: str) -> None:
    """To the parser, the hostile table's statements are about that table and no other."""
    spec = hostile()
    plan = make_plan(spec, dialect, full_refresh=True)
    for statement in plan.statements:
        looks = statement.role in ("delete", "count", "verify", "check")
        if looks and statement.name != "count copied rows":  # a function of the session
            (parsed,) = sqlglot.parse(statement.sql, dialect=dialect)
            assert parsed is not None
            tables = {(table.db, table.name) for table in parsed.find_all(exp.Table)}
            assert tables == {(spec.schema_name, spec.name)}
            names = {column.name for column in parsed.find_all(exp.Column)}
            assert names <= {*spec.by_name, "found"}


@pytest.mark.parametrize("dialect", BUILT_IN)
def test_every_template_is_used(dialect: str) -> None:
    """No template is shipped that the cases above do not render."""
    used = {Path(path).name for path, _ in rendered(dialect)}
    shipped = {
        Path(name).name for name in read_templates() if name.split("/")[0] in (dialect, "ansi")
    }
    assert shipped - used == {f"{name}.sql.j2" for name in PARTS} & shipped


def test_templates_are_laid_over_by_name(tmp_path: Path) -> None:
    """A project's template takes the place of ours by its path, and tells its own folder."""
    folder = tmp_path / "templates"
    (folder / "duckdb").mkdir(parents=True)
    (folder / "duckdb" / "copy_csv.sql.j2").write_text("SELECT 1")
    (folder / "mine.sql.j2").write_text("SELECT 2")
    (folder / "README.md").write_text("no template")
    found, own = read_templates(folder), read_templates()
    assert found["duckdb/copy_csv.sql.j2"].source == "SELECT 1"
    assert found["duckdb/copy_csv.sql.j2"].path == "templates/duckdb/copy_csv.sql.j2"
    assert set(found) - set(own) == {"mine.sql.j2"}
    assert {name: found[name] for name in own if name != "duckdb/copy_csv.sql.j2"} == {
        name: own[name] for name in own if name != "duckdb/copy_csv.sql.j2"
    }
    assert read_templates(tmp_path / "nowhere") == own


def test_a_template_that_is_no_text_is_told(tmp_path: Path) -> None:
    """A template file that cannot be read is an error that names it."""
    (tmp_path / "x.sql.j2").write_bytes(b"\xff\xfe")
    with pytest.raises(TemplateError, match=r"x\.sql\.j2: is not UTF-8 text"):
        read_templates(tmp_path)
