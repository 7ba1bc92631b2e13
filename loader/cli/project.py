"""`loader init`, `loader doctor` and `loader schema`."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loader.cli.framework import (
    FAILED,
    OK,
    Context,
    common_options,
    emit,
    main,
    stdout_errors,
    style,
)

if TYPE_CHECKING:
    from loader.doctor.thorough import TrialResult
    from loader.project import Project


@main.command()
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
@common_options(
    examples=[
        "init shop",
    ],
)
def init(context: Context, folder: Path) -> None:
    """Create a new project with one example table."""
    from loader.scaffold import scaffold  # noqa: PLC0415

    files = scaffold(folder)
    lines = [f"  {path}" for path in files]
    where = "" if folder == Path() else f"cd {shlex.quote(str(folder))} && "
    first = "loader load shop/orders data/orders.csv --partition auto"
    context.print_result({"files": files}, "\n".join(["created:", *lines]))
    context.notify(f"next: {where}loader plan, then {first}")


@main.command()
@click.option(
    "--thorough",
    is_flag=True,
    help="Then try all that loads rely on, such as every type in every staging format, in a schema"
    " that is dropped afterwards.",
)
@common_options(
    examples=[
        "doctor",
        "doctor --target prod --thorough",
    ],
)
def doctor(context: Context, thorough: bool) -> int:
    """Check a target's settings, connection, rights and storage.

    Each step does what a load does, then undoes it: nothing stays in the warehouse or the bucket.
    """
    from loader.data.from_pandas import block_pandas_import  # noqa: PLC0415
    from loader.doctor.report import (  # noqa: PLC0415
        check_target,
        format_finding,
        format_summary,
        target_type,
    )

    block_pandas_import()
    project = context.project()
    findings = []
    for finding in check_target(project, context.target):
        findings.append(finding)
        if not context.json:
            with stdout_errors():
                emit(format_finding(finding, style, sys.stdout.encoding, verbose=context.verbose))
    ok = all(finding.status != "failed" for finding in findings)
    name, kind = context.target or project.config.target, target_type(project, context.target)
    steps = [finding.to_dict() for finding in findings]
    data = {"target": name, "type": kind, "steps": steps, "ok": ok}
    summary = [f"{name} ({kind}) is {format_summary(findings, style)}"]
    if thorough and ok:
        if not context.json:
            context.print_result(None, *summary, "")
        from loader.doctor.thorough import format_counts  # noqa: PLC0415

        results = _try_target(context, project)
        ok = all(result.status != "differs" for result in results)
        data |= {"trials": [result.to_dict() for result in results], "ok": ok}
        summary = ["", f"{name}: {format_counts(results)}"]
    context.print_result(data, *summary)
    return OK if ok else FAILED


def _try_target(context: Context, project: Project) -> list[TrialResult]:
    """Run the trials of a target, and print each one when it is done."""
    from loader.doctor.thorough import format_result, try_target  # noqa: PLC0415

    results = []
    for result in try_target(project, context.target):
        results.append(result)
        if not context.json:
            with stdout_errors():
                emit(format_result(result, style, verbose=context.verbose))
    return results


@main.command()
@click.argument("what", type=click.Choice(["spec", "plan"]), default="spec")
@common_options(
    examples=[
        "schema > table.schema.json",
        "schema plan",
    ],
)
def schema(context: Context, what: str) -> None:
    """Print the JSON Schema of specs or of JSON plans.

    The schema of specs is for editors; the one of plans describes the output of `plan --format
    json`.
    """
    if what == "plan":
        from loader.plan.plan_file import json_schema  # noqa: PLC0415
    else:
        from loader.spec.json_schema import json_schema  # noqa: PLC0415
    found = json_schema()
    context.print_result(found, json.dumps(found, indent=2), exact=True)
