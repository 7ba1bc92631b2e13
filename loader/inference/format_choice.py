"""Chooses how the text of files is read; what its columns leave open is not guessed, but told.

A spec has one decimal mark, one `date_format` and one `timestamp_format` for all columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from loader.inference.guesses import Guess
from loader.inference.text_formats import (
    COMMA,
    COMMA_GROUPS,
    DATES,
    GROUPS,
    POINT_GROUPS,
    STAMPS,
    WHOLE,
)


@dataclass
class FormatChoice:
    """What to declare in `source`, and what stays open."""

    options: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def choose_formats(guesses: Mapping[str, Guess], delimiter: str | None) -> FormatChoice:
    """Choose how all columns of text are read.

    Args:
        guesses: About all values of each column, read in the default way.
        delimiter: The delimiter of CSV files; None for other files.
    """
    choice = FormatChoice()
    texts = {name: guess for name, guess in guesses.items() if guess.is_text}
    if delimiter is not None:
        _choose_decimal(texts, delimiter, choice)
    _choose_times("date_format", DATES, ("date",), texts, choice)
    _choose_times("timestamp_format", STAMPS, ("timestamp", "timestamptz"), texts, choice)
    return choice


def _choose_decimal(guesses: Mapping[str, Guess], delimiter: str, choice: FormatChoice) -> None:
    formats = {name: _formats(guess) for name, guess in guesses.items() if guess.kind == "varchar"}
    commas = [name for name, found in formats.items() if COMMA in found and WHOLE not in found]
    numbers = [name for name, guess in guesses.items() if guess.kind in _WITH_POINTS]
    points = [name for name in numbers if POINT_GROUPS not in _formats(guesses[name])]
    grouped = [name for name, found in formats.items() if GROUPS in found and COMMA not in found]
    if not commas:
        pass
    elif points:
        choice.notes.append(
            f"{_list(commas)}: decimal commas, it seems, but {_list(points)} has decimal points,"
            " and a spec has one mark; text"
        )
    elif delimiter == "," or all(COMMA_GROUPS in formats[name] for name in commas):
        choice.notes.append(
            f"{_list(commas)}: text, for 1,234 may be more than a thousand or less than two; if its"
            ' commas are decimal marks, write source: {decimal: ","}'
        )
    else:
        choice.options["decimal"] = ","
        grouped += [name for name in numbers if name not in points]
    if grouped:
        choice.notes.append(
            f"{_list(grouped)}: text, for loads read no thousands separators, as in 1.234,50"
        )
    elif delimiter != "," and numbers and not points and not commas:
        choice.notes.append(
            f"{_list(numbers)}: 1.234 is read as less than two; check that the point is not between"
            " thousands"
        )


_WITH_POINTS = ("number", "double precision")


def _choose_times(
    key: str,
    formats: Iterable[str],
    kinds: tuple[str, ...],
    guesses: Mapping[str, Guess],
    choice: FormatChoice,
) -> None:
    known = frozenset(formats)
    found = {
        name: fitting
        for name, guess in guesses.items()
        if guess.kind == "varchar" and (fitting := _formats(guess) & known)
    }
    if not found:
        return
    iso = [name for name, guess in guesses.items() if guess.kind in kinds]
    common = frozenset.intersection(*found.values())
    # In May both are the same.
    common -= {format_.replace("%b", "%B") for format_ in common if "%b" in format_}
    shown = " or ".join(sorted(frozenset().union(*found.values())))
    if iso:
        choice.notes.append(
            f"{_list(found)}: text, for it is written as {shown}, and {_list(iso)} in ISO 8601,"
            f" and a spec has one {key}"
        )
    elif len(common) == 1:
        choice.options[key] = next(iter(common))
    elif common:
        choice.notes.append(
            f"{_list(found)}: text, for no value tells whether it is written as {shown}; write the"
            f" right one as source: {{{key}: …}}, and data_type: {kinds[0]}"
        )
    else:
        choice.notes.append(
            f"{_list(found)}: text, for they are written as {shown}, and a spec has one {key}"
        )


def _formats(guess: Guess) -> frozenset[str]:
    return guess.formats or frozenset()


def _list(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
