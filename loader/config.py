"""The project's settings: the folders of specs and templates, and the targets of loads."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args
from urllib.parse import quote

from loader.errors import ConfigError, Problem
from loader.plan.figures import Level
from loader.redaction import KNOWN, find_passwords
from loader.settings_file import SettingsFile, header, read_settings_file
from loader.spec.connections import EXAMPLE, check_connection, is_connection_name
from loader.target_settings import (
    check_settings,
    expand_variables,
    find_misplaced_secrets,
    find_missing,
    register_secrets,
    settings_model,
    validate_settings,
    without_unknown,
)
from loader.text_files import is_folder
from loader.warehouse.duckdb.settings import DuckDBTarget
from loader.warehouse.redshift.settings import RedshiftTarget
from loader.warehouse.registry import get_adapter
from loader.warehouse.settings import TargetSettings

__all__ = [
    "SANDBOX",
    "TARGET_VARIABLE",
    "Config",
    "DuckDBTarget",
    "RedshiftTarget",
    "TargetSettings",
    "find_config",
    "make_config",
    "make_settings",
    "read_config",
]

TARGET_VARIABLE = "LOADER_TARGET"
"""The environment variable that chooses a target where none is named."""

_PASSWORD_VARIABLE = re.compile(r"://[^/@:]*:(\$\{[A-Za-z_][A-Za-z0-9_]*(?::-[^}]*)?\})@")
"""A variable in the place of the password of a URL."""

SANDBOX = "sandbox"
"""The target that `loader sandbox` runs, for projects without a target of that name."""

_LOCAL: Mapping[str, Any] = {"local": {"type": "duckdb"}}
"""The targets of a project whose settings define none."""


@dataclass(frozen=True)
class Config:
    """A project's settings; targets are kept as written and validated when used."""

    root: Path
    specs: Path
    templates: Path | None
    target: str = "local"
    targets: Mapping[str, Mapping[str, Any] | TargetSettings] = field(
        default_factory=lambda: _LOCAL
    )
    """As written in the settings file, or validated settings, where ``${NAME}`` is literal text."""
    verify: Level = "values"
    """What is compared with the staged rows before COMMIT, unless a spec sets its own."""
    source: str = "the defaults"
    """The file the settings come from, for messages."""
    file: SettingsFile | None = None
    """That file; None for settings of a program, and for defaults."""
    problems: tuple[Problem, ...] = ()
    """What is wrong outside of the targets; the defaults stand for it."""
    connections: Mapping[str, str] = field(default_factory=dict)
    """The databases that source queries read, by name; URLs as written."""

    def settings(self, name: str | None = None, *, preview: bool = False) -> TargetSettings:
        """A target's settings, with ``${NAME}`` replaced by the environment variable's value.

        With ``preview`` a reference to an unset variable stays as written, so that a plan needs no
        environment.

        Raises:
            ConfigError: the target does not exist, a key is unknown, a value is invalid, or a
                variable is not set; lists every problem.
        """
        name = name or self.target
        given = self._given(name)
        if isinstance(given, TargetSettings):
            register_secrets(given.model_dump())
            return given
        raw = dict(given)
        model, problems = settings_model(raw.get("type"))
        problems += find_misplaced_secrets(raw)
        if model is None or problems:
            raise self._error(name, problems)
        values, missing = expand_variables(raw, keep=preview)
        register_secrets(values)
        if missing:
            names = ", ".join(f"${{{variable}}} (for {key})" for key, variable in missing)
            raise ConfigError(
                f"the target `{name}` needs environment variables that are not set: {names}",
                hint=f"set them, or write a default, ${{NAME:-default}}, under {self.place(name)}",
            )
        settings, problems = validate_settings(
            model, without_unknown(values, model) if preview else values
        )
        if settings is None:
            raise self._error(name, problems)
        if not preview and (lacking := find_missing(settings, raw)):
            raise self._error(name, lacking)
        return settings

    def connection(self, given: str) -> str:
        """The URL of a connection: a name of the settings, or a URL, with ``${NAME}`` replaced.

        Its password is hidden in all output from now on. A variable in the place of the password
        is the password itself; anywhere else it is a part of the URL, or all of it.

        Raises:
            ConfigError: there is no connection of this name, or a variable is not set.
        """
        text = given
        if is_connection_name(given):
            if given not in self.connections:
                raise self._no_connection(given)
            text = self.connections[given]
        password = _PASSWORD_VARIABLE.search(text)
        parts = {"url": text}
        if password is not None:
            start, end = password.span(1)
            parts = {"url": text[:start], "password": password[1], "rest": text[end:]}
        values, missing = expand_variables(parts, keep=False)
        if missing:
            names = ", ".join(f"${{{variable}}}" for _, variable in missing)
            raise ConfigError(
                f"the connection `{given}` needs environment variables that are not set: {names}",
                hint="set them, or write a default, ${NAME:-default}",
            )
        if "password" in values:
            KNOWN.add(values["password"])
            values["password"] = quote(values["password"], safe="")
        url = "".join(values.values())
        KNOWN.add(*find_passwords(url))
        return url

    def _no_connection(self, name: str) -> ConfigError:
        close = difflib.get_close_matches(name, self.connections, n=1)
        known = f"connections: {', '.join(self.connections)}" if self.connections else ""
        hint = f"did you mean `{close[0]}`?" if close else known
        where = self.file.header("connections") if self.file else header((), "connections")
        return ConfigError(
            f"{self.source if self.file else 'the project'} has no connection `{name}`",
            hint=hint or f'add it below {where}: {name} = "{EXAMPLE}"',
        )

    def raw_settings(self, name: str) -> Mapping[str, Any]:
        """A target's settings as written, before ``${NAME}`` is replaced.

        Raises:
            ConfigError: the target does not exist.
        """
        given = self._given(name)
        return given if isinstance(given, Mapping) else given.model_dump()

    def place(self, name: str) -> str:
        """Where the settings of a target are, in the form of the file.

        >>> file = SettingsFile("loader.toml")
        >>> Config(Path(), Path("specs"), None, file=file).place("prod")
        '[targets.prod] in loader.toml'
        """
        if self.file is None:
            return f"the target `{name}`"
        return f"{self.file.header('targets', name)} in {self.file.name}"

    def check(self) -> list[Problem]:
        """Everything wrong in the settings; environment variables need not be set."""
        problems = [*self.problems, *self._check_default()]
        for name, given in self.targets.items():
            if isinstance(given, Mapping):
                try:
                    found = check_settings(given)
                except ConfigError as error:  # of the package of a warehouse
                    found = [Problem(error.message, ("type",), error.hint)]
                problems += self._locate(name, found)
        return sorted(problems, key=lambda one: (one.line, one.column))

    def _check_default(self) -> Iterator[Problem]:
        default = self.file.table.get("target") if self.file else None
        if self.file and isinstance(default, str):
            targets = self.file.table.get("targets", _LOCAL)
            if default and isinstance(targets, Mapping) and default not in (*targets, SANDBOX):
                message = f"there is no target `{default}`"
                hint = _near_target(default, targets)
                yield self.file.locate(Problem(message, ("target",), hint))

    def _locate(self, name: str, problems: list[Problem]) -> Iterator[Problem]:
        for problem in problems:
            found = replace(problem, loc=("targets", name, *problem.loc))
            yield self.file.locate(found) if self.file else found

    def _error(self, name: str, problems: list[Problem]) -> ConfigError:
        return ConfigError.of(list(self._locate(name, problems)), self.place(name))

    def _given(self, name: str) -> Mapping[str, Any] | TargetSettings:
        """A target of the project, or the sandbox that runs for it.

        Raises:
            ConfigError: there is neither.
        """
        if name in self.targets:
            return self.targets[name]
        if name == SANDBOX:
            from loader.warehouse.redshift.sandbox import find_sandbox  # noqa: PLC0415  # rarely used

            if (found := find_sandbox(self.root)) is not None:
                return found
        raise self._no_target(name)

    def _no_target(self, name: str) -> ConfigError:
        message = f"{self.source if self.file else 'the project'} has no target `{name}`"
        if name == os.environ.get(TARGET_VARIABLE):
            message += f", which the environment variable {TARGET_VARIABLE} names"
        if name == SANDBOX:
            return ConfigError(
                f"{message}, and no sandbox runs for {self.root}",
                hint="start it with `loader sandbox`, and leave it running",
            )
        return ConfigError(message, hint=_near_target(name, self.targets))


