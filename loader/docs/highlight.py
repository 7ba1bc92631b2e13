"""SQL and YAML with their words marked for a page; every piece of them is escaped."""

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
    """.split()  # noqa: SIM905  # words read better than a column of them
)

_MARKS = {"text": "s", "comment": "c"}

_YAML_LINE = re.compile(
    r"(?P<before>\s*(?:- *)*\{?)(?P<key>[\w.-]+)(?P<rest>:(?:\s.*)?)", re.DOTALL
)


def sql_markup(sql: str, *, backslash: bool = False) -> Markup:
    """A statement as HTML: keywords, literals and comments in spans of their own.

    >>> str(sql_markup("SELECT 'a<b'"))
    '<span class="k">SELECT</span> <span class="s">&#39;a&lt;b&#39;</span>'
    """
    pieces = [_piece(kind, text) for kind, text in tokens(sql, backslash=backslash)]
    return _joined(pieces)


@lru_cache(maxsize=10_000)
def _piece(kind: str, text: str) -> str:
    mark = "k" if kind == "word" and text.upper() in _KEYWORDS else _MARKS.get(kind)
    return _marked(mark, text) if mark else str(escape(text))


def yaml_markup(text: str) -> Markup:
    """A YAML file as HTML: the keys at the beginning of lines, and lines of mere comment, marked.

    >>> str(yaml_markup("name: a<b"))
    '<span class="k">name</span>: a&lt;b'
    """
    return _joined(list(map(_yaml_line, text.splitlines(keepends=True))))


@lru_cache(maxsize=10_000)
def _yaml_line(line: str) -> str:
    if line.lstrip().startswith("#"):
        return _marked("c", line)
    found = _YAML_LINE.fullmatch(line)
    if found is None:
        return str(escape(line))
    return f"{escape(found['before'])}{_marked('k', found['key'])}{escape(found['rest'])}"


def _marked(mark: str, text: str) -> str:
    return str(Markup('<span class="{}">{}</span>').format(mark, text))


def _joined(pieces: list[str]) -> Markup:
    # Markup's own join looks at each piece again, which takes longer than all the rest.
    return Markup("".join(pieces))  # noqa: S704  # every piece is escaped
