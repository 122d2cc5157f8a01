"""A recipe, seed by seed and fold by fold. What is done is kept below var/reproduce, to go on from."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings

from annotation.models import Dataset
from ml.errors import ParametersRefused
from ml.evaluation.report import report
from ml.methods.contract import check_needs
from ml.methods.declarations import METHODS, MethodParameters, load_method
from ml.methods.discovery import DiscoveryImpossible, find_types, group, raw_pixels
from ml.services.fitting import ScoredImage, Trial, scored_by_fold
from ml.services.jobs import check_weights, validate_parameters
from ml.services.kept_fits import KeptFit, kept_fold
from ml.services.measuring import measure_scored
from ml.services.provenance import machine, versions
from ml.services.reporter import Listener
from ml.services.reports import image_entry, split_entry
from ml.services.snapshots import count_images
from ml.services.training_sets import read_pixels

from .pooling import FOUND_FROM, Pooled, SeedScores, pool
from .recipes import Recipe
from .splits import SeedSplit, split_of


@dataclass(frozen=True)
class Setting:
    """How a recipe is run this time.

    Attributes:
        preset: of the method; empty for its defaults.
        size: (height, width) of the input; None for the preset's.
        overrides: further parameters.
        seeds: at least one.
    """

    preset: str = ""
    size: tuple[int, int] | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    seeds: Sequence[int] = (0, 1, 2)

    @property
    def label(self) -> str:
        """What sets it apart from the recipe as it stands; empty for that. Part of a folder's name."""
        words = [self.preset] if self.preset else []
        if self.size:
            words.append("{}x{}".format(*self.size))
        return " ".join([*words, *(f"{name}={value}" for name, value in sorted(self.overrides.items()))])


@dataclass(frozen=True)
class SeedRun:
    """One seed: its report, and the scores that figures are pooled from."""

    report: dict[str, Any]
    scores: SeedScores
    revisions: frozenset[str]


@dataclass(frozen=True)
class Reproduction:
    """What came of a recipe.

    Attributes:
        recipe: that was run.
        label: of its setting.
        figures: by name, in the recipe's order.
        seeds: that were run.
        counts: OK and NG images, in all.
        training: OK and NG images of the smallest training part.
        size: (height, width) of the input.
        seconds: that all fits took.
        peak_mb: the most memory, MB.
        machine: of `provenance.machine`.
        revisions: of the code that the fits were made with.
    """

    recipe: Recipe
    label: str
    figures: Mapping[str, Pooled]
    seeds: Sequence[int]
    counts: tuple[int, int]
    training: tuple[int, int]
    size: tuple[int, int] | None
    seconds: float
    peak_mb: float
    machine: Mapping[str, Any]
    revisions: Sequence[str]

    @property
    def title(self) -> str:
        return f"{self.recipe.name} ({self.label})" if self.label else self.recipe.name


def run_folder(recipe: Recipe, setting: Setting) -> Path:
    """Where a recipe in this setting keeps what is done."""
    safe = "".join(one if one.isalnum() or one in "-_.=" else "_" for one in setting.label)
    return Path(settings.VAR_DIR) / "reproduce" / recipe.name / (safe or "as-it-stands")


def parameters_of(recipe: Recipe, setting: Setting) -> MethodParameters:
    """The method's parameters in this setting.

    Raises:
        ParametersRefused: the method is not in this build, has no such preset or parameter, or takes no size.
        WeightsRefused: pretrained weights that it would start from are not on this machine.
    """
    if recipe.method not in METHODS:
        raise ParametersRefused({"method": f"{recipe.method} is not in this build."})
    declaration = METHODS[recipe.method]
    size = _size_parameters(declaration.Parameters.model_fields, setting.size)
    parameters = validate_parameters(
        declaration, setting.preset, {**recipe.overrides, **size, **setting.overrides}
    )
    check_weights(declaration, parameters)
    return parameters


