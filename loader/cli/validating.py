"""The command that checks specs and templates."""

from __future__ import annotations

import click

from loader.cli.framework import FAILED, OK, Context, common, main, print_error
from loader.cli.options import counted
from loader.errors import SpecError


@main.command()
@click.argument("select", nargs=-1)
@common()
def validate(context: Context, select: tuple[str, ...]) -> int:
    """Check specs and templates, and tell everything that is wrong."""
    from loader.validate import validate as check  # noqa: PLC0415

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
