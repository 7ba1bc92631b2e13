"""How the bucket that a target stages in is reached."""

from __future__ import annotations

from loader.staging.stores.base import S3Endpoint, StoreOptions
from loader.warehouse.redshift.sandbox import SandboxTarget
from loader.warehouse.redshift.settings import RedshiftTarget


def store_options(settings: RedshiftTarget) -> StoreOptions:
    """The region and encryption that the settings ask for, and the S3 server of a sandbox."""
    endpoint = None
    if isinstance(settings, SandboxTarget):
        s3 = settings.s3
        endpoint = S3Endpoint(s3.endpoint_url, s3.access_key_id, s3.secret_access_key)
    return StoreOptions(settings.region_name, settings.encryption, settings.kms_key_id, endpoint)
