"""Measuring every variant of a model on this machine, each in a process of its own.

Machines are shared and noisy, so no two times are compared that were not taken in turns: each variant is
timed turn by turn with one and the same reference, the first one that gives the training's scores. What
counts is its median time relative to the reference's.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from ml.serving.artefact import HELD_OUT, ArtefactError, verify_artefact
from ml.serving.engines import EngineUnavailable, InferenceFailed
from ml.serving.held_out import HeldOut, read_held_out
from ml.serving.machine import cores, machine_facts, machine_key
from ml.serving.measured import Measured, MeasuredVariant, State
from ml.serving.parity import ParityError
from ml.serving.trials import EngineCrashed, Trial
from ml.serving.variants import VARIANTS, Variant

TURNS: Final = 5
TURN_S: Final = 0.6  # of one variant, at one batch size, in one turn
LEAST_RUNS: Final = 3
WARM_UP_RUNS: Final = 3
SCORED_AT_ONCE: Final = 8
NICE: Final = 10

OnMeasuring = Callable[[float, str], None]
Stop = Callable[[], bool]


class MeasuringStopped(Exception):
    """The stop signal was seen; nothing was measured to its end."""


@dataclass(frozen=True)
class Plan:
    """What is measured, and how thoroughly.

    Attributes:
        variants: in this order; the first that gives the training's scores is the reference.
        threads: for each.
        batches: numbers of images in one run; the greatest is a part's views.
        turns, turn_s: how often and for how long each is timed.
        nice: how much the processes yield to those that serve.
        looks_into_slower: whether a lower precision that gains nothing goes through the gate all the same.
    """

    variants: tuple[Variant, ...] = VARIANTS
    threads: int | None = None
    batches: tuple[int, ...] = (1, 4)
    turns: int = TURNS
    turn_s: float = TURN_S
    nice: int = NICE
    looks_into_slower: bool = False


def measure(folder: Path, plan: Plan, *, on_progress: OnMeasuring, stop: Stop) -> Measured:
    """Tries every variant of the plan.

    Args:
        folder: of the artefact.
        plan: see `Plan`.
        on_progress: is told the share that is done, 0 to 1, and what is under way.
        stop: is asked between steps.

    Raises:
        ArtefactError: the artefact is not what was exported.
        MeasuringStopped: `stop()` was true.
    """
    began = time.monotonic()
    card = verify_artefact(folder)
    held = read_held_out(folder, card) if HELD_OUT in card.files else None
    threads = plan.threads or cores()
    with ExitStack() as stack:
        bench = _Bench(folder, plan, threads, held, stack, on_progress, stop)
        found = [bench.look_at(variant) for variant in plan.variants]
    return Measured(
        machine=machine_key(),
        facts=machine_facts(),
        threads=threads,
        variants=found,
        ids=held.ids.tolist() if held else (),
        is_ng=held.is_ng.tolist() if held else (),
        expected=held.expected.tolist() if held else (),
        held_out_of=held.of if held else 0,
        seconds=round(time.monotonic() - began, 1),
    )


class _Bench:
    def __init__(
        self,
        folder: Path,
        plan: Plan,
        threads: int,
        held: HeldOut | None,
        stack: ExitStack,
        on_progress: OnMeasuring,
        stop: Stop,
    ) -> None:
        self.folder = folder
        self.plan = plan
        self.threads = threads
        self.held = held
        self.stack = stack
        self.on_progress = on_progress
        self.stop = stop
        self.reference: Trial | None = None
        self.done = 0

    def look_at(self, variant: Variant) -> MeasuredVariant:
        """Never fails for what a variant does: that is what is found out."""
        try:
            if variant.absence:
                return _found(variant, State.ABSENT, f"{variant.absence[0].upper()}{variant.absence[1:]}.")
            if variant.precision == "int8" and self.held is None:
                return _found(variant, State.ABSENT, "The artefact holds no images to take scales from.")
            return self._measured(variant)
        except EngineUnavailable as error:
            return _found(variant, State.ABSENT, str(error))
        except (EngineCrashed, ArtefactError, InferenceFailed) as error:
            return _found(variant, State.BROKEN, str(error))
        finally:
            self.done += 1

    def _measured(self, variant: Variant) -> MeasuredVariant:
        if variant.precision == "int8":
            self._tell(variant, "quantising", 0.0)
            with Trial(threads=self.threads, nice=self.plan.nice) as apart:
                apart.quantise(self.folder)
        self._tell(variant, "loading", 0.05)
        trial = self.stack.enter_context(Trial(threads=self.threads, nice=self.plan.nice))
        try:
            load_s, parity = trial.load(self.folder, variant, self.plan.batches)
            facts: dict[str, Any] = {
                "max_difference": parity.max_difference, "spread": parity.spread, "load_s": load_s,
            }  # fmt: skip
            if not parity.passed:
                # Its scores are kept for a person who looks where it differs.
                facts["scores"] = self._scored(variant, trial)
                return _found(variant, State.DIFFERS, str(ParityError(parity)), **facts)
            if self.reference is None and variant.is_exact:
                self.reference = trial
            times, relative = self._timed(variant, trial)
            facts |= {"latency_ms": times, "relative": relative, "peak_mb": trial.peak_mb}
            if variant.is_exact:
                return _found(variant, State.MEASURED, "", **facts)
            if relative >= 1 and not self.plan.looks_into_slower:
                return _found(variant, State.SLOWER, "It gains nothing on this machine.", **facts)
            if self.held is None:
                reason = "The artefact holds no images to prove a lower precision on."
                return _found(variant, State.BROKEN, reason, **facts)
            return _found(variant, State.MEASURED, "", **facts, scores=self._scored(variant, trial))
        finally:
            if trial is not self.reference:
                trial.close()

    def _timed(self, variant: Variant, trial: Trial) -> tuple[dict[str, dict[str, float]], float]:
        """Percentiles by batch size, and the median time relative to the reference's, at the greatest one."""
        mine: dict[int, list[float]] = {batch: [] for batch in self.plan.batches}
        theirs: list[float] = []
        greatest = max(self.plan.batches)
        for batch in self.plan.batches:
            trial.time(batch, 0, WARM_UP_RUNS)
        for turn in range(self.plan.turns):
            self._tell(variant, "timing", 0.1 + 0.5 * turn / self.plan.turns)
            for batch in self.plan.batches:
                mine[batch] += trial.time(batch, self.plan.turn_s, LEAST_RUNS)
            if self.reference is not None and trial is not self.reference:
                theirs += self.reference.time(greatest, self.plan.turn_s, LEAST_RUNS)
        relative = float(np.median(mine[greatest]) / np.median(theirs)) if theirs else 1.0
        return {str(batch): percentiles(times) for batch, times in mine.items()}, round(relative, 4)

    def _scored(self, variant: Variant, trial: Trial) -> list[float]:
        scores: list[float] = []
        count = len(self.held.ids) if self.held else 0
        for start in range(0, count, SCORED_AT_ONCE):
            self._tell(variant, f"held-out images, {start} of {count}", 0.6 + 0.4 * start / count)
            scores += trial.score(start, min(start + SCORED_AT_ONCE, count))
        return scores

    def _tell(self, variant: Variant, what: str, share: float) -> None:
        if self.stop():
            raise MeasuringStopped("It was told to stop.")
        self.on_progress((self.done + share) / len(self.plan.variants), f"{variant.title}: {what}")


def _found(variant: Variant, state: State, reason: str, **facts: object) -> MeasuredVariant:
    return MeasuredVariant(variant.engine, variant.precision, state, reason, **facts)  # type: ignore[arg-type]


def percentiles(times: list[float]) -> dict[str, float]:
    """{"p50", "p95", "p99", "n"} of times."""
    found = {f"p{q}": round(float(np.percentile(times, q)), 3) for q in (50, 95, 99)}
    return found | {"n": len(times)}
