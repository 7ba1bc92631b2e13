"""A running `loader sandbox`: how it announces itself to its project, and how it is found.

The target `sandbox` of a project that declares none is the stand-in for Redshift that runs for that
project. Its file holds a password and keys, which reach nothing but that stand-in.
"""

from __future__ import annotations

import json
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from loader.warehouse.redshift.settings import RedshiftTarget

FILE = Path(".loader", "sandbox.json")
"""Where it announces itself, relative to the project."""

_PATIENCE = 1.0
"""Seconds to wait for an answer from this machine."""


class S3Server(BaseModel):
    """Where a client of S3 connects, and the keys it signs requests with."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    endpoint_url: str = Field(pattern=r"^http://127\.0\.0\.1:\d+$")
    access_key_id: str
    secret_access_key: str = Field(repr=False)


class SandboxTarget(RedshiftTarget):
    """The settings of the target `sandbox`: no project can write them in its own settings."""

    host: Literal["127.0.0.1"] = "127.0.0.1"
    s3: S3Server = Field(repr=False)
    """Staged files go there, whatever boto3's own settings are."""


class _Announcement(BaseModel):
    """What the file holds."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    process: int
    target: SandboxTarget


def announce(root: Path, target: SandboxTarget) -> Path:
    """Write the file of a sandbox that this process runs, for nobody else to read.

    Raises:
        OSError: it cannot be written.
    """
    path = root / FILE
    path.parent.mkdir(exist_ok=True)
    # `atomic_write` would keep the rights of an existing file.
    aside = path.with_name(f".sandbox-{os.getpid()}")
    with suppress(FileNotFoundError):
        aside.unlink()
    data: dict[str, Any] = {"process": os.getpid(), "target": target.model_dump()}
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(handle, "w", encoding="utf-8") as file:  # noqa: PTH123  # of a handle
        json.dump(data, file, indent=2)
    aside.replace(path)
    return path


def withdraw(root: Path) -> None:
    """Remove the file of the sandbox that this process has run."""
    found = _read(root / FILE)
    if found is not None and found.process == os.getpid():
        with suppress(OSError):
            (root / FILE).unlink()


def find_sandbox(root: Path) -> SandboxTarget | None:
    """The target of the sandbox that runs for a project; None when there is none.

    A file that a killed sandbox has left behind counts for nothing.
    """
    found = _read(root / FILE)
    if found is None or not (_runs(found.process) and _answers(found.target)):
        return None
    return found.target


def _read(path: Path) -> _Announcement | None:
    """The file; None if it is not there, is damaged, or may have been written by others."""
    try:
        with path.open(encoding="utf-8") as file:
            there = os.fstat(file.fileno())
            # A repository can bring a file, but none that only its owner may read.
            if there.st_mode & 0o077 or there.st_uid != os.geteuid():
                return None
            return _Announcement.model_validate_json(file.read())
    except (OSError, ValueError, ValidationError, AttributeError):
        return None


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError:
        return False
    return True


def _answers(target: SandboxTarget) -> bool:
    try:
        with socket.create_connection((target.host, target.port), _PATIENCE):
            return True
    except OSError:
        return False
