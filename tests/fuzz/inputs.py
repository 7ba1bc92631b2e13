"""The kinds of inputs: what is valid of each, how it is changed, and which commands read it."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import yaml

from tests.fuzz.mutations import (
    WORDS,
    as_json,
    hostile,
    mutated_bytes,
    mutated_text,
    mutated_tree,
)

ROOT = Path(__file__).parents[2]
CASES = ROOT / "tests" / "cases"


@dataclass(frozen=True)
class Case:
    """Files to be written into a project, and the words of a command."""

    files: dict[str, bytes]
    command: list[str]


SPEC = """\
version: 1
schema: s
name: t
description: Of every type.
columns:
  - {name: id, data_type: bigint}
  - {name: day, data_type: date, nullable: false}
  - {name: at, data_type: timestamp}
  - {name: seen, data_type: timestamptz}
  - {name: amount, data_type: "decimal(12,2)"}
  - {name: ratio, data_type: double precision}
  - {name: small, data_type: smallint, default: 0}
  - {name: flag, data_type: boolean}
  - {name: word, data_type: varchar(20)}
  - {name: doc, data_type: super}
  - {name: raw, data_type: varbyte(8)}
primary_key: [id]
partition_by:
  - {expr: day, grain: day}
"""

_KEYED = """\
version: 1
schema: s
name: {name}
columns:
  - {{name: id, data_type: bigint}}
  - {{name: k, data_type: {type}}}
  - {{name: j, data_type: varchar(9)}}
partition_by:
  - {{name: k, expr: k{more}}}
