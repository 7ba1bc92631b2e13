"""What each write disposition does inside the transaction, as steps: a template and its facts.

A new disposition is one function here, its name in ``TableSpec.write_disposition``, and the
templates it renders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Literal

from loader.plan.figures import Figure, in_statements
from loader.spec.model import Column, TableSpec
from loader.spec.partitions import Slice
from loader.sql.dialects.redshift import NOT_COMPARABLE
from loader.sql.renderer import Table

Role = Literal[
    "run",
    "schema",
    "lock",
    "find_load",
    "spellings",
    "delete",
    "copy",
    "copied",
    "count_before",
    "count",
    "verify",
    "verify_stage",
    "equal_keys",
    "check",
    "merge_missing",
    "merge_ties",
    "merge_counts",
    "merge_skip",
    "merge_delete",
    "merge_write",
    "merge_after",
]
"""What the executor does with a statement's answer.

run: nothing. schema: nothing; it is left out where the schema is there. lock: nothing; it runs
before anything is looked at. find_load: a row means that the load is done already. spellings: zero
rows; of others an example is named. delete: its row count is reported. copy, copied: as many rows
as were staged. count_before: kept. count: as many rows as were staged, and as were there before if
they were counted. verify, verify_stage: the rows and figures that were staged, of the table or of
the stage. equal_keys, merge_ties, merge_missing: zero. check: the spec's bound. merge_counts: the
`MergeCounts`, which add up to the rows staged, and the table's rows before. merge_skip,
merge_delete, merge_write: as many rows as the counts say, where the warehouse reports them.
merge_after: the rows before and those inserted.
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
    figures: tuple[Figure, ...] = ()
    """What its answer holds after the number of rows, when it verifies values."""


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
        yield Step("delete all rows", why, "delete_all", "delete")
    else:
        if loading.slice.compares_text:
            why = "rows of an equal key that is another text would be deleted too"
            yield Step("look for other spellings", why, "spellings", "spellings")
        why = "replace loads this slice anew; other rows stay"
        yield Step("delete the slice", why, "delete_slice", "delete")
    yield from _copy(loading, loading.table)
    if loading.figures and loading.rows != 0:
        why = f"{loading.where} must hold exactly the staged rows, with their values"
        yield from _verify(loading, loading.table, why)
    else:
        yield Step("count", f"{loading.where} must hold exactly the staged rows", "count", "count")
    yield from _look_for_equal_keys(loading, loading.table)


def _append(loading: Loading) -> Iterator[Step]:
    if loading.rows == 0:
        return
    staged = bool(loading.figures or loading.keys_alike)
    if staged:
        # Of a table that grows, only the new rows are read.
        yield from _stage(loading, "rows are verified before they are among the table's")
        yield from _look_for_equal_keys(loading, STAGE)
    yield Step("count before", f"how many rows {loading.where} holds", "count", "count_before")
    if staged:
        facts = {"stage": STAGE}
        yield Step("insert the rows", "all rows of the load", "merge_insert", facts=facts)
    else:
        yield from _copy(loading, loading.table)
    yield Step("count", f"{loading.where} must have grown by the staged rows", "count", "count")
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
    yield Step("look for missing keys", why, "merge_missing", "merge_missing", {"stage": rows})
    why = "the table must have grown by the inserted rows"
    yield Step("count after", why, "count", "merge_after", {"slice": None})
    for table in dict.fromkeys((rows, STAGE)):
        yield _drop("the stage", table)


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
    yield Step("look for ties", why, "merge_ties", "merge_ties", facts)


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
    yield Step("count the merge", why, "merge_counts", "merge_counts", facts)
    if order_by:
        names = ", ".join(loading.spec.merge.order_by)
        why = f"rows older than the table's by {names} leave it as it is"
        yield Step("skip older rows", why, "merge_skip", "merge_skip", facts)


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
        yield Step("delete matching rows", why, "merge_delete", "merge_delete", {"stage": rows})
        why = "all rows of the load"
        yield Step("insert the rows", why, "merge_insert", "merge_write", {"stage": rows})
        return
    why = "known keys are updated, new ones inserted"
    if kept:
        names = ", ".join(kept[:5]) + (", …" if len(kept) > 5 else "")
        why = f"{why}; the load does not bring {names}, so known keys keep their values there"
    others = tuple(c for c in loading.columns if c.name not in spec.primary_key)
    facts = {"stage": rows, "updated": others or loading.columns}
    yield Step("merge", why, "merge", "merge_write", facts)


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
        yield Step("look for equal keys", why, "equal_keys", "equal_keys", facts)


def _verify(loading: Loading, target: Table, why: str) -> Iterator[Step]:
    """What asks a table, or the slice of it, for the figures that were taken while staging."""
    statements = in_statements(loading.figures)
    for number, columns in enumerate(statements, 1):
        part = f" ({number} of {len(statements)})" if len(statements) > 1 else ""
        facts = {**_target_facts(target), "figures": columns}
        figures = tuple(figure for column in columns for figure in column)
        role: Role = "verify_stage" if target == STAGE else "verify"
        yield Step(f"verify values{part}", why, "verify", role, facts, figures=figures)


def _target_facts(target: Table) -> dict[str, object]:
    """What is looked at: the slice of the table, or the whole stage."""
    return {"target": target, "slice": None} if target == STAGE else {"target": target}


def _copy(loading: Loading, target: Table) -> Iterator[Step]:
    if loading.rows == 0:
        return
    template = f"copy_{loading.spec.staging.format}"
    yield Step("copy", "load the staged files", template, "copy", {"target": target})
    if loading.counts_copied:
        why = "COPY must have loaded exactly the staged rows"
        yield Step("count copied rows", why, "copied", "copied")


DISPOSITIONS: Mapping[str, Callable[[Loading], Iterator[Step]]] = {
    "replace": _replace,
    "append": _append,
    "merge": _merge,
}
