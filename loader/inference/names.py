"""Guesses the role of a column from its name."""

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
"""Times that change later, or that belong to the load and not to the event."""

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
"""Times that can be far from the time when the row arrives."""


def split_name(name: str) -> frozenset[str]:
    """The words of a column's name."""
    return frozenset(re.split(r"[\W_]+", name.lower())) - {""}


def likely_key(name: str, family: str) -> int:
    """Score how likely a column is part of a key; below zero, uniqueness is only by chance.

    >>> likely_key("order_id", "whole"), likely_key("carrier", "text"), likely_key("price", "whole")
    (4, 1, -1)
    """
    words = split_name(name)
    if words & _IDENTIFIERS:
        return 4
    if words & _CODES:
        return 3
    if words & (_MEASURES | _PROSE | _AFTERTHOUGHTS) or (family == "whole" and "time" in words):
        return -1
    return 2 if family == "time" and words & {"date", "day"} else 1


def likely_partition(name: str) -> int:
    """Score how likely rows are loaded by this date or time column."""
    words = split_name(name)
    if words & _ELSEWHERE:
        return -2
    if words & _AFTERTHOUGHTS:
        return -1
    return 1 if words & {"date", "day", "event", "order", "created", "ts", "timestamp", "at"} else 0
