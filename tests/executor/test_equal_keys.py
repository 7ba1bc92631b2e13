"""Keys that the warehouse holds equal: no load loses rows to them, and no duplicate passes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loader.data.files.open import open_files
from loader.data.primary_keys import KeyIndex
from loader.errors import ExecuteError, FrameError, PlanError, VerifyError
from loader.warehouse.duckdb.driver import DuckDB
from loader.warehouse.registry import get_adapter, open_warehouse
from tests.conftest import redshift_target

if TYPE_CHECKING:
    from tests.conftest import MakeProject

Rows = Sequence[tuple[Any, ...]]


class Warehouse:
    """A table with the columns k and n on one of the warehouses."""

    def __init__(self, name: str, make: MakeProject, options: Mapping[str, Any]) -> None:
        self.name = name
        self._make, self._options = make, options
        self.declare()

    def declare(self, kind: str = "varchar(10)", **spec: Any) -> None:
        """Write the spec: partitioned by k unless it says otherwise."""
        columns = [
            {"name": "k", "data_type": kind, "nullable": False},
            {"name": "n", "data_type": "integer"},
        ]
        made = {"schema": "s", "name": "t", "columns": columns, "partition_by": [{"expr": "k"}]}
        self.project = self._make({"t.yml": {**made, **spec}}, **self._options)
        (self.spec,) = self.project.catalog.specs()

    def load(self, rows: Rows, partition: Any = None, **options: Any) -> Any:
        """Load rows from a Polars frame."""
        frame = pl.DataFrame(rows, ["k", "n"], orient="row")
        return self.project.load(self.spec, frame, partition, **options)

    def rows(self, partition: Any = None) -> list[tuple[Any, ...]]:
        """What the table holds, in some fixed order."""
        found: Any = self.project.read(self.spec, partition, as_="arrow")
        return sorted((tuple(row.values()) for row in found.to_pylist()), key=repr)

    def execute(self, sql: str) -> None:
        """Do something behind Loader's back."""
        warehouse = open_warehouse(self.project.config.settings(), self.project.config.root)
        with warehouse.session() as session:
            session.execute(sql)


@pytest.fixture
def duckdb(make_project: MakeProject) -> Warehouse:
    return Warehouse("duckdb", make_project, {})


@pytest.fixture
def on_redshift(make_project: MakeProject, request: pytest.FixtureRequest) -> Warehouse:
    options = redshift_target(request.getfixturevalue("stand_in"))
    return Warehouse("redshift", make_project, options)


@pytest.fixture(params=["duckdb", "redshift"])
def either(request: pytest.FixtureRequest) -> Warehouse:
    found = request.getfixturevalue({"redshift": "on_redshift"}.get(request.param, request.param))
    assert isinstance(found, Warehouse)
    return found


# Primary keys.


@pytest.mark.parametrize("disposition", ["replace", "append", "merge"])
@pytest.mark.parametrize("kind", ["varchar(10)", "char(4)"])
def test_keys_that_differ_by_blanks_are_duplicates(
    on_redshift: Warehouse, disposition: str, kind: str
) -> None:
    """On Redshift `a` and `a ` are one primary key, in any order of rows, and both are named."""
    on_redshift.declare(kind, primary_key=["k"], partition_by=[], write_disposition=disposition)
    for rows in ([("a", 1), ("a ", 2)], [("a ", 1), ("b", 2), ("a", 3)]):
        with pytest.raises(FrameError) as caught:
            on_redshift.load(rows)
        text = str(caught.value)
        assert "1 primary key occurs more than once" in text
        assert "k 'a' and 'a ': 2 rows" in text
        assert "trailing blanks" in text
        assert "trim" in text


def test_plans_find_such_duplicates_too(on_redshift: Warehouse) -> None:
    """A plan of data at hand refuses what the load would refuse."""
    on_redshift.declare(primary_key=["k"], partition_by=[])
    frame = pl.DataFrame({"k": ["a", "a "], "n": [1, 2]})
    with pytest.raises(FrameError, match="primary key occurs"):
        on_redshift.project.plan(on_redshift.spec, frame=frame)


@pytest.mark.parametrize("disposition", ["append", "merge"])
def test_duckdb_keeps_keys_apart_that_differ_by_blanks(duckdb: Warehouse, disposition: str) -> None:
    """DuckDB compares blanks at the end, so there `a` and `a ` are two keys and two partitions."""
    duckdb.declare(primary_key=["k"], write_disposition=disposition)
    duckdb.load([("a", 1), ("a ", 2)])
    assert duckdb.rows() == [("a ", 2), ("a", 1)]


