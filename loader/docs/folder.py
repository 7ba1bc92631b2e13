"""Writes the folder of a site: replaces an earlier site, and never any other file."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from loader.atomic_write import write_text
from loader.errors import ConfigError

MANIFEST = ".loader-docs.json"
"""Lists the files of a site; only these are ever overwritten or removed."""

PAGES = "tables"
"""The only subfolder of a site."""

_SITE_FILE = re.compile(rf"({PAGES}/)?[a-z0-9_][A-Za-z0-9._-]*")
"""Valid names of site files; a manifest that was tampered with cannot name others."""


def find_earlier_files(folder: Path) -> set[str]:
    """The files of an earlier site; none if the folder is empty or missing.

    Raises:
        ConfigError: the folder contains other files.
    """
    try:
        if (folder / PAGES).is_symlink():
            raise ConfigError(
                f"{folder / PAGES} is a symbolic link to outside the site",
                hint="remove it; a folder is created in its place",
            )
        if (folder / MANIFEST).is_file():
            return _read_manifest(folder / MANIFEST)
        if folder.is_dir() and not any(folder.iterdir()):
            return set()
        if not folder.exists():
            return set()
    except OSError as error:
        raise ConfigError(f"{folder} cannot be read: {error.strerror}") from error
    problem = "is not empty, and not an earlier site" if folder.is_dir() else "is not a folder"
    raise ConfigError(
        f"{folder} {problem}",
        hint="name a new or empty folder, so that no files are overwritten",
    )


def _read_manifest(manifest: Path) -> set[str]:
    try:
        names = json.loads(manifest.read_text(encoding="utf-8"))["files"]
        listed = [name for name in names if isinstance(name, str)]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ConfigError(
            f"{manifest} does not list which files in {manifest.parent} belong to the site",
            hint="remove the folder if it contains only a site, or name another folder",
        ) from None
    return {name for name in listed if _SITE_FILE.fullmatch(name)}


def replace_files(folder: Path, files: Mapping[str, str], earlier: Collection[str]) -> list[str]:
    """Write the files of a site, and remove files of the earlier site that are not in it.

    Args:
        folder: The site's folder; created if missing.
        files: The text of each file, by name.
        earlier: Files of the earlier site, which may be overwritten.

    Returns:
        The names of the removed files.

    Raises:
        ConfigError: another file has the name of a page, or the folder cannot be created.
        StageError: a file cannot be written.
    """
    for name in files:
        if name not in earlier and (folder / name).exists():
            raise ConfigError(
                f"{folder / name} exists, and does not belong to an earlier site",
                hint="move it, or name another folder",
            )
    try:
        (folder / PAGES).mkdir(parents=True, exist_ok=True)
        # First, so that an interrupted run can be repeated.
        _write_manifest(folder, {*files, *earlier})
        for name, text in files.items():
            _write(folder / name, text)
        removed = sorted(
            name for name in earlier if name not in files and (folder / name).is_file()
        )
        for name in removed:
            (folder / name).unlink()
        _write_manifest(folder, set(files))
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {error.strerror}") from error
    return removed


def _write_manifest(folder: Path, names: set[str]) -> None:
    text = json.dumps({"written_by": "loader docs", "files": sorted(names)}, indent=1)
    _write(folder / MANIFEST, f"{text}\n")


def _write(path: Path, text: str) -> None:
    if path.is_symlink():
        path.unlink()
    write_text(path, text)
