"""An artefact whose network takes a millisecond: the score is the mean of the image, the map its 8 × 8 cells."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from ml.methods.contract import Prediction
from ml.preprocessing import Preprocessing
from ml.scoring import Identity
from ml.serving.artefact import ONNX, WEIGHTS, Card, ParityImages, write_card, write_parity
from ml.serving.held_out import HeldOut, add_held_out

SIZE = 16


def make_images(count: int = 4) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(50 * index, 50 * index + 40, (SIZE, SIZE), dtype=np.uint8) for index in range(count)]


def expected_of(images: list[np.ndarray]) -> Prediction:
    cells = np.stack([image.reshape(2, 8, 2, 8).mean(axis=(1, 3)) / 255 for image in images])
    return Prediction(cells.mean(axis=(1, 2)), cells.astype(np.float32))


def make_network(score_from: str = "mean", size: int = SIZE) -> bytes:
    """An ONNX file; with `score_from` "log", a black image has no finite score."""
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 1, size, size])
    score = helper.make_tensor_value_info("score", TensorProto.FLOAT, ["batch"])
    cells = helper.make_tensor_value_info("map", TensorProto.FLOAT, ["batch", 2, 2])
    nodes = [
        helper.make_node("AveragePool", ["images"], ["pooled"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Squeeze", ["pooled", "channel"], ["map"]),
        helper.make_node("ReduceMean", ["map", "both"], ["mean"], keepdims=0),
        helper.make_node("Log" if score_from == "log" else "Identity", ["mean"], ["score"]),
    ]
    constants = [
        helper.make_tensor("channel", TensorProto.INT64, [1], [1]),
        helper.make_tensor("both", TensorProto.INT64, [2], [1, 2]),
    ]
    graph = helper.make_graph(nodes, "mean", [images], [score, cells], constants)
    opset = [helper.make_opsetid("", 18)]
    return onnx.ModelProto.SerializeToString(helper.make_model(graph, opset_imports=opset, ir_version=8))


def make_patches_network() -> bytes:
    """An ONNX file whose output is an image's four cells twice: as distances of patches, and as descriptor."""
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 1, SIZE, SIZE])
    score = helper.make_tensor_value_info("score", TensorProto.FLOAT, ["batch", 8])
    cells = helper.make_tensor_value_info("map", TensorProto.FLOAT, ["batch", 2, 2])
    nodes = [
        helper.make_node("AveragePool", ["images"], ["pooled"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Squeeze", ["pooled", "channel"], ["map"]),
        helper.make_node("Flatten", ["map"], ["flat"]),
        helper.make_node("Concat", ["flat", "flat"], ["score"], axis=1),
    ]
    constants = [helper.make_tensor("channel", TensorProto.INT64, [1], [1])]
    graph = helper.make_graph(nodes, "patches", [images], [score, cells], constants)
    opset = [helper.make_opsetid("", 18)]
    return onnx.ModelProto.SerializeToString(helper.make_model(graph, opset_imports=opset, ir_version=8))


def make_artefact(
    folder: Path, *, network: bytes | None = None, expected: Prediction | None = None, **card
) -> Path:
    folder.mkdir(parents=True)
    images = make_images()
    (folder / ONNX).write_bytes(network or make_network())
    (folder / WEIGHTS).write_bytes(b"none")
    write_parity(folder, ParityImages(images, ["top"] * len(images), expected or expected_of(images)))
    values = {
        "method": "weak",
        "parameters": {},
        "seed": 0,
        "preprocessing": Preprocessing(SIZE, SIZE, mean=(0.0,), std=(1.0,)),
        "classes": ("OK", "NG"),
        "scoring": Identity(),
        "extra": {"note": "größer"},
        "files": {},
    }
    write_card(folder, Card(**(values | card)))
    return folder


def make_convolution(weights: tuple[float, ...] = (1.0, -1.0, 0.5, 2.0)) -> bytes:
    """An ONNX file with a layer that int8 takes: 8 × 8 cells' means, four channels of them, their sum the map."""
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 1, SIZE, SIZE])
    score = helper.make_tensor_value_info("score", TensorProto.FLOAT, ["batch"])
    cells = helper.make_tensor_value_info("map", TensorProto.FLOAT, ["batch", 2, 2])
    kernel = np.repeat(np.float32(weights), 64) / 64 / sum(weights)
    nodes = [
        helper.make_node("Conv", ["images", "kernel"], ["channels"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("ReduceSum", ["channels", "channel"], ["map"], keepdims=0),
        helper.make_node("ReduceMean", ["map", "both"], ["score"], keepdims=0),
    ]
    constants = [
        helper.make_tensor("kernel", TensorProto.FLOAT, [len(weights), 1, 8, 8], kernel),
        helper.make_tensor("channel", TensorProto.INT64, [1], [1]),
        helper.make_tensor("both", TensorProto.INT64, [2], [1, 2]),
    ]
    graph = helper.make_graph(nodes, "convolution", [images], [score, cells], constants)
    opset = [helper.make_opsetid("", 18)]
    return onnx.ModelProto.SerializeToString(helper.make_model(graph, opset_imports=opset, ir_version=8))


def hold_out(folder: Path, *, count: int = 12, brightest_ok: int = 90) -> HeldOut:
    """Adds held-out images to an artefact: every second is NG and brighter; and OK images to take scales from."""
    rng = np.random.default_rng(1)
    bounds = [(160, 250) if index % 2 else (0, brightest_ok) for index in range(count)]
    images = np.stack([rng.integers(*bound, (SIZE, SIZE), dtype=np.uint8) for bound in bounds])
    expected = expected_of(list(images)).scores
    held = HeldOut(
        images=images,
        ids=np.arange(100, 100 + count),
        is_ng=np.arange(count) % 2 == 1,
        expected=expected,
        of=3 * count,
        calibration=images[::2],
    )
    add_held_out(folder, held)
    return held


def break_package(monkeypatch, folder: Path, name: str, how: str) -> None:
    """In processes that are started from now on, importing a package does this."""
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text(how)
    monkeypatch.setenv("PYTHONPATH", str(folder))


CRASH = "import ctypes; ctypes.string_at(0)"
