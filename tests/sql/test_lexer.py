"""SQL text: where quotes, comments and statements end, as the warehouses read it."""

from __future__ import annotations

import re

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.sql.lexer import bare_words, check_expression, statements, tidy, tokens

TRICKS = [
    pytest.param("SELECT $a$ ' $a$; TRUNCATE t; SELECT $a$ ' $a$", id="tagged dollars"),
    pytest.param("SELECT x$a$; TRUNCATE t; SELECT y$a$", id="dollars in names"),
    pytest.param(r"SELECT E'\''; TRUNCATE t; SELECT 'x'", id="escape string"),
    pytest.param("SELECT 1 -- x\r; TRUNCATE t", id="comment ends at a carriage return"),
    pytest.param("SELECT $$ ' $$; TRUNCATE t; SELECT $$ ' $$", id="dollars"),
    pytest.param("SELECT 1;\u200bTRUNCATE t", id="zero-width space"),
    pytest.param("SELECT 1;\u00a0TRUNCATE t", id="no-break space"),
    pytest.param("SELECT $ä$ ' $ä$; TRUNCATE t; SELECT $ä$ ' $ä$", id="letters beyond ASCII"),
]


@pytest.mark.parametrize("sql", TRICKS)
def test_no_trick_hides_a_statement(sql: str) -> None:
    """What the warehouse runs as a statement of its own is seen as one."""
    found = [bare_words(one).split()[:1] for one in statements(sql)]
    assert ["TRUNCATE"] in found


@pytest.mark.parametrize("sql", TRICKS)
def test_duckdb_agrees_on_tricks(sql: str) -> None:
    """DuckDB counts as many statements in the tricks as we do."""
    assert len(duckdb.extract_statements(sql)) == len(statements(sql))


def test_a_comment_in_a_comment_is_open() -> None:
    """Warehouses nest block comments, so one in another is refused rather than guessed at."""
    assert ("open", "/*") in tokens("/* /* */ SELECT ' */ '")


@pytest.mark.parametrize(
    ("sql", "backslash", "count"),
    [
        ("", False, 0),
        (" ;; -- nothing\n; /* nor here */", False, 0),
        ("SELECT ';'", False, 1),
        ('SELECT ";"', False, 1),
        ("SELECT $$;$$", False, 1),
        ("SELECT 1 /* ; */", False, 1),
        ("SELECT 'it''s; fine'", False, 1),
        (r"SELECT 'a\'; SELECT 'b", False, 2),
        (r"SELECT 'a\'; SELECT b'", True, 1),
        ("DELETE FROM t;", False, 1),
    ],
)
def test_statements_end_at_their_semicolons(sql: str, backslash: bool, count: int) -> None:
    """A semicolon in quotes or a comment ends nothing; a backslash escapes on Redshift only."""
    assert len(statements(sql, backslash=backslash)) == count


@given(st.text(alphabet="ab'\"$-/*;\n\r\\eE ", max_size=40), st.booleans())
def test_tokens_lose_nothing(sql: str, backslash: bool) -> None:
    """The tokens of any text are that text."""
    assert "".join(text for _, text in tokens(sql, backslash=backslash)) == sql


@given(st.text(max_size=20), st.booleans())
def test_tidy_keeps_quoted_text(value: str, backslash: bool) -> None:
    """Whatever stands in quotes stays as it is, blank lines and trailing blanks included."""
    escaped = value.replace("\\", "\\\\") if backslash else value
    quoted = "'" + escaped.replace("'", "''") + "'"
    sql = f"SELECT\n\n   {quoted}  \n\n"
    assert tidy(sql, backslash=backslash) == f"SELECT\n   {quoted}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the expression is empty"),
        (" \n", "the expression is empty"),
        ("a; b", "an expression may not hold a semicolon"),
        ("a -- b", "an expression may not hold a comment"),
        ("a /* b */", "an expression may not hold a comment"),
        ("a /* b", "a `/*` in the expression never closes"),
        ("'a", "a `'` in the expression never closes"),
        ('"a', 'a `"` in the expression never closes'),
        ("$$a", "a `$$` in the expression never closes"),
        ("$x$a", "a `$x$` in the expression never closes"),
        (r"'a\'", "a backslash in a literal means different things to the dialects"),
        (r"E'\''", "a backslash in a literal means different things to the dialects"),
        ("a\0b", "an expression may not hold a NUL character"),
        ("'a\0'", "an expression may not hold a NUL character"),
        ("f(a", "a `)` is missing in the expression"),
        ("a) OR (b", "a `)` in the expression has no partner"),
        ("f([)]", "a `)` in the expression has no partner"),
        ("$a$ ' $a$; DROP TABLE t; $a$ ' $a$", "an expression may not hold a semicolon"),
    ],
)
def test_what_is_no_expression_is_refused(text: str, message: str) -> None:
    """Text that could end its own statement, or swallow the next, is no expression."""
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_expression(text)


@pytest.mark.parametrize(
    "text",
    ["a", "lower(a) || ';--'", "CASE WHEN a = '(' THEN 1 END", '"a;b"', "m['k'][1]", "$$;$$"],
)
def test_expressions_are_accepted(text: str) -> None:
    """Brackets, quotes and semicolons inside quotes are fine."""
    check_expression(text)
