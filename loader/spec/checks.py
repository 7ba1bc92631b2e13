"""The checks of a table spec: a metric of the loaded rows and the bound it must keep."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from pydantic import (
    StrictInt,
    StrictStr,
    model_validator,
)

from loader.spec.fields import Model, Number
from loader.spec.names import Name

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
"""The ways to bound a metric → how the bound reads."""


class Check(Model):
    """One metric of the loaded slice and the bound it must keep, before COMMIT."""

    metric: Literal[
        "row_count", "null_values", "missing_values", "invalid_values", "duplicate_values"
    ]
    """What is counted: rows; NULLs; NULLs and words that mean it; values that are not allowed; rows
    beyond the first of each value."""
    name: StrictStr | None = None
    """What the check is called in messages; default the metric and its columns."""
    column: Name | None = None
    """The column; required by every metric but `row_count`."""
    columns: tuple[Name, ...] = ()
    """For `duplicate_values` over several columns together."""
    missing_values: tuple[StrictStr, ...] = ()
    """For `missing_values`: words that count as missing beside NULL."""
    valid_values: tuple[StrictStr | StrictInt, ...] = ()
    """For `invalid_values`: the only values allowed; NULL is not counted."""
    unit: Literal["rows", "percent"] = "rows"
    """Whether the metric is a number of rows, or a share of the slice's rows."""
    severity: Literal["error", "warning"] = "error"
    """Whether a failure rolls the load back, or is only reported."""
    must_be: Number | None = None
    """The only number it may be."""
    must_not_be: Number | None = None
    """The number it may not be."""
    must_be_greater_than: Number | None = None
    """It must be more than this."""
    must_be_greater_or_equal_to: Number | None = None
    """It must be this or more."""
    must_be_less_than: Number | None = None
    """It must be less than this."""
    must_be_less_or_equal_to: Number | None = None
    """It must be this or less."""
    must_be_between: tuple[Number, Number] | None = None
    """The least and the most it may be, both included."""
    must_not_be_between: tuple[Number, Number] | None = None
    """It must be less than the first or more than the second."""

    @model_validator(mode="after")
    def _complete(self) -> Check:
        given = [name for name in OPERATORS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"a check has one bound, this one has {len(given)}; the bounds are "
                + ", ".join(OPERATORS)
            )
        if self.metric == "row_count" and (self.column or self.columns):
            raise ValueError("row_count counts rows and takes no column")
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
        """The one bound that is given, by its key."""
        return next(name for name in OPERATORS if getattr(self, name) is not None)

    @property
    def bound(self) -> tuple[Decimal, ...]:
        """The bound's number, or the two ends of its range."""
        value = getattr(self, self.operator)
        return value if isinstance(value, tuple) else (value,)

    @property
    def counted(self) -> tuple[str, ...]:
        """The columns the metric is over."""
        return (self.column,) if self.column else self.columns

    @property
    def label(self) -> str:
        """The check in one short phrase."""
        return self.name or " ".join([self.metric, *self.counted])

    @property
    def expectation(self) -> str:
        """The bound as people write it: ``> 0``, ``between 1 and 5``."""
        return f"{OPERATORS[self.operator]} {' and '.join(map(str, self.bound))}"

    def has_rows(self, value: Decimal) -> bool:
        """Whether there are rows to show for a value that is beyond the bound."""
        if self.metric == "row_count" or value <= 0:
            return False
        if self.operator in ("must_be", "must_be_between"):
            return value > self.bound[-1]
        # Too few of what is counted is nothing that rows can show.
        return self.operator not in ("must_be_greater_than", "must_be_greater_or_equal_to")

    def holds(self, value: Decimal | float) -> bool:
        """Whether a measured value keeps the bound."""
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
