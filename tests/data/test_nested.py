"""SUPER values as nested Parquet: stored exactly, or refused with the row."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from loader.data.cast.conformer import Conformer
from loader.data.cast.layout import Layout
from loader.data.cast.match_columns import match_columns
from loader.data.cast.nested import shape_of
from loader.data.frames import open_frame
from loader.errors import FrameError
from tests.data.test_cast import make_spec

NESTED = Layout(documents="nested")


def staged(frame: Any) -> pa.Array:
    """The column `doc` of a frame as it is staged for Redshift."""
    spec = make_spec({"doc": "super"})
    opened = open_frame(frame)
    (chunk,) = opened.chunks
    matched = match_columns(spec, opened.columns)
    conformer = Conformer(spec, matched, layout=NESTED, first=chunk)
    batch = conformer.conform(chunk).batch
    conformer.finish()
    assert batch.schema == conformer.schema
    return batch.column(0)


EXACT: list[Sequence[Any]] = [
    [{"a": 1, "b": "x"}, {"a": None, "b": "é\n"}, None],
    [[1, 2, 3], [], None],
    [[{"k": True}], [{"k": False}, {"k": None}]],
    [{"a": {"b": {"c": [1.5, -0.25]}}}],
    [{"n": None}, {"n": None}],
    [{"big": 2**62}, {"big": -(2**62)}],
    [None, None],
]


@pytest.mark.parametrize("values", EXACT, ids=json.dumps)
@pytest.mark.parametrize("kind", ["objects", "json text", "arrow"])
def test_documents_of_one_shape_are_nested(values: Sequence[Any], kind: str) -> None:
    """Documents that have one shape become nested values that are equal to them."""
    frame: Any
    if kind == "objects":
        frame = pd.DataFrame({"doc": pd.Series(list(values), dtype=object)})
    elif kind == "json text":
        frame = pa.table({"doc": [None if v is None else json.dumps(v) for v in values]})
    else:
        frame = pa.table({"doc": pa.array(values)})
    column = staged(frame)
    assert pa.types.is_nested(column.type)
    assert column.to_pylist() == list(values)


REFUSED: list[tuple[Sequence[Any], str]] = [
    ([{"a": 1}, {"b": 1}], "row 1: "),  # the shape of both has keys that each of them lacks
    ([{"a": 1.1}, {"a": 1.1, "b": 2}], "row 1: "),
    ([{"a": 0.1}, {"a": json.loads("[1]")}], "do not share one structure"),
    (["text", "more"], "do not share one structure"),
    ([1, 2], "do not share one structure"),
    ([{}, {}], "do not share one structure"),
    ([{"a": 1}, {"a": 2**70}], "do not share one structure"),
]


@pytest.mark.parametrize(("values", "told"), REFUSED)
def test_documents_that_parquet_would_change_are_refused(values: Sequence[Any], told: str) -> None:
    """What would gain keys, lose digits, or become a scalar is refused, with what to do instead."""
    texts = pa.table({"doc": [json.dumps(value) for value in values]})
    with pytest.raises(FrameError) as caught:
        staged(texts)
    assert told in str(caught.value)
    assert "staging: {format: json}" in str(caught.value)


def test_a_number_that_is_no_double_is_refused() -> None:
    """Digits that a double cannot hold are not rounded."""
    texts = pa.table({"doc": ['{"a": 1.5}', '{"a": 0.12345678901234567890123}']})
    with pytest.raises(FrameError, match="do not share one structure"):
        staged(texts)


def test_a_later_row_of_another_shape_is_refused_by_its_number() -> None:
    """The first rows decide the shape; a later document that differs is named."""
    spec = make_spec({"doc": "super"})
    frames = [pa.table({"doc": pa.array([{"a": 1}])}), pa.table({"doc": ['{"a": 1, "b": 2}']})]
    first, second = open_frame(iter(frames)).chunks
    conformer = Conformer(spec, {"doc": "doc"}, layout=NESTED, first=first)
    conformer.conform(first)
    conformer.conform(second)
    with pytest.raises(FrameError, match=r"row 2: .*does not have the structure of the first rows"):
        conformer.finish()


def test_the_arrow_type_knows_keys_that_are_null_so_far() -> None:
    """A key that is null in all first rows keeps the type it has in Arrow."""
    source = pa.struct([("a", pa.int64()), ("b", pa.large_string())])
    assert shape_of(['{"a":null,"b":null}'], source) == pa.struct(
        [("a", pa.int64()), ("b", pa.string())]
    )
