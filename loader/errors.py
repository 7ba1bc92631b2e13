"""Everything that can go wrong, told to the person who has to fix it.

The tree::

LoaderError
├── ConfigError      project settings, targets, environment
├── SpecError        table specs (a list of problems, each with file:line:column)
├── TemplateError    SQL templates
├── PlanError        what was asked for cannot be planned: slices, partitions, selections
├── SourceError      files and frames that cannot be read
├── FrameError       data that does not fit its spec
├── StageError       files that cannot be written: staging and output, disk and bucket
└── ExecuteError     the warehouse refused, or what it holds is not what was loaded
    ├── VerifyError  the load was rolled back because a count or check did not hold
    └── ApplyError   changes of tables stopped at one that failed
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loader.escaping import one_line
from loader.redaction import KNOWN


class LoaderError(Exception):
    """The root of every error Loader raises on purpose; it holds none of the known secrets.

    ``message`` says what is wrong and where; ``hint`` says what to do next; ``details`` are the
    rows of the message's table, if it has one, by the names of its columns.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        details: Sequence[Mapping[str, str | int]] = (),
        transient: bool = False,
    ) -> None:
        self.message = KNOWN.hide(message)
        super().__init__(self.message)
        self.hint = KNOWN.hide(hint) if hint else hint
        self.details = tuple(KNOWN.hide_in(dict(row)) for row in details)
        self.transient = transient
        """Whether the same may work later."""

    def __str__(self) -> str:
        return f"{self.message}\n\nhint: {self.hint}" if self.hint else self.message

    def to_dict(self) -> dict[str, object]:
        """The error as JSON-ready data, for ``--format json``."""
        told: dict[str, object] = {
            "error": type(self).__name__,
            "message": self.message,
            "hint": self.hint,
        }
        return {**told, "details": list(self.details)} if self.details else told


def tell_also(error: BaseException, line: str) -> None:
    """Add a line to what an error says; to one that is not ours, as a note."""
    if isinstance(error, LoaderError):
        error.message += f"\n{line}"
    else:
        error.add_note(line)


class ConfigError(LoaderError):
    """The project's settings, a target, or the environment it reads is wrong."""


class TemplateError(LoaderError):
    """A SQL template is missing, broken, or prints what it must not.

    ``place`` is the template's file, as messages show it, and the line, as far as they are known.
    """

    def __init__(
        self, message: str, *, hint: str | None = None, place: tuple[str, int] = ("", 0)
    ) -> None:
        super().__init__(message, hint=hint)
        self.place = place


class PlanError(LoaderError):
    """What was asked for cannot be planned."""


class SourceError(LoaderError):
    """A file or frame cannot be read as data."""


class StageError(LoaderError):
    """Files, staged ones or output, could not be written, listed or removed."""


Loc = tuple[str | int, ...]
"""Where in a document: keys and positions, as in ``("columns", 3, "data_type")``."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong with one spec: where it stands, what it says, what would be right."""

    message: str
    loc: Loc = ()
    hint: str | None = None
    on_key: bool = False
    """Whether the key itself is wrong, rather than its value."""
    path: str = ""
    line: int = 0
    column: int = 0
    template: tuple[str, int] = ("", 0)
    """The template that is at fault, if one is, and the line in it."""

    @property
    def where(self) -> str:
        """The place inside the document: ``columns[3].data_type``."""
        parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.loc)
        return one_line("".join(parts).removeprefix("."))

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}:{self.column}" if self.line else self.path
        head = ": ".join(part for part in (one_line(place), self.where, self.message) if part)
        return f"{head}\n  hint: {self.hint}" if self.hint else head

    def to_dict(self) -> dict[str, object]:
        """The problem as JSON-ready data."""
        return {
            "path": self.path,
            "line": self.line,
            "column": self.column,
            "where": self.where,
            "message": self.message,
            "hint": self.hint,
        }


class SpecError(LoaderError):
    """One or more table specs are wrong; ``problems`` holds all of them."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(
            "\n".join([f"{count} in table specs", *map(str, problems)]),
            details=[
                {
                    "file": f"{problem.path}:{problem.line}:{problem.column}",
                    "where": problem.where,
                    "problem": problem.message,
                    "hint": problem.hint or "",
                }
                for problem in problems
            ],
        )
        self.problems = tuple(problems)

    def to_dict(self) -> dict[str, object]:
        """The error as JSON-ready data, with each problem."""
        told = super().to_dict()
        told.pop("details", None)  # `problems` says the same, and more
        return {**told, "problems": [p.to_dict() for p in self.problems]}


class FrameError(LoaderError):
    """Data does not fit its spec; nothing was written to the warehouse."""


class ExecuteError(LoaderError):
    """The warehouse refused a statement, or could not be reached.

    ``statement`` is the SQL that failed, ``rolled_back`` whether the table is known to hold what
    it held before, ``transient`` whether running the whole transaction again may help, ``code`` the
    SQLSTATE, when the warehouse gave one.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        statement: str | None = None,
        rolled_back: bool = False,
        transient: bool = False,
        details: Sequence[Mapping[str, str | int]] = (),
        code: str = "",
    ) -> None:
        super().__init__(message, hint=hint, details=details, transient=transient)
        self.statement = KNOWN.hide(statement) if statement else statement
        self.rolled_back = rolled_back
        self.code = code

    def to_dict(self) -> dict[str, object]:
        """The error as JSON-ready data, with the statement that failed."""
        return {
            **super().to_dict(),
            "statement": self.statement,
            "rolled_back": self.rolled_back,
            "transient": self.transient,
        }


class VerifyError(ExecuteError):
    """What the warehouse holds before COMMIT is not what was staged, or a check failed."""


class ApplyError(ExecuteError):
    """Changes of tables stopped at one that failed; ``details`` tell of each what was done."""

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        statement: str | None = None,
        details: Sequence[Mapping[str, str | int]] = (),
    ) -> None:
        super().__init__(message, hint=hint, statement=statement, rolled_back=True, details=details)
