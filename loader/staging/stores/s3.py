"""Staged files in S3, uploaded while they are written, in bounded memory.

The writer fills a pipe; boto3's transfer manager reads parts from it and sends several at once.
An object appears when its upload is completed, and an upload that is given up is aborted, parts
and all.
"""

from __future__ import annotations

import io
import queue
import random
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Executor, Future
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from functools import cache, partial
from typing import Any

import boto3.session
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.loaders import Loader, create_loader
from s3transfer.manager import TransferConfig, TransferManager
from s3transfer.subscribers import BaseSubscriber

from loader.errors import StageError
from loader.staging.stores.base import StoreOptions
from loader.staging.stores.found import Found
from loader.staging.stores.s3_errors import Place, told

_PART_BYTES = 8 << 20
"""What is sent at once; S3 takes 10,000 of them for one object, which makes 80 GB."""

_SLACK_BYTES = 256 << 10
"""What a pipe takes while nobody waits for a part."""

_REQUESTS = 4
"""Requests that are sent at once, for all files of the store."""

_PARTS = 3
"""Parts that are being sent. Besides, each open file fills or holds one more: four files, as a
load writes them, come to 57 MB."""

_FILES = 256
"""Files written at once. An upload that waited for another one's end could wait forever."""

_ATTEMPTS = 8
"""With the pauses between them S3 gets about half a minute to recover."""

_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
    connect_timeout=10,
    read_timeout=60,
    # Uploads, and the few calls of threads that list, remove or abort meanwhile.
    max_pool_connections=2 * _REQUESTS,
    user_agent_extra="loader",
)

_TRANSFER = TransferConfig(
    multipart_threshold=_PART_BYTES,
    multipart_chunksize=_PART_BYTES,
    max_request_concurrency=_REQUESTS,
    max_submission_concurrency=_FILES,
    max_in_memory_upload_chunks=_PARTS,
)

_PAGE = 1_000
"""Objects that S3 deletes at one request's word."""

_UNTOLD = {"AccessDenied", "403", "NotImplemented", "501", "MethodNotAllowed", "405"}
"""Answers to who may not list or abort uploads, and of stores that cannot."""

_PASSING = {"InternalError", "SlowDown", "ServiceUnavailable", "500", "503"}
"""Answers about one object of many, which botocore does not look at."""


@cache
def _descriptions() -> Loader:
    return create_loader()


