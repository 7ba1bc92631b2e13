"""Duplicate primary keys of a stream."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loader.data import primary_keys
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
