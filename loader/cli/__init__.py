"""The command line: parses arguments, calls `loader.Project`, and prints the results."""

from loader.cli import (  # noqa: F401  # they are commands
    apply,
    clean,
    contracts,
    docs,
    infer,
    load,
    plan,
    project,
    rejects,
    run,
    sandbox,
    validate,
)
from loader.cli.framework import main

__all__ = ["main"]