"""

KEYED = {
    f"k{at}": _KEYED.format(name=f"k{at}", type=kind, more=more)
    for at, (kind, more) in enumerate(
        [
            *(("date", f", grain: {grain}") for grain in ("day", "week", "month", "year")),
            *(
                ("timestamptz", f", grain: {grain}, timezone: America/New_York")
                for grain in ("hour", "day", "quarter")
            ),
            ("timestamp", ", grain: hour, format: '%Y-%m-%d-%H:%M'"),
            ("integer", ""),
            ("decimal(10,3)", ""),
            ("boolean", ""),
            ("varchar(10)", ""),
            ("varchar(10)", "}\n  - {name: j, expr: j"),
            ("date", ", grain: day}\n  - {name: j, expr: j"),
        ]
    )
}

PROJECT = {
    "loader.toml": b'[targets.local]\ntype = "duckdb"\n',
    "specs/t.yml": SPEC.encode(),
}
"""What every case finds in its folder."""

_CHANGED = {
    "specs/t.yml": SPEC.replace("varchar(20)", "varchar(30)")
    .replace("smallint", "integer")
    .encode(),
    "specs/u.yml": SPEC.replace("name: t\n", "name: u\n").encode(),
}
"""What a saved plan was made for: columns of other types, and a table that is new."""

WAREHOUSE = ".loader/warehouse.duckdb"
LIVE = ("apply", "read", "history", "load", "--live", "--table")
"""Words of commands that find the table loaded already."""

_CSV = '''\
id,day,at,seen,amount,ratio,small,flag,word,doc,raw
1,2026-01-01,2026-01-01 10:00:00,2026-01-01T10:00:00Z,19.90,0.5,1,true,Ada,"{""a"": [1, null]}",00ff
2,2026-01-01,,2026-01-01 10:00:00.123+02,-7.5,1e10,7,false,"a ""quoted"" word",[],
3,2026-01-02,2026-01-02,2026-01-02 10:00:00+00,120,1e-3,-5,t,,"""x""",DEAD
'''

_OTHER_CSV = ("a;b;c\n1,5;x;\n2;'y';z\n", "a\tb\n1\t2\n", "x\n\n\n", "sep=;\na;b\n1;2\n")

_ROWS: list[dict[str, Any]] = [
    {"id": 1, "day": "2026-01-01", "at": "2026-01-01T10:00:00", "amount": 19.90, "word": "Ada"},
    {"id": 2, "day": "2026-01-01", "doc": {"a": [1, None, {"b": "\ud83d\ude00"}]}, "flag": True},
    {"id": 3, "day": "2026-01-02", "seen": "2026-01-02T00:00:00Z", "ratio": 1e300, "raw": "00ff"},
]


def _table() -> Any:
    import pyarrow as pa

    return pa.table(
        {
            "id": pa.array([1, 2, 3], pa.int64()),
            "day": pa.array([date(2026, 1, 1)] * 2 + [date(2026, 1, 2)]),
            "at": pa.array([datetime(2026, 1, 1, 10), None, datetime(2026, 1, 2)]),
            "seen": pa.array([datetime(2026, 1, 1, tzinfo=UTC)] * 3, pa.timestamp("ns", "UTC")),
            "amount": pa.array([Decimal("19.90"), None, Decimal("-1.00")], pa.decimal128(12, 2)),
            "ratio": pa.array([0.5, float("nan"), None]),
            "flag": pa.array([True, False, None]),
            "word": pa.array(["Ada", None, "x" * 20]).dictionary_encode(),
            "doc": pa.array([{"a": [1, 2]}, {"a": []}, None]),
            "raw": pa.array([b"\0\xff", b"", None]),
        }
    )


def _parquet() -> list[bytes]:
    import pyarrow.parquet as pq

    found = []
    for options in ({}, {"compression": "none", "data_page_version": "2.0"}, {"version": "1.0"}):
        sink = io.BytesIO()
        pq.write_table(_table(), sink, row_group_size=2, **options)
        found.append(sink.getvalue())
    return found


def _arrow() -> list[bytes]:
    import pyarrow as pa

    found = []
    for make in (pa.ipc.new_file, pa.ipc.new_stream):
        for compression in (None, "zstd"):
            sink = io.BytesIO()
            options = pa.ipc.IpcWriteOptions(compression=compression)
            with make(sink, _table().schema, options=options) as writer:
                writer.write_table(_table(), max_chunksize=2)
            found.append(sink.getvalue())
    return found


def corpus() -> dict[str, list[bytes]]:
    """The valid inputs of each kind; made where threads and files of making them harm nobody."""
    import bz2
    import gzip

    specs = [*(ROOT / "specs").rglob("*.yml"), *(CASES / "specs" / "good").glob("*.yml")]
    contracts = [*(CASES / "contracts").glob("*.yml"), *(CASES / "contracts").glob("*.yaml")]
    lines = "\n".join(json.dumps(row) for row in _ROWS).encode()
    csv = [text.encode() for text in (_CSV, *_OTHER_CSV)]
    csv += [_CSV.encode("utf-16"), gzip.compress(csv[0]), bz2.compress(csv[0])]
    from loader.scaffold import _SETTINGS

    return {
        "spec": [path.read_bytes() for path in sorted(specs)] + [SPEC.encode()],
        "contract": [path.read_bytes() for path in sorted(contracts)],
        "settings": [_SETTINGS.encode(), PROJECT["loader.toml"]],
        "template": [p.read_bytes() for p in sorted((ROOT / "templates").rglob("*.sql.j2"))],
        "csv": csv,
        "json": [lines, json.dumps(_ROWS).encode(), gzip.compress(lines)],
        "parquet": _parquet(),
        "arrow": _arrow(),
        **_saved_plan(),
    }


def _saved_plan() -> dict[str, list[bytes]]:
    """A plan that was saved with ``--live``, and the warehouse that it was saved for."""
    commands = [
        ["load", "s/t", "t.csv", "--partition", "auto"],
        ["plan", "--live", "-o", "p.json"],
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, {**PROJECT, "t.csv": _CSV.encode()})
        for command in commands:
            done = subprocess.run(
                [sys.executable, "-m", "loader", *command, "-q"],
                cwd=folder,
                env={"PYTHONPATH": str(ROOT), "PATH": ""},
                capture_output=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            write(folder, _CHANGED)
        found = {"plan": folder / "p.json", "warehouse": folder / WAREHOUSE}
        return {kind: [path.read_bytes()] for kind, path in found.items()}


def write(folder: Path, files: dict[str, bytes]) -> None:
    """Write files below a folder."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


Make = Callable[[Random, Sequence[bytes]], Case]


def _words(chance: Random, data: bytes, seeds: Sequence[bytes], parse: Any, dump: Any) -> bytes:
    """A text changed by its bytes, by its words, or by what it says."""
    match chance.randrange(5):
        case 0:
            return mutated_bytes(chance, data, seeds)
        case 1:
            text = data.decode("utf-8", "replace")
            others = [seed.decode("utf-8", "replace") for seed in seeds]
            return mutated_text(chance, text, others).encode("utf-8", "surrogatepass")
        case _:
            tree = mutated_tree(chance, parse(data), [parse(chance.choice(seeds))])
            return bytes(dump(tree).encode("utf-8", "surrogatepass"))


def _yaml(tree: Any) -> str:
    return yaml.dump(tree, allow_unicode=True, sort_keys=False)


def _any_yaml(data: bytes) -> Any:
    return next(yaml.load_all(data, Loader=yaml.CSafeLoader))


