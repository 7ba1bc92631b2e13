"""The project's settings: where specs and templates lie, and the targets loads go to."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from loader.errors import ConfigError
from loader.plan.figures import Level
from loader.redaction import KNOWN, names_secret, secrets_in
from loader.text_files import UnreadableError, is_folder, read_text
from loader.warehouse.duckdb.settings import DuckDBTarget
from loader.warehouse.redshift.sandbox import NAME as SANDBOX
from loader.warehouse.redshift.sandbox import find_sandbox
from loader.warehouse.redshift.settings import RedshiftTarget
from loader.warehouse.registry import get_adapter, warehouse_names
from loader.warehouse.settings import TargetSettings

__all__ = [
    "Config",
    "DuckDBTarget",
    "RedshiftTarget",
    "TargetSettings",
    "find_config",
    "given_config",
    "given_settings",
]

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")

_AMBIENT = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")
"""Variables that boto3 reads by itself."""

_LOCAL: Mapping[str, Any] = {"local": {"type": "duckdb"}}
"""The targets of a project that names none."""


@dataclass(frozen=True)
class Config:
    """A project's settings, with targets as they are written; they are read when used."""

    root: Path
    specs: Path
    templates: Path | None
    target: str = "local"
    targets: Mapping[str, Mapping[str, Any] | TargetSettings] = field(
        default_factory=lambda: _LOCAL
    )
    """As they are written in a file, or as settings, in which ``${NAME}`` means itself."""
    verify: Level = "values"
    """What is compared with the staged rows before COMMIT, where a spec does not say."""
    source: str = "the defaults"
    """The file the settings come from, for messages."""

    def settings(self, name: str | None = None, *, preview: bool = False) -> TargetSettings:
        """A target's settings, with ``${NAME}`` read from the environment now.

        With ``preview`` names that are not set stay as they are written, so that a plan needs no
        environment.

        Raises:
            ConfigError: there is no such target, a key is unknown, a value is wrong, or a variable
                is not set; with all that is wrong.
        """
        name = name or self.target
        given = self._given(name)
        place = f"[tool.loader.targets.{name}] in {self.source}"
        if isinstance(given, TargetSettings):
            _remember(given.model_dump())
            return given
        raw = dict(given)
        model = _settings_model(str(raw.get("type")), place)
        if misplaced := _misplaced(raw):
            raise ConfigError("\n".join(f"{place}: {line}" for line in misplaced))
        values, missing = _expand(raw, keep=preview)
        _remember(values)
        if missing:
            names = ", ".join(f"${{{variable}}} (for {key})" for key, variable in missing)
            raise ConfigError(
                f"the target `{name}` needs {names}, which the environment does not set",
                hint=f"set it, or give a default as ${{NAME:-default}} under {place}",
            )
        if preview:
            values = _without_unknown(values, model)
        settings = _validated(model, values, place)
        if not preview:
            _check_complete(settings, raw, place)
        return settings

    def written(self, name: str) -> Mapping[str, Any]:
        """A target's settings as they are written.

        Raises:
            ConfigError: there is no such target.
        """
        given = self._given(name)
        return given if isinstance(given, Mapping) else given.model_dump()

    def _given(self, name: str) -> Mapping[str, Any] | TargetSettings:
        """A target of the project, or the sandbox that runs for it.

        Raises:
            ConfigError: there is neither.
        """
        if name in self.targets:
            return self.targets[name]
        found = find_sandbox(self.root) if name == SANDBOX else None
        if found is None:
            raise self._no_target(name)
        return found

    def _no_target(self, name: str) -> ConfigError:
        if name == SANDBOX:
            return ConfigError(
                f"{self.source} has no target `{name}`, and no sandbox runs for {self.root}",
                hint="start it with `loader sandbox`, and leave it running",
            )
        close = difflib.get_close_matches(name, self.targets, n=1)
        hint = f"did you mean `{close[0]}`?" if close else f"targets: {', '.join(self.targets)}"
        return ConfigError(f"{self.source} has no target `{name}`", hint=hint)


