"""Trains the demo's model, deploys it, and waits for the line's first verdict, saying how far it is."""

import threading
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator

import redis
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from inspection.choices import DeploymentState, Verdict
from inspection.models import Deployment, Line, Part
from inspection.services.demo import demo_line, train_demo
from inspection.services.deployments import deploy
from ml.choices import JobState
from ml.models import ModelVersion, TrainingJob
from ml.tasks import ask_for_training

LOOK_EVERY_S = 0.25


class Command(BaseCommand):
    help = "Trains the demo's model on the Celery worker, deploys it on the demo line, waits for a verdict."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--timeout-s", type=float, default=600.0)

    def handle(self, *args, timeout_s: float, **options) -> None:
        self._started = time.monotonic()
        self._ends = self._started + timeout_s
        line = demo_line()
        if line is None:
            return
        if line.deployments.filter(state=DeploymentState.LIVE).exists():
            self._say("the demo line has its model")
            return
        self._wait_for_redis()
        job = train_demo()
        if job is not None:
            ask_for_training(job)
            self._wait_for_training(job)
        deployment = self._deploy(line)
        self._wait_for_verdict(line, deployment)

    def _say(self, text: str) -> None:
        self.stdout.write(f"[demo {time.monotonic() - self._started:5.1f} s] {text}")
        self.stdout.flush()

    def _until(self, ready: Callable[[], bool], what: str) -> Iterator[None]:
        """Yields at each look until it is ready."""
        pause = threading.Event()
        while not ready():
            if time.monotonic() > self._ends:
                raise CommandError(f"Gave up waiting for {what}. The log files below var/log say more.")
            yield
            pause.wait(LOOK_EVERY_S)

    def _wait_for_redis(self) -> None:
        client = redis.Redis.from_url(settings.REDIS_URL)

        def answers() -> bool:
            try:
                return bool(client.ping())
            except redis.ConnectionError:
                return False

        for _ in self._until(answers, "Redis"):
            pass
        client.close()

    def _wait_for_training(self, job: TrainingJob) -> None:
        self._say(
            f"training {job.method} on {job.dataset} ({job.snapshot.ok_count} OK, {job.snapshot.ng_count} NG)"
        )
        said = -1

        def ended() -> bool:
            job.refresh_from_db()
            return job.is_finished

        for _ in self._until(ended, "the training"):
            tenths = int(job.progress * 10)
            if job.stage_text and tenths > said:
                said = tenths
                self._say(f"{job.progress:4.0%}  {job.stage_text}")
        if job.state != JobState.DONE:
            raise CommandError(f"The demo's training {job.get_state_display().lower()}: {job.error}")

    def _deploy(self, line: Line) -> Deployment:
        version = ModelVersion.objects.filter(dataset__is_synthetic=True).latest("id")
        auroc = version.evaluation["metrics"]["auroc"]
        point = version.operating_points.earliest("id")
        self._say(
            f"model {version} stands: AUROC {auroc['value']:.3f} on held-out images "
            f"(95 % interval {auroc['low']:.3f} to {auroc['high']:.3f}); "
            f"deploying with NG at {point.ng_at:.3f}"
        )
        return deploy(operating_point=point, line=line, by=None)

    def _wait_for_verdict(self, line: Line, deployment: Deployment) -> None:
        judged = Part.objects.filter(line=line, deployment=deployment).exclude(verdict=Verdict.ERROR)

        def judged_or_failed() -> bool:
            deployment.refresh_from_db()
            return deployment.state == DeploymentState.FAILED or judged.exists()

        for _ in self._until(judged_or_failed, "the line's first verdict"):
            pass
        if deployment.state == DeploymentState.FAILED:
            raise CommandError(f"The line did not take the model: {deployment.error}")
        first = judged.earliest("sequence")
        self._say(f"first live verdict: part {first.sequence} is {first.verdict}. The demo line runs.")
