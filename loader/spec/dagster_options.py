"""The part of a table spec that only Dagster reads."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    Field,
    StrictInt,
    StrictStr,
    model_validator,
)

from loader.spec.fields import Duration, Matching, Model, PartitionKey, Zone


class Freshness(Model):
    """The maximum age of the table before Dagster reports it."""

    fail: Duration
    """The age at which it counts as stale, such as `24h`."""
    warn: Duration | None = None
    """The age at which Dagster warns; less than `fail`."""


Cron = Annotated[
    StrictStr,
    Matching(r"\S+( \S+){4}|@[a-z]+", "a cron expression of five fields"),
]


class OnCron(Model):
    """Materialize on a schedule."""

    on_cron: Cron
    """A cron expression of five fields."""
    timezone: Zone = "UTC"
    """The time zone of the expression."""


class PartitionKeys(Model):
    """The partitions of one dimension: time windows from a start, listed keys, or dynamic keys."""

    start: PartitionKey | None = None
    """With a grain: the first key."""
    end: PartitionKey | None = None
    """With a grain: the first key after the last partition; without it, there is no end."""
    end_offset: StrictInt = 0
    """With a grain: the number of partitions after the last complete one, such as 1 for today."""
    keys: tuple[PartitionKey, ...] = ()
    """Without a grain: all keys."""
    dynamic: StrictStr | None = Field(default=None, min_length=1)
    """Without a grain: the name of dynamic partitions."""

    @model_validator(mode="after")
    def _complete(self) -> PartitionKeys:
        choices = ("start", "keys", "dynamic")
        given = [name for name in choices if getattr(self, name) not in (None, ())]
        if len(given) != 1:
            found = " and ".join(given) or "none of them"
            raise ValueError(
                f"expected one of start (for time windows), keys or dynamic, found {found}"
            )
        if self.start is None and (self.end is not None or self.end_offset):
            raise ValueError("end and end_offset are for windows of time, which have a start")
        return self


class DagsterOptions(Model):
    """Options that only Dagster reads."""

    group: (
        Annotated[
            StrictStr,
            Matching(r"[A-Za-z0-9_]+(/[A-Za-z0-9_]+)*", "a group: letters, digits, _"),
        ]
        | None
    ) = None
    """The asset group."""
    kinds: tuple[StrictStr, ...] = Field(default=(), max_length=10)
    """The icons of the asset."""
    freshness: Freshness | None = None
    """The maximum age of the table before Dagster reports it."""
    automation: Literal["eager", "on_missing"] | OnCron | None = None
    """When Dagster materializes it: `eager`, `on_missing`, or `{on_cron: "0 * * * *"}`."""
    cron: Cron | None = None
    """When a schedule of its own materializes it: a cron expression of five fields."""
    timezone: Zone = "UTC"
    """The time zone of `cron`."""
    partitions: dict[StrictStr, PartitionKeys] = Field(default={})
    """The partitions: dimension → `{start: "2013-01-01"}`, `{keys: [EWR, JFK]}` or
    `{dynamic: airports}`. Without a grain the default is dynamic."""
