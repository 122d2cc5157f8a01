"""`manage.py evaluate MODEL DATASET`: a model version on a dataset, as it would judge on the line."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from annotation.errors import DomainError
from ml.management.console import check_writable, find_dataset, say, write_json
from ml.models import ModelVersion
from ml.preprocessing import ImageUnusable
from ml.services.evaluating import evaluate_version
from ml.services.training_sets import ImageMissing


class Command(BaseCommand):
    help = (
        "Judge a dataset's labelled images with a model version, at the threshold of its newest operating "
        "point. The report goes to --json (else to standard output), progress to standard error."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("model", type=int, help="number of the model version")
        parser.add_argument("dataset", help="its short name, as in its address")
        parser.add_argument(
            "--json", default="-", metavar="OUT", help="file for the report; - is standard output"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        from ml.serving.artefact import ArtefactError
        from ml.serving.engines import EngineUnavailable, InferenceFailed
        from ml.serving.parity import ParityError

        check_writable(options["json"])
        version = ModelVersion.objects.select_related("job__snapshot").filter(pk=options["model"]).first()
        if version is None:
            raise CommandError(f"There is no model version {options['model']}.")
        try:
            report = evaluate_version(
                version=version, dataset=find_dataset(options["dataset"]), on_scored=_say_scored
            )
        except (DomainError, ImageMissing, ImageUnusable, ArtefactError, EngineUnavailable, InferenceFailed,
                ParityError) as error:  # fmt: skip
            raise CommandError(str(error)) from error
        split, total = report["split"], len(report["images"])
        if seen := split["seen_in_training"]:
            say(f"{seen} of {total} images were in this model's training: figures are too good.")
        if alike := split["near_identical_to_training"]:
            say(f"Near-identical to one that was: {alike} more. Figures on those are too good as well.")
        outside = report["outside_region"]
        if outside and outside["mean"] is not None:
            say(
                f"On {outside['images']} NG images, {outside['mean']:.0%} of the map's heat lies outside the "
                "region of interest."
            )
        write_json(options["json"], report)


def _say_scored(done: int, total: int) -> None:
    say(f"{100 * done / total:5.1f} %  {done} of {total} images")
