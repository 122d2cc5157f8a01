"""Everything on one machine, under one supervisor."""

import fcntl
import http.client
import os
import signal
import subprocess
import threading
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import IO

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from annotation.models import Dataset
from annotation.services.access import ensure_admin, once_login_path
from inspection import supervision
from inspection.models import Line
from inspection.services import demo, preparation

WEB_WITHIN_S = 60.0


class Command(BaseCommand):
    help = "Starts web, worker, lines and (where needed) Redis, keeps them running; Ctrl-C stops them all."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--no-demo", action="store_true", help="Make no demo when there is no dataset yet."
        )

    def handle(self, *args, no_demo: bool, **options) -> None:
        self._started = time.monotonic()
        lock = self._lock()
        self._refuse_busy_port()
        self._prepare(no_demo)
        self._supervise()
        lock.close()

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()

    def _refuse_busy_port(self) -> None:
        if supervision.is_port_free(settings.HOST, settings.PORT):
            return
        free = supervision.free_port(settings.HOST, settings.PORT + 1)
        raise CommandError(
            f"Port {settings.PORT} is taken by another program. Port {free} is free: PORT={free} make run"
        )

    def _lock(self) -> IO[str]:
        lock = (settings.VAR_DIR / "up.lock").open("a")
        orphan = supervision.running_supervisor(settings.VAR_DIR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise CommandError(
                f"It runs already on {settings.VAR_DIR}. Stop that one first, or set INSPECTION_VAR_DIR."
            ) from error
        if orphan is not None:
            raise CommandError(
                f"An earlier one still runs on {settings.VAR_DIR}. Stop it first: kill {orphan}"
            )
        return lock

    def _prepare(self, no_demo: bool) -> None:
        preparation.migrate()
        if preparation.collect_static():
            self._say("Static files collected.")
        self._admin, password = ensure_admin()
        self._prepare_demo(no_demo)
        if password:
            self._say(f"\n  Login: {self._admin.username}   Password: {password}   (shown this once)\n")

    def _prepare_demo(self, no_demo: bool) -> None:
        line = demo.demo_line()
        if line is None and not no_demo and not Dataset.objects.exists():
            demo.make_demo(plc_port=supervision.free_port(demo.SIMULATOR_HOST, settings.DEMO_PLC_PORT))
        elif line is not None and demo.uses_simulator(line):
            port = supervision.free_port(demo.SIMULATOR_HOST, line.plc_port)
            if port != line.plc_port:
                self._say(f"Port {line.plc_port} is taken; the demo's PLC simulator listens on {port} now.")
                demo.move_simulator(line, plc_port=port)

    def _programs(self) -> list[supervision.Program]:
        root, var = Path(settings.BASE_DIR), Path(settings.VAR_DIR)
        programs = [
            supervision.web_program(settings.HOST, settings.PORT),
            supervision.worker_program("cpu", at_once=settings.TRAININGS_AT_ONCE),
            supervision.worker_program("io", is_beating=True),
            supervision.daemon_program(root, "follow-lines", "follow_lines"),
        ]
        if settings.IS_REDIS_EMBEDDED:
            programs.append(supervision.redis_program(settings.REDIS_SOCKET, var))
        line = demo.demo_line()
        if line is not None and demo.uses_simulator(line):
            log = var / "log" / "plc-simulator-events.jsonl"
            programs += [
                supervision.simulator_program(
                    root, port=line.plc_port, period_ms=demo.PART_PERIOD_MS, log=log
                ),
                supervision.once_program(root, "demo", "demo"),
            ]
        return programs

    def _supervise(self) -> None:
        root, var = Path(settings.BASE_DIR), Path(settings.VAR_DIR)
        supervision.write_line_configurations(Line.objects.values_list("slug", flat=True), root=root, var=var)
        path = var / "supervisord.conf"
        path.touch(mode=0o600)
        path.write_text(
            supervision.supervisor_configuration(
                self._programs(), root=root, var=var, control=supervision.Control.of_settings()
            )
        )
        process: subprocess.Popen[str] | None = None

        def end(*_: object) -> None:
            if process is not None:
                process.terminate()

        # The supervisor gets the terminal's Ctrl-C by itself; this process only outlives it. A terminal that
        # is closed means the end; the supervisor alone would take it for a wish to restart.
        signal.signal(signal.SIGINT, lambda *_: None)
        for name in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(name, end)
        # Through a pipe, so that its words and ours stay in order also where they go to a file.
        process = subprocess.Popen(  # noqa: S603 — our own interpreter
            supervision.supervisor_command(path), cwd=root, stdout=subprocess.PIPE, text=True
        )
        console = threading.Thread(target=self._pass_on, args=[process.stdout])
        console.start()
        if self._wait_for_web(process):
            self._welcome()
        code = process.wait()
        console.join()
        self._say("Stopped.")
        if code not in (0, -signal.SIGTERM, -signal.SIGINT):
            raise CommandError(
                f"The supervisor ended with {code}; {var / 'log' / 'supervisor.log'} says more."
            )

    def _pass_on(self, lines: IO[str]) -> None:
        for line in lines:
            self._say(line.rstrip())

    def _wait_for_web(self, process: subprocess.Popen) -> bool:
        """Any answer will do: behind TLS or under another name it is a redirect or a refusal."""
        pause = threading.Event()
        while process.poll() is None:
            connection = http.client.HTTPConnection(self._own_host(), settings.PORT, timeout=5)
            try:
                connection.request("GET", "/login/")
                return bool(connection.getresponse().status)
            except OSError:
                if time.monotonic() - self._started > WEB_WITHIN_S:
                    self._say(f"The web process does not answer; see {settings.VAR_DIR / 'log' / 'web.log'}")
                    return False
                pause.wait(0.1)
            finally:
                connection.close()
        return False

    def _own_host(self) -> str:
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.HOST, settings.HOST)  # noqa: S104

    def _address(self) -> str:
        host = self._own_host()
        return f"http://{f'[{host}]' if ':' in host else host}:{settings.PORT}"

    def _welcome(self) -> None:
        self._say(
            f"\n  Inspection runs: {self._address()}/   (after {time.monotonic() - self._started:.1f} s)"
            f"\n  Logs you in once as {self._admin.username}: {self._address()}{once_login_path(self._admin)}"
            f"\n  Another such link: python manage.py login_link    Logs: {settings.VAR_DIR / 'log'}"
            "\n  Ctrl-C stops everything.\n"
        )
        if self._own_host() != settings.HOST and "ALLOWED_HOSTS" not in os.environ:
            self._say("  Other machines are refused until ALLOWED_HOSTS names this one as they call it.")
