"""The pytest plugin as others use it: in folders and environments that know nothing of this one."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest

from loader.testing import plugin

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "loader" / "testing" / "README.md"


def example() -> str:
    """The file of tests that the page shows."""
    (found,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
    return found


def pytest_in(folder: Path, *words: str, python: Path | str = sys.executable) -> str:
    """What a run of pytest prints, in an environment that looks for AWS elsewhere."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "AWS_PROFILE": "none"}
    (folder / "pytest.ini").write_text("[pytest]\n")
    done = subprocess.run(
        [str(python), "-m", "pytest", "-q", "-ra", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return done.stdout + done.stderr


def test_the_example_of_the_page_passes(tmp_path: Path) -> None:
    """The tests that the page shows pass in any folder: the installation registers the plugin."""
    (tmp_path / "test_orders.py").write_text(example(), "utf-8")
    told = pytest_in(tmp_path)
    assert "3 passed" in told, told


def test_every_fixture_is_told(tmp_path: Path) -> None:
    """`pytest --fixtures` tells each fixture with its meaning, and the page has them all."""
    told = pytest_in(tmp_path, "--fixtures")
    public = [
        name
        for name, value in vars(plugin).items()
        if not name.startswith("_") and type(value).__name__ == "FixtureFunctionDefinition"
    ]
    assert public == re.findall(r"^\| `(redshift\w*)` \|", PAGE.read_text("utf-8"), re.M)
    for name in public:
        assert re.search(rf"^{name}\b.*\n    \w", told, re.M), told


def test_without_the_extra_a_test_is_told_what_to_install(tmp_path: Path) -> None:
    """The fixture fails with the command that installs what is missing, and without a traceback."""
    (tmp_path / "conftest.py").write_text("import sys\nsys.modules['moto'] = None\n")
    (tmp_path / "test_one.py").write_text("def test_one(redshift): pass\n")
    told = pytest_in(tmp_path)
    assert "the stand-in for Redshift needs moto, which is not installed" in told
    assert "pip install 'loader[testing]'" in told
    assert "Traceback" not in told


def test_importing_the_plugin_is_cheap() -> None:
    """A run of pytest that uses no fixture of it imports none of the libraries behind them."""
    heavy = ["boto3", "moto", "psycopg", "pyarrow", "redshift_connector", "pandas", "click"]
    script = f"import sys, loader.testing.plugin; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "[]", done.stderr


WORKERS = """
import pytest

@pytest.mark.parametrize("number", range(4))
def test_one(redshift, redshift_connect, number, worker_id):
    assert redshift.query("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]
    connection = redshift_connect()
    connection.cursor().execute("CREATE TABLE t (a int)")
    connection.commit()
    print(f"{worker_id}={redshift.port}")
"""


def test_every_worker_has_a_server_of_its_own(tmp_path: Path) -> None:
    """With pytest-xdist workers share nothing, and each test finds an empty warehouse."""
    (tmp_path / "test_many.py").write_text(WORKERS)
    told = pytest_in(tmp_path, "-n", "2", "--dist", "each", "-rP")
    ports = dict(re.findall(r"^(gw\d)=(\d+)$", told, re.M))
    assert "8 passed" in told, told
    assert len(set(ports.values())) == len(ports) == 2


@pytest.mark.slow
def test_the_wheel_brings_the_plugin(tmp_path: Path) -> None:
    """In an environment of its own, the wheel with its extra is all that the example needs."""
    uv = shutil.which("uv")
    assert uv is not None
    # uv finds its cache and its registry in the home folder of whoever runs this.
    shell = {**os.environ, "HOME": pwd.getpwuid(os.getuid()).pw_dir}
    build = [uv, "build", "--wheel", "--quiet", "-o", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, env=shell, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert "loader/testing/redshift/database/layout.sql" in zipfile.ZipFile(wheel).namelist()
    # Not below tmp_path: pytest shuts its folders to PostgreSQL's user, where root runs the tests.
    with tempfile.TemporaryDirectory(prefix="loader-wheel-") as made:
        python = Path(made, "bin", "python")
        for words in (
            ["venv", "--quiet", "--allow-existing", "--python", sys.executable, made],
            ["pip", "install", "--quiet", "--python", str(python), f"{wheel}[testing]"],
        ):
            subprocess.run([uv, *words], cwd=tmp_path, env=shell, check=True)
        (tmp_path / "test_orders.py").write_text(example(), "utf-8")
        told = pytest_in(tmp_path, python=python)
    assert "3 passed" in told, told
