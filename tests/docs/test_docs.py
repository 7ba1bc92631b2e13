"""`loader docs`: pages that hold together, tell what specs say, and let nothing through."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

import pytest
import yaml
from click.testing import CliRunner

from loader.cli import main
from loader.docs.check_words import describe_check, describe_guards
from loader.docs.names import slug
from loader.docs.write import MANIFEST, SiteResult, write_site
from loader.errors import ConfigError, LoaderError, SpecError
from loader.escaping import escape_invisible
from loader.project import Project
from loader.spec.checks import Check, Guards
from loader.validate import validate
from tests.conftest import MakeProject
from tests.test_architecture import HEAVY

ROOT = Path(__file__).parents[2]
COLUMNS = [{"name": "id", "data_type": "bigint"}]
HOSTILE = "</script><script>alert(1)</script> & \"quoted\" 'too' \u2028 <b> {{ 7 * 7 }}"
VOID = {"meta", "link", "input", "br"}
ROLES = {"table": "table", "tr": "row", "td": "cell", "thead": "rowgroup", "tbody": "rowgroup"}


class Page(HTMLParser):
    """A page as a browser reads it: links, anchors, text, and whether every tag is closed."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: list[str] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, dict[str, str]]] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()

    @property
    def text(self) -> str:
        """What people read, with every run of blanks as one."""
        return re.sub(r"\s+", " ", "".join(self.words))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what the tag leads to or loads."""
        given = {name: value or "" for name, value in attrs}
        assert len(given) == len(attrs), f"an attribute of {tag} is there twice"
        self.tags.append(tag)
        self.attributes.append((tag, given))
        if tag not in VOID:
            self.open.append(tag)
        if given.get("id"):
            self.anchors.append(given["id"])
        if tag == "a":
            self.links.append(given["href"])
        if tag in ("script", "link", "img", "iframe", "object", "source"):
            self.loads.append(given.get("src") or given.get("href") or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A tag that closes itself is not open."""
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        """Close what was opened last."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note what people read."""
        self.words.append(data)


def spec(name: str, **fields: Any) -> dict[str, Any]:
    return {"version": 1, "schema": "s", "name": name, "columns": COLUMNS, **fields}


def site(make: MakeProject, folder: Path, **specs: dict[str, Any]) -> dict[str, Page]:
    project = make({f"{name}.yml": fields for name, fields in specs.items()})
    write_site(project, folder)
    return pages(folder)


def pages(folder: Path) -> dict[str, Page]:
    return {path.relative_to(folder).as_posix(): Page(path) for path in folder.rglob("*.html")}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "site"


RICH = spec(
    "orders",
    description="One row per order.",
    owners=["team:data", "ann@example.org"],
    tags={"domain": "shop"},
    columns=[
        {"name": "id", "data_type": "bigint", "encode": "az64"},
        {"name": "day", "data_type": "timestamptz", "description": "When it came."},
        {"name": "mail", "data_type": "varchar(80)", "classification": "pii"},
        {"name": "n", "data_type": "integer", "default": "42"},
        {"name": "at", "data_type": "timestamp", "from": "loaded_at"},
        {"name": "made", "data_type": "bigint", "identity": [7, 3]},
    ],
    primary_key=["id"],
    dist="id",
    sort=["day"],
    partition_by=[
        {"name": "on", "expr": "day", "grain": "day", "timezone": "Europe/Berlin"},
        {"name": "mail", "expr": "mail"},
    ],
    write_disposition="merge",
    merge={"on_duplicate": "last", "order_by": ["day"]},
    on_empty="fail",
    checks=[{"metric": "row_count", "must_be_greater_than": 0}],
    grants={"select": ["role:bi"]},
    schema_contract={"evolve": "additive", "bad_rows": "reject", "max_rejects": "1%"},
    staging={"format": "csv", "file_size": "64MB", "keep": "never"},
    source={"delimiter": ";"},
    meta={"contact": "ann", "upstream": ["raw/orders"]},
    dagster={"group": "shop", "freshness": {"fail": "24h"}},
)


# Form: links, markup, what is loaded.


def test_every_link_leads_somewhere(out: Path, make_project: MakeProject) -> None:
    """The site holds together: each link has a page, each anchor a place, and is there once."""
    hostile = spec(
        "h", asset_key="a b/<c>#?&%", columns=[{"name": 'x "#<i> ', "data_type": "date"}]
    )
    write_site(Project.find(ROOT), out / "nyc")
    rich = {**RICH, "meta": {"upstream": ["a b/<c>#?&%"]}}
    site(make_project, out / "rich", orders=rich, hostile=hostile)
    for folder in (out / "nyc", out / "rich"):
        found = pages(folder)
        for name, page in found.items():
            assert len(page.anchors) == len(set(page.anchors)), name
            for link in page.links:
                if link.startswith("https://"):
                    continue
                path, _, anchor = link.partition("#")
                target = (
                    (folder / name).parent / unquote(path) if path else folder / name
                ).resolve()
                assert target.is_file(), (name, link)
                if anchor and "=" not in anchor:
                    known = found[target.relative_to(folder.resolve()).as_posix()]
                    assert anchor in known.anchors, (name, link)