def reproduce(recipe: Recipe, setting: Setting, dataset: Dataset, listener: Listener) -> Reproduction:
    """Runs what is left of a recipe, and measures the whole.

    Writes "report.json" of each seed and "summary.json" below `run_folder`.

    Args:
        recipe: in this build.
        setting: of this run.
        dataset: of the recipe's images.
        listener: is told of the progress, fold by fold.

    Raises:
        ParametersRefused, WeightsRefused: see `parameters_of`.
        DatasetUnsuitable, NotEnoughImages: the images don't allow this split or this method.
        TrainingStopped: the listener said stop; the next call goes on.
        TrainingDiverged, ImageUnusable, WeightsUnusable, ImageMissing, OSError: of a fit.
        DiscoveryImpossible: no types can be found among the NG images.
    """
    parameters = parameters_of(recipe, setting)
    splits = [split_of(recipe, dataset, seed) for seed in setting.seeds]
    training = _least_training(recipe, splits)
    folder = run_folder(recipe, setting)
    runs = [_run_seed(recipe, parameters, split, folder / f"seed-{split.seed}", listener) for split in splits]
    images = splits[0].images
    ng = sum(image.is_ng for image in images)
    reproduction = Reproduction(
        recipe=recipe,
        label=setting.label,
        figures={wanted.name: pool([run.scores for run in runs], wanted.name) for wanted in recipe.figures},
        seeds=setting.seeds,
        counts=(len(images) - ng, ng),
        training=training,
        size=_size_of(parameters),
        seconds=sum(run.report["seconds"] for run in runs),
        peak_mb=max(run.report["peak_mb"] for run in runs),
        machine=machine(),
        revisions=sorted(frozenset().union(*(run.revisions for run in runs))),
    )
    _write(folder / "summary.json", summary_entry(reproduction, parameters))
    return reproduction


def summary_entry(reproduction: Reproduction, parameters: MethodParameters) -> dict[str, Any]:
    """A reproduction as JSON."""
    paper = {wanted.name: wanted.paper for wanted in reproduction.recipe.figures}
    return {
        "recipe": reproduction.recipe.name,
        "setting": reproduction.label,
        "method": reproduction.recipe.method,
        "parameters": parameters.model_dump(mode="json"),
        "figures": {
            name: {"paper": paper[name], **figure.to_json()} for name, figure in reproduction.figures.items()
        },
        "seeds": list(reproduction.seeds),
        "n": dict(zip(("ok", "ng"), reproduction.counts, strict=True)),
        "least_training": dict(zip(("ok", "ng"), reproduction.training, strict=True)),
        "seconds": reproduction.seconds,
        "peak_mb": reproduction.peak_mb,
        "machine": dict(reproduction.machine),
        "versions": versions(),
        "revisions": list(reproduction.revisions),
        "note": reproduction.recipe.note,
    }


def _run_seed(
    recipe: Recipe, parameters: MethodParameters, split: SeedSplit, folder: Path, listener: Listener
) -> SeedRun:
    trial = Trial(split.snapshot, load_method(recipe.method), parameters, split.seed)
    kept: list[KeptFit] = []
    for fold, training in sorted(split.training.items()):
        listener.log(f"{recipe.name}: seed {split.seed}, fold {fold + 1} of {len(split.training)}.")
        place = folder / f"fold-{fold}"
        kept.append(kept_fold(trial, fold, training, place, listener, with_descriptors=recipe.finds_types))
    outcomes = [one.outcome for one in kept]
    scored = [one for fold, outcome in enumerate(outcomes) for one in scored_by_fold(trial, fold, outcome)]
    classes = split.snapshot.contents["classes"]
    measured = measure_scored(METHODS[recipe.method], parameters, scored, classes, seed=split.seed)
    whole = report(
        method=recipe.method,
        dataset=split.snapshot.dataset.slug,
        model_version=None,
        split=split_entry(split.snapshot),
        evaluation=measured,
        images=[image_entry(one) for one in scored],
        seconds=round(sum(outcome.seconds for outcome in outcomes), 2),
        peak_mb=max(outcome.peak_mb for outcome in outcomes),
    )
    scores = _seed_scores(scored, classes, measured["threshold"]["value"])
    if recipe.finds_types:
        listener.log("Finds types among the NG images.")
        scores = replace(scores, found=_found_types(scored, outcomes[0].descriptors, split.seed))
    revisions = frozenset(one.revision for one in kept)
    _write(folder / "report.json", whole | {"recipe": recipe.name, "revisions": sorted(revisions)})
    return SeedRun(whole, scores, revisions)


