"""Turns errors of S3 and boto3 into `StageError` with a cause and a hint.

No message contains a key, token or secret; they are removed from the messages of S3.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError, HTTPClientError

from loader.errors import StageError


@dataclass(frozen=True)
class _ErrorText:
    """Message and hint of one kind of failure, with the placeholders of `to_stage_error`."""

    message: str
    hint: str
    transient: bool = False
    """Whether the same request may succeed later."""


_DENIED = _ErrorText(
    "AWS denied {action}{detail}",
    "allow {action} on {resource} to the identity that runs Loader; "
    "`aws sts get-caller-identity` shows it{policy}",
)
_EXPIRED = _ErrorText(
    "the AWS credentials have expired",
    "renew them (`aws sso login`, or a new session token), then run the load again",
)
_UNKNOWN_KEY = _ErrorText(
    "AWS does not know the access key or the session token",
    "correct AWS_ACCESS_KEY_ID and AWS_SESSION_TOKEN, or the profile they come from",
)
_KMS_POLICY = (
    ". A bucket that takes only what AWS KMS encrypts needs the target's `encryption: aws:kms`"
)
_WRONG_REGION = _ErrorText(
    "the bucket `{bucket}` is in the region {region}, not in {asked}",
    "set the target's `region_name` to {region}",
)
_UNKNOWN_REGION = _ErrorText(
    "the bucket `{bucket}` is not in the region {asked}",
    "set the target's `region_name` to the bucket's region; "
    "`aws s3api get-bucket-location --bucket {bucket}` shows it",
)
_BUSY = _ErrorText(
    "S3 was too busy for {attempts} ({code})",
    "run the load again later, with fewer loads at once, or stage below another prefix",
    transient=True,
)
_KMS = _ErrorText(
    "the KMS key cannot be used ({code}){detail}",
    "check that the target's `kms_key_id` names an enabled key of the bucket's region",
)
_UNREACHABLE = _ErrorText(
    "S3 cannot be reached at {endpoint}",
    "check the network, the proxy (HTTPS_PROXY) and, where it is set, AWS_ENDPOINT_URL_S3",
    transient=True,
)
_CONNECTION_LOST = _ErrorText(
    "the connection to {endpoint} was lost or timed out",
    "check the network, then run the load again",
    transient=True,
)
_NOT_FETCHED = _ErrorText(
    "AWS credentials could not be fetched ({kind})",
    "run `aws sts get-caller-identity` to see why; `aws sso login` renews a session",
)
_CHANGED = _ErrorText(
    "it has changed since it was listed", "run the load again when nobody writes the object"
)
_OTHER = _ErrorText(
    "S3 answered {code}{detail}",
    "see https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html",
)
_UNEXPECTED = _ErrorText(
    "{kind}{detail}", "check the AWS settings: environment, ~/.aws, endpoint URL"
)

_CODES: Mapping[str, _ErrorText] = {
    "NoSuchBucket": _ErrorText(
        "the bucket `{bucket}` does not exist", "create it, or correct the target's `staging`"
    ),
    "NoSuchKey": _ErrorText(
        "it does not exist", "if the files of this load were removed, run it again"
    ),
    "PreconditionFailed": _CHANGED,
    "412": _CHANGED,
    "AccessDenied": _DENIED,
    "AllAccessDisabled": _DENIED,
    "Forbidden": _DENIED,
    "403": _DENIED,
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "RequestExpired": _EXPIRED,
    "TokenRefreshRequired": _EXPIRED,
    "InvalidAccessKeyId": _UNKNOWN_KEY,
    "InvalidClientTokenId": _UNKNOWN_KEY,
    "InvalidToken": _UNKNOWN_KEY,
    "UnrecognizedClientException": _UNKNOWN_KEY,
    "SignatureDoesNotMatch": _ErrorText(
        "the secret access key does not belong to the access key",
        "correct AWS_SECRET_ACCESS_KEY, or the profile it comes from; "
        "a proxy that changes requests has the same effect",
    ),
    "RequestTimeTooSkewed": _ErrorText(
        "the clock of this machine differs from S3 by more than it accepts", "set the clock (NTP)"
    ),
    "PermanentRedirect": _WRONG_REGION,
    "TemporaryRedirect": _WRONG_REGION,
    "301": _WRONG_REGION,
    "307": _WRONG_REGION,
    "AuthorizationHeaderMalformed": _WRONG_REGION,
    "IllegalLocationConstraintException": _WRONG_REGION,
    "IllegalLocationConstraint": _WRONG_REGION,
    "SlowDown": _BUSY,
    "ServiceUnavailable": _BUSY,
    "Throttling": _BUSY,
    "ThrottlingException": _BUSY,
    "ThrottledException": _BUSY,
    "RequestThrottled": _BUSY,
    "RequestLimitExceeded": _BUSY,
    "BandwidthLimitExceeded": _BUSY,
    "TooManyRequests": _BUSY,
    "RequestTimeout": _CONNECTION_LOST,
    "InternalError": _BUSY,
    "OperationAborted": _BUSY,
    "429": _BUSY,
    "500": _BUSY,
    "502": _BUSY,
    "503": _BUSY,
    "504": _BUSY,
    "NoSuchUpload": _ErrorText(
        "the upload was aborted from outside",
        "check that no other load uses this load id, and that the lifecycle rule of the bucket "
        "keeps incomplete uploads for more than a day",
    ),
    "KeyTooLongError": _ErrorText(
        "the key is longer than 1,024 bytes, the limit of S3", "shorten the target's `staging`"
    ),
}
"""By error code of S3. All codes of KMS, which start with `KMS.`, have one text."""

_EXCEPTIONS: Mapping[str, _ErrorText] = {
    "NoCredentialsError": _ErrorText(
        "no AWS credentials were found",
        "set up one of the sources of boto3: the environment (AWS_ACCESS_KEY_ID, AWS_PROFILE), "
        "~/.aws, or a role of the container or instance",
    ),
    "PartialCredentialsError": _ErrorText(
        "the AWS credentials are incomplete{detail}",
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or correct the profile",
    ),
    "ProfileNotFound": _ErrorText(
        "the AWS profile does not exist{detail}", "correct AWS_PROFILE, or ~/.aws/config"
    ),
    "CredentialRetrievalError": _NOT_FETCHED,
    "RefreshWithMFAUnsupportedError": _NOT_FETCHED,
    "MetadataRetrievalError": _NOT_FETCHED,
    "TokenRetrievalError": _NOT_FETCHED,
    "LoginError": _NOT_FETCHED,
    "SSOError": _NOT_FETCHED,
    "SSLError": _ErrorText(
        "the certificate of {endpoint} is not trusted",
        "set AWS_CA_BUNDLE to the certificates of your network, or correct the endpoint URL",
    ),
    "ConnectionError": _UNREACHABLE,
    "ReadTimeoutError": _CONNECTION_LOST,
    "ConnectionClosedError": _CONNECTION_LOST,
    "ResponseStreamingError": _CONNECTION_LOST,
    "IncompleteReadError": _CONNECTION_LOST,
    "HTTPClientError": _ErrorText(
        "the request to {endpoint} could not be sent",
        "check whether AWS_ACCESS_KEY_ID or AWS_SESSION_TOKEN ends in a line break",
    ),
}
"""By name of a class of botocore, or of its base class; old versions lack some classes."""

_ACTIONS = {
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "DeleteObject": "s3:DeleteObject",
    "DeleteObjects": "s3:DeleteObject",
    "GetObject": "s3:GetObject",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "ListObjectsV2": "s3:ListBucket",
}
"""Permissions by operation; all others belong to uploads."""

_BUCKET_ACTIONS = {"s3:ListBucket", "s3:ListBucketMultipartUploads"}

_NAMED_ACTION = re.compile(
    r"not authorized to perform: (?P<action>[\w:]+)(?: on (?:the )?resource:? \"?(?P<on>[^\s\"]+))?"
)
_NAMED_REGION = re.compile(r"expecting '([a-z]{2}[a-z0-9-]+)'|The ([a-z]{2}-[a-z0-9-]+) location")
_SECRET = re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b|(?<=://)\S*(?=@)")
"""Access key ids, and what a URL contains before its host."""


@dataclass(frozen=True)
class S3Location:
    """The bucket that was accessed, and how."""

    bucket: str
    prefix: str
    """The prefix of the store with a slash at its end, or empty."""
    region: str
    """The region of the client, which may differ from that of the bucket."""
    endpoint: str = "https://s3.amazonaws.com"
    partition: str = "aws"


def to_stage_error(error: Exception, what: str, location: S3Location) -> StageError:
    """The `StageError` for an exception of boto3.

    Args:
        error: The exception.
        what: What failed, as a verb and its object: ``write s3://bucket/key``.
        location: The bucket that was accessed.
    """
    if isinstance(error, ClientError):
        text, names = _describe_response(error, location)
    else:
        text, names = _describe_exception(error)
    names = {
        "kind": type(error).__name__,
        "bucket": location.bucket,
        "asked": location.region,
        "endpoint": _hide_credentials(location.endpoint),
        **names,
    }
    message = text.message.format(**names)
    hint = text.hint.format(**names)
    return StageError(f"cannot {what}: {message}", hint=hint, transient=text.transient)


def cause_of(error: Exception) -> Exception | None:
    """The exception to chain to a `StageError`; None where its text may contain a secret header."""
    return None if type(error) is HTTPClientError else error


def _describe_response(
    error: ClientError, location: S3Location
) -> tuple[_ErrorText, dict[str, str]]:
    """The text for an error response of S3, and the values of its placeholders."""
    answer = error.response.get("Error", {})
    metadata = error.response.get("ResponseMetadata", {})
    code, message = str(answer.get("Code", "")), str(answer.get("Message", ""))
    text = _KMS if code.startswith("KMS.") else _CODES.get(code, _OTHER)
    action = _ACTIONS.get(error.operation_name, "s3:PutObject")
    path = "" if action in _BUCKET_ACTIONS else f"/{location.prefix}*"
    resource = f"arn:{location.partition}:s3:::{location.bucket}{path}"
    if named := _NAMED_ACTION.search(message):
        action, resource = named["action"], named["on"] or resource
    region = _find_region(answer, metadata)
    if text is _WRONG_REGION and region in {"", location.region}:
        text = _UNKNOWN_REGION
    attempts = metadata.get("RetryAttempts", 0) + 1
    return text, {
        "code": code or f"HTTP {metadata.get('HTTPStatusCode')}",
        "detail": _clean_detail(message) if message not in {"Access Denied", "Forbidden"} else "",
        "action": action,
        "resource": resource,
        "policy": _KMS_POLICY if action == "s3:PutObject" else "",
        "region": region,
        "attempts": f"{attempts} attempts" if attempts > 1 else "1 attempt",
    }


def _describe_exception(error: Exception) -> tuple[_ErrorText, dict[str, str]]:
    """The text for an exception without a response of S3, and the values of its placeholders."""
    names = (kind.__name__ for kind in type(error).__mro__)
    text = next((_EXCEPTIONS[name] for name in names if name in _EXCEPTIONS), _UNEXPECTED)
    return text, {"detail": _clean_detail(str(error))}


def _find_region(answer: Mapping[str, Any], metadata: Mapping[str, Any]) -> str:
    """The region of the bucket, where the response contains it; else empty."""
    named = _NAMED_REGION.search(str(answer.get("Message", "")))
    candidates = (
        metadata.get("HTTPHeaders", {}).get("x-amz-bucket-region"),
        answer.get("Region"),
        named and (named[1] or named[2]),
    )
    return next((str(region) for region in candidates if region), "")


def _clean_detail(text: str) -> str:
    return f": {_SECRET.sub('***', text).rstrip('.')}" if text else ""


def _hide_credentials(endpoint: str) -> str:
    """An endpoint URL without user name and password."""
    parts = urlsplit(endpoint)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
