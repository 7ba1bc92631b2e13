"""The command line. Translates words into calls and results into words; decides nothing."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from loader.errors import LoaderError, SpecError

if TYPE_CHECKING:
    from loader.project import Project
    from loader.results import LoadResult, OnProgress
    from loader.slices import Request
    from loader.spec import TableSpec

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 64, 130

Command = TypeVar("Command", bound=Callable[..., Any])


class _Context:
    """What every command knows: where the project is, which target, how to speak."""

    def __init__(
        self, project: str | None, target: str | None, form: str, quiet: bool, verbose: bool
    ) -> None:
        self._folder = project
        self.target = target
        self.form = form
        self.quiet = quiet
        self.verbose = verbose

    @property
    def json(self) -> bool:
        return self.form == "json"

    def project(self) -> Project:
        from loader.project import Project  # noqa: PLC0415  # --help pays for nothing it does not use

        return Project.find(self._folder)

    def say(self, text: str) -> None:
        """To the person, on standard error."""
        if not self.quiet:
            click.echo(text, err=True)

    def answer(self, data: object, text: str) -> None:
        """The command's answer, on standard output."""
        with _answering():
            click.echo(json.dumps(data, indent=2, default=str) if self.json else text)


def _common(*forms: str) -> Callable[[Command], Command]:
    """The options that every command takes."""

    def decorate(command: Command) -> Command:
        options = [
            click.option(
                "--project",
                metavar="DIR",
                type=click.Path(exists=True, file_okay=False),
                help="The project's folder, or one below it.",
            ),
            click.option("--target", metavar="T", help="A target of the project's settings."),
            click.option(
                "--format",
                "form",
                type=click.Choice(["text", "json", *forms]),
                default="text",
                help="How to answer.",
            ),
            click.option("-q", "--quiet", is_flag=True, help="Say nothing but the answer."),
            click.option("-v", "--verbose", is_flag=True, help="Say more."),
        ]

        def wrapped(
            *args: Any,
            project: str | None,
            target: str | None,
            form: str,
            quiet: bool,
            verbose: bool,
            **kwargs: Any,
        ) -> Any:
            context = _Context(project, target, form, quiet, verbose)
            return _guarded(context, lambda: command(context, *args, **kwargs))

        wrapped.__name__, wrapped.__doc__ = command.__name__, command.__doc__
        wrapped.__dict__.update(command.__dict__)
        for option in reversed(options):
            option(wrapped)
        return wrapped  # type: ignore[return-value]  # click hands the options to the wrapper

    return decorate


def _guarded(context: _Context, run: Callable[[], Any]) -> Any:
    """Run a command; our own errors become words and an exit code."""
    try:
        return run()
    except LoaderError as error:
        _print_error(error, as_json=context.json)
        sys.exit(FAILED)
    except KeyboardInterrupt:
        _leave_interrupted("interrupted; `loader history` tells what was committed")
    except BrokenPipeError:
        # Whoever read the answer has had enough of it.
        _close_stdout()
        sys.exit(OK)


