"""The columns of a frame and what is guessed of each, chunk by chunk."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

from loader.data.chunk import Chunk
from loader.errors import FrameError
from loader.inference.arrays import guess_type, guess_values
from loader.inference.building import Drafted, Wanted, check_names, column_name, refused
from loader.inference.guesses import NOTHING, Guess, Refused, as_text, merged, type_of


class ColumnGuesses:
    """What is known of the columns of a frame."""

    def __init__(self, names: Sequence[str], wanted: Wanted) -> None:
        self.names = tuple(names)
        self._wanted = wanted
        self._found: dict[str, Guess] = dict.fromkeys(names, NOTHING)
        self._refused: dict[str, str] = {}

    def add(self, chunk: Chunk) -> None:
        """Look at a chunk."""
        for name in self.names:
            if name not in self._refused:
                try:
                    guess = guess_values(chunk.columns[name], text=chunk.text)
                    self._found[name] = merged(self._found[name], guess)
                except Refused as refusal:
                    self._refused[name] = str(refusal)

    def add_schema(self, schema: Any) -> None:
        """Take an Arrow schema for what it says, where there are no rows to look at."""
        known = set() if schema is None else set(schema.names)
        for name in self.names:
            try:
                found = guess_type(schema.field(name).type) if name in known else NOTHING
            except Refused as refusal:
                self._refused[name] = str(refusal)
                continue
            self._found[name] = found
            if found == NOTHING:
                self._refused[name] = "has no value and no type, since the frame has no rows"

    @property
    def found(self) -> Mapping[str, Guess]:
        """The guess of each column so far."""
        return self._found

    @property
    def words(self) -> frozenset[str]:
        """The words that have to mean NULL for the guesses to be right."""
        typed = (guess for guess in self._found.values() if guess.kind != "null")
        return frozenset().union(*(guess.words for guess in typed))

    def settled(self, by: ColumnGuesses) -> frozenset[str]:
        """The words that turned out to mean NULL when another look took them so.

        What still has them there wrote them in quotes, where they are text.
        """
        typed = (name for name, guess in self._found.items() if guess.kind != "null")
        gone = (self._found[name].words - by._found[name].words for name in typed)
        return frozenset().union(*gone)

    def without_words(self) -> None:
        """Take columns with such words for text, since the words are values in them."""
        for name, guess in self._found.items():
            if guess.words:
                self._found[name] = as_text(guess)

    def shaped(self, name: str) -> bool:
        """Whether a column's own type tells the shape of all of its documents."""
        guess = self._found[name]
        return name not in self._refused and guess.kind == "super" and guess.shaped

    def columns(
        self, *, roomy: bool, complete: bool = False, known: Container[str] = ()
    ) -> list[Drafted]:
        """The columns as a spec declares them, but for those whose type is known already.

        ``roomy`` and ``complete`` are those of `type_of`.

        Raises:
            FrameError: some have no type, or no name that a table can have; all are named.
        """
        problems = check_names(self.names)
        drafted = []
        for name in self.names:
            column = column_name(name, self.names)
            if column in known:
                continue
            try:
                if name in self._refused:
                    raise Refused(self._refused[name])
                kind = type_of(self._found[name], roomy=roomy, complete=complete)
                drafted.append(Drafted(column, kind))
            except Refused as refusal:
                problems.append({"column": name, "problem": str(refusal)})
        if problems:
            raise refused(problems, self._wanted)
        return drafted

    def check_some(self) -> None:
        """Refuse a frame without columns.

        Raises:
            FrameError: it has none.
        """
        if not self.names:
            raise FrameError(
                f"no spec can be inferred for {self._wanted.table}: the data has no columns",
                hint="give it columns, or write a table spec",
            )
