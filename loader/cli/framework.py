"""What all commands share: the context, the common options, errors as words and exit codes."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from loader.errors import LoaderError

if TYPE_CHECKING:
    from loader.project import Project

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 64, 130


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
            click.echo(text, err=True)

    def answer(self, data: object, *text: str) -> None:
        """The command's answer, on standard output: data, or pieces of text."""
        with answering():
            for piece in [json.dumps(data, indent=2, default=str)] if self.json else text:
                click.echo(piece)


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
    try:
        return run()
    except LoaderError as error:
        print_error(error, as_json=context.json)
        sys.exit(FAILED)
    except KeyboardInterrupt:
        _leave_interrupted("interrupted; `loader history` tells what was committed")
    except BrokenPipeError:
        # Whoever read the answer has had enough of it.
        _close_stdout()
        sys.exit(OK)


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


def _leave_interrupted(message: str) -> NoReturn:
    """Leave at once: everything is tidied up but PyArrow's reader, which may wait for input."""
    click.echo(message, err=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(INTERRUPTED)


def print_error(error: LoaderError, *, as_json: bool = False) -> None:
    """An error in words, or as data, on standard error."""
    if as_json:
        click.echo(json.dumps(error.to_dict(), indent=2, default=str), err=True)
        return
    click.echo(f"{style('error:', fg='red', bold=True, err=True)} {error.message}", err=True)
    if error.hint:
        click.echo(f"\n{style('hint:', fg='cyan', bold=True, err=True)} {error.hint}", err=True)


def style(text: str, *, err: bool = False, **marks: Any) -> str:
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
            print_error(told, as_json=_asks_for_json(kwargs.get("args")))
            sys.exit(USAGE)
        except click.ClickException as error:
            told = LoaderError(error.format_message())
            print_error(told, as_json=_asks_for_json(kwargs.get("args")))
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
