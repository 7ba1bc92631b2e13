"""The steps of each write disposition inside the transaction: templates and their facts.

A new disposition needs one function here, its name in ``TableSpec.write_disposition``, and its
templates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from loader.plan import in_place
from loader.plan.deletes import (
    MARKED,
    NOTHING,
    apply_deletes,
    find_mark,
    mark_deletes,
    written_columns,
)
from loader.plan.expectations import (
    AFTER,
    BEFORE,
    DELETED,
    STAGED,
    MergeCounted,
    Number,
    RowCount,
    Values,
    Zero,
)
from loader.plan.figures import split_statements
from loader.plan.files_in_place import HOW_TO_STAGE
from loader.plan.in_place import target_facts
from loader.plan.loading import FIELDS, MERGE_COUNTS, STAGE, STAGE_LAST, Loading, Step
from loader.plan.merge_counts import COUNTS_OF_MERGES
from loader.plan.partition_rows import compare_with_before, count_before
from loader.plan.scd2 import update_history
from loader.spec.primary_key import requires_unique_keys
from loader.sql.renderer import Table


def steps(loading: Loading, *, full_refresh: bool) -> Iterator[Step]:
    """The steps after the table exists and before the checks."""
    if loading.rows == 0 and loading.spec.on_empty == "keep" and not full_refresh:
        return
    spec = loading.spec
    disposition = spec.write_disposition
    if full_refresh and (disposition == "scd2" or spec.deleted_when):
        # The rows of the load are not those of the table.
        yield _delete_all()
    elif full_refresh:
        disposition = "replace"
    yield from DISPOSITIONS[disposition](loading)


def find_counts(work: Iterable[Step]) -> tuple[str, ...]:
    """The counts of a merge that these steps take; empty for none."""
    counted = (step.expects for step in work)
    return next((one.counts for one in counted if isinstance(one, MergeCounted)), ())


def clean_up(work: Iterable[Step]) -> Iterator[Step]:
    """The steps after the ledger's row is written, which needs the counts of rows."""
    work = list(work)
    if find_counts(work):
        yield _drop("the counts", MERGE_COUNTS)
    if any(step.template == "insert_fields" for step in work):
        yield _drop("the fields", FIELDS)


def _replace(loading: Loading) -> Iterator[Step]:
    yield from count_before(loading)
    if loading.slice is None:
        yield _delete_all()
    else:
        if loading.slice.compares_text:
            why = "rows whose key is another text that compares equal would be deleted too"
            expects = _no_other_spellings(loading)
            yield Step("look for other spellings", why, "spellings", "verify", expects=expects)
        why = "replace reloads this slice; other rows stay"
        yield Step("delete the slice", why, "delete_slice", "delete", expects=_DELETED)
    yield from _copy(loading, loading.table)
    if loading.figures and loading.rows != 0:
        why = f"{loading.where} must hold exactly the staged rows, with their values"
        yield from _verify(loading, loading.table, why)
    else:
        why = f"{loading.where} must hold exactly the staged rows"
        yield _count(loading, why, (STAGED,))
    yield from _look_for_equal_keys(loading, loading.table)
    yield from in_place.check(loading, loading.table)
    yield from _look_for_duplicate_keys(loading, loading.table)
    if in_place.goes_through_stage(loading) and loading.rows != 0:
        yield _drop("the stage", STAGE)
    yield from compare_with_before(loading)


def _append(loading: Loading) -> Iterator[Step]:
    if loading.rows == 0:
        return
    staged = bool(loading.figures or loading.keys_alike or loading.keys_unchecked)
    if staged:
        # Only the new rows are read, not the growing table.
        yield from _stage(loading, "rows are verified before they are inserted into the table")
        yield from _look_for_equal_keys(loading, STAGE)
    why = f"the number of rows in {loading.where}"
    yield Step("count before", why, "count", expects=Number(BEFORE))
    if staged:
        facts = {"stage": STAGE}
        yield Step("insert the rows", "all rows of the load", "merge_insert", facts=facts)
    else:
        yield from _copy(loading, loading.table)
    why = f"{loading.where} must have grown by the staged rows"
    yield _count(loading, why, (BEFORE, STAGED))
    if staged:
        yield _drop("the stage", STAGE)


def _merge(loading: Loading) -> Iterator[Step]:
    if loading.rows == 0:
        return
    spec = loading.spec
    yield from _stage(loading, "rows are matched with the table's by key")
    tables = [STAGE]
    if spec.merge.on_duplicate == "last":
        tables.append(STAGE_LAST)
        yield from _keep_last(loading)
    if spec.deleted_when:
        yield from mark_deletes(loading, tables[-1])
        tables.append(MARKED)
    rows = tables[-1]
    yield from _compare(loading, rows)
    if spec.deleted_when:
        yield from apply_deletes(loading)
    yield from _write(loading, rows)
    why = "every key of the load must be in the table exactly once"
    missing = RowCount((), "keys are missing or duplicated")
    facts: dict[str, object] = {"stage": rows}
    yield Step("look for missing keys", why, "merge_missing", "verify", facts, expects=missing)
    why = "the table must have grown by the inserted rows"
    less = () if spec.merge.soft_delete else ("rows_deleted",)
    keep = None if loading.slice else AFTER
    grown = RowCount((BEFORE, "rows_inserted"), "rows", less=less, keep=keep)
    yield Step("count after", why, "count", "count", {"slice": None}, expects=grown)
    for table in reversed(tables):
        yield _drop("the stage", table)


