"""Samples of what a process or a server holds, and whether it grows."""

from __future__ import annotations

import ctypes
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

LEAST = 30
"""Fewer samples than this in the life of a process tell nothing of growth."""

LEAST_OF_MEMORY = 600
"""Likewise of memory and of the threads of libraries: what allocators keep settles in the first
hundreds of loads, of all sizes."""


@dataclass(frozen=True)
class Allowance:
    """How much more the last third may hold than the one before it, and why."""

    absolute: float
    share: float
    why: str


_FIELDS = (
    *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
    *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
)


class _MallInfo(ctypes.Structure):
    """What `mallinfo2` of the C library returns."""

    _fields_ = tuple((name, ctypes.c_size_t) for name in _FIELDS)


def measure_held() -> int:
    """The KB that are in use: of the C library, where it is that of Linux, of Python and of Arrow.

    Unlike the memory of the process, it has nothing that allocators keep for later.
    """
    used: int = sys.getallocatedblocks() * _BLOCK + pa.total_allocated_bytes()
    if hasattr(_C, "mallinfo2"):
        _C.mallinfo2.restype = _MallInfo
        found = _C.mallinfo2()
        used += found.uordblks + found.hblkhd
    return used >> 10


_C = ctypes.CDLL(None)
_BLOCK = 64
"""Bytes of a block of Python's own allocator, nearly: those of most objects."""

ALLOWED = {
    "rss": Allowance(16_384, 0.08, "KB; allocators keep pages, and large loads come at random"),
    "held": Allowance(2_048, 0, "KB; the journal in memory, and caches of libraries"),
    "fds": Allowance(4, 0, "Polars opens three when it is first used; one of a pool may be open"),
    "threads": Allowance(4, 0, "those of an upload pool end when its store is collected"),
    "native": Allowance(4, 0.1, "pools of Arrow, Polars and DuckDB start threads when needed"),
    "connections": Allowance(1, 0, "loads connect at random times"),
    "locks": Allowance(3, 0, "those of a load that happens to be in its transaction"),
    "unexplained": Allowance(0, 0, "nobody else stages there"),
    "temporary": Allowance(0, 0, "nobody else writes there"),
}


def find_growth(name: str, values: Sequence[float]) -> str:
    """Compare the medians of the last two thirds; what is wrong, or nothing.

    >>> find_growth("fds", [4] * 10 + [5] * 20)
    ''
    >>> find_growth("fds", list(range(60)))
    'fds grow: medians of thirds 9.5, 29.5, 49.5; 4 more is allowed'
    """
    third = len(values) // 3
    if third * 3 < (LEAST_OF_MEMORY if name in ("rss", "held", "native") else LEAST):
        return ""
    parts = [values[place * third : (place + 1) * third] for place in range(3)]
    first, middle, last = (statistics.median(part) for part in parts)
    allowed = ALLOWED[name]
    room = max(allowed.absolute, allowed.share * middle)
    if last - middle <= room:
        return ""
    return (
        f"{name} grow: medians of thirds {first:g}, {middle:g}, {last:g}; {room:g} more is allowed"
    )
