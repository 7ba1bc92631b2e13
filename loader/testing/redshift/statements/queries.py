"""What Redshift refuses inside any statement: newer clauses, leader-node functions, no such views.

Statements that refer to tables run on the compute nodes, which lack the functions of the leader
node (dg/c_SQL_functions_leader_node_only); so does a DEFAULT, which every INSERT computes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from loader.testing.redshift.refusals import NOT_SUPPORTED, Refusal, syntax_error
from loader.testing.redshift.statements.tokens import Cursor, Token, with_depth

_LEADER_CALLS = re.compile(
    r"age|now|isfinite|version|factorial|generate_series|to_ascii|format_type"
    r"|current_schemas?|has_\w+_privilege|[gs]et_bit|getbit|[gs]et_byte"
    r"|array_(to_string|upper|lower|append|prepend|cat|dims)|string_to_array"
    r"|pg_get_\w+|pg_\w+_is_visible|(obj|col)_description"
)
"""Functions of the leader node. SUBSTR is left out, which the guide lists and queries use."""
_LEADER_WORDS = (
    "current_schema", "current_time", "current_timestamp", "localtime", "localtimestamp"
)  # fmt: skip

_ABSENT_ON_SERVERLESS = re.compile(r"(stl|stv|svl|svcs)_\w+")
"""Views of provisioned clusters with one zone (F§7)."""


def check_everywhere(tokens: Sequence[Token], *, serverless: bool) -> None:
    """Refuse what no statement may hold.

    Raises:
        Refusal: one of the rules above is broken.
    """
    _check_clauses(tokens)
    named = list(relations(tokens))
    if serverless:
        for names in named:
            if _ABSENT_ON_SERVERLESS.fullmatch(names[-1]):
                raise Refusal(f'relation "{".".join(names)}" does not exist', "42P01")
    if any(not _is_catalog(names) for names in named):
        check_leader_only(tokens)


def check_leader_only(tokens: Sequence[Token]) -> None:
    """Refuse an expression of the compute nodes that calls a function of the leader node.

    Raises:
        Refusal: it does.
    """
    for place, token in enumerate(tokens):
        if token.kind != "word" or (place and tokens[place - 1].says(".", "as")):
            continue
        called = place + 1 < len(tokens) and tokens[place + 1].says("(")
        if (called and _LEADER_CALLS.fullmatch(token.value)) or token.value in _LEADER_WORDS:
            raise Refusal(
                "Specified types or functions (one per INFO message) not supported on Redshift"
                " tables.",
                NOT_SUPPORTED,
                f'Function "{token.value}" not supported.',
            )


def _is_catalog(names: Sequence[str]) -> bool:
    """Whether the leader node holds a relation: those of PostgreSQL itself."""
    return names[0] in ("pg_catalog", "information_schema") or names[-1].startswith("pg_")


_RELATION_FOLLOWS = ("from", "join", "into", "update", "using")
_ENDS_FROM = (
    "where", "group", "order", "having", "limit", "union", "except", "intersect", "on", "set",
    "select", "when", "values",
)  # fmt: skip


def relations(tokens: Sequence[Token]) -> Iterator[tuple[str, ...]]:
    """The names of tables and views that a statement refers to, but for those of its own WITH."""
    own = {
        before.value
        for before, word, mark in zip(tokens, tokens[1:], tokens[2:], strict=False)
        if before.names and word.says("as") and mark.says("(")
    }
    listing: set[int] = set()
    for place, (token, depth) in enumerate(with_depth(tokens)):
        if token.says(*_RELATION_FOLLOWS):
            listing.add(depth)
        elif token.says(*_ENDS_FROM):
            listing.discard(depth)
        if not (token.says(*_RELATION_FOLLOWS) or (token.says(",") and depth in listing)):
            continue
        cursor = Cursor(tokens)
        cursor.place = place + 1
        following = cursor.peek()
        if following is None or not following.names or following.says("select"):
            continue
        names = cursor.path()
        # A parenthesis after INTO's table holds its columns; elsewhere it is that of a call.
        if not (cursor.at("(") and not token.says("into")) and names[-1] not in own:
            yield names


def _check_clauses(tokens: Sequence[Token]) -> None:
    """Clauses that Redshift does not have (dg/c_unsupported-postgresql-features)."""
    first = tokens[0].value
    padded = [None, *tokens, None]
    for before, (token, depth), following in zip(
        padded, with_depth(tokens), padded[2:], strict=False
    ):
        if token.kind != "word":
            continue
        if first == "with" and depth == 0 and token.says("merge"):
            raise syntax_error(token.text)
        if token.says("returning") and first in ("insert", "update", "delete", "with"):
            raise syntax_error(token.text)
        if _is_newer(before, token, following):
            raise syntax_error(token.text)
        if first == "insert" and depth == 0 and _is_newer_insert(token, following):
            raise syntax_error(token.text)


def _is_newer(before: Token | None, token: Token, following: Token | None) -> bool:
    """Whether it begins DISTINCT ON, LATERAL, FILTER (…), or VALUES in place of a table."""
    match token.value:
        case "on":
            return before is not None and before.says("distinct")
        case "lateral":
            return before is not None and before.says("from", "join", ",")
        case "filter":
            closes = before is not None and before.says(")")
            return closes and following is not None and following.says("(")
        case "values":
            return before is not None and before.says("(")
    return False


def _is_newer_insert(token: Token, following: Token | None) -> bool:
    conflict = token.says("on") and following is not None and following.says("conflict")
    return conflict or token.says("overriding")
