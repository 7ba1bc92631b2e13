"""The JSON Schema: what an editor accepts is what `validate` accepts, in structure."""

from __future__ import annotations

import json
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from loader.spec.diagnostics import diagnose
from loader.spec.json_schema import json_schema

CASES = Path(__file__).parents[1] / "cases" / "specs"
SHIPPED = [
    *sorted((CASES.parents[2] / "specs").rglob("*.yml")),
    *sorted((CASES.parents[1] / "jobs").glob("*/specs/**/*.yml")),
]
GOOD = [*sorted((CASES / "good").glob("*.yml")), *SHIPPED]


@cache
def validator() -> jsonschema.Draft202012Validator:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def document(path: Path) -> Any:
    """The file as an editor sees it: plain JSON values, dates as text."""
    return json.loads(json.dumps(yaml.safe_load(path.read_text("utf-8-sig")), default=str))


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_every_good_spec_is_accepted(path: Path) -> None:
    """The schema has nothing against a spec that `validate` accepts."""
    assert [error.message for error in validator().iter_errors(document(path))] == []


def small(**fields: Any) -> dict[str, Any]:
    columns = [{"name": "a", "data_type": "integer"}, {"name": "b", "data_type": "varchar(9)"}]
    return {"schema": "s", "name": "t", "columns": columns, **fields}


BY_VALUE: dict[str, Any] = {"partition_by": [{"expr": "b"}]}


def check(metric: str, **fields: Any) -> dict[str, Any]:
    bound = {} if any(name.startswith("must") for name in fields) else {"must_be": 0}
    return small(checks=[{"metric": metric, **bound, **fields}])


def typed(data_type: str, name: str = "a") -> dict[str, Any]:
    columns = [{"name": name, "data_type": data_type}]
    return small(columns=columns, staging={"format": "csv"})


WRONG_KEYS: list[dict[str, Any]] = [
    {},
    {"start": None},
    {"keys": []},
    {"dynamic": ""},
    {"keys": ["x"], "dynamic": "b"},
    {"keys": ["x"], "end_offset": 1},
    {"keys": ["x"], "end": "y"},
    {"keys": [1.5]},
    {"keys": "x"},
]

WRONG = [
    small(checks=[{"metric": "row_count"}]),
    check("row_count", must_be=None),
    check("row_count", must_be=1, must_not_be=2),
    check("row_count", column="a"),
    check("row_count", columns=["a"]),
    check("null_values"),
    check("null_values", column=None),
    check("null_values", columns=["a"]),
    check("duplicate_values", column="a", columns=["b"]),
    check("invalid_values", column="a"),
    check("invalid_values", column="a", valid_values=[]),
    check("null_values", column="a", valid_values=["x"]),
    check("null_values", column="a", missing_values=["x"]),
    check("invalid_values", column="b", valid_values=["x"], pattern="x"),
    check("invalid_values", column="b", query="SELECT 1"),
    check("null_values", column="b", pattern="x"),
    check("row_count", expression="a > 1"),
    check("failed_rows"),
    check("failed_rows", expression="a > 1", query="SELECT 1"),
    check("failed_rows", expression="a > 1", column="a"),
    check("sql", expression="a > 1"),
    check("sql", query="SELECT 1", unit="percent"),
    check("minimum", column="a", unit="percent"),
    check("minimum"),
    check("freshness", column="a"),
    check("null_values", column="a", unit="days"),
    small(guards={"slice_shrinks_by": "0%"}),
    small(guards={"slice_shrinks_by": 0}),
    small(guards={"slice_shrinks_by": "20"}),
    small(tags={"a b": "x"}),
    small(staging={"format": "csv", "compression": "snappy"}),
    small(staging={"format": "json", "compression": "snappy"}),
    small(staging={"format": "arrow", "compression": "gzip"}),
    small(staging={"format": "parquet", "compression": "lz4"}),
    small(staging={"compression": "lz4"}),
    *(small(staging={"file_size": size}) for size in ("0MB", "0.0 GB", "00kb", 0)),
    *(
        small(schema_contract={"bad_rows": "reject", "max_rejects": share})
        for share in ("200%", "100.1%", "101%", "1 %", "%", "٣%")
    ),
    *(typed(kind) for kind in ("integer(4)", "date (1)", "decimal(5,2,1)", "varchar()", "char(x)")),
    typed("integer", "A"),
    typed("integer", "nameWithCapital"),
    small(primary_key=["A"]),
    *(small(source={"delimiter": mark}) for mark in ("\n", "\r", "\0", "ä", "ab", "")),
    small(source={"quote": "ä"}),
    small(templates={"copy_parquet": ""}),
    *(small(**BY_VALUE, dagster={"partitions": {"b": listed}}) for listed in WRONG_KEYS),
    small(source={"files": ""}),
    small(source={"files": [""]}),
    small(source={"files": 1}),
]
"""Values and pairs of values that an editor can tell are wrong."""

