"""The warehouse's own requests to the object store, and its errors in Redshift's words."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError

from loader.testing.redshift.refusals import Refusal, not_implemented
from loader.testing.redshift.s3.server import S3Client

_CODE = 8001


@dataclass(frozen=True)
class Found:
    """An object of the store."""

    url: str
    size: int


class Store:
    """S3 as COPY and UNLOAD use it: with the role attached to the warehouse, or not at all."""

    def __init__(
        self, client: S3Client, iam_role: str, default_key: Callable[[], str] = lambda: ""
    ) -> None:
        self._client = client
        self._iam_role = iam_role
        self.default_key = default_key
        """Tells the KMS key that the bucket encrypts with by default; empty for none."""

    def check_role(self, role: str, user: str) -> None:
        """Refuse a role that is not attached; the first one is, of those in a chain."""
        if not role:
            raise not_implemented("access keys in place of IAM_ROLE")
        first = role.partition(",")[0].strip()
        if first not in (self._iam_role, "default"):
            account = self._iam_role.split(":")[4]
            raise s3_refusal(
                f"User arn:aws:redshift:us-east-1:{account}:dbuser:stand-in/{user}"
                f" is not authorized to assume IAM Role {first}",
                403,
                "AccessDenied",
            )

    def read(self, url: str) -> bytes:
        """An object's bytes."""
        bucket, key = split(url)
        try:
            return bytes(self._client.get_object(Bucket=bucket, Key=key)["Body"].read())
        except (ClientError, BotoCoreError) as error:
            raise _refusal(error) from error

    def exists(self, url: str) -> bool:
        """Whether there is such an object."""
        return any(found.url == url for found in self.listed(url))

    def listed(self, prefix: str) -> list[Found]:
        """The objects whose keys begin with it: ``day=1`` finds ``day=10/…`` too.

        That is so on S3 as well (dg/copy-parameters-data-source-s3).
        """
        bucket, key = split(prefix)
        try:
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=bucket, Prefix=key
            )
            return [
                Found(f"s3://{bucket}/{found['Key']}", found["Size"])
                for page in pages
                for found in page.get("Contents", [])
            ]
        except (ClientError, BotoCoreError) as error:
            raise _refusal(error) from error

    def write(self, url: str, data: bytes, encryption: Mapping[str, str]) -> None:
        """Store an object, encrypted as these parameters of S3 say."""
        bucket, key = split(url)
        try:
            self._client.put_object(Bucket=bucket, Key=key, Body=data, **encryption)
        except (ClientError, BotoCoreError) as error:
            raise _refusal(error) from error

    def remove(self, url: str) -> None:
        """Delete an object."""
        bucket, key = split(url)
        try:
            self._client.delete_object(Bucket=bucket, Key=key)
        except (ClientError, BotoCoreError) as error:
            raise _refusal(error) from error


def split(url: str) -> tuple[str, str]:
    """Bucket and key of an ``s3://`` URL."""
    found = re.fullmatch(r"s3://([^/]+)/(.*)", url, re.DOTALL)
    if found is None:
        raise Refusal(f"Invalid S3 url: {url}")
    return found[1], found[2]


def s3_refusal(text: str, status: int, code: str) -> Refusal:
    """What Redshift says when S3 refuses it."""
    message = (
        f"S3ServiceException:{text},Status {status},Error {code},"
        "Rid STANDIN0000,ExtRid stand-in,CanRetry 1"
    )
    rule = "-----------------------------------------------"
    detail = (
        f"\n  {rule}\n  error:  {message}\n  code:      {_CODE}\n  context:   Listing bucket\n"
        f"  query:     0\n  location:  s3_utility.cpp:678\n  process:   padbmaster [pid=0]\n"
        f"  {rule}\n"
    )
    return Refusal(message, detail=detail)


def _refusal(error: ClientError | BotoCoreError) -> Refusal:
    if not isinstance(error, ClientError):
        return s3_refusal(str(error), 0, "CurlError")
    found = error.response.get("Error", {})
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return s3_refusal(found.get("Message", ""), status, found.get("Code", ""))
