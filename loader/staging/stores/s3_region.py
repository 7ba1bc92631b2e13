"""Looks up the region of a bucket: COPY reads Parquet only from the region of the warehouse."""

from __future__ import annotations

import boto3.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from loader.staging.stores.base import StoreOptions
from loader.staging.stores.s3_sessions import client_arguments, core_session

_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": 3},
    connect_timeout=5,
    read_timeout=10,
    user_agent_extra="loader",
)


def bucket_region(location: str, options: StoreOptions) -> str:
    """The region of the bucket of an S3 URL; empty where it cannot be determined.

    Args:
        location: The URL.
        options: Where to send the request; the encryption does not matter.
    """
    bucket = location.removeprefix("s3://").partition("/")[0]
    try:
        session = boto3.session.Session(botocore_session=core_session(options.endpoint))
        client = session.client("s3", **client_arguments(options, _CONFIG))
        try:
            answer = client.head_bucket(Bucket=bucket)
        finally:
            client.close()
    except ClientError as error:
        # Error responses contain the region too.
        answer = error.response
    except BotoCoreError:
        return ""
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return str(headers.get("x-amz-bucket-region", ""))
