"""The settings that all targets share, and the types of their fields."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

from loader.redaction import find_credentials
from loader.sql.dialects.base import check_schema


def check_no_credentials(value: str) -> str:
    """Check that a setting, which may be printed, contains no credentials.

    Raises:
        ValueError: it contains a password or a key.
    """
    if any(True for _ in find_credentials(value)):
        raise ValueError(
            "contains a password or a key, but this setting is printed; put a password into"
            " `password`, and leave keys to boto3"
        )
    return value


def matching(pattern: str, expected: str) -> AfterValidator:
    """Make a validator for text that must match a pattern; skipped while it contains variables.

    Args:
        pattern: A regular expression for the whole text.
        expected: The expected text, for the error message.
    """

    def check(value: str) -> str:
        if "${" not in value and not re.fullmatch(pattern, value, re.ASCII):
            raise ValueError(f"must be {expected}")
        return check_no_credentials(value)

    return AfterValidator(check)


Printed = Annotated[str, AfterValidator(check_no_credentials)]
"""Text that may be printed, so that it must not contain credentials."""


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
        """The missing settings that loads need, each with its purpose."""
        return {}
