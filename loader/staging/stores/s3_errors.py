"""What S3 and boto3 can answer, told to the person who has to mend it.

No message holds a key, token or secret: S3's own words are used where they help, and cleaned.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from loader.errors import StageError


@dataclass(frozen=True)
class _Fault:
    """How one kind of failure is told: templates over the names in `told`."""

    says: str
    hint: str
    passing: bool = False
    """Whether the same may work later."""


_DENIED = _Fault(
    "AWS denied {action}{detail}",
    "allow {action} on {resource} to the identity that runs Loader; "
    "`aws sts get-caller-identity` names it",
)
_EXPIRED = _Fault(
    "the AWS credentials have expired",
    "renew them (`aws sso login`, or a new session token), then run the load again",
)
_UNKNOWN_KEY = _Fault(
    "AWS does not know the access key or session token it was given",
    "correct AWS_ACCESS_KEY_ID and AWS_SESSION_TOKEN, or the profile they come from",
)
_ELSEWHERE = _Fault(
    "the bucket `{bucket}` is in {region}, and was asked for in {asked}",
    "set the target's `region_name` to {region}",
)
_SOMEWHERE = _Fault(
    "the bucket `{bucket}` is not in {asked}",
    "set the target's `region_name` to the bucket's region; "
    "`aws s3api get-bucket-location --bucket {bucket}` names it",
)
_BUSY = _Fault(
    "S3 stayed too busy through {attempts} ({code})",
    "run the load again later, with fewer loads at once, or stage below another prefix",
    passing=True,
)
_KMS = _Fault(
    "the KMS key cannot be used ({code}){detail}",
    "check that the target's `kms_key_id` names an enabled key of the bucket's region",
)
_UNREACHABLE = _Fault(
    "S3 cannot be reached at {endpoint}",
    "check the network, the proxy (HTTPS_PROXY) and, where it is set, AWS_ENDPOINT_URL_S3",
    passing=True,
)
_BROKEN_OFF = _Fault(
    "the connection to {endpoint} broke off or stood still",
    "check the network, then run the load again",
    passing=True,
)
_FETCH = _Fault(
    "AWS credentials could not be fetched ({kind})",
    "run `aws sts get-caller-identity` to see why; `aws sso login` renews a session",
)
_OTHER = _Fault(
    "S3 answered {code}{detail}",
    "https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html tells what it means",
)
_SURPRISE = _Fault("{kind}{detail}", "check the AWS settings: environment, ~/.aws, endpoint URL")

_CODES: Mapping[str, _Fault] = {
    "NoSuchBucket": _Fault(
        "there is no bucket `{bucket}`", "create it, or correct the target's `staging`"
    ),
    "NoSuchKey": _Fault("it is not there", "if the files of this load were removed, run it again"),
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
    "SignatureDoesNotMatch": _Fault(
        "the secret access key is not the one of the access key",
        "correct AWS_SECRET_ACCESS_KEY, or the profile it comes from; "
        "a proxy that changes requests has the same effect",
    ),
    "RequestTimeTooSkewed": _Fault(
        "this machine's clock is wrong by more than S3 accepts", "set the clock (NTP)"
    ),
    "PermanentRedirect": _ELSEWHERE,
    "TemporaryRedirect": _ELSEWHERE,
    "301": _ELSEWHERE,
    "307": _ELSEWHERE,
    "AuthorizationHeaderMalformed": _ELSEWHERE,
    "IllegalLocationConstraintException": _ELSEWHERE,
    "IllegalLocationConstraint": _ELSEWHERE,
    "SlowDown": _BUSY,
    "ServiceUnavailable": _BUSY,
    "Throttling": _BUSY,
    "ThrottlingException": _BUSY,
    "ThrottledException": _BUSY,
    "RequestThrottled": _BUSY,
    "RequestLimitExceeded": _BUSY,
    "BandwidthLimitExceeded": _BUSY,
    "TooManyRequests": _BUSY,
    "RequestTimeout": _BROKEN_OFF,
    "InternalError": _BUSY,
    "OperationAborted": _BUSY,
    "429": _BUSY,
    "500": _BUSY,
    "502": _BUSY,
    "503": _BUSY,
    "504": _BUSY,
    "NoSuchUpload": _Fault(
        "somebody ended the upload",
        "see that no other load uses this load id, and that the bucket's lifecycle rule gives "
        "uploads more than a day",
    ),
    "KeyTooLongError": _Fault(
        "the key is longer than the 1,024 bytes S3 takes", "shorten the target's `staging`"
    ),
}
"""Error codes of S3. Those of KMS, which begin with `KMS.`, are told as one."""

_EXCEPTIONS: Mapping[str, _Fault] = {
    "NoCredentialsError": _Fault(
        "no AWS credentials were found",
        "boto3 looked in the environment (AWS_ACCESS_KEY_ID, AWS_PROFILE), in ~/.aws, and for a "
        "role of the container or instance; set up one of them",
    ),
    "PartialCredentialsError": _Fault(
        "the AWS credentials are incomplete{detail}",
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or correct the profile",
    ),
    "ProfileNotFound": _Fault(
        "there is no such AWS profile{detail}", "correct AWS_PROFILE, or ~/.aws/config"
    ),
    "CredentialRetrievalError": _FETCH,
    "RefreshWithMFAUnsupportedError": _FETCH,
    "MetadataRetrievalError": _FETCH,
    "TokenRetrievalError": _FETCH,
    "LoginError": _FETCH,
    "SSOError": _FETCH,
    "SSLError": _Fault(
        "{endpoint} shows a certificate that is not trusted",
        "set AWS_CA_BUNDLE to the certificates of your network, or correct the endpoint URL",
    ),
    "ConnectionError": _UNREACHABLE,
    "ReadTimeoutError": _BROKEN_OFF,
    "ConnectionClosedError": _BROKEN_OFF,
    "ResponseStreamingError": _BROKEN_OFF,
    "IncompleteReadError": _BROKEN_OFF,
    "HTTPClientError": _Fault(
        "the request to {endpoint} could not be sent",
        "see whether AWS_ACCESS_KEY_ID or AWS_SESSION_TOKEN ends in a line break",
    ),
}
"""botocore's own exceptions by class or base class; by name, since old versions lack some."""

