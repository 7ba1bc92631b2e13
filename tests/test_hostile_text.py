"""Hostile text: what data, specs and files say controls no terminal, comment, page or CI job."""

from __future__ import annotations

import io
import re
import unicodedata
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.console import Console

from loader.cli import main
from loader.cli.framework import style
from loader.cli.output.github import command
from loader.cli.output.progress import live_progress
from loader.escaping import (
    escape_invisible,
    escape_line,
    escape_markdown,
    escape_terminal,
    fence_code,
)
from loader.executor.results import Progress
from loader.scaffold import scaffold
from loader.spec.comments import comment

PIECES = [
    *("\x1b[31m", "\x1b]8;;http://e.vil\x07", "\r", "\x07", "\x9b2J", "\x00", "\x7f", "\b"),
    *("\u202e", "\u2066", "\u2069", "\u200f", "\u2028", "\x85", "\x0c", "\ufeff", "\U000e0041"),
    *("\n::warning::x", "\n  ::error file=a::x", "\n::add-mask::x", "\n##[group]x", "##vso[x]"),
    *("@octocat", "![x](http://e.vil/x.png)", "[x](http://e.vil)", "<img src=x>", "<!-- ", "```\n"),
    *("https://e.vil", "www.e.vil", "#1", "GH-1", "a/b#2", ":tada:", "*x*", "__x__", "`x`", "|x|"),
    *("\n# x", "\n- x", "~~x~~", "&lt;", "</details>", "\\", "$x$", "a", " ", "\n", "\t", "名前"),
]
HOSTILE = st.lists(st.sampled_from(PIECES) | st.text(max_size=5)).map("".join)
EVERYTHING = "x" + "".join(PIECES)


def raw(text: str) -> list[str]:
    """The characters that act, hide, or turn the direction of writing."""
    harmless = "\n\t\u200c\u200d"
    acting = {*"\u061c\u200b\u200e\u200f\u2028\u2029\ufeff\xad"} | set(
        map(chr, range(0x202A, 0x202F))
    )
    acting |= set(map(chr, range(0x2060, 0x2070)))
    return [
        one
        for one in text
        if one in acting or (unicodedata.category(one) in ("Cc", "Cs") and one not in harmless)
    ]


def commands(text: str) -> list[str]:
    """The lines that GitHub Actions takes for commands, as its runner looks for them."""
    lines = text.splitlines()
    return [line for line in lines if line.strip().startswith("::") or "##[" in line]


@given(HOSTILE)
def test_terminals(text: str) -> None:
    """On a terminal nothing but text is left, and in a log no line is a command."""
    assert not raw(escape_terminal(text))
    assert not commands(escape_terminal(text))
    assert "\n" not in escape_line(text)
    assert escape_terminal(escape_terminal(text)) == escape_terminal(text)


@given(st.text(st.characters(categories=["L", "N", "P", "S"])))
def test_words_stay(text: str) -> None:
    """Words of any language, and signs, are shown as they are."""
    assert escape_invisible(text) == escape_line(text) == text


LIVE = re.compile(r"@\w|(?<![\w&])#\d|\bGH-\d|https?://|\bwww\.\w|:[a-z+-]+:", re.IGNORECASE)
"""What GitHub makes something of in a page that is rendered already."""
PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


@given(HOSTILE)
def test_comments(text: str) -> None:
    """In Markdown no mention, link, picture, tag or list comes of text, and it reads back."""
    told = escape_markdown(text)
    assert "\n" not in told
    assert not raw(told)
    for form in ("- {}", "**x{}x**", "x {}", "| a |\n|---|\n| {} |"):
        page = _Page()
        page.feed(PARSER.render(form.format(told)))
        assert page.tags <= {"ul", "li", "p", "strong", "table", "thead", "tbody", "tr", "th", "td"}
        if form == "- {}":
            assert not LIVE.search(page.text)
            assert page.text.replace("\u200b", "").strip() == escape_line(text).strip()
    block = fence_code(text).split("\n")
    assert [line for line in block if line.startswith(block[0].removesuffix("sql"))] == [
        block[0],
        block[-1],
    ]
    assert not raw("\n".join(block))


@given(HOSTILE)
def test_annotations(text: str) -> None:
    """A GitHub annotation is one command on one line, with nothing that acts in it."""
    told = command(text, text, 1, 1, text)
    assert told.startswith("::error ")
    assert len(told.splitlines()) == 1
    assert not raw(told)


@given(HOSTILE)
def test_comments_of_drafts(text: str) -> None:
    """A comment of a drafted spec is one line of a YAML comment."""
    assert yaml.safe_load(f"{comment(text)}\na: 1") == {"a": 1}
    assert not raw(comment(text))


def test_colours_are_ours_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is coloured on a terminal is coloured by Loader, not by who wrote the text."""
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert "\x1b" not in style("\x1b[8mx", fg="red")


def test_progress_is_no_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    """The live line shows the name of a step as it is, whatever brackets a check's name has."""
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=200, color_system=None)
    monkeypatch.setattr("loader.cli.output.progress.Console", lambda **_: console)
    with live_progress() as on_progress:
        on_progress(Progress("check [/b]\x1b[8m\n::error::x", 1, 1, 1))
    assert r"check [/b]\x1b[8m\n::error::x" in written.getvalue()
    assert not commands(written.getvalue())


