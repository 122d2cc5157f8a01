"""The artefact of a trained model: a folder of files, and the card that vouches for the others.

====================  ========================================================================================
weights.safetensors   the network's parameters, for the framework that trained it
model.onnx            the network: "images" float32 [B, C, H, W] in; "score" [B, …] and "map" [B, h, w] out
parity.safetensors    a few images (uint8) with the scores and maps that the training framework gave them
held_out.safetensors  where there is one: images as the network sees them, for the gate of lower precisions
ok_images.safetensors where there is one: descriptors of OK images, to find the one closest to a part
card.json             method, parameters, preprocessing, classes, figures; length, SHA-256 of each file above
====================  ========================================================================================

Nothing here is ever unpickled, and nothing is read before its hash was compared. What a machine measured of
it lies in a folder of its own below (`ml.serving.quantised.serving_folder`), and is no part of it.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ml.methods.contract import Prediction
from ml.preprocessing import Preprocessing
from ml.scoring import Scoring, read_scoring, scoring_entry

CARD: Final = "card.json"
WEIGHTS: Final = "weights.safetensors"
ONNX: Final = "model.onnx"
PARITY: Final = "parity.safetensors"
HELD_OUT: Final = "held_out.safetensors"
OK_IMAGES: Final = "ok_images.safetensors"
ALWAYS: Final = (WEIGHTS, ONNX, PARITY)
SOMETIMES: Final = (HELD_OUT, OK_IMAGES)
CARD_VERSION: Final = 2
MAX_CARD_BYTES: Final = 10_000_000


class ArtefactError(Exception):
    """An artefact that must not be served: a file is missing, changed, or of an unknown version."""


@dataclass(frozen=True)
class Card:
    """What a model says of itself.

    Attributes:
        method: key of `ml.methods.declarations.METHODS`.
        parameters: of the training, as JSON.
        seed: of the training.
        preprocessing: from a decoded image to the network's input.
        classes: OK and the defect types it was trained on.
        scoring: how the network's "score" output becomes the score.
        extra: what the caller of `export` added: snapshot hash, metrics, score statistics, versions.
        files: name → {"bytes", "sha256"}.
    """

    method: str
    parameters: Mapping[str, Any]
    seed: int
    preprocessing: Preprocessing
    classes: tuple[str, ...]
    scoring: Scoring
    extra: Mapping[str, Any]
    files: Mapping[str, Mapping[str, Any]]

    def to_json(self) -> dict[str, Any]:
        return {
            "card_version": CARD_VERSION,
            "method": self.method,
            "parameters": dict(self.parameters),
            "seed": self.seed,
            "preprocessing": self.preprocessing.to_json(),
            "classes": list(self.classes),
            "scoring": scoring_entry(self.scoring),
            "extra": dict(self.extra),
            "files": {name: dict(facts) for name, facts in self.files.items()},
        }

    @classmethod
    def from_json(cls, stored: Any) -> Self:
        """The inverse of `to_json`.

        Raises:
            ArtefactError: a later version, or something is missing or out of range.
        """
        version = stored.get("card_version") if isinstance(stored, dict) else None
        if version != CARD_VERSION:
            raise ArtefactError(
                f"The card is of version {version!r}; this program reads version {CARD_VERSION}."
            )
        try:
            return cls(
                method=str(stored["method"]),
                parameters=dict(stored["parameters"]),
                seed=int(stored["seed"]),
                preprocessing=Preprocessing.from_json(stored["preprocessing"]),
                classes=tuple(map(str, stored["classes"])),
                scoring=read_scoring(stored["scoring"]),
                extra=dict(stored["extra"]),
                files={str(name): dict(facts) for name, facts in stored["files"].items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ArtefactError(f"The card can't be read: {error!r}.") from error


def write_card(folder: Path, card: Card) -> None:
    """Writes the card last, with the length and hash of each file that lies beside it."""
    names = [*ALWAYS, *(name for name in SOMETIMES if (folder / name).exists())]
    files = {name: _facts((folder / name).read_bytes()) for name in names}
    text = json.dumps(card.to_json() | {"files": files}, indent=2, sort_keys=True, ensure_ascii=False)
    (folder / CARD).write_text(text + "\n", encoding="utf-8")


def read_card(folder: Path) -> Card:
    """Reads the card alone; the files it vouches for are checked as they are read.

    Raises:
        ArtefactError: no card, an unreadable one, or one of a later version.
    """
    path = folder / CARD
    try:
        if path.stat().st_size > MAX_CARD_BYTES:
            raise ArtefactError(f"{CARD} is too large to be a card.")
        return Card.from_json(json.loads(path.read_bytes()))
    except FileNotFoundError:
        raise ArtefactError(f"There is no {CARD} in {folder}.") from None
    except ValueError as error:
        raise ArtefactError(f"{CARD} is not JSON: {error}.") from error


def read_verified(folder: Path, card: Card, name: str) -> bytes:
    """One file's content, after its hash was compared with the card's.

    Raises:
        ArtefactError: the file is missing, or is not the one that was exported.
    """
    expected = card.files.get(name)
    if expected is None:
        raise ArtefactError(f"The card does not vouch for {name}.")
    try:
        content = (folder / name).read_bytes()
    except FileNotFoundError:
        raise ArtefactError(f"{name} is missing from the artefact.") from None
    if _facts(content) != dict(expected):
        raise ArtefactError(
            f"{name} is not the file that was exported: its length or SHA-256 differs from the card."
        )
    return content


def verify_artefact(folder: Path) -> Card:
    """Checks every file against the card.

    Raises:
        ArtefactError: see `read_card` and `read_verified`.
    """
    card = read_card(folder)
    for name in (*ALWAYS, *(name for name in SOMETIMES if name in card.files)):
        read_verified(folder, card, name)
    return card


@dataclass(frozen=True)
class ParityImages:
    """Held images, uint8 [H, W] or [H, W, 3] each, and what the training framework said of them."""

    images: Sequence[np.ndarray]
    views: Sequence[str]
    expected: Prediction


def write_parity(folder: Path, held: ParityImages) -> None:
    arrays = {f"image_{index:03d}": np.ascontiguousarray(image) for index, image in enumerate(held.images)}
    arrays |= {"scores": held.expected.scores, "maps": held.expected.maps}
    (folder / PARITY).write_bytes(save(arrays, metadata={"views": json.dumps(list(held.views))}))


def read_parity(folder: Path, card: Card) -> ParityImages:
    """Raises:
    ArtefactError: the file is missing, changed or not what `write_parity` wrote.
    """
    content = read_verified(folder, card, PARITY)
    try:
        arrays = load(content)
        views = json.loads(metadata_of(content)["views"])
        return ParityImages(
            images=[arrays[f"image_{index:03d}"] for index in range(len(views))],
            views=views,
            expected=Prediction(arrays["scores"], arrays["maps"]),
        )
    except (SafetensorError, KeyError, ValueError) as error:
        raise ArtefactError(f"{PARITY} can't be read: {error!r}.") from error


def metadata_of(content: bytes) -> dict[str, str]:
    """The metadata of a safetensors file's content, which the library's `load` leaves out."""
    header_bytes = int.from_bytes(content[:8], "little")
    metadata: dict[str, str] = json.loads(content[8 : 8 + header_bytes])["__metadata__"]
    return metadata


def _facts(content: bytes) -> dict[str, Any]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
