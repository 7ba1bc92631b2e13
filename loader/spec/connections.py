"""Connections of source queries: the name of one in the settings, or a URL of a database."""

from __future__ import annotations

import difflib
import re

from loader.redaction import find_passwords

DATABASES = {
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "mysql": "mysql",
    "mariadb": "mysql",
    "sqlite": "sqlite",
    "duckdb": "duckdb",
}
"""Scheme of a URL → the kind of database."""

EXAMPLE = "postgresql://reader:${SHOP_PASSWORD}@db.example.com/shop"

_NAME = re.compile(r"[A-Za-z_][\w.-]*", re.ASCII)
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9.-]*)(?:\+[\w-]+)?://")
_VARIABLE_ONLY = re.compile(r"(\$\{[A-Za-z_][A-Za-z0-9_]*\})+")


def is_connection_name(text: str) -> bool:
    """Whether a connection is given by its name in the settings, not by a URL."""
    return _NAME.fullmatch(text) is not None


def database_of(url: str) -> str | None:
    """The kind of database of a URL; None where its scheme is unknown or it is no URL.

    SQLAlchemy's ``postgresql+psycopg2://`` is one as well.
    """
    found = _SCHEME.match(url)
    return DATABASES.get(found["scheme"].lower()) if found else None


def check_connection(text: str) -> str:
    """Return a connection as written, with ``${NAME}`` for variables of the environment.

    Raises:
        ValueError: it is neither a name nor a URL, its scheme is unknown, or a password is in it.
    """
    if any(secret and not _VARIABLE_ONLY.fullmatch(secret) for secret in find_passwords(text)):
        raise ValueError(
            "a connection with a password, which everybody can read here; write"
            f" `${{NAME}}` in its place, as in {EXAMPLE}"
        )
    if is_connection_name(text) or text.startswith("${"):
        return text
    found = _SCHEME.match(text)
    if found is None:
        raise ValueError(
            "neither the name of a connection nor a URL; write one such as"
            f" {EXAMPLE}, or `${{NAME}}`"
        )
    if database_of(text) is None:
        raise ValueError(unknown_scheme(found["scheme"]))
    return text


def unknown_scheme(scheme: str) -> str:
    """The message for a URL of another kind of database."""
    close = difflib.get_close_matches(scheme.lower(), DATABASES, n=1)
    hint = f"did you mean `{close[0]}://`?" if close else "export its rows to files"
    return (
        f"`{scheme}` is not a database that Loader reads, which are postgresql, mysql, sqlite and"
        f" duckdb; {hint}"
    )
