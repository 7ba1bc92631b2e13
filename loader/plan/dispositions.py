"""What each write disposition does inside the transaction, as steps: a template and its facts.

A new disposition is one function here, its name in ``TableSpec.write_disposition``, and the
templates it renders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Literal

from loader.plan.expectations import (
    AFTER,
    BEFORE,
    DELETED,
    STAGED,
    Expectation,
    MergeCounted,
    Number,
    RowCount,
    Values,
    Zero,
)
from loader.plan.figures import Figure, in_statements
from loader.spec.model import Column, TableSpec
from loader.spec.partitions import Slice
from loader.sql.dialects.redshift import NOT_COMPARABLE
from loader.sql.renderer import Table

Role = Literal[
    "run", "schema", "lock", "find_load", "delete", "copy", "write", "count", "verify", "check"
]
"""What a statement does, for those who show plans.

run: anything else. schema: makes a schema. lock: has loads of one table take turns, before anything
is looked at. find_load: looks for the load in the ledger. delete, copy, write: rows. count: counts
them. verify: looks for what must not be. check: measures what a check of the spec bounds.
"""

STAGE = Table(None, "loader_stage")
"""Where the rows of a merge arrive, and those of an append whose values are verified."""
STAGE_LAST = Table(None, "loader_stage_last")
"""Of these, the last of each key, with `on_duplicate: last`."""
MERGE_COUNTS = Table(None, "loader_merge")
"""What a merge does, in one row, which the ledger's row takes over."""


@dataclass(frozen=True)
class MergeCounts:
    """What became of the rows of a merge; together they are all rows that were staged."""

    rows_inserted: int
    """Rows of keys that the table did not have."""
    rows_updated: int
    """Rows of known keys whose values differed from the table's."""
    rows_unchanged: int
    """Rows of known keys that the table held already, value for value."""
    rows_skipped: int
    """Rows older than the table's by `order_by`, which left the table's as they are."""
    rows_collapsed: int
    """Rows that a later row of their key in the same load stood in for."""

    @classmethod
    def of(cls, told: object) -> MergeCounts | None:
        """The counts among the attributes of a result or a ledger entry; None when it has none."""
        found = [getattr(told, field.name) for field in fields(cls)]
        return None if None in found else cls(*found)

    def __str__(self) -> str:
        """Them in words, the usual three always.

        >>> str(MergeCounts(2, 1, 0, 3, 0))
        '2 inserted, 1 updated, 0 unchanged, 3 skipped as older'
        """
        words = f"{self.rows_inserted:,} inserted, {self.rows_updated:,} updated,"
        words += f" {self.rows_unchanged:,} unchanged"
        if self.rows_skipped:
            words += f", {self.rows_skipped:,} skipped as older"
        if self.rows_collapsed:
            words += f", {self.rows_collapsed:,} collapsed as duplicates"
        return words


@dataclass(frozen=True)
class Step:
    """One statement to be: its name, why it runs, its template and what the template needs."""

    name: str
    why: str
    template: str
    role: Role = "run"
    facts: Mapping[str, object] = field(default_factory=dict)
    group: str | None = None
    """Routine that a short plan tells in these words, together with its neighbours."""
    expects: Expectation | None = None
    """What its answer must be; None when it has none that matters."""


@dataclass(frozen=True)
class Loading:
    """What the steps of a disposition depend on."""

    spec: TableSpec
    slice: Slice | None
    """None is the whole table, and only ever on purpose."""
    rows: int | None
    """Rows staged; None when not yet known, which is planned like some."""
    counts_copied: bool
    """Whether the warehouse must be asked how many rows COPY loaded."""
    columns: tuple[Column, ...]
    """The columns that the load brings."""
    figures: tuple[Figure, ...] = ()
    """What is compared of them before COMMIT; none when only rows are counted."""
    live_columns: tuple[str, ...] = ()
    """All columns of the live table, once they are known."""
    keys_alike: tuple[str, ...] = ()
    """Some primary keys of the load that the warehouse may hold equal, though they are not."""

    @property
    def kept_columns(self) -> tuple[str, ...]:
        """The table's columns that the load does not bring."""
        brought = {column.name for column in self.columns}
        there = (*self.spec.by_name, *(name.lower() for name in self.live_columns))
        return tuple(name for name in dict.fromkeys(there) if name not in brought)

    @property
    def order_by(self) -> tuple[Column, ...]:
        """The columns that say which of two rows of one key is the later."""
        return tuple(self.spec.by_name[name] for name in self.spec.merge.order_by)

    @property
    def table(self) -> Table:
        """The table that is loaded."""
        return Table(self.spec.schema_name, self.spec.name)

    @property
    def where(self) -> str:
        """The slice in a few words."""
        return f"the slice {self.slice}" if self.slice else "the whole table"

    @property
    def expressions(self) -> str:
        """What the table is partitioned by, in a few words."""
        return ", ".join(f"`{dimension.expr}`" for dimension in self.spec.dimensions)

    @property
    def outside_hint(self) -> str | None:
        """What to look at when the slice has fewer rows than were copied."""
        told = f"rows may lie outside the slice: they must satisfy it by {self.expressions}"
        return told if self.slice else None


