"""Duplicate primary keys of a stream."""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loader.data import primary_keys
from loader.data.key_spill import KeySpill
from loader.data.primary_keys import KeyIndex
from loader.errors import FrameError


def check(*batches: dict[str, list[Any]]) -> None:
    """Check the keys a and b of some batches."""
    with KeyIndex(["a", "b"]) as keys:
        for batch in batches:
            keys.add(pa.record_batch(batch))
        keys.check("nyc.flights")


def test_keys_that_differ_in_one_column_are_fine() -> None:
    """A key is all of its columns."""
    check({"a": [1, 1, 2], "b": ["x", "y", "x"]}, {"a": [3], "b": ["x"]}, {"a": [1], "b": ["z"]})


def test_duplicates_are_named_with_how_often_they_occur() -> None:
    """The message has the first keys, their rows, and how many keys there are."""
    with pytest.raises(FrameError) as caught:
        check({"b": ["x", "y", "x"], "a": [1, 2, 1]}, {"a": [1, 2], "b": ["x", "y"]})
    assert str(caught.value) == (
        "2 primary keys occur more than once in the data of nyc.flights; nothing was loaded\n"
        "  a 1, b 'x': 3 rows\n"
        "  a 2, b 'y': 2 rows"
    )


def test_only_the_first_keys_are_named() -> None:
    """Of many duplicates a few are named and the rest counted."""
    with pytest.raises(FrameError, match=r"^20 primary keys occur[^~]*\n  and 15 more$"):
        check({"a": list(range(20)) * 2, "b": ["x"] * 40})


def test_the_same_key_in_a_row_is_found_across_batches() -> None:
    """The last key of one batch and the first of the next are compared."""
    with pytest.raises(FrameError, match="a 2, b 'x': 2 rows"):
        check({"a": [1, 2], "b": ["x", "x"]}, {"a": [2, 3], "b": ["x", "x"]})


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The spill folder is removed, also when the check fails."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(primary_keys, "BUFFER_BYTES", 1)
    with pytest.raises(FrameError):
        check({"a": [2, 1], "b": ["x", "y"]}, {"a": [2], "b": ["x"]})
    assert list(tmp_path.iterdir()) == []


def test_long_streams_are_compared_share_by_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit into memory is compared in several passes, and all of them count."""
    monkeypatch.setattr(primary_keys, "BUFFER_BYTES", 4_000)
    monkeypatch.setattr(primary_keys, "PASS_BYTES", 10_000)
    numbers = [number * 7_919 % 10_007 for number in range(10_000)]
    batches = [numbers[at : at + 500] for at in range(0, 10_000, 500)]
    made: list[dict[str, list[Any]]] = [{"a": batch, "b": ["x"] * 500} for batch in batches]
    check(*made)
    with pytest.raises(FrameError) as caught:
        check(*made, made[3])
    first, *named, last = str(caught.value).splitlines()
    assert first.startswith("500 primary keys occur")
    assert named == [f"  a {key}, b 'x': 2 rows" for key in sorted(batches[3])[:5]]
    assert last == "  and 495 more"


keys = st.tuples(st.integers(0, 4), st.sampled_from("xyz"))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(keys, max_size=5), max_size=4), st.booleans())
def test_every_duplicate_is_found(batches: list[list[tuple[int, str]]], ordered: bool) -> None:
    """A stream is refused exactly when a key occurs twice, sorted or not."""
    everything = [key for batch in batches for key in batch]
    if ordered:
        batches = [sorted(everything)]
    twice = len(set(everything)) < len(everything)
    made: list[dict[str, list[Any]]] = [
        {"a": [a for a, _ in batch], "b": [b for _, b in batch]} for batch in batches if batch
    ]
    try:
        check(*made)
    except FrameError:
        assert twice
    else:
        assert not twice


class Work:
    """Counts the keys that are written to disk and read from there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.written: list[int] = []
        self.read: list[int] = []
        self.hashes_read: list[int] = []
        write, read, read_hashes = KeySpill.write, KeySpill.read, KeySpill.read_hashes

        def count_written(spill: KeySpill, keys: Any) -> None:
            self.written.append(keys.num_rows)
            write(spill, keys)

        def count_read(spill: KeySpill, batch: int) -> Any:
            found = read(spill, batch)
            self.read.append(found.num_rows)
            return found

        def count_hashes(spill: KeySpill, batch: int) -> Any:
            found = read_hashes(spill, batch)
            self.hashes_read.append(len(found))
            return found

        monkeypatch.setattr(KeySpill, "write", count_written)
        monkeypatch.setattr(KeySpill, "read", count_read)
        monkeypatch.setattr(KeySpill, "read_hashes", count_hashes)


def shuffled(count: int) -> list[int]:
    """Different numbers in no order; the factor and the modulus are prime."""
    return [number * 7_919 % 100_003 for number in range(count)]


