"""The catalog: a folder of specs, what names them, and all their errors in one run."""

from __future__ import annotations

from pathlib import Path

import pytest

from loader.errors import PlanError, SpecError
from loader.spec.catalog import Catalog, read_catalog, read_entry
from loader.spec.json_schema import json_schema

SPEC = "schema: {schema}\nname: {name}\ncolumns:\n  - {{name: id, data_type: bigint}}\n"


def write(folder: Path, files: dict[str, str]) -> Catalog:
    for name, text in files.items():
        path = folder / "specs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return read_catalog(folder / "specs", folder)


def spec(schema: str = "nyc", name: str = "flights", tail: str = "") -> str:
    return SPEC.format(schema=schema, name=name) + tail


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """Three tables, one with an asset key of its own."""
    return write(
        tmp_path,
        {
            "nyc/flights.yml": spec(),
            "nyc/planes.yaml": spec(name="planes"),
            "weather.yml": spec("raw", "weather", "asset_key: nyc/deep/weather\n"),
        },
    )


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        ([], ["nyc/flights", "nyc/planes", "nyc/deep/weather"]),
        (["nyc/flights"], ["nyc/flights"]),
        (["nyc.flights"], ["nyc/flights"]),
        (["raw.weather"], ["nyc/deep/weather"]),
        (["nyc/*"], ["nyc/flights", "nyc/planes", "nyc/deep/weather"]),
        (["nyc.*"], ["nyc/flights", "nyc/planes"]),
        (["*lan*"], ["nyc/planes"]),
        (["specs/nyc/planes.yaml"], ["nyc/planes"]),
        (["nyc/planes", "nyc/flights", "nyc.planes"], ["nyc/planes", "nyc/flights"]),
    ],
)
def test_select(catalog: Catalog, patterns: list[str], names: list[str]) -> None:
    """A table is named by asset key, schema.table, glob, or file; in the order asked, once each."""
    assert [entry.name for entry in catalog.select(patterns)] == names


