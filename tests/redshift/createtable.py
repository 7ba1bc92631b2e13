"""CREATE TABLE: its layout and keys are checked and noted, the rest is PostgreSQL's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.redshift.columntypes import KEY_TYPES, ColumnType, check_encoding, parse_type
from tests.redshift.notes import noted
from tests.redshift.refusals import BAD_DEFINITION, NOT_SUPPORTED, SYNTAX, Refusal, syntax_error
from tests.redshift.rewrite import Domains, need, path, render
from tests.redshift.tokens import Cursor, Token, quote, split

MAX_COLUMNS = 1_600
MAX_COMPOUND = 400
MAX_INTERLEAVED = 8

_INTEGER_RANGES = {
    "integer": (-(2**31), 2**31 - 1),
    "bigint": (-(2**63), 2**63 - 1),
}
_AFTER_DEFAULT = (
    "identity", "generated", "encode", "distkey", "sortkey", "collate", "unique", "primary",
    "references", "constraint", "check",
)  # fmt: skip
_TABLE_CONSTRAINTS = ("constraint", "primary", "unique", "foreign", "check")


@dataclass(frozen=True)
class Key:
    """A constraint that nobody enforces; the target is that of a foreign key."""

    type: str
    """As ``pg_constraint.contype`` has it: ``p``, ``u`` or ``f``."""
    columns: tuple[str, ...]
    name: str | None = None
    target: str | None = None
    target_columns: tuple[str, ...] = ()


@dataclass
class Column:
    """A column definition as it was read."""

    name: str
    type: ColumnType
    default: list[Token] = field(default_factory=list)
    identity: tuple[int, int] | None = None
    by_default: bool = False
    encode: str = ""
    not_null: bool | None = None
    marks: set[str] = field(default_factory=set)
    """``distkey``, ``sortkey``, ``collate``, ``unique``, ``primary``, ``references``."""
    keys: list[Key] = field(default_factory=list)

    def sql(self, domains: Domains) -> str:
        """The definition for PostgreSQL."""
        parts = [quote(self.name), need(self.type, domains)]
        if self.default:
            parts.append(f"DEFAULT {render(self.default, domains)}")
        if self.identity is not None:
            parts.append(self._identity())
        if self.not_null:
            parts.append("NOT NULL")
        return " ".join(parts)

    def _identity(self) -> str:
        assert self.identity is not None
        seed, step = self.identity
        low, high = _INTEGER_RANGES[self.type.name]
        # ALWAYS for the plain one: Redshift lets no INSERT set it.
        how = "BY DEFAULT" if self.by_default else "ALWAYS"
        return (
            f"GENERATED {how} AS IDENTITY (START WITH {seed} INCREMENT BY {step} "
            f"MINVALUE {low} MAXVALUE {high})"
        )


def read_column(cursor: Cursor) -> Column:
    """Read one column definition to its end.

    Raises:
        Refusal: it breaks a rule of F§3.1 or F§3.2.
    """
    name = cursor.name()
    column = Column(name, parse_type(cursor))
    while not cursor.done:
        _read_attribute(cursor, column)
    if column.encode:
        check_encoding(name, column.type.name, column.encode)
    if column.identity is not None:
        if column.type.name not in _INTEGER_RANGES:
            raise Refusal(
                f'identity column "{name}" must be of type INTEGER or BIGINT', BAD_DEFINITION
            )
        if column.default:
            raise Refusal(f'both default and identity specified for column "{name}"', SYNTAX)
        if column.not_null is False:
            raise Refusal(f'conflicting NULL/NOT NULL declarations for column "{name}"', SYNTAX)
    return column


def _read_attribute(cursor: Cursor, column: Column) -> None:
    if cursor.take("default"):
        if column.default:
            raise Refusal(f'multiple default values specified for column "{column.name}"', SYNTAX)
        column.default = _default(cursor)
    elif cursor.take("identity"):
        _set_identity(cursor, column)
    elif cursor.take("generated", "by", "default", "as", "identity"):
        _set_identity(cursor, column)
        column.by_default = True
    elif cursor.take("encode"):
        column.encode = cursor.name()
    elif cursor.take("not", "null"):
        _set_null(column, not_null=True)
    elif cursor.take("null"):
        _set_null(column, not_null=False)
    else:
        column.marks.add(_mark(cursor, column))


def _mark(cursor: Cursor, column: Column) -> str:
    """Go past an attribute that PostgreSQL is not told, and tell its first word."""
    word = cursor.next().value
    match word:
        case "collate":
            if cursor.name() in ("case_sensitive", "case_insensitive", "cs", "ci"):
                return word
        case "primary":
            cursor.expect("key")
            column.keys.append(Key("p", (column.name,)))
            _set_null(column, not_null=True)
            return word
        case "references":
            column.keys.append(_references(cursor, (column.name,), None))
            return word
        case "unique":
            column.keys.append(Key("u", (column.name,)))
            return word
        case "distkey" | "sortkey":
            return word
    cursor.place -= 1
    raise cursor.unexpected()


def _references(cursor: Cursor, columns: tuple[str, ...], name: str | None) -> Key:
    target = path(cursor.path()[-2:])
    return Key("f", columns, name, target, cursor.names() if cursor.at("(") else ())


def _set_identity(cursor: Cursor, column: Column) -> None:
    cursor.expect("(")
    seed = cursor.integer()
    cursor.expect(",")
    step = cursor.integer()
    cursor.expect(")")
    if column.identity is not None:
        raise Refusal(f'multiple identity specified for column "{column.name}"', SYNTAX)
    column.identity = (seed, step)


def _set_null(column: Column, *, not_null: bool) -> None:
    if column.not_null not in (None, not_null):
        raise Refusal(f'conflicting NULL/NOT NULL declarations for column "{column.name}"', SYNTAX)
    column.not_null = not_null


def _default(cursor: Cursor) -> list[Token]:
    """Go past a DEFAULT expression: it ends where the next attribute begins."""
    start, depth = cursor.place, 0
    while not cursor.done:
        token = cursor.peek()
        assert token is not None
        depth += token.says("(") - token.says(")")
        ends = token.says(*_AFTER_DEFAULT) or cursor.at("not", "null") or token.says("null")
        if depth == 0 and ends and cursor.place > start:
            break
        cursor.next()
    tokens = list(cursor.tokens[start : cursor.place])
    if not tokens:
        raise cursor.unexpected()
    if any(token.says("select") for token in tokens):
        raise Refusal("cannot use subquery in DEFAULT expression", NOT_SUPPORTED)
    return tokens


@dataclass
class _Physical:
    """How the table is laid out."""

    style: str = ""
    distkey: tuple[str, ...] = ()
    sortkey: tuple[str, ...] = ()
    sort_kind: str = ""
    given: bool = False

    def note(self, columns: Sequence[Column] = (), keys: Sequence[Key] = ()) -> dict[str, Any]:
        """What is remembered of the table."""
        return {
            "diststyle": self.style or ("key" if self.distkey else "auto"),
            "distkey": next(iter(self.distkey), None),
            "sortkind": self.sort_kind or "auto",
            "sortkey": self.sortkey,
            "encode": {column.name: column.encode for column in columns if column.encode},
            "keys": [asdict(key) for key in keys],
        }


def create_table(cursor: Cursor, domains: Domains, *, temporary: bool) -> str:
    """The statement behind ``CREATE [TEMP] TABLE`` for PostgreSQL.

    Raises:
        Refusal: it breaks a rule of F§3.
    """
    missing_only = cursor.take("if", "not", "exists")
    names = cursor.path()
    temporary = temporary or names[-1].startswith("#")
    if temporary and len(names) > 1:
        raise Refusal("temporary tables may not specify a schema name", BAD_DEFINITION)
    head = f"CREATE {'TEMPORARY ' if temporary else ''}TABLE "
    items = split(cursor.group()) if cursor.at("(") else []
    physical = _read_physical(cursor)
    if cursor.take("as"):
        if missing_only:
            raise syntax_error("AS")
        query = _as_query(cursor, items, physical, domains)
        return noted(head + path(names[-2:]) + query, physical.note())
    if not items or not cursor.done:
        raise cursor.unexpected()
    head += "IF NOT EXISTS " if missing_only else ""
    body, note = _body(items, physical, domains)
    return noted(f"{head}{path(names[-2:])} (\n  " + ",\n  ".join(body) + "\n)", note)


def _as_query(
    cursor: Cursor, items: Sequence[Sequence[Token]], physical: _Physical, domains: Domains
) -> str:
    columns = ""
    if items:
        listed = [_only_name(item) for item in items]
        columns = " (" + ", ".join(map(quote, listed)) + ")"
        _check_physical(physical, dict.fromkeys(listed))
    else:
        _check_physical(physical, None)
    query = list(cursor.tokens[cursor.place :])
    if not query:
        raise syntax_error("")
    return f"{columns} AS {render(query, domains)}"


def _only_name(item: Sequence[Token]) -> str:
    inner = Cursor(item)
    name = inner.name()
    if not inner.done:
        raise inner.unexpected()
    return name


def _body(
    items: Sequence[Sequence[Token]], physical: _Physical, domains: Domains
) -> tuple[list[str], dict[str, Any]]:
    """The items for PostgreSQL, and the note of what it is not told."""
    columns: dict[str, Column] = {}
    keys: list[Key] = []
    likes: list[str] = []
    body: list[str | Column] = []
    for item in items:
        inner = Cursor(item)
        if inner.take("like"):
            parent, like = _like(inner)
            likes.append(parent)
            body.append(like)
        elif inner.at("constraint") or any(inner.at(word) for word in _TABLE_CONSTRAINTS[1:]):
            keys.append(read_constraint(inner))
        else:
            column = read_column(inner)
            if column.name in columns:
                raise Refusal(f'column "{column.name}" specified more than once', "42701")
            columns[column.name] = column
            body.append(column)
    if len(columns) > MAX_COLUMNS:
        raise Refusal(f"tables can have at most {MAX_COLUMNS} columns", "54011")
    if likes and (physical.given or len(likes) > 1):
        raise Refusal("LIKE copies the table attributes; they cannot be set as well", SYNTAX)
    if not likes:
        _mark_physical(physical, columns)
        _check_physical(physical, {name: column.type for name, column in columns.items()})
        _mark_keys(keys, columns)
    keys = [key for column in columns.values() for key in column.keys] + keys
    note = physical.note(list(columns.values()), keys)
    if likes:
        note |= {"like": likes[0], "table": likes[0]}
    return [item if isinstance(item, str) else item.sql(domains) for item in body], note


def _like(cursor: Cursor) -> tuple[str, str]:
    """The parent, and the clause for PostgreSQL."""
    parent = path(cursor.path()[-2:])
    including = cursor.take("including", "defaults")
    if not including:
        cursor.take("excluding", "defaults")
    if not cursor.done:
        raise cursor.unexpected()
    return parent, f"LIKE {parent}{' INCLUDING DEFAULTS' if including else ''}"


def read_constraint(cursor: Cursor) -> Key:
    """Read a table constraint.

    Raises:
        Refusal: Redshift has no such constraint.
    """
    name = cursor.name() if cursor.take("constraint") else None
    if cursor.take("primary", "key"):
        key = Key("p", cursor.names(), name)
    elif cursor.take("unique"):
        key = Key("u", cursor.names(), name)
    elif cursor.take("foreign", "key"):
        columns = cursor.names()
        cursor.expect("references")
        key = _references(cursor, columns, name)
    elif cursor.at("check"):
        raise Refusal("CHECK constraints are not supported", NOT_SUPPORTED)
    else:
        raise cursor.unexpected()
    if not cursor.done:
        raise cursor.unexpected()
    return key


def _mark_keys(keys: Sequence[Key], columns: dict[str, Column]) -> None:
    for key in keys:
        for name in key.columns:
            if name not in columns:
                raise Refusal(f'column "{name}" named in key does not exist', "42703")
            if key.type == "p":
                _set_null(columns[name], not_null=True)


def _read_physical(cursor: Cursor) -> _Physical:
    found = _Physical()
    while not cursor.done and not cursor.at("as"):
        found.given = True
        if cursor.take("diststyle"):
            if found.style:
                raise Refusal("conflicting or redundant options: DISTSTYLE", SYNTAX)
            found.style = cursor.name()
            if found.style not in ("auto", "even", "key", "all"):
                raise Refusal(f'invalid DISTSTYLE "{found.style}"', SYNTAX)
        elif cursor.take("distkey"):
            found.distkey += cursor.names()
        elif cursor.take("backup"):
            if not (cursor.take("yes") or cursor.take("no")):
                raise cursor.unexpected()
        elif cursor.take("encode"):
            cursor.expect("auto")
        else:
            _read_sortkey(cursor, found)
    return found


def _read_sortkey(cursor: Cursor, found: _Physical) -> None:
    kind = next((kind for kind in ("compound", "interleaved") if cursor.take(kind)), "")
    cursor.expect("sortkey")
    if found.sort_kind:
        raise Refusal("conflicting or redundant options: SORTKEY", SYNTAX)
    if not kind and cursor.take("auto"):
        found.sort_kind = "auto"
        return
    found.sort_kind = kind or "compound"
    found.sortkey = cursor.names()


def _mark_physical(physical: _Physical, columns: dict[str, Column]) -> None:
    """Take DISTKEY and SORTKEY of columns to those of the table."""
    distkey = tuple(name for name, column in columns.items() if "distkey" in column.marks)
    sortkey = tuple(name for name, column in columns.items() if "sortkey" in column.marks)
    physical.distkey += distkey
    if sortkey:
        if physical.sort_kind:
            raise Refusal("SORTKEY is specified for both a column and the table", SYNTAX)
        physical.sort_kind, physical.sortkey = "compound", sortkey


def _check_physical(physical: _Physical, columns: dict[str, ColumnType | None] | None) -> None:
    """Refuse a layout that contradicts itself, or the columns where they are known."""
    if len(physical.distkey) > 1:
        raise Refusal("a table can have only one DISTKEY column", BAD_DEFINITION)
    if physical.distkey and physical.style not in ("", "key"):
        raise Refusal(
            f"DISTKEY cannot be specified with DISTSTYLE {physical.style.upper()}", BAD_DEFINITION
        )
    if physical.style == "key" and not physical.distkey:
        raise Refusal("DISTSTYLE KEY requires a DISTKEY column", BAD_DEFINITION)
    limit = MAX_INTERLEAVED if physical.sort_kind == "interleaved" else MAX_COMPOUND
    if len(physical.sortkey) > limit:
        raise Refusal(f"{physical.sort_kind} sort keys can have at most {limit} columns", "54011")
    if len(set(physical.sortkey)) < len(physical.sortkey):
        raise Refusal("a column appears twice in SORTKEY", "42701")
    for key, names in (("DISTKEY", physical.distkey), ("SORTKEY", physical.sortkey)):
        for name in names:
            if columns is None:
                continue
            if name not in columns:
                raise Refusal(f'column "{name}" named in {key} does not exist', "42703")
            found = columns[name]
            if found is not None and found.name not in KEY_TYPES:
                raise Refusal(
                    f'column "{name}" of type {found.name} cannot be a {key}', BAD_DEFINITION
                )
