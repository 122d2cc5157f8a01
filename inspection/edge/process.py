"""`manage.py run_line`: everything that one line's process does."""

import fcntl
import logging
import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from enum import Enum, auto
from queue import SimpleQueue
from types import TracebackType
from typing import IO, Self

import django.db
import redis
from django.conf import settings
from django.db import close_old_connections
from django.utils import timezone

from inspection.bus import liveness, wake
from inspection.bus.liveness import LineStatus
from inspection.events import PartJudged, PlcChanged
from inspection.line import events as line_events
from inspection.line.config import LineConfig
from inspection.line.delivery import Delivery
from inspection.line.records import Record
from inspection.line.runtime import LineRuntime
from inspection.models import Line
from inspection.services.delivery import deliver_records, last_sequence
from inspection.services.lines import kept_line_config, line_config, line_folder, write_line_config
from inspection.serving_judge import JudgeLoader
from ml.serving.engines import Running
from ml.serving.machine import cores

from .clerk import Clerk, first_deployment
from .feed import LiveFeed
from .intake import Intake
from .mechanic import Mechanic
from .worker import Worker

logger = logging.getLogger(__name__)


class LineRunsAlready(RuntimeError):
    """Another process runs this line."""


class LineLock(AbstractContextManager):
    """One process a line: two would write one journal and answer one PLC."""

    def __init__(self, slug: str) -> None:
        self._path = line_folder(slug) / "lock"
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = self._path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            raise LineRunsAlready(f"The line {self._path.parent.name} is run by another process.") from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        self._file = file
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()


def load_config(slug: str) -> LineConfig:
    """The line's settings: from the database, or as it last ran where the database is away.

    Raises:
        Line.DoesNotExist: there is no such line.
        LineUnusable: its settings make no line.
        ConfigError: the database is away, and nothing usable was kept.
    """
    try:
        line = Line.objects.prefetch_related("stations").get(slug=slug)
        config = line_config(line, deployment=first_deployment(line))
        config = replace(config, not_below=last_sequence(line) or 0)
    except django.db.Error as error:
        logger.warning("the database is away (%s); the line starts with what it kept", error)
        return kept_line_config(slug)
    finally:
        close_old_connections()
    write_line_config(config)
    return config


class LineProcess:
    """A line at work, with everything around it. `start`, then `stop`.

    Args:
        config: what it runs by.
        on_new_settings: called once when the database has other settings than these.
    """

    def __init__(self, config: LineConfig, on_new_settings: Callable[[], None]) -> None:
        self._slug = config.line
        self._started_at = timezone.now().isoformat()
        threads = settings.SERVING_THREADS or cores()
        loader = JudgeLoader(Running(threads, batches=(1, len(config.stations))))
        self._engines = loader.engines
        self.runtime = LineRuntime(config, loader)
        self._feed = LiveFeed()
        self._delivery = Delivery(self.runtime.journal, self._deliver)
        self._clerk = Clerk(
            self._slug, self.runtime, self._feed, lambda key: self._engines.get(key, ""), on_new_settings
        )
        self._mechanic = Mechanic(
            self._slug, self.runtime, lambda key: self._engines.get(key, ""), self._clerk.reload
        )
        self._intake = Intake(self._slug, self.runtime, self._feed)
        self._door = wake.Door(self._slug)
        self._workers = [
            Worker("clerk", self._clerk.step),
            Worker("mechanic", self._mechanic.step),
            Worker("door", self._listen),
            Worker("intake", self._intake.step),
            Worker("sign-of-life", self._announce),
        ]
        self._resting = threading.Event()
        self.runtime.subscribe(self._clerk.heard)
        self.runtime.subscribe(self._heard)

    def start(self) -> None:
        """Raises:
        JournalError: the line's folder can't be used.
        ConfigError: a source can't be used.
        """
        self.runtime.start()
        self._feed.start()
        self._delivery.start()
        for worker in self._workers:
            worker.start()

    def stop(self) -> None:
        """Within seconds: the line first, then what is around it."""
        self._resting.set()
        self._mechanic.stop()
        self.runtime.stop()
        self._clerk.knock()
        for worker in self._workers:
            worker.stop()
        self._intake.stop()
        self._delivery.stop()
        self._feed.stop()
        self._door.close()
        try:
            liveness.withdraw(self._slug)
        except redis.RedisError:
            logger.info("Redis is away; the sign of life expires by itself")

    def _listen(self) -> None:
        if self._door.heard():
            self._clerk.knock()

    def _announce(self) -> None:
        seen = self.runtime.snapshot()
        liveness.announce(
            self._slug,
            LineStatus(
                pid=os.getpid(),
                started_at=self._started_at,
                state=seen["state"],
                deployment=seen["deployment"],
                model_version=seen["model_version"],
                engine=self._engines.get(seen["deployment"], ""),
                waiting=seen["waiting"],
                unstored=seen["unstored"],
                delivery_error=self._delivery.error,
                plc=seen["plc"],
                revision=self.runtime.config.revision,
            ),
        )
        self._resting.wait(liveness.ANNOUNCE_EVERY_S)

    def _heard(self, event: line_events.Event) -> None:
        match event:
            case line_events.EvidenceStored(sequence=sequence):
                self._feed.evidence_stored(sequence)
            case line_events.PlcStateChanged(state=state):
                self._feed.tell(PlcChanged(line=self._slug, plc=asdict(state)))

    def _deliver(self, records: list[Record]) -> None:
        """Raises:
        django.db.Error: the database is away; the same records come again.
        """
        close_old_connections()
        try:
            line = Line.objects.get(slug=self._slug)
            delivered = deliver_records(line=line, records=records, on_conflict=self._conflict)
        finally:
            close_old_connections()
        for stored in delivered:
            self._feed.part_delivered(PartJudged.of(stored.part, stored.views))

    def _conflict(self, sequences: list[int]) -> None:
        self.runtime.alarms.raise_alarm(
            "journal_conflict",
            f"the database has other parts under the numbers {sequences[0]} to {sequences[-1]}: "
            "these verdicts are in the journal only",
            lasts=True,
        )


class Order(Enum):
    """What a line's process is told while it runs."""

    STOP = auto()
    TAKE_NEW_SETTINGS = auto()


def run_line(orders: SimpleQueue[Order], slug: str, *, on_ready: Callable[[], None] = lambda: None) -> None:
    """Runs a line until it is ordered to stop; with new settings it stops between two parts and starts anew.

    Args:
        orders: signal handlers may put into it.
        slug: the line's.
        on_ready: called at the first start and after each one with new settings.

    Raises:
        LineRunsAlready: another process runs it.
        Line.DoesNotExist, LineUnusable, ConfigError: see `load_config`.
        JournalError: the line's folder can't be used.
    """
    order = Order.TAKE_NEW_SETTINGS
    with LineLock(slug):
        while order is not Order.STOP:
            process = LineProcess(load_config(slug), lambda: orders.put(Order.TAKE_NEW_SETTINGS))
            process.start()
            on_ready()
            try:
                order = orders.get()
            finally:
                process.stop()
