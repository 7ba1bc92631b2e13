"""The command line. Translates words into calls and results into words; decides nothing."""

from loader.cli import (  # noqa: F401  # they are commands
    applying,
    cleaning,
    contracting,
    documenting,
    inferring,
    loading,
    planning,
    projects,
    validating,
)
from loader.cli.framework import main

__all__ = ["main"]
