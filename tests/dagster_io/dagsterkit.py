"""What the tests of the IO managers share: specs, a database, an instance of Dagster's, runs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import dagster as dg
import duckdb
import pytest
import yaml

from loader.dagster_io import DuckDBIOManager
from loader.warehouse.duckdb.driver import DuckDBSession

Row = tuple[Any, ...]
Make = Callable[[dg.AssetExecutionContext], Any]
"""Makes what an asset returns."""

UNSAID: Any = object()
"""No annotation at all."""

RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")

STEP_EVENTS = (
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.STEP_UP_FOR_RETRY,
    dg.DagsterEventType.STEP_SKIPPED,
    dg.DagsterEventType.STEP_SUCCESS,
)


@dataclass(frozen=True)
class Failed:
    """A run that a `Failure` of the IO manager ended."""

    failure: dg.Failure
    run_id: str
    steps: Mapping[str, Sequence[dg.DagsterEventType]]
    """What became of each step."""

    @property
    def text(self) -> str:
        """What it says."""
        return str(self.failure.description)

    @property
    def metadata(self) -> dict[str, Any]:
        """What it has besides, as plain values."""
        return {name: value.value for name, value in self.failure.metadata.items()}

    @property
    def problems(self) -> list[dict[str, Any]]:
        """The rows of its table of what is wrong."""
        return [dict(record.data) for record in self.failure.metadata["problems"].records]  # type: ignore[attr-defined]  # a table


@dataclass
class Bench:
    """A folder with specs and a DuckDB file, and an instance that keeps the runs of a test."""

    folder: Path
    instance: dg.DagsterInstance = field(default_factory=dg.DagsterInstance.ephemeral)

    def __enter__(self) -> Self:
        self.specs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.instance.dispose()

    @property
    def database(self) -> Path:
        """The database file."""
        return self.folder / "warehouse.duckdb"

    @property
    def specs(self) -> Path:
        """The folder of the specs."""
        return self.folder / "specs"

    def spec(self, key: str = "s/t", *, file: str | None = None, **spec: Any) -> Path:
        """Declare the table of an asset; columns as name → type, or name → settings."""
        schema, _, name = key.rpartition("/")
        columns = [
            {"name": column, **(kind if isinstance(kind, Mapping) else {"data_type": kind})}
            for column, kind in spec.pop("columns", {"id": "integer", "v": "varchar(40)"}).items()
        ]
        data = {"schema": schema or "s", "name": name, "asset_key": key, **spec, "columns": columns}
        return self.write(file or f"{data['schema']}.{data['name']}.yml", data)

    def write(self, file: str, data: str | Mapping[str, Any]) -> Path:
        """Write a spec file as it is."""
        path = self.specs / file
        path.parent.mkdir(parents=True, exist_ok=True)
        text = data if isinstance(data, str) else yaml.safe_dump(dict(data), sort_keys=False)
        path.write_text(text, encoding="utf-8")
        return path

    def manager(self, **changes: Any) -> DuckDBIOManager:
        """An IO manager of this bench; every run has one of its own."""
        given = {"database": str(self.database), "specs": str(self.specs), **changes}
        return DuckDBIOManager(**given)

    def run(
        self,
        *assets: Any,
        key: str | None = None,
        keys: tuple[str, str] | None = None,
        manager: Any = None,
        resources: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> dg.ExecuteInProcessResult:
        """Materialize assets: without partitions, for a key, or for a range in a single run."""
        tags = dict(zip(RANGE, keys, strict=True)) if keys else None
        return dg.materialize(
            list(assets),
            partition_key=key,
            tags=tags,
            resources={"io_manager": manager or self.manager(), **(resources or {})},
            instance=self.instance,
            **options,
        )

    def fails(self, *assets: Any, **options: Any) -> Failed:
        """Materialize assets in vain: one step ends, at its first attempt, in our `Failure`."""
        with pytest.raises(dg.Failure) as caught:
            self.run(*assets, **options)
        assert caught.value.allow_retries is False
        run = self.instance.get_runs(limit=1)[0]
        found = self.steps(run.run_id)
        failed = [step for step in found if dg.DagsterEventType.STEP_FAILURE in found[step]]
        assert len(failed) == 1, found
        return Failed(caught.value, run.run_id, found)

    def steps(self, run_id: str) -> dict[str, list[dg.DagsterEventType]]:
        """What became of each step of a run."""
        found: dict[str, list[dg.DagsterEventType]] = {}
        for entry in self.instance.all_logs(run_id):
            event = entry.dagster_event
            if event is not None and event.event_type in STEP_EVENTS and event.step_key:
                found.setdefault(event.step_key, []).append(event.event_type)
        return found

    def sql(self, *statements: str) -> list[Row]:
        """Do something to the database behind everybody's back; the rows of the last statement."""
        rows: list[Row] = []
        with duckdb.connect(str(self.database)) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            for statement in statements:
                rows = connection.execute(statement).fetchall()
        return rows

    def rows(self, table: str = "s.t") -> list[Row]:
        """What a table holds, in some fixed order."""
        return sorted(self.sql(f"SELECT * FROM {table}"), key=repr)

    def types(self, table: str = "s.t") -> dict[str, str]:
        """The live types of a table's columns."""
        return {row[0]: row[1] for row in self.sql(f"DESCRIBE {table}")}

    def metadata(self, result: dg.ExecuteInProcessResult, key: str = "s/t") -> dict[str, Any]:
        """The metadata of an asset's one materialization, as plain values."""
        (found,) = self.by_partition(result, key).values()
        return found

    def observed(self, result: dg.ExecuteInProcessResult) -> dict[str, Any]:
        """The metadata of the one observation of a run, as plain values."""
        (event,) = result.get_asset_observation_events()
        found = event.asset_observation_data.asset_observation.metadata
        return {name: value.value for name, value in found.items()}

    def by_partition(
        self, result: dg.ExecuteInProcessResult, key: str = "s/t"
    ) -> dict[str | None, dict[str, Any]]:
        """The metadata of an asset's materializations, by partition."""
        made = [event.step_materialization_data.materialization for event in _made(result)]
        return {
            one.partition: {name: value.value for name, value in one.metadata.items()}
            for one in made
            if one.asset_key == dg.AssetKey(key.split("/"))
        }


