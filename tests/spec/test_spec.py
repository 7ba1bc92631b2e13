"""Table specs: what is accepted, what is refused, and what is told of it.

Each rule has a file in ``cases/specs/bad``, with the facts it tells beside it.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from loader.errors import Problem
from loader.spec.catalog import read_entry
from loader.spec.diagnostics import diagnose
from loader.spec.model import Column, TableSpec
from loader.sql.dialects.redshift import ENCODINGS
from tests.facts import screen_facts
from tests.golden import expect

CASES = Path(__file__).parents[1] / "cases" / "specs"
GOOD = sorted((CASES / "good").glob("*.yml"))
BAD = sorted((CASES / "bad").glob("*.yml"))
SHIPPED = sorted((CASES.parents[2] / "specs").rglob("*.yml"))


def stem(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("path", [*GOOD, *SHIPPED], ids=stem)
def test_good_specs_are_accepted(path: Path) -> None:
    """A spec within the rules has no problems, and reads the same from its own dump."""
    entry = read_entry(path, path.parent)
    assert entry.problems == ()
    assert entry.spec is not None
    again, problems = diagnose(entry.spec.model_dump(by_alias=True, exclude_unset=True))
    assert (again, problems) == (entry.spec, [])


@pytest.mark.parametrize("path", BAD, ids=stem)
def test_bad_specs_are_told_why(path: Path) -> None:
    """Each broken rule is told with path, line, column, the offending text and what is allowed."""
    entry = read_entry(path, path.parent)
    assert entry.spec is None
    assert entry.problems
    assert all(problem.path == path.name for problem in entry.problems)
    told = "\n".join(map(str, entry.problems))
    expect(path.with_suffix(".txt"), f"{screen_facts(told)}\n")


@pytest.mark.parametrize("path", BAD, ids=stem)
def test_positions_point_at_what_they_tell(path: Path) -> None:
    """Every problem stands in a line and column that the file has, in the order of the file."""
    if path.stem == "yaml_not_utf8":
        return
    lines = path.read_text().splitlines() or [""]
    problems = read_entry(path, path.parent).problems
    for problem in problems:
        assert 1 <= problem.line <= len(lines) + 1
        line = lines[problem.line - 1] if problem.line <= len(lines) else ""
        assert 1 <= problem.column <= len(line) + 1
        if problem.on_key:
            assert line[problem.column - 1 :].lstrip("\"'").startswith(str(problem.loc[-1]))
    places = [(problem.line, problem.column) for problem in problems]
    assert places == sorted(places)


def test_every_bad_case_has_its_output() -> None:
    """No expected output is left over from a case that is gone."""
    assert {path.stem for path in BAD} == {path.stem for path in (CASES / "bad").glob("*.txt")}


def models(model: type[BaseModel] = TableSpec) -> Iterator[type[BaseModel]]:
    yield model
    for field in model.model_fields.values():
        for found in _models_in(field.annotation):
            yield from models(found)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        if not isinstance(argument, types.EllipsisType):
            yield from _models_in(argument)


def _set_fields(model: BaseModel) -> Iterator[tuple[str, str]]:
    for name in model.model_fields_set:
        yield type(model).__name__, name
        value = getattr(model, name)
        items = value.values() if isinstance(value, dict) else value
        for item in items if isinstance(value, tuple | dict) else (value,):
            if isinstance(item, BaseModel):
                yield from _set_fields(item)


def test_every_field_has_a_good_case() -> None:
    """There is no field of any model that the good specs do not use."""
    used: set[tuple[str, str]] = set()
    for path in GOOD:
        spec = read_entry(path, path.parent).spec
        assert spec is not None
        used |= set(_set_fields(spec))
    declared = {(model.__name__, name) for model in models() for name in model.model_fields}
    assert declared - used == set()


def test_every_field_is_described() -> None:
    """The JSON Schema explains each field, checks' bounds apart: their names are sentences."""
    silent = {
        (model.__name__, name)
        for model in models()
        for name, field in model.model_fields.items()
        if not field.description and not name.startswith("must_")
    }
    assert {name for _, name in silent} <= {
        *("tags", "owners", "merge", "schema_contract", "staging", "source", "dagster"),
        *("freshness", "fail", "warn", "timezone"),
    }


def small(**fields: Any) -> dict[str, Any]:
    columns = [{"name": "id", "data_type": "bigint"}, {"name": "day", "data_type": "date"}]
    return {"schema": "s", "name": "t", "columns": columns, **fields}


def accepted(**fields: Any) -> TableSpec:
    spec, problems = diagnose(small(**fields))
    assert problems == []
    assert spec is not None
    return spec


def refused(**fields: Any) -> list[Problem]:
    spec, problems = diagnose(small(**fields))
    assert spec is None
    return problems


def test_keys_and_identities_are_not_null() -> None:
    """A column of the primary key, or with an identity, is NOT NULL without being told so."""
    columns = [
        {"name": "id", "data_type": "bigint"},
        {"name": "n", "data_type": "bigint", "identity": [1, 1]},
        {"name": "x", "data_type": "bigint"},
    ]
    spec = accepted(columns=columns, primary_key=["id"])
    assert [column.nullable for column in spec.columns] == [False, False, True]


def test_defaults_follow_from_other_fields() -> None:
    """The asset key comes from schema and name, the compression from the format."""
    assert accepted().asset_key == "s/t"
    assert accepted().staging.resolve().compression == "snappy"
    assert accepted().staging.resolve("arrow").compression == "none"
    assert accepted(staging={"format": "arrow"}).staging.compression == "none"
    assert accepted(staging={"compression": "zstd"}).staging.format == "parquet"
    assert accepted(staging={"format": "csv"}).staging.compression == "gzip"
    assert accepted(staging={"format": "json"}).staging.compression == "gzip"
    assert accepted(staging={"file_size": "1.5 GB"}).staging.file_size == 3 << 29


