"""A new project of `create-dagster`: every command of the page, with the real `dg` and a wheel."""

from __future__ import annotations

import os
import pwd
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "loader" / "dagster_io" / "README.md"

SAID = {
    "dg check defs": "All definitions loaded successfully.",
    "dg list defs": "shop/orders",
    "dg launch --assets shop/orders --partition 2026-01-01": "2 rows loaded, 0 deleted",
    "loader read shop/orders": "Grace",
    "loader history": "shop.orders",
}
"""What some of the commands must show."""


def commands() -> list[str]:
    """The commands of the section of the component, in their order."""
    section = PAGE.read_text("utf-8").split("\n## Component\n")[1].split("\n## ")[0]
    blocks = re.findall(r"```bash\n(.*?)```", section, re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line]


@pytest.mark.slow
def test_a_new_project_of_dagster(tmp_path: Path) -> None:
    """Each command of the page does what it says, in an environment with Loader's wheel."""
    uv = shutil.which("uv")
    assert uv is not None
    # uv finds its cache and its registry in the home folder of whoever runs this.
    shell = {**os.environ, "HOME": pwd.getpwuid(os.getuid()).pw_dir}
    for name in ("VIRTUAL_ENV", "DAGSTER_HOME", "PYTHONPATH"):
        shell.pop(name, None)
    build = [uv, "build", "--wheel", "--quiet", "-o", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, env=shell, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    folder, told = tmp_path, ""
    wanted = commands()
    assert {f"uv run {line}" for line in SAID} <= set(wanted)
    for line in wanted:
        words = shlex.split(line.partition("#")[0])
        match words:
            case ["uvx", "create-dagster", *rest]:
                steps = [[str(Path(sys.executable).with_name("create-dagster")), *rest]]
            case ["cd", name]:
                folder /= name
                continue
            case ["uv", "add", "loader"]:
                # The wheel that was built here, instead of one of a registry.
                steps = [
                    [uv, "venv", "--quiet", "--python", sys.executable],
                    [uv, "pip", "install", "--quiet", str(wheel), "-e", ".", "dagster-dg-cli"],
                ]
            case ["uv", "run", *rest]:
                steps = [[str(folder / ".venv" / "bin" / rest[0]), *rest[1:]]]
            case _:
                raise AssertionError(f"the page has an unknown command: {line}")
        for step in steps:
            done = subprocess.run(
                step,
                cwd=folder,
                env={**shell, "PATH": f"{folder}/.venv/bin:{shell['PATH']}"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            told = done.stdout
            assert done.returncode == 0, f"{line}\n{told}"
        assert SAID.get(shlex.join(words[2:]), "") in told, f"{line}\n{told}"
