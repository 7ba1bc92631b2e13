"""The READMEs: every block is run or parsed, every link leads somewhere, every name exists.

Each section begins in a project as `loader init` makes it, and its blocks are done in their order.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import click
import dagster as dg
import pytest
import yaml
from click.testing import CliRunner
from dagster.components.testing import create_defs_folder_sandbox

from loader.cli import main
from loader.config import DuckDBTarget, RedshiftTarget
from loader.dagster_component import TableSpecsComponent
from loader.dagster_io import DuckDBIOManager, ProjectIOManager, RedshiftIOManager, TableIOManager
from loader.project import Project
from loader.scaffold import scaffold
from tests.golden import ACCEPT

# Dagster's own loader of defs.yaml uses what pydantic would rather have it not use.
pytestmark = pytest.mark.filterwarnings("ignore:`parse_obj_as` is deprecated")

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "loader").rglob("README.md")),
    ROOT / "tests/README.md",
]
"""Those of specs/ and templates/ have tests of their own."""

TWO_LINES = (
    "pip install uv && uv run loader load nyc/flights specs/nyc/data/flights-2013-01.csv.gz"
    " --partition auto\nuv run pytest\n"
)
"""What every acceptance check runs."""

ENVIRONMENT = {
    "AWS_REDSHIFT_HOST": "analytics.abc.eu-west-1.redshift.amazonaws.com",
    "AWS_REDSHIFT_PORT": "5439",
    "AWS_REDSHIFT_DATABASE": "dev",
    "AWS_REDSHIFT_USER": "loader",
    "AWS_REDSHIFT_PASSWORD": "not-a-real-one",
    "AWS_REDSHIFT_CLUSTER_IDENTIFIER": "analytics",
    "AWS_REDSHIFT_S3_IAM_ROLE": "arn:aws:iam::123456789012:role/loader",
    "AWS_REDSHIFT_BUCKET_NAME": "bucket",
    "AWS_REGION": "eu-west-1",
}
"""What the blocks read of the environment; nothing is reached with it."""

TOOLS = {"ruff", "mypy"}
"""What `uv run` runs besides, as `.ci/run` does."""

EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "optional-dependencies"
]
"""The extras that `uv run` may add."""

SHOWN = {
    "cli/ (+ output/)": "the map of the modules; `test_architecture` holds imports to it",
}
"""Text that no command prints, by its first line: why it is there."""

PRINTED: list[str] = []
"""What the commands of shell blocks have printed, the latest last."""


@dataclass
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@dataclass
class Section:
    """The blocks below one heading of the second level."""

    title: str
    blocks: list[Block] = field(default_factory=list)


def sections(page: Path) -> list[Section]:
    found, block = [Section("top")], None
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if block is None and line.startswith("```"):
            block = Block(page, number, line.removeprefix("```"), "")
        elif block is not None and line == "```":
            found[-1].blocks.append(block)
            block = None
        elif block is not None:
            block.text += line + "\n"
        elif line.startswith("## "):
            found.append(Section(line.removeprefix("## ")))
    assert block is None, f"{block} never ends"
    return [section for section in found if section.blocks]


CASES = {
    f"{page.relative_to(ROOT)}: {section.title}": section
    for page in PAGES
    for section in sections(page)
}


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project as `loader init` makes it, the working folder, and a shell's environment."""
    folder = tmp_path / "shop"
    scaffold(folder)
    monkeypatch.chdir(folder)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return folder


@pytest.mark.parametrize("case", CASES)
def test_every_block_does_what_it_says(case: str, shop: Path) -> None:
    """Commands run or are parsed, code and settings are used, and output is what is printed."""
    PRINTED.clear()
    for block in CASES[case].blocks:
        assert block.language in KINDS, f"{block}: a block of {block.language or 'no language'}"
        try:
            KINDS[block.language](block)
        except Exception as error:
            error.add_note(f"in the block of {block}")
            raise


