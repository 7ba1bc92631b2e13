"""What tests share: projects in temporary folders, and nothing of the developer's machine."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

import pytest
import yaml
from hypothesis import HealthCheck, settings

from loader.project import Project
from loader.redaction import KNOWN
from loader.testing.redshift.server import RedshiftStandIn
from loader.warehouse.registry import open_warehouse

settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

FOREIGN = ("AWS_", "DAGSTER_", "DUCKDB_", "GITHUB_", "LOADER_", "PG")
"""Environment variables of a developer's machine that change what programs do."""

Spec = str | Mapping[str, Any]


class MakeProject(Protocol):
    """Writes a project and opens it."""

    def __call__(
        self,
        specs: Mapping[str, Spec],
        templates: Mapping[str, str] | None = None,
        folder: str = "project",
        **target: Any,
    ) -> Project:
        """Specs by path below ``specs/``, templates likewise, and settings of the target."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the soak."""
    group = parser.getgroup("soak")
    told = "How long `-m soak` loads, on both targets together; may be a fraction."
    group.addoption("--soak-minutes", type=float, default=60.0, help=told)
    told = "The seed of `-m soak`, as a failure tells it; another one each time by default."
    group.addoption("--soak-seed", type=int, default=None, help=told)


@pytest.fixture(autouse=True)
def _no_developer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every test starts without cloud accounts, colours, or files of the home folder."""
    for name in list(os.environ):
        if name.startswith(FOREIGN):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(KNOWN, "_spellings", ())
    monkeypatch.setattr(KNOWN, "_words", ())


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait hardly at all between attempts, and for system views that lag behind.

    For tests whose faults stay as long as they are tried again; not for those of loads at once.
    """
    sleep = time.sleep
    quick = SimpleNamespace(sleep=lambda seconds: sleep(min(seconds, 0.02)))
    monkeypatch.setattr("tenacity.nap.time", quick)
    monkeypatch.setattr("loader.warehouse.redshift.copy_errors._DELAYS", (0.0,))


@pytest.fixture
def stand_in(redshift: RedshiftStandIn) -> RedshiftStandIn:
    """The plugin's `redshift`: a stand-in for Redshift and S3 that holds nothing yet."""
    return redshift


@pytest.fixture(params=["duckdb", "redshift"])
def each_target(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The settings of a target of each kind."""
    if request.param == "duckdb":
        return {}
    stand_in: RedshiftStandIn = request.getfixturevalue("redshift")
    return redshift_target(stand_in)


def stored_keys(project: Project, *prefixes: str) -> list[str]:
    """The keys of the files that a project's target has stored below some prefixes."""
    store = project.context().staging_store
    return [key for prefix in prefixes for key, _ in store.list(prefix)]


def redshift_target(stand_in: RedshiftStandIn, **changes: Any) -> dict[str, Any]:
    """The settings of a target that is the stand-in, with changes."""
    return stand_in.target(**changes)


@pytest.fixture
def make_project(tmp_path: Path) -> MakeProject:
    """Makes projects on DuckDB: specs by path below ``specs/``, as YAML text or as data."""

    def make(
        specs: Mapping[str, Spec],
        templates: Mapping[str, str] | None = None,
        folder: str = "project",
        **target: Any,
    ) -> Project:
        root = tmp_path / folder
        (root / "specs").mkdir(parents=True, exist_ok=True)
        for path, spec in specs.items():
            text = spec if isinstance(spec, str) else yaml.safe_dump(dict(spec), sort_keys=False)
            _write(root / "specs" / path, text)
        for path, text in (templates or {}).items():
            _write(root / "templates" / path, text)
        options = {"type": "duckdb", "database": "warehouse.duckdb", "staging": "staging", **target}
        lines = [f"{name} = {_toml(value)}" for name, value in options.items()]
        _write(root / "loader.toml", "\n".join(["[targets.local]", *lines]))
        return Project.find(root)

    return make


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _toml(value: object) -> str:
    if isinstance(value, str):
        return "'" + value + "'"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + "}"
    return str(value).lower() if isinstance(value, bool) else str(value)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One worker more than there are cores: a quarter of the time tests wait for servers."""
    return (os.cpu_count() or 1) + 1


def kept_open(project: Project) -> AbstractContextManager[object]:
    """The database file, kept open: most of the time of a small load goes into opening it."""
    return open_warehouse(project.config.settings(), project.config.root).session()
