"""The network alone: every method on every engine and precision, in turns with one reference.

Weights do not matter for time, so they are those of one step; whether a precision gives a model's verdicts is
told by the gate on a trained model, on its page.
"""

import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from ml.methods.contract import FittedModel
from ml.methods.declarations import METHODS, load_method
from ml.serving.held_out import HeldOut, add_held_out
from ml.serving.measured import Measured, MeasuredVariant, State
from ml.serving.measuring import Plan, measure

from .made import made_training_set
from .peak import matrix_peak

VIEWS: Final = 4
SETTINGS: Final[dict[str, dict[str, Any]]] = {
    "weak": {
        "height": 704, "width": 256, "pairs": 1,
        "stage1_iterations": 1, "stage2_iterations": 2, "stage3_iterations": 0,
    },
    "maa": {"size": 256, "batch": 2, "iterations": 1},
    "multipath_vgg": {"weights": "none", "height": 224, "width": 224, "batch": 4, "epochs": 1, "copies": 1},
    "transfer_vgg": {"weights": "none", "recipe": "frozen", "height": 224, "width": 224, "batch": 4, "epochs": 1},
    "grad_mobilenet": {"weights": "none", "height": 224, "width": 224, "epochs": 1},
}  # fmt: skip
QUICK: Final[dict[str, dict[str, Any]]] = {
    "weak": {"height": 64, "width": 64},
    "maa": {"size": 64},
    "multipath_vgg": {"height": 64, "width": 64, "hidden_units": 64},
    "transfer_vgg": {"backbone": "resnet18", "height": 64, "width": 64},
    "grad_mobilenet": {"height": 64, "width": 64},
}


def measure_engines(*, quick: bool = False) -> dict[str, Any]:
    """By method and variant: latency, images per second, ratio to eager, share of the matrix peak."""
    peak = matrix_peak(side=512, rounds=3) if quick else matrix_peak()
    found: dict[str, Any] = {"matrix_peak_gflops": peak}
    plan = Plan(batches=(1, VIEWS), nice=0, looks_into_slower=True)
    if quick:
        plan = Plan(batches=(1, 2), turns=1, turn_s=0.0, nice=0, looks_into_slower=True)
    for name in METHODS:
        with tempfile.TemporaryDirectory() as folder:
            model = _exported(name, Path(folder) / "model", quick=quick)
            gflop = _gflop(model)
            measured = measure(Path(folder) / "model", plan, on_progress=lambda *_: None, stop=lambda: False)
        size = model.preprocessing
        found[name] = {
            "input": f"{size.height} × {size.width} × {size.channels}",
            "gflop": round(gflop, 2),
            "variants": {
                one.variant.title: _figures(one, measured, gflop, peak)
                for one in measured.variants
                if one.state is not State.ABSENT
            },
        }
    return found


def _exported(name: str, folder: Path, *, quick: bool) -> FittedModel:
    declaration = METHODS[name]
    parameters = declaration.Parameters.model_validate(SETTINGS[name] | (QUICK[name] if quick else {}))
    assert declaration.workload is not None
    training = made_training_set(declaration, declaration.workload(parameters))
    model = load_method(name).fit(training, parameters, seed=0)
    images = [training.images[index] for index in range(8)]
    model.export(folder, card_extra={}, parity_images=images, parity_views=[""] * len(images))
    resized = np.stack([model.preprocessing.resized(image) for image in images])
    add_held_out(
        folder,
        HeldOut(
            images=resized,
            ids=np.arange(len(images)),
            is_ng=training.is_ng[:8],
            expected=model.predict(images).scores,
            of=len(images),
            calibration=resized[::2],
        ),
    )
    return model


def _gflop(model: Any) -> float:
    """Of one image, as PyTorch counts it: two for each multiplication with its addition."""
    size = model.preprocessing
    counter = _Flops()
    with counter, torch.no_grad():
        model.network(torch.zeros(1, size.channels, size.height, size.width))
    return counter.total / 1e9


class _Flops(TorchDispatchMode):
    """PyTorch's own FLOP formulas; its `FlopCounterMode` cannot count inside `torch.func.grad`."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func.overloadpacket)
        if formula is not None:
            self.total += formula(*args, **(kwargs or {}), out_val=out)
        return out


def _figures(
    one: MeasuredVariant, measured: Measured, gflop: float, peak: dict[str, float]
) -> dict[str, Any]:
    eager = next((other for other in measured.variants if other.variant.key == "torch"), None)
    if not one.latency_ms:
        return {"state": str(one.state), "reason": one.reason}
    rate = one.images_per_s or 0.0
    on_processor = not one.engine.endswith("_cuda") and one.precision in peak
    return {
        **one.latency_ms["1"],
        "images_per_s": round(rate, 1),
        "times_faster_than_eager": round(eager.relative / one.relative, 2)
        if eager and eager.relative and one.relative
        else None,
        "percent_of_peak": round(100 * rate * gflop / peak[one.precision], 1) if on_processor else None,
        "memory_mb": one.peak_mb,
        "score_differs_by": one.max_difference,
        "of_spread": one.spread,
    }


def engines_table(found: dict[str, Any]) -> list[str]:
    """The figures as the page's table."""
    peaks = ", ".join(f"{name} {rate:.0f}" for name, rate in found["matrix_peak_gflops"].items())
    lines = [
        f"Matrix peak of this machine in this run, GFLOP/s: {peaks}.",
        "",
        "| method | engine | p50 ms | p95 | p99 | images/s | × eager | % of peak | MB |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, method in found.items():
        if name == "matrix_peak_gflops":
            continue
        title = f"{name}, {method['input']}, {method['gflop']} GFLOP"
        for variant, figures in method["variants"].items():
            if "p50" not in figures:
                lines.append(f"| {title} | {variant} | {figures['state']}: {figures['reason']} | | | | | | |")
                continue
            cells = [
                figures[key]
                for key in ("p50", "p95", "p99", "images_per_s", "times_faster_than_eager", "percent_of_peak", "memory_mb")
            ]  # fmt: skip
            lines.append(
                f"| {title} | {variant} | " + " | ".join("–" if c is None else f"{c:g}" for c in cells) + " |"
            )
    return lines
