"""Assets that Dagster materializes in this process, on each of the warehouses."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import dagster as dg
import duckdb
import pyarrow as pa
import pytest
import yaml

from loader.dagster_io import DuckDBIOManager, RedshiftIOManager, TableIOManager
from loader.data.cast.layout import arrow_schema
from loader.errors import ExecuteError
from loader.spec.model import TableSpec
from loader.testing.redshift.faults import CutCopy, Drop, Error
from loader.testing.redshift.server import RedshiftStandIn
from loader.warehouse.base import Row
from loader.warehouse.duckdb.driver import DuckDBSession

TARGETS = ("duckdb", "redshift")
"""The warehouses that must behave the same."""

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}

Break = Literal["refused", "lost", "lost after", "cut"]
"""The statement fails for good; the connection is lost before it, after it, or in its middle."""

COPY = re.compile(r"\s*(?:INSERT INTO|COPY) \"?s\"?\.\"?t\"?\b", re.IGNORECASE)
DELETE = re.compile(r"\s*DELETE FROM \"?s\"?\.\"?t\"?\s", re.IGNORECASE)
COMMIT = re.compile(r"\s*COMMIT\b", re.IGNORECASE)

TABLES = "SELECT schema_name, table_name FROM duckdb_tables() ORDER BY ALL"
PG_TABLES = (
    "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('s', 'loader') ORDER BY 1, 2"
)


class Bench:
    """A warehouse behind an IO manager, what was asked of it, and ways to break it."""

    def __init__(self, manager: TableIOManager) -> None:
        self.manager = manager

    def asked(self) -> list[str]:
        """The statements it was sent since the last `forget`."""
        raise NotImplementedError

    def forget(self) -> None:
        """Forget the statements and fix what is broken."""
        raise NotImplementedError

    def fail(
        self, at: re.Pattern[str], how: Break = "refused", times: int = 1
    ) -> Callable[[], int]:
        """Break the next statements like this; what is returned tells how often that happened."""
        raise NotImplementedError

    def contents(self) -> dict[str, list[Row]]:
        """Every table, the ledger too, with all its rows."""
        raise NotImplementedError


@dataclass
class _Fault:
    at: re.Pattern[str]
    how: Break
    times: int
    fired: int = 0


class OnDuckDB(Bench):
    """A database file in a folder."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, specs: Path) -> None:
        self._database = folder / "warehouse.duckdb"
        self._asked: list[str] = []
        self._faults: list[_Fault] = []
        plain = DuckDBSession.execute

        def execute(session: DuckDBSession, sql: str) -> list[Row]:
            self._asked.append(sql)
            due = [f for f in self._faults if f.fired < f.times and f.at.match(sql)]
            for fault in due:
                fault.fired += 1
                if fault.how != "lost after":
                    raise ExecuteError("it broke", statement=sql, transient=fault.how != "refused")
            answer = plain(session, sql)
            if due:
                raise ExecuteError("the answer was lost", statement=sql, transient=True)
            return answer

        patch.setattr(DuckDBSession, "execute", execute)
        super().__init__(DuckDBIOManager(database=str(self._database), specs=str(specs)))

    def asked(self) -> list[str]:
        """What every session was told to run."""
        return list(self._asked)

    def forget(self) -> None:
        """Both are lists."""
        self._asked.clear()
        self._faults.clear()

    def fail(
        self, at: re.Pattern[str], how: Break = "refused", times: int = 1
    ) -> Callable[[], int]:
        """Raise what the driver's errors are made into."""
        fault = _Fault(at, how, times)
        self._faults.append(fault)
        return lambda: fault.fired

    def contents(self) -> dict[str, list[Row]]:
        """What the file holds."""
        if not self._database.exists():
            return {}
        with duckdb.connect(self._database, read_only=True) as connection:
            return {
                f"{schema}.{name}": sorted(
                    connection.execute(f'SELECT * FROM "{schema}"."{name}"').fetchall(), key=repr
                )
                for schema, name in connection.execute(TABLES).fetchall()
            }


def redshift_manager(stand_in: RedshiftStandIn, **options: Any) -> RedshiftIOManager:
    """A manager whose cluster is the stand-in."""
    return RedshiftIOManager(
        host=stand_in.host,
        port=str(stand_in.port),
        database=stand_in.database,
        user=stand_in.user,
        password=stand_in.password,
        region_name=stand_in.region,
        s3_iam_role=stand_in.iam_role,
        bucket_name=stand_in.bucket,
        ssl=False,
        **options,
    )


