"""Staged files in S3, uploaded in parts while they are written, in bounded memory.

An object appears when its upload is completed; an upload that is given up is aborted.
"""

from __future__ import annotations

import io
import random
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from functools import cache, partial
from typing import Any

import boto3.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from s3transfer.manager import TransferConfig, TransferManager

from loader.errors import StageError
from loader.staging.stores.base import StoredFile, StoreOptions, split_key
from loader.staging.stores.daemon_executor import DaemonExecutor
from loader.staging.stores.s3_errors import S3Location, cause_of, to_stage_error
from loader.staging.stores.s3_sessions import client_arguments, core_session
from loader.staging.stores.s3_upload import PART_BYTES, Pipe, Upload, UploadFile, WakeWriter

_REQUESTS = 4
"""Requests at once, for all files of the store."""

_PARTS = 3
"""Parts that are sent at once. Each open file buffers one more: the four files of a load take
57 MB."""

_FILES = 256
"""Files written at once. More would wait for each other, and could do so forever."""

_ATTEMPTS = 8
"""With pauses in between, they give S3 about half a minute to recover."""

_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
    connect_timeout=10,
    read_timeout=60,
    # Uploads, and calls that list, remove or abort at the same time.
    max_pool_connections=2 * _REQUESTS,
    user_agent_extra="loader",
)

_TRANSFER = TransferConfig(
    multipart_threshold=PART_BYTES,
    multipart_chunksize=PART_BYTES,
    max_request_concurrency=_REQUESTS,
    max_submission_concurrency=_FILES,
    max_in_memory_upload_chunks=_PARTS,
)

_PAGE = 1_000
"""The most objects that S3 deletes by one request."""

_NOT_ALLOWED = {"AccessDenied", "403", "NotImplemented", "501", "MethodNotAllowed", "405"}
"""Error codes for identities that may not list or abort uploads, and stores that cannot."""

_TRANSIENT = {"InternalError", "SlowDown", "ServiceUnavailable", "500", "503"}
"""Error codes of single objects in a batch, which botocore does not retry."""