def steps(loading: Loading, *, full_refresh: bool) -> Iterator[Step]:
    """The statements between "the table is there" and the checks."""
    if loading.rows == 0 and loading.spec.on_empty == "keep" and not full_refresh:
        return
    disposition = "replace" if full_refresh else loading.spec.write_disposition
    yield from DISPOSITIONS[disposition](loading)


def tidy(work: Iterable[Step]) -> Iterator[Step]:
    """The statements after the ledger's row, which takes the counts of a merge over."""
    if any(step.template == "merge_compare" for step in work):
        yield _drop("the counts", MERGE_COUNTS)


def _replace(loading: Loading) -> Iterator[Step]:
    if loading.slice is None:
        why = "replace loads the table anew; DELETE, since TRUNCATE would commit"
        yield Step("delete all rows", why, "delete_all", "delete", expects=_DELETED)
    else:
        if loading.slice.compares_text:
            why = "rows of an equal key that is another text would be deleted too"
            expects = _no_other_spellings(loading)
            yield Step("look for other spellings", why, "spellings", "verify", expects=expects)
        why = "replace loads this slice anew; other rows stay"
        yield Step("delete the slice", why, "delete_slice", "delete", expects=_DELETED)
    yield from _copy(loading, loading.table)
    if loading.figures and loading.rows != 0:
        why = f"{loading.where} must hold exactly the staged rows, with their values"
        yield from _verify(loading, loading.table, why)
    else:
        why = f"{loading.where} must hold exactly the staged rows"
        yield _count(loading, why, (STAGED,))
    yield from _look_for_equal_keys(loading, loading.table)


def _append(loading: Loading) -> Iterator[Step]:
    if loading.rows == 0:
        return
    staged = bool(loading.figures or loading.keys_alike)
    if staged:
        # Of a table that grows, only the new rows are read.
        yield from _stage(loading, "rows are verified before they are among the table's")
        yield from _look_for_equal_keys(loading, STAGE)
    why = f"how many rows {loading.where} holds"
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
    yield from _stage(loading, "rows meet the table's by key")
    rows = STAGE
    if loading.spec.merge.on_duplicate == "last":
        rows = STAGE_LAST
        yield from _keep_last(loading)
    yield from _compare(loading, rows)
    yield from _write(loading, rows)
    why = "every key of the load must be in the table, and once, as the warehouse compares keys"
    missing = RowCount((), "keys are missing or there twice")
    facts: dict[str, object] = {"stage": rows}
    yield Step("look for missing keys", why, "merge_missing", "verify", facts, expects=missing)
    why = "the table must have grown by the inserted rows"
    grown = RowCount((BEFORE, "rows_inserted"), "rows", keep=None if loading.slice else AFTER)
    yield Step("count after", why, "count", "count", {"slice": None}, expects=grown)
    for table in dict.fromkeys((rows, STAGE)):
        yield _drop("the stage", table)


_DELETED = Number(DELETED, optional=True)


def _merged(*parts: str) -> RowCount:
    """As many rows as these counts of the merge say, where the warehouse reports a number."""
    names = tuple(f"rows_{part}" for part in parts)
    return RowCount(names, "rows", optional=True)


_WRITTEN = _merged("updated", "unchanged", "inserted")


def _count(loading: Loading, why: str, of: tuple[str, ...]) -> Step:
    expects = RowCount(of, hint_if_fewer=loading.outside_hint, keep=AFTER)
    return Step("count", why, "count", "count", expects=expects)


def _no_other_spellings(loading: Loading) -> Zero:
    """No rows whose key is equal to one of the slice's, and another text."""
    return Zero(
        f"<count> of {loading.spec.table} would be deleted with the slice {loading.slice}, and"
        " spelled in another way",
        "row",
        "the warehouse holds the two equal: it ignores blanks at the end of text, or the collation"
        " ignores case",
        f"give the rows of {loading.expressions} one spelling with UPDATE, or partition by an"
        " expression that makes them one: partition_by: [{expr: rtrim(…), data_type: …}]",
    )


def _drop(what: str, table: Table) -> Step:
    return Step(f"drop {what}", "no longer needed", "drop_stage", facts={"stage": table})


def _keep_last(loading: Loading) -> Iterator[Step]:
    order_by = loading.order_by
    facts: dict[str, object] = {"stage": STAGE, "deduped": STAGE_LAST, "order_by": order_by}
    why = "of the rows of one key the last stays; NULL comes before every value"
    yield Step("keep the last of each key", why, "merge_dedupe", facts=facts)
    names = ", ".join(loading.spec.merge.order_by)
    why = f"rows of one key that tie by {names} must be the same in every column"
    facts = {"stage": STAGE, "table": STAGE_LAST, "order_by": order_by, **_compared(loading)}
    expects = Zero(
        f"`look for ties` of {loading.spec.table}: <count> of the load tie with another row of"
        f" their key by {names} and hold something else: which of them is the last cannot be known",
        "row",
        "",
        "add a column to merge.order_by that tells them apart",
    )
    yield Step("look for ties", why, "merge_ties", "verify", facts, expects=expects)


