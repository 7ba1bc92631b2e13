"""Validates settings, specs and templates together: every error of any command, in one run."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress

from loader.errors import ConfigError, LoaderError, PlanError, Problem, SpecError, TemplateError
from loader.executor.context import make_target
from loader.plan.ledger_tables import check_no_ledger
from loader.plan.load_plan import plan_load
from loader.plan.model import LoadRequest, Target
from loader.plan.staging import can_load
from loader.project import Project
from loader.spec.catalog import Entry
from loader.sql.renderer import OWN, SUFFIX, Renderer
from loader.sql.templates import own_templates, unused_templates


def validate(project: Project, select: Sequence[str] = ()) -> tuple[list[str], list[Problem]]:
    """Validate settings, specs and templates.

    Returns:
        The asset keys of the validated specs, and all problems.

    Raises:
        PlanError: there are no specs, or ``select`` matches none.
        TemplateError: a template file cannot be read.
    """
    settings = project.config.check()
    try:
        entries, problems = _select_entries(project, select)
    except PlanError:
        if settings:  # they may name the wrong folder
            return [], settings
        raise
    problems = [*settings, *problems]
    templates = project.templates
    renderers = [
        Renderer(templates, adapter.dialect, clock=time.thread_time) for adapter in project.adapters
    ]
    custom = any(not template.path.startswith(OWN) for template in templates.values())
    for entry in entries:
        problems += entry.problems
        problems += _find_ledgers(entry, project)
        # Loader's own templates need no check: its tests prove that they render every valid spec.
        problems += _find_missing_hooks(entry, renderers)
        if entry.spec is not None and (custom or entry.spec.templates or entry.spec.hooks):
            for renderer in renderers:
                problems += _check_templates(entry, renderer)
    return [entry.name for entry in entries], list(dict.fromkeys(problems))


def _select_entries(project: Project, select: Sequence[str]) -> tuple[list[Entry], list[Problem]]:
    if not select:
        return list(project.catalog.some()), list(_find_unused_templates(project))
    try:
        return list(project.catalog.select(select)), []
    except SpecError as error:
        return [], list(error.problems)


def _find_unused_templates(project: Project) -> Iterator[Problem]:
    """The project's templates that no spec uses; none are reported while a spec is invalid."""
    entries = project.catalog.entries
    if all(entry.spec is not None for entry in entries):
        specs = [entry.spec for entry in entries if entry.spec]
        named = {file for spec in specs for file in spec.templates.values()}
        named |= {f"{hook.template}{SUFFIX}" for spec in specs for hook in spec.hooks}
        own = own_templates(*(adapter.templates for adapter in project.adapters))
        yield from unused_templates(project.templates, own, named)


def _find_ledgers(entry: Entry, project: Project) -> Iterator[Problem]:
    """Whether the table is the ledger of a target; wrong settings are told elsewhere."""
    if entry.spec is None:
        return
    for name in project.config.targets:
        with suppress(ConfigError):
            settings = project.config.settings(name, preview=True)
            target = make_target(project.config, settings, name)
            try:
                check_no_ledger(entry.spec, project.renderer(name), target)
            except PlanError as error:
                yield Problem(error.message, hint=error.hint, path=entry.shown)


def _find_missing_hooks(entry: Entry, renderers: Sequence[Renderer]) -> Iterator[Problem]:
    for hook in entry.spec.hooks if entry.spec is not None else ():
        if not any(renderer.has(hook.template) for renderer in renderers):
            message = f"hooks: there is no template `{hook.template}{SUFFIX}`"
            hint = "put it below `templates/`, in the folder of a dialect or in `ansi`"
            yield Problem(message, hint=hint, path=entry.shown)


def _check_templates(entry: Entry, renderer: Renderer) -> Iterator[Problem]:
    if entry.spec is None:
        return
    dialect = renderer.dialect.name
    if not can_load(renderer, entry.spec.staging.format):
        return  # the table is of other warehouses, and a plan for this one says so
    ledger = f"{entry.spec.schema_name}_ledger"  # whatever the targets say, not the table itself
    target = Target("validate", dialect, "staging", ledger, "role")
    # Verifying values and verifying counts use different templates.
    for spec in (entry.spec, entry.spec.model_copy(update={"verify": "counts"})):
        try:
            plan_load(spec, renderer, target, LoadRequest())
        except LoaderError as error:
            place = error.place if isinstance(error, TemplateError) else ("", 0)
            message = f"{error.message} ({dialect})"
            yield Problem(message, hint=error.hint, path=entry.shown, template=place)
