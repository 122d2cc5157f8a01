"""`manage.py train DATASET --method weak`, or `train --like 3`: the training page's path, in this process."""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from annotation.errors import DomainError
from ml.choices import JobState
from ml.management.console import (
    check_writable,
    find_dataset,
    parsed_override,
    say,
    stopping_on_signals,
    write_json,
)
from ml.methods.declarations import METHODS
from ml.models import ModelVersion, TrainingJob
from ml.services import claims, jobs
from ml.services.execution import run_claimed_job
from ml.services.repeating import queue_like
from ml.services.reports import report_of_version


class Command(BaseCommand):
    help = (
        "Train a method on a dataset in this process. The report goes to --json (else to standard output), "
        "progress to standard error. Ctrl-C stops and keeps the checkpoint; --resume goes on from it. --like "
        "trains a model again from its card, to the same scores on the same machine with as many threads."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("dataset", nargs="?", help="its short name, as in its address")
        parser.add_argument("--method", choices=sorted(METHODS))
        parser.add_argument("--preset", default="", help="a starting point for the parameters")
        parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
        parser.add_argument("--folds", type=int, default=0, help="cross-validate; 0: one hold-out split")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--resume", type=int, metavar="JOB", help="go on with a job that was stopped")
        parser.add_argument(
            "--like",
            type=int,
            metavar="MODEL",
            help="train a model version again: its method, parameters, seed and split, on the same images",
        )
        parser.add_argument(
            "--dataset", dest="newest", metavar="DATASET", help="with --like: on this one, as labelled now"
        )
        parser.add_argument(
            "--json", default="-", metavar="OUT", help="file for the report; - is standard output"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        check_writable(options["json"])
        try:
            job = self._claimed(options)
            snapshot = job.snapshot
            say(
                f"Job {job.pk}: {job.method} on “{job.dataset}”, "
                f"{snapshot.ok_count} OK and {snapshot.ng_count} NG images."
            )
            with stopping_on_signals() as watch:
                version = run_claimed_job(job, echo=say, watch=watch)
        except DomainError as error:
            raise CommandError(str(error)) from error
        if version is None:
            raise _ending(job)
        write_json(options["json"], report_of_version(version))

    def _claimed(self, options: dict[str, Any]) -> TrainingJob:
        """Queued, then claimed: no worker is asked for it."""
        if options["resume"]:
            job = TrainingJob.objects.filter(pk=options["resume"]).first()
            if job is None:
                raise CommandError(f"There is no job {options['resume']}.")
            jobs.resume_job(job=job, actor=None)
        elif options["like"]:
            job = _queued_like(options)
        else:
            job = self._queued(options)
        claimed = claims.claim_job(job.pk, worker=claims.worker_name("command"))
        if claimed is None:
            raise CommandError(f"Job {job.pk} was taken by a worker.")
        return claimed

    def _queued(self, options: dict[str, Any]) -> TrainingJob:
        if not (options["dataset"] and options["method"]):
            raise CommandError(
                "Say which dataset and --method to train, which model to train --like, or which job "
                "to --resume."
            )
        return jobs.queue_job(
            dataset=find_dataset(options["dataset"]),
            method=options["method"],
            preset=options["preset"],
            parameters=dict(parsed_override(one) for one in options["overrides"]),
            folds=options["folds"],
            seed=options["seed"],
        )


def _queued_like(options: dict[str, Any]) -> TrainingJob:
    given = [name for name in ("method", "preset", "overrides", "folds", "seed") if options[name]]
    if given:
        raise CommandError(f"--like takes {', '.join(given)} from the model's card; leave them out.")
    version = ModelVersion.objects.select_related("dataset").filter(pk=options["like"]).first()
    if version is None:
        raise CommandError(f"There is no model version {options['like']}.")
    newest = options["newest"] or options["dataset"]
    return queue_like(version=version, dataset=find_dataset(newest) if newest else None)


def _ending(job: TrainingJob) -> CommandError:
    job.refresh_from_db()
    program = Path(sys.argv[0]).name
    how = f"Resume with: python {program} train --resume {job.pk}"
    if job.state == JobState.CANCELLED:
        return CommandError(f"Stopped at {100 * job.progress:.0f} %. {how}", returncode=130)
    return CommandError(f"{job.error} {how}")
