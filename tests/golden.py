"""Expected output in files beside the tests; ``ACCEPT=1 uv run pytest`` rewrites them, CI never."""

from __future__ import annotations

import os
import re
from pathlib import Path

# Read before the fixtures clear the environment.
ACCEPT = bool(os.environ.get("ACCEPT")) and not os.environ.get("CI")


def expect(path: Path, text: str) -> None:
    """Compare text with what a file holds."""
    if ACCEPT:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
    assert path.is_file(), f"{path} is missing; ACCEPT=1 writes it"
    with path.open(encoding="utf-8", newline="") as file:
        assert text == file.read()


def expect_block(path: Path, name: str, text: str) -> None:
    """Compare text with what a page holds between ``<!-- generated: NAME -->`` and the end."""
    page = path.read_text("utf-8")
    block = f"<!-- generated: {name} -->\n{text}\n<!-- end -->\n"
    pattern = rf"<!-- generated: {re.escape(name)} -->\n.*?<!-- end -->\n"
    assert re.search(pattern, page, re.DOTALL), f"{path} has no block {name}"
    expect(path, re.sub(pattern, lambda _: block, page, count=1, flags=re.DOTALL))
