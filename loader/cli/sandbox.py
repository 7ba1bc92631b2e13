"""The command that runs a Redshift and an S3 on this machine, as a target to try things on."""

from __future__ import annotations

import errno
import json
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from loader.cli.framework import Context, common_options, main, style
from loader.errors import ConfigError, ExecuteError, LoaderError

if TYPE_CHECKING:
    from loader.config import Config
    from loader.testing import RedshiftStandIn
    from loader.warehouse.redshift.sandbox import SandboxTarget

_PORT = 5439
"""Redshift's own."""

_PASSWORD = "Only-4-this-machine"  # noqa: S105  # it guards nothing, and is printed

_NOT = """\
This is NOT Redshift, and nothing that it does proves that a cluster does the same:
  - it says nothing about speed, cost or concurrency: there are no slices and no query planner
  - it has not all of Redshift's SQL; what it lacks it refuses by name
  - it is not secure: the password is public; it listens on 127.0.0.1, for this machine only
  - it keeps nothing: tables and files are gone when it ends"""

_NO_PORT = (errno.EADDRINUSE, errno.EACCES, errno.EPERM)

_PROXIES = ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")


@main.command()
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help=f"Where it listens; default {_PORT}, or any free port when that one is taken.",
)
@common_options(
    examples=[
        "sandbox",
        "sandbox --port 5439",
    ],
)
def sandbox(context: Context, port: int | None) -> None:
    """Run a stand-in for Redshift, with an S3 bucket, as the target `sandbox`.

    It runs until Ctrl-C. Meanwhile every command of this project takes --target sandbox, and other
    tools connect with what is printed. It needs the extra: pip install 'loader[testing]'.
    """
    from loader.testing import import_stand_in  # noqa: PLC0415  # only this command needs it

    kind = import_stand_in()
    config = _config(context)
    with _ending() as ended, _stand_in(kind, port) as running, _announced(config, running) as path:
        if port is None and running.port != _PORT:
            context.notify(f"{_mark('note:')} port {_PORT} is taken, so it is {running.port}")
        if config is not None and path is None:
            context.notify(
                f"{_mark('note:')} {config.source} has a target `sandbox`, which is used"
            )
        exports = _exports(running)
        context.print_result(_data(running, exports, path), _text(running, exports, config, path))
        while not ended:
            time.sleep(0.2)
    with suppress(OSError):  # the terminal may be gone
        context.notify("the sandbox has ended, and all that was in it is gone")


def _config(context: Context) -> Config | None:
    """The settings of the project that it runs for; None outside of any.

    Raises:
        ConfigError: its settings are wrong, or it has a sandbox already.
    """
    from loader.config import find_config  # noqa: PLC0415
    from loader.warehouse.redshift.sandbox import find_sandbox  # noqa: PLC0415

    try:
        config = find_config(context.folder)
    except ConfigError as error:
        if context.folder is not None or "no Loader project" not in error.message:
            raise
        context.notify(f"{_mark('note:')} there is no project here, so it is nobody's target")
        return None
    other = find_sandbox(config.root)
    if other is not None:
        raise ConfigError(
            f"a sandbox runs for this project already, on port {other.port}",
            hint="use it with `--target sandbox`, or end it first",
        )
    return config


@contextmanager
def _ending() -> Iterator[list[int]]:
    """The signals that ask it to end: Ctrl-C, SIGTERM, the end of the terminal.

    They are only noted, so that a start and an end are never cut in half. It is no Event: what
    waits for one is not woken by a signal that another thread gets.
    """
    ended: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda got, _: ended.append(got)) for number in numbers}
    try:
        yield ended
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _stand_in(kind: type[RedshiftStandIn], port: int | None) -> Iterator[RedshiftStandIn]:
    """The running stand-in.

    Raises:
        ConfigError: the port is taken.
        ExecuteError: PostgreSQL does not start.
    """
    from loader.testing.redshift.listening import choose_port  # noqa: PLC0415

    wanted = port if port is not None else choose_port(_PORT)
    s3_port = choose_port(wanted + 1) if wanted else 0
    made = kind(port=wanted, s3_port=s3_port, bucket="sandbox", password=_PASSWORD)
    try:
        running = made.__enter__()
    except (OSError, subprocess.SubprocessError) as error:
        if isinstance(error, OSError) and error.errno in _NO_PORT:
            raise ConfigError(
                f"cannot listen on 127.0.0.1:{wanted}: {os.strerror(error.errno)}",
                hint="leave out --port, and any free port is taken",
            ) from error
        raise ExecuteError(
            f"the sandbox does not start: {error}",
            hint="is there room in the folder for temporary files? TMPDIR names another one",
        ) from error
    try:
        yield running
    finally:
        made.__exit__(None, None, None)


