"""What makes a thousand specs fast tells nothing else than the long way does."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.errors import Loc
from loader.spec import yaml_reader
from loader.spec.catalog import read_catalog
from loader.spec.yaml_reader import read_document
from loader.sql import lexer

ROOT = Path(__file__).parents[2]
SPECS = sorted([*ROOT.glob("specs/**/*.yml"), *(ROOT / "tests" / "cases" / "specs").rglob("*.yml")])

PIECES = (
    *(
        "'",
        '"',
        "$",
        "-",
        "/",
        "*",
        ";",
        "\\",
        "\n",
        "\r",
        " ",
        "  \n",
        "e",
        "E",
        "the",
        "1e",
        "x$",
    ),
    *("e'", "''", "--", "/*", "*/", "$$", "$a$", "ä", "'ä'", '"b  \n\n c"', "'x \n\n y'"),
    *(
        "/* c */",
        "/* it's \n\n */",
        "/**/",
        "\x1c",
        "\x85",
        "\u200b",
        "\u00a0",
        "\0",
        "(",
        ",",
        ".",
    ),
)
SQL = st.lists(st.sampled_from(PIECES), max_size=14).map("".join)


@given(SQL, st.booleans())
def test_simple_statements_are_what_their_tokens_say(sql: str, backslash: bool) -> None:
    """What is taken for one statement at a glance is one, token by token, and tidied alike."""
    simple = lexer.simple_statement(sql)
    if simple is None:
        return
    found = lexer.statements(sql, backslash=backslash)
    assert len(found) == 1
    assert not any(kind == "open" for kind, _ in lexer.tokens(sql, backslash=backslash))
    assert simple == lexer.tidy(found[0], backslash=backslash)


@given(SQL, st.booleans())
def test_bare_words_are_the_tokens(sql: str, backslash: bool) -> None:
    """The words of a statement are those of its tokens, however they are found."""
    words = [text for kind, text in lexer.tokens(sql, backslash=backslash) if kind == "word"]
    assert lexer.bare_words(sql, backslash=backslash) == " ".join(words).upper()


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_plain_specs_say_what_documents_say(path: Path) -> None:
    """A file read without nodes has the data and the places of one read with them."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        return
    document, problems = read_document(text, "x")
    if yaml_reader._PlainReader(text).read() is None:
        return
    (expected,), others = yaml_reader._read(text, "x", strict=True)
    assert document is not None
    assert repr(document.data) == repr(expected.data)
    assert problems == others == []
    # Single keys first: the second loop asks for what takes nodes.
    single: list[Loc] = [("asset_key",), *((key,) for key in expected.data)]
    for loc in single:
        assert document.place(loc) == expected.place(loc)
    deep: list[Loc] = [(), ("columns", 0, "name"), ("columns", 99), ("none", 1)]
    for loc in deep:
        assert document.place(loc) == expected.place(loc)
        assert document.place(loc, on_key=True) == expected.place(loc, on_key=True)


UNUSUAL = ("a: &x 1", "a: *x", "a: !t 1", "a: 1\na: 2", "<<: {}", "a: <<", "[a]: 1", "a", "", "~")


@pytest.mark.parametrize(
    "text", [*UNUSUAL, "a: [", "a: 1\n---\nb: 2", "a: 2013-13-45", "a: " + "[" * 200 + "]" * 200]
)
def test_what_is_unusual_takes_the_long_way(text: str) -> None:
    """Anchors, tags, keys set twice and whatever is no YAML are never read without places."""
    assert yaml_reader._PlainReader(text).read() is None


@pytest.mark.parametrize("on", [True, False])
def test_the_garbage_collector_is_left_as_it_was(tmp_path: Path, on: bool) -> None:
    """Reading specs keeps the collector out, and then turns it on only if it was."""
    (tmp_path / "a.yml").write_text("a")
    was_on = gc.isenabled()
    (gc.enable if on else gc.disable)()
    try:
        read_catalog(tmp_path, tmp_path)
        assert gc.isenabled() is on
    finally:
        (gc.enable if was_on else gc.disable)()
