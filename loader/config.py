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

from loader.errors import ConfigError
from loader.plan.figures import Level
from loader.redaction import KNOWN, credentials_in, names_secret, secrets_in
from loader.sql.dialects.base import check_schema
from loader.text_files import UnreadableError, is_folder, read_text

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")

_AMBIENT = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")
"""Variables that boto3 reads by itself."""

_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+", re.ASCII)
_NAMESPACES = re.compile(r"(?:IAM|IAMR|IAMA|AWSIDC):[^:]+", re.IGNORECASE)
"""Users of IAM and of the Identity Center, as Redshift names them."""


def _no_credentials(value: str) -> str:
    """A setting that is printed."""
    if any(True for _ in credentials_in(value)):
        raise ValueError(
            "holds a password or a key, and this setting is printed; `password` is the only one"
            " that is not, and boto3 finds keys by itself"
        )
    return value


def _shaped(pattern: str, expected: str) -> AfterValidator:
    """What a setting has to look like, where it is known: a preview may lack variables."""

    def check(value: str) -> str:
        if "${" not in value and not re.fullmatch(pattern, value, re.ASCII):
            raise ValueError(f"must be {expected}")
        return _no_credentials(value)

    return AfterValidator(check)


def _check_role(value: str) -> str:
    known = "${" not in value and value not in ("", "default")
    if known and not all(map(_ROLE.fullmatch, re.split(r",(?=arn:)", value))):
        raise ValueError(
            "must be the ARN of an IAM role (arn:aws:iam::ACCOUNT:role/NAME), several of them"
            " with commas between, or `default`; keys do not belong here"
        )
    return _no_credentials(value)


def _check_user(value: str) -> str:
    if "${" not in value and ":" in value and not _NAMESPACES.fullmatch(value):
        raise ValueError("must be the name alone; a password has a setting of its own")
    return _no_credentials(value)


Plain = Annotated[str, AfterValidator(_no_credentials)]
Name = Annotated[str, _shaped(r"[\w.-]*", "a name of letters, digits and `-`")]


class _Settings(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True
    )


class DuckDBTarget(_Settings):
    """An embedded DuckDB database file."""

    type: Literal["duckdb"]
    database: Plain = ".loader/warehouse.duckdb"
    """The database file, relative to the project."""
    staging: Plain = ".loader/staging"
    """The folder loads stage their files in, relative to the project."""
    ledger_schema: Annotated[Plain, AfterValidator(check_schema)] = "loader"
    """Schema of the ledger; empty turns it off."""
    lock_timeout: float = Field(default=30.0, ge=0)
    """Seconds to wait for another process that holds the file."""
    memory_limit: Annotated[str, _shaped(r"[\d.]+ *([KMGT]?i?B|%)", "a size, such as 320MB")] = (
        "320MB"
    )
    """The most memory DuckDB may use while it loads; with less than 300MB it uses one core."""


class RedshiftTarget(_Settings):
    """An Amazon Redshift cluster or Serverless workgroup."""

    type: Literal["redshift"]
    host: Annotated[
        str,
        _shaped(
            r"[\w.-]*", "only the name of the host; user, port and database have their own keys"
        ),
    ] = ""
    port: int = 5439
    database: Annotated[
        str, _shaped(r"[^/?=&]*", "only the name of the database; others have their own keys")
    ] = ""
    user: Annotated[str, AfterValidator(_check_user)] = ""
    password: str = Field(default="", repr=False)
    """Empty means IAM, or `secret_id`."""
    secret_id: Plain = ""
    """A Secrets Manager secret with user and password."""
    cluster_identifier: Name = ""
    """The provisioned cluster to ask IAM credentials for."""
    work_group: Name = ""
    """The Serverless workgroup to ask IAM credentials for."""
    region_name: Name = ""
    iam_role: Annotated[str, AfterValidator(_check_role)] = ""
    """The role COPY and UNLOAD read and write the bucket with: its ARN, or `default`."""
    staging: Plain = ""
    """Where loads stage their files, `s3://bucket/prefix`."""
    ssl: bool = True
    ledger_schema: Annotated[Plain, AfterValidator(check_schema)] = "loader"
    """Schema of the ledger; empty turns it off."""
    encryption: Literal["", "AES256", "aws:kms"] = ""
    """Server-side encryption of staged files; empty is the bucket's own."""
    kms_key_id: Plain = ""
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
            found["staging"] = "this is no S3 location; write s3://bucket/prefix"
        if not self.iam_role:
            found["iam_role"] = "the role COPY reads the bucket with: its ARN, or `default`"
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
            _remember(given.model_dump())
            return given
        raw = dict(given)
        model = _TYPES.get(str(raw.get("type")))
        if model is None:
            close = difflib.get_close_matches(str(raw.get("type")), _TYPES, n=1)
            hint = f"did you mean `{close[0]}`?" if close else None
            raise ConfigError(f"{place}: type is not one of {', '.join(_TYPES)}", hint=hint)
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
    _remember(values)
    settings = _validated(_TYPES[values["type"]], values, owner, names)
    lacks = settings.lacks() if isinstance(settings, RedshiftTarget) else {}
    if lacks:
        lines = [f"  {(names or {}).get(key, key)}: {why}" for key, why in lacks.items()]
        raise ConfigError("\n".join([f"{owner} is not complete", *lines]))
    return settings


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
    model: type[DuckDBTarget] | type[RedshiftTarget],
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
