"""Problems as GitHub Actions shows them beside the lines they are about: workflow commands."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from loader.errors import LoaderError, Problem, SpecError, TemplateError
from loader.escaping import visible
from loader.sql.renderer import OWN

_TITLE = "loader validate"
_SHOWN = re.compile(r"[^\r]+")
"""All but what a workflow command spells in its own way."""


@dataclass(frozen=True)
class Folders:
    """Where files are, and from where GitHub counts their paths."""

    workspace: Path
    """The checked-out repository."""
    root: Path | None = None
    """The project, if there is one; specs are told relative to it."""
    templates: Path | None = None
    """The project's own templates, which are told by the last part of this folder."""


def annotate(problems: Iterable[Problem], folders: Folders) -> Iterator[str]:
    """One command for each problem, in their order.

    What is wrong with a template is told once, however many specs use it: GitHub shows no more
    than ten errors of a step beside the lines.
    """
    groups: dict[object, list[Problem]] = {}
    for problem in problems:
        shared = (problem.template, problem.message, problem.hint)
        groups.setdefault(shared if problem.template[0] else problem, []).append(problem)
    for first, *others in groups.values():
        blamed = _own(first.template[0], folders)
        if blamed is not None:
            file, line, column = _place(blamed, folders), first.template[1], 0
        else:
            spec = folders.root / first.path if folders.root and first.path else None
            file, line, column = _place(spec, folders), first.line, first.column
        told = blamed and first.path != first.template[0]
        users = [one.path for one in (first, *others) if told or others or not file]
        yield command(_told(first, users), file, line, column, first.where or _TITLE)


def annotate_error(error: LoaderError, folders: Folders) -> Iterator[str]:
    """The commands for an error: of its problems, or of itself, at its place if it has one."""
    if isinstance(error, SpecError):
        return annotate(error.problems, folders)
    template = error.place if isinstance(error, TemplateError) else ("", 0)
    return annotate([Problem(error.message, hint=error.hint, template=template)], folders)


def command(message: str, file: str = "", line: int = 0, column: int = 0, title: str = "") -> str:
    r"""An error as a workflow command.

    Whatever stands in the message or the path, it stays one command on one line.

    >>> command("50% of\nit", "a,b.yml", 3, 5)
    '::error file=a%2Cb.yml,line=3,col=5::50%25 of%0Ait'
    """
    given: dict[str, object] = {"file": file}
    if file and line:
        given |= {"line": line, "col": column or ""}
    given["title"] = title
    properties = ",".join(f"{key}={_property(value)}" for key, value in given.items() if value)
    return f"::error {properties}::{_data(message)}"


def _told(problem: Problem, users: Sequence[str]) -> str:
    lines = [problem.message]
    if problem.hint:
        lines.append(f"hint: {problem.hint}")
    if users and users[0]:
        more = f" and {len(users) - 1:,} more" if len(users) > 1 else ""
        lines.append(f"in {users[0]}{more}")
    return "\n".join(lines)


def _own(shown: str, folders: Folders) -> Path | None:
    """The file of a template that is the project's own; Loader's lie in no repository."""
    if not shown or shown.startswith(OWN) or folders.templates is None:
        return None
    return folders.templates.parent / shown


def _place(path: Path | None, folders: Folders) -> str:
    """The path as GitHub knows it; empty when it is outside the repository."""
    if path is None:
        return ""
    try:
        return path.resolve().relative_to(folders.workspace.resolve()).as_posix()
    except ValueError:
        return ""


def _data(text: str) -> str:
    told = _SHOWN.sub(lambda found: visible(found[0]), text)
    return told.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: object) -> str:
    return _data(str(value)).replace(":", "%3A").replace(",", "%2C")
