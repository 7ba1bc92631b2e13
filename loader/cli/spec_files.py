"""Writes specs into a folder, a file for each table."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from loader.errors import LoaderError
from loader.text_files import path_exists
from loader.text_tables import format_count


def spec_file(folder: Path, schema: str, name: str) -> Path:
    """The file of a table's spec: ``FOLDER/SCHEMA/TABLE.yml``.

    Raises:
        LoaderError: a name is a path.
    """
    for part in (schema, name):
        if part in (".", "..") or "/" in part or os.sep in part:
            raise LoaderError(
                f"no file can be named after the table {schema}.{name}: `{part}` is a path",
                hint="print the spec without -o, and redirect it to a file",
            )
    return folder / schema / f"{name}.yml"


def check_free(files: Iterable[Path], *, force: bool) -> None:
    """Check that no file is overwritten unless ``force`` says so.

    Raises:
        LoaderError: files exist; all are named.
    """
    existing = [str(file) for file in files if path_exists(file)]
    if existing and not force:
        raise LoaderError(
            f"{format_count(len(existing), 'file')} would be overwritten; nothing was written:\n  "
            + "\n  ".join(existing),
            hint="overwrite them with --force, or name another folder with -o",
        )


def make_folder(folder: Path) -> None:
    """Create a folder, if it is not there.

    Raises:
        LoaderError: it cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LoaderError(f"the folder {folder} cannot be created: {error.strerror}") from error