class S3Store:
    """Objects below a prefix of a bucket.

    Raises:
        StageError: boto3's settings are wrong; nothing is sent yet.
    """

    def __init__(self, bucket: str, prefix: str, options: StoreOptions) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self.root = f"s3://{bucket}/{prefix}".rstrip("/")
        self._extra = _encryption(options)
        self._place = Place(bucket, self._prefix, options.region)
        with self._telling(f"stage in {self.root}"):
            # A session of its own: boto3's default one is not made for several threads.
            # Only what describes S3 is shared, for it takes a quarter of a second to read.
            core = botocore.session.get_session()
            core.register_component("data_loader", _descriptions())
            session = boto3.session.Session(botocore_session=core)
            self._client = session.client("s3", region_name=options.region or None, config=_CONFIG)
        meta = self._client.meta
        self._place = Place(
            bucket, self._prefix, meta.region_name, meta.endpoint_url, meta.partition
        )
        meta.events.register_first("needs-retry.s3", _retry_at_once)
        self._transfers = TransferManager(self._client, _TRANSFER, executor_cls=_Daemons)

    def uri(self, key: str) -> str:
        """The key as an S3 URL."""
        return f"s3://{self._bucket}/{self._key(key)}"

    @contextmanager
    def create(self, key: str) -> Iterator[io.BufferedIOBase]:
        """Upload what is written, as it comes; the object is there when all of it is."""
        telling = partial(self._telling, f"write {self.uri(key)}")
        upload = _Upload(partial(self._start, self._key(key)))
        try:
            with telling():
                upload.start()
            with _File(upload, telling) as file:
                yield file
            with telling():
                upload.finish()
        except BaseException:
            if upload.abandon():
                # It was complete before it could be stopped.
                with suppress(BotoCoreError, ClientError):
                    self._client.delete_object(Bucket=self._bucket, Key=self._key(key))
            raise

    def read(self, key: str) -> bytes:
        """All bytes of an object."""
        with self._telling(f"read {self.uri(key)}"):
            answer = self._client.get_object(Bucket=self._bucket, Key=self._key(key))
            # Entering the body itself would give the bare stream, which checks no length.
            with closing(answer["Body"]) as body:
                data: bytes = body.read()
        return data

    def delete(self, prefix: str) -> None:
        """Remove the objects below the prefix, then the uploads that never ended."""
        with self._telling(f"remove {self.uri(prefix)}"):
            for page in self._pages("list_objects_v2", prefix):
                self._remove([item["Key"] for item in page.get("Contents", ())])
            try:
                for page in self._pages("list_multipart_uploads", prefix):
                    for item in page.get("Uploads", ()):
                        self._abort(item["Key"], item["UploadId"])
            except ClientError as error:
                # Nobody sees these parts, and a lifecycle rule ends them too.
                if error.response["Error"]["Code"] not in _UNTOLD:
                    raise

    def list(self, prefix: str) -> list[tuple[str, int]]:
        """Keys and sizes of the objects below the prefix, sorted."""
        with self._telling(f"list {self.uri(prefix)}"):
            return sorted(
                (item["Key"].removeprefix(self._prefix), item["Size"])
                for page in self._pages("list_objects_v2", prefix)
                for item in page.get("Contents", ())
                # What consoles put down for a folder is no file.
                if not item["Key"].endswith("/")
            )

    def files(self) -> Iterator[Found]:
        """Every object below the root."""
        with self._telling(f"list {self.root}"):
            for page in self._pages("list_objects_v2"):
                for item in page.get("Contents", ()):
                    key = item["Key"].removeprefix(self._prefix)
                    changed = item["LastModified"].timestamp()
                    if not key.endswith("/"):
                        yield Found(key, item["Size"], changed, key)

    def unfinished(self) -> Iterator[Found]:
        """Every upload below the root that was neither completed nor aborted.

        Raises:
            StageError: they cannot be listed; that takes a right of its own.
        """
        with self._telling(f"list the incomplete uploads of {self.root}"):
            for page in self._pages("list_multipart_uploads"):
                for item in page.get("Uploads", ()):
                    upload = {"Key": item["Key"], "UploadId": item["UploadId"]}
                    size, changed = self._parts(upload)
                    changed = max(changed, item["Initiated"].timestamp())
                    key = item["Key"].removeprefix(self._prefix)
                    yield Found(key, size, changed, item["UploadId"], unfinished=True)

    def remove(self, found: Iterable[Found]) -> None:
        """Delete these objects, and abort these uploads."""
        with self._telling(f"remove from {self.root}"):
            keys = []
            for one in found:
                if one.unfinished:
                    self._abort(self._key(one.key), one.path)
                else:
                    keys.append(self._key(one.key))
            for start in range(0, len(keys), _PAGE):
                self._remove(keys[start : start + _PAGE])

    def _parts(self, upload: Mapping[str, str]) -> tuple[int, float]:
        """The bytes of an upload that S3 keeps already, and when the last of them came."""
        size, changed = 0, 0.0
        pages = self._client.get_paginator("list_parts").paginate(Bucket=self._bucket, **upload)
        try:
            for part in (part for page in pages for part in page.get("Parts", ())):
                size += part["Size"]
                changed = max(changed, part["LastModified"].timestamp())
        except ClientError as error:
            # It was completed just now, or this right is not granted.
            if error.response["Error"]["Code"] not in {"NoSuchUpload", *_UNTOLD}:
                raise
        return size, changed

    def _key(self, key: str) -> str:
        parts = key.split("/")
        # The keys that a folder takes, so that a load may move from one to the other.
        if not all(parts) or {".", ".."} & set(parts) or "\0" in key or "\\" in key:
            raise StageError(f"`{key}` is not a key of the staging location {self.root}")
        return self._prefix + key

    @contextmanager
    def _telling(self, what: str) -> Iterator[None]:
        """Raise what goes wrong in boto3 as a StageError."""
        try:
            yield
        except StageError:
            raise
        except Exception as error:  # noqa: BLE001  boto3 passes on what its libraries raise
            # The text of such an error may be a header, with a token in it.
            cause = None if type(error) is HTTPClientError else error
            raise told(error, what, self._place) from cause

    def _start(self, key: str, pipe: _Pipe) -> Any:
        subscribers = [_WhenDone(pipe)]
        return self._transfers.upload(pipe, self._bucket, key, self._extra, subscribers)

    def _pages(self, operation: str, prefix: str | None = None) -> Iterator[dict[str, Any]]:
        # With the slash: `a/b` is no prefix of `a/bc`.
        below = self._prefix if prefix is None else self._key(prefix) + "/"
        yield from self._client.get_paginator(operation).paginate(Bucket=self._bucket, Prefix=below)

    def _remove(self, keys: Sequence[str]) -> None:
        """Delete the objects of one page; S3 may refuse some of them and delete the others."""
        for attempt in range(_ATTEMPTS):
            if not keys:
                return
            if attempt:
                time.sleep(random.random() * min(2 ** (attempt - 1), 20))  # noqa: S311  a pause
            objects = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
            answer = self._client.delete_objects(Bucket=self._bucket, Delete=objects)
            refused = answer.get("Errors", [])
            for error in refused:
                if error["Code"] not in _PASSING or attempt == _ATTEMPTS - 1:
                    metadata = {"RetryAttempts": attempt}
                    raise ClientError(
                        {"Error": error, "ResponseMetadata": metadata}, "DeleteObjects"
                    )
            keys = [error["Key"] for error in refused]

    def _abort(self, key: str, upload_id: str) -> None:
        try:
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload_id)
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchUpload":
                raise


