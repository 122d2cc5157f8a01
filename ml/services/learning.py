"""How a method's figures grow with the number of NG images that it is trained on."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from annotation.models import Dataset
from ml.errors import DatasetUnsuitable, ParametersRefused
from ml.evaluation.learning_curve import LearningFit, learning_curve, learning_fits
from ml.evaluation.report import report
from ml.methods.contract import Needs
from ml.methods.declarations import load_method

from .fitting import ScoredImage, Trial, scored_by_fold
from .jobs import MAX_FOLDS, check_weights, find_method, validate_parameters
from .kept_fits import KeptFit, kept_fold
from .measuring import measure_scored
from .reporter import Listener
from .reports import image_entry, measure, split_entry
from .snapshots import freeze_dataset

FIGURES = ("auroc", "average_precision", "best_f1", "overkill_at_full_recall")


def measure_learning_curve(
    *,
    dataset: Dataset,
    method: str,
    preset: str = "",
    parameters: Mapping[str, Any] | None = None,
    counts: Sequence[int | None],
    folds: int,
    seeds: Sequence[int],
    folder: Path,
    listener: Listener,
) -> dict[str, Any]:
    """Fits on ever more NG images, in nested sets by group, and measures each fit on its fold.

    Args:
        dataset: as it is labelled now.
        method: a name in `METHODS`.
        preset: of the method, or empty for its defaults.
        parameters: those that differ from the preset.
        counts: of NG images in a fit; None for all.
        folds: K, at least 2.
        seeds: of splits and fits, at least one.
        folder: where what is done is kept, to go on from.
        listener: is told of the progress.

    Returns:
        The report that every method shares, of the fits on the most NG images of the first seed, widened by
        "learning_curve": "figures", "points", and "fits" with the figures of each fit.

    Raises:
        ParametersRefused: an unknown method, preset or parameter, a value out of range, fewer NG images than
            the method needs, fewer than 2 folds.
        WeightsRefused: pretrained weights that it would start from are not on this machine.
        DatasetUnsuitable: too few groups, or no NG image.
        TrainingStopped: the listener said stop; the next call goes on.
        NotEnoughImages, TrainingDiverged, ImageUnusable, WeightsUnusable, ImageMissing: of a fit.
    """
    declaration = find_method(method)
    validated = validate_parameters(declaration, preset, parameters or {})
    _check_asked(declaration.needs, counts, folds)
    check_weights(declaration, validated)
    module = load_method(method)
    results: list[tuple[LearningFit, Mapping[str, float | None]]] = []
    fits: list[dict[str, Any]] = []
    largest: dict[int, list[ScoredImage]] = {}
    seconds, peak_mb = 0.0, 0.0
    trials = [
        Trial(freeze_dataset(dataset=dataset, folds=folds, seed=seed), module, validated, seed)
        for seed in seeds
    ]
    for trial in trials:
        for planned in _planned(trial, counts, folds):
            kept = _fit(trial, planned, folder, listener)
            scored = scored_by_fold(trial, planned.fold, kept.outcome)
            figures = _figures(scored, trial.seed)
            results.append((planned, figures))
            fits.append({**_described(planned), **figures, "seconds": kept.outcome.seconds})
            seconds, peak_mb = seconds + kept.outcome.seconds, max(peak_mb, kept.outcome.peak_mb)
            if trial is trials[0]:
                largest[planned.fold] = scored
    if not results:
        raise DatasetUnsuitable(f"“{dataset}” has too few NG images for any of these counts.")
    first = trials[0].snapshot
    scored = [one for fold in sorted(largest) for one in largest[fold]]
    measured = measure_scored(declaration, validated, scored, first.contents["classes"], seed=seeds[0])
    whole = report(
        method=method,
        dataset=dataset.slug,
        model_version=None,
        split=split_entry(first),
        evaluation=measured,
        images=[image_entry(one) for one in scored],
        seconds=round(seconds, 2),
        peak_mb=peak_mb,
    )
    return whole | {"learning_curve": learning_curve(results) | {"fits": fits}}


def _check_asked(needs: Needs, counts: Sequence[int | None], folds: int) -> None:
    if not 2 <= folds <= MAX_FOLDS:
        raise ParametersRefused({"folds": f"2 to {MAX_FOLDS} folds."})
    least = max(1, needs.ng)
    too_few = [str(count) for count in counts if count is not None and count < least]
    if too_few:
        raise ParametersRefused(
            {"ng": f"{', '.join(too_few)}: this method takes at least {least} NG images in each fit."}
        )


def _planned(trial: Trial, counts: Sequence[int | None], folds: int) -> Iterator[LearningFit]:
    yield from learning_fits(
        np.array([image.is_ng for image in trial.images], bool),
        [image.group for image in trial.images],
        counts,
        folds=folds,
        seeds=[trial.seed],
    )


def _fit(trial: Trial, planned: LearningFit, folder: Path, listener: Listener) -> KeptFit:
    training = [trial.images[number] for number in planned.training]
    name = "all" if planned.wanted is None else str(planned.wanted)
    listener.log(f"Seed {planned.seed}, fold {planned.fold + 1}, {planned.ng} NG images.")
    place = folder / f"seed-{planned.seed}" / f"fold-{planned.fold}" / f"ng-{name}"
    return kept_fold(trial, planned.fold, training, place, listener)


def _described(planned: LearningFit) -> dict[str, Any]:
    return {"seed": planned.seed, "fold": planned.fold, "wanted": planned.wanted, "ng": planned.ng}


def _figures(scored: Sequence[ScoredImage], seed: int) -> dict[str, float | None]:
    """Of one fit on its fold; None where the fold has no NG or no OK image."""
    metrics = measure(scored, seed=seed)["metrics"]
    return {name: metrics[name]["value"] for name in FIGURES}
