"""Highlights SQL and YAML as HTML, with all text escaped."""

from __future__ import annotations

import re
from functools import lru_cache

from markupsafe import Markup, escape

from loader.sql.lexer import tokens

_KEYWORDS = frozenset(
    """
    ADD ALL ALTER AND AS AUTO BEGIN BETWEEN BY CASE CAST COLUMN COMMENT COMMIT COMPOUND COPY
    CREATE DEFAULT DELETE DESC DISTKEY DISTSTYLE DROP ELSE ENCODE END EXISTS FALSE FORMAT FROM
    GRANT GROUP IAM_ROLE IDENTITY IF IN INSERT INTERLEAVED INTO IS KEY LIKE LIMIT LOCK
    MANIFEST MATCHED MERGE NOT NULL ON OR ORDER PARQUET PRIMARY RENAME ROLE SCHEMA SELECT
    SEQUENCE SET SORTKEY TABLE TEMPORARY THEN TO TRUE UNION UPDATE USAGE USING VALUES WHEN
    WHERE WITH
    """.split()  # noqa: SIM905  # a block of words is shorter than a list
)

_MARKS = {"text": "s", "comment": "c"}

_YAML_LINE = re.compile(
    r"(?P<before>\s*(?:- *)*\{?)(?P<key>[\w.-]+)(?P<rest>:(?:\s.*)?)", re.DOTALL
)


def sql_markup(sql: str, *, backslash: bool = False) -> Markup:
    """Highlight a SQL statement as HTML: keywords, literals and comments are in spans.

    >>> str(sql_markup("SELECT 'a<b'"))
    '<span class="k">SELECT</span> <span class="s">&#39;a&lt;b&#39;</span>'
    """
    pieces = [_mark_token(kind, text) for kind, text in tokens(sql, backslash=backslash)]
    return _join(pieces)


@lru_cache(maxsize=10_000)
def _mark_token(kind: str, text: str) -> str:
    mark = "k" if kind == "word" and text.upper() in _KEYWORDS else _MARKS.get(kind)
    return _mark(mark, text) if mark else str(escape(text))


def yaml_markup(text: str) -> Markup:
    """Highlight a YAML file as HTML: keys at the start of lines, and comment lines, are in spans.

    >>> str(yaml_markup("name: a<b"))
    '<span class="k">name</span>: a&lt;b'
    """
    return _join(list(map(_mark_line, text.splitlines(keepends=True))))


@lru_cache(maxsize=10_000)
def _mark_line(line: str) -> str:
    if line.lstrip().startswith("#"):
        return _mark("c", line)
    found = _YAML_LINE.fullmatch(line)
    if found is None:
        return str(escape(line))
    return f"{escape(found['before'])}{_mark('k', found['key'])}{escape(found['rest'])}"


def _mark(mark: str, text: str) -> str:
    return str(Markup('<span class="{}">{}</span>').format(mark, text))


def _join(pieces: list[str]) -> Markup:
    # Markup.join would escape each piece again, which is slow.
    return Markup("".join(pieces))  # noqa: S704  # every piece is escaped
