"""Amazon Redshift: what it accepts (``r_CREATE_TABLE_NEW``, ``c_Compression_encodings``)."""

from __future__ import annotations

import re
from dataclasses import replace

from loader.sql.datatypes import MAX_VARCHAR, ROOMY_VARBYTE, DataType, parse
from loader.sql.dialects.base import Dialect
from loader.sql.lexer import called_words, replace_words

MAX_NAME_BYTES = 127
"""Longer identifiers are cut silently (``r_names``)."""

MAX_COLUMNS = 1_600
MAX_COMPOUND_SORT = 400
MAX_INTERLEAVED_SORT = 8

_INTEGERS = frozenset({"smallint", "integer", "bigint"})
_NUMBERS = _INTEGERS | {"decimal"}
_FLOATS = frozenset({"real", "double precision"})
_TEXTS = frozenset({"char", "varchar"})
_DATES = frozenset({"date", "timestamp", "timestamptz"})
_TIMES = frozenset({"time", "timetz"})

ENCODINGS: dict[str, frozenset[str] | None] = {
    "raw": None,
    "az64": _NUMBERS | _DATES | _TIMES,
    "bytedict": _NUMBERS | _FLOATS | _TEXTS | _DATES,
    "delta": _NUMBERS | {"date", "timestamp"},
    "delta32k": frozenset({"integer", "bigint", "decimal", "date", "timestamp"}),
    "lzo": _NUMBERS | _TEXTS | _DATES | {"super", "varbyte"},
    "mostly8": _NUMBERS,
    "mostly16": frozenset({"integer", "bigint", "decimal"}),
    "mostly32": frozenset({"bigint", "decimal"}),
    "runlength": _NUMBERS | _FLOATS | _TEXTS | _DATES | {"boolean"},
    "text255": frozenset({"varchar"}),
    "text32k": frozenset({"varchar"}),
    "zstd": _NUMBERS | _FLOATS | _TEXTS | _DATES | {"boolean", "super"},
}
"""Encoding → the types it takes; None is every type."""

KEY_TYPES = _NUMBERS | _FLOATS | _TEXTS | _DATES | _TIMES | {"boolean"}
"""Types a dist or sort key may have."""

NOT_COMPARABLE = frozenset({"geometry", "geography", "hllsketch"})
"""Types whose values cannot be held to be equal."""

NOT_RESIZABLE = frozenset({"bytedict", "runlength", "text255", "text32k"})
"""Encodings of VARCHAR columns whose size cannot be changed (``r_ALTER_TABLE``)."""

NOT_IN_PARQUET = {
    "time": "csv",
    "timetz": "csv",
    "geometry": "csv",
    "geography": "csv",
    "hllsketch": "csv",
    "interval year to month": "csv",
    "interval day to second": "csv",
}
"""Types that COPY cannot read from Parquet → the staging format that carries them."""

NOT_IN_JSON = NOT_IN_PARQUET | {"varbyte": "parquet"}
"""Types that COPY cannot read from JSON → the staging format that carries them."""


SYSTEM_COLUMNS = ("oid", "tableoid", "xmin", "cmin", "xmax", "cmax", "ctid")
"""Names that no column may have (``c_unsupported-postgresql-features``)."""

_ON_LEADER = {
    "now": "sysdate",
    "current_timestamp": "sysdate",
    "localtimestamp": "sysdate",
    "transaction_timestamp": "sysdate",
    "clock_timestamp": "getdate()",
    "statement_timestamp": "getdate()",
    "current_time": "CAST(sysdate AS time)",
    "localtime": "CAST(sysdate AS time)",
    "age": "datediff(…)",
    "get_bit": "",
    "get_byte": "",
    "set_bit": "",
    "set_byte": "",
    "to_ascii": "",
    "isfinite": "",
    "factorial": "",
    "current_schema": "",
    "current_schemas": "",
    "version": "",
    "generate_series": "",
    "array_to_string": "",
    "string_to_array": "",
}
"""Functions that no statement on a table may call (``c_SQL_functions_leader_node_only``), and what
to write instead. SUBSTR is on that list too, and works."""

_ON_LEADER_TOO = re.compile(r"has_\w+_privilege|pg_\w+|array_(upper|lower|append|prepend|cat|dims)")


def check_functions(expression: str) -> None:
    """Refuse an expression that Redshift computes for no table, and cannot be translated.

    Raises:
        ValueError: it calls a function of the leader node; it says what to write instead.
    """
    for word, called in called_words(_default(expression)):
        bare = word.startswith(("current_", "local")) and word in _ON_LEADER
        known = word in _ON_LEADER or _ON_LEADER_TOO.fullmatch(word)
        if bare or (called and known):
            instead = _ON_LEADER.get(word, "")
            raise ValueError(
                f"`{word}` runs on Redshift's leader node only, and not on the rows of tables"
                + (f"; write {instead}" if instead else "")
            )


