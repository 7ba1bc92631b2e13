"""How clients of S3 are made: by boto3's own settings, or for one server and its keys alone."""

from __future__ import annotations

import os
from typing import Any

import botocore.session
from botocore.config import Config

from loader.staging.stores.base import S3Endpoint, StoreOptions

_NO_SETTINGS: dict[str, Any] = {
    "profile": (None, [], None, None),
    "config_file": (None, [], os.devnull, None),
    "credentials_file": (None, [], os.devnull, None),
}
"""Variables of a session that reads no profile of the user: its file may lack it."""


def core_session(endpoint: S3Endpoint | None) -> botocore.session.Session:
    """A session of botocore, without the user's profiles where a server is given."""
    if endpoint is None:
        return botocore.session.get_session()
    return botocore.session.Session(session_vars=_NO_SETTINGS)


def client_arguments(options: StoreOptions, config: Config) -> dict[str, Any]:
    """The arguments of a client of S3 for a target; a server of its own is reached past proxies."""
    region = {"region_name": options.region or None}
    if options.endpoint is None:
        return {**region, "config": config}
    direct = config.merge(Config(proxies={}))
    return {**region, "config": direct, **options.endpoint.client_arguments()}
