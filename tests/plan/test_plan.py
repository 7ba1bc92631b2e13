"""Plans: the exact statements of a load, one file per case and dialect.

``ACCEPT=1 uv run pytest tests/plan/test_plan.py`` rewrites the files; their diff is what to review.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from loader.errors import PlanError, TemplateError
from loader.plan.figures import Figure
from loader.plan.files_in_place import FilesInPlace
from loader.plan.live_table import LiveColumn, LiveTable
from loader.plan.load_plan import plan_load
from loader.plan.model import (
    PREVIEW_LOAD_ID,
    LoadRequest,
    Plan,
    StagedFacts,
    Target,
    ledger_slice,
    spec_hash,
    stage_prefix,
    table_ledger,
)
from loader.plan.read_plan import plan_read
from loader.plan.source_files import FilesOfLoad, SourceFile
from loader.plan.text_files import TextFiles
from loader.spec.diagnostics import diagnose
from loader.spec.model import TableSpec
from loader.spec.partitions import make_slice
from loader.sql.datatypes import parse
from loader.sql.dialects.redshift import MAX_NAME_BYTES
from loader.sql.lexer import bare_words, statements
from loader.sql.renderer import Renderer, Table, Template
from loader.sql.templates import read_templates
from loader.warehouse.registry import BUILT_IN, get_adapter
from tests.golden import expect

SNAPSHOTS = Path(__file__).parents[1] / "snapshots"
HOSTILE = Path(__file__).parents[1] / "cases" / "specs" / "good" / "hostile.yml"

TARGETS = {
    "duckdb": Target("local", "duckdb", ".loader/staging", "loader"),
    "redshift": Target(
        "prod",
        "redshift",
        "s3://bucket/loader",
        "loader",
        "arn:aws:iam::123456789012:role/loader",
    ),
}

FILES = (
    SourceFile("in/it's [1].csv", 12, 1_700_000_000_000_000_000, "sha256:ab\\c"),
    SourceFile("s3://bucket/in/b.csv", 0, None, "5d41402abc4b2a76b9719d911017c592"),
)
COLUMNS: list[dict[str, Any]] = [
    {"name": "id", "data_type": "bigint"},
    {"name": "day", "data_type": "date"},
    {"name": "at", "data_type": "timestamp"},
    {"name": "seen", "data_type": "timestamptz"},
    {"name": "carrier", "data_type": "varchar(2)"},
    {"name": "amount", "data_type": "decimal(12,2)"},
]
ALL_COLUMNS = tuple(column["name"] for column in COLUMNS)
CSV = TextFiles(
    "csv",
    "none",
    ",",
    '"',
    True,
    ("", "NA"),
    ".",
    ALL_COLUMNS,
    {name: name for name in ALL_COLUMNS},
)
TSV = replace(
    CSV,
    compression="gzip",
    delimiter="\t",
    quote="'",
    header=False,
    nulls=(),
    decimal=",",
    names=("more", *reversed(ALL_COLUMNS)),
)
OPERATION = [{"name": "op", "data_type": "varchar(1)"}]
STAGED = StagedFacts(rows=1_000, bytes=20_000, files=2)
DAY = [{"expr": "day", "grain": "day"}]
TWO = [{"name": "day", "expr": "day", "grain": "day"}, {"name": "carrier", "expr": "carrier"}]


def make_spec(**fields: Any) -> TableSpec:
    spec, problems = diagnose({"schema": "s", "name": "t", "columns": COLUMNS, **fields})
    assert problems == []
    assert spec is not None
    return spec


def renderer(dialect: str, own: Mapping[str, str] | None = None) -> Renderer:
    templates = read_templates()
    for name, text in (own or {}).items():
        templates[name] = Template(f"mine/{name}", text)
    return Renderer(templates, get_adapter(dialect).dialect)


def make_plan(spec: TableSpec, dialect: str = "duckdb", **request: Any) -> Plan:
    partition = request.pop("partition", None)
    if partition is not None:
        request["slice"] = make_slice(spec.dimensions, partition)
    request = {"load_id": "load-1", "run": "run-1", "staged": STAGED, "version": "1.0", **request}
    return plan_load(spec, renderer(dialect), TARGETS[dialect], LoadRequest(**request))


def live(spec: TableSpec, dialect: str, *missing: str) -> LiveTable:
    """The table as the spec declares it, without some columns."""
    spell = get_adapter(dialect).dialect.column_type
    return LiveTable(
        tuple(
            LiveColumn(column.name, spell(column.data_type), column.nullable)
            for column in spec.columns
            if column.name not in missing
        )
    )


RICH: dict[str, Any] = {
    "description": "One row per order; it's \\ small.",
    "columns": [
        {"name": "id", "data_type": "bigint", "identity": [1, 1]},
        {"name": "day", "data_type": "date", "nullable": False, "encode": "az64"},
        {"name": "carrier", "data_type": "varchar(2)", "default": "'AA'", "encode": "zstd"},
        {"name": "at", "data_type": "timestamp", "default": "getdate()", "description": "When."},
        {"name": "doc", "data_type": "super"},
        {"name": "raw", "data_type": "varbyte(16)"},
    ],
    "dist": "carrier",
    "sort": ["day", "carrier"],
    "sort_type": "interleaved",
}

CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "replace_whole": ({}, {}),
    "replace_whole_csv": ({"staging": {"format": "csv"}}, {}),
    "replace_in_place": (
        {"primary_key": ["id"]},
        {"in_place": FilesInPlace(("/lake/it's [1].parquet", "s3://b/x"), frozenset())},
    ),
    "append_day_in_place": (
        {"partition_by": DAY, "write_disposition": "append"},
        {
            "partition": "2013-01-01",
            "in_place": FilesInPlace(
                ("/lake/a.parquet",),
                frozenset({Figure("id", parse("bigint"), "minimum")}),
            ),
        },
    ),
    "replace_day_from_files_in_another_order": (
        {"partition_by": DAY, "primary_key": ["id"]},
        {
            "partition": "2013-01-01",
            "in_place": FilesInPlace(
                ("s3://b/x",), order=(*reversed(ALL_COLUMNS),), may_be_null=("id",)
            ),
        },
    ),
    "replace_csv_in_place": (
        {"partition_by": DAY},
        {"partition": "2013-01-01", "in_place": FilesInPlace(("s3://b/x.csv",), text=CSV)},
    ),
    "merge_gzipped_tsv_in_place": (
        {"write_disposition": "merge", "primary_key": ["id"]},
        {"in_place": FilesInPlace(("s3://b/x.tsv.gz",), text=TSV)},
    ),
    "append_new_files": (
        {"write_disposition": "append", "source": {"files": "in/*.csv", "load": "new"}},
        {"files": FilesOfLoad(FILES, once=True)},
    ),
    "replace_days_with_new_files": (
        {"partition_by": DAY, "source": {"files": "in/{day}/*.csv", "load": "new"}},
        {
            "partition": ["2013-01-01", "2013-01-02"],
            "files": FilesOfLoad(
                tuple(replace(file, partition="2013-01-01") for file in FILES),
                once=True,
                known=("load-0", "it's"),
                partitions=("2013-01-01", "2013-01-02"),
            ),
        },
    ),
    "replace_whole_from_files": (
        {"source": {"files": "in/*.csv"}},
        {"files": FilesOfLoad(FILES)},
    ),
    "preview_of_new_files": (
        {"write_disposition": "append", "source": {"files": "in/*.csv", "load": "new"}},
        {"load_id": PREVIEW_LOAD_ID, "run": "", "staged": None},
    ),
    "replace_whole_json": ({"staging": {"format": "json", "compression": "none"}}, {}),
    "replace_day": ({"partition_by": DAY}, {"partition": "2013-01-01"}),
    "replace_days_that_touch": ({"partition_by": DAY}, {"partition": "2013-01-30..2013-02-02"}),
    "replace_days_apart": ({"partition_by": DAY}, {"partition": ["2013-01-01", "2013-01-03"]}),
    "replace_month_in_a_zone": (
        {"partition_by": [{"expr": "seen", "grain": "month", "timezone": "America/New_York"}]},
        {"partition": "2013-03"},
    ),
    "replace_hour_of_naive_time": (
        {"partition_by": [{"expr": "at", "grain": "hour", "timezone": "Europe/Berlin"}]},
        {"partition": "2013-01-01-05:00"},
    ),
    "replace_values": (
        {"partition_by": [{"expr": "carrier"}]},
        {"partition": ["AA", "it's", "back\\slash", "two\n\nlines"]},
    ),
    "replace_expression": (
        {
            "partition_by": [
                {"expr": "date_trunc('day', \"at\")", "data_type": "timestamp", "grain": "day"}
            ]
        },
        {"partition": "2013-01-01"},
    ),
    "replace_grid": (
        {"partition_by": TWO},
        {"partition": {"day": ["2013-01-01", "2013-01-02"], "carrier": ["AA", "UA"]}},
    ),
    "replace_union": (
        {"partition_by": TWO},
        {
            "partition": [
                "day=2013-01-01|carrier=AA",
                "day=2013-01-02|carrier=UA",
                "day=2013-01-04|carrier=UA",
            ]
        },
    ),
    "placeholder": ({"partition_by": TWO}, {"load_id": PREVIEW_LOAD_ID, "staged": None}),
    "full_refresh": ({"partition_by": DAY}, {"full_refresh": True}),
    "empty_keep": (
        {"partition_by": DAY},
        {"partition": "2013-01-01", "staged": StagedFacts(0, 0, 0)},
    ),
    "empty_clear": (
        {"partition_by": DAY, "on_empty": "clear"},
        {"partition": "2013-01-01", "staged": StagedFacts(0, 0, 0)},
    ),
    "append": ({"write_disposition": "append"}, {}),
    "replace_day_keys_alike": (
        {"partition_by": DAY, "primary_key": ["id", "carrier"]},
        {"partition": "2013-01-01", "keys_alike": ("id 1, carrier 'AA' and 'aa'",)},
    ),
    "append_keys_alike": (
        {
            "write_disposition": "append",
            "primary_key": ["id", "carrier"],
            "verify": "counts",
            "partition_by": DAY,
        },
        {"keys_alike": ("id 1, carrier 'AA' and 'aa'",), "partition": "2013-01-01"},
    ),
    "append_counts": ({"write_disposition": "append", "verify": "counts"}, {}),
    "append_nothing": (
        {"write_disposition": "append", "on_empty": "clear"},
        {"staged": StagedFacts(0, 0, 0)},
    ),
    "merge_nothing": (
        {"write_disposition": "merge", "primary_key": ["id"], "on_empty": "clear"},
        {"staged": StagedFacts(0, 0, 0)},
    ),
    "append_day_json": (
        {"write_disposition": "append", "partition_by": DAY, "staging": {"format": "json"}},
        {"partition": "2013-01-01"},
    ),
    "merge": ({"write_disposition": "merge", "primary_key": ["id", "day"]}, {}),
    "merge_last": (
        {
            "write_disposition": "merge",
            "primary_key": ["id"],
            "merge": {"on_duplicate": "last", "order_by": ["at", "seen"]},
            "staging": {"format": "csv", "compression": "zstd"},
        },
        {},
    ),
    "merge_statement": (
        {"write_disposition": "merge", "primary_key": ["id"], "merge": {"strategy": "merge"}},
        {},
    ),
    "merge_deletes": (
        {
            "write_disposition": "merge",
            "primary_key": ["id"],
            "batch_columns": OPERATION,
            "merge": {"on_duplicate": "last", "order_by": ["at"], "deleted_when": "op = 'D'"},
        },
        {},
    ),
    "merge_soft_deletes": (
        {
            "write_disposition": "merge",
            "primary_key": ["id"],
            "batch_columns": OPERATION,
            "merge": {"order_by": ["at"], "deleted_when": "op = 'D'", "soft_delete": "seen"},
        },
        {},
    ),
    "scd2": ({"write_disposition": "scd2", "primary_key": ["id", "carrier"]}, {}),
    "scd2_effective_at": (
        {
            "write_disposition": "scd2",
            "primary_key": ["id"],
            "batch_columns": OPERATION,
            "scd2": {
                "effective_at": "at",
                "on_late": "fail",
                "ignore_changes": ["seen"],
                "deleted_when": "op = 'D'",
            },
        },
        {},
    ),
    "scd2_snapshot": (
        {
            "write_disposition": "scd2",
            "primary_key": ["id"],
            "columns": [*COLUMNS, {"name": "note", "data_type": "super", "default": "NULL"}],
            "scd2": {"effective_at": "day", "on_absent": "close", "valid_to": "until"},
        },
        {"present": frozenset(column["name"] for column in COLUMNS)},
    ),
    "scd2_full_refresh": (
        {"write_disposition": "scd2", "primary_key": ["id"]},
        {"full_refresh": True},
    ),
    "rich_table": (RICH, {}),
    "rich_table_csv": ({**RICH, "staging": {"format": "csv", "compression": "none"}}, {}),
    "data_without_defaults": (RICH, {"present": frozenset({"day", "doc", "raw"})}),
    "sort_auto": ({"dist": "all", "sort_type": "auto", "primary_key": ["id"]}, {}),
    "grants": (
        {"grants": {"select": ["role:bi", "group:g", "user:ann", "public"], "all": ["role:etl"]}},
        {},
    ),
    "session": (
        {
            "session": {"query_group": "etl {asset_key} {load_id}", "statement_timeout": "30m"},
            "hooks": [
                {"template": "analyze", "when": "before", "transaction": "outside"},
                {"template": "analyze", "when": "before"},
                {"template": "analyze"},
                {
                    "template": "refresh_view",
                    "transaction": "outside",
                    "values": {"view": "shop.daily"},
                },
            ],
        },
        {},
    ),
    "checks": (
        {
            "partition_by": DAY,
            "checks": [
                {"metric": "row_count", "must_be_greater_than": 0},
                {"metric": "null_values", "column": "carrier", "must_be": 0},
                {
                    "metric": "null_values",
                    "column": "id",
                    "unit": "percent",
                    "must_be_less_than": 0.5,
                },
                {
                    "metric": "missing_values",
                    "column": "carrier",
                    "missing_values": ["", "n/a"],
                    "must_be": 0,
                },
                {
                    "metric": "invalid_values",
                    "column": "carrier",
                    "valid_values": ["AA", "UA"],
                    "must_be": 0,
                    "severity": "warning",
                },
                {"metric": "duplicate_values", "columns": ["id", "day"], "must_be": 0},
                {
                    "metric": "duplicate_values",
                    "column": "id",
                    "unit": "percent",
                    "must_be_between": [0, 1],
                },
            ],
        },
        {"partition": "2013-01-01"},
    ),
    "check_kinds": (
        {
            "partition_by": DAY,
            "checks": [
                {
                    "metric": "invalid_values",
                    "column": "carrier",
                    "must_be": 0,
                    "pattern": r"^[^'\d]+\.\d{1,2}$",
                },
                {
                    "metric": "invalid_values",
                    "column": "at",
                    "minimum": "2013-01-01",
                    "maximum": "2013-12-31T23:59:59",
                    "must_be": 0,
                },
                {
                    "metric": "invalid_values",
                    "column": "carrier",
                    "references": {"schema": "s", "table": "t", "column": "carrier"},
                    "unit": "percent",
                    "must_be": 0,
                },
                {
                    "metric": "failed_rows",
                    "expression": "amount > 0 OR seen < now()",
                    "must_be": 0,
                },
                {
                    "metric": "failed_rows",
                    "query": "WITH a AS (SELECT * FROM {slice}) SELECT * FROM a",
                    "must_be": 0,
                },
                {
                    "metric": "sql",
                    "name": "known days",
                    "query": "SELECT count(*) FROM {table}",
                    "must_not_be": 0,
                },
                {"metric": "minimum", "column": "amount", "must_be_greater_than": 0},
                {"metric": "maximum", "column": "amount", "must_be_less_than": 10},
                *(
                    {
                        "metric": "freshness",
                        "column": column,
                        "unit": "days",
                        "must_be_less_than": 2,
                    }
                    for column in ("day", "at", "seen")
                ),
            ],
        },
        {"partition": "2013-01-01"},
    ),
    "guarded_slice": (
        {
            "partition_by": [
                {"name": "day", "expr": "day", "grain": "month"},
                {"name": "carrier", "expr": "carrier"},
                {"name": "hour", "expr": "seen", "grain": "hour", "timezone": "Europe/Berlin"},
                {
                    "name": "year",
                    "expr": "at",
                    "grain": "year",
                    "timezone": "Asia/Tokyo",
                    "column_timezone": "America/New_York",
                },
                {
                    "name": "text",
                    "expr": "'2013' || carrier",
                    "data_type": "varchar(8)",
                    "grain": "day",
                    "format": "%Y%m%d",
                },
            ],
            "guards": {"slice_shrinks_by": "20%"},
        },
        {
            "partition": {
                "day": "2013-01",
                "carrier": "AA",
                "hour": "2013-01-01-05:00",
                "year": "2013",
                "text": "2013-01-01",
            },
            "allow_shrink": True,
        },
    ),
    "guarded_full_refresh": (
        {"partition_by": DAY, "guards": {"slice_shrinks_by": 1000}},
        {"full_refresh": True},
    ),
    "guarded_table": ({"guards": {"slice_shrinks_by": "0.5%", "severity": "warning"}}, {}),
    "live_table": ({"partition_by": DAY}, {"partition": "2013-01-01", "live": ()}),
    "evolve": (
        {**RICH, "schema_contract": {"evolve": "additive"}},
        {"live": ("carrier", "at", "doc")},
    ),
}


@pytest.mark.parametrize("dialect", BUILT_IN)
@pytest.mark.parametrize("case", CASES)
def test_plans(case: str, dialect: str) -> None:
    """The whole script of a plan is the one that was reviewed."""
    fields, request = CASES[case]
    spec = make_spec(**fields)
    request = dict(request)
    if "live" in request:
        request["live"] = live(spec, dialect, *request["live"])
    expect(SNAPSHOTS / dialect / f"{case}.sql", make_plan(spec, dialect, **request).sql)


def hostile() -> TableSpec:
    spec, problems = diagnose(yaml.safe_load(HOSTILE.read_text()))
    assert problems == []
    assert spec is not None
    return spec


@pytest.mark.parametrize("dialect", BUILT_IN)
def test_hostile_names(dialect: str) -> None:
    """Quotes, semicolons, line breaks and template marks in names and texts are data."""
    plan = make_plan(hostile(), dialect, partition=["d; --=2013-01-01", "l\nb=it's\n\n\\"])
    expect(SNAPSHOTS / dialect / "hostile_names.sql", plan.sql)


def test_no_snapshot_is_left_over() -> None:
    """Every snapshot belongs to a case."""
    for dialect in BUILT_IN:
        found = {path.stem for path in (SNAPSHOTS / dialect).glob("*.sql")}
        assert found == {*CASES, "hostile_names"}


def test_a_plan_is_data() -> None:
    """The same inputs give the same plan, which becomes JSON and says what it is about."""
    spec = make_spec(partition_by=DAY)
    plan, again = (make_plan(spec, partition="2013-01-01") for _ in range(2))
    assert plan == again
    data = json.loads(json.dumps(plan.to_dict()))
    assert data["plan_version"] == 1
    assert (data["asset_key"], data["table"], data["slice"]) == ("s/t", "s.t", "day=2013-01-01")
    assert (data["placeholder"], data["rows"]) == (False, 1_000)
    assert [one["sql"] for one in data["statements"]] == [one.sql for one in plan.statements]


def test_statements_say_their_file() -> None:
    """Each statement names the template it came from: ours, the project's, or the table's."""
    spec = make_spec(templates={"copy_parquet": "mine.sql.j2"})
    own = {
        "duckdb/delete_all.sql.j2": "DELETE FROM {{ table|table }} WHERE true",
        "mine.sql.j2": "INSERT INTO {{ table|table }} SELECT 1",
    }
    request = LoadRequest(load_id="load-1", staged=STAGED)
    plan = plan_load(spec, renderer("duckdb", own), TARGETS["duckdb"], request)
    files = {statement.name: statement.template for statement in plan.statements}
    assert files["create the table"] == "loader/templates/duckdb/create_table.sql.j2"
    assert files["create the schema"] == "loader/templates/ansi/create_schema.sql.j2"
    assert files["delete all rows"] == "mine/duckdb/delete_all.sql.j2"
    assert files["copy"] == "mine/mine.sql.j2"


COMMITTING = {
    "duckdb": [
        *("TRUNCATE s.t", "BEGIN", "START TRANSACTION", "COMMIT", "END", "ROLLBACK", "ABORT"),
        *("CHECKPOINT", "FORCE CHECKPOINT", "VACUUM", "ATTACH 'x'", "DETACH x", "USE x"),
        *("EXPORT DATABASE 'x'", "IMPORT DATABASE 'x'", "CALL f()", "EXECUTE p"),
    ],
    "redshift": [
        *("TRUNCATE s.t", "TRUNCATE TABLE s.t", "BEGIN", "START TRANSACTION", "COMMIT", "END"),
        *("ROLLBACK", "ABORT", "VACUUM FULL s.t", "ALTER TABLE s.t APPEND FROM u"),
        *("ALTER TABLE s.t ALTER COLUMN a TYPE varchar(9)", "CREATE DATABASE d"),
        *("DROP DATABASE d", "ALTER DATABASE d ISOLATION LEVEL SNAPSHOT"),
        *("CREATE LIBRARY l LANGUAGE plpythonu", "DROP LIBRARY l", "CALL p()", "EXECUTE p"),
        *("CREATE EXTERNAL TABLE e.t (a int)", "DROP EXTERNAL TABLE e.t"),
        *("CREATE EXTERNAL SCHEMA e FROM DATA CATALOG",),
    ],
}


def guarded(dialect: str, sql: str) -> None:
    found = renderer(dialect, {"ansi/delete_all.sql.j2": sql})
    plan_load(make_spec(), found, TARGETS[dialect], LoadRequest(load_id="l", staged=STAGED))


@pytest.mark.parametrize(
    ("dialect", "sql"), [(name, sql) for name, listed in COMMITTING.items() for sql in listed]
)
def test_nothing_commits_by_itself(dialect: str, sql: str) -> None:
    """A statement that ends the transaction is refused, however it is written."""
    for written in (
        sql,
        sql.lower(),
        f"-- DELETE FROM t\n{sql}",
        f"/* DELETE; */ {sql.capitalize()}",
        f"  \n\n{sql};",
        f"\ufeff{sql}",
        f"\u00a0{sql}",
        sql.replace(" ", "/**/ "),
    ):
        with pytest.raises(TemplateError, match="may not run inside the load's transaction"):
            guarded(dialect, written)


@pytest.mark.parametrize("dialect", BUILT_IN)
@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM {{ table|table }} WHERE a = 'TRUNCATE'",
        'DELETE FROM "TRUNCATE"',
        "DELETE /* COMMIT */ FROM t -- VACUUM",
        "WITH x AS (SELECT 1) DELETE FROM t WHERE a IN (SELECT * FROM x)",
        "INSERT INTO t (commit_id) SELECT 1",
        "ALTER TABLE t ADD COLUMN a int",
        "ANALYZE t",
    ],
)
def test_ordinary_statements_pass(dialect: str, sql: str) -> None:
    """Words in names, quotes and comments do not end a transaction."""
    guarded(dialect, sql)


@pytest.mark.parametrize("dialect", BUILT_IN)
@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM t; TRUNCATE t",
        "DELETE FROM t WHERE a = $x$ ' $x$; TRUNCATE t; SELECT $x$ ' $x$",
        "DELETE FROM t -- x\r; COMMIT",
        "DELETE FROM t WHERE a = E'\\''; COMMIT; SELECT ''",
    ],
)
def test_a_second_statement_cannot_hide(dialect: str, sql: str) -> None:
    """No quote or comment hides another statement behind the first."""
    with pytest.raises(TemplateError, match="statements, and must render one"):
        guarded(dialect, sql)


def test_a_partitioned_table_is_not_emptied() -> None:
    """A replace without partitions is refused; a preview shows a placeholder that says so."""
    spec = make_spec(partition_by=DAY)
    with pytest.raises(PlanError) as error:
        make_plan(spec)
    assert error.value.message == "s.t is partitioned by day, but no partition is given"
    with pytest.raises(PlanError, match="cannot have a partition"):
        make_plan(spec, full_refresh=True, partition="2013-01-01")
    preview = make_plan(spec, load_id=PREVIEW_LOAD_ID, staged=None)
    assert preview.slice is not None
    assert preview.slice.placeholder
    assert "PLACEHOLDER" in preview.sql


@pytest.mark.parametrize("disposition", ["append", "merge"])
def test_append_and_merge_need_no_partition(disposition: str) -> None:
    """What deletes nothing may load a partitioned table as a whole."""
    spec = make_spec(partition_by=DAY, write_disposition=disposition, primary_key=["id"])
    assert make_plan(spec).slice is None


@pytest.mark.parametrize(
    ("columns", "evolve", "shown"),
    [
        ([("id", "bigint")], "none", "day      date           -"),
        ([("id", "integer")], "additive", "type differs"),
    ],
)
def test_drift_is_refused(columns: list[tuple[str, str]], evolve: str, shown: str) -> None:
    """A live table that differs from its spec is told column by column."""
    spec = make_spec(schema_contract={"evolve": evolve})
    there = LiveTable(tuple(LiveColumn(name, kind, True) for name, kind in columns))
    with pytest.raises(PlanError, match=r"the live table s\.t differs from its spec") as error:
        make_plan(spec, "redshift", live=there)
    assert shown in error.value.message


def test_a_view_is_not_loaded() -> None:
    """Rows cannot be loaded into a view."""
    with pytest.raises(PlanError, match="is a view"):
        make_plan(make_spec(), live=LiveTable((), kind="view"))


def test_reading_names_columns() -> None:
    """A read selects the columns asked for, in that order, and knows no others."""
    spec = make_spec(partition_by=DAY)
    slice_ = make_slice(spec.dimensions, "2013-01-01")
    found = plan_read(spec, renderer("redshift"), slice_, ["day", "id"])
    assert found.sql == (
        'SELECT "day", "id"\nFROM "s"."t"\n'
        "WHERE \"day\" >= DATE '2013-01-01'\n  AND \"day\" < DATE '2013-01-02'"
    )
    with pytest.raises(PlanError, match=r"s\.t has no column `x`, `y`"):
        plan_read(spec, renderer("duckdb"), None, ["x", "id", "y"])
    with pytest.raises(PlanError, match="no columns are requested"):
        plan_read(spec, renderer("duckdb"), None, [])


@pytest.mark.parametrize(
    "load_id", ["../../etc", "a/b", "", ".", "..", "a b", "ü", "x" * 500, "a\nb", "s3://x", "*"]
)
def test_prefixes_are_safe_in_any_path(load_id: str) -> None:
    """Whatever the load id, files stay in one folder of the load's own below the staging root."""
    folder, name, run = stage_prefix(make_spec(), load_id, "run").split("/")
    assert (folder, run) == ("s.t", "run")
    assert name.replace("-", "").replace("_", "").replace(".", "").isalnum() or name
    assert not name.startswith(".")
    assert len(name) < 100


