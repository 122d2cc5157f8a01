"""A simulator in its own process, and what tests need around it."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from inspection.plc.control import SimulatorControl
from inspection.plc.link import Answer, PlcState

ROOT = Path(__file__).parents[3]


def wait_until(is_so: Callable[[], Any], what: str = "the condition", timeout_s: float = 10.0) -> Any:
    """Waits for something to become true; fails with its name where it does not."""
    tick, give_up_s = threading.Event(), time.monotonic() + timeout_s
    while not (value := is_so()):
        assert time.monotonic() < give_up_s, f"{what} did not come true within {timeout_s} s"
        tick.wait(0.005)
    return value


class SimulatorProcess:
    """`python -m inspection.plc.simulator`, started by the test and ended with it."""

    def __init__(self, log: Path, *, port: int = 0, **options: Any) -> None:
        flags = [
            text for name, value in options.items() for text in (f"--{name.replace('_', '-')}", str(value))
        ]
        self.log = log
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "inspection.plc.simulator", "--log", str(log)),
                *("--port", str(port), "--control-port", "0", *flags),
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        words = self.process.stdout.readline().split()
        assert words[:3] == ["PLC", "simulator", "ready"], words
        self.port = int(words[4].rsplit(":", 1)[1])
        self.control = SimulatorControl(int(words[6].rsplit(":", 1)[1]))

    def __enter__(self) -> "SimulatorProcess":
        self.control.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.control.__exit__()
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(timeout=10)
        self.process.stdout.close()

    def kill(self) -> None:
        """Ends it as a power cut would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=10)

    def wait(self, timeout_s: float = 60.0) -> None:
        """Waits for its last part."""
        self.process.wait(timeout_s)

    def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        """What it logged."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        events = [json.loads(line) for line in lines]
        return [event for event in events if kind in (None, event["event"])]

    def parts(self) -> list[dict[str, Any]]:
        """The physical parts that passed the gate or were rejected there."""
        return self.events("part")


class RecordingListener:
    """A link's listener that keeps everything."""

    def __init__(self) -> None:
        self.healthy = True
        self.answers: list[Answer] = []
        self.states: list[PlcState] = []
        self.alarms: list[str] = []
        self.cleared: list[str] = []
        self.resets = 0

    def is_healthy(self) -> bool:
        return self.healthy

    def part_answered(self, answer: Answer) -> None:
        self.answers.append(answer)

    def plc_state_changed(self, state: PlcState) -> None:
        self.states.append(state)

    def plc_alarm(self, code: str, message: str) -> None:
        self.alarms.append(code)

    def plc_alarm_cleared(self, code: str) -> None:
        self.cleared.append(code)

    def fault_reset(self) -> None:
        self.resets += 1
