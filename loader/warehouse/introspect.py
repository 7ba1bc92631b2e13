"""Reads live tables from the catalog; the number of queries does not depend on their number."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from loader.errors import ExecuteError
from loader.plan.live_table import UNSEEN, Live, LiveColumn, LiveTable, Seen, unseen
from loader.sql.renderer import Renderer, Sql, Table
from loader.warehouse.base import Row, Session, as_whole_number
from loader.warehouse.live_grants import ColumnGrants, grantee_of, only_granted, parse_acl
from loader.warehouse.live_layout import Layout, layout_key_of

_PROBES_PER_QUERY = 100
"""The most probes in one query: each is a branch of a union, which has to be compiled."""

_IDENTITY = re.compile(r'"?(?:default_)?identity"?\(.*?\'(-?\d+),(-?\d+)\'', re.IGNORECASE)
_SEQUENCE = re.compile(r"nextval\('(.+)'\)", re.IGNORECASE)
_NAMED = re.compile(r"_seq_(-?\d+)_(-?\d+)$")
_PART = re.compile(r'"((?:[^"]|"")*)"|([^".]+)')


def inspect(session: Session, renderer: Renderer, tables: Sequence[Table]) -> dict[Table, Live]:
    """Read tables from the catalog, as far as this user can see them.

    The number of queries does not depend on the number of tables.

    Raises:
        ExecuteError: the catalog cannot be read.
    """
    if not tables:
        return {}
    inspection = _Inspection(session, renderer, tables)
    found = inspection.tables()
    keys = {table: _key(table.schema, table.name) for table in tables}
    return {table: found.get(key, inspection.absent(table)) for table, key in keys.items()}


def describe(session: Session, renderer: Renderer, table: Table) -> Live:
    """Read the columns of one live table, in one query.

    Raises:
        ExecuteError: the catalog cannot be read.
    """
    rows = session.execute(renderer.render("describe", {"table": table}).sql)
    if not rows:
        schemas = session.execute(renderer.render("find_schema", {"table": table}).sql)
        return "absent" if schemas else "no schema"
    columns = tuple(
        LiveColumn(name, kind, bool(nullable), bool(has_default))
        for name, kind, nullable, has_default, _ in rows
    )
    return LiveTable(columns, kind="table" if rows[0][4] else "view")


def find_dependants(
    session: Session, renderer: Renderer, table: Table, seen: Collection[Seen]
) -> list[str]:
    """Find the views, foreign keys and policies of a table, of the kinds that were visible before.

    Other kinds are not queried: an error would end the transaction.

    Raises:
        ExecuteError: the catalog cannot be read.
    """
    facts = {"schemas": [table.schema], "names": [table.name]}
    wanted: dict[Seen, str] = {
        "dependants": "live_dependants",
        "referrers": "live_referrers",
        "policies": "live_policies",
    }
    found: list[str] = []
    for what, template in wanted.items():
        if what in seen and renderer.has(template):
            rows = session.execute(renderer.render(template, facts).sql)
            found += [str(row[4 if what == "referrers" else 2]) for row in rows]
    return list(dict.fromkeys(found))


def run_probes(session: Session, renderer: Renderer, queries: Sequence[str]) -> list[int | None]:
    """Run queries that each return one number, many at a time, and return the numbers.

    A query that fails, or that returns something else, gives None.
    """
    results: list[int | None] = []
    for start in range(0, len(queries), _PROBES_PER_QUERY):
        results += _run_batch(session, renderer, queries[start : start + _PROBES_PER_QUERY])
    return results


def _run_batch(session: Session, renderer: Renderer, queries: Sequence[str]) -> list[int | None]:
    facts = {"queries": [Sql(query) for query in queries]}
    try:
        rows = session.execute(renderer.render("probes", facts).sql)
    except ExecuteError as error:
        if error.transient:
            raise
        if len(queries) == 1:
            return [None]
        # Split the batch, so that one invalid query does not affect the others.
        middle = len(queries) // 2
        return [
            *_run_batch(session, renderer, queries[:middle]),
            *_run_batch(session, renderer, queries[middle:]),
        ]
    return [as_whole_number(answer) for _, answer in sorted(rows, key=lambda row: row[0])]


def _key(schema: str | None, name: str) -> tuple[str, str]:
    return (schema or "").lower(), name.lower()


@dataclass
class _Inspection:
    """Reads some tables from the catalog; optional queries that fail are recorded in `unseen`."""

    session: Session
    renderer: Renderer
    wanted: Sequence[Table]
    schemas: set[str] = field(default_factory=set)
    seen: set[Seen] = field(default_factory=set)
    unseen: list[str] = field(init=False)
    _options: dict[tuple[str, str], set[tuple[str, str]]] = field(
        default_factory=lambda: defaultdict(set)
    )
    """The grants that may be granted on, by table."""

    def __post_init__(self) -> None:
        hidden = self.renderer.dialect.hidden
        self.unseen = [unseen(what, hidden) for what in UNSEEN] if hidden else []

    def tables(self) -> dict[tuple[str, str], Live]:
        rows = self._rows("live_columns")
        self.schemas = {str(row[0]).lower() for row in rows}
        wanted_keys = {_key(table.schema, table.name) for table in self.wanted}
        grouped = {
            key: list(run)
            for key, run in groupby(
                (row for row in rows if row[1] is not None), lambda row: _key(row[0], row[1])
            )
            if key in wanted_keys
        }
        tables: dict[tuple[str, str], Live] = {}
        if grouped:
            tables.update(self._read_tables(grouped))
        missing = [table for table in self.wanted if _key(table.schema, table.name) not in tables]
        if any((table.schema or "").lower() in self.schemas for table in missing):
            tables.update(self._external(missing))
        return tables

    def absent(self, table: Table) -> Live:
        return "absent" if (table.schema or "").lower() in self.schemas else "no schema"

    def _read_tables(
        self, grouped: Mapping[tuple[str, str], list[Row]]
    ) -> dict[tuple[str, str], Live]:
        layout = self._layout()
        keys = self._by_table("live_keys", "keys")
        grants = self._grants()
        dependants = self._by_table("live_dependants", "dependants")
        referrers = self._by_table("live_referrers", "referrers")
        policies = self._policies()
        options = self._options
        on_columns = self._column_grants()
        sequences = {
            _key(row[0], row[1]): (int(row[2]), int(row[3])) for row in self._rows("live_sequences")
        }
        found: dict[tuple[str, str], Live] = {}
        for key, rows in grouped.items():
            table = replace(
                _table(rows, layout.columns.get(key, {}), sequences),
                primary_key=_primary_key(rows, keys.get(key, ())),
                grants=only_granted(grants.get(key, ()), str(rows[0][3] or "").strip()),
                grant_options=only_granted(options.get(key, ()), str(rows[0][3] or "").strip()),
                column_grants=frozenset(on_columns.shown.get(key, ())),
                dependants=tuple(dict.fromkeys(str(row[2]) for row in dependants.get(key, ()))),
                bound_columns=_bound_columns(dependants.get(key, ())),
                referrers=tuple((str(row[2]), str(row[3]), str(row[4])) for row in referrers[key]),
                policies=tuple(str(row[2]) for row in policies[key]),
                seen=frozenset(self.seen),
                unseen=tuple(self.unseen),
            )
            found[key] = on_columns.add_to(key, layout.add_to(key, table))
        return found

    def _rows(self, template: str) -> list[Row]:
        """The rows of a query; none where the dialect has no such query."""
        if not self.renderer.has(template):
            return []
        facts = {
            "schemas": sorted({table.schema for table in self.wanted if table.schema}),
            "names": sorted({table.name for table in self.wanted}),
        }
        return self.session.execute(self.renderer.render(template, facts).sql)

    def _optional(self, template: str) -> list[Row] | ExecuteError:
        """The same, or the error: the user may lack privileges, or the warehouse the view."""
        try:
            return self._rows(template)
        except ExecuteError as error:
            if error.transient:
                raise
            return error

    def _by_table(self, template: str, what: Seen) -> dict[tuple[str, str], list[Row]]:
        rows = self._optional(template)
        if isinstance(rows, ExecuteError):
            self.unseen.append(unseen(what, rows.message))
            return {}
        if self.renderer.has(template):
            self.seen.add(what)
        grouped: dict[tuple[str, str], list[Row]] = defaultdict(list)
        for row in rows:
            grouped[_key(row[0], row[1])].append(row)
        return grouped

    def _layout(self) -> Layout:
        if not self.renderer.has("live_layout"):
            return Layout()
        columns = self._optional("live_layout")
        if isinstance(columns, ExecuteError):
            self.unseen.append(unseen("layout", columns.message))
            return Layout()
        found: dict[tuple[str, str], dict[str, Row]] = defaultdict(dict)
        for row in columns:
            found[_key(row[0], row[1])][str(row[2]).lower()] = row
        self.seen.add("layout")
        automatic = self._automatic_sorts()
        styles = self._optional("live_styles")
        if isinstance(styles, ExecuteError):
            return Layout(found, automatic=automatic)  # a dist key is seen all the same
        return Layout(found, {_key(row[0], row[1]): row for row in styles}, automatic)

    def _automatic_sorts(self) -> frozenset[tuple[str, str]]:
        """The tables whose sort key Redshift chooses."""
        rows = self._optional("live_sort")
        if isinstance(rows, ExecuteError):
            self.unseen.append(unseen("sort", rows.message))
            return frozenset()
        self.seen.add("sort")
        return frozenset(
            _key(row[0], row[1]) for row in rows if str(row[2] or "").upper().startswith("AUTO")
        )

    def _policies(self) -> dict[tuple[str, str], list[Row]]:
        """Row-level security and masking, for users who would see it if there were any."""
        nothing: dict[tuple[str, str], list[Row]] = defaultdict(list)
        if not self.renderer.has("live_policies_seen"):
            return nothing
        proof = self._optional("live_policies_seen")
        if isinstance(proof, ExecuteError):
            self.unseen.append(unseen("policies", proof.message))
            return nothing
        if not proof or proof[0][0] is not True:
            self.unseen.append(unseen("policies", "this user does not have the role sys:secadmin"))
            return nothing
        return self._by_table("live_policies", "policies")

    def _column_grants(self) -> ColumnGrants:
        """Grants on columns, and the columns with grants that are hidden from this user."""
        shown: dict[tuple[str, str], set[tuple[str, str, str]]] = defaultdict(set)
        if not self.renderer.has("live_column_grants"):
            return ColumnGrants(shown)
        rows, lists = self._optional("live_column_grants"), self._optional("live_column_acl")
        failed = next((one for one in (rows, lists) if isinstance(one, ExecuteError)), None)
        if failed is not None:
            self.unseen.append(unseen("column grants", failed.message))
            return ColumnGrants(shown)
        assert not isinstance(rows, ExecuteError)
        assert not isinstance(lists, ExecuteError)
        self.seen.add("column grants")
        for schema, table, privilege, column, kind, who in rows:
            granted = (str(privilege).strip().lower(), str(column), grantee_of(kind, who))
            shown[_key(schema, table)].add(granted)
        hidden: dict[tuple[str, str], set[str]] = defaultdict(set)
        for schema, table, column, text, owner in lists:
            key = _key(schema, table)
            known = {(what, who) for what, on, who in shown[key] if on == column}
            listed, _ = parse_acl(str(text), str(owner).strip())
            if not all(known & one for one in listed):
                hidden[key].add(str(column))
        return ColumnGrants(shown, hidden)

    def _grants(self) -> dict[tuple[str, str], set[tuple[str, str]]]:
        found: dict[tuple[str, str], set[tuple[str, str]]] = defaultdict(set)
        if not self.renderer.has("live_grants"):
            return found
        rows = self._optional("live_grants")
        if not isinstance(rows, ExecuteError):
            for schema, name, privilege, kind, who, grantable in rows:
                granted = (str(privilege).strip().lower(), grantee_of(kind, who))
                found[_key(schema, name)].add(granted)
                if grantable:
                    self._options[_key(schema, name)].add(granted)
            self.seen.add("grants")
            return found
        lists = self._optional("live_acl")
        if isinstance(lists, ExecuteError):
            self.unseen.append(unseen("grants", rows.message))
            return found
        self.seen.add("grants")
        for schema, name, text, owner in lists:
            listed, grantable = parse_acl(str(text or ""), str(owner).strip())
            found[_key(schema, name)].update(*listed)
            self._options[_key(schema, name)].update(*grantable)
        return found

    def _external(self, missing: Iterable[Table]) -> dict[tuple[str, str], Live]:
        """Find the tables that are external, or whose schema is; Loader cannot create those."""
        named = self._optional("live_external_schemas")
        if isinstance(named, ExecuteError) or not named:
            return {}  # the view of tables is slow, and only of use where a schema is external
        rows = self._optional("live_external")
        schemas = {str(row[0]).lower() for row in named}
        found_rows = [] if isinstance(rows, ExecuteError) else rows
        tables = {_key(row[0], row[1]) for row in found_rows}
        found: dict[tuple[str, str], Live] = {}
        for table in missing:
            key = _key(table.schema, table.name)
            if key in tables:
                found[key] = LiveTable((), kind="external table")
            elif key[0] in schemas:
                found[key] = LiveTable((), kind="name in an external schema")
        return found


def _table(
    rows: list[Row], layout: Mapping[str, Row], sequences: Mapping[tuple[str, str], tuple[int, int]]
) -> LiveTable:
    first = rows[0]
    columns = tuple(_columns(rows, layout, sequences))
    owner = str(first[3]).strip() if not first[13] else None
    return LiveTable(columns, str(first[2]), first[5], owner, readable=bool(first[4]))


def _columns(
    rows: list[Row], layout: Mapping[str, Row], sequences: Mapping[tuple[str, str], tuple[int, int]]
) -> Iterator[LiveColumn]:
    for row in rows:
        name, data_type, nullable, has_default, default, comment = row[7:13]
        if name is None:
            continue  # a late-binding view without its table has no columns
        layout_row = layout.get(str(name).lower())
        text = layout_row[3] if layout_row is not None and layout_row[3] is not None else default
        identity = _identity(str(text), str(row[0]), sequences) if text is not None else None
        if not (has_default or identity):
            text = None  # `svv_redshift_columns` shows the size of some columns as a default
        encoding = (
            str(layout_row[4]).strip().lower() if layout_row is not None and layout_row[4] else None
        )
        yield LiveColumn(
            name=str(name),
            data_type=str(data_type),
            nullable=bool(nullable),
            has_default=bool(has_default) or text is not None,
            default=None if identity or text is None else str(text),
            identity=identity,
            comment=comment,
            encoding="raw" if encoding == "none" else encoding,
            layout_key=layout_key_of(layout_row),
        )


def _identity(
    default: str, schema: str, sequences: Mapping[tuple[str, str], tuple[int, int]]
) -> tuple[int, int] | None:
    if (match := _IDENTITY.search(default)) is not None:
        return int(match[1]), int(match[2])
    if (match := _SEQUENCE.search(default)) is not None:
        quoted = match[1].replace("''", "'")
        parts = [(one[0].replace('""', '"') or one[1]) for one in _PART.findall(quoted)]
        # DuckDB does not store the start of a sequence; Loader's sequences have it in their names.
        if (named := _NAMED.search(parts[-1])) is not None:
            return int(named[1]), int(named[2])
        return sequences.get(_key(parts[-2] if len(parts) > 1 else schema, parts[-1]))
    return None


def _primary_key(rows: list[Row], keys: Sequence[Row]) -> tuple[str, ...]:
    """The columns of the primary key; catalogs list them by number or by name."""
    if not keys:
        return ()
    text = str(keys[0][2])
    by_number = {str(row[6]): str(row[7]) for row in rows}
    names = text.split("\n")
    if len(names) == 1 and all(part in by_number for part in text.split()):
        return tuple(by_number[part].lower() for part in text.split())
    return tuple(name.lower() for name in names)


def _bound_columns(dependants: Iterable[Row]) -> tuple[str, ...]:
    """The columns that views use, where the catalog tells them."""
    return tuple(sorted({str(row[3]) for row in dependants if len(row) > 3 and row[3]}))