def test_links_to_a_search_name_what_can_be_chosen(make_project: MakeProject, out: Path) -> None:
    """Tags and owners lead to the tables that have them too."""
    tags = {"domain": "shop", "x": ""}
    found = site(make_project, out, t=spec("t", tags=tags, owners=["team:r&d = fun"]))
    chosen = {
        pair
        for page in found.values()
        for link in page.links
        if "index.html#" in link
        for pair in parse_qsl(link.partition("#")[2], keep_blank_values=True)
    }
    offered = {(name, given["value"]) for name, given in options(found["index.html"])}
    assert chosen <= offered
    assert ("owner", "team:r&d = fun") in chosen


def options(page: Page) -> Iterator[tuple[str, dict[str, str]]]:
    """The choices of the index's filters."""
    name = ""
    for tag, given in page.attributes:
        if tag == "select":
            name = given["name"]
        elif tag == "option" and given["value"]:
            yield name, given


def test_pages_are_well_formed(make_project: MakeProject, out: Path) -> None:
    """One first heading, no level left out below it, a language, a link past the header."""
    found = site(make_project, out, orders=RICH, plain=spec("plain"))
    for name, page in found.items():
        assert page.open == [], name
        levels = [int(tag[1]) for tag in page.tags if re.fullmatch("h[1-6]", tag)]
        assert levels[0] == 1, name
        assert levels.count(1) == 1, name
        assert all(after <= before + 1 for before, after in pairwise(levels))
        assert ("html", {"lang": "en"}) in page.attributes
        assert page.links[0] == "#content"
        assert page.tags.count("main") == 1
        for tag, given in page.attributes:
            # A phone shows tables as blocks, which takes their meaning away unless it is said.
            if tag in ROLES:
                assert given.get("role") == ROLES[tag], (name, tag)
            if tag == "th":
                assert given["scope"] in ("col", "row")
            if tag == "input" and given["type"] == "search":
                assert given["aria-label"]
            assert not [key for key in given if key.startswith("on")], "no script in attributes"


