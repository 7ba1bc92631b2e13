"""GRANT and REVOKE, and what they are about."""

from __future__ import annotations

from collections.abc import Sequence

from loader.testing.redshift.refusals import Refusal, syntax_error
from loader.testing.redshift.statements.notes import noted
from loader.testing.redshift.statements.rewrite import Domains, path, render
from loader.testing.redshift.statements.tokens import Cursor, Token


def grant_or_revoke(tokens: Sequence[Token], domains: Domains) -> str:
    """GRANT and REVOKE, and whether those who are granted something are groups or roles."""
    text = render(_without_roles(tokens), domains)
    on = next((place for place, token in enumerate(tokens) if token.says("on")), None)
    if on is None or not tokens[0].says("grant"):
        return text
    cursor = Cursor(tokens)
    cursor.place = on + 1
    note = _objects(cursor)
    if not note:
        return text
    grantees = _grantees(cursor)
    # dg/r_GRANT: WITH GRANT OPTION is for users alone, and for no privilege on columns.
    if [token.value for token in tokens[-3:]] == ["with", "grant", "option"]:
        if any(token.says("(") for token in tokens[:on]):
            raise syntax_error("with")
        if any(kind != "user" or name == "public" for kind, name in grantees):
            raise Refusal("grant options can only be granted to individual users", "0LP01")
    return noted(text, note | {"grantees": grantees})


def _objects(cursor: Cursor) -> dict[str, list[str]]:
    """The tables, or the schemas with all their tables; nothing for other objects."""
    if cursor.take("all", "tables", "in", "schema"):
        return {"schemas": [names[0] for names in read_paths(cursor)]}
    cursor.take("table")
    if not cursor.at("schema") or cursor.at("schema", "."):
        paths = read_paths(cursor)
        if cursor.at("to"):
            return {"tables": [path(names[-2:]) for names in paths]}
    return {}


def read_paths(cursor: Cursor) -> list[tuple[str, ...]]:
    """Names with commas between."""
    found = [cursor.path()]
    while cursor.take(","):
        found.append(cursor.path())
    return found


def _grantees(cursor: Cursor) -> list[tuple[str, str]]:
    """Kinds and names of those after TO; who is PUBLIC needs no telling."""
    cursor.expect("to")
    found: list[tuple[str, str]] = []
    while not cursor.done and not cursor.at("with"):
        kind = next((kind for kind in ("group", "role") if cursor.take(kind)), "user")
        found.append((kind, cursor.name()))
        cursor.take(",")
    return found


def _without_roles(tokens: Sequence[Token]) -> list[Token]:
    """The statement with roles as PostgreSQL names them: without the word ROLE."""
    kept: list[Token] = []
    before_on = True
    for token in tokens:
        before_on = before_on and not token.says("on")
        if token.says("role") and kept[-1].says("to", "from", ",", "grant", "revoke"):
            continue
        if before_on and token.says("alter", "drop") and kept[-1].says("grant", ","):
            kept.append(Token("word", "TRIGGER", "trigger", token.start, token.end))
        else:
            kept.append(token)
    return kept
