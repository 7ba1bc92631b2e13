"""What a text for people says, without the sentences that say it: golden files hold these facts.

The facts of a line are its severity, position, key and mark; the few `WORDS`, sorted; then in the
order of the line what is quoted, names, paths, options, commands, choices, and numbers with what
they count. Rows of tables keep their cells, SQL is left as it is, and a page of help is its
commands, arguments and options.
"""

from __future__ import annotations

import json
import re
from typing import Any

WORDS = frozenset({
    # values, and what is wrong with them
    "list", "mapping", "text", "number", "whole", "character", "true", "null", "nothing", "empty",
    "missing", "unknown", "twice", "few", "range", "size", "lower",
    # tables
    "schema", "table", "spec", "column", "property", "tag", "key", "type", "identity",
    "distribution", "sort", "expression", "semicolon", "comment", "encoding", "row", "merge",
    "value",
    # types, and the formats that hold them
    "smallint", "integer", "bigint", "decimal", "real", "double", "boolean", "char", "varchar",
    "date", "timetz", "timestamp", "timestamptz", "super", "varbyte", "geometry", "geography",
    "hllsketch", "csv", "json", "parquet",
    # partitions
    "partition", "dimension", "grain", "day", "hour", "month", "week", "start", "format", "cron",
    "zone", "duration",
    # patterns, queries, histories, and what a load fills
    "pattern", "boundary", "backreference", "partner", "query", "parameter", "database", "data",
    "load", "earlier", "time", "freshness", "constant", "path", "order", "warehouse", "own",
    "compared", "expected", "refer", "effect", "closes",
    # files
    "file", "header", "delimiter", "escape", "password", "alias", "aliases", "anchor", "document",
    # commands, loads and plans
    "command", "template", "option", "argument", "target", "local", "prod", "replace", "refresh",
    "rebuilt", "destructive", "loaded", "deleted", "committed", "ledger", "saved", "stale",
})  # fmt: skip
"""Words that tell one rule from another where nothing is quoted; hints do without them.

They are nouns that a sentence can hardly do without, in any order and number.
"""
NO_WORDS = frozenset[str]()

_TOKEN = re.compile(
    r"""
    (?P<whole>
        \\?`[^`]*` | (?<!\w)'[^']*'(?!\w) | "[^"]*"
        | \w*\([\w,]+\)                                 # varchar(40), (duckdb)
        | \[[^\[\]]+\] | \{[^{}]+\}                     # [day], {format: csv}
        | \w+_\w+:[ ]\w+                                # bad_rows: reject
        | \bloader[ ][a-z]+ | (?:more|less)[ ]than
    )
    | [\w.+\[\]/-]+(?:,[ ][\w.+\[\]/-]+){2,}            # choices
    | \w+(?:,[ ]\w+)+(?=$|[;.])
    | \d+(?:,\d{3})*                                    # a number, and what it counts
      (?:[ ](?!(?:are|was|were|and|may|has|have|not)\b)[a-z]{3,})?(?![\w/=%:.-]*\w)
    | (?:<[^<>]*>|[^\s`])+                              # a word, or what only looks like one
    """,
    re.VERBOSE,
)
_PROSE = re.compile(r"[A-Za-z][a-z]*(?:[-'][a-z]*)*")

_HEAD = re.compile(
    r"""
    (?P<mark>\s*(?:[-+~=?][ ]|\*\*)?)
    (?P<label>
        \w+:(?:[ ]|$)                               # error: hint: Plan:
        | [^\s:]+\.(?:ya?ml|toml|j2)(?::\d+:\d+)?:[ ]  # file:line:column:
          (?:[^\s:`]+:[ ])?                         # columns[3].data_type:
        | \w+\.\w+:[ ][\w ]+(?::|$)                 # what is done to a table
        | ::\w+[ ].*?::                             # an annotation of GitHub
    )?
    """,
    re.VERBOSE,
)
_SQL_INDENT = " " * 11
_ROW = re.compile(r"(?P<cells>.*\S {2,}| {9}(?=\S))(?P<last>.+)")
_LISTED = re.compile(r"  (?P<named>\S+(?: \S+)*)(?:  +(?P<said>.*))?")