def make_settings(
    values: Mapping[str, Any], owner: str, names: Mapping[str, str] | None = None
) -> TargetSettings:
    """Validate settings given in Python, such as the fields of an IO manager.

    Args:
        values: The settings, by key.
        owner: The name that error messages begin with.
        names: The owner's own field names, by key, for error messages.

    Raises:
        ConfigError: a value is invalid or missing; lists every problem.
    """
    register_secrets(values)
    model = get_adapter(values["type"]).settings
    settings, problems = validate_settings(model, values, names)
    problems = problems if settings is None else find_missing(settings, {}, names)
    if settings is None or problems:
        raise ConfigError.of(problems, f"the settings of {owner}")
    return settings


_KEYS = ("specs", "templates", "target", "targets", "connections", "verify")


def find_config(start: Path | None = None) -> Config:
    """The settings of the nearest project, in `start` or a parent folder.

    A project is a folder with a ``loader.toml``, or a ``pyproject.toml`` with ``[tool.loader]``;
    without these, `start` itself when it contains ``specs/``.

    Raises:
        ConfigError: no project was found, or its settings file is invalid; lists every problem.
    """
    return _without_problems(read_config(start))


def read_config(start: Path | None = None) -> Config:
    """The settings of the nearest project, with what is wrong in its file in ``problems``.

    Raises:
        ConfigError: no project was found.
    """
    start = (start or Path.cwd()).resolve()
    if (found := _nearest(start)) is not None:
        return found
    if is_folder(start / "specs"):
        return _choose_target(Config(start, start / "specs", start / "templates"))
    raise ConfigError(
        f"there is no Loader project in {start} or its parent folders",
        hint="create one with `loader init`, or pass --project DIR",
    )