def _scd2(loading: Loading) -> Iterator[Step]:
    if loading.rows == 0:
        return
    yield from _stage(loading, "rows are compared with the history of their keys")
    yield from _look_for_equal_keys(loading, STAGE)
    yield from update_history(loading)
    yield _drop("the stage", STAGE)


_DELETED = Number(DELETED, optional=True)


def _delete_all() -> Step:
    why = "replace reloads the table; DELETE, since TRUNCATE would commit"
    return Step("delete all rows", why, "delete_all", "delete", expects=_DELETED)


def _merge_count(*parts: str) -> RowCount:
    """The sum of these counts of the merge, if the warehouse reports a number."""
    names = tuple(f"rows_{part}" for part in parts)
    less = (NOTHING,) if "unchanged" in parts else ()
    return RowCount(names, "rows", less=less, optional=True)


_WRITTEN = _merge_count("updated", "unchanged", "inserted")


def _count(loading: Loading, why: str, of: tuple[str, ...]) -> Step:
    expects = RowCount(of, hint_if_fewer=loading.outside_hint, keep=AFTER)
    sample = in_place.outside_sample(loading, loading.table)
    return Step("count", why, "count", "count", expects=expects, sample=sample)


def _no_other_spellings(loading: Loading) -> Zero:
    """Expects no rows whose key is another text that compares equal to a key of the slice."""
    return Zero(
        f"<count> of {loading.spec.table} with another spelling would be deleted with the slice"
        f" {loading.slice}",
        "row",
        "the warehouse treats both as equal: it ignores trailing blanks, or the collation"
        " ignores case",
        f"give {loading.expressions} one spelling with UPDATE, or partition by an expression that"
        " normalizes it: partition_by: [{expr: rtrim(…), data_type: …}]",
    )


def _drop(what: str, table: Table) -> Step:
    return Step(f"drop {what}", "no longer needed", "drop_stage", facts={"stage": table})


def _keep_last(loading: Loading) -> Iterator[Step]:
    order_by = loading.order_by
    facts: dict[str, object] = {"stage": STAGE, "deduped": STAGE_LAST, "order_by": order_by}
    why = "keeps the last row of each key; NULL sorts before every value"
    yield Step("keep the last of each key", why, "merge_dedupe", facts=facts)
    names = ", ".join(loading.spec.merge.order_by)
    why = f"rows with the same key and the same {names} must be identical"
    facts = {
        "stage": STAGE,
        "table": STAGE_LAST,
        "order_by": order_by,
        **loading.comparison(loading.columns),
    }
    expects = Zero(
        f"`look for ties` of {loading.spec.table}: <count> have the same key and {names}"
        " as another row, but other values: it is ambiguous which one is the last",
        "row",
        "",
        "add a column to merge.order_by that makes the order unique",
    )
    yield Step("look for ties", why, "merge_ties", "verify", facts, expects=expects)


def _compare(loading: Loading, rows: Table) -> Iterator[Step]:
    """Count the rows that the merge will insert, update and so on; skip older rows."""
    order_by = loading.order_by if loading.spec.merge.on_older == "keep" else ()
    counts: tuple[str, ...] = COUNTS_OF_MERGES
    further: tuple[str, ...] = ()
    if loading.spec.deleted_when:
        counts, further = (*counts, "rows_deleted"), (NOTHING,)
    facts = {
        "stage": rows,
        "all_rows": STAGE,
        "counts": MERGE_COUNTS,
        "more": (*counts[len(COUNTS_OF_MERGES) :], *further),
        "order_by": order_by,
        **loading.comparison(written_columns(loading)),
        "ages": loading.order_by,
        "mark": find_mark(loading),
    }
    why = "counts the new, changed and unchanged rows"
    if order_by:
        why = "counts the new, changed, unchanged and older rows"
    yield Step("compare with the table", why, "merge_compare", facts=facts)
    why = "each row of the load must match at most one row of the table"
    counted = MergeCounted(counts, further)
    yield Step("count the merge", why, "merge_counts", "verify", facts, expects=counted)
    if order_by:
        names = ", ".join(loading.spec.merge.order_by)
        why = f"rows older than the table's by {names} are not written"
        yield Step(
            "skip older rows", why, "merge_skip", facts=facts, expects=_merge_count("skipped")
        )


