"""From columns that are known to a spec that keeps every rule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from loader.errors import FrameError, Problem, SpecError
from loader.spec.diagnostics import diagnose
from loader.spec.model import TableSpec
from loader.sql.dialects.redshift import MAX_NAME_BYTES, SYSTEM_COLUMNS

Disposition = Literal["replace", "append", "merge"]


@dataclass(frozen=True)
class Drafted:
    """A column as it will be declared."""

    name: str
    data_type: str
    nullable: bool = True
    more: Mapping[str, Any] = field(default_factory=dict)
    """What else is declared of it, in the words of a spec."""


@dataclass(frozen=True)
class Wanted:
    """What is asked for beside the columns, in the words of a spec."""

    schema: str
    name: str
    asset_key: str | None = None
    partition_by: Sequence[Mapping[str, Any]] = ()
    primary_key: Sequence[str] = ()
    write_disposition: Disposition | None = None
    source: Mapping[str, Any] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)
    """Sections that nobody asked for, but a table has."""

    @property
    def table(self) -> str:
        """The table as people write it, ``schema.name``."""
        return f"{self.schema}.{self.name}"

    def spec(
        self, columns: Sequence[Drafted], names: Sequence[str] = (), *, shaped: bool
    ) -> TableSpec:
        """The spec of these columns, staged in the first format that carries all of them.

        Args:
            columns: In the order of the table.
            names: The columns of the data, as it spells them.
            shaped: Whether all documents of a column have one shape, which Parquet needs.

        Raises:
            SpecError: there is none; with everything that is wrong.
        """
        data = self._declared(columns, names)
        loose = not shaped and any(column.data_type == "super" for column in columns)
        found: list[list[Problem]] = []
        for form in ("json", "csv", "parquet") if loose else ("parquet", "csv", "json"):
            staging = {} if form == "parquet" else {"staging": {"format": form}}
            spec, problems = diagnose({**data, **staging})
            if spec is not None:
                return spec
            found.append(problems)
        path = f"the spec inferred for {self.table}"
        raise SpecError([replace(problem, path=path) for problem in min(found, key=len)])

    def _declared(self, columns: Sequence[Drafted], names: Sequence[str]) -> dict[str, Any]:
        known = {column.name for column in columns}
        keys = [_spelt(key, known) for key in self.primary_key]
        source = {**self.source, **_renamed(names, known)}
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
                {**entry, "expr": _spelt(entry["expr"], known)} if "expr" in entry else {**entry}
                for entry in self.partition_by
            ],
            "write_disposition": self.write_disposition,
            "source": source,
        }
        return {key: value for key, value in data.items() if value}


def _spelt(name: Any, known: Iterable[str]) -> Any:
    """A column's name as the spec has it, where another case was written."""
    if not isinstance(name, str) or name in known:
        return name
    return next((each for each in (name.lower(), f"{name.lower()}_") if each in known), name)


def column_name(name: str, names: Iterable[str]) -> str:
    """What the table calls a column of the data, where ``names`` are all of them.

    >>> column_name("ID", ["ID"]), column_name("oid", ["oid"]), column_name("oid", ["oid", "oid_"])
    ('id', 'oid_', 'oid__')
    """
    found = name.lower()
    if found in SYSTEM_COLUMNS:
        taken = {other.lower() for other in names}
        while found in taken:
            found += "_"
    return found


def _renamed(names: Sequence[str], known: Iterable[str]) -> dict[str, dict[str, str]]:
    """The names of the data that are not found by their column's, whatever its case."""
    renamed = {}
    for name in names:
        column = column_name(name, names)
        alike = [other for other in names if other.casefold() == column.casefold()]
        if column in known and column not in names and alike != [name]:
            renamed[column] = name
    return {"columns": renamed} if renamed else {}


def check_names(names: Sequence[str]) -> list[dict[str, str | int]]:
    """What is wrong with the names of the data's columns, which the table will have."""
    problems: list[dict[str, str | int]] = []
    first: dict[str, str] = {}
    for name in names:
        other = first.setdefault(name.lower(), name)
        if other != name:
            what = f"is `{other}` in another case, and Redshift knows no case"
            problems.append({"column": name, "problem": what})
        if not name or "\0" in name:
            what = "is empty, or holds a NUL character: no table has such a name"
            problems.append({"column": name, "problem": what})
        size = len(name.lower().encode(errors="replace"))
        if size > MAX_NAME_BYTES:
            what = f"has a name of {size} bytes; Redshift keeps {MAX_NAME_BYTES}"
            problems.append({"column": name, "problem": what})
    return problems


def refused(problems: Sequence[Mapping[str, str | int]], wanted: Wanted) -> FrameError:
    """The error of columns that make no table."""
    count = "1 column has" if len(problems) == 1 else f"{len(problems)} columns have"
    lines = [f"  `{one['column']}` {one['problem']}" for one in problems]
    head = f"no spec can be inferred for {wanted.table}: {count} no place in a table"
    return FrameError(
        "\n".join([head, *lines]),
        hint="change these columns, or write a table spec",
        details=[dict(one) for one in problems],
    )
