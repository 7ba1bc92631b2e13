"""The S3 store: whole objects or none, bounded memory, and errors that say what to do."""

from __future__ import annotations

import gc
import http.client
import io
import itertools
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from moto.server import ThreadedMotoServer

from loader.errors import StageError
from loader.spec.model import Staging
from loader.staging.keep import apply_keep
from loader.staging.stager import Stager
from loader.staging.stores.base import Store, StoreOptions
from loader.staging.stores.local import FolderStore
from loader.staging.stores.open import open_store

KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
TOKEN = "IQoJb3JpZ2luX2VjEXAMPLETOKEN=="
MB = 1 << 20


# ---------------------------------------------------------------- the S3 that runs here


@dataclass
class _Fault:
    """What the front says instead of S3, to requests that look like this."""

    method: str
    query: str = ""
    status: int = 503
    code: str = "SlowDown"
    message: str = "Please reduce your request rate."
    fields: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    times: int = 1_000_000
    cut: int = 0
    """Bytes that are promised and do not come."""

    def matches(self, request: _Request) -> bool:
        """Take one of the times, if it is about the request."""
        if self.times <= 0 or request.command != self.method or self.query not in request.path:
            return False
        self.times -= 1
        return True

    @property
    def body(self) -> bytes:
        error = f"<Code>{self.code}</Code><Message>{self.message}</Message>{self.fields}"
        return f"<?xml version='1.0'?><Error>{error}</Error>".encode()


