"""The command line. Translates words into calls and results into words; decides nothing."""

from loader.cli import apply, clean, contracts, docs, infer, load, plan, project, validate  # noqa: F401  # they are commands
from loader.cli.framework import main

__all__ = ["main"]
