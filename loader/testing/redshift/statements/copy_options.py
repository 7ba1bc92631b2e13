"""The options of COPY: how each is written, and which format of files takes it (dg/r_COPY)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from loader.testing.redshift.refusals import NOT_SUPPORTED, SYNTAX, Refusal, not_implemented
from loader.testing.redshift.statements.tokens import Cursor

Argument = Literal["", "text", "number", "switch", "word", "maybe text"]
"""What follows the keyword: ``switch`` is ON, OFF or nothing."""

ARGUMENTS: dict[str, Argument] = {
    "ACCEPTANYDATE": "",
    "ACCEPTINVCHARS": "maybe text",
    "ACCESS_KEY_ID": "text",
    "BLANKSASNULL": "",
    "BZIP2": "",
    "COMPROWS": "number",
    "COMPUPDATE": "switch",
    "CREDENTIALS": "text",
    "DATEFORMAT": "text",
    "DELIMITER": "text",
    "EMPTYASNULL": "",
    "ENCODING": "word",
    "ENCRYPTED": "",
    "ESCAPE": "",
    "EXPLICIT_IDS": "",
    "FILLRECORD": "",
    "FIXEDWIDTH": "text",
    "GZIP": "",
    "IAM_ROLE": "word",
    "IGNOREALLERRORS": "",
    "IGNOREBLANKLINES": "",
    "IGNOREHEADER": "number",
    "LZOP": "",
    "MANIFEST": "",
    "MASTER_SYMMETRIC_KEY": "text",
    "MAXERROR": "number",
    "NOLOAD": "",
    "NULL": "text",
    "QUOTE": "text",
    "READRATIO": "number",
    "REGION": "text",
    "REMOVEQUOTES": "",
    "ROUNDEC": "",
    "SECRET_ACCESS_KEY": "text",
    "SERIALIZETOJSON": "",
    "SESSION_TOKEN": "text",
    "SSH": "",
    "STATUPDATE": "switch",
    "TIMEFORMAT": "text",
    "TRIMBLANKS": "",
    "TRUNCATECOLUMNS": "",
    "ZSTD": "",
}
"""Every option there is; a word that is not here is a syntax error."""

_SWITCHES = ("on", "off", "true", "false")

_COLUMNAR = frozenset(
    {
        "ACCEPTINVCHARS",
        "ACCESS_KEY_ID",
        "CREDENTIALS",
        "EXPLICIT_IDS",
        "FILLRECORD",
        "IAM_ROLE",
        "MANIFEST",
        "SECRET_ACCESS_KEY",
        "SERIALIZETOJSON",
        "SESSION_TOKEN",
        "STATUPDATE",
    }
)
"""The list of dg/copy-usage_notes-copy-from-columnar, and what dg/ingest-super adds to it.

