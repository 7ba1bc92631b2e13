"""Formats problems as workflow commands, which GitHub Actions shows next to the lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from loader.errors import LoaderError, Problem, SpecError, TemplateError
from loader.escaping import escape_invisible
from loader.sql.renderer import OWN

_TITLE = "loader validate"
_NOT_CR = re.compile(r"[^\r]+")
"""Text between carriage returns, which workflow commands escape in their own way."""


@dataclass(frozen=True)
class Folders:
    """The folders that paths in annotations are relative to."""

    workspace: Path
    """The checked-out repository."""
    root: Path | None = None
    """The project's folder, to which paths of specs are relative; None without a project."""
    templates: Path | None = None
    """The folder of the project's own templates; their paths begin with its last part."""


def annotate(problems: Iterable[Problem], folders: Folders) -> Iterator[str]:
    """Yield one workflow command for each problem, in their order.

    An error in a template is reported once, even if many specs use the template: GitHub shows at
    most ten annotations per step.
    """
    groups: dict[object, list[Problem]] = {}
    for problem in problems:
        shared = (problem.template, problem.message, problem.hint)
        groups.setdefault(shared if problem.template[0] else problem, []).append(problem)
    for first, *others in groups.values():
        template = _find_template(first.template[0], folders)
        if template is not None:
            file, line, column = _relative_path(template, folders), first.template[1], 0
        else:
            spec = folders.root / first.path if folders.root and first.path else None
            file, line, column = _relative_path(spec, folders), first.line, first.column
        in_template = template and first.path != first.template[0]
        users = [one.path for one in (first, *others) if in_template or others or not file]
        yield command(_format_message(first, users), file, line, column, first.where or _TITLE)


def annotate_error(error: LoaderError, folders: Folders) -> Iterator[str]:
    """The workflow commands for an error: one for each of its problems, or one for itself."""
    if isinstance(error, SpecError):
        return annotate(error.problems, folders)
    template = error.place if isinstance(error, TemplateError) else ("", 0)
    return annotate([Problem(error.message, hint=error.hint, template=template)], folders)


def command(message: str, file: str = "", line: int = 0, column: int = 0, title: str = "") -> str:
    r"""Format an error as a workflow command; any message or path stays on one line.

    >>> command("50% of\nit", "a,b.yml", 3, 5)
    '::error file=a%2Cb.yml,line=3,col=5::50%25 of%0Ait'
    """
    given: dict[str, object] = {"file": file}
    if file and line:
        given |= {"line": line, "col": column or ""}
    given["title"] = title
    properties = ",".join(
        f"{key}={_escape_property(value)}" for key, value in given.items() if value
    )
    return f"::error {properties}::{_escape(message)}"


def _format_message(problem: Problem, users: Sequence[str]) -> str:
    lines = [problem.message]
    if problem.hint:
        lines.append(f"hint: {problem.hint}")
    if users and users[0]:
        more = f" and {len(users) - 1:,} more" if len(users) > 1 else ""
        lines.append(f"in {users[0]}{more}")
    return "\n".join(lines)


def _find_template(shown: str, folders: Folders) -> Path | None:
    """The file of one of the project's own templates; None for Loader's templates."""
    if not shown or shown.startswith(OWN) or folders.templates is None:
        return None
    return folders.templates.parent / shown


def _relative_path(path: Path | None, folders: Folders) -> str:
    """The path relative to the repository; empty when it is outside."""
    if path is None:
        return ""
    try:
        return path.resolve().relative_to(folders.workspace.resolve()).as_posix()
    except ValueError:
        return ""


def _escape(text: str) -> str:
    shown = _NOT_CR.sub(lambda found: escape_invisible(found[0]), text)
    return shown.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(value: object) -> str:
    return _escape(str(value)).replace(":", "%3A").replace(",", "%2C")
