"""`manage.py discover MODEL DATASET`: types of defects, as from the model page, in this process."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from annotation.errors import DomainError
from ml.choices import DiscoveryAmong, JobState
from ml.management.console import check_writable, find_dataset, say, write_json
from ml.models import Discovery, ModelVersion
from ml.services.claims import worker_name
from ml.services.discovery import cancel_discovery, claim_discovery, queue_discovery, run_discovery


class Command(BaseCommand):
    help = (
        "Find types of defects among images that nobody has sorted, with a model of Grad-MobileNet. "
        "They are kept with the model, and shown on its page. The report goes to --json (else to standard "
        "output), progress to standard error."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("model", type=int, help="number of the model version")
        parser.add_argument("dataset", help="its short name, as in its address")
        parser.add_argument("--among", choices=DiscoveryAmong.values, default=DiscoveryAmong.NOT_OK.value)
        parser.add_argument("--types", type=int, metavar="K", help="how many; else the best silhouette")
        parser.add_argument(
            "--types-of",
            type=int,
            metavar="DISCOVERY",
            help="keep the types of this earlier one of the model",
        )
        parser.add_argument("--seed", type=int, default=0, help="of the map and of the grouping")
        parser.add_argument(
            "--json", default="-", metavar="OUT", help="file for the report; - is standard output"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        check_writable(options["json"])
        version = ModelVersion.objects.filter(pk=options["model"]).first()
        if version is None:
            raise CommandError(f"There is no model version {options['model']}.")
        try:
            discovery = self._claimed(version, options)
        except DomainError as error:
            raise CommandError(str(error)) from error
        try:
            done = run_discovery(discovery, on_progress=_say_progress)
        except KeyboardInterrupt:
            cancel_discovery(discovery=discovery, actor=None)
            raise CommandError("Stopped.", returncode=130) from None
        if done.state != JobState.DONE:
            raise CommandError(done.error or "It was cancelled meanwhile.")
        write_json(options["json"], _report(done))

    @transaction.atomic
    def _claimed(self, version: ModelVersion, options: dict[str, Any]) -> Discovery:
        """Queued and claimed at once, so that no worker takes it in between."""
        queued = queue_discovery(
            version=version,
            dataset=find_dataset(options["dataset"]),
            among=options["among"],
            types=options["types"],
            types_of=_kept(options["types_of"]),
            seed=options["seed"],
        )
        claimed = claim_discovery(queued.pk, worker=worker_name("command"))
        if claimed is None:
            raise CommandError(f"Discovery {queued.pk} was taken by a worker.")
        return claimed


def _kept(number: int | None) -> Discovery | None:
    if number is None:
        return None
    kept = Discovery.objects.filter(pk=number).first()
    if kept is None:
        raise CommandError(f"There is no discovery {number}.")
    return kept


def _report(discovery: Discovery) -> dict[str, Any]:
    return {
        "discovery": discovery.pk,
        "model_version": discovery.model_version_id,
        "dataset": discovery.dataset.slug,
        "among": discovery.among,
        "seed": discovery.seed,
        **discovery.findings,
        "points": discovery.points,
    }


def _say_progress(share: float, text: str) -> None:
    say(f"{100 * share:5.1f} %  {text}")
