"""Lets a line judge by the quickest engine of its machine: measures the model once, then has it loaded again.

A line begins with an engine that gives the training's scores, at once. What is quickest is found out beside
it, by processes that yield to it, and taken between two parts like a new deployment.
"""

import logging
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from django.db import close_old_connections

from inspection.line.config import DeploymentConfig
from inspection.line.runtime import LineRuntime
from inspection.serving_judge import quickest
from ml.choices import JobState
from ml.models import ModelVersion
from ml.services import serving
from ml.services.claims import worker_name
from ml.serving.measured import copy_measured

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 5.0


class Mechanic:
    """One line's.

    Args:
        slug: the line's.
        runtime: at work.
        engine_of: what serves a deployment's model, by the deployment's id.
        reload: has a deployment's model loaded again.
    """

    def __init__(
        self,
        slug: str,
        runtime: LineRuntime,
        engine_of: Callable[[int], str],
        reload: Callable[[int], None],
    ) -> None:
        self._name = worker_name(f"line-{slug}")
        self._runtime = runtime
        self._engine_of = engine_of
        self._reload = reload
        self._stopping = threading.Event()
        self._settled: tuple[int, datetime | None] | None = None

    def stop(self) -> None:
        """A measurement under way ends after its present step, and is queued again."""
        self._stopping.set()

    def step(self) -> None:
        """Waits for some seconds, and looks.

        Raises:
            django.db.Error: the database is away; the line judges as it does.
        """
        if self._stopping.wait(LOOK_EVERY_S):
            return
        close_old_connections()
        try:
            self.look()
        finally:
            close_old_connections()

    def look(self) -> None:
        """Measures the model in force where that was not done on this machine, and acts upon it once.

        Raises:
            django.db.Error: the database is away.
        """
        live = self._runtime.deployment
        version = ModelVersion.objects.filter(pk=live.model_version).first() if live else None
        if live is None or version is None:
            return
        serving.measure_version(version, worker=self._name, stop=self._stopping.is_set)
        row = serving.measurement_here(version)
        if row is None or row.state != JobState.DONE or self._settled == (live.id, row.finished_at):
            return
        self._settled = live.id, row.finished_at
        copy_measured(version.artefact_path, Path(live.artefact))
        self._take_quickest(live)

    def _take_quickest(self, live: DeploymentConfig) -> None:
        allowed = quickest(Path(live.artefact), live)
        if allowed and allowed[0].title != self._engine_of(live.id):
            logger.info(
                "deployment %d goes from %s to %s, the quickest here",
                live.id, self._engine_of(live.id), allowed[0].title,
            )  # fmt: skip
            self._reload(live.id)
