"""Specs in the languages of others, both ways, and what is told of what a spec cannot hold."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft201909Validator

from loader.cli import main
from loader.contracts.convert import ContractError, Imported, declared, read, write
from loader.errors import Problem
from loader.spec.checks import Metric
from loader.spec.diagnostics import diagnose
from loader.spec.model import TableSpec
from tests.facts import screen_facts
from tests.golden import expect

CASES = Path(__file__).parents[1] / "cases" / "contracts"
ROOT = Path(__file__).parents[2]
FORMS: tuple[Any, ...] = ("odcs", "dbt", "dbt-source")


def there_and_back(specs: Sequence[TableSpec], form: Any, *, packages: bool = False) -> Imported:
    """What reading the text of specs in another language gives."""
    return read([(one.name, one.text) for one in write(specs, form, packages=packages)])


def imported(text: str, **options: Any) -> TableSpec:
    """The one spec of a text."""
    (spec,) = read([("f.yml", text)], **options).specs
    return spec


def refused(text: str, **options: Any) -> tuple[Problem, ...]:
    """The problems of a text."""
    with pytest.raises(ContractError) as caught:
        read([("f.yml", text)], **options)
    return caught.value.problems


def made(**fields: Any) -> TableSpec:
    """A valid spec of a table of two columns, and more."""
    columns = [{"name": "id", "data_type": "bigint"}, {"name": "day", "data_type": "date"}]
    spec, problems = diagnose({"schema": "s", "name": "t", "columns": columns, **fields})
    assert spec is not None, problems
    return spec


# ---------------------------------------------------------------- every spec, both ways

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
ODD = st.sampled_from(
    ["no", "~", "1", "1.5", "2026-01-01", "12:30:45", "a: b", "- a", "x #y", "", "'", "\\", "a\nb",
     "{{ x }}", "loader.dist", "loader", "odcs", "a.b", "  x ", "a:b", "<<"]
)  # fmt: skip
WORD = TEXT | ODD
NAME = (
    (TEXT | ODD)
    .map(str.lower)
    .filter(lambda name: bool(name) and name == name.lower() and "\0" not in name)
)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.dates() | WORD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORD, inner, max_size=3),
    max_leaves=5,
)
META = st.dictionaries(WORD, PLAIN, max_size=3) | st.fixed_dictionaries(
    {},
    optional={
        "odcs": st.fixed_dictionaries(
            {},
            optional={
                "id": WORD,
                "version": st.sampled_from(["1.0.0", "2.1.0", 7]),
                "status": st.sampled_from(["active", "draft"]),
                "description": st.dictionaries(st.sampled_from(["purpose", "usage"]), WORD),
                "tags": st.lists(WORD, max_size=2),
                "customProperties": st.dictionaries(WORD, PLAIN, max_size=2),
                "team": WORD,
            },
        )
        | WORD,
        "loader": PLAIN,
        "loader.meta": PLAIN,
    },
)
KINDS = (
    "smallint", "integer", "bigint", "decimal(12,2)", "decimal(38,37)", "real", "double precision",
    "boolean", "char(4)", "varchar(8)", "varchar(65535)", "date", "time", "timetz", "timestamp",
    "timestamptz", "super", "varbyte(9)", "geometry", "geography", "hllsketch",
    "interval year to month", "interval day to second",
)  # fmt: skip
NUMBER = st.integers(-5, 5) | st.floats(-1e6, 1e6)
BOUND = st.one_of(
    st.just(("must_be", 0)),
    st.tuples(
        st.sampled_from(["must_be", "must_not_be", "must_be_greater_than", "must_be_less_than",
                         "must_be_greater_or_equal_to", "must_be_less_or_equal_to"]),
        NUMBER,
    ),
    st.tuples(
        st.sampled_from(["must_be_between", "must_not_be_between"]),
        st.tuples(NUMBER, NUMBER).map(sorted),
    ),
)  # fmt: skip


SHORT = WORD.filter(lambda text: "\0" not in text and len(text.encode()) <= 20)
DATE = st.sampled_from(["2026-01-01", "2026-02-28"])
OTHER = st.fixed_dictionaries(
    {"table": st.sampled_from(["t", "it's", "a b"]), "column": st.sampled_from(["id", "a b"])},
    optional={"schema": st.sampled_from(["s", "z"])},
)
RANGES = st.sampled_from(
    [{"minimum": "2026-01-01"}, {"maximum": "2026-02-28"},
     {"minimum": "2026-01-01", "maximum": "2026-02-28"}]
)  # fmt: skip
INVALID = st.one_of(
    st.fixed_dictionaries(
        {"column": st.just("the_text"),
         "valid_values": st.lists(SHORT | st.integers(), min_size=1, max_size=2)}
    ),
    st.fixed_dictionaries(
        {"column": st.just("the_text"),
         "pattern": st.sampled_from(["^a$", r"\d+'", "[a-z]{2}", r"\{x"])}
    ),
    RANGES.map(lambda ends: {"column": "the_day", **ends}),
    OTHER.map(lambda other: {"column": "the_day", "references": other}),
)  # fmt: skip
FAILED = st.sampled_from(
    [{"expression": "the_id > 0"}, {"expression": "\"the_day\" < getdate() OR the_text = 'it''s'"},
     {"query": "SELECT * FROM {slice} WHERE the_id < 0"}, {"query": "SELECT 1 FROM {table}"}]
)  # fmt: skip
QUERY = st.sampled_from(
    ["SELECT count(*) FROM {table}", "SELECT 1", "WITH a AS (SELECT 1) SELECT * FROM {slice}, a",
     "SELECT count(*) FROM {table} WHERE the_text <> '{table} ${object}'"]
)  # fmt: skip


@st.composite
def check(draw: st.DrawFn, names: list[str]) -> dict[str, Any]:
    """A check of any metric."""
    metric = draw(st.sampled_from(get_args(Metric)))
    several = draw(st.integers(0, 1))
    operator, value = draw(BOUND)
    found: dict[str, Any] = {"metric": metric, operator: value}
    units = ["percent"]
    match metric:
        case "duplicate_values" if several:
            found["columns"] = draw(st.lists(st.sampled_from(names), min_size=1, max_size=2))
        case "null_values" | "duplicate_values":
            found["column"] = draw(st.sampled_from(names))
        case "missing_values":
            found |= {"column": "the_text", "missing_values": draw(st.lists(WORD, max_size=2))}
        case "invalid_values":
            found |= draw(INVALID)
        case "failed_rows":
            found |= draw(FAILED)
            units = [] if "query" in found else units
        case "sql":
            found["query"], units = draw(QUERY), []
        case "minimum" | "maximum":
            found["column"], units = "the_id", []
        case "freshness":
            unit = draw(st.sampled_from(["minutes", "hours", "days"]))
            found |= {"column": "the_time", "unit": unit}
            units = []
    more = {"name": WORD, "severity": st.just("warning")}
    if units:
        found["unit"] = draw(st.sampled_from(["rows", *units]))
    return found | draw(st.fixed_dictionaries({}, optional=more))


FROM: list[Any] = [
    *(
        "file_row",
        "path.the key",
        "Order ID",
        {"column": "file"},
        {"column": "Path.x"},
        {"column": ""},
        {"column": "path"},
    ),
    *({"constant": -7}, {"constant": 0}),
]
"""Where an integer may come from."""


@st.composite
def table(draw: st.DrawFn) -> dict[str, Any]:
    """Documents that use every key of the language; not all of them are valid."""
    names = draw(st.lists(NAME, min_size=2, max_size=4, unique=True))
    columns: list[dict[str, Any]] = [
        {
            "name": name,
            "data_type": draw(st.sampled_from(KINDS)),
            **draw(
                st.fixed_dictionaries(
                    {},
                    optional={
                        "nullable": st.booleans(),
                        "description": WORD,
                        "classification": WORD,
                        "encode": st.sampled_from(["raw", "zstd"]),
                        "default": st.sampled_from(["1", "null", "getdate()", "'x: y'"]),
                    },
                )
            ),
        }
        for name in names
    ]
    identity: list[dict[str, Any]] = [
        {"name": "the_id", "data_type": "bigint", "identity": [0, 1], "encode": "az64"},
        {"name": "the_day", "data_type": "date"},
        {"name": "the_time", "data_type": "timestamp"},
        {"name": "the_text", "data_type": "varchar(20)", "nullable": False},
        {"name": "the_file", "data_type": "varchar(20)", "from": "file"},
        {"name": "the_key", "data_type": "integer", "from": draw(st.sampled_from(FROM))},
    ]
    keys = [column["name"] for column in columns if column.get("nullable") is not True]
    optional = {
        "version": st.just(1),
        "asset_key": st.sampled_from(["a/b", "x", "a b/c"]),
        "description": WORD,
        "owners": st.just(["team:data", "a@b.c"]),
        "tags": st.dictionaries(st.sampled_from(["a/b", "c", "d.e"]), st.sampled_from(["", "x"])),
        "meta": META,
        "primary_key": st.lists(st.sampled_from([*keys, "the_text"]), max_size=2, unique=True),
        "dist": st.sampled_from(["even", "all", "auto", "the_day"]),
        "partition_by": st.sampled_from(
            [
                [{"expr": "the_day"}],
                [{"expr": "the_day", "grain": "week", "week_start": "sunday"}],
                [{"name": "day", "expr": "the_day", "grain": "day"}],
                [{"name": "the_day", "expr": "the_day"}],
                [{"name": "the_text", "expr": "the_text"}, {"name": "the_day", "expr": "the_day"}],
                [{"name": "a", "expr": "the_text"}, {"name": "b", "expr": "the_text"}],
                [{"expr": "lower('x, y')", "data_type": "varchar(9)"}],
                [{"expr": "the_time", "grain": "hour", "timezone": "Europe/Berlin",
                  "column_timezone": "UTC"}],
                [{"expr": "the_text", "grain": "day", "format": "%Y%m%d"}],
            ]
        ),
        "on_empty": st.sampled_from(["keep", "clear", "fail"]),
        "schema_contract": st.sampled_from(
            [
                {"bad_rows": "reject", "max_rejects": "1%"},
                {"bad_rows": "reject", "max_rejects": 7},
                {"evolve": "additive"},
                {"extra_columns": "ignore"},
                {"extra_columns": "ignore", "evolve": "additive"},
            ]
        ),
        "staging": st.sampled_from(
            [
                {"format": "csv"},
                {"format": "json", "compression": "zstd"},
                {"file_size": "1.5KB", "keep": "never"},
                {"format": "csv", "compression": "none", "file_size": 7},
            ]
        ),
        "source": st.fixed_dictionaries(
            {},
            optional={
                "null_values": st.lists(WORD, max_size=3),
                "delimiter": st.sampled_from([";", "\t", "|"]),
                "quote": st.just("'"),
                "escape": st.just("\\"),
                "decimal": st.just(","),
                "header": st.just(True),
                "encoding": st.just("latin-1"),
                "skip_rows": st.just(3),
                "timezone": st.just("Asia/Tokyo"),
                "columns": st.dictionaries(st.just("the_day"), TEXT, max_size=1),
                "date_format": st.just("%d.%m.%Y"),
                "timestamp_format": st.just("%d.%m.%Y %H"),
                "files": st.sampled_from(["in/*.csv", ["a.csv", "b.csv"]]),
            },
        ),
        "checks": st.lists(check([*names, "the_text"]), max_size=4),
        "guards": st.sampled_from(
            [{"slice_shrinks_by": "20%"}, {"slice_shrinks_by": 7, "severity": "warning"}]
        ),
        "grants": st.just({"select": ["role:a b", "public", "user:x", "user:role y", "user:public",
                                      "group:g", "user:user:z"]}),
        "templates": st.just({"copy_parquet": "mine.sql.j2"}),
        "dagster": st.sampled_from(
            [
                {"group": "g", "automation": "eager", "kinds": ["table"]},
                {"automation": {"on_cron": "0 * * * *"}, "freshness": {"fail": "24h"}},
                {"freshness": {"fail": "2d", "warn": "90m"}},
                {"freshness": {"fail": "1w", "warn": "90s"}},
            ]
        ),
    }  # fmt: skip
    sort: dict[str, Any] = draw(
        st.sampled_from(
            [{}, {"sort": ["the_day"]}, {"sort_type": "auto"},
             {"sort": ["the_day", "the_text"], "sort_type": "interleaved"}]
        )
    )  # fmt: skip
    loading: dict[str, Any] = draw(
        st.sampled_from(
            [{}, {"write_disposition": "replace"}, {"write_disposition": "append"},
             {"write_disposition": "merge", "primary_key": ["the_text"]},
             {"write_disposition": "merge", "primary_key": ["the_text", "the_day"],
              "merge": {"strategy": "merge", "on_duplicate": "last", "order_by": ["the_time"]}}]
        )
    )  # fmt: skip
    return {
        "schema": draw(NAME),
        "name": draw(NAME),
        "columns": draw(st.permutations([*columns, *identity])),
        **draw(st.fixed_dictionaries({}, optional=optional)),
        **sort,
        **loading,
    }


@st.composite
def spec_lists(draw: st.DrawFn) -> list[TableSpec]:
    """Valid specs of tables with different names."""
    specs: list[TableSpec] = []
    for document in draw(st.lists(table(), min_size=1, max_size=2)):
        spec, _ = diagnose(document)
        if spec is None:  # what staging cannot carry is the usual reason
            document["staging"] = {"format": "csv"}
            spec, _ = diagnose(document)
        if spec is not None and spec.table not in [other.table for other in specs]:
            specs.append(spec)
    assume(specs)
    return specs


@pytest.mark.parametrize("form", FORMS)
def test_what_is_written_reads_back_as_the_same_specs(form: Any) -> None:
    """Whatever a spec declares, it is the same spec after export and import."""

    @settings(max_examples=150)
    @given(specs=spec_lists(), packages=st.booleans())
    def holds(specs: list[TableSpec], packages: bool) -> None:
        found = there_and_back(specs, form, packages=packages)
        by_table = {spec.table: spec for spec in found.specs}
        assert by_table == {spec.table: spec for spec in specs}
        assert not [report.dropped for report in found.reports if report.dropped]

    holds()


# ---------------------------------------------------------------- what is written


def _closed(needed: str, /, **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": needed.split(),
        "properties": properties,
    }


def _list_of(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


WORDS: dict[str, Any] = {"type": "string"}
FLAG: dict[str, Any] = {"type": "boolean"}
CUSTOM = _list_of(_closed("property value", property=WORDS, value={}))
PAIR = {**_list_of({"type": "number"}), "minItems": 2, "maxItems": 2, "uniqueItems": True}
BOUNDS = {
    f"must{name}": PAIR if name.endswith("Between") else {"type": "number"}
    for name in ("Be", "NotBe", "BeGreaterThan", "BeGreaterOrEqualTo", "BeLessThan",
                 "BeLessOrEqualTo", "BeBetween", "NotBeBetween")
}  # fmt: skip
ONE_BOUND = {"oneOf": [{"required": [bound]} for bound in BOUNDS]}
LABELS: dict[str, Any] = {"name": WORDS, "unit": WORDS, "severity": WORDS}
LIBRARY = {
    **_closed(
        "type metric",
        type={"const": "library"},
        metric={"enum": ["nullValues", "missingValues", "invalidValues", "duplicateValues",
                         "rowCount"]},
        arguments={"type": "object"},
        **LABELS,
        **BOUNDS,
    ),
    **ONE_BOUND,
}  # fmt: skip
SQL = {**_closed("type query", type={"const": "sql"}, query=WORDS, **LABELS, **BOUNDS), **ONE_BOUND}
CUSTOM_RULE = _closed(
    "type engine implementation",
    type={"const": "custom"},
    engine={"const": "loader"},
    implementation={"type": "object"},
    **LABELS,
)
QUALITY = _list_of({"oneOf": [LIBRARY, SQL, CUSTOM_RULE]})
PROPERTY = _closed(
    "name",
    name=WORDS,
    physicalName=WORDS,
    physicalType=WORDS,
    logicalType={"enum": ["string", "date", "timestamp", "time", "number", "integer", "object",
                          "array", "boolean"]},
    logicalTypeOptions=_closed(
        "",
        maxLength={"type": "integer", "minimum": 0},
        format={"enum": ["i16", "i32", "i64", "f32", "f64"]},
        timezone=FLAG,
        minimum={"type": ["number", "string"]},
        maximum={"type": ["number", "string"]},
    ),
    relationships=_list_of(_closed("to", to={"type": "string", "pattern": r"^\w+\.\w+$"})),
    description=WORDS,
    classification=WORDS,
    required=FLAG,
    unique=FLAG,
    primaryKey=FLAG,
    primaryKeyPosition={"type": "integer"},
    partitioned=FLAG,
    partitionKeyPosition={"type": "integer"},
    quality=QUALITY,
    customProperties=CUSTOM,
)  # fmt: skip
CONTRACT = _closed(
    "apiVersion kind id version status",
    apiVersion={"const": "v3.1.0"},
    kind={"const": "DataContract"},
    id=WORDS,
    name=WORDS,
    version=WORDS,
    status=WORDS,
    domain=WORDS,
    tenant=WORDS,
    dataProduct=WORDS,
    contractCreatedTs=WORDS,
    description=_closed("", purpose=WORDS, usage=WORDS, limitations=WORDS),
    tags=_list_of(WORDS),
    servers=_list_of(
        _closed("server type database schema", server=WORDS, type={"const": "redshift"},
                database=WORDS, schema=WORDS)
    ),
    schema=_list_of(
        _closed(
            "name",
            name=WORDS,
            physicalName=WORDS,
            physicalType=WORDS,
            description=WORDS,
            tags=_list_of(WORDS),
            properties=_list_of(PROPERTY),
            quality=QUALITY,
            customProperties=CUSTOM,
        )
    ),
    customProperties=CUSTOM,
)  # fmt: skip
"""What of the standard's JSON Schema, version 3.1.0, contracts of Loader's use."""


def contract_schemas() -> list[Any]:
    """Our part of the standard's schema; and the schema itself where ``ODCS_SCHEMA`` names it."""
    found = [Draft201909Validator(CONTRACT)]
    whole = os.environ.get("ODCS_SCHEMA")
    if whole:
        found.append(Draft201909Validator(json.loads(Path(whole).read_text(encoding="utf-8"))))
    return found