def _spec(chance: Random, seeds: Sequence[bytes]) -> Case:
    data = _words(chance, chance.choice(seeds), seeds, _any_yaml, _yaml)
    command = chance.choice(
        [
            *[["validate"], ["validate", "--format", "json"], ["validate", "--format", "github"]],
            *[["plan", "-q"], ["plan", "--format", "json", "--target", "prod"]],
            *[["plan", "--format", "markdown"], ["plan", "specs/x.yml", "--full-refresh"]],
            *[["export", "--to", "odcs"], ["export", "--to", "dbt"], ["docs", "-o", "site"]],
            *[["load", "specs/x.yml", "t.csv", "--partition", "auto"], ["plan", "--live"]],
            *[["plan", "specs/x.yml", "--from", "t.csv"]],
        ]
    )
    return Case({"specs/x.yml": data, "t.csv": _CSV.encode(), **_PROD}, command)


_PROD = {
    "loader.toml": b'[targets.local]\ntype = "duckdb"\n[targets.prod]\ntype = "redshift"\n'
    b'host = "h"\ndatabase = "d"\nuser = "u"\npassword = "p"\niam_role = "r"\nstaging = "s3://b/k"\n'
}


def _contract(chance: Random, seeds: Sequence[bytes]) -> Case:
    data = _words(chance, chance.choice(seeds), seeds, _any_yaml, _yaml)
    more = chance.choice([[], ["--format", "json"], ["--schema", "s"], ["-o", "out", "--force"]])
    more = [*more, *chance.choice([[], [], ["--from", "dbt"], ["--from", "odcs"], ["-v"]])]
    return Case({"c.yml": data}, ["import", "c.yml", *more])


def _toml(tree: Any) -> str:
    return "".join(f"{json.dumps(str(key))} = {_inline(item)}\n" for key, item in tree.items())


def _inline(item: Any) -> str:
    if isinstance(item, dict):
        inner = ", ".join(f"{json.dumps(str(key))} = {_inline(one)}" for key, one in item.items())
        return "{" + inner + "}"
    if isinstance(item, list):
        return "[" + ", ".join(map(_inline, item)) + "]"
    if isinstance(item, date | datetime):
        return item.isoformat()
    if isinstance(item, float):
        return repr(item)
    return json.dumps(item if item is not None else "", ensure_ascii=False)


def _any_toml(data: bytes) -> Any:
    return tomllib.loads(data.decode())


def _settings(chance: Random, seeds: Sequence[bytes]) -> Case:
    data = chance.choice(seeds)
    data = _words(
        chance, data, seeds, _any_toml, lambda tree: _toml(tree) if isinstance(tree, dict) else ""
    )
    # A path from the root of the disk would lead out of the folder of the case.
    data = re.sub(rb"""(["'])[/~]+""", rb"\1", data)
    name, head = chance.choice([("loader.toml", b""), ("pyproject.toml", b"")])
    if name == "pyproject.toml":
        data = data.replace(b"[targets", b"[tool.loader.targets")
        head = b"[tool.loader]\n"
    command = chance.choice(
        [
            *[["validate"], ["plan", "-q"], ["plan", "--target", "prod", "-q"], ["plan", "--live"]],
            *[["history"], ["read", "s/t"], ["apply", "s/t"], ["doctor", "--target", "local"]],
            ["load", "s/t", "t.csv", "--partition", "auto"],
        ]
    )
    return Case({name: head + data, "t.csv": _CSV.encode()}, command)


def _template(chance: Random, seeds: Sequence[bytes]) -> Case:
    at = chance.randrange(len(seeds))
    names = sorted(
        path.relative_to(ROOT).as_posix() for path in (ROOT / "templates").rglob("*.sql.j2")
    )
    data = seeds[at]
    if chance.random() < 0.5:
        others = [seed.decode() for seed in seeds]
        data = mutated_text(chance, data.decode(), others).encode("utf-8", "surrogatepass")
    else:
        data = mutated_bytes(chance, data, seeds)
    name = names[at] if chance.random() < 0.9 else chance.choice(names)
    command = chance.choice([["validate"], ["plan", "s/t"], ["plan", "--target", "prod", "-q"]])
    return Case({name: data, **_PROD}, command)


