"""What a rule is: a sentence, the page that says so, and statements that show it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

_ISSUE = re.compile(r"([\w.-]+/[\w.-]+)#(\d+)")
_FILE = re.compile(r"([\w.-]+/[\w.-]+):([\w./-]+)")


@dataclass(frozen=True)
class Rule:
    """One rule, which the last of its statements shows.

    In statements ``{s3}`` is the folder of the files that the test makes, ``{role}`` the role that
    is attached to the warehouse, and ``{schema}`` that of the tables. A statement may fail that
    begins with ``?``; one that begins with ``other:`` is sent by another session, and what begins
    with ``redshift.`` is no statement, but Python for the fixture of that name.
    """

    kind: Literal["refused", "imitated"]
    says: str
    """The rule, as a sentence without a full stop."""
    source: str
    """A page of Redshift's developer guide (``r_COPY``), or where others have found it out: an
    issue (``apache/arrow#38000``), or code that runs on clusters (``owner/name:path``)."""
    statements: tuple[str, ...]
    answer: str
    """A part of the error, or the rows of the answer: values with `` | `` and rows with ``; ``."""

    @property
    def named(self) -> str:
        """Its source as the code names it where the rule is held: pages as ``dg/r_COPY``."""
        elsewhere = _ISSUE.fullmatch(self.source) or _FILE.fullmatch(self.source)
        return self.source if elsewhere else f"dg/{self.source}"

    @property
    def link(self) -> str:
        """The address of its source."""
        if issue := _ISSUE.fullmatch(self.source):
            return f"https://github.com/{issue[1]}/issues/{issue[2]}"
        if file := _FILE.fullmatch(self.source):
            return f"https://github.com/{file[1]}/blob/HEAD/{file[2]}"
        return f"https://docs.aws.amazon.com/redshift/latest/dg/{self.source}.html"


def refused(says: str, source: str, *statements: str, error: str) -> Rule:
    """A rule whose last statement is refused with an error that contains ``error``."""
    return Rule("refused", says, source, statements, error)


def imitated(says: str, source: str, *statements: str, gives: str) -> Rule:
    """A rule whose last statement runs, and answers with these rows."""
    return Rule("imitated", says, source, statements, gives)


def shown(rows: list[tuple[object, ...]]) -> str:
    """Rows as a rule's answer has them.

    >>> shown([(1, None), (2, "b")])
    '1 | NULL; 2 | b'
    """
    return "; ".join(
        " | ".join("NULL" if value is None else str(value) for value in row) for row in rows
    )
