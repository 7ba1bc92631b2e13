"""The JSON Schema of a table spec, for editors."""

from __future__ import annotations

from typing import Any

from loader.spec.json_schema_rules import add_rules
from loader.spec.model import TableSpec

ID = "urn:loader:table-spec:v1"


def json_schema() -> dict[str, Any]:
    """The schema of one spec file, as JSON Schema 2020-12."""
    schema = TableSpec.model_json_schema(by_alias=True)
    add_rules(schema)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": ID,
        **schema,
        "title": "Loader table spec, version 1",
    }
