"""What each write disposition does inside the transaction, as steps: a template and its facts.

A new disposition is one function here, its name in ``TableSpec.write_disposition``, and the
templates it renders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

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
    "none",
    "check",
]
"""What the executor does with a statement's answer.

run: nothing. schema: nothing; it is left out where the schema is there. lock: nothing; it runs
before anything is looked at. find_load: a row means that the load is done already. spellings: zero
rows; of others an example is named. delete: its row count is reported. copy, copied: as many rows
as were staged. count_before: kept. count: as many rows as were staged, and as were there before if
they were counted. none: zero. check: the spec's bound.
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
    yield Step("count", f"{loading.where} must hold exactly the staged rows", "count", "count")


def _append(loading: Loading) -> Iterator[Step]:
    if loading.rows == 0:
        return
    yield Step("count before", f"how many rows {loading.where} holds", "count", "count_before")
    yield from _copy(loading, loading.table)
    yield Step("count", f"{loading.where} must have grown by the staged rows", "count", "count")


def _merge(loading: Loading) -> Iterator[Step]:
    if loading.rows == 0:
        return
    spec, stage = loading.spec, Table(None, "loader_stage")
    yield Step(
        "create the stage", "rows meet the table's by key", "create_stage", facts={"stage": stage}
    )
    yield from _copy(loading, stage)
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
