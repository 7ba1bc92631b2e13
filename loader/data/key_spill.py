"""Keys on disk, in parts by their hash: equal keys are in one part, and each part is read once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

HASH = "hash"
"""The last column of spilled keys: 64 bits, equal where keys are."""

_BITS = 6
"""Bits of the hash that tell the parts of one file apart."""

_LEVELS = 3
"""How often a part may be parted again: 64 * 64 * 64 parts are terabytes of keys."""

_MIXER = np.uint64(0x9E3779B97F4A7C15)
"""An odd factor that spreads hashes of small numbers over all bits."""

OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")
"""How files of keys are written."""

Table = Any
Hashes = Any


class KeyPart(Protocol):
    """Keys that no key of another part is equal to."""

    def repeated_hashes(self) -> Hashes | None:
        """The hashes that occur more than once, sorted; None where any key may occur again."""

    def keys(self, hashes: Hashes | None) -> Iterator[Any]:
        """Batches of the keys with some hashes (None: all), without their hashes."""


class BufferedPart:
    """A part in memory."""

    def __init__(self, keys: Table) -> None:
        self._keys = keys

    def repeated_hashes(self) -> Hashes | None:
        """See `KeyPart`."""
        return find_repeated([self._keys[HASH].to_numpy()])

    def keys(self, hashes: Hashes | None) -> Iterator[Any]:
        """See `KeyPart`."""
        for batch in self._keys.to_batches():
            yield _select(batch, hashes)


class KeySpill:
    """A file of keys in batches of one part each, which is written first and then read.

    Args:
        path: The file.
        level: How often these keys have been parted before.
    """

    def __init__(self, path: Path, level: int = 0) -> None:
        self._path, self._level = path, level
        self._writer: Any = None
        self._reader: Any = None
        self._hash_reader: Any = None
        self._batches: list[list[int]] = [[] for _ in range(1 << _BITS)]
        self._bytes = [0] * (1 << _BITS)
        self._written = 0

    def write(self, keys: Table) -> None:
        """Write keys, whose last column is their hash."""
        if self._writer is None:
            self._writer = pa.ipc.new_file(str(self._path), keys.schema, options=OPTIONS)
        parts = self._find_parts(keys[HASH].to_numpy())
        ordered = keys.combine_chunks().take(pa.array(np.argsort(parts, kind="stable")))
        ends = np.cumsum(np.bincount(parts, minlength=len(self._batches))).tolist()
        for part, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
            # A column of 2 GB of text has several chunks, so a part may have several batches.
            for batch in ordered.slice(start, end - start).to_batches():
                self._writer.write_batch(batch)
                self._batches[part].append(self._written)
                self._bytes[part] += batch.nbytes
                self._written += 1

    def parts(self, part_bytes: int, buffer_bytes: int) -> Iterator[KeyPart]:
        """Read the keys, in parts of about ``part_bytes``; each is to be used before the next.

        Args:
            part_bytes: Small parts are joined up to this size, and larger ones parted again.
            buffer_bytes: Bytes of keys that are buffered while they are parted again.
        """
        self.close()
        self._reader = pa.ipc.open_file(pa.OSFile(str(self._path)))
        only_hash = pa.ipc.IpcReadOptions(included_fields=[len(self._reader.schema) - 1])
        self._hash_reader = pa.ipc.open_file(pa.OSFile(str(self._path)), options=only_hash)
        joined: list[int] = []
        size = 0
        for batches, more in zip(self._batches, self._bytes, strict=True):
            if more > part_bytes:
                yield from self._part_again(batches, part_bytes, buffer_bytes)
                continue
            if joined and size + more > part_bytes:
                yield _SpilledPart(self, joined)
                joined, size = [], 0
            joined, size = joined + batches, size + more
        if joined:
            yield _SpilledPart(self, joined)

    def read(self, batch: int) -> Any:
        """A batch of keys with their hashes."""
        return self._reader.get_batch(batch)

    def read_hashes(self, batch: int) -> Hashes:
        """The hashes of a batch of keys."""
        return self._hash_reader.get_batch(batch).column(0).to_numpy()

    def close(self) -> None:
        """End the file; nothing can be written any more."""
        if self._writer is not None:
            self._writer.close()

    def _find_parts(self, hashes: Hashes) -> Any:
        shift = np.uint64(64 - _BITS * (self._level + 1))
        # Numbers of 8 bits are sorted by counting.
        return ((hashes * _MIXER >> shift) & np.uint64((1 << _BITS) - 1)).astype(np.uint8)

    def _part_again(
        self, batches: Sequence[int], part_bytes: int, buffer_bytes: int
    ) -> Iterator[KeyPart]:
        if self._level + 1 == _LEVELS:  # few keys, each with many rows
            yield _SpilledPart(self, batches, too_large=True)
            return
        path = self._path.with_name(f"{self._path.name}.{self._level + 1}")
        finer = KeySpill(path, self._level + 1)
        for keys in gather(map(self.read, batches), buffer_bytes):
            finer.write(keys)
        yield from finer.parts(part_bytes, buffer_bytes)
        path.unlink()


class _SpilledPart:
    def __init__(self, spill: KeySpill, batches: Sequence[int], *, too_large: bool = False) -> None:
        self._spill, self._batches, self._too_large = spill, batches, too_large

    def repeated_hashes(self) -> Hashes | None:
        if self._too_large:
            return None
        return find_repeated(list(map(self._spill.read_hashes, self._batches)))

    def keys(self, hashes: Hashes | None) -> Iterator[Any]:
        for batch in self._batches:
            yield _select(self._spill.read(batch), hashes)


def gather(batches: Iterable[Any], size: int) -> Iterator[Table]:
    """Join batches to tables of about ``size`` bytes."""
    gathered: list[Any] = []
    total = 0
    for batch in batches:
        gathered.append(batch)
        total += batch.nbytes
        if total >= size:
            yield pa.Table.from_batches(gathered)
            gathered, total = [], 0
    if gathered:
        yield pa.Table.from_batches(gathered)


def find_repeated(hashes: Sequence[Hashes]) -> Hashes:
    """The hashes that occur more than once, sorted."""
    ordered = np.sort(np.concatenate(hashes))
    return np.unique(ordered[1:][ordered[1:] == ordered[:-1]])


def _select(batch: Any, hashes: Hashes | None) -> Any:
    """The keys of a batch with some hashes, without their hashes."""
    keys = batch.select(batch.schema.names[:-1])
    if hashes is None:
        return keys
    own = batch.column(HASH).to_numpy()
    at = np.minimum(np.searchsorted(hashes, own), len(hashes) - 1)
    return keys.filter(pa.array(hashes[at] == own))