# --- shell ----------------------------------------------------------------------------------


def check_shell(block: Block) -> None:
    for line in block.text.replace("\\\n", " ").splitlines():
        for command in re.split(r"\s&&\s", line):
            words = shlex.split(command, comments=True)
            if words:
                check_command(words)


def stand_in_for_dg(words: list[str]) -> None:
    """Leave what a command of a new project leaves; test_dagster_new_project.py runs them."""
    match words:
        case ["uvx", "create-dagster", "project", folder, *_]:
            scaffold(Path(folder))
        case ["dg", "launch", "--assets", name, *_]:
            run_loader(["load", name, "data/orders.csv", "--partition", "auto"])


def check_command(words: list[str]) -> None:
    """Run or parse one command.

    Raises:
        AssertionError: it fails, or is of no known kind.
    """
    while re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words = words[1:]  # a variable for this command
    bare = words[2:] if words[:2] == ["uv", "run"] else words
    while bare[0] == "--extra":
        assert bare[1] in EXTRAS, f"there is no extra `{bare[1]}`"
        bare = bare[2:]
    if bare[:2] == ["--with", "playwright"]:
        bare = bare[2:]
    match bare:
        case ["loader", *rest]:
            run_loader(rest)
        case ["cd", folder]:
            os.chdir(folder)
        case ["pytest", *rest]:
            check_pytest(rest)
        case ["python", "-m", module, *rest]:
            check_module(module, rest)
        case ["dagster", *rest]:
            check_dagster(rest)
        case ["dg" | "uvx", *_] | ["uv", "add", "loader"]:
            stand_in_for_dg(bare)
        case [tool, *_] if tool in TOOLS:
            pass
        case ["pip", "install", "uv" | "loader[testing]"]:
            pass
        case _:
            raise AssertionError(f"`{shlex.join(words)}` is a command of no known kind")


def run_loader(words: list[str]) -> None:
    """Run a command; one that needs a cluster is only parsed."""
    output = None
    if ">" in words:
        at = words.index(">")
        words, output = words[:at], Path(words[at + 1])
    if "sandbox" in words:  # `tests/cli/test_sandbox_command.py` runs these, in two processes
        parse_loader(words)
        return
    offline = words[0] == "plan" and "--live" not in words
    if "prod" in words and not offline:
        parse_loader(words)
        if words[0] == "read" and "-o" in words:
            shutil.copy("data/orders.csv", words[words.index("-o") + 1])
        return
    if words[0] == "init" and Path(words[1]).exists():
        shutil.rmtree(words[1])
    with _ExampleProject(words):
        done = CliRunner().invoke(main, words, prog_name="loader")
    assert done.exit_code == 0, f"loader {shlex.join(words)}: {done.output}"
    PRINTED.append(done.output)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(done.stdout, encoding="utf-8")


def parse_loader(words: Sequence[str]) -> None:
    # Without its group, a command would remember another set of help options.
    group = click.Context(main, **main.context_settings)
    with main.commands[words[0]].make_context(words[0], list(words[1:]), parent=group):
        pass


class _ExampleProject:
    """The working folder is a copy of this repository's project, where its tables are meant."""

    def __init__(self, words: Sequence[str]) -> None:
        self.meant = any(word.startswith(("nyc/", "specs/nyc/")) for word in words)
        self.before = Path.cwd()

    def __enter__(self) -> None:
        if not self.meant:
            return
        copy = self.before / "repository"
        copy.mkdir(exist_ok=True)
        shutil.copy(ROOT / "pyproject.toml", copy)
        for folder in ("specs", "templates"):
            shutil.copytree(ROOT / folder, copy / folder, dirs_exist_ok=True)
        os.chdir(copy)

    def __exit__(self, *_: object) -> None:
        os.chdir(self.before)


@cache
def markers() -> set[str]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = settings["tool"]["pytest"]["ini_options"]["markers"]
    return {line.partition(":")[0] for line in listed}


