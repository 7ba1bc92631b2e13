"""The table spec, as declared in YAML. Frozen, complete; unknown keys are errors.

The types of single fields are in `loader.spec.fields`, the rules between fields in
`loader.spec.rules`; `loader.spec.diagnostics` turns their errors into readable problems.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool, StrictInt, StrictStr, model_validator

from loader.spec.checks import Check, Guards
from loader.spec.column_source import FromField
from loader.spec.dagster_options import DagsterOptions
from loader.spec.fields import (
    AssetKey,
    Bytes,
    Character,
    Condition,
    Connection,
    DateFormat,
    Encoding,
    Expression,
    FileNames,
    Grantee,
    MaxRejects,
    Model,
    Owner,
    Privilege,
    Sheet,
    TagKey,
    TagValue,
    TemplateName,
    Text,
    TextEncoding,
    TimestampFormat,
    Type,
    Zone,
)
from loader.spec.filled_columns import add_filled_columns
from loader.spec.names import ColumnName, EarlierColumns, EarlierTables, Name, SchemaName
from loader.spec.periods import Dimension, Grain, Weekday
from loader.spec.scd2 import Scd2
from loader.spec.session import Hook, SessionSettings
from loader.sql.lexer import names_in


class Column(Model):
    """One column of the table."""

    name: ColumnName
    """Its name in the table; frames and files are matched by it."""
    data_type: Type
    """Redshift's type, such as `varchar(40)`; DuckDB's is derived from it."""
    nullable: StrictBool = True
    """Whether it may hold NULL; columns of `primary_key` and identities may not."""
    from_: FromField | None = Field(default=None, alias="from")
    """Where its values come from: a column of the data that is called otherwise (`Order ID`, or
    `{column: file}` where the name is also a keyword); the `file` of the row and its number there
    (`file_row`); the time and id of the load (`loaded_at`, `load_id`); a folder or placeholder of
    the file's path (`path.day`); or the same value for all rows (`{constant: eu}`)."""
    description: StrictStr | None = None
    """What a value means, with its unit."""
    renamed_from: EarlierColumns = ()
    """Its earlier name, or a list of them: `loader apply` renames the live column, which keeps its
    values, and loads take data with either name."""
    encode: Encoding | None = None
    """Compression encoding. Redshift only."""
    default: Expression | None = None
    """SQL expression for loads without this column; `getdate()`, `sysdate`, `now()`,
    `current_timestamp` and `localtimestamp` work on all targets."""
    identity: Annotated[tuple[StrictInt, StrictInt] | None, Field(strict=False)] = None
    """Generated numbers: `[seed, step]`, for integer and bigint. Never staged. IDENTITY on
    Redshift, a sequence on DuckDB."""
    classification: StrictStr | None = None
    """Any word, such as `pii`; becomes a tag of the column in Dagster. Values of the column are not
    shown in sample rows of failed checks, or in figures of results, ledger and Dagster."""

    @property
    def is_in_data(self) -> bool:
        """Whether its values are in the data, and not facts of the load, the file or the spec."""
        return self.identity is None and (self.from_ is None or self.from_.is_data)


class BatchColumn(Model):
    """A column that is in the data and not in the table, for `deleted_when`."""

    name: ColumnName
    """Its name in the data."""
    data_type: Type
    """Redshift's type, such as `varchar(1)`."""
    nullable: StrictBool = True
    """Whether it may be NULL."""
    description: StrictStr | None = None
    """What a value means."""
    classification: StrictStr | None = None
    """Any word, such as `pii`; its values are not shown in figures."""


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
    """With a grain, a key is a time window, without its end; without a grain, a key is a value."""
    timezone: Zone = "UTC"
    """The time zone of the partition keys."""
    column_timezone: Zone | None = None
    """The time zone of the values of a `timestamp` or text column; default UTC for `timestamp`, and
    `timezone` for text."""
    format: StrictStr | None = None
    """The strftime format of times in a text column; default ISO 8601."""
    week_start: Weekday = "monday"
    """The day weeks start on, with grain week."""


