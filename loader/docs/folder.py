"""The folder of a site: written over an earlier one, and never over anything else."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from loader.atomic_write import write_text
from loader.errors import ConfigError

MANIFEST = ".loader-docs.json"
"""What an earlier run wrote, so that only that is ever written over or removed."""

PAGES = "tables"
"""The one folder inside."""

_OURS = re.compile(rf"({PAGES}/)?[a-z0-9_][A-Za-z0-9._-]*")
"""What the names of our files look like; no list of files, whoever wrote it, reaches elsewhere."""


def earlier_files(folder: Path) -> set[str]:
    """The files of an earlier site; none when the folder is empty or missing.

    Raises:
        ConfigError: something else is in the folder.
    """
    try:
        if (folder / PAGES).is_symlink():
            raise ConfigError(
                f"{folder / PAGES} is a link, which leads out of the site",
                hint="remove it; pages are written into the folder itself",
            )
        if (folder / MANIFEST).is_file():
            return _listed(folder / MANIFEST)
        if folder.is_dir() and not any(folder.iterdir()):
            return set()
        if not folder.exists():
            return set()
    except OSError as error:
        raise ConfigError(f"{folder} cannot be read: {error.strerror}") from error
    what = "is not empty, and no earlier site is in it" if folder.is_dir() else "is not a folder"
    raise ConfigError(
        f"{folder} {what}",
        hint="name a new or an empty folder: what is there might be overwritten",
    )


def _listed(manifest: Path) -> set[str]:
    try:
        names = json.loads(manifest.read_text(encoding="utf-8"))["files"]
        listed = [name for name in names if isinstance(name, str)]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ConfigError(
            f"{manifest} does not tell which files of {manifest.parent} are the site's",
            hint="remove the folder, if nothing but a site is in it, or name another one",
        ) from None
    return {name for name in listed if _OURS.fullmatch(name)}


def replace_files(folder: Path, files: Mapping[str, str], earlier: Collection[str]) -> list[str]:
    """Write the files of a site, and remove those of the earlier one that are gone.

    Args:
        folder: Where to; made when missing.
        files: Texts by name.
        earlier: The files there that may be written over.

    Returns:
        What was removed.

    Raises:
        ConfigError: a file of someone else is in the way, or the folder cannot be made.
        StageError: a file cannot be written.
    """
    for name in files:
        if name not in earlier and (folder / name).exists():
            raise ConfigError(
                f"{folder / name} is in the way, and no earlier site wrote it",
                hint="move it, or name another folder",
            )
    try:
        (folder / PAGES).mkdir(parents=True, exist_ok=True)
        # First, so that a run that is cut short can be done again.
        _list(folder, {*files, *earlier})
        for name, text in files.items():
            _write(folder / name, text)
        gone = sorted(name for name in earlier if name not in files and (folder / name).is_file())
        for name in gone:
            (folder / name).unlink()
        _list(folder, set(files))
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {error.strerror}") from error
    return gone


def _list(folder: Path, names: set[str]) -> None:
    text = json.dumps({"written_by": "loader docs", "files": sorted(names)}, indent=1)
    _write(folder / MANIFEST, f"{text}\n")


def _write(path: Path, text: str) -> None:
    if path.is_symlink():
        path.unlink()
    write_text(path, text)
