"""Parameters of source queries: ``:start`` and ``:end`` of the window that is loaded, or a key.

A table whose only dimension with a grain is the day of a column has ``:start`` and ``:end``, which
bound the half-open window in the column's own type. With several such dimensions they are
``:NAME_start`` and ``:NAME_end``. A dimension without a grain is its key, ``:NAME``. Values are
never written into the text of the query here: drivers bind them, or write them as typed literals.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from loader.errors import PlanError
from loader.spec.partitions import Part, Slice
from loader.spec.periods import Dimension, KeyValue
from loader.sql import lexer

Values = Mapping[str, KeyValue]
"""The value of each parameter in one run of a query."""

_WRITES = frozenset(
    {"ALTER", "ATTACH", "BEGIN", "CALL", "COMMIT", "COPY", "CREATE", "DELETE", "DETACH", "DROP"}
    | {"EXPORT", "GRANT", "IMPORT", "INSERT", "INSTALL", "LOAD", "LOCK", "MERGE", "PRAGMA"}
    | {"RENAME", "REPLACE", "REVOKE", "ROLLBACK", "SET", "TRUNCATE", "UNLOAD", "UPDATE", "USE"}
    | {"VACUUM"}
)
"""First words of statements that do not read."""


@dataclass(frozen=True)
class Parameter:
    """The place of a value in a query."""

    name: str


def split_query(query: str, *, backslash: bool = False) -> list[str | Parameter]:
    """The text of a query, and the parameters in it, in order.

    Casts (``::date``), slices (``a[1:n]``), quoted text and comments hold none.

    Args:
        query: One statement.
        backslash: Whether a backslash escapes a quote in its literals, as on MySQL.

    >>> split_query("SELECT a::date, ':x' FROM t WHERE d >= :start")
    ["SELECT a::date, ':x' FROM t WHERE d >= ", Parameter(name='start')]
    """
    pieces = list(lexer.tokens(query, backslash=backslash))
    found: list[str | Parameter] = [""]
    skip = False
    for at, (_, text) in enumerate(pieces):
        if skip:
            skip = False
            continue
        if text == ":" and _is_parameter(pieces, at):
            found += [Parameter(pieces[at + 1][1]), ""]
            skip = True
        else:
            found[-1] = f"{found[-1]}{text}"
    return [piece for piece in found if piece != ""]


def _is_parameter(pieces: Sequence[tuple[str, str]], at: int) -> bool:
    """Whether a colon is before a name and after neither a colon nor a value."""
    if at + 1 == len(pieces) or pieces[at + 1][0] != "word":
        return False
    before, text = pieces[at - 1] if at else ("space", "")
    return before not in ("word", "name", "text") and not (
        text in (":", "]", ")") or text.isdigit()
    )


def parameter_names(query: str) -> list[str]:
    """The parameters of a query, each once, in order."""
    backslash = _is_open(query, backslash=False)
    pieces = split_query(query, backslash=backslash)
    return list(dict.fromkeys(piece.name for piece in pieces if isinstance(piece, Parameter)))


def _is_open(query: str, *, backslash: bool) -> bool:
    return any(kind == "open" for kind, _ in lexer.tokens(query, backslash=backslash))


def known_parameters(dimensions: Sequence[Dimension]) -> dict[str, tuple[str, ...]]:
    """The parameters that a query may have, by dimension."""
    windows = [dimension for dimension in dimensions if dimension.grain]
    return {
        dimension.name: (
            (dimension.name,)
            if dimension.grain is None
            else ("start", "end")
            if len(windows) == 1
            else (f"{dimension.name}_start", f"{dimension.name}_end")
        )
        for dimension in dimensions
    }


def problems(query: str, dimensions: Sequence[Dimension]) -> Iterator[tuple[str, str | None]]:
    """What is wrong with a query for a table with these dimensions: messages and hints.

    A query has no parameters, or those of every dimension, so that its rows are in the slice.
    """
    backslash = _is_open(query, backslash=False)
    if backslash and _is_open(query, backslash=True):
        yield "a quote or comment in the query never closes", None
        return
    found = lexer.statements(query, backslash=backslash)
    if len(found) != 1:
        yield (
            ("is more than one statement" if found else "has no statement"),
            "write one SELECT, without semicolons",
        )
        return
    words = lexer.bare_words(found[0], backslash=backslash).split()
    if words[:1] and words[0] in _WRITES:
        yield f"a source query reads rows, and this one starts with {words[0]}", "write a SELECT"
    elif "INTO" in words:
        yield "a source query reads rows, and this one has INTO, which writes them", "remove it"
    yield from _parameter_problems(query, dimensions)


def _parameter_problems(
    query: str, dimensions: Sequence[Dimension]
) -> Iterator[tuple[str, str | None]]:
    names, known = parameter_names(query), known_parameters(dimensions)
    allowed = [name for each in known.values() for name in each]
    unknown = [name for name in names if name not in allowed]
    for name in unknown:
        listed = ", ".join(f":{each}" for each in allowed)
        close = difflib.get_close_matches(name, allowed, n=1)
        hint = f"did you mean :{close[0]}?" if close else f"its parameters are {listed}"
        if not allowed:
            hint = "only tables with partition_by have parameters; quote text that has a colon"
        yield f"there is no parameter `:{name}`", hint
    if names and not unknown:
        for dimension, wanted in known.items():
            missing = [f":{name}" for name in wanted if name not in names]
            if missing:
                yield (
                    f"the query has no {' and no '.join(missing)}, so it reads rows of other"
                    f" partitions of `{dimension}` too",
                    _condition(wanted),
                )


def _condition(names: Sequence[str]) -> str:
    if len(names) == 2:
        return f"write: WHERE … >= :{names[0]} AND … < :{names[1]}"
    return f"write: WHERE … = :{names[0]}"


def parameter_values(query: str, table: str, slice_: Slice | None) -> list[Values]:
    """The values of each run of a query: one for each window, or key, of the slice.

    Args:
        query: The query.
        table: Its table, for messages.
        slice_: What is loaded; None where that is not known.

    Raises:
        PlanError: the query has parameters, and no partition is named.
    """
    names = parameter_names(query)
    if not names:
        return [{}]
    if slice_ is None:
        listed = " and ".join(f":{name}" for name in names)
        raise PlanError(
            f"the query of {table} has {listed}, and no partition is named",
            hint="name it, such as --partition 2026-01-01; `auto` needs a query without parameters",
        )
    known = known_parameters(slice_.dimensions)
    runs = {
        tuple(cell.items()): cell
        for box in slice_.boxes
        for parts in product(*(_cells(part, known[part.dimension.name]) for part in box.parts))
        for cell in [{name: value for part in parts for name, value in part.items()}]
    }
    return list(runs.values())


def _cells(part: Part, names: Sequence[str]) -> list[Values]:
    if part.windows:
        return [dict(zip(names, (each.start, each.end), strict=True)) for each in part.windows]
    return [{names[0]: value} for value in part.values]
