"""`loader docs`: pages that hold together, tell what specs say, and let nothing through."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from loader.errors import ConfigError, PlanError, SpecError
from loader.project import Project
from loader.site import MANIFEST, write_site
from tests.conftest import MakeProject

ROOT = Path(__file__).parents[1]
COLUMNS = [{"name": "id", "data_type": "bigint"}]
HOSTILE = "</script><script>alert(1)</script> & \"quoted\" 'too' \u2028 <b>"
VOID = {"meta", "link", "input", "br", "path", "rect"}


class Page(HTMLParser):
    """A page as a browser reads it: links, anchors, text, and whether every tag is closed."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.open: list[str] = []
        self.text = ""
        self.tags: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what the tag leads to or loads."""
        given = dict(attrs)
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        if given.get("id"):
            self.anchors.add(given["id"] or "")
        if tag == "a":
            self.links.append(given.get("href") or "")
        if tag in ("script", "link", "img", "iframe"):
            self.loads.append(given.get("src") or given.get("href") or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A tag that closes itself is not open."""
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close what was opened last."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note what people read."""
        self.text += data


def spec(name: str, **fields: Any) -> dict[str, Any]:
    return {"version": 1, "schema": "s", "name": name, "columns": COLUMNS, **fields}


def site(make: MakeProject, folder: Path, **specs: dict[str, Any]) -> dict[str, Page]:
    project = make({f"{name}.yml": fields for name, fields in specs.items()})
    write_site(project, folder)
    return pages(folder)


def pages(folder: Path) -> dict[str, Page]:
    return {str(path.relative_to(folder)): Page(path) for path in sorted(folder.rglob("*.html"))}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "site"


def test_every_link_leads_somewhere(out: Path) -> None:
    """The site of the example tables holds together: each link has a page, each anchor a place."""
    write_site(Project.find(ROOT), out)
    found = pages(out)
    assert len(found) == 7
    for name, page in found.items():
        assert page.open == []
        for link in page.links:
            if link.startswith("https://"):
                continue
            path, _, anchor = link.partition("#")
            target = (out / name).parent / path if path else out / name
            assert target.resolve().is_file(), (name, link)
            if anchor:
                known = found[str(target.resolve().relative_to(out.resolve()))]
                assert anchor in known.anchors, (name, link)


def test_pages_need_no_network(out: Path) -> None:
    """What pages load lies beside them."""
    write_site(Project.find(ROOT), out)
    for name, page in pages(out).items():
        for loaded in page.loads:
            assert ((out / name).parent / loaded).resolve().is_file()


def test_a_page_tells_what_the_spec_says(make_project: MakeProject, out: Path) -> None:
    """Columns, keys, partitions, checks, grants, layout and SQL of both dialects are there."""
    fields = spec(
        "orders",
        description="One row per order.",
        owners=["team:data"],
        tags={"domain": "shop"},
        columns=[
            {"name": "id", "data_type": "bigint", "encode": "az64"},
            {"name": "day", "data_type": "date", "description": "Local date."},
            {"name": "mail", "data_type": "varchar(80)", "classification": "pii"},
            {"name": "n", "data_type": "integer", "default": "0"},
        ],
        primary_key=["id"],
        dist="id",
        sort=["day"],
        partition_by=[{"expr": "day", "grain": "day", "timezone": "Europe/Berlin"}],
        checks=[{"metric": "row_count", "must_be_greater_than": 0}],
        grants={"select": ["role:bi"]},
        schema_contract={"evolve": "additive", "bad_rows": "reject", "max_rejects": "1%"},
        meta={"contact": "ann"},
        dagster={"group": "shop"},
    )
    page = site(make_project, out, orders=fields)["tables/s-orders.html"]
    for told in (
        *("One row per order.", "team:data", "domain: shop", "Local date.", "pii", "az64"),
        *(
            "day: one day of day each, in Europe/Berlin",
            "row_count must be > 0",
            "select to role:bi",
        ),
        *("loads may add columns and widen VARCHARs", "up to 1%", "contact: ann", "group: shop"),
        *("COPY", "IAM_ROLE", "read_parquet", "replaces its partitions", "specs/orders.yml:"),
    ):
        assert told in page.text, told


def test_nothing_of_a_spec_is_markup(make_project: MakeProject, out: Path) -> None:
    """Text of specs that looks like HTML or script is text on every page, and in the search."""
    hostile = spec(
        "t",
        asset_key='a"b/<c> & d',
        description=HOSTILE,
        columns=[{"name": 'x"<i>', "data_type": "bigint", "description": HOSTILE}],
        meta={"upstream": ["<img src=x>/y", "https://example.org/?a=1&b=2"], "<k>": HOSTILE},
        owners=["team:<u>"],
    )
    found = site(make_project, out, t=hostile)
    for name, page in found.items():
        assert page.tags.count("script") == (2 if name == "index.html" else 0)
        assert not {"b", "i", "u", "img", "k", "c"} & set(page.tags)
    assert any(HOSTILE in page.text for page in found.values())
    index = (out / "search.js").read_text(encoding="utf-8")
    assert "<" not in index
    assert "\u2028" not in index
    json.loads(index.removeprefix("window.LOADER_SEARCH = ").removesuffix(";\n"))


