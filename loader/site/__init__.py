"""A static site of the specs: pages that need no server, no network and hardly a script."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2

from loader.errors import ConfigError
from loader.jsonschema import json_schema
from loader.project import Project
from loader.site.language import sections
from loader.site.lineage import Lineage, graph
from loader.site.tables import TablePage, table_pages
from loader.version import version

MANIFEST = ".loader-docs.json"
"""What an earlier run wrote, so that only that is ever removed."""

_OWN = "pages"


@dataclass(frozen=True)
class SiteResult:
    """What was written."""

    folder: Path
    tables: int
    files: tuple[str, ...]
    removed: tuple[str, ...]
    """Pages of tables that are gone."""

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
        project: Whose specs.
        folder: Where to; made when missing, and left alone when something else is in it.
        select: Which tables, as for `Catalog.select`; default all.

    Raises:
        SpecError, PlanError, TemplateError: as `loader validate` tells them.
        ConfigError: the folder holds something else, or cannot be written.
    """
    earlier = _earlier(folder)
    entries = project.catalog.select(select)
    pages = table_pages(project, entries)
    files = _render(pages)
    try:
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        removed = [name for name in earlier if name not in files]
        for name in removed:
            (folder / name).unlink(missing_ok=True)
        listed = json.dumps({"files": sorted(files)}, indent=1) + "\n"
        (folder / MANIFEST).write_text(listed, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {error.strerror}") from error
    return SiteResult(folder, len(pages), tuple(sorted(files)), tuple(removed))


def _earlier(folder: Path) -> list[str]:
    """The files of an earlier run.

    Raises:
        ConfigError: something else is in the folder.
    """
    if not folder.exists():
        return []
    manifest = folder / MANIFEST
    if manifest.is_file():
        try:
            names = json.loads(manifest.read_text(encoding="utf-8"))["files"]
        except (ValueError, KeyError, TypeError):
            names = []
        # A list that was tampered with must not reach beyond the folder.
        return [name for name in names if isinstance(name, str) and ".." not in Path(name).parts]
    if not folder.is_dir() or any(folder.iterdir()):
        raise ConfigError(
            f"{folder} is not empty, and no earlier site is in it",
            hint="name a new or an empty folder: what is there might be overwritten",
        )
    return []


def _render(pages: Sequence[TablePage]) -> dict[str, str]:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("loader.site", _OWN),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    lineage = Lineage({page.key: page.upstream for page in pages}, {p.key: p.file for p in pages})
    shared: dict[str, Any] = {"version": version(), "count": len(pages)}
    schemas = sorted({page.schema for page in pages})
    files = {
        name: (resources.files("loader.site") / _OWN / name).read_text(encoding="utf-8")
        for name in ("site.css", "site.js")
    }
    files["spec.schema.json"] = json.dumps(json_schema(), indent=2) + "\n"
    files["search.js"] = _search_index(pages)
    index = environment.get_template("index.html.j2")
    files["index.html"] = index.render(shared, root="", pages=pages, schemas=schemas)
    language = environment.get_template("language.html.j2")
    files["language.html"] = language.render(shared, root="", sections=sections(json_schema()))
    template = environment.get_template("table.html.j2")
    for page in pages:
        around = lineage.around(page.key)
        files[page.file] = template.render(
            shared, root="../", page=page, around=around, graph=graph(around)
        )
    return files


def _search_index(pages: Sequence[TablePage]) -> str:
    """What the search looks through, as a script, since pages from a disk may fetch nothing."""
    found = [
        {
            "file": page.file,
            "text": " ".join([page.key, page.table, page.description or "", *page.words]).lower(),
        }
        for page in pages
    ]
    text = json.dumps(found, separators=(",", ":"), sort_keys=True)
    # What would close the script, or break its lines, cannot stand in it.
    for character, escape in (("<", "\\u003c"), ("\u2028", "\\u2028"), ("\u2029", "\\u2029")):
        text = text.replace(character, escape)
    return f"window.LOADER_SEARCH = {text};\n"