def test_pages_need_no_network(out: Path) -> None:
    """What pages load lies beside them, and nothing of it asks for more."""
    write_site(Project.find(ROOT), out)
    for name, page in pages(out).items():
        for loaded in page.loads:
            assert ((out / name).parent / loaded).resolve().is_file(), loaded
    for name in ("site.css", "site.js"):
        text = (out / name).read_text()
        assert not re.search(r"https?:|//[a-z]|@import|url\(|fetch\(|XMLHttp|import\(", text), name
    for path in out.rglob("*.html"):
        without = re.sub(r'<a href="https://[^"]*"', "", path.read_text())
        assert not re.search(r'(src|href|action|data)="?(https?:)?//', without), path


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_words_stand_out_from_their_ground(scheme: int) -> None:
    """Every colour of text keeps the contrast of WCAG AA on every ground that it may stand on."""
    css = (ROOT / "loader" / "docs" / "pages" / "site.css").read_text()
    light, dark = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", [light, dark][scheme]))
    pairs = [("mark-ink", "mark"), ("class-ink", "class"), ("ink", "mark"), ("quiet", "mark")]
    pairs += [
        (ink, ground)
        for ink in ("ink", "quiet", "accent", "keyword", "string", "comment")
        for ground in ("paper", "soft")
    ]
    for ink, ground in pairs:
        high, low = sorted((luminance(colours[ink]), luminance(colours[ground])), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5, (ink, ground)
    edges = sorted((luminance(colours["strong"]), luminance(colours["paper"])), reverse=True)
    assert (edges[0] + 0.05) / (edges[1] + 0.05) >= 3


# Content.


def test_a_page_tells_what_the_spec_says(make_project: MakeProject, out: Path) -> None:
    """Columns, keys, partitions, checks, grants, layout and SQL of both dialects are there."""
    page = site(make_project, out, orders=RICH)["tables/s-orders.html"]
    for told in (
        *("One row per order.", "team:data", "domain: shop", "s.orders", "specs/orders.yml:1"),
        *("When it came.", "pii", "az64", "default 42", "identity (7, 3)", "from loaded_at"),
        *("timestamp with time zone", "varchar(80)", "6 columns"),
        "on: one for each day of day.",
        "Partition keys are in the time zone Europe/Berlin.",
        "For example 2013-01-01: 2012-12-31 23:00:00+00:00 ≤ day < 2013-01-01 23:00:00+00:00.",
        "mail: one for each value.",
        "merge: rows with existing keys are updated, others inserted, by a MERGE statement.",
        "A row that is older than the existing row by day is ignored.",
        "If a load has several rows for a key, the last by day is kept.",
        "A load without rows fails.",
        "Rows: more than 0.",
        "By id: rows with the same value are on the same slice.",
        "day, compound",
        "select to role:bi",
        "Loads may add columns to the live table, and widen VARCHAR columns.",
        "Invalid rows are written to a rejects file with the reason, up to 1%.",
        *("CSV (gzip) in files of about 64 MB.", "Staged files are always deleted."),
        *("delimiter: ;", "contact: ann", "group: shop", "freshness: fail 24h"),
        *("COPY", "IAM_ROLE", "read_csv", "CREATE TABLE", "BEGIN", "COMMIT"),
        *("so existing keys keep their values there", "only when it is missing"),
        "write_disposition: merge",
    ):
        assert told in page.text, told


def test_a_page_tells_what_runs_around_a_load(make_project: MakeProject, out: Path) -> None:
    """Hooks and what is SET are told in words, and their SQL stands where it runs."""
    fields = {
        "session": {"query_group": "nightly", "statement_timeout": "30m"},
        "hooks": [
            {"template": "analyze", "transaction": "outside"},
            {"template": "refresh_view", "when": "before", "values": {"view": "sales"}},
        ],
    }
    page = site(make_project, out, t=spec("t", **fields))["tables/s-t.html"].text
    assert "query_group: nightly" in page
    assert "analyze: after COMMIT." in page
    assert "refresh_view with view: sales: in the transaction, before the rows." in page
    places = [
        *(page.index(f"SET {name}") for name in ("QUERY_GROUP", "STATEMENT_TIMEOUT")),
        page.index("BEGIN"),
        page.index("REFRESH MATERIALIZED VIEW"),
        page.index("COMMIT", page.index("REFRESH MATERIALIZED VIEW")),
        page.index("ANALYZE "),
    ]
    assert places == sorted(places)


def test_a_plain_table_tells_its_defaults(make_project: MakeProject, out: Path) -> None:
    """What a reviewer should know is told when the spec does not say it, the rest is left out."""
    page = site(make_project, out, plain=spec("plain"))["tables/s-plain.html"]
    for told in (
        *("None declared.", "replace: replaces the whole table."),
        *("A load without rows leaves the table unchanged.", "A load with an invalid row fails."),
        *("Not declared; Redshift chooses.", "Parquet on Redshift in files of about 128 MB."),
        *("1 column", "Loads do not change the live table; loader apply does."),
    ):
        assert told.lower() in page.text.lower(), told
    for left_out in (
        "Grants",
        "Custom templates",
        "Dagster",
        "Meta",
        "Encoding",
        "Lineage",
        "Checks",
        "Hooks",
    ):
        assert left_out not in page.text, left_out


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ({"metric": "row_count", "must_be_greater_than": 1000}, "Rows: more than 1,000."),
        ({"metric": "row_count", "must_be_between": [1, 2.5]}, "Rows: between 1 and 2.5."),
        ({"metric": "null_values", "column": "a", "must_be": 0}, "NULLs in a: none."),
        (
            {"metric": "null_values", "column": "a", "must_be_less_than": 5, "unit": "percent"},
            "NULLs in a: less than 5 % of the rows.",
        ),
        (
            {"metric": "duplicate_values", "columns": ["a", "b"], "must_be": 0, "name": "once"},
            "once: Repeated values of a, b: none.",
        ),
        (
            {"metric": "invalid_values", "column": "a", "valid_values": ["x", 1], "must_be": 0},
            "Values of a other than x, 1: none.",
        ),
        (
            {"metric": "missing_values", "column": "a", "missing_values": ["-"], "must_be": 3},
            'Missing values in a (NULL or "-"): exactly 3.',
        ),
        (
            {"metric": "row_count", "must_not_be": 0, "severity": "warning"},
            "Rows: anything but 0 (only a warning).",
        ),
        (
            {"metric": "invalid_values", "column": "a", "pattern": "^x+$", "must_be": 0},
            "Values of a without the pattern ^x+$: none.",
        ),
        (
            {"metric": "invalid_values", "column": "a", "minimum": 0, "maximum": 9.5, "must_be": 0},
            "Values of a less than 0 or greater than 9.5: none.",
        ),
        (
            {"metric": "invalid_values", "column": "a", "valid_values": [True], "must_be": 0},
            "Values of a other than true: none.",
        ),
        (
            {
                "metric": "invalid_values",
                "column": "a",
                "references": {"schema": "s", "table": "t", "column": "b"},
                "unit": "percent",
                "must_be_less_than": 5,
            },
            "Values of a that are not in s.t.b: less than 5 % of the rows.",
        ),
        (
            {"metric": "failed_rows", "expression": "a < b", "must_be": 0},
            "Rows for which a < b is false: none.",
        ),
        (
            {"metric": "failed_rows", "query": "SELECT 1", "must_be": 0},
            "Rows that SELECT 1 returns: none.",
        ),
        (
            {"metric": "sql", "name": "n", "query": "SELECT 1", "must_be": 0},
            "n: The number that SELECT 1 returns: exactly 0.",
        ),
        ({"metric": "minimum", "column": "a", "must_be": 0}, "The least value of a: exactly 0."),
        (
            {"metric": "freshness", "column": "a", "unit": "hours", "must_be_less_than": 24},
            "The age of the newest a: less than 24 hours.",
        ),
    ],
)
def test_checks_are_told_in_words(check: dict[str, Any], words: str) -> None:
    """A check says what is counted, and how many there may be."""
    assert describe_check(Check.model_validate(check)).striptags() == words