def _compare(loading: Loading, rows: Table) -> Iterator[Step]:
    """Count what the merge is about to do, and leave out rows older than the table's."""
    order_by = loading.order_by if loading.spec.merge.on_older == "keep" else ()
    facts = {
        "stage": rows,
        "all_rows": STAGE,
        "counts": MERGE_COUNTS,
        "order_by": order_by,
        **_compared(loading),
    }
    why = "which rows are new, changed or the same"
    if order_by:
        why = "which rows are new, changed, the same, or older than the table's"
    yield Step("compare with the table", why, "merge_compare", facts=facts)
    why = "each row of the load must meet one row of the table at most"
    yield Step("count the merge", why, "merge_counts", "verify", facts, expects=MergeCounted())
    if order_by:
        names = ", ".join(loading.spec.merge.order_by)
        why = f"rows older than the table's by {names} leave it as it is"
        yield Step("skip older rows", why, "merge_skip", facts=facts, expects=_merged("skipped"))


def _compared(loading: Loading) -> Mapping[str, object]:
    """The columns beside the key that tell whether rows are the same, and whether they suffice."""
    others = [c for c in loading.columns if c.name not in loading.spec.primary_key]
    compared = tuple(c for c in others if c.data_type.name not in NOT_COMPARABLE)
    return {"compared": compared, "comparable": len(compared) == len(others)}


def _write(loading: Loading, rows: Table) -> Iterator[Step]:
    """Bring the rows in: whole ones take the place of the table's, others update them."""
    spec, kept = loading.spec, loading.kept_columns
    if spec.merge.strategy == "delete_insert" and not kept:
        why = "rows with a key of the load are replaced"
        facts: dict[str, object] = {"stage": rows}
        known = _merged("updated", "unchanged")
        yield Step("delete matching rows", why, "merge_delete", "delete", facts, expects=known)
        why = "all rows of the load"
        yield Step("insert the rows", why, "merge_insert", "write", facts, expects=_WRITTEN)
        return
    why = "known keys are updated, new ones inserted"
    if kept:
        names = ", ".join(kept[:5]) + (", …" if len(kept) > 5 else "")
        why = f"{why}; the load does not bring {names}, so known keys keep their values there"
    others = tuple(c for c in loading.columns if c.name not in spec.primary_key)
    facts = {"stage": rows, "updated": others or loading.columns}
    yield Step("merge", why, "merge", "write", facts, expects=_WRITTEN)


def _stage(loading: Loading, why: str) -> Iterator[Step]:
    """The rows of the load in a table of their own, verified."""
    yield Step("create the stage", why, "create_stage", facts={"stage": STAGE})
    yield from _copy(loading, STAGE)
    if loading.figures:
        why = "the stage must hold exactly the staged rows, with their values"
        yield from _verify(loading, STAGE, why)


def _look_for_equal_keys(loading: Loading, target: Table) -> Iterator[Step]:
    """What finds keys that differ in the data and are equal in the warehouse, where any may be."""
    if loading.keys_alike:
        facts = _target_facts(target)
        why = f"to the warehouse these must differ: {'; '.join(loading.keys_alike)}"
        expects = Zero(
            f"the data of {loading.spec.table} has <count> more than once, since the collation of"
            " the warehouse ignores case or accents",
            "primary key",
            why,
            "keep one row of each key, or give the column a collation that tells them apart",
        )
        yield Step("look for equal keys", why, "equal_keys", "verify", facts, expects=expects)


def _verify(loading: Loading, target: Table, why: str) -> Iterator[Step]:
    """What asks a table, or the slice of it, for the figures that were taken while staging."""
    statements = in_statements(loading.figures)
    for number, columns in enumerate(statements, 1):
        part = f" ({number} of {len(statements)})" if len(statements) > 1 else ""
        facts = {**_target_facts(target), "figures": columns}
        figures = tuple(figure for column in columns for figure in column)
        expects = (
            Values(figures) if target == STAGE else Values(figures, loading.outside_hint, AFTER)
        )
        yield Step(f"verify values{part}", why, "verify", "verify", facts, expects=expects)


def _target_facts(target: Table) -> dict[str, object]:
    """What is looked at: the slice of the table, or the whole stage."""
    return {"target": target, "slice": None} if target == STAGE else {"target": target}


def _copy(loading: Loading, target: Table) -> Iterator[Step]:
    if loading.rows == 0:
        return
    template = f"copy_{loading.spec.staging.format}"
    facts = {"target": target}
    copied = RowCount((STAGED,), "rows were loaded", "staged", optional=True)
    yield Step("copy", "load the staged files", template, "copy", facts, expects=copied)
    if loading.counts_copied:
        why = "COPY must have loaded exactly the staged rows"
        copied = replace(copied, optional=False)
        yield Step("count copied rows", why, "copied", "count", expects=copied)


DISPOSITIONS: Mapping[str, Callable[[Loading], Iterator[Step]]] = {
    "replace": _replace,
    "append": _append,
    "merge": _merge,
}