def _seed_scores(scored: Sequence[ScoredImage], classes: Sequence[str], threshold: float) -> SeedScores:
    number = {name: index for index, name in enumerate(classes)}
    rows = [one.probabilities for one in scored]
    return SeedScores(
        scores=np.array([one.score for one in scored], np.float64),
        is_ng=np.array([one.image.is_ng for one in scored], bool),
        groups=[one.image.group for one in scored],
        threshold=threshold,
        types=np.array([number[one.image.class_name] for one in scored], np.int64),
        probabilities=None if None in rows else np.array(rows, np.float64),
        folds=np.array([one.image.fold for one in scored], np.int64),
    )


def _found_types(
    scored: Sequence[ScoredImage], descriptors: Sequence[Sequence[float]] | None, seed: int
) -> dict[str, np.ndarray]:
    """See `SeedScores.found`: among the NG images, as many types as they have classes.

    Raises:
        DiscoveryImpossible: too few NG images, or none that differ.
    """
    if descriptors is None:
        raise DiscoveryImpossible("This method has no descriptors to find types by.")
    ng = [row for row, one in enumerate(scored) if one.image.is_ng]
    count = len({scored[row].image.class_name for row in ng})
    types = find_types(np.array(descriptors)[ng], count, seed).of_image
    pixels = np.stack([raw_pixels(read_pixels(scored[row].image)) for row in ng])
    found = {}
    for name, of_image in zip(FOUND_FROM, (types, group(pixels, count, seed)), strict=True):
        found[name] = np.full(len(scored), -1, np.int64)
        found[name][ng] = of_image
    return found


def _least_training(recipe: Recipe, splits: Sequence[SeedSplit]) -> tuple[int, int]:
    """OK and NG images of the smallest training part, after all were checked: before hours of fits.

    Raises:
        NotEnoughImages: one of them is too small for the method.
    """
    needs = METHODS[recipe.method].needs
    parts = [
        count_images(part, split.snapshot.contents["classes"])
        for split in splits
        for part in split.training.values()
    ]
    for has in parts:
        check_needs(needs, has)
    least = min(parts, key=lambda has: has.ok + has.ng)
    return least.ok, least.ng


def _size_parameters(names: Mapping[str, Any], size: tuple[int, int] | None) -> dict[str, int]:
    if size is None:
        return {}
    if {"height", "width"} <= names.keys():
        return {"height": size[0], "width": size[1]}
    if "size" in names and size[0] == size[1]:
        return {"size": size[0]}
    takes = "one number, as in 128x128" if "size" in names else "none"
    raise ParametersRefused({"size": f"{size[0]}x{size[1]}: this method takes {takes}."})


def _size_of(parameters: MethodParameters) -> tuple[int, int] | None:
    values = parameters.model_dump()
    if "size" in values:
        return values["size"], values["size"]
    return (values["height"], values["width"]) if {"height", "width"} <= values.keys() else None


def _write(path: Path, entry: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(json.dumps(entry, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    unfinished.replace(path)


def forget(recipe: Recipe, setting: Setting) -> None:
    """Removes what is kept, so that the next run begins anew."""
    shutil.rmtree(run_folder(recipe, setting), ignore_errors=True)
