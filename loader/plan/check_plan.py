"""The statements of checks: what each measures, and some of the rows that it counts."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from loader.plan.expectations import CheckHolds
from loader.plan.loading import Step
from loader.plan.model import Statement
from loader.plan.shown_columns import shown_columns, unclassified
from loader.spec.checks import TIME_UNITS, Check
from loader.spec.model import Column, TableSpec
from loader.spec.partitions import Slice
from loader.spec.typed_values import typed_bound, typed_value
from loader.sql.lexer import tokens
from loader.sql.regex import portable
from loader.sql.renderer import Renderer, Table


def check_step(spec: TableSpec, check: Check) -> Step:
    """The step that measures a check."""
    facts = check_facts(spec, check)
    if check.of_whole_table:
        facts["slice"] = None
    why = f"must be {check.expectation}"
    return Step(f"check {check.label}", why, "check", "check", facts, expects=CheckHolds(check))


def check_facts(spec: TableSpec, check: Check) -> dict[str, object]:
    """What the templates of checks use beside the table and the slice."""
    column = spec.by_name.get(check.column) if check.column else None
    facts: dict[str, object] = {
        "check": check,
        "type_name": column.data_type.name if column else None,
        "valid": (),
        "least": None,
        "most": None,
        "pattern": portable(check.pattern) if check.pattern else None,
        "other": None,
        "seconds": Decimal(TIME_UNITS.get(check.unit, 1)).quantize(Decimal("0.1")),
    }
    if column is not None:
        kind = column.data_type
        facts["valid"] = tuple(typed_value(kind, value) for value in check.valid_values)
        for fact, end in (("least", check.minimum), ("most", check.maximum)):
            facts[fact] = None if end is None else typed_bound(kind, end)
    if check.references is not None:
        schema = check.references.schema_name or spec.schema_name
        facts["other"] = Table(schema, check.references.table)
    return facts


def plan_sample(
    spec: TableSpec, renderer: Renderer, slice_: Slice | None, check: Check, limit: int
) -> Statement:
    """The SELECT of some rows that a check counts, with their `sample_columns`.

    For `duplicate_values`, it selects the duplicated values and their counts; for a query, what it
    returns.
    """
    facts: Mapping[str, object] = {
        "table": Table(spec.schema_name, spec.name),
        "slice": None if check.of_whole_table else slice_,
        "columns": sample_columns(spec, check),
        "keys": spec.primary_key,
        "limit": limit,
        **check_facts(spec, check),
    }
    rendered = renderer.render("check_sample", facts)
    return Statement(f"rows of {check.label}", rendered.sql, "sample of bad rows", rendered.path)


def sample_columns(spec: TableSpec, check: Check) -> tuple[Column, ...]:
    """The columns that are shown of a row that a check counts: key, checked columns, a few others.

    Columns with a classification are left out.
    """
    names = _checked_columns(spec, check)
    if check.metric == "duplicate_values":
        return unclassified(spec.by_name[name] for name in dict.fromkeys(names))
    return shown_columns(spec, names)


def _checked_columns(spec: TableSpec, check: Check) -> list[str]:
    """The columns of the metric, and those that its expression names."""
    pieces = tokens(check.expression) if check.expression else ()
    words = (
        piece.lower() if kind == "word" else piece[1:-1].replace('""', '"')
        for kind, piece in pieces
        if kind in ("word", "name")
    )
    return [*check.counted, *dict.fromkeys(word for word in words if word in spec.by_name)]
