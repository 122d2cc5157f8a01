"""`manage.py learning_curve DATASET --method weak --ng 5,10,20,all`: how many NG images a method needs."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from ml.management.console import (
    ConsoleListener,
    check_writable,
    find_dataset,
    parsed_override,
    say,
    seeds_of,
    stopping_on_signals,
    write_json,
)
from ml.methods.contract import TrainingStopped
from ml.methods.declarations import METHODS
from ml.services.failures import explained
from ml.services.learning import measure_learning_curve


class Command(BaseCommand):
    help = (
        "Fit a method on ever more NG images and measure each fit on images it had not seen. Sets are nested "
        "and of whole parts. Fits that are done are kept: the same command goes on where it was stopped."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("dataset", help="its short name, as in its address")
        parser.add_argument("--method", choices=sorted(METHODS), required=True)
        parser.add_argument("--ng", default="5,10,20,all", help="numbers of NG images, with commas between")
        parser.add_argument("--folds", type=int, default=3)
        parser.add_argument("--seeds", default="0", help="numbers with commas between")
        parser.add_argument("--preset", default="", help="a starting point for the parameters")
        parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
        parser.add_argument(
            "--json", default="-", metavar="OUT", help="file for the report; - is standard output"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        check_writable(options["json"])
        dataset = find_dataset(options["dataset"])
        parameters = dict(map(parsed_override, options["overrides"]))
        listener = ConsoleListener()
        try:
            with stopping_on_signals() as watch:
                watch(listener)
                report = measure_learning_curve(
                    dataset=dataset,
                    method=options["method"],
                    preset=options["preset"],
                    parameters=parameters,
                    counts=_ng_counts(options["ng"]),
                    folds=options["folds"],
                    seeds=seeds_of(options["seeds"]),
                    folder=Path(settings.VAR_DIR) / "learning" / f"{dataset.slug}-{options['method']}",
                    listener=listener,
                )
        except TrainingStopped:
            raise CommandError("Stopped. The same command goes on from here.", returncode=130) from None
        except Exception as error:
            text = explained(error, parameters, options["method"])
            if text is None:
                raise
            raise CommandError(text) from error
        _say_curve(report["learning_curve"])
        write_json(options["json"], report)


def _ng_counts(text: str) -> list[int | None]:
    words = text.split(",")
    if not all(word == "all" or word.isdecimal() for word in words):
        raise CommandError(f"--ng takes numbers, or all, with commas between, not {text!r}.")
    return [None if word == "all" else int(word) for word in words]


def _say_curve(curve: dict[str, Any]) -> None:
    names = curve["figures"]
    say(" ".join(["NG images".rjust(10), *(name.rjust(26) for name in names)]))
    for point in curve["points"]:
        cells = [_cell(point[name]).rjust(26) for name in names]
        say(" ".join([f"{point['ng']:.4g}".rjust(10), *cells]))


def _cell(summary: dict[str, float] | None) -> str:
    return f"{summary['mean']:.3f} ({summary['low']:.3f} to {summary['high']:.3f})" if summary else "–"
