"""`specs/README.md` and `templates/README.md`: what they say is what the code does."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from click.testing import CliRunner

from loader.cli import main
from loader.errors import TemplateError
from loader.plan.figures import SAFE_PRECISION
from loader.scaffold import scaffold
from loader.spec.checks import OPERATORS, Metric
from loader.sql.datatypes import MAX_CHAR, MAX_PRECISION, MAX_VARBYTE, MAX_VARCHAR
from loader.sql.dialects.redshift import MAX_COMPOUND_SORT, MAX_INTERLEAVED_SORT, MAX_NAME_BYTES
from tests.conftest import MakeProject
from tests.golden import expect
from tests.plan.test_plan import renderer
from tests.reference import (
    BLOCK,
    SPECS,
    TEMPLATES,
    blocks,
    example,
    folders,
    given,
    judged,
    language,
    purpose,
    recording,
    spec_of,
    with_generated,
)

PAGES = {"specs": SPECS, "templates": TEMPLATES}
ROOT = SPECS.parents[1]
KINDS = {"yaml", "bash", "jinja", "sql", "text"}
"""YAML is parsed, shell is run, Jinja is rendered; SQL is generated, and text is output."""


def page(name: str) -> str:
    return PAGES[name].read_text("utf-8")


@pytest.mark.parametrize("name", PAGES)
def test_what_is_generated_is_current(name: str) -> None:
    """Between its markers a page is what the code gives; ACCEPT=1 writes it."""
    expect(PAGES[name], with_generated(page(name)))


@pytest.mark.parametrize("name", PAGES)
def test_every_row_has_a_meaning(name: str) -> None:
    """What is written by hand in a generated table is written for every row."""
    assert [
        line for line in page(name).splitlines() if line.startswith("|") and "| ? |" in line
    ] == []


@pytest.mark.parametrize("name", PAGES)
def test_every_block_is_of_a_kind_that_is_tested(name: str) -> None:
    """No block is skipped in silence: each fence closes, and has a language that is tested."""
    found = BLOCK.findall(page(name))
    assert page(name).count("\n```") == 2 * len(found)
    assert {kind for kind, _ in found} <= KINDS
    outside = re.sub(r"<!-- generated: .*?<!-- end -->", "", page(name), flags=re.DOTALL)
    assert blocks(outside, "sql") == []


# --- YAML

YAML = [
    pytest.param(text, id=f"{name}-{at}")
    for name in PAGES
    for at, text in enumerate(blocks(page(name), "yaml"))
]


@pytest.mark.parametrize("text", YAML)
def test_yaml_is_right(text: str) -> None:
    """Each example is a spec, or a part of one that the complete example takes."""
    judged(yaml.safe_load(text))


def inline() -> Iterator[dict[str, Any]]:
    """The parts of specs that stand in the rows of tables."""
    for written in re.findall(r"`(\w+: \{[^`]*\})`", page("specs")):
        found = yaml.safe_load(written)
        if next(iter(found)) in language_keys(""):
            yield found


def language_keys(path: str) -> set[str]:
    return {key.name for key in language()[path].keys if "." not in key.name}


def test_yaml_in_tables_is_right() -> None:
    """The short examples in tables and sentences are parts of specs too."""
    found = list(inline())
    assert len(found) > 10
    for part in found:
        whole = {**part}
        for disposition in ("merge", "scd2"):
            if disposition in part:
                whole["write_disposition"] = disposition
        if part.get("source", {}).get("names"):
            names = part["source"]["names"]
            whole["columns"] = [c for c in example()["columns"] if c["name"] in names]
        judged(whole)


def keys_of(data: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """The keys of the language in a document, each with the section that it is of."""
    known = language()
    if isinstance(data, list):
        for one in data:
            yield from keys_of(one, f"{path}[]")
    if isinstance(data, Mapping) and path in known:
        for key, value in data.items():
            yield path, key
            yield from keys_of(value, f"{path}.{key}".removeprefix("."))
    elif isinstance(data, Mapping) and f"{path}.*" in known:
        for value in data.values():
            yield from keys_of(value, f"{path}.*")


def test_every_key_has_an_example() -> None:
    """The examples of the page have every key of the language, and every metric of checks."""
    shown: set[tuple[str, str]] = set()
    metrics = set()
    for text in blocks(page("specs"), "yaml"):
        part = spec_of(yaml.safe_load(text))
        shown |= set(keys_of(part))
        metrics |= {check["metric"] for check in part.get("checks", ())}
    for part in inline():
        shown |= set(keys_of(part))
    wanted = {(path, key) for path in language() for key in language_keys(path)}
    assert wanted - shown == set()
    assert {key for path, key in shown if path == "checks[]"} >= OPERATORS.keys()
    assert metrics == {*get_args(Metric)}


# --- shell

COMMANDS = [
    pytest.param(page, text, id=f"{name}-{at}")
    for name, page in PAGES.items()
    for at, text in enumerate(blocks(page.read_text("utf-8"), "bash"))
]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project as `loader init` makes it, with the complete example of the page and its table."""
    folder = tmp_path_factory.mktemp("shop")
    scaffold(folder)
    (folder / "specs/shop/orders.yml").write_text(blocks(page("specs"), "yaml")[0])
    (folder / "data/orders.csv").write_text(
        "order_id,ordered_on,customer,amount,status,updated_at\n"
        "1,2026-01-01,Ada,19.90,open,2026-01-01 10:00:00+00\n"
        "2,2026-01-02,Grace,7.50,paid,2026-01-02 10:00:00+00\n"
    )
    for name, text in own_templates().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def own_templates() -> dict[str, str]:
    """The templates of the page, by the file names before them."""
    found = re.findall(
        r"`(templates/\S+\.sql\.j2)`[^`]*\n\n```jinja\n(.*?)```", page("templates"), re.DOTALL
    )
    assert len(found) == len(blocks(page("templates"), "jinja"))
    return dict(found)


