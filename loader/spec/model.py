"""The table spec: what a reviewed YAML file declares. Frozen, complete, unknown keys refused.

Each field is judged here by itself; rules between fields are in `loader.spec.rules`, and both
become readable problems in `loader.spec.diagnostics`.
"""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    StrictBool,
    StrictInt,
    StrictStr,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import core_schema

from loader.spec.partitions import Dimension, Grain, Weekday
from loader.sql import datatypes, lexer, time_formats
from loader.sql.datatypes import DataType
from loader.sql.dialects.base import RESERVED_SCHEMAS, check_schema
from loader.sql.dialects.redshift import ENCODINGS, MAX_NAME_BYTES


class Model(BaseModel):
    """Frozen, and closed: a key that is not a field is an error."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
        defer_build=True,
    )

    def model_post_init(self, _: object, /) -> None:
        """Share the record of which fields are set, the larger part of most models' memory."""
        fields = self.__pydantic_fields_set__
        shared = _FIELDS_SET.setdefault(frozenset(fields), fields)
        object.__setattr__(self, "__pydantic_fields_set__", shared)


_FIELDS_SET: dict[frozenset[str], set[str]] = {}
"""The same set for all models that have it; they are frozen, so that nothing changes it."""


def _data_type(value: object) -> DataType:
    if isinstance(value, DataType):
        return value
    if not isinstance(value, str):
        raise ValueError("a type is text, such as varchar(40)")
    if value.count("(") > value.count(")"):
        raise ValueError(
            f"`{value}` never closes; inside {{…}} a comma ends a value, so put quotes around"
            ' a type that has one, as in "decimal(12,2)"'
        )
    return datatypes.parse(value)


def _name(value: str) -> str:
    if not value or "\0" in value:
        raise ValueError("a name may not be empty or hold a NUL character")
    if len(value.encode()) > MAX_NAME_BYTES:
        raise ValueError(f"a name has at most {MAX_NAME_BYTES} bytes; Redshift cuts longer ones")
    if value != value.lower():
        raise ValueError(f"Redshift folds names to lower case; write `{value.lower()}`")
    return value


def _expression(value: object) -> object:
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str):
        lexer.check_expression(value)
    return value


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"`{value}` is not a time zone; zones are named like Europe/Berlin or UTC"
        ) from None
    return value


def _takes_parameters(name: str) -> bool:
    try:
        datatypes.parse(f"{name}(1)")
    except ValueError:
        return False
    return True


_BARE_TYPES = "|".join(name for name in datatypes.NAMES if not _takes_parameters(name))
_SHARE = r"0*(100(\.0+)?|[0-9]{1,2}(\.[0-9]+)?)%"


class Matching:
    """Text that a pattern describes, here and in the JSON Schema."""

    def __init__(self, pattern: str, wanted: str) -> None:
        self._pattern, self._wanted = pattern, wanted

    def _check(self, value: str) -> str:
        if not re.fullmatch(self._pattern, value):
            shown = value if value.isprintable() else value.encode("unicode_escape").decode()
            raise ValueError(f"`{shown}` is not {self._wanted}")
        return value

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), "pattern": f"^({self._pattern})$"}


