"""The command that checks specs and templates."""

from __future__ import annotations

import os
from pathlib import Path

import click

from loader.cli.framework import FAILED, OK, Context, answering, common, main, print_error
from loader.cli.options import counted
from loader.errors import LoaderError, SpecError
from loader.redaction import KNOWN


@main.command()
@click.argument("select", nargs=-1)
@common("github")
def validate(context: Context, select: tuple[str, ...]) -> int:
    """Check specs and templates, and tell everything that is wrong.

    With --format github problems are annotations, which GitHub shows beside the lines.
    """
    from loader.validate import validate as check  # noqa: PLC0415

    if context.form == "github":
        return _annotate(context, select)
    tables, problems = check(context.project(), select)
    data = {"valid": not problems, "tables": tables, "problems": [p.to_dict() for p in problems]}
    count = counted(len(tables), "table spec")
    if not problems:
        context.answer(data, f"{count}: all fine")
        return OK
    if context.json:
        context.answer(data, "")
    else:
        print_error(SpecError(problems))
    return FAILED


def _annotate(context: Context, select: tuple[str, ...]) -> int:
    """Tell problems, and errors that leave nothing to check, as workflow commands."""
    from loader.cli.output.github import Folders, annotate, annotate_error  # noqa: PLC0415
    from loader.validate import validate as check  # noqa: PLC0415

    folders = Folders(Path(os.environ.get("GITHUB_WORKSPACE") or Path.cwd()))
    try:
        project = context.project()
        folders = Folders(folders.workspace, project.config.root, project.config.templates)
        tables, problems = check(project, select)
        told = list(annotate(problems, folders))
        summary = f"{counted(len(tables), 'table spec')}: all fine"
    except LoaderError as error:
        told = list(annotate_error(error, folders))
    if told:
        more = "; GitHub shows ten of them beside the lines" if len(told) > 10 else ""
        summary = f"{counted(len(told), 'problem')}{more}"
    with answering():
        for line in told:
            click.echo(KNOWN.hide(line))
    context.say(summary)  # GitHub reads commands here too, so it holds no word of a spec's
    return FAILED if told else OK
