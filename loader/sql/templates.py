"""Finds SQL templates: those that come with Loader, and a project's own laid over them by name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path

from loader.errors import Problem, TemplateError
from loader.sql.renderer import OWN, SUFFIX, Template
from loader.text_files import UnreadableError, is_folder, read_text

_REFERENCE = re.compile(r"""\{%[-+]?\s*(?:include|import|from|extends)\s+("[^"]*"|'[^']*'|\S)""")


def read_templates(overlay: Path | None = None, *folders: Path | None) -> dict[str, Template]:
    """All templates by name, such as ``redshift/copy_parquet.sql.j2``.

    Args:
        overlay: The project's folder, whose templates take the place of those of their names.
        folders: Those of warehouses that are not Loader's own, as `own_templates` reads them.

    Raises:
        TemplateError: a file cannot be read.
    """
    found = own_templates(*folders)
    if overlay is not None and is_folder(overlay) and overlay.resolve() != _own_folder().resolve():
        found.update(_read(overlay, overlay.name))
    return found


def unused_templates(
    templates: Mapping[str, Template], own: Iterable[str], named: Iterable[str]
) -> Iterator[Problem]:
    """The templates in folders that nothing will ever use: their names are misspelt.

    A template is used when it has the name of one of Loader's own (those are in ``own``), when a
    spec names it (those are in ``named``), or when another template includes it.
    """
    pairs = {tuple(name.split("/", 1)) for name in own}
    folders, files = {folder for folder, _ in pairs}, {file for _, file in pairs}
    used = {*named, *_find_includes(templates.values())}
    for name, template in templates.items():
        folder, _, file = name.partition("/")
        if template.path.startswith(OWN) or not file or {name, file, None} & used:
            continue
        if folder not in folders or file not in files:
            hint = "name it in a spec's `templates`, or as one of Loader's own templates is named"
            close = [_closest(folder, folders), _closest(file, files)]
            if all(close):
                hint = f"did you mean `{'/'.join(close)}`?"
            blamed = (template.path, 0)
            yield Problem(
                "nothing uses this template", path=template.path, hint=hint, template=blamed
            )


def _find_includes(templates: Iterable[Template]) -> Iterator[str | None]:
    """The names in includes and the like; None if they are only known at run time."""
    for template in templates:
        for word in _REFERENCE.findall(template.source):
            yield word[1:-1] if word[0] in "'\"" else None


def _closest(word: str, words: Iterable[str]) -> str:
    known = {other.removesuffix(SUFFIX): other for other in words}
    found = difflib.get_close_matches(word.removesuffix(SUFFIX), known, n=1, cutoff=0.7)
    return known[found[0]] if found else ""


def own_templates(*folders: Path | None) -> dict[str, Template]:
    """Loader's own templates by name, and those of warehouses that are not Loader's own.

    Args:
        folders: Each has the folder of a dialect that is not Loader's. Its templates are shown as
            if they lay among Loader's own, for they are no more the project's than those. None is
            a warehouse whose templates are Loader's own.
    """
    found = dict(_built_in())
    for folder in filter(None, folders):
        found |= _read(folder, OWN) | found
    return found


@cache
def _built_in() -> dict[str, Template]:
    return _read(_own_folder(), OWN)


def _own_folder() -> Path:
    """The copy in the wheel, or the folder of a checkout."""
    packaged = Path(str(files("loader") / "_templates"))
    return packaged if packaged.is_dir() else Path(__file__).resolve().parents[2] / "templates"


def _read(folder: Path, shown: str) -> dict[str, Template]:
    templates: dict[str, Template] = {}
    for path in sorted(folder.rglob(f"*{SUFFIX}")):
        name = path.relative_to(folder).as_posix()
        try:
            source = read_text(path)
        except UnreadableError as error:
            place = (f"{shown}/{name}", 0)
            raise TemplateError(f"{path}: {error.message}", place=place) from error
        # Errors about a link could reveal the contents of any file on this machine;
        # Loader's own may be links, as uv can install them.
        out = path.is_symlink() and not path.resolve().is_relative_to(folder.parent.resolve())
        if out and shown != OWN:
            place = (f"{shown}/{name}", 0)
            message = f"{path}: is a link that leads out of the project"
            raise TemplateError(message, hint="put the template itself there", place=place)
        templates[name] = Template(f"{shown}/{name}", source)
    return templates