def _made(result: dg.ExecuteInProcessResult) -> list[dg.DagsterEvent]:
    return list(result.get_asset_materialization_events())


def made(make: Make, key: str = "s/t", **options: Any) -> dg.AssetsDefinition:
    """An asset that returns what ``make`` makes."""

    def asset(context: dg.AssetExecutionContext) -> Any:
        return make(context)

    # Dagster takes no text for this one, and no `Any` of what may be an `Output`.
    asset.__annotations__.update(context=dg.AssetExecutionContext)
    del asset.__annotations__["return"]
    return dg.asset(key=key.split("/"), **options)(asset)


def several(make: Make, *keys: str, **options: Any) -> dg.AssetsDefinition:
    """An op of several assets, whose keys may be any text; ``make`` makes one value for each."""

    def assets(context: dg.AssetExecutionContext) -> Any:
        yield from (dg.Output(value, f"o{at}") for at, value in enumerate(make(context)))

    assets.__annotations__.update(context=dg.AssetExecutionContext)
    del assets.__annotations__["return"]
    outs = {f"o{at}": dg.AssetOut(key=key.split("/")) for at, key in enumerate(keys)}
    return dg.multi_asset(outs=outs, **options)(assets)


def returning(value: Any, key: str = "s/t", **options: Any) -> dg.AssetsDefinition:
    """An asset that returns a value."""
    return made(lambda _: value, key, **options)


@dataclass
class Reader:
    """An asset downstream, and what its input was."""

    asset: dg.AssetsDefinition
    seen: list[Any]

    @property
    def value(self) -> Any:
        """What the last run was handed."""
        return self.seen[-1]


def reader(
    annotation: Any = UNSAID,
    key: str = "s/t",
    *,
    use: Callable[[Any], Any] = lambda value: value,
    metadata: Mapping[str, Any] | None = None,
    mapping: dg.PartitionMapping | None = None,
    **options: Any,
) -> Reader:
    """An asset that reads another one and returns nothing; ``use`` is done while it runs."""
    seen: list[Any] = []

    def downstream(upstream: Any) -> None:
        seen.append(use(upstream))

    del downstream.__annotations__["upstream"]
    if annotation is not UNSAID:
        downstream.__annotations__["upstream"] = annotation
    upstream = dg.AssetIn(
        dg.AssetKey(key.split("/")),
        metadata=dict(metadata) if metadata else None,
        partition_mapping=mapping,
    )
    return Reader(dg.asset(ins={"upstream": upstream}, **options)(downstream), seen)


@contextlib.contextmanager
def breaking(sql: str, error: Callable[[], BaseException], times: int = 1) -> Iterator[list[str]]:
    """DuckDB fails at the next ``times`` statements that contain a text; the list has them."""
    execute = DuckDBSession.execute
    failed: list[str] = []

    def broken(self: DuckDBSession, statement: str) -> list[Row]:
        if sql in statement and len(failed) < times:
            failed.append(statement)
            raise error()
        return execute(self, statement)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DuckDBSession, "execute", broken)
        yield failed
