"""Regular expressions that both Redshift (POSIX) and DuckDB (RE2) read the same.

`portable` reads a pattern and writes it again in the few forms that mean one thing to both: no
lookaround, no backreference, classes of ASCII characters in brackets without a backslash.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

_MOST_REPEATS = 255
"""The largest bound of POSIX."""
_MOST_NESTED_REPEATS = 1_000
"""The most copies that RE2 makes of one part."""
_MOST_DEPTH = 50
_LONGEST = 1_000

_META = frozenset(".^$*+?()[]{}|\\")
_CONTROLS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v"}

Ranges = tuple[tuple[int, int], ...]

_CLASSES: dict[str, Ranges] = {
    "d": ((0x30, 0x39),),
    "w": ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)),
    "s": ((0x09, 0x0D), (0x20, 0x20)),
}
"""Classes by their letter, in ASCII: the warehouses differ beyond it."""

_HINTS = {
    "b": "Redshift has no word boundary",
    "B": "Redshift has no word boundary",
    "A": "write ^",
    "z": "write $",
    "Z": "write $",
    "p": "list the characters in [...]",
    "P": "list the characters in [^...]",
}


@lru_cache(maxsize=1_000)
def portable(pattern: str) -> str:
    r"""The pattern in the form that every warehouse reads the same.

    >>> portable(r"^\d{4}-(?:0[1-9]|1[0-2])$")
    '^[0-9]{4}-(0[1-9]|1[0-2])$'

    Raises:
        ValueError: it is no regular expression, or the warehouses would read it differently.
    """
    if len(pattern) > _LONGEST:
        raise ValueError(f"a pattern has at most {_LONGEST:,} characters")
    if not pattern:
        raise ValueError("the pattern is empty")
    return _Reader(pattern).read()


class _Reader:
    """Reads a pattern from left to right, and returns each part as it is written again."""

    def __init__(self, pattern: str) -> None:
        self._text = pattern
        self._at = 0
        self._depth = 0

    def read(self) -> str:
        written, _ = self._alternatives()
        if self._at < len(self._text):
            raise self._error("a `)` has no partner; write \\) for the character")
        return written

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self) -> str:
        self._at += 1
        return self._text[self._at - 1]

    def _error(self, why: str) -> ValueError:
        return ValueError(f"at character {self._at + 1} of the pattern: {why}")

    def _alternatives(self) -> tuple[str, int]:
        """Alternatives up to a `)` or the end, and the most copies of one part in them."""
        branches, copies = [], 1
        while True:
            branch, inner = self._branch()
            branches.append(branch)
            copies = max(copies, inner)
            if self._peek() != "|":
                return "|".join(branches), copies
            self._take()

    def _branch(self) -> tuple[str, int]:
        pieces, copies = [], 1
        while self._peek() not in ("", "|", ")"):
            piece, inner = self._piece()
            pieces.append(piece)
            copies = max(copies, inner)
        if not pieces:
            raise self._error("an alternative is empty; write (…)? for one that may be missing")
        return "".join(pieces), copies

    def _piece(self) -> tuple[str, int]:
        start = self._peek()
        atom, copies = self._atom()
        quantifier, most = self._quantifier()
        if quantifier and start in ("^", "$"):
            raise self._error(f"`{start}` cannot be repeated")
        copies *= most
        if copies > _MOST_NESTED_REPEATS:
            raise self._error(f"a part is repeated more than {_MOST_NESTED_REPEATS:,} times")
        return atom + quantifier, copies

    def _atom(self) -> tuple[str, int]:
        match self._take():
            case "(":
                return self._group()
            case "[":
                return self._class(), 1
            case "\\":
                return self._escape(), 1
            case "." | "^" | "$" as one:
                return one, 1
            case "*" | "+" | "?" as one:
                self._at -= 1
                raise self._error(f"a `{one}` has nothing to repeat; write \\{one}")
            case "{":
                self._at -= 1
                raise self._error("a `{` has nothing to repeat; write \\{")
            case one:
                return _literal(self._check(one)), 1

    def _check(self, one: str) -> str:
        if one == "\0" or 0xD800 <= ord(one) <= 0xDFFF:
            raise self._error("text cannot hold this character")
        return one

    def _group(self) -> tuple[str, int]:
        if self._peek() == "?":
            if self._text[self._at : self._at + 2] != "?:":
                what = "lookaround" if self._text[self._at + 1 : self._at + 2] in "=!<" else "`(?`"
                raise self._error(f"{what} is not supported by both warehouses")
            self._at += 2
        self._depth += 1
        if self._depth > _MOST_DEPTH:
            raise self._error(f"groups are nested more than {_MOST_DEPTH} deep")
        inner, copies = self._alternatives()
        if self._peek() != ")":
            raise self._error("a `(` never closes; write \\( for the character")
        self._take()
        self._depth -= 1
        return f"({inner})", copies

    def _quantifier(self) -> tuple[str, int]:
        """A quantifier, if one follows, and the most copies that the warehouses make for it."""
        one = self._peek()
        if one in ("*", "+", "?") and one:
            found, most = self._take(), 1
        elif one == "{":
            found, most = self._bounds()
        else:
            return "", 1
        if self._peek() == "?":
            self._take()  # lazy: that matters to what is found, and not to whether
        if self._peek() in ("*", "+", "?", "{") and self._peek():
            raise self._error("a repetition cannot be repeated; put (…) around it")
        return found, most

    def _bounds(self) -> tuple[str, int]:
        end = self._text.find("}", self._at)
        text = self._text[self._at + 1 : end] if end > 0 else ""
        low, comma, high = text.partition(",")
        numbers = [number for number in (low, high) if number]
        if not low or not all(number.isascii() and number.isdigit() for number in numbers):
            raise self._error("expected {m}, {m,} or {m,n}; write \\{ for the character")
        most = max(map(int, numbers))
        if most > _MOST_REPEATS:
            raise self._error(f"a part can be repeated {_MOST_REPEATS} times at most")
        if high and int(low) > int(high):
            raise self._error("the bounds of the repetition are the wrong way round")
        self._at = end + 1
        return f"{{{int(low)}{comma}{int(high) if high else ''}}}", max(most, 1)

    def _escape(self) -> str:
        kind = self._peek()
        if kind.lower() in _CLASSES and kind:
            self._take()
            return _bracket(_CLASSES[kind.lower()], negated=kind.isupper())
        return _literal(self._escaped_character())

    def _escaped_character(self) -> str:
        """The one character that follows a backslash."""
        if not self._peek():
            raise self._error("the pattern ends with a backslash")
        one = self._take()
        if one in _CONTROLS:
            return _CONTROLS[one]
        if one in ("x", "u"):
            return self._code({"x": 2, "u": 4}[one])
        if one.isascii() and not one.isalnum():
            return self._check(one)
        self._at -= 1
        hint = _HINTS.get(one, "a backreference" if one.isdigit() else "")
        raise self._error(
            f"`\\{one}` is not supported by both warehouses" + f": {hint}" * bool(hint)
        )

    def _code(self, digits: int) -> str:
        text = self._text[self._at : self._at + digits]
        if len(text) < digits or not all(one in "0123456789abcdefABCDEF" for one in text):
            raise self._error(f"expected {digits} hexadecimal digits")
        self._at += digits
        return self._check(chr(int(text, 16)))

    def _class(self) -> str:
        negated = self._peek() == "^"
        if negated:
            self._take()
        if self._peek() == "]":
            raise self._error("a class begins with `]`; write \\] for the character")
        ranges: list[tuple[int, int]] = []
        while self._peek() != "]":
            if not self._peek():
                raise self._error("a `[` never closes; write \\[ for the character")
            ranges += self._range()
        self._take()
        try:
            return _bracket(ranges, negated=negated)
        except ValueError as error:
            raise self._error(str(error)) from None

    def _range(self) -> Ranges:
        """One entry of a class: a character, a range, or a class of its own."""
        if self._peek() == "\\" and self._text[self._at + 1 : self._at + 2] in _CLASSES:
            self._at += 2
            return _CLASSES[self._text[self._at - 1]]
        start = self._class_character()
        follows = self._text[self._at : self._at + 2]
        if len(follows) < 2 or follows[0] != "-" or follows[1] == "]":
            return ((ord(start), ord(start)),)
        self._take()
        end = self._class_character()
        if ord(end) < ord(start):
            raise self._error(f"the range `{start}-{end}` is the wrong way round")
        return ((ord(start), ord(end)),)

    def _class_character(self) -> str:
        one = self._take()
        if one == "[" and self._peek() in (":", ".", "=") and self._peek():
            raise self._error("classes such as [:alpha:] depend on the warehouse; write [A-Za-z]")
        return self._escaped_character() if one == "\\" else self._check(one)


def _literal(one: str) -> str:
    return f"\\{one}" if one in _META else one


_LAST = "[^-"
"""Characters that mean themselves at the end of a class, in this order."""


def _bracket(ranges: Iterable[tuple[int, int]], *, negated: bool) -> str:
    """A class without escapes, which mean different things inside of brackets.

    Raises:
        ValueError: it has a backslash that cannot be inside of a range.
    """
    merged = _merge(ranges)
    ordinary, special = [], set()
    for low, high in merged:
        start, end = low, high
        while start <= end and chr(start) in "]\\" + _LAST:
            special.add(chr(start))
            start += 1
        while start <= end and chr(end) in "]\\" + _LAST:
            special.add(chr(end))
            end -= 1
        if start <= end:
            middle = "-" if end > start + 1 else ""
            ordinary.append(chr(start) + middle + (chr(end) if end > start else ""))
    if "\\" in special:
        raise ValueError("a backslash in [...] depends on the warehouse; write (…|\\\\)")
    inside = "]" * ("]" in special) + "".join(ordinary)
    inside += "".join(one for one in _LAST if one in special)
    if not negated and len(inside) == 1:
        return _literal(inside)
    if inside == "^-" and not negated:
        inside = "-^"
    return f"[^{inside}]" if negated else f"[{inside}]"


def _merge(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return merged
