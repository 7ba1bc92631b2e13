"""Plans the changes that make a live table what its spec says. Pure; `applying` runs them."""

from __future__ import annotations

import fnmatch
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from loader.errors import PlanError
from loader.plan.backups import PREVIEW_MOMENT
from loader.plan.ddl import alter, create, table_of, widen
from loader.plan.dispositions import Step
from loader.plan.drift.compare import drift
from loader.plan.drift.difference import Difference, Drift
from loader.plan.live_table import Live, LiveTable
from loader.plan.model import Statement, Target
from loader.plan.rebuild import drop_kept, kept_table, rebuild, swap
from loader.plan.statements import statement_of, table_facts
from loader.spec.model import TableSpec
from loader.sql.renderer import Renderer, Table


@dataclass(frozen=True)
class Question:
    """A number that has to be asked of the live table before its changes can be planned."""

    what: str
    """``rows``, or ``nulls`` and the column."""
    sql: str


@dataclass(frozen=True)
class TableChange:
    """Everything that makes one live table what its spec says: nothing, when it is."""

    spec: TableSpec
    target: Target
    live: Live
    drift: Drift
    outside: tuple[Statement, ...] = ()
    """What runs before the transaction, each by itself, and does nothing the second time."""
    statements: tuple[Statement, ...] = ()
    """What runs between BEGIN and COMMIT."""
    rows: int | None = None
    """How many rows the live table has, where it was asked."""
    kept: Table | None = None
    """What a rebuild keeps the old table as."""
    after: tuple[Statement, ...] = ()
    """What runs after COMMIT, each by itself, and does nothing the second time."""

    @property
    def differences(self) -> tuple[Difference, ...]:
        """What differs."""
        return self.drift.differences

    @property
    def destructive(self) -> bool:
        """Whether something may be lost."""
        return any(one.loss for one in self.differences)

    @property
    def blocked(self) -> tuple[str, ...]:
        """Why it cannot be done."""
        return tuple(dict.fromkeys(one.blocked for one in self.differences if one.blocked))

    @property
    def unproven(self) -> tuple[str, ...]:
        """What has to be known before it may be done, and cannot be seen."""
        return tuple(dict.fromkeys(one.unproven for one in self.differences if one.unproven))

    @property
    def sql(self) -> str:
        """The changes as a script."""
        if not self.differences:
            return ""
        lines = [f"-- {self.spec.table} on {self.target.name}: changes of the table"]
        for reason in self.blocked:
            lines += [f"-- CANNOT BE DONE: {_one_line(reason)}"]
        for reason in self.unproven:
            lines += [f"-- NOT PROVEN: {_one_line(reason)}"]
        lines.append("")
        for statement in self.outside:
            lines += [statement.script(), ""]
        if self.statements:
            lines += ["BEGIN;", ""]
            for number, statement in enumerate(self.statements, 1):
                lines += [statement.script(f"{number}. "), ""]
            lines += ["COMMIT;", ""]
        for statement in self.after:
            lines += [statement.script(), ""]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, object]:
        """The changes as JSON-ready data."""
        return {
            "asset_key": self.spec.asset_key,
            "table": self.spec.table,
            "target": self.target.name,
            "live": live_state(self.live),
            "rows": self.rows,
            "destructive": self.destructive,
            "blocked": list(self.blocked),
            "unproven": list(self.unproven),
            "kept": f"{self.kept.schema}.{self.kept.name}" if self.kept else None,
            "differences": [one.to_dict() for one in self.differences],
            "outside": [one.to_dict() for one in self.outside],
            "statements": [one.to_dict() for one in self.statements],
            "after": [one.to_dict() for one in self.after],
            "notes": list(self.drift.notes),
        }


