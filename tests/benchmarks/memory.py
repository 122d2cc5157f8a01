"""Peak memory of training and serving: `python -m tests.benchmarks.memory [NETWORK …]` prints the table's lines.

Each fit runs in a process of its own, on generated images, for a few steps: the peak of a step is that of all.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy.optimize import nnls

from ml.methods.declarations import METHODS, load_method
from ml.methods.declarations.memory import Workload
from ml.peak_memory import peak_memory_mb
from ml.serving.trials import Trial
from ml.serving.variants import DEFAULT
from tests.benchmarks.made import made_training_set

ROOT: Final = Path(__file__).resolve().parents[2]

_WEAK = {"stage1_iterations": 2, "stage2_iterations": 2, "stage3_iterations": 2, "precision": "float32"}
_VGG = {"weights": "none", "epochs": 1, "precision": "float32"}
_MOBILE = {"weights": "none", "epochs": 1}
_SQUARES: Final = ((96, 2), (224, 12), (448, 3))  # one pass of a step each


def _weak_at(*sizes: tuple[int, int, int]) -> list[dict[str, Any]]:
    return [_WEAK | {"height": height, "width": width, "pairs": pairs} for height, width, pairs in sizes]


def _on_squares(setting: dict[str, Any]) -> list[dict[str, Any]]:
    return [setting | {"height": side, "width": side, "batch": batch} for side, batch in _SQUARES]


# Settings to measure at, by network: sizes and numbers of images that tell constant and slopes apart.
SETTINGS: Final[dict[str, tuple[str, list[dict[str, Any]]]]] = {
    "weak small": ("weak", _weak_at((96, 96, 2), (352, 128, 1), (352, 128, 4))),
    "weak": ("weak", _weak_at((512, 192, 1), (704, 256, 1), (704, 256, 2), (1408, 512, 1))),
    "maa": (
        "maa",
        [{"size": size, "batch": batch, "iterations": 2, "precision": "float32"} for size, batch in _SQUARES],
    ),
    "multipath_vgg": ("multipath_vgg", _on_squares(_VGG | {"copies": 1})),
    "grad_mobilenet small": ("grad_mobilenet", _on_squares(_MOBILE | {"backbone": "small"})),
    "grad_mobilenet large": ("grad_mobilenet", _on_squares(_MOBILE | {"backbone": "large"})),
} | {
    f"transfer_vgg {backbone} {part}": (
        "transfer_vgg",
        _on_squares(_VGG | {"backbone": backbone, "recipe": recipe, "hidden_units": 4096}),
    )
    for backbone in ("vgg16", "resnet18", "mobilenet_v3_small", "mobilenet_v3_large", "inception_v3")
    for part, recipe in (("whole", "scratch"), ("part", "fine_tune"))
}


def measure_memory(network: str) -> list[dict[str, Any]]:
    """The peaks of one network at its settings, MB."""
    method, settings = SETTINGS[network]
    found = []
    for setting in settings:
        answer = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.memory", "--fit", method, json.dumps(setting)],
            cwd=ROOT,
            env=os.environ,
            capture_output=True,
            text=True,
            check=True,
        )
        found.append(json.loads(answer.stdout.splitlines()[-1]))
        print(network, found[-1], flush=True)  # noqa: T201
    return found


def line_through(found: list[dict[str, Any]]) -> dict[str, float]:
    """Constant and slopes, none below nothing, that come nearest to the peaks, relatively."""
    area = np.array([one["height"] * one["width"] for one in found], np.float64)
    images = np.array([one["images"] for one in found], np.float64)
    training = np.array([one["training_mb"] for one in found])
    serving = np.array([one["serving_mb"] for one in found])
    rows = np.stack([np.ones(len(found)), area / 2**20, images * area / 2**20], axis=1)
    slopes = nnls(rows / training[:, None], np.ones(len(found)))[0]
    served = nnls(rows[:, :2] / serving[:, None], np.ones(len(found)))[0]
    return {
        "training_mb": round(slopes[0]),
        "bytes_per_px": round(slopes[1], 1),
        "bytes_per_image_px": round(slopes[2], 1),
        "serving_mb": round(served[0]),
        "serving_per_px": round(served[1], 1),
        "worst": round(float(np.max(np.abs(rows @ slopes / training - 1))), 3),
    }


def fit_once(method: str, setting: dict[str, Any]) -> dict[str, Any]:
    """One fit in this process, which does nothing else; then its model in one that serves it."""
    declaration = METHODS[method]
    parameters = declaration.Parameters.model_validate(setting)
    work: Workload = declaration.workload(parameters)
    training = made_training_set(declaration, work)
    model = load_method(method).fit(training, parameters, seed=0)
    with tempfile.TemporaryDirectory() as name, Trial() as trial:
        folder = Path(name) / "model"
        model.export(folder, {}, [training.images[0]], [training.views[0]])
        peak = peak_memory_mb()
        trial.load(folder, DEFAULT)
        trial.time(1, 0, 3)
        served = trial.peak_mb
    return {
        "images": work.images,
        "height": work.height,
        "width": work.width,
        "training_mb": peak,
        "serving_mb": served,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", choices=[*SETTINGS, []])
    parser.add_argument("--fit", nargs=2, metavar=("METHOD", "PARAMETERS"))
    options = parser.parse_args()
    if options.fit:
        print(json.dumps(fit_once(options.fit[0], json.loads(options.fit[1]))))  # noqa: T201
        return
    for network in options.networks or SETTINGS:
        line = line_through(measure_memory(network))
        worst = line.pop("worst")
        peaks = ", ".join(f"{key}={value}" for key, value in line.items())
        print(f'    "{network}": Peak({peaks}),  # within {worst:.1%}')  # noqa: T201


if __name__ == "__main__":
    main()
