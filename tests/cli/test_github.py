"""Annotations: what GitHub shows beside a line, whatever stands in specs, templates and paths."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from loader.cli import main
from loader.cli.output.github import Folders, annotate, annotate_error, command
from loader.errors import ConfigError, Problem, SpecError, TemplateError
from loader.escaping import escape_invisible
from loader.scaffold import scaffold

ROOT = Path("/repository")
FOLDERS = Folders(ROOT, ROOT / "etl", ROOT / "etl" / "sql" / "templates")

CASES = {
    "a place": (
        Problem("is empty", ("columns",), path="specs/a.yml", line=3, column=10),
        "::error file=etl/specs/a.yml,line=3,col=10,title=columns::is empty",
    ),
    "a hint": (
        Problem("unknown type", path="specs/a.yml", line=1, column=1, hint="did you mean `date`?"),
        "::error file=etl/specs/a.yml,line=1,col=1,title=loader validate"
        "::unknown type%0Ahint: did you mean `date`?",
    ),
    "a file without a line": (
        Problem("is not UTF-8 text", path="specs/a.yml"),
        "::error file=etl/specs/a.yml,title=loader validate::is not UTF-8 text",
    ),
    "no file": (Problem("no"), "::error title=loader validate::no"),
    "a file outside the repository": (
        Problem("is empty", path="/elsewhere/a.yml", line=3, column=1),
        "::error title=loader validate::is empty%0Ain /elsewhere/a.yml",
    ),
    "a template of the project": (
        Problem("x is undefined", path="specs/a.yml", template=("templates/merge.sql.j2", 7)),
        "::error file=etl/sql/templates/merge.sql.j2,line=7,title=loader validate"
        "::x is undefined%0Ain specs/a.yml",
    ),
    "a template of Loader's own": (
        Problem("NUL", path="specs/a.yml", template=("loader/templates/ansi/merge.sql.j2", 7)),
        "::error file=etl/specs/a.yml,title=loader validate::NUL",
    ),
    "line ends": (
        Problem("a\nb\r\nc\rd", path="specs/a.yml"),
        "::error file=etl/specs/a.yml,title=loader validate::a%0Ab%0D%0Ac%0Dd",
    ),
    "a command in the text": (
        Problem("\n::add-mask::x\n%0A::stop-commands::y"),
        "::error title=loader validate::%0A::add-mask::x%0A%250A::stop-commands::y",
    ),
    "a command in the path": (
        Problem("no", ("meta", "a,b::c\n"), path="specs/a,line=9::b\n%.yml", line=2, column=1),
        "::error file=etl/specs/a%2Cline=9%3A%3Ab%0A%25.yml,line=2,col=1,title=meta.a%2Cb%3A%3Ac\\n"
        "::no",
    ),
    "bytes that are no text": (
        Problem("no", path="specs/\udcff.yml"),
        "::error file=etl/specs/\\udcff.yml,title=loader validate::no",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_problem_is_one_command(name: str) -> None:
    """A problem stands at its place as GitHub knows it, with its hint, on one line."""
    problem, expected = CASES[name]
    assert list(annotate([problem], FOLDERS)) == [expected]


@given(st.text(), st.text(min_size=1), st.text(min_size=1))
def test_nothing_breaks_out(message: str, file: str, title: str) -> None:
    """Whatever text says, it reads back from its own part of one command, all of it visible."""
    told = command(message, file, 1, 2, title)
    assert told.splitlines() == [told] or not re.search("[\r\n]", told)
    found = re.fullmatch(
        r"::error file=([^,:]*),line=1,col=2,title=([^,:]*)::(.*)", told, re.DOTALL
    )
    assert found is not None
    assert [_read(part) for part in found.groups()] == [
        "\r".join(map(escape_invisible, text.split("\r"))) for text in (file, title, message)
    ]


def _read(part: str) -> str:
    assert set(re.findall("%(..)", part)) <= {"25", "0A", "0D", "2C", "3A"}
    return re.sub("%(25|0A|0D|2C|3A)", lambda code: unquote(code[0]), part)


def test_a_template_that_many_specs_use_is_told_once() -> None:
    """One mistake in a template is one annotation, which names a spec and counts the others."""
    wrong = ("templates/count.sql.j2", 1)
    problems = [Problem("no", path=f"specs/{name}.yml", template=wrong) for name in "abc"]
    problems.insert(1, Problem("other", path="specs/a.yml"))
    first, second = annotate(problems, FOLDERS)
    assert first.endswith(
        "file=etl/sql/templates/count.sql.j2,line=1,title=loader validate::no"
        "%0Ain specs/a.yml and 2 more"
    )
    assert second.endswith("::other")


def test_errors_are_told_too() -> None:
    """An error that leaves nothing to check is an annotation, at its place if it has one."""
    assert list(annotate_error(ConfigError("no", hint="do"), FOLDERS)) == [
        "::error title=loader validate::no%0Ahint: do"
    ]
    broken = TemplateError("no", place=("templates/a.sql.j2", 3))
    assert list(annotate_error(broken, FOLDERS)) == [
        "::error file=etl/sql/templates/a.sql.j2,line=3,title=loader validate::no"
    ]
    problems = [Problem("one"), Problem("two")]
    assert len(list(annotate_error(SpecError(problems), FOLDERS))) == 2


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in a folder of its repository, and the working folder."""
    folder = tmp_path / "repository" / "etl"
    folder.mkdir(parents=True)
    scaffold(folder)
    monkeypatch.chdir(folder)
    return folder


