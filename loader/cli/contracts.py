"""Commands that bring specs from and to the languages of others: import and export."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from loader.atomic_write import write_text
from loader.cli.framework import Context, common, main
from loader.cli.options import counted
from loader.errors import LoaderError
from loader.text_files import UnreadableError, bounded, decoded, is_folder, is_there, read_text
from loader.warehouse.registry import get_adapter

if TYPE_CHECKING:
    from loader.contracts.convert import Imported, Written
    from loader.project import Project
    from loader.spec.model import TableSpec


@main.command("export")
@click.argument("select", nargs=-1)
@click.option(
    "--to",
    "language",
    type=click.Choice(["odcs", "dbt", "dbt-source"]),
    required=True,
    help="Open Data Contract Standard 3.1, dbt's models, or dbt's sources.",
)
@click.option("-o", "--output", metavar="FILE|DIR", help="Instead of standard output.")
@common()
def export(context: Context, select: tuple[str, ...], language: Any, output: str | None) -> None:
    """Print table specs as data contracts or for dbt; `loader import` reads them back.

    SELECT is as for plan; default all tables. For odcs there is one contract for each schema, with
    its tables under `schema`, and `---` between contracts; a Redshift target whose database is
    known is its server. For dbt there is one file. What has no place there goes into
    customProperties `loader.*`, or into `meta: {loader: ...}`. In a DIR the files are
    SCHEMA.odcs.yaml, models.yml or sources.yml.
    """
    from loader.contracts.convert import write  # noqa: PLC0415

    project = context.project()
    specs = [entry.spec for entry in project.catalog.select(select) if entry.spec is not None]
    servers = _servers(project, context.target) if language == "odcs" else []
    documents = write(specs, language, servers=servers)
    if output is not None:
        _write_out(context, documents, output)
        return
    data = [document.data for document in documents]
    text = "---\n".join(document.text for document in documents).rstrip("\n")
    context.answer(data, text, exact=True)


def _servers(project: Project, target: str | None) -> list[dict[str, str]]:
    """The target as a server, as far as the settings tell it without an environment."""
    name = target or project.config.target
    settings = project.config.settings(name, preview=True)
    server = get_adapter(settings.type).contract_server(settings)
    return [{"server": name, **server}] if server is not None else []


def _write_out(context: Context, documents: Sequence[Written], output: str) -> None:
    path = Path(output)
    if is_folder(path) or output.endswith(("/", os.sep)):
        _make(path)
        texts = {path / document.name: document.text for document in documents}
    else:
        texts = {path: "---\n".join(document.text for document in documents)}
    for file, text in texts.items():
        write_text(file, text)
        context.say(f"wrote {file}")


@main.command("import")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--from", "origin", type=click.Choice(["odcs", "dbt"]), help="Default: each tells.")
@click.option("--schema", metavar="NAME", help="Of tables whose file names none.")
@click.option("-o", "--output", metavar="DIR", help="Write DIR/SCHEMA/TABLE.yml for each table.")
@click.option("--force", is_flag=True, help="With -o: replace files that are there.")
@common()
def import_(
    context: Context,
    files: tuple[str, ...],
    origin: Any,
    schema: str | None,
    output: str | None,
    force: bool,
) -> None:
    """Print the specs that data contracts, or dbt's models and sources, declare.

    FILE is a contract of the Open Data Contract Standard 3.0 or 3.1, or a property file of dbt
    (schema.yml); or - for standard input. `---` stands between specs. What a spec cannot hold is
    reported on stderr (each place of it with -v), and so is every type that had to be chosen.
    """
    from loader.contracts.convert import declared, read, to_yaml  # noqa: PLC0415

    found = read(_texts(files), origin=origin, schema=schema)
    _tell(context, found)
    if output is not None:
        _write_specs(context, found.specs, Path(output), force=force)
        return
    data = {
        "specs": [declared(spec) for spec in found.specs],
        "files": [
            {"file": file.file, "not_carried_over": list(file.dropped), "notes": list(file.notes)}
            for file in found.reports
        ],
    }
    context.answer(data, "---\n".join(map(to_yaml, found.specs)).rstrip("\n"), exact=True)


def _shown(name: str) -> str:
    return "standard input" if name == "-" else name


def _texts(names: Sequence[str]) -> list[tuple[str, str]]:
    """The files' names, as messages show them, and their texts."""
    found, wrong = [], []
    for name in dict.fromkeys(names):
        try:
            text = decoded(bounded(sys.stdin.buffer)) if name == "-" else read_text(Path(name))
            found.append((_shown(name), text))
        except UnreadableError as error:
            wrong.append(f"{_shown(name)} {error.message}")
    if wrong:
        raise LoaderError("\n".join(wrong))
    return found


def _tell(context: Context, found: Imported) -> None:
    for report in found.reports:
        for note in report.notes:
            context.say(f"{report.file}: {note}")
        if report.dropped:
            places = report.dropped if context.verbose else _in_short(report.dropped)
            context.say(f"{report.file}: not carried over: {', '.join(places)}")


def _in_short(places: Sequence[str]) -> list[str]:
    """Places, those that differ only in their numbers as one."""
    alike: dict[str, list[str]] = {}
    for place in places:
        alike.setdefault(re.sub(r"\[\d+\]", "[]", place), []).append(place)
    return [
        word
        for shape, found in alike.items()
        for word in ([f"{shape} ({len(found)} times)"] if len(found) > 2 else found)
    ]


def _write_specs(
    context: Context, specs: Sequence[TableSpec], folder: Path, *, force: bool
) -> None:
    from loader.contracts.convert import to_yaml  # noqa: PLC0415

    files = {_file(folder, spec): spec for spec in specs}
    there = [str(file) for file in files if is_there(file)]
    if there and not force:
        raise LoaderError(
            f"{counted(len(there), 'file')} would be overwritten; nothing was written:\n  "
            + "\n  ".join(there),
            hint="--force replaces them; -o names another folder",
        )
    for file, spec in files.items():
        _make(file.parent)
        write_text(file, to_yaml(spec))
        context.say(f"wrote {file}")


def _file(folder: Path, spec: TableSpec) -> Path:
    for part in (spec.schema_name, spec.name):
        if part in (".", "..") or "/" in part or os.sep in part:
            raise LoaderError(
                f"the table {spec.table} cannot have a file of its name: `{part}` is a path",
                hint="print the spec instead, without -o, and name the file yourself",
            )
    return folder / spec.schema_name / f"{spec.name}.yml"


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LoaderError(f"the folder {folder} cannot be made: {error.strerror}") from error