class _Front(ThreadingHTTPServer):
    """Stands before moto: passes requests on, notes them, and can be told to fail them."""

    daemon_threads = True

    def __init__(self, backend: tuple[str, int]) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.backend = backend
        self.faults: list[_Fault] = []
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.gate = threading.Event()
        self.gate.set()

    def server_bind(self) -> None:
        # So that a request that waits at the gate is not in the system's buffers already.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        super().server_bind()

    @property
    def url(self) -> str:
        # A name and not an address: botocore must see to path-style itself.
        return f"http://localhost:{self.server_address[1]}"

    def methods(self, *methods: str) -> list[str]:
        return [method for method, _, _ in self.seen if method in methods]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are what some tests are about."""


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Front

    def _pass_on(self) -> None:
        front = self.server
        headers = dict(self.headers.items())
        front.seen.append((self.command, self.path, headers))
        if self.command == "PUT":
            front.gate.wait(60)
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        if len(body) < length:  # the client hung up
            self.close_connection = True
            return
        for fault in front.faults:
            if fault.matches(self):
                self._answer(fault.status, fault.headers, fault.body, fault.cut)
                return
        backend = http.client.HTTPConnection(*front.backend)
        try:
            headers.pop("Expect", None)
            backend.request(self.command, self.path, body, headers)
            answer = backend.getresponse()
            self._answer(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            backend.close()

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass_on  # noqa: N815  the server's names

    def _answer(self, status: int, headers: dict[str, str], body: bytes, cut: int = 0) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in {"content-length", "transfer-encoding", "connection"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) + cut))
        self.close_connection = self.close_connection or cut > 0
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def moto() -> Iterator[tuple[str, int]]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield server.get_host_and_port()
    server.stop()


@pytest.fixture
def front(moto: tuple[str, int]) -> Iterator[_Front]:
    with _Front(moto) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.gate.set()
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings but the test's: neither this machine's nor the ones of an instance."""
    for name in [name for name in os.environ if name.upper().startswith(("AWS_", "BOTO_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


_numbers = itertools.count()


@dataclass
class _Bucket:
    """A bucket of the test's own, seen from beside the store."""

    name: str
    client: Any

    def keys(self) -> dict[str, int]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        return {item["Key"]: item["Size"] for page in pages for item in page.get("Contents", [])}

    def uploads(self) -> list[str]:
        answer = self.client.list_multipart_uploads(Bucket=self.name)
        return [item["Key"] for item in answer.get("Uploads", [])]

    def put(self, *keys: str) -> None:
        for key in keys:
            self.client.put_object(Bucket=self.name, Key=key, Body=b"x")

    def get(self, key: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.client.get_object(Bucket=self.name, Key=key)
        answer["Body"] = answer["Body"].read()
        return answer


@pytest.fixture
def bucket(moto: tuple[str, int], _settings: None) -> _Bucket:
    name = f"acme-staging-{next(_numbers)}"
    client = _client("http://{}:{}".format(*moto))
    client.create_bucket(Bucket=name)
    return _Bucket(name, client)


@cache
def _client(url: str) -> Any:
    return boto3.session.Session().client("s3", endpoint_url=url)


@pytest.fixture
def store(front: _Front, bucket: _Bucket, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", front.url)
    return open_store(f"s3://{bucket.name}/loads")


def _noise(size: int) -> bytes:
    return os.urandom(MB) * (size // MB) + os.urandom(size % MB)


def _write(store: Store, key: str, data: bytes, piece: int = 100_000) -> None:
    with store.create(key) as file:
        for start in range(0, len(data), piece):
            file.write(data[start : start + piece])


def _write_and_raise(
    store: Store,
    key: str,
    data: bytes,
    kind: type[BaseException],
    meanwhile: Callable[[], None] = lambda: None,
) -> None:
    with store.create(key) as file:
        file.write(data)
        meanwhile()
        raise kind


def _eventually(holds: Callable[[], bool], seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.02)
    return holds()


# ---------------------------------------------------------------- files


@pytest.mark.parametrize(
    "size",
    [0, 1, 8 * MB - 1, 8 * MB, 8 * MB + 1, 20 * MB + 7],
    ids=["empty", "one", "short-of-a-part", "one-part", "a-part-and-a-byte", "20MB"],
)
def test_what_is_written_is_what_is_read(store: Store, bucket: _Bucket, size: int) -> None:
    """The object holds the bytes as they were written, whatever the number of parts."""
    data = _noise(size)
    _write(store, "nyc/flights/part-0", data)
    assert store.read("nyc/flights/part-0") == data
    stored = bucket.get("loads/nyc/flights/part-0")
    assert stored["Body"] == data
    assert "aws-chunked" not in stored.get("ContentEncoding", "")
    assert store.list("nyc") == [("nyc/flights/part-0", size)]
    assert bucket.uploads() == []


@pytest.mark.parametrize("piece", [1 << 10, 3 * MB, 20 * MB])
def test_pieces_of_any_size(store: Store, piece: int) -> None:
    """Bytes come in pieces smaller and larger than a part, from any buffer."""
    data = _noise(17 * MB + 1)
    with store.create("a") as file:
        for start in range(0, len(data), piece):
            view = memoryview(data)[start : start + piece]
            assert file.write(view) == len(view)
        assert file.tell() == len(data)
        assert file.write(pa.array([1, 2]).buffers()[1]) == 16
    assert store.read("a") == data + b"\1" + bytes(7) + b"\2" + bytes(7)


def test_the_same_over_tls(
    moto: tuple[str, int], bucket: _Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over TLS, where botocore frames the bytes for its checksums, the object is as plain."""
    with _tls(moto, tmp_path) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        with pytest.raises(StageError, match=r"certificate of .* is not trusted") as caught:
            # One that this machine does not know.
            _without_pauses(open_store(f"s3://{bucket.name}")).list("a")
        assert "AWS_CA_BUNDLE" in str(caught.value.hint)
        monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "cert.pem"))
        store = open_store(f"s3://{bucket.name}")
        for size in (10, 20 * MB):
            data = _noise(size)
            _write(store, "a", data)
            stored = bucket.get("a")
            assert stored["Body"] == data
            assert "aws-chunked" not in stored.get("ContentEncoding", "")


def test_a_file_appears_when_it_is_complete(store: Store, bucket: _Bucket) -> None:
    """Nobody lists an object that is being written."""
    with store.create("a/b") as file:
        file.write(_noise(20 * MB))
        assert _eventually(lambda: bucket.uploads() == ["loads/a/b"])
        assert store.list("a") == []
    assert store.list("a") == [("a/b", 20 * MB)]


def test_a_file_is_closed_after_its_block(store: Store) -> None:
    """Bytes that come after the block are refused, as by any file."""
    with store.create("a") as file:
        file.write(b"12")
    with pytest.raises(ValueError, match="closed"):
        file.write(b"3")
    assert store.read("a") == b"12"


@pytest.mark.parametrize("size", [0, 10, 20 * MB])
@pytest.mark.parametrize("kind", [ZeroDivisionError, KeyboardInterrupt, GeneratorExit])
def test_a_block_that_raises_leaves_nothing(
    store: Store, bucket: _Bucket, kind: type[BaseException], size: int
) -> None:
    """After any exception there is neither an object nor an unfinished upload."""

    def meanwhile() -> None:
        assert size < 8 * MB or _eventually(lambda: bucket.uploads() == ["loads/a/b"])

    with pytest.raises(kind):
        _write_and_raise(store, "a/b", _noise(size), kind, meanwhile)
    assert bucket.keys() == {}
    assert bucket.uploads() == []
    _write(store, "a/b", b"again")
    assert store.read("a/b") == b"again"


def test_giving_up_is_quick(
    moto: tuple[str, int], bucket: _Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts on their way are neither sent to their end nor retried when the file is given up."""
    # Over TLS, since else botocore reads the part before it sends it.
    with _tls(moto, tmp_path, pause=0.1) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "cert.pem"))
        store = open_store(f"s3://{bucket.name}")
        began = 0.0

        def meanwhile() -> None:
            nonlocal began
            assert _eventually(lambda: bucket.uploads() == ["a"])
            time.sleep(0.5)
            began = time.monotonic()

        with pytest.raises(ZeroDivisionError):
            _write_and_raise(store, "a", _noise(20 * MB), ZeroDivisionError, meanwhile)
        assert time.monotonic() - began < 3
    assert bucket.keys() == {}
    assert bucket.uploads() == []


def test_an_interrupt_while_the_end_is_awaited(
    store: Store, bucket: _Bucket, front: _Front
) -> None:
    """Ctrl-C that comes too late to stop an upload takes its object away again."""
    front.gate.clear()
    here = threading.get_ident()
    threading.Timer(0.5, signal.pthread_kill, (here, signal.SIGINT)).start()
    threading.Timer(1, front.gate.set).start()
    with pytest.raises(KeyboardInterrupt), store.create("a") as file:
        file.write(b"small: one request, which waits at the gate")
    assert bucket.keys() == {}


# ---------------------------------------------------------------- bounds


SCRIPT = """
import sys, threading, tracemalloc
from loader.staging.stores.open import open_store

how, root, files = sys.argv[1], sys.argv[2], int(sys.argv[3])
store = open_store(root)
block = bytes(1 << 20)

if how == "measure":
    store.list("a")  # what boto3 itself takes
    tracemalloc.start()
    def write(number):
        with store.create(f"a/{number}") as file:
            for _ in range(100 // files):
                file.write(block)
    threads = [threading.Thread(target=write, args=(number,)) for number in range(files)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(tracemalloc.get_traced_memory()[1])
else:  # leave without a word
    written = threading.Event()
    def write():
        with store.create("a/left") as file:
            file.write(block * 20)
            print("written", flush=True)
            written.set()
            threading.Event().wait()
    threading.Thread(target=write, daemon=True).start()
    written.wait()
"""


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )


@pytest.mark.parametrize(("files", "most"), [(1, 40 * MB), (4, 64 * MB)])
def test_memory_is_bounded(store: Store, bucket: _Bucket, files: int, most: int) -> None:
    """However much is written, one file holds a few parts, and four at once stay below 64 MB."""
    done = _run("measure", store.root, str(files))
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < most
    assert sum(bucket.keys().values()) == 100 // files * files * MB


def test_a_process_that_leaves_does_not_hang(store: Store) -> None:
    """A file that nobody ends keeps no process from ending."""
    done = _run("leave", store.root, "1")
    assert (done.returncode, done.stdout) == (0, "written\n")


def test_the_writer_waits_for_s3(store: Store, bucket: _Bucket, front: _Front) -> None:
    """An S3 that stands still stops the writer after a bounded number of bytes."""
    written = 0

    def write() -> None:
        nonlocal written
        with store.create("a") as file:
            for _ in range(60):
                written += file.write(bytes(MB))

    front.gate.clear()
    thread = threading.Thread(target=write)
    thread.start()
    assert _eventually(lambda: written >= 24 * MB)
    time.sleep(0.5)
    assert written <= 42 * MB
    front.gate.set()
    thread.join()
    assert bucket.keys() == {"loads/a": 60 * MB}


def test_many_files_at_once(store: Store, bucket: _Bucket) -> None:
    """One thread may write more files in turns than there are requests at once."""
    with ExitStack() as stack:
        files = [stack.enter_context(store.create(f"a/{number:02}")) for number in range(12)]
        for _ in range(10):
            for file in files:
                file.write(bytes(MB))
    assert store.list("a") == [(f"a/{number:02}", 10 * MB) for number in range(12)]
    assert bucket.uploads() == []


def test_files_from_several_threads(store: Store) -> None:
    """Threads that write at once get their own bytes, all of them."""
    data = {f"a/{number}": bytes([number]) * (number * 3 * MB + number) for number in range(6)}
    threads = [threading.Thread(target=_write, args=(store, *item)) for item in data.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {key: store.read(key) for key, _ in store.list("a")} == data


def test_threads_end_with_the_store(front: _Front, bucket: _Bucket) -> None:
    """A process that opens many stores does not collect their threads."""

    def threads() -> int:
        return sum(thread.name == "loader-s3" for thread in threading.enumerate())

    before = threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL_S3", front.url)
        for _ in range(3):
            _write(open_store(f"s3://{bucket.name}"), "a", _noise(9 * MB))
    gc.collect()
    assert _eventually(lambda: threads() <= before)


def _write_parquet(store: Store) -> None:
    table = pa.table({"id": pa.array(range(2_000_000))})
    with (
        store.create("a.parquet") as sink,
        pq.ParquetWriter(sink, table.schema, compression="none") as writer,
    ):
        for _ in range(20):
            writer.write_table(table, row_group_size=100_000)


def test_a_failed_upload_of_a_writer_keeps_no_store(
    front: _Front, bucket: _Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What PyArrow has written to is gone once the error is, and so are the store's threads."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", front.url)
    store = open_store(f"s3://{bucket.name}/loads")
    alive = weakref.ref(store)
    front.faults = [_Fault("PUT", status=403, code="AccessDenied")]
    with pytest.raises(StageError):
        _write_parquet(store)
    del store
    gc.collect()
    assert alive() is None


# ---------------------------------------------------------------- delete and list


def test_neighbours_are_not_touched(store: Store, bucket: _Bucket) -> None:
    """A prefix is a folder: what only begins alike is neither listed nor removed."""
    bucket.put(
        "loads/t/load-1/a", "loads/t/load-1/sub/b", "loads/t/load-10/a", "loads/t/load-1",
        "t/load-1/a", "other",
    )  # fmt: skip
    assert store.list("t/load-1") == [("t/load-1/a", 1), ("t/load-1/sub/b", 1)]
    store.delete("t/load-1")
    store.delete("t/load-1")
    store.delete("nothing/there")
    left = {"loads/t/load-10/a", "loads/t/load-1", "t/load-1/a", "other"}
    assert bucket.keys().keys() == left
    assert store.list("t/load-1") == []


def test_more_files_than_a_page(store: Store, bucket: _Bucket, front: _Front) -> None:
    """1,005 objects are listed, sorted, and removed, by two requests each."""
    keys = [f"a/{number:04}" for number in range(1_005)]
    bucket.put("loads/ab/c", *(f"loads/{key}" for key in keys))
    assert store.list("a") == [(key, 1) for key in keys]
    assert len(front.methods("GET")) == 2
    store.delete("a")
    assert len(front.methods("POST")) == 2
    assert bucket.keys().keys() == {"loads/ab/c"}


def test_delete_aborts_unfinished_uploads(store: Store, bucket: _Bucket) -> None:
    """Parts that a dead process left are removed with the objects; neighbours' are not."""
    for key in ("loads/a/b", "loads/ab/c"):
        bucket.client.create_multipart_upload(Bucket=bucket.name, Key=key)
    store.delete("a")
    assert bucket.uploads() == ["loads/ab/c"]


@pytest.mark.parametrize(
    ("status", "code"), [(403, "AccessDenied"), (501, "NotImplemented"), (405, "MethodNotAllowed")]
)
def test_delete_without_a_right_to_uploads(
    store: Store, bucket: _Bucket, front: _Front, status: int, code: str
) -> None:
    """Who may not list uploads, or whose S3 cannot, removes objects all the same."""
    front.faults = [_Fault("GET", "uploads", status, code)]
    bucket.put("loads/a/b")
    store.delete("a")
    assert bucket.keys() == {}
    assert any("uploads" in path for _, path, _ in front.seen)


def test_delete_repeats_what_s3_did_not_manage(
    store: Store, bucket: _Bucket, front: _Front
) -> None:
    """S3 may report trouble with single objects inside of a success; those are tried again."""
    bucket.put("loads/a/b")
    front.faults = [_refusal("loads/a/b", "InternalError", 1)]
    store.delete("a")
    assert len(front.methods("POST")) == 2
    assert bucket.keys() == {}


def test_delete_tells_what_s3_refused(store: Store, bucket: _Bucket, front: _Front) -> None:
    """A refusal inside of a success is an error like any other."""
    bucket.put("loads/a/b")
    front.faults = [_refusal("loads/a/b", "AccessDenied", 1)]
    with pytest.raises(StageError, match=r"cannot remove s3://.*/loads/a: .*s3:DeleteObject"):
        store.delete("a")


def _refusal(key: str, code: str, times: int) -> _Fault:
    class Refusal(_Fault):
        @property
        def body(self) -> bytes:
            error = f"<Error><Key>{key}</Key><Code>{code}</Code><Message>m</Message></Error>"
            return f"<DeleteResult>{error}</DeleteResult>".encode()

    return Refusal("POST", "delete", 200, times=times)


def test_folder_markers_are_no_files(store: Store, bucket: _Bucket) -> None:
    """The empty object that consoles put down for a folder is not listed, but is removed."""
    bucket.put("loads/a/", "loads/a/b")
    assert store.list("a") == [("a/b", 1)]
    store.delete("a")
    assert bucket.keys() == {}


@pytest.mark.parametrize("key", ["", "/", "/a", "a/", "a//b", ".", "..", "a/../..", "a\0", "a\\b"])
def test_a_key_cannot_leave_the_root(store: Store, front: _Front, key: str) -> None:
    """A key that climbs, or means the root itself, reaches no request."""

    def create(key: str) -> None:
        with store.create(key):
            pass

    actions: list[Callable[[str], object]]
    actions = [store.uri, store.read, store.delete, store.list, create]
    for action in actions:
        with pytest.raises(StageError, match="is not a key"):
            action(key)
    assert front.seen == []


@pytest.mark.parametrize("key", ["a b", "ü/日本", "a+b&c=d", "x" * 500, "a'b", "100%", "day=1/a"])
def test_keys_of_any_letters(store: Store, key: str) -> None:
    """What a key is made of changes nothing."""
    _write(store, f"k/{key}", b"1")
    assert store.list("k") == [(f"k/{key}", 1)]
    assert store.read(f"k/{key}") == b"1"
    store.delete("k")
    assert store.list("k") == []


# ---------------------------------------------------------------- settings


@pytest.mark.parametrize("size", [10, 9 * MB])
@pytest.mark.parametrize("encryption", ["AES256", "aws:kms"])
def test_encryption_is_stored(
    store: Store, bucket: _Bucket, size: int, encryption: Literal["AES256", "aws:kms"]
) -> None:
    """The object is encrypted as the target says, in one request or several."""
    kms_key = "arn:aws:kms:us-east-1:123456789012:key/1" if encryption == "aws:kms" else ""
    options = StoreOptions(encryption=encryption, kms_key_id=kms_key)
    _write(open_store(store.root, options), "a", bytes(size))
    stored = bucket.get("loads/a")
    assert stored["ServerSideEncryption"] == encryption
    assert stored.get("SSEKMSKeyId", "") == kms_key


def test_a_kms_key_needs_its_encryption() -> None:
    """A key that would not be used is a mistake that is told."""
    with pytest.raises(StageError, match="only valid with") as caught:
        open_store("s3://acme-staging", StoreOptions(kms_key_id="k", encryption="AES256"))
    assert "aws:kms" in str(caught.value.hint)


def test_requests_say_who_sends_them(store: Store, front: _Front, bucket: _Bucket) -> None:
    """Logs of S3 show Loader; the bucket is in the path; the region is the target's."""
    open_store(store.root, StoreOptions(region="eu-central-1")).list("a")
    method, path, headers = front.seen[-1]
    assert (method, path.partition("?")[0]) == ("GET", f"/{bucket.name}")
    assert headers["User-Agent"].endswith("loader")
    assert "/eu-central-1/s3/" in headers["Authorization"]


def test_open_store_reads_the_location(tmp_path: Path) -> None:
    """A bucket and a prefix, with one slash at the end or none; anything else is a folder."""
    for location in ("s3://acme.staging-1/a/b", "s3://acme.staging-1/a/b/"):
        store = open_store(location)
        assert store.root == "s3://acme.staging-1/a/b"
        assert store.uri("c/d") == "s3://acme.staging-1/a/b/c/d"
    for location in ("s3://acme", "s3://acme/"):
        store = open_store(location)
        assert store.root == "s3://acme"
        assert store.uri("c") == "s3://acme/c"
    folder = open_store(str(tmp_path), StoreOptions(region="x"))
    assert isinstance(folder, FolderStore)
    with folder.create("a") as file:
        file.write(b"1")
    assert folder.read("a") == b"1"
    with pytest.raises(StageError, match=r"cannot read .*nothing: No such file"):
        folder.read("nothing")


@pytest.mark.parametrize(
    ("location", "what"),
    [
        ("s3://", "bucket is missing"),
        ("s3:///prefix", "bucket is missing"),
        ("s3:/bucket/prefix", "starts with s3://"),
        ("s3:bucket", "starts with s3://"),
        ("S3://bucket", "starts with s3://"),
        ("s3a://bucket/prefix", "starts with s3://"),
        ("gs://bucket/prefix", "gs:// is not supported"),
        ("https://bucket.s3.amazonaws.com/prefix", "https:// is not supported"),
        ("s3://ab", "3 to 63"),
        (f"s3://{'a' * 64}", "3 to 63"),
        ("s3://Bucket", "lower-case"),
        ("s3://my_bucket", "lower-case"),
        ("s3://-bucket", "lower-case"),
        ("s3://bucket-", "lower-case"),
        ("s3://my bucket", "lower-case"),
        ("s3://bucket?x=1", "lower-case"),
        ("s3://${BUCKET}/loader", "lower-case"),
        ("s3://a..b", "IP address"),
        ("s3://192.168.1.1/prefix", "IP address"),
        ("s3://bucket//prefix", "empty part"),
        ("s3://bucket/a//b", "empty part"),
        ("s3://bucket/a//", "empty part"),
        ("s3://bucket/../other", r"`\.\.` have no meaning"),
        ("s3://bucket/a/.", "no meaning"),
        ("s3://bucket/a?versionId=1", "contains '[?]'"),
        ("s3://bucket/a b", "contains ' '"),
        ("s3://bucket/a\n", "contains '.n'"),
        ("s3://bucket/*", "contains '[*]'"),
        ("s3://bucket/${NAME}", "contains '{'"),
        (f"s3://{KEY_ID}:{SECRET}@bucket/prefix", "must not contain credentials"),
    ],
)
def test_a_location_that_is_none(location: str, what: str) -> None:
    """What is no S3 URL is refused with the reason, a right one, and no secret."""
    with pytest.raises(StageError, match=what) as caught:
        open_store(location)
    assert "s3://bucket/prefix" in str(caught.value.hint)
    assert SECRET not in str(caught.value)


def test_boto3_loads_when_it_is_needed() -> None:
    """Folders do not pay for boto3."""
    script = """
import sys
from loader.staging.stores.open import open_store
open_store("folder")
assert not {"boto3", "botocore", "s3transfer"} & set(sys.modules)
open_store("s3://acme-staging")
assert "boto3" in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[2], check=True)


# ---------------------------------------------------------------- errors


def _without_pauses(store: Store) -> Store:
    """Make botocore try again at once; it still counts."""
    meta = store._client.meta  # type: ignore[attr-defined]  # no other way to a quick test

    def at_once(attempts: int, response: Any, caught_exception: object, **_: object) -> int | None:
        failed = caught_exception is not None or (response and response[0].status_code >= 500)
        return 0 if failed and attempts < 8 else None

    meta.events.register_first("needs-retry.s3", at_once)
    return store


DENIED = "User: arn:aws:iam::123456789012:user/etl is not authorized to perform: {} on resource: {}"

ANSWERS = [
    (
        404,
        "NoSuchBucket",
        "The specified bucket does not exist",
        "",
        {},
        "the bucket `acme-",
    ),
    (403, "AccessDenied", "Access Denied", "", {}, "AWS denied s3:PutObject$"),
    (
        403,
        "AccessDenied",
        DENIED.format("kms:GenerateDataKey", "arn:aws:kms:us-east-1:123456789012:key/1 because"),
        "",
        {},
        "AWS denied kms:GenerateDataKey: User: arn:aws:iam",
    ),
    (400, "ExpiredToken", "The provided token has expired.", "", {}, "credentials have expired"),
    (403, "InvalidAccessKeyId", f"No key {KEY_ID}", "", {}, "does not know the access key"),
    (400, "InvalidToken", "The provided token is malformed", "", {}, "or the session token"),
    (
        403,
        "SignatureDoesNotMatch",
        "The signature does not match",
        "",
        {},
        "secret access key does not belong",
    ),
    (403, "RequestTimeTooSkewed", "The difference is too large", "", {}, "clock of this machine"),
    (
        301,
        "PermanentRedirect",
        "The bucket must be addressed using the specified endpoint",
        "",
        {"x-amz-bucket-region": "eu-west-1"},
        "in the region eu-west-1, not in us-east-1",
    ),
    (
        301,
        "PermanentRedirect",
        "Use the specified endpoint",
        "",
        {},
        "is not in the region us-east-1",
    ),
    (
        400,
        "AuthorizationHeaderMalformed",
        "The authorization header is malformed; the region 'us-east-1' is wrong; "
        "expecting 'eu-west-2'",
        "<Region>eu-west-2</Region>",
        {},
        "in the region eu-west-2, not in us-east-1",
    ),
    (
        400,
        "IllegalLocationConstraintException",
        "The me-south-1 location constraint is incompatible for the region specific endpoint",
        "",
        {},
        "in the region me-south-1",
    ),
    (
        503,
        "SlowDown",
        "Please reduce your request rate.",
        "",
        {},
        r"8 attempts \(SlowDown\)",
    ),
    (500, "InternalError", "We encountered an internal error.", "", {}, r"\(InternalError\)"),
    (400, "KMS.DisabledException", "key/1 is disabled.", "", {}, r"KMS key .*: key/1 is disabled$"),
    (404, "NoSuchUpload", "The upload does not exist.", "", {}, "the upload was aborted"),
    (418, "Teapot", f"I am {KEY_ID}.", "", {}, r"S3 answered Teapot: I am \*\*\*$"),
]


@pytest.mark.parametrize(
    ("status", "code", "message", "fields", "headers", "said"),
    ANSWERS,
    ids=lambda value: value if isinstance(value, str) and value.isidentifier() else "",
)
def test_what_s3_refuses_is_told(
    store: Store,
    bucket: _Bucket,
    front: _Front,
    status: int,
    code: str,
    message: str,
    fields: str,
    headers: dict[str, str],
    said: str,
) -> None:
    """Each answer of S3 becomes an error with its cause and the next step, and no secret."""
    secrets = f"<AWSAccessKeyId>{KEY_ID}</AWSAccessKeyId><Token-0>{TOKEN}</Token-0>"
    front.faults = [_Fault("PUT", "", status, code, message, fields + secrets, headers)]
    _without_pauses(store)
    with pytest.raises(StageError, match=rf"(?m){said}") as caught:
        _write(store, "a/b", b"1")
    assert caught.value.message.startswith(f"cannot write s3://{bucket.name}/loads/a/b: ")
    assert caught.value.hint
    assert not re.search(f"{KEY_ID}|{re.escape(SECRET)}|{TOKEN}", str(caught.value))
    assert bucket.keys() == {}
    assert bucket.uploads() == []


@pytest.mark.parametrize(
    ("method", "action", "resource", "act"),
    [
        ("GET", "s3:ListBucket", "arn:aws:s3:::{}", lambda store: store.list("a")),
        ("GET", "s3:ListBucket", "arn:aws:s3:::{}", lambda store: store.delete("a")),
        ("POST", "s3:DeleteObject", "arn:aws:s3:::{}/loads/*", lambda store: store.delete("a")),
        ("GET", "s3:GetObject", "arn:aws:s3:::{}/loads/*", lambda store: store.read("a/b")),
        ("PUT", "s3:PutObject", "arn:aws:s3:::{}/loads/*", lambda store: _write(store, "c", b"")),
    ],
)
def test_a_refusal_names_the_permission(
    store: Store,
    bucket: _Bucket,
    front: _Front,
    method: str,
    action: str,
    resource: str,
    act: Callable[[Store], object],
) -> None:
    """An error of access says which action to allow on what."""
    bucket.put("loads/a/b")
    front.faults = [_Fault(method, "", 403, "AccessDenied", "Access Denied")]
    with pytest.raises(StageError, match=rf"(?m)AWS denied {action}$") as caught:
        act(store)
    assert f"allow {action} on {resource.format(bucket.name)} to" in str(caught.value.hint)


def test_moto_agrees(store: Store, bucket: _Bucket) -> None:
    """What is not there is told by a real answer too."""
    with pytest.raises(StageError, match=r"cannot read s3://.*/loads/a: it does not exist"):
        store.read("a")
    missing = open_store("s3://acme-missing")
    with pytest.raises(
        StageError, match=r"cannot list .*: the bucket `acme-missing` does not exist"
    ):
        missing.list("a")
    with pytest.raises(StageError, match="the bucket `acme-missing`"):
        _write(missing, "a", _noise(30 * MB))


def test_a_busy_s3_is_waited_for(store: Store, bucket: _Bucket, front: _Front) -> None:
    """A few 503s and 500s, of any request, change nothing but the time."""
    front.faults = [
        _Fault("PUT", "partNumber=1", times=2),
        _Fault("PUT", "partNumber=2", 500, "InternalError", times=1),
        _Fault("POST", "uploads", 503, "ServiceUnavailable", times=1),
        _Fault("POST", "uploadId", times=1),
        _Fault("GET", "list-type", times=1),
    ]
    data = _noise(20 * MB)
    _write(store, "a", data)
    assert store.list("b") == []
    assert [fault.times for fault in front.faults] == [0] * 5
    assert bucket.get("loads/a")["Body"] == data


def test_a_failed_upload_stops_its_writer(store: Store, bucket: _Bucket, front: _Front) -> None:
    """A writer hears of a failure while it writes, and never waits for room that cannot come."""
    front.faults = [_Fault("PUT", "partNumber=2", 403, "AccessDenied", "Access Denied")]
    written = 0

    def write() -> None:
        nonlocal written
        with store.create("a") as file:
            for _ in range(10_000):
                written += file.write(bytes(MB))

    with pytest.raises(StageError, match="AWS denied s3:PutObject"):
        write()
    assert written < 100 * MB
    assert bucket.uploads() == []


def test_a_waiting_writer_hears_of_a_failure(store: Store, bucket: _Bucket, front: _Front) -> None:
    """A writer that waits for room is woken when there will be none."""
    front.gate.clear()
    front.faults = [_Fault("PUT", "", 403, "AccessDenied", "Access Denied")]
    threading.Timer(0.5, front.gate.set).start()
    began = time.monotonic()
    with pytest.raises(StageError, match="AWS denied s3:PutObject"), store.create("a") as file:
        file.write(bytes(100 * MB))
    assert time.monotonic() - began < 5
    assert bucket.uploads() == []


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_an_upload_that_fails_as_a_whole(
    store: Store, bucket: _Bucket, front: _Front, parts: int
) -> None:
    """An upload that cannot begin, or end, is an error too, and leaves no parts."""
    for query in ("uploads", "uploadId"):
        front.faults = [_Fault("POST", query, 403, "AccessDenied", "Access Denied")]
        with pytest.raises(StageError, match="AWS denied s3:PutObject"):
            _write(store, "a", bytes(parts * 8 * MB))
        assert bucket.keys() == {}
        assert bucket.uploads() == []


def test_an_answer_that_breaks_off(store: Store, bucket: _Bucket, front: _Front) -> None:
    """Half an object is never taken for a whole one."""
    bucket.put("loads/a")
    front.faults = [_Fault("GET", "", 200, cut=10)]
    with pytest.raises(StageError, match=r"cannot read .*was lost"):
        store.read("a")


def test_no_credentials(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without credentials the error says where boto3 looked."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StageError, match="no AWS credentials were found") as caught:
        open_store(store.root).list("a")
    assert "environment (AWS_ACCESS_KEY_ID" in str(caught.value.hint)


def test_incomplete_settings(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of a key, an unknown profile and a broken endpoint are told before any request."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "localhost:1")
    with pytest.raises(StageError, match=r"Invalid endpoint: localhost:1"):
        open_store(store.root)
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StageError, match=r"incomplete: .*AWS_SECRET_ACCESS_KEY"):
        open_store(store.root)
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(StageError, match=r"AWS profile does not exist: .*\(nobody\)"):
        open_store(store.root)


def test_an_endpoint_nobody_listens_at(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """An S3 that cannot be reached is named, without what its URL may hide."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://me:wJalr@127.0.0.1:{port}")
    lost = _without_pauses(open_store(store.root))
    for act in (lambda: lost.list("a"), lambda: _write(lost, "a", b"1")):
        with pytest.raises(StageError, match=r"S3 cannot be reached at http://127") as caught:
            act()
        assert "AWS_ENDPOINT_URL_S3" in str(caught.value.hint)
        assert "wJalr" not in str(caught.value)
    # A slash in the password makes it no URL at all.
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://me:wJa/lr@127.0.0.1:{port}")
    with pytest.raises(StageError, match=r"not a valid URI") as caught:
        open_store(store.root).list("a")
    assert "lr@" not in str(caught.value)


def test_a_token_with_a_line_break(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commonest slip with tokens is told at once, and not even a traceback shows the token."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN + "\n")
    began = time.monotonic()
    for act in (lambda s: s.list("a"), lambda s: _write(s, "a", b"1")):
        with pytest.raises(StageError, match="could not be sent") as caught:
            act(open_store(store.root))
        assert "line break" in str(caught.value.hint)
        assert TOKEN not in "".join(traceback.format_exception(caught.value))
    assert time.monotonic() - began < 4


# ---------------------------------------------------------------- the stager on it


def _batches(count: int) -> Iterator[pa.RecordBatch]:
    for number in range(count):
        yield pa.record_batch(
            {
                "id": pa.array(range(number * 10_000, (number + 1) * 10_000), pa.int64()),
                "noise": pa.array([os.urandom(100) for _ in range(10_000)], pa.binary()),
            }
        )


def test_a_load_is_staged(store: Store, bucket: _Bucket) -> None:
    """The manifest lists each object with its URL and its very size, and the rows are there."""
    batches = list(_batches(40))
    staging = Staging(file_size=10 * MB)
    with Stager(store, "nyc/1", batches[0].schema, staging, writers=3) as stager:
        for batch in batches:
            stager.write(batch)
        staged = stager.finish()
    assert len(staged.files) > 3
    manifest = json.loads(store.read("nyc/1/manifest.json"))
    sizes = {
        entry["url"].removeprefix(f"s3://{bucket.name}/"): entry["meta"]["content_length"]
        for entry in manifest["entries"]
    }
    stored = bucket.keys()
    del stored["loads/nyc/1/manifest.json"]
    assert sizes == stored
    ids = [
        row
        for key, _ in store.list("nyc/1")
        if key.endswith(".parquet")
        for row in pq.read_table(io.BytesIO(store.read(key)))["id"].to_pylist()
    ]
    assert sorted(ids) == list(range(400_000))
    assert apply_keep(store, "nyc/1", Staging(keep="never"), failed=False) is False
    assert bucket.keys() == {}


def _stage(
    store: Store, staging: Staging, repeats: int, kind: type[BaseException] | None = None
) -> None:
    batches = list(_batches(10))
    with Stager(store, "nyc/1", batches[0].schema, staging, writers=3) as stager:
        for batch in batches * repeats:
            stager.write(batch)
        if kind is not None:
            raise kind
        stager.finish()


@pytest.mark.parametrize("kind", [ZeroDivisionError, KeyboardInterrupt])
def test_a_load_given_up_leaves_nothing(
    store: Store, bucket: _Bucket, kind: type[BaseException]
) -> None:
    """Objects of a load that failed go, and so do the uploads it was busy with."""
    staging = Staging(format="csv", compression="none", file_size=16 * MB, keep="never")
    with pytest.raises(kind):
        _stage(store, staging, 6, kind)
    assert bucket.keys() == {}
    assert bucket.uploads() == []


def test_a_load_ends_when_s3_refuses(store: Store, bucket: _Bucket, front: _Front) -> None:
    """What S3 refuses in a writer's thread reaches the caller as it was said."""
    front.faults = [_Fault("PUT", "partNumber=2", 403, "AccessDenied", "Access Denied")]
    staging = Staging(format="csv", compression="none", file_size=64 * MB, keep="never")
    with pytest.raises(StageError, match=r"part-\d+\.csv: AWS denied s3:PutObject"):
        _stage(store, staging, 100)
    assert bucket.keys() == {}
    assert bucket.uploads() == []


# ---------------------------------------------------------------- TLS


class _tls:  # noqa: N801  used like a function
    """A port that speaks TLS with a certificate of its own and passes the bytes on."""

    def __init__(self, backend: tuple[str, int], folder: Path, pause: float = 0) -> None:
        self._backend = backend
        self._pause = pause
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        _certificate(folder)
        self._context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        self._listener = socket.create_server(("127.0.0.1", 0))
        # So that what is slow fills no buffers of the system.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)

    def __enter__(self) -> str:
        threading.Thread(target=self._serve, daemon=True).start()
        return f"https://127.0.0.1:{self._listener.getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._backend) as backend:
            try:
                secure = self._context.wrap_socket(client, server_side=True)
            except OSError:
                return
            with secure:
                threading.Thread(target=_pump, args=(backend, secure), daemon=True).start()
                _pump(secure, backend, self._pause)


def _pump(source: socket.socket, target: socket.socket, pause: float = 0) -> None:
    try:
        while data := source.recv(1 << 16):
            target.sendall(data)
            time.sleep(pause)
    except OSError:
        pass


def _certificate(folder: Path) -> None:
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