class S3Store:
    """Objects below a prefix of a bucket.

    Raises:
        StageError: boto3's settings are wrong; nothing is sent yet.
    """

    def __init__(self, bucket: str, prefix: str, options: StoreOptions) -> None:
        self._arguments = bucket, prefix, options
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self.root = f"s3://{bucket}/{prefix}".rstrip("/")
        self._extra = _encryption_parameters(options)
        self._location = S3Location(bucket, self._prefix, options.region)
        with self._raise_stage_errors(f"stage in {self.root}"):
            # Its own session, since the default one of boto3 is not thread-safe.
            session = boto3.session.Session(botocore_session=core_session(options.endpoint))
            self._client = session.client("s3", **client_arguments(options, _CONFIG))
        meta = self._client.meta
        self._location = S3Location(
            bucket, self._prefix, meta.region_name, meta.endpoint_url, meta.partition
        )
        meta.events.register_first("needs-retry.s3", _retry_at_once)
        self._transfers = TransferManager(self._client, _TRANSFER, executor_cls=DaemonExecutor)

    def __reduce__(self) -> tuple[object, ...]:
        return _open_once, self._arguments

    def uri(self, key: str) -> str:
        """The key as an S3 URL."""
        return f"s3://{self._bucket}/{self._full_key(key)}"

    @contextmanager
    def create(self, key: str) -> Iterator[io.BufferedIOBase]:
        """Upload bytes as they are written; the object appears when the block ends."""
        raise_errors = partial(self._raise_stage_errors, f"write {self.uri(key)}")
        upload = Upload(partial(self._start_upload, self._full_key(key)))
        try:
            with raise_errors():
                upload.start()
            with UploadFile(upload, raise_errors) as file:
                yield file
            with raise_errors():
                upload.finish()
        except BaseException:
            if upload.abandon():
                # The upload was completed before it could be aborted.
                with suppress(BotoCoreError, ClientError):
                    self._client.delete_object(Bucket=self._bucket, Key=self._full_key(key))
            raise

    def read(self, key: str) -> bytes:
        """Read all bytes of an object."""
        with self._raise_stage_errors(f"read {self.uri(key)}"):
            answer = self._client.get_object(Bucket=self._bucket, Key=self._full_key(key))
            # `with body` would give the raw stream, which does not check the length.
            with closing(answer["Body"]) as body:
                data: bytes = body.read()
        return data

    def move(self, key: str, to: str) -> str:  # noqa: ARG002
        """Leave the object where it is: to rename one is to copy it."""
        return key

    def delete(self, prefix: str) -> None:
        """Remove the objects below the prefix, then its incomplete uploads."""
        with self._raise_stage_errors(f"remove {self.uri(prefix)}"):
            for page in self._list_pages("list_objects_v2", prefix):
                self._delete_objects([item["Key"] for item in page.get("Contents", ())])
            try:
                for page in self._list_pages("list_multipart_uploads", prefix):
                    for item in page.get("Uploads", ()):
                        self._abort_upload(item["Key"], item["UploadId"])
            except ClientError as error:
                # Their parts are not visible, and a lifecycle rule can remove them.
                if error.response["Error"]["Code"] not in _NOT_ALLOWED:
                    raise

    def list(self, prefix: str) -> list[tuple[str, int]]:
        """List keys and bytes of the objects below the prefix, sorted."""
        with self._raise_stage_errors(f"list {self.uri(prefix)}"):
            return sorted(
                (item["Key"].removeprefix(self._prefix), item["Size"])
                for page in self._list_pages("list_objects_v2", prefix)
                for item in page.get("Contents", ())
                # Consoles create such an object for a folder.
                if not item["Key"].endswith("/")
            )

    def files(self, prefix: str | None = None) -> Iterator[StoredFile]:
        """All objects below the root, or below the prefix."""
        with self._raise_stage_errors(f"list {self.root}"):
            for page in self._list_pages("list_objects_v2", prefix):
                for item in page.get("Contents", ()):
                    key = item["Key"].removeprefix(self._prefix)
                    changed = item["LastModified"].timestamp()
                    if not key.endswith("/"):
                        yield StoredFile(key, item["Size"], changed, key)

    def unfinished(self) -> Iterator[StoredFile]:
        """All uploads below the root that were neither completed nor aborted.

        Raises:
            StageError: they cannot be listed, which needs a permission of its own.
        """
        with self._raise_stage_errors(f"list the incomplete uploads of {self.root}"):
            for page in self._list_pages("list_multipart_uploads"):
                for item in page.get("Uploads", ()):
                    upload = {"Key": item["Key"], "UploadId": item["UploadId"]}
                    size, changed = self._measure_parts(upload)
                    changed = max(changed, item["Initiated"].timestamp())
                    key = item["Key"].removeprefix(self._prefix)
                    yield StoredFile(key, size, changed, item["UploadId"], unfinished=True)

    def remove(self, files: Iterable[StoredFile]) -> None:
        """Delete these objects, and abort these uploads."""
        with self._raise_stage_errors(f"remove from {self.root}"):
            keys = []
            for file in files:
                if file.unfinished:
                    self._abort_upload(self._full_key(file.key), file.path)
                else:
                    keys.append(self._full_key(file.key))
            for start in range(0, len(keys), _PAGE):
                self._delete_objects(keys[start : start + _PAGE])

    def _measure_parts(self, upload: Mapping[str, str]) -> tuple[int, float]:
        """The bytes of an incomplete upload, and when its last part was written."""
        size, changed = 0, 0.0
        pages = self._client.get_paginator("list_parts").paginate(Bucket=self._bucket, **upload)
        try:
            for part in (part for page in pages for part in page.get("Parts", ())):
                size += part["Size"]
                changed = max(changed, part["LastModified"].timestamp())
        except ClientError as error:
            # It was completed just now, or listing parts is not allowed.
            if error.response["Error"]["Code"] not in {"NoSuchUpload", *_NOT_ALLOWED}:
                raise
        return size, changed

    def _full_key(self, key: str) -> str:
        split_key(key, f"staging location {self.root}")
        return self._prefix + key

    @contextmanager
    def _raise_stage_errors(self, what: str) -> Iterator[None]:
        """Raise errors of boto3 as `StageError`; ``what`` failed, as in ``write s3://bucket/key``."""
        try:
            yield
        except StageError:
            raise
        except Exception as error:  # noqa: BLE001  boto3 passes on what its libraries raise
            raise to_stage_error(error, what, self._location) from cause_of(error)

    def _start_upload(self, key: str, pipe: Pipe) -> Any:
        subscribers = [WakeWriter(pipe)]
        return self._transfers.upload(pipe, self._bucket, key, self._extra, subscribers)

    def _list_pages(self, operation: str, prefix: str | None = None) -> Iterator[dict[str, Any]]:
        # With a slash, so that `a/b` does not match `a/bc`.
        below = self._prefix if prefix is None else self._full_key(prefix) + "/"
        yield from self._client.get_paginator(operation).paginate(Bucket=self._bucket, Prefix=below)

    def _delete_objects(self, keys: Sequence[str]) -> None:
        """Delete at most `_PAGE` objects; those that S3 could not delete are tried again."""
        for attempt in range(_ATTEMPTS):
            if not keys:
                return
            if attempt:
                time.sleep(random.random() * min(2 ** (attempt - 1), 20))  # noqa: S311  a pause
            objects = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
            answer = self._client.delete_objects(Bucket=self._bucket, Delete=objects)
            refused = answer.get("Errors", [])
            for error in refused:
                if error["Code"] not in _TRANSIENT or attempt == _ATTEMPTS - 1:
                    metadata = {"RetryAttempts": attempt}
                    raise ClientError(
                        {"Error": error, "ResponseMetadata": metadata}, "DeleteObjects"
                    )
            keys = [error["Key"] for error in refused]

    def _abort_upload(self, key: str, upload_id: str) -> None:
        try:
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload_id)
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchUpload":
                raise


@cache
def _open_once(bucket: str, prefix: str, options: StoreOptions) -> S3Store:
    """The store that was pickled; the tasks of one process share it, with its connections."""
    return S3Store(bucket, prefix, options)


def _encryption_parameters(options: StoreOptions) -> dict[str, str]:
    """The encryption parameters of each upload."""
    if options.kms_key_id and options.encryption != "aws:kms":
        raise StageError(
            "`kms_key_id` is only valid with `encryption: aws:kms`",
            hint="set the target's `encryption` to aws:kms, or remove `kms_key_id`",
        )
    extra = {"ServerSideEncryption": options.encryption, "SSEKMSKeyId": options.kms_key_id}
    return {name: value for name, value in extra.items() if value}


def _retry_at_once(caught_exception: object = None, attempts: int = 0, **_: object) -> int | None:
    """Retry without a pause when a request failed on this side.

    Such requests are parts of an upload that has failed already, or have headers that cannot be
    sent. botocore treats both as network errors and would retry for half a minute.
    """
    return 0 if type(caught_exception) is HTTPClientError and attempts < _ATTEMPTS else None
