"""Drafts the spec of an existing table from its catalog entry, with remarks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from loader.errors import PlanError, Problem, SpecError
from loader.inference.building import DraftColumn, SpecRequest
from loader.inference.table_defaults import is_portable, to_spec_default
from loader.plan.live_table import LiveColumn, LiveTable, Seen
from loader.spec.comments import Remarks
from loader.spec.model import TableSpec
from loader.sql import datatypes
from loader.sql.dialects.base import Dialect

_DEFAULT_ENCODINGS = {
    **dict.fromkeys(("smallint", "integer", "bigint", "decimal"), "az64"),
    **dict.fromkeys(("date", "time", "timetz", "timestamp", "timestamptz"), "az64"),
    **dict.fromkeys(("char", "varchar", "varbyte"), "lzo"),
    "super": "zstd",
}
"""The default encodings of Redshift; RAW for all other types."""

_GROUP_NAMES: dict[Seen, str] = {
    "keys": "its primary key",
    "layout": "distribution, sort key and encodings",
    "grants": "grants",
    "dependants": "dependent objects",
}


def draft_columns(
    columns: Sequence[LiveColumn], dialect: Dialect, request: SpecRequest
) -> list[DraftColumn]:
    """Draft the columns of an existing table: name, type and nullability.

    Raises:
        PlanError: columns have types that specs do not support; lists all of them.
    """
    found = [(column, dialect.spec_type(column.data_type)) for column in columns]
    unsupported = [(column.name, column.data_type) for column, kind in found if kind is None]
    if unsupported:
        lines = [f"  `{name}` is {kind}" for name, kind in unsupported]
        raise PlanError(
            f"no spec can be inferred from the live table {request.table}: specs do not support the"
            f" type of {'a column' if len(lines) == 1 else f'{len(lines)} columns'}\n"
            + "\n".join(lines),
            hint="alter these columns, or write a spec for a table without them",
            details=[{"column": name, "problem": f"is {kind}"} for name, kind in unsupported],
        )
    return [
        DraftColumn(column.name.lower(), kind, column.nullable)
        for column, kind in found
        if kind is not None
    ]


def draft_from_table(
    live: LiveTable, dialect: Dialect, request: SpecRequest
) -> tuple[TableSpec, Remarks]:
    """Draft the spec of an existing table, with remarks.

    Defaults, keys and so on that are not valid in a spec are left out, with a remark.

    Raises:
        PlanError: columns have types that specs do not support; lists all of them.
        SpecError: the request does not match the columns.
    """
    return _TableDraft(live, dialect, request).result()


@dataclass
class _TableDraft:
    live: LiveTable
    dialect: Dialect
    request: SpecRequest
    notes: list[str] = field(default_factory=list)
    comments: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    has_encodings: bool = False
    """Whether a column has an encoding that is not Redshift's default."""

    def result(self) -> tuple[TableSpec, Remarks]:
        if not self.live.columns:
            raise PlanError(
                f"no spec can be inferred from {self.request.table}: this {self.live.kind} shows"
                " no columns",
                hint="write a spec, or use a table",
            )
        bare = draft_columns(self.live.columns, self.dialect, self.request)
        columns = [
            replace(column, more=self._column(column, live_column))
            for column, live_column in zip(bare, self.live.columns, strict=True)
        ]
        self._note_unseen()
        found = dict(self._sections())
        spec = self._build_spec(columns, found)
        return spec, Remarks(
            notes=tuple(self.notes),
            columns={
                name: "; ".join(comments) for name, comments in self.comments.items() if comments
            },
            facts={
                "live": self.live.kind,
                "seen": sorted(self.live.seen),
                "unseen": list(self.live.unseen),
            },
            column_facts={
                column.name.lower(): {"live": column.data_type} for column in self.live.columns
            },
        )

    def _column(self, drafted: DraftColumn, live_column: LiveColumn) -> dict[str, Any]:
        """The further keys of a column; what is not valid in a spec becomes a remark."""
        data_type, comments = datatypes.parse(drafted.data_type), self.comments[drafted.name]
        if self.dialect.differs(data_type, live_column.data_type):
            become = self.dialect.column_type(data_type)
            comments.append(
                f"live: {live_column.data_type}; `loader apply` would rebuild it as {become}"
            )
        more: dict[str, Any] = {}
        if live_column.comment:
            more["description"] = live_column.comment
        if live_column.identity is not None:
            more |= {"identity": list(live_column.identity), "nullable": False}
            if live_column.nullable:
                comments.append("live: an identity column that is nullable")
        elif live_column.default is not None:
            more |= self._default(live_column.default, data_type, comments)
        elif live_column.has_default:
            comments.append("has a default that this user cannot see")
        if (encoding := self._encoding(live_column, data_type)) is not None:
            self.has_encodings = True
            comments.append(f"encoding: {encoding}")
        return more

    def _default(
        self, text: str, data_type: datatypes.DataType, comments: list[str]
    ) -> dict[str, Any]:
        try:
            default = to_spec_default(text, data_type, self.dialect)
        except ValueError as error:
            comments.append(f"live: DEFAULT {text}, left out: {error}")
            return {}
        if default is None:
            return {}
        if not is_portable(default):
            comments.append(f"the default is an expression in the {self.dialect.name} dialect")
        return {"default": default}

    def _encoding(self, live_column: LiveColumn, data_type: datatypes.DataType) -> str | None:
        """The column's encoding, if it is not Redshift's default."""
        if live_column.encoding is None or "layout" not in self.live.seen:
            return None
        sorts = live_column.name in self.live.sort
        natural = "raw" if sorts else _DEFAULT_ENCODINGS.get(data_type.name, "raw")
        return live_column.encoding if live_column.encoding != natural else None

    def _note_unseen(self) -> None:
        live = self.live
        if not live.is_table:
            self.notes.append(f"this is a {live.kind}: rows cannot be loaded into it")
        self.notes += [f"not seen: {text}" for text in live.unseen]
        # No note about what the warehouse does not have.
        had = {"layout": self.dialect.has_layout, "grants": self.dialect.has_grants}
        if not live.unseen:
            unread = [
                text
                for group, text in _GROUP_NAMES.items()
                if had.get(group, True) and group not in live.seen
            ]
            if unread:
                self.notes.append(f"not read: {', '.join(unread)}")
        if self.has_encodings:
            self.notes.append(
                "encodings are not declared, since ENCODE AUTO may have chosen them; `encode: …` of"
                " a column keeps one"
            )
        if "dependants" in live.seen and live.dependants:
            self.notes.append(f"dependent objects: {', '.join(live.dependants)}")
        lengths = {"VARCHAR", "BLOB"} & {column.data_type for column in live.columns}
        if lengths and not self.dialect.keeps_lengths:
            self.notes.append(
                f"{self.dialect.title} stores no lengths: varchar and varbyte get the maximum"
            )

    def _sections(self) -> Iterator[tuple[str, Any]]:
        """The spec's sections beside the columns, as far as this user can see them."""
        live = self.live
        if live.comment:
            yield "description", live.comment
        if "keys" in live.seen and live.primary_key and not self.request.primary_key:
            yield "primary_key", [name.lower() for name in live.primary_key]
            nullable = {column.name.lower() for column in live.columns if column.nullable}
            for name in live.primary_key:
                if name.lower() in nullable:
                    self.comments[name.lower()].append("live: in the primary key, but nullable")
        if "layout" in live.seen:
            if live.dist not in (None, "auto"):
                yield "dist", str(live.dist).lower()
            if live.sort and live.sort_type != "auto":
                yield "sort", [name.lower() for name in live.sort]
                if live.sort_type == "interleaved":
                    yield "sort_type", "interleaved"
        if "grants" in live.seen and (grants := self._grants()):
            yield "grants", grants

    def _grants(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        unsure = set()
        for privilege, grantee in sorted(self.live.grants):
            kind, _, who = grantee.partition(":")
            if who and who == self.live.owner:  # the owner has all privileges without a grant
                continue
            alike = {(privilege, f"{each}:{who}") for each in ("user", "group", "role")}
            # An access list does not distinguish users, groups and roles of one name.
            if kind != "public" and alike <= self.live.grants:
                unsure.add(f"{privilege} to {who}")
            else:
                found[privilege].append(grantee)
        if unsure:
            comments = ", ".join(sorted(unsure))
            self.notes.append(
                f"granted to a user or to a role; the catalog does not tell which: {comments}"
            )
        return dict(found)

    def _build_spec(self, columns: list[DraftColumn], sections: dict[str, Any]) -> TableSpec:
        """Build the spec; what is not valid in a spec is left out, with a remark."""
        while True:
            key = sections.get("primary_key", self.request.primary_key)
            more = {name: value for name, value in sections.items() if name != "primary_key"}
            try:
                return replace(self.request, more=more, primary_key=key).spec(
                    columns, has_fixed_shape=False
                )
            except SpecError as error:
                dropped = [self._drop(each, columns, sections) for each in error.problems]
                if not any(dropped):
                    raise

    def _drop(self, problem: Problem, columns: list[DraftColumn], sections: dict[str, Any]) -> bool:
        """Leave out the catalog entry that a problem is about; False when there is none."""
        first, *rest = problem.loc or ("",)
        if first in sections:
            left = sections.pop(str(first))
            if first == "sort":
                sections.pop("sort_type", None)
            self.notes.append(f"left out: {first} {left}: {problem.message}")
            return True
        if first == "columns" and len(rest) >= 2 and isinstance(rest[0], int):
            column = columns[rest[0]]
            # A type that does not allow an identity is reported at the identity.
            about = [name for name in (str(rest[1]), "identity") if name in column.more]
            if about:
                left = column.more[about[0]]
                more = {name: value for name, value in column.more.items() if name != about[0]}
                columns[rest[0]] = replace(column, more=more)
                text = f"left out: {about[0]} {left}: {problem.message}"
                self.comments[column.name].append(text)
                return True
        return False
