"""Changes of inputs: of bytes, of words, and of trees of data."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Sequence
from datetime import date, datetime
from random import Random
from typing import Any

WORDS: tuple[str, ...] = (
    *("", " ", "\0", "\x7f", "\x1b[2J", "\u202e", "\ufeff", "é" * 60, "İ", "\u017f", "\U0001f600"),
    *("a" * 128, "a" * 300, "ab " * 20_000, "'", '"', '""', "`", "\\", "\\N", "\n", "\r", "\t"),
    *(
        "{{ x }}",
        "{% raw %}",
        "{{",
        "}}",
        "{#",
        "${HOME}",
        "${",
        "${A:-}",
        "{x}",
        "{date:%Y}",
        "{}",
    ),
    *(
        "../x",
        "./",
        "a/b",
        "a//b",
        "/dev/null/a",
        "a/",
        "a.b",
        ".",
        "..",
        "*",
        "[",
        "[a-",
        "?",
        "**/*",
        "~",
    ),
    *(
        "s3://",
        "s3://b/k",
        "-",
        "--",
        "-- x",
        "/*",
        "*/",
        ";",
        "$$",
        "%s",
        "%(x)s",
        "%",
        "%Q",
        "%Y",
    ),
    *(
        "0",
        "-1",
        "00",
        "1e400",
        "nan",
        "inf",
        "-0",
        "0x" + "f" * 50,
        "9" * 40,
        "1_000",
        "1:30",
        ".",
    ),
    *("9" * 450, "NULL", "null", "true", "yes", "~", "<<", "&a", "*a", "!x", "!!binary x", "---"),
    *("2026-01-01", "2026-02-30", "0001-01-01", "9999-12-31", "10000-01-01", "-0001-01-01"),
    *("2026-01-01T00:00:00Z", "2026-01-01 24:00:00", "2026-01-01T00:00:00+23:59", "24:00", "00:00"),
    *("0001-01-01..9999-12-31", "2026-01-02..2026-01-01", "..", "a..b", "x=", "=", "x=1|y=2", "|"),
    *("varchar(0)", "varchar(max)", "decimal(39,1)", "decimal(38,38)", "decimal(1,2)", "super"),
    *("timestamp with time zone", "interval", "varchar(", "bigint[]", "struct<a int>", "int"),
    *("utf-16", "utf-7", "idna", "rot13", "hex", "undefined", "unicode_escape", "cp037", "utf-32"),
    *("Europe/Berlin", "UTC", "../UTC", "America", "+01:00", "select", "public", "pg_catalog"),
    *("Robert'); DROP TABLE x;--", "x::date", "a || b", "(a", "a)", "case when", "date_trunc('x')"),
)
"""What breaks readers, printers and quoting."""

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**31, 2**63, -(2**63) - 1, 2**64, 10**38, 10**320),
    *(1.5, -0.0, 1e308, float("inf"), float("-inf"), float("nan"), 5e-324),
    *([], {}, [[]], [None], {"": None}, {"a": {}}, [1, "a", None], {"name": []}),
    *(date(2026, 1, 1), date(1, 1, 1), datetime(2026, 1, 1), datetime(9999, 12, 31, 23, 59, 59)),
)

_TOKENS = re.compile(r"\w+|\s+|[^\w\s]")


def mutated_bytes(chance: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """The bytes with a few changes: flipped, inserted, cut out, doubled, cut off, spliced."""
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        data = _changed(chance, data, others)
    return data


def _changed(chance: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    at = chance.randrange(len(data) + 1)
    end = min(len(data), at + chance.choice((1, 1, 2, 4, 8, 64, 512)))
    piece = data[at:end]
    match chance.randrange(10):
        case 0 if piece:
            flipped = piece[0] ^ (1 << chance.randrange(8))
            return data[:at] + bytes([flipped]) + data[at + 1 :]
        case 1 if piece:
            return data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]
        case 2:
            return data[:at] + chance.randbytes(chance.choice((1, 2, 8, 64))) + data[at:]
        case 3:
            return data[:at] + data[end:]
        case 4:
            return data[:at] + piece * chance.choice((2, 3, 10, 1_000)) + data[end:]
        case 5:
            return data[:at]
        case 6:
            spliced = chance.choice(others)
            return data[:at] + spliced[chance.randrange(len(spliced) + 1) :]
        case 7:
            place = chance.randrange(len(data) + 1)
            return data[:place] + piece + data[place:]
        case 8:
            # A length, a count or an offset that is none.
            number = chance.choice((0, 1, -1, 2**31 - 1, -(2**31), 2**30, 255, 65_536))
            size = chance.choice((1, 2, 4, 8))
            raw = (number % 2 ** (8 * size)).to_bytes(size, chance.choice(("little", "big")))
            return data[:at] + raw + data[at + size :]
        case _:
            word = chance.choice(WORDS).encode("utf-8", "surrogatepass")
            return data[:at] + word + data[end:]


def mutated_text(chance: Random, text: str, others: Sequence[str]) -> str:
    """The text with a few of its words exchanged, left out, doubled or moved."""
    tokens = _TOKENS.findall(text)
    for _ in range(chance.choice((1, 1, 2, 4))):
        at = chance.randrange(len(tokens) or 1)
        match chance.randrange(6):
            case 0:
                tokens[at : at + 1] = [chance.choice(WORDS)]
            case 1:
                tokens[at : at + chance.choice((1, 3, 20))] = []
            case 2:
                tokens[at:at] = tokens[at : at + 8] * chance.choice((1, 2, 50))
            case 3:
                tokens[at:at] = _TOKENS.findall(chance.choice(others))[:: chance.choice((1, 1, 2))][
                    :40
                ]
            case 4 if tokens:
                other = chance.randrange(len(tokens))
                tokens[at], tokens[other] = tokens[other], tokens[at]
            case _:
                opened = chance.choice(("[", "{a: ", "(", "- ", "'", '"', "{{ ", "{% if x %}"))
                tokens[at:at] = [opened] * chance.choice((1, 2, 150, 3_000))
    return "".join(tokens)


def mutated_tree(chance: Random, tree: Any, others: Sequence[Any]) -> Any:
    """The data with a few of its parts exchanged, left out, renamed, doubled or nested."""
    tree = copy.deepcopy(tree)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        holder, key = _place(chance, tree)
        if holder is None:
            return hostile(chance)
        _change(chance, holder, key, others)
    return tree


def hostile(chance: Random) -> Any:
    """A word or a value that nobody expects."""
    return chance.choice((chance.choice(WORDS), copy.deepcopy(chance.choice(VALUES))))


def _place(chance: Random, tree: Any) -> tuple[Any, Any]:
    places = [
        (part, key)
        for part in _parts(tree)
        for key in (part if isinstance(part, dict) else range(len(part)))
    ]
    return chance.choice(places) if places else (None, None)


def _parts(tree: Any) -> list[Any]:
    if isinstance(tree, dict):
        return [tree, *(part for item in tree.values() for part in _parts(item))]
    if isinstance(tree, list):
        return [tree, *(part for item in tree for part in _parts(item))]
    return []


def _change(chance: Random, holder: Any, key: Any, others: Sequence[Any]) -> None:
    match chance.randrange(9):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[str(hostile(chance))] = holder.pop(key)
        case 2 if isinstance(holder, list):
            holder[key:key] = [copy.deepcopy(holder[key])] * chance.choice((1, 2, 200))
        case 3:
            for _ in range(chance.choice((1, 2, 90, 150))):
                holder[key] = chance.choice(([holder[key]], {"name": holder[key]}))
        case 4:
            other = chance.choice(others)
            there, name = _place(chance, other)
            holder[key] = copy.deepcopy(there[name]) if there is not None else other
        case 5 if isinstance(holder, dict):
            there, name = _place(chance, chance.choice(others))
            if there is not None:
                holder[str(name)] = copy.deepcopy(there[name])
        case 6 if isinstance(holder[key], str):
            holder[key] = mutated_text(chance, holder[key], [holder[key], "a b"])
        case _:
            holder[key] = hostile(chance)


def as_json(tree: Any) -> str:
    """The data as JSON, whatever is in it."""
    return json.dumps(tree, default=str)
