"""Text of specs, data and files, made harmless for where it is shown: one function for each form.

HTML is escaped by the pages' own templates, and GitHub's annotations by `loader.cli.output.github`.
"""

from __future__ import annotations

import re

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufdd0-\ufdef\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
"""What moves the cursor, turns the direction of writing, or cannot be seen.

Joiners of letters and emoji are left: words are written with them.
"""

_COMMANDS = re.compile(r"^([^\S\n]*):(?=:)|##(\w*)\[", re.MULTILINE)
"""How workflow commands of GitHub Actions, and those of Azure Pipelines, begin."""


def visible(text: str) -> str:
    r"""Text whose control characters and marks of direction can be seen; lines and tabs stay.

    >>> visible("a\x1b[31mb\u202e")
    'a\\x1b[31mb\\u202e'
    """
    return _UNSEEN.sub(_spelt, text)


def one_line(text: str) -> str:
    r"""The same on one line, for names and keys: nobody's name begins a line of its own.

    >>> one_line("a\nb")
    'a\\nb'
    """
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")


def terminal(text: str) -> str:
    r"""Text for a terminal or the log of a CI job, in which no line is a command.

    >>> terminal("a\n ::warning::b")
    'a\n \\x3a:warning::b'
    """
    told = visible(text)
    # Nearly no plan has either, and plans may be very long.
    return _COMMANDS.sub(_no_command, told) if "::" in told or "##" in told else told


def _no_command(found: re.Match[str]) -> str:
    return f"{found[1]}\\x3a" if found[1] is not None else f"##{found[2]}\\x5b"


def _spelt(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


_MARKDOWN = (
    (re.compile(r"[\\`*\[\]~|$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])"), r"\\\g<0>"),
    (re.compile(r"&(?=#?\w+;)"), "&amp;"),
    (re.compile("<"), "&lt;"),
    # GitHub looks for these in the finished page, where a backslash has gone already.
    (
        re.compile(r"[@#](?=\w)|:(?=//|[\w+-]+:)|(?<=\bGH)-(?=\d)|\bwww\.", re.IGNORECASE),
        r"\g<0>&#8203;",
    ),
    (re.compile(r"^([-+=#>])"), r"\\\1"),
    (re.compile(r"^(\d+)([.)])"), r"\1\\\2"),
)


def markdown(text: str) -> str:
    r"""A line that Markdown shows as it is: no link, picture, mention or tag comes of it.

    >>> markdown("![a](b) <b> *c* @d")
    '!\\[a\\](b) &lt;b> \\*c\\* @&#8203;d'
    """
    told = one_line(text)
    for pattern, instead in _MARKDOWN:
        told = pattern.sub(instead, told)
    return told


def fenced(script: str, language: str = "sql") -> str:
    """A script as a block of Markdown, whose fence nothing in it closes."""
    longest = max((len(run) for run in re.findall("`+", script)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{visible(script)}\n{fence}"