def test_contracts_are_valid() -> None:
    """A contract keeps the standard's JSON Schema, whatever the specs are."""
    schemas = contract_schemas()

    @settings(max_examples=60)
    @given(specs=spec_lists())
    def holds(specs: list[TableSpec]) -> None:
        for one in write(specs, "odcs", servers=[SERVER]):
            data = json.loads(json.dumps(yaml.safe_load(one.text), default=str))
            for schema in schemas:
                schema.validate(data)

    holds()


SERVER = {"server": "prod", "type": "redshift", "database": "analytics"}


def test_a_contract_is_written_in_the_words_of_the_standard() -> None:
    """Whatever the standard has a word for is said in that word, and not in ours."""
    spec = made(
        description="Rows.",
        tags={"finance": "", "tier": "1"},
        meta={"cost": 7},
        primary_key=["id"],
        partition_by=[{"expr": "day"}],
        columns=[
            {"name": "id", "data_type": "bigint", "description": "Number."},
            {"name": "day", "data_type": "date", "nullable": False, "classification": "open"},
            {"name": "mark", "data_type": "varchar(9)", "encode": "zstd", "default": "'x'"},
        ],
        dist="id",
        checks=[
            {"metric": "row_count", "must_be_greater_than": 0},
            {"metric": "missing_values", "column": "mark", "missing_values": ["-"], "must_be": 0},
        ],
    )
    (document,) = write([spec], "odcs", servers=[SERVER])
    assert document.name == "s.odcs.yaml"
    assert document.data["servers"] == [{**SERVER, "schema": "s"}]
    (entry,) = document.data["schema"]
    assert entry["customProperties"] == [
        {"property": "loader.schema", "value": "s"},
        {"property": "cost", "value": 7},
        {"property": "loader.dist", "value": "id"},
    ]
    assert entry["tags"] == ["finance", "tier:1"]
    assert entry["quality"] == [{"type": "library", "metric": "rowCount", "mustBeGreaterThan": 0}]
    number, day, mark = entry["properties"]
    assert number == {
        "name": "id",
        "physicalName": "id",
        "logicalType": "integer",
        "logicalTypeOptions": {"format": "i64"},
        "physicalType": "bigint",
        "description": "Number.",
        "required": True,
        "primaryKey": True,
        "primaryKeyPosition": 1,
        "unique": True,
    }
    assert day["partitioned"] is True
    assert day["partitionKeyPosition"] == 1
    assert day["classification"] == "open"
    assert mark["quality"] == [
        {
            "type": "library",
            "metric": "missingValues",
            "arguments": {"missingValues": [None, "-"]},
            "mustBe": 0,
        }
    ]
    assert mark["customProperties"] == [
        {"property": "loader.encode", "value": "zstd"},
        {"property": "loader.default", "value": "'x'"},
    ]


