"""A PLC on a desk: a real Modbus TCP server with a conveyor behind it, in its own process.

It listens for the line on one port and for fault commands on a second, local one (a JSON object a line, see
`SimulatorControl`), and logs what happened to each physical part as JSON lines.
"""

import argparse
import asyncio
import contextlib
import json
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO, cast

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from inspection.plc.clock import utc_now
from inspection.plc.conveyor import Conveyor, ConveyorConfig, Event
from inspection.plc.registers import (
    FROM_PLC_COUNT,
    TO_PLC_COUNT,
    ImplausibleBlockError,
    ToPlc,
    WordOrder,
    sequence_after,
)

WRITE_REGISTERS = (6, 16, 23)
READ_REGISTERS = (3, 23)
WRITE_COILS = (5, 15)


@dataclass(frozen=True, kw_only=True)
class SimulatorConfig:
    """The simulator's settings; port 0 takes any free one. `control_port` None: no fault commands."""

    host: str = "127.0.0.1"
    port: int = 5020
    control_port: int | None = None
    log: Path | None = None
    to_base: int = 0
    from_base: int = 32
    word_order: WordOrder = WordOrder.HIGH_FIRST
    scan_s: float = 0.005
    conveyor: ConveyorConfig = field(default_factory=ConveyorConfig)