@pytest.mark.parametrize(("path", "text"), COMMANDS)
def test_shell_runs(path: Path, text: str, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command of the page does what it should in a new project, and nothing else is one."""
    monkeypatch.chdir(shop)
    for line in text.splitlines():
        words = shlex.split(line)
        words, into = (words[:-2], words[-1]) if ">" in words else (words, None)
        assert words[0] == "loader", f"{line} is no command of Loader's"
        result = CliRunner().invoke(main, words[1:])
        assert result.exit_code == 0, (line, result.output)
        if into is not None:
            Path(into).write_text(result.stdout)
    assert CliRunner().invoke(main, ["validate"]).exit_code == 0


# --- templates


def test_own_templates_take_their_place(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The template of the page is the one that a plan renders."""
    monkeypatch.chdir(shop)
    asked = ["plan", "shop/orders", "--partition", "2026-01-01", "-v"]
    result = CliRunner().invoke(main, asked)
    assert "/* as our templates say */" in result.stdout
    assert "templates/duckdb/delete_slice.sql.j2" in result.stdout


@pytest.mark.parametrize("where", ["templates/own.sql.j2", "templates/duckdb/own.sql.j2"])
def test_a_spec_names_a_template(where: str, make_project: MakeProject) -> None:
    """A file that a spec names is found in the dialect's folder, or in the folder of both."""
    spec = {**example(), "templates": {"delete_slice": "own.sql.j2"}}
    text = next(iter(own_templates().values())).replace("our templates", "orders")
    project = make_project({"orders.yml": spec}, {where.removeprefix("templates/"): text})
    plan = project.plan(project.spec("shop/orders"), partition="2026-01-01")
    assert "/* as orders say */" in plan.sql


def test_variables_are_what_templates_read() -> None:
    """A template reads no variable that the page does not give it."""
    listed = set(re.findall(r"^\| `(\w+)` \|", page("templates"), re.MULTILINE))
    for name in folders():
        assert name in listed
        assert set(given(name)[1]) <= listed | {"exact"} | PARTS_ONLY, name


PARTS_ONLY = {"bad", "figure", "how", "one", "other", "part", "pattern", "side", "subject"}
"""What only parts read, of the loop that includes them."""


def test_every_template_says_what_it_is() -> None:
    """Each begins with a comment, which the page shows."""
    assert all(purpose(name) for name in folders())


def test_every_template_that_is_rendered_is_seen() -> None:
    """The page knows how each template is rendered that is no part of others."""
    assert recording().templates.keys() >= {name for name in folders() if not is_part(name)}


def is_part(name: str) -> bool:
    return f"| `{name}` |" in page("templates").split("## Parts")[1].split("## Variables")[0]


@pytest.mark.parametrize(
    "source",
    [
        "SELECT {{ 1 }}",
        "SELECT {{ 'a'|upper }}",
        "{% macro m() %}1{% endmacro %}SELECT {{ m() }}",
        "{% for a in [1] recursive %}{% endfor %}SELECT 1",
        "{% filter upper %}select{% endfilter %} 1",
        "SELECT {{ ('a' * 3)|literal }}",
        "SELECT {{ (1).__class__|literal }}",
        "SELECT {{ 1|literal if false }}",
        "SELECT 1; SELECT 2",
        "SELECT {{ unknown|literal }}",
        "SELECT 'a",
        "SELECT 1 /* a",
    ],
)
def test_what_the_sandbox_refuses(source: str) -> None:
    """What the page says that no template may do is refused."""
    with pytest.raises(TemplateError):
        renderer("duckdb", {"duckdb/own.sql.j2": source}).render("own", {})


# --- figures, files and links


def test_limits_are_those_of_the_code() -> None:
    """The numbers in sentences are those that specs are held to."""
    for number in (
        *(MAX_VARCHAR, MAX_CHAR, MAX_VARBYTE, MAX_PRECISION, SAFE_PRECISION),
        *(MAX_NAME_BYTES, MAX_COMPOUND_SORT, MAX_INTERLEAVED_SORT),
    ):
        assert re.search(rf"\b{number:,}\b", page("specs")), number


@pytest.mark.parametrize("name", PAGES)
def test_files_are_there(name: str) -> None:
    """The files and folders of this repository that a page names exist."""
    for path in re.findall(r"`((?:loader|tests)/[\w./]+)`", page(name)):
        assert (ROOT / path).exists(), path


LINK = re.compile(r"\]\(([^)\s]+)\)")


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    """Each link is to a file that is there, and each anchor to a heading of it."""
    for link in LINK.findall(page(name)):
        path, _, anchor = link.partition("#")
        target = (PAGES[name].parent / path).resolve() if path else PAGES[name]
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text("utf-8"), re.MULTILINE)
            assert anchor in map(slug, headings), link


def slug(heading: str) -> str:
    """A heading's anchor, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
