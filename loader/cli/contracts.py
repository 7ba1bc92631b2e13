"""`loader import` and `loader export`: convert specs from and to ODCS contracts and dbt files."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from loader.atomic_write import write_text
from loader.cli.framework import Context, common_options, main
from loader.cli.options import select_tables
from loader.cli.spec_files import check_free, make_folder, spec_file
from loader.errors import LoaderError
from loader.text_files import (
    UnreadableError,
    decode_utf8,
    is_folder,
    read_limited,
    read_text,
)
from loader.text_tables import format_count
from loader.warehouse.registry import get_adapter

if TYPE_CHECKING:
    from loader.contracts.convert import Imported, Written
    from loader.project import Project


@main.command("export")
@select_tables()
@click.option(
    "--to",
    "language",
    type=click.Choice(["odcs", "dbt", "dbt-source"]),
    required=True,
    help="Open Data Contract Standard 3.1, dbt models, or dbt sources.",
)
@click.option(
    "--dbt-packages",
    "packages",
    is_flag=True,
    help="Write tests of dbt_utils and dbt_expectations too, which the dbt project must have.",
)
@click.option("-o", "--output", metavar="FILE|DIR", help="Write to a file or folder, not stdout.")
@common_options(
    examples=[
        "export shop/orders --to odcs",
        "export --to dbt --dbt-packages -o models/shop.yml",
    ],
)
def export(
    context: Context, select: tuple[str, ...], language: Any, packages: bool, output: str | None
) -> None:
    """Print table specs as data contracts or dbt files.

    SELECT is as for plan; default all tables. odcs prints one contract per schema, separated by
    `---`; a Redshift target with a known database becomes its server. dbt and dbt-source print one
    file. Keys that the format lacks are written to customProperties `loader.*` or to `meta:
    {loader: ...}`, so that `loader import` restores them; stderr reports checks without a test in
    dbt. The files in DIR are SCHEMA.odcs.yaml, models.yml or sources.yml.
    """
    from loader.contracts.convert import write  # noqa: PLC0415

    if packages and language == "odcs":
        raise click.UsageError("--dbt-packages is for --to dbt and --to dbt-source")
    project = context.project()
    specs = [entry.spec for entry in project.catalog.select(select) if entry.spec is not None]
    servers = _servers(project, context.target) if language == "odcs" else []
    documents = write(specs, language, servers=servers, packages=packages)
    for check in (check for document in documents for check in document.without_test):
        hint = "" if packages else "; --dbt-packages has more tests"
        context.notify(f"no test in dbt, kept in `meta`: {check}{hint}")
    if output is not None:
        _write_out(context, documents, output)
        return
    data = [document.data for document in documents]
    text = "---\n".join(document.text for document in documents).rstrip("\n")
    context.print_result(data, text, exact=True)


def _servers(project: Project, target: str | None) -> list[dict[str, str]]:
    """The target as an ODCS server, without environment variables; empty if it has none."""
    name = target or project.config.target
    settings = project.config.settings(name, preview=True)
    server = get_adapter(settings.type).contract_server(settings)
    return [{"server": name, **server}] if server is not None else []


def _write_out(context: Context, documents: Sequence[Written], output: str) -> None:
    path = Path(output)
    if is_folder(path) or output.endswith(("/", os.sep)):
        make_folder(path)
        texts = {path / document.name: document.text for document in documents}
    else:
        texts = {path: "---\n".join(document.text for document in documents)}
    for file, text in texts.items():
        write_text(file, text)
        context.notify(f"wrote {file}")


@main.command("import")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option(
    "--from", "origin", type=click.Choice(["odcs", "dbt"]), help="Input format; default detected."
)
@click.option("--schema", metavar="NAME", help="The schema of tables whose file has none.")
@click.option(
    "--skip-broken", is_flag=True, help="Leave out tables that cannot be specs, and report them."
)
@click.option("-o", "--output", metavar="DIR", help="Write DIR/SCHEMA/TABLE.yml for each table.")
@click.option("--force", is_flag=True, help="With -o: overwrite existing files.")
@common_options(
    examples=[
        "import contract.odcs.yaml",
        "import models/*.yml -o specs",
    ],
)
def import_(
    context: Context,
    files: tuple[str, ...],
    origin: Any,
    schema: str | None,
    skip_broken: bool,
    output: str | None,
    force: bool,
) -> None:
    """Print the table specs of data contracts or dbt files.

    FILE is a contract of the Open Data Contract Standard 3.0 or 3.1, a dbt property file
    (schema.yml), or - for standard input. Specs are separated by `---`. stderr reports keys that a
    spec cannot express (-v lists each), and column types that had to be chosen.
    """
    from loader.contracts.convert import ContractError, declared, read, to_yaml  # noqa: PLC0415

    texts = _read_texts(files)
    try:
        found = read(texts, origin=origin, schema=schema, skip_broken=skip_broken)
    except ContractError as error:
        with suppress(ContractError):
            others = read(texts, origin=origin, schema=schema, skip_broken=True).specs
            error.hint = f"import the other {format_count(len(others), 'table')}: --skip-broken"
        raise
    _report(context, found)
    if output is not None:
        written = {spec_file(Path(output), s.schema_name, s.name): s for s in found.specs}
        check_free(written, force=force)
        for file, spec in written.items():
            make_folder(file.parent)
            write_text(file, to_yaml(spec))
            context.notify(f"wrote {file}")
        return
    data = {
        "specs": [declared(spec) for spec in found.specs],
        "files": [
            {"file": file.file, "not_carried_over": list(file.dropped), "notes": list(file.notes)}
            for file in found.reports
        ],
        "left_out": [
            {"table": one.table, "problems": [problem.to_dict() for problem in one.problems]}
            for one in found.left_out
        ],
    }
    context.print_result(data, "---\n".join(map(to_yaml, found.specs)).rstrip("\n"), exact=True)


def _read_texts(names: Sequence[str]) -> list[tuple[str, str]]:
    """Read files; returns the name for messages and the text of each."""
    found, errors = [], []
    for name in dict.fromkeys(names):
        stdin = name == "-"
        shown = "standard input" if stdin else name
        try:
            text = decode_utf8(read_limited(sys.stdin.buffer)) if stdin else read_text(Path(name))
            found.append((shown, text))
        except UnreadableError as error:
            errors.append(f"{shown} {error.message}")
    if errors:
        raise LoaderError("\n".join(errors))
    return found


def _report(context: Context, found: Imported) -> None:
    """Print notes, and the keys that specs cannot express, for each file."""
    for file in found.reports:
        for note in file.notes:
            context.notify(f"{file.file}: {note}")
        if file.dropped:
            paths = file.dropped if context.verbose else _group_paths(file.dropped)
            context.notify(f"{file.file}: not carried over: {', '.join(paths)}")
    for one in found.left_out:
        problems = "\n".join(map(str, one.problems))
        context.notify(f"left out {one.table}, which cannot be a spec:\n{problems}")


def _group_paths(paths: Sequence[str]) -> list[str]:
    """Merge more than two paths that differ only in list positions: ``columns[].x (3 times)``."""
    groups: dict[str, list[str]] = {}
    for path in paths:
        groups.setdefault(re.sub(r"\[\d+\]", "[]", path), []).append(path)
    return [
        word
        for shape, found in groups.items()
        for word in ([f"{shape} ({len(found)} times)"] if len(found) > 2 else found)
    ]