@pytest.mark.parametrize(
    ("severities", "words"),
    [
        (["error"], "If one fails, the load is rolled back."),
        (["error", "warning"], "If one fails that is not only a warning, the load is rolled back."),
    ],
)
def test_what_a_failed_check_does_is_told_in_words(
    severities: list[str], words: str, make_project: MakeProject, out: Path
) -> None:
    """Only a check that is no warning rolls a load back."""
    checks = [{"metric": "row_count", "must_not_be": 0, "severity": one} for one in severities]
    checks = [{**check, "name": f"c{at}"} for at, check in enumerate(checks)]
    assert words in site(make_project, out, t=spec("t", checks=checks))["tables/s-t.html"].text


@pytest.mark.parametrize(
    ("guards", "words"),
    [
        ({}, []),
        (
            {"slice_shrinks_by": "20%"},
            ["A load that takes 20% or more from a partition is rolled back."],
        ),
        (
            {"slice_shrinks_by": 1000, "severity": "warning"},
            ["A load that takes 1,000 rows or more from a partition is reported."],
        ),
    ],
)
def test_guards_are_told_in_words(guards: dict[str, Any], words: list[str]) -> None:
    """A guard says what a load may not take away."""
    told = describe_guards(Guards.model_validate(guards))
    assert [line.striptags() for line in told] == words


@pytest.mark.parametrize(
    ("entry", "example"),
    [
        ({"grain": "month"}, "For example 2013-01: 2013-01-01 ≤ at < 2013-02-01."),
        ({"grain": "week", "week_start": "sunday"}, "Weeks start on Sunday."),
        ({}, "at: one for each value."),
    ],
)
def test_partitions_are_told_in_words(
    entry: dict[str, str], example: str, make_project: MakeProject, out: Path
) -> None:
    """A grain is told with the window of one of its keys, as it stands in the SQL."""
    columns = [{"name": "at", "data_type": "date"}]
    fields = spec("t", columns=columns, partition_by=[{"expr": "at", **entry}])
    assert example in site(make_project, out, t=fields)["tables/s-t.html"].text


def test_scripts_are_those_of_the_plan(make_project: MakeProject, out: Path) -> None:
    """What a page shows as SQL is what `loader plan` prints, statement by statement."""
    project = make_project({"orders.yml": RICH})
    write_site(project, out)
    page = "".join(Page(out / "tables" / "s-orders.html").words)
    plan = project.plan(project.spec("s/orders"))
    for statement in (*plan.session, *plan.before, *plan.statements, *plan.after):
        assert statement.why in page
        sql = statement.sql.replace(plan.target.staging, ".loader/staging")
        assert sql in page, statement.name


def test_the_language_page_has_every_key(out: Path) -> None:
    """Each key of the JSON Schema stands on the page of the language, and meta.upstream with it."""
    write_site(Project.find(ROOT), out)
    schema = json.loads((out / "spec.schema.json").read_text())
    page = Page(out / "language.html")
    keys = sorted(anchor.rpartition(".")[2] for anchor in page.anchors if "key-" in anchor)
    parts = [schema, *schema["$defs"].values()]
    wanted = [key for part in parts for key in part.get("properties", {})]
    shown = [key.removeprefix("key-") for key in keys]
    assert sorted(shown) == sorted([*wanted, "upstream"])
    for told in ("128MB", "delete_insert, merge", "list of 2 whole numbers", "mapping of text to"):
        assert told in page.text, told


# Whatever specs hold.


