"""`manage.py up` with its real children: one command starts all of it, Ctrl-C ends all of it."""

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request

import psutil
import pytest

from tests.e2e.plant import ROOT, Plant, clean_environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(autouse=True)
def _no_network():
    """Children have sockets of their own; this test opens one to the web process alone."""


def children(plant: Plant) -> dict[str, psutil.Process]:
    """The supervised processes by a word of their command."""
    words = {"uvicorn": "web", "redis-server": "redis", "follow_lines": "follow-lines"}
    found = {}
    for process in psutil.Process(plant.process.pid).children(recursive=True):
        command = " ".join(process.cmdline())
        for word, name in words.items():
            if word in command:
                found[name] = process
    return found


def test_everything_starts_comes_back_when_killed_and_ends_with_ctrl_c(tmp_path):
    var = tmp_path / "100% my plant"
    with Plant(var, "--no-demo") as plant:
        before = children(plant)
        assert set(before) == {"web", "redis", "follow-lines"}
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        with browser.open(plant.login_link) as page:
            assert page.url == f"{plant.address}/"

        before["web"].kill()
        plant.wait_for("exited: web", 30)
        psutil.wait_procs([before["web"]], timeout=10)
        wait_for_page(plant)
        assert children(plant)["web"].pid != before["web"].pid

        second = run_up(plant, INSPECTION_VAR_DIR=str(tmp_path / "another"))
        assert second.returncode != 0
        assert f"Port {plant.port} is taken" in second.stderr
        assert "PORT=" in second.stderr

        everything = psutil.Process(plant.process.pid).children(recursive=True)
    _, alive = psutil.wait_procs(everything, timeout=20)
    assert not alive
    assert plant.process.returncode == 0

    with Plant(var, "--no-demo") as again:
        assert not any("Password" in line for line in again.lines)
        assert not any("Static files collected" in line for line in again.lines)


def wait_for_page(plant: Plant) -> None:
    pause = threading.Event()
    ends = time.monotonic() + 30
    while time.monotonic() < ends:
        try:
            with urllib.request.urlopen(f"{plant.address}/login/", timeout=5):
                return
        except OSError:
            pause.wait(0.1)
    raise AssertionError("the web process did not come back")


def run_up(plant: Plant, **settings: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "manage.py", "up"],
        cwd=ROOT,
        env=plant.environment | settings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_second_start_on_the_same_folder_is_refused(tmp_path):
    with Plant(tmp_path / "var", "--no-demo") as plant:
        elsewhere = clean_environment(INSPECTION_VAR_DIR=str(plant.var), PORT=str(plant.port + 1))
        done = subprocess.run(
            [sys.executable, "manage.py", "up"],
            cwd=ROOT,
            env=elsewhere,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode != 0
        assert "runs already" in done.stderr


def test_it_ends_when_its_terminal_asks_it_to_terminate(tmp_path):
    with Plant(tmp_path / "var", "--no-demo") as plant:
        everything = psutil.Process(plant.process.pid).children(recursive=True)
        os.kill(plant.process.pid, signal.SIGTERM)
        _, alive = psutil.wait_procs(everything, timeout=30)
        assert not alive