def test_each_schema_has_its_contract() -> None:
    """Tables of one schema share a contract; those of two do not, nor those of two contracts."""
    specs = [
        made(name="a"),
        made(name="b", schema="z"),
        made(name="c"),
        made(name="d", meta={"odcs": {"version": "2.0.0"}}),
    ]
    documents = write(specs, "odcs")
    tables = {one.name: [entry["name"] for entry in one.data["schema"]] for one in documents}
    assert tables == {"s.odcs.yaml": ["a", "c"], "z.odcs.yaml": ["b"], "s-2.odcs.yaml": ["d"]}
    assert [one.data["version"] for one in documents] == ["1.0.0", "1.0.0", "2.0.0"]


@pytest.mark.parametrize(
    ("fields", "config"),
    [
        ({}, {"materialized": "table"}),
        (
            {"write_disposition": "append"},
            {"materialized": "incremental", "incremental_strategy": "append"},
        ),
        (
            {"write_disposition": "merge", "primary_key": ["id"]},
            {
                "materialized": "incremental",
                "incremental_strategy": "delete+insert",
                "unique_key": ["id"],
            },
        ),
        (
            {
                "write_disposition": "merge",
                "primary_key": ["id"],
                "merge": {"strategy": "merge"},
            },
            {
                "materialized": "incremental",
                "incremental_strategy": "merge",
                "unique_key": ["id"],
            },
        ),
        (
            {"partition_by": [{"expr": "day"}]},
            {
                "materialized": "incremental",
                "incremental_strategy": "delete+insert",
                "unique_key": ["day"],
            },
        ),
        ({"partition_by": [{"expr": "lower('x')", "data_type": "varchar(3)"}]}, {}),
    ],
)
def test_a_model_is_materialized_as_the_table_is_loaded(
    fields: dict[str, Any], config: dict[str, Any]
) -> None:
    """The write disposition becomes the nearest materialization that dbt has."""
    (document,) = write([made(**fields)], "dbt")
    found = document.data["models"][0]["config"]
    keys = ("materialized", "incremental_strategy", "unique_key")
    assert {key: found[key] for key in keys if key in found} == config