def in_batches(values: list[Any], size: int = 500) -> list[dict[str, list[Any]]]:
    """Batches of keys whose column b is always the same."""
    batches = [values[at : at + size] for at in range(0, len(values), size)]
    return [{"a": batch, "b": ["x"] * len(batch)} for batch in batches]


@pytest.mark.parametrize("count", [5_000, 50_000])
def test_each_key_is_written_once_and_read_at_most_once(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The work grows as the keys do: of ten times the keys ten times as many are read."""
    monkeypatch.setattr(primary_keys, "BUFFER_BYTES", 4_000)
    monkeypatch.setattr(primary_keys, "PASS_BYTES", 40_000)
    work = Work(monkeypatch)
    check(*in_batches(shuffled(count)))
    assert (sum(work.written), sum(work.hashes_read), sum(work.read)) == (count, count, 0)


def test_keys_are_looked_at_only_where_hashes_are_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    """One duplicate among many keys makes Loader read the part that it is in, and no other."""
    monkeypatch.setattr(primary_keys, "BUFFER_BYTES", 4_000)
    monkeypatch.setattr(primary_keys, "PASS_BYTES", 20_000)
    work = Work(monkeypatch)
    numbers = shuffled(20_000)
    with pytest.raises(FrameError, match=f"a {numbers[7]}, b 'x': 2 rows"):
        check(*in_batches([*numbers, numbers[7]]))
    assert 0 < sum(work.read) < 2_000


def test_a_sorted_stream_is_not_parted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that ascend to the end are not compared, so no hash is taken of them."""
    monkeypatch.setattr(primary_keys, "BUFFER_BYTES", 4_000)
    work = Work(monkeypatch)
    check(*in_batches(list(range(20_000))))
    assert work.written == []


def test_a_stream_whose_order_ends_is_parted_from_its_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Keys that were written while they ascended are compared with all later ones."""
    monkeypatch.setattr(primary_keys, "BUFFER_BYTES", 4_000)
    work = Work(monkeypatch)
    with pytest.raises(FrameError, match=r"^1 primary key occurs[^~]*a 3, b 'x': 2 rows"):
        check(*in_batches([*range(20_000), 3]))
    assert sum(work.written) == 20_001


def test_large_parts_are_parted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many keys there are, a part is small, unless one key fills it."""
    monkeypatch.setattr(primary_keys, "BUFFER_BYTES", 40_000)
    monkeypatch.setattr(primary_keys, "PASS_BYTES", 200)
    work = Work(monkeypatch)
    numbers = shuffled(10_000)
    with pytest.raises(FrameError) as caught:
        check(*in_batches([*numbers, *[numbers[5]] * 3_000, numbers[6]]))
    first, second = sorted([(numbers[5], "3,001"), (numbers[6], "2")])
    assert str(caught.value).splitlines()[1:] == [
        f"  a {first[0]}, b 'x': {first[1]} rows",
        f"  a {second[0]}, b 'x': {second[1]} rows",
    ]
    assert sum(work.written) < 3 * 13_001


texts = st.text(st.sampled_from("aAb\u00e9e "), max_size=3)
floats = st.sampled_from([0.0, -0.0, math.nan, -math.nan, 1.5, -1.5])
whole = st.integers(-3, 3)


def compared(value: Any, *, blanks: bool) -> Any:
    """What is equal where keys are."""
    if isinstance(value, str):
        return value.rstrip(" ") if blanks else value
    return "NaN" if math.isnan(value) else value


def outcome(batches: list[list[Any]], *, blanks: bool) -> tuple[str | None, tuple[str, ...]]:
    """What is told of some keys: the message, and the keys that are similar."""
    with KeyIndex(["a"], ignores_trailing_blanks=blanks) as keys:
        for batch in batches:
            keys.add(pa.record_batch({"a": batch}))
        try:
            return None, keys.check("s.t")
        except FrameError as error:
            # Which of two equal zeros is shown, DuckDB does not promise.
            return f"{error}\n{error.hint}".replace("-0.0", "0.0"), ()


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(
        [st.lists(st.lists(kind, min_size=1, max_size=6), max_size=5) for kind in (texts, floats)]
        + [st.lists(st.lists(whole, min_size=1, max_size=6), max_size=5)]
    ),
    st.booleans(),
    st.sampled_from([1, 30, 1_000]),
)
def test_spilled_keys_are_told_as_those_in_memory(
    batches: list[list[Any]], blanks: bool, part_bytes: int
) -> None:
    """Text in any case, blanks, NaN and -0.0: disk and the size of parts change nothing."""
    expected = outcome(batches, blanks=blanks)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(primary_keys, "BUFFER_BYTES", 1)
        patch.setattr(primary_keys, "PASS_BYTES", part_bytes)
        assert outcome(batches, blanks=blanks) == expected
    same = Counter(compared(value, blanks=blanks) for batch in batches for value in batch)
    twice = sum(times > 1 for times in same.values())
    assert (expected[0] or "0 primary key").startswith(f"{twice} primary key")
