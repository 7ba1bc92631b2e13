"""Writes a static documentation site, which needs no server and no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from loader.docs import lineage
from loader.docs.folder import MANIFEST, find_earlier_files, replace_files
from loader.docs.live import live_page
from loader.docs.tables import TablePage, table_pages
from loader.docs.views import site_files
from loader.errors import SpecError
from loader.project import Project
from loader.validate import validate

__all__ = ["MANIFEST", "SiteResult", "write_site"]


@dataclass(frozen=True)
class SiteResult:
    """The result of writing a site."""

    folder: Path
    tables: int
    files: tuple[str, ...]
    removed: tuple[str, ...]
    """Pages of tables that no longer exist."""

    def to_dict(self) -> dict[str, object]:
        """The result as JSON-ready data."""
        return {
            "folder": str(self.folder),
            "tables": self.tables,
            "files": list(self.files),
            "removed": list(self.removed),
        }


def write_site(
    project: Project,
    folder: Path,
    select: Sequence[str] = (),
    *,
    live: bool = False,
    target: str | None = None,
) -> SiteResult:
    """Write the site of a project's specs; without ``live`` the same specs give the same bytes.

    Args:
        project: The project.
        folder: The folder to write: missing, empty, or an earlier site.
        select: The tables to include, as for `Catalog.select`; default all.
        live: Whether the pages show loads, rows, checks and values of a target as well.
        target: The target; default the project's.

    Raises:
        ExecuteError: the target cannot be reached.
        SpecError: all errors that `loader validate` finds, and invalid `upstream` lists.
        PlanError: there are no specs, or ``select`` matches none.
        ConfigError: the folder contains other files, or cannot be written.
    """
    earlier = find_earlier_files(folder)
    _, problems = validate(project, select)
    if problems:
        raise SpecError(problems)
    entries = project.catalog.select(select)
    if invalid := lineage.problems(entries):
        raise SpecError(invalid)
    pages = table_pages(project, entries)
    if live:
        pages = _with_facts(project, pages, target)
    files = site_files(pages)
    removed = replace_files(folder, files, earlier)
    return SiteResult(folder, len(pages), tuple(sorted(files)), tuple(removed))


def _with_facts(
    project: Project, pages: Sequence[TablePage], target: str | None
) -> list[TablePage]:
    """The pages with what a target knows of their tables."""
    from loader.executor.table_facts import read_table_facts  # noqa: PLC0415  # not for other sites

    context = project.context(target)
    moment = datetime.now(UTC)
    found = []
    for page in pages:
        spec = project.spec(page.key)
        facts = read_table_facts(spec, context)
        found.append(replace(page, live=live_page(spec, facts, context.target.name, moment)))
    return found