@contextmanager
def _answering() -> Iterator[None]:
    """Standard output may be a file, and its disk full."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        _close_stdout()
        raise LoaderError(f"the answer cannot be written: {error.strerror}") from error


def _close_stdout() -> None:
    """Let go of what could not be written, or Python would try again when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _leave_interrupted(message: str) -> NoReturn:
    """Leave at once: everything is tidied up but PyArrow's reader, which may wait for input."""
    click.echo(message, err=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(INTERRUPTED)


def _print_error(error: LoaderError, *, as_json: bool = False) -> None:
    if as_json:
        click.echo(json.dumps(error.to_dict(), indent=2, default=str), err=True)
        return
    click.echo(f"{_style('error:', fg='red', bold=True, err=True)} {error.message}", err=True)
    if error.hint:
        click.echo(f"\n{_style('hint:', fg='cyan', bold=True, err=True)} {error.hint}", err=True)


def _style(text: str, *, err: bool = False, **marks: Any) -> str:
    """Colour where a person looks, and plain text everywhere else."""
    stream = sys.stderr if err else sys.stdout
    plain = os.environ.get("NO_COLOR") or not stream.isatty()
    return text if plain else click.style(text, **marks)


class _Group(click.Group):
    """Usage errors leave with 64, so that 2 always means that a plan has changes."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        try:
            result = super().main(*args, **{**kwargs, "standalone_mode": False})
        except click.UsageError as error:
            path = error.ctx.command_path if error.ctx else "loader"
            told = LoaderError(error.format_message(), hint=f"see `{path} --help`")
            _print_error(told, as_json=_asks_for_json(kwargs.get("args")))
            sys.exit(USAGE)
        except click.ClickException as error:
            told = LoaderError(error.format_message())
            _print_error(told, as_json=_asks_for_json(kwargs.get("args")))
            sys.exit(FAILED)
        except (click.Abort, KeyboardInterrupt):
            _leave_interrupted("interrupted")
        sys.exit(result if isinstance(result, int) else OK)


def _asks_for_json(arguments: Sequence[str] | None) -> bool:
    """Whether a command line that could not be parsed has ``--format json`` in it."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    return "--format=json" in words or ("--format", "json") in pairwise(words)


@click.group(
    cls=_Group,
    context_settings={"help_option_names": ["-h", "--help"]},
    invoke_without_command=True,
)
@click.version_option(package_name="loader", message="loader %(version)s")
@click.pass_context
def main(context: click.Context) -> None:
    """Declarative, verified table loads for Redshift and DuckDB.

    A YAML spec declares a table; `plan` shows the exact SQL of a load, `load` runs it in one
    transaction and checks what it did before it commits.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


_PARTITION = click.option(
    "--partition",
    "partitions",
    metavar="P",
    multiple=True,
    help="A key, A..B for a grain, DIM=KEY with several dimensions, or auto; may repeat.",
)
_FULL_REFRESH = click.option(
    "--full-refresh", is_flag=True, help="Replace the whole table, partitioned or not."
)


def _partition(values: Sequence[str]) -> Request | None:
    if "auto" in values and len(values) > 1:
        raise click.UsageError("--partition auto stands alone: it means those in the data")
    if list(values) == ["auto"]:
        return "auto"
    return list(values) or None


@main.command()
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
@_common()
def init(context: _Context, folder: Path) -> None:
    """Make a project to start from, with one table that loads."""
    from loader.scaffold import scaffold  # noqa: PLC0415

    made = scaffold(folder)
    lines = [f"  {path}" for path in made]
    where = "" if folder == Path() else f"cd {shlex.quote(str(folder))} && "
    first = "loader load shop/orders data/orders.csv --partition auto"
    context.answer({"files": made}, "\n".join(["made:", *lines]))
    context.say(f"next: {where}loader plan, then {first}")


@main.command()
@click.argument("select", nargs=-1)
@_common()
def validate(context: _Context, select: tuple[str, ...]) -> int:
    """Check specs and templates, and tell everything that is wrong."""
    from loader.validate import validate as check  # noqa: PLC0415

    tables, problems = check(context.project(), select)
    data = {"valid": not problems, "tables": tables, "problems": [p.to_dict() for p in problems]}
    count = _count(len(tables), "table spec")
    if not problems:
        context.answer(data, f"{count}: all fine")
        return OK
    if context.json:
        context.answer(data, "")
    else:
        _print_error(SpecError(problems))
    return FAILED


@main.command()
@click.argument("select", nargs=-1)
@_PARTITION
@_FULL_REFRESH
@click.option("--from", "files", metavar="FILE", multiple=True, help="Data to be loaded.")
@click.option("--load-id", metavar="ID", help="The load's id; a placeholder by default.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the plan as JSON.")
@click.option("--detailed-exitcode", is_flag=True, help="0 no change, 2 changes, 3 destructive.")
@_common("sql", "markdown")
def plan(
    context: _Context,
    select: tuple[str, ...],
    partitions: tuple[str, ...],
    full_refresh: bool,
    files: tuple[str, ...],
    load_id: str | None,
    output: Path | None,
    detailed_exitcode: bool,
) -> int:
    """Show the exact SQL of a load, without touching anything.

    SELECT is an asset key, schema.table, a glob, or a spec file; default all tables.
    """
    from loader import present  # noqa: PLC0415
    from loader.plan import PREVIEW_LOAD_ID  # noqa: PLC0415

    project = context.project()
    specs = [entry.spec for entry in project.catalog.select(select) if entry.spec is not None]
    if files and len(specs) != 1:
        raise click.UsageError("--from is the data of one table; name that table")
    plans = [
        project.plan(
            spec,
            _partition(partitions) if spec.partition_by or len(specs) == 1 else None,
            target=context.target,
            full_refresh=full_refresh,
            load_id=load_id or PREVIEW_LOAD_ID,
            frame=_open(spec, files) if files else None,
        )
        for spec in specs
    ]
    data = {"plan_version": 1, "plans": [one.to_dict() for one in plans]}
    if output is not None:
        _write_text(output, json.dumps(data, indent=2, default=str) + "\n")
    show = {"sql": present.sql, "markdown": present.markdown}.get(context.form)
    text = show(plans) if show else present.text(plans, _style, verbose=context.verbose)
    context.answer(data, text)
    return present.exit_code(plans) if detailed_exitcode else OK


@main.command()
@click.argument("select")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@_PARTITION
@_FULL_REFRESH
@click.option("--load-id", metavar="ID", help="A load whose id is in the ledger is not done again.")
@_common()
def load(
    context: _Context,
    select: str,
    files: tuple[str, ...],
    partitions: tuple[str, ...],
    full_refresh: bool,
    load_id: str | None,
) -> None:
    """Load files into a table, in one verified transaction.

    FILE is CSV, Parquet, JSON lines or Arrow IPC, compressed or not; a glob; or - for standard
    input.
    """
    project = context.project()
    spec = project.spec(select)
    with _progress(context) as on_progress:
        result = project.load(
            spec,
            _open(spec, files),
            _partition(partitions),
            target=context.target,
            full_refresh=full_refresh,
            load_id=load_id,
            on_progress=on_progress,
        )
    for warning in result.warnings:
        context.say(f"{_style('warning:', fg='yellow', bold=True, err=True)} {warning}")
    context.answer(result.to_dict(), _told(result))


def _told(result: LoadResult) -> str:
    lines = [_outcome(result)]
    if result.status == "loaded":
        kept = f", kept in {result.staged}" if result.staged else ""
        lines += [
            f"  staged   {_count(result.files_staged, 'file')},"
            f" {_megabytes(result.bytes_staged)}{kept}",
            f"  load id  {result.load_id}",
        ]
    if result.rows_rejected:
        lines.append(f"  rejected {_count(result.rows_rejected, 'row')}, kept in {result.rejects}")
    return "\n".join(lines)


def _outcome(result: LoadResult) -> str:
    where = f"{result.table} ({result.slice})" if result.slice else result.table
    if result.status == "already_loaded":
        return f"{where}: the load {result.load_id} is there already; nothing was done"
    if result.status == "empty":
        deleted = f"; {result.rows_deleted:,} deleted" if result.rows_deleted else ""
        return f"{where}: no rows to load{deleted}"
    seconds = sum((result.seconds or {}).values())
    return (
        f"{where}: {_count(result.rows_loaded, 'row')} loaded, {result.rows_deleted:,} deleted,"
        f" verified and committed in {seconds:.1f} s"
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 100_000 else f"{size / 1e3:,.1f} kB"


@main.command()
@click.argument("select")
@click.option(
    "--partition", "partitions", metavar="P", multiple=True, help="Which partitions; default all."
)
@click.option("--columns", metavar="A,B", help="Which columns, in this order; default all.")
@click.option("-o", "--output", metavar="FILE", help="CSV, Parquet, JSON or Arrow, by suffix.")
@_common("csv")
def read(
    context: _Context,
    select: str,
    partitions: tuple[str, ...],
    columns: str | None,
    output: str | None,
) -> None:
    """Read a table, or a slice of it: CSV on standard output, JSON lines with --format json."""
    from loader.frames import spare_pandas  # noqa: PLC0415
    from loader.writing import write_file, write_stream  # noqa: PLC0415

    spare_pandas()
    project = context.project()
    spec = project.spec(select)
    names = None if columns is None else [n.strip() for n in columns.split(",") if n.strip()]
    reader = project.read(
        spec, list(partitions) or None, columns=names, as_="batches", target=context.target
    )
    if output is None:
        with _answering():
            write_stream(reader, spec, sys.stdout.buffer, "json" if context.json else "csv")
        return
    rows = write_file(reader, spec, Path(output))
    context.say(f"{_count(rows, 'row')} in {output}")


@main.command()
@click.argument("select", required=False)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=1))
@_common()
def history(context: _Context, select: str | None, limit: int) -> None:
    """What was loaded, newest first: the ledger."""
    from loader.history import history as ledger  # noqa: PLC0415

    entries = ledger(context.project(), select, limit, context.target)
    data = [entry.to_dict() for entry in entries]
    rows = [
        (
            f"{entry.loaded_at:%Y-%m-%d %H:%M:%S}",
            entry.table,
            # Of a load without rows the ledger does not tell whether it replaced anything.
            entry.slice or ("whole table" if entry.rows_loaded else "-"),
            entry.write_disposition,
            f"{entry.rows_loaded:,}",
            _megabytes(entry.bytes_staged),
            entry.load_id,
        )
        for entry in entries
    ]
    head = ("loaded (UTC)", "table", "slice", "disposition", "rows", "staged", "load id")
    context.answer(data, _table(head, rows) if rows else "nothing was loaded yet")


@main.command()
@click.argument("files", metavar="[FILE...]", nargs=-1)
@click.option("--table", metavar="S.T", help="Instead of files: a table of the target.")
@click.option("--name", metavar="S.T", help="The table's name; default public and the file's.")
@click.option("--encoding", default="utf-8", show_default=True, help="Of CSV and JSON files.")
@_common()
def infer(
    context: _Context, files: tuple[str, ...], table: str | None, name: str | None, encoding: str
) -> None:
    """Print the spec that files, or a table that is there, suggest: a draft for review.

    FILE is as for load. The types of CSV are guessed of the first million rows, with care: 007 is
    text, and a word such as NA is NULL where all other values of a column are numbers or times.
    """
    from loader.inference import declared, to_yaml  # noqa: PLC0415  # pyarrow is slow to import

    if bool(files) == bool(table):
        raise click.UsageError("name either files, or a table with --table")
    spec = _drafted(context, files, name, encoding) if files else _of_table(context, table, name)
    context.answer(declared(spec), to_yaml(spec).rstrip("\n"))


def _drafted(context: _Context, files: Sequence[str], name: str | None, encoding: str) -> TableSpec:
    from loader.frames import spare_pandas  # noqa: PLC0415
    from loader.inference import infer_files, table_name  # noqa: PLC0415
    from loader.sources import EncodingError  # noqa: PLC0415

    spare_pandas()
    schema, table = _qualified(name or table_name(files[0]) or "")
    stdin = sys.stdin.buffer if "-" in files else None
    try:
        draft = infer_files(files, schema=schema, name=table, encoding=encoding, stdin=stdin)
    except EncodingError as error:
        error.hint = "say what it is: --encoding latin-1"  # there is no spec yet to say it in
        raise
    rows = _count(draft.rows, "row")
    context.say(f"looked at {rows}" if draft.complete else f"looked at the first {rows} only")
    words = [word for word in draft.spec.source.null_values if word]
    if words:
        context.say(f"read as NULL wherever it stands without quotes: {', '.join(words)}")
    return draft.spec


def _of_table(context: _Context, table: str | None, name: str | None) -> TableSpec:
    from loader.inference import infer_live  # noqa: PLC0415
    from loader.plan import LiveTable  # noqa: PLC0415

    schema, bare = _qualified(table or "")
    project = context.project()
    live = project.live(schema, bare, target=context.target)
    if not isinstance(live, LiveTable):
        target = context.target or project.config.target
        told = "table" if live == "absent" else "schema of the table"
        raise LoaderError(f"the target `{target}` has no {told} {schema}.{bare}")
    schema, bare = _qualified(name) if name else (schema.lower(), bare.lower())
    dialect = project.renderer(context.target).dialect
    return infer_live(live, dialect=dialect, schema=schema, name=bare)


def _qualified(name: str) -> tuple[str, str]:
    """Schema and table of a name; without a schema it is public."""
    schema, dot, table = name.partition(".")
    if not dot:
        schema, table = "public", name
    if not schema or not table or "." in table:
        raise click.UsageError(f"`{name}` is no table; write SCHEMA.TABLE" if name else _NAMELESS)
    return schema, table


_NAMELESS = "no table is named after these files; name it with --name SCHEMA.TABLE"


@main.command()
@_common()
def doctor(context: _Context) -> int:
    """Examine a target step by step: settings, connection, rights, bucket, role.

    Each step does what a load does; nothing of it stays in the warehouse or the bucket.
    """
    from loader.doctor import examine, line, summary, target_type  # noqa: PLC0415
    from loader.frames import spare_pandas  # noqa: PLC0415

    spare_pandas()
    project = context.project()
    findings = []
    for finding in examine(project, context.target):
        findings.append(finding)
        if not context.json:
            with _answering():
                click.echo(line(finding, _style, sys.stdout.encoding, verbose=context.verbose))
    fine = all(finding.status != "failed" for finding in findings)
    name, kind = context.target or project.config.target, target_type(project, context.target)
    steps = [finding.to_dict() for finding in findings]
    data = {"target": name, "type": kind, "steps": steps, "ok": fine}
    context.answer(data, f"{name} ({kind}) is {summary(findings, _style)}")
    return OK if fine else FAILED


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[at]) for row in (head, *rows)) for at in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (head, *rows)
    )


@main.command()
@_common()
def schema(context: _Context) -> None:
    """Print the JSON Schema of a table spec, for editors."""
    from loader.jsonschema import json_schema  # noqa: PLC0415

    found = json_schema()
    context.answer(found, json.dumps(found, indent=2))


def _open(spec: Any, files: Sequence[str]) -> Any:
    from loader.frames import spare_pandas  # noqa: PLC0415  # pyarrow is slow to import
    from loader.sources import open_files  # noqa: PLC0415

    spare_pandas()
    return open_files(files, spec.source, sys.stdin.buffer)


def _write_text(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise LoaderError(f"{path} cannot be written: {error.strerror}") from error


def _progress(context: _Context) -> AbstractContextManager[OnProgress | None]:
    """A live line on a terminal, and nothing in a pipe."""
    if context.quiet or context.json or not sys.stderr.isatty():
        return nullcontext()
    from loader.progress import live_progress  # noqa: PLC0415  # rich is slow to import

    return live_progress()
