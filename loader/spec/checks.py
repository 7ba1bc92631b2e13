"""The checks of a table spec: a metric of the loaded rows, and its bound."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from pydantic import Field, StrictStr, model_validator

from loader.spec.fields import CheckValue, Condition, Model, Number, Pattern, Query, Rows
from loader.spec.names import Name, SchemaName
from loader.sql.queries import find_places

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

Metric = Literal[
    "row_count",
    "null_values",
    "missing_values",
    "invalid_values",
    "duplicate_values",
    "failed_rows",
    "minimum",
    "maximum",
    "freshness",
    "sql",
]

CRITERIA: dict[str, tuple[tuple[str, ...], ...]] = {
    "invalid_values": (
        ("valid_values",),
        ("pattern",),
        ("minimum", "maximum"),
        ("references",),
    ),
    "failed_rows": (("expression",), ("query",)),
    "sql": (("query",),),
}
"""Metric → what it needs one of: keys that belong together are one."""

NEEDS_COLUMN = (
    "null_values",
    "missing_values",
    "invalid_values",
    "duplicate_values",
    "minimum",
    "maximum",
    "freshness",
)
"""The metrics of a column."""

TIME_UNITS = {"minutes": 60, "hours": 3_600, "days": 86_400}
"""The units of `freshness`, in seconds."""

_LONGEST_LABEL = 60


class Reference(Model):
    """The column of another table that has all valid values."""

    schema_name: SchemaName | None = Field(default=None, alias="schema")
    """The other table's schema; default that of this table."""
    table: Name
    """The other table; it may be this one."""
    column: Name
    """Its column."""


