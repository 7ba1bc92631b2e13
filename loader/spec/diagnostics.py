"""Validates the data of a YAML file: returns a table spec, or all problems in readable form."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from loader.errors import Loc, Problem
from loader.spec import rules
from loader.spec.model import TableSpec
from loader.spec.synonyms import KEY_SYNONYMS, WORD_SYNONYMS


def diagnose(data: Mapping[str, Any]) -> tuple[TableSpec | None, list[Problem]]:
    """Validate a document: return its spec, or None and all problems.

    Rules between fields are checked even when single fields are wrong, as far as the valid ones
    allow, so that one run shows everything there is to fix.
    """
    try:
        found = TableSpec.model_validate(data)
    except ValidationError as error:
        wrong: dict[Loc, Problem] = {}
        for detail in error.errors(include_url=False):
            loc = _document_loc(data, detail)
            if not _repeats_another(data, detail, loc):
                wrong.setdefault(loc, _make_problem(detail, loc))
        wrong = wrong or {problem.loc: problem for problem in _asset_key_problems(data)}
        return None, [*wrong.values(), *_rule_problems(data, wrong)]
    problems = list(rules.problems(found))
    return (None if problems else found), problems


def _document_loc(data: Any, detail: ErrorDetails) -> Loc:
    """The location without the steps that pydantic adds for unions."""
    real: Loc = ()
    for step in detail["loc"]:
        if _has_step(data, step):
            data = data[step]
            real = (*real, step)
    missing = detail["type"] == "missing" and isinstance(data, dict)
    return (*real, detail["loc"][-1]) if missing else real


def _repeats_another(data: Mapping[str, Any], detail: ErrorDetails, loc: Loc) -> bool:
    """Whether an error only repeats more specific ones."""
    if detail["type"] == "too_short":  # a list of nothing but wrong entries counts as empty
        return bool(_value_at(data, loc))
    if str(detail["loc"][-1]).startswith("literal["):  # a word or a mapping is allowed
        return isinstance(detail.get("input"), dict)
    return loc == () and detail["loc"] == ("asset_key",)  # made of schema and name


def _asset_key_problems(data: Mapping[str, Any]) -> Iterator[Problem]:
    """The problem of a valid schema and name that make no valid asset key."""
    for key in ("schema", "name"):
        word = str(data[key])
        if not all(word.split("/")):
            hint = "add an asset_key, such as shop/orders"
            yield Problem(f"`{word}` has slashes that are not valid in an asset key", (key,), hint)


def _value_at(data: Any, loc: Loc) -> Any:
    for step in loc:
        data = data[step]
    return data


def _rule_problems(data: Mapping[str, Any], wrong: Mapping[Loc, Problem]) -> Iterator[Problem]:
    """The problems between fields that are valid by themselves."""
    partial = _valid_part(data)
    untyped = {loc[:2] for loc in wrong if loc[:1] == ("columns",) and loc[2:] == _TYPE_KEY}
    unknown = bool(untyped) or any(loc[:1] == ("partition_by",) for loc in wrong)
    for problem in rules.problems(partial) if partial else ():
        consequent = unknown and problem.loc[:2] in _NEEDS_DIMENSIONS
        if problem.loc not in wrong and problem.loc[:2] not in untyped and not consequent:
            yield problem


_NEEDS_DIMENSIONS = (("dagster", "partitions"), ("source", "files"), ("source", "query"))
"""Parts that can only be validated if the partition expressions are valid."""


def _valid_part(data: Mapping[str, Any]) -> TableSpec | None:
    """The valid part of an invalid document as a spec, to check rules between fields; else None."""
    pruned = _copy(dict(data))
    for _ in range(5):  # a section that loses its only right key is dropped in the next round
        try:
            return TableSpec.model_validate(pruned)
        except ValidationError as error:
            locs = [_document_loc(pruned, detail) for detail in error.errors(include_url=False)]
            if any(_prevents_rules(loc) for loc in locs):
                return None
            untyped = [loc for loc in locs if loc[:1] == ("columns",) and loc[2:] == _TYPE_KEY]
            for _, at, key in untyped:
                # Most rules accept text, so it takes the type's place without new problems.
                pruned["columns"][at][key] = "varchar"
            pruned = _remove(pruned, [loc for loc in locs if loc not in untyped])
    return None


_TYPE_KEY = ("data_type",)


_HARMLESS_CHECK = {"metric": "row_count", "must_be_greater_or_equal_to": 0}
"""A check without problems, in the place of one that is not valid."""


def _prevents_rules(loc: Loc) -> bool:
    """Whether an error prevents the check of rules: columns without names, no table."""
    return loc in (("columns",), ("schema",), ("name",)) or (
        loc[:1] == ("columns",) and (len(loc) < 3 or loc[2] == "name")
    )


def _remove(data: dict[str, Any], locs: list[Loc]) -> dict[str, Any]:
    """The document without the fields that are not valid."""
    pruned = {key: _copy(value) for key, value in data.items()}
    paths = {loc[:2] if loc[:1] in (("partition_by",), ("checks",)) else loc for loc in locs}
    for path in sorted(paths, key=lambda path: [str(step).zfill(6) for step in path], reverse=True):
        place: Any = pruned
        for at, step in enumerate(path):
            last = at == len(path) - 1
            if not _has_step(place, step):
                break
            if last or not _has_step(place[step], path[at + 1]):
                if path[:1] == ("checks",) and at == 1:
                    place[step] = dict(_HARMLESS_CHECK)  # the others keep their numbers
                else:
                    del place[step]
                break
            place = place[step]
    return pruned


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value


def _has_step(place: Any, step: str | int) -> bool:
    if isinstance(place, dict):
        return step in place
    return isinstance(place, list) and isinstance(step, int) and step < len(place)


def _make_problem(detail: ErrorDetails, loc: Loc) -> Problem:
    found = _describe(detail, loc)
    return replace(found, on_key=True) if detail["loc"][-1:] == ("[key]",) else found


def _describe(detail: ErrorDetails, loc: Loc) -> Problem:
    kind, context = detail["type"], detail.get("ctx", {})
    match kind:
        case "extra_forbidden":
            return _unknown_key(loc)
        case "missing" if isinstance(detail["loc"][-1], int):
            return Problem("has too few entries", loc)
        case "missing":
            return Problem(f"`{loc[-1]}` is missing", loc[:-1])
        case "value_error":
            message = str(context["error"])
            allowed = message.partition(" is not one of ")[2]
            given = detail.get("input")
            return _not_one_of(loc, allowed, given) if allowed else Problem(message, loc)
        case "literal_error":
            return _not_one_of(loc, str(context["expected"]), detail.get("input"))
        case "too_short":
            return Problem("is empty", loc)
        case "too_long":
            return Problem(f"has more than {context['max_length']} entries", loc)
        case _:
            return _wrong_type(loc, kind, detail)


def _not_one_of(loc: Loc, expected: str, given: object) -> Problem:
    allowed = expected.replace(" or ", ", ").replace("'", "")
    text = f"`{str(given).lower() if isinstance(given, bool) else given}` is not one of {allowed}"
    close = difflib.get_close_matches(str(given), allowed.split(", "), n=1)
    hint = f"did you mean `{close[0]}`?" if close else None
    if isinstance(given, bool):
        hint = "YAML reads yes, no, on and off as true and false; put quotes around the word"
    hint = WORD_SYNONYMS.get(tuple(map(str, loc)), {}).get(str(given), hint)
    return Problem(text, loc, hint)


_EXPECTED = {
    "string_type": "text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "tuple_type": "a list",
    "list_type": "a list",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "greater_than": "more than 0",
    "greater_than_equal": "0 or more",
    "finite_number": "a number",
    "string_too_short": "text that is not empty",
}


def _wrong_type(loc: Loc, kind: str, detail: ErrorDetails) -> Problem:
    given = detail.get("input")
    shown = "nothing" if given is None else f"`{_shorten(given)}`"
    wanted = _EXPECTED.get(kind)
    if kind == "string_too_long":
        most = detail.get("ctx", {})["max_length"]
        wanted = "one character" if most == 1 else f"at most {most:,} characters"
    hint: str | None = None
    if kind == "string_type" and isinstance(given, bool):
        hint = "YAML reads yes, no, on and off as true and false; put quotes around the word"
    elif kind == "string_type" and not isinstance(given, dict | list | None):
        hint = "put quotes around it"
    elif kind == "tuple_type" and isinstance(given, str):
        hint = f"write [{{expr: {given}}}]" if loc == ("partition_by",) else f"write [{given}]"
    elif kind == "tuple_type" and isinstance(given, dict):
        hint = "start each entry with `- `"
    if wanted is None:
        return Problem(f"{detail['msg']}; found {shown}", loc)
    return Problem(f"expected {wanted}, found {shown}", loc, hint)


def _shorten(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _unknown_key(loc: Loc) -> Problem:
    key = str(loc[-1])
    section = str(loc[0]) if len(loc) > 1 else ""
    model = _model_at(loc)
    known = [field.alias or name for name, field in model.model_fields.items()] if model else []
    foreign = KEY_SYNONYMS.get(section, {}).get(key)
    if foreign:
        return Problem(f"unknown key `{key}`", loc, f"use `{foreign}`", on_key=True)
    close = difflib.get_close_matches(key, known, n=1)
    listed = f"the keys here are {', '.join(known)}" if known else None
    hint = f"did you mean `{close[0]}`?" if close else listed
    return Problem(f"unknown key `{key}`", loc, hint, on_key=True)


def _model_at(loc: Loc) -> type[BaseModel] | None:
    """The model whose key an error location ends in."""
    model: type[BaseModel] | None = TableSpec
    keyed = False  # the step is a key of the document's own, such as a dimension's name
    for step in loc[:-1]:
        if isinstance(step, int) or model is None or keyed:
            keyed = False
            continue
        field = next((f for n, f in model.model_fields.items() if step in (n, f.alias)), None)
        model = next(_models_in(field.annotation), None) if field else None
        keyed = field is not None and get_origin(field.annotation) is dict
    return model


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
