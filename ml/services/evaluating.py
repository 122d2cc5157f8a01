"""A model version on a dataset's labelled images, through the same serving as on the line."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from annotation.models import Dataset
from ml.choices import ScoreSplit
from ml.evaluation.classes import TWO_WAY, ClassProbabilities
from ml.evaluation.lookalikes import count_alike
from ml.evaluation.outside import shares_outside
from ml.evaluation.report import report
from ml.models import ModelVersion
from ml.preprocessing import Rectangle
from ml.selectors import images as image_rows

from . import memory
from .fitting import SCORING_BATCH, ScoredImage
from .reports import image_entry, measure
from .snapshots import SnapshotImage, frozen_images, labelled_images, regions_in_force
from .training_sets import StoredImages, regions_of_interest


def evaluate_version(
    *, version: ModelVersion, dataset: Dataset, on_scored: Callable[[int, int], None]
) -> dict[str, Any]:
    """The report of a model version on a dataset, at the threshold of its newest operating point.

    Args:
        version: served from its artefact.
        dataset: its labelled, undisputed images are judged.
        on_scored: is told how many of how many images are done.

    Returns:
        The report that every method shares, and "outside_region": the share of the heat of NG images' maps
        that lies outside the dataset's regions of interest ("mean", of how many "images"); null where the
        dataset has none. Its "split" tells how many of the images the model was fitted on,
        and how many more are near-identical to one of those: figures on these are too good.

    Raises:
        DatasetUnsuitable: nothing is labelled.
        ArtefactError, EngineUnavailable, ParityError, InferenceFailed: the model can't be served here.
        ImageUnusable, ImageMissing: an image can't be judged or no longer be read.
    """
    started = time.monotonic()
    memory.reset_peak_memory()
    images = labelled_images(dataset)
    rois = regions_of_interest(regions_in_force(dataset))
    scored, probabilities, shares = _score(version, images, rois, on_scored)
    point = version.operating_points.first()
    evaluation = measure(
        scored,
        seed=version.job.seed,
        threshold=point.ng_at if point else None,
        probabilities=probabilities,
    )
    if point:
        evaluation["threshold"] = {"value": point.ng_at, "reason": point.reason}
    evaluation["outside_region"] = _outside(shares) if rois else None
    return report(
        method=version.method,
        dataset=dataset.slug,
        model_version=version.pk,
        split={
            "by": "none",
            "folds": 0,
            "seed": version.job.seed,
            **_overlap(version, dataset, images),
        },
        evaluation=evaluation,
        images=[image_entry(one) for one in scored],
        seconds=round(time.monotonic() - started, 2),
        peak_mb=memory.peak_memory_mb(),
    )


def _score(
    version: ModelVersion,
    images: Sequence[SnapshotImage],
    rois: Mapping[str, Rectangle],
    on_scored: Callable[[int, int], None],
) -> tuple[list[ScoredImage], ClassProbabilities | None, list[float]]:
    """The scores; of a method with classes their probabilities, where it knows every labelled class; and the
    shares of NG images' maps outside the regions.
    """
    from ml.serving.predictor import load_predictor

    predictor = load_predictor(version.artefact_path)
    pixels = StoredImages(images)
    scored: list[ScoredImage] = []
    rows: list[np.ndarray] = []
    shares: list[float] = []
    for start in range(0, len(images), SCORING_BATCH):
        batch = images[start : start + SCORING_BATCH]
        decoded = [pixels[start + index] for index in range(len(batch))]
        views = [image.view for image in batch]
        prediction = predictor.predict(decoded, views)
        if rois and prediction.maps is not None:
            outside = shares_outside(predictor.preprocessing, decoded, views, prediction.maps, rois)
            shares += [
                share
                for image, share in zip(batch, outside, strict=True)
                if image.is_ng and share is not None
            ]
        scored += [
            ScoredImage(image, float(score), ScoreSplit.HELD_OUT)
            for image, score in zip(batch, prediction.scores, strict=True)
        ]
        if prediction.probabilities is not None:
            rows.append(prediction.probabilities)
        on_scored(len(scored), len(images))
    names = predictor.card.classes
    is_known = len(names) == TWO_WAY or {image.class_name for image in images} <= set(names)
    if not rows or not is_known:
        return scored, None, shares
    return scored, ClassProbabilities(tuple(names), np.concatenate(rows)), shares


def _outside(shares: Sequence[float]) -> dict[str, Any]:
    return {"mean": float(np.mean(shares)) if shares else None, "images": len(shares)}


def _overlap(version: ModelVersion, dataset: Dataset, images: Sequence[SnapshotImage]) -> dict[str, int]:
    """How many images are, byte for byte or by their look, among those that the exported model was fitted on.

    After a hold-out that is the training part of the snapshot, after folds all of it.
    """
    is_final_fit = version.job.folds > 0
    fitted_on = [image for image in frozen_images(version.job.snapshot) if is_final_fit or image.fold < 0]
    contents = {image.sha256 for image in fitted_on}
    unseen = [image.id for image in images if image.sha256 not in contents]
    look = image_rows.fingerprints_of([dataset.pk, version.dataset_id])
    alike = count_alike([look[image] for image in unseen], [look.get(image.id, "") for image in fitted_on])
    return {"seen_in_training": len(images) - len(unseen), "near_identical_to_training": alike}
