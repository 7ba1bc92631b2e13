"""What no output may hold: the secrets of the settings in use, in every spelling they get."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote

from loader.escaping import markdown, visible

_STARS = "***"
_SHORTEST = 4
"""Characters; passwords of Redshift have eight, and what is shorter stands in half of all words."""
_WORD = 8
"""What is shorter is only hidden where it stands by itself."""

_SECRET_NAME = re.compile(
    r"passw|passphrase|pwd\b|_pwd|^pass$|_pass$|secret|token|private|credential|api_?key"
    r"|access_?key|signature",
    re.IGNORECASE,
)
_NO_SECRET_NAME = re.compile(r"(_id|_arn|_name|_file|_path|^pwd|^oldpwd)$", re.IGNORECASE)
_ACCESS_KEY = re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b")
_LOGIN = re.compile(
    r"(?P<scheme>\w[\w+.-]*://)?(?!(?i:IAM[RA]?|AWSIDC):)"  # users of IAM are called so
    r"(?P<user>[^/\s:@]*):(?!//)(?P<secret>.*)@",
    re.DOTALL,
)
_TOKEN = re.compile(r"\w[\w+.-]*://(?P<secret>[^/\s@]+)@")
_GIVEN = re.compile(
    r"(?:passw\w*|pwd|secret\w*|\w*token|\w*access_key\w*|credentials?|api_?key|signature)"
    r"\s*[=:]\s*(?P<secret>[^\s&;,'\"]+)",
    re.IGNORECASE,
)
_URL_LOGIN = re.compile(r"(?<=://)[^\s/@:'\"`]*:(?!\d{1,5}(?:[/\s'\"`]|$))[^\s@'\"`]*@")
"""A name and password before a host; a host with its port is none, whatever comes after it."""


def names_secret(name: str) -> bool:
    """Whether a setting or variable of that name holds a secret.

    >>> names_secret("DB_PASSWORD"), names_secret("AWS_REDSHIFT_HOST"), names_secret("secret_id")
    (True, False, False)
    """
    return bool(_SECRET_NAME.search(name)) and not _NO_SECRET_NAME.search(name)


def credentials_in(value: str) -> Iterator[str]:
    """The passwords and keys in a setting that is for neither.

    >>> list(credentials_in("s3://bob:hunter2@bucket/x")), list(credentials_in("alice@example.com"))
    (['hunter2', 'bob'], [])
    """
    login = _LOGIN.match(value)
    if login is not None:
        yield login["secret"]
        if login["scheme"]:
            yield login["user"]
    elif token := _TOKEN.match(value):
        yield token["secret"]
    yield from (found["secret"] for found in _GIVEN.finditer(value))
    yield from _ACCESS_KEY.findall(value)


def secrets_in(values: Mapping[str, object]) -> Iterator[str]:
    """The secrets in the settings of a target, where they belong and where they do not."""
    for key, value in values.items():
        if isinstance(value, str):
            if names_secret(key):
                yield value
            else:
                yield from credentials_in(value)
        elif isinstance(value, Mapping):
            yield from secrets_in(value)


class Secrets:
    """Values that are to be hidden wherever output leaves the program."""

    def __init__(self, *values: str) -> None:
        self._spellings: tuple[str, ...] = ()
        self._words: tuple[re.Pattern[str], ...] = ()
        self.add(*values)

    def add(self, *values: str) -> None:
        """Hide these from now on; text that is too short to be a secret is left."""
        found, words = set(self._spellings), {pattern.pattern for pattern in self._words}
        for value in values:
            for one in _parts(value):
                for spelling in _spellings(one):
                    if len(one) < _WORD:
                        words.add(rf"(?<!\w){re.escape(spelling)}(?!\w)")
                    else:
                        found.add(spelling)
        # The longest first: one may be part of another. Replaced whole, for other threads.
        self._spellings = tuple(sorted(found, key=lambda one: (-len(one), one)))
        self._words = tuple(map(re.compile, sorted(words, key=lambda one: (-len(one), one))))

    def hide(self, text: str) -> str:
        """The text without secrets, those included that only look like one in a URL."""
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
        """Data without secrets: texts in mappings and lists, their keys too."""
        if isinstance(data, str):
            return self.hide(data)
        if isinstance(data, dict):
            return {self.hide_in(key): self.hide_in(value) for key, value in data.items()}
        # By type: objects of others may be tuples as well.
        return type(data)(map(self.hide_in, data)) if type(data) in (list, tuple) else data


KNOWN = Secrets()
"""Those of all settings that this process has read: output leaves where no settings are known."""


def _parts(value: str) -> Iterator[str]:
    """A secret, as it is in a URL and out of it, and its lines."""
    for one in {value, unquote(value), *value.splitlines()}:
        if len(one.strip()) >= _SHORTEST:
            yield one.strip()


def _spellings(secret: str) -> set[str]:
    """A secret as it stands in URLs, SQL, JSON, pages, and messages of Python."""
    found = {secret, secret.lower(), secret.upper(), visible(secret), markdown(secret)}
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
