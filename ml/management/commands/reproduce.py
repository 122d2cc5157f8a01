"""`manage.py reproduce NAME`: a row of the benchmarks' table, from data to figure."""

import re
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from ml.management.console import ConsoleListener, parsed_override, say, seeds_of, stopping_on_signals
from ml.methods.contract import TrainingStopped
from ml.methods.declarations import METHODS
from ml.reproduction.data import VARIABLE, dataset_of
from ml.reproduction.recipes import RECIPES, Recipe
from ml.reproduction.runs import Setting, forget, parameters_of, reproduce, run_folder
from ml.reproduction.table import TableMissing, rows_of, table, update_page
from ml.services.failures import explained


class Command(BaseCommand):
    help = (
        "Run a paper's experiment, or its row on public data, from images to a row of the benchmarks' table. "
        "Folds that are done are kept: the same command goes on where it was stopped. The row goes to "
        "standard output, reports to var/reproduce, progress to standard error."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", nargs="?", help="of the recipe")
        parser.add_argument("--list", action="store_true", help="the recipes, and what each needs")
        parser.add_argument(
            "--data", type=Path, metavar="FOLDER", help=f"of the images; else the one that {VARIABLE} names"
        )
        parser.add_argument("--seeds", default="0,1,2", help="numbers with commas between")
        parser.add_argument("--quick", action="store_true", help="with the method's preset quick")
        parser.add_argument("--preset", default="", help="with this preset of the method: paper, say")
        parser.add_argument(
            "--size", default="", metavar="HxW", help="of the input; stands beside the figure"
        )
        parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
        parser.add_argument("--again", action="store_true", help="forget what is done, begin anew")
        parser.add_argument(
            "--write",
            type=Path,
            nargs="?",
            const=Path(settings.BASE_DIR) / "docs" / "benchmarks.md",
            metavar="PAGE",
            help="put the row into the page's table; without a name, into docs/benchmarks.md",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["list"]:
            self._list()
            return
        recipe = _recipe(options["name"])
        setting = _setting(options)
        if options["again"]:
            forget(recipe, setting)
        listener = ConsoleListener()
        try:
            parameters_of(recipe, setting)  # before images are imported
            with stopping_on_signals() as watch:
                watch(listener)
                dataset = dataset_of(recipe.data, options["data"], say)
                reproduction = reproduce(recipe, setting, dataset, listener)
        except TrainingStopped:
            raise CommandError("Stopped. The same command goes on from here.", returncode=130) from None
        except Exception as error:
            text = explained(error, {})
            if text is None:
                raise
            raise CommandError(text) from error
        say(f"Reports: {run_folder(recipe, setting)}")
        self.stdout.write(table(rows_of(reproduction)))
        if options["write"]:
            try:
                update_page(options["write"], reproduction)
            except TableMissing as error:
                raise CommandError(str(error)) from error

    def _list(self) -> None:
        for recipe in RECIPES.values():
            state = "" if recipe.method in METHODS else "  (not in this build)"
            split = f"{recipe.folds} folds" if recipe.folds else "7:3"
            where = f"{recipe.data.name}, {split} by {recipe.split_by}"
            self.stdout.write(f"{recipe.name:<24} {recipe.method:<16} {where}{state}")


def _recipe(name: str | None) -> Recipe:
    if name not in RECIPES:
        known = ", ".join(RECIPES)
        raise CommandError(f"Name a recipe: {known}. --list says more." if not name else
                           f"There is no recipe “{name}”; there are {known}.")  # fmt: skip
    return RECIPES[name]


def _setting(options: dict[str, Any]) -> Setting:
    if options["quick"] and options["preset"]:
        raise CommandError("--quick is --preset quick; give one of them.")
    size = re.fullmatch(r"(\d+)x(\d+)", options["size"])
    if options["size"] and not size:
        raise CommandError(f"--size takes HEIGHTxWIDTH, such as 704x256, not {options['size']!r}.")
    return Setting(
        preset="quick" if options["quick"] else options["preset"],
        size=(int(size[1]), int(size[2])) if size else None,
        overrides=dict(map(parsed_override, options["overrides"])),
        seeds=seeds_of(options["seeds"]),
    )