def test_nothing_of_a_spec_is_markup(make_project: MakeProject, out: Path) -> None:
    """Text of specs that looks like HTML or script is text on every page, and in the search."""
    hostile = spec(
        "t",
        asset_key='a"b/<c> & d',
        description=HOSTILE,
        columns=[
            {"name": 'x"<i>', "data_type": "bigint", "description": HOSTILE, "default": "'<b>'"},
            {"name": "y", "data_type": "date", "classification": "<u>"},
        ],
        meta={"upstream": ["<img src=x>/y", 'https://example.org/?a=1&b="><i>'], "<k>": HOSTILE},
        owners=["team:<u>"],
        partition_by=[{"name": "<i>", "expr": 'coalesce("x""<i>", 1)', "data_type": "bigint"}],
        checks=[{"metric": "row_count", "must_be": 1, "name": "<b>&"}],
        grants={"select": ["role:<b>"]},
        dagster={"kinds": ["<u>"]},
    )
    found = site(make_project, out, t=hostile)
    for name, page in found.items():
        assert page.tags.count("script") == (2 if name == "index.html" else 1)
        assert not {"b", "i", "u", "img", "k"} & set(page.tags)
        assert not [given for _, given in page.attributes if "src" in given and given["src"] == "x"]
    told = re.sub(r"\s+", " ", escape_invisible(HOSTILE))
    assert sum(told in page.text for page in found.values()) == 2
    index = (out / "search.js").read_text(encoding="utf-8")
    assert "<" not in index
    assert index.isascii()
    listed = json.loads(index.removeprefix("window.LOADER_TABLES = ").removesuffix(";\n"))
    assert listed[0]["owner"] == ["team:<u>"]


@pytest.mark.parametrize(
    "link", ["javascript:alert(1)", "data:text/html,x", "http://x.org/y", "//x"]
)
def test_only_safe_addresses_are_links(link: str, make_project: MakeProject, out: Path) -> None:
    """Of what is outside only https addresses are links."""
    found = site(make_project, out, t=spec("t", meta={"upstream": [link]}))
    page = found["tables/s-t.html"]
    assert link not in page.links
    assert link in page.text


@pytest.mark.parametrize("first", ["columns", "content", "sql", "yaml", "rules", "tab-redshift"])
def test_names_of_columns_are_anchors_of_their_own(
    first: str, make_project: MakeProject, out: Path
) -> None:
    """A column may be called as a part of the page is, or as another one but for its blanks."""
    names = [first, "two words", "two-words", "ö", "o"]
    columns = [{"name": name, "data_type": "date"} for name in names]
    page = site(make_project, out, t=spec("t", columns=columns))["tables/s-t.html"]
    assert len(set(page.anchors)) == len(page.anchors)
    assert all(re.fullmatch(r"[\w.-]+", anchor) for anchor in page.anchors)


def test_names_of_pages_are_safe_and_their_own(make_project: MakeProject, out: Path) -> None:
    """Asset keys that differ in odd characters or case only, or are very long, have own pages."""
    keys = ["a/b", "A/b", "a-b", "a b", "a.b", "ä/ö", "x" * 300, "x" * 299, "..", "con", "nul/x"]
    keys += ["con/..%2F", "a/b/c", "a_b", "-", "\u202e", "a\\b", "c:d"]
    specs = {f"t{at}": spec(f"t{at}", asset_key=key) for at, key in enumerate(keys)}
    found = site(make_project, out, **specs)
    names = [name for name in found if name.startswith("tables/")]
    assert len({name.lower() for name in names}) == len(keys)
    assert all(re.fullmatch(r"tables/[a-z0-9_-][a-z0-9._-]{0,99}\.html", name) for name in names)
    assert "tables/con.html" not in names


def test_a_slug_is_no_other_texts() -> None:
    """A digest tells apart what looks the same, and plain words need none."""
    texts = ["nyc/flights", "nyc-flights", "nyc flights", "Nyc/flights", "nyc/flights ", "nyc//x"]
    assert len({slug(text) for text in texts}) == len(texts)
    assert slug("nyc/flights") == "nyc-flights"


def test_a_page_has_the_file_as_it_is(make_project: MakeProject, out: Path) -> None:
    """The YAML of a page is the file, comments and all, whatever comes before its first word."""
    text = (
        "\ufeff# why\nversion: 1\nschema: s\nname: t # <b>\ncolumns: [{name: a, data_type: date}]\n"
    )
    write_site(make_project({"t.yml": text}), out)
    page = "".join(Page(out / "tables" / "s-t.html").words)
    assert text.removeprefix("\ufeff") in page


# Lineage.


