"""YAML that others wrote: plain data, aliases and merge keys resolved, and where each part stands.

Table specs are read by `loader.spec.catalog`, which refuses what a reviewed spec should not have;
contracts and dbt files come with anchors, and with several documents in one file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import yaml

from loader.errors import Loc, Problem
from loader.spec.yaml_limits import DEEPEST, PARSER, check_depth, check_number, too_deep

_MERGE = "tag:yaml.org,2002:merge"
_PLAIN = "tag:yaml.org,2002:"
_MOST = 500_000
"""Parts of a document with its aliases written out; a bomb of aliases has more."""


class Document:
    """The data of one YAML document, and the line and column of each of its parts."""

    def __init__(self, data: Any, shown: str = "", root: Any = None) -> None:
        self.data = data
        self.shown = shown
        self._root = root

    def problem(
        self, message: str, loc: Loc, hint: str | None = None, *, on_key: bool = False
    ) -> Problem:
        """A problem with the part of the document that it is about, and where that stands."""
        line, column = self._place(loc, on_key=on_key)
        return Problem(message, loc, hint, on_key=on_key, path=self.shown, line=line, column=column)

    def _place(self, loc: Loc, *, on_key: bool) -> tuple[int, int]:
        node = self._root
        if node is None:
            return (1, 1)
        mark = node.start_mark
        for at, step in enumerate(loc):
            if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
                if step >= len(node.value):
                    break
                node = node.value[step]
            elif isinstance(node, yaml.MappingNode):
                pair = next((pair for pair in _pairs(node) if pair[0].value == str(step)), None)
                if pair is None:
                    break
                if on_key and at == len(loc) - 1:
                    mark = pair[0].start_mark
                    break
                node = pair[1]
            else:
                break
            mark = node.start_mark
        return (mark.line + 1, mark.column + 1)


def read_documents(text: str, shown: str) -> tuple[list[Document], list[Problem]]:
    """The documents of a YAML text that are not empty, and everything wrong with its YAML."""
    problems: list[Problem] = []
    documents: list[Document] = []
    loader = None
    try:
        check_depth(text)
        loader = PARSER(text)
        while loader.check_node():
            root = loader.get_node()
            reader = _Reader(loader, shown)
            data = reader.value(root)
            problems += reader.problems
            if data is not None:
                documents.append(Document(data, shown, root))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        message = f"is not YAML: {error.problem or error.context}"
        problems.append(Problem(message, path=shown, line=line, column=column))
    except yaml.YAMLError as error:
        message = f"is not YAML: {str(error).splitlines()[0]}"
        problems.append(Problem(message, path=shown, line=1, column=1))
    finally:
        if loader is not None:
            loader.dispose()
    return documents, problems


def _pairs(node: Any) -> list[tuple[Any, Any]]:
    """The pairs of a mapping: its own, then those that it merges and does not have itself."""
    own = [pair for pair in node.value if pair[0].tag != _MERGE]
    names = {key.value for key, _ in own}
    for key, value in node.value:
        if key.tag == _MERGE:
            merged = value.value if isinstance(value, yaml.SequenceNode) else [value]
            for one in merged:
                if isinstance(one, yaml.MappingNode):
                    more = [pair for pair in _pairs(one) if pair[0].value not in names]
                    names |= {pair[0].value for pair in more}
                    own += more
    return own


class _Made(NamedTuple):
    """The data of a node, how many parts it has with its aliases written out, and how deep."""

    data: Any
    size: int = 1
    depth: int = 0


def _extent(parts: Sequence[_Made]) -> tuple[int, int]:
    """The size and the depth of what has these parts."""
    deepest = max((part.depth for part in parts), default=0)
    return (1 + sum(part.size for part in parts), 1 + deepest)


class _Reader:
    """Makes data of nodes; an alias is the same data again."""

    def __init__(self, loader: Any, shown: str) -> None:
        self.problems: list[Problem] = []
        self._loader = loader
        self._shown = shown
        self._done: dict[int, _Made] = {}
        self._open: set[int] = set()

    def value(self, node: Any) -> Any:
        return self._value(node).data

    def _value(self, node: Any) -> _Made:
        if id(node) in self._done:
            return self._done[id(node)]
        if id(node) in self._open:
            self._refuse(node, "an alias may not stand for what it is part of")
        self._open.add(id(node))
        found = self._made(node)
        if found.size > _MOST:
            self._refuse(node, "its aliases make it too large to read")
        if found.depth > DEEPEST:
            raise too_deep(node.start_mark)
        self._open.discard(id(node))
        self._done[id(node)] = found
        return found

    def _refuse(self, node: Any, message: str) -> None:
        raise yaml.MarkedYAMLError(problem=message, problem_mark=node.start_mark)

    def _made(self, node: Any) -> _Made:
        if not node.tag.startswith(_PLAIN):
            self._wrong(node, f"the tag `{node.tag}` means nothing here; write plain YAML")
            return _Made(None)
        if isinstance(node, yaml.SequenceNode):
            items = [self._value(item) for item in node.value]
            return _Made([item.data for item in items], *_extent(items))
        if isinstance(node, yaml.MappingNode):
            self._repeated(node)
            # Before they are merged, so that a circle or a bomb of them is found.
            merged = [self._value(item) for key, item in node.value if key.tag == _MERGE]
            made = {str(key.value): self._value(item) for key, item in _pairs(node)}
            data = {key: item.data for key, item in made.items()}
            return _Made(data, *_extent([*merged, *made.values()]))
        return _Made(self._scalar(node))

    def _repeated(self, node: Any) -> None:
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._refuse(key, "a key is one word")
            if key.value in lines and key.tag != _MERGE:
                self._wrong(key, f"the key `{key.value}` is already set in line {lines[key.value]}")
            lines.setdefault(key.value, key.start_mark.line + 1)

    def _scalar(self, node: Any) -> Any:
        if node.tag == f"{_PLAIN}str":
            return node.value
        try:
            check_number(node.tag, node.value)
            return self._loader.construct_object(node)
        except (ValueError, KeyError) as error:
            self._wrong(node, f"cannot be read: {str(error).split(';')[0]}")
            return None

    def _wrong(self, node: Any, message: str) -> None:
        line, column = node.start_mark.line + 1, node.start_mark.column + 1
        self.problems.append(Problem(message, path=self._shown, line=line, column=column))


def shown(loc: Loc) -> str:
    """A place inside a document as people write it: ``schema[0].properties[2].name``."""
    return Problem("", loc).where


def steps(loc: Loc) -> Iterator[Loc]:
    """A place, and the places that it is in, the nearest first."""
    return (loc[:length] for length in range(len(loc), -1, -1))