SPEC: dict[str, Any] = {
    "schema": "shop",
    "name": "@octocat ![x](http://e.vil/x) <img>" + EVERYTHING.replace("\x00", "")[:40].lower(),
    "asset_key": "shop/hostile",
    "description": EVERYTHING.replace("\x00", ""),
    "owners": ["team:x"],
    "meta": {"upstream": [EVERYTHING], "x": EVERYTHING},
    "columns": [
        {"name": piece.replace("\x00", "").lower(), "data_type": "varchar(9)", "description": piece}
        for piece in PIECES
        if piece.strip() and piece.replace("\x00", "").strip()
    ],
    "checks": [{"metric": "row_count", "must_be": 1, "name": EVERYTHING}],
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a spec that says the worst wherever it may."""
    scaffold(tmp_path)
    spec = {key: _without_nul(value) for key, value in SPEC.items()}
    names = [column["name"] for column in spec["columns"]]
    spec["columns"] = [c for at, c in enumerate(spec["columns"]) if c["name"] not in names[:at]]
    (tmp_path / "specs" / "hostile.yml").write_text(yaml.safe_dump(spec))
    (tmp_path / "specs" / "wrong.yml").write_text(yaml.safe_dump({"schema": "s", EVERYTHING: 1}))
    odd = tmp_path / "x\x1b[31m\n::warning::x.csv"
    odd.write_text("a\x1b[31m\r,\u202eb\n1,2\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _without_nul(value: Any) -> Any:
    match value:
        case str():
            return value.replace("\x00", "")
        case dict():
            return {key: _without_nul(one) for key, one in value.items()}
        case list():
            return [_without_nul(one) for one in value]
    return value


HOSTILE_LINES: list[list[str]] = [
    ["plan", "shop/hostile"],
    ["plan", "shop/hostile", "-v"],
    ["plan", "shop/hostile", "--format", "markdown"],
    ["plan", "shop/hostile", "--format", "json"],
    ["plan", "shop/hostile", "--live"],
    ["plan", "shop/hostile", "--live", "--format", "markdown"],
    ["apply", "shop/hostile", "-v"],
    ["load", "shop/hostile", "x\x1b[31m\n::warning::x.csv"],
    ["load", "shop/orders", "x\x1b[31m\n::warning::x.csv"],
    ["load", "shop/orders", "\u202eno\n::error::x.csv"],
    ["infer", "x\x1b[31m\n::warning::x.csv"],
    ["plan", EVERYTHING.replace("\x00", "")],
    ["plan", "--target", "\x1b[31m\n::warning::x"],
    ["validate"],
    ["validate", "--format", "json"],
    ["validate", "--format", "github"],
    ["plan", "shop/orders", "--partition", "\x1b[2J\n::error::x"],
    ["history", "--format", "\x1b[31m"],
    ["doctor", "--target", "\r::warning::"],
]


@pytest.mark.parametrize("line", HOSTILE_LINES, ids=range(len(HOSTILE_LINES)))
def test_no_command_passes_it_on(line: list[str], project: Path) -> None:
    """Whatever a spec, a file, a header or a word on the command line says, it is only shown."""
    assert project.is_dir()
    done = CliRunner().invoke(main, line, prog_name="loader")
    assert not isinstance(done.exception, Exception)
    for told in (done.stdout, done.stderr):
        assert not raw(told)
        assert "Traceback" not in told
        assert not [one for one in commands(told) if "github" not in line]
    if "markdown" in line and done.exit_code == 0:
        prose = re.sub(r"(?s)(`{3,})sql\n.*?\n\1\n", "", done.stdout)
        assert "octocat" in prose
        assert not re.search(r"@\w|https?://|<img|!\[", prose)


class _Page(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.tags: set[str] = set()
        self.links: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links |= {value or "" for name, value in attrs if name in ("href", "src")}

    def handle_data(self, data: str) -> None:
        self.text += data


def test_pages(project: Path) -> None:
    """On pages no tag, picture or script comes of text, and nothing in them is hidden or turned."""
    (project / "specs" / "wrong.yml").unlink()
    done = CliRunner().invoke(main, ["docs", "-o", "site"], prog_name="loader")
    assert done.exit_code == 0, done.stderr
    for path in (project / "site").rglob("*"):
        if path.suffix in (".html", ".js"):
            text = path.read_text(encoding="utf-8")
            assert not raw(text), path
            if path.suffix == ".js":
                turned = r"\\u20(?:2[a-e]|6[6-9])|\\u001b"
                assert not re.search(turned, text.replace("\\\\", ""))
            page = _Page()
            page.feed(text if path.suffix == ".html" else "")
            assert "img" not in page.tags
            assert not [link for link in page.links if "e.vil" in link]