def test_lineage_leads_both_ways(make_project: MakeProject, out: Path) -> None:
    """What a table is made of and what is made of it are linked; what has no page is not."""
    found = site(
        make_project,
        out,
        raw=spec("raw"),
        mart=spec("mart", meta={"upstream": ["s/raw", "elsewhere/x", "s/raw"]}),
    )
    mart, raw = found["tables/s-mart.html"], found["tables/s-raw.html"]
    assert mart.links.count("../tables/s-raw.html") == 2, "in the list, and in the drawing"
    assert raw.links.count("../tables/s-mart.html") == 2
    assert "elsewhere/x not in these specs" in mart.text
    assert mart.tags.count("svg") == raw.tags.count("svg") == 1
    hidden = [given for tag, given in mart.attributes if tag == "svg"]
    assert hidden[0]["aria-hidden"] == "true"


def test_lineage_is_of_the_tables_that_are_chosen(make_project: MakeProject, out: Path) -> None:
    """A table that was not asked for has no page, so it is outside."""
    project = make_project(
        {"raw.yml": spec("raw"), "mart.yml": spec("mart", meta={"upstream": ["s/raw"]})}
    )
    assert write_site(project, out, ["s/mart"]).tables == 1
    assert "s/raw not in these specs" in pages(out)["tables/s-mart.html"].text


def test_a_table_may_be_made_of_itself_and_of_very_many(
    make_project: MakeProject, out: Path
) -> None:
    """The list has all of them; the drawing stays small, and says how many it leaves out."""
    many = [f"raw/t{at}" for at in range(40)]
    page = site(make_project, out, t=spec("t", meta={"upstream": ["s/t", *many]}))[
        "tables/s-t.html"
    ]
    assert all(key in page.text for key in many)
    assert "and 33 more" in page.text
    assert page.tags.count("rect") == 11


@pytest.mark.parametrize("form", [{"a": 1}, "s/raw", ["s/raw", 3], 7, [[]], [""], None])
def test_lineage_of_another_form_is_told(form: Any, make_project: MakeProject, out: Path) -> None:
    """What is no list of asset keys is an error that names the file and the key, of each file."""
    project = make_project(
        {f"{name}.yml": spec(name, meta={"upstream": form}) for name in ("t", "u")}
    )
    with pytest.raises(SpecError) as caught:
        write_site(project, out)
    for name in ("t", "u"):
        wanted = f"specs/{name}.yml: meta.upstream: is not a list of asset keys"
        assert wanted in caught.value.message
    assert not out.exists()


# The folder.


def test_the_same_specs_are_the_same_bytes(make_project: MakeProject, tmp_path: Path) -> None:
    """Two runs write the same files, whatever Python hashes words to, and import nothing heavy."""
    mart = spec("b", meta={"upstream": ["s/a"]}, tags={"x": "1", "y": "2"}, owners=["team:a"])
    root = make_project({"a.yml": RICH, "b.yml": mart}).config.root
    both = []
    script = (
        "import sys; from loader.cli import main\n"
        "try:\n    main(['docs', '-o', sys.argv[1]])\n"
        "except SystemExit as stop:\n    assert not stop.code, stop.code\n"
        f"loaded = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "assert not loaded, loaded"
    )
    for seed in ("1", "2"):
        folder = tmp_path / seed
        subprocess.run(
            [sys.executable, "-c", script, str(folder)],
            cwd=root,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            check=True,
            timeout=120,
        )
        both.append({p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()})
    assert both[0] == both[1]
    assert len(both[0]) == 9


def test_pages_of_tables_that_are_gone_are_removed(make_project: MakeProject, out: Path) -> None:
    """Only what an earlier run wrote is removed."""
    site(make_project, out, a=spec("a"), b=spec("b"))
    (out / "mine.txt").write_text("kept")
    project = make_project({"a.yml": spec("a")})
    (project.config.specs / "b.yml").unlink()
    result = write_site(Project.find(project.config.root), out)
    assert result.removed == ("tables/s-b.html",)
    assert not (out / "tables" / "s-b.html").exists()
    assert (out / "mine.txt").read_text() == "kept"


@pytest.mark.parametrize("reach", ["../other.txt", "{tmp}/other.txt", "tables/../../other.txt"])
def test_a_list_of_files_that_reaches_out_removes_nothing(
    reach: str, make_project: MakeProject, out: Path, tmp_path: Path
) -> None:
    """A manifest that names files elsewhere, or a folder, does not have them removed."""
    other = tmp_path / "other.txt"
    other.write_text("kept")
    site(make_project, out, a=spec("a"))
    (out / "tables" / "sub").mkdir()
    names = [reach.format(tmp=tmp_path), "tables", "tables/sub", "tables/gone.html"]
    (out / MANIFEST).write_text(json.dumps({"files": [*names, *files_of(out)]}))
    site(make_project, out, a=spec("a"))
    assert other.read_text() == "kept"
    assert (out / "tables" / "sub").is_dir()


