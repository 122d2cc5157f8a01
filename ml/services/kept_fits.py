"""Fits that belong to no job: learning curves, the benchmarks' recipes. What is done is kept in a folder."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from .fitting import FoldOutcome, Trial, measure_fold
from .provenance import versions
from .reporter import Listener
from .snapshots import SnapshotImage

OUTCOME: Final = "outcome.json"


@dataclass(frozen=True)
class KeptFit:
    """Attributes:
    outcome: of the fold.
    revision: of the code that it was made with.
    """

    outcome: FoldOutcome
    revision: str


def kept_fold(
    trial: Trial,
    fold: int,
    training: Sequence[SnapshotImage],
    folder: Path,
    listener: Listener,
    *,
    with_descriptors: bool = False,
) -> KeptFit:
    """Fits on some images and scores a fold; or takes what lies in the folder from an earlier run.

    A result that was made with other images, labels, parameters or another seed is not taken. One of another
    revision of the code is: it says so.

    Args:
        trial: what is fitted.
        fold: whose images are scored.
        training: images to fit on.
        folder: of this fit alone; its checkpoint lies there while it runs.
        listener: is told of the progress.
        with_descriptors: see `measure_fold`.

    Raises:
        TrainingStopped: the listener said stop; the next call goes on from the checkpoint.
        OSError: the folder can't be written to.
        NotEnoughImages, TrainingDiverged, ImageUnusable, WeightsUnusable, ImageMissing: see `measure_fold`.
    """
    made_for = _made_for(trial, trial.held_out(fold), training)
    kept = _kept(folder / OUTCOME)
    is_enough = not with_descriptors or bool(kept and kept["outcome"].get("descriptors"))
    if kept and kept.get("made_for") == made_for and is_enough:
        listener.log("Done before; its scores are kept.")
        return KeptFit(FoldOutcome.from_json(kept["outcome"]), kept["revision"])
    if kept:
        listener.log("What was kept is of other images or parameters; it is fitted anew.")
    outcome = measure_fold(
        trial, fold, training, folder / "checkpoint", listener, with_descriptors=with_descriptors
    )
    revision = versions()["revision"]
    _keep(folder, {"made_for": made_for, "revision": revision, "outcome": outcome.to_json()})
    shutil.rmtree(folder / "checkpoint", ignore_errors=True)
    return KeptFit(outcome, revision)


def _made_for(trial: Trial, held_out: Sequence[SnapshotImage], training: Sequence[SnapshotImage]) -> str:
    described = {
        "method": type(trial.parameters).__name__,  # each method has its own
        "parameters": trial.parameters.model_dump(mode="json"),
        "seed": trial.seed,
        "regions": trial.snapshot.contents["regions"],
        "classes": trial.snapshot.contents["classes"],
        **{
            name: [[image.sha256, image.class_name, image.group, image.view] for image in images]
            for name, images in (("held_out", held_out), ("training", training))
        },
    }
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


def _kept(path: Path) -> dict[str, Any] | None:
    try:
        kept = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except ValueError:
        return {}
    return kept if isinstance(kept, dict) else {}


def _keep(folder: Path, kept: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f"{OUTCOME}.tmp"
    unfinished.write_text(json.dumps(kept))
    unfinished.replace(folder / OUTCOME)
