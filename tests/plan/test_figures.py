"""Figures of columns: exact, whatever the batches, and the same as warehouses compute them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loader.data.cast.arrow_types import arrow_type
from loader.plan.figures import (
    MODULUS,
    Figure,
    Kind,
    Value,
    figures_of,
    parse_figure,
    same,
    show_figure,
    split_statements,
)
from loader.sql.datatypes import NAMES, parse
from loader.staging.figures.collector import FigureCollector
from loader.warehouse.registry import BUILT_IN, get_adapter


def collect(kind: Kind, data_type: str, *batches: Sequence[Any]) -> Value:
    """One figure of values that come in batches."""
    figure = Figure("x", parse(data_type), kind)
    collector = FigureCollector([figure])
    for values in batches:
        array = pa.array(values, arrow_type(figure.data_type))
        collector.add(pa.RecordBatch.from_arrays([array], names=["x"]))
    collector.close()
    return collector.values[figure]


MERGED: dict[str, tuple[Any, ...]] = {
    "bigint": (None, 0, -(2**63), 2**63 - 1),
    "decimal(38,10)": (None, Decimal("-1.5"), Decimal("9" * 28)),
    "decimal(9,2)": (None, Decimal("-1.25"), Decimal("7")),
    "double precision": (None, 0.1, -0.0, float("nan"), float("inf"), 5e-324),
    "boolean": (None, True, False),
    "date": (None, date(1, 1, 1), date(9999, 12, 31)),
    "timestamp": (None, datetime(1, 1, 1), datetime(2026, 1, 1, 0, 0, 0, 1)),
    "char(3)": (None, "a", "b  ", ""),
    "varchar(9)": (None, "", "a", "\U0001f600é", "z\0"),
    "varbyte(9)": (None, b"", b"\xff\0"),
}


@given(st.sampled_from(list(MERGED)), st.lists(st.lists(st.integers(0, 5)), max_size=4), st.data())
def test_figures_of_parts_are_those_of_the_whole(
    data_type: str, parts: list[list[int]], data: st.DataObject
) -> None:
    """However rows are split, figures that are merged in any order are those of all rows."""
    kind, known = parse(data_type), MERGED[data_type]
    figures = figures_of([("x", kind)], get_adapter("duckdb").dialect, "checksums")
    assert figures
    values = [[known[at % len(known)] for at in part] for part in parts]

    def collect_all(rows: list[Any]) -> FigureCollector:
        collector = FigureCollector(figures)
        array = pa.array(rows, arrow_type(kind))
        collector.add(pa.RecordBatch.from_arrays([array], names=["x"]))
        collector.close()
        return collector

    merged = FigureCollector(figures)
    for part in data.draw(st.permutations(values)):
        merged.merge(collect_all(part).values)
    assert merged.values == collect_all([value for part in values for value in part]).values


OPAQUE = get_adapter("duckdb").dialect.opaque | get_adapter("redshift").dialect.opaque

INTEGERS = st.none() | st.integers(-(2**63), 2**63 - 1)


@given(st.lists(INTEGERS), st.lists(INTEGERS))
def test_sums_of_integers_are_exact(first: list[int | None], second: list[int | None]) -> None:
    """Integers are added beyond 64 bits, over all batches, without the NULLs."""
    present = [value for value in first + second if value is not None]
    assert collect("sum", "bigint", first, second) == sum(present)
    assert collect("minimum", "bigint", first, second) == min(present, default=None)
    assert collect("maximum", "bigint", first, second) == max(present, default=None)
    assert collect("nulls", "bigint", first, second) == len(first + second) - len(present)


@given(st.lists(st.integers(-(10**38) + 1, 10**38 - 1)))
def test_low_digits_are_remainders_with_the_sign_of_the_number(units: list[int]) -> None:
    """Wide decimals add up the remainders that MOD gives, which never overflow."""
    values = [Decimal((unit < 0, tuple(map(int, str(abs(unit)))), -10)) for unit in units]
    remainders = [abs(unit) % MODULUS * (-1 if unit < 0 else 1) for unit in units]
    assert collect("low_digits", "decimal(38,10)", values) == sum(remainders)


@given(st.lists(st.integers(-(10**28) + 1, 10**28 - 1)))
def test_sums_of_decimals_are_in_units_of_the_last_digit(units: list[int]) -> None:
    """Decimals are added exactly, as whole numbers of their last digit."""
    values = [Decimal((unit < 0, tuple(map(int, str(abs(unit)))), -4)) for unit in units]
    assert collect("sum", "decimal(28,4)", values) == sum(units)


TEXTS = st.lists(st.none() | st.text(st.characters(blacklist_categories=["Cs"]), max_size=5))


@given(TEXTS, st.integers(0, 5))
def test_ends_are_code_points(texts: list[str | None], cut: int) -> None:
    """First and last characters count as Unicode numbers them, in slices of batches too."""
    present = [text for text in texts if text]
    wanted = sum(1000 * ord(text[0]) + ord(text[-1]) for text in present)
    assert collect("ends", "varchar(40)", texts) == wanted
    assert collect("bytes", "varchar(40)", texts) == sum(len(text.encode()) for text in present)
    figure = Figure("x", parse("varchar(40)"), "ends")
    whole = pa.RecordBatch.from_arrays([pa.array(texts, pa.string())], names=["x"])
    collector = FigureCollector([figure])
    for part in (whole.slice(0, cut), whole.slice(cut)):
        collector.add(part)
    assert collector.values[figure] == wanted


ALIKE = st.lists(st.none() | st.text("ab\0é", max_size=9).map("aaaaaa".__add__) | st.text("ab\0é"))

EXTREMES: tuple[Kind, ...] = ("minimum", "maximum")


@given(TEXTS | ALIKE, st.integers(0, 5))
def test_extremes_of_text_are_those_of_its_bytes(texts: list[str | None], cut: int) -> None:
    """The least and the greatest text are what comparing UTF-8 gives, however texts begin."""
    present = [text.encode() for text in texts if text is not None]
    found = [collect(kind, "varchar(40)", texts[:cut], texts[cut:]) for kind in EXTREMES]
    assert found == [min(present, default=None), max(present, default=None)]


@settings(max_examples=50)
@given(TEXTS)
def test_checksums_see_every_byte_and_no_order(texts: list[str | None]) -> None:
    """The checksum of some texts is that of any order of them, and of no other texts."""
    found = collect("checksum", "varchar(40)", texts)
    assert collect("checksum", "varchar(40)", texts[::-1]) == found
    assert collect("checksum", "varchar(40)", texts[1:], texts[:1]) == found
    assert collect("checksum", "varchar(40)", [*texts, "x"]) != found


def test_blanks_that_pad_a_char_are_no_part_of_it() -> None:
    """A CHAR with blanks at its end is the same value as without them."""
    for kind in ("bytes", "ends", "minimum", "maximum", "checksum"):
        assert collect(kind, "char(5)", ["ab  ", " c"]) == collect(kind, "char(5)", ["ab", " c"])


def test_floats_that_differ_have_other_figures() -> None:
    """Of floats between 5e-47 and 3e38 the last bit counts; of others the sign, and extremes."""
    from math import inf, nextafter

    for value in (5e-47, *(2.0**power for power in range(-153, 128)), 0.1, 123456.789, 3e38):
        near = nextafter(value, inf)
        assert [collect(kind, "double precision", [value]) for kind in ("whole", "fraction")] != [
            collect(kind, "double precision", [near]) for kind in ("whole", "fraction")
        ]
    assert collect("nan", "real", [float("nan"), 1.0]) == 1
    assert collect("maximum", "real", [float("nan"), inf, 1.0]) == 1.0
    assert collect("minimum", "double precision", [float("nan")]) is None


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dialect", BUILT_IN)
def test_every_type_has_figures(name: str, dialect: str) -> None:
    """Each type of the spec language is compared by something in each dialect."""
    for level in ("values", "checksums"):
        figures = figures_of([("x", parse(name))], get_adapter(dialect).dialect, level)
        assert figures[0].kind == "nulls"
        assert len(figures) > 1 or name in get_adapter(dialect).dialect.opaque
    assert figures_of([("x", parse(name))], get_adapter(dialect).dialect, "counts") == ()


@pytest.mark.parametrize(
    ("data_type", "kind", "answer", "value"),
    [
        ("bigint", "sum", Decimal(5), 5),
        ("bigint", "sum", None, 0),
        ("bigint", "minimum", None, None),
        ("decimal(9,2)", "sum", Decimal("1.50"), 150),
        ("decimal(9,2)", "sum", Decimal("1.5"), 150),
        ("decimal(9,2)", "sum", 2, 200),
        ("decimal(9,2)", "nulls", 2, 2),
        ("varchar(9)", "minimum", "ü", "ü".encode()),
        ("varchar(9)", "minimum", b"a", b"a"),
        ("real", "maximum", 1.5, 1.5),
    ],
)
def test_answers_are_parsed(data_type: str, kind: Kind, answer: object, value: Value) -> None:
    """Numbers come as whatever number the driver has, and mean the same."""
    assert parse_figure(Figure("x", parse(data_type), kind), answer) == value


@pytest.mark.parametrize(
    ("data_type", "kind", "answer"),
    [
        ("bigint", "sum", "5"),
        ("bigint", "sum", 5.0),
        ("bigint", "sum", True),
        ("bigint", "sum", Decimal("5.5")),
        ("bigint", "sum", Decimal("NaN")),
        ("decimal(9,2)", "sum", Decimal("1.505")),
        ("varchar(9)", "minimum", 5),
        ("real", "maximum", "1.5"),
        ("real", "maximum", True),
    ],
)
def test_answers_of_another_type_are_refused(data_type: str, kind: Kind, answer: object) -> None:
    """What is not of a figure's type is no figure, however much it looks like one."""
    with pytest.raises(ValueError, match="is not"):
        parse_figure(Figure("x", parse(data_type), kind), answer)


