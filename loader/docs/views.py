"""Renders the pages as HTML, with all text of specs escaped."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import jinja2

from loader.docs.language import sections
from loader.docs.lineage import Lineage, graph
from loader.docs.search import search_script
from loader.docs.tables import TablePage
from loader.escaping import escape_invisible
from loader.spec.json_schema import json_schema
from loader.version import version

_FOLDER = "pages"


@dataclass(frozen=True)
class Filter:
    """A filter of the table list: its values, with the number of tables for each."""

    name: str
    title: str
    every: str
    choices: tuple[tuple[str, int], ...]


def site_files(pages: Sequence[TablePage]) -> dict[str, str]:
    """The text of each file of a site, by file name."""
    templates = _templates()
    lineage = Lineage({page.key: page.upstream for page in pages}, {p.key: p.file for p in pages})
    shared = {"version": version()}
    files = {name: _asset(name) for name in ("site.css", "site.js")}
    files["spec.schema.json"] = json.dumps(json_schema(), indent=2) + "\n"
    files["search.js"] = search_script(pages)
    files["index.html"] = templates.get_template("index.html.j2").render(
        shared,
        root="",
        pages=pages,
        filters=_filters(pages),
        counts=_counts(pages),
        live=next((page.live for page in pages), None),
    )
    files["language.html"] = templates.get_template("language.html.j2").render(
        shared, root="", sections=sections(json_schema())
    )
    template = templates.get_template("table.html.j2")
    for page in pages:
        neighbours = lineage.neighbours(page.key)
        files[page.file] = template.render(
            shared, root="../", page=page, neighbours=neighbours, graph=graph(neighbours)
        )
    # The templates escape HTML; invisible and direction-changing characters are escaped here.
    return {name: escape_invisible(text) for name, text in files.items()}


def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("loader.docs", _FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _asset(name: str) -> str:
    return (resources.files("loader.docs") / _FOLDER / name).read_text(encoding="utf-8")


def _filters(pages: Sequence[TablePage]) -> list[Filter]:
    """The filters that have at least one value."""
    found: Mapping[str, tuple[str, str, Counter[str]]] = {
        "schema": ("Schema", "All schemas", Counter(page.schema for page in pages)),
        "tag": ("Tag", "All tags", Counter(tag for page in pages for tag in page.tags)),
        "owner": ("Owner", "All owners", Counter(one for page in pages for one in page.owners)),
        "class": ("Data class", "All data", Counter(one for page in pages for one in page.classes)),
    }
    return [
        Filter(name, title, every, tuple(sorted(counter.items())))
        for name, (title, every, counter) in found.items()
        if counter
    ]


def _counts(pages: Sequence[TablePage]) -> dict[str, Any]:
    return {
        "tables": len(pages),
        "columns": sum(len(page.columns) for page in pages),
        "schemas": len({page.schema for page in pages}),
    }
