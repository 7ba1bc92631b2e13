"""SQL text as tokens with their places, so that a statement can be read and parts of it replaced.

Redshift's lexer is that of PostgreSQL 8: a backslash escapes inside ``'…'``, and ASCII letters of
names fold to lower case even inside double quotes (dg/r_names).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from loader.testing.redshift.refusals import SYNTAX, Refusal, syntax_error

Kind = Literal["word", "name", "string", "number", "parameter", "mark"]

MAX_NAME_BYTES = 127
"""Redshift cuts longer names silently."""

_POSTGRES_NAME_BYTES = 63

_TOKEN = re.compile(
    r"""
    (?P<space>\s+|--[^\n]*)
  | (?P<string>'(?:[^'\\]++|''|\\.)*+')
  | (?P<dollar>\$(?P<tag>(?:[A-Za-z_]\w*)?)\$.*?\$(?P=tag)\$)
  | (?P<name>"(?:[^"]|"")*")
  | (?P<word>\#?[A-Za-z_\u0080-\U0010ffff][\w$\u0080-\U0010ffff]*)
  | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
  | (?P<parameter>\$\d+)
  | (?P<mark>::|<=|>=|<>|!=|\|\||:=|=>|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_BLOCK = re.compile(r"/\*|\*/")
_ESCAPE = re.compile(r"''|\\([0-7]{1,3}|.)", re.DOTALL)
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_UPPER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


class Token(NamedTuple):
    """One token: ``value`` is the folded word or name, or what a string literal means."""

    kind: Kind
    text: str
    value: str
    start: int
    end: int

    def says(self, *words: str) -> bool:
        """Whether it is one of these unquoted words (lower case) or marks."""
        return self.kind in ("word", "mark") and self.value in words

    @property
    def names(self) -> bool:
        """Whether it can be an identifier."""
        return self.kind in ("word", "name")


def fold(name: str) -> str:
    """A name as Redshift stores it: ASCII letters in lower case, cut at 127 bytes."""
    return cut(name.translate(_UPPER), MAX_NAME_BYTES)


def cut(text: str, size: int) -> str:
    """The longest start of the text that fits into so many bytes of UTF-8."""
    data = text.encode()
    return text if len(data) <= size else data[:size].decode(errors="ignore")


def stored(name: str) -> str:
    """A folded name as PostgreSQL stores it, whose names end at 63 bytes.

    Names that differ in Redshift differ here too: of a long one the end becomes a digest. The
    catalog shows that name; this is a limit of the stand-in.
    """
    if len(name.encode()) <= _POSTGRES_NAME_BYTES:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:10]
    return f"{cut(name, _POSTGRES_NAME_BYTES - 11)}~{digest}"


def quote(name: str) -> str:
    """A stored name inside double quotes."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Text as a literal where a backslash escapes."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def tokenize(sql: str) -> list[Token]:
    """The tokens of the text without white space and comments.

    Raises:
        Refusal: a string, name or comment does not end.
    """
    found: list[Token] = []
    place = 0
    while place < len(sql):
        if sql.startswith("/*", place):
            place = _end_of_block(sql, place)
            continue
        match = _TOKEN.match(sql, place)
        assert match is not None
        kind, text = match.lastgroup or "", match.group()
        if kind == "tag" or match["dollar"]:
            kind = "dollar"
        if kind == "mark" and text in "'\"":
            what = "string" if text == "'" else "identifier"
            raise Refusal(
                f"unterminated quoted {what} at or near {sql[place : place + 40]!r}", SYNTAX
            )
        if kind != "space":
            found.append(_token(kind, text, place))
        place = match.end()
    return found


def _token(kind: str, text: str, start: int) -> Token:
    end = start + len(text)
    match kind:
        case "string":
            return Token("string", text, _ESCAPE.sub(_unescape, text[1:-1]), start, end)
        case "dollar":
            tag = text.index("$", 1) + 1
            return Token("string", text, text[tag:-tag], start, end)
        case "name":
            name = text[1:-1].replace('""', '"')
            if not name:
                raise Refusal('zero-length delimited identifier at or near """"', SYNTAX)
            return Token("name", text, stored(fold(name)), start, end)
        case "word":
            return Token("word", text, stored(fold(text)), start, end)
        case "number":
            return Token("number", text, text, start, end)
        case "parameter":
            return Token("parameter", text, text, start, end)
    return Token("mark", text, text, start, end)


def _unescape(match: re.Match[str]) -> str:
    escaped = match[1]
    if escaped is None:
        return "'"
    if escaped[0] in "01234567":
        return chr(int(escaped, 8) & 0xFF)
    return _ESCAPED.get(escaped, escaped)


def _end_of_block(sql: str, start: int) -> int:
    depth = 0
    for match in _BLOCK.finditer(sql, start):
        depth += 1 if match.group() == "/*" else -1
        if depth == 0:
            return match.end()
    raise Refusal("unterminated /* comment", SYNTAX)


class Cursor:
    """A place in a row of tokens."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self.tokens = tokens
        self.place = 0

    @property
    def done(self) -> bool:
        """Whether no token is left."""
        return self.place >= len(self.tokens)

    def peek(self, ahead: int = 0) -> Token | None:
        """A token that stays where it is; None behind the end."""
        place = self.place + ahead
        return self.tokens[place] if place < len(self.tokens) else None

    def at(self, *words: str) -> bool:
        """Whether these words or marks come next, in this order."""
        return all(
            (token := self.peek(ahead)) is not None and token.says(word)
            for ahead, word in enumerate(words)
        )

    def take(self, *words: str) -> bool:
        """Go past these words when they come next."""
        if not self.at(*words):
            return False
        self.place += len(words)
        return True

    def next(self) -> Token:
        """Go past one token.

        Raises:
            Refusal: none is left.
        """
        token = self.peek()
        if token is None:
            raise syntax_error("")
        self.place += 1
        return token

    def expect(self, *words: str) -> None:
        """Go past these words.

        Raises:
            Refusal: something else comes next.
        """
        for word in words:
            if not self.take(word):
                raise self.unexpected()

    def unexpected(self) -> Refusal:
        """The syntax error at this place."""
        token = self.peek()
        return syntax_error(token.text if token else "")

    def name(self) -> str:
        """Read one identifier."""
        token = self.peek()
        if token is None or not token.names:
            raise self.unexpected()
        self.place += 1
        return token.value

    def path(self) -> tuple[str, ...]:
        """Read a name with dots: its parts."""
        parts = [self.name()]
        while self.take("."):
            parts.append(self.name())
        return tuple(parts)

    def string(self) -> str:
        """Read one string literal: what it means."""
        token = self.peek()
        if token is None or token.kind != "string":
            raise self.unexpected()
        self.place += 1
        return token.value

    def integer(self) -> int:
        """Go past a whole number, which may have a sign or be written as a string."""
        sign = -1 if self.take("-") else 1
        token = self.next()
        if token.kind not in ("number", "string") or not token.value.strip().isdigit():
            self.place -= 1
            raise self.unexpected()
        return sign * int(token.value)

    def group(self) -> list[Token]:
        """Read a pair of parentheses: what is between them."""
        self.expect("(")
        start, depth = self.place, 1
        while depth:
            token = self.next()
            depth += token.says("(") - token.says(")")
        return list(self.tokens[start : self.place - 1])

    def names(self) -> tuple[str, ...]:
        """Go past a list of names in parentheses."""
        inner = Cursor(self.group())
        found = [inner.name()]
        while inner.take(","):
            found.append(inner.name())
        if not inner.done:
            raise inner.unexpected()
        return tuple(found)


def split(tokens: Sequence[Token], mark: str = ",") -> list[list[Token]]:
    """The parts between these marks, those inside parentheses left alone."""
    parts: list[list[Token]] = [[]]
    for token, depth in with_depth(tokens):
        if depth == 0 and token.says(mark):
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def with_depth(tokens: Sequence[Token]) -> Iterator[tuple[Token, int]]:
    """Each token with the number of parentheses around it."""
    depth = 0
    for token in tokens:
        if token.says(")"):
            depth -= 1
        yield token, depth
        if token.says("("):
            depth += 1


def one_statement(sql: str) -> list[Token]:
    """The tokens of a text that holds one statement, without semicolons at its end.

    Raises:
        Refusal: there is more than one; a driver's message carries one only.
    """
    tokens = tokenize(sql)
    while tokens and tokens[-1].says(";"):
        tokens.pop()
    if any(token.says(";") for token in tokens):
        raise Refusal("cannot insert multiple commands into a prepared statement", SYNTAX)
    return tokens
