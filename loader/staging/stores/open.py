"""Opens the store of a staging location."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

from loader.errors import StageError
from loader.staging.stores.base import Store, StoreOptions
from loader.staging.stores.local import FolderStore

_BUCKET = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")
_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+")
_BAD_IN_PREFIX = re.compile(r"""[\s\x00-\x1f\x7f?#*\\{}\[\]<>^|%"'`]""")
"""Characters that S3 advises against, or that have a meaning in URLs or globs."""

_HINT = (
    "set the target's `staging` to s3://bucket or s3://bucket/prefix, "
    "as in s3://acme-staging/loader"
)


def open_store(uri: str, options: StoreOptions | None = None) -> Store:
    """Open the store of a staging location, without connecting to it.

    Raises:
        StageError: the location is neither a folder nor a valid S3 URL, or an option is wrong.
    """
    scheme, separator, _ = uri.partition("://")
    # `s3:/bucket` would be a folder of that name, but is a mistyped URL.
    if not separator and not uri.lower().startswith("s3:"):
        return FolderStore(_parse_folder(uri))
    if separator and scheme.lower() not in {"s3", "s3a", "s3n"}:
        raise _url_error(uri, f"{scheme}:// is not supported", "; or set it to a folder")
    bucket, prefix = _parse_s3_url(uri)
    try:
        module = importlib.import_module("loader.staging.stores.s3")
    except ModuleNotFoundError as error:
        raise StageError(
            f"staging in S3 needs the module `{error.name}`, which is not installed",
            hint="install boto3",
        ) from error
    store: Store = module.S3Store(bucket, prefix, options or StoreOptions())
    return store


def _parse_folder(uri: str) -> Path:
    """The absolute path of a folder, without backslashes: in DuckDB's patterns they are escapes."""
    folder = Path(uri).expanduser().absolute()
    if "\\" in folder.as_posix():
        raise StageError(
            f"cannot stage in {folder}: DuckDB cannot read folders with a backslash",
            hint="set the target's `staging` to another folder",
        )
    return folder


def _parse_s3_url(uri: str) -> tuple[str, str]:
    """The bucket and the prefix of an S3 URL; the prefix may be empty."""
    if not uri.startswith("s3://"):
        raise _url_error(uri, "an S3 URL starts with s3://")
    if "@" in uri:
        raise _url_error(uri, "it must not contain credentials; boto3 finds them")
    bucket, slash, prefix = uri.removeprefix("s3://").partition("/")
    if not bucket:
        raise _url_error(uri, "the bucket is missing")
    if not 3 <= len(bucket) <= 63:
        raise _url_error(
            uri, f"`{bucket}` is not a valid bucket name: it must have 3 to 63 characters"
        )
    if not _BUCKET.fullmatch(bucket):
        rule = "use lower-case letters, digits, `-` and `.`, and no `-` or `.` at the ends"
        raise _url_error(uri, f"`{bucket}` is not a valid bucket name: {rule}")
    if ".." in bucket or _ADDRESS.fullmatch(bucket):
        rule = "it must not be an IP address or contain `..`"
        raise _url_error(uri, f"`{bucket}` is not a valid bucket name: {rule}")
    if not slash or not prefix:
        return bucket, ""
    # One slash at the end is allowed, as for folders.
    parts = prefix.removesuffix("/").split("/")
    if not all(parts):
        raise _url_error(uri, "it contains an empty part between two slashes")
    if {".", ".."} & set(parts):
        raise _url_error(uri, "`.` and `..` have no meaning in S3")
    if bad := _BAD_IN_PREFIX.search(prefix):
        raise _url_error(uri, f"the prefix contains {bad.group()!r}, which is not safe in keys")
    return bucket, "/".join(parts)


def _url_error(uri: str, what: str, otherwise: str = "") -> StageError:
    # URLs of Hadoop contain `key:secret@`, and a secret may contain a slash.
    shown = re.sub(r":.*@", "://***@", uri, flags=re.DOTALL)
    return StageError(f"cannot stage in `{shown}`: {what}", hint=_HINT + otherwise)