class EventLog:
    """JSON lines, each with its time, written through at once."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: TextIO | None = None

    def open(self) -> None:
        """Opens the file to append to, where there is one."""
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("a", buffering=1, encoding="utf-8")

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()

    def write(self, event: Event) -> None:
        """Appends one event."""
        if self._file is not None:
            stamp = {"at": utc_now().isoformat(timespec="milliseconds")}
            self._file.write(json.dumps(stamp | event) + "\n")


class PlcSimulator:
    """The server, its registers and the conveyor's PLC cycle, in one event loop."""

    def __init__(self, config: SimulatorConfig) -> None:
        self.config = config
        self.port = config.port
        self.control_port = config.control_port
        self._log = EventLog(config.log)
        self.conveyor = Conveyor(config.conveyor, self._log.write)
        self.coils: dict[int, bool] = {}
        self.output_log: list[tuple[float, int, int]] = []
        size = max(config.to_base + TO_PLC_COUNT, config.from_base + FROM_PLC_COUNT, 64)
        self._words = [0] * size
        self._stalled_until_s = 0.0
        self._glitch_steps = 0
        self._stalled_requests = 0
        self._refused_until_s = 0.0
        self._server: ModbusTcpServer | None = None
        self._stop = asyncio.Event()

    async def run(self, on_ready: Callable[["PlcSimulator"], None]) -> None:
        """Serves until it is stopped or the asked number of parts has passed the gate."""
        self._log.open()
        control: asyncio.Server | None = None
        try:
            self._server = await self._listen()
            if self.config.control_port is not None:
                control = await asyncio.start_server(self._control, "127.0.0.1", self.config.control_port)
                self.control_port = control.sockets[0].getsockname()[1]
            self._log.write({"event": "started", "port": self.port})
            on_ready(self)
            await self._cycle()
        finally:
            if control is not None:
                control.close()
            if self._server is not None:
                await self._server.shutdown()
            self._log.write({"event": "stopped", **self.summary()})
            self._log.close()

    def stop(self) -> None:
        """Ends `run`."""
        self._stop.set()

    def summary(self) -> dict[str, int]:
        """Parts that entered, passed and were rejected."""
        conveyor = self.conveyor
        return {"entered": conveyor.entered, "passed": conveyor.passed, "rejected": conveyor.rejected}

    async def _listen(self) -> ModbusTcpServer:
        size = len(self._words)
        device = SimDevice(
            0,
            simdata=(
                [SimData(0, count=4, values=False, datatype=DataType.BITS)],
                [SimData(0, count=1, values=False, datatype=DataType.BITS)],
                [SimData(0, count=size, values=0, datatype=DataType.REGISTERS)],
                [SimData(0, count=1, values=0, datatype=DataType.REGISTERS)],
            ),
            action=self._access,
        )
        server = ModbusTcpServer(device, address=(self.config.host, self.config.port))
        await server.serve_forever(background=True)
        listener = cast("asyncio.Server", server.transport)
        self.port = listener.sockets[0].getsockname()[1]
        return server

    async def _access(
        self,
        function: int,
        start: int,
        address: int,
        count: int,
        current: list[int],
        values: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        """Every request passes here: writes go to our words, reads are given them."""
        self._stalled_requests += 1
        while (wait_s := self._stalled_until_s - time.monotonic()) > 0:
            await asyncio.sleep(wait_s)
        self._stalled_requests -= 1
        if values is not None and function in WRITE_REGISTERS:
            self._words[address : address + len(values)] = [int(value) for value in values]
            self.output_log.append((time.monotonic(), address, int(values[0])))
            del self.output_log[:-1000]
        elif values is not None and function in WRITE_COILS:
            self.coils[address] = bool(values[0])
            self._log.write({"event": "coil", "address": address, "value": bool(values[0])})
        elif function in READ_REGISTERS:
            current[:] = self._words[start : start + len(current)]
            self._glitch(current, start)
        return None

    async def _cycle(self) -> None:
        while not self._stop.is_set() and not self.conveyor.is_finished:
            now_s = time.monotonic()
            words = self.conveyor.scan(now_s, self._line_block())
            self._words[self.config.from_base : self.config.from_base + FROM_PLC_COUNT] = words
            if now_s < self._refused_until_s:
                self._close_connections()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), self.config.scan_s)

    def _line_block(self) -> ToPlc | None:
        base = self.config.to_base
        try:
            return ToPlc.decode(self._words[base : base + TO_PLC_COUNT], self.config.word_order)
        except (ImplausibleBlockError, ValueError):
            return None

    def _close_connections(self) -> None:
        if self._server is not None:
            for connection in list(self._server.active_connections.values()):
                connection.close()

    async def _control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # The simulator's end cancels this while it waits for a line, which is no failure.
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            while text := await reader.readline():
                try:
                    answer = self.do(json.loads(text))
                except (ValueError, KeyError, TypeError) as error:
                    answer = {"ok": False, "error": f"{type(error).__name__}: {error}"}
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        writer.close()

    def do(self, command: dict[str, Any]) -> dict[str, Any]:
        """Carries out one control command, `{"do": name, "ms": duration}`.

        Raises:
            ValueError: an unknown command.
        """
        name, until_s = command["do"], time.monotonic() + float(command.get("ms", 0)) / 1000
        faults: dict[str, Callable[[], None]] = {
            "drop": lambda: self._drop(until_s),
            "stall": lambda: self._stall(until_s),
            "skip": self.conveyor.skip_sequence,
            "repeat": self.conveyor.repeat_sequence,
            "glitch": lambda: self._set_glitch(int(command.get("steps", 7))),
            "garbage": lambda: self.conveyor.write_garbage(until_s),
            "stop_heartbeat": lambda: self.conveyor.stop_heartbeat(until_s),
            "command": lambda: self.conveyor.set_command(int(command["bits"])),
            "stop": self.stop,
        }
        if name in faults:
            faults[name]()
            self._log.write({"event": "fault", **command})
        elif name not in ("state", "camera"):
            raise ValueError(f"unknown command {name!r}")
        return {"ok": True, **(self._camera(command.get("sequence")) if name == "camera" else self._state())}

    def _drop(self, until_s: float) -> None:
        self._refused_until_s = until_s
        self._close_connections()

    def _set_glitch(self, steps: int) -> None:
        self._glitch_steps = steps

    def _glitch(self, current: list[int], start: int) -> None:
        """Fault: one single reading shows a trigger sequence that is so many steps off."""
        offset = self.config.from_base + 2 - start
        if self._glitch_steps and 0 <= offset < len(current):
            current[offset] = sequence_after(current[offset], self._glitch_steps)
            self._glitch_steps = 0

    def _stall(self, until_s: float) -> None:
        self._stalled_until_s = until_s

    def _camera(self, sequence: int | None) -> dict[str, Any]:
        part = self.conveyor.photographed(sequence)
        return {"part": part.number, "truth": part.truth} if part else {"part": None, "truth": None}

    def _state(self) -> dict[str, Any]:
        base = self.config.to_base
        return {
            **self.summary(),
            "is_moving": self.conveyor.is_moving,
            "line": self._words[base : base + TO_PLC_COUNT],
            "stalled": self._stalled_requests,
            "has_glitch": bool(self._glitch_steps),
            "coils": {str(address): value for address, value in self.coils.items()},
        }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The simulator's options, for a command of one's own to add."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=5020, help="Modbus TCP port; 0 takes any")
    parser.add_argument(
        "--control-port", type=int, default=None, help="local port for fault commands; 0 takes any"
    )
    parser.add_argument("--log", type=Path, default=None, help="event log to append to (JSON lines)")
    parser.add_argument("--period-ms", type=float, default=200, help="a part every so many ms")
    parser.add_argument("--gate", type=int, default=5, help="positions from the camera to the reject gate")
    parser.add_argument("--parts", type=int, default=None, help="stop after so many parts")
    parser.add_argument("--first-part", type=int, default=1, help="number of the first part")
    parser.add_argument(
        "--first-sequence", type=int, default=0, help="trigger sequence before the first part"
    )
    parser.add_argument("--serial-prefix", default="P", help="before the number in a part's serial")
    parser.add_argument("--ng-rate", type=float, default=None, help="share of the parts that are truly NG")
    parser.add_argument("--seed", type=int, default=0, help="of the truth and the noise")
    parser.add_argument("--to-base", type=int, default=0, help="base address of what the line writes")
    parser.add_argument("--from-base", type=int, default=32, help="base address of what the line reads")
    parser.add_argument("--word-order", type=WordOrder, choices=list(WordOrder), default=WordOrder.HIGH_FIRST)


