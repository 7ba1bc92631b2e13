"""A Redshift statement → the PostgreSQL statement that does what Redshift would.

Limits, all of them on the lenient side unless they say "refused":

- Names of 64 to 127 bytes work, but the catalog shows them shortened (`tokens.stored`).
- Comparisons ignore blanks at the end where a VARCHAR or CHAR takes part (`blanks.py`). Literals
  and results of functions are TEXT, and compared as they are. No collation ignores case.
- Encodings, dist and sort keys, UNIQUE, primary and foreign keys are remembered in side tables
  (`layout.py`) and never enforced; COMMENT ON CONSTRAINT does not find them.
- The tables of a late-binding view must be there when it is made, and whoever reads it needs rights
  on them. Its VARCHAR columns are shown without their sizes; OR REPLACE loses its grants.
- A user, a group and a role of one name are one to PostgreSQL. ``GRANT ALTER`` and ``DROP`` become
  TRIGGER, and are shown as that.
- A boolean cast to text is refused where PostgreSQL plans it, not where it parses it.
- Of what only Redshift's SELECT lacks, what `queries.py` does not name passes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from loader.testing.redshift.refusals import (
    IN_TRANSACTION,
    NO_DATABASE,
    NOT_SUPPORTED,
    Refusal,
    not_implemented,
    syntax_error,
)
from loader.testing.redshift.statements.alter_table import alter_table
from loader.testing.redshift.statements.create_table import create_table
from loader.testing.redshift.statements.merge import check_merge
from loader.testing.redshift.statements.notes import noted
from loader.testing.redshift.statements.privileges import grant_or_revoke, read_paths
from loader.testing.redshift.statements.queries import check_everywhere
from loader.testing.redshift.statements.rewrite import Domains, path, render
from loader.testing.redshift.statements.settings import change_setting, read_setting
from loader.testing.redshift.statements.tokens import Cursor, Token, one_statement, quote
from loader.testing.redshift.statements.trusted_keys import (
    DeclaredKey,
    no_key,
    without_trusted_distinct,
)


@dataclass(frozen=True)
class Translation:
    """What to run on PostgreSQL, and what must hold around it."""

    sql: str
    ends_transaction: bool = False
    """Redshift commits with this statement, whatever came before it in the transaction."""
    domains: tuple[tuple[str, str], ...] = ()
    """Domains the statement needs: name and CREATE DOMAIN, to be made before it."""


def translate(
    sql: str,
    *,
    in_transaction: bool,
    declared_key: DeclaredKey = no_key,
    serverless: bool = False,
) -> Translation:
    """The PostgreSQL statement for a Redshift one.

    Raises:
        Refusal: Redshift would refuse it.
    """
    tokens = one_statement(sql)
    if not tokens:
        return Translation("")
    check_everywhere(tokens, serverless=serverless)
    tokens = without_trusted_distinct(tokens, declared_key)
    domains: Domains = {}
    text = _statement(tokens, domains, in_transaction=in_transaction)
    return Translation(text, tokens[0].says("truncate"), tuple(domains.items()))


_AS_IT_IS = frozenset(
    {
        "(", "call", "cancel", "close", "comment", "deallocate", "declare", "delete", "execute",
        "explain", "fetch", "insert", "prepare", "select", "update",
        "with",
    }
)  # fmt: skip
_CREATES = frozenset(
    {"database", "function", "group", "materialized", "or", "procedure", "role", "user", "view"}
)


def _statement(tokens: Sequence[Token], domains: Domains, *, in_transaction: bool) -> str:
    cursor = Cursor(tokens)
    word = cursor.next().value
    match word:
        case "begin" | "start":
            return _begin(cursor, word)
        case "commit" | "end" | "rollback" | "abort":
            return _end(cursor, word)
        case "create":
            return _create(cursor, domains, in_transaction=in_transaction)
        case "alter" if cursor.take("table"):
            return alter_table(cursor, domains, in_transaction=in_transaction)
        case "drop" if cursor.take("table"):
            return _drop_table(cursor, domains)
        case "alter" | "drop":  # PostgreSQL refuses what views are bound to (dg/r_DROP_TABLE)
            _check_outside(tokens, in_transaction=in_transaction)
            return render(tokens, domains)
        case "analyze" | "vacuum":
            return _maintain(cursor, word, in_transaction=in_transaction)
    return _anywhere(cursor, domains)


def _anywhere(cursor: Cursor, domains: Domains) -> str:
    """Statements that are the same inside and outside of a transaction."""
    tokens = cursor.tokens
    word = tokens[0].value
    match word:
        case "truncate":
            return _truncate(cursor)
        case "lock":
            return _lock(cursor)
        case "set":
            return change_setting(cursor, domains)
        case "reset" | "show":
            return read_setting(cursor, word)
        case "merge":
            check_merge(tokens)
            return render(tokens, domains)
        case "grant" | "revoke":
            return grant_or_revoke(tokens, domains)
        case "copy" | "unload":
            raise not_implemented(f"{word.upper()} as SQL: it moves files")
    if word not in _AS_IT_IS:
        raise _unsupported(tokens)
    return render(tokens, domains)


def _unsupported(tokens: Sequence[Token]) -> Refusal:
    """What Redshift says of PostgreSQL commands that it knows and does not have.

    They are listed in dg/c_unsupported-postgresql-features.
    """
    known = (
        "checkpoint", "cluster", "copy", "create", "discard", "do", "import", "listen", "load",
        "notify", "reassign", "refresh", "reindex", "release", "savepoint", "security", "unlisten",
    )  # fmt: skip
    if not tokens[0].says(*known):
        return syntax_error(tokens[0].text)
    command = " ".join(token.text for token in tokens[:2])
    return Refusal(f'SQL command "{command}" not supported.', NOT_SUPPORTED)


_ISOLATION = frozenset(
    {
        "transaction", "work", "isolation", "level", "read", "write", "only", "committed",
        "uncommitted", "repeatable", "serializable", "snapshot", ","
    }
)  # fmt: skip


def _begin(cursor: Cursor, word: str) -> str:
    """Isolation words are parsed and ignored: the default is SNAPSHOT (dg/r_BEGIN)."""
    if word == "start":
        cursor.expect("transaction")
    only = False
    while not cursor.done:
        if cursor.take("read", "only"):
            only = True
        elif not cursor.next().says(*_ISOLATION):
            cursor.place -= 1
            raise cursor.unexpected()
    return "BEGIN ISOLATION LEVEL REPEATABLE READ" + (" READ ONLY" if only else "")


def _end(cursor: Cursor, word: str) -> str:
    if not cursor.take("work"):
        cursor.take("transaction")
    if cursor.at("to"):
        raise Refusal('SQL command "ROLLBACK TO" not supported.', NOT_SUPPORTED)
    if not cursor.done:
        raise cursor.unexpected()
    return "COMMIT" if word in ("commit", "end") else "ROLLBACK"


def _create(cursor: Cursor, domains: Domains, *, in_transaction: bool) -> str:
    tokens = cursor.tokens
    cursor.take("local")
    temporary = cursor.take("temp") or cursor.take("temporary")
    if cursor.take("table"):
        return create_table(cursor, domains, temporary=temporary)
    if temporary:
        raise cursor.unexpected()
    if cursor.take("schema"):
        return _create_schema(cursor)
    _check_outside(tokens, in_transaction=in_transaction)
    following = cursor.peek()
    if following is None or not following.says(*_CREATES):
        raise _unsupported(tokens)
    if _says(tokens[-4:], "with", "no", "schema", "binding"):
        return _late_view(tokens[:-4], domains)
    return render(tokens, domains)


def _late_view(tokens: Sequence[Token], domains: Domains) -> str:
    """A view that runs its query when it is read: nothing depends on it (dg/r_CREATE_VIEW)."""
    cursor = Cursor(tokens)
    cursor.expect("create")
    replaces = cursor.take("or", "replace")
    cursor.expect("view")
    view = path(cursor.path()[-2:])
    if cursor.at("("):
        cursor.names()
    cursor.expect("as")
    query = render(tokens[cursor.place :], domains)
    return noted(render(tokens, domains), {"late": query, "replaces": view if replaces else None})


def _says(tokens: Sequence[Token], *words: str) -> bool:
    return len(tokens) == len(words) and all(map(Token.says, tokens, words))


def _create_schema(cursor: Cursor) -> str:
    text = "CREATE SCHEMA "
    if cursor.take("if", "not", "exists"):
        text += "IF NOT EXISTS "
    if not cursor.at("authorization"):
        name = cursor.name()
        if cursor.at("."):
            raise Refusal(f'database "{name}" does not exist', NO_DATABASE)
        text += quote(name)
    if cursor.take("authorization"):
        text += f" AUTHORIZATION {quote(cursor.name())}"
    if cursor.take("quota") and not cursor.take("unlimited"):
        cursor.integer()
        if not any(cursor.take(unit) for unit in ("mb", "gb", "tb")):
            raise cursor.unexpected()
    if not cursor.done:
        raise cursor.unexpected()
    return text


def _check_outside(tokens: Sequence[Token], *, in_transaction: bool) -> None:
    """What is refused in a transaction block, and what is not there at all."""
    verb, what = tokens[0], tokens[1] if len(tokens) > 1 else tokens[0]
    if not what.says("database", "external", "library"):
        return
    if in_transaction:
        command = f"{verb.value} {what.value}".upper()
        raise Refusal(f"{command} cannot run inside a transaction block", IN_TRANSACTION)
    if not what.says("database"):
        raise not_implemented(f"{what.value.upper()} objects")


def _drop_table(cursor: Cursor, domains: Domains) -> str:
    """What is dropped is noted, for foreign keys of others may be in the way (`policies.sql`)."""
    cursor.take("if", "exists")
    names = [path(names[-2:]) for names in read_paths(cursor)]
    cascades = cursor.take("cascade")
    return noted(render(cursor.tokens, domains), {"drops": names, "cascades": cascades})


def _truncate(cursor: Cursor) -> str:
    """One table (dg/r_TRUNCATE)."""
    cursor.take("table")
    table = cursor.path()
    if not cursor.done:
        raise cursor.unexpected()
    return f"TRUNCATE TABLE {path(table[-2:])}"


def _lock(cursor: Cursor) -> str:
    """Every LOCK is ACCESS EXCLUSIVE (dg/r_LOCK)."""
    cursor.take("table")
    tables = [path(cursor.path()[-2:])]
    while cursor.take(","):
        tables.append(path(cursor.path()[-2:]))
    if not cursor.done:
        raise cursor.unexpected()
    return f"LOCK TABLE {', '.join(tables)} IN ACCESS EXCLUSIVE MODE"


def _maintain(cursor: Cursor, word: str, *, in_transaction: bool) -> str:
    if word == "vacuum" and in_transaction:  # dg/r_VACUUM_command
        raise Refusal("VACUUM cannot run inside a transaction block", IN_TRANSACTION)
    if cursor.at("compression"):
        raise not_implemented("ANALYZE COMPRESSION")
    cursor.take("verbose")
    for words in (("full",), ("sort", "only"), ("delete", "only"), ("reindex",), ("recluster",)):
        if word == "vacuum" and cursor.take(*words):
            break
    token = cursor.peek()
    table = path(cursor.path()[-2:]) if token is not None and token.names else ""
    return f"{word.upper()} {table}".rstrip()
