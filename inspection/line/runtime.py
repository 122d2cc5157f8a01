"""A line at work: triggers and frames in, one verdict a part, journal, then the PLC.

Threads: the PLC link, the collector (and the sources' own), the judge, and beside them the model loader, the
evidence writer and the events' thread, none of which the judge waits for.
"""

import logging
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from inspection.line.answers import AnswerBook
from inspection.line.collector import Collector
from inspection.line.config import DeploymentConfig, LineConfig
from inspection.line.counters import Counters
from inspection.line.events import (
    AlarmBoard,
    DeploymentFailed,
    DeploymentLive,
    EventHub,
    Listener,
    PartAnswered,
    PartJudged,
    PlcStateChanged,
)
from inspection.line.evidence import EvidenceWriter
from inspection.line.frames import Frame
from inspection.line.journal import Journal, JournalError
from inspection.line.judge import LoadJudge, PartVerdict, judge_part, part_error
from inspection.line.models import LiveModel, ModelLoader, ModelSlot
from inspection.line.parts import ORIGIN_API, Inbox, PartJob
from inspection.line.recording import answer_record, part_record, plc_result, with_error
from inspection.line.records import Record
from inspection.line.sources import Push, Source, make_sources
from inspection.line.store import RecordStore
from inspection.plc.client import PlcLink
from inspection.plc.clock import utc_now
from inspection.plc.link import Answer, PartResult, PlcState
from inspection.plc.registers import ErrorCode, ResultCode, Status
from inspection.plc.simple import SimpleLink

logger = logging.getLogger(__name__)

LASTING_ALARMS = {"plc_connection", "plc_heartbeat", "not_acknowledged"}
IDLE_S = 0.1
# So long the parts that wait are still judged when the line stops; a part after that is ERROR.
LEAVE_S = 3.0


class InspectionTimeoutError(TimeoutError):
    """The line was too busy for a bench inspection."""