class OnRedshift(Bench):
    """The stand-in for Redshift and S3."""

    def __init__(self, stand_in: RedshiftStandIn, patch: pytest.MonkeyPatch, specs: Path) -> None:
        self._stand_in = stand_in
        # A COPY that is refused here has nothing to tell, so there is nothing to wait for.
        patch.setattr("loader.warehouse.redshift.copy_errors._DELAYS", (0.0,))
        super().__init__(redshift_manager(stand_in, specs=str(specs)))

    def asked(self) -> list[str]:
        """What the gateway saw."""
        return [statement.sql for statement in self._stand_in.statements]

    def forget(self) -> None:
        """Both are the stand-in's."""
        self._stand_in.statements.clear()
        self._stand_in.faults.clear()

    def fail(
        self, at: re.Pattern[str], how: Break = "refused", times: int = 1
    ) -> Callable[[], int]:
        """Have the stand-in do it."""
        faults = self._stand_in.faults
        match how:
            case "refused":
                rule = faults.add(at, "instead", Error("42501", "permission denied"), times)
            case "lost":
                rule = faults.add(at, "before", Drop(), times)
            case "lost after":
                rule = faults.add(at, "after", Drop(), times)
            case "cut":
                rule = faults.add(at, "before", CutCopy(3), times)
        return lambda: rule.fired

    def contents(self) -> dict[str, list[Row]]:
        """What PostgreSQL itself has committed."""
        return {
            f"{schema}.{name}": sorted(
                self._stand_in.query(f'SELECT * FROM "{schema}"."{name}"'), key=repr
            )
            for schema, name in self._stand_in.query(PG_TABLES)
        }


MakeBench = Callable[[Mapping[str, Any]], Bench]
"""Makes a warehouse for the specs of some tables, by file name."""


