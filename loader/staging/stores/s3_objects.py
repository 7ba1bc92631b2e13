"""Objects of any bucket, read where they are somebody's data and no staged files."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import boto3.session
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError

from loader.errors import SourceError
from loader.staging.stores.s3_errors import Place, told

_ATTEMPTS = 8
_PART_BYTES = 1 << 20

_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
    connect_timeout=10,
    read_timeout=60,
    user_agent_extra="loader",
)

_DENIED = {"AccessDenied", "AllAccessDisabled", "Forbidden", "403"}

_READING = (
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
    ("if the files of this load were removed, run it again", "was it removed just now?"),
    ("shorten the target's `staging`", "correct the name"),
)
"""What hints say to those who stage → what they say to those who read."""


class DeniedError(SourceError):
    """AWS does not let this identity do it."""


class S3Objects:
    """The objects of a bucket.

    Raises:
        SourceError: boto3's settings are wrong; nothing is sent yet.
    """

    def __init__(self, bucket: str) -> None:
        self.bucket = bucket
        self._place = Place(bucket, "", "")
        with self._telling(f"read from s3://{bucket}"):
            # A session of its own: boto3's default one is not made for several threads.
            self._client = boto3.session.Session().client("s3", config=_CONFIG)
        meta = self._client.meta
        self._place = Place(bucket, "", meta.region_name, meta.endpoint_url, meta.partition)

    def keys(self, start: str, *, below: bool) -> Iterator[str]:
        """The keys that begin so, in order; without ``below`` only up to the next slash.

        Raises:
            DeniedError: this identity may not list the bucket.
            SourceError: the bucket is not there, or does not answer.
        """
        request = {"Bucket": self.bucket, "Prefix": start} | ({} if below else {"Delimiter": "/"})
        pages = iter(self._client.get_paginator("list_objects_v2").paginate(**request))
        while True:
            with self._telling(f"list s3://{self.bucket}/{start}"):
                page = next(pages, None)
            if page is None:
                return
            # What consoles put down for a folder is no file.
            keys = (item["Key"] for item in page.get("Contents", ()))
            yield from (key for key in keys if not key.endswith("/"))

    def parts(self, key: str) -> Iterator[bytes]:
        """The bytes of an object, piece by piece; a connection that breaks is taken up again.

        Raises:
            DeniedError: this identity may not read it.
            SourceError: it is not there, was changed meanwhile, or does not come.
        """
        what = f"read s3://{self.bucket}/{key}"
        done, tag, failures = 0, "", 0
        while True:
            rest = {"Range": f"bytes={done}-", "IfMatch": tag} if done else {}
            with self._telling(what):
                answer = self._client.get_object(Bucket=self.bucket, Key=key, **rest)
            tag = answer["ETag"]
            try:
                for part in _pieces(answer["Body"]):
                    done, failures = done + len(part), 0
                    yield part
            except (IncompleteReadError, HTTPClientError) as error:
                failures += 1
                if failures == _ATTEMPTS:
                    raise self._told(error, what) from error
            else:
                return
            time.sleep(random.random() * min(2 ** (failures - 1), 20))  # noqa: S311  a pause

    @contextmanager
    def _telling(self, what: str) -> Iterator[None]:
        """Raise what goes wrong in boto3 as a SourceError."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  boto3 passes on what its libraries raise
            # The text of such an error may be a header, with a token in it.
            raise self._told(error, what) from (None if type(error) is HTTPClientError else error)

    def _told(self, error: Exception, what: str) -> SourceError:
        found = told(error, what, self._place)
        answer = error.response.get("Error", {}) if isinstance(error, ClientError) else {}
        kind = DeniedError if answer.get("Code") in _DENIED else SourceError
        return kind(found.message, hint=for_readers(found.hint or ""))


def for_readers(hint: str) -> str:
    """A hint of S3's faults in words for who stages nothing."""
    for staging, reading in _READING:
        hint = hint.replace(staging, reading)
    return hint


def _pieces(body: Any) -> Iterator[bytes]:
    # Entering the body itself would give the bare stream, which checks no length.
    with closing(body):
        while part := body.read(_PART_BYTES):
            yield part
