"""`loader doctor --thorough` on a real cluster: ``pytest -m cluster`` runs the same trials.

The cluster or workgroup is named by the environment; the trials make a schema and drop it.

    AWS_REDSHIFT_HOST, _PORT, _DATABASE, _USER, _PASSWORD, _CLUSTER_IDENTIFIER, _WORK_GROUP,
    _SECRET_ID, _S3_IAM_ROLE, _BUCKET_NAME; AWS_REGION
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import pytest

from loader.config import make_settings
from loader.doctor.thorough import format_result, try_target
from loader.testing.redshift.server import RedshiftStandIn
from tests.conftest import MakeProject

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


def cluster_target(environment: Mapping[str, str]) -> dict[str, Any]:
    """The target that an environment names."""
    found = {key: environment.get(f"AWS_REDSHIFT_{name}") for key, name in _SETTINGS.items()}
    return {
        "type": "redshift",
        **{key: value for key, value in found.items() if value},
        "region_name": environment.get("AWS_REGION", ""),
        "staging": f"s3://{environment.get('AWS_REDSHIFT_BUCKET_NAME', '')}/loader",
    }


def plain(text: str, **_: object) -> str:
    return text


@pytest.mark.cluster
def test_nothing_differs(make_project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    """What loads rely on holds on the cluster, or the user is not allowed to try it."""
    for name, value in _AWS.items():
        monkeypatch.setenv(name, value)
    results = list(try_target(make_project({}, **cluster_target(_AWS))))
    table = "\n".join(format_result(result, plain, verbose=True) for result in results)
    print(table)
    assert not [result for result in results if result.status == "differs"], table


def test_the_environment_names_a_target(redshift: RedshiftStandIn) -> None:
    """The variables that name a cluster make settings that are complete."""
    names = {key: f"AWS_REDSHIFT_{name}" for key, name in _SETTINGS.items()}
    target = redshift.target()
    environment = {names[key]: str(target[key]) for key in names if key in target}
    found = cluster_target({**environment, "AWS_REDSHIFT_BUCKET_NAME": redshift.bucket})
    settings = make_settings(found, "the cluster")
    assert settings.find_missing() == {}
    assert settings.staging == target["staging"]
