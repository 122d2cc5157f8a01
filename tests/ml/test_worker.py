"""Training on a real Celery worker over a real Redis, and what happens when it is killed."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import timezone

from ml.choices import JobState
from ml.models import ModelVersion, TrainingJob
from ml.services import jobs
from ml.services.fitting import checkpoint_folder
from ml.tasks import requeue_lost_jobs, train
from tests import children
from tests.ml.factories import TINY, DatasetFactory, make_dataset

pytestmark = pytest.mark.django_db(transaction=True)

# Long enough to be caught in the middle.
LONG = TINY | {"stage1_iterations": 70}
TIMEOUT_S = 60


@pytest.fixture
def dataset(redis_server) -> DatasetFactory:
    redis_server.flushdb()
    return make_dataset(ok=12, ng=12)


@contextmanager
def worker() -> Iterator[subprocess.Popen]:
    """`celery worker` in a process group of its own, on the test's database, Redis and folders."""
    with (Path(settings.VAR_DIR) / "worker.log").open("a") as log:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "celery",
                "-A",
                "inspection.config",
                "worker",
                "-Q",
                "io,cpu",
                "-c",
                "1",
                "-l",
                "info",
            ],
            env=children.environment(),
            cwd=settings.BASE_DIR,
            start_new_session=True,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        kill_all(process)


def kill_all(process: subprocess.Popen) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(TIMEOUT_S)


def wait_for(job: TrainingJob, condition: Callable[[TrainingJob], bool]) -> None:
    """Looks at the row until it is so; fails with the row as it is."""
    pause, deadline = threading.Event(), time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        job.refresh_from_db()
        if condition(job):
            return
        pause.wait(0.05)
    worker_log = (Path(settings.VAR_DIR) / "worker.log").read_text()
    pytest.fail(f"still {job.state} at {job.progress:.2f} {job.error}\n{job.log}\n{worker_log[-5000:]}")


def is_midway(job: TrainingJob) -> bool:
    folder = checkpoint_folder(job)
    has_checkpoint = folder.is_dir() and any(path.is_file() for path in folder.rglob("*"))
    return job.state == JobState.RUNNING and job.progress > 0.1 and has_checkpoint


def is_done(job: TrainingJob) -> bool:
    return job.state in {JobState.DONE, JobState.FAILED}


def age_heartbeat(job: TrainingJob) -> None:
    """As if the time after which a worker is given up for lost had passed."""
    TrainingJob.objects.filter(pk=job.pk).update(heartbeat_at=timezone.now() - timedelta(minutes=1))


def queue(dataset: DatasetFactory, parameters: dict = LONG) -> TrainingJob:
    job = jobs.queue_job(dataset=dataset.dataset, method="weak", parameters=parameters)
    train.delay(job.pk)
    return job


def test_a_job_runs_on_a_worker(dataset):
    with worker():
        job = queue(dataset, TINY)
        wait_for(job, is_done)
    assert (job.state, job.attempts) == (JobState.DONE, 1)
    assert (Path(settings.ARTEFACT_DIR) / job.model_version.artefact).is_dir()


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_loses_nothing_the_next_one_goes_on(dataset):
    with worker() as first:
        job = queue(dataset)
        wait_for(job, is_midway)
        kill_all(first)
    assert job.state == JobState.RUNNING
    age_heartbeat(job)
    with worker():
        wait_for(job, is_done)
    assert (job.state, job.attempts) == (JobState.DONE, 2)
    assert ModelVersion.objects.get().scores.count() == 24


@pytest.mark.slow
def test_a_training_process_killed_under_a_living_worker_is_found_and_goes_on(dataset):
    with worker():
        job = queue(dataset)
        wait_for(job, is_midway)
        os.kill(int(job.worker.rsplit(":", 1)[1]), signal.SIGKILL)
        age_heartbeat(job)
        requeue_lost_jobs.delay()
        wait_for(job, is_done)
    assert (job.state, job.attempts) == (JobState.DONE, 2)


@pytest.mark.slow
def test_a_worker_told_to_end_hands_its_job_back_and_leaves(dataset):
    with worker() as first:
        job = queue(dataset)
        wait_for(job, is_midway)
        first.send_signal(signal.SIGTERM)
        first.wait(TIMEOUT_S)
        job.refresh_from_db()
        assert (job.state, job.attempts) == (JobState.QUEUED, 0)
    with worker():
        wait_for(job, is_done)
    assert (job.state, job.attempts) == (JobState.DONE, 1)


@pytest.mark.slow
def test_cancelling_stops_the_worker_and_keeps_the_checkpoint(dataset):
    with worker():
        job = queue(dataset)
        wait_for(job, is_midway)
        jobs.cancel_job(job=job, actor=None)
        wait_for(job, lambda job: job.state == JobState.CANCELLED)
        assert any(checkpoint_folder(job).iterdir())
        jobs.resume_job(job=job, actor=None)
        train.delay(job.pk)
        wait_for(job, is_done)
    assert job.state == JobState.DONE
