"""Reads YAML into plain data, with the line and column of each part.

`read_document` is strict, for table specs: one document; anchors, aliases, merge keys and tags are
problems. `read_documents` is lenient, for files that others wrote, such as contracts and dbt's
property files: aliases and merge keys are resolved, and one file may hold many documents.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import yaml

from loader.errors import Loc, Problem
from loader.spec.yaml_limits import DEEPEST, PARSER, check_depth, check_number, too_deep

_CORE = "tag:yaml.org,2002:"
_MERGE, _STRING = f"{_CORE}merge", f"{_CORE}str"
_IMPLICIT_TAGS = frozenset(
    _CORE + kind
    for kind in ("null", "bool", "int", "float", "str", "timestamp", "seq", "map", "merge")
)
"""The tags that YAML gives to words, lists and mappings that have none written."""

_MAX_PARTS = 500_000
"""Parts of a document with its aliases written out; a bomb of aliases has more."""


class Document:
    """The data of one YAML document, and the line and column of each of its parts.

    Data without nodes or text, such as a document made by a program, is all at line 1, column 1.
    """

    def __init__(
        self,
        data: Any,
        shown: str = "",
        root: Any = None,
        *,
        merges: bool = False,
        plain: _PlainReader | None = None,
    ) -> None:
        self.data = data
        self.shown = shown
        """The file's path, as messages show it."""
        self._root = root
        self._merges = merges
        self._plain = plain

    def locate(self, problem: Problem) -> Problem:
        """The problem with the file, line and column of the part that it is about."""
        line, column = self.place(problem.loc, on_key=problem.on_key)
        return replace(problem, path=self.shown, line=line, column=column)

    def problem(self, message: str, loc: Loc, hint: str | None = None) -> Problem:
        """A problem with one part of the document, located."""
        return self.locate(Problem(message, loc, hint))

    def place(self, loc: Loc, *, on_key: bool = False) -> tuple[int, int]:
        """The line and column, from 1, of a value, or of its key.

        The value is the last step of ``loc``; where a step does not exist, the last that does.
        """
        if self._plain is not None and self._root is None:
            if len(loc) == 1 and not on_key:
                mark = self._plain.starts.get(str(loc[0]), self._plain.start)
                return (mark.line + 1, mark.column + 1)
            self._root = self._plain.compose()
        if self._root is None:
            return (1, 1)
        mark = self._mark(loc, on_key=on_key)
        return (mark.line + 1, mark.column + 1)

    def _mark(self, loc: Loc, *, on_key: bool) -> Any:
        node = self._root
        for at, step in enumerate(loc):
            if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
                if step >= len(node.value):
                    break
                node = node.value[step]
            elif isinstance(node, yaml.MappingNode):
                pairs = _merged_pairs(node) if self._merges else node.value
                found = [pair for pair in pairs if pair[0].value == str(step)]
                if not found:
                    break
                key, value = found[-1]  # of a key that is set twice the last value counts
                if on_key and at == len(loc) - 1:
                    return key.start_mark
                node = value
            else:
                break
        return node.start_mark


def read_document(text: str, shown: str) -> tuple[Document | None, list[Problem]]:
    """The one document of a YAML text, read strictly; None when the text is not YAML.

    Args:
        text: The YAML.
        shown: The file's path, for problems.
    """
    plain = _PlainReader(text)
    data = plain.read()
    if data is not None:
        return Document(data, shown, plain=plain), []
    documents, problems = _read(text, shown, strict=True)
    return (documents[0] if documents else None), problems


def read_documents(text: str, shown: str) -> tuple[list[Document], list[Problem]]:
    """The documents of a YAML text that are not empty, read leniently, and what is wrong with it.

    Args:
        text: The YAML.
        shown: The file's path, for problems.
    """
    documents, problems = _read(text, shown, strict=False)
    return [document for document in documents if document.data is not None], problems


def _read(text: str, shown: str, *, strict: bool) -> tuple[list[Document], list[Problem]]:
    documents: list[Document] = []
    problems: list[Problem] = []
    loader = None
    try:
        anchors = check_depth(text)
        loader = PARSER(text)
        for root in _roots(loader, strict=strict):
            reader = _NodeReader(loader, shown, problems, strict=strict)
            data = reader.read(root) if root is not None else None
            documents.append(Document(data, shown, root, merges=not strict))
        if strict:  # an anchor that nothing refers to is a mistake too
            message = "anchors are not part of this language; write it out"
            problems += [_problem(message, shown, mark) for mark in anchors]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problems.append(_problem(f"is not YAML: {error.problem or error.context}", shown, mark))
    except yaml.YAMLError as error:
        problems.append(_problem(f"is not YAML: {str(error).splitlines()[0]}", shown, None))
    finally:
        if loader is not None:
            loader.dispose()
    return documents, problems


