"""Escapes text from specs, data and files for terminals, CI logs and Markdown.

HTML is escaped by the templates in `loader.docs`, GitHub annotations by `loader.cli.output.github`.
"""

from __future__ import annotations

import re

_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufdd0-\ufdef\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
"""Characters that move the cursor, change the text direction, or are invisible.

Zero-width joiners are not included: scripts and emoji need them.
"""

_COMMANDS = re.compile(r"^([^\S\n]*):(?=:)|##(\w*)\[", re.MULTILINE)
"""The beginning of a workflow command of GitHub Actions or Azure Pipelines."""


def escape_invisible(text: str) -> str:
    r"""Replace control and invisible characters by escapes; newlines and tabs are kept.

    >>> escape_invisible("a\x1b[31mb\u202e")
    'a\\x1b[31mb\\u202e'
    """
    return _INVISIBLE.sub(_escape_character, text)


def escape_line(text: str) -> str:
    r"""Like `escape_invisible`, with newlines and tabs escaped too, for names and keys.

    >>> escape_line("a\nb")
    'a\\nb'
    """
    return escape_invisible(text).replace("\n", "\\n").replace("\t", "\\t")


def escape_terminal(text: str) -> str:
    r"""Like `escape_invisible`, for terminals and CI logs; also escapes CI workflow commands.

    >>> escape_terminal("a\n ::warning::b")
    'a\n \\x3a:warning::b'
    """
    shown = escape_invisible(text)
    # A quick test first: plans may be very long, and almost none contains either.
    return _COMMANDS.sub(_escape_command, shown) if "::" in shown or "##" in shown else shown


def _escape_command(found: re.Match[str]) -> str:
    return f"{found[1]}\\x3a" if found[1] is not None else f"##{found[2]}\\x5b"


def _escape_character(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


_MARKDOWN = (
    (re.compile(r"[\\`*\[\]~|$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])"), r"\\\g<0>"),
    (re.compile(r"&(?=#?\w+;)"), "&amp;"),
    (re.compile("<"), "&lt;"),
    # GitHub finds these in the rendered page, after backslashes are removed.
    (
        re.compile(r"[@#](?=\w)|:(?=//|[\w+-]+:)|(?<=\bGH)-(?=\d)|\bwww\.", re.IGNORECASE),
        r"\g<0>&#8203;",
    ),
    (re.compile(r"^([-+=#>])"), r"\\\1"),
    (re.compile(r"^(\d+)([.)])"), r"\1\\\2"),
)


def escape_markdown(text: str) -> str:
    r"""Escape one line of text, so that Markdown shows it literally, without links or mentions.

    >>> escape_markdown("![a](b) <b> *c* @d")
    '!\\[a\\](b) &lt;b> \\*c\\* @&#8203;d'
    """
    line = escape_line(text)
    for pattern, replacement in _MARKDOWN:
        line = pattern.sub(replacement, line)
    return line


def fence_code(script: str, language: str = "sql") -> str:
    """A script as a Markdown code block; the fence is longer than any backticks in the script."""
    longest = max((len(run) for run in re.findall("`+", script)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{escape_invisible(script)}\n{fence}"
