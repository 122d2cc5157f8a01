"""The int8 network: made from the artefact's ONNX file on the machine that serves, and kept beside it.

Post-training quantisation by ONNX Runtime, in the form that OpenVINO runs as int8 too: weights a scale per
output channel, activations between the least and the greatest value that OK images gave. Only the layers that
take the time are quantised; what is between them stays float32.
"""

import hashlib
import json
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from ml.serving.artefact import ONNX, ArtefactError, Card, read_verified
from ml.serving.machine import machine_key

SERVING: Final = "serving"
INT8: Final = "int8.onnx"
_FACTS: Final = "int8.json"
QUANTISED_FILES: Final = (INT8, _FACTS)
_LAYERS: Final = ["Conv", "ConvTranspose", "Gemm", "MatMul"]


def serving_folder(folder: Path) -> Path:
    """Where this machine keeps what it found out about an artefact; the artefact itself never changes."""
    return folder / SERVING / machine_key()


def quantise(folder: Path, card: Card, images: np.ndarray) -> Path:
    """Writes the int8 network, unless it is there already.

    Args:
        folder: of the artefact.
        card: its card.
        images: OK images as the network sees them, float32 [N, C, H, W], N at least 1.

    Raises:
        ArtefactError: the exported network is missing, changed, or can't be quantised.
    """
    target = serving_folder(folder) / INT8
    try:
        read_quantised(folder, card)
    except ArtefactError:
        target.parent.mkdir(parents=True, exist_ok=True)
        content = read_verified(folder, card, ONNX)
        with tempfile.TemporaryDirectory(dir=target.parent) as name:
            made = _quantised(content, images, Path(name))
            facts = {
                "sha256": hashlib.sha256(made.read_bytes()).hexdigest(),
                "made_from": card.files[ONNX]["sha256"],
                "images": len(images),
            }
            (target.parent / _FACTS).write_text(json.dumps(facts), encoding="utf-8")
            made.replace(target)
    return target


def read_quantised(folder: Path, card: Card) -> bytes:
    """Raises:
    ArtefactError: there is none, it was changed, or it was made from another network.
    """
    place = serving_folder(folder)
    try:
        facts = json.loads((place / _FACTS).read_bytes())
        content = (place / INT8).read_bytes()
    except (OSError, ValueError) as error:
        raise ArtefactError(f"There is no int8 network of this model on this machine: {error}.") from error
    if facts.get("made_from") != card.files[ONNX]["sha256"]:
        raise ArtefactError(f"{INT8} was made from another network.")
    if facts.get("sha256") != hashlib.sha256(content).hexdigest():
        raise ArtefactError(f"{INT8} is not the file that was quantised: its SHA-256 differs.")
    return content


class _Calibration:
    """What ONNX Runtime asks for its images, one by one."""

    def __init__(self, images: np.ndarray) -> None:
        self._images: Iterator[dict[str, np.ndarray]] = iter({"images": image[None]} for image in images)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._images, None)


def _quantised(content: bytes, images: np.ndarray, folder: Path) -> Path:
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    from ml.serving.engines.on_onnxruntime import ERRORS

    whole, ready, made = folder / ONNX, folder / "ready.onnx", folder / INT8
    whole.write_bytes(content)
    options: dict[str, Any] = {
        "quant_format": quantization.QuantFormat.QDQ,
        "activation_type": quantization.QuantType.QUInt8,
        "weight_type": quantization.QuantType.QInt8,
        "per_channel": True,
        "op_types_to_quantize": _LAYERS,
    }
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it warns, on the root logger, of each bias that has but one axis
    try:
        quant_pre_process(str(whole), str(ready), skip_symbolic_shape=True)
        quantization.quantize_static(str(ready), str(made), _Calibration(images), **options)
    except (*ERRORS, DecodeError) as error:
        raise ArtefactError(f"{ONNX} can't be quantised: {error}") from error
    finally:
        root.setLevel(level)
    return made
