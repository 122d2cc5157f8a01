"""A model of `ml.serving` as the line's judge."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from inspection.line.config import DeploymentConfig
from inspection.line.frames import Frame
from inspection.line.judge import ViewScore
from ml.methods.contract import Prediction
from ml.preprocessing import ANY_VIEW
from ml.serving.artefact import ArtefactError, read_card, read_parity, verify_artefact
from ml.serving.engines import EngineUnavailable, InferenceFailed, Running
from ml.serving.measured import choices, read_measured
from ml.serving.parity import ParityError
from ml.serving.trials import EngineCrashed, try_variant
from ml.serving.variants import EXACT, Variant

logger = logging.getLogger(__name__)


class ServingJudge:
    """Judges a part's views in one batch.

    Args:
        predictor: loaded and found to agree with the framework that trained it.
        classes: the card's classes, OK first.
    """

    def __init__(self, predictor: Any, classes: tuple[str, ...]) -> None:
        self._predictor = predictor
        self._classes = classes

    def judge(self, frames: Mapping[str, Frame]) -> Mapping[str, ViewScore]:
        """The score, map and class of each view.

        Raises:
            ImageUnusable: an image that the model's preprocessing can't take.
        """
        images = [_pixels(frame) for frame in frames.values()]
        said = self._predictor.predict(images, list(frames))
        closest = self._closest_ok(said)
        return {
            name: ViewScore(
                score=float(said.scores[index]),
                map=np.ascontiguousarray(said.maps[index], np.float32) if said.maps is not None else None,
                defect_class=self._defect_class(said.probabilities, index),
                box=self._box(name),
                closest_ok=closest[index],
            )
            for index, name in enumerate(frames)
        }

    def close(self) -> None:
        """Frees the model."""
        del self._predictor

    def _closest_ok(self, said: Prediction) -> Sequence[int | None]:
        finder = self._predictor.closest_ok
        if finder is None or said.descriptors is None:
            return [None] * len(said.scores)
        return finder.of(said.descriptors)

    def _defect_class(self, probabilities: np.ndarray | None, index: int) -> str | None:
        """The likeliest defect class; OK is not one."""
        if probabilities is None or len(self._classes) < 2:
            return None
        return self._classes[1 + int(np.argmax(probabilities[index][1:]))]

    def _box(self, station: str) -> tuple[int, int, int, int] | None:
        rois = self._predictor.preprocessing.rois
        roi = rois.get(station, rois.get(ANY_VIEW))
        return (roi.top, roi.left, roi.bottom - roi.top, roi.right - roi.left) if roi else None


class NoEngine(Exception):
    """No engine here may judge with this model. The message names each with its reason."""


class JudgeLoader:
    """Loads models for a line; `engines` says what serves each deployment that was loaded.

    Where this machine has measured the model, the quickest variant that may judge at the deployment's
    thresholds is loaded. Where it has not, the first engine at the training's precision, and only after it
    was tried in a process of its own: one that crashes must not take the line along.

    Args:
        running: threads, and how many views a part has.
    """

    def __init__(self, running: Running | None = None) -> None:
        self._running = running or Running()
        self.engines: dict[int, str] = {}

    def __call__(self, deployment: DeploymentConfig) -> ServingJudge:
        """Raises:
        ArtefactError: the artefact is not what was exported.
        NoEngine: none gives the scores that the training framework gave, or none can be loaded.
        """
        # A process that never loads a model never imports an engine.
        from ml.serving.predictor import load_predictor

        folder = Path(deployment.artefact)
        card = verify_artefact(folder)
        allowed = quickest(folder, deployment)
        refusals: list[str] = []
        for variant in allowed or EXACT:
            try:
                if not allowed:
                    try_variant(folder, variant, self._running)
                predictor = load_predictor(folder, variant, self._running)
            except (ArtefactError, EngineCrashed, EngineUnavailable, InferenceFailed, ParityError) as error:
                refusals.append(f"{variant.title}: {error}")
                logger.warning("%s is passed over: %s", variant.title, error)
                continue
            self.engines[deployment.id] = variant.title
            return ServingJudge(predictor, card.classes)
        raise NoEngine(" ".join(refusals))


def quickest(folder: Path, deployment: DeploymentConfig) -> list[Variant]:
    """What may judge by a deployment on this machine, quickest first; nothing where nothing was measured."""
    try:
        measured = read_measured(folder)
    except ArtefactError as error:
        logger.warning("the measurement of %s is left aside: %s", folder.name, error)
        return []
    if measured is None:
        return []
    found = choices(measured, ng_at=deployment.ng_at, review_from=deployment.review_from)
    return [choice.one.variant for choice in found if not choice.refusal]


def map_scale(folder: Path) -> float | None:
    """What a map's full colour stands for: the highest value among the model's held images, which range from
    the plainest OK to the plainest NG. None where they have no maps.

    Raises:
        ArtefactError: the artefact is not what was exported.
    """
    maps = read_parity(folder, read_card(folder)).expected.maps
    highest = float(np.max(maps)) if maps.size else 0.0
    return highest if np.isfinite(highest) and highest > 0 else None


def _pixels(frame: Frame) -> np.ndarray:
    if frame.image is None:
        raise ValueError(f"{frame.name} has no pixels")
    return frame.image