@pytest.mark.parametrize(
    ("data_type", "kind", "value", "shown"),
    [
        ("decimal(9,2)", "sum", -5, "-0.05"),
        ("decimal(9,0)", "sum", 5, "5"),
        ("date", "minimum", (date(2024, 1, 2) - date(1970, 1, 1)).days, "2024-01-02"),
        ("date", "maximum", 10**9, 10**9),
        ("timestamptz", "maximum", 1, "1970-01-01 00:00:00.000001+00"),
        ("timestamp", "minimum", -1, "1969-12-31 23:59:59.999999"),
        ("varchar(9)", "minimum", b"a" * 99, "a" * 60 + "…"),
        ("varchar(9)", "bytes", 9, 9),
        ("double precision", "minimum", 0.5, 0.5),
        ("date", "sum", 5, 5),
    ],
)
def test_figures_are_shown_as_values(
    data_type: str, kind: Kind, value: Value, shown: object
) -> None:
    """People read dates, times and decimals as such, and the beginning of long text."""
    assert show_figure(Figure("x", parse(data_type), kind), value) == shown


def test_floats_agree_to_the_digits_that_drivers_print() -> None:
    """Extremes of floats are the same when their first 15 digits are."""
    assert same(0.1 + 0.2, 0.3)
    assert not same(0.1, 0.1000001)
    assert not same(None, 0.0)