class LineRuntime:
    """One production line.

    Args:
        config: the line's settings.
        load_judge: loads a model, checks its parity, and raises where it must not be used.
        sources: in place of those that the settings name, by station.
    """

    def __init__(
        self, config: LineConfig, load_judge: LoadJudge, *, sources: Mapping[str, Source] | None = None
    ) -> None:
        self.config = config
        self.folder = Path(config.folder)
        self.journal = Journal(self.folder / "journal", config.journal)
        self.events = EventHub()
        self.alarms = AlarmBoard(self.events)
        self.counters = Counters()
        self.lot = config.lot
        self._stations = {station.name: station for station in config.stations}
        self._inbox = Inbox()
        self._link = self._make_link()
        self._sources = dict(sources or {}) or make_sources(
            config.stations, takes_old_files=config.plc is None
        )
        triggers = self._link.triggers if isinstance(self._link, PlcLink) else None
        self._collector = Collector(config, self._sources, self._inbox, triggers, self.alarms)
        self._evidence = EvidenceWriter(
            self.folder,
            self.events,
            self.alarms,
            depth=config.evidence_depth,
            keep_parts=config.keep_evidence_parts,
        )
        self._store = RecordStore(self.journal, self.alarms)
        self._loader = ModelLoader(
            load_judge, config.stations, on_ready=self._model_ready, on_failed=self._model_failed
        )
        self._models = ModelSlot()
        self._sequence = 0
        self._answers = AnswerBook()
        self._busy_since_s: float | None = None
        self._stopping = threading.Event()
        self._is_leaving = False
        self._is_started = False
        self._thread: threading.Thread | None = None

    def _make_link(self) -> PlcLink | SimpleLink | None:
        plc = self.config.plc
        if plc is None:
            return None
        kind = PlcLink if plc.profile == "handshake" else SimpleLink
        return kind(plc, self, deadline_s=self.config.deadline_s)

    @property
    def state(self) -> str:
        """`stopped`, `no model`, `fault` or `running`."""
        if not self._is_started or self._stopping.is_set():
            return "stopped"
        if self._models.live is None:
            return "no model"
        return "running" if self.is_healthy() and not self._is_faulty() else "fault"

    @property
    def deployment(self) -> DeploymentConfig | None:
        """The deployment that judges now."""
        live = self._models.live
        return live.deployment if live is not None else None

    def subscribe(self, listener: Listener) -> None:
        """Adds a listener for events; it is called on the events' thread."""
        self.events.subscribe(listener)

    def start(self) -> None:
        """Opens the journal, starts everything, and loads the deployment of the settings, if there is one.

        Raises:
            JournalError: the line's folder cannot be used.
            ConfigError: a source cannot be used.
        """
        self.journal.open(self.config.line)
        self._sequence = max(self.journal.last_sequence, self.config.not_below)
        self._is_started = True
        self.events.start()
        self._evidence.start()
        self._loader.start()
        self._thread = threading.Thread(target=self._run, name="judge", daemon=True)
        self._thread.start()
        try:
            self._collector.start()
        except ValueError:
            self.stop()
            raise
        self._publish_status()
        if self._link is not None:
            self._link.start()
        if self.config.deployment is not None:
            self.deploy(self.config.deployment)

    def stop(self, timeout_s: float = 10.0) -> None:
        """Stops in the order that leaves no part without a word.

        Not ready any more, no more parts; those that wait get their verdicts; then the link, once the PLC has
        its last results; the journal last of all.
        """
        if not self._is_started:
            return
        self._is_leaving = True
        self._publish_status()
        if isinstance(self._link, PlcLink):
            self._link.take_no_more()
        self._collector.stop(timeout_s)
        self._stopping.set()
        self._inbox.wake()
        if self._thread is not None:
            self._thread.join(timeout_s)
        if self._link is not None:
            self._link.stop(timeout_s)
        self._store_last_answers()
        self._loader.stop(timeout_s)
        self._models.close()
        self._evidence.stop(timeout_s)
        try:
            self.journal.close()
        except JournalError:
            logger.exception("the journal could not be synced at the end")
        self.events.stop(timeout_s)
        self._is_started = False

    def _store_last_answers(self) -> None:
        """What the PLC was given after the judge's thread had ended."""
        if self._thread is not None and self._thread.is_alive():
            logger.error("the judge is stuck; what the PLC was given at the end is not in the journal")
            return
        self._store_answers()
        self._store.retry()

    def deploy(self, deployment: DeploymentConfig) -> None:
        """Asks for a model: loaded, checked and warmed beside the running one, swapped in between two parts.

        `DeploymentLive` or `DeploymentFailed` tells how it ended.
        """
        self._loader.request(deployment)

    def push(self, station: str, frame: Frame) -> bool:
        """Hands a frame to a push station; False where the line has no room for it.

        Raises:
            KeyError: no such station.
            TypeError: the station has a source of its own.
        """
        source = self._sources[station]
        if not isinstance(source, Push):
            raise TypeError(f"station {station} takes no pushed frames")
        return source.push(frame)

    def inspect(self, frames: Mapping[str, Frame], *, serial: str = "", timeout_s: float = 30.0) -> Record:
        """Judges frames on the bench: by the live model, between two parts, journaled, never told to the PLC.

        Args:
            frames: by station, one or more of the line's.
            serial: for the record.
            timeout_s: how long to wait for a pause between parts.

        Returns:
            The journal's record.

        Raises:
            KeyError: no such station.
            InspectionTimeoutError: it was not judged in time, or the line does not run.
        """
        if not self._is_started:
            raise InspectionTimeoutError("the line does not run")
        for name in frames:
            self._stations[name]
        done: Future[Record] = Future()
        now_s = time.monotonic()
        self._inbox.put(
            PartJob(
                origin=ORIGIN_API,
                frames=frames,
                begun_at=utc_now(),
                begun_s=now_s,
                acquired_s=now_s,
                serial=serial,
                done=done,
            )
        )
        try:
            return done.result(timeout_s)
        except TimeoutError as error:
            done.cancel()
            raise InspectionTimeoutError(f"not judged within {timeout_s:g} s") from error

    def snapshot(self) -> dict[str, Any]:
        """The line as the live page shows it."""
        deployment, link = self.deployment, self._link
        return {
            "line": self.config.line,
            "state": self.state,
            "lot": self.lot,
            "sequence": self._sequence,
            "waiting": len(self._inbox),
            "unstored": self._store.unstored,
            "deployment": deployment.id if deployment else None,
            "model_version": deployment.model_version if deployment else None,
            "is_simulated": self.config.is_simulated,
            "alarms": self.alarms.standing,
            "plc": asdict(link.state) if link is not None else None,
            **self.counters.snapshot(),
        }

    # What the PLC link tells, on its thread.

    def is_healthy(self) -> bool:
        """False where a thread died or the judge is stuck: the heartbeat then stops, and so does the line."""
        is_alive = self._thread is not None and self._thread.is_alive() and self._collector.is_alive
        busy_since_s = self._busy_since_s
        return is_alive and (busy_since_s is None or time.monotonic() - busy_since_s < self.config.stall_s)

    def part_answered(self, answer: Answer) -> None:
        """Keeps an answer for the journal."""
        self._answers.given(answer)
        self._inbox.wake()

    def plc_state_changed(self, state: PlcState) -> None:
        """Passes the PLC's state on."""
        self.events.emit(PlcStateChanged(state=state))

    def plc_alarm(self, code: str, message: str) -> None:
        """Raises an alarm of the link's."""
        self.alarms.raise_alarm(code, message, lasts=code in LASTING_ALARMS)

    def plc_alarm_cleared(self, code: str) -> None:
        """Clears an alarm of the link's."""
        self.alarms.clear(code)

    def fault_reset(self) -> None:
        """Clears the alarms that tell of something past."""
        self.alarms.clear_held(even_if_young=True)

    # What the loader tells, on its thread.

    def _model_ready(self, model: LiveModel) -> None:
        overtaken = self._models.offer(model)
        if overtaken is not None:
            self._model_failed(overtaken.deployment, f"superseded by deployment {model.deployment.id}")
        self._inbox.wake()

    def _model_failed(self, deployment: DeploymentConfig, reason: str) -> None:
        self.events.emit(DeploymentFailed(deployment=deployment, reason=reason))

    # The judge's thread.

    def _run(self) -> None:
        while not self._stopping.is_set():
            job = self._inbox.get(IDLE_S)
            self._step(job)
        leaves_s = time.monotonic() + LEAVE_S
        for job in self._inbox.drain():
            is_left = time.monotonic() > leaves_s and job.done is None
            self._step(replace(job, error_code=ErrorCode.INTERNAL) if is_left else job)
        self._step(None)

    def _step(self, job: PartJob | None) -> None:
        """One part, where there is one, and what is done between two parts."""
        try:
            self._swap()
            if job is not None:
                self._handle(job)
            self._store_answers()
            self._store.retry()
            self._publish_status()
            self.alarms.clear_held()
        except Exception:
            logger.exception("the judge's thread failed on a part")
            if job is not None:
                self._answer_failure(job)

    def _swap(self) -> None:
        model = self._models.swap()
        if model is not None:
            logger.info("deployment %d is live", model.deployment.id)
            self.events.emit(DeploymentLive(deployment=model.deployment))

    def _handle(self, job: PartJob) -> None:
        if job.done is not None and not self._is_wanted(job.done):
            return
        self._busy_since_s = time.monotonic()
        try:
            record, verdict = self._judge(job)
        except Exception:
            logger.exception("a part could not be judged and recorded as it was")
            record, verdict = self._judge(replace(job, frames={}, error_code=ErrorCode.INTERNAL))
        finally:
            self._busy_since_s = None
        self._answer(job, record, verdict)
        self.counters.count(record)
        self.events.emit(PartJudged(record=record))
        if job.done is not None:
            job.done.set_result(record)

    def _is_wanted(self, done: Future[Record]) -> bool:
        """Whether a bench inspection is still waited for, and the line not on its way out."""
        if not done.set_running_or_notify_cancel():
            return False
        if self._stopping.is_set():
            done.set_exception(InspectionTimeoutError("the line was stopped"))
        return not self._stopping.is_set()

    def _judge(self, job: PartJob) -> tuple[Record, PartVerdict]:
        """Judges, decides whether that was in time, and stores: what fails on the way makes an ERROR."""
        begun_s = time.monotonic()
        stations = [
            station
            for station in self.config.stations
            if job.done is None or not job.frames or station.name in job.frames
        ]
        live = self._models.live
        if job.error_code:
            verdict = part_error(job.error_code, "the part was not judged", stations)
        else:
            verdict = judge_part(
                job.frames,
                stations=stations,
                rule=self.config.rule,
                judge=live.judge if live else None,
                deployment=live.deployment if live else None,
            )
        judged_s = time.monotonic()
        self._sequence += 1
        record, files = part_record(
            job,
            verdict,
            config=self.config,
            deployment=live.deployment if live else None,
            sequence=self._sequence,
            lot=self.lot,
            times_ms={
                "acquire_ms": 1000 * (job.acquired_s - job.begun_s),
                "wait_ms": 1000 * (begun_s - job.acquired_s),
                "judge_ms": 1000 * (judged_s - begun_s),
                "journal_ms": self._store.last_ms,
            },
        )
        if job.deadline_s is not None and judged_s > job.deadline_s and not job.error_code:
            record = with_error(record, ErrorCode.LATE, "judged after the deadline")
        if files and not self._evidence.offer(self._sequence, files):
            record["views"] = [view | {"frame_path": None, "map_path": None} for view in record["views"]]
        record = self._store.append(
            record,
            is_urgent=True,
            if_refused=lambda refused: with_error(
                refused, ErrorCode.STORAGE, "the verdict could not be stored"
            ),
        )
        return record, verdict

    def _answer(self, job: PartJob, record: Record, verdict: PartVerdict) -> None:
        if job.done is not None or self._link is None:
            return
        result = plc_result(record, verdict, self.deployment, self.config.station_bits)
        if isinstance(self._link, SimpleLink):
            self._link.submit(result.result, job.deadline_s)
        elif job.trigger is not None:
            self._answers.expect(job.trigger, record["sequence"])
            self._link.submit(job.trigger, result)

    def _answer_failure(self, job: PartJob) -> None:
        """The last resort: a part on which our own code failed is an ERROR, never silence."""
        result = PartResult(result=ResultCode.ERROR, error_code=ErrorCode.INTERNAL)
        if job.trigger is not None and isinstance(self._link, PlcLink):
            self._link.submit(job.trigger, result)
        elif isinstance(self._link, SimpleLink) and job.done is None:
            self._link.submit(result.result, job.deadline_s)
        if job.done is not None and not job.done.done():
            job.done.set_exception(RuntimeError("internal failure; the line's log has it"))

    def _store_answers(self) -> None:
        for answer, sequence in self._answers.matched():
            record = answer_record(answer, self.config.line, sequence)
            self.counters.count_answer(record)
            if answer.error_code is ErrorCode.LATE:
                self.alarms.raise_alarm("late", "a result came after its part's deadline", lasts=False)
            self._store.append(record, is_urgent=False, if_refused=lambda refused: refused)
            self.events.emit(PartAnswered(record=record))

    def _is_faulty(self) -> bool:
        return "storage" in self.alarms.standing

    def _publish_status(self) -> None:
        if not isinstance(self._link, PlcLink):
            return
        status = Status.SIMULATED_IMAGES if self.config.is_simulated else Status(0)
        if self._models.live is not None:
            status |= Status.MODEL_LOADED
        if self._models.live is not None and not self._is_leaving:
            status |= Status.READY
        if self._is_faulty():
            status |= Status.FAULT
        self._link.set_status(status, recipe=self.deployment.recipe if self.deployment else 0)
