"""Converts a spec's columns to Dagster's table schema."""

from __future__ import annotations

import dagster as dg

from loader.spec.model import Column, TableSpec


def table_schema(spec: TableSpec) -> dg.TableSchema:
    """The columns with the spec's types, constraints and tags."""
    return dg.TableSchema(
        columns=[_column(spec, column) for column in spec.columns],
        constraints=dg.TableConstraints(other=list(_table_constraints(spec))),
    )


def _column(spec: TableSpec, column: Column) -> dg.TableColumn:
    other = []
    if column.name in spec.row_key:
        other.append("primary key")
    if column.name in spec.sort:
        other.append("sort key")
    if column.name == spec.dist:
        other.append("dist key")
    if column.identity is not None:
        seed, step = column.identity
        other.append(f"identity({seed}, {step})")
    if column.default is not None:
        other.append(f"default {column.default}")
    return dg.TableColumn(
        name=column.name,
        type=str(column.data_type),
        description=column.description,
        constraints=dg.TableColumnConstraints(
            nullable=column.nullable, unique=spec.row_key == (column.name,), other=other
        ),
        tags={"classification": column.classification} if column.classification else None,
    )


def _table_constraints(spec: TableSpec) -> list[str]:
    found = []
    if spec.row_key:
        found.append(f"PRIMARY KEY ({', '.join(spec.row_key)})")
    if spec.dist:
        is_column = spec.dist in spec.by_name
        found.append(f"DISTKEY ({spec.dist})" if is_column else f"DISTSTYLE {spec.dist.upper()}")
    if spec.sort:
        found.append(f"SORTKEY ({', '.join(spec.sort)})")
    found += [
        f"PARTITION BY {d.expr}" + (f" ({d.grain})" if d.grain else "") for d in spec.dimensions
    ]
    return found