def answer_facts(line: str, code: int, out: str, err: str) -> str:
    """A command line, what it answers on stdout and stderr, and its exit code."""
    told = [f"$ loader {line}".rstrip(), out if _prints_data(line) else screen_facts(out)]
    told += [f"stderr| {one}".rstrip() for one in screen_facts(err).splitlines()]
    return "\n".join([*told, f"exit {code}", ""])


def message_facts(line: str) -> str:
    """One line of a message: its severity, position, key, and the words that matter."""
    head = _head(line).group()
    words = NO_WORDS if head.strip() == "hint:" else WORDS
    facts = _facts(line[len(head) :], words)
    return f"{head}{' ' if head.endswith(':') else ''}{facts}".rstrip()


def screen_facts(text: str) -> str:
    """What a command shows people: rows and SQL as they are, and the facts of each sentence."""
    if text.startswith("Usage: "):
        return help_facts(text)
    if text.startswith("{"):
        return json.dumps(_error_facts(json.loads(text)), indent=2, ensure_ascii=False)
    told, fenced = [], False
    for line in text.splitlines():
        fence = line.startswith("```")
        fenced ^= fence
        is_data = fenced or fence or line.startswith((_SQL_INDENT, "\t"))
        told.append(line if is_data else _line_facts(line.rstrip()))
    return "\n".join(told)


def help_facts(text: str) -> str:
    """A page of help: its usage, and every command and option with its choices and default."""
    usage, *sections = re.split(r"\n(?=\w+:\n)", text)
    told = [" ".join(usage.split("\n\n")[0].split())]
    for section in sections:
        title, *lines = section.splitlines()
        told.append(title)
        for line in _unwrapped(lines):
            found = _LISTED.fullmatch(line)
            assert found is not None, line
            notes = re.findall(r"\[(?:default: |required|x[<>]).*?\]", found["said"] or "")
            told.append("  ".join(["", found["named"], *notes]))
    return "\n".join(told)


def _prints_data(line: str) -> bool:
    """Whether a command prints what programs read: every byte of that counts."""
    exchanges = line.startswith(("read ", "export ", "import ")) and "--help" not in line
    return exchanges or "--format json" in line or "--format sql" in line


def _head(line: str) -> re.Match[str]:
    """The part of a line before its sentence; it may be empty."""
    found = _HEAD.match(line)
    assert found is not None
    return found


def _facts(text: str, words: frozenset[str] = WORDS) -> str:
    """What of a sentence is no prose: words first, since another wording moves them about."""
    told: list[str] = []
    known: set[str] = set()
    for token in _TOKEN.finditer(text.replace("%0A", " ")):  # a line break of an annotation
        bare = token["whole"] or token.group().lstrip("(*").rstrip(".,;:!?)*…")
        if token["whole"] or not _PROSE.fullmatch(bare):
            told.append(bare)
        else:
            word = bare.lower().removesuffix("'s")
            known |= {word, word.removesuffix("s")} & words
    return " ".join(filter(None, [*sorted(known), *told]))


def _line_facts(line: str) -> str:
    """The cells of a row, or the facts of a sentence."""
    if line.startswith("|"):
        *cells, last, end = re.split(r"(?<!\\)\|", line)
        return "|".join([*cells, last.replace(last.strip(), _cell_facts(last.strip())), end])
    row = _ROW.fullmatch(line)
    if row is None or _head(line)["label"]:
        return message_facts(line)
    return f"{row['cells']}{_cell_facts(row['last'])}".rstrip()


def _cell_facts(cell: str) -> str:
    """The name that a last cell starts with, and the facts of what it says of it."""
    if "; -v " in cell:  # what stands for statements that are not shown
        return _facts(cell)
    name = re.split(r"[,:;]", cell, maxsplit=1)[0]
    return f"{name} {_facts(cell[len(name) :], NO_WORDS)}".strip()


def _error_facts(error: Any) -> Any:
    """An error as JSON, with the facts of its sentences."""
    match error:
        case dict():
            words = {"message": WORDS, "problem": WORDS, "hint": NO_WORDS}
            return {
                key: _facts(value, words[key]) if key in words and value else _error_facts(value)
                for key, value in error.items()
            }
        case list():
            return [_error_facts(one) for one in error]
    return error


def _unwrapped(lines: list[str]) -> list[str]:
    """The entries of a list in a page of help, each in one line."""
    entries: list[str] = []
    for line in filter(None, lines):
        if line.startswith("   "):
            entries[-1] += f"  {line.strip()}"
        else:
            entries.append(line)
    return entries
