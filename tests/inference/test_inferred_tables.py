"""`loader infer -o`: which files are of one table, what their specs name, and what is told."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from loader.inference.infer import find_tables, name_files, peek_columns
from loader.testing.redshift.server import RedshiftStandIn
from tests.inference.test_inferred_files import described, project, rows, run, write

__all__ = ["project"]

UUID = "1f0a2b3c-0000-4000-8000-0123456789ab"
HASH = "0" * 120
CSV, OTHER = "id,v\n1,x\n", "key,w\n1,x\n"

FOLDERS: dict[str, tuple[dict[str, str], dict[str, list[str]]]] = {
    "files of their own": (
        {"a.csv": CSV, "b.jsonl": '{"id": 1}\n'},
        {"a": ["data/a.csv"], "b": ["data/b.jsonl"]},
    ),
    "numbers and dates": (
        {"orders-2026-01.csv": CSV, "orders-2026-02.csv": CSV, "returns_1.csv": OTHER},
        {"orders": ["data/orders-*.csv"], "returns": ["data/returns_1.csv"]},
    ),
    "dates before the name": (
        {
            "2026-01-01_orders.csv": CSV,
            "2026-01-02_orders.csv": CSV,
            "2026-01-01_returns.csv": OTHER,
            "20260102T030405Z-returns.csv": OTHER,
        },
        {
            "orders": ["data/*_orders.csv"],
            "returns": ["data/2026-01-01_returns.csv", "data/20260102T030405Z-returns.csv"],
        },
    ),
    "the files of Spark": (
        {
            f"orders/part-00000-{UUID}-c000.csv": CSV,
            f"orders/part-00001-{UUID}-c000.csv": CSV,
            "orders/_SUCCESS": "",
            f"items/part-00000-{UUID}-c000.csv": OTHER,
        },
        {
            "items": [f"data/items/part-00000-{UUID}-c000.csv"],
            "orders": ["data/orders/part-*.csv"],
        },
    ),
    "folders by day": (
        {"logs/day=2026-01-01/0.csv": CSV, "logs/day=2026-01-02/0.csv": CSV, "x.csv": OTHER},
        {"logs": ["data/logs/day=*/*.csv"], "x": ["data/x.csv"]},
    ),
    "folders by year and month": (
        {"logs/2026/01/a.csv": CSV, "logs/2026/02/a.csv": CSV, "logs/2025/12/a.csv": CSV},
        {"a": ["data/logs/*/*/a.csv"]},
    ),
    "folders of different depth": (
        {"logs/2026/a.csv": CSV, "logs/2026/01/a.csv": CSV},
        {"a": ["data/logs/2026/**/*.csv"]},
    ),
    "one table by its columns": (
        {"orders/eu.csv": CSV, "orders/us.csv": "v,id\nx,1\n"},
        {"orders": ["data/orders/*.csv"]},
    ),
    "two tables by their columns": (
        {"shop/orders.csv": CSV, "shop/items.csv": OTHER},
        {"items": ["data/shop/items.csv"], "orders": ["data/shop/orders.csv"]},
    ),
    "names twice": (
        {"eu/orders.csv": CSV, "us/orders.csv": OTHER},
        {"eu_orders": ["data/eu/orders.csv"], "us_orders": ["data/us/orders.csv"]},
    ),
    "names that differ in letters only": (
        {"Orders A.csv": CSV, "orders-a.csv": OTHER, "x/b": "no data"},
        {"orders_a": ["data/*.csv"]},
    ),
    "names that say nothing": ({"1.csv": CSV, "2.csv": CSV}, {"data": ["data/*.csv"]}),
    "names that are no names": ({"-.csv": CSV}, {"data": ["data/-.csv"]}),
    "patterns in names": (
        {"a[1].csv": CSV, "{b}.csv": OTHER},
        {"a_1": ["data/a[[]1].csv"], "b": ["data/{{b}}.csv"]},
    ),
    "long numbers": (
        {f"{HASH}x{HASH}y.csv": CSV},
        {f"{HASH}x{HASH}y": [f"data/{HASH}x{HASH}y.csv"]},
    ),
}


@pytest.mark.parametrize(("files", "expected"), FOLDERS.values(), ids=FOLDERS)
def test_files_are_grouped_by_what_their_names_say(
    files: Mapping[str, str], expected: dict[str, list[str]], project: Path
) -> None:
    """Each table has the files that are of it, and its spec names these and no others."""
    write(project / "data", files)
    began = time.monotonic()
    found = find_tables(["data"], project, lambda file: peek_columns(file, "utf-8"))
    assert {table.name: name_files(table, found) for table in found.tables} == expected
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("pattern", ["data", "data/", "./data", "data/*", "data/**", "data/*.csv"])
def test_a_folder_is_named_in_several_ways(pattern: str, project: Path) -> None:
    """A folder, and all that is in it, are the same tables."""
    write(project / "data", {"a.csv": CSV, "b.csv": OTHER})
    assert run("infer", pattern, "-o", "specs")[0] == 0
    assert [path.name for path in sorted((project / "specs/public").iterdir())] == [
        "a.yml",
        "b.yml",
    ]


def test_files_may_be_of_several_folders(project: Path) -> None:
    """Folders that are named one by one, as a shell does with `*`, are tables of their own."""
    write(
        project / "data", {"orders/1.csv": CSV, "items/1.csv": OTHER, "x.csv": CSV, "note.md": ""}
    )
    code, out, said = run("infer", "data/orders", "data/items", "data/x.csv", "-o", "specs")
    assert code == 0, said
    assert [line.split()[0] for line in out.splitlines()[1:]] == [
        "public.items",
        "public.orders",
        "public.x",
    ]


def test_nothing_is_overwritten_unasked(project: Path) -> None:
    """Where one spec exists, none is written, unless `--force` says so."""
    write(project, {"data/a.csv": CSV, "data/b.csv": OTHER, "specs/raw/b.yml": "mine"})
    arguments = ("infer", "data", "-o", "specs", "--schema", "raw")
    code, out, said = run(*arguments)
    assert (code, out) == (1, "")
    assert "specs/raw/b.yml" in said
    assert "--force" in said
    assert not (project / "specs/raw/a.yml").exists()
    assert (project / "specs/raw/b.yml").read_text() == "mine"
    assert run(*arguments, "--force")[0] == 0
    assert described(project / "specs/raw/b.yml") == "key: smallint, w: varchar(16)"


def test_a_table_without_a_spec_is_told_at_the_end(project: Path) -> None:
    """What cannot be inferred fails the command, after all the others are written."""
    write(
        project / "data",
        {
            "a.csv": CSV,
            "bad.parquet": "x",
            "latin.csv": b"a,b\n\xe9,1\n",
            "z.csv": OTHER,
            "n.md": "",
        },
    )
    code, out, said = run("infer", "data", "-o", "specs", "--format", "json")
    assert code == 1
    written = json.loads(out)
    assert [one["table"] for one in written] == ["public.a", "public.z"]
    assert [one["spec"] for one in written] == ["specs/public/a.yml", "specs/public/z.yml"]
    assert "2 tables of 4 could not be inferred" in said
    assert "public.bad: data/bad.parquet is not Parquet" in said
    assert "public.latin: " in said
    assert "--encoding latin-1" in said
    assert "left out 1 file not named as data: data/n.md" in said
    assert run("run")[0] == 0
    assert rows("public.a") == [(1, "x")]


@pytest.mark.parametrize(
    ("files", "arguments", "message"),
    [
        ({}, ["nothing"], "no file matches nothing"),
        ({"data/n.md": ""}, ["data"], "data has no data files"),
        (
            {"data/a.csv": CSV, "specs": "a file"},
            ["data"],
            "the folder specs/public cannot be created",
        ),
        ({"data/a.csv": CSV}, ["data", "--schema", "../x"], "`../x` is a path"),
        ({"data/a.csv": CSV}, ["data", "--schema", "Raw"], "write `raw`"),
        ({"data/a.csv": ""}, ["data"], "data/a.csv is empty"),
    ],
)
def test_what_is_wrong_is_told(
    files: Mapping[str, str], arguments: list[str], message: str, project: Path
) -> None:
    """Wrong folders and names are errors with a reason, and nothing is written."""
    write(project, files)
    code, out, said = run("infer", *arguments, "-o", "specs")
    assert (code, out) == (1, "")
    assert message in said
    assert not list(project.glob("specs/**/*.yml"))


def test_many_tables_of_a_bucket(project: Path, stand_in: RedshiftStandIn) -> None:
    """`infer 's3://…/*'` writes a spec for each table in S3, and `loader run` loads them all."""
    for key, content in {
        "raw/orders/day=2026-01-01/part-0.csv": "Order ID;Betrag\n1;1,5\n",
        "raw/orders/day=2026-01-02/part-0.csv": "Order ID;Betrag\n2;2,75\n",
        "raw/customers-1.csv": "id,since\n1,31.12.2025\n",
        "raw/customers-2.csv": "id,since\n2,01.12.2025\n",
        "raw/items.json": '[{"id": 1}]',
        "raw/README.md": "",
        "other/x.csv": CSV,
    }.items():
        stand_in.write_object(key, content.encode())
    base = f"s3://{stand_in.bucket}/raw"
    code, _, said = run("infer", f"{base}/*", "-o", "specs", "--schema", "raw")
    assert code == 0, said
    specs = {path.stem: path for path in (project / "specs/raw").iterdir()}
    assert {
        name: yaml.safe_load(path.read_text())["source"]["files"] for name, path in specs.items()
    } == {
        "customers": [f"{base}/customers-*.csv"],
        "items": [f"{base}/items.json"],
        "orders": [f"{base}/orders/day=*/*.csv"],
    }
    assert described(specs["orders"]) == "order_id: smallint, betrag: decimal(18,2), day: date"
    code, _, said = run("run")
    assert code == 0, said
    assert [tuple(map(str, row)) for row in rows("raw.orders")] == [
        ("1", "1.50", "2026-01-01"),
        ("2", "2.75", "2026-01-02"),
    ]
    assert [str(since) for _, since in rows("raw.customers")] == ["2025-12-31", "2025-12-01"]