def test_prefixes_differ_where_ids_do() -> None:
    """Ids that look alike once they are made safe still get folders of their own."""
    ids = ("a/b", "a b", "a_b", "a:b")
    assert len({stage_prefix(make_spec(), one, "run") for one in ids}) == 4


def test_every_table_has_a_ledger_of_its_own() -> None:
    """Whatever schemas and tables are called, no two share a ledger, and names fit Redshift."""
    names = ["a", "b", "a_b", "b_c", "c", "a.b", "é", "e", "x" * 127, "x" * 126, "-", "_", ""]
    tables = [Table(schema, name) for schema in names if schema for name in names if name]
    found = {table_ledger("loader", table) for table in tables}
    assert len(found) == len(tables)
    assert all(len(one.name.encode()) <= MAX_NAME_BYTES for one in found)


@pytest.mark.parametrize(
    ("load_id", "last"), [(PREVIEW_LOAD_ID, PREVIEW_LOAD_ID), ("mine", "mine/<run>")]
)
def test_a_preview_shows_where_each_run_stages_for_itself(load_id: str, last: str) -> None:
    """A plan has no run yet, and says at which place of the path one comes."""
    request = LoadRequest(load_id=load_id)
    plan = plan_load(make_spec(), renderer("duckdb"), TARGETS["duckdb"], request)
    assert plan.stage.prefix.endswith(f"/s.t/{last}")
    assert f"/{last}/part-*" in plan.sql


