"""SET, RESET and SHOW: settings that PostgreSQL has too, and those that only Redshift has."""

from __future__ import annotations

from loader.testing.redshift.refusals import Refusal, not_implemented, syntax_error
from loader.testing.redshift.statements.rewrite import Domains, render
from loader.testing.redshift.statements.tokens import Cursor

_NATIVE = frozenset(
    {
        "application_name", "client_encoding", "client_min_messages", "datestyle",
        "extra_float_digits", "idle_in_transaction_session_timeout", "intervalstyle",
        "search_path", "statement_timeout", "timezone"
    }
)  # fmt: skip
_REDSHIFT_ONLY = frozenset(
    {
        "analyze_threshold_percent", "cast_super_null_on_error",
        "datashare_break_glass_session_var", "default_geometry_encoding",
        "describe_field_name_in_uppercase", "downcase_delimited_identifier",
        "enable_numeric_rounding", "enable_result_cache_for_session", "enable_vacuum_boost",
        "error_on_nondeterministic_update", "json_serialization_enable",
        "json_serialization_parse_nested_strings", "max_concurrency_scaling_clusters",
        "max_cursor_result_set_size", "mv_enable_aqmv_for_session", "navigate_super_null_on_error",
        "parse_super_null_on_error", "query_group", "s3_retry_max",
        "spectrum_enable_pseudo_columns", "spectrum_query_maxerror",
        "stored_proc_log_min_messages", "use_fips_ssl", "wlm_query_slot_count"
    }
)  # fmt: skip


def read_setting(cursor: Cursor, word: str) -> str:
    """The statement behind RESET and SHOW.

    Raises:
        Refusal: it is not well formed, or of more than one setting.
    """
    if cursor.take("all"):
        return f"{word.upper()} ALL"
    name = ".".join(cursor.path())
    if not cursor.done:
        raise not_implemented(f"{word.upper()} {name.upper()} …")
    return f"{word.upper()} {'redshift.' if name in _REDSHIFT_ONLY else ''}{name}"


def change_setting(cursor: Cursor, domains: Domains) -> str:
    """The statement behind SET.

    Raises:
        Refusal: there is no such setting.
    """
    tokens = cursor.tokens
    if cursor.at("session", "authorization") or cursor.at("time", "zone"):
        return render(tokens, domains)
    local = "" if cursor.take("session") or not cursor.take("local") else "LOCAL "
    name = ".".join(cursor.path())
    if not cursor.take("to"):
        cursor.expect("=")
    value = render(list(cursor.tokens[cursor.place :]), domains)
    if not value:
        raise syntax_error("")
    if name in _NATIVE or "." in name:
        return f"SET {local}{name} TO {value}"
    if name in _REDSHIFT_ONLY:
        return f"SET {local}redshift.{name} TO {value}"
    if name.startswith("enable_case_sensitive"):
        raise not_implemented(f"the setting {name}")
    raise Refusal(f'unrecognized configuration parameter "{name}"', "42704")