def files_of(folder: Path) -> list[str]:
    listed = json.loads((folder / MANIFEST).read_text())["files"]
    return [str(name) for name in listed]


def test_a_folder_of_something_else_is_left_alone(make_project: MakeProject, out: Path) -> None:
    """A folder that is not empty and holds no site is refused, before anything is written."""
    out.mkdir()
    (out / "thesis.txt").write_text("kept")
    with pytest.raises(ConfigError, match="is not empty, and not an earlier site"):
        site(make_project, out, a=spec("a"))
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]


def test_a_file_is_no_folder(make_project: MakeProject, out: Path) -> None:
    """A file where the folder should be is refused and kept."""
    out.write_text("kept")
    with pytest.raises(ConfigError, match="is not a folder"):
        site(make_project, out, a=spec("a"))
    assert out.read_text() == "kept"


def test_a_list_of_files_that_cannot_be_read_is_told(make_project: MakeProject, out: Path) -> None:
    """Who cannot tell what is the site's does not write over anything."""
    site(make_project, out, a=spec("a"))
    for text in ("{", "[]", '{"files": 3}', "null"):
        (out / MANIFEST).write_text(text)
        with pytest.raises(ConfigError, match="does not list which files"):
            site(make_project, out, a=spec("a"))


def test_a_file_of_someone_else_is_not_written_over(make_project: MakeProject, out: Path) -> None:
    """A file that no earlier site wrote, with the name of a page, is in the way."""
    site(make_project, out, a=spec("a"))
    (out / "tables" / "s-b.html").write_text("mine")
    before = (out / "index.html").read_bytes()
    with pytest.raises(ConfigError, match="does not belong to an earlier site"):
        site(make_project, out, a=spec("a"), b=spec("b"))
    assert (out / "tables" / "s-b.html").read_text() == "mine"
    assert (out / "index.html").read_bytes() == before


def test_links_in_a_site_are_not_followed(
    make_project: MakeProject, out: Path, tmp_path: Path
) -> None:
    """A page that was made a link is written anew; a folder that is a link is refused."""
    other = tmp_path / "other.html"
    other.write_text("kept")
    site(make_project, out, a=spec("a"))
    (out / "index.html").unlink()
    (out / "index.html").symlink_to(other)
    site(make_project, out, a=spec("a"))
    assert other.read_text() == "kept"
    assert not (out / "index.html").is_symlink()
    shutil.move(out / "tables", tmp_path / "tables")
    (out / "tables").symlink_to(tmp_path / "tables")
    with pytest.raises(ConfigError, match="is a symbolic link"):
        site(make_project, out, a=spec("a"))