def test_the_ledger_keeps_long_slices_short() -> None:
    """A slice's description is cut to what the ledger's column holds."""
    spec = make_spec(partition_by=[{"expr": "carrier"}])
    long = make_slice(spec.dimensions, ["ü" * 3_000])
    assert len((ledger_slice(long) or "").encode()) <= 4_096
    assert ledger_slice(None) is None


def test_the_hash_follows_the_spec() -> None:
    """Any change of a spec changes its fingerprint, and nothing else does."""
    assert spec_hash(make_spec()) == spec_hash(make_spec())
    assert spec_hash(make_spec()) != spec_hash(make_spec(on_empty="fail"))


@pytest.mark.parametrize("case", [*CASES, "hostile_names"])
def test_duckdb_runs_every_plan(case: str, tmp_path: Path) -> None:
    """Each statement of each case but COPY, whose files are not there, runs in DuckDB."""
    request: dict[str, Any]
    spec, request = hostile(), {"partition": ["d; --=2013-01-01", "l\nb=it's\n\n\\"]}
    if case in CASES:
        spec, request = make_spec(**CASES[case][0]), dict(CASES[case][1])
    files = request.get("in_place")
    if files is not None and files.text is not None:  # a view of files needs them
        lines = tmp_path / "lines"
        lines.write_bytes(gzip.compress(b"\n") if files.text.compression == "gzip" else b"\n")
        request["in_place"] = replace(files, uris=(str(lines),))
    with duckdb.connect() as connection:
        if "live" in request:
            table = live(spec, "duckdb", *request["live"])
            columns = ", ".join(f'"{one.name}" {one.data_type}' for one in table.columns)
            connection.execute(f"CREATE SCHEMA s; CREATE TABLE s.t ({columns})")
            request["live"] = table
        plan = make_plan(spec, "duckdb", **request)
        for statement in (*plan.setup, *plan.statements):
            if statement.role != "copy" and "rows staged" not in statement.sql:
                connection.execute(statement.sql)


@pytest.mark.parametrize("dialect", BUILT_IN)
def test_printed_comments_stay_in_their_lines(dialect: str) -> None:
    """In the printed script a name with line breaks does not end the comment that tells it."""
    plan = make_plan(hostile(), dialect, partition=["d; --=2013-01-01", "l\nb=it's\n\n\\"])
    printed = statements(plan.sql, backslash=dialect == "redshift")
    first = (statement.sql for statement in (*plan.session, *plan.setup))
    loads = (statement.sql for statement in plan.statements)
    runs = [*first, "BEGIN", *loads, "COMMIT"]
    assert [bare_words(one) for one in printed] == [bare_words(one) for one in runs]
