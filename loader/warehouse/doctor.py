"""What a warehouse adds to `loader doctor`: its steps, in order, and what they work with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    """What a step found."""

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
"""Checks that every warehouse can have, of `loader.doctor.checks`."""


@dataclass(frozen=True)
class Step:
    """One step of an examination, and the steps without which it is skipped."""

    name: str
    check: CommonCheck | Callable[[Any], StepResult]
    """One of the common checks, or a method of the warehouse's own `Doctor`."""
    needs: tuple[str, ...] = ("settings",)


class Examination(Protocol):
    """What the steps of one examination share."""

    token: str
    """Tells this examination from all others."""
    prefix: str
    """Key of the folder in the staging location that its files go to."""

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
        """A table that is never made, and whose rows would be merged."""

    @property
    def stage_table(self) -> Table:
        """The temporary table that the common check ``copy`` leaves its row in."""

    @property
    def row(self) -> tuple[int, str]:
        """That row."""

    def session(self) -> Session:
        """The session, opened again when it was lost."""

    def run(self, template: str, **facts: object) -> list[Row]:
        """Run the statement of a template."""

    def rolled_back(self) -> AbstractContextManager[None]:
        """A transaction that is rolled back at its end, whatever happens in it."""

    def removed(self, prefix: str) -> AbstractContextManager[None]:
        """A block whose files below a key are removed at its end, whatever happens in it."""

    def write_ledger(self, schema: str) -> None:
        """Write a row to the ledger in a schema."""


class Doctor(Generic[S]):
    """How the targets of one warehouse are examined."""

    steps: ClassVar[Sequence[Step]]
    """In their order; the first one is the common check ``settings``."""

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
        """Remove what the steps have left; called once, after the session is closed."""
