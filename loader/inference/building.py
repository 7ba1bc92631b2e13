"""Builds a valid spec from column names and types."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from loader.errors import FrameError, Problem, SpecError
from loader.spec.diagnostics import diagnose
from loader.spec.model import TableSpec
from loader.sql.dialects.redshift import MAX_NAME_BYTES

Disposition = Literal["replace", "append", "merge"]


@dataclass(frozen=True)
class DraftColumn:
    """A column of a drafted spec."""

    name: str
    data_type: str
    nullable: bool = True
    more: Mapping[str, Any] = field(default_factory=dict)
    """Further keys of the column, as in a spec's YAML."""


@dataclass(frozen=True)
class SpecRequest:
    """The parts of a spec that the caller chooses, as in a spec's YAML."""

    schema: str
    name: str
    asset_key: str | None = None
    partition_by: Sequence[Mapping[str, Any]] = ()
    primary_key: Sequence[str] = ()
    write_disposition: Disposition | None = None
    source: Mapping[str, Any] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)
    """Further sections, taken from an existing table."""

    @property
    def table(self) -> str:
        """The table's full name, ``schema.name``."""
        return f"{self.schema}.{self.name}"

    def spec(
        self, columns: Sequence[DraftColumn], names: Sequence[str] = (), *, has_fixed_shape: bool
    ) -> TableSpec:
        """Build the spec, with the first staging format that supports all columns.

        Args:
            columns: In the order of the table.
            names: The columns of the data, as the data spells them.
            has_fixed_shape: Whether all SUPER values of a column have the same fields, which
                Parquet requires.

        Raises:
            SpecError: the spec is not valid with any format; with all problems.
        """
        data = self._to_data(columns, names)
        loose = not has_fixed_shape and any(column.data_type == "super" for column in columns)
        found: list[list[Problem]] = []
        for form in ("json", "csv", "parquet") if loose else ("parquet", "csv", "json"):
            staging = {} if form == "parquet" else {"staging": {"format": form}}
            spec, problems = diagnose({**data, **staging})
            if spec is not None:
                return spec
            found.append(problems)
        path = f"the spec inferred for {self.table}"
        raise SpecError([replace(problem, path=path) for problem in min(found, key=len)])

    def _to_data(self, columns: Sequence[DraftColumn], names: Sequence[str]) -> dict[str, Any]:
        known = {column.name for column in columns}
        keys = [_match_case(key, known) for key in self.primary_key]
        source = {**self.source, **_source_names(names, known)}
        data = {
            "schema": self.schema,
            "name": self.name,
            "asset_key": self.asset_key,
            **self.more,
            "columns": [
                {
                    "name": column.name,
                    "data_type": column.data_type,
                    **({} if column.nullable or column.name in keys else {"nullable": False}),
                    **column.more,
                }
                for column in columns
            ],
            "primary_key": keys,
            "partition_by": [
                {**entry, "expr": _match_case(entry["expr"], known)}
                if "expr" in entry
                else {**entry}
                for entry in self.partition_by
            ],
            "write_disposition": self.write_disposition,
            "source": source,
        }
        return {key: value for key, value in data.items() if value}


def _match_case(name: Any, known: Iterable[str]) -> Any:
    """The column's name in lower case, if only that is a known column."""
    if isinstance(name, str) and name not in known and name.lower() in known:
        return name.lower()
    return name


def _source_names(names: Sequence[str], known: Iterable[str]) -> dict[str, dict[str, str]]:
    """The ``columns`` of ``source``: names that ignoring case does not match to one column."""
    renamed = {}
    for name in names:
        column = name.lower()
        alike = [other for other in names if other.casefold() == column.casefold()]
        if column in known and column not in names and alike != [name]:
            renamed[column] = name
    return {"columns": renamed} if renamed else {}


def check_names(names: Sequence[str]) -> list[dict[str, str | int]]:
    """Find column names that a table cannot have."""
    problems: list[dict[str, str | int]] = []
    first: dict[str, str] = {}
    for name in names:
        other = first.setdefault(name.lower(), name)
        if other != name:
            what = f"differs from `{other}` only in case, which Redshift ignores"
            problems.append({"column": name, "problem": what})
        if not name or "\0" in name:
            what = "is empty or contains a NUL character: not a valid column name"
            problems.append({"column": name, "problem": what})
        size = len(name.lower().encode(errors="replace"))
        if size > MAX_NAME_BYTES:
            what = f"has a name of {size} bytes; Redshift allows {MAX_NAME_BYTES}"
            problems.append({"column": name, "problem": what})
    return problems


def columns_error(problems: Sequence[Mapping[str, str | int]], request: SpecRequest) -> FrameError:
    """Build the error for columns that a table cannot have."""
    count = "1 column does" if len(problems) == 1 else f"{len(problems)} columns do"
    lines = [f"  `{one['column']}` {one['problem']}" for one in problems]
    head = f"no spec can be inferred for {request.table}: {count} not fit a table"
    return FrameError(
        "\n".join([head, *lines]),
        hint="change these columns, or write a table spec",
        details=[dict(one) for one in problems],
    )
