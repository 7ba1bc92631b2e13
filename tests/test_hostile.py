"""Mistakes and hostile files that are told in words: no traceback, no signal, no hang."""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from loader.cli import main
from loader.config import find_config
from loader.contracts.convert import read as read_contracts
from loader.doctor.report import check_target
from loader.errors import ConfigError, ExecuteError, LoaderError, SpecError, TemplateError
from loader.plan.plan_file import read_plan
from loader.project import Project
from loader.spec.catalog import read_catalog
from loader.sql.templates import read_templates
from loader.text_files import LARGEST
from tests.conftest import MakeProject

COLUMNS = [{"name": "id", "data_type": "integer"}]
GOOD: dict[str, Any] = {"schema": "s", "name": "t", "columns": COLUMNS}


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def large(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(LARGEST + 1)


def circle(path: Path) -> None:
    path.symlink_to(path.name)


ODD: dict[str, tuple[Callable[[Path], Any], str]] = {
    "pipe": (os.mkfifo, "it is a pipe"),
    "endless": (endless, "it is a device"),
    "large": (large, "larger than 10 MB"),
    "circle": (circle, "symbolic links"),
    "folder": (os.mkdir, "it is a folder"),
    "bytes": (lambda path: path.write_bytes(b"\xff\xfe"), "is not UTF-8"),
}
"""Things that lie where a file of text should."""


@pytest.mark.parametrize("name", ODD)
def test_what_is_no_file_of_text(tmp_path: Path, name: str) -> None:
    """A spec that is no file of text is an error of that spec alone, and so is a template."""
    make, said = ODD[name]
    for folder in ("specs", "templates/duckdb"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "specs" / "good.yml").write_text(yaml.safe_dump(GOOD))
    make(tmp_path / "specs" / "odd.yml")
    catalog = read_catalog(tmp_path / "specs", tmp_path)
    (problem,) = catalog.problems()
    assert problem.path == "specs/odd.yml"
    assert said in problem.message
    assert catalog.one("s/t").spec is not None
    make(tmp_path / "templates" / "duckdb" / "count.sql.j2")
    with pytest.raises(TemplateError, match=rf"count\.sql\.j2: .*{said}"):
        read_templates(tmp_path / "templates")


@pytest.mark.parametrize("name", [name for name in ODD if name != "folder"])
def test_settings_that_are_no_file_of_text(tmp_path: Path, name: str) -> None:
    """Settings that are no file of text are an error that names them."""
    make, said = ODD[name]
    make(tmp_path / "loader.toml")
    with pytest.raises(ConfigError, match=rf"loader\.toml: .*{said}"):
        find_config(tmp_path)


@pytest.mark.parametrize("name", ODD)
def test_contracts_and_plans_that_are_no_file_of_text(
    make_project: MakeProject,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    """A contract or a plan that is no file of text is an error that names it."""
    make, said = ODD[name]
    monkeypatch.chdir(make_project({"t.yml": GOOD}).config.root)
    make(Path("odd.json"))
    for words in (["import", "odd.json"], ["apply", "odd.json"]):
        with pytest.raises(SystemExit) as stop:
            main(words)
        assert stop.value.code == 1
        err = capsys.readouterr().err
        assert "odd.json" in err
        assert words == ["apply", "odd.json"] or said in err


def test_standard_input_without_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of standard input only so much is read as a contract may have."""
    with Path("/dev/zero").open("rb") as zeros:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(zeros))
        with pytest.raises(SystemExit):
            main(["import", "-"])
    assert "larger than" in capsys.readouterr().err


# Nesting

DEEP = {
    "flow": "a: " + "[" * 100_000,
    "closed": "a: " + "[" * 100_000 + "]" * 100_000,
    "list": "- " * 100_000,
    "mappings": "\n".join(" " * at + "a:" for at in range(3_000)),
    "braces": "{a: " * 50_000,
    "keys": "? " * 100_000,
}


@pytest.mark.parametrize("name", DEEP)
def test_deep_yaml(tmp_path: Path, name: str) -> None:
    """YAML that is nested without end is told with its place, whichever way it is nested."""
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "deep.yml").write_text(DEEP[name])
    (problem,) = read_catalog(tmp_path / "specs", tmp_path).problems()
    assert "nested too deeply" in problem.message
    assert (problem.line, problem.column) != (1, 1)
    with pytest.raises(SpecError, match=r"deep\.yml:\d+:\d+: .*nested too deeply"):
        read_contracts([("deep.yml", DEEP[name])])


def test_deep_by_aliases() -> None:
    """Nesting is counted with aliases and merge keys written out."""
    for form in ("[*a{}]", "{{<<: *a{}, b: 1}}", "{{b: *a{}}}"):
        lines = ["a0: &a0 {x: 1}"]
        lines += [f"a{at + 1}: &a{at + 1} {form.format(at)}" for at in range(2_000)]
        with pytest.raises(SpecError, match="nested too deeply"):
            read_contracts([("deep.yml", "\n".join(lines))])


@pytest.mark.parametrize(
    "text", ["a = " + "[" * 100_000, "a = " + "{a = " * 100_000, "a = " + "1" * 5_000]
)
def test_deep_settings(tmp_path: Path, text: str) -> None:
    """Settings that are nested without end, or hold a number without end, are an error."""
    for name, head in (("loader.toml", ""), ("pyproject.toml", "[tool.loader]\n")):
        (tmp_path / name).write_text(head + text)
        with pytest.raises(ConfigError, match=name):
            find_config(tmp_path)
        (tmp_path / name).unlink()


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000, "1" * 5_000])
def test_deep_plans(tmp_path: Path, text: str) -> None:
    """A saved plan that is nested without end is no plan."""
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(LoaderError, match=r"plan\.json"):
        read_plan(tmp_path / "plan.json")


@pytest.mark.parametrize(
    "number", ["1" * 5_000, "0x" + "f" * 5_000, "1:1" * 50_000, "-" + "9" * 401]
)
def test_long_numbers(tmp_path: Path, number: str) -> None:
    """A number that nothing could hold is told with its place, and takes no time."""
    (tmp_path / "specs").mkdir()
    text = f"{yaml.safe_dump(GOOD)}meta: {{n: {number}}}\n"
    (tmp_path / "specs" / "t.yml").write_text(text)
    found = read_catalog(tmp_path / "specs", tmp_path)
    assert all("400 characters" in problem.message for problem in found.problems())
    assert found.problems() or found.specs()[0].meta["n"] == number


# Names


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"name": "/t"}, "name"),
        ({"name": "t/"}, "name"),
        ({"name": "a//b"}, "name"),
        ({"name": "/"}, "name"),
        ({"schema": "s/"}, "schema"),
        ({"schema": "/s", "asset_key": ""}, "schema"),
    ],
)
def test_a_name_that_makes_no_asset_key(
    make_project: MakeProject, changes: dict[str, str], key: str
) -> None:
    """A name with a slash too many is an error of that spec alone, at its place."""
    odd = {**GOOD, "name": "odd", **changes}
    project = make_project({"odd.yml": odd, "t.yml": GOOD})
    (problem,) = project.catalog.problems()
    assert problem.path == "specs/odd.yml"
    assert problem.line > 0
    assert problem.where == (key if "asset_key" not in changes else "asset_key")
    assert project.spec("s/t").name == "t"
    project = make_project({"odd.yml": {**odd, "asset_key": "a/b"}})
    assert project.spec("a/b")


# Tables


def test_a_plan_whose_table_was_renamed(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A saved plan is stale once the table of an asset key has another name."""
    spec = {**GOOD, "asset_key": "k"}
    monkeypatch.chdir(make_project({"t.yml": spec}).config.root)
    with pytest.raises(SystemExit):
        main(["plan", "--live", "-o", "plan.json"])
    make_project({"t.yml": {**spec, "name": "u"}})
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main(["apply", "plan.json"])
    assert stop.value.code == 1
    err = capsys.readouterr().err
    assert "stale" in err
    assert "s.u" in err


def test_a_live_table_that_lacks_columns(make_project: MakeProject) -> None:
    """What fails for want of a column says which, and how the table gets it."""
    project = make_project({"t.yml": GOOD})
    project.load(project.spec("s/t"), pa.table({"id": [1]}))
    project = make_project(
        {
            "t.yml": {
                **GOOD,
                "columns": [*COLUMNS, {"name": "new", "data_type": "date"}],
                "partition_by": [{"expr": "new", "grain": "day"}],
                "checks": [{"metric": "null_values", "column": "new", "must_be": 0}],
            }
        }
    )
    spec = project.spec("s/t")
    for ask in (
        lambda: project.read(spec),
        lambda: project.read(spec, "2026-01-01", columns=["id"]),
        lambda: project.check(spec),
        lambda: project.count(spec, ["2026-01-01"]),
    ):
        with pytest.raises(ExecuteError, match=r"s\.t lacks the column `new`") as caught:
            ask()
        assert "loader apply s/t" in str(caught.value.hint)
    assert len(project.read(spec, columns=["id"])) == 1


# Targets


def test_doctor_where_nothing_can_be_written(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no file can be made or removed, each step says so, and the examination ends."""
    project = make_project({"t.yml": GOOD}, database="data/w.duckdb", staging="data/staging")
    (project.config.root / "data").write_text("a file in place of the folder")
    found = {finding.name: finding.status for finding in check_target(project)}
    assert found["database"] == found["staging write"] == "failed"

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(30, "Read-only file system")

    project = make_project({"t.yml": GOOD}, folder="other")
    for name in ("mkdir", "unlink", "rmdir", "open"):
        monkeypatch.setattr(Path, name, refuse)
    monkeypatch.setattr(shutil, "rmtree", refuse)
    found = {finding.name: finding.status for finding in check_target(project)}
    assert found["database"] == found["staging write"] == "failed"


@pytest.mark.parametrize("database", ["loop", "x" * 300, "file/w.duckdb"])
def test_a_database_that_no_file_can_be(make_project: MakeProject, database: str) -> None:
    """A database whose path leads nowhere is an error of every command that needs it."""
    project = make_project({"t.yml": GOOD}, database=database)
    (project.config.root / "loop").symlink_to("loop")
    (project.config.root / "file").touch()
    spec = project.spec("s/t")
    assert project.plan(spec)
    with pytest.raises(LoaderError):
        project.read(spec)
    with pytest.raises(LoaderError):
        project.load(spec, pa.table({"id": [1]}))
    assert any(finding.status == "failed" for finding in check_target(project))


def test_specs_are_found_by_file_beside_a_circle_of_links(make_project: MakeProject) -> None:
    """A name of a file that cannot be followed is an unknown name."""
    project = make_project({"t.yml": GOOD})
    (project.config.root / "specs" / "loop.yml").symlink_to("loop.yml")
    assert project.spec(str(project.config.root / "specs" / "t.yml"))
    for name in (str(project.config.root / "specs" / "loop.yml"), "a\0.yml"):
        with pytest.raises(LoaderError):
            Project.find(project.config.root).spec(name)
