"""Columns of a drafted table that are in the paths of its files: folders such as ``day=…``."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

import pyarrow as pa

from loader.inference.building import DraftColumn
from loader.inference.clean_names import clean_names
from loader.inference.guesses import NOTHING, to_text_guess, type_of
from loader.inference.texts import guess_text
from loader.spec.comments import Suggestion
from loader.spec.path_keys import FilePath, PathKeyError
from loader.text_tables import format_count


@dataclass(frozen=True)
class PathColumn:
    """A column from a key that the paths of all files have."""

    column: DraftColumn
    remark: str
    suggestion: Suggestion | None
    """To partition the table by it, if it is a day that no path lacks."""


def find_path_columns(files: Sequence[FilePath], taken: Container[str]) -> list[PathColumn]:
    """The keys of folders that the paths of all files have, as columns.

    Args:
        files: The files of the table.
        taken: The columns that the files have themselves, in lower case.
    """
    keys = files[0].folder_keys if files else ()
    for file in files[1:]:
        keys = tuple(key for key in keys if key in file.folder_keys)
    names = clean_names(list(keys))
    found = (_make_column(key, names[key], files) for key in keys if names[key] not in taken)
    return [column for column in found if column is not None]


def _make_column(key: str, name: str, files: Sequence[FilePath]) -> PathColumn | None:
    try:
        texts = [file.value(key).text for file in files]
    except PathKeyError:
        return None  # a path has two values of it, or bytes that are no text
    present = sorted({text for text in texts if text is not None})
    guess = guess_text(pa.array(present, pa.string())) if present else NOTHING
    kind = type_of(to_text_guess(guess) if guess.words else guess, roomy=False)
    listed = "..".join(dict.fromkeys([present[0], present[-1]])) if present else "NULL"
    remark = f"{listed} in the paths of {format_count(len(files), 'file')}"
    suggestion = None
    if kind == "date" and None not in texts:
        why = f"{listed}, {format_count(len(present), 'day')} in the paths of files"
        suggestion = Suggestion("partition_by", [{"expr": name, "grain": "day"}], why)
    return PathColumn(DraftColumn(name, kind, more={"from": f"path.{key}"}), remark, suggestion)
