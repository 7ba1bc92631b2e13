"""What all commands share: the context, the common options, errors as words and exit codes."""

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
from loader.escaping import terminal
from loader.redaction import KNOWN

if TYPE_CHECKING:
    from loader.project import Project

OK, FAILED, USAGE, INTERRUPTED, TERMINATED = 0, 1, 64, 130, 143


Command = TypeVar("Command", bound=Callable[..., Any])


class Context:
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
    def folder(self) -> Path | None:
        """The folder that --project names."""
        return Path(self._folder) if self._folder is not None else None

    @property
    def json(self) -> bool:
        """Whether programs read the answer."""
        return self.form == "json"

    def project(self) -> Project:
        """The project that the command is about."""
        from loader.project import Project  # noqa: PLC0415  # --help pays for nothing it does not use

        return Project.find(self._folder, forks=True)

    def say(self, text: str) -> None:
        """To the person, on standard error."""
        if not self.quiet:
            emit(text, err=True)

    def answer(self, data: object, *text: str, exact: bool = False) -> None:
        """The command's answer, on standard output: data, or pieces of text.

        ``exact`` text is read by programs, as SQL and YAML are: only a terminal is spared what
        could control it.
        """
        with answering():
            if self.json:
                click.echo(_json(data))
                return
            for piece in text:
                emit(piece, exact=exact)


def emit(text: str, *, err: bool = False, exact: bool = False) -> None:
    """Write to a person: no secret, no control character, and no command to a CI system.

    All output of commands but rows of data goes through here, or through `_json`.
    """
    stream = sys.stderr if err else sys.stdout
    told = KNOWN.hide(text)
    if not exact or stream.isatty():
        told = terminal(told).replace(_STYLED, "\x1b")
    click.echo(told, err=err)


def _json(data: object) -> str:
    told = json.dumps(KNOWN.hide_in(data), indent=2, default=lambda one: KNOWN.hide(str(one)))
    # Old commands of GitHub Actions begin anywhere in a line.
    return told.replace("##[", "##\\u005b")


_STYLED = uuid4().hex
"""Stands for ESC where `style` colours text, and nobody else can write it."""


def common(*forms: str) -> Callable[[Command], Command]:
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
                help="Output format.",
            ),
            click.option("-q", "--quiet", is_flag=True, help="Print only the result."),
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
            context = Context(project, target, form, quiet, verbose)
            return _guarded(context, lambda: command(context, *args, **kwargs))

        wrapped.__name__, wrapped.__doc__ = command.__name__, command.__doc__
        wrapped.__dict__.update(command.__dict__)
        for option in reversed(options):
            option(wrapped)
        return wrapped  # type: ignore[return-value]  # click hands the options to the wrapper

    return decorate


def _guarded(context: Context, run: Callable[[], Any]) -> Any:
    """Run a command; our own errors become words and an exit code."""
    with _terminable() as terminated:
        try:
            return run()
        except LoaderError as error:
            print_error(error, as_json=context.json)
            sys.exit(FAILED)
        except KeyboardInterrupt as stop:
            # What was going on says what became of it.
            notes = getattr(stop, "__notes__", None)
            told = "; ".join(notes or ["`loader history` tells what was committed"])
            if terminated:
                _leave(f"terminated; {told}", TERMINATED)
            _leave(f"interrupted; {told}", INTERRUPTED)
        except BrokenPipeError:
            # Whoever read the answer has had enough of it.
            _close_stdout()
            sys.exit(OK)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception:  # noqa: BLE001  # a mistake of ours: whoever reports it tells no secret
            emit(traceback.format_exc().rstrip(), err=True)
            sys.exit(FAILED)


@contextmanager
def _terminable() -> Iterator[list[int]]:
    """Let SIGTERM end a command as Ctrl-C does, so that it tidies up; it is noted in the list.

    Only where nobody else sees to that signal.
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
def answering() -> Iterator[None]:
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


def _leave(message: str, exit_code: int) -> NoReturn:
    """Leave at once: everything is tidied up but PyArrow's reader, which may wait for input."""
    emit(message, err=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)


def print_error(error: LoaderError, *, as_json: bool = False) -> None:
    """An error in words, or as data, on standard error."""
    if as_json:
        click.echo(_json(error.to_dict()), err=True)
        return
    emit(f"{style('error:', fg='red', bold=True, err=True)} {error.message}", err=True)
    if error.hint:
        emit(f"\n{style('hint:', fg='cyan', bold=True, err=True)} {error.hint}", err=True)


def style(text: str, *, err: bool = False, **marks: Any) -> str:
    """Colour where a person looks, and plain text everywhere else."""
    stream = sys.stderr if err else sys.stdout
    plain = os.environ.get("NO_COLOR") or not stream.isatty()
    return text if plain else click.style(text, **marks).replace("\x1b", _STYLED)


class _Group(click.Group):
    """Usage errors leave with 64, so that 2 always means that a plan has changes."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        try:
            result = super().main(*args, **{**kwargs, "standalone_mode": False})
        except click.UsageError as error:
            path = error.ctx.command_path if error.ctx else "loader"
            told = LoaderError(error.format_message(), hint=f"see `{path} --help`")
            print_error(told, as_json=_asks_for_json(kwargs.get("args")))
            sys.exit(USAGE)
        except click.ClickException as error:
            told = LoaderError(error.format_message())
            print_error(told, as_json=_asks_for_json(kwargs.get("args")))
            sys.exit(FAILED)
        except (click.Abort, KeyboardInterrupt):
            _leave("interrupted", INTERRUPTED)
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
