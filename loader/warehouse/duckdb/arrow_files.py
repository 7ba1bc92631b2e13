"""Staged Arrow files as a table that DuckDB scans, as often as it asks, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pyarrow as pa

from loader.errors import ExecuteError


class ArrowFiles:
    """Files of one schema; every scan opens them anew.

    Their bytes are read, not mapped: mapped pages stay in memory until the scan has ended, and a
    mapped file that somebody shortens ends the process.

    Args:
        paths: The files, at least one, in the order of their rows.
    """

    def __init__(self, paths: list[Path]) -> None:
        self._paths = paths
        with _open(paths[0]) as file:
            self._schema = pa.ipc.open_file(file).schema

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Start a scan."""
        reader = pa.RecordBatchReader.from_batches(self._schema, self._read_batches())
        return reader.__arrow_c_stream__(requested_schema)

    def _read_batches(self) -> Iterator[pa.RecordBatch]:
        for path in self._paths:
            with _open(path) as file:
                reader = pa.ipc.open_file(file)
                for number in range(reader.num_record_batches):
                    yield reader.get_batch(number)


def find_arrow_files(files: str) -> ArrowFiles:
    """The files of a load.

    Args:
        files: Their folder, and a pattern of their names: ``folder/part-*``.

    Raises:
        ExecuteError: there are none, or one is not an Arrow file.
    """
    folder, _, pattern = files.rpartition("/")
    try:
        names = sorted(path.name for path in Path(folder).iterdir())
        paths = [Path(folder, name) for name in names if fnmatchcase(name, pattern)]
        if not paths:
            raise FileNotFoundError(f"no files match {files}")
        return ArrowFiles(paths)
    except (OSError, pa.ArrowException) as error:
        raise ExecuteError(
            f"cannot read the staged files: {error}",
            hint="if somebody removed or changed the files of this load, run it again",
        ) from error


def _open(path: Path) -> pa.NativeFile:
    return pa.OSFile(str(path))
