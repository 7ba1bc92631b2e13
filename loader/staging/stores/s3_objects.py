"""Lists and reads objects of any bucket, for data that is loaded from S3."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

import boto3.session
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError

from loader.errors import SourceError
from loader.staging.stores.s3_errors import S3Location, cause_of, to_stage_error

_ATTEMPTS = 8
_PART_BYTES = 1 << 20

_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
    connect_timeout=10,
    read_timeout=60,
    user_agent_extra="loader",
)

_EMPTY = {"InvalidRange", "416"}
"""What a range of an object without bytes is."""

_DENIED = {"AccessDenied", "AllAccessDisabled", "Forbidden", "403"}

_HINTS_FOR_READERS = (
    (
        "create it, or correct the target's `staging`",
        "correct the name; `aws s3 ls` lists the buckets of your account",
    ),
    ("set the target's `region_name` to", "set AWS_REGION to"),
    (", with fewer loads at once, or stage below another prefix", ""),
    (
        "check that the target's `kms_key_id` names an enabled key of the bucket's region",
        "allow kms:Decrypt on the object's key to the identity that runs Loader",
    ),
    ("if the files of this load were removed, run it again", "check whether it was just removed"),
    ("shorten the target's `staging`", "correct the name"),
)
"""Phrases of hints for staging → the same for reading."""


class DeniedError(SourceError):
    """AWS denies this identity the access."""


class ListedObject(NamedTuple):
    """An object of a listing."""

    key: str
    bytes: int
    tag: str
    """Its ETag."""


class S3Objects:
    """The objects of a bucket.

    Raises:
        SourceError: boto3's settings are wrong; nothing is sent yet.
    """

    def __init__(self, bucket: str) -> None:
        self.bucket = bucket
        self._location = S3Location(bucket, "", "")
        with self._raise_source_errors(f"read from s3://{bucket}"):
            # Its own session, since the default one of boto3 is not thread-safe.
            self._client = boto3.session.Session().client("s3", config=_CONFIG)
        meta = self._client.meta
        self._location = S3Location(bucket, "", meta.region_name, meta.endpoint_url, meta.partition)

    def keys(self, start: str, *, below: bool) -> Iterator[str]:
        """The keys with this prefix, in order; without ``below`` only up to the next slash.

        Raises:
            DeniedError, SourceError: see `objects`.
        """
        return (found.key for found in self.objects(start, below=below))

    def objects(self, start: str, *, below: bool) -> Iterator[ListedObject]:
        """The objects whose keys have this prefix, in the order of their keys.

        Raises:
            DeniedError: this identity may not list the bucket.
            SourceError: the bucket does not exist, or S3 cannot be reached.
        """
        request = {"Bucket": self.bucket, "Prefix": start} | ({} if below else {"Delimiter": "/"})
        pages = iter(self._client.get_paginator("list_objects_v2").paginate(**request))
        while True:
            with self._raise_source_errors(f"list s3://{self.bucket}/{start}"):
                page = next(pages, None)
            if page is None:
                return
            # Consoles create such an object for a folder.
            for item in page.get("Contents", ()):
                if not item["Key"].endswith("/"):
                    yield ListedObject(item["Key"], int(item["Size"]), str(item["ETag"]))

    def parts(self, key: str, tag: str = "") -> Iterator[bytes]:
        """The bytes of an object, piece by piece; a lost connection is resumed.

        Args:
            key: Its key.
            tag: Its ETag, if it has to have this one.

        Raises:
            DeniedError: this identity may not read it.
            SourceError: it does not exist, has another ETag, changes while it is read, or cannot
                be read.
        """
        what = f"read s3://{self.bucket}/{key}"
        done, failures = 0, 0
        while True:
            rest = {"IfMatch": tag} if tag else {}
            rest |= {"Range": f"bytes={done}-"} if done else {}
            with self._raise_source_errors(what):
                answer = self._client.get_object(Bucket=self.bucket, Key=key, **rest)
            tag = answer["ETag"]
            try:
                for part in _read_pieces(answer["Body"]):
                    done, failures = done + len(part), 0
                    yield part
            except (IncompleteReadError, HTTPClientError) as error:
                failures += 1
                if failures == _ATTEMPTS:
                    raise self._to_source_error(error, what) from error
            else:
                return
            time.sleep(random.random() * min(2 ** (failures - 1), 20))  # noqa: S311  a pause

    def head(self, key: str) -> tuple[int, dict[str, str]]:
        """The size of an object in bytes, and its version.

        Raises:
            DeniedError: this identity may not read it.
            SourceError: it does not exist, or S3 cannot be reached.
        """
        with self._raise_source_errors(f"read s3://{self.bucket}/{key}"):
            answer = self._client.head_object(Bucket=self.bucket, Key=key)
        return int(answer["ContentLength"]), _version_of(answer)

    def read_end(self, key: str, size: int, *, last: bool) -> tuple[int, dict[str, str], bytes]:
        """The first or last bytes of an object, at most ``size``, after its size and its version.

        Raises:
            DeniedError: this identity may not read it.
            SourceError: it does not exist, or cannot be read.
        """
        with self._raise_source_errors(f"read s3://{self.bucket}/{key}"):
            part = f"bytes=-{size}" if last else f"bytes=0-{size - 1}"
            try:
                answer = self._client.get_object(Bucket=self.bucket, Key=key, Range=part)
            except ClientError as error:
                if error.response["Error"]["Code"] not in _EMPTY:
                    raise
                return *self.head(key), b""
            data = b"".join(_read_pieces(answer["Body"]))
        whole = answer.get("ContentRange", f"/{len(data)}").rpartition("/")[2]
        return int(whole), _version_of(answer), data

    def read_range(self, key: str, start: int, end: int, tag: str) -> bytes:
        """The bytes of an object from ``start`` up to, but not with, ``end``.

        Raises:
            DeniedError: this identity may not read it.
            SourceError: it does not exist, has another ETag, or cannot be read.
        """
        if start >= end:
            return b""
        with self._raise_source_errors(f"read s3://{self.bucket}/{key}"):
            answer = self._client.get_object(
                Bucket=self.bucket, Key=key, Range=f"bytes={start}-{end - 1}", IfMatch=tag
            )
            return b"".join(_read_pieces(answer["Body"]))

    @contextmanager
    def _raise_source_errors(self, what: str) -> Iterator[None]:
        """Raise errors of boto3 as `SourceError`; ``what`` failed, as in ``read s3://bucket/key``."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  boto3 passes on what its libraries raise
            raise self._to_source_error(error, what) from cause_of(error)

    def _to_source_error(self, error: Exception, what: str) -> SourceError:
        found = to_stage_error(error, what, self._location)
        answer = error.response.get("Error", {}) if isinstance(error, ClientError) else {}
        kind = DeniedError if answer.get("Code") in _DENIED else SourceError
        return kind(found.message, hint=rephrase_for_readers(found.hint or ""))


def _version_of(answer: Mapping[str, Any]) -> dict[str, str]:
    """The ETag of an object, and its version id if the bucket keeps versions."""
    named = {"etag": answer["ETag"], "version_id": answer.get("VersionId")}
    return {name: str(value) for name, value in named.items() if value is not None}


def rephrase_for_readers(hint: str) -> str:
    """A hint of `s3_errors`, rephrased for reading data instead of staging."""
    for staging, reading in _HINTS_FOR_READERS:
        hint = hint.replace(staging, reading)
    return hint


def _read_pieces(body: Any) -> Iterator[bytes]:
    # `with body` would give the raw stream, which does not check the length.
    with closing(body):
        while part := body.read(_PART_BYTES):
            yield part