RIGHT = [
    check("row_count", must_be=1, must_not_be=None),
    check("row_count", column=None, columns=[], missing_values=[], valid_values=[]),
    check("duplicate_values", column="a"),
    check("duplicate_values", columns=["a", "b"]),
    check("invalid_values", column="b", valid_values=["x", 1]),
    check("invalid_values", column="b", pattern="^x", minimum=None, unit="percent"),
    check("invalid_values", column="a", minimum=0),
    check("invalid_values", column="a", minimum=0, maximum=1.5),
    check("invalid_values", column="a", references={"table": "u", "column": "id"}),
    check("failed_rows", expression="a > 1", unit="percent"),
    check("failed_rows", query="SELECT 1", unit="rows"),
    check("sql", query="SELECT 1"),
    check("maximum", column="a"),
    small(guards={"slice_shrinks_by": "0.5%", "severity": "warning"}),
    small(guards={"slice_shrinks_by": 1}),
    check("missing_values", column="b", missing_values=["x"]),
    check("missing_values", column="b"),
    small(tags={"a/b": "x", "c": ""}),
    small(staging={"format": "csv", "compression": "zstd"}),
    small(staging={"compression": "snappy"}),
    small(staging={"format": "arrow", "compression": "lz4"}),
    small(staging={"format": "auto", "compression": "auto"}),
    *(small(staging={"file_size": size}) for size in ("0.5MB", "10 kb", "1.5GB", 10)),
    *(
        small(schema_contract={"bad_rows": "reject", "max_rejects": share})
        for share in ("0%", "100%", "100.0%", "7.25%", "099%", 3)
    ),
    *(
        typed(kind)
        for kind in (
            *("decimal(5, 2)", "NUMERIC(5)", "character varying(40)", "varchar(MAX)", "float(24)"),
            *("double precision", " Integer ", "time with time zone", "bpchar", "decimal"),
        )
    ),
    typed("integer", "ä b-1"),
    *(small(source={"delimiter": mark}) for mark in ("\t", " ", "\x01", "|", "~")),
    *(
        small(**BY_VALUE, dagster={"partitions": {"b": listed}})
        for listed in (
            {"keys": ["x", "y"]},
            {"keys": ["x"], "dynamic": None, "start": None, "end": None, "end_offset": 0},
            {"dynamic": "b"},
        )
    ),
    small(source={"files": "a.csv"}),
    small(source={"files": ["a.csv", "b.csv"]}),
    small(source={"files": []}),
]
"""Their neighbours, which are right."""


@pytest.mark.parametrize("data", WRONG, ids=str)
def test_what_an_editor_can_see_is_refused_by_both(data: dict[str, Any]) -> None:
    """Rules between the keys of one entry, and patterns of values, are in the schema too."""
    assert diagnose(data)[1]
    assert list(validator().iter_errors(data))


@pytest.mark.parametrize("data", RIGHT, ids=str)
def test_what_is_right_is_accepted_by_both(data: dict[str, Any]) -> None:
    """The schema is no stricter than `validate`."""
    assert diagnose(data)[1] == []
    assert [error.message for error in validator().iter_errors(data)] == []


def test_every_key_is_refused_when_unknown() -> None:
    """No object of the schema takes keys that it does not declare."""
    schema = json_schema()
    objects = [schema, *schema["$defs"].values()]
    assert all(one["additionalProperties"] is False for one in objects if "properties" in one)


