"""What Dagster calls tables and their ops."""

from __future__ import annotations

import hashlib
import re

import dagster as dg

from loader.spec.model import TableSpec

_WORDS = "[A-Za-z0-9]+(_[A-Za-z0-9]+)*"


def asset_key(spec: TableSpec) -> dg.AssetKey:
    """The asset key of a table."""
    return dg.AssetKey(spec.asset_key.split("/"))


def op_name(key: str) -> str:
    """A unique op name for an asset key, with only the characters that Dagster allows."""
    if re.fullmatch(rf"{_WORDS}(/{_WORDS})*", key):
        return key.replace("/", "__")
    plain = re.sub(r"[^A-Za-z0-9_]", "_", key)
    return f"{plain}_{hashlib.sha256(key.encode()).hexdigest()[:8]}"