class Check(Model):
    """A metric of the loaded slice, and its bound, checked before COMMIT."""

    metric: Metric
    """What is measured: the number of rows; of NULLs; of NULLs and words that mean NULL; of values
    that are not valid; of rows that repeat a value; of rows that fail an expression or that a query
    returns; the column's least or greatest value; the age of its newest value; or the number that a
    query returns."""
    name: StrictStr | None = None
    """The check's name in messages; default the metric and its columns."""
    column: Name | None = None
    """The column; required by the metrics of a column."""
    columns: tuple[Name, ...] = ()
    """For `duplicate_values` over several columns together."""
    missing_values: tuple[StrictStr, ...] = ()
    """For `missing_values`: words that count as missing, in addition to NULL."""
    valid_values: tuple[CheckValue, ...] = ()
    """For `invalid_values`: the only values allowed."""
    pattern: Pattern | None = None
    """For `invalid_values`: a regular expression that is found in each valid value; `^` and `$` are
    the ends of the value. Classes such as `\\d` are of ASCII characters."""
    minimum: CheckValue | None = None
    """For `invalid_values`: the least valid value."""
    maximum: CheckValue | None = None
    """For `invalid_values`: the greatest valid value."""
    references: Reference | None = None
    """For `invalid_values`: values are valid that are in the column of another table."""
    expression: Condition | None = None
    """For `failed_rows`: SQL over the columns that is true of each good row."""
    query: Query | None = None
    """For `failed_rows`: a SELECT that returns the bad rows; for `sql`: one that returns a number.
    `{slice}` stands for the rows of the slice, and `{table}` for the whole table."""
    unit: Literal["rows", "percent", "minutes", "hours", "days"] = "rows"
    """Whether the metric is a number of rows, or a percentage of the slice's rows. Of `freshness`,
    which requires it: `minutes`, `hours` or `days`."""
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
        self._check_columns()
        self._check_criteria()
        self._check_unit()
        return self

    def _check_columns(self) -> None:
        metric = self.metric
        if metric not in NEEDS_COLUMN and (self.column or self.columns):
            raise ValueError(f"{metric} does not have a column")
        if metric in NEEDS_COLUMN and not (self.column or self.columns):
            raise ValueError(f"{metric} needs a column")
        if self.columns and (metric != "duplicate_values" or self.column):
            raise ValueError("columns is for duplicate_values, instead of column")
        if self.missing_values and metric != "missing_values":
            raise ValueError("only the metric missing_values takes missing_values")

    def _check_criteria(self) -> None:
        wanted = CRITERIA.get(self.metric, ())
        allowed = [key for keys in wanted for key in keys]
        for metric, choices in CRITERIA.items():
            strays = [key for keys in choices for key in keys if key not in allowed]
            for key in filter(self._has, strays):
                raise ValueError(f"{key} is for {metric}, not for {self.metric}")
        given = [keys for keys in wanted if any(map(self._has, keys))]
        if wanted and len(given) != 1:
            choice = ", ".join(" and ".join(keys) for keys in wanted)
            one = "exactly one of " if len(wanted) > 1 else ""
            raise ValueError(f"{self.metric} needs {one}{choice}")

    def _has(self, key: str) -> bool:
        return getattr(self, key) not in (None, ())

    def _check_unit(self) -> None:
        is_time = self.unit in TIME_UNITS
        if is_time != (self.metric == "freshness"):
            units = ", ".join(TIME_UNITS)
            raise ValueError(f"freshness needs a unit, {units}, and only freshness has one of them")
        if self.unit == "percent" and not self.counts_rows_of_slice:
            raise ValueError(f"{self.metric} is not a share of rows, so it has no percentage")

    @property
    def measures_values(self) -> bool:
        """Whether the metric is of values, of which there may be none, and not a number of rows."""
        return self.metric in ("minimum", "maximum", "freshness", "sql")

    @property
    def counts_rows_of_slice(self) -> bool:
        """Whether the metric counts rows of the slice, so that a share of them can be told."""
        return not self.measures_values and self.query is None

    @property
    def of_whole_table(self) -> bool:
        """Whether it is measured in the whole table, whatever slice is loaded."""
        return self.metric == "freshness"

    @property
    def reads_slice(self) -> bool:
        """Whether its query has a place for the slice."""
        return self.query is not None and "slice" in find_places(self.query)

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
    def criterion(self) -> str:
        """What makes a value valid or a row good, in a few words; empty for other metrics."""
        if self.pattern is not None:
            return f"pattern {self.pattern}"
        if self.minimum is not None or self.maximum is not None:
            ends = {"minimum": self.minimum, "maximum": self.maximum}
            return ", ".join(f"{end} {value}" for end, value in ends.items() if value is not None)
        if self.references is not None:
            other = self.references
            schema = f"{other.schema_name}." if other.schema_name else ""
            return f"references {schema}{other.table}.{other.column}"
        return " ".join((self.expression or self.query or "").split())

    @property
    def written(self) -> str | None:
        """The key with what a warehouse may not understand, such as `query`."""
        keys = ("query", "expression", "pattern", "references")
        return next((key for key in keys if getattr(self, key) is not None), None)

    @property
    def label(self) -> str:
        """A short name for the check."""
        if self.name:
            return self.name
        label = " ".join(filter(None, [self.metric, *self.counted, self.criterion]))
        return label if len(label) <= _LONGEST_LABEL else label[: _LONGEST_LABEL - 1] + "…"

    @property
    def expectation(self) -> str:
        """The bound as text: ``> 0``, ``between 1 and 5``, ``< 24 hours``."""
        unit = f" {self.unit}" if self.unit in TIME_UNITS else ""
        return f"{OPERATORS[self.operator]} {' and '.join(map(str, self.bound))}{unit}"

    def has_rows(self, value: Decimal | None) -> bool:
        """Whether there are rows to show for a value that violates the bound."""
        if self.metric in ("row_count", "sql") or value is None:
            return False
        if self.metric in ("minimum", "maximum", "freshness"):
            return True
        if value <= 0:
            return False
        if self.operator in ("must_be", "must_be_between"):
            return value > self.bound[-1]
        # Too few of what is counted is nothing that rows can show.
        return self.operator not in ("must_be_greater_than", "must_be_greater_or_equal_to")

    def holds(self, value: Decimal | float | None) -> bool:
        """Whether a measured value satisfies the bound.

        Where there is no value, a minimum or maximum does; a freshness or a query does not.
        """
        if value is None:
            return self.metric in ("minimum", "maximum")
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


class Guards(Model):
    """What a load that replaces rows may not do, compared with what was there before."""

    slice_shrinks_by: Rows | None = None
    """A load that leaves a partition, or a table without partitions, with so many rows (`1000`) or
    such a share (`20%`) fewer than it had before fails. Each partition is compared by itself;
    `--allow-shrink` lets it through."""
    severity: Literal["error", "warning"] = "error"
    """Whether such a load is rolled back, or only reported."""

    def is_lost(self, before: int, after: int) -> bool:
        """Whether a partition with so many rows before and after has lost too many.

        >>> Guards(slice_shrinks_by="20%").is_lost(100, 80)
        True
        """
        lost, most = before - after, self.slice_shrinks_by
        if most is None or lost <= 0:
            return False
        if isinstance(most, str):
            return Decimal(lost) * 100 >= Decimal(most.removesuffix("%")) * before
        return lost >= most
