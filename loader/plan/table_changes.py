"""Plans the changes that make a live table match its spec; `loader.executor.apply` runs them."""

from __future__ import annotations

import fnmatch
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from loader.errors import PlanError
from loader.plan.backups import PREVIEW_MOMENT
from loader.plan.ddl import alter, create, table_of, widen
from loader.plan.drift.compare import drift
from loader.plan.drift.difference import Difference, Drift
from loader.plan.drift.renames import rename_columns
from loader.plan.ledger_tables import check_no_ledger
from loader.plan.live_table import Live, LiveTable
from loader.plan.loading import Step
from loader.plan.model import Statement, Target
from loader.plan.rebuild import drop_kept, kept_table, rebuild, swap
from loader.plan.renames import keep_loads, rename
from loader.plan.statements import statement_of, table_facts
from loader.spec.model import TableSpec
from loader.sql.renderer import Renderer, Table


@dataclass(frozen=True)
class Probe:
    """A query for one number that is needed to plan the changes of a live table."""

    name: str
    """``rows``, ``deleted``, or ``nulls <column>``."""
    sql: str


@dataclass(frozen=True)
class TableChange:
    """The changes that make one live table match its spec; empty when it does."""

    spec: TableSpec
    target: Target
    live: Live
    drift: Drift
    outside: tuple[Statement, ...] = ()
    """Statements that run before the transaction, each by itself; they are idempotent."""
    statements: tuple[Statement, ...] = ()
    """Statements that run between BEGIN and COMMIT."""
    rows: int | None = None
    """The number of rows of the live table, if it was counted."""
    kept: Table | None = None
    """The name under which a rebuild keeps the old table."""
    after: tuple[Statement, ...] = ()
    """Statements that run after COMMIT, each by itself; they are idempotent."""

    @property
    def live_name(self) -> Table:
        """The name of the live table: that of the spec, or an earlier one."""
        return self.drift.earlier.table if self.drift.earlier else table_of(self.spec)

    @property
    def differences(self) -> tuple[Difference, ...]:
        """The differences between the live table and its spec."""
        return self.drift.differences

    @property
    def destructive(self) -> bool:
        """Whether the changes may lose data."""
        return any(one.loss for one in self.differences)

    @property
    def blocked(self) -> tuple[str, ...]:
        """The reasons why the changes are not possible."""
        return tuple(dict.fromkeys(one.blocked for one in self.differences if one.blocked))

    @property
    def unproven(self) -> tuple[str, ...]:
        """The reasons why it is not known whether policies are attached."""
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
            "renamed_from": str(self.drift.earlier) if self.drift.earlier else None,
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
    results: Mapping[str, int | None] | None = None,
    found: Drift | None = None,
    moment: str = PREVIEW_MOMENT,
    *,
    drop_old: bool = False,
) -> TableChange:
    """Plan the changes that make a live table match its spec.

    Args:
        spec: The table.
        renderer: In the dialect of the target.
        target: Where the table is.
        live: The live table.
        results: The results of `find_probes` by name; missing results block nothing.
        found: The drift, if it is known already.
        moment: The time of the rebuild, for the name of the table that it keeps.
        drop_old: Whether that table is dropped after the new one is committed.

    Raises:
        PlanError: the table is the ledger.
        TemplateError: a template is missing or broken, or would commit.
    """
    check_no_ledger(spec, renderer, target)
    found = found or drift(spec, renderer, live)
    if results is not None:
        known = (_apply_results(spec, one, results) for one in found.differences)
        found = replace(found, differences=tuple(known))
    facts = {**table_facts(spec, target), "columns": spec.columns}

    def render(step: Step, *, inside: bool = True) -> Statement:
        return statement_of(step, spec, renderer, facts, inside=inside)

    change = TableChange(spec, target, live, found, rows=(results or {}).get("rows"))
    if change.blocked:
        return change
    if not found.rebuilds:
        steps = widen(spec, found.differences, found)
        outside = tuple(render(step, inside=False) for step in steps)
        change = replace(change, outside=outside)
    inside = _steps(spec, renderer, target, live, found, moment)
    change = replace(change, statements=tuple(render(step) for step in inside))
    if not found.rebuilds:
        return change
    kept = kept_table(change.live_name, moment)
    after = (render(drop_kept(kept), inside=False),) if drop_old else ()
    return replace(change, kept=kept, after=after)


def set_moment(
    change: TableChange, renderer: Renderer, moment: str, *, drop_old: bool = False
) -> TableChange:
    """Plan the change again for the time at which it runs, which a saved plan does not know."""
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
    spec: TableSpec, renderer: Renderer, target: Target, live: Live, found: Drift, moment: str
) -> Iterator[Step]:
    if not isinstance(live, LiveTable):
        for step in create(spec, renderer):
            # A user may have the right to create tables in a schema, but not schemas.
            if live != "absent" or step.template not in ("create_schema", "grant_usage"):
                yield step
    elif live.is_table:
        renamed = rename_columns(live, found.renames)
        if found.rebuilds:
            yield from rebuild(spec, renderer, renamed, found, moment)
        else:
            yield from rename(spec, renderer, found)
            if found.swaps:
                yield from swap(spec, renderer, renamed, found)
            yield from alter(spec, renderer, found.differences)
        if found.earlier is not None:
            yield from keep_loads(spec, target, found.earlier)