def test_dbt_is_told_in_its_own_words() -> None:
    """Constraints, tests, grants, tags and physical keys stand where dbt looks for them."""
    spec = made(
        dist="id",
        sort=["day"],
        grants={"select": ["user:bi", "role:analyst", "public"]},
        tags={"finance": ""},
        primary_key=["id"],
        schema_contract={"evolve": "additive"},
        checks=[
            {"metric": "duplicate_values", "column": "day", "must_be": 0},
            {"metric": "null_values", "column": "day", "must_be": 0, "severity": "warning"},
            {"metric": "row_count", "must_be_greater_than": 0},
        ],
    )
    (document,) = write([spec], "dbt")
    (model,) = document.data["models"]
    assert model["constraints"] == [{"type": "primary_key", "columns": ["id"]}]
    assert model["config"] == {
        "schema": "s",
        "materialized": "table",
        "dist": "id",
        "sort": ["day"],
        "grants": {"select": ["bi", "role:analyst", "public"]},
        "contract": {"enforced": True},
        "tags": ["finance"],
        "on_schema_change": "append_new_columns",
        "meta": {
            "loader": {
                "checks": [{"metric": "row_count", "must_be_greater_than": 0}],
                "check_order": [1, 2, 0],
            }
        },
    }
    assert model["columns"] == [
        {"name": "id", "data_type": "bigint", "constraints": [{"type": "not_null"}]},
        {
            "name": "day",
            "data_type": "date",
            "data_tests": ["unique", {"not_null": {"config": {"severity": "warn"}}}],
        },
    ]


def test_a_source_says_not_null_as_a_test() -> None:
    """Sources have no constraints: a column that is never null has the test."""
    (document,) = write([made(primary_key=["id"])], "dbt-source")
    (source,) = document.data["sources"]
    assert (source["name"], source["schema"]) == ("s", "s")
    assert source["tables"][0]["columns"][0]["data_tests"] == ["not_null"]


def test_models_of_one_name_get_names_of_their_own() -> None:
    """A model is known by its name alone, so tables of one name are told apart by an alias."""
    specs = [made(schema="a"), made(schema="b"), made(schema="b", name="u")]
    (document,) = write(specs, "dbt")
    assert [model["name"] for model in document.data["models"]] == ["a_t", "b_t", "u"]
    assert there_and_back(specs, "dbt").specs == tuple(specs)


# ---------------------------------------------------------------- what others wrote

FOREIGN = sorted(path.name for path in CASES.iterdir() if not path.name.endswith(".txt"))