REGION is refused even where it names the right one (dlt-hub/dlt#2349).
"""

# dg/copy-parameters-data-format
_NOT_WITH = {
    "csv": frozenset({"ESCAPE", "FIXEDWIDTH", "REMOVEQUOTES", "SERIALIZETOJSON"}),
    # Redshift's documentation has no list for JSON; these have no meaning for it.
    "json": frozenset(
        {
            "DELIMITER",
            "ESCAPE",
            "FILLRECORD",
            "FIXEDWIDTH",
            "IGNOREHEADER",
            "QUOTE",
            "REMOVEQUOTES",
            "SERIALIZETOJSON",
        }
    ),
    "text": frozenset({"QUOTE", "SERIALIZETOJSON"}),
}

_NOT_IMPLEMENTED_IN_TEXT = ("ESCAPE", "FILLRECORD", "FIXEDWIDTH", "REMOVEQUOTES")

_FOR_OTHER_SOURCES = frozenset({"READRATIO", "SSH", "ENCRYPTED", "MASTER_SYMMETRIC_KEY"})
"""READRATIO and SSH are not S3's; client-side encryption ended (dg/r_COPY)."""

_NOT_IMPLEMENTED = frozenset(
    {
        "ACCEPTANYDATE",
        "BZIP2",
        "IGNOREALLERRORS",
        "LZOP",
        "NOLOAD",
    }
)

_CODECS = ("GZIP", "BZIP2", "LZOP", "ZSTD")
_KEYS = ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN")


@dataclass(frozen=True)
class Options:
    """The options of one COPY: name → its argument as text, empty where it has none."""

    given: dict[str, str]

    def text(self, name: str, default: str = "") -> str:
        """The argument of an option, or what holds without it."""
        return self.given.get(name, default)

    def number(self, name: str) -> int:
        """The argument of an option as a number; 0 without it."""
        return int(self.given.get(name, "0"))


def read_option(cursor: Cursor) -> tuple[str, str]:
    """Read one option: its name and argument.

    Raises:
        Refusal: there is no such option, or its argument is not what it takes.
    """
    token = cursor.peek()
    assert token is not None
    name = token.value.upper()
    if token.kind != "word" or name not in ARGUMENTS:
        raise cursor.unexpected()
    cursor.next()
    argument = ARGUMENTS[name]
    if argument in ("", "switch"):
        return name, _switch(cursor, name) if argument else ""
    if name == "NULL":
        cursor.expect("as")
    else:
        cursor.take("as")
    following = cursor.peek()
    match argument:
        case "number":
            return name, str(cursor.integer())
        case "maybe text" if following is None or following.kind != "string":
            return name, ""
        case "word" if following is not None and following.kind == "word":
            return name, cursor.name()
    return name, cursor.string()


def _switch(cursor: Cursor, name: str) -> str:
    words = _SWITCHES if name != "COMPUPDATE" else (*_SWITCHES, "preset")
    following = cursor.peek()
    return cursor.next().value if following is not None and following.says(*words) else "on"


def check(options: Options, form: str) -> None:
    """Refuse what the format does not take, and options that exclude each other."""
    given = options.given
    for name in given:
        if name in _FOR_OTHER_SOURCES:
            raise Refusal(f"{name} is not supported for COPY from S3", NOT_SUPPORTED)
    (_check_columnar if form == "parquet" else _check_text)(options, form)
    _check_authorization(options)
    _check_values(options)
    for name in sorted(_NOT_IMPLEMENTED.intersection(given)):
        raise not_implemented(f"the COPY option {name}")


def _check_columnar(options: Options, form: str) -> None:
    for name, argument in options.given.items():
        harmless = name == "MAXERROR" and int(argument) == 0  # dlt sends it, and it loads
        if name not in _COLUMNAR and not harmless:
            shown = "NULL AS" if name == "NULL" else name
            raise Refusal(
                f"{shown} argument is not supported for {form.upper()} based COPY", NOT_SUPPORTED
            )


def _check_text(options: Options, form: str) -> None:
    for name in sorted(_NOT_WITH[form].intersection(options.given)):
        raise Refusal(f"{name} is not compatible with {form.upper()}", SYNTAX)
    for name in _NOT_IMPLEMENTED_IN_TEXT if form == "text" else ():
        if name in options.given:
            raise not_implemented(f"{name} with a delimiter")
    codecs = [name for name in _CODECS if name in options.given]
    if len(codecs) > 1:
        raise Refusal(f"{codecs[0]} and {codecs[1]} cannot be used together", SYNTAX)


def _check_authorization(options: Options) -> None:
    """One way to authorize, and no more (dg/copy-parameters-authorization)."""
    ways = [
        way
        for way, names in (("IAM_ROLE", ("IAM_ROLE",)), ("CREDENTIALS", ("CREDENTIALS",)))
        if set(names) & set(options.given)
    ]
    keys = [name for name in _KEYS if name in options.given]
    if keys:
        ways.append(keys[0])
        if not {"ACCESS_KEY_ID", "SECRET_ACCESS_KEY"} <= set(keys):
            raise Refusal("ACCESS_KEY_ID and SECRET_ACCESS_KEY must be given together", SYNTAX)
    if not ways:
        raise Refusal(
            "Must specify credentials for COPY: IAM_ROLE, CREDENTIALS or access keys", SYNTAX
        )
    if len(ways) > 1:
        raise Refusal(f"conflicting or redundant options: {ways[0]} and {ways[1]}", SYNTAX)


def _check_values(options: Options) -> None:
    given = options.given
    if "MAXERROR" in given and not 0 <= options.number("MAXERROR") <= 100_000:
        raise Refusal("MAXERROR must be between 0 and 100000", SYNTAX)
    if "MAXERROR" in given and "IGNOREALLERRORS" in given:
        raise Refusal("MAXERROR and IGNOREALLERRORS cannot be used together", SYNTAX)
    if options.number("MAXERROR"):
        raise not_implemented("a COPY that tolerates errors (MAXERROR above 0)")
    if options.number("IGNOREHEADER") < 0:
        raise Refusal("IGNOREHEADER must not be negative", SYNTAX)
    if "EMPTYASNULL" in given and "NULL" in given:
        raise not_implemented("EMPTYASNULL together with NULL AS: both define the null string")
    for name in ("DELIMITER", "QUOTE"):
        if name in given and len(given[name]) != 1:
            raise Refusal(f"COPY {name.lower()} must be a single character", SYNTAX)
    if given.get("ENCODING", "utf8").lower() not in ("utf8", "auto"):
        raise not_implemented(f"files in the encoding {given['ENCODING']}")
    if given.get("DATEFORMAT", "auto") not in ("auto", "YYYY-MM-DD"):
        raise not_implemented(f"DATEFORMAT '{given['DATEFORMAT']}'")
    if given.get("TIMEFORMAT", "auto") not in ("auto", "epochsecs", "epochmillisecs"):
        raise not_implemented(f"TIMEFORMAT '{given['TIMEFORMAT']}'")
