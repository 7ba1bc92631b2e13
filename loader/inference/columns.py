"""Guesses the type of each column of a frame, chunk by chunk."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

from loader.data.chunk import Chunk
from loader.errors import FrameError
from loader.inference.arrays import guess_type, guess_values
from loader.inference.building import (
    DraftColumn,
    SpecRequest,
    check_names,
    column_name,
    columns_error,
)
from loader.inference.clean_names import clean_names, source_of
from loader.inference.guesses import (
    NOTHING,
    Guess,
    NoTypeError,
    merge_guesses,
    to_text_guess,
    type_of,
)
from loader.inference.text_formats import DEFAULT, Reading


class ColumnGuesses:
    """The guesses about the columns of a frame so far."""

    def __init__(
        self, names: Sequence[str], request: SpecRequest, reading: Reading = DEFAULT
    ) -> None:
        self.names = tuple(names)
        self._request, self._reading = request, reading
        self._found: dict[str, Guess] = dict.fromkeys(names, NOTHING)
        self._refused: dict[str, str] = {}

    def add(self, chunk: Chunk) -> None:
        """Update the guesses with the values of a chunk."""
        for name in self.names:
            if name not in self._refused:
                try:
                    guess = guess_values(
                        chunk.columns[name], text=chunk.text, reading=self._reading
                    )
                    self._found[name] = merge_guesses(self._found[name], guess)
                except NoTypeError as refusal:
                    self._refused[name] = str(refusal)

    def add_schema(self, schema: Any) -> None:
        """Take the types from an Arrow schema, for a frame without rows."""
        known = set() if schema is None else set(schema.names)
        for name in self.names:
            try:
                found = guess_type(schema.field(name).type) if name in known else NOTHING
            except NoTypeError as refusal:
                self._refused[name] = str(refusal)
                continue
            self._found[name] = found
            if found == NOTHING:
                self._refused[name] = "has no type: the frame has no rows and no schema"

    @property
    def found(self) -> Mapping[str, Guess]:
        """The guess of each column so far."""
        return self._found

    @property
    def words(self) -> frozenset[str]:
        """The words that must mean NULL for the guesses to be right."""
        typed = (guess for guess in self._found.values() if guess.kind != "null")
        return frozenset().union(*(guess.words for guess in typed))

    def confirmed_null_words(self, by: ColumnGuesses) -> frozenset[str]:
        """The words that are gone once the files are read with these words as NULL.

        Words that remain are quoted in the file, so they are text and not NULL.

        Args:
            by: The guesses from that second read.
        """
        typed = (name for name, guess in self._found.items() if guess.kind != "null")
        gone = (self._found[name].words - by._found[name].words for name in typed)
        return frozenset().union(*gone)

    def treat_words_as_text(self) -> None:
        """Make columns with remaining NULL words text, because the words are values there."""
        for name, guess in self._found.items():
            if guess.words:
                self._found[name] = to_text_guess(guess)

    def has_fixed_shape(self, name: str) -> bool:
        """Whether the column's type fixes the fields of all its SUPER values."""
        guess = self._found[name]
        return name not in self._refused and guess.kind == "super" and guess.has_fixed_shape

    def reviewed_columns(self, *, complete: bool) -> list[DraftColumn]:
        """The columns of a spec that somebody reviews, with clean names and narrow types.

        ``complete`` is passed to `type_of`.

        Raises:
            FrameError: columns have no type; lists all of them.
        """
        names = clean_names(self.names)
        more = {name: source_of(name, names[name], self.names) for name in self.names}
        return self._draft(names, [], more, roomy=False, complete=complete)

    def columns(self, *, known: Container[str] = ()) -> list[DraftColumn]:
        """The columns of a spec that nobody reviews, with wide types; without those in ``known``.

        Raises:
            FrameError: columns have no type, or names that a table cannot have; lists all of them.
        """
        names = {name: column_name(name, self.names) for name in self.names}
        names = {name: column for name, column in names.items() if column not in known}
        return self._draft(names, check_names(self.names), {}, roomy=True, complete=False)

    def _draft(
        self,
        names: Mapping[str, str],
        problems: list[dict[str, str | int]],
        more: Mapping[str, Mapping[str, object]],
        *,
        roomy: bool,
        complete: bool,
    ) -> list[DraftColumn]:
        drafted = []
        for name, column in names.items():
            try:
                if name in self._refused:
                    raise NoTypeError(self._refused[name])
                kind = type_of(self._found[name], roomy=roomy, complete=complete)
                drafted.append(DraftColumn(column, kind, more=more.get(name, {})))
            except NoTypeError as refusal:
                problems.append({"column": name, "problem": str(refusal)})
        if problems:
            raise columns_error(problems, self._request)
        return drafted

    def check_has_columns(self) -> None:
        """Refuse a frame without columns.

        Raises:
            FrameError: the frame has no columns.
        """
        if not self.names:
            raise FrameError(
                f"no spec can be inferred for {self._request.table}: the data has no columns",
                hint="give it columns, or write a table spec",
            )
