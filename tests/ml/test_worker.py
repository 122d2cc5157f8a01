"""Training on a real Celery worker over a real Redis, and what happens when it is killed."""

import json
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
from ml.methods.declarations import METHODS
from ml.models import FoldFit, ModelVersion, TrainingJob
from ml.services import jobs
from ml.services.fitting import checkpoint_folder
from ml.services.reports import report_of_version
from ml.tasks import ask_for_training, requeue_lost_jobs
from tests import children
from tests.ml.factories import TINY, DatasetFactory, make_dataset
from tests.ml.toy import TOY

pytestmark = pytest.mark.django_db(transaction=True)

TIMEOUT_S = 120


@pytest.fixture
def dataset(redis_server, monkeypatch) -> DatasetFactory:
    monkeypatch.setitem(METHODS, "toy", TOY)
    redis_server.flushdb()
    return make_dataset(ok=12, ng=12)


@contextmanager
def worker(*, at_once: int = 1) -> Iterator[subprocess.Popen]:
    """`celery worker` in a process group of its own, on the test's database, Redis and folders."""
    with (Path(settings.VAR_DIR) / "worker.log").open("a") as log:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "celery",
                "-A",
                "tests.ml.toy_app",
                "worker",
                "-Q",
                "io,cpu",
                "-c",
                str(at_once),
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


class Held:
    """Fits of the toy that wait half-way, until they are let go; by the name of their checkpoint."""

    def __init__(self, folder: Path) -> None:
        self.parameters = {"hold": str(folder)}
        self._folder = folder

    def hold(self, *names: str) -> None:
        for name in names:
            (self._folder / name).touch()

    def let_go(self, *names: str) -> None:
        for name in names:
            (self._folder / name).unlink()


@pytest.fixture
def held(tmp_path) -> Held:
    folder = tmp_path / "held"
    folder.mkdir()
    return Held(folder)


def queue(dataset: DatasetFactory, parameters: dict, folds: int = 0, method: str = "toy") -> TrainingJob:
    job = jobs.queue_job(dataset=dataset.dataset, method=method, parameters=parameters, folds=folds)
    ask_for_training(job)
    return job


def folds_of(job: TrainingJob) -> list[FoldFit]:
    return list(FoldFit.objects.filter(job=job).order_by("fold"))


def are_midway(*folds: int) -> Callable[[TrainingJob], bool]:
    """Whether these folds of a job are all under way."""

    def look(job: TrainingJob) -> bool:
        rows = [row for row in folds_of(job) if row.fold in folds]
        return all(row.state == JobState.RUNNING and row.progress > 0.05 for row in rows)

    return look


def process_of(row: TrainingJob | FoldFit) -> int:
    return int(row.worker.rsplit(":", 1)[1])


def test_a_job_runs_on_a_worker(dataset):
    with worker():
        job = queue(dataset, {})
        wait_for(job, is_done)
    assert (job.state, job.attempts) == (JobState.DONE, 1)
    assert (Path(settings.ARTEFACT_DIR) / job.model_version.artefact).is_dir()


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_loses_nothing_the_next_one_goes_on(dataset, held):
    held.hold("fit")
    with worker() as first:
        job = queue(dataset, held.parameters)
        wait_for(job, is_midway)
        kill_all(first)
    assert job.state == JobState.RUNNING
    age_heartbeat(job)
    held.let_go("fit")
    with worker():
        wait_for(job, is_done)
    assert (job.state, job.attempts) == (JobState.DONE, 2)
    assert ModelVersion.objects.get().scores.count() == 24


@pytest.mark.slow
def test_a_training_process_killed_under_a_living_worker_is_found_and_goes_on(dataset, held):
    held.hold("fit")
    with worker():
        job = queue(dataset, held.parameters)
        wait_for(job, is_midway)
        os.kill(process_of(job), signal.SIGKILL)
        held.let_go("fit")
        age_heartbeat(job)
        requeue_lost_jobs.delay()
        wait_for(job, is_done)
    assert (job.state, job.attempts) == (JobState.DONE, 2)


@pytest.mark.slow
def test_a_worker_told_to_end_hands_its_job_back_and_leaves(dataset, held):
    held.hold("fit")
    with worker() as first:
        job = queue(dataset, held.parameters)
        wait_for(job, is_midway)
        first.send_signal(signal.SIGTERM)
        first.wait(TIMEOUT_S)
        job.refresh_from_db()
        assert (job.state, job.attempts) == (JobState.QUEUED, 0)
    held.let_go("fit")
    with worker():
        wait_for(job, is_done)
    assert (job.state, job.attempts) == (JobState.DONE, 1)


