"""CREATE TABLE: its layout and keys are checked and noted, the rest is PostgreSQL's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from loader.testing.redshift.refusals import (
    BAD_DEFINITION,
    NOT_SUPPORTED,
    SYNTAX,
    Refusal,
    syntax_error,
)
from loader.testing.redshift.statements.column_types import (
    check_encoding,
    parse_type,
)
from loader.testing.redshift.statements.notes import noted
from loader.testing.redshift.statements.queries import check_leader_only
from loader.testing.redshift.statements.rewrite import Domains, path, render
from loader.testing.redshift.statements.table_layout import (
    INTEGER_RANGES,
    Column,
    Key,
    TableLayout,
    check_layout,
    move_column_keys,
    read_layout,
)
from loader.testing.redshift.statements.tokens import Cursor, Token, quote, split

MAX_COLUMNS = 1_600

_AFTER_DEFAULT = (
    "identity", "generated", "encode", "distkey", "sortkey", "collate", "unique", "primary",
    "references", "constraint", "check",
)  # fmt: skip
_TABLE_CONSTRAINTS = ("constraint", "primary", "unique", "foreign", "check")


_SYSTEM_COLUMNS = ("oid", "tableoid", "xmin", "cmin", "xmax", "cmax", "ctid")


def check_column_name(name: str) -> None:
    """Refuse the names of PostgreSQL's system columns (dg/c_unsupported-postgresql-features).

    Raises:
        Refusal: it is one.
    """
    if name in _SYSTEM_COLUMNS:
        raise Refusal(f'column name "{name}" conflicts with a system column name', "42701")


def read_column(cursor: Cursor) -> Column:
    """Read one column definition to its end.

    Raises:
        Refusal: it breaks a rule of dg/r_CREATE_TABLE_NEW.
    """
    name = cursor.name()
    check_column_name(name)
    column = Column(name, parse_type(cursor))
    while not cursor.done:
        _read_attribute(cursor, column)
    if column.encode:
        check_encoding(name, column.type.name, column.encode)
    if column.identity is not None:
        if column.type.name not in INTEGER_RANGES:
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
    """Read an attribute that PostgreSQL does not get: its first word."""
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
    check_leader_only(tokens)
    if any(token.says("select") for token in tokens):
        raise Refusal("cannot use subquery in DEFAULT expression", NOT_SUPPORTED)
    return tokens


def create_table(cursor: Cursor, domains: Domains, *, temporary: bool) -> str:
    """The statement behind ``CREATE [TEMP] TABLE`` for PostgreSQL.

    Raises:
        Refusal: it breaks a rule of dg/r_CREATE_TABLE_NEW.
    """
    missing_only = cursor.take("if", "not", "exists")
    names = cursor.path()
    temporary = temporary or names[-1].startswith("#")
    if temporary and len(names) > 1:
        raise Refusal("temporary tables may not specify a schema name", BAD_DEFINITION)
    head = f"CREATE {'TEMPORARY ' if temporary else ''}TABLE "
    items = split(cursor.group()) if cursor.at("(") else []
    layout = read_layout(cursor)
    if cursor.take("as"):
        if missing_only:
            raise syntax_error("AS")
        query = _as_query(cursor, items, layout, domains)
        return noted(head + path(names[-2:]) + query, layout.note())
    if not items or not cursor.done:
        raise cursor.unexpected()
    head += "IF NOT EXISTS " if missing_only else ""
    body, note = _body(items, layout, domains)
    return noted(f"{head}{path(names[-2:])} (\n  " + ",\n  ".join(body) + "\n)", note)


def _as_query(
    cursor: Cursor, items: Sequence[Sequence[Token]], layout: TableLayout, domains: Domains
) -> str:
    columns = ""
    if items:
        listed = [_only_name(item) for item in items]
        columns = " (" + ", ".join(map(quote, listed)) + ")"
        check_layout(layout, dict.fromkeys(listed))
    else:
        check_layout(layout, None)
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
    items: Sequence[Sequence[Token]], layout: TableLayout, domains: Domains
) -> tuple[list[str], dict[str, Any]]:
    """The items for PostgreSQL, and the note of what it does not get."""
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
    if likes and (layout.given or len(likes) > 1):
        raise Refusal("LIKE copies the table attributes; they cannot be set as well", SYNTAX)
    if not likes:
        move_column_keys(layout, columns)
        check_layout(layout, {name: column.type for name, column in columns.items()})
        _mark_keys(keys, columns)
    keys = [key for column in columns.values() for key in column.keys] + keys
    note = layout.note(list(columns.values()), keys)
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