def plan_change(
    spec: TableSpec,
    renderer: Renderer,
    target: Target,
    live: Live,
    answers: Mapping[str, int | None] | None = None,
    found: Drift | None = None,
    moment: str = PREVIEW_MOMENT,
    *,
    drop_old: bool = False,
) -> TableChange:
    """What makes a live table what its spec says.

    Args:
        spec: The table.
        renderer: In the dialect of the target.
        target: Where the table is.
        live: The table as it is there.
        answers: Of the `questions`, by what was asked; what was not asked is taken for possible.
        found: What differs, where it is known already.
        moment: When it runs, for the name of the table that a rebuild keeps.
        drop_old: Whether that table is dropped once the new one is committed.

    Raises:
        TemplateError: a template is missing, broken, or would commit by itself.
    """
    found = found or drift(spec, renderer, live)
    if answers is not None:
        told = (_settled(spec, one, answers) for one in found.differences)
        found = replace(found, differences=tuple(told))
    facts = {**table_facts(spec, target), "columns": spec.columns}

    def rendered(step: Step, *, inside: bool = True) -> Statement:
        return statement_of(step, spec, renderer, facts, inside=inside)

    change = TableChange(spec, target, live, found, rows=(answers or {}).get("rows"))
    if change.blocked:
        return change
    if not found.rebuilds:
        outside = tuple(rendered(step, inside=False) for step in widen(spec, found.differences))
        change = replace(change, outside=outside)
    steps = _steps(spec, renderer, live, found, moment)
    change = replace(change, statements=tuple(rendered(step) for step in steps))
    if not found.rebuilds:
        return change
    kept = kept_table(spec, moment)
    after = (rendered(drop_kept(kept), inside=False),) if drop_old else ()
    return replace(change, kept=kept, after=after)


def timed(
    change: TableChange, renderer: Renderer, moment: str, *, drop_old: bool = False
) -> TableChange:
    """The change as it runs at a moment, which a plan does not know."""
    planned = plan_change(
        change.spec,
        renderer,
        change.target,
        change.live,
        found=change.drift,
        moment=moment,
        drop_old=drop_old,
    )
    return replace(planned, rows=change.rows)


def _steps(
    spec: TableSpec, renderer: Renderer, live: Live, found: Drift, moment: str
) -> Iterator[Step]:
    if not isinstance(live, LiveTable):
        for step in create(spec, renderer):
            # Whoever may create tables in a schema need not have the right to create schemas.
            if live != "absent" or step.template not in ("create_schema", "grant_usage"):
                yield step
    elif live.is_table:
        if found.rebuilds:
            yield from rebuild(spec, renderer, live, moment)
        else:
            if found.swaps:
                yield from swap(spec, renderer, live, found.swaps)
            yield from alter(spec, renderer, found.differences)


def questions(
    spec: TableSpec, renderer: Renderer, live: Live, found: Drift | None = None
) -> tuple[Question, ...]:
    """What to ask of the live table first: whether rows are in the way of what differs.

    Args:
        spec: The table.
        renderer: In the dialect of the target.
        live: The table as it is there.
        found: What differs, where it is known already.
    """
    if not isinstance(live, LiveTable) or not live.readable:
        return ()
    found = found or drift(spec, renderer, live)
    asked: dict[str, Question] = {}
    facts = {"table": table_of(spec), "slice": None}
    if found.rebuilds or any(one.loss for one in found.differences):
        rendered = renderer.render("count", facts, spec.templates.get("count"))
        asked["rows"] = Question("rows", rendered.sql)
    for one in found.differences:
        if one.probe == "nulls":
            name = next(column.name for column in live.columns if column.name.lower() == one.column)
            what = f"nulls {one.column}"
            rendered = renderer.render("count_nulls", {**facts, "column": name})
            asked[what] = Question(what, rendered.sql)
    return tuple(asked.values())


def has_all_columns(spec: TableSpec, live: Live) -> bool:
    """Whether rows of the live table can be counted by any expression over the spec's columns."""
    if not isinstance(live, LiveTable) or not live.readable:
        return False
    there = {column.name.lower() for column in live.columns}
    return all(column.name in there for column in spec.columns)


