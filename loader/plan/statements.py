"""Renders steps to statements; rejects statements that would end the transaction."""

from __future__ import annotations

import re
from collections.abc import Mapping

from loader.errors import TemplateError
from loader.plan.loading import Step
from loader.plan.model import Sample, Statement, Target, spec_hash, table_ledger
from loader.spec.model import TableSpec
from loader.sql.lexer import bare_words
from loader.sql.renderer import Rendered, Renderer, Table

_HARMLESS = re.compile(r"(?:COMMENT|COPY|DELETE|GRANT|INSERT|SELECT)\b")
"""The first words of most statements, none of which can commit."""


def statement_of(
    step: Step,
    spec: TableSpec,
    renderer: Renderer,
    facts: Mapping[str, object],
    *,
    inside: bool = True,
    when: str | None = None,
) -> Statement:
    """The statement of a step; ``inside`` says that it runs inside a transaction.

    Raises:
        TemplateError: its template is missing, broken, or would commit by itself.
    """
    own = spec.templates.get(step.template)  # type: ignore[call-overload]  # any name may be asked for
    rendered = renderer.render(step.template, {**facts, **step.facts}, own)
    sample = None
    if step.sample is not None:
        found = (statement_of(one, spec, renderer, facts) for one in step.sample.steps)
        shown = step.sample
        sample = Sample(tuple(found), shown.names, shown.involved, shown.title)
    if inside and (renderer.dialect.share or not _HARMLESS.match(rendered.sql)):
        _refuse_commits(rendered, renderer)
    return Statement(
        name=step.name,
        sql=rendered.sql,
        why=step.why,
        template=rendered.path,
        role=step.role,
        when=when,
        group=step.group,
        expects=step.expects,
        evolves=step.evolves,
        sample=sample,
        tries=step.tries,
    )


def _refuse_commits(rendered: Rendered, renderer: Renderer) -> None:
    words = bare_words(rendered.sql, backslash=renderer.dialect.backslash)
    reason = renderer.commits(words)
    if reason is not None:
        raise TemplateError(
            f"{rendered.path}: `{' '.join(words.split()[:3])}` may not run inside the load's"
            f" transaction: {reason}",
            hint="a load is one transaction: all of it happens, or nothing",
            place=(rendered.path, 0),
        )


def table_facts(spec: TableSpec, target: Target) -> dict[str, object]:
    """What every template of a table may use."""
    return {
        "table": Table(spec.schema_name, spec.name),
        "spec": spec,
        "primary_key": spec.primary_key,
        "dist": spec.dist,
        "sort": spec.sort,
        "sort_type": spec.sort_type,
        "slice": None,
        "asset_key": spec.asset_key,
        "strict": False,
        "ledger": Table(target.ledger_schema, "loads"),
        "table_ledger": table_ledger(target.ledger_schema, Table(spec.schema_name, spec.name)),
        "spec_hash": spec_hash(spec),
    }