def test_a_merge_keeps_the_last_of_equal_keys(on_redshift: Warehouse) -> None:
    """`on_duplicate: last` and the merge itself take keys as equal that Redshift does."""
    merge = {"on_duplicate": "last", "order_by": ["n"]}
    on_redshift.declare(primary_key=["k"], partition_by=[], write_disposition="merge", merge=merge)
    on_redshift.load([("a", 1), ("b", 1)])
    on_redshift.load([("a ", 2), ("a  ", 3)])
    assert on_redshift.rows() == [("a  ", 3), ("b", 1)]


texts = st.text(" ab\t", max_size=3)


@settings(max_examples=50)
@given(st.lists(st.lists(st.tuples(texts, texts), max_size=4), max_size=3), st.booleans())
def test_duplicates_are_what_redshift_holds_equal(
    batches: list[list[tuple[str, str]]], ordered: bool
) -> None:
    """A stream is refused exactly when two keys are one by the dialect's equality."""
    everything = [key for batch in batches for key in batch]
    if ordered:
        batches = [sorted(everything)]
    equality_key = get_adapter("redshift").dialect.equality_key
    known = {tuple(map(equality_key, key)) for key in everything}
    with KeyIndex(["a", "b"], ignores_trailing_blanks=True) as keys:
        for batch in batches:
            arrays = [pa.array([key[at] for key in batch], pa.string()) for at in range(2)]
            keys.add(pa.record_batch(arrays, names=["a", "b"]))
        if len(known) < len(everything):
            with pytest.raises(FrameError, match="more than once"):
                keys.check("s.t")
        else:
            keys.check("s.t")


@pytest.mark.parametrize("kind", ["double precision", "real"])
@pytest.mark.parametrize("pair", [(math.nan, -math.nan), (0.0, -0.0)], ids=["nan", "zero"])
def test_numbers_that_are_equal_are_duplicates(
    either: Warehouse, kind: str, pair: tuple[float, float]
) -> None:
    """NaN is one key, and so are 0.0 and -0.0, on every warehouse."""
    either.declare(kind, primary_key=["k"], partition_by=[], write_disposition="merge")
    with pytest.raises(FrameError, match="1 primary key occurs more than once"):
        either.load([(pair[0], 1), (7.5, 2), (pair[1], 3)])


@pytest.mark.parametrize("strategy", ["delete_insert", "merge"])
@pytest.mark.parametrize("pair", [(math.nan, math.nan), (0.0, -0.0)], ids=["nan", "zero"])
def test_merges_match_numbers_that_are_equal(
    either: Warehouse, strategy: str, pair: tuple[float, float]
) -> None:
    """A merge replaces the row of NaN by that of NaN, and that of 0.0 by that of -0.0."""
    spec = {"primary_key": ["k"], "partition_by": [], "write_disposition": "merge"}
    either.declare("double precision", merge={"strategy": strategy}, **spec)
    either.load([(pair[0], 1), (7.5, 2)])
    either.load([(pair[1], 3)])
    assert sorted(n for _, n in either.rows()) == [2, 3]


# Partitions.


@pytest.mark.parametrize("partition", ["a ", ["a", "a "], ["b", "a  "]])
def test_partitions_are_named_without_blanks(on_redshift: Warehouse, partition: Any) -> None:
    """Redshift's partition `a ` is `a`: whatever asks for it is told so, and nothing is done."""
    on_redshift.load([("a", 1)], "a")
    project, spec = on_redshift.project, on_redshift.spec
    actions: list[Callable[[], object]] = [
        lambda: on_redshift.load([("a", 2)], partition),
        lambda: project.plan(spec, partition),
        lambda: on_redshift.rows(partition),
        lambda: project.count(spec, [partition]),
        lambda: project.check(spec, partition),
    ]
    for action in actions:
        with pytest.raises(PlanError, match=r"'a +' of `k` is the partition 'a'") as caught:
            action()
        assert "name it without them: 'a'" in str(caught.value)
    assert on_redshift.rows() == [("a", 1)]


FRAMES: Mapping[str, Callable[[pa.Table, Path], object]] = {
    "arrow": lambda table, _: table,
    "pandas": lambda table, _: table.to_pandas(),
    "polars": lambda table, _: pl.from_arrow(table),
    "stream": lambda table, _: iter(table.to_batches(1)),
}


