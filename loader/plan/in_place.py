"""The steps of a load of files in place: they are copied, and checked as staging checks rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from loader.plan.check_plan import check_facts
from loader.plan.expectations import LINES as LINES_COPIED
from loader.plan.expectations import STAGED, BadValue, NoBadValues, Number, RowCount, Zero
from loader.plan.loading import FIELDS, LINES, STAGE, Loading, Step, StepSample
from loader.plan.shown_columns import shown_columns, unclassified
from loader.plan.text_files import TextFiles
from loader.plan.text_patterns import text_pattern
from loader.spec.checks import Check
from loader.spec.model import Column
from loader.sql.datatypes import MAX_VARCHAR, ROOMY_VARBYTE, DataType
from loader.sql.lexer import tokens
from loader.sql.renderer import Table

SAMPLES = 5
"""The most rows that are shown."""

_CUT = 4
"""More bytes than a type takes, by which a value that was cut is still seen to be too long."""

_FIELD = DataType("varchar", (256,))
"""Of text that is cast to another type; the patterns of types match less."""

_PER_STATEMENT = 1_000
"""Kinds of bad values that one statement counts: Redshift allows 1,600 columns in a SELECT."""


def copy(loading: Loading, target: Table) -> Iterator[Step]:
    """The steps that copy files from where they lie into the table, or into the stage."""
    files = loading.in_place
    assert files is not None
    if files.text is not None:
        yield from _read_text(loading, files.text)
        yield _insert_fields(loading, target)
    elif goes_through_stage(loading) and target != STAGE:
        why = "rows are checked before they are inserted into the table"
        if files.order:
            why = "COPY goes by position, and the files have their columns in another order"
        yield _create_stage(loading, why)
        yield from _copy_parquet(loading, STAGE)
        yield from _look_for_bad_values(loading, STAGE, _bad_values(loading))
        yield Step("insert the rows", "by name", "merge_insert", facts={"stage": STAGE})
    else:
        yield from _copy_parquet(loading, target)


def goes_through_stage(loading: Loading) -> bool:
    """Whether Parquet files cannot be copied into the table itself."""
    files = loading.in_place
    return files is not None and files.text is None and bool(files.order or files.may_be_null)


def check(loading: Loading, target: Table) -> Iterator[Step]:
    """The steps that check what was not checked while the files were copied."""
    files = loading.in_place
    if files is None or loading.rows == 0:
        return
    if target == STAGE and loading.slice:
        why = f"all rows must be in {loading.where}"
        hint = loading.outside_hint
        expects = RowCount((STAGED,), "rows are in the slice", hint_if_fewer=hint)
        name, facts = "count the rows of the slice", {"table": STAGE}
        sample = outside_sample(loading, STAGE)
        yield Step(name, why, "count", "count", facts, expects=expects, sample=sample)
    if loading.slice and loading.slice.compares_text:
        yield _look_for_other_spellings(loading, target)
    if files.text is None and not (goes_through_stage(loading) and target != STAGE):
        yield from _look_for_bad_values(loading, target, _bad_values(loading))


def outside_sample(loading: Loading, target: Table) -> StepSample | None:
    """How rows outside the slice are found: in the stage, since the table may have its own."""
    if loading.in_place is None or loading.slice is None:
        return None
    involved = _columns_of_slice(loading)
    columns = shown_columns(loading.spec, involved, loading.columns)
    facts = {"target": STAGE, "columns": columns, "limit": SAMPLES}
    steps = [Step("rows outside the slice", "", "outside_rows", facts=facts)]
    if target != STAGE and not goes_through_stage(loading):
        fill = (
            _insert_fields(loading, STAGE)
            if loading.in_place.text
            else next(_copy_parquet(loading, STAGE))
        )
        steps = [_create_stage(loading, ""), fill, *steps]
    names = tuple(column.name for column in columns)
    return StepSample(tuple(steps), names, involved, "outside the slice, for example")


def repeated_sample(loading: Loading, target: Table) -> StepSample:
    """How primary keys are found that several rows have, with their number."""
    spec, keys = loading.spec, loading.spec.primary_key
    columns = unclassified(spec.by_name[name] for name in keys)
    facts = {
        **target_facts(target),
        **check_facts(spec, Check(metric="duplicate_values", columns=keys, must_be=0)),
        "table": target,
        "columns": columns,
        "limit": SAMPLES,
    }
    step = Step("rows with the same key", "", "check_sample", facts=facts)
    return StepSample((step,), (*(column.name for column in columns), "rows"), keys)


def target_facts(target: Table) -> dict[str, object]:
    """The facts for a query of the table's slice, or of the whole stage table."""
    return {"target": target, "slice": None} if target == STAGE else {"target": target}