@pytest.fixture
def cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the cases, which is the working folder."""
    for name in FOREIGN:
        shutil.copy(CASES / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str, stdin: str | bytes | None = None) -> tuple[int, str, str]:
    """A command: its exit code, standard output and standard error."""
    done = CliRunner().invoke(main, list(arguments), input=stdin, prog_name="loader")
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_documents(name: str, cases: Path) -> None:
    """What a foreign document becomes, and all that is told of it, is what the file beside says."""
    code, out, err = run("import", name)
    expect(CASES / f"{name}.txt", f"{screen_facts(err)}\nexit {code}\n{out}")


@pytest.mark.parametrize("name", [name for name in FOREIGN if not name.startswith("wrong")])
@pytest.mark.parametrize("form", FORMS)
def test_what_a_spec_holds_of_a_foreign_document_stays(name: str, form: Any) -> None:
    """Once a foreign document is a spec, nothing more of it is lost on the way out and back."""
    found = read([(name, (CASES / name).read_text(encoding="utf-8"))])
    again = there_and_back(found.specs, form)
    assert again.specs == found.specs
    assert not [report for report in again.reports if report.dropped]


def test_a_contract_keeps_its_identity() -> None:
    """The id, version, status and purpose of a contract are there after import and export."""
    text = (CASES / "orders.odcs.yaml").read_text(encoding="utf-8")
    before = yaml.safe_load(text)
    (document,) = write(read([("f.yml", text)]).specs, "odcs")
    for key in ("id", "name", "version", "status", "domain", "description", "tags"):
        assert document.data[key] == before[key]
    kept = ("name", "physicalType", "required", "unique", "primaryKey", "partitioned",
            "description", "classification")  # fmt: skip
    orders, lines = document.data["schema"]
    assert [one["name"] for one in document.data["schema"]] == ["orders", "order_lines"]
    for old, new in zip(before["schema"][0]["properties"], orders["properties"], strict=True):
        same = {key: old[key] for key in kept if key in old}
        same["physicalType"] = same["physicalType"].replace("numeric(12, 2)", "decimal(12,2)")
        assert {key: new.get(key) for key in same} == same
    assert lines["properties"][1]["primaryKeyPosition"] == 2


MODEL = "models: [{name: t, config: {schema: s}, columns: [{name: id, data_type: bigint}]}]"


def contract(**keys: Any) -> str:
    """A small contract, as YAML."""
    data = {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "schema": [{"name": "s.t", "properties": [{"name": "id", "physicalType": "bigint"}]}],
        **keys,
    }
    return yaml.safe_dump({key: value for key, value in data.items() if value is not None})


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("", "the file is empty", None),
        ("# nothing\n---\n", "the file is empty", None),
        ("- a\n", "expected a mapping of keys, found a list", None),
        ("words", "expected a mapping of keys, found a single value", None),
        ("a: 1", "not a data contract or dbt property file", "apiVersion: v3.1.0"),
        ("schema: s\nname: t\ncolumns: []", "already a table spec", "no import"),
        ("dataContractSpecification: 1.1.0", "the Data Contract Specification", "datacontract"),
        (contract(apiVersion="v2.2.2"), "version `v2.2.2` is not supported", "to v3.1.0"),
        (contract(apiVersion="v4.0.0"), "version `v4.0.0` is not supported", "as v3.1.0"),
        (contract(apiVersion=None), "`apiVersion` is missing", "v3.1.0"),
        (contract(kind="DataProduct"), "`DataProduct` documents are not supported", "DataContract"),
        (contract(schema=None), "the contract declares no table", "schema"),
        (contract(schema={"name": "t"}), "expected a list, found", None),
        (contract(name=7), "expected text, found `7`", "quotes"),
        (contract(description="words"), "expected a mapping, found `words`", None),
        ("version: 1\nmodels: []", "version `1` of property files", None),
        ("models: []", "the file declares no tables", "`models:` or `sources:`"),
        ("models: [", "is not YAML: ", None),
        ("models: [\t", "is not YAML: ", None),
        (f"{MODEL}\n{MODEL}", "the key `models` is already set in line 1", None),
        (f"{MODEL}\n---\n{MODEL}", "the table s.t is already declared at f.yml:1", None),
        (f"x: !env y\n{MODEL}", "the tag `!env` means nothing here", None),
        ("a: &a [*a]\nmodels: []", "an alias must not refer to a node that contains it", None),
        ("a: &a {<<: *a}\nmodels: []", "an alias must not refer to a node that contains it", None),
        ("? [a]\n: 1", "a key is one word", None),
        ("a: \"\x00\"", "is not YAML: ", None),
        ("a: 2024-13-45\nmodels: []", "cannot be read", None),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told(text: str, message: str, hint: str | None) -> None:
    """A file that declares no tables says why, and what would be right."""
    problem = next(one for one in refused(text) if message in one.message)
    assert hint is None or hint in (problem.hint or "")
    assert problem.path == "f.yml"
    assert problem.line >= 1


@pytest.mark.parametrize(
    "text",
    [
        "version: 2\nmodels: [{name: 5, config: {schema: s}, columns: [{name: a, data_type: int}]}"
        "]",
        contract(schema=[{"name": 5}]),
    ],
)
def test_a_name_of_another_type_is_not_missing(text: str) -> None:
    """A name that is no text is told as that alone."""
    told = [problem.message for problem in refused(text)]
    assert "expected text, found `5`" in " ".join(told)
    assert not [one for one in told if "name` is missing" in one]


def test_a_bomb_of_aliases_is_refused() -> None:
    """Aliases of aliases, which are small to write and huge to read, are not written out."""
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "too large" in refused("\n".join([*levels, MODEL]))[0].message
    merges = ["a0: &a0 {x: 1}"]
    merges += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 9)]
    assert "too large" in refused("\n".join([*merges, MODEL]))[0].message


def test_deep_nesting_is_told() -> None:
    """A file that is nested without end is a message, and no traceback."""
    assert refused("[" * 20_000)[0].message.startswith("is not YAML")


@pytest.mark.parametrize("version", ["v3.0.0", "v3.0.2", "3.1.0", "v3.1.0"])
def test_versions_of_the_standard(version: str) -> None:
    """Versions 3.0 and 3.1 are read, with and without the v."""
    assert imported(contract(apiVersion=version)).table == "s.t"


def test_the_schema_comes_from_where_it_is_told() -> None:
    """Servers tell it, Redshift's first; then the table's name; else the option does."""
    plain = [{"name": "t", "properties": [{"name": "id", "physicalType": "bigint"}]}]
    other = {"type": "postgres", "schema": "p"}
    ours = {"type": "redshift", "schema": "r"}
    assert imported(contract()).schema_name == "s"
    assert imported(contract(schema=plain), schema="x").schema_name == "x"
    assert imported(contract(schema=plain, servers=[other]), schema="x").schema_name == "p"
    assert imported(contract(schema=plain, servers=[other, ours])).schema_name == "r"
    both = contract(schema=plain, servers=[other, {**other, "schema": "q"}])
    assert imported(both, schema="x").schema_name == "x"
    (problem,) = refused(both)
    assert problem.message == "the schema of `t` is missing; the contract's servers name p, q"


def test_a_model_without_a_schema_takes_the_option() -> None:
    """A model that tells no schema is refused, unless the option names one."""
    text = MODEL.replace("config: {schema: s}, ", "")
    (problem,) = refused(text)
    assert problem.message.startswith("the schema of `t` is missing")
    assert "--schema" in (problem.hint or "")
    assert imported(text, schema="x").table == "x.t"
    assert imported(MODEL, schema="x").table == "s.t"
    jinja = MODEL.replace("schema: s", 'schema: "{{ target.schema }}"')
    assert imported(jinja, schema="x").table == "x.t"
    assert "Jinja" in refused(jinja)[0].message


def test_columns_without_a_type_are_named_together() -> None:
    """Columns of dbt need no data_type; a spec's do, and all that lack one are named at once."""
    (problem,) = refused(
        "models: [{name: t, config: {schema: s}, columns: [{name: a}, {name: b, data_type: date},"
        " {name: c}]}]"
    )
    assert problem.message == "these columns have no data_type: `a`, `c`"
    assert "`loader infer --table s.t`" in (problem.hint or "")


@pytest.mark.parametrize(
    ("test", "check"),
    [
        ("unique", {"metric": "duplicate_values", "column": "c", "must_be": 0}),
        ("{unique: }", {"metric": "duplicate_values", "column": "c", "must_be": 0}),
        (
            "{name: mine, test_name: unique}",
            {"metric": "duplicate_values", "name": "mine", "column": "c", "must_be": 0},
        ),
        (
            "{accepted_values: {values: [1, 2]}}",
            {"metric": "invalid_values", "column": "c", "valid_values": [1, 2], "must_be": 0},
        ),
        (
            "{accepted_values: {values: ['1'], quote: false, severity: WARN}}",
            {
                "metric": "invalid_values",
                "column": "c",
                "valid_values": [1],
                "severity": "warning",
                "must_be": 0,
            },
        ),
        (
            "{dbt_utils.not_null_proportion: {at_least: 0.999}}",
            {
                "metric": "null_values",
                "column": "c",
                "unit": "percent",
                "must_be_less_or_equal_to": 0.1,
            },
        ),
        (
            "{not_null: {config: {severity: warn}}}",
            {"metric": "null_values", "column": "c", "severity": "warning", "must_be": 0},
        ),
        ("{accepted_values: {values: [a + b], quote: false}}", None),
        ("{accepted_values: {values: [1.5]}}", None),
        ("{accepted_values: {}}", None),
        ("{unique: {config: {where: x > 1}}}", None),
        ("{unique: {where: x > 1}}", None),
        ("{unique: {config: {error_if: '>10'}}}", None),
        ("{unique: {config: {enabled: false}}}", None),
        ("{dbt_utils.not_null_proportion: {at_least: 0.5, at_most: 0.9}}", None),
        ("mine.own_test", None),
    ],
)
def test_tests_of_columns(test: str, check: dict[str, Any] | None) -> None:
    """A test that counts what a check counts is that check; any other is told as not carried."""
    column = f"{{name: c, data_type: bigint, data_tests: [{test}]}}"
    text = f"models: [{{name: t, config: {{schema: s}}, columns: [{column}]}}]"
    found = read([("f.yml", text)])
    assert declared(found.specs[0]).get("checks", []) == ([] if check is None else [check])
    dropped = ("models[0].columns[0].data_tests[0]",) if check is None else ()
    assert found.reports[0].dropped == dropped