def _default(expression: str) -> str:
    """SYSDATE, as now() elsewhere, is when the transaction began, to the microsecond."""
    words = {"current_timestamp": "sysdate", "localtimestamp": "sysdate"}
    if replace_words(expression.strip(), words, {"now": "sysdate"}) == "sysdate":
        return "sysdate"
    # Within an expression the type counts, and SYSDATE has no zone.
    instant = "CAST(sysdate AS timestamptz)"
    return replace_words(expression, {**words, "current_timestamp": instant}, {"now": instant})


def _differs(data_type: DataType, live: str) -> bool:
    try:
        there = parse(live)
    except ValueError:  # a spelling that is not known proves nothing
        return False
    # Catalogs leave out the length of some types.
    return there.name != data_type.name if "(" not in live else there != data_type


def _parse_live_type(live: str) -> DataType | None:
    try:
        return parse(live)
    except ValueError:
        return None


def _spelling(live: str) -> str:
    return str(_parse_live_type(live) or live)


def _spec_type(live: str) -> str | None:
    found = _parse_live_type(live)
    if found is None:
        return None
    if "(" not in live:
        # The default length says nothing about an existing table.
        most = {"varchar": MAX_VARCHAR, "varbyte": ROOMY_VARBYTE}
        if found.name in most:
            return f"{found.name}({most[found.name]})"
    return str(found)


def _widens(live: DataType, wanted: DataType) -> bool:
    """Only the size of a VARCHAR can change in place (``r_ALTER_TABLE``)."""
    return live.name == wanted.name == "varchar" and wanted.length > live.length


DIALECT = Dialect(
    name="redshift",
    title="Redshift",
    column_type=str,
    default=_default,
    differs=_differs,
    spelling=_spelling,
    known=_parse_live_type,
    spec_type=_spec_type,
    widens=_widens,
    identity_by_hand=False,
    unenforced_keys=True,
    checks_compressed=True,
    nul_in_text=False,
    # The order of text depends on the collation of the database and of the column.
    text_figures=("ends",),
    casts_floats=False,
    opaque=frozenset(
        {
            "super",
            "timetz",
            "geometry",
            "geography",
            "hllsketch",
            "interval year to month",
            "interval day to second",
        }
    ),
    ignores_trailing_blanks=True,
    backslash=True,
    documents={"parquet": "nested", "json": "json"},
    # Other writers store short decimals as INT32 and INT64.
    parquet_types={"decimal": "FIXED_LEN_BYTE_ARRAY"},
    document_bytes={"csv": 1 << 20},  # larger ones load from Parquet and JSON only (r_SUPER_type)
    empty_is_null=True,
    alter_blocks_readers=True,
    rename_note="bound views follow a rename; late-binding views and queries need the new name, and"
    " a materialized view of a renamed column must be created again",
    copies_by_position=True,
    commits={
        r"(BEGIN|START|COMMIT|END|ROLLBACK|ABORT)\b": "Loader opens and ends the transaction",
        r"TRUNCATE\b": "it commits the transaction; use DELETE",
        r"VACUUM\b": "it cannot run inside a transaction",
        r"ALTER TABLE\b.*\bAPPEND\b": "it commits implicitly",
        r"ALTER TABLE\b.*\bALTER COLUMN\b.*\bTYPE\b": "it cannot run inside a transaction",
        r"(CREATE|DROP|ALTER) DATABASE\b": "it cannot run inside a transaction",
        r"(CREATE|DROP) LIBRARY\b": "it cannot run inside a transaction",
        r"(CREATE|DROP|ALTER) EXTERNAL\b": "it cannot run inside a transaction",
        r"(CALL|EXECUTE)\b": "what it runs cannot be checked",
    },
)

_NOT_IN_SHARES = frozenset(
    {
        "live_acl",
        "live_backups",
        "live_column_acl",
        "live_column_grants",
        "live_dependants",
        "live_external",
        "live_external_schemas",
        "live_grants",
        "live_keys",
        "live_layout",
        "live_policies",
        "live_policies_seen",
        "live_referrers",
        "live_sort",
        "live_styles",
        "lock_table",
        "widen_column",
    }
)
"""Queries of the session's own database, and statements that no datashare takes."""


def through_share(share: str) -> Dialect:
    """Redshift as it writes the tables of a datashare, without what is not supported there.

    Which statements are is on ``multi-warehouse-writes-sql-statements``; system views and tables
    are not shared (``considerations-datashare-reads-writes``).

    Args:
        share: The database that was created from the datashare.
    """
    return replace(
        DIALECT,
        share=share,
        lacks=_NOT_IN_SHARES,
        hidden="a datashare does not show it",
        has_comments=False,
        commits={
            **DIALECT.commits,
            r"COPY\b.*\bCOMPUPDATE\b": "COPY through a datashare takes no COMPUPDATE",
        },
    )
