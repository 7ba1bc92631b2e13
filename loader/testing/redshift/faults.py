"""What can go wrong between a client, the warehouse and the object store, on demand."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

ApiOperation = Literal[
    "ExecuteStatement", "DescribeStatement", "GetStatementResult", "CancelStatement"
]
When = Literal["before", "after", "instead"]
Matcher = str | re.Pattern[str] | Callable[[str], bool]
Operation = Literal[
    "PutObject",
    "UploadPart",
    "GetObject",
    "HeadObject",
    "DeleteObject",
    "ListObjects",
    "CreateMultipartUpload",
    "CompleteMultipartUpload",
    "AbortMultipartUpload",
]


@dataclass(frozen=True)
class Drop:
    """The client loses its connection.

    The server's side of the session ends before the client notices, unless it is to
    ``linger``: then the session, its transaction and its locks stay for so many seconds after
    the client is cut off. With ``late`` the statement of an "after" fault runs only so many
    seconds after the client was cut off: a COMMIT that happens when the client has gone.
    """

    linger: float = 0.0
    late: float = 0.0
    reset: bool = False


@dataclass(frozen=True)
class Error:
    """The statement fails with this SQLSTATE and text, and so does its transaction."""

    code: str
    message: str
    detail: str = ""


@dataclass(frozen=True)
class Delay:
    """The statement takes so many seconds longer."""

    seconds: float


@dataclass(frozen=True)
class CutCopy:
    """The connection breaks after the COPY has handed over so many bytes."""

    after_bytes: int = 0


@dataclass(frozen=True)
class ChangeCopied:
    """A COPY stores other values than its files hold: ``assignments`` as in UPDATE … SET."""

    assignments: str


CopyFault = CutCopy | ChangeCopied
Action = Drop | Error | Delay | CutCopy | ChangeCopied


def _matches(match: Matcher, sql: str) -> bool:
    if isinstance(match, str):
        return match.lower() in sql.lower()
    if isinstance(match, re.Pattern):
        return match.search(sql) is not None
    return match(sql)


@dataclass
class Rule:
    """A fault that waits for its statement."""

    match: Matcher
    when: When
    action: Action
    times: int
    skip: int
    fired: int = 0

    def meets(self, sql: str) -> bool:
        """Whether it is about this statement."""
        return _matches(self.match, sql)


@dataclass
class StorageRule:
    """A refusal of the object store that waits for its request."""

    status: int
    code: str
    operation: Operation | None
    by: Literal["client", "warehouse"] | None
    times: int
    skip: int
    headers: dict[str, str]
    fired: int = 0


@dataclass
class ApiRule:
    """A refusal of the Data API, or a response of it that is lost, which waits for its request."""

    operation: ApiOperation | None
    match: Matcher
    code: str
    """Empty: the request is served, and its response is lost."""
    status: int
    times: int
    skip: int
    fired: int = 0

    def meets(self, sql: str) -> bool:
        """Whether it is about this statement."""
        return _matches(self.match, sql)


@dataclass
class Refused:
    """Connections that are not answered; with a code they get an error."""

    times: int = 0
    code: str = ""
    message: str = ""
    fired: int = 0


@dataclass
class Faults:
    """The faults of one stand-in. All of it may be used from any thread."""

    rules: list[Rule] = field(default_factory=list)
    storage_rules: list[StorageRule] = field(default_factory=list)
    api_rules: list[ApiRule] = field(default_factory=list)
    refused: Refused = field(default_factory=Refused)
    fired: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(
        self, match: Matcher, when: When, action: Action, times: int = 1, skip: int = 0
    ) -> Rule:
        """Do ``action`` at the next ``times`` statements that match, after ``skip`` of them.

        A text matches statements that contain it in any case. "before": the statement never
        reaches the server. "after": the server has done it, a COMMIT too, when it happens.
        """
        if isinstance(action, CutCopy | ChangeCopied) and when != "before":
            raise ValueError(f"it happens while a COPY runs: use {action} with 'before'")
        if isinstance(action, Delay) and when == "instead":
            raise ValueError("a Delay comes 'before' or 'after' a statement")
        rule = Rule(match, when, action, times, skip)
        with self._lock:
            self.rules.append(rule)
        return rule

    def vacuum(self, table: str, times: int = 1) -> Rule:
        """Have a VACUUM of the table run while the next changes of its layout are tried.

        An ALTER of the distribution or sort key fails then (dg/r_ALTER_TABLE); nobody has put its
        words on record, so they are made up.
        """
        layout = r"ALTER\s+(DIST|(COMPOUND\s+)?SORTKEY)"
        match = re.compile(rf"ALTER\s+TABLE\s+\S*\b{table}\b\S*\s+{layout}", re.IGNORECASE)
        words = f"cannot alter table {table} while VACUUM is running on it"
        return self.add(match, "instead", Error("XX000", words), times)

    def refuse_connections(self, times: int = 1, code: str = "", message: str = "") -> Refused:
        """Close the next connections unanswered, or refuse them with an SQLSTATE and text."""
        with self._lock:
            self.refused = Refused(times, code, message)
            return self.refused

    def s3_errors(
        self,
        status: int = 503,
        code: str = "SlowDown",
        times: int = 1,
        operation: Operation | None = None,
        *,
        by: Literal["client", "warehouse"] | None = None,
        skip: int = 0,
        headers: dict[str, str] | None = None,
    ) -> StorageRule:
        """Answer the next ``times`` requests to the object store with this refusal.

        ``by`` narrows it to requests of the clients, or of the warehouse itself in a COPY or
        an UNLOAD. AccessDenied is 403, ExpiredToken 400; PermanentRedirect 301 wants
        ``headers={"x-amz-bucket-region": …}`` (eu-west-1 is filled in).
        """
        headers = dict(headers or {})
        if status == 301:
            headers.setdefault("x-amz-bucket-region", "eu-west-1")
        rule = StorageRule(status, code, operation, by, times, skip, headers)
        with self._lock:
            self.storage_rules.append(rule)
        return rule

    def data_api_errors(
        self,
        status: int = 400,
        code: str = "ThrottlingException",
        times: int = 1,
        operation: ApiOperation | None = None,
        *,
        match: Matcher = "",
        skip: int = 0,
    ) -> ApiRule:
        """Answer the next ``times`` requests to the Data API with this refusal.

        ``match`` narrows it to requests about statements that match, as in ``add``. The request
        is not served: a statement does not run.
        """
        return self._add_api_rule(ApiRule(operation, match, code, status, times, skip))

    def lose_data_api_responses(
        self,
        times: int = 1,
        operation: ApiOperation | None = None,
        *,
        match: Matcher = "",
        skip: int = 0,
    ) -> ApiRule:
        """Serve the next ``times`` requests to the Data API, and close the line unanswered."""
        return self._add_api_rule(ApiRule(operation, match, "", 0, times, skip))

    def _add_api_rule(self, rule: ApiRule) -> ApiRule:
        with self._lock:
            self.api_rules.append(rule)
        return rule

    def take(self, sql: str, when: When) -> list[Action]:
        """The actions due at this statement; taking them uses them up."""
        with self._lock:
            due = [rule for rule in self.rules if rule.when == when and rule.meets(sql)]
            return [rule.action for rule in due if self._fires(rule)]

    def take_connection(self) -> Refused | None:
        """The refusal due at this connection, if there is one."""
        with self._lock:
            if not self.refused.times:
                return None
            self.refused.times -= 1
            self.refused.fired += 1
            self.fired += 1
            return self.refused

    def take_request(self, operation: str, by: str) -> StorageRule | None:
        """The refusal due at this request to the object store, if there is one."""
        with self._lock:
            for rule in self.storage_rules:
                about = rule.operation in (None, operation) and rule.by in (None, by)
                if about and self._fires(rule):
                    return rule
        return None

    def take_api_request(self, operation: str, sql: str) -> ApiRule | None:
        """What is due at this request to the Data API, if there is anything."""
        with self._lock:
            for rule in self.api_rules:
                about = rule.operation in (None, operation) and rule.meets(sql)
                if about and self._fires(rule):
                    return rule
        return None

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self.rules.clear()
            self.storage_rules.clear()
            self.api_rules.clear()
            self.refused = Refused()
            self.fired = 0

    def _fires(self, rule: Rule | StorageRule | ApiRule) -> bool:
        if rule.skip:
            rule.skip -= 1
            return False
        if not rule.times:
            return False
        rule.times -= 1
        rule.fired += 1
        self.fired += 1
        return True