def _size(value: object) -> object:
    if isinstance(value, str):
        match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*(KB|MB|GB)", value.strip(), re.IGNORECASE)
        if match is None:
            raise ValueError(f"`{value}` is not a size; write it like 128MB")
        unit = {"KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}[match[2].upper()]
        return int(float(match[1]) * unit)
    return value


def _encoding_name(value: str) -> str:
    if value not in ENCODINGS:
        raise ValueError(f"`{value}` is not one of {', '.join(ENCODINGS)}")
    return value


def _number(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError(f"expected a number, found `{value}`")
    return Decimal(str(value))


def _partition_key(value: object) -> object:
    if isinstance(value, date):
        return value.isoformat()
    if not isinstance(value, str | int):
        raise ValueError(f"`{value}` is not a partition key; put quotes around it")
    return value


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _max_rejects(value: int | str) -> int | str:
    if isinstance(value, int):
        if value < 0:
            raise ValueError("a number of rows is 0 or more")
    elif not re.fullmatch(_SHARE, value):
        raise ValueError(f"`{value}` is neither a number of rows nor a share such as `1%`")
    return value


def _encoding(value: str) -> str:
    try:
        "".encode(value)
    except LookupError:
        raise ValueError(f"`{value}` is not a text encoding; most files are utf-8") from None
    return value


def _date_format(value: str) -> str:
    return time_formats.check(value, zoned=False)


def _timestamp_format(value: str) -> str:
    return time_formats.check(value, zoned=True)


Type = Annotated[
    DataType,
    BeforeValidator(_data_type),
    PlainSerializer(str),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": rf"^\s*(?!({_BARE_TYPES})\s*\()[A-Za-z_][A-Za-z0-9_ ]*"
            r"(\(\s*([0-9]+|[Mm][Aa][Xx])\s*(,\s*[0-9]+\s*)?\))?\s*$",
            "examples": list(datatypes.NAMES),
        }
    ),
]
Name = Annotated[
    StrictStr,
    AfterValidator(_name),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_NAME_BYTES,
            "pattern": r"^[^A-Z\u0000]*$",
        }
    ),
]
SchemaName = Annotated[
    Name,
    AfterValidator(check_schema),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_NAME_BYTES,
            "pattern": rf"^(?!{RESERVED_SCHEMAS})[^A-Z\u0000]*$",
        }
    ),
]
Expression = Annotated[
    StrictStr,
    BeforeValidator(_expression),
    WithJsonSchema({"type": ["string", "number", "boolean"]}),
]
Zone = Annotated[StrictStr, AfterValidator(_zone)]
Bytes = Annotated[
    StrictInt,
    BeforeValidator(_size),
    Field(gt=0),
    WithJsonSchema(
        {
            "type": ["string", "integer"],
            "pattern": r"^\s*(?!0+(\.0+)?\s*[KkMmGg])[0-9]+(\.[0-9]+)?\s*([KkMmGg][Bb])\s*$",
            "exclusiveMinimum": 0,
        }
    ),
]
Duration = Annotated[StrictStr, Matching(r"[1-9]\d*[smhdw]", "a duration, such as 24h or 7d")]
Encoding = Annotated[
    StrictStr,
    AfterValidator(_encoding_name),
    WithJsonSchema({"type": "string", "enum": list(ENCODINGS)}),
]
Mark = Annotated[
    StrictStr,
    Field(min_length=1, max_length=1),
    Matching(
        r"[\u0001-\u0009\u000b\u000c\u000e-\u007f]",
        "one ASCII character, line ends aside, which is all that CSV readers take",
    ),
]
DateFormat = Annotated[StrictStr, AfterValidator(_date_format)]
TimestampFormat = Annotated[StrictStr, AfterValidator(_timestamp_format)]
PartitionKey = Annotated[
    StrictStr | StrictInt | StrictBool,
    BeforeValidator(_partition_key),
    WithJsonSchema({"type": ["string", "integer", "boolean"]}),
]
Number = Annotated[Decimal, BeforeValidator(_number), WithJsonSchema({"type": "number"})]


class Column(Model):
    """One column of the table."""

    name: Name
    """Its name in the table; frames and files are matched by it."""
    data_type: Type
    """Redshift's type, such as `varchar(40)`; DuckDB's is derived from it."""
    nullable: StrictBool = True
    """Whether it may hold NULL; columns of `primary_key` and identities may not."""
    description: StrictStr | None = None
    """What a value means, with its unit."""
    encode: Encoding | None = None
    """Compression encoding. Redshift only."""
    default: Expression | None = None
    """SQL expression for loads that do not bring this column; `getdate()` and `sysdate` work on
    DuckDB too."""
    identity: Annotated[tuple[StrictInt, StrictInt] | None, Field(strict=False)] = None
    """Generated numbers: `[seed, step]`, for integer and bigint. Never staged. IDENTITY on
    Redshift, a sequence on DuckDB."""
    classification: StrictStr | None = None
    """A free word such as `pii`, a tag of the column in Dagster. The values of the column stay out
    of the rows that a failed check shows, and of the figures in results, ledger and Dagster."""


