"""The house: imports go down, each library has its homes, nothing heavy loads unasked."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "loader"

FLOORS: list[set[str]] = [
    {"escaping", "text_tables", "version"},
    {"redaction"},
    {"errors"},
    {"atomic_write", "fair_semaphore", "interrupts", "memory_database", "parallel", "text_files"},
    {"scaffold", "settings_file", "sql"},
    {"spec"},
    {"contracts", "plan"},
    {"staging"},
    {"warehouse"},
    {"target_settings"},
    {"config", "data"},
    {"executor", "inference"},
    {"project"},
    {"doctor", "validate"},
    {"docs", "testing"},
    {"cli", "dagster_io"},
    {"__main__", "dagster_component"},
]
FLOOR = {name: level for level, names in enumerate(FLOORS) for name in names}

CORE = {"sql", "spec", "plan"}
"""The pure core: no I/O, no clock, no chance, no frames, no Dagster."""
READERS = {"sql/templates.py", "spec/catalog.py", "plan/plan_file.py"}
"""What reads the files of the core's rooms."""

HOMES: dict[str, set[str]] = {
    "boto3": {"staging", "testing", "warehouse"},
    "botocore": {"staging", "testing", "warehouse"},
    "click": {"cli"},
    "dagster": {"dagster_io", "dagster_component"},
    "duckdb": {"data", "memory_database", "staging", "warehouse"},
    "jinja2": {"docs", "sql"},
    "numpy": {"data", "staging"},
    "pandas": {"executor", "project"},
    "polars": {"executor", "project"},
    "pyspark": {"executor", "project"},
    "pyarrow": {
        "data",
        "doctor",
        "executor",
        "inference",
        "project",
        "staging",
        "testing",
        "warehouse",
    },
    "pydantic": {"dagster_io", "plan", "spec", "target_settings", "warehouse"},
    "pydantic_core": {"spec"},
    "python_calamine": {"data"},
    "redshift_connector": {"testing", "warehouse"},
    "rich": {"cli"},
    "s3transfer": {"staging"},
    "tenacity": {"executor", "warehouse"},
    "yaml": {"spec"},
}
"""Where each library may be imported; project only names types."""

IMPURE = {"os", "time", "random", "secrets", "uuid", "socket", "subprocess", "pathlib", "tempfile"}


def imports(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are written in full"
            assert node.module is not None
            names = [alias.name for alias in node.names]
            whole = node.module == "loader"
            yield from ((f"loader.{n}" if whole else node.module, node.lineno) for n in names)


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def home(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path: Path) -> None:
    """A module imports only from the floors below its own; neighbours do not know each other."""
    here = home(path)
    if here == "__init__":
        return
    for name, line in imports(path):
        head, *rest = name.split(".")
        if head == "loader" and rest and rest[0] != here:
            assert FLOOR[rest[0]] < FLOOR[here], f"{path.name}:{line}: {here} imports {name}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_libraries_stay_in_their_homes(path: Path) -> None:
    """Each third-party library is imported by the modules that are about it, and by no other."""
    here = home(path)
    for name, line in imports(path):
        library = name.split(".")[0]
        if library in HOMES:
            assert here in HOMES[library], f"{path.name}:{line}: {library} has no home in {here}"
        if here in CORE and str(path.relative_to(PACKAGE)) not in READERS:
            assert library not in IMPURE, f"{path.name}:{line}: the core does not use {library}"


def test_no_room_is_a_maze() -> None:
    """Inside of a room too, no modules import each other, however many are between."""
    found = {
        ".".join(("loader", *path.relative_to(PACKAGE).with_suffix("").parts)): path
        for path in modules()
    }
    graph = {
        name: {target for target, _ in imports(path) if target in found and target != name}
        for name, path in found.items()
    }
    TopologicalSorter(graph).prepare()


def test_every_room_has_a_floor() -> None:
    """A new room is placed on a floor before it is used."""
    found = {home(path) for path in modules()} - {"__init__"}
    assert found == set(FLOOR)


HEAVY = ["dagster", "pandas", "polars", "pyarrow", "boto3", "duckdb", "redshift_connector", "rich"]


@pytest.mark.parametrize(
    ("start", "allowed"),
    [
        ("import loader", ()),
        ("import loader; loader.Project, loader.TableSpec", ()),
        ("from loader.cli import main; main(['--help'])", ()),
        ("from loader.cli import main; main(['plan', 'nyc/flights', '-q'])", ()),
        ("from loader.cli import main; main(['schema'])", ()),
        ("from loader.cli import main; main(['validate'])", ()),
        ("from loader.cli import main; main(['history'])", ("pyarrow", "duckdb")),
        (
            "from loader.cli import main;"
            "main(['plan', 'nyc/airlines', '--from', 'specs/nyc/data/airlines.csv'])",
            ("pyarrow", "duckdb"),
        ),
    ],
)
def test_nothing_heavy_loads_unasked(start: str, allowed: tuple[str, ...]) -> None:
    """A fresh interpreter loads no library that the command at hand does not need."""
    script = f"""
import sys
try:
    {start}
except SystemExit as stop:
    assert not stop.code, stop.code
loaded = [name for name in {HEAVY!r} if name in sys.modules and name not in {allowed!r}]
assert not loaded, loaded
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_exports_are_sorted_and_exist() -> None:
    """Everything that `loader` promises is there, and listed in order."""
    import loader

    assert loader.__all__ == sorted(loader.__all__)
    assert all(getattr(loader, name) for name in loader.__all__)


def test_every_guard_names_a_test_that_is_there() -> None:
    """What SECURITY.md says is guarded by a test is guarded by one."""
    rows = [
        line for line in (ROOT / "SECURITY.md").read_text().splitlines() if line.startswith("| ")
    ]
    for row in rows[2:]:
        named = re.search(r"`(tests/[\w/]+\.py)(?:::(\w+))?`[^|]*\|$", row)
        assert named, row
        path, test = named.groups()
        text = (ROOT / path).read_text()
        assert f"def {test or 'test_'}" in text, row
