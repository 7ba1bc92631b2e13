"""The search index, as a script: pages opened from disk cannot fetch other files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from loader.docs.tables import ColumnRow, TablePage
from loader.escaping import escape_invisible


def search_script(pages: Sequence[TablePage]) -> str:
    """The script with the searchable text of each table, and its values for the filters."""
    tables = [
        {
            "file": page.file,
            "key": page.key.lower(),
            "text": _search_text(page),
            "columns": [_column(column) for column in page.columns],
            "schema": [page.schema],
            "tag": page.tags,
            "owner": page.owners,
            "class": page.classes,
        }
        for page in pages
    ]
    # `<` is escaped, so that no text can close the script element; JSON is ASCII.
    text = json.dumps(_escape_invisible(tables), separators=(",", ":")).replace("<", "\\u003c")
    return f"window.LOADER_TABLES = {text};\n"


def _escape_invisible(data: Any) -> Any:
    match data:
        case str():
            return escape_invisible(data)
        case dict():
            return {key: _escape_invisible(value) for key, value in data.items()}
        case list() | tuple():
            return [_escape_invisible(value) for value in data]
    return data


def _search_text(page: TablePage) -> str:
    words = (page.key, page.table, page.description, *page.tags, *page.owners)
    return "\n".join(words).lower()


def _column(column: ColumnRow) -> list[str]:
    words = (column.name, column.classification, column.description)
    return [column.name, column.anchor, "\n".join(words).lower()]
