"""Dask and Ray: slow, so with ``uv run --extra dask --extra ray pytest -m slow``."""

from __future__ import annotations

import decimal
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from loader.errors import FrameError, SourceError
from loader.project import Project
from tests.conftest import MakeProject

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # those of the libraries are their own
]
ROWS = 1_000
SPEC = {
    "schema": "s",
    "name": "t",
    "primary_key": ["id"],
    "columns": [
        {"name": "id", "data_type": "bigint"},
        {"name": "day", "data_type": "date"},
        {"name": "amount", "data_type": "decimal(9,2)"},
        {"name": "word", "data_type": "varchar(20)"},
    ],
}
Spread = Callable[[pd.DataFrame], Any]


COLUMNS = {
    "id": list(range(ROWS)),
    "day": [date(2026, 1, 1 + number % 28) for number in range(ROWS)],
    "amount": [decimal.Decimal(number) / 4 for number in range(ROWS)],
    "word": [f"é{number}" if number % 7 else None for number in range(ROWS)],
}


def rows(**changes: Any) -> pd.DataFrame:
    return pd.DataFrame({**COLUMNS, **changes})


@pytest.fixture(scope="module", params=["dask", "ray"])
def spread(request: pytest.FixtureRequest) -> Iterator[Spread]:
    """Makes a frame of a pandas one, in seven partitions."""
    if request.param == "dask":
        dask = pytest.importorskip("dask.dataframe")
        yield lambda frame: dask.from_pandas(frame, npartitions=7)
        return
    ray = pytest.importorskip("ray")
    pytest.importorskip("ray.data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
        ray.init(num_cpus=2, logging_level="ERROR", include_dashboard=False)
        ray.data.DataContext.get_current().enable_progress_bars = False
        step = -(-ROWS // 7)
        yield lambda frame: ray.data.from_arrow(
            [
                pa.Table.from_pandas(frame[at : at + step], preserve_index=False)
                for at in range(0, ROWS, step)
            ]
        )
        ray.shutdown()


@pytest.fixture
def project(make_project: MakeProject) -> Project:
    return make_project({"t.yml": SPEC})


def test_all_partitions_are_one_frame(project: Project, spread: Spread) -> None:
    """The rows of all partitions are loaded, with the values that a pandas frame has."""
    result = project.load(project.spec("s/t"), spread(rows()))
    assert result.rows_loaded == ROWS
    found: Any = project.read(project.spec("s/t"), as_="arrow")
    assert found.sort_by("id").to_pydict() == COLUMNS


def test_rows_are_numbered_over_all_partitions(project: Project, spread: Spread) -> None:
    """A bad value is told with its row in the whole frame."""
    amounts = [str(number) for number in range(ROWS)]
    amounts[700] = "many"
    with pytest.raises(FrameError, match="amount  row 701: 'many'"):
        project.load(project.spec("s/t"), spread(rows(amount=amounts)))


def test_a_key_in_two_partitions_is_found(project: Project, spread: Spread) -> None:
    """Primary keys are compared over all partitions."""
    with pytest.raises(FrameError, match="id 5: 2 rows"):
        project.load(project.spec("s/t"), spread(rows(id=[5, *range(1, ROWS)])))


def test_what_fails_on_the_cluster_is_told(project: Project, spread: Spread) -> None:
    """An error of a task is the load's, and nothing is loaded."""

    def broken(frame: pd.DataFrame) -> pd.DataFrame:
        if len(frame) and (frame["id"] == 500).any():
            raise RuntimeError("the upstream is gone")
        return frame

    frame = spread(rows())
    if hasattr(frame, "map_partitions"):
        frame = frame.map_partitions(broken, meta=frame._meta)
    else:
        frame = frame.map_batches(broken, batch_format="pandas")
    with pytest.raises(SourceError, match="the upstream is gone"):
        project.load(project.spec("s/t"), frame)
