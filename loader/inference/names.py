"""What the name of a column says of its part in the table."""

from __future__ import annotations

import re

_IDENTIFIERS = {"id", "ids", "uuid", "guid", "key", "pk", "sk"}
_CODES = (
    {"code", "number", "no", "nr", "num", "nbr", "sku", "isbn", "ean", "iata", "icao", "ref"}
    | {"reference", "hash", "serial", "line", "seq", "sequence", "position", "slug", "email"}
    | {"version"}
)
_MEASURES = (
    {"amount", "price", "cost", "total", "qty", "quantity", "count", "cnt", "sum", "avg", "mean"}
    | {"min", "max", "delay", "distance", "duration", "elapsed", "lat", "lon", "lng", "latitude"}
    | {"longitude", "temp", "temperature", "humidity", "pressure", "speed", "weight", "height"}
    | {"width", "length", "size", "score", "rate", "ratio", "pct", "percent", "balance", "revenue"}
    | {"age", "seats", "engines", "hour", "minute", "second", "altitude", "population"}
)
_PROSE = {
    "name",
    "title",
    "description",
    "desc",
    "comment",
    "note",
    "notes",
    "text",
    "body",
    "url",
} | {"message", "uri", "address", "street", "phone", "label"}
_AFTERTHOUGHTS = {"updated", "modified", "inserted", "loaded", "ingested", "deleted", "changed"}
"""Times that change, or are of the load and not of what happened."""

_ELSEWHERE = {
    "birth",
    "birthday",
    "dob",
    "born",
    "expires",
    "expiry",
    "valid",
    "until",
    "end",
    "due",
} | {"deadline", "closed"}
"""Times that rows may have long before or after they come."""


def words_of(name: str) -> frozenset[str]:
    """The words of a column's name."""
    return frozenset(re.split(r"[\W_]+", name.lower())) - {""}


def likely_key(name: str, family: str) -> int:
    """How much a column looks like a part of a key; below zero it does so only by chance.

    >>> likely_key("order_id", "whole"), likely_key("carrier", "text"), likely_key("price", "whole")
    (4, 1, -1)
    """
    words = words_of(name)
    if words & _IDENTIFIERS:
        return 4
    if words & _CODES:
        return 3
    if words & (_MEASURES | _PROSE | _AFTERTHOUGHTS) or (family == "whole" and "time" in words):
        return -1
    return 2 if family == "time" and words & {"date", "day"} else 1


def likely_partition(name: str) -> int:
    """How much a time looks like the one that rows are loaded by."""
    words = words_of(name)
    if words & _ELSEWHERE:
        return -2
    if words & _AFTERTHOUGHTS:
        return -1
    return 1 if words & {"date", "day", "event", "order", "created", "ts", "timestamp", "at"} else 0
