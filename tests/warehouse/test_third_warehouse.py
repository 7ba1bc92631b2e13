from tests.executor.test_behaviours import *
from tests.executor.test_behaviours import Table
import pytest
from loader.warehouse import registry
@pytest.fixture
def sqlite_installed(tmp_path, monkeypatch):
    package = tmp_path / "installed" / "loader_sqlite-1.0.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: loader-sqlite\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[loader.warehouses]\nsqlite = tests.warehouse.sqlite.adapter:ADAPTER\n")
    monkeypatch.syspath_prepend(package.parent)
    yield
    registry._load_outside.cache_clear()
@pytest.fixture
def world(sqlite_installed, make_project):
    def make(**spec):
        return Table(lambda data: make_project({"t.yml": data}, type="sqlite"), spec)
    return make