def validate(*more: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, ["validate", "--format", "github", *more], prog_name="loader")
    return done.exit_code, done.stdout, done.stderr


def test_paths_are_those_of_the_repository(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths are relative to GITHUB_WORKSPACE, and to the working folder without it."""
    (project / "specs" / "a.yml").write_text("a")
    assert validate()[1].startswith("::error file=specs/a.yml,line=1,col=1,")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(project.parent))
    assert validate()[1].startswith("::error file=etl/specs/a.yml,line=1,col=1,")
    link = project.parent.parent / "link"
    link.symlink_to(project.parent)
    monkeypatch.setenv("GITHUB_WORKSPACE", str(link))
    assert validate()[1].startswith("::error file=etl/specs/a.yml,line=1,col=1,")


TEMPLATES = {
    "{{ 1 / 0 }}": "count.sql.j2,line=1,",
    "SELECT\n{{ nothing|ident }}": "count.sql.j2,line=2,",
    "SELECT\n\n{% if %}": "count.sql.j2,line=3,",
    "SELECT 1; SELECT 2": "count.sql.j2,title",
    "TRUNCATE x": "count.sql.j2,title",
    "SELECT 'x": "count.sql.j2,title",
    "{% include 'part.sql.j2' %}": "count.sql.j2,title",
    b"\xff": "count.sql.j2,title",
}


@pytest.mark.parametrize("text", TEMPLATES)
def test_templates_are_told_at_their_lines(project: Path, text: str | bytes) -> None:
    """What is wrong with a template stands in the template, at its line where that is known."""
    path = project / "templates" / "ansi" / "count.sql.j2"
    path.parent.mkdir(parents=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    code, out, err = validate()
    assert code == 1
    assert out.startswith(f"::error file=templates/ansi/{TEMPLATES[text]}")
    assert all(line.startswith("::error ") for line in out.splitlines())
    assert re.fullmatch(r"\d problems?\n", err)


def test_a_template_that_nothing_uses_is_told_in_its_place(project: Path) -> None:
    """A stray template is annotated itself, and no spec is blamed for it."""
    path = project / "templates" / "duckdb" / "nosuch.sql.j2"
    path.parent.mkdir(parents=True)
    path.write_text("SELECT 1")
    _, out, _ = validate()
    assert out.startswith("::error file=templates/duckdb/nosuch.sql.j2,title=loader validate::")
    assert "in templates" not in out


def test_no_project_is_an_annotation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings that are wrong or missing are told on standard output as everything else is."""
    monkeypatch.chdir(tmp_path)
    code, out, err = validate()
    assert code == 1
    assert out.startswith("::error title=loader validate::there is no Loader project in ")
    assert err == "1 problem\n"
    (tmp_path / "loader.toml").write_text("bananas = 1")
    assert "unknown key `bananas`" in validate()[1]


def test_the_summary_says_what_github_leaves_out(project: Path) -> None:
    """All problems are printed; the summary tells their number, and that ten of them are shown."""
    for number in range(11):
        (project / "specs" / f"{number}.yml").write_text("a")
    code, out, err = validate()
    assert (code, len(out.splitlines())) == (1, 11)
    assert err == "11 problems; GitHub shows ten of them next to the lines\n"
    assert validate("-q")[2] == ""
