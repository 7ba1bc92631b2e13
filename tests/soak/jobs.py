"""What each load of the soak brings: a pure function of seed, worker and number of the load."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

Row = tuple[Any, ...]
Contents = dict[int, Row]
"""The rows of a table by their primary key."""

SCHEMA = "soak"
WORKERS = 3

COLUMNS: tuple[Mapping[str, Any], ...] = (
    {"name": "id", "data_type": "bigint"},
    {"name": "p", "data_type": "varchar(9)"},
    {"name": "number", "data_type": "integer"},
    {"name": "rank", "data_type": "integer"},
    {"name": "text", "data_type": "varchar(400)"},
    {"name": "amount", "data_type": "decimal(18,4)"},
    {"name": "at", "data_type": "timestamp"},
    {"name": "seen", "data_type": "timestamptz"},
    {"name": "flag", "data_type": "boolean"},
)
NAMES = tuple(str(column["name"]) for column in COLUMNS)

BY_P: Mapping[str, Any] = {"partition_by": [{"expr": "p"}]}
LAST: Mapping[str, Any] = {"on_duplicate": "last", "order_by": ["rank"], "on_older": "overwrite"}
REJECT: Mapping[str, Any] = {"bad_rows": "reject", "max_rejects": 10}

SHARED: Mapping[str, Mapping[str, Any]] = {
    "parts": BY_P,
    "events": {"write_disposition": "append", "schema_contract": REJECT},
    "latest": {"write_disposition": "merge", "merge": LAST},
    "merged": {"write_disposition": "merge", "merge": {"strategy": "merge"}},
}
"""Tables that all workers load, each of them its own partitions and keys."""

FORMATS = ("parquet", "csv", "json")
BIG_EVERY = 20
"""One of so many loads is larger than one part of an upload to S3.

They come regularly, so that the memory they need shows in the first third of a process's life.
"""


def table_names() -> list[str]:
    """All tables: the shared ones, and one of each worker that is replaced as a whole."""
    return [*SHARED, *(f"whole{worker}" for worker in range(WORKERS))]


def make_specs(seed: int) -> dict[str, dict[str, Any]]:
    """The spec of each table; formats and what is kept of failed loads vary with the seed."""
    found = {}
    for place, name in enumerate(table_names()):
        form = FORMATS[(place + seed) % len(FORMATS)]
        # A large file of one table is an upload in parts; the others are many small files.
        size = "64MB" if name.startswith("whole") else "64KB"
        staging = {"format": form, "compression": "none", "file_size": size}
        if name not in ("parts", "latest"):
            staging["keep"] = "never"
        found[name] = {
            "schema": SCHEMA,
            "name": name,
            "columns": [dict(column) for column in COLUMNS],
            "primary_key": ["id"],
            **SHARED.get(name, {}),
            "staging": staging,
        }
    return found


@dataclass(frozen=True)
class Job:
    """One load: its table and partition, the rows that fit, and those that do not."""

    worker: int
    number: int
    table: str
    partition: str | None
    rows: tuple[Row, ...]
    bad: tuple[Row, ...]

    @property
    def load_id(self) -> str:
        """The load id, which names worker and number."""
        return f"w{self.worker}-{self.number}"

    @property
    def rejects(self) -> bool:
        """Whether rows that do not fit are rejected, instead of failing the load."""
        return self.table == "events"

    @property
    def keeps_failed(self) -> bool:
        """Whether staged files stay when the load fails."""
        return self.table in ("parts", "latest")


def choose_table(seed: int, worker: int, number: int) -> str:
    """The table of the load of that worker and number."""
    own = f"whole{worker}"
    return (
        own
        if _is_big(number)
        else random.Random(f"{seed} {worker} {number} table").choice([*SHARED, own])
    )


def _is_big(number: int) -> bool:
    return number % BIG_EVERY == 5


def make_job(seed: int, worker: int, number: int) -> Job:
    """The load of that worker and number."""
    chance = random.Random(f"{seed} {worker} {number}")
    table, big = choose_table(seed, worker, number), _is_big(number)
    partition = f"w{worker}{chance.choice('abc')}" if table == "parts" else None
    count = 24_000 if big else chance.choice([1, 40, 300, 900])
    ids = _choose_ids(chance, table, worker, number, partition, count)
    p = partition or f"w{worker}"
    rows = [_make_row(chance, key, p, number, rank, big) for rank, key in enumerate(ids)]
    bad = []
    if table == "events" and chance.random() < 0.25:
        for place in range(chance.randint(1, 5)):
            row = list(_make_row(chance, ids[0] + 50_000 + place, p, number, place, False))
            row[NAMES.index("text")] = "too long " * 60
            bad.append(tuple(row))
    return Job(worker, number, table, partition, tuple(rows), tuple(bad))


def _choose_ids(
    chance: random.Random, table: str, worker: int, number: int, partition: str | None, count: int
) -> list[int]:
    base = worker * 10**12
    if table == "events":
        return list(range(base + number * 100_000, base + number * 100_000 + count))
    if table == "parts":
        base += 10**9 * (1 + "abc".index((partition or "a")[-1]))
        return list(range(base, base + count))
    if table.startswith("whole"):
        return list(range(count))
    ids = chance.sample(range(base, base + 3_000), count)
    if table == "latest":  # some keys are there twice; the later one counts
        ids += chance.sample(ids, count // 20)
    return ids


_TEXTS = ("a,b;c\t|", 'say "so"', "it's", "back\\slash", "two\nlines", "Zürich ✓ 東京 🙂", "NULL")
_START = datetime(2020, 2, 28, 23, 59, 58, 123456)


def _make_row(chance: random.Random, key: int, p: str, number: int, rank: int, big: bool) -> Row:
    noise = f"{chance.getrandbits(1_400):x}" if big else f"{chance.getrandbits(160):x}"
    text = f"{chance.choice(_TEXTS)} {noise}"
    moment = _START + timedelta(microseconds=chance.randrange(10**14))
    return (
        key,
        p,
        number,
        rank,
        None if chance.random() < 0.1 else text,
        None if chance.random() < 0.1 else Decimal(chance.randrange(-(10**14), 10**14)).scaleb(-4),
        None if chance.random() < 0.1 else moment,
        None if chance.random() < 0.1 else moment.replace(tzinfo=UTC),
        chance.choice([True, False, None]),
    )


def fold(jobs: Iterable[Job]) -> Contents:
    """What a table holds after the loads of one worker, in their order."""
    held: Contents = {}
    for job in jobs:
        new = {row[0]: row for row in job.rows}  # of rows with one key the last has the most rank
        if job.table.startswith("whole"):
            held = new
        elif job.table == "parts":
            held = {key: row for key, row in held.items() if row[1] != job.partition} | new
        else:
            held |= new
    return held
