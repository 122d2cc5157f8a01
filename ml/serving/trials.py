"""Trying a variant in a process of its own, so that one that crashes or hangs harms nothing."""

import json
import os
import selectors
import signal
import subprocess
import sys
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from ml.serving.artefact import ArtefactError, verify_artefact
from ml.serving.engines import EngineUnavailable, InferenceFailed, Running
from ml.serving.parity import EngineParity, ParityReport, check_parity
from ml.serving.variants import EXACT, Variant

ROOT: Final = Path(__file__).resolve().parents[2]
PATIENCE_S: Final = 300.0
_STOP_WITHIN_S: Final = 5.0
_ERRORS: Final[dict[str, type[Exception]]] = {
    "ArtefactError": ArtefactError,
    "EngineUnavailable": EngineUnavailable,
    "InferenceFailed": InferenceFailed,
}


class EngineCrashed(Exception):
    """A variant took its process along, did not answer in time, or failed in a way that nobody foresaw."""


class Trial(AbstractContextManager):
    """A process with one variant in it. Every call waits for its answer, `PATIENCE_S` at most.

    Args:
        threads: that the variant may use, and no library beside it may use more.
        nice: how much it yields to the processes that serve.

    Every method raises `EngineCrashed`, and what the variant itself raised: `ArtefactError`,
    `EngineUnavailable`, `InferenceFailed`.
    """

    def __init__(self, *, threads: int | None = None, nice: int = 0, patience_s: float = PATIENCE_S) -> None:
        self._threads = threads
        self._patience_s = patience_s
        self.peak_mb = 0.0
        limits = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS") if threads}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ml.serving.child"],
            cwd=ROOT,
            env=os.environ | limits | {"SERVING_TRIAL_NICE": str(nice), "OMP_WAIT_POLICY": "PASSIVE"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process; it has nothing to lose."""
        assert self._process.stdin is not None and self._process.stdout is not None  # noqa: S101, PT018
        self._process.kill()
        self._process.wait(_STOP_WITHIN_S)
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.stdout.close()

    def load(
        self, folder: Path, variant: Variant, batches: tuple[int, ...] = (1,)
    ) -> tuple[float, EngineParity]:
        """Loads the variant: the seconds it took, and how it compares with the training framework."""
        answer = self._ask(
            "load", folder=str(folder), variant=variant.key, threads=self._threads, batches=list(batches)
        )
        return answer["load_s"], EngineParity(**answer["parity"])

    def time(self, batch: int, seconds: float, at_least: int) -> list[float]:
        """ms of each run on so many images, for so many seconds."""
        times: list[float] = self._ask("time", batch=batch, seconds=seconds, at_least=at_least)["ms"]
        return times

    def score(self, start: int, stop: int) -> list[float]:
        """Scores of some of the artefact's held-out images."""
        scores: list[float] = self._ask("score", start=start, stop=stop)["scores"]
        return scores

    def quantise(self, folder: Path) -> None:
        """Makes the artefact's int8 network on this machine, unless it is there."""
        self._ask("quantise", folder=str(folder))

    def _ask(self, what: str, **options: Any) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None  # noqa: S101, PT018
        try:
            self._process.stdin.write(json.dumps({"do": what, **options}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise EngineCrashed(self._end(what)) from None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(self._patience_s):
                self._process.kill()
                raise EngineCrashed(f"It did not {what} within {self._patience_s:.0f} s and was stopped.")
        line = self._process.stdout.readline()
        if not line:
            raise EngineCrashed(self._end(what))
        answer: dict[str, Any] = json.loads(line)
        self.peak_mb = max(self.peak_mb, answer["peak_mb"])
        if "error" in answer:
            raise _ERRORS.get(answer["error"], EngineCrashed)(answer["text"])
        return answer

    def _end(self, what: str) -> str:
        code = self._process.wait(_STOP_WITHIN_S)
        how = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        return f"Its process ended while it was asked to {what} ({how})."


def try_variant(folder: Path, variant: Variant, running: Running, *, nice: int = 0) -> EngineParity:
    """Loads a variant in a process of its own and compares it with the training framework.

    Raises:
        EngineCrashed, ArtefactError, EngineUnavailable, InferenceFailed: it can't be used here.
    """
    if variant.absence:
        raise EngineUnavailable(f"{variant.title} can't run here: {variant.absence}.")
    with Trial(threads=running.threads, nice=nice) as trial:
        return trial.load(folder, variant, running.batches)[1]


def check_parity_apart(folder: Path, *, here: str = "") -> ParityReport:
    """Tries every engine that there is at the training's precision, in another process than this.

    Args:
        folder: of the artefact.
        here: the engine that is loaded into this process anyway, and is tried in it.

    Raises:
        ArtefactError: the artefact is not what was exported.
    """
    verify_artefact(folder)
    engines: dict[str, EngineParity] = {}
    refused: dict[str, str] = {}
    trial: Trial | None = None
    for variant in EXACT:
        if variant.absence:
            continue
        try:
            if variant.key == here:
                engines |= check_parity(folder, here).engines
                continue
            trial = trial or Trial()
            engines[variant.key] = trial.load(folder, variant)[1]
        except (ArtefactError, EngineCrashed, EngineUnavailable, InferenceFailed) as error:
            refused[variant.key] = str(error)
            if trial is not None and isinstance(error, EngineCrashed):
                trial.close()
                trial = None
    if trial is not None:
        trial.close()
    return ParityReport(engines, refused)
