"""Writes a static documentation site, which needs no server and no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from loader.docs import lineage
from loader.docs.folder import MANIFEST, find_earlier_files, replace_files
from loader.docs.tables import table_pages
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


def write_site(project: Project, folder: Path, select: Sequence[str] = ()) -> SiteResult:
    """Write the site of a project's specs; the same specs give the same bytes.

    Args:
        project: The project.
        folder: The folder to write: missing, empty, or an earlier site.
        select: The tables to include, as for `Catalog.select`; default all.

    Raises:
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
    files = site_files(pages)
    removed = replace_files(folder, files, earlier)
    return SiteResult(folder, len(pages), tuple(sorted(files)), tuple(removed))
