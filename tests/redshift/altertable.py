"""ALTER TABLE: one action in each statement, of the few that Redshift has (F§3.4)."""

from __future__ import annotations

from tests.redshift.columntypes import ENCODINGS, parse_type
from tests.redshift.createtable import Column, read_column, read_constraint
from tests.redshift.refusals import (
    BAD_DEFINITION,
    IN_TRANSACTION,
    NOT_SUPPORTED,
    Refusal,
    not_carried,
    syntax_error,
)
from tests.redshift.rewrite import Domains, path
from tests.redshift.tokens import Cursor, literal, quote, split

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
        return _combined(table, actions)
    action = actions[0]
    if action.take("alter"):
        return _alter(table, action, in_transaction=in_transaction)
    if action.take("add"):
        return f"ALTER TABLE {table} {_add(table, action, domains)}"
    if action.take("append", "from"):
        if in_transaction:
            raise Refusal(
                "ALTER TABLE APPEND cannot run inside a transaction block", IN_TRANSACTION
            )
        raise not_carried("ALTER TABLE APPEND")
    if action.at("set") or action.at("partition") or action.at("row"):
        raise not_carried(f"ALTER TABLE … {action.next().text.upper()}")
    return f"ALTER TABLE {table} {_simple(action)}"


def _simple(action: Cursor) -> str:
    if action.take("drop"):
        if action.take("constraint"):
            action.name()
            _behaviour(action)
            return "SET (fillfactor = 100)"  # no constraint was ever made: nothing to do
        action.take("column")
        return f"DROP COLUMN {quote(action.name())}{_behaviour(action)}"
    if action.take("owner", "to"):
        return f"OWNER TO {quote(_last_name(action))}"
    if action.take("rename", "to"):
        return f"RENAME TO {quote(_last_name(action))}"
    if action.take("rename"):
        action.take("column")
        old = action.name()
        action.expect("to")
        return f"RENAME COLUMN {quote(old)} TO {quote(_last_name(action))}"
    raise action.unexpected()


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


def _add(table: str, action: Cursor, domains: Domains) -> str:
    if any(action.at(word) for word in ("constraint", "primary", "unique", "foreign", "check")):
        return _touch(read_constraint(action))
    if action.at("partition"):
        raise action.unexpected()
    action.take("column")
    if action.at("if"):
        raise action.unexpected()
    column = read_column(action)
    _check_added(table, column)
    return f"ADD COLUMN {column.sql(domains)}"


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


def _touch(columns: tuple[str, ...]) -> str:
    """An action without an effect, which fails when one of the columns is not there."""
    if not columns:
        return "SET (fillfactor = 100)"
    return ", ".join(f"ALTER COLUMN {quote(name)} SET STATISTICS -1" for name in columns)


def _alter(table: str, action: Cursor, *, in_transaction: bool) -> str:
    physical = _physical(action)
    if physical is not None:
        return f"ALTER TABLE {table} {_touch(physical)}"
    action.expect("column")
    name = action.name()
    if action.take("encode"):
        _encoding(action)
        return f"ALTER TABLE {table} {_touch((name,))}"
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
    return _resize(table, name, changed.sql)


def _resize(table: str, name: str, size: str) -> str:
    """ALTER COLUMN TYPE, once the live column has been looked at."""
    statement = f"ALTER TABLE {table} ALTER COLUMN {quote(name)} TYPE {size}"
    return f"""DO $redshift$
DECLARE live record;
BEGIN
    SELECT pg_catalog.format_type(atttypid, NULL) AS type, atthasdef INTO live
    FROM pg_catalog.pg_attribute
    WHERE attrelid = {literal(table)}::regclass AND attname = {literal(name)}
        AND NOT attisdropped;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = '42703',
            MESSAGE = {literal(f'column "{name}" of relation {table} does not exist')};
    ELSIF live.type <> 'character varying' THEN
        RAISE EXCEPTION USING ERRCODE = '0A000',
            MESSAGE = {literal(f'cannot alter the type of column "{name}": it is not VARCHAR')};
    ELSIF live.atthasdef THEN
        RAISE EXCEPTION USING ERRCODE = '0A000',
            MESSAGE = {literal(f'cannot alter the type of column "{name}": it has a default')};
    END IF;
    EXECUTE {literal(statement)};
END $redshift$"""


def _encoding(action: Cursor) -> None:
    encoding = action.name()
    if encoding not in ENCODINGS:
        raise Refusal(f'encoding type "{encoding}" does not exist', "42704")
    if not action.done:
        raise action.unexpected()


def _physical(action: Cursor) -> tuple[str, ...] | None:
    """Go past a change of layout and tell its columns; None for other actions."""
    columns: tuple[str, ...] = ()
    if action.take("distkey"):
        columns = (action.name(),)
    elif action.take("diststyle"):
        style = action.name()
        if style not in ("all", "even", "key", "auto"):
            raise Refusal(f'invalid DISTSTYLE "{style}"', "42601")
        if style == "key":
            action.expect("distkey")
            columns = (action.name(),)
    elif action.take("encode"):
        action.expect("auto")
    elif action.at("sortkey") or action.at("compound", "sortkey"):
        action.take("compound")
        action.expect("sortkey")
        if not action.take("auto") and not action.take("none"):
            columns = action.names()
    else:
        return None
    if not action.done:
        raise action.unexpected()
    return columns


def _combined(table: str, actions: list[Cursor]) -> str:
    """The few clauses that go together: several ENCODE, or SORTKEY with DISTKEY or DISTSTYLE."""
    if all(action.at("alter", "column") and _is_encode(action) for action in actions):
        names = []
        for action in actions:
            action.take("alter", "column")
            names.append(action.name())
            action.expect("encode")
            _encoding(action)
        return f"ALTER TABLE {table} {_touch(tuple(names))}"
    firsts = {
        word
        for action in actions
        for word in ("sortkey", "distkey", "diststyle")
        if action.at("alter", word) or action.at("alter", "compound", word)
    }
    if len(actions) == 2 and firsts in ({"sortkey", "distkey"}, {"sortkey", "diststyle"}):
        columns: tuple[str, ...] = ()
        for action in actions:
            action.expect("alter")
            columns += _physical(action) or ()
        return f"ALTER TABLE {table} {_touch(tuple(dict.fromkeys(columns)))}"
    raise syntax_error(",")


def _is_encode(action: Cursor) -> bool:
    third = action.peek(3)
    return third is not None and third.says("encode")
