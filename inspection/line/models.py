"""Loading models beside the running one, and swapping them between two parts."""

import logging
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from inspection.line.config import DeploymentConfig, StationConfig
from inspection.line.frames import Frame
from inspection.line.judge import Judge, LoadJudge

logger = logging.getLogger(__name__)

BLANK_SHAPE = (256, 256, 3)


class WarmUpError(RuntimeError):
    """The model loads, but does not give a score for a blank image."""


@dataclass(frozen=True, kw_only=True)
class LiveModel:
    """A deployment with its loaded, warm model."""

    deployment: DeploymentConfig
    judge: Judge


def warm_up(judge: Judge, stations: list[StationConfig]) -> None:
    """Judges a blank image of each station, twice: the first run allocates, the second is like any other.

    Raises:
        WarmUpError: a score is missing or not a number, or a map is not a float [h, w].
    """
    blank = np.zeros(BLANK_SHAPE, np.uint8)
    frames = {station.name: Frame(image=blank, name="blank") for station in stations}
    for _ in range(2):
        scores = judge.judge(frames)
        for name in frames:
            score = scores.get(name)
            if score is None or not math.isfinite(score.score):
                raise WarmUpError(f"{name}: no number for a blank image")
            if score.map is not None and (score.map.ndim != 2 or score.map.dtype != np.float32):
                raise WarmUpError(f"{name}: the map is not float32 [h, w]")


class ModelSlot:
    """The model that judges, and the one that takes over between two parts."""

    def __init__(self) -> None:
        self.live: LiveModel | None = None
        self._next: LiveModel | None = None
        self._lock = threading.Lock()

    def offer(self, model: LiveModel) -> LiveModel | None:
        """Has a model take over at the next swap; gives back, closed, one that it overtook before that."""
        with self._lock:
            overtaken, self._next = self._next, model
        if overtaken is not None:
            close_judge(overtaken.judge)
        return overtaken

    def swap(self) -> LiveModel | None:
        """The model that takes over now, if one waits; the one before it is closed. On the judge's thread."""
        with self._lock:
            model, self._next = self._next, None
        if model is not None:
            old, self.live = self.live, model
            if old is not None:
                close_judge(old.judge)
        return model

    def close(self) -> None:
        """Closes both."""
        for model in (self.live, self._next):
            if model is not None:
                close_judge(model.judge)
        self.live = self._next = None


class ModelLoader:
    """Loads, checks and warms one deployment at a time on a thread of its own; the newest request wins."""

    def __init__(
        self,
        load_judge: LoadJudge,
        stations: list[StationConfig],
        *,
        on_ready: Callable[[LiveModel], None],
        on_failed: Callable[[DeploymentConfig, str], None],
    ) -> None:
        self._load_judge = load_judge
        self._stations = stations
        self._on_ready = on_ready
        self._on_failed = on_failed
        self._condition = threading.Condition()
        self._wanted: DeploymentConfig | None = None
        self._is_stopping = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Starts the thread."""
        self._thread = threading.Thread(target=self._run, name="model-loader", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 30.0) -> None:
        """Ends after the model that is being loaded."""
        with self._condition:
            self._is_stopping = True
            self._condition.notify_all()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def request(self, deployment: DeploymentConfig) -> None:
        """Asks for a deployment; one that still waits fails as superseded."""
        with self._condition:
            waiting, self._wanted = self._wanted, deployment
            self._condition.notify_all()
        if waiting is not None:
            self._on_failed(waiting, f"superseded by deployment {deployment.id}")

    def _run(self) -> None:
        while True:
            with self._condition:
                while self._wanted is None and not self._is_stopping:
                    self._condition.wait(1.0)
                deployment, self._wanted = self._wanted, None
                if self._is_stopping or deployment is None:
                    return
            self._load(deployment)

    def _load(self, deployment: DeploymentConfig) -> None:
        judge: Judge | None = None
        try:
            judge = self._load_judge(deployment)
            warm_up(judge, self._stations)
        except Exception as error:
            logger.exception("deployment %d cannot be used", deployment.id)
            if judge is not None:
                close_judge(judge)
            self._on_failed(deployment, f"{type(error).__name__}: {error}")
            return
        self._on_ready(LiveModel(deployment=deployment, judge=judge))


def close_judge(judge: Judge) -> None:
    """Closes a model; what goes wrong there no longer matters to any part."""
    try:
        judge.close()
    except Exception:
        logger.exception("a model did not close")
