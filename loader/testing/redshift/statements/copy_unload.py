"""The statements that move files: COPY and UNLOAD as data, refused where Redshift refuses them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from loader.testing.redshift.refusals import (
    NOT_SUPPORTED,
    SYNTAX,
    Refusal,
    not_implemented,
    syntax_error,
)
from loader.testing.redshift.statements import copy_options
from loader.testing.redshift.statements.tokens import (
    Cursor,
    Token,
    one_statement,
    tokenize,
    with_depth,
)

Format = Literal["parquet", "csv", "json", "text"]

_ARN = re.compile(r"arn:aws[\w-]*:iam::\d{12}:role/[^\s,]+")


@dataclass(frozen=True)
class CopyStatement:
    """One COPY from S3. Names are as PostgreSQL stores them."""

    schema: str | None
    table: str
    columns: tuple[str, ...] | None
    url: str
    iam_role: str
    """ARNs, ``default``, or empty where access keys were given."""
    format: Format
    manifest: bool
    compression: str
    """``none``, ``gzip`` or ``zstd``, of the whole file."""
    header_lines: int
    null_as: str
    """The text of a field that means NULL, its backslashes resolved."""
    serialize_to_json: bool
    json_option: str
    """``auto``, ``auto ignorecase`` or ``noshred``; empty for other formats."""
    options: frozenset[str]
    """The names of all options given, in capitals (``NULL`` for NULL AS)."""
    delimiter: str = ","
    quote: str = '"'
    """Empty where quotes mean nothing: in text with a delimiter."""
    time_format: str = "auto"


@dataclass(frozen=True)
class UnloadStatement:
    """One UNLOAD to S3; the query is what the literal means."""

    query: str
    url: str
    iam_role: str
    format: str
    """``parquet``, ``csv``, ``json`` or ``text``."""
    manifest: bool
    verbose: bool
    allow_overwrite: bool
    cleanpath: bool
    parallel: bool
    max_file_size: int | None
    """Bytes."""
    options: dict[str, str] = field(default_factory=dict)
    """What else was given: HEADER, DELIMITER, EXTENSION, …"""


_KINDS = {
    "copy": "copy",
    "unload": "unload",
    "begin": "begin",
    "start": "begin",
    "commit": "commit",
    "end": "commit",
    "rollback": "rollback",
    "abort": "rollback",
    "truncate": "truncate",
}


def kind(sql: str) -> str:
    """What the statement does to files and transactions: ``copy``, ``begin``, …, or ``other``."""
    try:
        tokens = tokenize(sql)
    except Refusal:
        return "other"
    first = next((token for token in tokens if not token.says(";", "(")), None)
    return _KINDS.get(first.value, "other") if first and first.kind == "word" else "other"


def parse_copy(sql: str) -> CopyStatement:
    """Read a COPY.

    Raises:
        Refusal: it is not one, or Redshift would not take it (dg/r_COPY).
    """
    cursor = Cursor(one_statement(sql))
    cursor.expect("copy")
    schema, table = _table(cursor)
    columns = _column_list(cursor) if cursor.at("(") else None
    cursor.expect("from")
    url = _source(cursor.string())
    form, json_option, options = _copy_options(cursor)
    form = form or "text"
    copy_options.check(options, form)
    return CopyStatement(
        schema=schema,
        table=table,
        columns=columns,
        url=url,
        iam_role=_role(options),
        format=form,
        manifest="MANIFEST" in options.given,
        compression=next(
            (name.lower() for name in ("GZIP", "ZSTD") if name in options.given), "none"
        ),
        header_lines=options.number("IGNOREHEADER"),
        null_as=options.text("NULL", "" if "EMPTYASNULL" in options.given else "\\N"),
        serialize_to_json="SERIALIZETOJSON" in options.given,
        json_option=json_option,
        options=frozenset(options.given),
        delimiter=options.text("DELIMITER", "|" if form == "text" else ","),
        quote="" if form == "text" else options.text("QUOTE", '"'),
        time_format=options.text("TIMEFORMAT", "auto"),
    )


def _table(cursor: Cursor) -> tuple[str | None, str]:
    path = cursor.path()
    if len(path) > 3:
        raise Refusal(f"improper qualified name (too many dotted names): {'.'.join(path)}", SYNTAX)
    return (path[-2] if len(path) > 1 else None), path[-1]


def _column_list(cursor: Cursor) -> tuple[str, ...]:
    names = cursor.names()
    for name in names:
        if names.count(name) > 1:
            raise Refusal(f'column "{name}" specified more than once', "42701")
    return names


def _source(url: str) -> str:
    if not url.startswith("s3://"):
        raise not_implemented(f"COPY from {url!r}: only S3 is there")
    if not re.fullmatch(r"s3://[^/]+/.+", url, re.DOTALL):
        raise Refusal("The S3 url has no object key or prefix", detail=url)
    return url


def _copy_options(cursor: Cursor) -> tuple[Format | None, str, copy_options.Options]:
    form: Format | None = None
    json_option = ""
    given: dict[str, str] = {}
    while not cursor.done:
        found = _format(cursor)
        if found is not None:
            if form is not None:
                raise Refusal("conflicting or redundant options: FORMAT", SYNTAX)
            form = found
            if form == "json":
                json_option = _json_option(cursor)
            continue
        name, argument = copy_options.read_option(cursor)
        if name in given:
            shown = "NULL AS" if name == "NULL" else name
            raise Refusal(f"conflicting or redundant options: {shown}", SYNTAX)
        given[name] = argument
    return form, json_option, copy_options.Options(given)


_FORMATS: dict[str, Format] = {"parquet": "parquet", "csv": "csv", "json": "json"}
_OTHER_FORMATS = ("orc", "avro", "shapefile", "rcfile", "sequencefile", "textfile")


def _format(cursor: Cursor) -> Format | None:
    """Go past a format, or past nothing."""
    named = cursor.take("format")
    named = cursor.take("as") or named
    token = cursor.peek()
    if token is not None and token.kind == "word":
        if token.value in _FORMATS:
            return _FORMATS[cursor.name()]
        if token.value in _OTHER_FORMATS:
            raise not_implemented(f"COPY of {token.value.upper()} files")
    if named:
        raise cursor.unexpected()
    return None


def _json_option(cursor: Cursor) -> str:
    cursor.take("as")
    token = cursor.peek()
    option = cursor.string() if token is not None and token.kind == "string" else "auto"
    if option.startswith("s3://"):
        raise not_implemented("COPY of JSON with a jsonpaths file")
    if option not in ("auto", "auto ignorecase", "noshred"):
        raise Refusal(f"Invalid JSON format option '{option}'", SYNTAX)
    return option


def _role(options: copy_options.Options) -> str:
    if "IAM_ROLE" in options.given:
        return _checked_role(options.given["IAM_ROLE"])
    credentials = options.text("CREDENTIALS")
    role = re.fullmatch(r"aws_iam_role=(.*)", credentials)
    if role:
        return _checked_role(role[1])
    if credentials and not re.search("aws_access_key_id=.+;aws_secret_access_key=.+", credentials):
        raise Refusal("Invalid credentials. Must be of the format: credentials 'aws_iam_role=...'")
    return ""


def _checked_role(role: str) -> str:
    if role.lower() == "default":
        return "default"
    if not all(_ARN.fullmatch(part) for part in role.split(",")):
        raise Refusal(f"Invalid IAM role: {role!r}", hint="role ARNs, chained by commas, no spaces")
    return role


_UNLOAD_FLAGS = (
    "addquotes", "allowoverwrite", "bzip2", "cleanpath", "escape", "gzip", "header", "zstd"
)  # fmt: skip
_NOT_IN_PARQUET = (
    "delimiter", "fixedwidth", "addquotes", "escape", "null", "header", "gzip", "bzip2", "zstd"
)  # fmt: skip
_UNITS = {"mb": 1 << 20, "gb": 1 << 30}
_SMALLEST_FILE = 5 << 20
_LARGEST_FILE = int(6.2 * (1 << 30))
_PARQUET_STEP = 32 << 20


def parse_unload(sql: str) -> UnloadStatement:
    """Read an UNLOAD.

    Raises:
        Refusal: it is not one, or Redshift would not take it (dg/r_UNLOAD).
    """
    cursor = Cursor(one_statement(sql))
    cursor.expect("unload", "(")
    query = cursor.string()
    cursor.expect(")", "to")
    url = cursor.string()
    if not re.fullmatch(r"s3://[^/]+/.*", url, re.DOTALL):
        raise Refusal("The S3 url is not valid for UNLOAD", detail=url)
    _check_query(query)
    given = _unload_options(cursor)
    _check_unload(given)
    form = given.pop("format", "text")
    return UnloadStatement(
        query=query,
        url=url,
        iam_role=_checked_role(given.pop("iam_role")),
        format=form,
        manifest=given.pop("manifest", None) is not None,
        verbose=given.pop("verbose", None) is not None,
        allow_overwrite=given.pop("allowoverwrite", None) is not None,
        cleanpath=given.pop("cleanpath", None) is not None,
        parallel=given.pop("parallel", "on") in ("on", "true"),
        max_file_size=_file_size(given.pop("maxfilesize", None), form),
        options={name.upper(): value for name, value in given.items()},
    )


def _check_query(query: str) -> None:
    """The text is one SELECT, and its LIMIT is not at the top (dg/r_UNLOAD)."""
    tokens = one_statement(query)
    if not tokens or not tokens[0].says("select", "with", "("):
        raise Refusal("UNLOAD takes a SELECT", SYNTAX)
    if any(depth == 0 and token.says("limit") for token, depth in with_depth(tokens)):
        raise Refusal("Limit clause is not supported", NOT_SUPPORTED)


def _unload_options(cursor: Cursor) -> dict[str, str]:
    given: dict[str, str] = {}
    while not cursor.done:
        name, argument = _unload_option(cursor, given)
        if name in given:
            raise Refusal(f"conflicting or redundant options: {name.upper()}", SYNTAX)
        given[name] = argument
    return given


def _unload_option(cursor: Cursor, given: dict[str, str]) -> tuple[str, str]:
    token = cursor.next()
    name = token.value if token.kind == "word" else ""
    if name in _UNLOAD_FLAGS or name == "manifest":
        if name == "manifest" and cursor.take("verbose"):
            given["verbose"] = ""
        return name, ""
    match name:
        case "format" | "parquet" | "csv" | "json":
            return "format", _unload_format(cursor, name)
        case "iam_role":
            return name, "default" if cursor.take("default") else cursor.string()
        case "parallel":
            return name, _parallel(cursor)
        case "maxfilesize" | "rowgroupsize":
            return name, _size(cursor)
        case "delimiter" | "region" | "extension" | "kms_key_id" | "fixedwidth":
            cursor.take("as")
            return name, cursor.string()
        case "null":
            cursor.expect("as")
            return name, cursor.string()
        case "encrypted":
            return name, "auto" if cursor.take("auto") else ""
        case "credentials" | "partition":
            raise not_implemented(f"the UNLOAD option {name.upper()}")
    raise syntax_error(token.text)


def _unload_format(cursor: Cursor, word: str) -> str:
    if word == "format":
        cursor.take("as")
        word = cursor.name()
    if word not in _FORMATS:
        raise Refusal(f"UNLOAD format {word.upper()} is not supported", NOT_SUPPORTED)
    return word


def _parallel(cursor: Cursor) -> str:
    token: Token | None = cursor.peek()
    return cursor.next().value if token and token.says("on", "off", "true", "false") else "on"


def _size(cursor: Cursor) -> str:
    cursor.take("as")
    token = cursor.next()
    if token.kind != "number":
        raise syntax_error(token.text)
    unit = cursor.next().value if cursor.at("mb") or cursor.at("gb") else "mb"
    return str(int(float(token.value) * _UNITS[unit]))


def _file_size(size: str | None, form: str) -> int | None:
    if size is None:
        return None
    if not _SMALLEST_FILE <= int(size) <= _LARGEST_FILE:
        raise Refusal("MAXFILESIZE must be between 5 MB and 6.2 GB", SYNTAX)
    if form == "parquet":
        return max(int(size) // _PARQUET_STEP, 1) * _PARQUET_STEP
    return int(size)


def _check_unload(given: dict[str, str]) -> None:
    if "iam_role" not in given:
        raise Refusal("Must specify credentials for UNLOAD: IAM_ROLE", SYNTAX)
    if "allowoverwrite" in given and "cleanpath" in given:
        raise Refusal("ALLOWOVERWRITE and CLEANPATH cannot be used together", SYNTAX)
    _check_encryption(given)
    if given.get("format") == "parquet":
        for name in _NOT_IN_PARQUET:
            if name in given:
                shown = "NULL AS" if name == "null" else name.upper()
                raise Refusal(f"{shown} is not supported for UNLOAD to PARQUET", NOT_SUPPORTED)
    elif "rowgroupsize" in given:
        raise Refusal("ROWGROUPSIZE is only supported for UNLOAD to PARQUET", NOT_SUPPORTED)
    if "fixedwidth" in given or (given.get("format") == "csv" and "escape" in given):
        raise not_implemented("UNLOAD with FIXEDWIDTH, or CSV with ESCAPE")


def _check_encryption(given: dict[str, str]) -> None:
    """ENCRYPTED alone would be encryption on the client's side, which has ended (r_UNLOAD)."""
    if "kms_key_id" in given and "encrypted" not in given:
        raise Refusal("KMS_KEY_ID requires the ENCRYPTED option", SYNTAX)
    if "kms_key_id" in given and given["encrypted"] == "auto":
        raise Refusal("ENCRYPTED AUTO cannot be used with KMS_KEY_ID", SYNTAX)
    if given.get("encrypted") == "" and "kms_key_id" not in given:
        raise Refusal("ENCRYPTED is only supported with KMS_KEY_ID or AUTO", NOT_SUPPORTED)
