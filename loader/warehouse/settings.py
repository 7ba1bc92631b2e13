"""What the settings of every target have in common, and the types their fields are made of."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

from loader.redaction import find_credentials
from loader.sql.dialects.base import check_schema


def check_no_credentials(value: str) -> str:
    """A setting that is printed.

    Raises:
        ValueError: it holds a password or a key.
    """
    if any(True for _ in find_credentials(value)):
        raise ValueError(
            "holds a password or a key, and this setting is printed; `password` is the only one"
            " that is not, and boto3 finds keys by itself"
        )
    return value


def matching(pattern: str, expected: str) -> AfterValidator:
    """A validator of text that must match a pattern, once all its variables are known.

    Args:
        pattern: A regular expression for the whole text.
        expected: What the error says the text must be.
    """

    def check(value: str) -> str:
        if "${" not in value and not re.fullmatch(pattern, value, re.ASCII):
            raise ValueError(f"must be {expected}")
        return check_no_credentials(value)

    return AfterValidator(check)


Printed = Annotated[str, AfterValidator(check_no_credentials)]
"""Text that may be printed."""


class TargetSettings(BaseModel):
    """The settings of a target. Each warehouse has a subclass with keys of its own.

    ``type`` becomes a ``Literal`` of the warehouse's name there.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True
    )

    type: str
    database: Printed = ""
    staging: Printed = ""
    """Where loads stage their files: a folder, or `s3://bucket/prefix`."""
    ledger_schema: Annotated[Printed, AfterValidator(check_schema)] = "loader"
    """Schema of the ledger; empty turns it off."""

    def find_missing(self) -> dict[str, str]:
        """The settings without which nothing can be loaded, each with what it is for."""
        return {}
