"""What all commands share: common options, output, error messages and exit codes."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar
from uuid import uuid4

import click

from loader.errors import LoaderError
from loader.escaping import escape_terminal
from loader.redaction import KNOWN

if TYPE_CHECKING:
    from loader.project import Project

OK, FAILED, USAGE, INTERRUPTED, TERMINATED = 0, 1, 64, 130, 143


Command = TypeVar("Command", bound=Callable[..., Any])


class Context:
    """The values of a command's common options, and its output methods."""

    def __init__(
        self, project: str | None, target: str | None, form: str, quiet: bool, verbose: bool
    ) -> None:
        self._folder = project
        self.target = target
        self.form = form
        self.quiet = quiet
        self.verbose = verbose

    @property
    def folder(self) -> Path | None:
        """The folder that --project names."""
        return Path(self._folder) if self._folder is not None else None

    @property
    def json(self) -> bool:
        """Whether the output format is JSON."""
        return self.form == "json"

    def project(self) -> Project:
        """Find the project of the command."""
        from loader.project import Project  # noqa: PLC0415  # slow, and --help does not need it

        return Project.find(self._folder, forks=True)

    def notify(self, text: str) -> None:
        """Print a message on stderr, unless --quiet is given."""
        if not self.quiet:
            emit(text, err=True)

    def print_result(self, data: object, *text: str, exact: bool = False) -> None:
        """Print the command's result on stdout: `data` as JSON, or else the pieces of text.

        ``exact`` is for text that programs read, such as SQL and YAML: control characters are
        escaped only on a terminal.
        """
        with stdout_errors():
            if self.json:
                click.echo(_format_json(data))
                return
            for piece in text:
                emit(piece, exact=exact)


def emit(text: str, *, err: bool = False, exact: bool = False) -> None:
    """Print text with secrets hidden, and control characters and CI commands escaped.

    All output of commands, except rows of data, is printed by this function or `_format_json`.
    """
    stream = sys.stderr if err else sys.stdout
    shown = KNOWN.hide(text)
    if not exact or stream.isatty():
        shown = escape_terminal(shown).replace(_STYLED, "\x1b")
    click.echo(shown, err=err)


def _format_json(data: object) -> str:
    text = json.dumps(KNOWN.hide_in(data), indent=2, default=lambda one: KNOWN.hide(str(one)))
    # GitHub Actions runs old-style commands anywhere in a line.
    return text.replace("##[", "##\\u005b")


_STYLED = uuid4().hex
"""Replaces ESC in text coloured by `style`; random, so that no other text contains it."""


