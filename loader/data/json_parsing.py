"""Hooks for `json` that refuse what Python's parser accepts: repeated keys, NaN and Infinity."""

from __future__ import annotations

from typing import Any, NoReturn


class RepeatedKeyError(ValueError):
    """A JSON object has a key twice; parsers and warehouses would keep one of the values."""

    def __init__(self, key: str) -> None:
        super().__init__(f"the key {key!r} occurs twice")
        self.key = key


def object_without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these pairs, as ``object_pairs_hook``.

    Raises:
        RepeatedKeyError: a key occurs twice.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise RepeatedKeyError(next(name for name in names if names.count(name) > 1))
    return found


def refuse_constant(word: str) -> NoReturn:
    """Refuse NaN and Infinity, as ``parse_constant``.

    Raises:
        ValueError: always.
    """
    raise ValueError(f"{word} is not JSON")