def config_from_options(options: argparse.Namespace) -> SimulatorConfig:
    """The settings that the options of `add_arguments` name.

    Raises:
        ValueError: settings that make no conveyor.
    """
    return SimulatorConfig(
        host=options.host,
        port=options.port,
        control_port=options.control_port,
        log=options.log,
        to_base=options.to_base,
        from_base=options.from_base,
        word_order=options.word_order,
        conveyor=ConveyorConfig(
            period_s=options.period_ms / 1000,
            gate=options.gate,
            parts=options.parts,
            first_part=options.first_part,
            first_sequence=options.first_sequence,
            serial_prefix=options.serial_prefix,
            ng_rate=options.ng_rate,
            seed=options.seed,
        ),
    )


def print_ready(simulator: PlcSimulator) -> None:
    """One line on standard output: where it listens."""
    control = f" control 127.0.0.1:{simulator.control_port}" if simulator.control_port else ""
    sys.stdout.write(f"PLC simulator ready on {simulator.config.host}:{simulator.port}{control}\n")
    sys.stdout.flush()


def run_simulator(
    config: SimulatorConfig, on_ready: Callable[[PlcSimulator], None] = print_ready
) -> dict[str, int]:
    """Runs the simulator until SIGINT, SIGTERM, the `stop` command or its last part; returns the summary.

    Raises:
        RuntimeError: the port is not free.
    """

    async def serve() -> dict[str, int]:
        simulator = PlcSimulator(config)
        loop = asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(name, simulator.stop)
        await simulator.run(on_ready)
        return simulator.summary()

    return asyncio.run(serve())


def main(argv: Sequence[str] | None = None) -> int:
    """The simulator as a program; 0 when it ended well."""
    parser = argparse.ArgumentParser(
        prog="plc_simulator", description="A PLC with a conveyor, on Modbus TCP."
    )
    add_arguments(parser)
    options = parser.parse_args(argv)
    try:
        summary = run_simulator(config_from_options(options))
    except (ValueError, RuntimeError, OSError) as error:
        sys.stderr.write(f"plc_simulator: {error}\n")
        return 1
    sys.stdout.write(json.dumps(summary) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