class PartitionBy(Model):
    """One partition expression, a dimension of the table."""

    name: StrictStr | None = Field(default=None, min_length=1)
    """The dimension's name; required with more than one dimension; default the column, or
    `partition`."""
    expr: StrictStr = Field(min_length=1)
    """SQL over the columns; a bare column takes that column's type."""
    data_type: Type | None = None
    """The expression's type; required when it is not a bare column."""
    grain: Grain | None = None
    """With a grain a key is a window of time, its start included and its end not; without one a key
    is a value."""
    timezone: Zone = "UTC"
    """The zone the partition keys are in."""
    column_timezone: Zone | None = None
    """The zone of the values of a `timestamp` or text column; default UTC, of text that of the
    keys."""
    format: StrictStr | None = None
    """How a text column writes its times, as strftime; the default is ISO 8601."""
    week_start: Weekday = "monday"
    """The day weeks start on, with grain week."""


class Merge(Model):
    """How `write_disposition: merge` brings rows together."""

    strategy: Literal["delete_insert", "merge"] = "delete_insert"
    """Delete the matching rows and insert, or the warehouse's own MERGE. The table is the same
    after either: columns that a load does not bring keep their values for known keys, and get their
    default for new ones; where there are such columns, identities among them, MERGE does it."""
    on_duplicate: Literal["fail", "last"] = "fail"
    """What two rows of one key in the load mean: an error, or the last one wins."""
    order_by: tuple[Name, ...] = ()
    """The columns that say which of two rows of one key is the later, in the load and in the table;
    needed with `on_duplicate: last`. NULL comes before every value."""
    on_older: Literal["keep", "overwrite"] = "keep"
    """What a row that is older by `order_by` than the table's row of its key does: the table's is
    kept, or overwritten all the same. Of two rows equally old the load's wins."""


class SchemaContract(Model):
    """What may differ between a frame, its spec, and the live table."""

    extra_columns: Literal["fail", "ignore"] = "fail"
    """Columns of the data that the spec lacks: an error, or left out."""
    bad_rows: Literal["fail", "reject"] = "fail"
    """Rows that do not fit: an error, or set aside in a Parquet file with the reason of each."""
    max_rejects: Annotated[
        StrictInt | StrictStr,
        AfterValidator(_max_rejects),
        WithJsonSchema(
            {
                "anyOf": [
                    {"type": "integer", "minimum": 0},
                    {"type": "string", "pattern": f"^{_SHARE}$"},
                ]
            }
        ),
    ] = 0
    """With `bad_rows: reject`: the most rows (`10`) or share (`1%`) that may be set aside."""
    evolve: Literal["none", "additive"] = "none"
    """What a load may change in the live table: nothing, or add columns that it lacks and widen
    VARCHARs."""

    def allows(self, rejected: int, rows: int) -> bool:
        """Whether so many rejected rows, of so many read, are within `max_rejects`."""
        if isinstance(self.max_rejects, str):
            return rejected <= rows * float(self.max_rejects[:-1]) / 100
        return rejected <= self.max_rejects


