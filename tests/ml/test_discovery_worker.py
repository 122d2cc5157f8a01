"""A discovery on a real Celery worker over a real Redis."""

import shutil
import threading
import time
from pathlib import Path

import pytest
from django.conf import settings

from ml.choices import JobState
from ml.models import Discovery
from ml.services.discovery import queue_discovery
from ml.tasks import ask_for_discovery
from tests.ml.factories import make_dataset, make_job, make_version
from tests.ml.test_worker import TIMEOUT_S, worker

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def queued(redis_server, gradient_artefact) -> Discovery:
    redis_server.flushdb()
    dataset = make_dataset(ok=3, ng=6)
    version = make_version(dataset, job=make_job(dataset, method="grad_mobilenet", state=JobState.DONE))
    shutil.copytree(gradient_artefact, version.artefact_path)
    return queue_discovery(version=version, dataset=dataset.dataset)


def test_it_runs_on_a_worker(queued):
    with worker():
        ask_for_discovery(queued)
        pause, deadline = threading.Event(), time.monotonic() + TIMEOUT_S
        while not queued.is_finished and time.monotonic() < deadline:
            pause.wait(0.05)
            queued.refresh_from_db()
    log = (Path(settings.VAR_DIR) / "worker.log").read_text()[-3000:]
    assert (queued.state, queued.error) == (JobState.DONE, ""), log
    assert len(queued.points) == 6
