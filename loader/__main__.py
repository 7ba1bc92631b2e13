"""``python -m loader``."""

from __future__ import annotations

from loader.cli import main

main()