@pytest.mark.parametrize(
    ("test", "check"),
    [
        (
            "dbt_expectations.expect_table_row_count_to_be_between: {min_value: 0, strictly: true}",
            {"metric": "row_count", "must_be_greater_than": 0},
        ),
        (
            "dbt_expectations.expect_table_row_count_to_be_between: {min_value: 1, max_value: 9}",
            {"metric": "row_count", "must_be_between": [1, 9]},
        ),
        (
            "dbt_expectations.expect_table_row_count_to_be_between: {max_value: 9}",
            {"metric": "row_count", "must_be_less_or_equal_to": 9},
        ),
        (
            "dbt_expectations.expect_table_row_count_to_equal: {value: 3}",
            {"metric": "row_count", "must_be": 3},
        ),
        (
            "dbt_expectations.expect_compound_columns_to_be_unique: {column_list: [C, d]}",
            {"metric": "duplicate_values", "columns": ["c", "d"], "must_be": 0},
        ),
        (
            "dbt_expectations.expect_table_row_count_to_equal: {value: 3, row_condition: c > 1}",
            None,
        ),
        (
            "dbt_utils.expression_is_true: {expression: c > 1}",
            {"metric": "failed_rows", "expression": "c > 1", "must_be": 0},
        ),
        ("dbt_utils.expression_is_true: {expression: c > 1, config: {where: d > 1}}", None),
        ("unique: {}", None),
    ],
)
def test_tests_of_tables(test: str, check: dict[str, Any] | None) -> None:
    """Tests of a whole table become checks where they count the same."""
    columns = "[{name: c, data_type: bigint}, {name: d, data_type: bigint}]"
    text = f"sources: [{{name: s, tables: [{{name: t, tests: [{test}], columns: {columns}}}]}}]"
    found = read([("f.yml", text.replace(f"[{test}]", f"[{{{test}}}]"))])
    assert declared(found.specs[0]).get("checks", []) == ([] if check is None else [check])
    assert bool(found.reports[0].dropped) == (check is None)


@pytest.mark.parametrize(
    ("key", "order"),
    [([2, 1], ["b", "a"]), ([1, 2], ["a", "b"]), ([-1, -1], ["a", "b"]), ([None, 1], ["b", "a"])],
)
def test_the_order_of_a_key(key: list[Any], order: list[str]) -> None:
    """Positions order the key; properties without one come last, in the order of the table."""
    properties = [
        {"name": name, "physicalType": "bigint", "primaryKey": True, "primaryKeyPosition": place}
        for name, place in zip("ab", key, strict=True)
    ]
    text = contract(schema=[{"name": "s.t", "properties": properties}])
    assert list(imported(text).primary_key) == order


def test_a_changed_contract_is_believed() -> None:
    """Whoever edits an exported contract is heard: what is visible there is what is imported."""
    spec = made(checks=[{"metric": "null_values", "column": "day", "must_be": 0}], dist="id")
    data = json.loads(json.dumps(write([spec], "odcs")[0].data))
    properties = data["schema"][0]["properties"]
    properties[0]["physicalType"] = "integer"
    properties[1] |= {"description": "Day.", "required": True}
    properties[1]["quality"].append({"metric": "duplicateValues", "mustBeLessThan": 5})
    data["schema"][0]["tags"] = ["new"]
    again = imported(yaml.safe_dump(data))
    assert str(again.by_name["id"].data_type) == "integer"
    assert again.by_name["day"].description == "Day."
    assert not again.by_name["day"].nullable
    assert [check.metric for check in again.checks] == ["null_values", "duplicate_values"]
    assert (again.tags, again.dist) == ({"new": ""}, "id")


def test_two_answers_to_one_question_are_refused() -> None:
    """Partition flags that somebody changed without the expression beside them are a problem."""
    spec = made(partition_by=[{"expr": "day", "grain": "day"}])
    data = json.loads(json.dumps(write([spec], "odcs")[0].data))
    del data["schema"][0]["properties"][1]["partitioned"]
    assert "loader.partition_by names day" in refused(yaml.safe_dump(data))[0].message


PART = "[{name: t, config: {schema: s}, columns: [{name: c, data_type: bigint, data_tests: [%s]}]}"
OF_PACKAGES: list[tuple[str, dict[str, Any] | None]] = [
    (
        "{dbt_expectations.expect_column_values_to_be_in_set: {value_set: [1, 2]}}",
        {"metric": "invalid_values", "valid_values": [1, 2], "must_be": 0},
    ),
    (
        "{dbt_utils.accepted_range: {min_value: 0, max_value: 9}}",
        {"metric": "invalid_values", "minimum": 0, "maximum": 9, "must_be": 0},
    ),
    (
        "{dbt_utils.accepted_range: {min_value: 0, inclusive: false}}",
        {"metric": "failed_rows", "expression": "c > 0", "must_be": 0},
    ),
    (
        "{dbt_expectations.expect_column_max_to_be_between: {max_value: 9, strictly: true}}",
        {"metric": "maximum", "must_be_less_than": 9},
    ),
    (
        "{dbt_utils.expression_is_true: {expression: '>= 0'}}",
        {"metric": "failed_rows", "expression": "c >= 0", "must_be": 0},
    ),
    (
        "{relationships: {arguments: {to: ref('U'), field: Id}}}",
        {
            "metric": "invalid_values",
            "references": {"schema": "r", "table": "u2", "column": "id"},
            "must_be": 0,
        },
    ),
    (
        "{relationships: {to: \"source('raw', 'x')\", field: id, config: {severity: warn}}}",
        {
            "metric": "invalid_values",
            "references": {"schema": "raw", "table": "x", "column": "id"},
            "severity": "warning",
            "must_be": 0,
        },
    ),
    (
        "{relationships: {to: ref('elsewhere'), field: id}}",
        {
            "metric": "invalid_values",
            "references": {"table": "elsewhere", "column": "id"},
            "must_be": 0,
        },
    ),
    ("{relationships: {to: ref('U'), field: id, config: {where: c > 1}}}", None),
    ("{relationships: {to: \"ref('U', v=2)\", field: id}}", None),
    ("{dbt_expectations.expect_column_values_to_match_regex: {regex: '^a'}}", None),
    ("{accepted_values: {values: [x]}}", None),
    ("{dbt_utils.accepted_range: {min_value: '{{ x }}'}}", None),
    ("{dbt_utils.expression_is_true: {expression: '> {{ x }}'}}", None),
]


