"""Patterns of checks: one meaning on every warehouse, or refused with what to write instead."""

from __future__ import annotations

import re

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loader.sql.dialects import duckdb as duckdb_dialect
from loader.sql.regex import portable
from loader.testing.redshift.server import RedshiftStandIn

SAME = [
    ("^abc$", "^abc$"),
    (r"^\d{4}-(?:0[1-9]|1[0-2])$", "^[0-9]{4}-(0[1-9]|1[0-2])$"),
    (r"\w+", "[0-9A-Z_a-z]+"),
    (r"\D\W", "[^0-9][^0-9A-Z_a-z]"),
    ("a*?b+?c??d{2}?", "a*b+c?d{2}"),
    ("a{2,}b{0,3}", "a{2,}b{0,3}"),
    (r"[\]a-c\-^[]", "[]a-c[^-]"),
    (r"[^\]]", "[^]]"),
    (r"[\^]", r"\^"),
    (r"[\^-]", "[-^]"),
    ("[!-~]", "[!-~]"),
    ("[a-cb-d]", "[a-d]"),
    (r"[.]", r"\."),
    (r"\.\*\/\-", r"\.\*/-"),
    (r"\x41\u00e9ä", "Aéä"),
    (r"\t\n", "\t\n"),
    ("}]", r"\}\]"),
]


@pytest.mark.parametrize(("pattern", "written"), SAME)
def test_patterns_are_written_in_few_forms(pattern: str, written: str) -> None:
    """Groups lose their marks, classes their escapes, and repetitions their laziness."""
    assert portable(pattern) == written


REFUSED = [
    ("", "is empty"),
    ("(?=a)", "lookaround"),
    ("(?<!a)b", "lookaround"),
    ("(?i)a", r"`\(\?`"),
    (r"(a)\1", "backreference"),
    (r"\bword", "word boundary"),
    (r"\Aa", r"write \^"),
    (r"\p{L}", "list the characters"),
    ("[[:alpha:]]", "A-Za-z"),
    (r"[\\]x[\\/]", "depends on the warehouse"),
    ("[]a]", "begins with"),
    ("[a", "never closes"),
    ("[b-a]", "wrong way round"),
    (r"[\D]", "not supported"),
    (r"[a-\d]", "not supported"),
    ("a{3,2}", "wrong way round"),
    ("a{256}", "255 times"),
    ("(a{50}){21}", "1,000 times"),
    ("a{,2}", "expected"),
    ("a{", "expected"),
    ("{2}", "nothing to repeat"),
    ("+a", "nothing to repeat"),
    ("a|", "alternative is empty"),
    ("()", "alternative is empty"),
    ("a**", "cannot be repeated"),
    ("a++", "cannot be repeated"),
    ("^*", "cannot be repeated"),
    ("(a", "never closes"),
    ("a)", "no partner"),
    ("a\\", "ends with a backslash"),
    (r"\x4", "hexadecimal"),
    (r"\ud800", "cannot hold"),
    ("a\0", "cannot hold"),
    ("(" * 51 + "a" + ")" * 51, "nested"),
    ("a" * 1_001, "at most"),
]


@pytest.mark.parametrize(("pattern", "told"), REFUSED)
def test_what_warehouses_read_differently_is_refused(pattern: str, told: str) -> None:
    """The error says where, and what to write where there is another way."""
    with pytest.raises(ValueError, match=told):
        portable(pattern)


LETTERS = st.sampled_from("ab01-^$.]\\[é \n'")
LITERAL = st.sampled_from(["a", "b", "0", "-", "é", r"\.", r"\\", r"\]", r"\[", r"\$", "'", " "])
CLASS = st.sampled_from(
    [".", "[ab]", "[^a]", r"[\]\[^-]", r"[^\]0-9]", "[!-~]", "[a-b0]", r"[\^]", r"[-.]"]
) | st.sampled_from("dDwWsS").map("\\{}".format)
ATOM = LITERAL | CLASS
REPEATED = st.tuples(ATOM, st.sampled_from(["", "", "*", "+", "?", "{2}", "{1,2}", "+?"])).map(
    "".join
)
BRANCH = st.lists(REPEATED, min_size=1, max_size=3).map("".join)
GROUP = st.lists(BRANCH, min_size=1, max_size=2).map(lambda found: f"({'|'.join(found)})")
PATTERN = st.tuples(
    st.sampled_from(["", "^"]), st.lists(BRANCH | GROUP, min_size=1, max_size=2).map("".join),
    st.sampled_from(["", "$"]),
).map("".join)  # fmt: skip
TEXTS = st.lists(st.text(LETTERS, max_size=5), min_size=1, max_size=6)


def python_reads(pattern: str, texts: list[str]) -> list[bool]:
    """What Python finds, with `.` for any character, and `$` for the end."""
    ended = re.sub(r"(?<!\\)\$$", r"\\Z", pattern)
    return [re.search(ended, text, re.DOTALL | re.ASCII) is not None for text in texts]


def test_a_pattern_finds_the_same_everywhere(redshift: RedshiftStandIn) -> None:
    """DuckDB and the stand-in find what Python finds, in texts full of signs."""
    with duckdb.connect() as connection:

        @settings(max_examples=150)
        @given(pattern=PATTERN, texts=TEXTS)
        def holds(pattern: str, texts: list[str]) -> None:
            written = portable(pattern)
            expected = python_reads(pattern, texts)
            found = [
                connection.execute("SELECT regexp_matches(?, ?, 's')", [text, written]).fetchall()
                for text in texts
            ]
            assert [rows[0][0] for rows in found] == expected
            assert in_redshift(redshift, written, texts) == expected

        holds()


def in_redshift(server: RedshiftStandIn, pattern: str, texts: list[str]) -> list[bool]:
    """What the stand-in's PostgreSQL finds; its literals have no escapes."""
    literal = duckdb_dialect.DIALECT.literal
    queries = [f"({literal(text)} ~ {literal(pattern)})" for text in texts]
    return list(server.query(f"SELECT {', '.join(queries)}")[0])


@given(st.text(max_size=12) | st.text("ab[]()^$.*+?{}|\\-:=!<,0123", max_size=12))
@settings(max_examples=500)
def test_any_text_is_a_pattern_or_told(text: str) -> None:
    """Whatever is written there: what is read is a pattern of DuckDB."""
    try:
        written = portable(text)
    except ValueError:
        return
    with duckdb.connect() as connection:
        connection.execute("SELECT regexp_matches('a', ?, 's')", [written])
