"""What Redshift and its driver complain of: in plain words, with the next step, passing or not.

The driver's exception classes say little: almost everything is a ``ProgrammingError``. What counts
are the server's code, message and detail.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Complaint:
    """An error as a person reads it."""

    message: str
    hint: str | None = None
    transient: bool = False
    """Whether the whole transaction may work the next time."""
    code: str = ""
    """The SQLSTATE, when the server gave one."""


def explain(error: BaseException) -> Complaint:
    """What an error of the driver says."""
    fields = _fields(error)
    if fields is None:
        return _of_the_line(error)
    code, message = str(fields.get("C", "")), str(fields.get("M", "")).strip()
    detail = _tidy(str(fields.get("D", "")))
    words = " ".join(part for part in (message, detail) if part)
    shown = f"{message}: {detail}" if message and detail else message or detail or str(fields)
    if code and code not in ("XX000",):
        shown = f"{shown} ({code})"
    return Complaint(shown, _hint(words, code), _passes(words, code), code)


def _fields(error: BaseException) -> Mapping[str, Any] | None:
    first = error.args[0] if error.args else None
    return first if isinstance(first, dict) else None


def _tidy(detail: str) -> str:
    """The detail without the frame of dashes that COPY draws around it."""
    fields = dict(re.findall(r"^\s*(\w+):[ \t]+(.*\S)", detail, re.MULTILINE))
    if "context" in fields:
        code = f" (code {fields['code']})" if "code" in fields else ""
        return f"{fields['context']}{code}"
    lines = [line.strip() for line in detail.splitlines()]
    kept = [line for line in lines if line and set(line) != {"-"}]
    return re.sub(r"\s+", " ", "; ".join(kept)) if len(kept) > 1 else " ".join(kept)


def _of_the_line(error: BaseException) -> Complaint:
    """An error without an answer of the server: the connection, or what is before it."""
    text = " ".join(str(part) for part in error.args) or type(error).__name__
    lost = isinstance(error, OSError) or _LOST.search(text) is not None
    if type(error).__module__.partition(".")[0] in ("botocore", "boto3"):
        throttled = re.search(r"Throttl|TooManyRequests|RequestLimit", text) is not None
        return Complaint(text, _hint(text, ""), throttled)
    broken = type(error).__module__ == "struct" or isinstance(error, (EOFError, AttributeError))
    if lost or broken:
        return Complaint(f"the connection was lost: {text}", _hint(text, ""), transient=True)
    return Complaint(text, _hint(text, ""))


_LOST = re.compile(
    r"BrokenPipe|socket closed|communication error|connection time ?out|connection is closed"
    r"|connection (was )?reset|EOF",
    re.IGNORECASE,
)

_PASSING_CODES = {
    *("40001", "40P01", "55P03", "57P01", "57P02", "57P03", "08000", "08003", "08006", "53300"),
}
"""Conflicts, deadlocks, locks of others, restarts, lost connections, too many of them."""

_CHANGED = "something else changed the same table meanwhile: load again, once it has ended"
_CONFLICT = (
    r"^1023\b|^1018\b|serializable isolation violation|deadlock detected"
    r"|conflict with concurrent transaction|could not open relation with OID"
    r"|dropped (by|in) (a )?concurrent transaction"
    r"|tuple concurrently (updated|deleted)|pg_(namespace|class|type)\w*_index"
)
"""Another transaction is in the way."""

_PASSING = re.compile(
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


def _passes(words: str, code: str) -> bool:
    return code in _PASSING_CODES or _PASSING.search(words) is not None


_HINTS: tuple[tuple[str, str], ...] = (
    (_CONFLICT, _CHANGED),
    (
        r"not authorized to assume|AssumeRole|role .*not (attached|associated)",
        "attach the role of `iam_role` to the cluster or workgroup, and let Redshift assume it",
    ),
    (
        r"S3.*(Access ?Denied|Forbidden|Status 403)|Access ?Denied.*S3",
        "give the role of `iam_role` s3:GetObject and s3:ListBucket on the bucket of `staging`"
        " (and s3:PutObject to read with UNLOAD)",
    ),
    (
        r"S3ServiceException.*ExpiredToken",
        "the warehouse's own session for the role of `iam_role` has ended: load again; a chain of"
        " roles has one hour",
    ),
    (
        r"S3ServiceException.*InvalidRange",
        "a staged file was changed after it was staged; does another job write to the bucket?"
        " load again",
    ),
    (
        r"is NOT NULL, has no default and is not in the column list",
        "add the column to the spec, or give it a default in the warehouse",
    ),
    (
        r"[Mm]issing data for not-null field|violates not-null constraint",
        "the warehouse keeps this column NOT NULL: declare it `nullable: false`, so that such rows"
        " are refused, or set aside, before they are staged",
    ),
    (
        r"ExpiredToken|token .*expired|credentials .*expired",
        "renew the AWS credentials, then load again",
    ),
    (
        r"PermanentRedirect|bucket .*(different|another|wrong) region|must be addressed using",
        "stage in a bucket of the warehouse's own region",
    ),
    (
        r"NoSuchKey|specified key does not exist|manifest .*(not|no) (exist|found)"
        r"|specified S3 prefix .* does not exist",
        "a staged file or the manifest is gone; does a lifecycle rule or another job clean the"
        " bucket? load again",
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
        "GRANT CREATE ON DATABASE to the user of the target, or create the schema beforehand",
    ),
    (
        r"permission denied for (?:relation|table) \W*(\w+)",
        r"the user of the target may not write \1: GRANT SELECT, INSERT, DELETE on the table and"
        r" on all tables in the ledger's schema",
    ),
    (
        r"permission denied",
        "have the right granted to the user of the target",
    ),
    (r"read-only transaction|cannot execute .* in a read-only", "load as a user that may write"),
    (r"multiple matches to update", "two rows of the table have one key: fix the table first"),
    (
        r"Server refuses SSL",
        "the server speaks no TLS: set `ssl = false` only for a server on this machine",
    ),
    (r"Name or service not known|nodename nor servname|getaddrinfo", "check `host` of the target"),
    (
        r"Connection refused|timed out|No route to host|unreachable",
        "check `host`, `port`, the security group, and whether the cluster is paused",
    ),
    (r"No space left|disk full|53100", "free space in the warehouse, then load again"),
    (
        r"NoCredentials|Unable to locate credentials",
        "set AWS credentials the way boto3 looks for them (environment, profile, role)",
    ),
)

_HINTS_OF_CODES = {
    "28000": "check `user` and `password` of the target, or its secret or IAM settings",
    "28P01": "check `user` and `password` of the target, or its secret or IAM settings",
    "3D000": "check `database` of the target",
    "40001": _CHANGED,
    "40P01": _CHANGED,
    "55P03": "another load of the table is at work: load again, once it has ended",
    "57014": "it was cancelled, or ran longer than statement_timeout allows",
}


def _hint(words: str, code: str) -> str | None:
    if code in _HINTS_OF_CODES:
        return _HINTS_OF_CODES[code]
    for pattern, hint in _HINTS:
        if found := re.search(pattern, words, re.IGNORECASE | re.DOTALL):
            return found.expand(hint)
    return None
