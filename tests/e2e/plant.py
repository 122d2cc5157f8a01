"""The product as a user starts it, in processes of its own, with its own var/ folder."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
READY_WITHIN_S = 120
STOP_WITHIN_S = 40


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def clean_environment(**settings: str) -> dict[str, str]:
    """This process's environment without the tests' own settings."""
    ours = {"DJANGO_SETTINGS_MODULE", "INSPECTION_TESTS_VAR_DIR", "SECRET_KEY", "DATABASE_URL", "REDIS_URL"}
    return {name: value for name, value in os.environ.items() if name not in ours} | settings


class Plant:
    """`manage.py up` on a free port.

    Args:
        var: its var/ folder.
        options: of `manage.py up`.
    """

    def __init__(self, var: Path, *options: str) -> None:
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.var = var
        self.environment = clean_environment(
            INSPECTION_VAR_DIR=str(var),
            PORT=str(self.port),
            DEMO_PLC_PORT=str(free_port()),
            PYTHONUNBUFFERED="1",
        )
        self.lines: list[str] = []
        self._options = options
        self._said = threading.Condition()

    def __enter__(self) -> "Plant":
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "up", *self._options],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        try:
            self.wait_for("Ctrl-C stops everything", READY_WITHIN_S)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _read(self) -> None:
        for line in self.process.stdout:
            with self._said:
                self.lines.append(line.rstrip())
                self._said.notify_all()
        with self._said:
            self.lines.append("(ended)")
            self._said.notify_all()

    def wait_for(self, text: str, within_s: float) -> str:
        """The first line that holds this text, once it is said."""

        def found() -> list[str]:
            return [line for line in self.lines if text in line or line == "(ended)"]

        with self._said:
            self._said.wait_for(found, timeout=within_s)
            line = next(iter(found()), None)
        assert line not in (None, "(ended)"), f"“{text}” was never said in:\n" + "\n".join(self.lines)
        return line

    @property
    def login_link(self) -> str:
        return re.search(r"http\S+/login/once/\S+", "\n".join(self.lines))[0]

    def manage(self, *arguments: str, timeout_s: float = 120) -> str:
        """Runs a management command to its end; its standard output."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout}\n{done.stderr}"
        return done.stdout

    def start(self, *arguments: str) -> subprocess.Popen:
        """Starts a management command that stays."""
        return subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def stop(self) -> None:
        """Ctrl-C, and the end of all of it."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
        try:
            self.process.wait(timeout=STOP_WITHIN_S)
        finally:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
            self._reader.join(timeout=10)
            self.process.stdout.close()