def _roots(loader: Any, *, strict: bool) -> Iterator[Any]:
    """The root node of each document; strictly there is one, which is None in an empty text."""
    if strict:
        yield loader.get_single_node()
        return
    while loader.check_node():
        yield loader.get_node()


def _problem(message: str, shown: str, mark: Any, loc: Loc = ()) -> Problem:
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    return Problem(message, loc, path=shown, line=line, column=column)


def _merged_pairs(node: Any) -> list[tuple[Any, Any]]:
    """The pairs of a mapping: its own, then those that it merges and does not have itself."""
    own = [pair for pair in node.value if pair[0].tag != _MERGE]
    names = {key.value for key, _ in own}
    for key, value in node.value:
        if key.tag == _MERGE:
            merged = value.value if isinstance(value, yaml.SequenceNode) else [value]
            for mapping in merged:
                if isinstance(mapping, yaml.MappingNode):
                    more = [pair for pair in _merged_pairs(mapping) if pair[0].value not in names]
                    names |= {pair[0].value for pair in more}
                    own += more
    return own


class _Part(NamedTuple):
    """The data of a node, how many parts it has with its aliases written out, and how deep."""

    data: Any
    size: int = 1
    depth: int = 0


def _extent(parts: Sequence[_Part]) -> tuple[int, int]:
    """The size and the depth of what consists of these parts."""
    deepest = max((part.depth for part in parts), default=0)
    return (1 + sum(part.size for part in parts), 1 + deepest)


class _NodeReader:
    """Turns the nodes of one document into data; adds what is wrong with them to ``problems``."""

    def __init__(self, loader: Any, shown: str, problems: list[Problem], *, strict: bool) -> None:
        self._loader = loader
        self._shown = shown
        self._problems = problems
        self._strict = strict
        self._done: dict[int, _Part] = {}
        self._open: set[int] = set()

    def read(self, root: Any) -> Any:
        """The data of a document's root node.

        Raises:
            yaml.MarkedYAMLError: the document cannot be read at all.
        """
        return self._value(root, (), root.start_mark).data

    def _value(self, node: Any, loc: Loc, mark: Any) -> _Part:
        """The part that a node is; ``mark`` is where an alias of it would be reported."""
        known = self._done.get(id(node))
        if self._strict and (known or id(node) in self._open):
            self._report("aliases are not part of this language; write it out", mark, loc)
            return _Part(None)
        if known:
            return known
        if id(node) in self._open:
            _refuse(node, "an alias must not refer to a node that contains it")
        self._open.add(id(node))
        part = self._convert(node, loc)
        if not self._strict and part.size > _MAX_PARTS:
            _refuse(node, "its aliases make it too large to read")
        if part.depth > DEEPEST:
            raise too_deep(node.start_mark)
        self._open.discard(id(node))
        self._done[id(node)] = part
        return part

    def _convert(self, node: Any, loc: Loc) -> _Part:
        if message := self._tag_problem(node.tag):
            self._report(message, node.start_mark, loc)
            return _Part(None)
        if isinstance(node, yaml.SequenceNode):
            items = [
                self._value(item, (*loc, at), item.start_mark) for at, item in enumerate(node.value)
            ]
            return _Part([item.data for item in items], *_extent(items))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, loc)
        return _Part(self._scalar(node, loc))

    def _tag_problem(self, tag: str) -> str | None:
        if self._strict:
            if tag in _IMPLICIT_TAGS:
                return None
            return f"tags (`{tag}`) are not part of this language; write plain YAML"
        if tag.startswith(_CORE):
            return None
        return f"the tag `{tag}` means nothing here; write plain YAML"

    def _mapping(self, node: Any, loc: Loc) -> _Part:
        own = self._check_keys(node, loc)
        # Merged mappings are read before they are merged, so that a circle or a bomb is found.
        merged: list[_Part] = []
        if not self._strict:
            merges = [value for key, value in node.value if key.tag == _MERGE]
            merged = [self._value(value, loc, value.start_mark) for value in merges]
            own = _merged_pairs(node)
        parts: dict[str, _Part] = {}
        for key, value in own:
            parts[key.value] = self._value(value, (*loc, key.value), key.start_mark)
        data = {name: part.data for name, part in parts.items()}
        return _Part(data, *_extent([*merged, *parts.values()]))

    def _check_keys(self, node: Any, loc: Loc) -> list[tuple[Any, Any]]:
        """The pairs whose keys are words; reports keys that are not, or are set twice."""
        lines: dict[str, int] = {}
        pairs = []
        for key, value in node.value:
            if key.tag == _MERGE:
                if self._strict:
                    message = "merge keys (`<<`) are not part of this language; write it out"
                    self._report(message, key.start_mark, loc)
                continue
            if not isinstance(key, yaml.ScalarNode):
                if not self._strict:
                    _refuse(key, "a key is one word")
                self._report("a key is one word", key.start_mark, loc)
                continue
            if key.value in lines:
                message = f"the key `{key.value}` is already set in line {lines[key.value]}"
                self._report(message, key.start_mark, (*loc, key.value))
            lines.setdefault(key.value, key.start_mark.line + 1)
            pairs.append((key, value))
        return pairs

    def _scalar(self, node: Any, loc: Loc) -> Any:
        if node.tag == _STRING:
            return node.value
        try:
            check_number(node.tag, node.value)
            return self._loader.construct_object(node)
        except (ValueError, KeyError) as error:
            self._report(f"cannot be read: {str(error).split(';')[0]}", node.start_mark, loc)
            return None

    def _report(self, message: str, mark: Any, loc: Loc) -> None:
        # In a strict document, the location shows which other problems this one explains.
        self._problems.append(_problem(message, self._shown, mark, loc if self._strict else ()))


