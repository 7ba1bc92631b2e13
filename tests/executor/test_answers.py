"""Answers of statements: what each must be, what is kept of it, and how a wrong one is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

import pytest

from loader.errors import VerifyError
from loader.executor.answers import AlreadyLoadedError, Answers
from loader.plan.expectations import (
    AFTER,
    BEFORE,
    DELETED,
    STAGED,
    CheckHolds,
    Expectation,
    MergeCounted,
    NotLoaded,
    Number,
    RowCount,
    Values,
    Zero,
)
from loader.plan.figures import Figure, Value
from loader.plan.merge_counts import COUNTS_OF_MERGES, MergeCounts
from loader.plan.model import Statement
from loader.spec.checks import Check
from loader.sql.datatypes import DataType
from loader.warehouse.base import Row

ID = Figure("id", DataType("integer"), "sum")
LEAST = Figure("word", DataType("varchar", (9,)), "minimum")
FIGURES: Mapping[Figure, Value] = {ID: 6, LEAST: b"a"}
ANY = Check(metric="row_count", must_be_greater_than=Decimal(2))
LOOKS = Zero("in s.t there are <count> too many", "row", "because of a reason", "do something")
GROWN = RowCount((BEFORE, STAGED), hint_if_fewer="outside", keep=AFTER)


def answers(**numbers: int) -> Answers:
    """Three rows are staged."""
    return Answers("s.t", lambda: "rolled back", FIGURES, numbers={STAGED: 3, **numbers})


def statement(expects: Expectation | None) -> Statement:
    return Statement("count", "SELECT 1", "why", "t/count.sql.j2", expects=expects)


RECORD = ("d=1", 3, 90, 1, "s3://b/manifest.json")

FINE: list[tuple[Expectation | None, list[Row], Mapping[str, int]]] = [
    (None, [("whatever", 1)], {}),
    (NotLoaded(), [], {}),
    (Number(BEFORE), [(5,)], {BEFORE: 9}),
    (Number("other"), [(Decimal(5),)], {"other": 5}),
    (Number(DELETED, optional=True), [], {}),
    (Number(DELETED, optional=True), [(2,)], {DELETED: 2}),
    (RowCount((STAGED,)), [(3,)], {}),
    (RowCount((STAGED,), keep="kept"), [(3,)], {"kept": 3}),
    (RowCount((STAGED,), optional=True), [], {}),
    (RowCount((STAGED,), optional=True), [(3,)], {}),
    (GROWN, [(7,)], {AFTER: 7}),
    (RowCount(("never", STAGED)), [(3,)], {}),
    (RowCount(()), [(0,)], {}),
    (LOOKS, [(0,)], {}),
    (LOOKS, [(0, None)], {}),
    (Values((ID, LEAST), keep=AFTER), [(3, 6, "a")], {AFTER: 3}),
    (Values(()), [(3,)], {}),
    (CheckHolds(ANY), [(3,)], {}),
]


@pytest.mark.parametrize(("expects", "rows", "kept"), FINE)
def test_answers_that_are_as_expected(
    expects: Expectation | None, rows: list[Row], kept: Mapping[str, int]
) -> None:
    """Nothing is raised, and only what is to be kept is kept; numbers of one name add up."""
    told = answers(before=4)
    before = dict(told.numbers)
    told.take(statement(expects), rows)
    assert told.numbers == {**before, **kept}
    assert not told.failed_checks


WRONG: list[tuple[Expectation, list[Row], str, str]] = [
    (Number(BEFORE), [], "returned 0 rows, expected one whole number", "t/count.sql.j2"),
    (Number(BEFORE), [(1,), (2,)], "returned 2 rows", "t/count.sql.j2"),
    (Number(DELETED, optional=True), [("x",)], "returned 'x'", "t/count.sql.j2"),
    (RowCount((STAGED,)), [], "returned 0 rows", "t/count.sql.j2"),
    (RowCount((STAGED,)), [(None,)], "returned None", "t/count.sql.j2"),
    (RowCount((STAGED,)), [(True,)], "returned True", "t/count.sql.j2"),
    (RowCount((STAGED,)), [(Decimal("3.5"),)], "3.5", "t/count.sql.j2"),
    (RowCount((STAGED,)), [(2,)], "`count` of s.t: 2 rows are there, 3 expected", "staged files"),
    (RowCount((STAGED,)), [(4,)], "4 rows are there, 3 expected", "staged files"),
    (RowCount((STAGED,), optional=True), [(2,)], "2 rows are there, 3 expected", "staged files"),
    (RowCount((STAGED,), "copied", "sent", "ask"), [(2,)], "2 copied, 3 sent", "ask"),
    (GROWN, [(6,)], "6 rows are there after 4 before, 7 expected", "outside"),
    (GROWN, [(8,)], "8 rows are there after 4 before, 7 expected", "staged files"),
    (RowCount((BEFORE, "more")), [(5,)], "5 rows are there, 4 expected", "staged files"),
    (RowCount(()), [(1,)], "1 row is there, 0 expected", "staged files"),
    (LOOKS, [(1,)], "in s.t there are 1 row too many\nbecause of a reason\n", "do something"),
    (LOOKS, [(2,)], "there are 2 rows too many\n", "do something"),
    (LOOKS, [(1_000, "A", "b")], "1,000 rows too many: 'A', 'b'\n", "do something"),
    (replace(LOOKS, because=""), [(1,)], "1 row too many\nrolled back", "do something"),
    (LOOKS, [], "returned 0 rows", "t/count.sql.j2"),
    (Values((ID,), hint_if_fewer="outside"), [(2, 6)], "2 rows are there, 3 expected", "outside"),
    (Values((ID,)), [(4, 6)], "4 rows are there, 3 expected", "staged files"),
    (Values((ID,)), [(3,)], "returned 3, expected one row of 2 figures", "t/count.sql.j2"),
    (Values((ID,)), [(3, 6), (3, 6)], "returned 2 rows, expected one row of 2", "t/count.sql.j2"),
    (Values((ID,)), [(3, "six")], "the sum of `id`", "t/count.sql.j2"),
    (Values((ID, LEAST)), [(3, 6, 1)], "the minimum of `word`", "t/count.sql.j2"),
    (MergeCounted(), [], "the counts of a merge", "t/count.sql.j2"),
    (MergeCounted(), [(1, 1, 1, 0, 0)], "the counts of a merge", "t/count.sql.j2"),
    (MergeCounted(), [(1, 1, 1, 0, 0, 4)] * 2, "the counts of a merge", "t/count.sql.j2"),
    (MergeCounted(), [(1, 1, "x", 0, 0, 4)], "one whole number", "t/count.sql.j2"),
    (
        MergeCounted(),
        [(1, 1, 2, 0, 0, 4)],
        "more than once: 1 row too many",
        "--full-refresh",
    ),
    (CheckHolds(ANY), [("x",)], "one number", "t/count.sql.j2"),
]


@pytest.mark.parametrize(("expects", "rows", "told", "hint"), WRONG)
def test_answers_that_are_not(expects: Expectation, rows: list[Row], told: str, hint: str) -> None:
    """A wrong number, and an answer of another kind, is an error with its statement and a hint."""
    before = answers(before=4)
    with pytest.raises(VerifyError) as caught:
        before.take(statement(expects), rows)
    assert told in caught.value.message + "\n"
    assert hint in (caught.value.hint or "")
    assert "rolled back" in caught.value.message
    assert caught.value.statement == "SELECT 1"
    assert caught.value.rolled_back


def test_all_values_that_differ_are_told() -> None:
    """Each column and figure with both values, those of classified columns hidden, and the copy."""
    differs = Values((ID, LEAST))
    plain, secret = answers(), answers()
    secret.classified = frozenset({"id", "word"})
    copy = replace(statement(None), role="copy", template="t/copy.sql.j2")
    with pytest.raises(VerifyError) as caught:
        plain.take(statement(differs), [(3, 7, "b")])
    assert caught.value.details == (
        {"column": "id", "figure": "sum", "staged": "6", "found": "7"},
        {"column": "word", "figure": "minimum", "staged": "a", "found": "b"},
    )
    assert "  column  figure   staged  found\n  id      sum      6       7\n" in str(caught.value)
    assert "the copy stored values that differ" in str(caught.value.hint)
    secret.take(copy, [])
    with pytest.raises(VerifyError) as caught:
        secret.take(statement(differs), [(3, 7, "b")])
    assert [(one["staged"], one["found"]) for one in caught.value.details] == [
        ("6", "7"),
        ("(classified)", "(classified)"),
    ]
    assert "t/copy.sql.j2 stored values that differ" in str(caught.value.hint)
    with pytest.raises(VerifyError) as caught:
        answers().take(statement(differs), [(3, 6, "b")])
    assert [one["column"] for one in caught.value.details] == ["word"]


def test_a_load_that_is_in_the_ledger_is_not_done_again() -> None:
    """The ledger's row leaves the transaction, with all that it says."""
    with pytest.raises(AlreadyLoadedError) as caught:
        answers().take(statement(NotLoaded()), [RECORD])
    assert tuple(caught.value.record) == RECORD
    assert caught.value.record.manifest == RECORD[-1]


