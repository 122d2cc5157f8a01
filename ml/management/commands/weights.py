"""`manage.py weights list|check|add`: the files of pretrained weights on this machine."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from ml.management.console import say
from ml.weights import WEIGHT_FILES, WeightsUnusable, add_weights, download_weights, find_weights


class Command(BaseCommand):
    help = (
        "Pretrained weights, which some methods start from. They lie in ML_WEIGHTS_DIR under torchvision's "
        "own names. No training ever fetches one; “add --download” does, and nothing else."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("list", help="which there are, which are here, where the others are to be had")
        actions.add_parser("check", help="compare each file that is here with the hash in its name")
        add = actions.add_parser("add", help="put files where trainings look for them, after a check")
        add.add_argument("files", nargs="*", type=Path, metavar="FILE")
        add.add_argument(
            "--download",
            action="append",
            default=[],
            choices=sorted(WEIGHT_FILES),
            metavar="NETWORK",
            help=f"fetch the file of one of {', '.join(WEIGHT_FILES)} from torchvision's own place",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        folder = Path(settings.ML_WEIGHTS_DIR)
        if options["action"] == "add":
            self._add(folder, options["files"], options["download"])
        else:
            self._look(folder, is_check=options["action"] == "check")

    def _look(self, folder: Path, *, is_check: bool) -> None:
        self.stdout.write(f"In {folder.resolve()}:")
        damaged = 0
        for known in WEIGHT_FILES.values():
            if not (folder / known.name).is_file():
                state = f"not here; {known.url}"
            elif is_check:
                state = self._checked(known.network, folder)
                damaged += state != "whole"
            else:
                state = "here"
            self.stdout.write(f"{known.network:<20} {known.name:<34} {known.mebibytes:6.1f} MiB  {state}")
        if damaged:
            raise CommandError(f"{damaged} of these can't be used: remove them, and add whole ones.")

    def _checked(self, network: str, folder: Path) -> str:
        try:
            find_weights(network, folder)
        except WeightsUnusable as error:
            return str(error)
        return "whole"

    def _add(self, folder: Path, files: list[Path], networks: list[str]) -> None:
        if not files and not networks:
            raise CommandError("Name a file, or --download NETWORK.")
        try:
            for file in files:
                self.stdout.write(f"Added {add_weights(file, folder)}.")
            for network in networks:
                say(f"Fetching {WEIGHT_FILES[network].url}")
                self.stdout.write(f"Added {download_weights(network, folder, _Tenths())}.")
        except WeightsUnusable as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"{folder} can't be written to: {error}.") from error


class _Tenths:
    """Says each tenth of a download."""

    def __init__(self) -> None:
        self._said = 0

    def __call__(self, done: int, total: int) -> None:
        if total and (tenth := 10 * done // total) > self._said:
            self._said = tenth
            say(f"{10 * tenth:3d} %")
