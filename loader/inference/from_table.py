"""From the record of a live table to a spec and what has to be said of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from loader.errors import PlanError, Problem, SpecError
from loader.inference.building import Drafted, Wanted
from loader.inference.table_defaults import default_of, is_value
from loader.plan.live_table import LiveColumn, LiveTable, Seen
from loader.spec.comments import Remarks
from loader.spec.model import TableSpec
from loader.sql import datatypes
from loader.sql.dialects.base import Dialect

_NATURAL = {
    **dict.fromkeys(("smallint", "integer", "bigint", "decimal"), "az64"),
    **dict.fromkeys(("date", "time", "timetz", "timestamp", "timestamptz"), "az64"),
    **dict.fromkeys(("char", "varchar", "varbyte"), "lzo"),
    "super": "zstd",
}
"""The encoding that Redshift gives a column at first; RAW where there is none here."""

_GROUPS: dict[Seen, str] = {
    "keys": "its primary key",
    "layout": "distribution, sort key and encodings",
    "grants": "grants",
    "dependants": "what is bound to it",
}


def of_live(columns: Sequence[LiveColumn], dialect: Dialect, wanted: Wanted) -> list[Drafted]:
    """The columns of a live table as a spec declares them, by name, type and nullability alone.

    Raises:
        PlanError: specs cannot say the type of a column; all such columns are named.
    """
    found = [(column, dialect.spec_type(column.data_type)) for column in columns]
    unsaid = [(column.name, column.data_type) for column, kind in found if kind is None]
    if unsaid:
        lines = [f"  `{name}` is {kind}" for name, kind in unsaid]
        raise PlanError(
            f"no spec can be inferred from the live table {wanted.table}: specs cannot say the type"
            f" of {'a column' if len(unsaid) == 1 else f'{len(unsaid)} columns'}\n"
            + "\n".join(lines),
            hint="alter these columns, or write a spec of a table without them",
            details=[{"column": name, "problem": f"is {kind}"} for name, kind in unsaid],
        )
    return [
        Drafted(column.name.lower(), kind, column.nullable)
        for column, kind in found
        if kind is not None
    ]


def drafted_live(live: LiveTable, dialect: Dialect, wanted: Wanted) -> tuple[TableSpec, Remarks]:
    """The spec of a live table, and what could not be put into it.

    What the catalog has and specs refuse, of defaults, keys and the like, is left out and told.

    Raises:
        PlanError: specs cannot say the type of a column; all such columns are named.
        SpecError: what is asked for does not go with the columns.
    """
    return _Drafting(live, dialect, wanted).result()


@dataclass
class _Drafting:
    live: LiveTable
    dialect: Dialect
    wanted: Wanted
    notes: list[str] = field(default_factory=list)
    remarks: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    encoded: bool = False
    """Whether encodings were seen that somebody may have chosen."""

    def result(self) -> tuple[TableSpec, Remarks]:
        if not self.live.columns:
            raise PlanError(
                f"no spec can be inferred from {self.wanted.table}: this {self.live.kind} shows"
                " no columns",
                hint="write a spec, or name a table",
            )
        bare = of_live(self.live.columns, self.dialect, self.wanted)
        columns = [
            replace(column, more=self._column(column, there))
            for column, there in zip(bare, self.live.columns, strict=True)
        ]
        self._tell_unseen()
        found = dict(self._sections())
        spec = self._kept(columns, found)
        return spec, Remarks(
            notes=tuple(self.notes),
            columns={name: "; ".join(told) for name, told in self.remarks.items() if told},
            facts={
                "live": self.live.kind,
                "seen": sorted(self.live.seen),
                "unseen": list(self.live.unseen),
            },
            column_facts={
                column.name.lower(): {"live": column.data_type} for column in self.live.columns
            },
        )

    def _column(self, drafted: Drafted, there: LiveColumn) -> dict[str, Any]:
        """What a column has beside its type; what it cannot have in a spec is remarked."""
        data_type, told = datatypes.parse(drafted.data_type), self.remarks[drafted.name]
        if self.dialect.differs(data_type, there.data_type):
            become = self.dialect.column_type(data_type)
            told.append(f"live: {there.data_type}; `loader apply` would rebuild it as {become}")
        more: dict[str, Any] = {}
        if there.comment:
            more["description"] = there.comment
        if there.identity is not None:
            more |= {"identity": list(there.identity), "nullable": False}
            if there.nullable:
                told.append("live: an identity that may be NULL")
        elif there.default is not None:
            more |= self._default(there.default, data_type, told)
        elif there.has_default:
            told.append("has a default that cannot be seen")
        if (encoding := self._encoding(there, data_type)) is not None:
            self.encoded = True
            told.append(f"encoded as {encoding}")
        return more

    def _default(self, text: str, data_type: datatypes.DataType, told: list[str]) -> dict[str, Any]:
        try:
            default = default_of(text, data_type, self.dialect)
        except ValueError as error:
            told.append(f"live: DEFAULT {text}, left out: {error}")
            return {}
        if default is None:
            return {}
        if not is_value(default):
            told.append(f"the default is in the words of {self.dialect.name}")
        return {"default": default}

    def _encoding(self, there: LiveColumn, data_type: datatypes.DataType) -> str | None:
        """An encoding that is not the one Redshift begins with."""
        if there.encoding is None or "layout" not in self.live.seen:
            return None
        sorts = there.name in self.live.sort
        natural = "raw" if sorts else _NATURAL.get(data_type.name, "raw")
        return there.encoding if there.encoding != natural else None

    def _tell_unseen(self) -> None:
        live = self.live
        if not live.is_table:
            self.notes.append(f"this is a {live.kind}: rows cannot be loaded into it")
        self.notes += [f"not seen: {text}" for text in live.unseen]
        # Nobody misses what the warehouse does not have.
        had = {"layout": self.dialect.has_layout, "grants": self.dialect.has_grants}
        if not live.unseen:
            looked_for = {group: said for group, said in _GROUPS.items() if had.get(group, True)}
            blind = [said for group, said in looked_for.items() if group not in live.seen]
            if blind:
                self.notes.append(f"not looked at: {', '.join(blind)}")
        if self.encoded:
            self.notes.append(
                "whether ENCODE AUTO or people chose the encodings cannot be told, so none is"
                " declared: `encode: …` of a column keeps its own"
            )
        if "dependants" in live.seen and live.dependants:
            self.notes.append(f"bound to it: {', '.join(live.dependants)}")
        lengths = {"VARCHAR", "BLOB"} & {column.data_type for column in live.columns}
        if lengths and not self.dialect.keeps_lengths:
            self.notes.append(
                f"{self.dialect.title} keeps no lengths: those of varchar and varbyte are the most"
            )

    def _sections(self) -> Iterator[tuple[str, Any]]:
        """What a table has beside its columns, as far as it was seen."""
        live = self.live
        if live.comment:
            yield "description", live.comment
        if "keys" in live.seen and live.primary_key and not self.wanted.primary_key:
            yield "primary_key", [name.lower() for name in live.primary_key]
            nullable = {column.name.lower() for column in live.columns if column.nullable}
            for name in live.primary_key:
                if name.lower() in nullable:
                    self.remarks[name.lower()].append("live: in the key, and may be NULL")
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
            if who and who == self.live.owner:  # who has all rights without a grant
                continue
            alike = {(privilege, f"{each}:{who}") for each in ("user", "group", "role")}
            # An access list does not tell users from roles; who has its rights as both is unsure.
            if kind != "public" and alike <= self.live.grants:
                unsure.add(f"{privilege} to {who}")
            else:
                found[privilege].append(grantee)
        if unsure:
            told = ", ".join(sorted(unsure))
            self.notes.append(f"granted to a user or to a role, which cannot be told: {told}")
        return dict(found)

    def _kept(self, columns: list[Drafted], sections: dict[str, Any]) -> TableSpec:
        """The spec with all that specs take; what they refuse is told instead."""
        while True:
            key = sections.get("primary_key", self.wanted.primary_key)
            more = {name: value for name, value in sections.items() if name != "primary_key"}
            try:
                return replace(self.wanted, more=more, primary_key=key).spec(columns, shaped=False)
            except SpecError as error:
                dropped = [self._drop(each, columns, sections) for each in error.problems]
                if not any(dropped):
                    raise

    def _drop(self, problem: Problem, columns: list[Drafted], sections: dict[str, Any]) -> bool:
        """Leave out what a problem is about, if the catalog has brought it in."""
        first, *rest = problem.loc or ("",)
        if first in sections:
            left = sections.pop(str(first))
            if first == "sort":
                sections.pop("sort_type", None)
            self.notes.append(f"left out: {first} {left}: {problem.message}")
            return True
        if first == "columns" and len(rest) >= 2 and isinstance(rest[0], int):
            column = columns[rest[0]]
            # A type that goes with no identity is told of the identity.
            about = [name for name in (str(rest[1]), "identity") if name in column.more]
            if about:
                left = column.more[about[0]]
                more = {name: value for name, value in column.more.items() if name != about[0]}
                columns[rest[0]] = replace(column, more=more)
                said = f"left out: {about[0]} {left}: {problem.message}"
                self.remarks[column.name].append(said)
                return True
        return False