def _settled(spec: TableSpec, one: Difference, answers: Mapping[str, int | None]) -> Difference:
    """The difference, now that it is known whether rows are in its way."""
    rows, nulls = answers.get("rows"), answers.get(f"nulls {one.column}")
    if one.probe == "rows" and rows:
        return replace(
            one,
            blocked=f"{one.column} is NOT NULL without a default, and {spec.table} has"
            f" {_rows(rows)} without a value for it: give it a default, or let it be"
            " NULL",
        )
    if one.probe == "nulls" and nulls:
        return replace(
            one,
            blocked=f"{one.column} is NOT NULL in the spec, and NULL in {_rows(nulls)} of"
            f" {spec.table}: fill them first, or let it be NULL",
        )
    return one


def allowed(
    changes: Iterable[TableChange],
    destructive: Sequence[str],
    *,
    assume_no_policies: bool = False,
) -> list[TableChange]:
    """The changes that there is anything to do for, once all of them may be done.

    Args:
        changes: Of any tables.
        destructive: Globs over asset keys and ``schema.table``: what may lose something there.
        assume_no_policies: Whether no policies are attached where none can be seen.

    Raises:
        PlanError: some cannot be done at all, may not be done as long as something is not known,
            or would lose something elsewhere; all of those are named.
    """
    pending = [change for change in changes if change.differences]
    blocked = [f"  {reason}" for change in pending for reason in change.blocked]
    if blocked:
        raise PlanError(
            "nothing was changed: some of it cannot be done\n" + "\n".join(blocked),
            hint="fix that, or leave these tables out of what is applied",
        )
    unproven = [] if assume_no_policies else [change for change in pending if change.unproven]
    losing = [
        change for change in pending if change.destructive and not _named(change, destructive)
    ]
    if unproven or losing:
        raise _refusal(unproven, losing)
    return pending


def _refusal(unproven: Sequence[TableChange], losing: Sequence[TableChange]) -> PlanError:
    """What would have to be known, and what would be lost, in one error."""
    parts, ways = [], []
    if unproven:
        lines = [f"  {one.spec.table}: {reason}" for one in unproven for reason in one.unproven]
        parts += ["policies may be attached to tables that would be replaced", *lines]
        ways.append(
            "GRANT ROLE sys:secadmin TO the user of the target, or, where it is known that there"
            " are no policies: --assume-no-policies"
        )
    if losing:
        lines = [
            f"  {change.spec.table}: {told(one)}: {one.loss}"
            for change in losing
            for one in change.differences
            if one.loss
        ]
        parts += ["some of it would lose something", *lines]
        globs = " ".join(f"--allow-destructive {change.spec.asset_key}" for change in losing)
        ways.append(f"to do it all the same: {globs}")
    return PlanError(
        "nothing was changed: " + "\n".join(parts),
        hint="; ".join(ways),
        details=[
            {"table": change.spec.table, "change": told(one), "loss": one.loss}
            for change in losing
            for one in change.differences
            if one.loss
        ],
    )


def _named(change: TableChange, globs: Sequence[str]) -> bool:
    names = (change.spec.asset_key, change.spec.table)
    return any(fnmatch.fnmatchcase(name, glob) for name in names for glob in globs)


def told(one: Difference) -> str:
    """A difference in a few words."""
    what = f"{one.kind} {one.column}" if one.column else one.kind
    if one.kind in ("type", "nullability", "default", "identity", "widen column"):
        return f"{what}: {one.live or 'none'} → {one.spec or 'none'}"
    return what


def live_state(live: Live) -> dict[str, object] | str:
    """A live table as JSON-ready data: what a saved plan was made for."""
    if not isinstance(live, LiveTable):
        return live
    told = asdict(live)
    told["grants"] = sorted(f"{privilege} to {grantee}" for privilege, grantee in live.grants)
    told["grant_options"] = sorted(f"{what} to {who}" for what, who in live.grant_options)
    told["column_grants"] = sorted(
        f"{what} on {column} to {who}" for what, column, who in live.column_grants
    )
    told["seen"] = sorted(live.seen)
    for transient in ("unseen", "readable"):
        del told[transient]
    plain: dict[str, object] = json.loads(json.dumps(told))
    return plain


def fingerprint(data: object) -> str:
    """A digest of JSON-ready data."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _rows(count: int) -> str:
    return f"{count:,} row{'s' * (count != 1)}"


def _one_line(text: str) -> str:
    return " ".join(text.split())
