"""The how-to pages: each is a job, whose commands are run and whose output is compared.

A job is a folder with a project and its page, ``README.md``. The page's ``console`` blocks hold
commands after ``$``, and what they print. A block of another language whose first line is a comment
with the name of a file, such as ``# specs/shop/orders.yml``, holds that file of the folder. A block
after a line such as ``<!-- redshift -->`` is of that target only.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from loader.cli import main
from tests.golden import ACCEPT

JOBS = Path(__file__).parent
PAGES = sorted(JOBS.glob("*/README.md"))
BLOCK = re.compile(
    r"^(?:<!-- (?P<target>duckdb|redshift) -->\n)?```(?P<language>\w+)\n(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
LOADER = re.compile(
    r"(?P<environment>(?:[A-Z_]+=\S+ )*)loader (?P<arguments>[^|&;<>$`]*)(?P<pipe>\|.*)?"
)
"""A command that runs in the process of the test; bash does the rest of its line."""
HOME = "/home/ada/job"
"""The folder of each job, as its page has it."""
TARGETS = re.compile(r"<!-- targets: ([a-z, ]+) -->")
"""In a page: the targets that its job runs on, if not on all."""


@dataclass
class Command:
    """A command of a page, and the lines that it prints there."""

    line: str
    printed: list[str]


def targets(page: Path) -> list[str]:
    """The targets that a job runs on; its page has what the first of them prints."""
    named = TARGETS.search(page.read_text("utf-8"))
    return named[1].split(", ") if named else ["duckdb", "redshift"]


def cases() -> Iterator[Any]:
    for page in PAGES:
        for target in targets(page):
            yield pytest.param(page, target, id=f"{page.parent.name}-{target}")


def commands(block: str) -> list[Command]:
    found: list[Command] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append(Command(line.removeprefix("$ "), []))
        else:
            found[-1].printed.append(line)
    return found


@pytest.mark.parametrize(("page", "target"), list(cases()))
def test_each_job_does_what_its_page_says(
    page: Path, target: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The commands of a page print what it shows on every target; `$?` follows what fails."""
    folder = tmp_path / "job"
    shutil.copytree(page.parent, folder)
    if target == "redshift":
        stand_in = request.getfixturevalue("redshift")
        replace_target(folder, stand_in.target())
    request.getfixturevalue("monkeypatch").chdir(folder)
    shell, text = Shell(), page.read_text("utf-8")
    for block in BLOCK.finditer(text):
        body = block["body"]
        if block["language"] == "console" and block["target"] in (None, target):
            accept = ACCEPT and (block["target"] is not None or target == targets(page)[0])
            shown = "".join(shell.follow(command, accept) for command in commands(body))
            text = text.replace(block[0], block[0].replace(body, shown))
        elif named := re.match(r"(?:#|--) (\S+\.\w+)\n", body):
            assert body.partition("\n")[2] == (page.parent / named[1]).read_text("utf-8"), named[1]
    assert shell.code == 0, "a command failed, and no `$ echo $?` follows"
    if ACCEPT:
        page.write_text(text, "utf-8")


class Shell:
    """Runs the commands of a page: Loader's in this process, others with bash."""

    def __init__(self) -> None:
        self.code = 0

    def follow(self, command: Command, accept: bool) -> str:
        """Run a command, and compare what it prints; returns both as the page is to have them."""
        code, printed = self._run(command.line)
        printed = printed.replace(str(Path.cwd()), HOME)
        wanted, found = normal(command.printed), normal(printed.rstrip("\n").split("\n"))
        if fits(wanted, found):
            printed = "".join(f"{line}\n" for line in command.printed)
        else:
            assert accept, "\n".join([f"$ {command.line}", *found, "", "but the page has", *wanted])
        self.code = code
        return f"$ {command.line}\n{printed}"

    def _run(self, line: str) -> tuple[int, str]:
        if line == "echo $?":
            return 0, f"{self.code}\n"
        assert self.code == 0, f"the command before `{line}` failed, and no `$ echo $?` follows"
        if own := LOADER.fullmatch(line):
            names = dict(one.split("=", 1) for one in own["environment"].split())
            arguments = shlex.split(own["arguments"])
            done = CliRunner().invoke(main, arguments, prog_name="loader", env=names)
            if done.exception is not None and not isinstance(done.exception, SystemExit):
                raise done.exception
            if own["pipe"] is None:
                return done.exit_code, done.output
            code, printed = bash(f"cat {own['pipe']}", done.stdout)
            return code, done.stderr + printed
        return bash(line)


def bash(line: str, given: str = "") -> tuple[int, str]:
    """Run a line in bash; returns its exit code, and what it prints."""
    run = subprocess.run(
        ["bash", "-c", line],
        input=given.encode(),
        env={**os.environ, "LC_ALL": "C.UTF-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return run.returncode, run.stdout.decode()


def normal(lines: Sequence[str]) -> list[str]:
    """Lines without what differs from run to run, and from target to target.

    Tables are done, and loads made, in any order.
    """
    text = "\n".join(lines).strip("\n")
    for pattern, instead in (
        (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<id>"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?", "<time>"),
        (r"\blocal \((duckdb|redshift)\)", "local (<type>)"),
        (r"kept in (/|s3://)\S+", "kept in <place>"),
        (r"in \d+\.\d s", "in <seconds>"),
        (r"\d+\.\d [kM]B", "<size>"),
        (r" +\d+\.\d$", " <seconds>"),
        (r"^\[ *\d+/(\d+)\]", r"[/\1]"),
        (r"[^\S\n]+", " "),
    ):
        text = re.sub(pattern, instead, text, flags=re.MULTILINE)
    lines = [line.rstrip() for line in text.split("\n")]
    groups = groupby(lines, key=lambda line: line.startswith(("[/", "<time>")))
    return [line for any_order, group in groups for line in (sorted(group) if any_order else group)]


def fits(wanted: Sequence[str], found: Sequence[str]) -> bool:
    """Whether lines are those of a page, where ``…`` is any lines, or the rest of one."""
    if not wanted:
        return not found
    if wanted[0] == "…":
        return any(fits(wanted[1:], found[at:]) for at in range(len(found) + 1))
    if not found or not fits_line(wanted[0], found[0]):
        return False
    return fits(wanted[1:], found[1:])


def fits_line(wanted: str, found: str) -> bool:
    start, cut, _ = wanted.partition("…")
    return found.startswith(start.rstrip()) if cut else found == wanted


def replace_target(folder: Path, target: Mapping[str, Any]) -> None:
    """Let a project's target ``local`` be another one; its other settings stay."""
    lines = [f"{name} = {_toml(value)}" for name, value in target.items()]
    section = "\n".join(["[targets.local]", *lines, ""])
    path = folder / "loader.toml"
    text = path.read_text("utf-8")
    found = re.search(r"^\[targets\.local\]\n(?:(?!\[).*\n)*", text, re.MULTILINE)
    assert found is not None, "loader.toml has no [targets.local]"
    path.write_text(text.replace(found[0], section), "utf-8")


def _toml(value: object) -> str:
    return f"'{value}'" if isinstance(value, str) else str(value).lower()


def test_every_job_is_linked() -> None:
    """The list of how-to pages has all of them."""
    listed = re.findall(r"\]\((\w+)/\)", (JOBS / "README.md").read_text("utf-8"))
    assert sorted(listed) == [page.parent.name for page in PAGES]