@pytest.mark.parametrize("partition", ["auto", "a", None])
@pytest.mark.parametrize("frame", FRAMES)
def test_rows_of_such_partitions_are_refused(
    on_redshift: Warehouse, partition: str | None, frame: str, tmp_path: Path
) -> None:
    """A row whose partition ends in blanks is named with both spellings, however it comes."""
    table = pa.table({"k": ["a", "a", "a "], "n": [1, 2, 3]})
    made = FRAMES[frame](table, tmp_path)
    with pytest.raises(FrameError) as caught:
        on_redshift.project.load(on_redshift.spec, made, partition, full_refresh=partition is None)
    text = str(caught.value)
    assert "'a ' equals the partition 'a'" in text
    assert "row 3" in text
    assert "rtrim" in text


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_files_are_refused_too(on_redshift: Warehouse, suffix: str, tmp_path: Path) -> None:
    """Files of every format are held against the same equality."""
    path = tmp_path / f"rows.{suffix}"
    if suffix == "csv":
        path.write_text('k,n\na,1\n"a ",2\n')
    elif suffix == "jsonl":
        path.write_text('{"k": "a", "n": 1}\n{"k": "a ", "n": 2}\n')
    else:
        pq.write_table(pa.table({"k": ["a", "a "], "n": [1, 2]}), path)
    with pytest.raises(FrameError, match="'a ' equals the partition 'a'"):
        on_redshift.project.load(
            on_redshift.spec, open_files([str(path)], on_redshift.spec.source), "auto"
        )


def test_partition_by_trimmed_text(on_redshift: Warehouse) -> None:
    """An expression that trims makes them one partition, and rows keep their blanks."""
    by = [{"name": "k", "expr": "rtrim(k)", "data_type": "varchar(10)"}]
    on_redshift.declare(partition_by=by)
    on_redshift.load([("a", 1), ("a ", 2), ("b", 3)], "auto")
    on_redshift.load([("a  ", 4)], "a")
    assert on_redshift.rows() == [("a  ", 4), ("b", 3)]


def test_blanks_are_no_part_of_char(on_redshift: Warehouse) -> None:
    """CHAR pads its values, so `a` and `a ` are the same value of one partition."""
    on_redshift.declare("char(4)")
    result = on_redshift.load([("a", 1), ("a ", 2), ("b", 3)], ["a", "b"])
    assert result.partition_rows == {"a": 2, "b": 1}
    on_redshift.load([("a   ", 4)], "a")
    on_redshift.load([("b   ", 5)], "auto")
    assert [n for _, n in on_redshift.rows()] == [4, 5]


def test_rows_of_another_spelling_are_not_deleted(on_redshift: Warehouse) -> None:
    """Rows that somebody else put into the table as `a ` stop the load of `a`."""
    on_redshift.load([("a", 1), ("b", 2)], "auto")
    on_redshift.execute("INSERT INTO s.t VALUES ('a ', 3)")
    with pytest.raises(
        VerifyError, match=r"1 row of s\.t with another spelling would be deleted.*'a '"
    ) as caught:
        on_redshift.load([("a", 4)], "a")
    assert "UPDATE" in str(caught.value)
    assert on_redshift.rows() == [("a ", 3), ("a", 1), ("b", 2)]
    on_redshift.load([("b", 5)], "b")


def test_a_collation_that_ignores_case(duckdb: Warehouse) -> None:
    """Where a column's collation holds `a` and `A` equal, no load of `a` deletes `A`."""
    duckdb.execute("CREATE SCHEMA s")
    duckdb.execute("CREATE TABLE s.t (k VARCHAR COLLATE NOCASE NOT NULL, n INTEGER)")
    duckdb.load([("a", 1), ("B", 2)], "auto")
    duckdb.load([("a", 3)], "a")
    with pytest.raises(VerifyError, match="'B'"):
        duckdb.load([("b", 4)], "b")
    assert duckdb.rows() == [("B", 2), ("a", 3)]
    duckdb.execute("UPDATE s.t SET k = 'b' WHERE k = 'B'")
    duckdb.load([("b", 4)], "b")
    assert duckdb.rows() == [("a", 3), ("b", 4)]


@pytest.mark.parametrize("strategy", ["delete_insert", "merge"])
def test_a_merge_of_keys_that_a_collation_holds_equal_is_undone(
    duckdb: Warehouse, strategy: str
) -> None:
    """Two keys of a load that a column's collation holds equal would be one row, or two of one."""
    duckdb.declare(
        primary_key=["k"],
        partition_by=[],
        write_disposition="merge",
        merge={"strategy": strategy},
    )
    duckdb.execute("CREATE SCHEMA s")
    duckdb.execute("CREATE TABLE s.t (k VARCHAR COLLATE NOCASE NOT NULL, n INTEGER)")
    duckdb.load([("a", 1)])
    with pytest.raises(ExecuteError):
        duckdb.load([("a", 2), ("A", 3)])
    assert duckdb.rows() == [("a", 1)]
    with pytest.raises(ExecuteError):
        duckdb.load([("b", 2), ("B", 3)])
    assert duckdb.rows() == [("a", 1)]
    duckdb.load([("A", 4)])
    assert duckdb.rows() in ([("A", 4)], [("a", 4)])


