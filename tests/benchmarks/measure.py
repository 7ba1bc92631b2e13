"""Runs a case in a process of its own and watches the memory of its process tree."""

import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from tests.benchmarks import cache
from tests.benchmarks.cases import Command, Load, Many, Objects
from tests.benchmarks.s3server import S3Server, ServerError, serve

REPOSITORY = Path(__file__).parents[2]
INTERVAL = 0.02
QUIET = {
    "DAGSTER_DISABLE_TELEMETRY": "yes",
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    "NO_COLOR": "1",
    "PYTHONDONTWRITEBYTECODE": "",  # programs as people run them, compiled
    "PYTHONWARNINGS": "ignore",
    "RUNTIME__DLTHUB_TELEMETRY": "false",
}


@dataclass(frozen=True)
class Run:
    """What one run of a case took, and how busy others kept the machine meanwhile."""

    seconds: float
    peak_mb: float
    other_cores: float
    before_mb: float | None = None
    start_seconds: float | None = None
    rows: int | None = None


class CaseError(Exception):
    """A case that did not end well; the message holds the end of what it printed."""


def run_load(case: Load, data: Path, sample: Path) -> Run:
    """Run a load; its clock starts after imports, a warm-up and the making of the frame."""
    with _folder() as folder:
        result = folder / "result.json"
        worker = f"tests.benchmarks.workers.{case.worker}"
        options = {"data": data, "sample": sample, "folder": folder, "result": result}
        command = [str(cache.python(case.environment)), "-m", worker, "--source", case.source]
        for name, path in options.items():
            command += [f"--{name}", str(path)]
        try:
            with serve(folder, case.s3) if case.s3 else contextlib.nullcontext() as server:
                os.sync()
                watched = watch(command, log=folder / "log", server=server)
        except ServerError as error:
            raise CaseError(str(error)) from error
        told = json.loads(result.read_text())
    return _timed(watched, told, pq.read_metadata(data).num_rows)


def run_objects(case: Objects) -> Run:
    """Run a load in place of objects that a server makes of one file."""
    with _folder() as folder:
        result, file = folder / "result.json", folder / "object.parquet"
        _write_object(file, case.rows)
        worker = "tests.benchmarks.workers.in_place_objects"
        command = [sys.executable, "-m", worker, "--folder", str(folder), "--result", str(result)]
        try:
            with serve(folder, "lake", str(file), str(case.objects)) as server:
                watched = watch(command, log=folder / "log", server=server)
        except ServerError as error:
            raise CaseError(str(error)) from error
        told = json.loads(result.read_text())
    return _timed(watched, told, case.rows * case.objects)


def _write_object(path: Path, rows: int) -> None:
    """A Parquet file of about 24 bytes for each row, which no compression makes smaller."""
    chance = random.Random(0)
    columns = {
        "id": pa.array([chance.getrandbits(62) for _ in range(rows)], pa.int64()),
        "day": pa.array([chance.getrandbits(12) for _ in range(rows)], pa.date32()),
        "v": pa.array([f"{chance.getrandbits(48):012x}" for _ in range(rows)]),
    }
    pq.write_table(pa.table(columns), path, compression="none", use_dictionary=False)


def _timed(watched: "Watched", told: dict[str, Any], expected: int) -> Run:
    """The run that a worker has told of, whose table must hold the expected rows."""
    if told["rows"] != expected:
        raise CaseError(f"{told['rows']} rows in the table instead of {expected}")
    during = watched.between(told["started"], told["finished"])
    return Run(
        seconds=told["finished"] - told["started"],
        peak_mb=max(sample.megabytes for sample in during),
        other_cores=_other_cores(during),
        before_mb=during[0].megabytes,
        start_seconds=told["imported"] - watched.started + told["warm_up_seconds"],
        rows=told["rows"],
    )


