"""One variant of one model in a process of its own: `python -m ml.serving.child`.

`ml.serving.trials` speaks to it: a line of JSON comes in on standard input, one goes out on standard output.
An engine that takes its process along takes this one, and nothing that matters.
"""

import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, TextIO

import numpy as np

from ml.peak_memory import peak_memory_mb
from ml.serving.artefact import ArtefactError, read_card, read_parity
from ml.serving.engines import EngineUnavailable, InferenceFailed, Running, load_engine
from ml.serving.held_out import HeldOut, read_held_out
from ml.serving.parity import ParityError, compare
from ml.serving.predictor import Predictor
from ml.serving.quantised import quantise

FORESEEN: Final = (ArtefactError, EngineUnavailable, InferenceFailed, ParityError)


class Child:
    """What it can be asked; each request is the method of its name."""

    def __init__(self) -> None:
        self._folder = Path()
        self._predictor: Predictor | None = None
        self._images: Sequence[np.ndarray] = ()
        self._views: Sequence[str] = ()
        self._held_out: HeldOut | None = None

    def load(self, *, folder: str, variant: str, threads: int | None, batches: list[int]) -> dict[str, Any]:
        """Loads, and compares with the training framework on the images held for it."""
        self._folder = Path(folder)
        card = read_card(self._folder)
        held = read_parity(self._folder, card)
        began = time.perf_counter()
        engine = load_engine(variant, self._folder, card, Running(threads, tuple(batches)))
        load_s = time.perf_counter() - began
        self._predictor = Predictor(card, engine)
        parity = compare(held, self._predictor.predict(held.images, held.views), engine.variant)
        self._images, self._views = held.images, held.views
        return {"load_s": round(load_s, 3), "parity": asdict(parity)}

    def time(self, *, batch: int, seconds: float, at_least: int) -> dict[str, Any]:
        """From decoded images to scores and maps: ms of each run, until so many seconds are over."""
        assert self._predictor is not None  # noqa: S101 - the parent loads first
        chosen = [index % len(self._images) for index in range(batch)]
        images, views = [self._images[i] for i in chosen], [self._views[i] for i in chosen]
        times: list[float] = []
        until = time.perf_counter() + seconds
        while len(times) < at_least or time.perf_counter() < until:
            began = time.perf_counter()
            self._predictor.predict(images, views)
            times.append(round(1000 * (time.perf_counter() - began), 3))
        return {"ms": times}

    def score(self, *, start: int, stop: int) -> dict[str, Any]:
        """The scores of some of the held-out images."""
        assert self._predictor is not None  # noqa: S101 - the parent loads first
        if self._held_out is None:
            self._held_out = read_held_out(self._folder, self._predictor.card)
        images = self._held_out.images[start:stop]
        return {"scores": [float(score) for score in self._predictor.predict_resized(list(images)).scores]}

    def quantise(self, *, folder: str) -> dict[str, Any]:
        """Makes the int8 network of the artefact, unless it is there."""
        card = read_card(Path(folder))
        held = read_held_out(Path(folder), card)
        quantise(Path(folder), card, card.preprocessing.normalised(list(held.calibration)))
        return {}


def main() -> None:
    os.nice(int(os.environ.get("SERVING_TRIAL_NICE", "0")))
    answers = _private_output()
    child = Child()
    for line in sys.stdin:
        request = json.loads(line)
        answer = _answer(getattr(child, request.pop("do")), request)
        answers.write(json.dumps(answer | {"peak_mb": peak_memory_mb()}) + "\n")
        answers.flush()


def _answer(asked: Callable[..., dict[str, Any]], request: dict[str, Any]) -> dict[str, Any]:
    try:
        return asked(**request)
    except FORESEEN as error:
        return {"error": type(error).__name__, "text": str(error)}
    except Exception as error:  # noqa: BLE001 - a process's edge: the parent is told, and the log has the rest
        traceback.print_exc()
        return {"error": "Unforeseen", "text": f"{type(error).__name__}: {error}"}


def _private_output() -> TextIO:
    """Standard output for answers alone: what a library prints goes to the log."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


if __name__ == "__main__":
    main()