def test_a_file_is_named_from_anywhere(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """A spec file is found by its path from here, and by its full path."""
    monkeypatch.chdir(catalog.folder / "nyc")
    full = str(catalog.folder / "nyc" / "planes.yaml")
    assert catalog.one("planes.yaml") == catalog.one(full) == catalog.one("../nyc/planes.yaml")


@pytest.mark.parametrize(
    ("folder", "names"),
    [
        ("specs/nyc", ["nyc/flights", "nyc/planes"]),
        ("specs/nyc/", ["nyc/flights", "nyc/planes"]),
        ("./specs/nyc", ["nyc/flights", "nyc/planes"]),
        ("../nyc", ["nyc/flights", "nyc/planes"]),
        (".", ["nyc/flights", "nyc/planes"]),
        ("specs", ["nyc/flights", "nyc/planes", "nyc/deep/weather"]),
        ("specs/nyc/*.yml", ["nyc/flights"]),
    ],
)
def test_a_folder_names_its_specs(
    catalog: Catalog, folder: str, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder is found from the project, and from here; a glob of files is one too."""
    monkeypatch.chdir(catalog.folder / "nyc")
    assert [entry.name for entry in catalog.select([folder])] == names
    with pytest.raises(PlanError):
        catalog.select([""])


@pytest.fixture
def tagged(tmp_path: Path) -> Catalog:
    """Tables with tags."""
    tags = ["{tier: gold, pii: ''}", "{tier: gold, team: web}", "{tier: lead, team: web}", "{}"]
    files = {f"{n}.yml": spec("s", f"t{n}", f"tags: {one}\n") for n, one in enumerate(tags)}
    return write(tmp_path, files)


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        (["tag:tier"], ["s/t0", "s/t1", "s/t2"]),
        (["tag:tier=gold"], ["s/t0", "s/t1"]),
        (["tag:tier=gold", "tag:tier=lead"], ["s/t0", "s/t1", "s/t2"]),
        (["tag:tier=gold", "tag:team"], ["s/t1"]),
        (["tag:team=web", "tag:team"], ["s/t1", "s/t2"]),
        (["tag:pii="], ["s/t0"]),
        (["s/t2", "s/t3", "tag:tier"], ["s/t2"]),
        (["tag:tier", "specs"], ["s/t0", "s/t1", "s/t2"]),
    ],
)
def test_tags_narrow_a_selection(tagged: Catalog, patterns: list[str], names: list[str]) -> None:
    """A table has all keys that are given, with one of the values that are given for each."""
    assert [entry.name for entry in tagged.select(patterns)] == names


@pytest.mark.parametrize(
    ("patterns", "message", "hint"),
    [
        (["tag:teir"], "no selected table has the tag `teir`", "did you mean `tier`?"),
        (["tag:tier=golden"], "`tier=golden`", "did you mean `tier=gold`?"),
        (["s/t3", "tag:tier"], "`tier`", "the tags are tier=gold, pii=, team=web, tier=lead"),
        (["tag:tier=lead", "tag:pii"], "`tier=lead` and `pii`", "the tags are"),
    ],
)
def test_tags_that_no_table_has(
    tagged: Catalog, patterns: list[str], message: str, hint: str
) -> None:
    """It is an error, with the nearest tags, or with all."""
    with pytest.raises(PlanError) as error:
        tagged.select(patterns)
    assert message in error.value.message
    assert str(error.value.hint).startswith(hint)


def test_a_project_without_tags(catalog: Catalog) -> None:
    """It is told how to add some."""
    with pytest.raises(PlanError) as error:
        catalog.select(["tag:tier"])
    assert error.value.hint == "no spec has tags; add them: `tags: {domain: sales}`"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("nyc/flihgts", "did you mean `nyc/flights`?"),
        ("nyc.flight", "did you mean `nyc.flights`?"),
        ("zzz", "the tables are nyc/flights, nyc/planes, nyc/deep/weather"),
        ("specs/nope.yml", "the tables are nyc/flights, nyc/planes, nyc/deep/weather"),
        ("", "the tables are nyc/flights, nyc/planes, nyc/deep/weather"),
    ],
)
def test_unknown_names_get_suggestions(catalog: Catalog, name: str, hint: str) -> None:
    """A name of no table is answered with the nearest ones, or with all."""
    with pytest.raises(PlanError) as error:
        catalog.select([name])
    assert error.value.message == f"no table spec is called `{name}`"
    assert error.value.hint == hint


def test_one_is_one(catalog: Catalog) -> None:
    """Where one table is wanted, a glob of several is refused with their names."""
    with pytest.raises(PlanError, match="names 2 tables: nyc/flights, nyc/planes"):
        catalog.one("nyc.*")


def test_an_empty_folder_says_so(tmp_path: Path) -> None:
    """Without any spec the answer is how to make one."""
    (tmp_path / "specs").mkdir()
    with pytest.raises(PlanError) as error:
        write(tmp_path, {}).select(["nyc/flights"])
    assert "`loader init` makes a first one" in str(error.value)
    assert write(tmp_path, {}).specs() == []


def test_all_errors_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    """One run tells every problem, by file and line; a right file beside them is no help."""
    catalog = write(
        tmp_path,
        {
            "a.yml": spec(name="a", tail="bananas: 1\nsort: [x]\n"),
            "b.yml": "- no mapping\n",
            "c.yml": spec(name="c"),
            "d.yml": spec(name="d", tail="dist: idd\n"),
        },
    )
    with pytest.raises(SpecError) as error:
        catalog.specs()
    assert str(error.value) == (
        "4 problems in table specs\n"
        "specs/a.yml:5:1: bananas: unknown key `bananas`\n"
        f"  hint: the keys here are {', '.join(json_schema()['properties'])}\n"
        "specs/a.yml:6:8: sort[0]: there is no column `x`\n"
        "  hint: columns: id\n"
        "specs/b.yml:1:1: a table spec is a mapping of keys such as schema, name and columns;"
        " this is a list\n"
        "specs/d.yml:5:7: dist: there is no column `idd`\n"
        "  hint: dist is even, all, auto or a column; did you mean `id`?"
    )
    assert len(error.value.to_dict()["problems"]) == 4  # type: ignore[arg-type]  # a list of dicts


def test_broken_files_do_not_hide_right_ones(tmp_path: Path) -> None:
    """A table can be used while another file is wrong; the wrong one is named when it may be it."""
    catalog = write(tmp_path, {"a.yml": spec(), "b.yml": spec(name="b", tail="x: 1\n")})
    assert catalog.one("nyc/flights").spec is not None
    with pytest.raises(SpecError):
        catalog.one("nyc/b")
    with pytest.raises(PlanError) as error:
        catalog.one("zzz")
    assert error.value.hint is not None
    assert error.value.hint.endswith("these files are wrong: specs/b.yml")


def test_two_specs_for_one_asset_key(tmp_path: Path) -> None:
    """An asset key belongs to one file; the second is refused and names the first."""
    catalog = write(
        tmp_path, {"a.yml": spec(), "b.yml": spec("other", "t", "asset_key: nyc/flights\n")}
    )
    assert [str(problem) for problem in catalog.problems()] == [
        "specs/b.yml:5:12: the asset key `nyc/flights` is already that of specs/a.yml\n"
        "  hint: add a different asset_key to one of them"
    ]


def test_an_unreadable_file_is_a_problem(tmp_path: Path) -> None:
    """A spec that is a folder, or cannot be read, is told with its path."""
    (tmp_path / "specs" / "odd.yml").mkdir(parents=True)
    assert [str(one) for one in write(tmp_path, {}).problems()] == [
        "specs/odd.yml: cannot be read: it is a folder, not a regular file"
    ]


def test_an_anchor_nobody_refers_to_is_told_too(tmp_path: Path) -> None:
    """Anchors are refused by themselves, with their line."""
    path = tmp_path / "t.yml"
    path.write_text("schema: s\nname: &here t\ncolumns: [{name: a, data_type: date}]\n")
    (problem,) = read_entry(path, tmp_path).problems
    assert (problem.line, "anchors" in problem.message) == (2, True)


def test_an_earlier_name_belongs_to_one_table(tmp_path: Path) -> None:
    """A live table of that name could be either of two tables, whichever spec comes first."""
    catalog = write(
        tmp_path,
        {
            "a.yml": spec(name="a", tail="renamed_from: nyc.b\n"),
            "b.yml": spec(name="b"),
            "c.yml": spec(name="c", tail="renamed_from: [nyc.old, nyc.older]\n"),
            "d.yml": spec(name="d", tail="renamed_from: nyc.old\n"),
        },
    )
    told = [str(problem).splitlines()[0] for problem in catalog.problems()]
    assert told == [
        "specs/a.yml:5:15: renamed_from: `nyc.b` belongs to specs/b.yml: it is its table, or an"
        " earlier name of it",
        "specs/d.yml:5:15: renamed_from: `nyc.old` belongs to specs/c.yml: it is its table, or an"
        " earlier name of it",
    ]