def given_settings(
    values: Mapping[str, Any], owner: str, names: Mapping[str, str] | None = None
) -> TargetSettings:
    """Settings that somebody has at hand, complete; ``names`` are what the owner calls its own.

    Raises:
        ConfigError: a value is wrong or missing; with all that is wrong.
    """
    _remember(values)
    settings = _validated(get_adapter(values["type"]).settings, values, owner, names)
    if missing := settings.find_missing():
        lines = [f"  {(names or {}).get(key, key)}: {why}" for key, why in missing.items()]
        raise ConfigError("\n".join([f"{owner} is not complete", *lines]))
    return settings


def _settings_model(kind: str, place: str) -> type[TargetSettings]:
    """The model of the settings of a type of target.

    Raises:
        ConfigError: there is no such type.
    """
    try:
        return get_adapter(kind).settings
    except KeyError:
        names = warehouse_names()
        close = difflib.get_close_matches(kind, names, n=1)
        hint = f"did you mean `{close[0]}`?" if close else None
        raise ConfigError(f"{place}: type is not one of {', '.join(names)}", hint=hint) from None


def _without_unknown(values: Mapping[str, Any], model: type[TargetSettings]) -> dict[str, Any]:
    """The settings without those that are no text and whose variables are not known yet."""
    texts = {name for name, field in model.model_fields.items() if field.annotation is str}
    return {
        key: value
        for key, value in values.items()
        if key in texts or key not in model.model_fields or "${" not in str(value)
    }


def _remember(values: Mapping[str, Any]) -> None:
    """Have the secrets of settings hidden from now on, whatever the settings are worth."""
    found = [one for one in secrets_in(values) if not _VARIABLE.fullmatch(one)]
    KNOWN.add(*found, *(os.environ.get(name, "") for name in _AMBIENT))


def _misplaced(raw: Mapping[str, Any]) -> list[str]:
    """The settings that ask for a secret of the environment, and are printed."""
    found = []
    for key, value in raw.items():
        for variable in _VARIABLE.finditer(value) if isinstance(value, str) else ():
            # What has the name of a secret in Secrets Manager is none.
            name = variable[1].upper().replace("SECRET", "") if key == "secret_id" else variable[1]
            if names_secret(name) and not names_secret(key):
                found.append(
                    f"{key}: ${{{variable[1]}}} is a secret by its name, and `{key}` is printed;"
                    " only `password` takes one"
                )
                KNOWN.add(os.environ.get(variable[1], ""), variable[2] or "")
    return found


def _expand(raw: Mapping[str, Any], *, keep: bool) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    missing: list[tuple[str, str]] = []
    values: dict[str, Any] = {}
    for key, value in raw.items():

        def substitute(match: re.Match[str], key: str = key) -> str:
            name, default = match[1], match[2]
            found = os.environ.get(name) or default
            if found is None and not keep:
                missing.append((key, name))
            return match[0] if found is None else found

        values[key] = _VARIABLE.sub(substitute, value) if isinstance(value, str) else value
    return values, missing


def _validated(
    model: type[TargetSettings],
    values: Mapping[str, Any],
    place: str,
    names: Mapping[str, str] | None = None,
) -> TargetSettings:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        lines = [
            _settings_problem(str(detail["loc"][0]), detail["type"], detail["msg"], model, names)
            for detail in error.errors(include_url=False, include_input=False)
        ]
        raise ConfigError("\n".join(f"{place}: {line}" for line in lines)) from None


def _check_complete(settings: TargetSettings, raw: Mapping[str, Any], place: str) -> None:
    missing = settings.find_missing()
    if not missing:
        return
    lines = [f"  {key}: {why}{_empty(settings, key, raw)}" for key, why in missing.items()]
    raise ConfigError("\n".join([f"{place} is not complete", *lines]))


def _empty(settings: TargetSettings, key: str, raw: Mapping[str, Any]) -> str:
    """Where a setting that is empty was looked for."""
    if getattr(settings, key) not in ("", None):
        return ""
    variable = _VARIABLE.search(str(raw.get(key, "")))
    return f" (${{{variable[1]}}} of the environment is empty)" if variable else " (not set)"


def _settings_problem(
    key: str, kind: str, message: str, model: type[BaseModel], names: Mapping[str, str] | None
) -> str:
    if kind != "extra_forbidden":
        return f"{(names or {}).get(key, key)}: {message.removeprefix('Value error, ')}"
    close = difflib.get_close_matches(key, model.model_fields, n=1)
    known = f"did you mean `{close[0]}`?" if close else f"keys: {', '.join(model.model_fields)}"
    return f"unknown key `{key}`; {known}"


