"""Sockets that only this machine reaches."""

from __future__ import annotations

import socket

HOST = "127.0.0.1"
"""Nothing is encrypted and every password is known, so nobody else may connect."""


def listen(port: int) -> socket.socket:
    """A listening socket at a port of this machine, or with 0 at any free one.

    Raises:
        OSError: the port is taken, or reserved for the system.
    """
    return socket.create_server((HOST, port), backlog=64)


def choose_port(wanted: int) -> int:
    """The port if nobody listens there yet, and otherwise 0: any free one."""
    try:
        listen(wanted).close()
    except (OSError, OverflowError):
        return 0
    return wanted
