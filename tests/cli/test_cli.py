"""The command line: what it tells, exit codes, and nothing where it does not belong.

Each session is a list of commands in a fresh project; the facts they tell are in ``cases/cli``.
"""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from loader.cli import main
from loader.cli.output.plans import COMMENT_LIMIT
from loader.scaffold import scaffold
from tests.facts import answer_facts, screen_facts
from tests.golden import expect

CASES = Path(__file__).parents[1] / "cases" / "cli"
ROOT = Path(__file__).parents[2]
NYC = ROOT / "specs" / "nyc"

ORDERS = "shop/orders data/orders.csv"
LOAD = f"load {ORDERS} --partition auto --load-id one"

SESSIONS: dict[str, list[str]] = {
    "help": ["", "--help", "-h", *(f"{name} --help" for name in sorted(main.commands))],
    "usage": [
        *("bananas", "plan --bananas", "plan --format yaml", "load shop/orders", "load", "read"),
        *("plan --partition auto --partition 2026-01-01", "plan shop/* more --from x.csv"),
        *("load --format json", "plan --bananas --format=json", "bananas --format json"),
        *("history --limit 0", "history --limit x", "plan --partition", "validate --format sql"),
    ],
    "validate": [
        *("validate", "validate shop/orders", "validate shop/orders --format json"),
        *("validate shop/ordres", "validate specs/shop/orders.yml", "validate shop.orders -q"),
    ],
    "validate_github": [
        *("validate --format github", "edit: data_type: bigint -> data_type: bigit"),
        *("validate --format github", "validate shop/orders --format github"),
        *("validate shop/ordres --format github", "validate --format github --bananas"),
    ],
    "validate_settings": [
        *("edit: bigint -> bigit", "settings: port = -> prot =", "validate"),
        *('settings: target = "local" -> target = "prd"', "validate", "validate --format github"),
        *("settings: specs = -> spec =", "validate shop/orders", "plan"),
        *("settings: [targets.prod] -> [tool.loader.targets.prod]", "validate", "plan"),
        *("settings: [tool.loader -> [tool loader", "validate", "validate --format github"),
    ],
    "plan": [
        *("plan", "plan shop/orders", "plan shop.orders -q", "plan 'shop/*'"),
        *("plan specs/shop/orders.yml --partition 2026-01-01", "plan shop/ordrs"),
        "plan shop/orders --partition 2026-01-01..2026-01-03 --load-id mine",
    ],
    "plan_refused": [
        *(
            "plan shop/orders --partition 2026-13-01",
            "plan shop/orders --partition 2026-01-01T05:00",
        ),
        *("plan shop/orders --partition day=x|y=z", "plan --target prd", "plan shop/nothing"),
        *("plan shop/orders --full-refresh --partition 2026-01-01",),
        *("plan shop/orders --from data/nothing.csv", "plan --project nowhere"),
    ],
    "plan_verbose": ["plan shop/orders --partition 2026-01-01 -v"],
    "plan_sql": ["plan shop/orders --partition 2026-01-01 --format sql --load-id mine"],
    "plan_markdown": ["plan shop/orders --partition 2026-01-01 --format markdown"],
    "plan_json": ["plan shop/orders --partition 2026-01-01 --format json --load-id mine"],
    "plan_prod": ["plan shop/orders --target prod --partition 2026-01-01 --load-id mine"],
    "plan_from": [
        *("plan shop/orders --from data/orders.csv --partition auto --load-id mine",),
        *("plan shop/orders --from data/orders.csv --partition 2026-01-01",),
    ],
    "plan_exit_codes": [
        *("plan --detailed-exitcode -q", "plan --detailed-exitcode --full-refresh -q"),
        *("plan nope --detailed-exitcode",),
    ],
    "plan_live": [
        *("plan --live", LOAD, "plan --live --detailed-exitcode -q"),
        "edit: decimal(12,2) -> decimal(14,3)",
        "edit: Number on the receipt -> Number on the receipt | or `bill`",
        *("plan --live --detailed-exitcode", "plan --live --format markdown", "plan --live -v"),
        *("plan --live --format sql", "plan --live --format json"),
        "plan --live --from data/orders.csv --partition auto --detailed-exitcode -q",
        "plan --live --full-refresh --detailed-exitcode -q --format markdown",
    ],
    "apply": [
        *("apply", "apply", LOAD, "edit: decimal(12,2) -> decimal(14,3)"),
        *("plan --live -o plan.json --format markdown -q", "apply plan.json -v"),
        *("apply plan.json", "read shop/orders", "edit: decimal(14,3) -> decimal(9,2)"),
        *("apply plan.json", "apply", "apply --allow-destructive other/*"),
        *("apply --allow-destructive shop/* --format json", "plan --live -q --detailed-exitcode"),
        *("apply nope.json", "apply shop/orders plan.json", "apply shop/nope"),
        *("plan -o offline.json -q", "apply offline.json", "clean", "clean --older-than 0s"),
        *("edit: decimal(9,2) -> decimal(10,2)", "apply --drop-old", "clean --older-than 0s -q"),
    ],
    "load": [
        *(LOAD, LOAD, "history", "read shop/orders", "read shop/orders --format json"),
        *("read shop/orders --partition 2026-01-01 --columns customer,amount", "read shop.orders"),
        *("read shop/orders --partition 2027-01-01", "read shop/orders --columns customre"),
        *("read shop/orders --limit 1", "read shop/orders --limit 0", "read shop/orders --limit x"),
        *("read shop/orders --columns ''", "history shop/orders --limit 1", "history shop/nope"),
        *(f"load {ORDERS} --full-refresh --load-id two --format json", "history --format json"),
        *("load shop/orders data/orders.csv --partition 2026-01-01 --load-id three",),
        *("load shop/orders data/orders.csv --load-id four",),
        *(f"load {ORDERS} --full-refresh --partition auto", f"load {ORDERS} --load-id ''"),
    ],
    "load_json_errors": [
        *("load shop/orders data/orders.csv --format json", "load nope x --format json"),
        *("load shop/orders data/nothing.csv --partition auto --format json",),
    ],
    "rejects": [
        *("rejects shop/orders", "edit: sort: -> schema_contract: {bad_rows: reject}\nsort:"),
        *("edit: decimal(12,2) -> smallint", LOAD, "rejects shop/orders --limit 1"),
        *("edit: bad_rows: reject -> bad_rows: reject, max_rejects: 3", LOAD, "history"),
        *("rejects shop/orders --load-id one --format json", "rejects shop/orders --load-id x"),
    ],
    "nothing_loaded": ["history", "history --format json", "read shop/orders"],
    "prod_without_environment": ["load shop/orders data/orders.csv --target prod --partition auto"],
    "contracts": [
        *("export --to odcs", "export shop/orders --to dbt -o models.yml", "import models.yml"),
        *("export --to dbt-source -q -o sources/", "import sources/sources.yml -o specs"),
        *("import nothing.yml", "import loader.toml", "export", "import --format json"),
    ],
    "init": ["init other", "init other", "init other2 --format json -q"],
}