_ACTIONS = {
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "DeleteObject": "s3:DeleteObject",
    "DeleteObjects": "s3:DeleteObject",
    "GetObject": "s3:GetObject",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "ListObjectsV2": "s3:ListBucket",
}
"""Permissions by operation; what is missing here belongs to an upload."""

_ON_BUCKET = {"s3:ListBucket", "s3:ListBucketMultipartUploads"}

_BUCKET_ACTIONS = {"s3:ListBucket", "s3:ListBucketMultipartUploads"}

_NAMED_ACTION = re.compile(
    r"not authorized to perform: (?P<action>[\w:]+)(?: on (?:the )?resource:? \"?(?P<on>[^\s\"]+))?"
)
_NAMED_REGION = re.compile(r"expecting '([a-z]{2}[a-z0-9-]+)'|The ([a-z]{2}-[a-z0-9-]+) location")
_SECRET = re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b|(?<=://)\S*(?=@)")
"""Ids of access keys, and what URLs hold before the host."""


@dataclass(frozen=True)
class Place:
    """What was asked for, and of whom."""

    bucket: str
    prefix: str
    """Of the store, with a slash at its end, or empty."""
    region: str
    """The one asked, which may not be the bucket's."""
    endpoint: str = "https://s3.amazonaws.com"
    partition: str = "aws"


def told(error: Exception, what: str, place: Place) -> StageError:
    """An error of boto3 as one for people. ``what`` failed: ``write s3://bucket/key``."""
    if isinstance(error, ClientError):
        fault, names = _answer(error, place)
    else:
        fault, names = _local(error)
    names = {
        "kind": type(error).__name__,
        "bucket": place.bucket,
        "asked": place.region,
        "endpoint": _shown(place.endpoint),
        **names,
    }
    says = fault.says.format(**names)
    hint = fault.hint.format(**names)
    return StageError(f"cannot {what}: {says}", hint=hint, transient=fault.passing)


def _answer(error: ClientError, place: Place) -> tuple[_Fault, dict[str, str]]:
    """What S3 answered."""
    answer = error.response.get("Error", {})
    metadata = error.response.get("ResponseMetadata", {})
    code, text = str(answer.get("Code", "")), str(answer.get("Message", ""))
    fault = _KMS if code.startswith("KMS.") else _CODES.get(code, _OTHER)
    action = _ACTIONS.get(error.operation_name, "s3:PutObject")
    path = "" if action in _BUCKET_ACTIONS else f"/{place.prefix}*"
    resource = f"arn:{place.partition}:s3:::{place.bucket}{path}"
    if named := _NAMED_ACTION.search(text):
        action, resource = named["action"], named["on"] or resource
    region = _region(answer, metadata)
    if fault is _ELSEWHERE and region in {"", place.region}:
        fault = _SOMEWHERE
    attempts = metadata.get("RetryAttempts", 0) + 1
    return fault, {
        "code": code or f"HTTP {metadata.get('HTTPStatusCode')}",
        "detail": _detail(text) if text not in {"Access Denied", "Forbidden"} else "",
        "action": action,
        "resource": resource,
        "region": region,
        "attempts": f"{attempts} attempts" if attempts > 1 else "1 attempt",
    }


def _local(error: Exception) -> tuple[_Fault, dict[str, str]]:
    """What never came to S3, or from there."""
    names = (kind.__name__ for kind in type(error).__mro__)
    fault = next((_EXCEPTIONS[name] for name in names if name in _EXCEPTIONS), _SURPRISE)
    return fault, {"detail": _detail(str(error))}


def _region(answer: Mapping[str, Any], metadata: Mapping[str, Any]) -> str:
    """The bucket's region, where the answer tells it."""
    named = _NAMED_REGION.search(str(answer.get("Message", "")))
    told_by = (
        metadata.get("HTTPHeaders", {}).get("x-amz-bucket-region"),
        answer.get("Region"),
        named and (named[1] or named[2]),
    )
    return next((str(region) for region in told_by if region), "")


def _detail(text: str) -> str:
    return f": {_SECRET.sub('***', text).rstrip('.')}" if text else ""


def _shown(endpoint: str) -> str:
    """An endpoint without the name and password that a URL may hold."""
    parts = urlsplit(endpoint)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
