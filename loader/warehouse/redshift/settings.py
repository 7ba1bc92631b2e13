"""The settings of a Redshift target."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from loader.spec.session import QueryGroup, SessionSettings
from loader.warehouse.settings import Printed, TargetSettings, check_no_credentials, matching

_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+", re.ASCII)
_NAMESPACES = re.compile(r"(?:IAM|IAMR|IAMA|AWSIDC):[^:]+", re.IGNORECASE)
"""Redshift's names for users of IAM and Identity Center."""


def _check_role(value: str) -> str:
    known = "${" not in value and value not in ("", "default")
    if known and not all(map(_ROLE.fullmatch, re.split(r",(?=arn:)", value))):
        raise ValueError(
            "must be the ARN of an IAM role (arn:aws:iam::ACCOUNT:role/NAME), several of them"
            " separated by commas, or `default`; access keys are not allowed"
        )
    return check_no_credentials(value)


def _check_user(value: str) -> str:
    if "${" not in value and ":" in value and not _NAMESPACES.fullmatch(value):
        raise ValueError("must be only the name; set the password in `password`")
    return check_no_credentials(value)


Name = Annotated[str, matching(r"[\w.-]*", "a name of letters, digits and `-`")]
Host = Annotated[
    str,
    matching(r"[\w.-]*", "only the name of the host; user, port and database have their own keys"),
]
Database = Annotated[
    str, matching(r"[^/?=&]*", "only the name of the database; others have their own keys")
]


class TargetSession(SessionSettings):
    """What is SET in every session of a target; it is printed, as its other settings are."""

    query_group: Annotated[QueryGroup, AfterValidator(check_no_credentials)] | None = None


class RedshiftTarget(TargetSettings):
    """An Amazon Redshift cluster or Serverless workgroup."""

    type: Literal["redshift"]
    transport: Literal["driver", "data_api"] = "driver"
    """How statements get there: over a connection, or as requests to the Data API, which needs no
    network path to the warehouse."""
    host: Host = ""
    port: int = 5439
    database: Database = ""
    share: Database = ""
    """The database of a datashare that all tables and the ledger are in; empty means `database`."""
    user: Annotated[str, AfterValidator(_check_user)] = ""
    password: str = Field(default="", repr=False)
    """If empty, `secret_id` or IAM is used."""
    secret_id: Printed = ""
    """A secret in Secrets Manager with user and password."""
    cluster_identifier: Name = ""
    """The provisioned cluster, for IAM credentials."""
    work_group: Name = ""
    """The Serverless workgroup, for IAM credentials."""
    region_name: Name = ""
    iam_role: Annotated[str, AfterValidator(_check_role)] = ""
    """The IAM role of COPY and UNLOAD: its ARN, or `default`."""
    staging: Printed = ""
    """The location of staged files, `s3://bucket/prefix`."""
    ssl: bool = True
    encryption: Literal["", "AES256", "aws:kms"] = ""
    """Server-side encryption of staged files; if empty, the bucket's default."""
    kms_key_id: Printed = ""
    """The key of `aws:kms`; if empty, the account's default key, and for UNLOAD the bucket's."""
    session: TargetSession = TargetSession()
    """What is SET in every session; specs may say more for their loads."""
    max_connections: int = Field(default=16, ge=1)
    """Loads and changes of this process that are connected at once; more wait for their turn."""
    unload_rows: int = Field(default=100_000, ge=0)
    """Reads of more rows than this use UNLOAD instead of the connection."""

    @field_validator("share")
    @classmethod
    def _check_share(cls, share: str, info: ValidationInfo) -> str:
        if share and share.lower() == str(info.data.get("database")).lower():
            raise ValueError(
                "is the database of the connection; name the one that was created from a datashare,"
                " or leave it empty"
            )
        return share

    def find_missing(self) -> dict[str, str]:
        """The missing settings that loads need, each with its purpose."""
        found: dict[str, str] = {}
        if not self.database:
            found["database"] = "the database"
        if not self.staging:
            found["staging"] = "s3://bucket/prefix for staged files"
        elif not re.fullmatch(r"s3://[^/]+(/.*)?", self.staging):
            found["staging"] = "not a valid S3 location; write s3://bucket/prefix"
        if not self.iam_role:
            found["iam_role"] = "the IAM role of COPY: its ARN, or `default`"
        return found | (
            self._find_missing_of_data_api()
            if self.transport == "data_api"
            else self._find_missing_of_driver()
        )

    def _find_missing_of_data_api(self) -> dict[str, str]:
        found: dict[str, str] = {}
        if not (self.cluster_identifier or self.work_group):
            found["cluster_identifier"] = "the name of the cluster, or set `work_group`"
        elif self.cluster_identifier and self.work_group:
            found["work_group"] = "the Data API takes either a cluster or a workgroup: remove one"
        if self.password:
            why = "the Data API takes none: remove it to log in with IAM, or set `secret_id`"
            found["password"] = why
        return found

    def _find_missing_of_driver(self) -> dict[str, str]:
        found: dict[str, str] = {}
        serverless = self.host.endswith(".redshift-serverless.amazonaws.com")
        if self.password:
            for key in ("host", "user"):
                if not getattr(self, key):
                    found[key] = "required for a login with `password`"
        elif not (self.secret_id or self.cluster_identifier or self.work_group or serverless):
            others = "secret_id, or cluster_identifier or work_group for IAM"
            found["password"] = f"to log in; or set {others}"
        if not self.password and not self.secret_id and not self.ssl:
            found["ssl"] = "IAM credentials require TLS; remove `ssl = false`"
        return found
