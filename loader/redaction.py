"""Removes secrets from all output: those of the settings in use, in every escaped form."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote

from loader.escaping import escape_invisible, escape_markdown

_STARS = "***"
_MIN_LENGTH = 4
"""In characters. Redshift's passwords have at least eight; shorter text is part of many words."""
_WORD = 8
"""Shorter secrets are hidden only where they are a whole word."""

_SECRET_NAME = re.compile(
    r"passw|passphrase|pwd\b|_pwd|^pass$|_pass$|secret|token|private|credential|api_?key"
    r"|access_?key|signature",
    re.IGNORECASE,
)
_PUBLIC_NAME = re.compile(r"(_id|_arn|_name|_file|_path|^pwd|^oldpwd)$", re.IGNORECASE)
_ACCESS_KEY = re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b")
_LOGIN = re.compile(
    r"(?P<scheme>\w[\w+.-]*://)?(?!(?i:IAM[RA]?|AWSIDC):)"  # the user names of IAM logins
    r"(?P<user>[^/\s:@]*):(?!//)(?P<secret>.*)@",
    re.DOTALL,
)
_TOKEN = re.compile(r"\w[\w+.-]*://(?P<secret>[^/\s@]+)@")
_ASSIGNMENT = re.compile(
    r"(?:passw\w*|pwd|secret\w*|\w*token|\w*access_key\w*|credentials?|api_?key|signature)"
    r"\s*[=:]\s*(?P<secret>[^\s&;,'\"]+)",
    re.IGNORECASE,
)
_URL_LOGIN = re.compile(r"(?<=://)[^\s/@:'\"`]*:(?!\d{1,5}(?:[/\s'\"`]|$)|\$\{\w+\}@)[^\s@'\"`]*@")
"""User and password before a host name, but not a host name with its port, or `${NAME}`."""


def is_secret_name(name: str) -> bool:
    """Whether a setting or variable with this name contains a secret.

    >>> list(map(is_secret_name, ["DB_PASSWORD", "AWS_REDSHIFT_HOST", "secret_id"]))
    [True, False, False]
    """
    return bool(_SECRET_NAME.search(name)) and not _PUBLIC_NAME.search(name)


def find_credentials(value: str) -> Iterator[str]:
    """Find passwords and access keys in a setting that should have none, such as a URL.

    >>> list(find_credentials("s3://bob:hunter2@bucket/x"))
    ['hunter2', 'bob']
    >>> list(find_credentials("alice@example.com"))
    []
    """
    login = _LOGIN.match(value)
    if login is not None:
        yield login["secret"]
        if login["scheme"]:
            yield login["user"]
    elif token := _TOKEN.match(value):
        yield token["secret"]
    yield from (found["secret"] for found in _ASSIGNMENT.finditer(value))
    yield from _ACCESS_KEY.findall(value)


def find_passwords(url: str) -> Iterator[str]:
    """Find the passwords in the URL of a database; its user is no secret.

    >>> list(find_passwords("postgresql://bob:hunter2@db/shop?sslpassword=x9"))
    ['hunter2', 'x9']
    """
    login = _LOGIN.match(url)
    if login is not None:
        yield login["secret"]
    yield from (found["secret"] for found in _ASSIGNMENT.finditer(url))


def find_secrets(values: Mapping[str, object]) -> Iterator[str]:
    """Find the secrets in the settings of a target, including those in the wrong setting."""
    for key, value in values.items():
        if isinstance(value, str):
            if is_secret_name(key):
                yield value
            else:
                yield from find_credentials(value)
        elif isinstance(value, Mapping):
            yield from find_secrets(value)


class Secrets:
    """Secret values, and the text replacement that hides them."""

    def __init__(self, *values: str) -> None:
        self._spellings: tuple[str, ...] = ()
        self._words: tuple[re.Pattern[str], ...] = ()
        self.add(*values)

    def add(self, *values: str) -> None:
        """Hide these values from now on; values of less than four characters are ignored."""
        found, words = set(self._spellings), {pattern.pattern for pattern in self._words}
        for value in values:
            for one in _parts(value):
                for spelling in _spellings(one):
                    if len(one) < _WORD:
                        words.add(rf"(?<!\w){re.escape(spelling)}(?!\w)")
                    else:
                        found.add(spelling)
        # Longest first: one may be part of another. Assigned at once, for other threads.
        self._spellings = tuple(sorted(found, key=lambda one: (-len(one), one)))
        self._words = tuple(map(re.compile, sorted(words, key=lambda one: (-len(one), one))))

    def hide(self, text: str) -> str:
        """Replace secrets in a text by ``***``; also logins in URLs and AWS access keys."""
        for spelling in self._spellings:
            if spelling in text:
                text = text.replace(spelling, _STARS)
        for word in self._words:
            text = word.sub(_STARS, text)
        if "://" in text:
            text = _URL_LOGIN.sub(f"{_STARS}@", text)
        if "AKIA" in text or "ASIA" in text:
            text = _ACCESS_KEY.sub(_STARS, text)
        return text

    def hide_in(self, data: Any) -> Any:
        """Hide secrets in nested data: in the texts of lists, and the keys and values of dicts."""
        if isinstance(data, str):
            return self.hide(data)
        if isinstance(data, dict):
            return {self.hide_in(key): self.hide_in(value) for key, value in data.items()}
        # Exact types only: named tuples cannot be rebuilt like this.
        return type(data)(map(self.hide_in, data)) if type(data) in (list, tuple) else data


KNOWN = Secrets()
"""The secrets of all settings that this process has read; all output is filtered with it."""


def _parts(value: str) -> Iterator[str]:
    """A secret as given, decoded from its URL form, and each of its lines."""
    for one in {value, unquote(value), *value.splitlines()}:
        if len(one.strip()) >= _MIN_LENGTH:
            yield one.strip()


def _spellings(secret: str) -> set[str]:
    """A secret as escaped in URLs, SQL, JSON, HTML, Markdown and Python messages."""
    found = {
        secret,
        secret.lower(),
        secret.upper(),
        escape_invisible(secret),
        escape_markdown(secret),
    }
    with_quotes = secret.replace("'", "''")
    found |= {with_quotes, with_quotes.replace("\\", "\\\\"), secret.replace('"', '""')}
    found |= {repr(secret)[1:-1], repr(secret + "'\"")[1:-4], repr(repr(secret))[2:-2]}
    found |= {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    found |= {html.escape(secret), html.escape(secret).replace("&#x27;", "&#39;")}
    found |= {html.escape(secret).replace("&#x27;", "&#39;").replace("&quot;", "&#34;")}
    encoded = {quote_plus(secret, errors="replace")}
    encoded |= {quote(secret, safe=safe, errors="replace") for safe in ("", "/", "/:", "!$'()*")}
    lowered = {re.sub("%..", lambda hexed: hexed[0].lower(), one) for one in encoded}
    return {one for one in found | encoded | lowered if one}