def _look_for_other_spellings(loading: Loading, target: Table) -> Step:
    expects = Zero(
        f"the files of {loading.spec.table} have <count> with another spelling of a key of the"
        f" slice {loading.slice}",
        "row",
        "the warehouse treats both as equal: it ignores trailing blanks, or the collation"
        " ignores case",
        f"give {loading.expressions} one spelling in the files",
    )
    why = "a key must be the text that was asked for, and not one that compares equal"
    name, facts = "look for other spellings in the rows", {"table": target}
    return Step(name, why, "spellings", "verify", facts, expects=expects)


def _columns_of_slice(loading: Loading) -> tuple[str, ...]:
    """The columns that the partition expressions are about."""
    words = {
        text.strip('"').lower()
        for dimension in loading.spec.dimensions
        for kind, text in tokens(dimension.expr)
        if kind in ("word", "name")
    }
    return tuple(name for name in loading.spec.by_name if name in words)


def _create_stage(loading: Loading, why: str) -> Step:
    facts = {"stage": STAGE, "columns": loading.staged_order}
    return Step("create the stage", why, "create_stage", facts=facts)


# Parquet


def _copy_parquet(loading: Loading, target: Table) -> Iterator[Step]:
    columns = loading.staged_order if target == STAGE else loading.columns
    facts = {"target": target, "columns": columns}
    why, template = "load the files from where they lie", loading.copy_in_place
    copied = RowCount((STAGED,), "rows were loaded", "staged", optional=True)
    sample = _bad_values_sample(loading)
    yield Step("copy", why, template, "copy", facts, expects=copied, sample=sample)
    if loading.counts_copied:
        why = "COPY must have loaded exactly the rows of the files"
        expects = RowCount((STAGED,), "rows were loaded", "staged")
        yield Step("count copied rows", why, "copied", "count", expects=expects)


def _bad_values_sample(loading: Loading) -> StepSample | None:
    """How rows are found that a COPY stops at: by one into a table that takes them."""
    bad = _bad_values(loading)
    columns = unclassified(loading.columns)
    if not bad or not columns:
        return None
    wide = tuple(map(_widen, loading.staged_order))
    facts: dict[str, object] = {"stage": STAGE, "columns": wide}
    copied = {"target": STAGE, "columns": loading.staged_order}
    found = {**target_facts(STAGE), "bad_values": bad, "columns": columns, "limit": SAMPLES}
    steps = (
        Step("create the stage", "", "create_stage", facts=facts),
        Step("copy", "", loading.copy_in_place, "copy", copied),
        Step("rows with bad values", "", "bad_rows", facts=found),
    )
    return StepSample(steps, tuple(column.name for column in columns))


def _widen(column: Column) -> Column:
    most = {"varchar": MAX_VARCHAR, "varbyte": ROOMY_VARBYTE}.get(column.data_type.name)
    if most is None:
        return column
    return column.model_copy(update={"data_type": DataType(column.data_type.name, (most,))})


def _bad_values(loading: Loading) -> list[BadValue]:
    """What staging would not let through, of Parquet files."""
    assert loading.in_place is not None
    nulls = loading.in_place.may_be_null
    return [
        bad
        for column in loading.columns
        for bad in (
            *([_null(column)] if column.name in nulls else []),
            *([_long(column)] if column.data_type.name in ("varchar", "varbyte") else []),
        )
    ]


def _null(column: Column) -> BadValue:
    return BadValue(column.name, column.data_type, "null", "NULL in a NOT NULL column")


def _long(column: Column) -> BadValue:
    problem = f"longer than the {column.data_type.length:,} bytes of {column.data_type}"
    return BadValue(column.name, column.data_type, "long", problem)


def _look_for_bad_values(
    loading: Loading, target: Table, bad: Sequence[BadValue], *, tries: bool = False
) -> Iterator[Step]:
    columns = unclassified(loading.columns)
    names = tuple(column.name for column in columns)
    for start in range(0, len(bad), _PER_STATEMENT):
        values = tuple(bad[start : start + _PER_STATEMENT])
        facts = {**target_facts(target), "bad_values": values}
        if target == FIELDS:
            facts["slice"] = None
        sample_facts = {**facts, "columns": columns, "limit": SAMPLES}
        found = Step("rows with bad values", "", "bad_rows", facts=sample_facts)
        yield Step(
            "look for bad values",
            "values must be what staging would let through",
            "bad_values",
            "verify",
            facts,
            expects=NoBadValues(values),
            sample=StepSample((found,), names) if names else None,
            tries=tries,
        )