@contextmanager
def _announced(config: Config | None, running: RedshiftStandIn) -> Iterator[Path | None]:
    """Let the project find it as its target `sandbox`, as long as it runs.

    Raises:
        LoaderError: the project's folder cannot be written to.
    """
    from loader.config import SANDBOX  # noqa: PLC0415
    from loader.warehouse.redshift.sandbox import announce, withdraw  # noqa: PLC0415

    if config is None or SANDBOX in config.targets:
        yield None
        return
    try:
        path = announce(config.root, _target(running))
    except OSError as error:
        raise LoaderError(
            f"the sandbox cannot be announced in {config.root / '.loader'}: {error.strerror}"
        ) from error
    try:
        yield path
    finally:
        withdraw(config.root)


def _target(running: RedshiftStandIn) -> SandboxTarget:
    from loader.warehouse.redshift.sandbox import S3Server, SandboxTarget  # noqa: PLC0415

    found = running.environment()
    s3 = S3Server(
        endpoint_url=running.endpoint_url,
        access_key_id=found["AWS_ACCESS_KEY_ID"],
        secret_access_key=found["AWS_SECRET_ACCESS_KEY"],
    )
    return SandboxTarget.model_validate({**running.target(), "s3": s3})


def _exports(running: RedshiftStandIn) -> dict[str, str]:
    """The environment of other tools: for boto3, and under the names that settings often read."""
    found = running.environment()
    names = (
        *("AWS_ENDPOINT_URL_S3", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        *("AWS_DEFAULT_REGION", "AWS_REGION"),
    )
    exports = {name: found[name] for name in names}
    if any(os.environ.get(name) for name in _PROXIES):
        exports["NO_PROXY"] = ",".join(filter(None, (os.environ.get("NO_PROXY"), running.host)))
    return exports | {
        "AWS_REDSHIFT_HOST": running.host,
        "AWS_REDSHIFT_PORT": str(running.port),
        "AWS_REDSHIFT_DATABASE": running.database,
        "AWS_REDSHIFT_USER": running.user,
        "AWS_REDSHIFT_PASSWORD": running.password,
        "AWS_REDSHIFT_S3_IAM_ROLE": running.iam_role,
        "AWS_REDSHIFT_BUCKET_NAME": running.bucket,
    }


def _data(
    running: RedshiftStandIn, exports: Mapping[str, str], path: Path | None
) -> dict[str, Any]:
    return {
        "process": os.getpid(),
        "target": running.target(),
        "s3": running.endpoint_url,
        "environment": dict(exports),
        "announced": str(path) if path else None,
    }


def _text(
    running: RedshiftStandIn, exports: Mapping[str, str], config: Config | None, path: Path | None
) -> str:
    from loader.settings_file import OWN, SettingsFile  # noqa: PLC0415

    settings = "\n".join(f"{key} = {json.dumps(value)}" for key, value in running.target().items())
    lines = "\n".join(f"export {name}={shlex.quote(value)}" for name, value in exports.items())
    file = config.file if config is not None and config.file is not None else SettingsFile(OWN)
    header = file.header("targets", "sandbox")
    use = ""
    if path is not None and config is not None:
        use = (
            f"The target `sandbox` of {config.root}, in any shell, until this one ends:\n"
            "loader doctor --target sandbox\n"
            "loader load TABLE FILE --partition auto --target sandbox\n\n"
        )
    return (
        f"A stand-in for Redshift listens on {running.host}:{running.port}, and its S3 on"
        f" {running.endpoint_url}.\nIt refuses what Redshift refuses. Ctrl-C ends it.\n\n"
        f"{style(_NOT, fg='yellow', bold=True)}\n\n{use}"
        f"# Settings of a target for other projects, as in {file.name}; they need the environment"
        " below as well:\n"
        f"{header}\n{settings}\n\n"
        "# Environment of other tools, as of dbt, Dagster and boto3; none of them uses TLS here:\n"
        f"unset AWS_PROFILE AWS_SESSION_TOKEN\n{lines}"
    )


def _mark(word: str) -> str:
    return style(word, fg="yellow", err=True)
