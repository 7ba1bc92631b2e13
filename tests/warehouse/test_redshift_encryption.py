"""Buckets that take only what AWS KMS encrypts: each object that a target writes is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import boto3
import pyarrow as pa
import pytest

from loader.doctor.report import check_target
from loader.errors import LoaderError
from loader.sql.renderer import Sql
from loader.testing.redshift.server import RedshiftStandIn
from loader.warehouse.redshift.settings import RedshiftTarget
from loader.warehouse.redshift.unload import access
from tests.conftest import MakeProject, redshift_target
from tests.plan.test_plan import renderer

KEY = "arn:aws:kms:us-east-1:123456789012:key/1"
SETTINGS: Mapping[str, dict[str, str]] = {
    "a key": {"encryption": "aws:kms", "kms_key_id": KEY},
    "the bucket's key": {"encryption": "aws:kms"},
}
SPEC: dict[str, Any] = {
    "version": 1,
    "schema": "s",
    "name": "t",
    "columns": [{"name": "id", "data_type": "integer"}, {"name": "x", "data_type": "varchar(9)"}],
    "schema_contract": {"bad_rows": "reject", "max_rejects": "100%"},
    "staging": {"keep": "always", "file_size": "1KB"},
}


@pytest.fixture
def bucket(stand_in: RedshiftStandIn) -> RedshiftStandIn:
    """A stand-in whose bucket refuses what KMS does not encrypt."""
    stand_in.require_kms(KEY)
    return stand_in


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_all_that_is_written_is_encrypted(
    make_project: MakeProject, bucket: RedshiftStandIn, settings: dict[str, str]
) -> None:
    """Staged files, large and small, manifests, rejects and what UNLOAD writes are taken."""
    target = {**redshift_target(bucket), **settings, "unload_rows": 0}
    project = make_project({"t.yml": SPEC}, **target)
    spec = project.spec("s.t")
    values = [f"{at:09}" for at in range(5_000)]
    rows = pa.table({"id": [*map(str, range(5_000)), "bad"], "x": [*values, "x"]})
    result = project.load(spec, rows)
    assert (result.rows_loaded, result.rows_rejected) == (5_000, 1)
    found: Any = project.read(spec, as_="arrow")
    assert sorted(found["x"].to_pylist()) == values
    kept = bucket.objects()
    assert {key.rpartition(".")[2] for key in kept} == {"json", "parquet"}
    client = boto3.client("s3")
    told = [client.head_object(Bucket=bucket.bucket, Key=key) for key in kept]
    client.close()
    assert {one["ServerSideEncryption"] for one in told} == {"aws:kms"}
    assert not bucket.uploads()


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_the_doctor_writes_as_loads_do(
    make_project: MakeProject, bucket: RedshiftStandIn, settings: dict[str, str]
) -> None:
    """Every step of an examination works in such a bucket, and none does without the setting."""
    project = make_project({}, **{**redshift_target(bucket), **settings})
    assert {finding.status for finding in check_target(project)} == {"ok"}
    without = make_project({}, folder="without", **redshift_target(bucket))
    statuses = {finding.name: finding.status for finding in check_target(without)}
    assert statuses["bucket write"] == "failed"


def test_without_the_setting_the_policy_refuses(
    make_project: MakeProject, stand_in: RedshiftStandIn
) -> None:
    """What S3 denies a load, or UNLOAD, is told with the setting that it may be about."""
    project = make_project({"t.yml": SPEC}, **redshift_target(stand_in, unload_rows=0))
    spec, rows = project.spec("s.t"), pa.table({"id": [1], "x": ["a"]})
    project.load(spec, rows)
    stand_in.require_kms(KEY)
    kept = stand_in.objects()
    for refused, what in (
        (lambda: project.load(spec, rows), "AWS denied s3:PutObject"),
        (lambda: project.read(spec), "Access Denied,Status 403"),
    ):
        with pytest.raises(LoaderError, match=what) as caught:
            refused()
        assert "`encryption: aws:kms`" in str(caught.value.hint)
        assert stand_in.objects() == kept


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, ""),
        ({"encryption": "AES256"}, ""),
        ({"encryption": "aws:kms"}, "ENCRYPTED AUTO\n"),
        ({"encryption": "aws:kms", "kms_key_id": "k'1"}, "KMS_KEY_ID 'k''1'\nENCRYPTED\n"),
    ],
)
def test_what_unload_is_told(settings: dict[str, Any], said: str) -> None:
    """UNLOAD is told of KMS alone: S3's own keys are what it uses without a word."""
    target = RedshiftTarget(type="redshift", iam_role="default", **settings)
    facts = {"query": Sql("SELECT 1"), "url": "s3://b/p/", "load": access(target)}
    sql = renderer("redshift").render("unload", facts).sql
    assert sql == (
        "UNLOAD ('SELECT 1')\nTO 's3://b/p/'\nIAM_ROLE default\nFORMAT AS PARQUET\n"
        f"{said}MANIFEST VERBOSE\nMAXFILESIZE 64 MB"
    )
