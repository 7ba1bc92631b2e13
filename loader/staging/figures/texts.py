"""Extremes and first and last characters of text, from the buffers of Arrow arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Array = Any
"""A `pyarrow.Array` without nulls; pyarrow has no type stubs."""

_BYTES_READ = 2
"""Bytes per text to read when looking for the least one, before comparing whole texts."""

_FIRST_FACTOR = 1_000
"""The factor of first characters, so that two changed ends do not cancel each other out."""


class TextBuffer:
    """The bytes of an Arrow array of text, and where each text that is not empty starts.

    Args:
        array: Text or binary without nulls.
    """

    def __init__(self, array: Array) -> None:
        is_large = pa.types.is_large_string(array.type) or pa.types.is_large_binary(array.type)
        _, offsets, data = array.buffers()
        positions: Any = np.frombuffer(offsets, np.int64 if is_large else np.int32)
        positions = positions[array.offset : array.offset + len(array) + 1]
        self.lengths = np.diff(positions)
        # Converted once; NumPy would do so for each index operation.
        self.starts = positions[:-1].astype(np.intp)
        self.data = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
        filled = self.lengths > 0
        if not filled.all():
            self.starts, self.lengths = self.starts[filled], self.lengths[filled]
        self.first: Any = self.data[self.starts]


def find_extreme_texts(array: Array, texts: TextBuffer) -> Mapping[str, bytes | None]:
    """The least and greatest text by bytes, as ``min`` and ``max``."""
    if not len(array):
        return {"min": None, "max": None}
    if not len(texts.first):
        return {"min": b"", "max": b""}
    least = b"" if len(texts.first) < len(array) else _find_extreme(texts, greatest=False)
    greatest = None if least is None else _find_extreme(texts, greatest=True)
    if greatest is None:
        return {which: text.encode() for which, text in pc.min_max(array).as_py().items()}
    return {"min": least, "max": greatest}


def _find_extreme(texts: TextBuffer, *, greatest: bool) -> bytes | None:
    """The least or greatest text that is not empty; None where comparing whole texts is cheaper.

    Candidates are narrowed byte by byte. Most drop out at the first byte, so few bytes are read,
    unless all texts share a prefix.
    """
    starts, lengths, byte = texts.starts, texts.lengths, texts.first
    budget, depth = _BYTES_READ * len(starts), 1
    while budget > 0:
        budget -= len(starts)
        kept = byte == (byte.max() if greatest else byte.min())
        longer = kept & (lengths > depth)
        # A text that ends here sorts before its longer candidates.
        if not longer.any() if greatest else (kept & (lengths == depth)).any():
            start = starts[kept.argmax()]
            return bytes(texts.data[start : start + depth])
        if not longer.all():
            candidates = np.flatnonzero(longer)
            starts, lengths = starts[candidates], lengths[candidates]
        if len(starts) == 1:
            return bytes(texts.data[starts[0] : starts[0] + lengths[0]])
        byte = texts.data[starts + depth]
        depth += 1
    return None


def sum_end_characters(texts: TextBuffer) -> int:
    """The sum of the code points of first characters, times 1,000, and of last characters."""
    if not len(texts.first):
        return 0
    last = texts.starts + texts.lengths - 1
    final = texts.data[last]
    if texts.first.max() < 0x80 and final.max() < 0x80:
        first, other = (int(codes.sum(dtype=np.int64)) for codes in (texts.first, final))
        return _FIRST_FACTOR * first + other
    for _ in range(3):  # back to where the character begins
        last = np.where(texts.data[last] & 0xC0 == 0x80, last - 1, last)
    first_sum = _sum_code_points(texts.data, texts.starts)
    return _FIRST_FACTOR * first_sum + _sum_code_points(texts.data, last)


def _sum_code_points(data: Any, at: Any) -> int:
    """The sum of the code points that start at these positions of UTF-8 bytes."""
    lead = data[at].astype(np.int64)
    following = [
        data[np.minimum(at + step, len(data) - 1)].astype(np.int64) & 0x3F for step in (1, 2, 3)
    ]
    two, three, four = following
    points = np.select(
        [lead < 0x80, lead < 0xE0, lead < 0xF0],
        [
            lead,
            (lead & 0x1F) << 6 | two,
            (lead & 0x0F) << 12 | two << 6 | three,
        ],
        (lead & 0x07) << 18 | two << 12 | three << 6 | four,
    )
    return int(points.sum())
