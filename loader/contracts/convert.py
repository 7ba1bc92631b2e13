"""Converts table specs from and to the Open Data Contract Standard, and dbt's property files.

Both ways are lossless for what a spec holds: a spec that is written and read is the same spec.
What they hold and a spec cannot is reported as dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from loader.contracts import dbt, dbt_writing, odcs, odcs_writing
from loader.contracts.draft import Draft
from loader.contracts.sections import Findings
from loader.errors import Problem, SpecError
from loader.spec.model import TableSpec
from loader.spec.yaml_reader import read_documents
from loader.spec.yaml_writer import declared, dump, to_yaml

__all__ = [
    "ContractError",
    "Imported",
    "Told",
    "Written",
    "declared",
    "read",
    "to_yaml",
    "write",
]

Origin = Literal["odcs", "dbt"]
"""The languages that are read."""

Form = Literal["odcs", "dbt", "dbt-source"]
"""The languages that are written."""


class ContractError(SpecError):
    """One or more contracts cannot be read as table specs; ``problems`` holds all of them."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(problems)
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        self.message = "\n".join([f"{count} in what is to be imported", *map(str, problems)])


@dataclass(frozen=True)
class Told:
    """What there is to know of one file that was read."""

    file: str
    dropped: tuple[str, ...]
    """The places whose content a spec cannot hold."""
    notes: tuple[str, ...]
    """Where the file left something open, and what was made of it."""


@dataclass(frozen=True)
class Imported:
    """The specs that files declare, and what is to be told of the files."""

    specs: tuple[TableSpec, ...]
    told: tuple[Told, ...]


@dataclass(frozen=True)
class Written:
    """One document in another language."""

    name: str
    """What a file of it is called."""
    data: Mapping[str, Any]

    @property
    def text(self) -> str:
        """The document as YAML."""
        return dump(self.data)


def read(
    files: Iterable[tuple[str, str]], *, origin: Origin | None = None, schema: str | None = None
) -> Imported:
    """The specs that contracts or dbt's property files declare.

    Args:
        files: The name of each file, for messages, and its text.
        origin: The language; by default each document tells.
        schema: The schema of tables whose file does not say one.

    Raises:
        ContractError: something is wrong; with every problem of every file.
    """
    problems: list[Problem] = []
    told: list[Told] = []
    found: dict[str, tuple[TableSpec, Problem]] = {}
    for shown, text in files:
        documents, wrong = read_documents(text, shown)
        problems += wrong
        if not documents and not wrong:
            message = "the file is empty; a contract or dbt's models and sources were expected"
            problems.append(Problem(message, path=shown, line=1, column=1))
        for document in documents:
            findings = Findings(document)
            for draft in _drafts(findings, origin, schema):
                spec = draft.spec(findings)
                if spec is not None:
                    _add(found, spec, draft, findings)
            problems += findings.problems
            told.append(Told(shown, tuple(findings.dropped), tuple(findings.notes)))
    if problems:
        raise ContractError(sorted(problems, key=_place))
    return Imported(tuple(spec for spec, _ in found.values()), tuple(told))


def _place(problem: Problem) -> tuple[str, int, int]:
    return (problem.path, problem.line, problem.column)


def _add(
    found: dict[str, tuple[TableSpec, Problem]], spec: TableSpec, draft: Draft, findings: Findings
) -> None:
    place = findings.document.problem("", draft.loc)
    _, first = found.setdefault(spec.table, (spec, place))
    if first is not place:
        message = f"the table {spec.table} is already declared at {first.path}:{first.line}"
        findings.problems.append(replace(place, message=message))


def _drafts(findings: Findings, origin: Origin | None, schema: str | None) -> list[Draft]:
    data = findings.document.data
    if not isinstance(data, dict):
        kind = "a list" if isinstance(data, list) else "a single value"
        findings.wrong(f"a contract is a mapping of keys; this is {kind}", ())
        return []
    match origin or _origin(data):
        case "odcs":
            return odcs.read(findings, schema)
        case "dbt":
            return dbt.read(findings, schema)
    if "dataContractSpecification" in data:
        hint = "`datacontract export --format odcs` brings it to the Open Data Contract Standard"
        findings.wrong("the Data Contract Specification is not read", (), hint)
    elif "columns" in data:
        findings.wrong("this is a table spec of Loader's already", (), "it needs no import")
    else:
        findings.wrong("this is neither a data contract nor a property file of dbt", (), _WANTED)
    return []


_WANTED = (
    "a contract starts with apiVersion: v3.1.0 and kind: DataContract; dbt's files have models: or"
    " sources:"
)


def _origin(data: Mapping[str, Any]) -> Origin | None:
    if "apiVersion" in data or data.get("kind") == "DataContract":
        return "odcs"
    return "dbt" if "models" in data or "sources" in data else None


def write(
    specs: Sequence[TableSpec], form: Form, *, servers: Sequence[Mapping[str, str]] = ()
) -> list[Written]:
    """The specs in another language: a contract for each schema, or one file for dbt.

    Args:
        specs: The tables.
        form: The language.
        servers: For contracts: where the tables are, as ``server``, ``type`` and ``database``.
    """
    if form == "dbt":
        return [Written("models.yml", dbt_writing.write_models(specs))]
    if form == "dbt-source":
        return [Written("sources.yml", dbt_writing.write_sources(specs))]
    written: dict[str, Written] = {}
    for schema, data in odcs_writing.write(specs, servers):
        stem, count = schema.replace("/", "_"), 1
        while f"{stem}.odcs.yaml" in written:
            count += 1
            stem = f"{schema.replace('/', '_')}-{count}"
        written[f"{stem}.odcs.yaml"] = Written(f"{stem}.odcs.yaml", data)
    return list(written.values())
