"""MERGE: the one form of it that Redshift has (dg/r_MERGE)."""

from __future__ import annotations

from collections.abc import Sequence

from loader.testing.redshift.refusals import NOT_SUPPORTED, Refusal, not_implemented, syntax_error
from loader.testing.redshift.statements.tokens import Cursor, Token, split, with_depth

_NOT_EQUALITY = ("<", ">", "<=", ">=", "<>", "!=", "or", "like", "ilike", "between", "in", "is")


def check_merge(tokens: Sequence[Token]) -> None:
    """Refuse what Redshift's MERGE does not have; the rest runs as it is.

    Raises:
        Refusal: it breaks a rule of dg/r_MERGE.
    """
    cursor = Cursor(tokens)
    cursor.expect("merge", "into")
    target = cursor.path()
    if not cursor.take("using"):
        # The target cannot be aliased.
        raise cursor.unexpected()
    _check_source(cursor, target)
    cursor.expect("on")
    _check_condition(_until(cursor, "when", "remove"))
    if cursor.at("remove", "duplicates"):
        raise not_implemented("MERGE … REMOVE DUPLICATES")
    cursor.expect("when", "matched", "then")
    _check_matched(_until(cursor, "when"))
    if cursor.done:
        raise Refusal("MERGE needs both WHEN MATCHED and WHEN NOT MATCHED", "42601")
    cursor.expect("when", "not", "matched", "then", "insert")
    if cursor.at("("):
        cursor.names()
    cursor.expect("values")
    cursor.group()
    if not cursor.done:
        raise cursor.unexpected()


def _check_source(cursor: Cursor, target: tuple[str, ...]) -> None:
    if cursor.at("("):
        inner = cursor.group()
        names = {token.value for token in inner if token.names}
        if target[-1] in names:
            raise Refusal("the source of MERGE cannot read its target", NOT_SUPPORTED)
    elif cursor.path()[-2:] == target[-2:]:
        raise Refusal("the source and the target of MERGE cannot be the same table", NOT_SUPPORTED)
    if not cursor.at("on"):
        cursor.take("as")
        cursor.name()


def _until(cursor: Cursor, *words: str) -> list[Token]:
    """Go past tokens up to one of these words outside parentheses and CASE."""
    start, depth = cursor.place, 0
    while not cursor.done:
        token = cursor.next()
        if depth == 0 and token.says(*words):
            cursor.place -= 1
            break
        depth += token.says("(", "case") - token.says(")", "end")
    return list(cursor.tokens[start : cursor.place])


def _check_condition(condition: Sequence[Token]) -> None:
    if not condition:
        raise syntax_error("")
    for token, _ in with_depth(condition):
        if token.says(*_NOT_EQUALITY):
            raise Refusal(
                "MERGE matches rows by equality only", NOT_SUPPORTED, f"at or near {token.text!r}"
            )
    if not any(token.says("=") for token in condition):
        raise Refusal("MERGE matches rows by equality only", NOT_SUPPORTED)


def _check_matched(action: Sequence[Token]) -> None:
    cursor = Cursor(action)
    if cursor.take("delete"):
        if not cursor.done:
            raise cursor.unexpected()
        return
    cursor.expect("update", "set")
    for part in split(list(action[cursor.place :])):
        item = Cursor(part)
        item.name()
        item.expect("=")
        if item.done:
            raise syntax_error("")
