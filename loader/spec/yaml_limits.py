"""Limits of the YAML that is read: how deeply it may be nested, how long a number may be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import yaml

PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml where the wheel has it; ten times faster than the Python parser."""

DEEPEST = 100
"""Levels of nesting. pydantic writes specs of up to 255; libyaml's composer has no limit and
overflows the stack, which ends the process."""

LONGEST_NUMBER = 400
"""Characters. No type holds a number of more, Python does not write one of more than 4,300 digits,
and reading one with colons (of base 60) takes the square of its length."""

_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


def check_depth(text: str) -> list[Any]:
    """Check that a text is not nested too deeply; returns the marks of its anchors.

    Other errors in the text are left to the reader.

    Raises:
        yaml.MarkedYAMLError: it is; with the place.
    """
    depth = 0
    anchors = []
    for event in _events(text):
        if isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
            depth += isinstance(event, yaml.CollectionStartEvent)
            if depth > DEEPEST:
                raise too_deep(event.start_mark)
            if event.anchor:
                anchors.append(event.start_mark)
    return anchors


def _events(text: str) -> Iterator[Any]:
    with suppress(yaml.YAMLError):
        yield from yaml.parse(text, Loader=PARSER)


def too_deep(mark: Any) -> yaml.MarkedYAMLError:
    """The error for a text that is nested too deeply at a mark."""
    message = f"it is nested too deeply, more than {DEEPEST} levels"
    return yaml.MarkedYAMLError(problem=message, problem_mark=mark)


def check_number(tag: str, text: str) -> None:
    """Check that a number is not too long.

    Raises:
        ValueError: it is.
    """
    if tag in _NUMBERS and len(text) > LONGEST_NUMBER:
        raise ValueError(
            f"a number has at most {LONGEST_NUMBER} characters, this has {len(text):,}"
        )
