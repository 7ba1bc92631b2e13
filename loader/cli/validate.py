"""`loader validate`: checks settings, specs and templates."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loader.cli.framework import (
    FAILED,
    OK,
    Context,
    common_options,
    main,
    print_error,
    stdout_errors,
)
from loader.cli.options import select_tables
from loader.errors import LoaderError, Problem, SpecError
from loader.redaction import KNOWN
from loader.text_tables import format_count

if TYPE_CHECKING:
    from loader.project import Project


@main.command()
@select_tables()
@common_options(
    "github",
    examples=[
        "validate",
        "validate 'shop/*' specs/shop/orders.yml",
        "validate --format github",
    ],
)
def validate(context: Context, select: tuple[str, ...]) -> int:
    """Check settings, specs and templates, and report every error.

    With --format github errors are annotations, which GitHub shows next to the lines.
    """
    from loader.validate import validate as check  # noqa: PLC0415

    if context.form == "github":
        return _annotate(context, select)
    tables, problems = check(_project(context), select)
    data = {"valid": not problems, "tables": tables, "problems": [p.to_dict() for p in problems]}
    count = format_count(len(tables), "table spec")
    if not problems:
        context.print_result(data, f"{count}: all fine")
        return OK
    if context.json:
        context.print_result(data, "")
    else:
        print_error(SpecError(problems, _places(problems)))
    return FAILED


def _project(context: Context) -> Project:
    """The project, even if there are problems in its settings."""
    from loader.config import read_config  # noqa: PLC0415
    from loader.project import Project  # noqa: PLC0415

    return Project.of(read_config(context.folder), forks=True)


def _places(problems: Sequence[Problem]) -> str:
    """What has the problems."""
    settings = {problem.path.endswith(".toml") for problem in problems}
    parts = ["the settings"] * (True in settings) + ["table specs"] * (False in settings)
    return " and ".join(parts)


def _annotate(context: Context, select: tuple[str, ...]) -> int:
    """Print problems as GitHub workflow commands, also an error that stops the check."""
    from loader.cli.output.github import Folders, annotate, annotate_error  # noqa: PLC0415
    from loader.validate import validate as check  # noqa: PLC0415

    folders = Folders(Path(os.environ.get("GITHUB_WORKSPACE") or Path.cwd()))
    try:
        project = _project(context)
        folders = Folders(folders.workspace, project.config.root, project.config.templates)
        tables, problems = check(project, select)
        commands = list(annotate(problems, folders))
        summary = f"{format_count(len(tables), 'table spec')}: all fine"
    except LoaderError as error:
        commands = list(annotate_error(error, folders))
    if commands:
        more = "; GitHub shows ten of them next to the lines" if len(commands) > 10 else ""
        summary = f"{format_count(len(commands), 'problem')}{more}"
    with stdout_errors():
        for line in commands:
            click.echo(KNOWN.hide(line))
    context.notify(summary)  # contains no text of specs: GitHub runs commands on stderr too
    return FAILED if commands else OK