class Staging(Model):
    """How rows travel to the warehouse."""

    format: Literal["parquet", "csv", "json"] = "parquet"
    """Format of the staged files."""
    compression: Literal["snappy", "zstd", "gzip", "none"] = "snappy"
    """parquet: snappy (default), zstd, gzip or none; csv and json: gzip (default), zstd or none."""
    file_size: Bytes = 128 << 20
    """Target size of one staged file, in bytes or as `64MB`; KB, MB and GB are powers of 1024."""
    keep: Literal["always", "failed", "never"] = "failed"
    """Which loads leave their staged files: all, those that fail, or none. Each run removes only
    its own files, since another run of its load id may be at work; `loader clean` removes what
    failed and killed runs leave."""

    @model_validator(mode="before")
    @classmethod
    def _default_compression(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("format") in ("csv", "json"):
            return {"compression": "gzip", **data}
        return data

    @model_validator(mode="after")
    def _compression_fits(self) -> Staging:
        if self.format != "parquet" and self.compression == "snappy":
            raise ValueError(f"compression: {self.format} takes gzip, zstd or none, not `snappy`")
        return self


class Source(Model):
    """How files of this table are read."""

    null_values: tuple[StrictStr, ...] = ("",)
    """Words that mean NULL when they stand unquoted in a CSV file; the empty one also when it is
    quoted, in columns that cannot hold empty text."""
    delimiter: Mark = ","
    """The character between CSV fields."""
    quote: Mark = '"'
    """The character around CSV fields; doubled inside them."""
    escape: Mark | None = None
    """The character, such as a backslash, that makes a quote, a delimiter, a line end or itself
    part of a CSV field; without it only doubled quotes do."""
    decimal: Literal[".", ","] = "."
    """The mark before the decimals of numbers written as text; thousands separators are refused."""
    encoding: Annotated[StrictStr, AfterValidator(_encoding)] = "utf-8"
    """The text encoding of CSV and JSON files; a byte order mark says more than this."""
    skip_rows: StrictInt = Field(default=0, ge=0)
    """Lines before the header of a CSV file, or before its rows when it has no header."""
    header: StrictBool = True
    """Whether CSV files begin with the names of their columns; if not, `names` gives them."""
    names: tuple[Annotated[StrictStr, Field(min_length=1)], ...] = ()
    """With `header: false`: the columns of the CSV files, in their order."""
    date_format: DateFormat | None = None
    """How dates are written, as strptime, in directives that tell one date and leave nothing to
    guess: `%y`, `%x` and the like are refused; the default is ISO 8601."""
    timestamp_format: TimestampFormat | None = None
    """How time stamps are written, as strptime, in directives that leave nothing to guess: `%y`,
    `%Z`, `%I` without `%p` and the like are refused; the default is ISO 8601."""
    timezone: Zone | None = None
    """The zone of time stamps without an offset that go into `timestamptz` columns."""
    columns: dict[StrictStr, StrictStr] = {}
    """Column of the table → its name in the file, where the two differ."""
    files: Annotated[
        tuple[Annotated[StrictStr, Field(min_length=1)], ...],
        BeforeValidator(_listed),
        WithJsonSchema(
            {
                "anyOf": [
                    {"type": "string", "minLength": 1},
                    {"type": "array", "items": {"type": "string", "minLength": 1}},
                ]
            }
        ),
    ] = ()
    """The files that Dagster loads, as paths or globs, relative to the project, or `s3://…`;
    `{date}` or `{date:%Y/%m/%d}` in them is the key of the dimension `date`."""


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


class Freshness(Model):
    """How old the table may grow before Dagster says so."""

    fail: Duration
    """The age at which it counts as stale, such as `24h`."""
    warn: Duration | None = None
    """The age at which Dagster warns; less than `fail`."""


class OnCron(Model):
    """Materialize on a schedule."""

    on_cron: Annotated[
        StrictStr,
        Matching(r"\S+( \S+){4}|@[a-z]+", "a cron expression of five fields"),
    ]
    """A cron expression of five fields."""
    timezone: Zone = "UTC"
    """The zone in which the expression is read."""


class PartitionKeys(Model):
    """The partitions of one dimension: from a start on, some keys, or whatever keys come."""

    start: PartitionKey | None = None
    """With a grain: the first key."""
    end: PartitionKey | None = None
    """With a grain: the first key that is not among them any more; without it they go on."""
    end_offset: StrictInt = 0
    """With a grain: how many there are beyond the last complete one, such as 1 for today."""
    keys: tuple[PartitionKey, ...] = ()
    """Without a grain: all keys there are."""
    dynamic: StrictStr | None = Field(default=None, min_length=1)
    """Without a grain: the name of the dynamic partitions whose keys these are."""

    @model_validator(mode="after")
    def _complete(self) -> PartitionKeys:
        choices = ("start", "keys", "dynamic")
        given = [name for name in choices if getattr(self, name) not in (None, ())]
        if len(given) != 1:
            found = " and ".join(given) or "none of them"
            raise ValueError(
                f"has one of start (for windows of time), keys or dynamic; this has {found}"
            )
        if self.start is None and (self.end is not None or self.end_offset):
            raise ValueError("end and end_offset are for windows of time, which have a start")
        return self


class DagsterOptions(Model):
    """What only Dagster reads."""

    group: (
        Annotated[
            StrictStr,
            Matching(r"[A-Za-z0-9_]+(/[A-Za-z0-9_]+)*", "a group: letters, digits, _"),
        ]
        | None
    ) = None
    """The asset group."""
    kinds: tuple[StrictStr, ...] = Field(default=(), max_length=10)
    """Icons beside the asset."""
    freshness: Freshness | None = None
    """How old it may grow before Dagster says so."""
    automation: Literal["eager", "on_missing"] | OnCron | None = None
    """When Dagster materializes it: `eager`, `on_missing`, or `{on_cron: "0 * * * *"}`."""
    partitions: dict[StrictStr, PartitionKeys] = {}
    """Which partitions there are: dimension → `{start: "2013-01-01"}`, `{keys: [EWR, JFK]}` or
    `{dynamic: airports}`. Without a grain the default is dynamic."""


TemplateName = Literal[
    "create_schema",
    "create_sequence",
    "create_table",
    "comment_table",
    "comment_column",
    "grant",
    "add_column",
    "drop_column",
    "widen_column",
    "alter_dist",
    "alter_sort",
    "alter_encodings",
    "delete_slice",
    "delete_all",
    "copy_parquet",
    "copy_csv",
    "copy_json",
    "create_stage",
    "merge_delete",
    "merge_insert",
    "merge",
    "select",
    "count",
    "check",
]
Privilege = Literal["select", "insert", "update", "delete", "references", "drop", "alter", "all"]
Grantee = Annotated[
    StrictStr,
    Matching(
        r"public|(user|group|role):[^\0]+",
        "a grantee; write user:NAME, group:NAME, role:NAME or public",
    ),
]
_TAG = r"[A-Za-z0-9_.-]{1,63}"


class TableSpec(Model):
    """A target table, its columns, its partition expressions and how rows get there."""

    version: Literal[1] = 1
    """The version of this language."""
    schema_name: SchemaName = Field(alias="schema")
    """The schema; created when it is missing."""
    name: Name
    """The table's name."""
    asset_key: Annotated[
        StrictStr,
        Field(max_length=1_024),
        Matching(r"[^/\0]+(/[^/\0]+)*", "an asset key, such as nyc/flights"),
    ] = ""
    """The Dagster asset that fills it; default `<schema>/<name>`."""
    description: StrictStr | None = None
    """What one row is."""
    tags: dict[
        Annotated[StrictStr, Matching(rf"({_TAG}/)?{_TAG}", "a tag key")],
        Annotated[StrictStr, Matching(rf"({_TAG})?", "a tag value")],
    ] = Field(default={}, json_schema_extra={"additionalProperties": False})
    """Key and value to find the table by, in Dagster and `loader docs`; Dagster's rules for tags
    hold."""
    owners: tuple[
        Annotated[
            StrictStr,
            Matching(r"team:.+|[^@\s:]+@[^@\s]+", "an owner: an e-mail address or team:NAME"),
        ],
        ...,
    ] = ()
    """Who answers for it: e-mail addresses, or `team:NAME`."""
    meta: dict[StrictStr, Any] = {}
    """Other facts in any shape: shown in Dagster and `loader docs`, kept by `loader export`."""
    columns: tuple[Column, ...] = Field(min_length=1)
    """The columns in table order."""
    primary_key: tuple[Name, ...] = ()
    """The columns that identify a row. They are NOT NULL, unique in each load, and the key of a
    merge. Redshift tables declare the key and do not enforce it; DuckDB tables do not declare
    it."""
    dist: Name | None = None
    """How rows are distributed: `even`, `all`, `auto`, or the name of a column. Redshift only."""
    sort: tuple[Name, ...] = ()
    """The columns of the sort key, in order. Redshift only."""
    sort_type: Literal["compound", "interleaved", "auto"] | None = None
    """The kind of sort key; default Redshift's own, compound. `auto` takes no `sort`. Redshift
    only."""
    partition_by: tuple[PartitionBy, ...] = ()
    """The partition expressions, one for each dimension."""
    write_disposition: Literal["replace", "append", "merge"] = "replace"
    """What a load does to the rows of the table: `replace` deletes the slice and loads it again,
    `append` adds rows, `merge` updates and inserts by `primary_key`."""
    merge: Merge = Merge()
    """How rows are merged by key; only with `write_disposition: merge`."""
    on_empty: Literal["keep", "clear", "fail"] = "keep"
    """What a load of no rows does: `keep` leaves the slice as it is, `clear` lets `replace` empty
    it, `fail` is an error."""
    schema_contract: SchemaContract = SchemaContract()
    """What happens when the data or the live table differs from this spec."""
    staging: Staging = Staging()
    """The files that rows travel in."""
    source: Source = Source()
    """How files are written that this table is loaded from: delimiter, encoding, formats."""
    verify: Literal["values", "counts", "checksums"] | None = None
    """What is compared with the staged rows before COMMIT: figures of all values, only numbers of
    rows, or figures with checksums of text and binary values; default the project's `verify`, and
    else `values`."""
    checks: tuple[Check, ...] = ()
    """What the loaded rows must fulfil. Measured inside the transaction, before COMMIT."""
    grants: dict[Privilege, tuple[Grantee, ...]] = {}
    """Privilege → who gets it: `user:NAME`, `group:NAME`, `role:NAME` or `public`. Redshift
    only."""
    templates: dict[TemplateName, Annotated[StrictStr, Field(min_length=1)]] = {}
    """Template of Loader → this table's own file in its place, below `templates/`."""
    dagster: DagsterOptions = DagsterOptions()
    """Group, kinds, freshness, automation and partitions of its asset."""

    @model_validator(mode="before")
    @classmethod
    def _imply(cls, data: Any) -> Any:
        """Fill in what other fields imply: the asset key, and NOT NULL of keys and identities."""
        if not isinstance(data, dict):
            return data
        filled = dict(data)
        if "asset_key" not in data and isinstance(data.get("schema"), str):
            filled["asset_key"] = f"{data['schema']}/{data.get('name')}"
        keys = data.get("primary_key")
        columns = data.get("columns")
        if isinstance(columns, list | tuple):
            filled["columns"] = [
                {"nullable": False, **column}
                if isinstance(column, dict)
                and (
                    (isinstance(keys, list | tuple) and column.get("name") in keys)
                    or column.get("identity") is not None
                )
                else column
                for column in columns
            ]
        return filled

    @property
    def table(self) -> str:
        """The table as people write it, ``schema.name``."""
        return f"{self.schema_name}.{self.name}"

    @cached_property
    def by_name(self) -> dict[str, Column]:
        """The columns by name."""
        return {column.name: column for column in self.columns}

    @property
    def merged_by(self) -> tuple[str, ...]:
        """The columns by which a merge compares rows: every load brings them, defaults or not."""
        if self.write_disposition != "merge":
            return ()
        return (*self.primary_key, *self.merge.order_by)

    @cached_property
    def dimensions(self) -> tuple[Dimension, ...]:
        """The partition expressions with everything a slice needs to know of them."""
        return tuple(self._dimension(entry) for entry in self.partition_by)

    def _dimension(self, entry: PartitionBy) -> Dimension:
        column = self.by_name.get(entry.expr)
        data_type = column.data_type if column else entry.data_type
        assert data_type is not None, "loader.spec.rules has refused this"
        return Dimension(
            name=entry.name or (column.name if column else "partition"),
            expr=entry.expr,
            data_type=data_type,
            column=column.name if column else None,
            grain=entry.grain,
            timezone=entry.timezone,
            column_timezone=entry.column_timezone,
            format=entry.format,
            week_start=entry.week_start,
        )

    def staged_columns(self, present: frozenset[str] | None = None) -> tuple[Column, ...]:
        """The columns that are staged and loaded, in table order.

        Identity columns never are. A column with a default is left out when the data, whose
        columns are ``present``, does not have it.
        """
        return tuple(
            column
            for column in self.columns
            if column.identity is None
            and not (present is not None and column.default and column.name not in present)
        )


def in_order(columns: tuple[Column, ...], order: tuple[str, ...]) -> tuple[Column, ...]:
    """The columns as a live table has them, then those that it lacks.

    Redshift fills columns from Parquet by position (``copy-usage_notes-copy-from-columnar``).
    """
    places = {name: at for at, name in enumerate(order)}
    return tuple(sorted(columns, key=lambda column: places.get(column.name, len(places))))
