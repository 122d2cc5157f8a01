"""The handshake profile from the line's side: polls the PLC, hands over triggers, writes results.

One thread owns the connection. Everything that decides whether a result may still be given (its order, its
deadline, the connection its trigger came over) is decided here, at the moment of writing.
"""

import logging
import queue
import threading
import time
from collections import deque
from dataclasses import dataclass, replace

from inspection.plc.clock import utc_now
from inspection.plc.config import PlcConfig
from inspection.plc.link import Answer, LinkListener, PartResult, PlcState, Trigger
from inspection.plc.registers import (
    TO_PLC_OFFSET,
    Command,
    ErrorCode,
    FromPlc,
    ImplausibleBlockError,
    ResultCode,
    Status,
    ToPlc,
    sequence_distance,
)
from inspection.plc.session import ModbusSession, PlcUnreachableError
from inspection.plc.watch import Backoff, HeartbeatWatch, SequenceWatch, Step

logger = logging.getLogger(__name__)

CONFIRMATIONS = {Step.GAP: 1, Step.JUMP: 2}
GOODBYE_S = 2.0
"""How long a stop may take to give the results that wait."""
LATE = PartResult(result=ResultCode.ERROR, error_code=ErrorCode.LATE)


@dataclass
class _Pending:
    """A trigger that has no answer yet."""

    trigger: Trigger
    result: PartResult | None = None


