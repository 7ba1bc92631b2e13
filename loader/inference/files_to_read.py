"""Files with the options of `source` that they are read with, as far as these are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, TypeVar

from loader.data.chunk import Frame
from loader.data.files.open import (
    DataFile,
    DelimiterError,
    EscapeError,
    expand_pattern,
    format_by_name,
    open_files,
)
from loader.errors import SourceError
from loader.spec.model import Source

_T = TypeVar("_T")


@dataclass(frozen=True)
class FilesToRead:
    """Files that are read several times, while the options to read them with are found."""

    patterns: Sequence[str | DataFile]
    options: dict[str, Any]
    """Of `source`; what is found is added."""
    stdin: BinaryIO | None = None
    """Standard input, for ``-``; can be read again."""

    @property
    def first(self) -> FilesToRead:
        """The first file alone; what is found of it is found of all."""
        return replace(self, patterns=expand_pattern(self.patterns[0], self.stdin)[:1])

    @property
    def delimiter(self) -> str | None:
        """The delimiter of the first file; None if its name, or an option, says it is no CSV."""
        (file,) = self.first.patterns
        assert isinstance(file, DataFile)
        kind = format_by_name(file) or "csv"
        if kind not in ("csv", "tsv") or "sheet" in self.options:
            return None
        return str(self.options.get("delimiter", "\t" if kind == "tsv" else ","))

    def read(self, use: Callable[[Frame], _T], **more: Any) -> _T:
        """Read the files; adds the delimiter and the escape that are found to the options.

        Args:
            use: Reads the rows, and is called again with another frame when an option was found.
            more: Further options of `source`, for this time.

        Raises:
            SourceError: a file does not exist, or cannot be read.
        """
        while True:
            if self.stdin is not None:
                self.stdin.seek(0)
            options = {**self.options, **more}
            try:
                return use(open_files(self.patterns, Source.model_validate(options), self.stdin))
            except DelimiterError as error:
                if "delimiter" in options:
                    raise
                self.options["delimiter"] = error.delimiter
            except EscapeError as error:
                self.options["escape"] = error.escape


def peek_columns(file: DataFile, encoding: str) -> frozenset[str] | None:
    """The names of a file's columns; None where it cannot be read."""
    try:
        columns = FilesToRead([file], {"encoding": encoding}).read(lambda frame: frame.columns)
    except SourceError:
        return None
    return frozenset(columns)
