"""What every engine takes and gives."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from ml.serving.artefact import ONNX, ArtefactError, Card, read_verified
from ml.serving.quantised import read_quantised
from ml.serving.variants import Variant


class InferenceFailed(Exception):
    """The engine failed, or gave something that is no score. The part must be judged ERROR, never OK."""


class EngineUnavailable(Exception):
    """No engine of this name on this machine, or not at this precision. The message says why."""


@dataclass(frozen=True)
class Running:
    """How an engine is to run.

    Attributes:
        threads: for one run of the network; None leaves it to the engine.
        batches: how many images it will mostly be given at once; some engines compile for each. Other numbers
            are allowed, and may be slower.
    """

    threads: int | None = None
    batches: tuple[int, ...] = (1,)


class Engine(Protocol):
    """One loaded network.

    Attributes:
        variant: what runs it.
        max_batch: how many images it may be given at once, or None.
    """

    variant: Variant
    max_batch: int | None

    def run(self, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """float32 [B, C, H, W] → raw output [B, …], map [B, h, w].

        Raises:
            InferenceFailed: the engine reports an error, or the batch is of a size that it does not take.
        """
        ...


Run = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def onnx_content(folder: Path, card: Card, variant: Variant) -> bytes:
    """The ONNX file that a variant runs: the exported one, or the one that was quantised here.

    Raises:
        ArtefactError: it is missing or changed.
    """
    if variant.precision == "int8":
        return read_quantised(folder, card)
    return read_verified(folder, card, ONNX)


def check_input(given: tuple[int | None, ...], card: Card) -> None:
    """Whether a network takes what the card's preprocessing gives.

    Args:
        given: the network's own [C, H, W]; None where it takes any number.
        card: of the artefact.

    Raises:
        ArtefactError: it takes another size.
    """
    wanted = (card.preprocessing.channels, card.preprocessing.height, card.preprocessing.width)
    if len(given) != len(wanted) or any(
        one is not None and one != other for one, other in zip(given, wanted, strict=True)
    ):
        raise ArtefactError(
            f"{ONNX} takes {_size(given)}, but the card's preprocessing gives {_size(wanted)} "
            "(channels × height × width)."
        )


def check_batch(batch: np.ndarray, card: Card) -> None:
    """Raises:
    InferenceFailed: not float32 [B, C, H, W] of the card's size.
    """
    wanted = (card.preprocessing.channels, card.preprocessing.height, card.preprocessing.width)
    if batch.dtype != np.float32 or batch.ndim != 4 or batch.shape[1:] != wanted:
        raise InferenceFailed(
            f"the network was exported for float32 {_size(wanted)} (channels × height × width), "
            f"not {batch.dtype} {_size(batch.shape[1:])}"
        )


def _size(shape: tuple[int | None, ...]) -> str:
    return " × ".join("any" if one is None else str(one) for one in shape)
