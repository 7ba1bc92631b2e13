"""Settings of the session that a load runs in, and statements that a project adds to a load."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool, StrictInt, StrictStr

from loader.spec.fields import Duration, Matching, Model, duration_seconds

QueryGroup = Annotated[
    StrictStr,
    Field(min_length=1, max_length=320),
    Matching(
        r"(?:[^{}\0]|\{(?:load_id|asset_key|table)\})+",
        "text; {load_id}, {asset_key} and {table} are the only placeholders",
    ),
]


class SessionSettings(Model):
    """Parameters for the sessions of a target, or for the loads of a table. Redshift only."""

    query_group: QueryGroup | None = None
    """The label of the queries, by which WLM finds their queue, and `SYS_QUERY_HISTORY` the load
    (`query_label`). In a spec `{load_id}`, `{asset_key}` and `{table}` stand for those of the load.
    Where none is given, loads are labelled `loader {load_id}`."""
    statement_timeout: Duration | None = None
    """How long a statement may take, such as `30m`."""
    wlm_query_slot_count: StrictInt | None = Field(default=None, ge=1, le=50)
    """How many slots of its WLM queue a query takes."""
    enable_case_sensitive_identifier: StrictBool | None = None
    """Whether names in quotes keep their case."""
    enable_result_cache_for_session: StrictBool | None = None
    """Whether a query that was asked before is answered from the cache."""
    analyze_threshold_percent: StrictInt | None = Field(default=None, ge=0, le=100)
    """The share of changed rows from which ANALYZE does something."""

    def parameters(self) -> dict[str, str | int | bool]:
        """The parameters that are set, as SET takes them; times in milliseconds.

        >>> SessionSettings(statement_timeout="30m", query_group="etl").parameters()
        {'query_group': 'etl', 'statement_timeout': 1800000}
        """
        found: dict[str, Any] = self.model_dump(exclude_none=True)
        if self.statement_timeout is not None:
            found["statement_timeout"] = duration_seconds(self.statement_timeout) * 1_000
        return found

    @property
    def outside_loads(self) -> SessionSettings:
        """The settings of sessions without a load, to which a label of loads does not apply."""
        labels_loads = self.query_group is not None and "{" in self.query_group
        return self.model_copy(update={"query_group": None}) if labels_loads else self


class Hook(Model):
    """A statement of the project's own, before or after the rows are loaded."""

    template: Annotated[StrictStr, Matching(r"\w+", "the name of a template")]
    """The template of the statement, `analyze`, `refresh_view`, or one of the project's own below
    `templates/`. Where a warehouse's dialect lacks it, the hook is left out there."""
    when: Literal["before", "after"] = "after"
    """Before rows are deleted and copied, or after they are copied and checked."""
    transaction: Literal["inside", "outside"] = "inside"
    """In the load's transaction, where it is undone with it, or by itself: before BEGIN, or after
    COMMIT. What runs after COMMIT runs again when the load is run again with its id; when it
    fails, the load is committed all the same and says so."""
    values: Mapping[StrictStr, StrictStr] = Field(default={})
    """What the template may use as `values.NAME`, such as the name of a view."""


def select_hooks(hooks: tuple[Hook, ...], when: str, transaction: str) -> Iterator[Hook]:
    """Select the hooks of one place, in their order."""
    return (hook for hook in hooks if (hook.when, hook.transaction) == (when, transaction))