class Merge(Model):
    """How `write_disposition: merge` merges rows."""

    strategy: Literal["delete_insert", "merge"] = "delete_insert"
    """Delete the matching rows and insert, or MERGE. The result is the same: columns that are not
    in a load keep their values for existing keys, and get their default for new ones. If there
    are such columns, including identities, MERGE is used."""
    on_duplicate: Literal["fail", "last"] = "fail"
    """Two rows with the same key in a load: an error, or the last one is used."""
    order_by: tuple[Name, ...] = ()
    """The columns that decide which of two rows with the same key is the later, in the load and in
    the table; required with `on_duplicate: last`. NULL sorts before every value."""
    on_older: Literal["keep", "overwrite"] = "keep"
    """A row that is older by `order_by` than the table's row with the same key: keep the table's
    row, or overwrite it anyway. If both are equal, the load's row is used."""
    deleted_when: Condition | None = None
    """SQL over the columns of the load and `batch_columns`, such as `op = 'D'`: a row for which it
    holds deletes the table's row with its key."""
    soft_delete: Name | None = None
    """With `deleted_when`: the column that marks deleted rows, which then stay in the table. A
    boolean; or, if `columns` has it as a timestamp or timestamptz, the time of the delete. It need
    not be in `columns`: the load fills it."""


class SchemaContract(Model):
    """What may differ between a frame, its spec, and the live table."""

    extra_columns: Literal["fail", "ignore"] = "fail"
    """Columns of the data that are not in the spec: an error, or ignored."""
    bad_rows: Literal["fail", "reject"] = "fail"
    """Rows that do not fit: an error, or written to a Parquet file with their reasons."""
    max_rejects: MaxRejects = 0
    """With `bad_rows: reject`: the maximum number (`10`) or percentage (`1%`) of rejected rows."""
    evolve: Literal["none", "additive"] = "none"
    """What a load may change in the live table: nothing, or add columns and widen VARCHARs."""

    def allows(self, rejected: int, rows: int) -> bool:
        """Whether so many rejected rows, of so many read, are within `max_rejects`."""
        if isinstance(self.max_rejects, str):
            return rejected <= rows * float(self.max_rejects[:-1]) / 100
        return rejected <= self.max_rejects


COMPRESSIONS: Mapping[str, tuple[str, ...]] = {
    "parquet": ("snappy", "zstd", "gzip", "none"),
    "csv": ("gzip", "zstd", "none"),
    "json": ("gzip", "zstd", "none"),
    "arrow": ("none", "lz4", "zstd"),
}
"""Staging format → the compressions it takes, its default first."""


class Staging(Model):
    """How rows are staged for the warehouse."""

    format: Literal["auto", "parquet", "csv", "json", "arrow"] = "auto"
    """Format of the staged files. `auto`: what the warehouse loads fastest, which is Arrow IPC on
    DuckDB and Parquet on Redshift. Redshift does not load `arrow`."""
    compression: Literal["auto", "snappy", "zstd", "gzip", "lz4", "none"] = "auto"
    """parquet: snappy (default), zstd, gzip or none; csv and json: gzip (default), zstd or none;
    arrow: none (default), lz4 or zstd. Without a `format` it is that of Parquet files."""
    file_size: Bytes = 128 << 20
    """Target size of one staged file, in bytes or as `64MB`; KB, MB and GB are powers of 1024."""
    keep: Literal["always", "failed", "never"] = "failed"
    """Which loads keep their staged files: all, failed ones, or none. Each run removes only its own
    files, since another run with the same load id may be active; `loader clean` removes the files
    of failed and killed runs."""

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, data: Any) -> Any:
        """Fill in the compression of a format, and the format of a compression."""
        if not isinstance(data, dict):
            return data
        form, compression = data.get("format", "auto"), data.get("compression", "auto")
        if form == "auto" and compression != "auto":
            return {**data, "format": "parquet"}
        if isinstance(form, str) and form in COMPRESSIONS and compression == "auto":
            return {**data, "compression": COMPRESSIONS[form][0]}
        return data

    @model_validator(mode="after")
    def _compression_fits(self) -> Staging:
        taken = COMPRESSIONS.get(self.format)
        if taken is not None and self.compression not in taken:
            *most, last = taken
            raise ValueError(
                f"compression: {self.format} takes {', '.join(most)} or {last},"
                f" not `{self.compression}`"
            )
        return self

    def resolve(self, default: str = "parquet") -> Staging:
        """These options with a format and a compression.

        Args:
            default: The format that the warehouse loads fastest, which `auto` stands for.
        """
        if self.format != "auto":
            return self
        chosen = {"format": default, "compression": COMPRESSIONS[default][0]}
        return self.model_copy(update=chosen)


