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
    """How old the table may grow before Dagster says so."""

    fail: Duration
    """The age at which it counts as stale, such as `24h`."""
    warn: Duration | None = None
    """The age at which Dagster warns; less than `fail`."""


class OnCron(Model):
    """Materialize on a schedule."""

    on_cron: Annotated[
        StrictStr,
        Matching(r"\S+( \S+){4}|@[a-z]+", "a cron expression of five fields"),
    ]
    """A cron expression of five fields."""
    timezone: Zone = "UTC"
    """The zone in which the expression is read."""


class PartitionKeys(Model):
    """The partitions of one dimension: from a start on, some keys, or whatever keys come."""

    start: PartitionKey | None = None
    """With a grain: the first key."""
    end: PartitionKey | None = None
    """With a grain: the first key that is not among them any more; without it they go on."""
    end_offset: StrictInt = 0
    """With a grain: how many there are beyond the last complete one, such as 1 for today."""
    keys: tuple[PartitionKey, ...] = ()
    """Without a grain: all keys there are."""
    dynamic: StrictStr | None = Field(default=None, min_length=1)
    """Without a grain: the name of the dynamic partitions whose keys these are."""

    @model_validator(mode="after")
    def _complete(self) -> PartitionKeys:
        choices = ("start", "keys", "dynamic")
        given = [name for name in choices if getattr(self, name) not in (None, ())]
        if len(given) != 1:
            found = " and ".join(given) or "none of them"
            raise ValueError(
                f"has one of start (for windows of time), keys or dynamic; this has {found}"
            )
        if self.start is None and (self.end is not None or self.end_offset):
            raise ValueError("end and end_offset are for windows of time, which have a start")
        return self


class DagsterOptions(Model):
    """What only Dagster reads."""

    group: (
        Annotated[
            StrictStr,
            Matching(r"[A-Za-z0-9_]+(/[A-Za-z0-9_]+)*", "a group: letters, digits, _"),
        ]
        | None
    ) = None
    """The asset group."""
    kinds: tuple[StrictStr, ...] = Field(default=(), max_length=10)
    """Icons beside the asset."""
    freshness: Freshness | None = None
    """How old it may grow before Dagster says so."""
    automation: Literal["eager", "on_missing"] | OnCron | None = None
    """When Dagster materializes it: `eager`, `on_missing`, or `{on_cron: "0 * * * *"}`."""
    partitions: dict[StrictStr, PartitionKeys] = Field(default={})
    """Which partitions there are: dimension → `{start: "2013-01-01"}`, `{keys: [EWR, JFK]}` or
    `{dynamic: airports}`. Without a grain the default is dynamic."""
