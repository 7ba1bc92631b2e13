"""Explains errors of Redshift, its driver and AWS: message, hint, and whether they are transient.

Almost every exception of the driver is a ``ProgrammingError``, so the server's code, message and
detail are used instead of the class. The Data API has the server's message and detail as one text,
without the code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class DriverError:
    """An error of the driver, explained."""

    message: str
    hint: str | None = None
    transient: bool = False
    """Whether the transaction may succeed when it is retried."""
    code: str = ""
    """The SQLSTATE, if the server sent one; 40001 for a conflict, which Redshift tells in words."""


def explain(error: BaseException) -> DriverError:
    """Explain an error of the driver, or of a client of AWS."""
    fields = _fields(error)
    return _explain_client_error(error) if fields is None else _explain_fields(fields)


def explain_text(text: str) -> DriverError:
    """Explain an error of the server as the Data API tells it: text, without SQLSTATE.

    >>> explain_text("ERROR: deadlock detected").code
    '40001'
    """
    if not _SEVERITY.match(text):
        return _explain_lost(text) if _LOST.search(text) else DriverError(text, _hint(text, ""))
    return _explain_fields(_read_fields(text))


def is_answer_of_server(text: str) -> bool:
    """Whether the server itself refused a statement, and the session goes on.

    >>> [is_answer_of_server(text) for text in ("ERROR: 1023", "FATAL: terminating connection")]
    [True, False]
    """
    severity = _SEVERITY.match(text)
    return severity is not None and severity[1] == "ERROR"


def is_worth_repeating(error: BaseException) -> bool:
    """Whether a request to AWS may succeed when it is sent once more as it was.

    So it is after throttling, errors of the service, and connections that could not be made or
    were lost before the response.
    """
    names = {kind.__name__ for kind in type(error).__mro__}
    if "SSLError" in names:
        return False  # a certificate is not trusted
    if names & {"HTTPClientError", "ConnectionError"}:
        return True
    code, status = _response(error)
    return status >= 500 or _BUSY.search(code) is not None


def is_session_gone(error: BaseException) -> bool:
    """Whether the Data API refused a request since its session has ended or is unknown.

    It says "Session is not available" or "Session with Id: … is invalid".
    """
    code, _ = _response(error)
    refused = code in ("ValidationException", "ResourceNotFoundException")
    return refused and re.search(r"\bsession\b", str(error), re.IGNORECASE) is not None


def _response(error: BaseException) -> tuple[str, int]:
    """The code and the HTTP status of a refusal of AWS; empty and 0 for other errors."""
    response = getattr(error, "response", None)
    if not isinstance(response, dict):
        return "", 0
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return str(response.get("Error", {}).get("Code", "")), int(status or 0)


_BUSY = re.compile(r"Throttl|TooManyRequests|RequestLimit|^Active\w+Exceeded|InternalServer")
"""Codes of refusals that pass, such as those of the quotas of the Data API (``mg/data-api``)."""

_SEVERITY = re.compile(r"\s*(ERROR|FATAL|PANIC):\s*")

_PARTS = re.compile(r"\n\s*(Detail|Hint|Position|Where|Location|Server SQLState): ?")
"""What follows the message, each on lines of its own."""

_CODES_BY_WORDS = (
    ("28000", r"(password )?authentication failed"),
    ("3D000", r'database "[^"]*" does not exist'),
    ("40001", r"could not serialize access"),
    ("40P01", r"deadlock detected"),
    ("42501", r"permission denied|must be owner"),
    ("53300", r"too many connections|connection limit"),
    ("55P03", r"could not obtain lock"),
    ("57014", r"cancell?ing statement|cancell?ed on user|statement timeout|was cancell?ed"),
    ("57P01", r"terminating connection"),
)
"""The codes that Loader depends on, and the words of the messages that come with them."""


def _read_fields(text: str) -> Mapping[str, Any]:
    """Read the fields that the driver has from the text of an error."""
    text = re.sub(r"\s*\[ErrorId: [^\]]*\]", "", _SEVERITY.sub("", text, count=1))
    message, *parts = _PARTS.split(text)
    named = dict(zip(parts[::2], parts[1::2], strict=True))
    found = (code for code, words in _CODES_BY_WORDS if re.search(words, message, re.IGNORECASE))
    return {"M": message, "D": named.get("Detail", ""), "C": next(found, "")}


def _explain_fields(fields: Mapping[str, Any]) -> DriverError:
    code, message = str(fields.get("C", "")), str(fields.get("M", "")).strip()
    detail = _clean_detail(str(fields.get("D", "")))
    text = " ".join(part for part in (message, detail) if part)
    shown = f"{message}: {detail}" if message and detail else message or detail or str(fields)
    if code and code not in ("XX000",):
        shown = f"{shown} ({code})"
    known = "40001" if re.search(_CONFLICT, text, re.IGNORECASE) else code
    return DriverError(shown, _hint(text, code), _is_transient(text, code), known)


def _fields(error: BaseException) -> Mapping[str, Any] | None:
    first = error.args[0] if error.args else None
    return first if isinstance(first, dict) else None


def _clean_detail(detail: str) -> str:
    """The detail in one line, without the dashes that COPY prints around it."""
    fields = dict(re.findall(r"^\s*(\w+):[ \t]+(.*\S)", detail, re.MULTILINE))
    if "context" in fields:
        code = f" (code {fields['code']})" if "code" in fields else ""
        return f"{fields['context']}{code}"
    lines = [line.strip() for line in detail.splitlines()]
    kept = [line for line in lines if line and set(line) != {"-"}]
    return re.sub(r"\s+", " ", "; ".join(kept)) if len(kept) > 1 else " ".join(kept)


def _explain_client_error(error: BaseException) -> DriverError:
    """Explain an error without a server response: connection, TLS, IAM."""
    text = " ".join(str(part) for part in error.args) or type(error).__name__
    lost = isinstance(error, OSError) or _LOST.search(text) is not None
    if type(error).__module__.partition(".")[0] in ("botocore", "boto3"):
        if is_session_gone(error):
            return DriverError(f"the session has ended: {text}", transient=True)
        return DriverError(text, _hint(text, ""), is_worth_repeating(error))
    broken = type(error).__module__ == "struct" or isinstance(error, (EOFError, AttributeError))
    return _explain_lost(text) if lost or broken else DriverError(text, _hint(text, ""))


def _explain_lost(text: str) -> DriverError:
    return DriverError(f"the connection was lost: {text}", _hint(text, ""), transient=True)


_LOST = re.compile(
    r"BrokenPipe|socket closed|communication error|connection time ?out|connection is closed"
    r"|connection (was )?reset|EOF"
    # How the Data API's own driver, for Java, says it.
    r"|I/O error|connection attempt failed|connection has been closed",
    re.IGNORECASE,
)

_TRANSIENT_CODES = {
    *("40001", "40P01", "55P03", "57P01", "57P02", "57P03", "08000", "08003", "08006", "53300"),
}
"""Conflicts, deadlocks, locks, restarts, lost connections, too many connections."""

_CONFLICT_HINT = "another transaction changed the same table: load again after it has ended"
_CONFLICT = (
    r"^1023\b|^1018\b|serializable isolation violation|deadlock detected"
    r"|conflict with concurrent transaction|could not open relation with OID"
    r"|dropped (by|in) (a )?concurrent transaction"
    r"|tuple concurrently (updated|deleted)|pg_(namespace|class|type)\w*_index"
)
"""Conflicts with another transaction."""

_TRANSIENT = re.compile(
    rf"{_CONFLICT}"
    r"|SlowDown|Slow Down|reduce your request rate|ServiceUnavailable|Status 503|InternalError,"
    r"|terminating connection|cluster is (being )?(resized|restarted)"
    r"|RequestTimeout|expired presigned"
    # ALTER of a distribution or sort key fails while VACUUM runs (r_ALTER_TABLE); its words are on
    # no record, so anything counts that names a VACUUM which is at work.
    r"|\bVACUUM\b[^.]*\b(running|runs|in progress|at work)\b"
    r"|\b(running|concurrent|other|another|during|while)\b[^.]*\bVACUUM\b",
    re.IGNORECASE,
)


def _is_transient(text: str, code: str) -> bool:
    return code in _TRANSIENT_CODES or _TRANSIENT.search(text) is not None


_HINTS: tuple[tuple[str, str], ...] = (
    (_CONFLICT, _CONFLICT_HINT),
    (
        r"not authorized to assume|AssumeRole|role .*not (attached|associated)",
        "attach the role of `iam_role` to the cluster or workgroup, and let Redshift assume it",
    ),
    (
        r"S3.*(Access ?Denied|Forbidden|Status 403)|Access ?Denied.*S3",
        "grant the role of `iam_role` s3:GetObject and s3:ListBucket on the bucket of `staging`"
        " (and s3:PutObject for UNLOAD); a bucket that takes only what AWS KMS encrypts needs the"
        " target's `encryption: aws:kms`",
    ),
    (
        r"S3ServiceException.*ExpiredToken",
        "the session for the role of `iam_role` has expired: load again; chained roles expire after"
        " one hour",
    ),
    (
        r"S3ServiceException.*InvalidRange",
        "a staged file has been changed since; check whether another job writes to the bucket, then"
        " load again",
    ),
    (
        r"is NOT NULL, has no default and is not in the column list",
        "add the column to the spec, or give it a default in the warehouse",
    ),
    (
        r"[Mm]issing data for not-null field|violates not-null constraint",
        "the column is NOT NULL in the warehouse: declare it `nullable: false`, so that such rows"
        " are found before they are staged",
    ),
    (
        r"ExpiredToken|token .*expired|credentials .*expired",
        "renew the AWS credentials, then load again",
    ),
    (
        r"PermanentRedirect|bucket .*(different|another|wrong) region|must be addressed using",
        "use a bucket in the region of the warehouse",
    ),
    (
        r"NoSuchKey|specified key does not exist|manifest .*(not|no) (exist|found)"
        r"|specified S3 prefix .* does not exist",
        "a staged file or the manifest is missing; check whether a lifecycle rule or another job"
        " cleans the bucket, then load again",
    ),
    (r"NoSuchBucket|specified bucket does not exist", "check the bucket of `staging`"),
    (
        r"found unexpected dependency for column|used by a view or rule",
        "rows are laid out by the column, or a view uses it: `loader plan --live` shows what does,"
        " and `loader apply` what is left to do",
    ),
    (
        r"cannot drop (sort|dist)key column",
        "rows are laid out by the column: plan again, Redshift may have chosen it meanwhile",
    ),
    (r"must be owner", "load as the owner of the table, or let its owner alter it"),
    (
        r"permission denied for schema \W*(\w+)",
        r"GRANT USAGE, CREATE ON SCHEMA \1 to the user of the target",
    ),
    (
        r"permission denied for database",
        "GRANT CREATE ON DATABASE to the user of the target, or create the schema first",
    ),
    (
        r"permission denied for (?:relation|table) \W*(\w+)",
        r"the user of the target cannot write \1: GRANT SELECT, INSERT, UPDATE, DELETE on the"
        r" table (UPDATE is for MERGE) and the same on all tables in the ledger's"
        r" schema",
    ),
    (
        r"permission denied",
        "grant the missing privilege to the user of the target",
    ),
    (r"read-only transaction|cannot execute .* in a read-only", "use a user with write access"),
    (r"multiple matches to update", "two rows of the table have the same key: fix the table first"),
    (
        r"Server refuses SSL",
        "the server does not support TLS: set `ssl = false` only for a server on this machine",
    ),
    (
        r"not authorized to perform: redshift-data",
        "allow your AWS identity redshift-data:ExecuteStatement, DescribeStatement,"
        " GetStatementResult and CancelStatement",
    ),
    (
        r"not authorized to perform: redshift(-serverless)?:GetC",
        "allow your AWS identity to get temporary credentials, or set `secret_id`",
    ),
    (
        r"Redshift endpoint doesn't exist",
        "check `cluster_identifier` or `work_group`, and `region_name`",
    ),
    (r"find the specified secret", "check `secret_id` and `region_name` of the target"),
    (r"must specify a region", "set `region_name` of the target"),
    (
        r"Could not connect to the endpoint URL",
        "check the network path to AWS: a proxy, or a VPC endpoint of the service",
    ),
    (r"Name or service not known|nodename nor servname|getaddrinfo", "check `host` of the target"),
    (
        r"Connection refused|timed out|No route to host|unreachable",
        "check `host`, `port`, the security group, and whether the cluster is paused",
    ),
    (r"No space left|disk full|53100", "free space in the warehouse, then load again"),
    (
        r"NoCredentials|Unable to locate credentials",
        "set AWS credentials where boto3 finds them (environment, profile, role)",
    ),
)

_HINTS_BY_CODE = {
    "28000": "check `user` and `password` of the target, or its secret or IAM settings",
    "28P01": "check `user` and `password` of the target, or its secret or IAM settings",
    "3D000": "check `database` of the target",
    "40001": _CONFLICT_HINT,
    "40P01": _CONFLICT_HINT,
    "55P03": "another load of the table is running: load again after it has ended",
    "57014": "the statement was cancelled, or exceeded statement_timeout",
}


def _hint(text: str, code: str) -> str | None:
    if code in _HINTS_BY_CODE:
        return _HINTS_BY_CODE[code]
    for pattern, hint in _HINTS:
        if found := re.search(pattern, text, re.IGNORECASE | re.DOTALL):
            return found.expand(hint)
    return None
