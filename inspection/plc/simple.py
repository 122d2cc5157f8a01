"""The simple profile from the line's side: one coil or register that means "reject this part"."""

import logging
import queue
import threading
import time
from dataclasses import replace

from inspection.plc.config import PlcConfig
from inspection.plc.link import LinkListener, PlcState
from inspection.plc.registers import ResultCode
from inspection.plc.session import ModbusSession, PlcUnreachableError
from inspection.plc.watch import Backoff

logger = logging.getLogger(__name__)

ALIVE_S = 1.0


class SimpleLink:
    """Sets the reject output for every result but OK: for the pulse's time, or until the PLC resets it.

    Without a pulse the line only ever sets the output: a reset of its own, at the next OK, a reconnection or
    a stop, could let the part pass that waits at the gate. What the output is, is read.

    A reject that the PLC could not be given by its part's deadline is never given later, when another part
    may be at the gate: it is alarmed instead.
    """

    def __init__(
        self, config: PlcConfig, listener: LinkListener, *, deadline_s: float, depth: int = 256
    ) -> None:
        self._config = config
        self._listener = listener
        self._deadline_s = deadline_s
        self._session = ModbusSession(config)
        self._results: queue.Queue[tuple[ResultCode, float] | None] = queue.Queue(depth)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._state = PlcState()
        self._off_at_s: float | None = None

    @property
    def state(self) -> PlcState:
        """The connection's state."""
        return self._state

    def start(self) -> None:
        """Starts the thread that connects and keeps connecting."""
        self._thread = threading.Thread(target=self._run, name="plc-link", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Gives what waits, ends a pulse in its time, closes, and waits for the thread."""
        self._stopping.set()
        try:
            self._results.put_nowait(None)
        except queue.Full:
            logger.warning("results that the PLC did not take are dropped")
        if self._thread is not None:
            self._thread.join(timeout_s)

    def submit(self, result: ResultCode, deadline_s: float | None = None) -> bool:
        """Hands over a part's result.

        Args:
            result: the part's.
            deadline_s: the part's own, on the monotonic clock; counted from now where it has none.

        Returns:
            False where so many wait that it would be given to another part, or the link is stopped.
        """
        if self._stopping.is_set():
            if result is not ResultCode.OK:
                self._listener.plc_alarm("reject_not_given", "the line was stopped before a reject was given")
            return False
        try:
            self._results.put_nowait((result, deadline_s or time.monotonic() + self._deadline_s))
        except queue.Full:
            self._listener.plc_alarm("reject_not_given", "the PLC does not take results")
            return False
        return True

    def _run(self) -> None:
        backoff = Backoff()
        while not self._stopping.is_set():
            try:
                self._session.connect()
                self._read_output()
                self._change_state(is_connected=True, error="", connections=self._state.connections + 1)
                self._listener.plc_alarm_cleared("plc_connection")
                backoff.reset()
                self._serve()
            except PlcUnreachableError as error:
                self._drop_connection(str(error))
            except Exception:
                logger.exception("the PLC link failed; it starts over")
                self._drop_connection("internal failure")
            self._session.close()
            self._stopping.wait(backoff.next_s())
        self._refuse_rest()

    def _refuse_rest(self) -> None:
        """What a PLC that is away at the end was not given."""
        while not self._results.empty():
            entry = self._results.get_nowait()
            if entry is not None and entry[0] is not ResultCode.OK:
                self._listener.plc_alarm("reject_not_given", "the line was stopped before a reject was given")

    def _serve(self) -> None:
        while True:
            is_stopping = self._stopping.is_set()
            entry = self._next(is_stopping)
            if entry is not None:
                self._give(*entry)
            if self._is_pulse_over():
                self._set_output(is_on=False)
            if is_stopping and entry is None and self._off_at_s is None:
                return

    def _next(self, is_stopping: bool) -> tuple[ResultCode, float] | None:
        wait_s = 0.0 if is_stopping else ALIVE_S
        if self._off_at_s is not None:
            wait_s = min(ALIVE_S, max(0.0, self._off_at_s - time.monotonic()))
        try:
            return self._results.get(timeout=wait_s)
        except queue.Empty:
            if self._off_at_s is None and not is_stopping:
                self._read_output()  # a quiet line notices a lost PLC too
            return None

    def _is_pulse_over(self) -> bool:
        return self._off_at_s is not None and time.monotonic() >= self._off_at_s

    def _give(self, result: ResultCode, deadline_s: float) -> None:
        is_reject = result is not ResultCode.OK
        if time.monotonic() > deadline_s:
            if is_reject:
                self._listener.plc_alarm("reject_not_given", "a reject could not be given in time")
            return
        try:
            if is_reject:
                self._set_output(is_on=True)
        except PlcUnreachableError:
            if is_reject:
                self._listener.plc_alarm("reject_not_given", "the PLC did not confirm a reject")
            raise

    def _set_output(self, *, is_on: bool) -> None:
        output = self._config.simple
        if output.kind == "coil":
            self._session.write_coil(output.address, bool(output.on_value if is_on else output.off_value))
        else:
            self._session.write(output.address, [output.on_value if is_on else output.off_value])
        self._time_pulse(is_begun=is_on)

    def _read_output(self) -> None:
        """A pulse that a lost connection or a crash left on is ended in its time."""
        output = self._config.simple
        if output.kind == "coil":
            is_on = self._session.read_coil(output.address) == bool(output.on_value)
        else:
            is_on = self._session.read(output.address, 1) == [output.on_value]
        if not is_on or self._off_at_s is None:
            self._time_pulse(is_begun=is_on)

    def _time_pulse(self, *, is_begun: bool) -> None:
        pulse_s = self._config.simple.pulse_s
        self._off_at_s = time.monotonic() + pulse_s if is_begun and pulse_s is not None else None

    def _drop_connection(self, reason: str) -> None:
        if self._state.is_connected or not self._state.error:
            self._change_state(is_connected=False, error=reason)
            self._listener.plc_alarm("plc_connection", f"no connection to the PLC: {reason}")

    def _change_state(self, **changes: object) -> None:
        self._state = replace(self._state, **changes)  # type: ignore[arg-type]
        self._listener.plc_state_changed(self._state)
