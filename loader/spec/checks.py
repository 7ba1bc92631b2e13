"""The checks of a table spec: a metric of the loaded rows, and its bound."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from pydantic import (
    StrictInt,
    StrictStr,
    model_validator,
)

from loader.spec.fields import Model, Name, Number

OPERATORS = {
    "must_be": "=",
    "must_not_be": "<>",
    "must_be_greater_than": ">",
    "must_be_greater_or_equal_to": ">=",
    "must_be_less_than": "<",
    "must_be_less_or_equal_to": "<=",
    "must_be_between": "between",
    "must_not_be_between": "not between",
}
"""Operator → how it is displayed."""


class Check(Model):
    """A metric of the loaded slice, and its bound, checked before COMMIT."""

    metric: Literal[
        "row_count", "null_values", "missing_values", "invalid_values", "duplicate_values"
    ]
    """What is counted: rows; NULLs; NULLs and words that mean NULL; disallowed values; rows that
    repeat a value."""
    name: StrictStr | None = None
    """The check's name in messages; default the metric and its columns."""
    column: Name | None = None
    """The column; required by every metric but `row_count`."""
    columns: tuple[Name, ...] = ()
    """For `duplicate_values` over several columns together."""
    missing_values: tuple[StrictStr, ...] = ()
    """For `missing_values`: words that count as missing, in addition to NULL."""
    valid_values: tuple[StrictStr | StrictInt, ...] = ()
    """For `invalid_values`: the only values allowed; NULL is not counted."""
    unit: Literal["rows", "percent"] = "rows"
    """Whether the metric is a number of rows, or a percentage of the slice's rows."""
    severity: Literal["error", "warning"] = "error"
    """Whether a failed check rolls the load back, or is only reported."""
    must_be: Number | None = None
    """It must equal this."""
    must_not_be: Number | None = None
    """It must not equal this."""
    must_be_greater_than: Number | None = None
    """It must be greater than this."""
    must_be_greater_or_equal_to: Number | None = None
    """It must be greater than or equal to this."""
    must_be_less_than: Number | None = None
    """It must be less than this."""
    must_be_less_or_equal_to: Number | None = None
    """It must be less than or equal to this."""
    must_be_between: tuple[Number, Number] | None = None
    """The minimum and maximum, both included."""
    must_not_be_between: tuple[Number, Number] | None = None
    """It must be less than the first, or greater than the second."""

    @model_validator(mode="after")
    def _complete(self) -> Check:
        given = [name for name in OPERATORS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"expected one bound, found {len(given)}; the bounds are " + ", ".join(OPERATORS)
            )
        if self.metric == "row_count" and (self.column or self.columns):
            raise ValueError("row_count does not have a column")
        if self.metric != "row_count" and not (self.column or self.columns):
            raise ValueError(f"{self.metric} needs a column")
        if self.columns and (self.metric != "duplicate_values" or self.column):
            raise ValueError("columns is for duplicate_values, instead of column")
        if (self.metric == "invalid_values") != bool(self.valid_values):
            raise ValueError("invalid_values needs valid_values, and only it takes them")
        if self.missing_values and self.metric != "missing_values":
            raise ValueError("only the metric missing_values takes missing_values")
        return self

    @property
    def operator(self) -> str:
        """The key of the bound."""
        return next(name for name in OPERATORS if getattr(self, name) is not None)

    @property
    def bound(self) -> tuple[Decimal, ...]:
        """The bound's number, or the two ends of its range."""
        value = getattr(self, self.operator)
        return value if isinstance(value, tuple) else (value,)

    @property
    def counted(self) -> tuple[str, ...]:
        """The columns of the metric."""
        return (self.column,) if self.column else self.columns

    @property
    def label(self) -> str:
        """A short name for the check."""
        return self.name or " ".join([self.metric, *self.counted])

    @property
    def expectation(self) -> str:
        """The bound as text: ``> 0``, ``between 1 and 5``."""
        return f"{OPERATORS[self.operator]} {' and '.join(map(str, self.bound))}"

    def has_rows(self, value: Decimal) -> bool:
        """Whether there are rows to show for a value that violates the bound."""
        if self.metric == "row_count" or value <= 0:
            return False
        if self.operator in ("must_be", "must_be_between"):
            return value > self.bound[-1]
        # Too few of what is counted is nothing that rows can show.
        return self.operator not in ("must_be_greater_than", "must_be_greater_or_equal_to")

    def holds(self, value: Decimal | float) -> bool:
        """Whether a measured value satisfies the bound."""
        number, low, high = Decimal(str(value)), self.bound[0], self.bound[-1]
        return {
            "must_be": number == low,
            "must_not_be": number != low,
            "must_be_greater_than": number > low,
            "must_be_greater_or_equal_to": number >= low,
            "must_be_less_than": number < low,
            "must_be_less_or_equal_to": number <= low,
            "must_be_between": low <= number <= high,
            "must_not_be_between": not low <= number <= high,
        }[self.operator]
