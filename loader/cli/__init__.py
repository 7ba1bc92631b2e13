"""The command line. Translates words into calls and results into words; decides nothing."""

from loader.cli import (  # noqa: F401  # they are commands
    apply,
    clean,
    contracts,
    docs,
    infer,
    load,
    plan,
    project,
    sandbox,
    validate,
)
from loader.cli.framework import main

__all__ = ["main"]
