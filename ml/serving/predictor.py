"""A model as the line and the evaluation use it: images in, scores and maps out, whatever runs it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from ml.methods.contract import Prediction
from ml.preprocessing import ANY_VIEW, Preprocessing
from ml.serving.artefact import Card, read_card, read_parity
from ml.serving.closest_ok import ClosestOk, read_closest_ok
from ml.serving.engines import Engine, InferenceFailed, Running, load_engine
from ml.serving.parity import ParityError, compare
from ml.serving.variants import Variant

MAX_BATCH_PX: Final = 4_000_000  # pixels of the network's input in one run; bounds memory, not the result


class Predictor:
    """Preprocessing, one loaded engine, and the meaning of its output.

    Attributes:
        card: the artefact's.
        closest_ok: finds the OK image that a part looks most like; None for methods that do not tell.
        preprocessing: the card's.
        variant: what runs the network.
        engine: its name.
    """

    def __init__(self, card: Card, engine: Engine, closest_ok: ClosestOk | None = None) -> None:
        self.card = card
        self.closest_ok = closest_ok
        self.preprocessing: Preprocessing = card.preprocessing
        self.variant = engine.variant
        self.engine = engine.variant.key
        self._engine = engine

    def predict(self, images: Sequence[np.ndarray], views: Sequence[str] | None = None) -> Prediction:
        """Scores and maps of uint8 images [H, W] or [H, W, 3].

        Args:
            images: at least one; sizes may differ.
            views: the view of each, where regions of interest differ by view.

        Raises:
            ImageUnusable: an image that the preprocessing can't take.
            InferenceFailed: the engine failed, or a score or map is not finite.
        """
        seen_from = views if views is not None else [ANY_VIEW] * len(images)
        return self._predict(
            images, lambda part: self.preprocessing.apply(images[part], list(seen_from[part]))
        )

    def predict_resized(self, resized: Sequence[np.ndarray]) -> Prediction:
        """Scores and maps of images that `Preprocessing.resized` gave; raises as `predict` does."""
        return self._predict(resized, lambda part: self.preprocessing.normalised(resized[part]))

    def _predict(
        self, images: Sequence[np.ndarray], network_input: Callable[[slice], np.ndarray]
    ) -> Prediction:
        if not len(images):
            raise ValueError("there is no image to predict")
        step = max(1, MAX_BATCH_PX // (self.preprocessing.height * self.preprocessing.width))
        step = min(step, self._engine.max_batch or step)
        raws, maps = [], []
        for start in range(0, len(images), step):
            raw, heat_map = self._engine.run(network_input(slice(start, start + step)))
            raws.append(raw)
            maps.append(heat_map)
        return self._checked(np.concatenate(raws), np.concatenate(maps), len(images))

    def _checked(self, raw: np.ndarray, maps: np.ndarray, count: int) -> Prediction:
        if len(raw) != count or maps.ndim != 3 or len(maps) != count:
            raise InferenceFailed(
                f"{self.engine} gave scores {list(raw.shape)} and maps {list(maps.shape)} for {count} images."
            )
        try:
            scored = self.card.scoring(raw)
        except ValueError as error:
            raise InferenceFailed(
                f"{self.engine} gave what the card's scoring can't take: {error}."
            ) from error
        if not np.isfinite(scored.scores).all():
            raise InferenceFailed(f"{self.engine} gave a score that is not a number.")
        if not np.isfinite(maps).all():
            raise InferenceFailed(f"{self.engine} gave a map that is not finite.")
        return Prediction(
            scored.scores, maps.astype(np.float32, copy=False), scored.probabilities, scored.descriptors
        )


def load_predictor(
    folder: Path, variant: Variant | str | None = None, running: Running | None = None
) -> Predictor:
    """Loads an artefact and tries it on its held images before anything is judged by it.

    At the training's precision the scores must be the training's. At a lower one they can't be: that no
    verdict flips is for `ml.serving.gate` to say, on the scores that were measured on this machine.

    Args:
        folder: of the artefact.
        variant: the engine and precision, or its key; None for the default.
        running: threads and batch sizes; None leaves them to the engine.

    Raises:
        ArtefactError: a file is missing, changed, of a later version, or can't be loaded.
        EngineUnavailable: no such engine here.
        ParityError: the engine does not give the scores that the training framework gave.
        InferenceFailed: the engine failed on the held images.
    """
    card = read_card(folder)
    held = read_parity(folder, card)
    predictor = Predictor(card, load_engine(variant, folder, card, running), read_closest_ok(folder, card))
    difference = compare(held, predictor.predict(held.images, held.views), predictor.variant)
    if not difference.passed:
        raise ParityError(difference)
    return predictor