class PlcLink:
    """The line's link to a PLC that follows the handshake profile.

    Args:
        config: where the PLC is and how to talk to it.
        listener: told of answers, alarms and state; its methods must return at once.
        deadline_s: from trigger to result; a result later than this is ERROR (late), and a part without one
            by then is answered so by the link itself.
        depth: triggers that may wait in `triggers`; more count as missed, and the PLC passes no such part.
    """

    def __init__(
        self, config: PlcConfig, listener: LinkListener, *, deadline_s: float, depth: int = 256
    ) -> None:
        self.triggers: queue.Queue[Trigger] = queue.Queue(depth)
        self._config = config
        self._listener = listener
        self._deadline_s = deadline_s
        self._session = ModbusSession(config)
        self._watch = SequenceWatch(config.max_gap)
        self._heartbeat_watch = HeartbeatWatch(config.plc_heartbeat_s)
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._pending: deque[_Pending] = deque()
        self._status = Status(0)
        self._out = ToPlc()
        self._state = PlcState()
        self._acknowledge_by_s: float | None = None
        self._heartbeat_due_s = 0.0
        self._command: Command | None = None
        self._is_unread = False
        self._overlooked = 0
        self._takes_triggers = True
        self._goodbye_by_s = 0.0

    @property
    def state(self) -> PlcState:
        """The state as of the last poll."""
        return self._state

    @property
    def waiting(self) -> int:
        """Triggers without an answer."""
        with self._lock:
            return len(self._pending)

    def start(self) -> None:
        """Starts the thread that connects and keeps connecting."""
        self._thread = threading.Thread(target=self._run, name="plc-link", daemon=True)
        self._thread.start()

    def take_no_more(self) -> None:
        """From now on new triggers get no answer, as before the start: the line is stopping."""
        self._takes_triggers = False

    def stop(self, timeout_s: float = 5.0) -> None:
        """Gives the results that wait, says that the line is not ready any more, and waits for the thread."""
        self.take_no_more()
        self._goodbye_by_s = time.monotonic() + min(GOODBYE_S, timeout_s)
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def set_status(self, status: Status, *, recipe: int | None = None) -> None:
        """Sets the bits that the runtime knows of: ready, model loaded, simulated images, fault."""
        with self._lock:
            is_new = status != self._status or (recipe is not None and recipe != self._out.recipe)
            self._status = status
            if recipe is not None:
                self._out = replace(self._out, recipe=recipe)
            if not is_new:
                return
            self._heartbeat_due_s = 0.0
        self._wake.set()

    def submit(self, trigger: Trigger, result: PartResult) -> bool:
        """Hands over a part's result, to be written as soon as those before it are.

        Returns:
            False where the trigger has been answered already (late) or its connection is gone; the listener
            was or will be told what the PLC was given.
        """
        with self._lock:
            for pending in self._pending:
                if pending.trigger is trigger and pending.result is None:
                    pending.result = result
                    break
            else:
                return False
        self._wake.set()
        return True

    def _run(self) -> None:
        backoff = Backoff()
        while not self._stopping.is_set():
            try:
                self._serve(backoff)
            except PlcUnreachableError as error:
                self._drop_connection(str(error))
            except Exception:
                logger.exception("the PLC link failed; it starts over")
                self._drop_connection("internal failure")
            self._session.close()
            self._stopping.wait(backoff.next_s())

    def _serve(self, backoff: Backoff) -> None:
        self._session.connect()
        self._begin_connection()
        backoff.reset()
        while not self._stopping.is_set() or self._has_more_to_say():
            self._wake.wait(self._config.poll_s)
            self._wake.clear()
            self._write_due_results()
            self._poll()
            self._write_due_results()
            self._write_heartbeat()
        self._say_goodbye()

    def _has_more_to_say(self) -> bool:
        """Whether a result waits to be written or acknowledged while the line stops."""
        with self._lock:
            has_result = bool(self._pending) and self._pending[0].result is not None
        is_unread = self._acknowledge_by_s is not None
        return (has_result or is_unread) and time.monotonic() < self._goodbye_by_s

    def _begin_connection(self) -> None:
        """The current sequence first: what was triggered before now is never answered."""
        missed = self._adopt(self._read_settled().trigger_sequence)
        self._heartbeat_watch.start(time.monotonic())
        self._command = None
        self._acknowledge_by_s = None
        self._withdraw_result()
        self._write_out()
        self._change_state(
            is_connected=True,
            error="",
            connections=self._state.connections + 1,
            trigger_sequence=self._watch.last,
            missed=self._state.missed + missed,
        )
        self._listener.plc_alarm_cleared("plc_connection")
        if missed:
            self._listener.plc_alarm(
                "missed_trigger", f"{missed} parts passed while the PLC was not connected"
            )

    def _read_settled(self) -> FromPlc:
        """A block that makes sense and whose sequence was read twice."""
        give_up_s = time.monotonic() + max(1.0, 4 * self._config.timeout_s)
        earlier: FromPlc | None = None
        while time.monotonic() < give_up_s and not self._stopping.is_set():
            block = self._read()
            if block and earlier and sequence_distance(earlier.trigger_sequence, block.trigger_sequence) <= 2:
                return block
            earlier = block
        raise PlcUnreachableError("the PLC's registers make no sense")

    def _read(self) -> FromPlc | None:
        words = self._session.read(self._config.from_base, self._config.from_count)
        try:
            return FromPlc.decode(words)
        except ImplausibleBlockError as error:
            self._state = replace(self._state, implausible=self._state.implausible + 1)
            self._listener.plc_alarm("plc_implausible", f"the PLC's registers make no sense: {error}")
            return None

    def _poll(self) -> None:
        block = self._read()
        now_s = time.monotonic()
        if block is not None:
            self._heartbeat_watch.observe(block.heartbeat, now_s)
            self._take_acknowledge(block)
            if self._takes_triggers:
                self._take_trigger(block)
            self._take_command(block)
        self._check_acknowledge(now_s)
        self._check_heartbeat(now_s)

    def _take_trigger(self, block: FromPlc) -> None:
        step = self._watch.step(block.trigger_sequence)
        if step is Step.SAME:
            return
        received_s, received_at = time.monotonic(), utc_now()
        if not all(self._is_confirmed(block) for _ in range(CONFIRMATIONS.get(step, 0))):
            return
        if step is Step.JUMP:
            self._adopt(block.trigger_sequence)
            self._forget_numbers()
            self._change_state(jumps=self._state.jumps + 1, trigger_sequence=block.trigger_sequence)
            self._listener.plc_alarm(
                "sequence_jump", f"the trigger sequence jumped to {block.trigger_sequence}"
            )
            return
        missed = self._watch.take(block.trigger_sequence)
        self._overlooked += missed
        if missed:
            self._listener.plc_alarm("missed_trigger", f"{missed} missed before {block.trigger_sequence}")
        self._state = replace(
            self._state, missed=self._state.missed + missed, trigger_sequence=block.trigger_sequence
        )
        self._hand_over(
            Trigger(
                sequence=block.trigger_sequence,
                serial=block.serial,
                received_s=received_s,
                received_at=received_at,
                deadline_s=received_s + self._deadline_s,
                connection=self._state.connections,
                overlooked=self._overlooked,
            )
        )

    def _adopt(self, sequence: int) -> int:
        """Goes on from a sequence that is no trigger; returns how many are known to be missed."""
        is_unknown = self._watch.last is not None and self._watch.step(sequence) is Step.JUMP
        missed = self._watch.adopt(sequence)
        # The part whose number the PLC jumped to had a trigger, if no other had.
        self._overlooked += 1 if is_unknown else missed
        return missed

    def _forget_numbers(self) -> None:
        """The PLC counts anew: nothing that was triggered or answered before may meet the new numbers."""
        self._abandon("the trigger sequence jumped")
        self._acknowledge_by_s = None
        self._withdraw_result()
        self._write_out()

    def _withdraw_result(self) -> None:
        with self._lock:
            self._out = replace(self._out, result=ResultCode.NONE, error_code=ErrorCode.NONE, ng_stations=0)

    def _is_confirmed(self, block: FromPlc) -> bool:
        """A second look at a surprising sequence: noise does not repeat itself."""
        again = self._read()
        return again is not None and again.trigger_sequence == block.trigger_sequence

    def _hand_over(self, trigger: Trigger) -> None:
        with self._lock:
            self._pending.append(_Pending(trigger))
        try:
            self.triggers.put_nowait(trigger)
        except queue.Full:
            with self._lock:
                self._pending.pop()
            self._overlooked += 1
            self._change_state(missed=self._state.missed + 1)
            self._listener.plc_alarm("missed_trigger", "nobody takes the triggers")
        else:
            self._overlooked = 0

    def _take_acknowledge(self, block: FromPlc) -> None:
        if block.result_acknowledged != self._out.result_sequence:
            return
        self._is_unread = False
        if self._acknowledge_by_s is None:
            return
        self._acknowledge_by_s = None
        self._heartbeat_due_s = 0.0
        self._state = replace(self._state, acknowledged_sequence=block.result_acknowledged)
        self._listener.plc_alarm_cleared("not_acknowledged")

    def _check_acknowledge(self, now_s: float) -> None:
        if self._acknowledge_by_s is None or now_s < self._acknowledge_by_s:
            return
        self._acknowledge_by_s = None
        self._change_state(unacknowledged=self._state.unacknowledged + 1)
        self._listener.plc_alarm(
            "not_acknowledged", f"the PLC did not acknowledge the result of {self._out.result_sequence}"
        )

    def _check_heartbeat(self, now_s: float) -> None:
        is_missing = self._heartbeat_watch.is_missing(now_s)
        if is_missing == self._state.is_heartbeat_missing:
            return
        self._heartbeat_due_s = 0.0
        self._change_state(is_heartbeat_missing=is_missing)
        if is_missing:
            self._listener.plc_alarm("plc_heartbeat", "the PLC's heartbeat is missing")
        else:
            self._listener.plc_alarm_cleared("plc_heartbeat")

    def _take_command(self, block: FromPlc) -> None:
        earlier, self._command = self._command, block.command
        is_same = block.command == earlier and block.recipe_request == self._state.recipe_request
        if earlier is None or is_same:
            self._state = replace(self._state, command=block.command, recipe_request=block.recipe_request)
            return
        rising = block.command & ~earlier
        if rising & Command.CLEAR_COUNTERS:
            self._state = replace(self._state, ok_count=0, ng_count=0, error_count=0, review_count=0)
        self._change_state(command=block.command, recipe_request=block.recipe_request)
        if rising & Command.RESET_FAULT:
            self._listener.fault_reset()

    def _write_due_results(self) -> None:
        while self._acknowledge_by_s is None:
            with self._lock:
                head = self._pending[0] if self._pending else None
                is_late = head is not None and time.monotonic() > head.trigger.deadline_s
                if head is None or (head.result is None and not is_late):
                    return
                wanted = head.result or LATE
                if is_late and wanted.error_code is not ErrorCode.OVERRUN:
                    wanted = replace(wanted, result=ResultCode.ERROR, error_code=ErrorCode.LATE)
                self._pending.popleft()
            self._give(head.trigger, wanted)

    def _give(self, trigger: Trigger, result: PartResult) -> None:
        if self._is_unread and self._config.sequence_last and result.result is ResultCode.OK:
            # Between the two writes this result stands under the number of the one before, which the PLC has
            # not read yet.
            result = replace(result, result=ResultCode.ERROR, error_code=ErrorCode.INTERNAL)
        self._is_unread = True
        uncounted = self._state
        self._count(result)
        with self._lock:
            self._out = replace(
                self._out,
                result_sequence=trigger.sequence,
                result=result.result,
                error_code=result.error_code,
                ng_stations=result.ng_stations,
                defect_class=result.defect_class,
                score=result.score,
                model_version=result.model_version,
                recipe=result.recipe,
                ok_count=self._state.ok_count,
                ng_count=self._state.ng_count,
                error_count=self._state.error_count,
            )
        self._acknowledge_by_s = time.monotonic() + self._config.acknowledge_s
        try:
            self._write_out()
        except PlcUnreachableError as error:
            self._state = replace(uncounted, unanswered=uncounted.unanswered + 1)
            self._listener.part_answered(
                Answer(trigger=trigger, given=ResultCode.NONE, reason=f"not confirmed: {error}")
            )
            raise
        self._listener.part_answered(
            Answer(
                trigger=trigger,
                given=result.result,
                error_code=result.error_code,
                answered_at=utc_now(),
                answered_s=time.monotonic(),
            )
        )

    def _count(self, result: PartResult) -> None:
        state = self._state
        self._state = replace(
            state,
            ok_count=state.ok_count + (result.result is ResultCode.OK),
            ng_count=state.ng_count + (result.result is ResultCode.NG),
            error_count=state.error_count + (result.result is ResultCode.ERROR),
            review_count=state.review_count + (result.result is ResultCode.REVIEW),
            late=state.late + (result.error_code is ErrorCode.LATE),
        )

    def _full_status(self) -> Status:
        status = self._status
        if self._pending:
            status |= Status.BUSY
        if self._state.is_heartbeat_missing:
            status |= Status.FAULT
        if self._out.result is ResultCode.REVIEW:
            status |= Status.REVIEW_HOLD
        if self._acknowledge_by_s is not None:
            status |= Status.RESULT_VALID
        return status

    def _write_out(self) -> None:
        """The whole block; the result's sequence with it, or last of all."""
        with self._lock:
            self._out = replace(self._out, heartbeat=self._next_heartbeat(), status=self._full_status())
            words = self._out.encode(self._config.word_order)
        base = self._config.to_base + TO_PLC_OFFSET
        if self._config.sequence_last:
            self._session.write(base + 3, words[3:])
            self._session.write(base, words[:3])
        else:
            self._session.write(base, words)
        self._state = replace(self._state, result_sequence=self._out.result_sequence)
        self._heartbeat_due_s = time.monotonic() + self._config.heartbeat_s

    def _write_heartbeat(self) -> None:
        if time.monotonic() < self._heartbeat_due_s:
            return
        with self._lock:
            self._out = replace(self._out, heartbeat=self._next_heartbeat(), status=self._full_status())
            words = self._out.encode(self._config.word_order)[:2]
        self._session.write(self._config.to_base, words)
        self._heartbeat_due_s = time.monotonic() + self._config.heartbeat_s

    def _next_heartbeat(self) -> int:
        return (self._out.heartbeat + self._listener.is_healthy()) % 2**16

    def _say_goodbye(self) -> None:
        self._abandon("the line was stopped")
        with self._lock:
            self._status = Status(0)
            self._out = replace(self._out, result=ResultCode.NONE)
        self._acknowledge_by_s = None
        self._write_out()
        self._change_state(is_connected=False, error="stopped")

    def _drop_connection(self, reason: str) -> None:
        self._abandon(f"connection lost: {reason}")
        if self._state.is_connected or not self._state.error:
            self._change_state(is_connected=False, error=reason)
            self._listener.plc_alarm("plc_connection", f"no connection to the PLC: {reason}")

    def _abandon(self, reason: str) -> None:
        """Triggers of a connection that is gone get no answer; the PLC does not pass their parts."""
        with self._lock:
            abandoned = list(self._pending)
            self._pending.clear()
        self._state = replace(self._state, unanswered=self._state.unanswered + len(abandoned))
        for pending in abandoned:
            self._listener.part_answered(
                Answer(trigger=pending.trigger, given=ResultCode.NONE, reason=reason)
            )

    def _change_state(self, **changes: object) -> None:
        self._state = replace(self._state, **changes)  # type: ignore[arg-type]
        self._listener.plc_state_changed(self._state)
