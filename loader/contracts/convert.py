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
class LeftOut:
    """A table that cannot be a spec."""

    table: str
    """``schema.name``."""
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class Imported:
    """The specs that files declare, and a report on each file."""

    specs: tuple[TableSpec, ...]
    reports: tuple[FileReport, ...]
    left_out: tuple[LeftOut, ...] = ()
    """The tables that cannot be specs, if these are skipped."""


@dataclass(frozen=True)
class Written:
    """One document in another format."""

    name: str
    """The name for its file."""
    data: Mapping[str, Any]
    without_test: tuple[str, ...] = ()
    """The checks that the format has no test for, as ``schema.table: check``."""

    @property
    def text(self) -> str:
        """The document as YAML."""
        return dump(self.data)


def read(
    files: Iterable[tuple[str, str]],
    *,
    origin: Origin | None = None,
    schema: str | None = None,
    skip_broken: bool = False,
) -> Imported:
    """Read the specs that contracts or dbt property files declare.

    Args:
        files: Each file's name, for messages, and its text.
        origin: The format; by default it is detected for each document.
        schema: The schema of tables whose file does not name one.
        skip_broken: Whether tables that cannot be specs are left out, and reported.

    Raises:
        ContractError: a file is not valid; with all problems of all files. With ``skip_broken``:
            not even one table can be a spec, or a problem is of no table.
    """
    problems: list[Problem] = []
    reports: list[FileReport] = []
    left_out: list[LeftOut] = []
    found: dict[str, tuple[TableSpec, Problem]] = {}
    for shown, text in files:
        documents, yaml_problems = read_documents(text, shown)
        problems += yaml_problems
        if not documents and not yaml_problems:
            message = "the file is empty; expected a contract, or dbt models or sources"
            problems.append(Problem(message, path=shown, line=1, column=1))
        for document in documents:
            findings = Findings(document)
            drafts = _drafts(findings, origin, schema)
            specs = [draft.spec(findings) for draft in drafts]
            # A schema that is missing is of all tables, and one option names it.
            skips = skip_broken and not findings.tables_without_schema
            for draft, spec in zip(drafts, specs, strict=True):
                if spec is not None and not (skips and findings.problems_within(draft.loc)):
                    _add(found, spec, draft, findings)
                if skips and (broken := findings.problems_within(draft.loc)):
                    findings.problems = [one for one in findings.problems if one not in broken]
                    left_out.append(LeftOut(draft.table, tuple(broken)))
            problems += findings.problems
            reports.append(FileReport(shown, tuple(findings.dropped), tuple(findings.notes)))
    if problems or (left_out and not found):
        problems += [problem for one in left_out for problem in one.problems if not found]
        raise ContractError(sorted(problems, key=_place))
    return Imported(tuple(spec for spec, _ in found.values()), tuple(reports), tuple(left_out))


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
    elif other := _OF_DBT.intersection(data):
        findings.note((), f"skipped: {', '.join(sorted(other))} of dbt are no tables")
    elif "columns" in data:
        findings.add_problem("this is already a table spec", (), "it needs no import")
    else:
        findings.add_problem("this is not a data contract or dbt property file", (), _WANTED)
    return []


_WANTED = (
    "a contract starts with `apiVersion: v3.1.0` and `kind: DataContract`; a dbt file has `models:`"
    " or `sources:`"
)


_OF_DBT = frozenset(
    {
        "analyses",
        "data_tests",
        "exposures",
        "functions",
        "groups",
        "macros",
        "metrics",
        "saved_queries",
        "seeds",
        "semantic_models",
        "snapshots",
        "unit_tests",
    }
)
"""What property files of dbt declare beside models and sources."""


def _origin(data: Mapping[str, Any]) -> Origin | None:
    if "apiVersion" in data or data.get("kind") == "DataContract":
        return "odcs"
    return "dbt" if "models" in data or "sources" in data else None


def write(
    specs: Sequence[TableSpec],
    form: Form,
    *,
    servers: Sequence[Mapping[str, str]] = (),
    packages: bool = False,
) -> list[Written]:
    """Convert specs to another format: a contract for each schema, or one dbt file.

    Args:
        specs: The tables.
        form: The format.
        servers: For contracts: the tables' servers, as ``server``, ``type`` and ``database``.
        packages: For dbt: whether tests of dbt_utils and dbt_expectations are used.
    """
    if form != "odcs":
        models = form == "dbt"
        write_file = dbt_writing.write_models if models else dbt_writing.write_sources
        data = write_file(specs, packages=packages)
        without_test = tuple(dbt_writing.checks_without_test(specs, data))
        return [Written("models.yml" if models else "sources.yml", data, without_test)]
    written: dict[str, Written] = {}
    for schema, data in odcs_writing.write(specs, servers):
        stem, count = schema.replace("/", "_"), 1
        while f"{stem}.odcs.yaml" in written:
            count += 1
            stem = f"{schema.replace('/', '_')}-{count}"
        written[f"{stem}.odcs.yaml"] = Written(f"{stem}.odcs.yaml", data)
    return list(written.values())
