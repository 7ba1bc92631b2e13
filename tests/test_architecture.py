"""The house: imports go down, each library has its homes, nothing heavy loads unasked."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "loader"

FLOORS: list[set[str]] = [
    {"escaping"},
    {"redaction"},
    {"errors", "datatypes", "live", "sandbox", "sqltext", "timeformats", "version"},
    {"dialects", "slices"},
    {"figures", "filenames", "render", "spec"},
    {"rules", "dispositions", "remarks"},
    {"diagnose", "plan", "yamltext"},
    {"drift"},
    {"ddl", "rendering"},
    {"changes", "planner"},
    {"review"},
    {"newfiles", "textfiles", "yamlinput"},
    {"config", "shares", "int96", "pandasindex", "gathering"},
    {"catalog", "collector", "planfile", "templates", "results", "frames", "formats", "stores"},
    {"conform", "sources", "staging", "warehouses"},
    {"checks"},
    {"duplicates", "execute", "inference", "introspect"},
    {"applying", "checking", "cleaning", "copyerrors", "unloading"},
    {"ingest", "reading", "writing"},
    {"load"},
    {"project"},
    {"contracts", "doctor", "history", "validate", "jsonschema", "present", "progress", "scaffold"}
    | {"annotations"},
    {"site"},
    {"cli", "dagster_io"},
    {"__main__", "dagster_component"},
]
CORE = set().union(*FLOORS[:11])
"""The pure core: no I/O, no clock, no chance, no frames, no Dagster."""

FLOOR = {name: level for level, names in enumerate(FLOORS) for name in names}

HOMES: dict[str, set[str]] = {
    "boto3": {"stores", "warehouses"},
    "botocore": {"stores"},
    "click": {"cli"},
    "dagster": {"dagster_io", "dagster_component"},
    "duckdb": {"warehouses", "duplicates", "conform", "collector"},
    "jinja2": {"render", "sandbox", "site"},
    "numpy": {"collector", "sources"},
    "pandas": {"reading", "project"},
    "polars": {"reading", "project"},
    "pyarrow": {
        "frames",
        "gathering",
        "formats",
        "staging",
        "conform",
        "sources",
        "duplicates",
        "ingest",
    }
    | {"collector", "int96", "copyerrors", "reading", "unloading", "writing", "warehouses"}
    | {"project", "inference"},
    "pydantic": {"spec", "diagnose", "config", "dagster_io", "planfile"},
    "pydantic_core": {"spec", "diagnose"},
    "redshift_connector": {"warehouses"},
    "s3transfer": {"stores"},
    "rich": {"progress"},
    "tenacity": {"execute", "warehouses"},
    "yaml": {"catalog", "contracts", "yamlinput", "yamltext"},
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
        if here in CORE and here != "version":
            assert library not in IMPURE, f"{path.name}:{line}: the core does not use {library}"


def test_every_module_has_a_floor() -> None:
    """A new module is placed on a floor before it is used."""
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
        named = re.search(r"`(tests/\w+\.py)(?:::(\w+))?`[^|]*\|$", row)
        assert named, row
        path, test = named.groups()
        text = (ROOT / path).read_text()
        assert f"def {test or 'test_'}" in text, row
