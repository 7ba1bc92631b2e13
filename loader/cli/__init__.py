"""The command line: parses arguments, calls `loader.Project`, and prints the results."""

from loader.cli import apply, clean, contracts, docs, infer, load, plan, project, validate  # noqa: F401  # they are commands
from loader.cli.framework import main

__all__ = ["main"]
