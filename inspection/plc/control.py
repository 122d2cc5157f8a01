"""Tells a running simulator to misbehave."""

import json
import socket
from typing import Any


class SimulatorControl:
    """A connection to a simulator's control port.

    Commands: `drop` (ms), `stall` (ms), `skip`, `repeat`, `garbage` (ms), `glitch` (steps),
    `stop_heartbeat` (ms), `command` (bits), `stop`, `state`, `camera` (the part that it sees, or saw under a
    `sequence`, and its truth).
    """

    def __init__(self, port: int, *, host: str = "127.0.0.1", timeout_s: float = 5.0) -> None:
        self._address = (host, port)
        self._timeout_s = timeout_s
        self._socket: socket.socket | None = None

    def __enter__(self) -> "SimulatorControl":
        self._socket = socket.create_connection(self._address, self._timeout_s)
        self._reader = self._socket.makefile("rb")
        return self

    def __exit__(self, *_: object) -> None:
        if self._socket is not None:
            self._reader.close()
            self._socket.close()

    def do(self, name: str, **options: float) -> dict[str, Any]:
        """Sends one command and waits for its answer.

        Raises:
            ConnectionError: the simulator is gone, or refuses the command.
        """
        if self._socket is None:
            raise ConnectionError("not connected: use it in a `with` block")
        self._socket.sendall(json.dumps({"do": name, **options}).encode() + b"\n")
        text = self._reader.readline()
        if not text:
            raise ConnectionError("the simulator closed the connection")
        answer: dict[str, Any] = json.loads(text)
        if not answer["ok"]:
            raise ConnectionError(answer["error"])
        return answer