def find_probes(
    spec: TableSpec, renderer: Renderer, live: Live, found: Drift | None = None
) -> tuple[Probe, ...]:
    """Find the probes for a live table: counts of rows that may make a change impossible.

    Args:
        spec: The table.
        renderer: In the dialect of the target.
        live: The live table.
        found: The drift, if it is known already.
    """
    if not isinstance(live, LiveTable) or not live.readable:
        return ()
    found = found or drift(spec, renderer, live)
    probes: dict[str, Probe] = {}
    table = found.earlier.table if found.earlier else table_of(spec)
    facts = {"table": table, "slice": None}
    if found.rebuilds or any(one.loss for one in found.differences):
        rendered = renderer.render("count", facts, spec.templates.get("count"))
        probes["rows"] = Probe("rows", rendered.sql)
    for one in found.differences:
        if one.probe == "nulls":
            wanted = found.renames.get(str(one.column), one.column)
            column = next(c.name for c in live.columns if wanted in (c.name, c.name.lower()))
            name = f"nulls {one.column}"
            rendered = renderer.render("count_nulls", {**facts, "column": column})
            probes[name] = Probe(name, rendered.sql)
    return tuple(probes.values())


def has_all_columns(spec: TableSpec, live: Live) -> bool:
    """Whether the live table is readable and has all columns of the spec."""
    if not isinstance(live, LiveTable) or not live.readable:
        return False
    there = {column.name.lower() for column in live.columns}
    return all(column.name in there for column in spec.columns)


def _apply_results(
    spec: TableSpec, one: Difference, results: Mapping[str, int | None]
) -> Difference:
    """The difference, blocked if the results say that rows make it impossible."""
    rows, nulls = results.get("rows"), results.get(f"nulls {one.column}")
    if one.probe == "rows" and rows:
        return replace(
            one,
            blocked=f"{one.column} is NOT NULL without a default, and {spec.table} has"
            f" {_rows(rows)} without a value for it: give it a default, or"
            " make it nullable",
        )
    if one.probe == "nulls" and nulls:
        return replace(
            one,
            blocked=f"{one.column} is NOT NULL in the spec, and NULL in {_rows(nulls)} of"
            f" {spec.table}: fill them first, or make it nullable",
        )
    return one


def select_allowed(
    changes: Iterable[TableChange],
    destructive: Sequence[str],
    *,
    assume_no_policies: bool = False,
) -> list[TableChange]:
    """Select the changes that have differences, after checking that all of them are allowed.

    Args:
        changes: The changes of any tables.
        destructive: Globs over asset keys and ``schema.table`` of tables that may lose data.
        assume_no_policies: Whether no policies are attached where they cannot be seen.

    Raises:
        PlanError: changes are blocked, may need the proof that no policies are attached, or would
            lose data of other tables; lists all of them.
    """
    pending = [change for change in changes if change.differences]
    blocked = [f"  {reason}" for change in pending for reason in change.blocked]
    if blocked:
        raise PlanError(
            "nothing was changed: some changes are not possible\n" + "\n".join(blocked),
            hint="fix them, or apply only the other tables",
        )
    unproven = [] if assume_no_policies else [change for change in pending if change.unproven]
    losing = [
        change for change in pending if change.destructive and not _matches(change, destructive)
    ]
    if unproven or losing:
        raise _refusal(unproven, losing)
    return pending


def _refusal(unproven: Sequence[TableChange], losing: Sequence[TableChange]) -> PlanError:
    """The error for changes that need a proof, and for those that would lose data."""
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
            f"  {change.spec.table}: {describe_difference(one)}: {one.loss}"
            for change in losing
            for one in change.differences
            if one.loss
        ]
        parts += ["some changes would lose data", *lines]
        globs = " ".join(f"--allow-destructive {change.spec.asset_key}" for change in losing)
        ways.append(f"to apply them anyway: {globs}")
    return PlanError(
        "nothing was changed: " + "\n".join(parts),
        hint="; ".join(ways),
        details=[
            {"table": change.spec.table, "change": describe_difference(one), "loss": one.loss}
            for change in losing
            for one in change.differences
            if one.loss
        ],
    )


def _matches(change: TableChange, globs: Sequence[str]) -> bool:
    names = (change.spec.asset_key, change.spec.table)
    return any(fnmatch.fnmatchcase(name, glob) for name in names for glob in globs)


def describe_difference(one: Difference) -> str:
    """Describe a difference in a few words."""
    name = f"{one.kind} {one.column}" if one.column else one.kind
    if one.kind in ("rename table", "rename column"):
        return f"{one.kind} {one.live} → {one.spec}"
    if one.kind in ("type", "nullability", "default", "identity", "widen column"):
        return f"{name}: {one.live or 'none'} → {one.spec or 'none'}"
    return name


def live_state(live: Live) -> dict[str, object] | str:
    """A live table as JSON-ready data, for saved plans."""
    if not isinstance(live, LiveTable):
        return live
    data = asdict(live)
    data["grants"] = sorted(f"{privilege} to {grantee}" for privilege, grantee in live.grants)
    data["grant_options"] = sorted(f"{what} to {who}" for what, who in live.grant_options)
    data["column_grants"] = sorted(
        f"{what} on {column} to {who}" for what, column, who in live.column_grants
    )
    data["seen"] = sorted(live.seen)
    for transient in ("unseen", "readable"):
        del data[transient]
    plain: dict[str, object] = json.loads(json.dumps(data))
    return plain


def fingerprint(data: object) -> str:
    """A digest of JSON-ready data."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _rows(count: int) -> str:
    return f"{count:,} row{'s' * (count != 1)}"


def _one_line(text: str) -> str:
    return " ".join(text.split())
