"""Names of files and anchors: valid on every file system and in URLs, and unique."""

from __future__ import annotations

import hashlib
import re

_PLAIN = re.compile(r"[a-z0-9_]+(/[a-z0-9_]+)*")
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])")
"""Device names on Windows, with any file extension."""
_LENGTH = 80


def slug(text: str) -> str:
    """Convert text to a unique name of lower-case letters, digits, ``_`` and ``-``.

    If characters are replaced, capitals included, a dot and a digest are added. Capitals are
    replaced because some file systems ignore case.

    >>> slug("nyc/flights"), slug("Nyc/flights")
    ('nyc-flights', 'nyc-flights.cdce3477c139')
    """
    if _PLAIN.fullmatch(text) and not _DEVICES.fullmatch(text) and len(text) <= _LENGTH:
        return text.replace("/", "-")
    safe = re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-")[:_LENGTH] or "x"
    return f"{safe}.{hashlib.sha256(text.encode()).hexdigest()[:12]}"