@pytest.mark.parametrize(("test", "check"), OF_PACKAGES, ids=lambda one: str(one)[:60])
def test_tests_of_packages(test: str, check: dict[str, Any] | None) -> None:
    """Tests of dbt_utils and dbt_expectations are checks, or are told as dropped."""
    other = "{name: U, config: {schema: R, alias: u2}, columns: [{name: id, data_type: bigint}]}]"
    found = read([("f.yml", f"models: {PART % test}, {other}")])
    stated = declared(found.specs[0]).get("checks", [])
    if check is None:
        assert stated == []
        assert "models[0].columns[0].data_tests[0]" in found.reports[0].dropped
        return
    (only,) = stated
    assert {key: value for key, value in only.items() if key != "column"} == check


def test_patterns_and_recency_are_checks() -> None:
    """What needs a column of another type, and what stands at the table."""
    tests = "{dbt_utils.recency: {datepart: hour, field: At, interval: 6}}"
    regex = "{dbt_expectations.expect_column_values_to_match_regex: {regex: '^a+$'}}"
    day = "{dbt_expectations.expect_column_values_to_be_between: {min_value: \"'2026-01-01'\"}}"
    columns = (
        f"[{{name: c, data_type: varchar(9), data_tests: [{regex}]}},"
        f" {{name: at, data_type: timestamp, data_tests: [{day}]}}]"
    )
    text = (
        f"models: [{{name: t, config: {{schema: s}}, data_tests: [{tests}], columns: {columns}}}]"
    )
    assert declared(imported(text))["checks"] == [
        {"metric": "freshness", "column": "at", "unit": "hours", "must_be_less_or_equal_to": 6},
        {"metric": "invalid_values", "column": "c", "pattern": "^a+$", "must_be": 0},
        {"metric": "invalid_values", "column": "at", "minimum": "2026-01-01", "must_be": 0},
    ]


OWN = {"server": "w", "type": "redshift", "schema": "s"}
RULES: list[tuple[dict[str, Any], dict[str, Any] | None]] = [
    (
        {
            "type": "sql",
            "query": "SELECT count(*) FROM ${object} WHERE {property} < 0;",
            "mustBe": 0,
        },
        {"metric": "sql", "query": 'SELECT count(*) FROM {table} WHERE "id" < 0', "must_be": 0},
    ),
    (
        {"type": "sql", "query": "SELECT {other} FROM {object}", "mustBe": 0},
        None,
    ),
    ({"type": "sql", "query": "DELETE FROM {object}", "mustBe": 0}, None),
    ({"type": "sql", "query": "SELECT true", "mustBe": True}, None),
    ({"metric": "invalidValues", "arguments": {"pattern": "^(?=x)"}, "mustBe": 0}, None),
    ({"metric": "invalidValues", "arguments": {"pattern": "^x"}, "mustBe": 0}, None),
    (
        {"metric": "invalidValues", "arguments": {"validValues": [1.0, 2]}, "mustBe": 0},
        {"metric": "invalid_values", "column": "id", "valid_values": [1, 2], "must_be": 0},
    ),
    (
        {
            "type": "custom",
            "engine": "loader",
            "implementation": {"metric": "maximum", "column": "id", "must_be": 1},
        },
        {"metric": "maximum", "column": "id", "must_be": 1},
    ),
    ({"type": "custom", "engine": "soda", "implementation": "x"}, None),
    ({"type": "text", "description": "It is good."}, None),
]


@pytest.mark.parametrize(("entry", "check"), RULES, ids=lambda one: str(one)[:60])
def test_quality_of_contracts(entry: dict[str, Any], check: dict[str, Any] | None) -> None:
    """Rules of every type are checks, where one measures the same, or are told as dropped."""
    column = {"name": "id", "physicalType": "bigint", "quality": [entry]}
    text = contract(servers=[OWN], schema=[{"name": "t", "properties": [column]}])
    found = read([("f.yml", text)])
    assert declared(found.specs[0]).get("checks", []) == ([] if check is None else [check])
    is_dropped = "schema[0].properties[0].quality[0]" in found.reports[0].dropped
    assert is_dropped == (check is None)


def test_options_and_relationships_of_contracts() -> None:
    """Ranges and foreign keys of properties are checks, and are written as they were read."""
    properties: list[dict[str, Any]] = [
        {"name": "id", "physicalType": "integer", "logicalType": "integer",
         "logicalTypeOptions": {"minimum": 1, "maximum": 9, "multipleOf": 2},
         "relationships": [{"to": "other.Key"}]},
        {"name": "day", "physicalType": "date", "logicalType": "date",
         "logicalTypeOptions": {"minimum": "2026-01-01"}, "relationships": [{"to": "gone.x"}]},
        {"name": "code", "physicalType": "varchar(9)", "logicalType": "string",
         "logicalTypeOptions": {"pattern": "^a", "minLength": 2}},
    ]  # fmt: skip
    table = {
        "name": "t",
        "properties": properties,
        "relationships": [{"from": "t.code", "to": "other.Key"}, {"from": ["t.id"], "to": ["a.b"]}],
    }
    key = {"name": "Key", "physicalName": "key_id", "physicalType": "integer"}
    other = {"name": "other", "physicalName": "others", "properties": [key]}
    found = read([("f.yml", contract(servers=[OWN], schema=[table, other]))])
    reference = {"table": "others", "column": "key_id"}
    invalid = {"metric": "invalid_values", "must_be": 0}
    assert declared(found.specs[0])["checks"] == [
        {**invalid, "column": "code", "references": reference},
        {**invalid, "column": "id", "minimum": 1, "maximum": 9},
        {**invalid, "column": "id", "references": reference},
        {**invalid, "column": "day", "minimum": "2026-01-01"},
        {**invalid, "column": "code", "pattern": "^a"},
    ]
    assert set(found.reports[0].dropped) >= {
        "schema[0].properties[0].logicalTypeOptions.multipleOf",
        "schema[0].properties[1].relationships[0]",
        "schema[0].properties[2].logicalTypeOptions.minLength",
        "schema[0].relationships[1]",
    }
    written = json.loads(json.dumps(write(found.specs, "odcs")[0].data))["schema"][0]["properties"]
    assert written[0]["logicalTypeOptions"] == {"format": "i32", "minimum": 1, "maximum": 9}
    assert written[0]["relationships"] == written[2]["relationships"] == [{"to": "others.key_id"}]


def test_tables_that_cannot_be_specs_are_left_out() -> None:
    """With `skip_broken` the others are specs, and each that is not is told with its problems."""
    good = {"name": "good", "properties": [{"name": "id", "physicalType": "bigint"}]}
    key = {"name": "id", "physicalType": "super", "primaryKey": True}
    bad = {"name": "bad", "properties": [key]}
    worse = {"name": "worse", "properties": [{"name": "id", "physicalType": "whatever"}]}
    text = contract(servers=[OWN], schema=[good, bad, worse, good])
    assert len(refused(text)) == 3
    found = read([("f.yml", text)], skip_broken=True)
    assert [spec.table for spec in found.specs] == ["s.good"]
    assert [(one.table, len(one.problems)) for one in found.left_out] == [
        ("s.bad", 1),
        ("s.worse", 1),
        ("s.good", 1),
    ]
    assert "cannot be a key" in found.left_out[0].problems[0].message
    with pytest.raises(ContractError, match="cannot be a key"):
        read([("f.yml", contract(servers=[OWN], schema=[bad]))], skip_broken=True)
    with pytest.raises(ContractError, match="schema of `good` is missing"):
        read([("f.yml", contract(servers=[], schema=[good]))], skip_broken=True)


