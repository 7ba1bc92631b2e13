"""What the search of the index looks through, as a script: pages from a disk may fetch nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from loader.docs.tables import ColumnRow, TablePage
from loader.escaping import visible


def search_script(pages: Sequence[TablePage]) -> str:
    """The script that holds what is found of each table, and what it is chosen by."""
    found = [
        {
            "file": page.file,
            "key": page.key.lower(),
            "text": _text(page),
            "columns": [_column(column) for column in page.columns],
            "schema": [page.schema],
            "tag": page.tags,
            "owner": page.owners,
            "class": page.classes,
        }
        for page in pages
    ]
    # What would close the script cannot stand in it; JSON in ASCII has no odd line ends.
    text = json.dumps(_visible(found), separators=(",", ":")).replace("<", "\\u003c")
    return f"window.LOADER_TABLES = {text};\n"


def _visible(data: Any) -> Any:
    match data:
        case str():
            return visible(data)
        case dict():
            return {key: _visible(value) for key, value in data.items()}
        case list() | tuple():
            return [_visible(value) for value in data]
    return data


def _text(page: TablePage) -> str:
    words = (page.key, page.table, page.description, *page.tags, *page.owners)
    return "\n".join(words).lower()


def _column(column: ColumnRow) -> list[str]:
    words = (column.name, column.classification, column.description)
    return [column.name, column.anchor, "\n".join(words).lower()]