def _nearest(start: Path) -> Config | None:
    """The settings of the nearest settings file."""
    for folder in (start, *start.parents):
        found = read_settings_file(folder)
        if found is not None:
            return _read_config(folder, found)
    return None


def _without_problems(config: Config) -> Config:
    if config.problems:
        raise ConfigError.of(config.problems, config.source)
    return config


def _read_config(root: Path, file: SettingsFile) -> Config:
    problems = list(_problems(file))
    wrong = {problem.loc for problem in problems}
    table = {key: value for key, value in file.table.items() if (key,) not in wrong}
    targets = table.get("targets", _LOCAL)
    targets = {name: one for name, one in targets.items() if ("targets", name) not in wrong}
    located = [*file.problems, *map(file.locate, problems)]
    config = Config(
        root=root,
        specs=root / table.get("specs", "specs"),
        templates=root / table.get("templates", "templates"),
        target=table.get("target") or next(iter(targets), "local"),
        targets=targets,
        verify=table.get("verify", "values"),
        source=file.name,
        file=file,
        problems=tuple(sorted(located, key=lambda one: (one.line, one.column))),
        connections=dict(table.get("connections", {})),
    )
    return _choose_target(config)


def _problems(file: SettingsFile) -> Iterator[Problem]:
    """What is wrong in the settings outside of the targets; paths are those below the table."""
    table = file.table
    for key in table:
        if key not in _KEYS:
            close = difflib.get_close_matches(key, _KEYS, n=1)
            hint = f"did you mean `{close[0]}`?" if close else f"keys: {', '.join(_KEYS)}"
            yield Problem(f"unknown key `{key}`", (key,), hint, on_key=True)
    for key in ("specs", "templates", "target"):
        if not isinstance(table.get(key, ""), str):
            hint = f"settings of a target are in {file.header('targets', 'NAME')}"
            yield Problem("must be text", (key,), hint if key == "target" else None)
    if table.get("verify", "values") not in get_args(Level):
        yield Problem(f"must be one of {', '.join(get_args(Level))}", ("verify",))
    yield from _connection_problems(table.get("connections", {}))
    targets = table.get("targets", _LOCAL)
    if not isinstance(targets, Mapping):
        where = file.header("targets", "NAME")
        yield Problem(f"must have one table per target, {where}", ("targets",))
        return
    for name, one in targets.items():
        if not isinstance(one, Mapping):
            where = file.header("targets", name)
            yield Problem(f"must be a table, {where}", ("targets", name))