_KEYS = ("specs", "templates", "target", "targets", "verify")


def find_config(start: Path | None = None) -> Config:
    """The settings of the nearest project at or above a folder.

    A project is a ``loader.toml``, a ``pyproject.toml`` with ``[tool.loader]``, or, for want of
    both, a folder with ``specs/`` in it.

    Raises:
        ConfigError: there is none, or its file is wrong.
    """
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        table = _table(folder)
        if table is not None:
            return _config(folder, *table)
    if is_folder(start / "specs"):
        return _config(start, {}, "the defaults")
    raise ConfigError(
        f"there is no Loader project at or above {start}",
        hint="`loader init` makes one; or give --project DIR",
    )


def _table(folder: Path) -> tuple[dict[str, Any], str] | None:
    for name in ("loader.toml", "pyproject.toml"):
        path = folder / name
        if not os.path.lexists(path) or is_folder(path):
            continue
        try:
            data = tomllib.loads(read_text(path))
        except UnreadableError as error:
            raise ConfigError(f"{path}: {error.message}") from error
        except RecursionError:
            raise ConfigError(f"{path}: it is nested too deeply") from None
        except ValueError as error:  # beside TOML's own, of numbers with thousands of digits
            raise ConfigError(f"{path}: {error}") from error
        if name == "loader.toml":
            tool = data.get("tool")
            nested = tool.get("loader") if isinstance(tool, dict) else None
            return (nested if isinstance(nested, dict) else data), name
        tool = data.get("tool")
        table = tool.get("loader") if isinstance(tool, dict) else None
        if isinstance(table, dict):
            return table, name
    return None


def _config(root: Path, table: Mapping[str, Any], source: str) -> Config:
    for key in table:
        if key not in _KEYS:
            close = difflib.get_close_matches(key, _KEYS, n=1)
            hint = f"did you mean `{close[0]}`?" if close else f"keys: {', '.join(_KEYS)}"
            raise ConfigError(f"{source}: unknown key `{key}` in [tool.loader]", hint=hint)
    for key in ("specs", "templates", "target"):
        if not isinstance(table.get(key, ""), str):
            raise ConfigError(f"{source}: [tool.loader] {key} must be text")
    verify = table.get("verify", "values")
    if verify not in get_args(Level):
        allowed = ", ".join(get_args(Level))
        raise ConfigError(f"{source}: [tool.loader] verify: this is not one of {allowed}")
    targets = table.get("targets", _LOCAL)
    tables = isinstance(targets, Mapping) and all(isinstance(t, dict) for t in targets.values())
    if not tables:
        raise ConfigError(f"{source}: [tool.loader.targets] must be tables, one per target")
    target = table.get("target") or next(iter(targets), "local")
    return Config(
        root=root,
        specs=root / table.get("specs", "specs"),
        templates=root / table.get("templates", "templates"),
        target=target,
        targets=targets,
        verify=verify,
        source=source,
    )


def given_config(
    specs: str | os.PathLike[str] | None,
    templates: str | os.PathLike[str] | None,
    root: str | os.PathLike[str] | None,
    targets: Mapping[str, Mapping[str, Any] | TargetSettings] | None,
    target: str | None,
) -> Config:
    """The settings of a project that a program describes, in whole or in part.

    Without ``root`` and ``targets`` they are those of the nearest project file, in which what is
    given takes the place of its own.

    Args:
        specs: The folder of the specs.
        templates: The folder of the project's own templates.
        root: The project's folder; default the working one.
        targets: All targets, by name.
        target: The one that is used where none is named; default the first of ``targets``.

    Raises:
        ConfigError: no project was found, and no ``specs`` are given; or its file is wrong.
    """
    if root is None and targets is None:
        try:
            found = find_config(Path(specs).resolve() if specs is not None else None)
        except ConfigError:
            if specs is None:
                raise
            found = Config(Path(specs).resolve().parent, Path(specs), None)
    else:
        base = Path(root if root is not None else Path.cwd()).resolve()
        found = Config(base, base / "specs", base / "templates", source="the given targets")
    return replace(
        found,
        specs=Path(specs) if specs is not None else found.specs,
        templates=Path(templates) if templates is not None else found.templates,
        target=target or (next(iter(targets)) if targets else found.target),
        targets=targets if targets is not None else found.targets,
    )
