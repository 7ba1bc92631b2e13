"""How clients of AWS are made: by boto3's own settings, or for one server and its keys alone."""

from __future__ import annotations

import os
from copy import copy
from functools import cache
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.hooks import HierarchicalEmitter
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


@cache
def _builtin_handlers() -> HierarchicalEmitter:
    """The hundreds of handlers that every session starts with."""
    emitter = HierarchicalEmitter()
    botocore.session.Session(event_hooks=emitter)
    return emitter


def core_session(endpoint: S3Endpoint | None = None) -> botocore.session.Session:
    """A session of botocore, without the user's profiles where a server is given."""
    own = None if endpoint is None else _NO_SETTINGS
    handlers = copy(_builtin_handlers())
    session = botocore.session.Session(
        session_vars=own, event_hooks=handlers, include_builtin_handlers=False
    )
    session.register_component("data_loader", _service_descriptions())
    return session


def client_arguments(options: StoreOptions, config: Config) -> dict[str, Any]:
    """The arguments of a client of S3 for a target; a server of its own is reached past proxies."""
    region = {"region_name": options.region or None}
    if options.endpoint is None:
        return {**region, "config": config}
    direct = config.merge(Config(proxies={}))
    return {**region, "config": direct, **options.endpoint.client_arguments()}