def _write(loading: Loading, rows: Table) -> Iterator[Step]:
    """Write the rows: complete ones replace the table's, others update some columns."""
    spec, kept, columns = loading.spec, loading.kept_columns, written_columns(loading)
    facts: dict[str, object] = {"stage": rows, "columns": columns}
    if spec.merge.strategy == "delete_insert" and not kept:
        why = "rows with a key of the load are replaced"
        known = _merge_count("updated", "unchanged")
        yield Step("delete matching rows", why, "merge_delete", "delete", facts, expects=known)
        why = "all rows of the load"
        yield Step("insert the rows", why, "merge_insert", "write", facts, expects=_WRITTEN)
        return
    why = "existing keys are updated, new ones inserted"
    if kept:
        names = ", ".join(kept[:5]) + (", …" if len(kept) > 5 else "")
        why = f"{why}; the load has no {names}, so existing keys keep their values there"
    others = tuple(c for c in columns if c.name not in spec.primary_key)
    facts["updated"] = others or columns
    yield Step("merge", why, "merge", "write", facts, expects=_WRITTEN)


def _stage(loading: Loading, why: str) -> Iterator[Step]:
    """Copy the rows of the load into a stage table, and verify them."""
    facts = {"stage": STAGE, "columns": loading.staged_order}
    yield Step("create the stage", why, "create_stage", facts=facts)
    yield from _copy(loading, STAGE)
    if loading.figures:
        why = "the stage must hold exactly the staged rows, with their values"
        yield from _verify(loading, STAGE, why)
    yield from in_place.check(loading, STAGE)
    yield from _look_for_duplicate_keys(loading, STAGE)


def _look_for_equal_keys(loading: Loading, target: Table) -> Iterator[Step]:
    """Look for keys that differ in the data but are equal in the warehouse, if there may be any."""
    if loading.keys_alike:
        facts = target_facts(target)
        why = f"these keys must differ in the warehouse too: {'; '.join(loading.keys_alike)}"
        expects = Zero(
            f"the data of {loading.spec.table} has <count> more than once in the warehouse, whose"
            " collation ignores case or accents",
            "primary key",
            why,
            "keep one row of each key, or give the column a collation that distinguishes them",
        )
        yield Step("look for equal keys", why, "equal_keys", "verify", facts, expects=expects)


def _look_for_duplicate_keys(loading: Loading, target: Table) -> Iterator[Step]:
    """Look for duplicate keys, if that was not done while the rows were staged."""
    spec, files = loading.spec, loading.in_place
    if loading.keys_unchecked and loading.rows != 0 and requires_unique_keys(spec):
        keys = ", ".join(spec.primary_key)
        rows = f"the files of {spec.table} have" if files else f"the data of {spec.table} has"
        repeated = Zero(
            f"{rows} <count> more than once",
            "primary key",
            "",
            f"keep one row of each key in the files, or {HOW_TO_STAGE}; that tells file and line"
            if files
            else f"keep one row of each key: group the rows by {keys} to find those with more",
        )
        why, facts = "each primary key must be there once", target_facts(target)
        name, sample = "look for duplicate keys", in_place.repeated_sample(loading, target)
        yield Step(name, why, "equal_keys", "verify", facts, expects=repeated, sample=sample)


def _verify(loading: Loading, target: Table, why: str) -> Iterator[Step]:
    """Compare the figures of a table, or of its slice, with those from staging."""
    statements = split_statements(loading.figures)
    for number, columns in enumerate(statements, 1):
        part = f" ({number} of {len(statements)})" if len(statements) > 1 else ""
        facts = {**target_facts(target), "figures": columns}
        figures = tuple(figure for column in columns for figure in column)
        expects, sample = Values(figures), None
        if target != STAGE:
            expects = Values(figures, loading.outside_hint, AFTER)
            sample = in_place.outside_sample(loading, target)
        name = f"verify values{part}"
        yield Step(name, why, "verify", "verify", facts, expects=expects, sample=sample)


def _copy(loading: Loading, target: Table) -> Iterator[Step]:
    if loading.rows == 0:
        return
    if loading.in_place is not None:
        yield from in_place.copy(loading, target)
        return
    template, why = f"copy_{loading.staging_format}", "load the staged files"
    attaches = loading.staging_format == "arrow"
    if attaches:
        why += ", which the session attaches under the name of their path"
    facts = {"target": target}
    copied = RowCount((STAGED,), "rows were loaded", "staged", optional=True)
    yield Step("copy", why, template, "copy", facts, expects=copied, attaches=attaches)
    if loading.counts_copied:
        why = "COPY must have loaded exactly the staged rows"
        copied = replace(copied, optional=False)
        yield Step("count copied rows", why, "copied", "count", expects=copied)


DISPOSITIONS: Mapping[str, Callable[[Loading], Iterator[Step]]] = {
    "replace": _replace,
    "append": _append,
    "merge": _merge,
    "scd2": _scd2,
}
