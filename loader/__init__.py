"""Loader turns a reviewed YAML table spec into a correct, verified table."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loader.data.in_place import InPlace
    from loader.errors import (
        ConfigError,
        ExecuteError,
        FrameError,
        LoaderError,
        PlanError,
        SourceError,
        SpecError,
        StageError,
        TemplateError,
        VerifyError,
    )
    from loader.executor.results import LoadResult, Progress
    from loader.executor.run import RunResult, TableRun
    from loader.plan.model import Plan, Statement
    from loader.project import Project
    from loader.spec.model import TableSpec
    from loader.spec.partitions import Slice

__all__ = [
    "ConfigError",
    "ExecuteError",
    "FrameError",
    "InPlace",
    "LoadResult",
    "LoaderError",
    "Plan",
    "PlanError",
    "Progress",
    "Project",
    "RunResult",
    "Slice",
    "SourceError",
    "SpecError",
    "StageError",
    "Statement",
    "TableRun",
    "TableSpec",
    "TemplateError",
    "VerifyError",
]

_MODULES = {
    "InPlace": "data.in_place",
    "LoadResult": "executor.results",
    "Plan": "plan.model",
    "Progress": "executor.results",
    "Project": "project",
    "RunResult": "executor.run",
    "Slice": "spec.partitions",
    "Statement": "plan.model",
    "TableRun": "executor.run",
    "TableSpec": "spec.model",
}


def __getattr__(name: str) -> object:
    """Import a name on first use, so that `loader --help` stays fast."""
    if name not in __all__:
        raise AttributeError(f"module 'loader' has no attribute {name!r}")
    return getattr(importlib.import_module(f"loader.{_MODULES.get(name, 'errors')}"), name)


def __dir__() -> list[str]:
    return __all__