class Source(Model):
    """How files of this table are read."""

    null_values: tuple[StrictStr, ...] = ("",)
    """Words that mean NULL when they are unquoted in a CSV file. Empty text also means NULL when it
    is quoted, in columns that cannot hold empty text."""
    delimiter: Character = ","
    """The character between CSV fields."""
    quote: Character = '"'
    """The character around CSV fields; doubled inside them."""
    escape: Character | None = None
    """The character, such as a backslash, that makes a quote, a delimiter, a line end or itself
    part of a CSV field; without it only doubled quotes do."""
    decimal: Literal[".", ","] = "."
    """The decimal mark of numbers in text; thousands separators are not supported."""
    encoding: TextEncoding = "utf-8"
    """The text encoding of CSV and JSON files; a byte order mark takes precedence."""
    skip_rows: StrictInt = Field(default=0, ge=0)
    """Lines before the header of a CSV file, or before its rows when it has no header."""
    header: StrictBool = True
    """Whether CSV files start with their column names; if not, set `names`."""
    names: tuple[Text, ...] = ()
    """With `header: false`: the column names of the CSV files, in order."""
    date_format: DateFormat | None = None
    """The strptime format of dates; default ISO 8601. Ambiguous directives, such as `%y` and `%x`,
    are not supported."""
    timestamp_format: TimestampFormat | None = None
    """The strptime format of timestamps; default ISO 8601. Ambiguous directives, such as `%y`,
    `%Z`, and `%I` without `%p`, are not supported."""
    timezone: Zone | None = None
    """The time zone of timestamps without an offset, for `timestamptz` columns."""
    columns: dict[StrictStr, StrictStr] = Field(default={})
    """Column of the table → its name in the file, if it differs; `from` of the column says the
    same."""
    in_place: Literal["auto", "always", "never"] = "never"
    """Whether the warehouse reads Parquet files from where they lie: never, always (an error where
    it cannot), or where it can; the others are staged."""
    files: FileNames = ()
    """The files that `loader run` and Dagster load, as paths or globs, relative to the project, or
    `s3://…`; `{date}` or `{date:%Y/%m/%d}` is replaced by the key of the dimension `date`. Any
    other placeholder stands for whatever is there, for a column with `from: path.<placeholder>`."""
    load: Literal["all", "new"] = "all"
    """Which of `files` a run loads: all, or only those that are new or changed by what the ledger
    knows of earlier loads. With `replace` it loads the partitions that have such files."""
    changed: Literal["reload", "fail"] | None = None
    """With `load: new`, a file that has changed since it was loaded: load it again, or an error;
    default `reload`, but `fail` with `append`, which cannot take the earlier rows back."""
    sheet: Sheet | None = None
    """The sheet of Excel files: its name, or its number from 1; required if there are several."""
    query: Text | None = None
    """A SELECT on another database, instead of files. `:start` and `:end` are the window that is
    loaded, `:origin` is the key of a dimension `origin` without a grain."""
    connection: Connection | None = None
    """The database of `query`: a name below `[tool.loader.connections]`, or a URL of PostgreSQL,
    MySQL, SQLite or DuckDB with `${NAME}` for its password, or for all of it."""


