"""Finds SQL templates: those that come with Loader, and a project's own laid over them by name."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path

from loader.errors import TemplateError
from loader.render import SUFFIX, Template

OWN = "loader/templates"
"""How the paths of Loader's own templates are shown, apart from a project's."""


def read_templates(overlay: Path | None = None) -> dict[str, Template]:
    """All templates by name, such as ``redshift/copy_parquet.sql.j2``."""
    found = dict(_own())
    if overlay is not None and overlay.is_dir() and overlay.resolve() != _own_folder().resolve():
        found.update(_read(overlay, overlay.name))
    return found


@cache
def _own() -> dict[str, Template]:
    return _read(_own_folder(), OWN)


def _own_folder() -> Path:
    """The copy in the wheel, or the folder of a checkout."""
    packaged = Path(str(files("loader") / "_templates"))
    return packaged if packaged.is_dir() else Path(__file__).resolve().parents[1] / "templates"


def _read(folder: Path, shown: str) -> dict[str, Template]:
    templates: dict[str, Template] = {}
    for path in sorted(folder.rglob(f"*{SUFFIX}")):
        name = path.relative_to(folder).as_posix()
        try:
            source = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise TemplateError(f"{path}: cannot be read: {error}") from error
        templates[name] = Template(f"{shown}/{name}", source)
    return templates
