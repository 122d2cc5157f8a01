"""What a training beside it costs a line: the same engine with and without one, turn by turn in one run."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np

from inspection.supervision import NICE
from ml.serving.machine import cores
from ml.serving.trials import ROOT, Trial
from ml.serving.variants import DEFAULT

from .engines import _exported
from .machine import percentiles

TURNS: Final = 8
TURN_S: Final = 10.0
# Long enough to outlast the measure; it is ended then.
_ENDLESS: Final = {
    "height": 352, "width": 128, "stage1_iterations": 100_000, "stage2_iterations": 2, "stage3_iterations": 0,
}  # fmt: skip


def measure_beside_training(*, quick: bool = False) -> dict[str, Any]:
    """ms of one image by ONNX Runtime, alone and beside a `weak` training at the worker's priority."""
    turns, turn_s = (2, 1.0) if quick else (TURNS, TURN_S)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name, Trial(threads=cores()) as trial:
        folder = Path(name) / "model"
        _exported("weak", folder, quick=True)
        trial.load(folder, DEFAULT)
        trial.time(1, 0, 20)
        for nice in (NICE["cpu"], 5, 0):
            found[f"training_at_nice_{nice}"] = _compared(trial, nice, turns, turn_s)
    return found


def _compared(trial: Trial, nice: int, turns: int, turn_s: float) -> dict[str, Any]:
    alone: list[float] = []
    beside: list[float] = []
    training = _training(nice)
    try:
        for _ in range(turns):
            os.killpg(training.pid, signal.SIGSTOP)
            alone += trial.time(1, turn_s, 20)
            os.killpg(training.pid, signal.SIGCONT)
            beside += trial.time(1, turn_s, 20)
        assert training.poll() is None, "the training ended before the measure"
    finally:
        os.killpg(training.pid, signal.SIGCONT)
        os.killpg(training.pid, signal.SIGTERM)
        training.wait(30)
    return {
        "alone_ms": percentiles(alone, 2),
        "beside_training_ms": percentiles(beside, 2),
        "p50_ratio": round(float(np.median(beside) / np.median(alone)), 3),
        "p99_ratio": round(float(np.percentile(beside, 99) / np.percentile(alone, 99)), 3),
    }


def _training(nice: int) -> subprocess.Popen[str]:
    """A training that is at work: it has told of its first step."""
    process = subprocess.Popen(
        ["nice", "-n", str(nice), sys.executable, "-m", "tests.benchmarks.train_on", json.dumps(_ENDLESS)],
        cwd=ROOT,
        env=os.environ | {"OMP_WAIT_POLICY": "PASSIVE"},
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,  # a session of its own would be a scheduling group of its own, where nice means nothing
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "at work"
    return process
