"""Turns a target's settings, as somebody wrote them, into the settings of its warehouse."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping, Set
from typing import Any

from pydantic import BaseModel, ValidationError

from loader.errors import Problem
from loader.redaction import KNOWN, find_secrets, is_secret_name
from loader.warehouse.registry import get_adapter, warehouse_names
from loader.warehouse.settings import TargetSettings

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")

_AMBIENT = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")
"""Secret environment variables that boto3 reads itself."""


def settings_model(kind: object) -> tuple[type[TargetSettings] | None, list[Problem]]:
    """The model of the settings of a type of target, or the problem with the type.

    Raises:
        ConfigError: the package of the warehouse cannot be imported.
    """
    try:
        return get_adapter(str(kind)).settings, []
    except KeyError:
        names = warehouse_names()
        close = difflib.get_close_matches(str(kind), names, n=1)
        hint = f"did you mean `{close[0]}`?" if close else None
        return None, [Problem(f"type is not one of {', '.join(names)}", ("type",), hint)]


def without_unknown(values: Mapping[str, Any], model: type[TargetSettings]) -> dict[str, Any]:
    """The settings without non-text ones that contain an unset variable."""
    texts = {name for name, field in model.model_fields.items() if field.annotation is str}
    return {
        key: value
        for key, value in values.items()
        if key in texts or key not in model.model_fields or "${" not in str(value)
    }


def register_secrets(values: Mapping[str, Any]) -> None:
    """Hide the secrets of these settings in all output from now on, even of invalid settings."""
    found = [one for one in find_secrets(values) if not _VARIABLE.fullmatch(one)]
    KNOWN.add(*found, *(os.environ.get(name, "") for name in _AMBIENT))


def find_misplaced_secrets(raw: Mapping[str, Any], loc: tuple[str, ...] = ()) -> Iterator[Problem]:
    """Printed settings that refer to a secret environment variable."""
    for key, value in raw.items():
        if isinstance(value, Mapping):
            yield from find_misplaced_secrets(value, (*loc, key))
        for variable in _VARIABLE.finditer(value) if isinstance(value, str) else ():
            # The name of a Secrets Manager secret is not secret itself.
            name = variable[1].upper().replace("SECRET", "") if key == "secret_id" else variable[1]
            if is_secret_name(name) and not is_secret_name(key):
                shown = ".".join((*loc, key))
                yield Problem(
                    f"the name ${{{variable[1]}}} looks like a secret, and `{shown}` is printed;"
                    " use secrets in `password` only",
                    (*loc, key),
                )
                KNOWN.add(os.environ.get(variable[1], ""), variable[2] or "")


def expand_variables(
    raw: Mapping[str, Any], *, keep: bool
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Replace ``${NAME}`` by the environment variable's value.

    Args:
        raw: The settings as written.
        keep: Whether a reference to an unset variable stays as it is.

    Returns:
        The settings, and the path and name of each variable that is not set.
    """
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


def validate_settings(
    model: type[TargetSettings],
    values: Mapping[str, Any],
    names: Mapping[str, str] | None = None,
) -> tuple[TargetSettings | None, list[Problem]]:
    """The settings of a target, or everything that is wrong in them.

    Args:
        model: The model of its type.
        values: The settings, with variables replaced.
        names: The owner's own names of keys, for messages.
    """
    try:
        return model.model_validate(values), []
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        return None, [
            _settings_problem(detail["loc"], detail["type"], detail["msg"], model, names or {})
            for detail in details
        ]


def find_missing(
    settings: TargetSettings, raw: Mapping[str, Any], names: Mapping[str, str] | None = None
) -> list[Problem]:
    """What settings that are valid lack, each with the reason."""
    return [
        Problem(f"{why}{_explain_empty(settings, key, raw)}", ((names or {}).get(key, key),))
        for key, why in settings.find_missing().items()
    ]


def check_settings(raw: Mapping[str, Any]) -> list[Problem]:
    """Everything wrong in a target's settings that no environment variable can put right.

    Raises:
        ConfigError: the package of the warehouse cannot be imported.
    """
    model, problems = settings_model(raw.get("type"))
    problems += find_misplaced_secrets(raw)
    if model is None:
        return problems
    values, _ = expand_variables(raw, keep=True)
    register_secrets(values)
    values = without_unknown(values, model)
    settings, found = validate_settings(model, values)
    wrong = {problem.loc for problem in problems}
    problems += [problem for problem in found if problem.loc not in wrong]
    refused = {str(problem.loc[0]) for problem in found}
    settings = settings or _validate_without(refused, values, model)
    if settings is None:
        return problems
    # With defaults, and with text in place of every variable: what is missing both times.
    filled = _validate_without(refused, without_unknown(raw, model), model)
    always = settings.find_missing().keys() & (filled or settings).find_missing().keys()
    meant = {name for key in refused for name in difflib.get_close_matches(key, model.model_fields)}
    return [
        *problems,
        *(
            problem
            for problem in find_missing(settings, raw)
            if (key := str(problem.loc[0])) in always - meant and "${" not in str(raw.get(key))
        ),
    ]


def _validate_without(
    refused: Set[str], values: Mapping[str, Any], model: type[TargetSettings]
) -> TargetSettings | None:
    """The settings without those that are wrong, to find what is missing beside them."""
    sound = {key: value for key, value in values.items() if key not in refused}
    return validate_settings(model, sound)[0]


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
    names: Mapping[str, str],
) -> Problem:
    *tables, key = map(str, place)
    loc = (*tables, names.get(key, key))
    if kind != "extra_forbidden":
        return Problem(_reword(message), loc)
    for table in tables:
        inner = model.model_fields[table].annotation
        assert isinstance(inner, type)
        assert issubclass(inner, BaseModel)
        model = inner
    close = difflib.get_close_matches(key, model.model_fields, n=1)
    known = f"did you mean `{close[0]}`?" if close else f"keys: {', '.join(model.model_fields)}"
    return Problem(f"unknown key `{'.'.join(loc)}`", loc, known, on_key=True)


def _reword(message: str) -> str:
    """A message of pydantic in the words of the other messages.

    >>> _reword("Input should be a valid integer, unable to parse string as an integer")
    'must be a whole number'
    """
    text = message.removeprefix("Value error, ")
    if text.startswith("Input should be "):
        text = text.partition(", unable to")[0].replace("Input should be", "must be")
        for theirs, ours in _WORDS.items():
            text = text.replace(theirs, ours)
    return text


_WORDS = {
    "a valid integer": "a whole number",
    "a valid number": "a number",
    "a valid boolean": "true or false",
    "a valid string": "text",
    "a valid dictionary or instance of TargetSession": "a table",
}
"""Pydantic's words for types, and ours."""
