"""Measures what the runtime adds to the network's time: `python -m tests.inspection.line.measure_overhead`.

A real simulator in its own process, a part every 50 ms, a null judge, a 512 x 512 PNG per part: from the trigger
(read from the PLC) to the PLC's confirmation of the result, less the judge's own time. Prints JSON.
"""

import argparse
import json
import tempfile
from pathlib import Path

import cv2
import numpy as np

from inspection.line.config import JournalConfig, PlcConfig, ReplaySource, StationConfig
from inspection.line.delivery import Delivery
from inspection.line.judge import Judge, ViewScore
from inspection.line.records import Record

from ..plc.bench import SimulatorProcess
from .factories import line_config, picture, running


class NullJudge:
    """A model that takes no time and shows a map all the same."""

    def judge(self, frames):
        return {name: ViewScore(score=0.1, map=np.full((64, 64), 0.1, np.float32)) for name in frames}

    def close(self):
        pass


def measure(
    parts: int,
    period_ms: float,
    fsync_ms: float,
    size: int,
    *,
    views: int = 1,
    judge: Judge | None = None,
    deadline_s: float = 1.0,
) -> dict[str, object]:
    """Runs a line for so many parts of so many views and gives its percentiles in ms."""
    records: list[Record] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "images").mkdir()
        for seed in range(8):
            cv2.imwrite(str(folder / "images" / f"{seed}.png"), picture(seed=seed, shape=(size, size)))
        source = ReplaySource(folder=str(folder / "images"))
        stations = [StationConfig(name=f"view-{number + 1}", source=source) for number in range(views)]
        options = {"period_ms": period_ms, "gate": 20, "parts": parts}
        with SimulatorProcess(folder / "log", **options) as simulator:
            config = line_config(
                folder / "line",
                stations=stations,
                trigger="plc",
                plc=PlcConfig(port=simulator.port),
                deadline_s=deadline_s,
                journal=JournalConfig(fsync_ms=fsync_ms),
            )
            with running(config, lambda _: judge or NullJudge()) as runtime:
                delivery = Delivery(runtime.journal, records.extend)
                delivery.start()
                simulator.wait(parts * period_ms / 1000 + 30)
            delivery.stop()
            passed = sum(part["gate"] == "passed" for part in simulator.parts())
    answered = [record for record in records if record["answer"] and record["answer"]["total_ms"]]
    overhead = [record["answer"]["total_ms"] - record["judge_ms"] for record in answered]
    acquire = [record["acquire_ms"] for record in answered]
    journal = [record["journal_ms"] for record in answered]
    total = [record["answer"]["total_ms"] for record in answered]
    network = [record["judge_ms"] for record in answered]
    return {
        "parts": parts,
        "passed": passed,
        "parts_per_s": 1000 / period_ms,
        "fsync_ms": fsync_ms,
        "image": [size, size],
        **(
            {"trigger_to_confirmed_ms": _percentiles(total), "of_which_network_ms": _percentiles(network)}
            if judge
            else {}
        ),
        "overhead_ms": _percentiles(overhead),
        "of_which_read_and_decode_ms": _percentiles(acquire),
        "of_which_journal_ms": _percentiles(journal),
    }


def _percentiles(values: list[float]) -> dict[str, float]:
    return {f"p{q}": round(float(np.percentile(values, q)), 2) for q in (50, 95, 99)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", type=int, default=400)
    parser.add_argument("--period-ms", type=float, default=50)
    parser.add_argument("--fsync-ms", type=float, nargs="*", default=[0, 200])
    parser.add_argument("--size", type=int, default=512)
    options = parser.parse_args()
    for fsync_ms in options.fsync_ms:
        print(json.dumps(measure(options.parts, options.period_ms, fsync_ms, options.size)))  # noqa: T201
