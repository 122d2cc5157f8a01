"""What memory a training takes: measured while it runs, and told before it is queued.

The estimate is a straight line through measured peaks (`ml.methods.declarations.memory`), in float32: what
trains in bf16 takes less.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil  # type: ignore[import-untyped]
from django.conf import settings

from ml.errors import ParametersRefused
from ml.methods.declarations import MethodDeclaration, MethodParameters
from ml.methods.declarations.memory import PEAKS, Workload
from ml.peak_memory import peak_memory_mb, reset_peak_memory

__all__ = [
    "MemoryAnswer",
    "MemoryEstimate",
    "advice_after_failure",
    "check_memory",
    "estimate",
    "memory_limit",
    "peak_memory_mb",
    "reset_peak_memory",
    "tell_memory",
]

STEP_PX: Final = 32  # of the sizes that are proposed
CLEARLY_LESS: Final = 0.8  # of what ran out of memory
_LIMIT_FILES: Final = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes that a training's process takes at its peak, and one that serves the model."""

    training: int
    serving: int

    @property
    def sentence(self) -> str:
        return f"About {gigabytes(self.training)} to train, {gigabytes(self.serving)} to serve."


@dataclass(frozen=True)
class MemoryAnswer:
    """What is told of a training before it is queued.

    Attributes:
        estimate: None for a method that nobody has measured.
        limit: bytes that a training may take.
        refusal: why it would not be queued, with a size that fits; empty where it would.
    """

    estimate: MemoryEstimate | None
    limit: int
    refusal: str


def estimate(
    declaration: MethodDeclaration, parameters: MethodParameters, *, images: int = 0
) -> MemoryEstimate | None:
    """What a training with these parameters takes; None for a method that nobody has measured.

    Args:
        declaration: of the method.
        parameters: of the training.
        images: of its training set; some methods keep what they have computed of each.
    """
    if declaration.workload is None:
        return None
    return _estimate(declaration.workload(parameters), images)


def tell_memory(
    declaration: MethodDeclaration, parameters: MethodParameters, *, images: int = 0
) -> MemoryAnswer:
    """What to tell of a training before it is queued: what it takes, and why it would be refused.

    Args:
        declaration: of the method.
        parameters: of the training.
        images: of its training set.
    """
    wanted = estimate(declaration, parameters, images=images)
    limit = memory_limit()
    if wanted is None or wanted.training <= limit:
        return MemoryAnswer(wanted, limit, "")
    fits = _smaller_that_fits(declaration, parameters, limit, images)
    advice = _advice(fits) if fits else "No size of these proportions fits; take fewer images in a step."
    text = f"This training takes about {gigabytes(wanted.training)}; there are {gigabytes(limit)}."
    return MemoryAnswer(wanted, limit, f"{text} {advice}")


def check_memory(declaration: MethodDeclaration, parameters: MethodParameters, *, images: int = 0) -> None:
    """Refuses a training that a machine like this one can't hold.

    Raises:
        ParametersRefused: with a size that fits.
    """
    answer = tell_memory(declaration, parameters, images=images)
    if answer.refusal and declaration.workload is not None:
        raise ParametersRefused({declaration.workload(parameters).sizes[0]: answer.refusal})


def advice_after_failure(
    declaration: MethodDeclaration, parameters: MethodParameters, *, images: int = 0
) -> str:
    """The size to try next, after a training that ran out of memory though it was estimated to fit.

    Something else holds memory here, or the estimate is too low: the size is one that takes clearly less
    than what failed, and that what is free now would hold. Empty where nobody has measured the method.
    """
    wanted = estimate(declaration, parameters, images=images)
    if wanted is None:
        return ""
    limit = min(memory_limit(), _free_without_this_process(), int(CLEARLY_LESS * wanted.training))
    fits = _smaller_that_fits(declaration, parameters, limit, images)
    took = f"It was estimated at {gigabytes(wanted.training)}"
    if fits is None:
        return f"{took}, and no smaller size fits: end what else uses memory, or take fewer images in a step."
    return f"{took}. {_advice(fits)}"


def memory_limit() -> int:
    """Bytes that a training may take: as set, or all that this machine or its container has."""
    if settings.TRAINING_MEMORY_MB:
        return int(settings.TRAINING_MEMORY_MB * 2**20)
    return min([psutil.virtual_memory().total, *_container_limits()])


def gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"


def _estimate(work: Workload, images: int) -> MemoryEstimate | None:
    peak = PEAKS.get(work.network)
    return None if peak is None else MemoryEstimate(peak.training(work, images), peak.serving(work))


def _smaller_that_fits(
    declaration: MethodDeclaration, parameters: MethodParameters, limit: int, images: int
) -> tuple[Workload, int] | None:
    """The largest smaller size of about the same proportions that fits, and the bytes that it takes."""
    if declaration.workload is None:
        return None
    for smaller in _smaller(declaration, parameters):
        fits = estimate(declaration, smaller, images=images)
        if fits is not None and fits.training <= limit:
            return declaration.workload(smaller), fits.training
    return None


def _advice(fits: tuple[Workload, int]) -> str:
    work, size = fits
    return (
        f"{work.height} × {work.width} px (height × width) fits, at about {gigabytes(size)}; "
        "so may fewer images in a step."
    )


def _free_without_this_process() -> int:
    """Bytes that would be free if this process had ended."""
    return int(psutil.virtual_memory().available + psutil.Process().memory_info().rss)


def _smaller(declaration: MethodDeclaration, parameters: MethodParameters) -> Iterator[MethodParameters]:
    """The same parameters at ever smaller sizes of about the same proportions, within their ranges."""
    assert declaration.workload is not None  # noqa: S101 - the caller has an estimate
    sizes = declaration.workload(parameters).sizes
    values = {name: int(getattr(parameters, name)) for name in sizes}
    longest = max(values, key=lambda name: values[name])
    for side in range(values[longest] - values[longest] % STEP_PX, 0, -STEP_PX):
        share = side / values[longest]
        scaled = {
            name: max(STEP_PX, round(share * value / STEP_PX) * STEP_PX) for name, value in values.items()
        }
        try:
            yield declaration.Parameters.model_validate(parameters.model_dump() | scaled)
        except ValueError:  # below what the method takes
            return


def _container_limits() -> Iterator[int]:
    for path in _LIMIT_FILES:
        try:
            text = path.read_text(encoding="utf-8").strip()
        except OSError:
            continue
        if text.isdigit():
            yield int(text)