@pytest.mark.parametrize("full_refresh", [False, True])
@pytest.mark.parametrize("collation", ["NOCASE", "NOACCENT", "NOCASE.NOACCENT"])
def test_replacing_by_keys_that_a_collation_holds_equal_is_undone(
    duckdb: Warehouse, collation: str, full_refresh: bool
) -> None:
    """Rows that are one key to the column's collation are refused, and both are named."""
    duckdb.declare(primary_key=["k", "n"], partition_by=[{"expr": "n"}])
    duckdb.execute("CREATE SCHEMA s")
    duckdb.execute(f"CREATE TABLE s.t (k VARCHAR COLLATE {collation} NOT NULL, n INTEGER NOT NULL)")
    partition = None if full_refresh else 1
    other = {"NOCASE": "E", "NOACCENT": "é", "NOCASE.NOACCENT": "É"}[collation]
    duckdb.load([("e", 1)], partition, full_refresh=full_refresh)
    with pytest.raises(VerifyError) as caught:
        duckdb.load([("e", 1), (other, 1), ("F", 1)], partition, full_refresh=full_refresh)
    text = str(caught.value)
    assert "1 primary key more than once" in text
    assert f"k {min('e', other)!r} and {max('e', other)!r}, n 1" in text
    assert duckdb.rows() == [("e", 1)]
    duckdb.load([("e", 1), ("F", 1)], partition, full_refresh=full_refresh)
    assert len(duckdb.rows()) == 2


@pytest.mark.parametrize("verify", ["values", "counts"])
def test_appending_keys_that_the_database_holds_equal_is_undone(
    duckdb: Warehouse, verify: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An append of rows that are one key to the database is refused, whatever is verified."""
    duckdb.declare(primary_key=["k"], partition_by=[], write_disposition="append", verify=verify)
    duckdb.load([("a", 1), ("A", 2)])
    connect = DuckDB._connect

    def ignore_case(*of: Any, **options: Any) -> Any:
        connection = connect(*of, **options)
        connection.execute("SET default_collation = 'NOCASE'")
        return connection

    monkeypatch.setattr(DuckDB, "_connect", ignore_case)
    with pytest.raises(VerifyError, match="k 'B' and 'b'; k 'C' and 'c'"):
        duckdb.load([("b", 3), ("c", 4), ("C", 5), ("B", 6)])
    monkeypatch.undo()
    assert duckdb.rows() == [("A", 2), ("a", 1)]


def test_keys_in_one_case_are_not_asked_about(duckdb: Warehouse) -> None:
    """The warehouse looks for equal keys only where some of the load are alike."""
    duckdb.declare(primary_key=["k", "n"], partition_by=[{"expr": "n"}])

    def asks(*rows: tuple[str, int]) -> bool:
        plan = duckdb.load(rows, "auto").plan
        return any(one.name == "look for equal keys" for one in plan.statements)

    assert not asks(("a", 1), ("b", 1))
    assert not asks(("B", 1), ("A", 1))
    assert not asks(("a", 1), ("B", 1))
    assert not asks(("a", 1), ("A", 2))
    assert asks(("a", 1), ("A", 1))
    assert asks(("straße", 1), ("STRASSE", 1), ("é", 1), ("e", 1))
    assert duckdb.rows(1) == [("STRASSE", 1), ("e", 1), ("straße", 1), ("é", 1)]


def test_other_spellings_in_some_of_several_dimensions(on_redshift: Warehouse) -> None:
    """Of a slice that is a union of cells, each cell is compared for itself."""
    days = {"name": "n", "data_type": "date"}
    on_redshift.declare(
        columns=[{"name": "k", "data_type": "varchar(4)"}, days],
        partition_by=[{"name": "k", "expr": "k"}, {"name": "n", "expr": "n", "grain": "day"}],
    )
    first, second = date(2026, 1, 1), date(2026, 1, 2)
    cells = ["k=x|n=2026-01-01", "k=y|n=2026-01-02"]
    for _ in range(2):
        on_redshift.load([("x", first), ("y", second)], cells)
    on_redshift.execute("INSERT INTO s.t VALUES ('y ', '2026-01-01'), ('z ', '2026-01-02')")
    on_redshift.load([("x", first), ("y", second)], cells)
    on_redshift.execute("INSERT INTO s.t VALUES ('y ', '2026-01-02')")
    with pytest.raises(
        VerifyError, match=r"1 row of s\.t with another spelling would be deleted.*'y '"
    ):
        on_redshift.load([("x", first), ("y", second)], cells)


def test_null_keys_are_rows_of_no_partition(either: Warehouse) -> None:
    """Rows whose partition is NULL stay where they are, whatever is replaced."""
    columns = [{"name": "k", "data_type": "varchar(4)"}, {"name": "n", "data_type": "integer"}]
    either.declare(columns=columns)
    either.load([("a", 1)], "a")
    either.execute("INSERT INTO s.t VALUES (NULL, 2)")
    either.load([("a", 3)], "a")
    assert either.rows() == [("a", 3), (None, 2)]
