"""What must hold when all workers of a soak have ended."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from loader.project import Project
from loader.warehouse.registry import open_staging
from tests.soak.bench import Bench, Place, count_locks, find_sessions
from tests.soak.jobs import NAMES, SCHEMA, Contents, Job, choose_table, fold, make_job, table_names
from tests.soak.samples import find_growth

SHOWN = 3
"""How many differences of one table are told."""


def find_problems(bench: Bench) -> list[str]:
    """Everything that must not be, one line each."""
    found = [*bench.findings]
    for place in bench.places:
        place.journal.read()
        found += [
            f"{event['load_id']} of {event['table']} (worker {place.orders.worker}):"
            f" {event['what']}"
            for event in place.journal.findings
        ]
        if not place.journal.counts["loaded"]:
            found.append(f"worker {place.orders.worker} has loaded nothing: give it more time")
    found += _check_sessions(bench)
    found += _check_samples(bench)
    loaded = _read_ledger(bench.project)
    found += _check_ledger(bench, loaded)
    for table in table_names():
        found += _check_table(bench, table, loaded)
    found += _check_staging(bench)
    return found


def _check_sessions(bench: Bench) -> Iterator[str]:
    if bench.stand_in is None:
        return
    ends = time.monotonic() + 15
    while (left := find_sessions(bench.stand_in)) and time.monotonic() < ends:
        time.sleep(0.2)
    yield from (f"a session is left: {one}" for one in left)
    if locks := count_locks(bench.stand_in):
        yield f"{locks} locks of ledgers are held"


def _check_samples(bench: Bench) -> Iterator[str]:
    for name, values in bench.samples.items():
        if name != "temporary" and (told := find_growth(name, values)):
            yield told
    for place in bench.places:
        for pid, rests in place.journal.rests.items():
            for name in ("rss", "held", "fds", "threads", "native"):
                if told := find_growth(name, [rest[name] for rest in rests]):
                    yield f"worker {place.orders.worker}, process {pid}: {told}"
    temporary = bench.find_temporary()
    if len(temporary) > bench.counts["SIGKILL"]:
        yield f"more temporary files are left than workers were killed: {sorted(temporary)[:9]}"


# --- the ledger


def _read_ledger(project: Project) -> Counter[tuple[str, str, int]]:
    entries = project.history(limit=10_000_000)
    return Counter((entry.table_name, entry.load_id, entry.rows_loaded) for entry in entries)


def _check_ledger(bench: Bench, loaded: Counter[tuple[str, str, int]]) -> Iterator[str]:
    twice = {key: count for key, count in loaded.items() if count > 1}
    yield from (f"{key} is in the ledger {count} times" for key, count in twice.items())
    known = set()
    for place in bench.places:
        for number, story in place.journal.stories.items():
            job = make_job(bench.seed, place.orders.worker, number)
            key = (job.table, job.load_id, len(job.rows))
            known.add(key)
            if story.loaded and key not in loaded:
                yield f"{job.load_id} of {job.table} was told as loaded; the ledger has it not"
            if key in loaded and not (story.loaded or story.uncertain):
                yield f"{job.load_id} of {job.table} is in the ledger; all its attempts failed"
            if story.attempts and not story.settled:
                yield f"{job.load_id} of {job.table} was never ended"
    yield from (f"nobody has loaded {key}, which is in the ledger" for key in loaded.keys() - known)


# --- the tables


def _jobs_of(
    bench: Bench, place: Place, table: str, loaded: Counter[tuple[str, str, int]]
) -> Iterator[Job]:
    """The loads of one worker that the ledger has, in order."""
    for number in sorted(place.journal.stories):
        if choose_table(bench.seed, place.orders.worker, number) == table:
            job = make_job(bench.seed, place.orders.worker, number)
            if (table, job.load_id, len(job.rows)) in loaded:
                yield job


def _check_table(bench: Bench, table: str, loaded: Counter[tuple[str, str, int]]) -> Iterator[str]:
    wanted: Contents = {}
    for place in bench.places:
        wanted |= fold(_jobs_of(bench, place, table, loaded))
    if not wanted and not any(name == table for name, _, _ in loaded):
        return
    spec = bench.project.spec(f"{SCHEMA}/{table}")
    read: Any = bench.project.read(spec, columns=NAMES, as_="arrow")
    rows = [tuple(row.values()) for row in read.to_pylist()]
    found = {row[0]: row for row in rows}
    if len(found) != len(rows):
        yield f"{table} holds {len(rows) - len(found)} rows twice"
    differs = sorted(
        key for key in found.keys() | wanted.keys() if found.get(key) != wanted.get(key)
    )
    for key in differs[:SHOWN]:
        yield f"{table}: {key} is {found.get(key)}, not {wanted.get(key)}"
    if differs:
        yield f"{table}: {len(differs)} of {len(wanted)} rows differ from the ledger's loads"


# --- what is left


def _check_staging(bench: Bench) -> Iterator[str]:
    for load_id in sorted(bench.find_unexplained())[:SHOWN]:
        yield f"{load_id} has left staged files, though nothing has gone wrong"
    broken = bench.counts["SIGKILL"] + sum(p.journal.counts["reads failed"] for p in bench.places)
    if len(unloaded := bench.find_unloaded()) > broken:
        yield f"more reads have left files than were broken: {sorted(unloaded)[:SHOWN]}"
    cleaned = bench.project.clean(timedelta(0))
    bench.counts["folders removed by clean"] += len(cleaned.removed)
    if cleaned.foreign:
        yield f"files that Loader does not know: {cleaned.foreign_keys[:SHOWN]}"
    settings = bench.project.config.settings()
    location = settings.staging
    if "://" not in location:
        location = str(bench.project.config.root / location)
    store = open_staging(location, settings)
    there = [*store.files(), *store.unfinished()]
    if left := [one for one in there if not bench.is_kept_manifest(one.key)]:
        yield f"clean has left {len(left)} files, such as {left[0].key}"
    if bench.stand_in is not None and (uploads := bench.stand_in.uploads()):
        yield f"uploads are left: {uploads[:SHOWN]}"


# --- the summary


def summarize(bench: Bench, seconds: float) -> str:
    """What a soak has done, as a table."""
    counts: Counter[str] = Counter(bench.counts)
    errors: Counter[str] = Counter()
    for place in bench.places:
        counts += place.journal.counts
        errors += place.journal.errors
    counts += Counter({f"broken: {name}": count for name, count in bench.injector.counts.items()})
    lines = [f"{bench.kind}, seed {bench.seed}, {seconds:.0f} s"]
    lines += [f"  {count:>7,}  {name}" for name, count in sorted(counts.items()) if count]
    lines += [f"  {count:>7,}  {text}" for text, count in errors.most_common()]
    for place in bench.places:
        for pid, rests in place.journal.rests.items():
            if len(rests) >= 9:
                lines.append(
                    f"  worker {place.orders.worker}, process {pid}: {_describe_life(rests)}"
                )
        peak = bench.peaks.get(place.orders.worker, 0) / 1024
        lines.append(f"  worker {place.orders.worker}: peak {peak:.0f} MB")
    for name, values in bench.samples.items():
        third = max(1, len(values) // 3)
        tail = sum(values[-third:]) / third
        lines.append(f"  {name}: at most {max(values):g}, last third {tail:.1f} on average")
    return "\n".join(lines)


def _describe_life(rests: list[dict[str, Any]]) -> str:
    quarters = [rests[place * (len(rests) - 1) // 4] for place in range(5)]
    megabytes = ", ".join(f"{rest['rss'] / 1024:.0f}" for rest in quarters)
    held = ", ".join(f"{rest['held'] / 1024:.1f}" for rest in quarters)
    fds = ", ".join(str(rest["fds"]) for rest in quarters)
    threads = ", ".join(str(rest["threads"]) for rest in quarters)
    native = ", ".join(str(rest["native"]) for rest in quarters)
    return (
        f"{len(rests)} loads; MB {megabytes}, held {held}; descriptors {fds}; threads {threads},"
        f" with those of libraries {native}"
    )