def _encryption(options: StoreOptions) -> dict[str, str]:
    """What each upload says about encryption."""
    if options.kms_key_id and options.encryption != "aws:kms":
        raise StageError(
            "a `kms_key_id` is only used with the encryption aws:kms",
            hint="set the target's `encryption` to aws:kms, or leave the key out",
        )
    extra = {"ServerSideEncryption": options.encryption, "SSEKMSKeyId": options.kms_key_id}
    return {name: value for name, value in extra.items() if value}


def _retry_at_once(caught_exception: object = None, attempts: int = 0, **_: object) -> int | None:
    """Waste no pauses on requests that failed on this side.

    Those are parts of an upload that has failed already, and headers that cannot be sent.
    botocore takes both for a bad network and would try for half a minute.
    """
    return 0 if type(caught_exception) is HTTPClientError and attempts < _ATTEMPTS else None


# ---------------------------------------------------------------- one file


class _GivenUpError(CancelledError):
    """Ends an upload that nobody wants any more; botocore does not retry what is cancelled."""


class _Pipe:
    """What a writer hands to its upload. It holds the part that is asked for, and little more."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._buffer = io.BytesIO()
        self._size = 0
        self._wanted = 0
        self._ended = False
        self._broken = False

    def write(self, data: memoryview) -> bool:
        """Add bytes, waiting for room; returns False when nobody reads any more."""
        while data.nbytes:
            with self._changed:
                self._changed.wait_for(lambda: self._broken or self._room > 0)
                if self._broken:
                    return False
                taken = self._buffer.write(data[: self._room])
                self._size += taken
                data = data[taken:]
                if self._size >= self._wanted:
                    self._changed.notify_all()
        return True

    def read(self, amount: int = _PART_BYTES) -> bytes:
        """Exactly that many bytes, waiting for them; fewer when the stream has ended."""
        with self._changed:
            self._wanted = amount
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._broken or self._ended or self._size >= amount)
            if self._broken:
                raise _GivenUpError
            self._wanted = self._size = 0
            # Not a copy: the buffer gives its bytes away.
            data = self._buffer.getvalue()
            self._buffer = io.BytesIO()
            return data

    def end(self) -> None:
        """No more bytes will come."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def break_off(self) -> None:
        """Make both sides leave, because the upload has ended or is given up."""
        with self._changed:
            self._broken = True
            self._changed.notify_all()

    @property
    def _room(self) -> int:
        return max(self._wanted, _SLACK_BYTES) - self._size