class TableSpec(Model):
    """A target table: its columns, its partition expressions, and how it is loaded."""

    version: Literal[1] = 1
    """The version of this language."""
    schema_name: SchemaName = Field(alias="schema")
    """The schema; created if it does not exist."""
    name: Name
    """The table's name."""
    renamed_from: EarlierTables = ()
    """Its earlier name as `schema.table`, or a list of them: `loader apply` renames the live table,
    which keeps its rows and its history of loads."""
    asset_key: AssetKey = ""
    """The Dagster asset that fills it; default `<schema>/<name>`."""
    description: StrictStr | None = None
    """What one row is."""
    tags: dict[TagKey, TagValue] = Field(
        default={}, json_schema_extra={"additionalProperties": False}
    )
    """Keys and values for searches in Dagster and `loader docs`; Dagster's rules for tags apply."""
    owners: tuple[Owner, ...] = ()
    """The owners: e-mail addresses, or `team:NAME`."""
    meta: dict[StrictStr, Any] = Field(default={})
    """Other facts in any shape: shown in Dagster and `loader docs`, kept by `loader export`."""
    columns: tuple[Column, ...] = Field(min_length=1)
    """The columns in table order."""
    batch_columns: tuple[BatchColumn, ...] = ()
    """Columns that are in the data and not in the table, such as the operation of change data; only
    `deleted_when` uses them."""
    primary_key: tuple[Name, ...] = ()
    """The columns that identify a row; with `scd2` all its versions. They are NOT NULL, unique in
    each load, and the key of a merge. DuckDB tables do not declare the key; Redshift tables do as
    `primary_key_constraint` says, and do not enforce it."""
    primary_key_constraint: Literal["always", "proven", "never"] = "proven"
    """Whether the table declares its key, which Redshift trusts: where it is false, SELECT DISTINCT
    returns duplicates. `proven`: where no load can repeat a key. `always`: you see to it. Redshift
    only."""
    dist: Name | None = None
    """How rows are distributed: `even`, `all`, `auto`, or the name of a column. Redshift only."""
    sort: tuple[Name, ...] = ()
    """The columns of the sort key, in order. Redshift only."""
    sort_type: Literal["compound", "interleaved", "auto"] | None = None
    """The kind of sort key; default compound. `auto` excludes `sort`. Redshift only."""
    partition_by: tuple[PartitionBy, ...] = ()
    """The partition expressions, one for each dimension."""
    write_disposition: Literal["replace", "append", "merge", "scd2"] = "replace"
    """What a load does to the rows of the table: `replace` deletes the slice and loads it again,
    `append` adds rows, `merge` updates and inserts by `primary_key`, `scd2` keeps the history of
    each `primary_key`."""
    merge: Merge = Merge()
    """How rows are merged by key; only with `write_disposition: merge`."""
    scd2: Scd2 = Scd2()
    """How the history is kept; only with `write_disposition: scd2`."""
    on_empty: Literal["keep", "clear", "fail"] = "keep"
    """A load without rows: `keep` leaves the slice unchanged, `clear` lets `replace` empty it,
    `fail` is an error."""
    schema_contract: SchemaContract = SchemaContract()
    """How differences of the data or the live table from this spec are handled."""
    staging: Staging = Staging()
    """The files that rows are staged in."""
    source: Source = Source()
    """The files that this table is loaded from, and their format: delimiter, encoding and so on."""
    verify: Literal["values", "counts", "checksums"] | None = None
    """What is compared with the staged rows before COMMIT: figures of all values, only row counts,
    or figures with checksums of text and binary values; default the project's `verify`, or
    `values`."""
    checks: tuple[Check, ...] = ()
    """Conditions for the loaded rows, checked inside the transaction before COMMIT."""
    guards: Guards = Guards()
    """What a load may not do to rows that it replaces, checked inside the transaction too."""
    grants: dict[Privilege, tuple[Grantee, ...]] = Field(default={})
    """Privilege → grantees: `user:NAME`, `group:NAME`, `role:NAME` or `public`. Redshift
    only."""
    session: SessionSettings = SessionSettings()
    """What loads SET in their sessions, over what the target says. Redshift only."""
    hooks: tuple[Hook, ...] = ()
    """Statements of the project's own that run with each load, before or after its rows."""
    templates: dict[TemplateName, Text] = Field(default={})
    """Template of Loader → the file below `templates/` that replaces it for this table."""
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
                for column in add_filled_columns(data, columns)
            ]
        return filled

    @property
    def table(self) -> str:
        """The table's full name, ``schema.name``."""
        return f"{self.schema_name}.{self.name}"

    @cached_property
    def by_name(self) -> dict[str, Column]:
        """The columns by name."""
        return {column.name: column for column in self.columns}

    @cached_property
    def input_columns(self) -> tuple[Column, ...]:
        """The columns that a load may bring: those that it does not fill, and `batch_columns`."""
        own = (column for column in self.columns if column.name not in self.managed_columns)
        batch = (Column(**dict(column)) for column in self.batch_columns)
        return (*own, *batch)

    @cached_property
    def classified(self) -> frozenset[str]:
        """The columns whose values are not shown."""
        columns = (*self.columns, *self.input_columns)
        return frozenset(column.name for column in columns if column.classification)

    @cached_property
    def managed_columns(self) -> frozenset[str]:
        """The columns that a load fills, and that are not in the data; without identities."""
        if self.write_disposition == "scd2":
            scd2 = self.scd2
            return frozenset({scd2.valid_from, scd2.valid_to, scd2.is_current})
        mark = self.merge.soft_delete if self.write_disposition == "merge" else None
        return frozenset({mark} if mark else ())

    @property
    def row_key(self) -> tuple[str, ...]:
        """The columns that identify a row of the table: with scd2 a version of a key."""
        times = (self.scd2.valid_from,) if self.write_disposition == "scd2" else ()
        return (*self.primary_key, *times) if self.primary_key else ()

    @property
    def deleted_when(self) -> str | None:
        """The expression that says which rows of a load are deletes."""
        if self.write_disposition == "merge":
            return self.merge.deleted_when
        return self.scd2.deleted_when if self.write_disposition == "scd2" else None

    @cached_property
    def compared_by(self) -> tuple[str, ...]:
        """The columns by which loads compare rows; every load must have them."""
        times = (self.scd2.effective_at,) if self.scd2.effective_at else ()
        words = names_in(self.deleted_when or "")
        used = (column.name for column in self.input_columns if column.name in words)
        return (*self.primary_key, *self.merge.order_by, *times, *used)

    @cached_property
    def dimensions(self) -> tuple[Dimension, ...]:
        """The partition expressions in the form that slices need."""
        return tuple(self._dimension(entry) for entry in self.partition_by)

    def _dimension(self, entry: PartitionBy) -> Dimension:
        column = self.by_name.get(entry.expr)
        data_type = column.data_type if column else entry.data_type
        assert data_type is not None, "checked in loader.spec.rules"
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

    @property
    def reloads_changed_files(self) -> bool:
        """Whether a file that has changed since it was loaded is loaded again, and no error."""
        return (self.source.changed or "reload") == "reload" and self.write_disposition != "append"

    def name_in_data(self, column: Column) -> str:
        """What the data calls a column that `is_in_data`."""
        if column.from_ is not None:
            return column.from_.name
        return self.source.columns.get(column.name, column.name)

    @cached_property
    def load_columns(self) -> tuple[Column, ...]:
        """The columns whose values are facts of the load, the file or the spec."""
        return tuple(column for column in self.columns if column.from_ and not column.from_.is_data)

    @cached_property
    def path_keys(self) -> frozenset[str]:
        """The keys that columns take from the paths of files."""
        sources = (column.from_ for column in self.load_columns)
        return frozenset(found.name for found in sources if found and found.kind == "path")

    def staged_columns(self, present: frozenset[str] | None = None) -> tuple[Column, ...]:
        """The columns that are staged and loaded, in table order; then `batch_columns`.

        Identity columns never are, nor those that loads fill. A column with a default is left out
        when the data, whose columns are ``present``, does not have it.
        """
        return tuple(
            column
            for column in self.input_columns
            if column.identity is None
            and not (present is not None and column.default and column.name not in present)
        )


def in_order(columns: tuple[Column, ...], order: tuple[str, ...]) -> tuple[Column, ...]:
    """Sort columns in the order of a live table; columns that it lacks come last.

    Redshift fills columns from Parquet by position (``copy-usage_notes-copy-from-columnar``).
    """
    places = {name: at for at, name in enumerate(order)}
    return tuple(sorted(columns, key=lambda column: places.get(column.name, len(places))))