@pytest.mark.slow
def test_cancelling_stops_the_worker_and_keeps_the_checkpoint(dataset, held):
    held.hold("fit")
    with worker():
        job = queue(dataset, held.parameters)
        wait_for(job, is_midway)
        jobs.cancel_job(job=job, actor=None)
        wait_for(job, lambda job: job.state == JobState.CANCELLED)
        assert any(checkpoint_folder(job).iterdir())
        held.let_go("fit")
        jobs.resume_job(job=job, actor=None)
        ask_for_training(job)
        wait_for(job, is_done)
    assert job.state == JobState.DONE


@pytest.mark.slow
def test_folds_take_turns_on_one_process_and_give_the_very_scores_of_a_command(dataset, tmp_path):
    with worker():
        job = queue(dataset, TINY, folds=2, method="weak")
        wait_for(job, is_done)
    assert (job.state, [fold.attempts for fold in folds_of(job)]) == (JobState.DONE, [1, 1])
    assert {name.split(":")[0] for fold in folds_of(job) for name in fold.curves} == {
        "Fold 1 of 2", "Fold 2 of 2",
    }  # fmt: skip
    out = tmp_path / "report.json"
    overrides = [part for name, value in TINY.items() for part in ("--set", f"{name}={value}")]
    subprocess.run(
        [
            *(sys.executable, "manage.py", "train", "bolts", "--method", "weak", "--folds", "2"),
            *(*overrides, "--json", str(out)),
        ],
        env=children.environment(),
        cwd=settings.BASE_DIR,
        check=True,
        capture_output=True,
    )
    by_command, by_worker = json.loads(out.read_text()), report_of_version(job.model_version)
    assert by_command["images"] == by_worker["images"]
    assert by_command["metrics"] == by_worker["metrics"]


@pytest.mark.slow
def test_of_two_folds_at_once_only_the_one_whose_process_was_killed_is_fitted_again(dataset, held):
    held.hold("fold-0", "fold-1")
    with worker(at_once=2):
        job = queue(dataset, held.parameters, folds=2)
        wait_for(job, are_midway(0, 1))
        killed = folds_of(job)[0]
        os.kill(process_of(killed), signal.SIGKILL)
        FoldFit.objects.filter(pk=killed.pk).update(heartbeat_at=timezone.now() - timedelta(minutes=1))
        held.let_go("fold-0", "fold-1")
        requeue_lost_jobs.delay()
        wait_for(job, is_done)
    assert (job.state, job.attempts) == (JobState.DONE, 1)
    assert [fold.attempts for fold in folds_of(job)] == [2, 1]
    assert ModelVersion.objects.get().scores.count() == 24


@pytest.mark.slow
def test_a_worker_killed_in_the_second_fold_leaves_the_first_one_done(dataset, held):
    held.hold("fold-1")
    with worker() as first:
        job = queue(dataset, held.parameters, folds=2)
        wait_for(job, are_midway(1))
        kill_all(first)
    FoldFit.objects.filter(fold=1).update(heartbeat_at=timezone.now() - timedelta(minutes=1))
    held.let_go("fold-1")
    with worker():
        wait_for(job, is_done)
    assert (job.state, [fold.attempts for fold in folds_of(job)]) == (JobState.DONE, [1, 2])


@pytest.mark.slow
def test_a_broker_that_lost_its_memory_costs_no_fold(dataset, held, redis_server):
    """The second fold's message goes first, then the chord that would ask for the final fit."""
    held.hold("fold-0", "fold-1")
    long_ago = timezone.now() - timedelta(hours=1)
    with worker():
        job = queue(dataset, held.parameters, folds=2)
        wait_for(job, are_midway(0))
        redis_server.flushdb()
        held.let_go("fold-0")
        wait_for(job, lambda _job: folds_of(job)[0].state == JobState.DONE)
        FoldFit.objects.update(asked_at=long_ago)
        requeue_lost_jobs.delay()
        wait_for(job, are_midway(1))
        redis_server.flushdb()
        held.let_go("fold-1")
        wait_for(job, lambda _job: folds_of(job)[1].state == JobState.DONE)
        TrainingJob.objects.update(asked_at=long_ago)
        requeue_lost_jobs.delay()
        wait_for(job, is_done)
    assert (job.state, [fold.attempts for fold in folds_of(job)]) == (JobState.DONE, [1, 1])


@pytest.mark.slow
def test_cancelling_stops_both_folds_and_resuming_goes_on_with_both(dataset, held):
    held.hold("fold-0", "fold-1")
    with worker(at_once=2):
        job = queue(dataset, held.parameters, folds=2)
        wait_for(job, are_midway(0, 1))
        jobs.cancel_job(job=job, actor=None)
        wait_for(job, lambda job: job.state == JobState.CANCELLED)
        assert {fold.state for fold in folds_of(job)} == {JobState.QUEUED}
        assert len(list(checkpoint_folder(job).glob("fold-*/*"))) == 2
        held.let_go("fold-0", "fold-1")
        jobs.resume_job(job=job, actor=None)
        ask_for_training(job)
        wait_for(job, is_done)
    assert job.state == JobState.DONE