@pytest.mark.parametrize(
    ("max_rejects", "rejected", "allowed"),
    [(0, 1, False), (2, 2, True), (2, 3, False), ("10%", 10, True), ("10%", 11, False)],
)
def test_max_rejects(max_rejects: int | str, rejected: int, allowed: bool) -> None:
    """Rows may be rejected up to a number, or up to a share of the rows read."""
    contract = {"bad_rows": "reject", "max_rejects": max_rejects}
    assert accepted(schema_contract=contract).schema_contract.allows(rejected, 100) is allowed


@pytest.mark.parametrize(
    ("bound", "holds", "fails", "text"),
    [
        ({"must_be": 1}, [1], [0, 2], "= 1"),
        ({"must_not_be": 1}, [0, 2], [1], "<> 1"),
        ({"must_be_greater_than": 1}, [2], [1], "> 1"),
        ({"must_be_greater_or_equal_to": 1}, [1, 2], [0], ">= 1"),
        ({"must_be_less_than": 0.1}, [0.05], [0.1], "< 0.1"),
        ({"must_be_less_or_equal_to": 1}, [1, 0], [2], "<= 1"),
        ({"must_be_between": [1, 3]}, [1, 2, 3], [0, 4], "between 1 and 3"),
        ({"must_not_be_between": [1, 3]}, [0, 4], [1, 3], "not between 1 and 3"),
    ],
)
def test_bounds_of_checks(
    bound: dict[str, Any], holds: list[float], fails: list[float], text: str
) -> None:
    """Each bound holds and fails where its name says, and reads as people write it."""
    (check,) = accepted(checks=[{"metric": "row_count", **bound}]).checks
    assert all(check.holds(value) for value in holds)
    assert not any(check.holds(value) for value in fails)
    assert check.expectation == text
    assert check.label == "row_count"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_encodings_fit_their_types(encoding: str) -> None:
    """Each encoding is accepted for exactly the types that Redshift's matrix gives it."""
    staging = {"format": "csv"}
    kinds = {
        *("smallint", "integer", "bigint", "decimal", "real", "double precision", "boolean"),
        *("char", "varchar", "date", "time", "timetz", "timestamp", "timestamptz", "super"),
        *("varbyte", "geometry", "geography", "hllsketch", "interval day to second"),
    }
    fitting = set()
    for kind in kinds:
        columns = [{"name": "a", "data_type": kind, "encode": encoding}]
        _, problems = diagnose(small(columns=columns, staging=staging))
        fitting |= set() if problems else {kind}
    allowed = ENCODINGS[encoding]
    assert fitting == (kinds if allowed is None else set(allowed))


def test_a_bare_word_is_a_column_or_wrong() -> None:
    """A partition expression of one word that is no column is a typing error, type or not."""
    (problem,) = refused(partition_by=[{"expr": "dai", "data_type": "date", "grain": "day"}])
    assert problem.hint == "did you mean `day`?"


@pytest.mark.parametrize("value", [True, 0, 1.5, "'x'", "getdate()", "-1", "cast('1' as int)"])
def test_defaults_are_expressions(value: object) -> None:
    """A default is SQL text; numbers and booleans are taken as they are written."""
    columns = [{"name": "id", "data_type": "bigint", "default": value}]
    assert isinstance(accepted(columns=columns).columns[0].default, str)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.dates()
    | st.text(max_size=8)
    | st.sampled_from(["id", "day", "replace", "1%", "128MB", "varchar(3)", "a/b", "%Y", "fail"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(sorted({name for model in models() for name in model.model_fields}))
            | st.text(max_size=5),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


def _places(value: Any, loc: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        yield (*loc, key)
        if isinstance(item, dict | list):
            yield from _places(item, (*loc, key))


BASES = {path.stem: yaml.safe_load(path.read_text("utf-8-sig")) for path in [*GOOD, *SHIPPED]}


@settings(max_examples=400)
@given(st.sampled_from(sorted(BASES)), st.data())
def test_any_mutation_is_accepted_or_has_a_position(name: str, data: st.DataObject) -> None:
    """A good spec with one part changed is a spec again, or has problems that stand in its text."""
    changed = yaml.safe_load(yaml.safe_dump(BASES[name]))
    path = data.draw(st.sampled_from(list(_places(changed))))
    place = changed
    for step in path[:-1]:
        place = place[step]
    if data.draw(st.booleans()):
        place[path[-1]] = data.draw(JSON)
    elif isinstance(place, dict):
        place[data.draw(st.text(max_size=5))] = place.pop(path[-1])
    else:
        del place[path[-1]]
    spec, problems = diagnose(changed)
    assert (spec is None) == bool(problems)
    for problem in problems:
        assert problem.message
        where: Any = changed
        for step in problem.loc:
            known = where if isinstance(where, dict) else range(len(where))
            assert step in known
            where = where[step]


def test_a_column_has_few_words() -> None:
    """The vocabulary of a column stays what the design lists."""
    assert list(Column.model_fields) == [
        *("name", "data_type", "nullable", "from_", "description", "renamed_from", "encode"),
        *("default", "identity", "classification"),
    ]


def test_a_copy_of_a_spec_is_judged_by_its_own_keys() -> None:
    """A copy with other columns has nothing of the spec that it is copied from."""
    spec = accepted(columns=[{"name": name, "data_type": "bigint"} for name in ("a", "b")])
    assert spec.input_columns == spec.columns
    other = spec.model_copy(update={"columns": spec.columns[:1]})
    assert other.input_columns == spec.columns[:1]
    assert list(other.by_name) == [spec.columns[0].name]