def test_words_agree_with_the_models() -> None:
    """A document that the schema refuses is refused by the models too."""
    for path in sorted((CASES / "bad").glob("*.yml")):
        try:
            data = document(path)
        except (yaml.YAMLError, ValueError, RecursionError):
            continue
        if isinstance(data, dict) and not path.stem.startswith("yaml_"):
            assert diagnose(data)[1] or not list(validator().iter_errors(data)), path.name


def test_the_schema_names_itself() -> None:
    """The schema says what it is of, and requires what a spec requires."""
    schema = json_schema()
    assert schema["$id"] == "urn:loader:table-spec:v1"
    assert schema["title"] == "Loader table spec, version 1"
    assert set(schema["required"]) == {"schema", "name", "columns"}
    assert json.loads(json.dumps(schema)) == schema


def test_the_schema_beside_the_example_specs_is_the_current_one() -> None:
    """`loader schema > specs/table.schema.json` has been run after the last change."""
    path = Path(__file__).parents[2] / "specs" / "table.schema.json"
    assert json.loads(path.read_text(encoding="utf-8")) == json_schema()


def test_every_key_says_what_it_means() -> None:
    """In editors and in `loader docs`, which show the schema's descriptions."""
    schema = json_schema()
    parts = {"table": schema, **schema["$defs"]}
    silent = [
        f"{name}.{key}"
        for name, part in parts.items()
        for key, told in part.get("properties", {}).items()
        if not told.get("description")
    ]
    assert silent == []


UNSEEN: dict[str, str] = {
    "names that must be columns, or must not": """
        batch_columns_twice dagster_partitions dagster_partitions_of_none dimension_unknown_yet
        dist_unknown dist_word_typo from_names from_nothing_in_data
        identity_only merge_by_identity merge_deleted_when_partly merge_deleted_when_unknown
        merge_order_of_identity merge_order_unknown name_twice partition_column_unknown
        partition_identity partition_name_twice primary_key_unknown renamed_from_each_other
        scd2_deleted_when scd2_deleted_when_filled scd2_effective_in_key scd2_effective_unknown
        scd2_names_collide scd2_names_of_the_data sort_unknown source_column_is_another
        source_column_twice source_column_unknown""",
    "types of the columns that keys name": """
        check_types dagster_partitions_kind dist_super encode_of_type from_in_place from_types
        merge_order_of_super
        merge_soft_delete_not_null merge_soft_delete_of_key merge_soft_delete_type
        partition_column_timezone_of_date partition_format_of_date partition_grain_of_number
        partition_hours_of_date partition_type_differs partition_value_type primary_key_nullable
        primary_key_super scd2_effective_nullable scd2_effective_type scd2_not_comparable
        scd2_types scd2_types_of_load_time type_not_in_json type_not_in_parquet""",
    "values that are compared": """
        check_empty_range dagster_freshness source_delimiter_is_quote""",
    "what expressions, formats and patterns mean": """
        default_never_closes default_of_two_statements default_with_a_comment from_paths
        function_of_leader_node merge_deleted_when_all partition_format_too_coarse
        partition_format_unsortable source_files_with_a_key source_formats source_formats_2
        source_formats_3 source_formats_4 source_new_files_of_partitions source_query_half
        source_query_writes""",
    "bytes, and time zones": "name_too_long partition_zone",
    "how the YAML is written": """
        yaml_alias yaml_alias_of_a_word yaml_deep_value yaml_duplicate_key yaml_merge_key""",
}
"""The bad specs that no JSON Schema refuses, by what it would have to look at."""


def test_what_an_editor_does_not_see_is_known() -> None:
    """The schema refuses every bad spec that is YAML, but for those that are listed here."""
    accepted = set()
    for path in (CASES / "bad").glob("*.yml"):
        with suppress(yaml.YAMLError, ValueError, RecursionError, TypeError):
            if validator().is_valid(document(path)):
                accepted.add(path.stem)
    assert accepted == {name for names in UNSEEN.values() for name in names.split()}
