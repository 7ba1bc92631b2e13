"""An S3 server in a thread: moto's, with refusals in front of it."""

from __future__ import annotations

import logging
import re
import socket
import threading
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIEnvironment

import boto3.session
from botocore.config import Config
from moto.backends import get_backend
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

from loader.staging.stores.base import S3Endpoint, StoreOptions
from loader.staging.stores.s3_sessions import client_arguments, core_session
from loader.testing.redshift.faults import Faults

S3Client = Any
"""boto3 makes its classes when it runs; nothing is known of them before."""

WAREHOUSE, ADMIN = "stand-in-warehouse", "stand-in-admin"
"""What the stand-in's own requests say of themselves: the warehouse's, and the test's."""

ACCESS_KEY, SECRET_KEY = "AKIASTANDIN", "stand-in-secret"


_SERVICES = ("redshift", "s3", "secretsmanager")
"""What is served of all that moto imitates: the bucket, and two ways to get a login."""

_SCOPE = re.compile(r"/\d{8}/[^/]+/([\w-]+)/aws4_request")


class _Quiet(MotoRequestHandler):
    """A handler that logs requests at level DEBUG, and prints none."""

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002, ARG002
        logging.getLogger(__name__).debug(message, *args)


class Storage:
    """The object store of one stand-in, with one bucket."""

    def __init__(self, faults: Faults, bucket: str, region: str, listener: socket.socket) -> None:
        self.bucket = bucket
        self.region = region
        self.kms_key = ""
        """The key of a bucket that takes only what AWS KMS encrypts, as its policy can demand."""
        self._faults = faults
        self._used: set[Any] = set()
        self._moto = DomainDispatcherApplication(create_backend_app)
        host, port = listener.getsockname()[:2]
        self._server = make_server(
            host,
            port,
            self._answer,
            threaded=True,
            request_handler=_Quiet,
            fd=listener.fileno(),  # it makes a copy of it
        )
        self._server.daemon_threads = True  # type: ignore[attr-defined]
        self.endpoint_url = f"http://{host}:{port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        self._thread.start()
        self._admin = self.client(ADMIN)
        self._make_bucket()

    def client(self, agent: str) -> S3Client:
        """A client of the store that does not try anything twice."""
        endpoint = S3Endpoint(self.endpoint_url, ACCESS_KEY, SECRET_KEY)
        config = Config(
            retries={"total_max_attempts": 1},
            user_agent_extra=agent,
            max_pool_connections=32,
        )
        session = boto3.session.Session(botocore_session=core_session(endpoint))
        arguments = client_arguments(StoreOptions(self.region, endpoint=endpoint), config)
        return session.client("s3", **arguments)

    def objects(self, prefix: str = "") -> list[str]:
        """The keys in the bucket that begin so."""
        pages = self._admin.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=prefix
        )
        return [found["Key"] for page in pages for found in page.get("Contents", [])]

    def read(self, key: str) -> bytes:
        """An object."""
        return bytes(self._admin.get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def write(self, key: str, data: bytes) -> None:
        """Put an object there."""
        self._admin.put_object(Bucket=self.bucket, Key=key, Body=data)

    def uploads(self) -> list[dict[str, Any]]:
        """The multipart uploads that nobody completed or aborted."""
        found = self._admin.list_multipart_uploads(Bucket=self.bucket)
        return [dict(upload) for upload in found.get("Uploads", [])]

    def empty(self) -> None:
        """Remove every object, unfinished upload and secret."""
        if self.bucket not in {found["Name"] for found in self._admin.list_buckets()["Buckets"]}:
            self._make_bucket()  # another moto in this process was reset
        self.kms_key = ""
        keys = self.objects()
        for start in range(0, len(keys), 1000):
            batch = [{"Key": key} for key in keys[start : start + 1000]]
            self._admin.delete_objects(Bucket=self.bucket, Delete={"Objects": batch})
        for upload in self.uploads():
            self._admin.abort_multipart_upload(
                Bucket=self.bucket, Key=upload["Key"], UploadId=upload["UploadId"]
            )
        for service in self._used - {"s3"}:
            for regions in get_backend(service).values():
                regions.reset()
        self._used.clear()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._admin.close()

    def _make_bucket(self) -> None:
        where: Any = {}
        if self.region != "us-east-1":
            where = {"CreateBucketConfiguration": {"LocationConstraint": self.region}}
        self._admin.create_bucket(Bucket=self.bucket, **where)

    def _answer(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        agent = environ.get("HTTP_USER_AGENT", "")
        service = _signed_for(environ)
        if service is None:  # a web page in a browser of this machine, for one
            return _refuse(environ, start, 403, "AccessDenied", {})
        if service not in _SERVICES or environ["PATH_INFO"].startswith("/moto-api"):
            return _refuse(environ, start, 501, "NotImplemented", {})
        self._used.add(service)
        if ADMIN not in agent:
            by, operation = "warehouse" if WAREHOUSE in agent else "client", _operation(environ)
            rule = self._faults.take_request(operation, by)
            if rule is not None:
                return _refuse(environ, start, rule.status, rule.code, rule.headers)
            if self.kms_key and operation in _WRITES and not _uses_kms(environ, self.kms_key):
                return _refuse(environ, start, 403, "AccessDenied", {})
        return self._moto(environ, start)


def _signed_for(environ: WSGIEnvironment) -> str | None:
    """The service that a request is signed for; None for anonymous ones, which S3 refuses."""
    query = parse_qs(environ.get("QUERY_STRING", ""))
    header = environ.get("HTTP_AUTHORIZATION", "")
    if header.startswith("AWS ") or "AWSAccessKeyId" in query:  # signatures of version 2
        return "s3"
    scope = "".join(query.get("X-Amz-Credential", [])) or header
    found = _SCOPE.search(scope)
    return found[1] if found else None


_WRITES = ("PutObject", "CreateMultipartUpload")
"""What tells S3 how an object is to be encrypted; parts of an upload do not."""


def _uses_kms(environ: WSGIEnvironment, key: str) -> bool:
    """Whether an object is to be encrypted by this key, or by the one that AWS manages."""
    named = environ.get("HTTP_X_AMZ_SERVER_SIDE_ENCRYPTION_AWS_KMS_KEY_ID", key)
    return environ.get("HTTP_X_AMZ_SERVER_SIDE_ENCRYPTION") == "aws:kms" and named == key


def _operation(environ: WSGIEnvironment) -> str:
    method = environ["REQUEST_METHOD"]
    has_key = "/" in environ["PATH_INFO"].lstrip("/").rstrip("/")
    asked = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    match method:
        case "PUT" if "partNumber" in asked:
            return "UploadPart"
        case "PUT":
            return "PutObject" if has_key else "CreateBucket"
        case "POST" if "uploads" in asked:
            return "CreateMultipartUpload"
        case "POST" if "uploadId" in asked:
            return "CompleteMultipartUpload"
        case "DELETE" if "uploadId" in asked:
            return "AbortMultipartUpload"
        case "DELETE" | "POST":
            return "DeleteObject"
        case "HEAD":
            return "HeadObject" if has_key else "HeadBucket"
        case _ if has_key:
            return "GetObject"
        case _:
            return "ListUploads" if "uploads" in asked else "ListObjects"


def _refuse(
    environ: WSGIEnvironment,
    start: StartResponse,
    status: int,
    code: str,
    headers: dict[str, str],
) -> list[bytes]:
    left = int(environ.get("CONTENT_LENGTH") or 0)
    while left:  # or closing would reset the connection before the answer is read
        left -= len(environ["wsgi.input"].read(min(left, 1 << 20))) or left
    texts = {
        "SlowDown": "Please reduce your request rate.",
        "AccessDenied": "Access Denied",
        "ExpiredToken": "The provided token has expired.",
        "PermanentRedirect": "The bucket you are attempting to access must be addressed using "
        "the specified endpoint.",
        "InternalError": "We encountered an internal error. Please try again.",
        "NoSuchBucket": "The specified bucket does not exist",
        "NotImplemented": "Only S3, Secrets Manager and Redshift's credentials are served.",
    }
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{texts.get(code, code)}</Message>"
        "<RequestId>STANDIN</RequestId><HostId>stand-in</HostId></Error>"
    ).encode()
    if environ["REQUEST_METHOD"] == "HEAD":
        body = b""
    sent = {"Content-Type": "application/xml", "Content-Length": str(len(body)), **headers}
    start(f"{status} {code}", list(sent.items()))
    return [body]
