"""Reads ``config`` of a dbt model: distribution, sort key, grants, contract and materialization."""

from __future__ import annotations

from typing import Any

from loader.contracts.draft import Draft
from loader.contracts.sections import Section
from loader.errors import Loc

_GRAINS = ("hour", "day", "month", "year")
"""The batch sizes of microbatch."""

_SCHEMA_CHANGES: dict[str | None, dict[str, Any]] = {
    "append_new_columns": {"evolve": "additive"},
    "sync_all_columns": {"evolve": "additive"},
    "ignore": {"extra_columns": "ignore"},
    "fail": {},
    None: {},
}
"""``on_schema_change`` → the spec's ``schema_contract``."""


def read_physical(config: Section, draft: Draft) -> None:
    """Read distribution, sort key, grants and contract of a model into the draft."""
    _layout(config, draft)
    _grants(config, draft)
    _schema_contract(config, draft)


def _layout(config: Section, draft: Draft) -> None:
    known = {column.get("name") for column in draft.data["columns"]}
    dist = config.text("dist")
    if dist is not None:
        draft.put(("dist",), dist.lower(), config.at("dist"))
    sort = [(name.lower(), loc) for name, loc in config.words("sort")]
    sort_type = config.text("sort_type")
    if [name for name, _ in sort] == ["auto"] and "auto" not in known:
        sort, sort_type = [], "auto"
    draft.put(("sort",), [name for name, _ in sort], config.at("sort"))
    for at, (_, loc) in enumerate(sort):
        draft.set_origin(("sort", at), loc)
    if sort_type is not None:
        draft.put(("sort_type",), sort_type, config.at("sort_type"))


def _grants(config: Section, draft: Draft) -> None:
    grants = config.section("grants")
    granted = {}
    for key in list(dict(grants.items())):
        privilege = key.removeprefix("+")
        granted[privilege] = [grantee(word) for word, _ in grants.words(key)]
        draft.set_origin(("grants", privilege), grants.at(key))
    draft.put(("grants",), {k: v for k, v in granted.items() if v}, config.at("grants"))


def _schema_contract(config: Section, draft: Draft) -> None:
    change, origin = config.text("on_schema_change"), config.at("on_schema_change")
    contract = _SCHEMA_CHANGES.get(change)
    if contract is None or change == "sync_all_columns":
        config.findings.drop(origin)
    draft.put(("schema_contract",), dict(contract or {}), origin)
    enforced = config.section("contract")
    if enforced.flag("enforced") is False:
        config.findings.drop(enforced.at("enforced"))
    enforced.drop_unread(alias_types=True)


def read_disposition(config: Section, draft: Draft, *, overridden: bool) -> list[tuple[str, Loc]]:
    """Read the write disposition from a model's materialization into the draft.

    Args:
        config: The model's ``config``.
        draft: The draft of the spec.
        overridden: Whether ``meta: {loader: …}`` of the model sets the disposition.

    Returns:
        The columns of ``unique_key`` with their locations.
    """
    materialized, strategy = config.text("materialized"), config.text("incremental_strategy")
    unique = [(name.lower(), loc) for name, loc in config.words("unique_key")]
    if materialized not in (None, "table", "incremental"):
        config.findings.drop(config.at("materialized"))
    if materialized == "incremental" or (materialized is None and strategy):
        origin = config.at("incremental_strategy" if strategy else "materialized")
        strategy = strategy or ("delete+insert" if unique else "append")
        _incremental(config, draft, strategy, origin, overridden=overridden)
    elif strategy is not None:
        config.findings.drop(config.at("incremental_strategy"))
    return unique


def _incremental(
    config: Section, draft: Draft, strategy: str, origin: Loc, *, overridden: bool
) -> None:
    match strategy:
        case "microbatch":
            _microbatch(config, draft)
        case "delete+insert":
            draft.put(("write_disposition",), "merge", origin)
        case "merge":
            draft.put(("write_disposition",), "merge", origin)
            draft.put(("merge",), {"strategy": "merge"}, origin)
        case "append":
            draft.put(("write_disposition",), "append", origin)
        case _ if not overridden:
            config.findings.add_problem(
                f"`{strategy}` is not one of append, delete+insert, merge, microbatch",
                origin,
            )


def _microbatch(config: Section, draft: Draft) -> None:
    expr, grain = config.text("event_time"), config.text("batch_size")
    if expr is None or grain not in _GRAINS:
        needed = f"needs event_time, and batch_size: {', '.join(_GRAINS)}"
        config.findings.add_problem(f"the strategy `microbatch` {needed}", config.loc)
        return
    entry = {"expr": expr.lower(), "grain": grain}
    draft.put(("partition_by",), [entry], config.at("event_time"))


def grantee(word: str) -> str:
    """Convert a grantee of dbt to one of a spec; a bare name is a user."""
    head, _, name = word.partition(" ")
    if word.lower() == "public":
        return "public"
    if head.lower() in ("user", "group", "role") and name.strip():
        return f"{head.lower()}:{name.strip()}"
    return word if word.startswith(("user:", "group:", "role:")) else f"user:{word}"