def run_command(case: Command) -> list[Run]:
    """Run a command line several times, from process start to end."""
    program = cache.python(case.environment).with_name(case.program)
    runs = []
    for _ in range(case.runs):
        with _folder() as folder:
            command, where = [str(program), *case.arguments], REPOSITORY
            if isinstance(case.project, Many):
                where = cache.project(case.project.form, case.project.tables)
            elif case.project is not None:
                where = folder / "job"
                shutil.copytree(cache.job(case.project.form), where)
                if case.project.again:
                    watch(command, log=folder / "log", where=where)
            watched = watch(command, log=folder / "log", where=where)
        runs.append(
            Run(
                seconds=watched.finished - watched.started,
                peak_mb=max(sample.megabytes for sample in watched.samples),
                other_cores=_other_cores(watched.samples),
            )
        )
    return runs


@dataclass(frozen=True)
class Sample:
    """The memory of a process tree at a moment, and what all others had computed by then."""

    at: float
    megabytes: float
    other_cpu_seconds: float


@dataclass(frozen=True)
class Watched:
    """A process that ended: when it ran, and its samples."""

    started: float
    finished: float
    samples: list[Sample]

    def between(self, start: float, end: float) -> list[Sample]:
        """The samples of a span of time, and the last one before it."""
        earlier = [sample for sample in self.samples if sample.at <= start]
        return earlier[-1:] + [sample for sample in self.samples if start < sample.at <= end]


def watch(
    command: Sequence[str], log: Path, server: S3Server | None = None, where: Path = REPOSITORY
) -> Watched:
    """Run a process to its end and sample the memory of it and its children.

    What the server computes meanwhile is neither theirs nor other work.
    """
    samples: list[Sample] = []
    ended = threading.Event()
    environment = os.environ | QUIET | {"PYTHONPYCACHEPREFIX": str(cache.folder() / "bytecode")}
    if server is not None:
        ours = {name: value for name, value in environment.items() if not name.startswith("AWS_")}
        environment = ours | server.environment
    with log.open("w") as output:
        started = time.monotonic()
        try:
            process = subprocess.Popen(
                command, cwd=where, env=environment, stdout=output, stderr=subprocess.STDOUT
            )
        except OSError as error:
            raise CaseError(f"cannot start `{command[0]}`: {error.strerror}") from error
        served_by = server.pid if server is not None else None
        sampler = threading.Thread(target=_sample, args=(process.pid, served_by, samples, ended))
        sampler.start()
        try:
            code = process.wait()
            finished = time.monotonic()
        finally:
            process.kill()
            ended.set()
            sampler.join()
    if code != 0:
        raise CaseError(f"exit code {code}\n" + "\n".join(log.read_text().splitlines()[-15:]))
    return Watched(started, finished, samples or [Sample(started, 0, 0)])


def _sample(
    pid: int, server_pid: int | None, samples: list[Sample], ended: threading.Event
) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        server = psutil.Process(server_pid) if server_pid is not None else None
        while not ended.wait(INTERVAL):
            used = [_used(process) for process in (root, *root.children(recursive=True))]
            megabytes = sum(resident for resident, _ in used) / 1e6
            ours = sum(cpu for _, cpu in used) + (_used(server)[1] if server else 0)
            others = _busy(psutil.cpu_times()) - ours
            samples.append(Sample(time.monotonic(), megabytes, others))


def _used(process: psutil.Process) -> tuple[int, float]:
    try:
        with process.oneshot():
            return process.memory_info().rss, _busy(process.cpu_times())
    except psutil.NoSuchProcess:
        return 0, 0.0


def _busy(times: Any) -> float:
    return float(times.user + times.system)


def _other_cores(samples: Sequence[Sample]) -> float:
    first, last = samples[0], samples[-1]
    seconds = last.at - first.at
    return max(last.other_cpu_seconds - first.other_cpu_seconds, 0) / seconds if seconds else 0.0


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    work = cache.folder() / "work"
    work.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=work))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
