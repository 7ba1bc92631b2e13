"""Reading SQL text just far enough to keep it safe: quotes, comments, statements, first words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

_QUOTED = r"'(?:[^']|'')*'"
_QUOTED_WITH_BACKSLASH = r"'(?:[^'\\]|''|\\.)*'"
_LETTER = r"(?:[A-Za-z_]|(?![\s\u200b-\u200d\u2060\ufeff])[^\x00-\x7f])"
"""What a name may start with: the warehouses take every character beyond ASCII for a letter."""

_GRAMMAR = r"""
      (?P<comment>--[^\n\r]*|/\*(?:(?!/\*|\*/).)*\*/)
    | (?P<text>{quoted}|[eE]{escaped}|\$(?P<tag>(?:{letter}(?:{letter}|[0-9])*)?)\$.*?\$(?P=tag)\$)
    | (?P<name>"(?:[^"]|"")*")
    | (?P<open>'|"|/\*|\$(?:{letter}(?:{letter}|[0-9])*)?\$)
    | (?P<word>{letter}(?:{letter}|[0-9$])*)
    | (?P<space>[\s\u200b-\u200d\u2060\ufeff]+)
    | (?P<other>.)
"""


def _pattern(quoted: str) -> re.Pattern[str]:
    grammar = _GRAMMAR.format(quoted=quoted, escaped=_QUOTED_WITH_BACKSLASH, letter=_LETTER)
    return re.compile(grammar, re.VERBOSE | re.DOTALL)


_PLAIN = _pattern(_QUOTED)
_BACKSLASH = _pattern(_QUOTED_WITH_BACKSLASH)

_WHOLE = r"""'[^'\\]*+'|"[^"]*+"|/\*[^*/]*+\*/"""
_SIMPLE = re.compile(
    rf"""(?:
      [A-DF-Za-df-z_][A-Za-z0-9_]*+ | [eE](?!')[A-Za-z0-9_]*+
    | [0-9\s(),.=<>+*%|&:!?\[\]]++ | -(?!-) | {_WHOLE} | /(?!\*)
    )*+""",
    re.VERBOSE | re.ASCII,
)
"""SQL without semicolons and tricks, that every dialect splits in the same way.

Nearly all that is rendered is; one look at the whole of it spares one at each of its tokens.
"""
_SIMPLE_WORD = re.compile(rf"{_WHOLE}|([A-Za-z_][A-Za-z0-9_]*+)")
_SIMPLE_GAP = re.compile(rf"({_WHOLE})|\s+\n", re.ASCII)


def tokens(sql: str, *, backslash: bool = False) -> Iterator[tuple[str, str]]:
    """Split SQL into (kind, text): comment, text, name, open, word, space or other.

    ``open`` is a quote or comment that never closes, or a comment with another one in it.
    ``backslash`` says whether a backslash escapes the next character inside single quotes, as on
    Redshift.
    """
    pattern = _BACKSLASH if backslash else _PLAIN
    for match in pattern.finditer(sql):
        yield match.lastgroup or "other", match.group()


def statements(sql: str, *, backslash: bool = False) -> list[str]:
    r"""The statements of a script, without their semicolons; pieces of mere comment are dropped.

    >>> statements("DELETE FROM t; -- done;\nSELECT ';'")
    ['DELETE FROM t', "-- done;\nSELECT ';'"]
    """
    pieces: list[list[tuple[str, str]]] = [[]]
    for kind, text in tokens(sql, backslash=backslash):
        if kind == "other" and text == ";":
            pieces.append([])
        else:
            pieces[-1].append((kind, text))
    return [
        "".join(text for _, text in piece).strip()
        for piece in pieces
        if any(kind not in ("space", "comment") for kind, _ in piece)
    ]


def tidy(sql: str, *, backslash: bool = False) -> str:
    r"""A statement without blank lines and trailing blanks; quoted text is unchanged.

    >>> tidy("SELECT  \n\n  'a  \n\nb'  ")
    "SELECT\n  'a  \n\nb'"
    """
    pieces = []
    for kind, text in tokens(sql, backslash=backslash):
        if kind == "space" and "\n" in text:
            pieces.append("\n" + text.rpartition("\n")[2])
        else:
            pieces.append(text.rstrip() if kind == "comment" else text)
    return "".join(pieces).strip()


def simple_statement(sql: str) -> str | None:
    r"""The tidied statement that a script is, or None when that takes a closer look.

    >>> simple_statement("SELECT  \n\n  'a;'  "), simple_statement("SELECT 1; -- done")
    ("SELECT\n  'a;'", None)
    """
    whole = sql.strip()
    if not whole or whole.startswith("/*") or not _SIMPLE.fullmatch(whole):
        return None
    return _SIMPLE_GAP.sub(_close_gap, whole) if "\n" in whole else whole


def _close_gap(gap: re.Match[str]) -> str:
    return gap[1] or "\n"


