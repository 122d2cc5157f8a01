"""Where a fit saves what it needs to go on: one file, replaced at once, never unpickled."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ml.methods.contract import TrainingSet

STATE: Final = "state.safetensors"


@dataclass(frozen=True)
class SavedState:
    """Tensors by name, and where in the training they belong."""

    tensors: Mapping[str, Tensor]
    stage: int
    iteration: int

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin with `prefix`, without it."""
        return {
            name.removeprefix(prefix): one for name, one in self.tensors.items() if name.startswith(prefix)
        }


def fingerprint(training: TrainingSet, parameters: BaseModel, seed: int) -> str:
    """What a checkpoint must have been made for: parameters, seed, labels and groups of the training set."""
    described = {
        "parameters": parameters.model_dump(mode="json"),
        "seed": seed,
        "is_ng": [bool(label) for label in training.is_ng],
        "classes": [int(number) for number in training.classes],
        "groups": [str(group) for group in training.groups],
        "views": list(training.views),
        "rois": {view: list(roi) for view, roi in training.rois.items()},
    }
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


class CheckpointFolder:
    """The state of one fit. Without a folder, it keeps nothing and finds nothing."""

    def __init__(self, folder: Path | None, made_for: str) -> None:
        self._folder = folder
        self._made_for = made_for
        self._saved = False

    @property
    def last(self) -> Path | None:
        """The folder, once a state of this fit lies in it."""
        return self._folder if self._saved else None

    def save(self, state: SavedState) -> None:
        """Raises:
        OSError: among others, the disk is full; what lay there before still does.
        """
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        unfinished = self._folder / f"{STATE}.tmp"
        place = {"stage": state.stage, "iteration": state.iteration, "made_for": self._made_for}
        save_file(
            {name: tensor.detach().cpu().contiguous() for name, tensor in state.tensors.items()},
            unfinished,
            metadata={"place": json.dumps(place)},
        )
        unfinished.replace(self._folder / STATE)
        self._saved = True

    def load(self) -> SavedState | str | None:
        """What was saved; or a sentence on why what lies there is of no use; or None for an empty place."""
        if self._folder is None or not (self._folder / STATE).exists():
            return None
        try:
            with safe_open(self._folder / STATE, framework="pt") as stored:
                place: dict[str, Any] = json.loads((stored.metadata() or {})["place"])
                tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 - no mapping
        except (SafetensorError, KeyError, ValueError) as error:
            return f"The checkpoint can't be read ({error})."
        if place.get("made_for") != self._made_for:
            return "The checkpoint was made with other images or parameters."
        self._saved = True
        return SavedState(tensors, int(place["stage"]), int(place["iteration"]))
