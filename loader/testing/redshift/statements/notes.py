"""Notes to the event triggers of `layout.py`: what a statement says beyond PostgreSQL's words.

A note is a comment at the end of the statement that PostgreSQL runs. So what is remembered of a
table belongs to the same transaction as the table.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

Note = Mapping[str, Any]


def noted(sql: str, note: Note) -> str:
    """The statement with a note, which no text inside can end."""
    text = json.dumps(note).replace("*", "\\u002a")
    return f"{sql} /*redshift {text}*/"
