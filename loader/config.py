"""The project's settings: where specs and templates lie, and the targets loads go to."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from loader.dialects import check_schema
from loader.errors import ConfigError
from loader.figures import Level

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


class _Settings(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True
    )


class DuckDBTarget(_Settings):
    """An embedded DuckDB database file."""

    type: Literal["duckdb"]
    database: str = ".loader/warehouse.duckdb"
    """The database file, relative to the project."""
    staging: str = ".loader/staging"
    """The folder loads stage their files in, relative to the project."""
    ledger_schema: Annotated[str, AfterValidator(check_schema)] = "loader"
    """Schema of the ledger; empty turns it off."""
    lock_timeout: float = Field(default=30.0, ge=0)
    """Seconds to wait for another process that holds the file."""
    memory_limit: str = "320MB"
    """The most memory DuckDB may use while it loads; with less than 300MB it uses one core."""


class RedshiftTarget(_Settings):
    """An Amazon Redshift cluster or Serverless workgroup."""

    type: Literal["redshift"]
    host: str = ""
    port: int = 5439
    database: str = ""
    user: str = ""
    password: str = Field(default="", repr=False)
    """Empty means IAM, or `secret_id`."""
    secret_id: str = ""
    """A Secrets Manager secret with user and password."""
    cluster_identifier: str = ""
    """The provisioned cluster to ask IAM credentials for."""
    work_group: str = ""
    """The Serverless workgroup to ask IAM credentials for."""
    region_name: str = ""
    iam_role: str = ""
    """The role COPY and UNLOAD read and write the bucket with."""
    staging: str = ""
    """Where loads stage their files, `s3://bucket/prefix`."""
    ssl: bool = True
    ledger_schema: Annotated[str, AfterValidator(check_schema)] = "loader"
    """Schema of the ledger; empty turns it off."""
    encryption: Literal["", "AES256", "aws:kms"] = ""
    """Server-side encryption of staged files; empty is the bucket's own."""
    kms_key_id: str = ""
    """The key of `aws:kms`; empty is the account's own."""
    unload_rows: int = Field(default=100_000, ge=0)
    """Reads of more rows go through UNLOAD and the bucket, not through the connection."""

    def lacks(self) -> dict[str, str]:
        """The settings without which nothing can be loaded: key → what it is for."""
        found: dict[str, str] = {}
        if not self.database:
            found["database"] = "the database"
        if not self.staging:
            found["staging"] = "s3://bucket/prefix that loads stage their files in"
        elif not re.fullmatch(r"s3://[^/]+(/.*)?", self.staging):
            found["staging"] = f"`{self.staging}` is no S3 location; write s3://bucket/prefix"
        if not self.iam_role:
            found["iam_role"] = "the role COPY reads the bucket with: its ARN, or `default`"
        if re.search(r"[@/:\s]", self.host):
            # What stands before an `@` may be a password, so the host is not told.
            found["host"] = "only the name of the host; user, port and database have their own keys"
        serverless = self.host.endswith(".redshift-serverless.amazonaws.com")
        if self.password:
            for key in ("host", "user"):
                if not getattr(self, key):
                    found[key] = "a login with `password` needs it"
        elif not (self.secret_id or self.cluster_identifier or self.work_group or serverless):
            others = "secret_id, or cluster_identifier or work_group for IAM"
            found["password"] = f"to log in; or set {others}"
        if not self.password and not self.secret_id and not self.ssl:
            found["ssl"] = "IAM credentials are only used over TLS; leave out `ssl = false`"
        return found


TargetSettings = DuckDBTarget | RedshiftTarget
_TYPES: Mapping[str, type[DuckDBTarget] | type[RedshiftTarget]] = {
    "duckdb": DuckDBTarget,
    "redshift": RedshiftTarget,
}
_LOCAL: Mapping[str, Any] = {"local": {"type": "duckdb"}}


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
        if name not in self.targets:
            raise self._no_target(name)
        place = f"[tool.loader.targets.{name}] in {self.source}"
        given = self.targets[name]
        if isinstance(given, DuckDBTarget | RedshiftTarget):
            return given
        raw = dict(given)
        model = _TYPES.get(str(raw.get("type")))
        if model is None:
            raise ConfigError(
                f"{place}: type `{raw.get('type')}` is not one of {', '.join(_TYPES)}"
            )
        values, missing = _expand(raw, keep=preview)
        if missing:
            names = ", ".join(f"${{{variable}}} (for {key})" for key, variable in missing)
            raise ConfigError(
                f"the target `{name}` needs {names}, which the environment does not set",
                hint=f"set it, or give a default as ${{NAME:-default}} under {place}",
            )
        if preview and model is RedshiftTarget and "${" in str(values.get("port", "")):
            del values["port"]
        settings = _validated(model, values, place)
        if isinstance(settings, RedshiftTarget) and not preview:
            _check_complete(settings, raw, place)
        return settings

    def written(self, name: str) -> Mapping[str, Any]:
        """A target's settings as they are written."""
        given = self.targets[name]
        return given if isinstance(given, Mapping) else given.model_dump()

    def _no_target(self, name: str) -> ConfigError:
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
    settings = _validated(_TYPES[values["type"]], values, owner)
    lacks = settings.lacks() if isinstance(settings, RedshiftTarget) else {}
    if lacks:
        lines = [f"  {(names or {}).get(key, key)}: {why}" for key, why in lacks.items()]
        raise ConfigError("\n".join([f"{owner} is not complete", *lines]))
    return settings


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
    model: type[DuckDBTarget] | type[RedshiftTarget], values: Mapping[str, Any], place: str
) -> TargetSettings:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        lines = [
            _settings_problem(str(detail["loc"][0]), detail["type"], detail["msg"], model)
            for detail in error.errors(include_url=False, include_input=False)
        ]
        raise ConfigError("\n".join(f"{place}: {line}" for line in lines)) from None


def _check_complete(settings: RedshiftTarget, raw: Mapping[str, Any], place: str) -> None:
    lacks = settings.lacks()
    if not lacks:
        return
    lines = [f"  {key}: {why}{_empty(settings, key, raw)}" for key, why in lacks.items()]
    raise ConfigError("\n".join([f"{place} is not complete", *lines]))


def _empty(settings: RedshiftTarget, key: str, raw: Mapping[str, Any]) -> str:
    """Where a setting that is empty was looked for."""
    if getattr(settings, key) not in ("", None):
        return ""
    variable = _VARIABLE.search(str(raw.get(key, "")))
    return f" (${{{variable[1]}}} of the environment is empty)" if variable else " (not set)"


def _settings_problem(key: str, kind: str, message: str, model: type[BaseModel]) -> str:
    if kind != "extra_forbidden":
        return f"{key}: {message}"
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
    if (start / "specs").is_dir():
        return _config(start, {}, "the defaults")
    raise ConfigError(
        f"there is no Loader project at or above {start}",
        hint="`loader init` makes one; or give --project DIR",
    )


def _table(folder: Path) -> tuple[dict[str, Any], str] | None:
    for name in ("loader.toml", "pyproject.toml"):
        path = folder / name
        if not path.is_file():
            continue
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            raise ConfigError(f"{path}: {error}") from error
        if name == "loader.toml":
            tool = data.get("tool")
            nested = tool.get("loader") if isinstance(tool, dict) else None
            return (nested if isinstance(nested, dict) else data), name
        table = data.get("tool", {}).get("loader")
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
        raise ConfigError(f"{source}: [tool.loader] verify: `{verify}` is not one of {allowed}")
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
