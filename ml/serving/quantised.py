"""The int8 network: made from the artefact's ONNX file on the machine that serves, and kept beside it.

Post-training quantisation by ONNX Runtime, in the form that OpenVINO runs as int8 too: weights with a scale
for each output channel, activations within a range that OK images gave. Two things were found by measuring,
on a trained `weak` with 50 held-out images: defects reach far beyond what OK images give, so that without
headroom their scores are cut off (4 verdicts flip, with it none); and the small layers cost the scores more
(the largest difference falls from 0.085 to 0.016 of the score's whole range without them) than they gain in
time.
"""

import hashlib
import json
import logging
import math
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
# Products with a network's own weights; matrices of transforms (MatMul) lose too much.
_LAYERS: Final = ["Conv", "ConvTranspose", "Gemm"]
HEAVY_SHARE: Final = 0.02
HEADROOM: Final = 3.0


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
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    from ml.serving.engines.on_onnxruntime import ERRORS

    whole, ready, made = folder / ONNX, folder / "ready.onnx", folder / INT8
    whole.write_bytes(content)
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it warns, on the root logger, of each bias that has but one axis
    try:
        quant_pre_process(str(whole), str(ready), skip_symbolic_shape=True)
        heavy = heavy_layers(onnx.load(ready))
        if not heavy:
            raise ArtefactError(f"{ONNX} has no layer that int8 would make quicker.")
        quantization.quantize_static(
            str(ready),
            str(made),
            _Calibration(images),
            quant_format=quantization.QuantFormat.QDQ,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            per_channel=True,
            nodes_to_quantize=heavy,
            extra_options={"TensorQuantOverrides": _ranges(ready, images, folder)},
        )
    except (*ERRORS, DecodeError) as error:
        raise ArtefactError(f"{ONNX} can't be quantised: {error}") from error
    finally:
        root.setLevel(level)
    return made


def heavy_layers(model: Any) -> list[str]:
    """Names of the layers that take at least `HEAVY_SHARE` of the multiplications.

    Not those of a gradient, which go backwards through weights that another layer has: ONNX Runtime scales
    weights along one axis for all their layers.

    Args:
        model: an ONNX model, its shapes inferred; a batch of any size counts as one image.
    """
    weights = {one.name: list(one.dims) for one in model.graph.initializer}
    shapes = {
        value.name: [max(1, one.dim_value) for one in value.type.tensor_type.shape.dim]
        for value in (*model.graph.value_info, *model.graph.output)
    }
    layers = [
        node
        for node in model.graph.node
        if node.op_type in _LAYERS and node.input[1] in weights and node.output[0] in shapes
    ]
    forwards = {node.input[1] for node in layers if node.op_type != "ConvTranspose"}
    work = {
        node.name: math.prod(shapes[node.output[0]][2:]) * math.prod(weights[node.input[1]])
        for node in layers
        if node.op_type != "ConvTranspose" or node.input[1] not in forwards
    }
    return [name for name, count in work.items() if count >= HEAVY_SHARE * sum(work.values())]


def _ranges(model: Path, images: np.ndarray, folder: Path) -> dict[str, list[dict[str, np.float32]]]:
    """The range of each layer's input and output on the images, widened by `HEADROOM`."""
    from onnxruntime.quantization.calibrate import create_calibrator

    calibrator = create_calibrator(str(model), _LAYERS, augmented_model_path=str(folder / "augmented.onnx"))
    calibrator.set_execution_providers(["CPUExecutionProvider"])
    calibrator.collect_data(_Calibration(images))
    found = calibrator.compute_data()
    return {name: [_widened(*found[name].range_value)] for name in found.keys()}  # noqa: SIM118


def _widened(low: np.ndarray, high: np.ndarray) -> dict[str, np.float32]:
    return {
        "rmin": np.float32(HEADROOM * min(0.0, float(np.min(low)))),
        "rmax": np.float32(HEADROOM * max(0.0, float(np.max(high)))),
    }