def test_a_statement_has_at_most_a_thousand_figures() -> None:
    """The figures of one column stay together, and no statement asks for too many."""
    columns = [(f"c{at}", parse("integer")) for at in range(700)]
    figures = figures_of(columns, get_adapter("duckdb").dialect, "values")
    statements = split_statements(figures)
    assert [figure for part in statements for column in part for figure in column] == list(figures)
    assert all(sum(map(len, part)) <= 1_000 for part in statements)
    assert len(statements) == 3
    assert split_statements(()) == []


def test_naive_moments_of_year_one_have_figures() -> None:
    """The first and the last microsecond of the calendar are whole numbers like any other."""
    moments = [datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999_999)]
    assert collect("minimum", "timestamp", moments) == -62_135_596_800_000_000
    assert collect("maximum", "timestamp", moments) == 253_402_300_799_999_999


@pytest.mark.parametrize("name", [name for name in NAMES if name not in OPAQUE])
def test_columns_of_nothing_but_null_have_figures(name: str) -> None:
    """A column without a value has NULLs, no minimum, and sums of zero, whatever its type."""
    for level in ("values", "checksums"):
        for dialect in BUILT_IN:
            figures = figures_of([("x", parse(name))], get_adapter(dialect).dialect, level)
            collector = FigureCollector(figures)
            array = pa.nulls(2, arrow_type(parse(name)))
            collector.add(pa.RecordBatch.from_arrays([array], names=["x"]))
            collector.close()
            for figure, value in collector.values.items():
                empty = None if figure.kind in ("minimum", "maximum") else 0
                assert value == (2 if figure.kind == "nulls" else empty)