def _refuse(node: Any, message: str) -> None:
    raise yaml.MarkedYAMLError(problem=message, problem_mark=node.start_mark)


class _UnusualError(Exception):
    """Something that only `_NodeReader` can read, or report."""


class _PlainReader:
    """The fast path of strict reading: the data of a text without anything unusual.

    It takes half the time of `_NodeReader`, since it makes no nodes. Anchors, tags, merge keys,
    duplicate keys and invalid YAML are unusual.
    """

    def __init__(self, text: str) -> None:
        self.start: Any = None
        """The mark of the mapping."""
        self.starts: dict[str, Any] = {}
        """The marks of the values of its keys."""
        self._text = text
        self._loader = PARSER(text)
        self._next = self._loader.get_event

    def read(self) -> dict[str, Any] | None:
        """The mapping that the text is, or None when it is none or has anything unusual."""
        try:
            self._next()  # the stream begins
            self._next()  # the document begins
            data = self._value(self._next(), 0)
            self._next()  # the document ends
            alone = isinstance(self._next(), yaml.StreamEndEvent)
        except (_UnusualError, yaml.YAMLError, ValueError, KeyError):
            return None
        finally:
            self._loader.dispose()
        return data if alone and isinstance(data, dict) else None

    def compose(self) -> Any:
        """The root node of a text that has been read: the places of all its parts."""
        loader = PARSER(self._text)
        try:
            return loader.get_single_node()
        finally:
            loader.dispose()

    def _value(self, event: Any, depth: int) -> Any:
        if not isinstance(event, _NODE_EVENTS) or event.anchor or event.tag or depth > DEEPEST:
            raise _UnusualError
        if isinstance(event, yaml.ScalarEvent):
            return _plain_scalar(event.value) if event.implicit[0] else event.value
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(event, depth)
        items = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            items.append(self._value(event, depth + 1))
        return items

    def _mapping(self, start: Any, depth: int) -> dict[str, Any]:
        data: dict[str, Any] = {}
        while isinstance(event := self._next(), yaml.ScalarEvent):
            key = event.value
            if event.anchor or event.tag or key in data or key == "<<":
                raise _UnusualError
            event = self._next()
            data[key] = self._value(event, depth + 1)
            if depth == 0:
                self.starts[key] = event.start_mark
        if not isinstance(event, yaml.MappingEndEvent):
            raise _UnusualError
        if depth == 0:
            self.start = start.start_mark
        return data


_NODE_EVENTS = (yaml.ScalarEvent, yaml.SequenceStartEvent, yaml.MappingStartEvent)


@lru_cache(maxsize=10_000)
def _plain_scalar(text: str) -> Any:
    """The value of a word without quotes: a number, a date, true, null or text."""
    loader = PARSER("")
    try:
        tag = loader.resolve(yaml.ScalarNode, text, (True, False))
        if tag not in _IMPLICIT_TAGS or tag == _MERGE:
            raise _UnusualError
        check_number(tag, text)
        return loader.construct_object(yaml.ScalarNode(tag, text))
    finally:
        loader.dispose()