def common_options(*forms: str, examples: Sequence[str] = ()) -> Callable[[Command], Command]:
    """Add the options that every command takes.

    Args:
        forms: Further output formats.
        examples: Command lines without ``loader``, for the page of help.
    """

    def decorate(command: Command) -> Command:
        options = [
            click.option(
                "--project",
                metavar="DIR",
                type=click.Path(exists=True, file_okay=False),
                help="The project's folder, or a folder inside it.",
            ),
            click.option(
                "--target",
                metavar="T",
                help="The target; default LOADER_TARGET, or that of the settings.",
            ),
            click.option(
                "--format",
                "form",
                type=click.Choice(["text", "json", *forms]),
                default="text",
                help="Output format.",
            ),
            click.option("-q", "--quiet", is_flag=True, help="Print only the result."),
            click.option("-v", "--verbose", is_flag=True, help="Print more details."),
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
            context = Context(project, target, form, quiet, verbose)
            return _run_command(context, lambda: command(context, *args, **kwargs))

        wrapped.__name__, wrapped.__doc__ = command.__name__, command.__doc__
        wrapped.__dict__.update(command.__dict__)
        wrapped.__dict__["examples"] = tuple(examples)
        for option in reversed(options):
            option(wrapped)
        return wrapped  # type: ignore[return-value]  # click passes the options to the wrapper

    return decorate


def _run_command(context: Context, run: Callable[[], Any]) -> Any:
    """Run a command; errors become a message on stderr and an exit code."""
    with _handle_sigterm() as terminated:
        try:
            return run()
        except LoaderError as error:
            print_error(error, as_json=context.json)
            sys.exit(FAILED)
        except KeyboardInterrupt as stop:
            # The interrupted operation adds notes about what it rolled back and kept.
            notes = getattr(stop, "__notes__", None)
            details = "; ".join(notes or ["`loader history` shows what was committed"])
            if terminated:
                _exit_now(f"terminated; {details}", TERMINATED)
            _exit_now(f"interrupted; {details}", INTERRUPTED)
        except BrokenPipeError:  # the reader of the output closed the pipe
            _close_stdout()
            sys.exit(OK)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception:  # noqa: BLE001  # a bug: print the traceback with secrets hidden
            emit(traceback.format_exc().rstrip(), err=True)
            sys.exit(FAILED)


@contextmanager
def _handle_sigterm() -> Iterator[list[int]]:
    """Handle SIGTERM like Ctrl-C, so that the command cleans up; the list records the signal.

    Nothing is changed where another handler is installed already.
    """
    terminated: list[int] = []

    def stop(number: int, _: object) -> None:
        terminated.append(number)
        raise KeyboardInterrupt

    mine = threading.current_thread() is threading.main_thread()
    if not mine or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield terminated
        return
    signal.signal(signal.SIGTERM, stop)
    try:
        yield terminated
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def stdout_errors() -> Iterator[None]:
    """Raise errors of writing to stdout, such as a full disk, as `LoaderError`."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        _close_stdout()
        raise LoaderError(f"stdout cannot be written: {error.strerror}") from error


def _close_stdout() -> None:
    """Discard unwritten output, which Python would otherwise try to write at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _exit_now(message: str, exit_code: int) -> NoReturn:
    """Exit at once, without waiting for PyArrow's reader thread, which may block on input."""
    emit(message, err=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)


def print_error(error: LoaderError, *, as_json: bool = False) -> None:
    """Print an error on stderr, as text or JSON."""
    if as_json:
        click.echo(_format_json(error.to_dict()), err=True)
        return
    emit(f"{style('error:', fg='red', bold=True, err=True)} {error.message}", err=True)
    if error.hint:
        emit(f"\n{style('hint:', fg='cyan', bold=True, err=True)} {error.hint}", err=True)


def style(text: str, *, err: bool = False, **marks: Any) -> str:
    """Colour text for a terminal; pipes and NO_COLOR get plain text."""
    stream = sys.stderr if err else sys.stdout
    plain = os.environ.get("NO_COLOR") or not stream.isatty()
    return text if plain else click.style(text, **marks).replace("\x1b", _STYLED)


class _WithExamples(click.Command):
    """A command whose page of help ends with examples."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, one line each."""
        examples = getattr(self.callback, "examples", ())
        if examples:
            with formatter.section("Examples"):
                for line in examples:
                    formatter.write(f"{'':>{formatter.current_indent}}loader {line}\n")
        super().format_epilog(ctx, formatter)


class _Group(_WithExamples, click.Group):
    """Exits with 64 on usage errors, so that 2 always means that a plan has changes."""

    command_class = _WithExamples

    def main(self, *args: Any, **kwargs: Any) -> Any:
        try:
            result = super().main(*args, **{**kwargs, "standalone_mode": False})
        except click.UsageError as error:
            path = error.ctx.command_path if error.ctx else "loader"
            shown = LoaderError(error.format_message(), hint=f"see `{path} --help`")
            print_error(shown, as_json=_wants_json(kwargs.get("args")))
            sys.exit(USAGE)
        except click.ClickException as error:
            shown = LoaderError(error.format_message())
            print_error(shown, as_json=_wants_json(kwargs.get("args")))
            sys.exit(FAILED)
        except (click.Abort, KeyboardInterrupt):
            _exit_now("interrupted", INTERRUPTED)
        sys.exit(result if isinstance(result, int) else OK)


def _wants_json(arguments: Sequence[str] | None) -> bool:
    """Whether a command line contains ``--format json``, even if it cannot be parsed."""
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
    transaction and verifies the loaded rows before COMMIT.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


main.callback.__dict__["examples"] = (
    "init shop",
    "plan shop/orders --partition 2026-01-01",
    "load shop/orders data/orders.csv --partition auto",
    "plan --live",
)
