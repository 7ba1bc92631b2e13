"""How clients of AWS are made: by boto3's own settings, or for one server and its keys alone."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.loaders import Loader, create_loader

from loader.staging.stores.base import S3Endpoint, StoreOptions

_NO_SETTINGS: dict[str, Any] = {
    "profile": (None, [], None, None),
    "config_file": (None, [], os.devnull, None),
    "credentials_file": (None, [], os.devnull, None),
}
"""Variables of a session that reads no profile of the user: its file may lack it."""


@cache
def _service_descriptions() -> Loader:
    """The loader of the descriptions of services, each of which takes long to read."""
    return create_loader()


def core_session(endpoint: S3Endpoint | None = None) -> botocore.session.Session:
    """A session of botocore, without the user's profiles where a server is given."""
    own = None if endpoint is None else _NO_SETTINGS
    session = botocore.session.Session(session_vars=own)
    session.register_component("data_loader", _service_descriptions())
    return session


def client_arguments(options: StoreOptions, config: Config) -> dict[str, Any]:
    """The arguments of a client of S3 for a target; a server of its own is reached past proxies."""
    region = {"region_name": options.region or None}
    if options.endpoint is None:
        return {**region, "config": config}
    direct = config.merge(Config(proxies={}))
    return {**region, "config": direct, **options.endpoint.client_arguments()}
