"""Runs tests against a mutant in a forked process, where it is imported in the module's place."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import json
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest
from hypothesis import Phase, settings

ROOT = Path(__file__).parents[2]
LIBRARIES = ("boto3", "click", "dagster", "duckdb", "jinja2", "pandas", "pyarrow.parquet", "rich")
"""Imported once, before all forks."""

settings.register_profile(
    "mutation",
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=30,
    phases=[Phase.explicit, Phase.generate],  # a fault that is found need not be made small
)


@dataclass(frozen=True)
class Reach:
    """What a test took, and which lines of the module it reached."""

    seconds: float
    lines: frozenset[int]


class _Mutated(SourceFileLoader):
    """Loads another text in a file's place."""

    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self._source = source

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._source, self.path, "exec", dont_inherit=True)


@dataclass
class _Finder(importlib.abc.MetaPathFinder):
    name: str
    path: Path
    source: str

    def find_spec(self, fullname: str, path: object, target: object = None) -> ModuleSpec | None:
        if fullname != self.name:
            return None
        loader = _Mutated(self.name, str(self.path), self.source)
        return importlib.util.spec_from_file_location(self.name, self.path, loader=loader)


@dataclass
class _Selected:
    """A pytest plugin: the tests that were chosen, the quickest first."""

    order: Sequence[str]

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        place = {name: at for at, name in enumerate(self.order)}
        items[:] = sorted(
            (item for item in items if item.nodeid in place), key=lambda item: place[item.nodeid]
        )


@dataclass
class _Recorder:
    """A pytest plugin: the seconds, the outcome and the lines of a file of every test."""

    path: str
    stand_in: bool
    """Whether tests run that start the stand-in, which takes long."""
    found: dict[str, tuple[float, list[int]]] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if _needs_stand_in(item) == self.stand_in]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        lines: set[int] = set()

        def trace(frame: FrameType, event: str, _: object) -> Any:
            if frame.f_code.co_filename != self.path:
                return None
            lines.add(frame.f_lineno)
            return trace

        started = time.monotonic()
        threading.settrace(trace)
        sys.settrace(trace)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            threading.settrace(None)
            self.found[item.nodeid] = time.monotonic() - started, sorted(lines)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not report.passed:
            self.failed.add(report.nodeid)


def _needs_stand_in(item: pytest.Item) -> bool:
    """Whether it starts a server, which takes long."""
    fixtures = getattr(item, "fixturenames", ())
    if "behaviours" in item.nodeid:
        return "redshift" in item.name
    return "redshift" in fixtures or ("make_project" in fixtures and "redshift" in item.nodeid)


def prepare() -> None:
    """Import what all runs need, and choose settings that suit them."""
    os.chdir(ROOT)
    os.environ["HYPOTHESIS_PROFILE"] = "mutation"
    # pytest would load all modules of a plugin's distribution itself, and so no mutant.
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    for library in LIBRARIES:
        importlib.import_module(library)


def record(
    module: str, tests: Sequence[str], limit: float, *, stand_in: bool = False
) -> dict[str, Reach]:
    """What each of the tests reaches when nothing is wrong; those that fail are left out."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder, "reach.json")

        def run() -> int:
            recorder = _Recorder(str(ROOT / "loader" / f"{module}.py"), stand_in)
            _pytest(tests, folder, recorder)
            passed = {k: v for k, v in recorder.found.items() if k not in recorder.failed}
            answer.write_text(json.dumps(passed))
            return 0

        log = Path(folder, "log")
        if _fork(run, limit, log) != 0:
            raise SystemExit(f"the tests of {module} cannot be run:\n{log.read_text()}")
        found: Mapping[str, tuple[float, list[int]]] = json.loads(answer.read_text())
    return {name: Reach(seconds, frozenset(lines)) for name, (seconds, lines) in found.items()}


def survives(module: str, source: str, tests: Sequence[str], limit: float) -> bool:
    """Whether the tests pass though the module has this text; slower than the limit is a fault."""
    with tempfile.TemporaryDirectory() as folder:

        def run() -> int:
            path = ROOT / "loader" / f"{module}.py"
            sys.meta_path.insert(0, _Finder(f"loader.{module.replace('/', '.')}", path, source))
            files = list(dict.fromkeys(name.partition("::")[0] for name in tests))
            return _pytest(files, folder, _Selected(tests))

        return _fork(run, limit) == 0


def _pytest(tests: Sequence[str], folder: str, plugin: object) -> int:
    options = [
        "-o",
        "addopts=",
        "-p",
        "no:cacheprovider",
        "-q",
        "-m",
        "not slow and not cluster and not soak",
    ]
    options += ["-p", "loader.testing.plugin", "-p", "_hypothesis_pytestplugin"]
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # hypothesis is there already
    if isinstance(plugin, _Selected):
        options.append("-x")
    return int(pytest.main([*options, f"--basetemp={folder}/tmp", *tests], plugins=[plugin]))


def _fork(run: Callable[[], int], limit: float, log_file: Path | None = None) -> int | None:
    """Run something in a process of its own; its exit code, or None when it takes too long."""
    sys.stdout.flush()
    process = os.fork()
    if process == 0:
        os.setsid()
        log = os.open(log_file or os.devnull, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        for stream in (0, 1, 2):
            os.dup2(log, stream)
        code = 70
        try:
            code = run()
        except BaseException:  # noqa: BLE001  whatever it is ends this process
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            _kill_group(process)  # whatever it started
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    _kill_group(process)
    os.waitpid(process, 0)
    return None


def _kill_group(leader: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)
