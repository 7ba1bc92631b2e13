"""Every rule that the stand-in says it holds: its example is refused, or gives what it says."""

from __future__ import annotations

import ast
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from redshift_connector.error import ProgrammingError

from loader.testing.plugin import Connect
from loader.testing.redshift.rules.areas import AREAS
from loader.testing.redshift.rules.rule import Rule, shown
from loader.testing.redshift.server import RedshiftStandIn
from tests.golden import expect

CODE = Path(__file__).parents[3] / "loader" / "testing" / "redshift"


def parquet(**columns: pa.Array) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def manifest(url: str, **entry: Any) -> bytes:
    return json.dumps({"entries": [{"url": url, **entry}]}).encode()


def files(s3: str) -> Mapping[str, bytes]:
    """What the statements of rules name below ``{s3}``."""
    return {
        "rows.csv": b"1,a\n2,b\n",
        "twice.csv": b"1,a\n",
        "twice.csv.bak": b"1,a\n",
        "digits.csv": b"1.99\n",
        "quotes.txt": b'1|"a,\\b"\n',
        "rows.json": b'{"a": 1, "B": "x"}\n',
        "rows.parquet": parquet(a=pa.array([1, 2], pa.int32()), b=pa.array(["a", "b"])),
        "umlauts.parquet": parquet(a=pa.array(["ää"])),
        "nanoseconds.parquet": parquet(a=pa.array([0], pa.timestamp("ns"))),
        "decimal-30.parquet": parquet(a=pa.array([None], pa.decimal128(30, 2))),
        "no-length.manifest": manifest(f"{s3}/rows.parquet", mandatory=True),
        "missing.manifest": manifest(f"{s3}/none.csv", mandatory=True),
        "optional.manifest": manifest(f"{s3}/none.csv"),
    }


def outcome(
    rule: Rule, cursor: Any, other: Any, words: Mapping[str, str], redshift: RedshiftStandIn
) -> str:
    """What the last statement of a rule comes to: its error, or its rows."""
    told = ""
    for statement in rule.statements:
        sql = statement.removeprefix("?")
        for name, word in words.items():
            sql = sql.replace("{" + name + "}", word)
        if sql.startswith("redshift."):
            exec(sql, {"redshift": redshift})
            continue
        here = other if sql.startswith("other: ") else cursor
        try:
            here.execute(sql.removeprefix("other: "))
        except ProgrammingError as error:
            fields = error.args[0]
            told = f"{fields['M']} {fields.get('D', '')}"
            if statement is not rule.statements[-1] and not statement.startswith("?"):
                return f"an earlier statement, {sql}, fails: {told}"
        else:
            rows = here.fetchall() if here.description else []
            told = shown([tuple(row) for row in rows])
    return told


@pytest.mark.parametrize("area", AREAS)
def test_every_rule_is_shown_by_its_example(
    area: str, redshift: RedshiftStandIn, redshift_connect: Connect
) -> None:
    """The last statement of a rule is refused in these words, or gives these rows."""
    s3 = f"s3://{redshift.bucket}/rules"
    for name, data in files(s3).items():
        redshift.write_object(f"rules/{name}", data)
    if area == "Datashares":
        redshift.add_share("shared")
    broken = []
    redshift.add_user("reader", "Of-tests-2")
    connections = [redshift_connect(), redshift_connect()]
    for connection in connections:
        connection.autocommit = True
    cursor, other = (connection.cursor() for connection in connections)
    for number, rule in enumerate(AREAS[area]):
        schema = f"rule{number}"
        other.execute("ROLLBACK")
        start = ("ROLLBACK", "RESET statement_timeout", f"CREATE SCHEMA {schema}")
        for sql in (*start, f"SET search_path TO {schema}, public"):
            cursor.execute(sql)
        redshift.set_secadmin("etl")
        words = {"s3": s3, "role": redshift.iam_role, "schema": schema}
        found = outcome(rule, cursor, other, words, redshift)
        holds = rule.answer in found if rule.kind == "refused" else rule.answer == found
        if not holds:
            broken.append(f"{rule.says}: {found!r} is not {rule.answer!r}")
    assert broken == []


def test_rules_are_told_apart() -> None:
    """No rule is listed twice, and each is one sentence."""
    says = [rule.says for rules in AREAS.values() for rule in rules]
    assert len(says) == len(set(says))
    assert [one for one in says if one.endswith(".")] == []


def test_the_code_names_the_pages_of_its_rules() -> None:
    """Where a rule is enforced, the page is named that says so."""
    code = "\n".join(
        path.read_text("utf-8")
        for path in sorted(CODE.rglob("*"))
        if path.suffix in (".py", ".sql") and path.parent.name != "rules"
    )
    sources = {rule.named for rules in AREAS.values() for rule in rules}
    assert (
        sorted(one for one in sources if not re.search(rf"{re.escape(one)}(?![\w-])", code)) == []
    )


# --- the list in the page -------------------------------------------------------------------

PAGE = CODE.parent / "README.md"
MARKER = re.compile(r"(<!-- generated: ([\w ]+) -->\n)(.*?)(?=<!-- end -->)", re.DOTALL)
USUAL = re.compile(r"CREATE TABLE [ts] \(a integer, b varchar\(10\)\)")
"""Tables that many rules begin with."""


def rules_listed() -> str:
    """The table of rules, by areas."""
    lines = []
    for area, rules in AREAS.items():
        lines += [f"### {area}", "", "| rule | shown by | answer |", "|---|---|---|"]
        for rule in rules:
            told = [
                one.removeprefix("?").replace("{schema}.", "")
                for one in rule.statements
                if not USUAL.fullmatch(one)
            ]
            answer = f"error: `{rule.answer}`" if rule.kind == "refused" else f"`{rule.answer}`"
            cells = [
                f"[{rule.says}]({rule.link})",
                f"`{'; '.join(told)}`",
                answer if rule.answer else "no rows",
            ]
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    return "\n".join(lines)


def not_implemented() -> str:
    """What Redshift does and the stand-in refuses by name, from the calls that refuse it."""
    found = set()
    for path in CODE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "not_implemented":
                (argument,) = node.args
                parts = argument.values if isinstance(argument, ast.JoinedStr) else [argument]
                words = [str(one.value) if isinstance(one, ast.Constant) else "…" for one in parts]
                found.add("".join(words))
    return "".join(f"- {one}\n" for one in sorted(found, key=str.lower))


def test_the_page_lists_every_rule() -> None:
    """The page lists the rules, and what is not implemented; ACCEPT=1 writes both."""
    made = {"rules": rules_listed, "not implemented": not_implemented}
    text = PAGE.read_text("utf-8")
    assert set(made) == {found[2] for found in MARKER.finditer(text)}
    expect(PAGE, MARKER.sub(lambda found: found[1] + made[found[2]](), text))
