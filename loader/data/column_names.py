"""Checks of the column names that a frame or file has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from loader.errors import SourceError


class RepeatedNamesError(SourceError):
    """Columns have the same name."""

    def __init__(self, message: str, names: Sequence[str]) -> None:
        super().__init__(message)
        self.names = tuple(names)
        """The names of all columns."""
        self.lines = 0
        """The lines of a file up to the end of its header."""


def check_names(names: Sequence[object], origin: str) -> tuple[str, ...]:
    """Return the names as a tuple, provided that each is a `str` and none occurs twice.

    Args:
        names: The column names.
        origin: What has these columns, for messages: ``the frame``, or a file name.

    Raises:
        SourceError: a name is not text, or occurs twice; up to ten such names are listed.
    """
    wrong = [name for name in names if not isinstance(name, str)]
    if wrong:
        raise SourceError(
            f"{origin} has column names that are not text: {', '.join(map(repr, wrong[:9]))}",
            hint="rename the columns to the names in the spec",
        )
    texts = [str(name) for name in names]
    repeated = [name for name, times in Counter(texts).items() if times > 1]
    if repeated:
        listed = ", ".join(f"`{name}`" for name in repeated[:10])
        raise RepeatedNamesError(f"{origin} has more than one column named {listed}", texts)
    return tuple(texts)


def check_same_columns(
    columns: Sequence[str], expected: Sequence[str], name: str, other: str
) -> None:
    """Refuse a part of a stream whose columns differ from those of the first; order is free.

    Args:
        columns: The columns of the part.
        expected: The columns of the first part.
        name: What the part is called in messages.
        other: What the first part is called.

    Raises:
        SourceError: the two sets differ; missing and extra columns are listed.
    """
    found, known = frozenset(columns), frozenset(expected)
    missing = [f"`{column}`" for column in expected if column not in found]
    extra = [f"`{column}`" for column in columns if column not in known]
    if missing or extra:
        parts = [f"lacks {', '.join(missing)}"] * bool(missing)
        parts += [f"also has {', '.join(extra)}"] * bool(extra)
        raise SourceError(f"{name} has other columns than {other}: it {' and '.join(parts)}")
