"""Reads live tables from the catalog; the number of queries does not depend on their number."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from loader.errors import ExecuteError
from loader.plan.live_table import Live, LiveColumn, LiveTable, Seen, unseen
from loader.sql.renderer import Renderer, Sql, Table
from loader.warehouse.base import Row, Session, as_whole_number

_PROBES_PER_QUERY = 1_000
"""The most probes in one query."""

_IDENTITY = re.compile(r'"?(?:default_)?identity"?\(.*?\'(-?\d+),(-?\d+)\'', re.IGNORECASE)
_SEQUENCE = re.compile(r"nextval\('(.+)'\)", re.IGNORECASE)
_NAMED = re.compile(r"_seq_(-?\d+)_(-?\d+)$")
_PART = re.compile(r'"((?:[^"]|"")*)"|([^".]+)')

_ACL = {"r": "select", "a": "insert", "w": "update", "d": "delete", "x": "references"}
_GRANTABLE = frozenset(
    {"select", "insert", "update", "delete", "references", "drop", "alter", "truncate"}
)
"""Privileges that can be granted on a table (``r_GRANT``); catalogs list more."""

_EFFECTIVE_AUTO = (10, 11, 12)
"""Values of ``pg_class_info.releffectivediststyle`` for DISTSTYLE AUTO."""


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
    unseen: list[str] = field(default_factory=list)

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
        sequences = {
            _key(row[0], row[1]): (int(row[2]), int(row[3])) for row in self._rows("live_sequences")
        }
        found: dict[tuple[str, str], Live] = {}
        for key, rows in grouped.items():
            table = replace(
                _table(rows, layout.columns.get(key, {}), sequences),
                primary_key=_primary_key(rows, keys.get(key, ())),
                grants=_explicit_grants(grants.get(key, ()), str(rows[0][3] or "").strip()),
                dependants=tuple(str(row[2]) for row in dependants.get(key, ())),
                seen=frozenset(self.seen),
                unseen=tuple(self.unseen),
            )
            found[key] = layout.add_to(key, table)
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

    def _layout(self) -> _Layout:
        if not self.renderer.has("live_layout"):
            return _Layout()
        columns = self._optional("live_layout")
        if isinstance(columns, ExecuteError):
            self.unseen.append(unseen("layout", columns.message))
            return _Layout()
        found: dict[tuple[str, str], dict[str, Row]] = defaultdict(dict)
        for row in columns:
            found[_key(row[0], row[1])][str(row[2]).lower()] = row
        self.seen.add("layout")
        styles = self._optional("live_styles")
        if isinstance(styles, ExecuteError):
            return _Layout(found)  # the dist key is known anyway
        return _Layout(found, {_key(row[0], row[1]): row for row in styles})

    def _grants(self) -> dict[tuple[str, str], set[tuple[str, str]]]:
        found: dict[tuple[str, str], set[tuple[str, str]]] = defaultdict(set)
        if not self.renderer.has("live_grants"):
            return found
        rows = self._optional("live_grants")
        if not isinstance(rows, ExecuteError):
            for schema, name, privilege, kind, who in rows:
                grantee = "public" if str(kind).lower() == "public" else f"{kind}:{who}".strip()
                found[_key(schema, name)].add((str(privilege).strip().lower(), grantee))
            self.seen.add("grants")
            return found
        lists = self._optional("live_acl")
        if isinstance(lists, ExecuteError):
            self.unseen.append(unseen("grants", rows.message))
            return found
        self.seen.add("grants")
        for schema, name, text, owner in lists:
            found[_key(schema, name)].update(_parse_acl(str(text or ""), str(owner).strip()))
        return found

    def _external(self, missing: Iterable[Table]) -> dict[tuple[str, str], Live]:
        """Find the tables that are external, or whose schema is; Loader cannot create those."""
        rows = self._optional("live_external")
        if isinstance(rows, ExecuteError):
            return {}
        tables = {_key(row[0], row[1]) for row in rows if row[1] is not None}
        schemas = {str(row[0]).lower() for row in rows}
        found: dict[tuple[str, str], Live] = {}
        for table in missing:
            key = _key(table.schema, table.name)
            if key in tables:
                found[key] = LiveTable((), kind="external table")
            elif key[0] in schemas:
                found[key] = LiveTable((), kind="name in an external schema")
        return found


@dataclass(frozen=True)
class _Layout:
    """The catalog rows about distribution, sort keys and encodings, by table."""

    columns: Mapping[tuple[str, str], Mapping[str, Row]] = field(default_factory=dict)
    styles: Mapping[tuple[str, str], Row] = field(default_factory=dict)

    def add_to(self, key: tuple[str, str], table: LiveTable) -> LiveTable:
        """Add the layout from the catalog to a table; ``key`` is schema and name."""
        if not table.is_table or "layout" not in table.seen:
            return table
        rows = self.columns.get(key)
        if not rows:
            return _without_layout(table, "this user has no privileges on it")
        by_name = [
            (column.name, rows[column.name.lower()])
            for column in table.columns
            if column.name.lower() in rows
        ]
        if key not in self.styles and all(_has_no_layout(row) for _, row in by_name):
            return _without_layout(table, "the catalog has none")
        sort, sort_type = _sort_key(by_name)
        dist_keys = [name for name, row in by_name if row[5]]
        return replace(table, dist=self._style(key, dist_keys), sort=sort, sort_type=sort_type)

    def _style(self, key: tuple[str, str], dist_keys: list[str]) -> str | None:
        style = self.styles.get(key)
        if style is not None:
            number, effective = int(style[2] or 0), int(style[3] or 0)
            if number not in (0, 1, 8) or effective in _EFFECTIVE_AUTO:
                return "auto"
            if number != 1:
                return "all" if number == 8 else "even"
        return dist_keys[0] if dist_keys else None


def _has_no_layout(row: Row) -> bool:
    """Whether a column has no encoding and is in neither the dist key nor the sort key."""
    return str(row[4] or "none").strip().lower() == "none" and not (row[5] or row[6])


def _sort_key(by_name: Iterable[tuple[str, Row]]) -> tuple[tuple[str, ...], str | None]:
    """The columns of the sort key in order, and its kind.

    ``by_name`` are the table's columns with their catalog rows. Interleaved keys are signed.
    """
    numbered = [(int(row[6]), name) for name, row in by_name if row[6]]
    if not numbered:
        return (), None
    names = tuple(name for _, name in sorted((abs(number), name) for number, name in numbered))
    return names, "interleaved" if any(number < 0 for number, _ in numbered) else "compound"


def _without_layout(table: LiveTable, why: str) -> LiveTable:
    unseen_layout = (*table.unseen, unseen("layout", why))
    return replace(table, seen=table.seen - {"layout"}, unseen=unseen_layout)


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


def _explicit_grants(found: Iterable[tuple[str, str]], owner: str) -> frozenset[tuple[str, str]]:
    """The grants without those of the owner, who has all privileges anyway."""
    return frozenset(
        (privilege, grantee)
        for privilege, grantee in found
        if privilege in _GRANTABLE and grantee != f"user:{owner}"
    )


def _parse_acl(text: str, owner: str) -> Iterator[tuple[str, str]]:
    """Parse the grants of an access list such as ``etl=arwd/etl``, one a line, without the owner's.

    The list does not distinguish users, groups and roles, so a name counts as all of them.
    """
    for line in text.splitlines():
        who, _, rest = line.strip().strip('"').rpartition("=")
        group = who.startswith("group ")
        name = who.removeprefix("group ").strip('"\\')
        if name == owner and not group:
            continue
        kinds = ["group"] if group else ["user", "role", "group"]
        for letter in rest.partition("/")[0]:
            if letter in _ACL:
                yield from (
                    (_ACL[letter], f"{kind}:{name}" if name else "public") for kind in kinds
                )
