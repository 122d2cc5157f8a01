"""Keeps a line and its records in the database in step: what is deployed, what is live, what is wrong.

By comparing, not by passing messages on: whatever was missed while the database was away is put right at the
next look, and saying the same twice changes nothing.
"""

import logging
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from django.db import close_old_connections
from django.utils import timezone

from inspection import selectors
from inspection.events import AlarmCleared, AlarmRaised
from inspection.line import events as line_events
from inspection.line.config import DeploymentConfig
from inspection.line.runtime import LineRuntime
from inspection.models import Deployment, Line
from inspection.services import alarms, deployments
from inspection.services.lines import (
    LineUnusable,
    deployment_config,
    line_config,
    line_folder,
    settings_revision,
    write_line_config,
)
from inspection.serving_judge import map_scale
from ml.serving.artefact import ArtefactError
from ml.serving.measured import copy_measured
from ml.serving.quantised import SERVING

from .feed import LiveFeed

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 5.0
_ALARM_NO_MODEL = "model"
_ALARM_SETTINGS = "settings"


class Clerk:
    """One line's.

    Args:
        slug: the line's.
        runtime: at work.
        feed: for the pages.
        engine_of: what serves a deployment's model, by the deployment's id.
        on_new_settings: called once when the line's settings are others than those it runs by.
    """

    def __init__(
        self,
        slug: str,
        runtime: LineRuntime,
        feed: LiveFeed,
        engine_of: Callable[[int], str],
        on_new_settings: Callable[[], None],
    ) -> None:
        self._slug = slug
        self._runtime = runtime
        self._feed = feed
        self._engine_of = engine_of
        self._on_new_settings = on_new_settings
        self._is_outdated = False
        self._news = threading.Event()
        self._loading: int | None = runtime.config.deployment.id if runtime.config.deployment else None
        self._live: int | None = None
        self._reported: tuple[int, str] | None = None
        self._reload: int | None = None
        self._failures: dict[int, str] = {}
        self._raised_at: dict[str, datetime] = {}

    def knock(self) -> None:
        """There may be something new."""
        self._news.set()

    def reload(self, deployment_id: int) -> None:
        """A deployment's model is to be loaded again, if it still judges and nothing newer waits."""
        self._reload = deployment_id
        self._news.set()

    def heard(self, event: line_events.Event) -> None:
        """What the runtime tells, on its events' thread."""
        match event:
            case line_events.DeploymentLive(deployment=deployment):
                self._live, self._loading = deployment.id, None
                write_line_config(replace(self._runtime.config, deployment=deployment))
                self._runtime.alarms.clear(_ALARM_NO_MODEL)
            case line_events.DeploymentFailed(deployment=deployment, reason=reason):
                self._failures[deployment.id], self._loading = reason, None
                if self._runtime.deployment is None:
                    self._runtime.alarms.raise_alarm(
                        _ALARM_NO_MODEL, f"no model could be loaded: {reason}", lasts=True
                    )
            case line_events.AlarmRaised(code=code, at=at):
                self._raised_at[code] = at
            case line_events.AlarmCleared():
                pass
            case _:
                return
        self._news.set()

    def step(self) -> None:
        """Waits for news, for some seconds at most, and puts everything in step.

        Raises:
            django.db.Error: the database is away.
        """
        self._news.wait(LOOK_EVERY_S)
        self._news.clear()
        close_old_connections()
        try:
            self.look()
        finally:
            close_old_connections()

    def look(self) -> None:
        """Raises:
        django.db.Error: the database is away; nothing is forgotten.
        """
        line = Line.objects.prefetch_related("stations").get(slug=self._slug)
        self._report_deployments()
        self._report_alarms(line)
        self._take_deployment(line)
        self._follow_settings(line)

    def _report_deployments(self) -> None:
        live = self._live
        if live is not None and (live, self._engine_of(live)) != self._reported:
            engine = self._engine_of(live)
            deployments.mark_live(deployment_id=live, engine=engine)
            self._reported = live, engine
            self._remove_other_models()
        for deployment_id, reason in list(self._failures.items()):
            deployments.mark_failed(deployment_id=deployment_id, error=reason)
            del self._failures[deployment_id]

    def _remove_other_models(self) -> None:
        deployment = self._runtime.deployment
        if deployment is None or self._loading is not None:
            return
        in_force = Path(deployment.artefact)
        for folder in in_force.parent.iterdir():
            if folder != in_force:
                shutil.rmtree(folder, ignore_errors=True)

    def _report_alarms(self, line: Line) -> None:
        standing = self._runtime.alarms.standing
        known = {alarm.code for alarm in selectors.raised_alarms(line)}
        for code in standing.keys() - known:
            raised_at = self._raised_at.pop(code, None) or timezone.now()
            alarm, _ = alarms.raise_alarm(line=line, code=code, message=standing[code], raised_at=raised_at)
            self._feed.tell(AlarmRaised.of(alarm))
        for code in known - standing.keys():
            for alarm in alarms.clear_alarm(line=line, code=code, cleared_at=timezone.now()):
                self._feed.tell(AlarmCleared(line=self._slug, id=alarm.pk, code=code))

    def _follow_settings(self, line: Line) -> None:
        """Settings that make no line are an alarm: the line goes on by those it has."""
        if self._is_outdated or settings_revision(line) == self._runtime.config.revision:
            self._runtime.alarms.clear(_ALARM_SETTINGS)
            return
        try:
            line_config(line)
        except LineUnusable as error:
            self._runtime.alarms.raise_alarm(
                _ALARM_SETTINGS, f"the line's new settings can't be used: {error}", lasts=True
            )
            return
        logger.info(
            "the settings were changed: the line stops between two parts and starts with the new ones"
        )
        self._is_outdated = True
        self._on_new_settings()

    def _take_deployment(self, line: Line) -> None:
        """Loads what waits, one at a time: the model in force is never given up for one that fails."""
        if self._loading is not None:
            return
        pending = selectors.pending_deployment(line)
        if pending is None:
            self._load_again()
        if pending is None or pending.pk in self._failures:
            return
        self._loading = pending.pk
        try:
            wanted = local_deployment(pending)
        except (OSError, ValueError, ArtefactError) as error:
            logger.exception("deployment %d can't be brought here", pending.pk)
            self._loading = None
            self._failures[pending.pk] = f"The model's files can't be brought here: {error}"
            self._news.set()
            return
        self._runtime.deploy(wanted)

    def _load_again(self) -> None:
        wanted, self._reload = self._reload, None
        live = self._runtime.deployment
        if live is not None and live.id == wanted:
            self._loading = live.id
            self._runtime.deploy(live)


def local_deployment(deployment: Deployment) -> DeploymentConfig:
    """A deployment whose model lies in the line's own folder, so that the line needs no central store.

    Raises:
        OSError: the model's files can't be copied.
        ArtefactError: they are not what was exported.
        ValueError: the operating point makes no thresholds.
    """
    source = deployment.operating_point.model_version.artefact_path
    target = line_folder(deployment.line.slug) / "models" / source.name
    if not target.is_dir():
        draft = target.with_name(f"{target.name}.draft")
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(source, draft, ignore=shutil.ignore_patterns(SERVING))
        draft.rename(target)
    copy_measured(source, target)
    return replace(deployment_config(deployment, artefact=target), map_max=map_scale(target))


def first_deployment(line: Line) -> DeploymentConfig | None:
    """What a line begins with: what was live when it stopped.

    A pending one comes after it, so that the line judges if the new one fails.
    """
    live = selectors.live_deployment(line)
    if live is None:
        return None
    try:
        return local_deployment(live)
    except (OSError, ValueError, ArtefactError):
        logger.exception("the live deployment %d can't be brought here", live.pk)
        return None