@pytest.mark.parametrize("key", ["semantic_models", "exposures", "metrics", "seeds", "unit_tests"])
def test_other_files_of_dbt_are_skipped_with_a_word(key: str) -> None:
    """A property file without models or sources is no mistake: it has no tables."""
    found = read([("f.yml", f"version: 2\n{key}: [{{name: x}}]"), ("m.yml", MODEL)])
    assert [spec.table for spec in found.specs] == ["s.t"]
    assert found.reports[0].notes == (f"skipped: {key} of dbt are no tables",)
    assert read([("f.yml", f"{key}: [{{name: x}}]")]).specs == ()


# ---------------------------------------------------------------- the commands


@pytest.fixture
def project(make_project: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of two tables, and the working folder."""
    columns = [{"name": "id", "data_type": "bigint"}]
    specs = {
        "a.yml": {"schema": "s", "name": "a", "columns": columns},
        "b.yml": {"schema": "z", "name": "b", "columns": columns},
    }
    root: Path = make_project(specs).config.root
    (root / "loader.toml").write_text(
        '[targets.local]\ntype = "duckdb"\n[targets.prod]\ntype = "redshift"\nhost = "h"\n'
        'database = "analytics"\n[targets.env]\ntype = "redshift"\ndatabase = "${DB_NAME}"\n'
    )
    monkeypatch.chdir(root)
    return root


@pytest.mark.parametrize("form", FORMS)
def test_commands_are_each_others_inverse(form: str, project: Path) -> None:
    """What export prints, import prints as the specs that it was."""
    code, out, _ = run("export", "--to", form)
    assert code == 0
    code, specs, err = run("import", "-", stdin=out)
    assert (code, err) == (0, "")
    assert [yaml.safe_load(text)["name"] for text in specs.split("---\n")] == ["a", "b"]
    code, specs, err = run("import", "-", "--format", "json", stdin=out)
    assert [spec["name"] for spec in json.loads(specs)["specs"]] == ["a", "b"]


def test_exports_go_into_files(project: Path) -> None:
    """A FILE gets everything; a DIR gets a file for each contract."""
    assert run("export", "--to", "odcs", "-o", "all.yaml")[0] == 0
    assert (project / "all.yaml").read_text().count("apiVersion") == 2
    assert run("export", "s/a", "--to", "odcs", "-o", "out/")[2] == "wrote out/s.odcs.yaml\n"
    code, out, err = run("import", "out/s.odcs.yaml", "all.yaml")
    assert (code, out) == (1, "")
    assert "the table s.a is already declared at out/s.odcs.yaml:8" in err
    assert run("export", "--to", "odcs", "-o", "none/x.yaml")[0] == 1


def test_a_contract_names_a_server_only_where_it_is_known(project: Path) -> None:
    """A Redshift target is the server, without its host; one that an environment names is not."""
    for target, servers in (
        ("prod", [{"server": "prod", "type": "redshift", "database": "analytics", "schema": "s"}]),
        ("env", None),
        ("local", None),
    ):
        _, out, _ = run("export", "s/a", "--to", "odcs", "--target", target)
        assert yaml.safe_load(out).get("servers") == servers


def test_imports_overwrite_nothing(cases: Path) -> None:
    """Specs are written beside those that are there; to replace them takes a word."""
    code, out, err = run("import", "sources.dbt.yml", "-o", "specs", "-q")
    assert (code, out, err) == (0, "", "")
    assert {str(path.relative_to(cases / "specs")) for path in cases.glob("specs/*/*.yml")} == {
        "shop_raw/customers_v2.yml",
        "shop_raw/carts.yml",
        "shop_files/uploads.yml",
    }
    (cases / "specs/shop_files/uploads.yml").unlink()
    (cases / "specs/shop_raw/carts.yml").write_text("mine")
    code, _, err = run("import", "sources.dbt.yml", "-o", "specs")
    assert code == 1
    assert "2 files would be overwritten; nothing was written" in err
    assert "--force" in err
    assert not (cases / "specs/shop_files/uploads.yml").exists()
    assert (cases / "specs/shop_raw/carts.yml").read_text() == "mine"
    assert run("import", "sources.dbt.yml", "-o", "specs", "--force")[0] == 0
    assert "mine" not in (cases / "specs/shop_raw/carts.yml").read_text()


def test_files_that_cannot_be_read_are_told_together(cases: Path) -> None:
    """All files that are missing or no text are named, and nothing is printed."""
    Path("latin.yml").write_bytes(b"a: \xff")
    code, out, err = run("import", "nothing.yml", "latin.yml", "sources.dbt.yml", ".")
    assert (code, out) == (1, "")
    assert "nothing.yml cannot be read: No such file" in err
    assert "latin.yml is not UTF-8 text" in err
    assert ". cannot be read" in err


def test_no_table_is_a_path(cases: Path) -> None:
    """A table whose name would lead out of the folder is refused, and not written."""
    text = MODEL.replace("name: t", 'name: "../../t"')
    code, _, err = run("import", "-", "-o", "specs", stdin=text)
    assert code == 1
    assert "`../../t` is a path" in err


def test_import_and_export_load_nothing_heavy(project: Path) -> None:
    """Neither command imports a library of frames or warehouses."""
    script = """
import sys
from loader.cli import main
for line in (["export", "--to", "odcs", "-o", "c.yaml"], ["import", "c.yaml"]):
    try:
        main(line)
    except SystemExit as stop:
        assert not stop.code, stop.code
heavy = {"dagster", "pandas", "polars", "pyarrow", "boto3", "duckdb", "redshift_connector"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr


PLACES = st.randoms(use_true_random=False)
JUNK: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 7, -1, 1.5, "x", "", "loader", [], {}, [1], ["x", None], {"a": 1}, [[]], [{}]]
)


def spoilt(data: Any, chance: Any, junk: Any) -> Any:
    """The same document with one part of it replaced."""
    if isinstance(data, dict) and data and chance.random() < 0.9:
        key = chance.choice(sorted(data))
        return {**data, key: spoilt(data[key], chance, junk)}
    if isinstance(data, list) and data and chance.random() < 0.9:
        at = chance.randrange(len(data))
        return [*data[:at], spoilt(data[at], chance, junk), *data[at + 1 :]]
    return junk


@pytest.mark.parametrize("name", FOREIGN)
def test_whatever_stands_in_a_document_is_read_or_told(name: str) -> None:
    """No content of any part of a document is a traceback."""
    data = yaml.safe_load((CASES / name).read_text(encoding="utf-8"))

    @settings(max_examples=150)
    @given(chance=PLACES, junk=st.lists(JUNK, min_size=1, max_size=3))
    def holds(chance: Any, junk: list[Any]) -> None:
        document = data
        for one in junk:
            document = spoilt(document, chance, one)
        try:
            read([(name, yaml.safe_dump(document))], schema="s")
        except ContractError as error:
            assert all(problem.line for problem in error.problems)  # noqa: PT017

    holds()
