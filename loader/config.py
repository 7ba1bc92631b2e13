"""The project's settings: the folders of specs and templates, and the targets of loads."""

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
from loader.redaction import KNOWN, find_secrets, is_secret_name
from loader.text_files import UnreadableError, is_folder, read_text
from loader.warehouse.duckdb.settings import DuckDBTarget
from loader.warehouse.redshift.settings import RedshiftTarget
from loader.warehouse.registry import get_adapter, warehouse_names
from loader.warehouse.settings import TargetSettings

__all__ = [
    "SANDBOX",
    "Config",
    "DuckDBTarget",
    "RedshiftTarget",
    "TargetSettings",
    "find_config",
    "make_config",
    "make_settings",
]

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")

_AMBIENT = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")
"""Secret environment variables that boto3 reads itself."""

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
        place = f"[tool.loader.targets.{name}] in {self.source}"
        if isinstance(given, TargetSettings):
            _register_secrets(given.model_dump())
            return given
        raw = dict(given)
        model = _settings_model(str(raw.get("type")), place)
        if misplaced := _find_misplaced_secrets(raw):
            raise ConfigError("\n".join(f"{place}: {line}" for line in misplaced))
        values, missing = _expand_variables(raw, keep=preview)
        _register_secrets(values)
        if missing:
            names = ", ".join(f"${{{variable}}} (for {key})" for key, variable in missing)
            raise ConfigError(
                f"the target `{name}` needs environment variables that are not set: {names}",
                hint=f"set them, or write a default, ${{NAME:-default}}, under {place}",
            )
        if preview:
            values = _without_unknown(values, model)
        settings = _validate(model, values, place)
        if not preview:
            _check_complete(settings, raw, place)
        return settings

    def raw_settings(self, name: str) -> Mapping[str, Any]:
        """A target's settings as written, before ``${NAME}`` is replaced.

        Raises:
            ConfigError: the target does not exist.
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
        if name == SANDBOX:
            from loader.warehouse.redshift.sandbox import find_sandbox  # noqa: PLC0415  # rarely used

            if (found := find_sandbox(self.root)) is not None:
                return found
        raise self._no_target(name)

    def _no_target(self, name: str) -> ConfigError:
        if name == SANDBOX:
            return ConfigError(
                f"{self.source} has no target `{name}`, and no sandbox runs for {self.root}",
                hint="start it with `loader sandbox`, and leave it running",
            )
        close = difflib.get_close_matches(name, self.targets, n=1)
        hint = f"did you mean `{close[0]}`?" if close else f"targets: {', '.join(self.targets)}"
        return ConfigError(f"{self.source} has no target `{name}`", hint=hint)


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
    _register_secrets(values)
    settings = _validate(get_adapter(values["type"]).settings, values, owner, names)
    if missing := settings.find_missing():
        lines = [f"  {(names or {}).get(key, key)}: {why}" for key, why in missing.items()]
        raise ConfigError("\n".join([f"{owner} is not complete", *lines]))
    return settings


def _settings_model(kind: str, place: str) -> type[TargetSettings]:
    """The settings model of a target type.

    Raises:
        ConfigError: the type is unknown.
    """
    try:
        return get_adapter(kind).settings
    except KeyError:
        names = warehouse_names()
        close = difflib.get_close_matches(kind, names, n=1)
        hint = f"did you mean `{close[0]}`?" if close else None
        raise ConfigError(f"{place}: type is not one of {', '.join(names)}", hint=hint) from None


def _without_unknown(values: Mapping[str, Any], model: type[TargetSettings]) -> dict[str, Any]:
    """The settings without non-text ones that contain an unset variable."""
    texts = {name for name, field in model.model_fields.items() if field.annotation is str}
    return {
        key: value
        for key, value in values.items()
        if key in texts or key not in model.model_fields or "${" not in str(value)
    }


def _register_secrets(values: Mapping[str, Any]) -> None:
    """Hide the secrets of these settings in all output from now on, even of invalid settings."""
    found = [one for one in find_secrets(values) if not _VARIABLE.fullmatch(one)]
    KNOWN.add(*found, *(os.environ.get(name, "") for name in _AMBIENT))


def _find_misplaced_secrets(raw: Mapping[str, Any], table: str = "") -> list[str]:
    """Error messages for printed settings that refer to a secret environment variable."""
    found = []
    for key, value in raw.items():
        if isinstance(value, Mapping):
            found += _find_misplaced_secrets(value, f"{table}{key}.")
        for variable in _VARIABLE.finditer(value) if isinstance(value, str) else ():
            # The name of a Secrets Manager secret is not secret itself.
            name = variable[1].upper().replace("SECRET", "") if key == "secret_id" else variable[1]
            if is_secret_name(name) and not is_secret_name(key):
                found.append(
                    f"{table}{key}: the name ${{{variable[1]}}} looks like a secret, and"
                    f" `{table}{key}` is printed; use secrets in `password` only"
                )
                KNOWN.add(os.environ.get(variable[1], ""), variable[2] or "")
    return found


def _expand_variables(
    raw: Mapping[str, Any], *, keep: bool
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    missing: list[tuple[str, str]] = []

    def substitute(match: re.Match[str], key: str) -> str:
        name, default = match[1], match[2]
        found = os.environ.get(name) or default
        if found is None and not keep:
            missing.append((key, name))
        return match[0] if found is None else found

    def expand(value: Any, key: str) -> Any:
        if isinstance(value, Mapping):
            return {inner: expand(one, f"{key}.{inner}") for inner, one in value.items()}
        if not isinstance(value, str):
            return value
        return _VARIABLE.sub(lambda match: substitute(match, key), value)

    return {key: expand(value, key) for key, value in raw.items()}, missing


def _validate(
    model: type[TargetSettings],
    values: Mapping[str, Any],
    place: str,
    names: Mapping[str, str] | None = None,
) -> TargetSettings:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        lines = [
            _settings_problem(detail["loc"], detail["type"], detail["msg"], model, names)
            for detail in error.errors(include_url=False, include_input=False)
        ]
        raise ConfigError("\n".join(f"{place}: {line}" for line in lines)) from None


def _check_complete(settings: TargetSettings, raw: Mapping[str, Any], place: str) -> None:
    missing = settings.find_missing()
    if not missing:
        return
    lines = [f"  {key}: {why}{_explain_empty(settings, key, raw)}" for key, why in missing.items()]
    raise ConfigError("\n".join([f"{place} is not complete", *lines]))


def _explain_empty(settings: TargetSettings, key: str, raw: Mapping[str, Any]) -> str:
    """Why a setting is empty: the variable it refers to, or that it is not set."""
    if getattr(settings, key) not in ("", None):
        return ""
    variable = _VARIABLE.search(str(raw.get(key, "")))
    return f" (${{{variable[1]}}} is empty in the environment)" if variable else " (not set)"


def _settings_problem(
    place: tuple[str | int, ...],
    kind: str,
    message: str,
    model: type[BaseModel],
    names: Mapping[str, str] | None,
) -> str:
    *tables, key = map(str, place)
    shown = ".".join((*tables, (names or {}).get(key, key)))
    if kind != "extra_forbidden":
        return f"{shown}: {message.removeprefix('Value error, ')}"
    for table in tables:
        inner = model.model_fields[table].annotation
        assert isinstance(inner, type)
        assert issubclass(inner, BaseModel)
        model = inner
    close = difflib.get_close_matches(key, model.model_fields, n=1)
    known = f"did you mean `{close[0]}`?" if close else f"keys: {', '.join(model.model_fields)}"
    return f"unknown key `{shown}`; {known}"


_KEYS = ("specs", "templates", "target", "targets", "verify")


def find_config(start: Path | None = None) -> Config:
    """The settings of the nearest project, in `start` or a parent folder.

    A project is a folder with a ``loader.toml``, or a ``pyproject.toml`` with ``[tool.loader]``;
    without these, `start` itself when it contains ``specs/``.

    Raises:
        ConfigError: no project was found, or its settings file is invalid.
    """
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        table = _read_table(folder)
        if table is not None:
            return _read_config(folder, *table)
    if is_folder(start / "specs"):
        return _read_config(start, {}, "the defaults")
    raise ConfigError(
        f"there is no Loader project in {start} or its parent folders",
        hint="create one with `loader init`, or pass --project DIR",
    )


def _read_table(folder: Path) -> tuple[dict[str, Any], str] | None:
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
        except ValueError as error:  # TOML errors, and numbers with thousands of digits
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


def _read_config(root: Path, table: Mapping[str, Any], source: str) -> Config:
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
        raise ConfigError(f"{source}: [tool.loader] verify must be one of {allowed}")
    targets = table.get("targets", _LOCAL)
    if not isinstance(targets, Mapping) or not all(isinstance(t, dict) for t in targets.values()):
        raise ConfigError(f"{source}: [tool.loader.targets] must have one table per target")
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
        target: The default target; without it the first of ``targets``.

    Raises:
        ConfigError: no project was found and ``specs`` is not given, or its file is invalid.
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