def _connection_problems(connections: object) -> Iterator[Problem]:
    if not isinstance(connections, Mapping):
        yield Problem("must have a URL for each name", ("connections",))
        return
    for name, url in connections.items():
        loc = ("connections", name)
        if not is_connection_name(name) or not isinstance(url, str) or is_connection_name(url):
            yield Problem("must be a URL", loc, f'such as "{EXAMPLE}"')
            continue
        try:
            check_connection(url)
        except ValueError as error:
            KNOWN.add(*find_passwords(url))
            yield Problem(str(error), loc)


def _choose_target(config: Config) -> Config:
    """The settings with the target that the environment names, if it names one."""
    named = os.environ.get(TARGET_VARIABLE)
    return replace(config, target=named) if named else config


def _near_target(name: str, targets: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(name, targets, n=1)
    return f"did you mean `{close[0]}`?" if close else f"targets: {', '.join(targets)}"


def _read_connections(table: object, source: str) -> dict[str, str]:
    place = f"{source}: [tool.loader.connections]"
    if not isinstance(table, Mapping):
        raise ConfigError(f"{place} must have a URL for each name")
    for name, url in table.items():
        if not is_connection_name(name) or not isinstance(url, str) or is_connection_name(url):
            raise ConfigError(f"{place} {name} must be a URL", hint=f'such as "{EXAMPLE}"')
        try:
            check_connection(url)
        except ValueError as error:
            KNOWN.add(*find_passwords(url))
            raise ConfigError(f"{place} {name} is {error}") from None
    return dict(table)


def make_config(
    specs: str | os.PathLike[str] | None,
    templates: str | os.PathLike[str] | None,
    root: str | os.PathLike[str] | None,
    targets: Mapping[str, Mapping[str, Any] | TargetSettings] | None,
    target: str | None,
) -> Config:
    """The settings of a project that is described by arguments, all or some of them.

    Without ``root`` and ``targets`` the settings of the nearest project file are used, and the
    arguments override them.

    Args:
        specs: The folder of the specs.
        templates: The folder of the project's own templates.
        root: The project's folder; default the working directory.
        targets: All targets, by name.
        target: The default target; without it the one that LOADER_TARGET names, or the first of
            ``targets``.

    Raises:
        ConfigError: no project was found and ``specs`` is not given, its file is invalid, or
            ``templates`` is not there.
    """
    if templates is not None and not is_folder(Path(templates)):
        raise ConfigError(
            f"the folder of templates, {Path(templates).absolute()}, does not exist",
            hint="correct `templates`, or leave it out: Loader has templates of its own",
        )
    if root is None and targets is None:
        if specs is None:
            found = find_config()
        elif (nearest := _nearest(Path(specs).resolve())) is not None:
            found = _without_problems(nearest)
        else:
            found = _choose_target(Config(Path(specs).resolve().parent, Path(specs), None))
    else:
        base = Path(root if root is not None else Path.cwd()).resolve()
        first = next(iter(targets or _LOCAL))
        found = _choose_target(
            Config(base, base / "specs", base / "templates", first, source="the given targets")
        )
    return replace(
        found,
        specs=Path(specs) if specs is not None else found.specs,
        templates=Path(templates) if templates is not None else found.templates,
        target=target or found.target,
        targets=targets if targets is not None else found.targets,
    )
