"""What runs do in Dagster: which load is theirs, what is not tried again, what materializes."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import dagster as dg

_RETRIED_BY = "dagster/auto_retry_run_id"
"""The tag of a failed run with the id of the run that Dagster's run retries started for it."""

_RETRY_FAILED_STEPS = "dagster/retry_on_asset_or_op_failure"
"""The tag that decides whether run retries start another run after a failed step."""


def first_run_id(context: dg.OutputContext) -> str:
    """The run whose load this step does, or does again: the first one that tried it.

    A run retry, and a step that is re-executed after it failed, do the load of the run before. A
    step that succeeded, and a run that is re-executed as a whole, are loads of their own.
    """
    with suppress(Exception):  # there is no public API for it; contexts may belong to no run
        step: Any = context.step_context
        run = step.dagster_run
        while run.parent_run_id:
            parent = step.instance.get_run_by_id(run.parent_run_id)
            if parent is None:  # deleted, and with it what it has done
                return run.root_run_id or run.run_id
            if not _tries_again(step.instance, run, parent, step.step.key):
                break
            run = parent
        return run.run_id
    return context.run_id


def _tries_again(instance: dg.DagsterInstance, run: Any, parent: Any, step_key: str) -> bool:
    """Whether a run tries a step of its parent again."""
    if parent.tags.get(_RETRIED_BY) == run.run_id:
        return True
    # `From failure` selects steps, or assets with a tag; a run of all steps selects none.
    selects = run.step_keys_to_execute or run.tags.get("dagster/is_asset_resume_retry") == "true"
    if not selects:
        return False
    stats = instance.get_run_step_stats(parent.run_id, [step_key])
    return not any(one.status is not None and one.status.value == "SUCCESS" for one in stats)


def forbid_run_retries(
    context: dg.OutputContext | dg.InputContext | dg.AssetExecutionContext,
) -> None:
    """Mark the run of a step, whose error is permanent, so that run retries leave it alone.

    A run whose process died is still retried.
    """
    with suppress(Exception):  # without a run there is nothing to mark
        if isinstance(context, dg.OutputContext | dg.InputContext):
            instance, run_id = context.step_context.instance, context.step_context.run_id
        else:
            instance, run_id = context.instance, context.run.run_id
        if instance.run_retries_enabled:
            instance.add_run_tags(run_id, {_RETRY_FAILED_STEPS: "false"})


def not_materialized(context: dg.OutputContext) -> bool:
    """Let Dagster record no materialization of an output, whose step succeeds all the same.

    Returns:
        False if this version of Dagster cannot do that.
    """
    # Without its key Dagster takes the output for one of an op that is no asset.
    context._asset_key = None  # there is no public way; whether it worked is seen below
    return not context.has_asset_key
