"""Where warehouses are found, and what is said of those that are not what they should be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from loader.errors import ConfigError
from loader.sql.datatypes import parse
from loader.warehouse import registry
from loader.warehouse.adapter import shorten_path
from loader.warehouse.registry import BUILT_IN, adapters_for, get_adapter, warehouse_names
from tests.conftest import MakeProject


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package whose entry points are no adapters, and one that would take a name of Loader's."""
    package = tmp_path / "site" / "loader_odd-1.0.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: loader-odd\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text(
        "[loader.warehouses]\ngone = nowhere.at.all:ADAPTER\nother = json:dumps\n"
        "duckdb = json:dumps\n"
    )
    monkeypatch.syspath_prepend(package.parent)
    yield
    registry._load_from_packages.cache_clear()


@pytest.mark.parametrize("name", ["", "oracle", "adapter", "duckdb.adapter", "DuckDB"])
def test_unknown_warehouses(name: str) -> None:
    """A warehouse that nobody brings is a KeyError, whatever module has that name."""
    with pytest.raises(KeyError):
        get_adapter(name)


@pytest.mark.parametrize("name", BUILT_IN)
def test_loaders_own_are_named_as_their_dialects(name: str) -> None:
    """The type of a target, the dialect and the type in its settings' model are one name."""
    adapter = get_adapter(name)
    assert adapter.dialect.name == name
    assert adapter.settings.model_validate({"type": name}).type == name
    assert adapter.example_target().dialect == name


@pytest.mark.parametrize(("name", "words"), [("gone", "No module"), ("other", "is not a")])
def test_a_package_that_brings_no_adapter_is_named(
    installed: None, make_project: MakeProject, name: str, words: str
) -> None:
    """The error names the package and the entry point; targets of other types are not disturbed."""
    project = make_project({}, type=name)
    with pytest.raises(ConfigError, match=words) as caught:
        project.config.settings()
    assert "loader-odd" in caught.value.message
    assert caught.value.hint
    assert warehouse_names() == (*BUILT_IN, "gone", "other")
    assert [one.dialect.name for one in project.adapters] == list(BUILT_IN)
    assert project.templates


def test_nobody_takes_the_place_of_loaders_own(installed: None) -> None:
    """A package cannot bring another warehouse under a name of Loader's own."""
    (first, *_) = adapters_for(["duckdb"])
    assert first.dialect.title == "DuckDB"


def test_paths_are_shown_as_seen_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder below the working one is told by its relative path, another by its whole one."""
    monkeypatch.chdir(tmp_path)
    assert shorten_path(Path("a/b")) == shorten_path(tmp_path / "a" / "b") == "a/b"
    assert shorten_path(tmp_path.parent / "c") == str(tmp_path.parent / "c")


@pytest.mark.parametrize(
    ("live", "known"), [("DECIMAL(38,38)", None), ("decimal(9,2)", parse("decimal(9,2)"))]
)
def test_decimals_of_duckdb_that_redshift_lacks_are_unknown(live: str, known: object) -> None:
    """A type of the catalog that specs cannot say is unknown, and no error."""
    dialect = get_adapter("duckdb").dialect
    assert dialect.known(live) == known
    assert dialect.spec_type(live) == (None if known is None else str(known))
