"""Converts table specs to and from the Open Data Contract Standard (ODCS) and dbt property files.

A spec that is written and read back is unchanged. Contents of other files that a spec does not
support are reported as dropped.
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
    "FileReport",
    "Imported",
    "Written",
    "declared",
    "read",
    "to_yaml",
    "write",
]

Origin = Literal["odcs", "dbt"]
"""The formats that can be read."""

Form = Literal["odcs", "dbt", "dbt-source"]
"""The formats that can be written."""


class ContractError(SpecError):
    """One or more contracts cannot be read as table specs; ``problems`` holds all of them."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(problems)
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        self.message = "\n".join([f"{count} in the imported files", *map(str, problems)])


@dataclass(frozen=True)
class FileReport:
    """The report on one file that was read."""

    file: str
    dropped: tuple[str, ...]
    """The locations of contents that a spec does not support."""
    notes: tuple[str, ...]
    """The choices that were made where the file was ambiguous, with their locations."""


@dataclass(frozen=True)
class Imported:
    """The specs that files declare, and a report on each file."""

    specs: tuple[TableSpec, ...]
    reports: tuple[FileReport, ...]


@dataclass(frozen=True)
class Written:
    """One document in another format."""

    name: str
    """The name for its file."""
    data: Mapping[str, Any]

    @property
    def text(self) -> str:
        """The document as YAML."""
        return dump(self.data)


def read(
    files: Iterable[tuple[str, str]], *, origin: Origin | None = None, schema: str | None = None
) -> Imported:
    """Read the specs that contracts or dbt property files declare.

    Args:
        files: Each file's name, for messages, and its text.
        origin: The format; by default it is detected for each document.
        schema: The schema of tables whose file does not name one.

    Raises:
        ContractError: a file is not valid; with all problems of all files.
    """
    problems: list[Problem] = []
    reports: list[FileReport] = []
    found: dict[str, tuple[TableSpec, Problem]] = {}
    for shown, text in files:
        documents, yaml_problems = read_documents(text, shown)
        problems += yaml_problems
        if not documents and not yaml_problems:
            message = "the file is empty; expected a contract, or dbt models or sources"
            problems.append(Problem(message, path=shown, line=1, column=1))
        for document in documents:
            findings = Findings(document)
            for draft in _drafts(findings, origin, schema):
                spec = draft.spec(findings)
                if spec is not None:
                    _add(found, spec, draft, findings)
            problems += findings.problems
            reports.append(FileReport(shown, tuple(findings.dropped), tuple(findings.notes)))
    if problems:
        raise ContractError(sorted(problems, key=_place))
    return Imported(tuple(spec for spec, _ in found.values()), tuple(reports))


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
        findings.add_problem(f"expected a mapping of keys, found {kind}", ())
        return []
    match origin or _origin(data):
        case "odcs":
            return odcs.read(findings, schema)
        case "dbt":
            return dbt.read(findings, schema)
    if "dataContractSpecification" in data:
        hint = "convert it with `datacontract export --format odcs`"
        findings.add_problem("the Data Contract Specification is not supported", (), hint)
    elif "columns" in data:
        findings.add_problem("this is already a table spec", (), "it needs no import")
    else:
        findings.add_problem("this is not a data contract or dbt property file", (), _WANTED)
    return []


_WANTED = (
    "a contract starts with `apiVersion: v3.1.0` and `kind: DataContract`; a dbt file has `models:`"
    " or `sources:`"
)


def _origin(data: Mapping[str, Any]) -> Origin | None:
    if "apiVersion" in data or data.get("kind") == "DataContract":
        return "odcs"
    return "dbt" if "models" in data or "sources" in data else None


def write(
    specs: Sequence[TableSpec], form: Form, *, servers: Sequence[Mapping[str, str]] = ()
) -> list[Written]:
    """Convert specs to another format: a contract for each schema, or one dbt file.

    Args:
        specs: The tables.
        form: The format.
        servers: For contracts: the tables' servers, as ``server``, ``type`` and ``database``.
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
