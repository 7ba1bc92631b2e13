"""Commands about a project as a whole: begin one, examine its target, describe its language."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import click

from loader.cli.framework import FAILED, OK, Context, answering, common, emit, main, style


@main.command()
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
@common()
def init(context: Context, folder: Path) -> None:
    """Make a project to start from, with one table that loads."""
    from loader.scaffold import scaffold  # noqa: PLC0415

    made = scaffold(folder)
    lines = [f"  {path}" for path in made]
    where = "" if folder == Path() else f"cd {shlex.quote(str(folder))} && "
    first = "loader load shop/orders data/orders.csv --partition auto"
    context.answer({"files": made}, "\n".join(["made:", *lines]))
    context.say(f"next: {where}loader plan, then {first}")


@main.command()
@common()
def doctor(context: Context) -> int:
    """Examine a target step by step: settings, connection, rights, bucket, role.

    Each step does what a load does; nothing of it stays in the warehouse or the bucket.
    """
    from loader.data.from_pandas import block_pandas_import  # noqa: PLC0415
    from loader.doctor.report import examine, line, summary, target_type  # noqa: PLC0415

    block_pandas_import()
    project = context.project()
    findings = []
    for finding in examine(project, context.target):
        findings.append(finding)
        if not context.json:
            with answering():
                emit(line(finding, style, sys.stdout.encoding, verbose=context.verbose))
    fine = all(finding.status != "failed" for finding in findings)
    name, kind = context.target or project.config.target, target_type(project, context.target)
    steps = [finding.to_dict() for finding in findings]
    data = {"target": name, "type": kind, "steps": steps, "ok": fine}
    context.answer(data, f"{name} ({kind}) is {summary(findings, style)}")
    return OK if fine else FAILED


@main.command()
@click.argument("what", type=click.Choice(["spec", "plan"]), default="spec")
@common()
def schema(context: Context, what: str) -> None:
    """Print the JSON Schema of a table spec, for editors, or of what plan --format json prints."""
    if what == "plan":
        from loader.plan.plan_file import json_schema  # noqa: PLC0415
    else:
        from loader.spec.json_schema import json_schema  # noqa: PLC0415
    found = json_schema()
    context.answer(found, json.dumps(found, indent=2), exact=True)
