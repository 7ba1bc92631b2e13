"""The interface between `loader doctor` and the steps of a warehouse."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeVar

from loader.spec.model import TableSpec
from loader.sql.renderer import Renderer, Table
from loader.staging.stores.base import Store
from loader.warehouse.base import Row, Session
from loader.warehouse.settings import TargetSettings

S = TypeVar("S", bound=TargetSettings)

Status = Literal["ok", "warning", "failed", "skipped"]

AGAIN = "fix this, then run `loader doctor` again"


@dataclass(frozen=True)
class StepResult:
    """The result of a step."""

    detail: str
    status: Status = "ok"
    hint: str | None = None


CommonCheck = Literal[
    "settings",
    "time zone",
    "schemas",
    "ledger",
    "temporary tables",
    "list",
    "write file",
    "read file",
    "delete file",
    "copy",
]
"""Checks in `loader.doctor.checks` that every warehouse can use."""


@dataclass(frozen=True)
class Step:
    """One step of an examination; it is skipped unless the steps it needs have passed."""

    name: str
    check: CommonCheck | Callable[[Any], StepResult]
    """A common check, or a method of the warehouse's `Doctor`."""
    needs: tuple[str, ...] = ("settings",)


TrialStatus = Literal["holds", "differs", "not allowed"]


@dataclass(frozen=True)
class Trial:
    """One thing that Loader relies on, tried in a schema that is dropped afterwards."""

    area: str
    name: str
    run: Callable[[Any], str]
    """Tries it in a `ScratchSchema`, and returns what it has seen. Raises `DiffersError`; any
    other error is a finding too."""


class DiffersError(Exception):
    """A trial has seen something else than Loader relies on."""


class ScratchSchema(Protocol):
    """The schema of the trials, as a warehouse's own trials use it."""

    schema: str

    @property
    def examination(self) -> Examination:
        """The examination of the target."""

    @property
    def renderer(self) -> Renderer:
        """The target's templates."""

    def session(self) -> AbstractContextManager[Session]:
        """Open a new session."""

    def run(self, session: Session, template: str, **facts: object) -> list[Row]:
        """Render a template and run its statement."""

    def table(self, name: str) -> Table:
        """A table of the schema."""

    def count(self, session: Session, name: str) -> int:
        """The rows of a table, as a session sees them."""

    def spec(
        self, name: str, columns: Mapping[str, str | Mapping[str, Any]], **keys: Any
    ) -> TableSpec:
        """The spec of a table: column → data type or all its keys, and further keys of the spec."""

    def load(self, spec: TableSpec, rows: Sequence[Mapping[str, object]]) -> object:
        """Load rows, as projects do."""

    def write_ledger(self, session: Session, spec: TableSpec) -> None:
        """Write a row to the ledger that all tables share."""


class Examination(Protocol):
    """The context that the steps of one examination share."""

    token: str
    """The unique id of this examination."""
    prefix: str
    """Key prefix of its files in the staging location."""

    @property
    def root(self) -> Path:
        """The project's folder."""

    @property
    def store(self) -> Store:
        """The staging location."""

    @property
    def renderer(self) -> Renderer:
        """The target's templates."""

    @property
    def spec(self) -> TableSpec:
        """The spec of a table that is never created, with write disposition merge."""

    @property
    def stage_table(self) -> Table:
        """The temporary table into which the common check ``copy`` loads a row."""

    @property
    def row(self) -> tuple[int, str]:
        """That row."""

    def session(self) -> Session:
        """The session; reconnects when it was lost."""

    def run(self, template: str, **facts: object) -> list[Row]:
        """Run the statement of a template."""

    def rolled_back(self) -> AbstractContextManager[None]:
        """A transaction that is always rolled back at its end."""

    def removed(self, prefix: str) -> AbstractContextManager[None]:
        """A context that removes all files below a key at its end."""

    def write_ledger(self, schema: str) -> None:
        """Write a row to the ledger in a schema."""


class Doctor(Generic[S]):
    """The steps that examine targets of one warehouse."""

    steps: ClassVar[Sequence[Step]]
    """The steps in order; the first one is the common check ``settings``."""

    trials: ClassVar[Sequence[Trial]] = ()
    """What is tried besides the trials of every warehouse."""

    reads: ClassVar[Mapping[str, Mapping[str, object]]] = {"SELECT": {}}
    """The ways to read a table: name → the settings that choose it."""

    def __init__(self, examination: Examination, settings: S) -> None:
        self.examination = examination
        self.settings = settings

    def connection_settings(self) -> S:
        """The settings to connect with."""
        return self.settings

    @property
    def location(self) -> str:
        """The staging location of loads: an absolute path, or a URL."""
        return self.settings.staging.rstrip("/")

    def close(self) -> None:
        """Remove what the steps have created; called once, after the session is closed."""