def test_counts_of_a_merge_are_kept() -> None:
    """They are told, and later statements are held against each of them."""
    told = answers()
    told.take(statement(MergeCounted()), [(1, 1, 0, 0, 1, 40)])
    assert told.merge_counts == MergeCounts(1, 1, 0, 0, 1)
    assert [told.numbers[name] for name in COUNTS_OF_MERGES] == [1, 1, 0, 0, 1]
    told.take(statement(RowCount((BEFORE, "rows_inserted"), keep=AFTER)), [(41,)])
    assert told.rows_after == 41


def test_counts_of_deletes_and_histories_are_kept() -> None:
    """Deletes are rows of the load, versions that end are not; more numbers may be subtracted."""
    told = answers()
    expects = MergeCounted((*COUNTS_OF_MERGES, "rows_deleted", "rows_closed"), ("rows_removed",))
    told.take(statement(expects), [(1, 0, 0, 0, 1, 1, 5, 2, 40)])
    assert told.merge_counts == MergeCounts(1, 0, 0, 0, 1, 1, 5)
    told.take(statement(RowCount((BEFORE, "rows_inserted"), less=("rows_removed",))), [(39,)])
    with pytest.raises(VerifyError, match="40 rows are there, 39 expected"):
        told.take(statement(RowCount((BEFORE, "rows_inserted"), less=("rows_removed",))), [(40,)])


def test_checks_are_gathered() -> None:
    """A check that does not hold raises nothing by itself: all of them are told at once."""
    told = answers()
    one = statement(CheckHolds(ANY))
    told.take(one, [(2,)])
    told.take(one, [(3,)])
    told.take(one, [(1,)])
    assert [(found, result.value) for found, result in told.failed_checks] == [
        (one, Decimal(2)),
        (one, Decimal(1)),
    ]


def test_what_nobody_has_told_is_not_made_up() -> None:
    """Rows after a load are unknown until they were counted; deleted ones are those reported."""
    told = answers()
    assert (told.rows_deleted, told.rows_after) == (0, None)
    told.take(statement(Number(DELETED, optional=True)), [(2,)])
    told.take(statement(Number(DELETED, optional=True)), [(5,)])
    told.take(statement(GROWN), [(3,)])
    assert (told.rows_deleted, told.rows_after) == (7, 3)
