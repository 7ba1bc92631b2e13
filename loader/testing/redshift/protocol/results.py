"""Results and errors of PostgreSQL as Redshift writes them on the wire."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from loader.testing.redshift.protocol import wire

BYTEA, JSONB = 17, 3802
REDSHIFT_TYPES = {JSONB: 4000, BYTEA: 6551}
"""PostgreSQL's jsonb and bytea, and what Redshift calls SUPER and VARBYTE on the wire."""
_GENERATED_ALWAYS = "428C9"
_BLANKS = re.compile(rb'("(?:[^"\\]|\\.)*")|\s+')


@dataclass
class Column:
    """A column of a result, as the server describes it."""

    name: str
    table: int
    attribute: int
    type: int
    modifier: int


@dataclass
class Result:
    """The answer to a statement of the gateway's own, in text."""

    columns: list[Column] = field(default_factory=list)
    rows: list[list[str | None]] = field(default_factory=list)
    tag: str = ""


def columns(body: bytes) -> list[Column]:
    """What a RowDescription says."""
    found = []
    at = 2
    for _ in range(wire.short(body, 0)):
        name, at = wire.text(body, at)
        found.append(
            Column(
                name.decode(),
                wire.number(body, at),
                wire.short(body, at + 4),
                wire.number(body, at + 6),
                wire.number(body, at + 12),
            )
        )
        at += 18
    return found


def special_columns(body: bytes) -> dict[int, int]:
    """The columns of a RowDescription that Redshift writes differently, and their types."""
    return {
        at: column.type for at, column in enumerate(columns(body)) if column.type in REDSHIFT_TYPES
    }


def redshift_row(body: bytes, special: dict[int, int]) -> bytes:
    """A DataRow as Redshift writes it: VARBYTE in plain hex, SUPER without blanks.

    Only text is rewritten; it is recognized by how it begins.
    """
    values = wire.row(body)
    for at, oid in special.items():
        value = values[at]
        if value is None:
            continue
        if oid == BYTEA and value.startswith(b"\\x"):
            values[at] = value[2:]
        elif oid == JSONB and not value.startswith(b"\1"):
            values[at] = compact(value)
    return wire.data_row(values)[5:]


def compact(document: bytes) -> bytes:
    """JSON without blanks between its words."""
    return _BLANKS.sub(rb"\1", document)


def redshift_columns(body: bytes) -> bytes:
    """A RowDescription with the type numbers Redshift has."""
    changed = bytearray(body)
    at = 2
    for _ in range(wire.short(body, 0)):
        _, at = wire.text(body, at)
        oid = wire.number(body, at + 6)
        if oid in REDSHIFT_TYPES:
            changed[at + 6 : at + 10] = wire.int_bytes(REDSHIFT_TYPES[oid])
        at += 18
    return bytes(changed)


def redshift_error(fields: dict[str, str], number: int, pid: int) -> dict[str, str]:
    """PostgreSQL's words and codes put into Redshift's."""
    fields.pop("V", None)
    if fields.get("C") == "40001":
        return {
            "S": "ERROR",
            "C": "XX000",
            "M": "1023",
            "D": (
                f"Serializable isolation violation on table - 100{number}, transactions"
                f" forming the cycle are: {pid}, {pid + 1} (pid:{pid})"
            ),
        }
    message = fields.get("M", "")
    if fields.get("C") == _GENERATED_ALWAYS:
        fields["M"] = "cannot set an identity column to a value"
        fields.pop("H", None)
    if message.startswith("permission denied for table "):
        fields["M"] = message.replace("for table", "for relation", 1)
    return fields


def redshift_message(kind: bytes, body: bytes, number: int, pid: int) -> bytes:
    """A message of PostgreSQL as Redshift would send it."""
    if kind == b"E":
        return wire.error(redshift_error(wire.fields(body), number, pid))
    if kind == b"T":
        return wire.message(b"T", redshift_columns(body))
    return wire.message(kind, body)