def edit(line: str, project: Path) -> None:
    """Change the spec as a person would: ``edit: old -> new``; or the settings."""
    what, _, words = line.partition(": ")
    old, new = words.split(" -> ")
    path = project / {"edit": "specs/shop/orders.yml", "settings": "loader.toml"}[what]
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def run(line: str, stdin: bytes | None = None) -> tuple[int, str, str]:
    """A command in this process: its exit code, standard output and standard error."""
    arguments = [part.strip("'") if part != "''" else "" for part in line.split()]
    done = CliRunner().invoke(main, arguments, input=stdin, prog_name="loader")
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


def normal(text: str, folder: Path) -> str:
    """Output without what differs from run to run."""
    for pattern, instead in (
        (re.escape(str(folder)), "<folder>"),
        (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<uuid>"),
        (r"/[0-9a-f]{12}/", "/<run>/"),
        (r"\b[0-9a-f]{64}\b", "<hash>"),
        (r"/[0-9a-f]{12}/manifest", "/<run>/manifest"),
        (r'(\.sql\.j2": )"[0-9a-f]{16}"', r'\1"<hash>"'),
        (r"\d{8}t\d{12}z", "<time>"),
        (r"in \d+\.\d s", "in <seconds>"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  ", "<time>  "),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "<time> UTC"),
        (r'("(?:loaded_at|time)": )"[^"]+"', r'\1"<time>"'),
        (r'("(?:stage|load)": )[\d.e-]+', r"\1<seconds>"),
        (r'("bytes_staged": )\d+', r"\1<bytes>"),
        (r"\d+\.\d [kM]B", "<size>"),
        (r'(\'|"loader_version": ")\d+\.\d+\.\d+(\'|")', r"\1<version>\2"),
    ):
        text = re.sub(pattern, instead, text)
    return text


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project as `loader init` makes it, and the working folder."""
    scaffold(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", SESSIONS)
def test_sessions(name: str, project: Path) -> None:
    """Every command tells what was reviewed: answers on stdout, the rest on stderr."""
    told = []
    for line in SESSIONS[name]:
        if line.startswith(("edit: ", "settings: ")):
            edit(line, project)
            told += [f"# {line}", ""]
            continue
        code, out, err = run(line)
        told.append(
            answer_facts(line, code, normal(out, project).rstrip("\n"), normal(err, project))
        )
        assert (code == 0) or err or "--detailed-exitcode" in line
    expect(CASES / f"{name}.txt", "\n".join(told))


def test_every_command_has_a_session() -> None:
    """No command is left out."""
    used = {line.split()[0] for lines in SESSIONS.values() for line in lines if line}
    assert set(main.commands) <= used


def test_the_schema_is_json(project: Path) -> None:
    """`loader schema` prints the JSON Schema and nothing else."""
    code, out, err = run("schema")
    assert (code, err) == (0, "")
    assert json.loads(out)["title"] == "Loader table spec, version 1"


def test_the_version() -> None:
    """`loader --version` prints the name and the version."""
    code, out, _ = run("--version")
    assert code == 0
    assert re.fullmatch(r"loader \d+\.\d+\.\d+\n", out)


def test_validate_tells_all_problems_of_all_files(project: Path) -> None:
    """Every problem of every file is told in one run, in text and in JSON."""
    (project / "specs" / "a.yml").write_text("schema: s\nname: a\ncolumns: []\nbananas: 1\n")
    (project / "specs" / "b.yml").write_text("")
    code, out, err = run("validate")
    assert (code, out) == (1, "")
    expect(CASES / "validate_problems.txt", f"{screen_facts(err)}\n")
    code, out, _ = run("validate --format json")
    found = json.loads(out)
    assert (code, found["valid"], len(found["problems"])) == (1, False, 3)
    assert {one["path"] for one in found["problems"]} == {"specs/a.yml", "specs/b.yml"}


def test_validate_renders_templates(project: Path) -> None:
    """A template that could not run is found by `validate`, for both dialects, with its place."""
    folder = project / "templates" / "ansi"
    folder.mkdir(parents=True)
    (folder / "delete_slice.sql.j2").write_text("TRUNCATE {{ table|table }}")
    code, _, err = run("validate")
    assert code == 1
    assert "specs/shop/orders.yml: templates/ansi/delete_slice.sql.j2: `TRUNCATE" in err
    assert "(duckdb)" in err
    assert "(redshift)" in err


@pytest.mark.parametrize("command", ["validate", "plan", "plan shop/orders"])
def test_a_project_without_specs_is_told(project: Path, command: str) -> None:
    """A folder of specs that is not there, or holds none, is an error that names it."""
    (project / "specs" / "shop" / "orders.yml").unlink()
    code, out, err = run(command)
    assert (code, out) == (1, "")
    assert f"there is no table spec in {project / 'specs'}" in err
    shutil.rmtree(project / "specs")
    code, out, err = run(command)
    assert (code, out) == (1, "")
    assert f"{project / 'specs'}, does not exist" in err


def test_a_load_that_replaced_nothing_is_not_told_as_the_whole_table(project: Path) -> None:
    """A load of the partitions in no data names none of them, and not the whole table."""
    (project / "empty.csv").write_text("order_id,ordered_on,customer,amount\n")
    assert run("load shop/orders empty.csv --partition auto")[0] == 0
    _, out, _ = run("history")
    assert re.search(r"shop\.orders  -  +replace +0 ", out)
    assert "whole table" not in out
    assert run("load shop/orders data/orders.csv --full-refresh")[0] == 0
    assert "whole table" in run("history")[1]


def test_the_next_steps_can_be_pasted(project: Path) -> None:
    """A folder whose name means something to a shell is quoted."""
    done = CliRunner().invoke(main, ["init", "my dir'x"], prog_name="loader")
    command = done.stderr.removeprefix("next: ").split(" && ")[0]
    assert shlex.split(command) == ["cd", "my dir'x"]


STRAYS = {
    "duckdb/nosuch.sql.j2": "name it in a spec's `templates`",
    "duckdb/copy_cvs.sql.j2": "did you mean `duckdb/copy_csv.sql.j2`?",
    "duckbd/copy_csv.sql.j2": "did you mean `duckdb/copy_csv.sql.j2`?",
    "parts/merge.sql.j2": "name it in a spec's `templates`",
}


@pytest.mark.parametrize("name", STRAYS)
def test_a_template_that_nothing_uses_is_told(project: Path, name: str) -> None:
    """A template in a folder is one of Loader's own by name, or a spec or template names it."""
    path = project / "templates" / name
    path.parent.mkdir(parents=True)
    path.write_text("SELECT 1")
    code, _, err = run("validate")
    assert code == 1
    assert f"templates/{name}: nothing uses this template" in err
    assert STRAYS[name] in err
    (project / "templates" / "count.sql.j2").write_text(f"{{% include '{name}' %}}")
    assert run("validate")[0] == 0
    (project / "templates" / "count.sql.j2").unlink()
    spec = project / "specs" / "shop" / "orders.yml"
    file = name if name.startswith(("parts", "duckbd")) else name.split("/")[1]
    right = spec.read_text()
    spec.write_text(f"{right}templates: {{select: {file}}}\n")
    assert "nothing uses" not in run("validate")[2]
    spec.write_text(right)
    path.rename(path.with_name("copy_csv.sql.j2"))
    if name.startswith("duckdb/"):
        assert "nothing uses" not in run("validate")[2]


def test_a_plan_is_written_to_a_file(project: Path) -> None:
    """-o writes the plan as JSON, and shows it as well; a folder that is not there is told."""
    code, out, _ = run("plan shop/orders --partition 2026-01-01 -o plan.json")
    assert code == 0
    assert out.startswith("shop.orders on local")
    assert json.loads((project / "plan.json").read_text())["plans"][0]["table"] == "shop.orders"
    code, out, err = run("plan -o nowhere/plan.json")
    assert code == 1
    assert err.startswith("error: nowhere/plan.json cannot be written: ")


def test_plan_touches_nothing(project: Path) -> None:
    """A plan leaves no file behind, with data or without."""
    before = sorted(project.rglob("*"))
    run("plan")
    run("plan shop/orders --from data/orders.csv --partition auto")
    run("plan --target prod")
    assert sorted(project.rglob("*")) == before


def test_planned_sql_runs_as_it_is(project: Path) -> None:
    """The SQL of a plan runs in DuckDB once the files are where it says, and gives the table."""
    spec = project / "specs" / "shop" / "orders.yml"
    spec.write_text(spec.read_text() + "staging: {keep: always, format: parquet}\n")
    _, answer, _ = run(f"{LOAD} --format json")
    staged = Path(json.loads(answer)["staged"])
    warehouse = project / ".loader" / "warehouse.duckdb"
    with duckdb.connect(warehouse) as connection:
        loaded = connection.execute("SELECT * FROM shop.orders ORDER BY ALL").fetchall()
    warehouse.unlink()
    partition = "--partition 2026-01-01..2026-01-02"
    _, script, _ = run(f"plan shop/orders --format sql --load-id one {partition}")
    staged.rename(staged.with_name("<run>"))
    script = re.sub(r"NULL /\* \w+ staged \*/", "0", script)
    (run_folder,) = (project / ".loader" / "staging" / "shop.orders" / "one").iterdir()
    script = script.replace("<run>", run_folder.name)
    with duckdb.connect(warehouse) as connection:
        connection.execute(script)
        again = connection.execute("SELECT * FROM shop.orders ORDER BY ALL").fetchall()
    assert again == loaded
    assert len(again) == 3


@pytest.mark.parametrize("name", ["", *sorted(main.commands)])
def test_examples_are_commands(name: str) -> None:
    """Every page of help has examples, and each of them is a command line that parses."""
    command = main.commands[name] if name else main
    examples = getattr(command.callback, "examples", ())
    assert examples
    for line in examples:
        called, *arguments = shlex.split(
            re.split(" [<>#](?=[^']*$)", line)[0]
        )  # without the shell's part
        assert not name or called == name
        main.commands[called].make_context(called, arguments)


CHANGED = ["plan --live", "plan --live --format markdown", "plan --live --format sql"]


def many_tables(project: Path, changed: Sequence[int]) -> None:
    """Sixty live tables, of which some have a column more in their specs."""
    text = (project / "specs" / "shop" / "orders.yml").read_text()
    (project / "specs" / "shop" / "orders.yml").unlink()
    for number in range(60):
        copy = text.replace("name: orders", f"name: orders_{number}")
        (project / "specs" / f"orders_{number}.yml").write_text(copy)
    assert run("apply -q")[0] == 0
    for number in changed:
        path = project / "specs" / f"orders_{number}.yml"
        more = "{name: coupon, data_type: varchar(20)}"
        path.write_text(path.read_text().replace("primary_key", f"  - {more}\nprimary_key"))


def test_a_live_plan_shows_what_changes(project: Path) -> None:
    """Tables that need nothing are one line, and no load is shown that nobody has asked for."""
    many_tables(project, [41, 59])
    for line in CHANGED:
        code, out, _ = run(line)
        assert code == 0
        assert out.count("ADD COLUMN") == 2
        assert "DELETE" not in out
        assert "orders_7" not in out
        assert ("58 tables need nothing" in out) == ("sql" not in line)
        assert out.index("orders_41") < out.index("orders_59")
    code, out, _ = run("plan --live shop/orders_59 shop/orders_7 --partition 2026-01-01")
    assert out.count("DELETE FROM") == 2
    assert out.index("ADD COLUMN") < out.index("orders_7 ")
    _, out, _ = run("plan --live -v")
    assert "DELETE" not in out
    assert "orders_7" in out


def test_the_markdown_of_many_changes_has_what_fits(project: Path) -> None:
    """The changes come first, then as much of their SQL as fits; what is left out is counted."""
    many_tables(project, range(60))
    assert run("plan --live --format markdown -o plan.json")[0] == 0
    for number in range(60):
        path = project / "specs" / f"orders_{number}.yml"
        path.write_text(path.read_text().replace("decimal(12,2)", "decimal(14,3)"))
    _, out, _ = run("plan --live --format markdown")
    assert len(out) <= COMMENT_LIMIT
    assert out.count("#### ") == 60
    shown = out.count("```sql")
    assert 5 < shown < 60
    assert f"0 of the tables and the SQL of {60 - shown} are left out" in out


def test_a_live_plan_of_data_reads_columns_by_their_names_in_the_file(project: Path) -> None:
    """`source.columns` and `renamed_from` name the data's columns for the comparison too."""
    path = project / "specs" / "shop" / "orders.yml"
    text = path.read_text().replace("name: amount", "renamed_from: total, name: amount")
    path.write_text(text + "source: {columns: {customer: Kunde}}\n")
    (project / "data" / "other.csv").write_text(
        "order_id,ordered_on,Kunde,Total\n1,2026-01-01,A,1\n"
    )
    code, out, _ = run("plan --live --from data/other.csv --partition auto")
    assert code == 0
    assert re.search(r"customer +varchar\(80\) +- +text `Kunde`", out)
    assert re.search(r"amount +decimal\(12,2\) +- +text `Total`", out)
    assert "not in the spec" not in out


def test_the_suffix_says_what_a_saved_plan_is(project: Path) -> None:
    """A plan is saved as JSON, as a script or as Markdown; another suffix is refused."""
    for name, start in (
        ("a.sql", "-- shop.orders"),
        ("b.md", "### `loader plan`"),
        ("c.json", "{"),
    ):
        code, out, err = run(f"plan --partition 2026-01-01 -o {name}")
        assert code == 0
        assert (project / name).read_text().startswith(start)
        assert (out == "") == (name != "c.json")
        assert ("the plan is in" in err) == (name != "c.json")
    for line in ("plan -o plan.yml", "plan -o plan", "plan -o plan.sql --format markdown"):
        code, _, err = run(line)
        assert (code, "`loader apply`, .sql or .md" in err) == (1, True)


def test_markdown_fits_a_comment(project: Path) -> None:
    """However many tables a plan has, its Markdown fits a pull-request comment."""
    text = (project / "specs" / "shop" / "orders.yml").read_text()
    for number in range(60):
        copy = text.replace("name: orders", f"name: orders_{number}")
        (project / "specs" / f"orders_{number}.yml").write_text(copy)
    _, out, _ = run("plan --format markdown")
    assert len(out) <= COMMENT_LIMIT
    assert "orders_59" in out
    _, out, _ = run("plan shop/orders --format markdown")
    assert "```sql" in out


@pytest.mark.parametrize(
    "suffix", ["csv", "csv.gz", "parquet", "jsonl", "ndjson", "arrow", "feather"]
)
def test_read_writes_by_suffix(project: Path, suffix: str) -> None:
    """-o writes the form that the suffix names, and what it writes can be loaded again."""
    run(LOAD)
    code, out, err = run(f"read shop/orders -o out.{suffix}")
    if code:  # a form that is not written is refused in words
        assert suffix in err
        return
    assert (out, err) == ("", f"3 rows in out.{suffix}\n")
    _, before, _ = run("read shop/orders")
    code, _, err = run(f"load shop/orders out.{suffix} --full-refresh")
    assert (code, err) == (0, "")
    assert run("read shop/orders")[1] == before


@pytest.mark.parametrize("name", ["out.xlsx", "out", ".csv/x"])
def test_read_refuses_other_suffixes(project: Path, name: str) -> None:
    """A suffix of no known form is refused, and nothing is written."""
    run(LOAD)
    code, out, err = run(f"read shop/orders -o {name}")
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert not (project / name).exists()


@pytest.mark.parametrize(
    ("words", "facts"),
    [
        ("-o out.xls", [".xls", ".csv", ".parquet", ".arrow", ".jsonl"]),
        ("-o out", ["out has no suffix", ".csv"]),
        ("-o out.csv.gz", [".gz", "use .csv", "compress"]),
        ("-o out.csv --format json", ["CSV", "json", ".jsonl"]),
        ("-o out.parquet --format csv", ["PARQUET", "csv", ".csv"]),
    ],
)
def test_read_tells_the_formats_before_it_asks_the_warehouse(
    project: Path, words: str, facts: list[str]
) -> None:
    """A name that says no format, or another one than --format, is refused at once."""
    code, out, err = run(f"read shop/orders {words}")
    assert (code, out) == (1, "")
    assert "does not exist" not in err
    assert not [fact for fact in facts if fact not in err]
    assert not list(project.glob("out*"))


def test_read_takes_a_format_that_its_file_has(project: Path) -> None:
    """--format may name the format that the suffix does, and sets that of a device."""
    run(LOAD)
    assert run("read shop/orders --format json --limit 1 -o out.jsonl")[0] == 0
    (row,) = (project / "out.jsonl").read_text().splitlines()
    assert json.loads(row)["order_id"] == 1
    assert run("read shop/orders --format json -o /dev/null") == (0, "", "3 rows in /dev/null\n")


def test_load_from_standard_input_and_several_files(project: Path) -> None:
    """Data comes from standard input with -, from several files, and from globs."""
    data = (project / "data" / "orders.csv").read_bytes()
    code, out, err = run("load shop/orders - --partition auto", data)
    assert (code, err) == (0, "")
    assert "3 rows loaded" in out
    head, *rows = data.decode().splitlines()
    for number, row in enumerate(rows):
        (project / f"part-{number}.csv").write_text(f"{head}\n{row}\n")
    for files in ("part-0.csv part-1.csv part-2.csv", "part-*.csv"):
        code, out, _ = run(f"load shop/orders {files} --full-refresh")
        assert code == 0
        assert "3 rows loaded" in out


BAD_DATA = {
    "a missing column": ("order_id,ordered_on\n1,2026-01-01\n", "customer"),
    "an extra column": ("order_id,ordered_on,customer,amount,x\n1,2026-01-01,a,1,2\n", "extra"),
    "a wrong delimiter": ("order_id;ordered_on;customer;amount\n1;2026-01-01;a;1\n", "order_id"),
    "a type that does not cast": (
        "order_id,ordered_on,customer,amount\n1,yesterday,a,1\n",
        "yesterday",
    ),
    "a text that is too long": (
        f"order_id,ordered_on,customer,amount\n1,2026-01-01,{'ü' * 41},1\n",
        "varchar(80)",
    ),
    "a null where none may be": ("order_id,ordered_on,customer,amount\n1,,a,1\n", "ordered_on"),
    "a key twice": (
        "order_id,ordered_on,customer,amount\n1,2026-01-01,a,1\n1,2026-01-01,b,1\n",
        "order_id",
    ),
    "an empty file": ("", "empty"),
}


@pytest.mark.parametrize("name", BAD_DATA)
def test_bad_data_changes_nothing(project: Path, name: str) -> None:
    """Data that does not fit is refused with a reason, and the table holds what it held."""
    text, told = BAD_DATA[name]
    run(LOAD)
    before = run("read shop/orders")
    (project / "bad.csv").write_text(text)
    code, out, err = run("load shop/orders bad.csv --partition auto")
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert told in err
    assert "Traceback" not in err
    assert run("read shop/orders") == before


def test_rows_of_another_partition_are_refused(project: Path) -> None:
    """A row outside the partition that was named fails the load, and is named."""
    code, out, err = run("load shop/orders data/orders.csv --partition 2026-01-01")
    assert (code, out) == (1, "")
    assert "2026-01-02" in err


@pytest.fixture
def rejecting(project: Path) -> Path:
    """A project whose table sets bad rows aside, and `bad.csv`, of which it takes no row."""
    spec = project / "specs" / "shop" / "orders.yml"
    contract = 'schema_contract: {bad_rows: reject, max_rejects: "100%"}\n'
    spec.write_text(spec.read_text().split("checks:")[0] + contract)
    (project / "bad.csv").write_text("order_id,ordered_on,customer,amount\n1,yesterday,a,1\n")
    return spec


def test_rejects_of_all_tables_are_listed_without_rows(rejecting: Path) -> None:
    """Without a table each of them is told of by its reasons; --limit adds rows."""
    other = rejecting.with_name("returns.yml")
    other.write_text(rejecting.read_text().replace("name: orders", "name: returns"))
    for table in ("orders", "returns"):
        assert run(f"load shop/{table} bad.csv --partition 2026-01-01 --load-id {table}-1")[0] == 0
    code, out, err = run("rejects")
    assert (code, err) == (0, "")
    assert [line for line in out.splitlines() if "1 row " in line or not line] == [
        *(line for line in out.splitlines() if line.startswith("shop.orders: 1 row rejected")),
        "  1 row  ordered_on  is not a date",
        "",
        *(line for line in out.splitlines() if line.startswith("shop.returns: 1 row rejected")),
        "  1 row  ordered_on  is not a date",
    ]
    assert "yesterday" not in out
    assert run("rejects --limit 1")[1].count("yesterday") == 4
    assert json.loads(run("rejects --format json")[1])[1]["load_id"] == "returns-1"
    assert run("rejects shop/nope")[0] == 1


def test_a_run_tells_the_rejects_of_each_table(rejecting: Path) -> None:
    """The reasons follow the table of outcomes, of loads as of failures."""
    rejecting.write_text(rejecting.read_text() + "source: {files: bad.csv}\n")
    code, out, _ = run("run -q")
    assert code == 0
    assert "shop.orders rejected 1 row, kept in " in out
    assert "rejects.parquet:\n  1 row  ordered_on  is not a date\n\n1 table: " in out
    rejecting.write_text(rejecting.read_text().replace("100%", "10%"))
    code, out, _ = run("run -q")
    assert code == 1
    assert "hint: `loader rejects shop/orders` shows them" in out


def test_rejects_are_told_when_no_row_is_left(rejecting: Path) -> None:
    """A load of nothing but rejects says how many there were and where they are."""
    load = "load shop/orders bad.csv --partition 2026-01-01"
    code, out, err = run(load)
    assert (code, err) == (0, "")
    assert "no rows to load\n  rejected 1 row, kept in " in out
    assert out.endswith("rejects.parquet\n    1 row  ordered_on  is not a date\n")
    assert pq.read_table(out.split("kept in ")[1].splitlines()[0]).num_rows == 1
    run(LOAD)
    rejecting.write_text(rejecting.read_text() + "on_empty: clear\n")
    assert "no rows to load; 2 deleted\n  rejected 1 row, kept in " in run(load)[1]
    rejecting.write_text(rejecting.read_text().replace("on_empty: clear", "on_empty: fail"))
    code, out, err = run(load)
    assert (code, out) == (1, "")
    assert "on_empty: fail" in err
    assert pq.read_table(kept_in(err)).num_rows == 1


def kept_in(message: str) -> str:
    """The file of rejected rows that an error names."""
    return message.split("rejected rows are kept in ")[1].splitlines()[0]


@pytest.mark.parametrize("keep", ["failed", "always", "never"])
@pytest.mark.parametrize("fault", ["too many rejects", "a key twice"])
def test_the_rejects_of_a_failed_load_are_named_or_removed(
    rejecting: Path, fault: str, keep: str
) -> None:
    """A load that fails says where its rejected rows are, or leaves none with `keep: never`."""
    project = rejecting.parents[2]
    text = f"{rejecting.read_text()}staging: {{keep: {keep}}}\n"
    rejecting.write_text(text.replace("100%", "10%") if fault == "too many rejects" else text)
    twice = "1,2026-01-01,a,1\n" * 2 if fault == "a key twice" else ""
    with (project / "bad.csv").open("a") as file:
        file.write(twice)
    code, out, err = run("load shop/orders bad.csv --partition auto")
    assert (code, out) == (1, "")
    left = [str(path) for path in (project / ".loader").rglob("*") if path.is_file()]
    found = [path for path in left if "rejects" in path]
    if keep == "never":
        assert found == []
        assert "kept in" not in err
    else:
        assert found == [kept_in(err)]


SECRETS = {
    "AWS_REDSHIFT_HOST": "127.0.0.1",
    "AWS_REDSHIFT_PORT": "1",
    "AWS_REDSHIFT_DATABASE": "dev",
    "AWS_REDSHIFT_USER": "ann",
    "AWS_REDSHIFT_PASSWORD": "hunter2-secret",
    "AWS_REDSHIFT_S3_IAM_ROLE": "arn:aws:iam::123456789012:role/loader",
    "AWS_REDSHIFT_BUCKET_NAME": "bucket",
    "AWS_SECRET_ACCESS_KEY": "hunter3-secret",
    "AWS_SESSION_TOKEN": "hunter4-secret",
}


def test_no_secret_is_printed(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No password or key of the environment is in any output, plan file or staged file."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    for form in ("text", "json", "sql", "markdown"):
        for target in ("prod", "local"):
            line = f"plan shop/orders --target {target} -v --format {form} -o plan.json"
            assert "hunter" not in "".join(map(str, run(line)))
    outputs = [run(LOAD), run("history --format json"), run("plan --target prd")]
    wrong = project / "loader.toml"
    wrong.write_text(wrong.read_text().replace("PORT:-5439", "PASSWORD"))
    outputs += [run("plan --target prod"), run("validate --format json")]
    assert "hunter" not in str(outputs)
    for path in project.rglob("*"):
        assert path.is_dir() or b"hunter" not in path.read_bytes()


def test_prod_is_planned_without_an_environment(project: Path) -> None:
    """A plan for Redshift needs no variable, no network and no credentials."""
    code, out, err = run("plan --target prod")
    assert (code, err) == (0, "")
    assert "IAM_ROLE '${AWS_REDSHIFT_S3_IAM_ROLE}'" in out


def test_a_project_is_found_from_below(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The project is that of the folder one stands in, or the one that --project names."""
    (project / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(project / "deep" / "er")
    assert run("plan -q")[0] == 0
    monkeypatch.chdir("/")
    code, _, err = run("plan")
    assert code == 1
    assert err.startswith("error: there is no Loader project in / or its parent folders\n")
    assert run(f"plan --project {project / 'deep'}")[0] == 0


def shell(project: Path, command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command line in a shell, with `loader` as people call it."""
    bin_ = Path(sys.executable).parent
    path = f"{bin_}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=project,
        env={**os.environ, "PATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_broken_pipe_is_no_error(project: Path) -> None:
    """Whoever reads the answer may stop early, and hears no complaint."""
    rows = "".join(f"{n},2026-01-01,name {n},1.00\n" for n in range(200_000))
    (project / "many.csv").write_text("order_id,ordered_on,customer,amount\n" + rows)
    done = shell(project, "loader load shop/orders many.csv --partition auto -q")
    assert done.returncode == 0, done.stderr
    for form in ("csv", "json"):
        done = shell(project, f"loader read shop/orders --format {form} | head -1")
        assert (done.returncode, done.stderr) == (0, "")
        assert len(done.stdout.splitlines()) == 1
    done = shell(project, "loader schema | head -1")
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "{\n")


def test_pipes_are_plain(project: Path) -> None:
    """In a pipe there is no colour and no progress, whatever the terminal."""
    done = shell(
        project, f"loader {LOAD}; loader plan; loader plan nope", NO_COLOR="", TERM="xterm"
    )
    assert "\x1b" not in done.stdout + done.stderr
    assert "\r" not in done.stdout + done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a full device")
@pytest.mark.parametrize(
    "line",
    [
        *("plan", "plan --format sql", "plan --format json", "validate", "history", "schema"),
        *("read shop/orders", "read shop/orders --format json"),
    ],
)
def test_an_answer_that_cannot_be_written_is_told(project: Path, line: str) -> None:
    """Where standard output takes nothing, one line on standard error says why."""
    run(LOAD)
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "loader", *line.split()],
            cwd=project,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 1
    assert "stdout cannot be written: No space left on device" in done.stderr
    assert len(done.stderr.splitlines()) == (5 if "json" in line else 1)


def on_terminal(project: Path, line: str, environment: dict[str, str]) -> str:
    """What a command shows on a terminal."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "loader", *line.split()],
        cwd=project,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", **environment},
        stdin=follower,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    shown = b""
    while True:
        try:
            piece = os.read(leader, 65_536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        shown += piece
    os.close(leader)
    assert process.wait(60) in (0, 1)
    return shown.decode()


def test_colour_on_a_terminal_unless_it_is_not_wanted(project: Path) -> None:
    """A person sees colour and progress; NO_COLOR takes the colour away."""
    assert "\x1b[" in on_terminal(project, "plan", {"NO_COLOR": ""})
    assert "\x1b[31m" in on_terminal(project, "plan nope", {"NO_COLOR": ""})
    assert "\x1b[" not in on_terminal(project, "plan", {"NO_COLOR": "1"})
    shown = on_terminal(project, LOAD, {"NO_COLOR": ""})
    assert "3 rows loaded" in shown


@pytest.fixture
def nyc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """The example project of this repository, copied, and a way to run commands in it."""
    shutil.copytree(NYC, tmp_path / "specs" / "nyc")
    monkeypatch.chdir(tmp_path)

    def command(line: str) -> str:
        code, out, err = run(line)
        assert code == 0, err
        return out

    return command


def test_the_example_loads(nyc: Callable[[str], str]) -> None:
    """The tables of this repository load from their files, and read back as many rows."""
    data = "specs/nyc/data"
    for table, file, rows in (
        ("airlines", "airlines.csv", 16),
        ("airports", "airports.csv", 1_458),
        ("planes", "planes.csv", 3_322),
    ):
        assert f" {rows:,} rows loaded" in nyc(f"load nyc/{table} {data}/{file}")
    assert " 27,004 rows loaded" in nyc(
        f"load nyc/flights {data}/flights-2013-01.csv.gz --partition 2013-01-01..2013-01-31"
    )
    out = nyc("read nyc/flights --partition 2013-01-01 --columns carrier,flight")
    assert len(out.splitlines()) == 843
    assert len(nyc("history").splitlines()) == 5


def test_a_run_shows_each_table_while_it_is_loaded(project: Path) -> None:
    """On a terminal each table has a line of its own, and what is done stays above these lines."""
    spec = project / "specs" / "shop" / "orders.yml"
    spec.write_text(spec.read_text() + "source: {files: data/*.csv}\n")
    shown = on_terminal(project, "run", {"NO_COLOR": "1"})
    assert "shop.orders: staging" in shown
    done = re.compile(r"(?:^|[\r\nKA])\[1/1\] shop\.orders: 3 rows from 1 file in \d+\.\d s\r\n")
    assert done.search(shown)
    assert shown.rstrip().endswith(" s")