@pytest.fixture(params=TARGETS)
def make_bench(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> MakeBench:
    """Makes a warehouse of each kind, with the specs that its tables have."""

    def make(specs: Mapping[str, Any]) -> Bench:
        folder = tmp_path / "specs"
        folder.mkdir()
        for name, spec in specs.items():
            text = yaml.safe_dump(dict(spec), sort_keys=False, allow_unicode=True)
            (folder / f"{name}.yml").write_text(text, encoding="utf-8")
        if request.param == "redshift":
            return OnRedshift(request.getfixturevalue("stand_in"), monkeypatch, folder)
        return OnDuckDB(tmp_path, monkeypatch, folder)

    return make


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    """A Dagster instance in memory; one takes long to make, and runs do not see each other."""
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@dataclass(frozen=True)
class Run:
    """A run of Dagster's, once it is over."""

    result: dg.ExecuteInProcessResult

    @property
    def success(self) -> bool:
        """Whether every step of it succeeded."""
        return self.result.success

    @property
    def failures(self) -> list[str]:
        """What the `Failure` of each step that failed with one says."""
        found = []
        for event in self.result.all_events:
            data = event.step_failure_data.user_failure_data if event.is_step_failure else None
            if data is not None:
                found.append(str(data.description))
        return found

    @property
    def errors(self) -> list[str]:
        """The whole error of each step that failed."""
        found = []
        for event in self.result.all_events:
            error = event.step_failure_data.error if event.is_step_failure else None
            while error is not None and error.cause is not None:
                error = error.cause
            if error is not None:
                found.append(error.to_string())
        return found

    def steps(self, kind: dg.DagsterEventType) -> list[str]:
        """The steps that something happened to, each time it did."""
        events = self.result.all_events
        return [str(event.step_key) for event in events if event.event_type == kind]

    def told(self, key: str = "s/t") -> dict[str, dict[str, Any]]:
        """The metadata of each partition of an asset that was materialized."""
        asset = dg.AssetKey.from_user_string(key)
        return {
            str(event.partition): {
                name: entry.value
                for name, entry in event.step_materialization_data.materialization.metadata.items()
            }
            for event in self.result.get_asset_materialization_events()
            if event.asset_key == asset
        }


@dataclass
class Lab:
    """The asset ``s/t`` on a warehouse, and ``s/below``, which only runs when ``s/t`` is there."""

    bench: Bench
    instance: dg.DagsterInstance
    partitions: dg.PartitionsDefinition | None
    rows: Callable[[Sequence[str]], Sequence[Row]]
    """The rows of some partitions, as the asset returns them."""
    retry: dg.RetryPolicy | None = None
    backfill: dg.BackfillPolicy | None = None
    wrap: Callable[[pa.Table], Any] = lambda table: table
    """What the asset makes of its frame."""
    made: list[list[str]] = field(default_factory=list)
    """The partitions of each time that the asset's function was called."""
    below: int = 0
    """How often the asset downstream ran."""

    @property
    def spec(self) -> TableSpec:
        """The spec of the table under test."""
        return self.bench.manager.project.spec("s/t")

    def frame(self, rows: Sequence[Row]) -> pa.Table:
        """Rows as a frame with the columns that are staged."""
        schema = arrow_schema(self.spec.staged_columns())
        columns: Sequence[Any] = list(zip(*rows, strict=True)) if rows else [[] for _ in schema]
        arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
        return pa.Table.from_arrays(arrays, schema=schema)

    def assets(self) -> list[dg.AssetsDefinition]:
        """The two assets."""

        @dg.asset(
            key=["s", "t"],
            partitions_def=self.partitions,
            retry_policy=self.retry,
            backfill_policy=self.backfill,
        )
        def t(context: dg.AssetExecutionContext) -> Any:
            keys = [str(key) for key in context.partition_keys] if self.partitions else []
            self.made.append(keys)
            return self.wrap(self.frame(self.rows(keys)))

        @dg.asset(
            key=["s", "below"],
            deps=[t],
            partitions_def=self.partitions,
            backfill_policy=self.backfill,
        )
        def below() -> None:
            self.below += 1

        return [t, below]

    def run(self, start: str | None = None, end: str | None = None, **tags: str) -> Run:
        """Materialize one partition, a range of them, or the asset that has none."""
        if end is not None:
            assert start is not None
            tags = {RANGE_START: start, RANGE_END: end, **tags}
        return self.materialize(self.assets(), None if end is not None else start, tags)

    def succeed(self, start: str | None = None, end: str | None = None) -> Run:
        """A run that succeeds."""
        run = self.run(start, end)
        assert run.success, "\n".join(run.errors)
        return run

    def materialize(
        self,
        assets: Sequence[dg.AssetsDefinition],
        partition_key: str | None = None,
        tags: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Run:
        """Materialize some assets in this process."""
        result = dg.materialize(
            list(assets),
            instance=self.instance,
            resources={"io_manager": self.bench.manager},
            partition_key=partition_key,
            tags=dict(tags or {}),
            raise_on_error=False,
            run_config=QUIET,
            **options,
        )
        return Run(result)

    def held(self, key: str = "s/t") -> list[Row]:
        """The rows of the table, in some fixed order."""
        project = self.bench.manager.project
        frame: Any = project.read(project.spec(key), as_="arrow")
        return ordered(tuple(row.values()) for row in frame.to_pylist())

    def fill(self, rows: Sequence[Row]) -> None:
        """Replace the whole table, without Dagster."""
        self.bench.manager.project.load(self.spec, self.frame(rows), full_refresh=True)
        self.bench.forget()

    def changes(self) -> tuple[int, int]:
        """How many DELETE and COPY statements the table has seen."""
        asked = self.bench.asked()
        return (sum(bool(DELETE.match(s)) for s in asked), sum(bool(COPY.match(s)) for s in asked))


def ordered(rows: Any) -> list[Row]:
    """Rows as a set that tells how often each is there."""
    return sorted(rows, key=repr)


def backfill_runs(
    assets: Sequence[dg.AssetsDefinition], keys: Sequence[str], instance: dg.DagsterInstance
) -> Sequence[dg.RunRequest]:
    """The runs that Dagster's daemon makes of a backfill of partitions of ``s/t``."""
    from dagster._core.definitions.automation_tick_evaluation_context import (
        build_run_requests_with_backfill_policies,
    )
    from dagster._core.definitions.events import AssetKeyPartitionKey

    graph = dg.Definitions(assets=assets).resolve_asset_graph()
    asset = dg.AssetKey(["s", "t"])
    definition = graph.get(asset).partitions_def
    if isinstance(definition, dg.MultiPartitionsDefinition):
        keys = [definition.get_partition_key_from_str(key) for key in keys]
    wanted = [AssetKeyPartitionKey(asset, key) for key in keys]
    return build_run_requests_with_backfill_policies(wanted, graph, instance)
