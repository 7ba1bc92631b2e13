"""SQL with its words marked for a page; every piece of it is escaped."""

from __future__ import annotations

from markupsafe import Markup, escape

from loader.sqltext import tokens

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


def sql_markup(sql: str, *, backslash: bool = False) -> Markup:
    """A statement as HTML: keywords, literals and comments in spans of their own.

    >>> str(sql_markup("SELECT 'a<b'"))
    '<span class="k">SELECT</span> <span class="s">&#39;a&lt;b&#39;</span>'
    """
    return Markup("").join(_piece(kind, text) for kind, text in tokens(sql, backslash=backslash))


def _piece(kind: str, text: str) -> Markup:
    mark = {"text": "s", "comment": "c"}.get(kind)
    if kind == "word" and text.upper() in _KEYWORDS:
        mark = "k"
    return Markup('<span class="{}">{}</span>').format(mark, text) if mark else escape(text)
