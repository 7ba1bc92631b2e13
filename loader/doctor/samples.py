"""Values of every type at the edges of what it holds, for trials of a warehouse."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

_DECIMAL_38_10 = Decimal("9" * 28 + "." + "9" * 10)

SAMPLES: Mapping[str, Sequence[Any]] = {
    "smallint": (-(2**15), 2**15 - 1),
    "integer": (-(2**31), 2**31 - 1),
    "bigint": (-(2**63), 2**63 - 1),
    "decimal(9,2)": (Decimal("-9999999.99"), Decimal("0.01")),
    "decimal(19,4)": (Decimal("1.2345"), Decimal("-922337203685477.5807")),
    "decimal(38,10)": (_DECIMAL_38_10, Decimal("-1e-10")),
    "real": (1.5, -(2.0**-126)),
    "double precision": (0.1, -1.7976931348623157e308),
    "boolean": (True, False),
    "char(4)": ("ab", "'\\\""),
    "varchar(80)": ("é日本\n\t'\"\\,; \\N", ""),
    "date": (date(1, 1, 1), date(9999, 12, 31)),
    "time": (time(0), time(23, 59, 59, 999999)),
    "timetz": ("12:30:00+02", "23:59:59.999999-11"),
    "timestamp": (datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999)),
    "timestamptz": (
        datetime(1900, 1, 1, tzinfo=UTC),
        datetime(2026, 3, 29, 1, 30, 0, 1, tzinfo=UTC),
    ),
    "super": ('{"a":[1,2],"b":"x"}', '{"a":[],"b":null}'),
    "varbyte(16)": (b"\x00\xff'\\", bytes(range(16))),
    "geometry": ("0101000000000000000000F03F0000000000000040",),
    "geography": ("0101000020E6100000000000000000F03F0000000000000040",),
    "hllsketch": ('{"logm":15,"sparse":{"indices":[4878],"values":[1]}}',),
    "interval year to month": ("3 years",),
    "interval day to second": ("1 day 02:03:04.000005",),
}
"""Data type → values, none of them NULL; trials add a NULL."""


def is_same(data_type: str, found: object, wanted: object) -> bool:
    """Whether a value that was read back is the one that was loaded.

    >>> is_same("super", '{"b": 1, "a": 2}', '{"a":2,"b":1}'), is_same("char(4)", "ab  ", "ab")
    (True, False)
    """
    if data_type == "super" and isinstance(found, str) and isinstance(wanted, str):
        found, wanted = json.loads(found), json.loads(wanted)
    return type(found) is type(wanted) and found == wanted