# Text


def _read_text(loading: Loading, text: TextFiles) -> Iterator[Step]:
    """The steps that read the lines of files, and split them into fields that are still text."""
    facts: Mapping[str, object] = {"text_files": text, "lines": LINES}
    why = "whole lines: what splits them is below"
    yield Step("read the lines", why, "create_lines", facts=facts, tries=True)
    if loading.counts_copied:
        yield Step("copy the lines", why, "copy_lines", "copy", facts, tries=True)
        why = "all lines that COPY has read must be there"
        expects = Number(LINES_COPIED)
        yield Step("count copied lines", why, "copied", "count", expects=expects)
        counted = RowCount((LINES_COPIED,), "lines are there", "copied")
        count = {"table": LINES, "slice": None}
        yield Step("count the lines", why, "count", "count", count, expects=counted)
    yield _look_for_bad_lines(loading, text, facts)
    kind = text.format.upper()
    yield Step(
        "create the fields",
        "as text, since casts round and guess",
        "create_stage",
        facts={"stage": FIELDS, "columns": tuple(map(_as_text, loading.columns))},
    )
    types = {column.name: column.data_type for column in map(_as_text, loading.columns)}
    facts = {**facts, "fields": FIELDS, "types": types}
    why = f"by the rules of {kind}, which the lines above were held against"
    split = RowCount((STAGED,), "rows were split", optional=True)
    name, template = "split the lines", f"split_{text.format}"
    yield Step(name, why, template, "write", facts, expects=split, tries=True)
    yield Step("drop the lines", "no longer needed", "drop_lines", facts={"lines": LINES})
    bad = [one for column in loading.columns for one in _bad_fields(text, column)]
    yield from _look_for_bad_values(loading, FIELDS, bad, tries=True)


def _look_for_bad_lines(loading: Loading, text: TextFiles, facts: Mapping[str, object]) -> Step:
    number = f"{text.fields} fields" if text.format == "csv" else "the keys of the table"
    line = BadValue("", _FIELD, "line", f"lines are not {text.format.upper()} with {number}")
    bad = [line]
    if text.format == "json":
        for column in loading.columns:
            types = text.json_types(column)
            problem = f"not read exactly as {column.data_type} by a JSON parser"
            bad.append(BadValue(column.name, column.data_type, "json type", problem, types=types))
    facts = {**facts, "bad_values": tuple(bad), "slice": None}
    sample = None
    if not loading.spec.classified:
        found = Step("bad lines", "", "bad_lines", facts={**facts, "limit": SAMPLES})
        sample = StepSample((found,), ("line",))
    return Step(
        "look for bad lines",
        "each line must be a row",
        "count_bad_lines",
        "verify",
        facts,
        expects=NoBadValues(tuple(bad), counts_rows=True),
        sample=sample,
        tries=True,
    )


def _as_text(column: Column) -> Column:
    """The column as text, a little longer than its values may be."""
    kind = _FIELD
    if column.data_type.name == "varchar":
        kind = DataType("varchar", (min(column.data_type.length + _CUT, MAX_VARCHAR),))
    return column.model_copy(update={"data_type": kind})


def _bad_fields(text: TextFiles, column: Column) -> Iterator[BadValue]:
    kind = column.data_type
    if not column.nullable:
        yield _null(column)
    if kind.name == "varchar":
        yield _long(column)
        return
    pattern = text_pattern(kind, text.decimal)
    assert pattern is not None, "see `find_text_obstacles`"
    problem = f"not read exactly as {kind} by a cast"
    yield BadValue(column.name, kind, "pattern", problem, pattern)


def _insert_fields(loading: Loading, target: Table) -> Step:
    text = loading.in_place.text if loading.in_place else None
    facts = {"text_files": text, "fields": FIELDS, "target": target}
    inserted = RowCount((STAGED,), "rows were inserted", optional=True)
    why = "every field matches the pattern of its type, so that no cast changes a value"
    return Step("insert the rows", why, "insert_fields", "write", facts, expects=inserted)
