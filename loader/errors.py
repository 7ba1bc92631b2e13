"""The exceptions that Loader raises.

The hierarchy::

LoaderError
├── ConfigError      invalid project settings, targets or environment
├── SpecError        invalid table specs (a list of problems, each with file:line:column)
├── TemplateError    invalid SQL templates
├── PlanError        a request that cannot be planned: slices, partitions, selections
├── SourceError      files and frames that cannot be read
├── FrameError       data that does not match its spec
├── StageError       files that cannot be written: staging and output, on disk or in S3
└── ExecuteError     the warehouse rejected a statement, or could not be reached
    ├── VerifyError  the load was rolled back because a count, value or check was wrong
    └── ApplyError   a table change failed, and the changes after it were not made
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loader.escaping import escape_line
from loader.redaction import KNOWN


class LoaderError(Exception):
    """The base class of Loader's errors; known secrets are removed from its texts.

    ``message`` says what is wrong and where; ``hint`` says what to do next; ``details`` are the
    rows of the table in the message, if it has one, as mappings from column name to value.
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
        """Whether a retry may succeed."""

    def __str__(self) -> str:
        return f"{self.message}\n\nhint: {self.hint}" if self.hint else self.message

    def to_dict(self) -> dict[str, object]:
        """The error as JSON-ready data, for ``--format json``."""
        data: dict[str, object] = {
            "error": type(self).__name__,
            "message": self.message,
            "hint": self.hint,
        }
        return {**data, "details": list(self.details)} if self.details else data


def add_line(error: BaseException, line: str) -> None:
    """Append a line to the message of a Loader error, or a note to any other exception."""
    if isinstance(error, LoaderError):
        error.message += f"\n{line}"
    else:
        error.add_note(line)


class TemplateError(LoaderError):
    """A SQL template is missing, invalid, or renders SQL that is not allowed.

    ``place`` is the template's file, as messages show it, and the line; empty and 0 if unknown.
    """

    def __init__(
        self, message: str, *, hint: str | None = None, place: tuple[str, int] = ("", 0)
    ) -> None:
        super().__init__(message, hint=hint)
        self.place = place


class PlanError(LoaderError):
    """The request cannot be planned."""


class SourceError(LoaderError):
    """A file or frame cannot be read as data."""


class NoFilesError(SourceError):
    """No file matches a pattern."""


class StageError(LoaderError):
    """Staged or output files could not be written, listed or removed."""


Loc = tuple[str | int, ...]
"""A path in a document: keys and positions, as in ``("columns", 3, "data_type")``."""


@dataclass(frozen=True)
class Problem:
    """One error in one spec: its location, message and hint."""

    message: str
    loc: Loc = ()
    hint: str | None = None
    on_key: bool = False
    """Whether the key itself is wrong, rather than its value."""
    path: str = ""
    line: int = 0
    column: int = 0
    template: tuple[str, int] = ("", 0)
    """The file and line of the template that causes it; empty and 0 if none does."""

    @property
    def where(self) -> str:
        """The path in the document: ``columns[3].data_type``."""
        parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.loc)
        return escape_line("".join(parts).removeprefix("."))

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}:{self.column}" if self.line else self.path
        head = ": ".join(part for part in (escape_line(place), self.where, self.message) if part)
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


class ConfigError(LoaderError):
    """The project's settings, a target, or an environment variable is invalid.

    ``problems`` holds every error in the settings file, if that is what is wrong.
    """

    def __init__(
        self, message: str, *, hint: str | None = None, problems: Sequence[Problem] = ()
    ) -> None:
        super().__init__(message, hint=hint, details=_problem_rows(problems))
        self.problems = tuple(problems)

    @classmethod
    def of(cls, problems: Sequence[Problem], source: str) -> ConfigError:
        """The error that lists the problems of a source of settings."""
        return cls(list_problems(problems, source), problems=problems)

    def to_dict(self) -> dict[str, object]:
        """The error as JSON-ready data, with each problem."""
        data = super().to_dict()
        return _with_problems(data, self.problems) if self.problems else data


class SpecError(LoaderError):
    """One or more table specs are invalid; ``problems`` holds every error.

    ``where`` says what else they are in.
    """

    def __init__(self, problems: Sequence[Problem], where: str = "table specs") -> None:
        super().__init__(list_problems(problems, where), details=_problem_rows(problems))
        self.problems = tuple(problems)

    def to_dict(self) -> dict[str, object]:
        """The error as JSON-ready data, with each problem."""
        return _with_problems(super().to_dict(), self.problems)


def list_problems(problems: Sequence[Problem], where: str) -> str:
    """The number of problems, and each of them."""
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return "\n".join([f"{count} in {where}", *map(str, problems)])


def _problem_rows(problems: Sequence[Problem]) -> list[dict[str, str | int]]:
    return [
        {
            "file": f"{problem.path}:{problem.line}:{problem.column}",
            "where": problem.where,
            "problem": problem.message,
            "hint": problem.hint or "",
        }
        for problem in problems
    ]


def _with_problems(data: dict[str, object], problems: Sequence[Problem]) -> dict[str, object]:
    data.pop("details", None)  # `problems` contains the same, and more
    return {**data, "problems": [problem.to_dict() for problem in problems]}


class FrameError(LoaderError):
    """Data does not match its spec; nothing was written to the warehouse."""


class ExecuteError(LoaderError):
    """The warehouse rejected a statement, or could not be reached.

    ``statement`` is the SQL that failed, ``rolled_back`` whether the table is known to be
    unchanged, ``transient`` whether a retry of the whole transaction may succeed, ``code`` the
    SQLSTATE if the warehouse returned one.
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
    """Before COMMIT the loaded rows differ from the staged rows, or a check failed."""


class ApplyError(ExecuteError):
    """A table change failed and later ones were not made; ``details`` has the state of each."""

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        statement: str | None = None,
        details: Sequence[Mapping[str, str | int]] = (),
    ) -> None:
        super().__init__(message, hint=hint, statement=statement, rolled_back=True, details=details)
