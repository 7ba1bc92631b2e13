"""The how-to pages: each is a job, whose commands are run and whose output is compared.

A job is a folder with a project and its page, ``README.md``. The page's ``console`` blocks hold
commands after ``$``, and what they print. A block of another language whose first line is a comment
with the name of a file, such as ``# specs/shop/orders.yml``, holds that file of the folder.
"""

from __future__ import annotations

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
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TARGETS = re.compile(r"<!-- targets: ([a-z, ]+) -->")
"""In a page: the targets that its job runs on, if not on all."""


@dataclass
class Command:
    """A command of a page, and the lines that it prints there."""

    line: str
    printed: list[str]


def cases() -> Iterator[Any]:
    for page in PAGES:
        named = TARGETS.search(page.read_text("utf-8"))
        for target in named[1].split(", ") if named else ("duckdb", "redshift"):
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
        write_settings(folder, stand_in.target())
    request.getfixturevalue("monkeypatch").chdir(folder)
    shell, text = Shell(), page.read_text("utf-8")
    for block in BLOCK.finditer(text):
        language, body = block.groups()
        if language == "console":
            shown = "".join(shell.follow(command) for command in commands(body))
            text = text.replace(block[0], f"```console\n{shown}```")
        elif named := re.match(r"(?:#|--) (\S+\.\w+)\n", body):
            assert body.partition("\n")[2] == (page.parent / named[1]).read_text("utf-8"), named[1]
    assert shell.code == 0, "a command failed, and no `$ echo $?` follows"
    if ACCEPT and target == "duckdb":
        page.write_text(text, "utf-8")


class Shell:
    """Runs the commands of a page: Loader's in this process, others with bash."""

    def __init__(self) -> None:
        self.code = 0

    def follow(self, command: Command) -> str:
        """Run a command, and compare what it prints; returns both as they are shown."""
        code, printed = self._run(command.line)
        wanted, found = normal(command.printed), normal(printed.rstrip("\n").split("\n"))
        if fits(wanted, found):
            printed = "".join(f"{line}\n" for line in command.printed)
        else:
            assert ACCEPT, "\n".join([f"$ {command.line}", *found, "", "but the page has", *wanted])
        self.code = code
        return f"$ {command.line}\n{printed}"

    def _run(self, line: str) -> tuple[int, str]:
        if line == "echo $?":
            return 0, f"{self.code}\n"
        assert self.code == 0, f"the command before `{line}` failed, and no `$ echo $?` follows"
        if re.match(r"loader [^|&;<>$`]*$", line):
            done = CliRunner().invoke(main, shlex.split(line)[1:], prog_name="loader")
            if done.exception is not None and not isinstance(done.exception, SystemExit):
                raise done.exception
            return done.exit_code, done.output
        run = subprocess.run(
            ["bash", "-c", line], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
        return run.returncode, run.stdout.decode()


def normal(lines: Sequence[str]) -> list[str]:
    """Lines without what differs from run to run: tables are done, and loads made, in any order."""
    text = "\n".join(lines).strip("\n")
    for pattern, instead in (
        (re.escape(str(Path.cwd())), "/home/ada/job"),
        (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<id>"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "<time>"),
        (r"in \d+\.\d s", "in <seconds>"),
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


def write_settings(folder: Path, target: Mapping[str, Any]) -> None:
    """Let the project load into another target."""
    lines = [f"{name} = {_toml(value)}" for name, value in target.items()]
    text = "\n".join(['target = "local"', "[targets.local]", *lines, ""])
    (folder / "loader.toml").write_text(text, "utf-8")


def _toml(value: object) -> str:
    return f"'{value}'" if isinstance(value, str) else str(value).lower()


def test_every_job_is_linked() -> None:
    """The list of how-to pages has all of them."""
    listed = re.findall(r"\]\((\w+)/\)", (JOBS / "README.md").read_text("utf-8"))
    assert sorted(listed) == [page.parent.name for page in PAGES]
