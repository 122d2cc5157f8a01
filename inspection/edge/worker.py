import logging
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)

_RETRY_S = 1.0


class Worker:
    """A thread that does one step over and over until it is stopped.

    A step that fails is logged, once for the same words, and tried again a second later.

    Args:
        name: of the thread.
        step: waits by itself, for a second at most.
    """

    def __init__(self, name: str, step: Callable[[], None]) -> None:
        self._name = name
        self._step = step
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def wait(self, timeout_s: float) -> None:
        """Waits, but not longer than until the stop."""
        self._stopping.wait(timeout_s)

    def _run(self) -> None:
        trouble = ""
        while not self._stopping.is_set():
            try:
                self._step()
            except Exception as error:
                if str(error) != trouble:
                    trouble = str(error)
                    logger.warning(
                        "%s: %s: %s", self._name, type(error).__name__, error, exc_info=_is_bug(error)
                    )
                self._stopping.wait(_RETRY_S)
            else:
                if trouble:
                    trouble = ""
                    logger.info("%s goes on", self._name)


def _is_bug(error: Exception) -> bool:
    """Whether the traceback says more than the words: not where a server is away."""
    return not type(error).__module__.startswith(("redis", "django.db", "psycopg", "sqlite3"))
