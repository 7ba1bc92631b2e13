"""`loader sandbox`: a Redshift on this machine, found by its project, that leaves nothing."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
import redshift_connector
from click.testing import CliRunner

from loader.cli import main
from loader.errors import ConfigError
from loader.project import Project
from loader.redaction import KNOWN
from loader.scaffold import scaffold
from loader.testing.redshift.server import RedshiftStandIn
from loader.warehouse.redshift.sandbox import FILE, S3Server, SandboxTarget, announce, find_sandbox

ROOT = Path(__file__).parents[2]
LOADER = [sys.executable, "-m", "loader"]


def readme_lines() -> list[list[str]]:
    """The two lines of the README that run Loader on the stand-in, without `uv run loader`."""
    text = (ROOT / "README.md").read_text("utf-8")
    lines = re.findall(r"^uv run loader (.*\bsandbox)$", text, re.M)
    return [shlex.split(line) for line in lines]


def loader(folder: Path, *words: str) -> str:
    """What a command prints, in another process; it must succeed."""
    done = subprocess.run(
        [*LOADER, *words], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def running(folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A sandbox in another process, once it has told how it is reached."""
    # Not below tmp_path: pytest shuts its folders to PostgreSQL's user, where root runs the tests.
    with (
        tempfile.TemporaryDirectory(prefix="loader-sandbox-") as temporary,
        (folder / "out").open("w") as out,
        (folder / "err").open("w") as err,
        subprocess.Popen(
            [*LOADER, *words],
            cwd=folder,
            env={**os.environ, "TMPDIR": temporary},
            stdout=out,
            stderr=err,
            text=True,
        ) as process,
    ):
        try:
            deadline = time.monotonic() + 120
            while time.monotonic() < deadline and process.poll() is None:
                told = (folder / "out").read_text()
                if "AWS_REDSHIFT_BUCKET_NAME" in told and told.endswith("\n"):
                    break
                time.sleep(0.1)
            assert process.poll() is None, (folder / "err").read_text()
            assert servers(temporary)
            yield process
            assert process.wait(60) == 0
            assert list(Path(temporary).glob("stand-in-*")) == []
            assert servers(temporary) == []
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(60)


def servers(temporary: str) -> list[int]:
    """The servers of PostgreSQL whose data are below a folder."""
    return [
        one.pid
        for one in psutil.process_iter(["cmdline"])
        if "postgres" in str(one.info["cmdline"]) and temporary in str(one.info["cmdline"])
    ]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A copy of this repository's project."""
    folder = tmp_path / "repository"
    folder.mkdir()
    shutil.copy(ROOT / "pyproject.toml", folder)
    for name in ("specs", "templates"):
        shutil.copytree(ROOT / name, folder / name)
    return folder


