"""This loader's staging, with all that it encodes thrown away: what S3 costs shows beside it."""

import contextlib
import io
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from loader.staging.stores.base import StoredFile
from tests.benchmarks.workers import harness, staging


class NullStore:
    """A store that takes everything and keeps nothing."""

    root = os.devnull

    def uri(self, key: str) -> str:
        """A name."""
        return key

    @contextlib.contextmanager
    def create(self, key: str) -> Iterator[io.BufferedIOBase]:
        """The null device."""
        with Path(os.devnull).open("wb") as file:
            yield file

    def read(self, key: str) -> bytes:
        """Nothing."""
        return b""

    def move(self, key: str, to: str) -> str:
        """There is nothing to move."""
        return to

    def delete(self, prefix: str) -> None:
        """There is nothing to remove."""

    def list(self, prefix: str) -> list[tuple[str, int]]:
        """There is nothing."""
        return []

    def files(self, prefix: str | None = None) -> Iterator[StoredFile]:
        """There is nothing."""
        return iter(())

    unfinished = files

    def remove(self, found: Iterable[StoredFile]) -> None:
        """There is nothing to remove."""


def load(frame: Any, folder: Path) -> None:
    """Do all that staging does, but for the sending."""
    staging.note(staging.stage(frame, NullStore()), folder)


if __name__ == "__main__":
    harness.main(load, staging.noted)