def test_the_same_specs_are_the_same_bytes(make_project: MakeProject, tmp_path: Path) -> None:
    """Two runs write the same files, so that a site can be kept under version control."""
    both = []
    for name in ("one", "two"):
        site(make_project, tmp_path / name, a=spec("a"), b=spec("b", meta={"upstream": ["s/a"]}))
        folder = tmp_path / name
        both.append({p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()})
    assert both[0] == both[1]


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


def test_a_list_of_files_that_reaches_out_removes_nothing(
    make_project: MakeProject, out: Path, tmp_path: Path
) -> None:
    """A manifest that names files elsewhere does not have them removed."""
    other = tmp_path / "other.txt"
    other.write_text("kept")
    site(make_project, out, a=spec("a"))
    (out / MANIFEST).write_text(json.dumps({"files": ["../other.txt", "tables/x.html"]}))
    site(make_project, out, a=spec("a"))
    assert other.read_text() == "kept"


def test_a_folder_of_something_else_is_left_alone(make_project: MakeProject, out: Path) -> None:
    """A folder that is not empty and holds no site is refused."""
    out.mkdir()
    (out / "thesis.txt").write_text("kept")
    with pytest.raises(ConfigError, match="is not empty, and no earlier site is in it"):
        site(make_project, out, a=spec("a"))
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]


def test_lineage_leads_both_ways(make_project: MakeProject, out: Path) -> None:
    """What a table is made of and what is made of it are linked; what has no page is not."""
    found = site(
        make_project,
        out,
        raw=spec("raw"),
        mart=spec("mart", meta={"upstream": ["s/raw", "elsewhere/x"]}),
    )
    assert "../tables/s-raw.html" in found["tables/s-mart.html"].links
    assert "../tables/s-mart.html" in found["tables/s-raw.html"].links
    assert "elsewhere/x" in found["tables/s-mart.html"].text
    assert found["tables/s-mart.html"].tags.count("svg") == 1


def test_lineage_of_another_form_is_told(make_project: MakeProject, out: Path) -> None:
    """What is no list of asset keys is an error that names the file."""
    with pytest.raises(PlanError, match=r"specs/t\.yml: `meta\.upstream` of s/t is no list"):
        site(make_project, out, t=spec("t", meta={"upstream": {"a": 1}}))


def test_broken_specs_make_no_site(make_project: MakeProject, out: Path) -> None:
    """The errors are those of `loader validate`, and nothing is written."""
    with pytest.raises(SpecError, match="unknown type"):
        site(make_project, out, t=spec("t", columns=[{"name": "a", "data_type": "bigit"}]))
    assert not out.exists()


def test_names_of_pages_are_safe_and_their_own(make_project: MakeProject, out: Path) -> None:
    """Asset keys that differ in odd characters only, or are very long, have pages of their own."""
    keys = ["a/b", "a-b", "a b", "ä/ö", "x" * 300, "x" * 299, "..", "con/..%2F"]
    specs = {f"t{at}": spec(f"t{at}", asset_key=key) for at, key in enumerate(keys)}
    found = site(make_project, out, **specs)
    names = [name for name in found if name.startswith("tables/")]
    assert len(names) == len(keys)
    assert all(re.fullmatch(r"tables/[A-Za-z0-9._-]{1,100}\.html", name) for name in names)


def test_the_language_page_has_every_key(out: Path) -> None:
    """Each key of the JSON Schema stands on the page of the language."""
    write_site(Project.find(ROOT), out)
    schema = json.loads((out / "spec.schema.json").read_text())
    text = Page(out / "language.html").text
    for part in (schema, *schema["$defs"].values()):
        assert all(key in text for key in part.get("properties", {}))


CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


def browse(url: str, tmp_path: Path) -> str:
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


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("", {"airlines", "airports", "flights", "planes", "weather"}),
        ("tailnum", {"flights", "planes"}),
        ("METEOROLOGY", {"weather"}),
        ("row airline names", {"airlines"}),
        ("nothing-is-called-that", set()),
    ],
)
def test_the_search_finds(out: Path, tmp_path: Path, words: str, shown: set[str]) -> None:
    """In a browser, from the disk: a search shows the tables that have all its words."""
    write_site(Project.find(ROOT), out)
    address = words.replace(" ", "+")
    dom = browse(f"file://{out}/index.html#q={address}", tmp_path)
    rows = re.findall(r'<li data-file="tables/nyc-(\w+)\.html"([^>]*)>', dom)
    assert {name for name, rest in rows if "hidden" not in rest} == shown
    assert ('id="none" hidden' in dom) == bool(shown)
    count = len(shown)
    assert f">{count} {'table' if count == 1 else 'tables'}</output>" in dom


def test_many_tables_are_one_site(make_project: MakeProject, out: Path) -> None:
    """Many tables make one page each, and all are in the search."""
    many = {f"t{at}.yml": yaml.safe_dump(spec(f"t{at}"), sort_keys=False) for at in range(200)}
    result = write_site(make_project(many), out)
    assert result.tables == 200
    assert (out / "search.js").read_text().count('"file"') == 200
