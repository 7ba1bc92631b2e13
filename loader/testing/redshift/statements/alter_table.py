"""ALTER TABLE: one action in each statement, of the few that Redshift has (dg/r_ALTER_TABLE)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from loader.testing.redshift.refusals import (
    BAD_DEFINITION,
    IN_TRANSACTION,
    NOT_SUPPORTED,
    Refusal,
    not_implemented,
    syntax_error,
)
from loader.testing.redshift.statements.column_types import ENCODINGS, parse_type
from loader.testing.redshift.statements.create_table import (
    check_column_name,
    read_column,
    read_constraint,
)
from loader.testing.redshift.statements.notes import noted
from loader.testing.redshift.statements.rewrite import Domains, path
from loader.testing.redshift.statements.table_layout import MAX_COMPOUND, Column
from loader.testing.redshift.statements.tokens import Cursor, quote, split

Action = dict[str, Any]
"""What an action does to what is remembered of the table; `layout.py` does it."""

_NOT_WHEN_ADDED = ("distkey", "sortkey", "unique", "primary", "references", "collate")


def alter_table(cursor: Cursor, domains: Domains, *, in_transaction: bool) -> str:
    """The statement behind ``ALTER TABLE`` for PostgreSQL.

    Raises:
        Refusal: Redshift has no such action, or not in this place.
    """
    table = path(cursor.path()[-2:])
    rest = list(cursor.tokens[cursor.place :])
    actions = [Cursor(part) for part in split(rest)]
    if len(actions) > 1:
        return _noted(table, *_combined(actions))
    action = actions[0]
    if action.take("alter"):
        return _noted(table, *_alter(action, in_transaction=in_transaction))
    if action.take("add"):
        return _noted(table, *_add(table, action, domains))
    if action.take("append", "from"):  # dg/r_ALTER_TABLE_APPEND
        if in_transaction:
            raise Refusal(
                "ALTER TABLE APPEND cannot run inside a transaction block", IN_TRANSACTION
            )
        raise not_implemented("ALTER TABLE APPEND")
    if action.at("set") or action.at("partition") or action.at("row"):
        raise not_implemented(f"ALTER TABLE … {action.next().text.upper()}")
    return _noted(table, *_simple(action))


def _noted(table: str, text: str, *actions: Action) -> str:
    statement = f"ALTER TABLE {table} {text}"
    return noted(statement, {"table": table, "actions": actions}) if actions else statement


def _simple(action: Cursor) -> tuple[str, *tuple[Action, ...]]:
    if action.take("drop"):
        return _drop(action)
    if action.take("owner", "to"):
        return (f"OWNER TO {quote(_last_name(action))}",)
    if action.take("rename", "to"):
        return (f"RENAME TO {quote(_last_name(action))}",)
    if action.take("rename"):
        action.take("column")
        old = action.name()
        action.expect("to")
        new = _last_name(action)
        check_column_name(new)
        return (f"RENAME COLUMN {quote(old)} TO {quote(new)}",)
    raise action.unexpected()


def _drop(action: Cursor) -> tuple[str, Action]:
    if action.take("constraint"):
        name = action.name()
        _behaviour(action)
        return _touch(), {"do": "drop key", "name": name}
    action.take("column")
    name = action.name()
    return f"DROP COLUMN {quote(name)}{_behaviour(action)}", {"do": "drop", "column": name}


def _last_name(action: Cursor) -> str:
    name = action.name()
    if not action.done:
        raise action.unexpected()
    return name


def _behaviour(action: Cursor) -> str:
    word = next((word for word in ("restrict", "cascade") if action.take(word)), "")
    if not action.done:
        raise action.unexpected()
    return f" {word.upper()}" if word else ""


def _add(table: str, action: Cursor, domains: Domains) -> tuple[str, Action]:
    if any(action.at(word) for word in ("constraint", "primary", "unique", "foreign", "check")):
        key = read_constraint(action)
        return _touch(key.columns), {"do": "add key", "key": asdict(key)}
    if action.at("partition"):
        raise action.unexpected()
    action.take("column")
    if action.at("if"):
        raise action.unexpected()
    column = read_column(action)
    _check_added(table, column)
    encoding = {"encoding": column.encode} if column.encode else {}
    return f"ADD COLUMN {column.sql(domains)}", {"do": "add", "column": column.name, **encoding}


def _check_added(table: str, column: Column) -> None:
    for mark in _NOT_WHEN_ADDED:
        if mark in column.marks:
            word = {"primary": "PRIMARY KEY"}.get(mark, mark.upper())
            raise Refusal(f"ALTER TABLE ADD COLUMN does not support {word}", NOT_SUPPORTED)
    if column.identity is not None:
        raise Refusal("ALTER TABLE ADD COLUMN does not support IDENTITY", NOT_SUPPORTED)
    null = len(column.default) == 1 and column.default[0].says("null")
    if column.not_null and (not column.default or null):
        raise Refusal(
            "ALTER TABLE ADD COLUMN defined as NOT NULL must have a non-null default expression",
            BAD_DEFINITION,
            f"column {column.name} of {table}",
        )


def _touch(columns: Iterable[str] = ()) -> str:
    """Actions without an effect, which fail when one of the columns is not there."""
    touched = [f"ALTER COLUMN {quote(name)} SET STATISTICS -1" for name in dict.fromkeys(columns)]
    return ", ".join(touched) or "SET (fillfactor = 100)"


def _alter(action: Cursor, *, in_transaction: bool) -> tuple[str, Action]:
    physical = _physical(action)
    if physical is not None:
        return _touch(_columns(physical)), physical
    action.expect("column")
    name = action.name()
    if action.take("encode"):
        return _touch([name]), _encode(name, action)
    if not action.take("type"):
        # SET and DROP of NOT NULL and DEFAULT are not in the grammar.
        raise action.unexpected()
    changed = parse_type(action)
    if not action.done:
        raise action.unexpected()
    if changed.name != "varchar":
        raise Refusal(
            f'cannot alter the type of column "{name}" to {changed.name}: '
            "only the size of a VARCHAR column can be changed",
            NOT_SUPPORTED,
        )
    if in_transaction:
        raise Refusal(
            "ALTER TABLE ALTER COLUMN cannot run inside a transaction block", IN_TRANSACTION
        )
    size = int(changed.sql.partition("(")[2].rstrip(")"))
    resize = {"do": "resize", "column": name, "size": size}
    return f"ALTER COLUMN {quote(name)} TYPE {changed.sql}", resize


def _columns(action: Action) -> list[str]:
    """The columns that an action names."""
    return [action["column"]] if action.get("column") else list(action.get("columns", ()))


def _encode(name: str, action: Cursor) -> Action:
    encoding = action.name()
    if encoding not in ENCODINGS:
        raise Refusal(f'encoding type "{encoding}" does not exist', "42704")
    if not action.done:
        raise action.unexpected()
    takes = ENCODINGS[encoding]
    known = None if takes is None else sorted(takes)
    return {"do": "encode", "column": name, "encoding": encoding, "takes": known}


def _physical(action: Cursor) -> Action | None:
    """Read a change of layout; None for other actions."""
    if action.take("distkey"):
        found: Action = {"do": "diststyle", "style": "key", "column": action.name(), "bare": True}
    elif action.take("diststyle"):
        found = _diststyle(action)
    elif action.take("encode"):
        action.expect("auto")
        found = {"do": "encode auto"}
    elif action.at("sortkey") or action.at("compound", "sortkey"):
        found = _sortkey(action)
    else:
        return None
    if not action.done:
        raise action.unexpected()
    return found


def _diststyle(action: Cursor) -> Action:
    style = action.name()
    if style not in ("all", "even", "key", "auto"):
        raise Refusal(f'invalid DISTSTYLE "{style}"', "42601")
    if style != "key":
        return {"do": "diststyle", "style": style}
    action.expect("distkey")
    return {"do": "diststyle", "style": style, "column": action.name()}


def _sortkey(action: Cursor) -> Action:
    action.take("compound")
    action.expect("sortkey")
    if action.take("auto"):
        return {"do": "sortkey", "kind": "auto", "columns": []}
    columns = () if action.take("none") else action.names()
    if len(columns) > MAX_COMPOUND:
        raise Refusal(f"compound sort keys can have at most {MAX_COMPOUND} columns", "54011")
    if len(set(columns)) < len(columns):
        raise Refusal("a column appears twice in SORTKEY", "42701")
    return {"do": "sortkey", "kind": "compound", "columns": columns}


def _combined(actions: list[Cursor]) -> tuple[str, *tuple[Action, ...]]:
    """The few clauses that go together: several ENCODE, or SORTKEY with DISTKEY or DISTSTYLE."""
    if all(action.at("alter", "column") and _is_encode(action) for action in actions):
        return _together([_encode_in_list(action) for action in actions])
    firsts = {
        word
        for action in actions
        for word in ("sortkey", "distkey", "diststyle")
        if action.at("alter", word) or action.at("alter", "compound", word)
    }
    if len(actions) == 2 and firsts in ({"sortkey", "distkey"}, {"sortkey", "diststyle"}):
        for action in actions:
            action.expect("alter")
        return _together([found for action in actions if (found := _physical(action))])
    raise syntax_error(",")


def _together(found: list[Action]) -> tuple[str, *tuple[Action, ...]]:
    return _touch(name for action in found for name in _columns(action)), *found


def _encode_in_list(action: Cursor) -> Action:
    action.expect("alter", "column")
    name = action.name()
    action.expect("encode")
    return _encode(name, action)


def _is_encode(action: Cursor) -> bool:
    third = action.peek(3)
    return third is not None and third.says("encode")
