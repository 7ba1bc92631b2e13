"""Where the values of a column come from: `from` of a column in a table spec."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from math import isfinite
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from loader.spec.typed_values import Scalar

Kind = Literal["column", "constant", "file", "file_row", "loaded_at", "load_id", "path"]

KEYWORDS: dict[str, Kind] = {
    "file": "file",
    "file_row": "file_row",
    "loaded_at": "loaded_at",
    "load_id": "load_id",
}
"""Words that name a fact of the load; `path.<key>` is the other one."""

MAX_LOAD_ID = 128
"""The most bytes of a load id."""

_PATH = "path."
_WRITTEN = f"{', '.join(KEYWORDS)}, path.<key>, {{constant: …}}, or a column of the data"
_MISTAKEN = {
    "literal": "constant",
    "value": "constant",
    "const": "constant",
    "name": "column",
    "field": "column",
}


@dataclass(frozen=True)
class ColumnSource:
    """Where the values of a column come from."""

    kind: Kind
    name: str = ""
    """The column of the data, or the key in the path."""
    value: Scalar | None = None
    """The constant; dates and times are text in ISO 8601."""

    @property
    def is_data(self) -> bool:
        """Whether the values are in the data, under this name."""
        return self.kind == "column"

    @property
    def is_of_file(self) -> bool:
        """Whether only files have such a value, and frames do not."""
        return self.kind in ("file", "file_row", "path")

    def __str__(self) -> str:
        """As one writes it after ``from:``, without the quotes of YAML."""
        match self.kind:
            case "column":
                return f"{{column: {self.name}}}" if _needs_key(self.name) else self.name
            case "constant":
                return f"{{constant: {self.value}}}"
            case "path":
                return f"{_PATH}{self.name}"
        return self.kind


def _is_keyword(word: str) -> bool:
    return word.casefold() in KEYWORDS or word.casefold().startswith(_PATH)


def _needs_key(name: str) -> bool:
    """Whether the name of a column has to be written as `{column: …}`."""
    return name in ("", "path") or _is_keyword(name)


def _parse(given: object) -> object:
    match given:
        case ColumnSource():
            return given
        case str():
            return _parse_word(given)
        case dict() if len(given) == 1:
            ((key, value),) = given.items()
            if key == "column":
                return ColumnSource("column", _check_column(value))
            if key == "constant":
                return ColumnSource("constant", value=_check_constant(value))
            if key == "path" and isinstance(value, str):
                raise ValueError(f"unknown key `path`; write `from: {_PATH}{value}`")
            meant = _MISTAKEN.get(str(key))
            hint = f"use `{meant}`" if meant else "the keys here are column, constant"
            raise ValueError(f"unknown key `{key}`; {hint}")
        case dict():
            raise ValueError("expected one key, `column` or `constant`")
    if isinstance(given, list):
        raise ValueError(f"expected {_WRITTEN}; found a list")
    shown = str(given).lower() if isinstance(given, bool) else given
    raise ValueError(
        f"expected {_WRITTEN}; for the value itself write `from: {{constant: {shown}}}`"
    )


def _parse_word(word: str) -> ColumnSource:
    if word in KEYWORDS:
        return ColumnSource(KEYWORDS[word])
    if word.startswith(_PATH) and word != _PATH:
        return ColumnSource("path", word.removeprefix(_PATH))
    if word == _PATH or word in ("", "path"):
        raise ValueError(
            f"`{word}` is not a source of values; write `{_PATH}<key>`, such as path.day"
        )
    if _is_keyword(word):
        raise ValueError(
            f"`{word}` is a keyword in other letters: write `{word.lower()}`, or"
            f" `from: {{column: {word}}}` for a column of the data"
        )
    return ColumnSource("column", word)


def _check_column(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("`column` takes the name of a column of the data; put quotes around it")
    return value


def _check_constant(value: object) -> Scalar:
    if isinstance(value, float) and isfinite(value):
        return Decimal(str(value))
    if isinstance(value, datetime):
        raise ValueError("a time of `constant` is text; put quotes around it")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str | bool | int):
        return value
    if isinstance(value, Decimal) and value.is_finite():
        return value
    if value is None:
        raise ValueError("`constant` is nothing; for NULL leave the column out of the data")
    raise ValueError("`constant` takes text, a number, a date, true or false")


def to_plain(source: ColumnSource | None) -> Any:
    """As a spec's YAML has it, so that it reads back as the same source."""
    if source is None:
        return None
    if source.kind == "constant":
        return {"constant": source.value}
    if source.kind == "column" and _needs_key(source.name):
        return {"column": source.name}
    return str(source)


FromField = Annotated[
    ColumnSource,
    BeforeValidator(_parse),
    PlainSerializer(to_plain),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1, "not": {"enum": ["path", _PATH]}},
                {
                    "type": "object",
                    "properties": {"column": {"type": "string"}},
                    "required": ["column"],
                    "additionalProperties": False,
                },
                {
                    "type": "object",
                    "properties": {"constant": {"type": ["string", "number", "boolean"]}},
                    "required": ["constant"],
                    "additionalProperties": False,
                },
            ],
            "examples": [*KEYWORDS, "path.day", "Order ID"],
        }
    ),
]