def bare_words(sql: str, *, backslash: bool = False) -> str:
    r"""The unquoted words of a statement in upper case: what it does, without what it does it to.

    >>> bare_words('DELETE /* all */ FROM "TRUNCATE" WHERE a = \'VACUUM\'')
    'DELETE FROM WHERE A'
    """
    if _SIMPLE.fullmatch(sql):
        return " ".join(filter(None, _SIMPLE_WORD.findall(sql))).upper()
    words = (text for kind, text in tokens(sql, backslash=backslash) if kind == "word")
    return " ".join(words).upper()


def check_expression(text: str, noun: str = "expression") -> None:
    """Check that a text can be one SQL expression, or a part of a statement, in any dialect.

    Args:
        text: The text.
        noun: What it is called in errors.

    Raises:
        ValueError: it is empty, or has a semicolon, a comment, an open quote, a bracket without
            its partner, or a backslash in a literal (an escape on Redshift, a character elsewhere).
    """
    if not text.strip():
        raise ValueError(f"the {noun} is empty")
    article = "an" if noun[0] in "aeiou" else "a"
    brackets: list[str] = []
    for kind, piece in tokens(text):
        if kind == "comment":
            raise ValueError(f"{article} {noun} may not hold a comment")
        if kind == "open":
            raise ValueError(f"a `{piece}` in the {noun} never closes")
        if kind == "text" and "\\" in piece:
            raise ValueError("a backslash in a literal means different things to the dialects")
        if "\0" in piece:
            raise ValueError(f"{article} {noun} may not hold a NUL character")
        if piece == ";":
            raise ValueError(f"{article} {noun} may not hold a semicolon")
        if piece in ("(", "["):
            brackets.append({"(": ")", "[": "]"}[piece])
        elif piece in (")", "]") and (not brackets or brackets.pop() != piece):
            raise ValueError(f"a `{piece}` in the {noun} has no partner")
    if brackets:
        raise ValueError(f"a `{brackets[-1]}` is missing in the {noun}")


def replace_words(text: str, words: Mapping[str, str], calls: Mapping[str, str]) -> str:
    """An expression with other words for some: bare ones, and calls without arguments.

    >>> replace_words("f(now( ), 'now()')", {}, {"now": "sysdate"})
    "f(sysdate, 'now()')"
    """
    pieces = list(tokens(text))
    found: list[str] = []
    place = 0
    while place < len(pieces):
        kind, piece = pieces[place]
        name = piece.lower() if kind == "word" and not _follows_dot(pieces, place) else ""
        end = _end_of_call(pieces, place)
        place += 1
        if name in words and end is None:
            found.append(words[name])
        elif name in calls and end:
            found.append(calls[name])
            place = end
        else:
            found.append(piece)
    return "".join(found)


def called_words(text: str) -> Iterator[tuple[str, bool]]:
    """The unquoted words of an expression in lower case, and whether each is called."""
    pieces = list(tokens(text))
    for place, (kind, piece) in enumerate(pieces):
        if kind == "word" and not _follows_dot(pieces, place):
            yield piece.lower(), _end_of_call(pieces, place) is not None


def names_in(text: str) -> set[str]:
    """The words and quoted names of an expression, in lower case.

    >>> sorted(names_in("Op = 'D' AND b > 1"))
    ['and', 'b', 'op']
    """
    found = (piece for kind, piece in tokens(text) if kind in ("word", "name"))
    return {piece.strip('"').lower() for piece in found}


def columns_in(text: str) -> set[str]:
    """The words of an expression that may be columns: neither calls nor what follows a dot.

    >>> sorted(columns_in("upper(op) = 'D'"))
    ['op']
    """
    quoted = (piece.strip('"').lower() for kind, piece in tokens(text) if kind == "name")
    return {word for word, called in called_words(text) if not called} | {*quoted}


_WORDS = (
    "all and any array as asc at between bigint binary bool boolean both by bytea case cast char"
    " character collate current_date current_timestamp date datetime day days decimal desc distinct"
    " double else end epoch escape exists false float float4 float8 from hour hours ilike in int"
    " int2 int4 int8 integer interval is isnull json leading like localtimestamp minute minutes"
    " month months not notnull null nulls numeric on or over partition precision quarter real"
    " second seconds similar smallint some super sysdate text then time timestamp timestamptz"
    " timetz to trailing true unknown using varbinary varbyte varchar varying week weeks when"
    " with without year years zone"
)
SQL_WORDS = frozenset(_WORDS.split())
"""Words of expressions that are no columns."""


def _follows_dot(pieces: Sequence[tuple[str, str]], place: int) -> bool:
    return place > 0 and pieces[place - 1][1] == "."


def _end_of_call(pieces: Sequence[tuple[str, str]], place: int) -> int | None:
    """Where a call without arguments ends; 0 where it has some, None where it is no call."""
    rest = (at for at in range(place + 1, len(pieces)) if pieces[at][0] != "space")
    opened = next(rest, None)
    if opened is None or pieces[opened][1] != "(":
        return None
    closed = next(rest, None)
    return closed + 1 if closed is not None and pieces[closed][1] == ")" else 0
