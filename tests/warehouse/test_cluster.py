"""A smoke test for a real cluster: every staging format, disposition and way to read.

``pytest -m cluster`` runs it on the cluster or workgroup that the environment names, in schemas of
its own, which it drops. The stand-in runs it always, so that it works when it is needed.

    AWS_REDSHIFT_HOST, _PORT, _DATABASE, _USER, _PASSWORD, _CLUSTER_IDENTIFIER, _WORK_GROUP,
    _SECRET_ID, _S3_IAM_ROLE, _BUCKET_NAME; AWS_REGION
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from loader.project import Project
from loader.warehouse.registry import open_warehouse
from tests.conftest import MakeProject, redshift_target

_AWS = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
"""Read before the tests' environment is cleared."""

_SETTINGS = {
    "host": "HOST",
    "port": "PORT",
    "database": "DATABASE",
    "user": "USER",
    "password": "PASSWORD",
    "cluster_identifier": "CLUSTER_IDENTIFIER",
    "work_group": "WORK_GROUP",
    "secret_id": "SECRET_ID",
    "iam_role": "S3_IAM_ROLE",
}


def cluster_target() -> dict[str, Any]:
    """The target that the environment names."""
    found = {key: _AWS.get(f"AWS_REDSHIFT_{name}", "") for key, name in _SETTINGS.items()}
    bucket = _AWS.get("AWS_REDSHIFT_BUCKET_NAME", "")
    return {
        "type": "redshift",
        **{key: value for key, value in found.items() if value},
        "region_name": _AWS.get("AWS_REGION", ""),
        "staging": f"s3://{bucket}/loader-smoke",
    }


@pytest.fixture(params=["stand-in", pytest.param("cluster", marks=pytest.mark.cluster)])
def target(
    request: pytest.FixtureRequest, make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, Any]]:
    """A target with a ledger in a schema of its own, which is dropped in the end."""
    if request.param == "cluster":
        for name, value in _AWS.items():
            monkeypatch.setenv(name, value)
        settings = cluster_target()
    else:
        settings = redshift_target(request.getfixturevalue("stand_in"))
    settings["ledger_schema"] = f"loader_smoke_{uuid.uuid4().hex[:8]}"
    yield settings
    project = make_project({}, folder="end", **settings)
    with open_warehouse(project.config.settings(), project.config.root).session() as session:
        session.execute(f'DROP SCHEMA IF EXISTS "{settings["ledger_schema"]}" CASCADE')


COLUMNS: Mapping[str, tuple[str, list[Any]]] = {
    "id": ("integer", [1, 2, 3]),
    "day": ("date", [date(2026, 1, 1)] * 3),
    "i2": ("smallint", [-(2**15), 2**15 - 1, None]),
    "i8": ("bigint", [-(2**63), 2**63 - 1, None]),
    "d9": ("decimal(9,2)", [Decimal("-9999999.99"), Decimal("0.01"), None]),
    "d19": ("decimal(19,4)", [Decimal("1.2345"), Decimal("-0.0001"), None]),
    "d38": ("decimal(38,10)", [Decimal("9" * 28 + ".5"), Decimal("-1e-10"), None]),
    "f4": ("real", [1.5, -2.25, None]),
    "f8": ("double precision", [0.1, -1.7976931348623157e308, None]),
    "b": ("boolean", [True, False, None]),
    "c": ("char(4)", ["ab", "'\\\"", None]),
    "t": ("varchar(80)", ["é日本\n\t'\"\\,;", "", None]),
    "ts": ("timestamp", [datetime(1900, 1, 1), datetime(2262, 1, 1, 1, 1, 1, 999999), None]),
    "tz": ("timestamptz", [datetime(2026, 3, 29, 1, 30, tzinfo=UTC), None, None]),
    "js": ("super", ['{"a":[1,2],"b":"x"}', '{"a":[],"b":null}', None]),
    "vb": ("varbyte(16)", [b"\x00\xff", b"x", None]),
}


def project_of(make: MakeProject, target: Mapping[str, Any], **spec: Any) -> Project:
    columns = [
        {"name": name, "data_type": kind}
        for name, (kind, _) in COLUMNS.items()
        if not (spec.get("staging") == {"format": "json"} and name == "vb")
    ]
    whole = {"schema": target["ledger_schema"], "name": "t", "columns": columns, **spec}
    return make({"t.yml": whole}, **target)


def frame(project: Project) -> pa.Table:
    (spec,) = project.catalog.specs()
    return pa.table({column.name: COLUMNS[column.name][1] for column in spec.columns})


@pytest.mark.parametrize("staging", ["parquet", "csv", "json"])
@pytest.mark.parametrize("unload_rows", [1_000, 0], ids=["cursor", "unload"])
def test_rows_come_back_as_they_went_in(
    make_project: MakeProject, target: dict[str, Any], staging: str, unload_rows: int
) -> None:
    """A day is loaded, loaded again, and read back equal, through the cursor and by UNLOAD."""
    target["unload_rows"] = unload_rows
    day = {"partition_by": [{"expr": "day", "grain": "day"}]}
    project = project_of(make_project, target, staging={"format": staging}, **day)
    (spec,) = project.catalog.specs()
    rows = frame(project)
    assert project.load(spec, rows, "2026-01-01").rows_loaded == 3
    again = project.load(spec, rows, "2026-01-01")
    assert (again.rows_deleted, again.rows_loaded) == (3, 3)
    found: Any = project.read(spec, "2026-01-01", as_="arrow")
    ordered = found.sort_by("id")
    for name in rows.column_names:
        wanted, there = rows[name].to_pylist(), ordered[name].to_pylist()
        if name == "js":
            wanted, there = ([text and json.loads(text) for text in x] for x in (wanted, there))
        if name == "f4":
            wanted = pa.array(wanted, pa.float32()).to_pylist()
        assert there == wanted, name


@pytest.mark.parametrize("strategy", ["delete_insert", "merge"])
def test_rows_merge_by_key(
    make_project: MakeProject, target: dict[str, Any], strategy: str
) -> None:
    """Known keys are updated and new ones inserted, with either strategy."""
    merge = {"write_disposition": "merge", "merge": {"strategy": strategy}, "primary_key": ["id"]}
    project = project_of(make_project, target, **merge)
    (spec,) = project.catalog.specs()
    rows = frame(project)
    project.load(spec, rows)
    changed = rows.slice(1).set_column(0, "id", pa.array([3, 4], pa.int32()))
    assert project.load(spec, changed).rows_loaded == 2
    found: Any = project.read(spec, columns=["id", "i2"], as_="arrow")
    assert sorted(map(tuple, (row.values() for row in found.to_pylist())), key=repr) == [
        (1, -(2**15)),
        (2, 2**15 - 1),
        (3, 2**15 - 1),
        (4, None),
    ]
