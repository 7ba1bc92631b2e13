"""Writes projects of many tables: for this loader, and the same tables for dbt.

`python -m tests.benchmarks.manyspecs loader 1000 FOLDER` writes one to look at.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal

Form = Literal["loader", "dbt"]

AREAS = ("sales", "stock", "fleet", "people", "web", "energy", "claims", "clinic", "lab", "grid")
THINGS = ("order", "visit", "parcel", "invoice", "meter", "ticket", "policy", "sample", "route")
ASPECTS = ("header", "line", "status", "event", "snapshot", "note", "price", "audit", "summary")

KEYS = (
    ("{thing}_id", "bigint", "az64", "Number that the source gives to the {thing}"),
    ("day", "date", "az64", "Local date on which the {thing} was booked"),
    ("region", "varchar(8)", "bytedict", "Region that keeps the {thing}, as a short code"),
)
"""Every table begins with these: name, type, encoding, description."""

OTHERS = (
    ("{thing}_number", "varchar(40)", "zstd", "What people call the {thing}, as printed"),
    ("customer_id", "bigint", "az64", "Whom the {thing} is for; see {area}.customers"),
    ("amount", "decimal(12,2)", "az64", "In the currency of the {thing}, before tax"),
    ("tax", "decimal(12,2)", "az64", "Part of the amount that is tax"),
    ("currency", "char(3)", "bytedict", "ISO 4217 code of the amounts"),
    ("status", "varchar(16)", "bytedict", "State of the {thing} when it was read"),
    ("quantity", "integer", "az64", "Pieces in the {thing}; negative when taken back"),
    ("is_test", "boolean", "raw", "Whether the {thing} was made by a test"),
    ("created_at", "timestamptz", "az64", "When the {thing} was first written"),
    ("changed_at", "timestamptz", "az64", "When the {thing} was last changed"),
    ("valid_from", "timestamp", "az64", "From when on the row holds, in UTC"),
    ("latitude", "double precision", "zstd", "Degrees north, of where the {thing} is"),
    ("longitude", "double precision", "zstd", "Degrees east, of where the {thing} is"),
    ("weight", "real", "zstd", "In kilograms, packed"),
    ("source_file", "varchar(200)", "zstd", "File from which the {aspect} was read"),
    ("email", "varchar(120)", "zstd", "Address that is told about the {thing}"),
    ("comment_text", "varchar(2000)", "lzo", "Free words about the {thing}; may hold 'quotes'"),
)
"""Every table goes on with some of these, from a place of its own."""

CHECKED = ("currency", "status", "customer_id", "quantity", "amount")


@dataclass(frozen=True)
class Column:
    """One column, with the words that specs and models say of it."""

    name: str
    data_type: str
    encode: str
    description: str


@dataclass(frozen=True)
class Table:
    """One table of many, no two alike."""

    number: int
    schema: str
    name: str
    description: str
    columns: tuple[Column, ...]

    @property
    def key(self) -> tuple[str, ...]:
        """The columns of its primary key."""
        return tuple(column.name for column in self.columns[: len(KEYS)])


def tables(count: int) -> Iterator[Table]:
    """So many tables of 10 to 20 columns; the same ones every time."""
    names = list(product(AREAS, THINGS, ASPECTS))
    for number in range(count):
        area, thing, aspect = names[number % len(names)]
        words = {"area": area, "thing": thing, "aspect": aspect}
        many = 10 + number % 11
        others = (OTHERS[(number + at) % len(OTHERS)] for at in range(many - len(KEYS)))
        yield Table(
            number=number,
            schema=area,
            name=f"{thing}_{aspect}_{number}",
            description=f"A row per {thing} and day, as {area} reports the {aspect}; no. {number}",
            columns=tuple(
                Column(name.format(**words), data_type, encode, told.format(**words))
                for name, data_type, encode, told in (*KEYS, *others)
            ),
        )


def write(form: Form, folder: Path, count: int) -> None:
    """A project of so many tables in a new folder."""
    folder.mkdir(parents=True)
    (_write_loader if form == "loader" else _write_dbt)(folder, count)


def _write_loader(folder: Path, count: int) -> None:
    """A project of this loader, with an embedded target and one on Redshift."""
    (folder / "loader.toml").write_text(_LOADER)
    for table in tables(count):
        path = folder / "specs" / table.schema / f"{table.name}.yml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(_spec(table)) + "\n")


def _write_dbt(folder: Path, count: int) -> None:
    """A dbt project: an incremental model per table, with its columns, types and tests."""
    (folder / "dbt_project.yml").write_text(_DBT)
    (folder / "profiles.yml").write_text(_PROFILES)
    for table in tables(count):
        path = folder / "models" / table.schema / f"{table.name}.sql"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(_model(table)) + "\n")
        path.with_suffix(".yml").write_text("\n".join(_properties(table)) + "\n")


def _spec(table: Table) -> Iterator[str]:
    yield from ("version: 1", f"schema: {table.schema}", f"name: {table.name}")
    yield f'description: "{table.description}"'
    yield f"tags: {{domain: {table.schema}, tier: t{table.number % 3}}}"
    yield from ('owners: ["team:data"]', "", "columns:")
    for column in table.columns:
        yield f"  - name: {column.name}"
        yield f"    data_type: {column.data_type}"
        yield f'    description: "{column.description}"'
        yield f"    encode: {column.encode}"
    yield from ("", f"primary_key: [{', '.join(table.key)}]")
    yield f"dist: {table.columns[0].name}"
    yield from ("sort: [day, region]", "sort_type: compound", "")
    yield from _partitions(table)
    yield from ("", "staging: {format: parquet, compression: zstd}", "", "checks:")
    yield "  - {metric: row_count, must_be_greater_than: 0}"
    checked = [column.name for column in table.columns if column.name in CHECKED]
    for name in checked:
        yield f"  - {{metric: null_values, column: {name}, must_be_less_than: 5, unit: percent}}"
    if table.number % 3 == 0:
        grantees = f'"role:analyst", "group:{table.schema}_readers"'
        yield from ("", "grants:", f"  select: [{grantees}]", '  insert: ["user:etl"]')
    yield from ("", f"dagster: {{group: {table.schema}, kinds: [table]}}")


def _partitions(table: Table) -> Iterator[str]:
    match table.number % 5:
        case 0:
            yield from ("partition_by:", "  - {name: day, expr: day, grain: day}")
            yield "  - {name: region, expr: region}"
        case 1:
            yield from ("partition_by:", "  - expr: day", "    grain: month")
        case 2:
            yield "write_disposition: merge"
        case _:
            yield from ("partition_by:", "  - {expr: day, grain: day}")


def _model(table: Table) -> Iterator[str]:
    key = ", ".join(f"'{name}'" for name in table.key)
    yield "{{ config("
    yield f"    materialized='incremental', schema='{table.schema}', unique_key=[{key}],"
    yield "    incremental_strategy='delete+insert', on_schema_change='fail'"
    yield ") }}"
    yield "select"
    yield ",\n".join(
        f"    cast({column.name} as {column.data_type}) as {column.name}"
        for column in table.columns
    )
    yield f"from read_parquet('staging/{table.schema}/{table.name}/*.parquet')"
    yield "{% if is_incremental() %}"
    yield "where day >= cast({{ dbt.string_literal(var('day', '2013-01-01')) }} as date)"
    yield "{% endif %}"


def _properties(table: Table) -> Iterator[str]:
    yield from ("version: 2", "models:", f"  - name: {table.name}")
    yield f'    description: "{table.description}"'
    yield f"    config: {{tags: [{table.schema}, t{table.number % 3}]}}"
    yield "    columns:"
    for column in table.columns:
        yield f"      - name: {column.name}"
        yield f"        data_type: {column.data_type}"
        yield f'        description: "{column.description}"'
        if column.name in (*table.key, *CHECKED):
            yield "        data_tests: [not_null]"


_LOADER = """\
specs = "specs"
templates = "templates"
target = "local"

[targets.local]
type = "duckdb"

[targets.prod]
type = "redshift"
host = "cluster.example.com"
database = "warehouse"
user = "etl"
password = "${PASSWORD}"
iam_role = "arn:aws:iam::123456789012:role/copy"
staging = "s3://bucket/loader"
"""

_DBT = """\
name: many
version: "1.0"
config-version: 2
profile: many
model-paths: [models]
"""

_PROFILES = """\
many:
  target: local
  outputs:
    local: {type: duckdb, path: many.duckdb, threads: 2}
"""

if __name__ == "__main__":
    write("dbt" if sys.argv[1] == "dbt" else "loader", Path(sys.argv[3]), int(sys.argv[2]))
