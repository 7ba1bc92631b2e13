"""Which rows lie in a slice, and in which partition: the work grows with rows, not with keys."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.data.cast import partition_of_row
from loader.data.cast.partition_of_row import PartitionDiscovery, SliceCheck
from loader.errors import LoaderError
from loader.spec import partition_keys
from loader.spec.partitions import Slice, make_slice
from loader.spec.periods import Dimension, Window
from loader.sql import datatypes

if TYPE_CHECKING:
    from tests.conftest import MakeProject

START = datetime(2013, 1, 1)


def dimension(data_type: str, grain: Any = None) -> Dimension:
    """A dimension over the column ``d``."""
    return Dimension("d", "d", datatypes.parse(data_type), column="d", grain=grain)


def holds(slice_: Slice, value: Any) -> bool:
    """Whether a value lies in one of the windows, compared one by one."""
    windows = [window for box in slice_.boxes for window in box.parts[0].windows]
    return value is not None and any(w.start <= value < w.end for w in windows)


@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=12),
    st.lists(st.none() | st.integers(-90, 2_700), max_size=30),
    st.sampled_from(["timestamp", "date"]),
)
def test_rows_are_outside_exactly_where_no_window_holds_them(
    keys: list[int], minutes: list[int | None], kind: str
) -> None:
    """One search in the bounds of all windows finds what comparing with each of them finds."""
    hours = kind == "timestamp"
    unit = timedelta(hours=1) if hours else timedelta(days=1)
    step = timedelta(minutes=1) if hours else timedelta(days=1)
    dim = dimension(kind, "hour" if hours else "day")
    slice_ = make_slice([dim], [START + unit * key for key in keys])
    values: list[Any] = [None if at is None else START + step * at for at in minutes]
    if not hours:
        values = [value and value.date() for value in values]
    batch = pa.record_batch([pa.array(values, pa.timestamp("us") if hours else pa.date32())], ["d"])
    found = SliceCheck(slice_).find_errors(batch, set())
    assert set(found) == {at for at, one in enumerate(values) if not holds(slice_, one)}


def test_keys_are_converted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many batches there are, each key of a slice becomes an Arrow value once."""
    converted: list[Any] = []
    convert = partition_of_row._to_scalar

    def count(value: Any, kind: Any) -> Any:
        converted.append(value)
        return convert(value, kind)

    monkeypatch.setattr(partition_of_row, "_to_scalar", count)
    check = SliceCheck(make_slice([dimension("bigint")], list(range(50))))
    for start in range(0, 500, 50):
        batch = pa.record_batch([pa.array(range(start, start + 50))], ["d"])
        check.find_errors(batch, set())
    assert converted == list(range(50))


def test_keys_are_named_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many rows and batches a partition has, its key is made once."""
    named: list[Any] = []
    name = partition_keys.locate

    def count(dim: Dimension, value: Any) -> str:
        named.append(value)
        return name(dim, value)

    monkeypatch.setattr(partition_of_row, "locate", count)
    discovery = PartitionDiscovery([dimension("date", "day")])
    days = [date(2013, 1, 1) + timedelta(days=at) for at in range(40)]
    for _ in range(10):
        discovery.find_errors(pa.record_batch([pa.array(days * 3)], ["d"]), set())
    assert sorted(named) == days
    assert discovery.counts == {(day.isoformat(),): 30 for day in days}


@pytest.mark.parametrize("kind", ["timestamp", "varchar(26)", "char(26)"])
@pytest.mark.parametrize("grain", ["hour", "minute", "day"])
@pytest.mark.parametrize("zone", ["Europe/Berlin", "Australia/Lord_Howe", "UTC"])
@pytest.mark.parametrize("request_", ["auto", "named"])
def test_times_that_clocks_skip_are_refused(
    make_project: MakeProject, kind: str, grain: str, zone: str, request_: str
) -> None:
    """A time that the clocks of the column's zone skip has no hour or minute; days have it."""
    part = {"name": "ts", "expr": "ts", "grain": grain, "timezone": zone, "column_timezone": zone}
    if kind.startswith("varchar") and grain != "day":
        part["format"] = "%Y-%m-%d %H:%M:%S.%f"
    project = make_project(
        {
            "t.yml": {
                "schema": "s",
                "name": "t",
                "columns": [{"name": "ts", "data_type": kind}],
                "partition_by": [part],
            }
        }
    )
    # Clocks skip two to three o'clock in Berlin, and two to half past two on Lord Howe.
    day, there, skipped = {
        "Europe/Berlin": ("2026-03-29", ["01:59:59", "03:00:00"], ["02:00:00", "02:59:59.999999"]),
        "Australia/Lord_Howe": (
            "2026-10-04",
            ["01:59:59", "02:30:00"],
            ["02:00:00", "02:29:59"],
        ),
        "UTC": ("2026-03-29", ["01:59:59", "02:30:00"], []),
    }[zone]
    if grain == "day":
        there, skipped = [*there, *skipped], []
    if grain == "hour" and zone == "Australia/Lord_Howe":
        there[1] = "03:00:00"  # an hour that starts in the middle has no key that names it
    last = "03:01" if grain == "minute" else "04:00"
    whole = day if grain == "day" else f"{day}-01:00..{day}-{last}"
    partition = "auto" if request_ == "auto" else whole
    rows = [f"{day} {time}.000000"[:26] for time in (*there, *skipped)]
    array = pa.array(rows).cast(pa.timestamp("us")) if kind == "timestamp" else pa.array(rows)
    spec = project.spec("s/t")
    if skipped:
        with pytest.raises(LoaderError) as refused:
            project.load(spec, pa.table({"ts": array}), partition)
        told = str(refused.value)
        assert f"this time does not exist in {zone}: clocks skip it" in told
        assert "row 3" in told
        assert "2 rows" in told or "2 of 4 rows" in told
    loaded = project.load(spec, pa.table({"ts": array.slice(0, len(there))}), partition)
    assert loaded.rows_loaded == len(there)


def test_windows_in_any_order_hold_their_values() -> None:
    """Windows that somebody made by hand, not in order, are compared one by one."""
    dim = dimension("date", "day")
    made = make_slice([dim], date(2013, 1, 1))
    box = made.boxes[0]
    windows = (
        Window(date(2013, 2, 1), date(2013, 2, 2)),
        Window(date(2013, 1, 1), date(2013, 1, 2)),
    )
    part = type(box.parts[0])(dim, windows=windows)
    check = SliceCheck(Slice((type(box)((part,)),), made.keys))
    days = [date(2013, 1, 1), date(2013, 1, 2), date(2013, 2, 1)]
    assert list(check.find_errors(pa.record_batch([pa.array(days)], ["d"]), set())) == [1]
