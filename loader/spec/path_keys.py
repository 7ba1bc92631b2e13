"""Keys in the path of a data file: folders such as ``day=2026-01-01``, placeholders of its pattern.

Values are percent-decoded, as Hive and Spark write them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

from loader.spec.file_keys import translate_format, translate_glob
from loader.spec.file_patterns import split_name

HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
"""The value of a folder whose rows have NULL there."""


class PathKeyError(ValueError):
    """A path has no such key, or not one value of it; the text follows the path."""


@dataclass(frozen=True)
class PathValue:
    """The value of a key in a path."""

    text: str | None
    """None where the path says that it is NULL."""
    format: str = ""
    """The strftime format of its placeholder, if it has one."""


@dataclass(frozen=True)
class FilePath:
    """The path or URL of a data file, as the user named it."""

    name: str = ""
    """Empty for standard input, which has none."""
    patterns: tuple[str, ...] = ()
    """The patterns with placeholders that may have found it."""
    member: str = ""
    """The name of a file inside of an archive, whose own path says nothing of keys."""

    @property
    def full_name(self) -> str:
        """The path or URL, with the member of an archive; empty for standard input."""
        return f"{self.name}/{self.member}" if self.name and self.member else self.name

    @property
    def folder_keys(self) -> tuple[str, ...]:
        """The keys of the folders of the path, in order."""
        return tuple(dict(_folders(self.name)))

    def value(self, key: str) -> PathValue:
        """The value of a key: of a placeholder of that name, else of a folder ``<key>=…``.

        Raises:
            PathKeyError: the path has no such key, or more than one value of it.
        """
        if not self.name:
            return PathValue(None)
        found = [*self._in_placeholders(key)] or [*self._in_folders(key)]
        if not found:
            has = dict(_folders(self.name))
            listed = f", only {', '.join(has)}" if has else ""
            raise PathKeyError(f"has no `{key}`{listed}")
        if len(set(found)) > 1:
            shown = " and ".join(f"`{one.text}`" for one in dict.fromkeys(found))
            raise PathKeyError(f"has more than one `{key}`: {shown}")
        return found[0]

    def _in_placeholders(self, key: str) -> Iterator[PathValue]:
        for pattern in self.patterns:
            for reader in _readers(pattern):
                value = reader.read(self.name, key)
                if value is not None:
                    yield value

    def _in_folders(self, key: str) -> Iterator[PathValue]:
        folders = list(_folders(self.name))
        exact = [value for name, value in folders if name == key]
        alike = [value for name, value in folders if name.casefold() == key.casefold()]
        for value in exact or alike:
            yield PathValue(None if value == HIVE_NULL else _decode(value))


def _folders(path: str) -> Iterator[tuple[str, str]]:
    """The keys and values of the folders of a path, in order."""
    for folder in path.split("/")[:-1]:
        key, equals, value = folder.partition("=")
        if equals and key:
            yield unquote(key), value


def _decode(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise PathKeyError(f"has `{text}`, which is not percent-encoded UTF-8") from None


@dataclass(frozen=True)
class _Reader:
    """Reads the placeholders of one pattern from paths."""

    regex: re.Pattern[str]
    groups: tuple[tuple[str, str], ...]
    """The name and format of the placeholder that each group of the expression is."""

    def read(self, path: str, key: str) -> PathValue | None:
        """The value of a placeholder; None where it has none, or the path is not of its pattern."""
        match = self.regex.fullmatch(path)
        own = [group for group in self.groups if group[0] == key]
        if match is None or not own:
            return None
        texts = dict(zip(self.groups, match.groups(), strict=True))
        if (key, "") in texts:
            text = texts[key, ""]
            return PathValue(None if text == HIVE_NULL else _decode(text))
        return PathValue("-".join(texts[group] for group in own), join_formats(own))


def join_formats(placeholders: Iterable[tuple[str, str]]) -> str:
    """The format of the texts of several placeholders with names and formats, joined alike."""
    return "-".join(format_ for _, format_ in placeholders)


@lru_cache(maxsize=1_000)
def _readers(pattern: str) -> tuple[_Reader, ...]:
    """Two readers of a pattern, which differ where it leaves open what a placeholder stands for."""
    return tuple(_make_reader(pattern, wildcard) for wildcard in ("[^/]+?", "[^/]+"))


def _make_reader(pattern: str, wildcard: str) -> _Reader:
    groups: list[tuple[str, str]] = []
    # A relative pattern is relative to some folder, which a path may begin with.
    parts = ["(?:.*/)?"]
    for place in split_name(re.sub(r"^(\.{0,2}/)+", "", pattern)):
        parts.append(translate_glob(place.before))
        if place.dimension is None:
            continue
        group = (place.dimension, place.format)
        if group in groups:
            parts.append(rf"(?:\{groups.index(group) + 1})")
        else:
            groups.append(group)
            parts.append(f"({translate_format(place.format) or wildcard})")
    return _Reader(re.compile("".join(parts), re.DOTALL), tuple(groups))


def keys_of(pattern: str) -> frozenset[str] | None:
    """The keys that the paths of a pattern's files have; None where its folders leave it open.

    Raises:
        ValueError: its braces are not right.
    """
    found = split_name(pattern)
    names = {place.dimension for place in found if place.dimension is not None}
    # What a placeholder stands for is no folder of Hive by itself.
    text = "".join(f"{place.before}{'' if place.dimension is None else chr(0)}" for place in found)
    for folder in text.split("/")[:-1]:
        key, equals, _ = folder.partition("=")
        if re.search(r"[*?\[]", key) or (equals and "\0" in key):
            return None
        if equals:
            names.add(unquote(key))
    return frozenset(names)


def format_of(pattern: str, key: str) -> tuple[str, int]:
    """The format of a key's placeholders in a pattern, and how many different ones it joins.

    It is empty where the whole text is the value.
    """
    own = dict.fromkeys((p.dimension, p.format) for p in split_name(pattern) if p.dimension == key)
    if not own or (key, "") in own:
        return "", len(own)
    return join_formats((key, format_) for _, format_ in own), len(own)
