"""Names of files and anchors: safe on every disk and in every address, and each its own."""

from __future__ import annotations

import hashlib
import re

_PLAIN = re.compile(r"[a-z0-9_]+(/[a-z0-9_]+)*")
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])")
"""What Windows takes for a device, whatever its suffix."""
_LENGTH = 80


def slug(text: str) -> str:
    """Text as a word of letters, digits, ``_`` and ``-``, and no other text's.

    Capitals count as well: some disks take ``A`` and ``a`` for one name. What is replaced is told
    apart by a digest behind a dot, which plain words do not have.

    >>> slug("nyc/flights"), slug("Nyc/flights")
    ('nyc-flights', 'nyc-flights.cdce3477c139')
    """
    if _PLAIN.fullmatch(text) and not _DEVICES.fullmatch(text) and len(text) <= _LENGTH:
        return text.replace("/", "-")
    safe = re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-")[:_LENGTH] or "x"
    return f"{safe}.{hashlib.sha256(text.encode()).hexdigest()[:12]}"