def test_the_lines_of_the_readme_load_into_the_sandbox(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sandbox is a target of its project in any shell, and gone without a trace at Ctrl-C."""
    start, load = readme_lines()
    monkeypatch.setenv("AWS_PROFILE", "not-there")  # the sandbox's S3 needs no settings of boto3
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with running(repository, *start) as process:
        told = (repository / "out").read_text()
        assert "This is NOT Redshift" in told
        assert "[tool.loader.targets.sandbox]" in told
        assert stat.S_IMODE((repository / FILE).stat().st_mode) == 0o600
        loaded = loader(repository, *load)
        assert "27,004 rows loaded, 0 deleted, verified and committed" in loaded
        read = loader(repository, "read", "nyc/flights", "--target", "sandbox", "--format", "json")
        assert len(read.splitlines()) == 27_004
        plan = loader(repository, "plan", "nyc/flights", "--target", "sandbox", "-v")
        assert "IAM_ROLE" in plan
        assert find_sandbox(repository) is not None
        again = CliRunner().invoke(main, ["sandbox", "--project", str(repository)])
        assert again.exit_code == 1
        assert "a sandbox runs for this project already" in again.stderr
        process.send_signal(signal.SIGINT)
    assert not (repository / FILE).exists()
    assert "all that was in it is gone" in (repository / "err").read_text()
    with pytest.raises(ConfigError, match="no sandbox runs") as caught:
        Project.find(repository).config.settings("sandbox")
    assert "start it with `loader sandbox`" in (caught.value.hint or "")


def test_other_tools_connect_with_what_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As data it tells all that a driver and boto3 need; it may run outside of any project."""
    with running(tmp_path, "sandbox", "--format", "json") as process:
        told = json.loads((tmp_path / "out").read_text())
        assert told["announced"] is None
        assert told["process"] == process.pid
        names = ("host", "port", "database", "user", "password", "ssl")
        target: Mapping[str, Any] = told["target"]
        connection = redshift_connector.connect(**{name: target[name] for name in names})
        for name, value in told["environment"].items():
            monkeypatch.setenv(name, value)
        bucket = target["staging"].split("/")[2]
        boto3.client("s3").put_object(Bucket=bucket, Key="rows.csv", Body=b"1\n2\n")
        cursor = connection.cursor()
        cursor.execute("CREATE TABLE t (a integer)")
        cursor.execute(f"COPY t FROM 's3://{bucket}/rows.csv' IAM_ROLE '{target['iam_role']}' CSV")
        cursor.execute("SELECT count(*) FROM t")
        assert cursor.fetchall() == ([2],)
        connection.close()
        process.send_signal(signal.SIGTERM)


def test_a_port_that_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that was asked for and is taken is an error with the next step; no server starts."""
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = CliRunner().invoke(main, ["sandbox", "--port", str(port)])
    assert done.exit_code == 1
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in done.stderr
    assert "leave out --port" in done.stderr


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the libraries of the extra the command says what to install."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "moto", None)
    done = CliRunner().invoke(main, ["sandbox"])
    assert done.exit_code == 1
    assert "the stand-in for Redshift needs moto, which is not installed" in done.stderr
    assert "pip install 'loader[testing]'" in done.stderr


# --- the file that announces it ---------------------------------------------------------------


def target_of(stand_in: RedshiftStandIn) -> SandboxTarget:
    s3 = S3Server(
        endpoint_url=stand_in.endpoint_url, access_key_id="KEY", secret_access_key="s3-secret"
    )
    return SandboxTarget.model_validate({**stand_in.target(), "s3": s3})


@pytest.fixture
def announced(stand_in: RedshiftStandIn, tmp_path: Path) -> Path:
    """The file of a project for which a stand-in runs in this process."""
    scaffold(tmp_path / "shop")
    return announce(tmp_path / "shop", target_of(stand_in))


def test_a_project_finds_its_sandbox(announced: Path, stand_in: RedshiftStandIn) -> None:
    """`target="sandbox"` is the stand-in that runs for the project; its secrets are hidden."""
    project = Project.find(announced.parents[1])
    spec = project.spec("shop/orders")
    files = announced.parents[1] / "data" / "orders.csv"
    from loader.data.files.open import open_files

    result = project.load(
        spec, open_files([str(files)], spec.source), partition="auto", target="sandbox"
    )
    assert result.rows_loaded == 3
    assert stand_in.query("SELECT count(*) FROM shop.orders") == [(3,)]
    assert KNOWN.hide(f"{stand_in.password} s3-secret") == "*** ***"
    assert "s3-secret" not in repr(project.config.settings("sandbox"))


BROKEN: Mapping[str, dict[str, Any]] = {
    "its process has ended": {"process": 2**22 - 1},
    "it is elsewhere": {"target": {"host": "203.0.113.9"}},
    "its S3 is elsewhere": {"target": {"s3": {"endpoint_url": "http://203.0.113.9:80"}}},
    "nobody listens": {"target": {"port": 1}},
    "it lacks a part": {"target": {"s3": None}},
}


@pytest.mark.parametrize("how", [*BROKEN, "others can read it", "it is no JSON"])
def test_what_is_no_running_sandbox_counts_for_nothing(announced: Path, how: str) -> None:
    """A file that was left behind, or that somebody else may have brought, is not followed."""
    root = announced.parents[1]
    assert find_sandbox(root) is not None
    data = json.loads(announced.read_text())
    if how in BROKEN:
        changes = dict(BROKEN[how])
        target = changes.pop("target", {})
        s3 = target.get("s3", {})
        data |= changes
        data["target"] |= target
        if isinstance(s3, dict) and s3:
            data["target"]["s3"] = {"access_key_id": "a", "secret_access_key": "b", **s3}
    announced.write_text("{" if how == "it is no JSON" else json.dumps(data))
    if how == "others can read it":
        announced.chmod(0o644)
    assert find_sandbox(root) is None
    done = CliRunner().invoke(main, ["plan", "--target", "sandbox", "--project", str(root)])
    assert done.exit_code == 1
    assert "start it with `loader sandbox`" in done.stderr


def test_a_target_of_the_project_comes_first(announced: Path) -> None:
    """A project that has a target `sandbox` of its own keeps it."""
    root = announced.parents[1]
    with (root / "loader.toml").open("a") as file:
        file.write('\n[targets.sandbox]\ntype = "duckdb"\n')
    assert Project.find(root).config.settings("sandbox").type == "duckdb"
    assert os.path.lexists(announced)
