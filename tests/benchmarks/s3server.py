"""A local S3 server in a process of its own, with one empty bucket, for one run.

It is moto's, which keeps what it is sent, a sink, which does not, or a lake of objects.
"""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.benchmarks.workers.bucket import BUCKET

Kind = Literal["moto", "sink", "lake"]

REGION = "us-east-1"
SECONDS_TO_START = 60

_COMMANDS: Mapping[Kind, Sequence[str]] = {
    "moto": ("moto.server", "-H", "127.0.0.1", "-p", "{port}"),
    "sink": ("tests.benchmarks.sinkserver", "{port}"),
    "lake": ("tests.benchmarks.lakeserver", "{port}"),
}


class ServerError(Exception):
    """The server did not start; the message holds the end of what it printed."""


@dataclass(frozen=True)
class S3Server:
    """A server that answers."""

    pid: int
    environment: dict[str, str]
    """All that boto3 needs to find it, and to look for nothing else."""


@contextlib.contextmanager
def serve(folder: Path, kind: Kind, *more: str) -> Iterator[S3Server]:
    """Start a server that keeps its objects in a folder, make the bucket, and stop it at the end.

    ``more`` are further arguments of its command.

    Moto runs on the same cores as what is measured, and so takes from it what a bucket far away
    would not; a sink takes next to nothing.
    """
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", *(part.format(port=port) for part in _COMMANDS[kind]), *more]
    spool = folder / "s3"  # objects and parts of more than 5 MB; on a disk, and gone with the run
    spool.mkdir()
    log = folder / "s3.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            env=os.environ | {"TMPDIR": str(spool)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _make_bucket(url, process, log)
        yield S3Server(process.pid, _environment(url))
    finally:
        process.kill()
        process.wait()


def _environment(url: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL_S3": url,
        "AWS_ACCESS_KEY_ID": "AKIABENCHMARK",
        "AWS_SECRET_ACCESS_KEY": "benchmark",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "NO_PROXY": "127.0.0.1",
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _make_bucket(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Make the bucket as soon as the server answers."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    asked = urllib.request.Request(f"{url}/{BUCKET}", method="PUT")
    give_up = time.monotonic() + SECONDS_TO_START
    while process.poll() is None and time.monotonic() < give_up:
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            direct.open(asked, timeout=SECONDS_TO_START).close()
            return
        time.sleep(0.1)
    raise ServerError("no S3 server\n" + "\n".join(log.read_text().splitlines()[-15:]))
