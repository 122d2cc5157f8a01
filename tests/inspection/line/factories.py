"""Lines, images and judges for tests. The judge is scripted by what the image shows, not by the test."""

import threading
from contextlib import contextmanager

import cv2
import numpy as np

from inspection.line.config import DeploymentConfig, LineConfig, PushSource, StationConfig
from inspection.line.frames import Frame
from inspection.line.judge import ViewScore
from inspection.line.runtime import LineRuntime
from inspection.plc.control import SimulatorControl

from ..plc.bench import wait_until


def picture(shade=100, seed=0, shape=(32, 48)):
    """Texture around a grey level; its mean is what `ShadeJudge` scores."""
    noise = np.random.default_rng(seed).integers(-20, 21, shape)
    return np.clip(shade + noise, 0, 255).astype(np.uint8)


def png(image):
    return cv2.imencode(".png", image)[1].tobytes()


def frame(shade=100, name="a.png", **fields):
    return Frame(image=picture(shade), name=name, **fields)


class ShadeJudge:
    """A model whose score is the picture's mean grey level over 255."""

    def __init__(self):
        self.is_closed = False
        self.parts = 0

    def judge(self, frames):
        self.parts += 1
        scores = {}
        for name, view in frames.items():
            grey = view.image if view.image.ndim == 2 else view.image.mean(axis=2)
            score_map = (grey[::4, ::4] / 255).astype(np.float32)
            scores[name] = ViewScore(score=float(grey.mean()) / 255, map=score_map, defect_class="bright")
        return scores

    def close(self):
        self.is_closed = True


class HeldJudge(ShadeJudge):
    """A model that is stuck until it is let go, though never while it is warmed up.

    Args:
        is_holding: whether it is stuck from its first part on.
    """

    def __init__(self, is_holding=False):
        super().__init__()
        self.is_holding = is_holding
        self.entered = threading.Event()
        self.released = threading.Event()

    def judge(self, frames):
        if self.is_holding and any(view.name != "blank" for view in frames.values()):
            self.entered.set()
            assert self.released.wait(10)
        return super().judge(frames)


def deployment(number=1, **fields):
    values = {"id": number, "model_version": 100 + number, "artefact": "model", "ng_at": 0.6, "map_max": 1.0}
    return DeploymentConfig(**values | {"classes": {"bright": 3}, "ok_scores": [0.2, 0.4, 0.6]} | fields)


def line_config(folder, **fields):
    values = {
        "line": "demo",
        "folder": str(folder),
        "stations": [StationConfig(name="top", source=PushSource())],
        "trigger": "frame",
        "deployment": deployment(),
        "deadline_s": 5.0,
    }
    return LineConfig(**values | fields)


@contextmanager
def running(config, load_judge=lambda _: ShadeJudge(), *, sources=None, is_ready=True):
    """A runtime at work, with its events in `runtime.seen`."""
    runtime = LineRuntime(config, load_judge, sources=sources)
    runtime.seen = []
    runtime.subscribe(runtime.seen.append)
    runtime.start()
    try:
        if is_ready and config.deployment:
            wait_until(lambda: runtime.deployment, "the model")
        yield runtime
    finally:
        runtime.stop()


def seen(runtime, kind):
    return [event for event in runtime.seen if isinstance(event, kind)]


class HardwareCamera:
    """Photographs the simulator's physical part: it is triggered with the PLC and labels by trigger sequence.

    The picture is bright where the part is truly NG, and its name is the part's serial.
    """

    is_triggered = True

    def __init__(self, control_port):
        self._port = control_port

    def start(self, sink):
        pass

    def stop(self, timeout_s=5.0):
        pass

    def grab(self, sequence, timeout_s):
        try:
            with SimulatorControl(self._port, timeout_s=max(timeout_s, 0.05)) as control:
                seen_part = control.do("camera", sequence=sequence)
        except OSError:
            return None
        if seen_part["part"] is None:
            return None
        shade = 220 if seen_part["truth"] == "NG" else 90
        return Frame(image=picture(shade, seen_part["part"]), name=f"P{seen_part['part']:07d}")