def _rows(suffixes: Sequence[str]) -> Make:
    def make(chance: Random, seeds: Sequence[bytes]) -> Case:
        data = chance.choice(seeds)
        if data.isascii() and chance.random() < 0.5:
            others = [seed.decode("utf-8", "replace") for seed in seeds]
            data = mutated_text(chance, data.decode(), others).encode("utf-8", "surrogatepass")
        elif data[:1] in b"{[" and chance.random() < 0.6:
            rows = [json.loads(line) for line in data.splitlines()]
            data = "\n".join(as_json(row) for row in mutated_tree(chance, rows, [rows])).encode()
        else:
            data = mutated_bytes(chance, data, seeds)
        name = f"d.{chance.choice(suffixes)}"
        read = ["load", "s/t", name, "--partition", "auto"]
        if chance.random() < 0.95:
            read = ["plan", "s/t", "--from", name, "-q", "--partition", "auto"]
        infer = ["infer", name, *chance.choice([[], [], ["--encoding", "utf-16"]])]
        return Case({name: data}, chance.choice([read, infer]))

    return make


def _saved(chance: Random, seeds: Sequence[bytes]) -> Case:
    from loader.plan.plan_file import _seal

    data = chance.choice(seeds)
    if chance.random() < 0.3:
        data = mutated_bytes(chance, data, seeds)
    else:
        tree = mutated_tree(chance, json.loads(data), [json.loads(data)])
        marks = tree.get("fingerprint") if isinstance(tree, dict) else None
        if isinstance(marks, dict):
            # As somebody would seal it who means harm.
            marks["seal"] = _seal(json.loads(as_json(tree)))
        data = as_json(tree).encode("utf-8", "surrogatepass")
    return Case({"p.json": data, **_CHANGED}, ["apply", "p.json"])


def _keys(chance: Random, _: Sequence[bytes]) -> Case:
    key = chance.choice(("2026-01-01", "2026-01", "2026-01-01-10:00", "5", "1.5", "true", "x"))
    match chance.randrange(4):
        case 0:
            key = chance.choice(WORDS)
        case 1:
            key = mutated_text(chance, key, [key, "2026-01-01..2026-02-01"])
        case 2:
            key = f"{key}..{chance.choice((key, chance.choice(WORDS)))}"
        case _:
            key = f"{chance.choice(('k', 'j', chance.choice(WORDS)))}={key}"
    words = [f"--partition={key}"] * chance.choice((1, 1, 2, 300))
    if chance.random() < 0.2:
        words.append(f"--partition={chance.choice(WORDS)}")
    command = ["plan", f"s/{chance.choice([*KEYED, 't'])}", *words]
    if chance.random() < 0.3:
        command += ["--format", chance.choice(("json", "sql", "markdown"))]
    specs = {f"specs/{name}.yml": text.encode() for name, text in KEYED.items()}
    return Case(specs, [word.replace("\0", "")[:100_000] for word in command])


def _arguments(chance: Random, _: Sequence[bytes]) -> Case:
    def word() -> str:
        return str(hostile(chance)).replace("\0", "")[:100_000]

    command = chance.choice(
        [
            *[["plan", word()], ["plan", "--target", word()], ["validate", word(), word()]],
            *[["read", "s/t", "--columns", word()], ["read", word()], ["history", word()]],
            *[["plan", "s/t", "--load-id", word()], ["plan", "--project", word()]],
            *[["plan", "-o", word()], ["infer", word()], ["infer", "--table", word()]],
            *[["infer", "t.csv", "--name", word()], ["infer", "t.csv", "--encoding", word()]],
            *[["load", "s/t", word()], ["load", "s/t", "t.csv", "--load-id", word()]],
            *[["import", word()], ["import", "t.csv", "--schema", word()], ["apply", word()]],
            *[["export", "--to", "odcs", "-o", word()], ["apply", "--allow-destructive", word()]],
            *[[word(), word()], ["schema", word()], ["docs", "-o", word()], ["init", word()]],
        ]
    )
    return Case({"t.csv": _CSV.encode()}, command)


KINDS: dict[str, Make] = {
    "spec": _spec,
    "contract": _contract,
    "settings": _settings,
    "template": _template,
    "csv": _rows(("csv", "csv", "tsv", "txt", "csv.gz")),
    "json": _rows(("json", "jsonl", "ndjson", "x")),
    "parquet": _rows(("parquet", "parquet", "x")),
    "arrow": _rows(("arrow", "feather", "x")),
    "plan": _saved,
    "keys": _keys,
    "arguments": _arguments,
}


def case(kind: str, seed: int, number: int, seeds: dict[str, list[bytes]]) -> Case:
    """A case, which is the same whenever it is asked for."""
    chance = Random(f"{kind} {seed} {number}")
    made = KINDS[kind](chance, seeds.get(kind, ()))
    files = {**PROJECT, **made.files}
    if set(LIVE) & set(made.command):
        files[WAREHOUSE] = seeds["warehouse"][0]
    return Case(files, made.command)
