"""What each write disposition does inside the transaction, as steps: a template and its facts.

A new disposition is one function here, its name in ``TableSpec.write_disposition``, and the
templates it renders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from loader.figures import Figure, in_statements
from loader.render import Table
from loader.slices import Slice
from loader.spec import Column, TableSpec

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
    "none",
    "check",
]
"""What the executor does with a statement's answer.

run: nothing. schema: nothing; it is left out where the schema is there. lock: nothing; it runs
before anything is looked at. find_load: a row means that the load is done already. spellings: zero
rows; of others an example is named. delete: its row count is reported. copy, copied: as many rows
as were staged. count_before: kept. count: as many rows as were staged, and as were there before if
they were counted. verify, verify_stage: the rows and figures that were staged, of the table or of
the stage. none: zero. check: the spec's bound.
"""


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
    adds: str | None = None
    """The column that it adds to a ledger that lacks it."""


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

    @property
    def table(self) -> Table:
        """The table that is loaded."""
        return Table(self.spec.schema_name, self.spec.name)

    @property
    def where(self) -> str:
        """The slice in a few words."""
        return f"the slice {self.slice}" if self.slice else "the whole table"


def steps(loading: Loading, *, full_refresh: bool = False) -> Iterator[Step]:
    """The statements between "the table is there" and the checks."""
    if loading.rows == 0 and loading.spec.on_empty == "keep" and not full_refresh:
        return
    disposition = "replace" if full_refresh else loading.spec.write_disposition
    yield from DISPOSITIONS[disposition](loading)


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


def _append(loading: Loading) -> Iterator[Step]:
    if loading.rows == 0:
        return
    stage = Table(None, "loader_stage")
    if loading.figures:
        # Of a table that grows, only the new rows are read.
        why = "values are verified before they are among the table's"
        yield from _stage(loading, stage, why)
    yield Step("count before", f"how many rows {loading.where} holds", "count", "count_before")
    if loading.figures:
        facts = {"stage": stage}
        yield Step("insert the rows", "all rows of the load", "merge_insert", facts=facts)
    else:
        yield from _copy(loading, loading.table)
    yield Step("count", f"{loading.where} must have grown by the staged rows", "count", "count")
    if loading.figures:
        yield Step("drop the stage", "it served its purpose", "drop_stage", facts={"stage": stage})


def _merge(loading: Loading) -> Iterator[Step]:
    if loading.rows == 0:
        return
    spec, stage = loading.spec, Table(None, "loader_stage")
    yield from _stage(loading, stage, "rows meet the table's by key")
    rows = stage
    if spec.merge.on_duplicate == "last":
        rows = Table(None, "loader_stage_last")
        facts = {"stage": stage, "deduped": rows, "order_by": spec.merge.order_by}
        why = "of the rows of one key the last stays"
        yield Step("keep the last of each key", why, "merge_dedupe", facts=facts)
    if spec.merge.strategy == "delete_insert":
        why = "rows with a key of the load are replaced"
        yield Step("delete matching rows", why, "merge_delete", "delete", {"stage": rows})
        yield Step("insert the rows", "all rows of the load", "merge_insert", facts={"stage": rows})
    else:
        others = tuple(c for c in loading.columns if c.name not in spec.primary_key)
        facts = {"stage": rows, "updated": others or loading.columns}
        yield Step("merge", "known keys are updated, new ones inserted", "merge", facts=facts)
    why = "every key of the load must be in the table"
    yield Step("look for missing keys", why, "merge_missing", "none", {"stage": rows})
    for table in dict.fromkeys((rows, stage)):
        yield Step("drop the stage", "it served its purpose", "drop_stage", facts={"stage": table})


def _stage(loading: Loading, stage: Table, why: str) -> Iterator[Step]:
    """The rows of the load in a table of their own, verified."""
    yield Step("create the stage", why, "create_stage", facts={"stage": stage})
    yield from _copy(loading, stage)
    if loading.figures:
        why = "the stage must hold exactly the staged rows, with their values"
        yield from _verify(loading, stage, why, whole=True)


def _verify(loading: Loading, target: Table, why: str, *, whole: bool = False) -> Iterator[Step]:
    """What asks a table, or the slice of it, for the figures that were taken while staging."""
    statements = in_statements(loading.figures)
    for number, columns in enumerate(statements, 1):
        part = f" ({number} of {len(statements)})" if len(statements) > 1 else ""
        facts: dict[str, object] = {"target": target, "figures": columns}
        if whole:
            facts["slice"] = None
        figures = tuple(figure for column in columns for figure in column)
        role: Role = "verify_stage" if whole else "verify"
        yield Step(f"verify values{part}", why, "verify", role, facts, figures=figures)


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