def test_a_run_that_was_cut_short_is_done_again(
    make_project: MakeProject, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a run got to write before it failed is known to be a site's."""
    from loader.docs import folder

    write = folder._write

    def full(path: Path, text: str) -> None:
        if path.name == "language.html":
            raise OSError(28, "No space left on device")
        write(path, text)

    monkeypatch.setattr(folder, "_write", full)
    with pytest.raises(ConfigError, match="cannot be written: No space left"):
        site(make_project, out, a=spec("a"))
    monkeypatch.undo()
    assert "tables/s-a.html" in site(make_project, out, a=spec("a"))


# Errors and answers.


def test_broken_specs_make_no_site(make_project: MakeProject, out: Path) -> None:
    """The errors are those of `loader validate`, of specs and templates, and nothing is written."""
    wrong = spec("t", columns=[{"name": "a", "data_type": "bigit"}])
    for specs, templates in (
        ({"t.yml": wrong, "u.yml": {**wrong, "name": "u"}}, {}),
        ({"t.yml": spec("t")}, {"duckdb/delete_all.sql.j2": "{{ nope|ident }}"}),
        ({"t.yml": spec("t")}, {"duckdb/delete_alll.sql.j2": "SELECT 1"}),
    ):
        project = make_project(specs, templates, folder=f"p{len(templates)}{len(specs)}{out.name}")
        _, problems = validate(project)
        assert problems
        with pytest.raises(SpecError) as caught:
            write_site(project, out)
        assert list(caught.value.problems) == problems
        assert not out.exists()
        shutil.rmtree(project.config.root)


def test_no_such_table_makes_no_site(make_project: MakeProject, out: Path) -> None:
    """What was asked for and is not there is told, and nothing is written."""
    with pytest.raises(LoaderError, match="no table spec is called `s/x`"):
        write_site(make_project({"a.yml": spec("a")}), out, ["s/x"])
    assert not out.exists()


def test_the_answer_says_what_was_written(
    make_project: MakeProject, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In words, and as data; without a folder it is wrong usage."""
    monkeypatch.chdir(make_project({"a.yml": spec("a"), "b.yml": spec("b")}).config.root)
    run = CliRunner().invoke(main, ["docs", "-o", str(out)])
    assert (run.exit_code, run.output) == (0, f"2 tables in {out / 'index.html'}\n")
    run = CliRunner().invoke(main, ["docs", "s/a", "-o", str(out), "--format", "json"])
    told = json.loads(run.output)
    assert (told["tables"], told["removed"]) == (1, ["tables/s-b.html"])
    assert set(told["files"]) == set(files_of(out))
    assert CliRunner().invoke(main, ["docs"]).exit_code == 64


def test_many_tables_are_one_site(make_project: MakeProject, out: Path) -> None:
    """Many tables make one page each, and all are in the search."""
    many = {f"t{at}.yml": yaml.safe_dump(spec(f"t{at}"), sort_keys=False) for at in range(200)}
    result = write_site(make_project(many), out)
    assert isinstance(result, SiteResult)
    assert result.tables == 200
    assert (out / "search.js").read_text().count('"file"') == 200


# In a browser, from the disk.

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
BROWSER = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")


def browse(url: str, tmp_path: Path) -> str:
    """The page as it is once its scripts have run; what they complain of fails the test."""
    assert CHROMIUM is not None
    done = subprocess.run(
        [
            *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
            *("--virtual-time-budget=2000", "--enable-logging=stderr", "--v=0"),
            *(f"--user-data-dir={tmp_path / 'chromium'}", url),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "CONSOLE" not in done.stderr, done.stderr
    return done.stdout


def shown(dom: str) -> list[str]:
    rows = re.findall(r'<tr[^>]* data-file="tables/(?:nyc|s)-(\w+)\.html"([^>]*)>', dom)
    return [name for name, rest in rows if "hidden" not in rest]


@BROWSER
@pytest.mark.parametrize(
    ("asked", "tables"),
    [
        ("", ["airlines", "airports", "flights", "planes", "weather"]),
        ("q=flights", ["flights", "airlines", "planes", "weather"]),
        ("q=tailnum", ["flights", "planes"]),
        ("q=METEOROLOGY", ["weather"]),
        ("q=row+airline+names", ["airlines"]),
        ("q=nothing-is-called-that", []),
        ("schema=nyc&tag=domain%3A+meteorology", ["weather"]),
        ("q=tailnum&tag=domain%3A+meteorology", []),
        ("owner=nobody", ["airlines", "airports", "flights", "planes", "weather"]),
    ],
)
def test_the_search_finds(out: Path, tmp_path: Path, asked: str, tables: list[str]) -> None:
    """A search shows the tables that have all its words, those first that are called so."""
    write_site(Project.find(ROOT), out)
    dom = browse(f"file://{out}/index.html#{asked}", tmp_path)
    assert shown(dom) == tables
    assert ('id="none" hidden' in dom) == bool(tables)
    count = len(tables)
    assert f'<output id="found">{count} {"table" if count == 1 else "tables"}</output>' in dom
    if asked == "q=tailnum":
        assert '<a href="tables/nyc-flights.html#column-tailnum">tailnum</a>' in dom


@BROWSER
def test_the_search_follows_the_keys(out: Path, tmp_path: Path, make_project: MakeProject) -> None:
    """`/` goes to the search, what is typed stands in the address, Escape clears it."""
    site(make_project, out, a=spec("a"), b=spec("b", description=HOSTILE))
    probe = """
<script>
addEventListener("load", () => {
  const box = document.querySelector("input[type=search]");
  const told = [];
  const press = (key, at) => at.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
  press("/", document.body);
  told.push(document.activeElement === box);
  box.value = "ALERT(1)";
  box.dispatchEvent(new Event("input", {bubbles: true}));
  told.push(location.hash, document.getElementById("found").textContent);
  press("Escape", box);
  told.push(location.hash, document.getElementById("found").textContent);
  document.title = told.join("|");
});
</script></body>"""
    page = (out / "index.html").read_text().replace("</body>", probe)
    (out / "probe.html").write_text(page)
    dom = browse(f"file://{out}/probe.html", tmp_path)
    title = re.search(r"<title>(.*?)</title>", dom)
    assert title is not None
    assert title[1] == "true|#q=ALERT%281%29|1 table||2 tables"


@BROWSER
def test_pages_of_tables_load_without_complaint(
    out: Path, tmp_path: Path, make_project: MakeProject
) -> None:
    """Scripts of other pages run too, whatever specs hold, and nothing of a spec is run."""
    hostile = spec("t", description=HOSTILE, meta={"upstream": [HOSTILE]})
    site(make_project, out, t=hostile)
    assert "alert(1)" in browse(f"file://{out}/tables/s-t.html", tmp_path)
    browse(f"file://{out}/language.html", tmp_path)
