"""Processes that a test starts on its own database, Redis and folders."""

import os
import socket
import socketserver
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self
from urllib.parse import quote

from django.db import connection


def database_url(*, port: int | None = None) -> str:
    """The test's database as a child finds it; a server's also through another port of this machine."""
    kept = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{kept['NAME']}"
    login = quote(kept["USER"]) + (f":{quote(kept['PASSWORD'])}" if kept["PASSWORD"] else "")
    return f"postgres://{login}@{kept['HOST']}:{port or kept['PORT']}/{kept['NAME']}"


def environment(**settings: str) -> dict[str, str]:
    """This process's environment, the test's database, and what is given."""
    return os.environ | {"DATABASE_URL": database_url(), "OMP_NUM_THREADS": "1"} | settings


class AwayDatabase:
    """The test's database under an address where nobody answers until `come_back`."""

    def __init__(self, folder: Path) -> None:
        self._running = ExitStack()
        if connection.vendor == "sqlite":
            file = Path(connection.settings_dict["NAME"])
            self._place = folder / "away"
            self._home = file.parent
            self.url = f"sqlite:///{self._place / file.name}"
        else:
            # Bound, not listening: whoever connects is refused.
            self._gate = _Gate(("127.0.0.1", 0), _Passage, bind_and_activate=False)
            self._gate.server_bind()
            self._running.callback(self._gate.server_close)
            self.url = database_url(port=self._gate.server_address[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def come_back(self) -> None:
        if connection.vendor == "sqlite":
            self._place.symlink_to(self._home)
            return
        self._gate.server_activate()
        thread = threading.Thread(target=self._gate.serve_forever)
        thread.start()
        self._running.callback(thread.join)
        self._running.callback(self._gate.shutdown)


class _Gate(socketserver.ThreadingTCPServer):
    daemon_threads = True


class _Passage(socketserver.BaseRequestHandler):
    """Passes one connection on to the database's server, both ways, until either side ends it."""

    def handle(self) -> None:
        kept = connection.settings_dict
        with socket.create_connection((kept["HOST"], int(kept["PORT"]))) as server:
            back = threading.Thread(target=self._pass_on, args=(server, self.request))
            back.start()
            self._pass_on(self.request, server)
            back.join()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while some := source.recv(65536):
                target.sendall(some)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)
