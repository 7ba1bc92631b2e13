"""Moving from a hand-written IO manager: each step of the page, on a table of VARCHAR(10000)."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import redshift_connector
from click.testing import CliRunner

from loader.cli import main
from loader.testing.redshift.server import RedshiftStandIn

README = Path(__file__).parents[2] / "loader/dagster_io/README.md"
OLD = [
    ("1", "2026-01-01", "Ada", "19.9"),
    ("2", "2026-01-01", "Grace", ""),
    ("4", "2026-01-02", "a row that is gone", "1.0"),
]
"""Rows as a hand-written manager has written them: a missing number is empty text."""

CSV = """\
order_id,ordered_on,customer,amount
1,2026-01-01,Ada,19.90
2,2026-01-01,Grace,
3,2026-01-02,Edsger,120.00
"""


def blocks(language: str) -> list[str]:
    """The blocks of that section in a language."""
    section = README.read_text("utf-8").split("\n## Moving from a hand-written IO manager\n")[1]
    section = section.split("\n## ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


@pytest.fixture
def old_table(stand_in: RedshiftStandIn) -> RedshiftStandIn:
    """A cluster with a table that another manager has made."""
    with redshift_connector.connect(
        host=stand_in.host,
        port=stand_in.port,
        database=stand_in.database,
        user=stand_in.user,
        password=stand_in.password,
        ssl=False,
    ) as connection:
        columns = ", ".join(
            f"{name} VARCHAR(10000)" for name in ("order_id", "ordered_on", "customer", "amount")
        )
        rows = ", ".join(str(row) for row in OLD)
        with connection.cursor() as cursor:
            cursor.execute("CREATE SCHEMA shop")
            cursor.execute(f"CREATE TABLE shop.orders ({columns})")
            cursor.execute(f"INSERT INTO shop.orders VALUES {rows}")
        connection.commit()
    return stand_in


@pytest.fixture
def folder(tmp_path: Path, old_table: RedshiftStandIn, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an old project, which has no spec, and the environment that it runs in."""
    (tmp_path / "data").mkdir()
    (tmp_path / "specs/shop").mkdir(parents=True)
    (tmp_path / "data/orders.csv").write_text(CSV)
    monkeypatch.chdir(tmp_path)
    names = {
        "REGION": old_table.region,
        "REDSHIFT_CLUSTER_IDENTIFIER": old_table.cluster_identifier,
        "REDSHIFT_USER": old_table.user,
        "REDSHIFT_PASSWORD": old_table.password,
        "REDSHIFT_DATABASE": old_table.database,
        "REDSHIFT_HOST": old_table.host,
        "REDSHIFT_PORT": str(old_table.port),
        "REDSHIFT_S3_IAM_ROLE": old_table.iam_role,
        "REDSHIFT_BUCKET_NAME": old_table.bucket,
    }
    for name, value in names.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    return tmp_path


def definitions(text: str) -> dg.Definitions:
    """The page's definitions, which log in as the stand-in wants it."""
    login = 'password=dg.EnvVar("AWS_REDSHIFT_PASSWORD"), ssl=False'
    by_iam = 'cluster_identifier=dg.EnvVar("AWS_REDSHIFT_CLUSTER_IDENTIFIER")'
    assert by_iam in text
    names: dict[str, Any] = {}
    exec(compile(text.replace(by_iam, login), "definitions.py", "exec", dont_inherit=True), names)
    defs = names["defs"]
    assert isinstance(defs, dg.Definitions)
    return defs


def materialize(
    defs: dg.Definitions, day: str, config: Mapping[str, Any] | None = None
) -> dg.ExecuteInProcessResult:
    """Run the asset for a day."""
    job = defs.resolve_implicit_global_asset_job_def()
    return job.execute_in_process(partition_key=day, run_config=config or {})


def run(line: str) -> str:
    """Run a command of the page; returns what it prints on stdout."""
    words = shlex.split(line, comments=True)
    assert words[0] == "loader", line
    words, output = (words[: words.index(">")], words[-1]) if ">" in words else (words, None)
    done = CliRunner().invoke(main, words[1:], prog_name="loader")
    assert done.exit_code == 0, done.output
    if output is not None:
        Path(output).write_text(done.stdout, "utf-8")
    return done.stdout


def test_each_step_leaves_everything_running(folder: Path, old_table: RedshiftStandIn) -> None:
    """Assets load after every step; rows that no run replaces stay, and get types."""

    def rows() -> list[tuple[Any, ...]]:
        return old_table.query("SELECT * FROM shop.orders ORDER BY order_id")

    # 1 and 2: the same fields, and no spec
    (code,) = blocks("python")
    defs = definitions(code)
    materialize(defs, "2026-01-02")
    assert rows() == [*OLD[:2], ("3", "2026-01-02", "Edsger", "120.0")]
    materialize(defs, "2026-01-01")
    assert rows()[1] == ("2", "2026-01-01", "Grace", None)  # was empty text
    old_table.execute("UPDATE shop.orders SET amount = '' WHERE order_id = '2'")

    # 3: the target of the command line
    (toml,) = blocks("toml")
    assert "[targets.prod]" in toml
    (folder / "loader.toml").write_text(
        toml.replace("cluster_identifier =", "# =").replace(
            'type = "redshift"',
            'type = "redshift"\npassword = "${AWS_REDSHIFT_PASSWORD}"\nssl = false',
        )
    )

    # 4: a draft from the live table, then types
    from_table, from_values = (block.splitlines() for block in blocks("bash"))
    printed = [run(line) for line in from_table]
    assert (folder / "specs/shop/orders.yml").read_text().count("varchar(10000)") == 4
    assert "nothing to change" in printed[-1]
    printed = [run(line) for line in from_values[:2]]
    spec = folder / "specs/shop/orders.yml"
    text = re.sub(r"# (primary_key: \[order_id\]|partition_by: .*?)  # .*", r"\1", spec.read_text())
    spec.write_text(text)
    printed = [run(line) for line in from_values[2:]]
    assert "varchar(10000) → " in printed[-1]
    typed = [(1, "2026-01-01", "Ada", 19.9), (2, "2026-01-01", "Grace", None)]
    found = [(one, str(day), name, value and float(value)) for one, day, name, value in rows()]
    assert found == [*typed, (3, "2026-01-02", "Edsger", 120.0)]
    defs = definitions(code)
    materialize(defs, "2026-01-02")

    # 5: a dry run materializes nothing
    before = rows()
    config = {"ops": {"shop__orders": {"outputs": {"result": {"dry_run": True}}}}}
    tried = materialize(defs, "2026-01-02", config)
    assert tried.get_asset_materialization_events() == []
    assert rows() == before

    # 6: without what was for assets without a spec
    clean = code.replace('    metadata={"partition_expr": "ordered_on"},\n', "")
    clean = clean.replace('            on_missing_spec="infer",\n', "")
    assert clean.count("infer") == clean.count("partition_expr") == 0
    done = materialize(definitions(clean), "2026-01-01")
    (event,) = done.get_asset_materialization_events()
    assert event.materialization.metadata["rows_loaded"].value == 2
    assert rows() == before
