"""Why a training ended early, in words that tell a person what to do."""

import errno
import os
import re
from collections.abc import Mapping
from typing import Any, Final

from annotation.errors import DomainError
from ml.methods.contract import NotEnoughImages, TrainingDiverged
from ml.methods.declarations import METHODS
from ml.methods.discovery import DiscoveryImpossible
from ml.preprocessing import ImageUnusable
from ml.weights import WeightsUnusable

from .memory import advice_after_failure
from .training_sets import ImageMissing

# What a person can do something about; their own text says what.
EXPLAINED: Final = (
    NotEnoughImages, WeightsUnusable, TrainingDiverged, ImageUnusable, ImageMissing, DiscoveryImpossible,
    DomainError,
)  # fmt: skip

# PyTorch and OpenCV say it in a text alone; CUDA's error is a RuntimeError too.
_NO_MEMORY: Final = re.compile(
    r"can't allocate memory|not enough memory|out of memory|insufficient memory|failed to allocate|bad_alloc",
    re.IGNORECASE,
)
_BYTES: Final = re.compile(r"tr(?:ied|ying) to allocate (\d+) bytes")


def explained(
    error: BaseException, parameters: Mapping[str, Any], method: str = "", images: int = 0
) -> str | None:
    """What to tell the person whose training ended with this error; None for what nobody foresaw.

    Args:
        error: with notes on where it happened, such as the fold.
        parameters: of the training.
        method: its name in `METHODS`.
        images: of its training set.
    """
    if is_disk_full(error):
        text = disk_full_text(error)
    elif is_out_of_memory(error):
        text = out_of_memory_text(error, parameters, method, images)
    elif isinstance(error, EXPLAINED):
        text = str(error)
    else:
        return None
    return ": ".join([*getattr(error, "__notes__", ()), text])


def is_disk_full(error: BaseException) -> bool:
    """Whether an error, or one that led to it, is the file system's "no space".

    Libraries that write through their own code (safetensors, torch) say so only in their text.
    """
    return any(
        (isinstance(one, OSError) and one.errno in {errno.ENOSPC, errno.EDQUOT})
        or os.strerror(errno.ENOSPC) in str(one)
        for one in _with_causes(error)
    )


def disk_full_text(error: BaseException) -> str:
    where = f" ({error.filename})" if isinstance(error, OSError) and error.filename else ""
    return (
        f"The disk is full{where}. No model was made. Free some space, then resume: "
        "the job goes on from its last checkpoint."
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error, or one that led to it, is that memory could not be had: the machine's or a GPU's."""
    return any(
        isinstance(one, MemoryError) or (not isinstance(one, EXPLAINED) and _says_no_memory(one))
        for one in _with_causes(error)
    )


def out_of_memory_text(
    error: BaseException, parameters: Mapping[str, Any], method: str = "", images: int = 0
) -> str:
    asked = next((found for one in _with_causes(error) if (found := _BYTES.search(str(one)))), None)
    how_much = f" (it asked for {int(asked[1]) / 1e9:.1f} GB at once)" if asked else ""
    return f"There was not enough memory{how_much}. {_smaller(parameters, method, images)}"


def _smaller(parameters: Mapping[str, Any], method: str, images: int) -> str:
    """What to try next: the size that the method's measured peaks say will fit, where it has some."""
    advice = ""
    if declaration := METHODS.get(method):
        advice = advice_after_failure(
            declaration, declaration.Parameters.model_validate(dict(parameters)), images=images
        )
    return advice or "Queue a training with a smaller input, or with fewer images in a step."


def _says_no_memory(error: BaseException) -> bool:
    return bool(_NO_MEMORY.search(str(error))) or getattr(error, "errno", None) == errno.ENOMEM


def _with_causes(error: BaseException) -> list[BaseException]:
    seen: list[BaseException] = []
    one: BaseException | None = error
    while one is not None and one not in seen:
        seen.append(one)
        one = one.__cause__ or one.__context__
    return seen