@cache
def known_tests() -> Mapping[str, Path]:
    """The functions that are tests, and the files that hold tests, by name."""
    found = {}
    for path in (ROOT / "tests").rglob("test_*.py"):
        found[path.name] = path
        names = re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        found |= dict.fromkeys([path.stem, *names], path)
    return found


def check_pytest(words: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("files", nargs="*")
    parser.add_argument("-m")
    parser.add_argument("-k")
    parser.add_argument("-n", type=int)
    parser.add_argument("-s", action="store_true")
    parser.add_argument("--soak-minutes", type=float)
    parser.add_argument("--soak-seed", type=int)
    parser.add_argument("--redshift-isolation", choices=["snapshot", "serializable"])
    given = parser.parse_args(list(words))
    assert given.m is None or given.m in markers(), given.m
    assert given.k is None or any(given.k in name for name in known_tests()), given.k
    for name in given.files:
        assert (ROOT / name).is_file(), name


def check_module(module: str, words: Sequence[str]) -> None:
    """Parse the options of one of the programs below tests/."""
    parser = runpy.run_module(f"{module}.__main__", run_name="read")["_parser"]()
    if words != ["--help"]:
        parser.parse_args(words)


def check_dagster(words: list[str]) -> None:
    """Parse a command of Dagster's, whose file must be there."""
    from dagster._cli import create_dagster_cli

    create: Callable[[], click.Command] = create_dagster_cli
    command = create()
    while isinstance(command, click.Group):
        name, *words = words
        found = command.get_command(click.Context(command), name)
        assert found is not None, name
        command = found
    with command.make_context(command.name or "", list(words)):
        pass
    file = Path(words[words.index("-f") + 1])
    assert file.is_file() or (ROOT / file).is_file(), file


# --- sessions -------------------------------------------------------------------------------


def check_text(block: Block) -> None:
    """Run the commands behind `$`, and find each line below them in what they print, in order.

    Text without commands is what the command of the block before it prints.
    """
    if block.text.startswith(tuple(SHOWN)):
        return
    if not block.text.startswith("$ "):
        check_printed(block.text, PRINTED[-1])
        return
    for part in block.text.removeprefix("$ ").split("\n$ "):
        command, _, shown = part.partition("\n")
        name, *words = shlex.split(command)
        assert name == "loader", command
        done = CliRunner().invoke(main, words, prog_name="loader", color=False)
        failed = shown.startswith("error:")
        assert (done.exit_code != 0) is failed, f"{command}: {done.output}"
        check_printed(shown, done.output)


def check_printed(shown: str, output: str) -> None:
    printed = iter([normal(line) for line in output.splitlines()])
    for line in shown.splitlines():
        wanted, cut, _ = normal(line).partition("…")
        if wanted.strip() and not any(fits(wanted, one, cut=bool(cut)) for one in printed):
            raise AssertionError(f"there is no `{line}` at that place of\n{output}")


def fits(wanted: str, printed: str, *, cut: bool) -> bool:
    return printed.startswith(wanted.rstrip()) if cut else printed == wanted


def normal(line: str) -> str:
    """A line without what differs from run to run; `…` stands for what is left out."""
    for pattern, instead in (
        (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<id>"),
        (r"(/home/ada|/\S*)/shop/\.loader", "/shop/.loader"),
        (r"(staging/shop\.orders/)[0-9a-f<][^<\s]*.*", r"\1…"),
        (r"in \d+\.\d s", "in <seconds>"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  ", "<time> "),
        (r"\d+\.\d [kMG]B", "<size>"),
        (r"DuckDB v[\d.]+", "DuckDB <version>"),
        (r"\s+", " "),
    ):
        line = re.sub(pattern, instead, line)
    return line.rstrip()


# --- code and settings ----------------------------------------------------------------------


def check_python(block: Block) -> None:
    """Run the code; definitions of Dagster are resolved, with their resources."""
    if "\ndef test_" in block.text:  # `tests/testing/test_plugin.py` runs it
        compile(block.text, str(block), "exec")
        return
    if "project.load(" not in block.text:
        Path("definitions.py").write_text(block.text, encoding="utf-8")
    names = run_code(block.text, str(block))
    if "defs" in names:
        check_definitions(names["defs"])
    else:
        assert names["result"].rows_loaded == len(names["orders"]) == 1


def run_code(text: str, name: str) -> dict[str, Any]:
    """What code makes; it is compiled as a file of its own would be."""
    names: dict[str, Any] = {}
    exec(compile(text, name, "exec", dont_inherit=True), names)
    return names


def check_definitions(defs: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(defs)
    manager = (defs.resources or {})["io_manager"]
    assert isinstance(manager, TableIOManager)
    settings = manager.process_config_and_initialize().project.config.settings()
    assert isinstance(settings, RedshiftTarget | DuckDBTarget)


def check_toml(block: Block) -> None:
    """Settings are read as a project's, and each of its targets is complete."""
    settings = tomllib.loads(block.text)
    name = "pyproject.toml" if "tool" in settings else "loader.toml"
    Path("loader.toml").unlink(missing_ok=True)
    Path(name).write_text(block.text, encoding="utf-8")
    config = Project.find().config
    assert config.targets
    for target in config.targets:
        config.settings(target)
    if name == "pyproject.toml":
        Path(name).unlink()
    scaffold_settings()


def scaffold_settings() -> None:
    """Put the settings of `loader init` back, for what stands below."""
    other = Path("other")
    scaffold(other)
    shutil.copy(other / "loader.toml", "loader.toml")
    shutil.rmtree(other)


def check_yaml(block: Block) -> None:
    data = yaml.load(block.text, yaml.BaseLoader)
    for key, check in YAML_KINDS.items():
        if key in data:
            check(block, data)
            return
    raise AssertionError(f"{block}: YAML of no known kind: {', '.join(data)}")


def check_spec(block: Block, data: Any) -> None:
    """A spec is the one that `loader init` writes."""
    assert block.text == Path("specs/shop/orders.yml").read_text(encoding="utf-8")


def check_workflow(block: Block, data: Any) -> None:
    """The commands of a workflow parse, and its jobs need each other only."""
    for job in data["jobs"].values():
        assert job.get("needs", "validate") in data["jobs"]
        for step in job["steps"]:
            for line in step.get("run", "").splitlines():
                if line.strip().startswith("uv run loader"):
                    parse_loader(shlex.split(line)[3:])
            if "run" in step:
                subprocess.run(["bash", "-n"], input=step["run"], text=True, check=True)


def check_run_config(block: Block, data: Any) -> None:
    """The configuration of a run is that of an output: the IO manager knows its keys."""
    outputs = data["ops"]["shop__orders"]["outputs"]
    assert set(outputs["result"]) <= set(TableIOManager.output_config_schema())


def check_component(block: Block, data: Any) -> None:
    """A component makes an asset of each table that it has rows for."""
    with create_defs_folder_sandbox() as sandbox:
        folder = sandbox.scaffold_component(TableSpecsComponent, defs_path="tables")
        spec = Path("specs/shop/orders.yml").read_text(encoding="utf-8")
        other = "{schema: shop, name: customers, columns: [{name: id, data_type: bigint}]}"
        start = '\ndagster: {partitions: {ordered_on: {start: "2026-01-01"}}}\n'
        for path in (folder / "specs").iterdir():
            path.unlink()
        (folder / "specs" / "orders.yml").write_text(spec + start, encoding="utf-8")
        (folder / "specs" / "customers.yml").write_text(other, encoding="utf-8")
        (folder / "loads.py").write_text("def customers(context):\n    return {}\n")
        (folder / "defs.yaml").write_text(block.text, encoding="utf-8")
        with sandbox.load_component_and_build_defs(defs_path=folder) as (_, defs):
            keys = {key.to_user_string() for key in defs.resolve_all_asset_keys()}
    assert keys == set(data["attributes"]["assets"])


YAML_KINDS: Mapping[str, Callable[[Block, Any], None]] = {
    "columns": check_spec,
    "jobs": check_workflow,
    "ops": check_run_config,
    "attributes": check_component,
}


def check_diff(block: Block) -> None:
    """A change of the spec is made; one of Python compiles."""
    path = Path("specs/shop/orders.yml")
    text = path.read_text(encoding="utf-8")
    hunks = list(hunks_of(block.text))
    if any("import" in old for old, _ in hunks):
        for _, new in hunks:
            run_code(new, str(block))
        return
    for old, new in hunks:
        assert text.count(old) == 1, f"{block}: the spec has not once\n{old}"
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


def hunks_of(text: str) -> Iterator[tuple[str, str]]:
    """What is taken away and what takes its place, change by change."""
    old = new = ""
    before = " "
    for line in text.splitlines(keepends=True):
        mark, rest = line[0], line[1:]
        if before == "+" and mark != "+":
            yield old, new
            old = new = ""
        old += rest if mark in " -" else ""
        new += rest if mark in " +" else ""
        before = mark
    yield old, new


KINDS: Mapping[str, Callable[[Block], None]] = {
    "bash": check_shell,
    "text": check_text,
    "python": check_python,
    "toml": check_toml,
    "yaml": check_yaml,
    "diff": check_diff,
}


# --- what pages say in prose ----------------------------------------------------------------


def test_the_readme_is_short_and_starts_with_the_two_lines() -> None:
    """Who has two minutes reads 200 lines; the first commands are those that the checks run."""
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 200
    assert [number for number, line in enumerate(lines, 1) if len(line) > 150] == []
    assert CASES["README.md: top"].blocks[0].text == TWO_LINES


def prose(page: Path) -> str:
    """A page without its blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize(
    "page", [*PAGES, ROOT / "SECURITY.md"], ids=lambda page: str(page.relative_to(ROOT))
)
def test_links_lead_somewhere(page: Path) -> None:
    """Every file and every heading that a page links to is there."""
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_tests_that_are_named_exist(page: Path) -> None:
    """A page that names a test, or a file of tests, names one that is there."""
    for name in re.findall(r"`(?:tests/(?:\w+/)*)?(test_\w+(?:\.py)?)`", prose(page)):
        assert name in known_tests(), name


@pytest.mark.skipif(
    not (ROOT / "loader" / "executor").is_dir(), reason="the pages tell of modules that move first"
)
def test_modules_that_are_named_exist() -> None:
    """The pages about the code name modules and functions that are there."""
    page = ROOT / "loader" / "README.md"
    text = prose(page)
    for name in re.findall(r"`((?:\w+/)+(?:\w+\.py)?|\w+\.py)`", text):
        places = (ROOT, ROOT / "loader", ROOT / "tests")
        assert any((place / name).exists() for place in places) or name in known_tests(), name


def test_functions_that_are_named_exist() -> None:
    """The load that is followed step by step goes through functions and classes that are there."""
    source = "\n".join(path.read_text() for path in (ROOT / "loader").rglob("*.py"))
    _, _, rest = prose(ROOT / "loader" / "README.md").partition("## One load")
    story, _, _ = rest.partition("\n## ")
    named = re.findall(r"`(\w+\.\w+|[a-z]+_\w+|[A-Z]\w*[a-z]\w*)`", story)
    assert len(named) > 15
    for name in named:
        if not name.endswith((".py", ".json")):
            for part in name.split("."):
                assert re.search(rf"^\s*(def|class) {part}\b", source, re.MULTILINE), name


def table(page: Path, heading: str) -> set[str]:
    """The names in the first column of the tables below a heading."""
    _, _, rest = prose(page).partition(f"\n{heading}\n")
    part = re.split(r"^#+ ", rest, maxsplit=1, flags=re.MULTILINE)[0]
    cells = re.findall(r"^\| (`[^|]*`) \|", part, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


def only(name: str) -> Path:
    (page,) = (page for page in PAGES if page.parent.name in name.split())
    return page


@pytest.mark.parametrize(
    ("model", "heading"),
    [
        (DuckDBTarget, "### Settings of a DuckDB target"),
        (RedshiftTarget, "### Settings of a Redshift target"),
    ],
)
def test_every_setting_is_told(model: type[DuckDBTarget | RedshiftTarget], heading: str) -> None:
    """The tables of settings have all keys of a target, and no others."""
    assert table(only("warehouse warehouses"), heading) == set(model.model_fields)


def test_every_field_of_the_io_managers_is_told() -> None:
    """The tables of fields have all fields of the IO managers, and no others."""
    managers = (ProjectIOManager, DuckDBIOManager, RedshiftIOManager)
    fields = {name for manager in managers for name in manager.model_fields}
    assert table(only("dagster_io"), "## The IO managers") == fields


def test_every_command_is_told() -> None:
    """The table of commands has all commands, and no others."""
    text = prose(only("cli"))
    assert set(re.findall(r"^\| `loader (\w+)", text, re.MULTILINE)) == set(main.commands)


def suites() -> str:
    """The table of test files: what each is about, by its docstring's first sentence."""
    lines = ["| file | about |", "|---|---|"]
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        told = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").strip()
        first = re.sub(r"\s+", " ", told.split("\n\n")[0]).replace("``", "`").replace("|", "\\|")
        assert first, f"{path} has no docstring"
        lines.append(f"| `{path.relative_to(ROOT / 'tests').as_posix()}` | {first} |")
    return "\n".join(lines) + "\n"


def test_the_table_of_suites_is_complete() -> None:
    """Every file of tests is listed with what it is about; ACCEPT=1 rewrites the list."""
    page = ROOT / "tests" / "README.md"
    text = page.read_text(encoding="utf-8")
    head, found, rest = re.split(
        r"(?<=<!-- generated: suites -->\n)(.*?)(?=<!-- end -->)", text, flags=re.S
    )
    if ACCEPT:
        page.write_text(head + suites() + rest, encoding="utf-8")
        return
    assert found == suites(), "ACCEPT=1 uv run pytest -n 0 tests/test_readmes.py rewrites the list"


# --- the start with Dagster -----------------------------------------------------------------


def start_of_dagster() -> tuple[str, list[str]]:
    """The code to be saved, and the command that materializes."""
    (section,) = (
        one for name, one in CASES.items() if name.endswith("dagster_io/README.md: Start")
    )
    code = next(block.text for block in section.blocks if block.language == "python")
    lines = [
        line for one in section.blocks if one.language == "bash" for line in one.text.split("\n")
    ]
    (command,) = (line for line in lines if "materialize" in line)
    return code, shlex.split(command)


def orders_read() -> str:
    return CliRunner().invoke(main, ["read", "shop/orders"]).stdout


def test_the_start_with_dagster_materializes(shop: Path) -> None:
    """The project of the Dagster page loads the day that its command names."""
    code, command = start_of_dagster()
    job = run_code(code, "definitions.py")["defs"].resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.ephemeral() as instance:
        job.execute_in_process(instance=instance, partition_key=command[-1])
    assert [line.split(",")[0] for line in orders_read().splitlines()[1:]] == ["1", "2"]


@pytest.mark.slow
def test_the_commands_of_the_start_with_dagster(shop: Path) -> None:
    """The commands of the Dagster page, as a shell runs them."""
    code, (_, _, _, *words) = start_of_dagster()
    (shop / "definitions.py").write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "dagster", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [line.split(",")[0] for line in orders_read().splitlines()[1:]] == ["1", "2"]