class _Upload:
    """One object on its way."""

    def __init__(self, start: Callable[[_Pipe], Any]) -> None:
        self._start = start
        self._pipe = _Pipe()
        self._future: Any = None

    def start(self) -> None:
        """Let boto3 read the pipe, in threads of its own."""
        self._future = self._start(self._pipe)

    def write(self, data: memoryview) -> None:
        """Pass on bytes; raise what the upload has failed with, as soon as it has."""
        # Parts fail in the background, and s3transfer reads on to the end before it says so.
        if self._future.done() or not self._pipe.write(data):
            self._pipe.break_off()
            self._future.result()
            raise _GivenUpError

    def finish(self) -> None:
        """Wait until the object is there."""
        self._pipe.end()
        self._future.result()

    def abandon(self) -> bool:
        """Wait until the upload is aborted; returns whether it was complete before."""
        self._pipe.break_off()
        if self._future is None:
            return False
        try:
            self._future.result()
        except Exception:  # noqa: BLE001  it has failed, as it should
            return False
        return True


class _WhenDone(BaseSubscriber):
    """Wakes a writer that waits for an upload which has ended."""

    def __init__(self, pipe: _Pipe) -> None:
        self._pipe = pipe

    def on_done(self, **_: object) -> None:
        self._pipe.break_off()


class _File(io.BufferedIOBase):
    """What a block writes to. Closing it ends no upload: the end of the block does."""

    def __init__(
        self, upload: _Upload, telling: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self._upload = upload
        self._telling = telling
        self._position = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def write(self, data: Any) -> int:
        if self.closed:
            raise ValueError("write to closed file")
        view = memoryview(data).cast("B")
        with self._telling():
            self._upload.write(view)
        self._position += view.nbytes
        return view.nbytes


# ---------------------------------------------------------------- threads


class _Daemons(Executor):
    """Threads that let the process end.

    Python waits at its end for those of ThreadPoolExecutor. One of them may wait for a writer
    that will never write again: the writers of a load that is left without a word just stop.
    """

    def __init__(self, max_workers: int) -> None:
        self._crew = _Crew(max_workers)
        # The threads know the crew only, so that they end with the store.
        weakref.finalize(self, self._crew.dismiss).atexit = False

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a call in a thread."""
        future: Future[Any] = Future()
        self._crew.add(future, partial(call, *args, **kwargs))
        return future

    def shutdown(
        self,
        wait: bool = True,  # noqa: ARG002  the signature of all executors
        *,
        cancel_futures: bool = False,  # noqa: ARG002
    ) -> None:
        """Let the threads end once they have nothing to do."""
        self._crew.dismiss()


class _Crew:
    """As many threads as there are unfinished tasks, up to a limit."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._tasks: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = (
            queue.SimpleQueue()
        )
        self._unfinished = 0
        self._threads = 0

    def add(self, future: Future[Any], call: Callable[[], Any]) -> None:
        with self._lock:
            self._unfinished += 1
            self._tasks.put((future, call))
            # Not one less: a task may wait for what another one does.
            if self._threads < min(self._unfinished, self._limit):
                threading.Thread(target=self._work, name="loader-s3", daemon=True).start()
                self._threads += 1

    def dismiss(self) -> None:
        for _ in range(self._threads):
            self._tasks.put(None)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            future, call = task
            try:
                result = call()
            except BaseException as error:  # noqa: BLE001  raised where the result is asked for
                self._settle(partial(future.set_exception, error))
            else:
                self._settle(partial(future.set_result, result))
            # A part of 8 MB hangs on these.
            del task, future, call

    def _settle(self, settle: Callable[[], None]) -> None:
        # Counted first: who hears of the end may add a task, and it needs no other thread.
        with self._lock:
            self._unfinished -= 1
        settle()
