"""Lines, deployments and journal records for tests; a model small enough to run in a millisecond."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from inspection.choices import DeploymentState
from inspection.line.records import Record
from inspection.models import Deployment, Line, Station
from inspection.services.delivery import deliver_records
from ml.choices import JobState, ModelStage, ScoreSplit
from ml.methods.contract import Prediction
from ml.models import ImageScore, ModelVersion, OperatingPoint, Snapshot, TrainingJob
from ml.preprocessing import Preprocessing
from ml.scoring import Identity
from ml.serving.artefact import ONNX, WEIGHTS, Card, ParityImages, write_card, write_parity
from tests.ml.factories import SIZE, DatasetFactory, make_dataset, make_pixels

BEGINNING = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
CELL = 8
# The brightest cell of `tests.ml.factories` images: OK stays below, a bright bar is above.
NG_AT = 0.55


def make_line(
    *, name: str = "Demo", stations: tuple[str, ...] = ("top",), source: str = "push", **fields
) -> Line:
    """A line without a PLC that takes pushed frames, unless told otherwise."""
    values = {
        "slug": name.lower().replace(" ", "-"),
        "plc_profile": "none",
        "trigger_mode": "frame",
        **fields,
    }
    line = Line.objects.create(name=name, **values)
    for position, station in enumerate(stations):
        Station.objects.create(line=line, name=station, position=position, source=source)
    return line


def make_artefact(folder: Path) -> None:
    """A real artefact: the score is the mean grey of the brightest cell of 8 × 8 pixels, the map all cells'."""
    folder.mkdir(parents=True)
    (folder / ONNX).write_bytes(_network().SerializeToString())
    (folder / WEIGHTS).write_bytes(b"none")
    images = [make_pixels(number, is_ng=number % 2 == 1) for number in range(4)]
    cells = np.stack([_cells(image) for image in images])
    expected = Prediction(cells.max(axis=(1, 2)).astype(np.float64), cells)
    write_parity(folder, ParityImages(images, [""] * len(images), expected))
    write_card(
        folder,
        Card(
            method="weak",
            parameters={},
            seed=0,
            preprocessing=Preprocessing(SIZE, SIZE, mean=(0.0,), std=(1.0,)),
            classes=("OK", "NG"),
            scoring=Identity(),
            extra={},
            files={},
        ),
    )


def _cells(image: np.ndarray) -> np.ndarray:
    scaled = image.astype(np.float32) / 255
    return scaled.reshape(SIZE // CELL, CELL, SIZE // CELL, CELL).mean(axis=(1, 3))


def _network() -> onnx.ModelProto:
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 1, SIZE, SIZE])
    score = helper.make_tensor_value_info("score", TensorProto.FLOAT, ["batch"])
    cells = helper.make_tensor_value_info("map", TensorProto.FLOAT, ["batch", SIZE // CELL, SIZE // CELL])
    channel = helper.make_tensor("channel", TensorProto.INT64, [1], [1])
    both = helper.make_tensor("both", TensorProto.INT64, [2], [1, 2])
    nodes = [
        helper.make_node(
            "AveragePool", ["images"], ["pooled"], kernel_shape=[CELL, CELL], strides=[CELL, CELL]
        ),
        helper.make_node("Squeeze", ["pooled", "channel"], ["map"]),
        helper.make_node("ReduceMax", ["map", "both"], ["score"], keepdims=0),
    ]
    graph = helper.make_graph(nodes, "brightest cell", [images], [score, cells], [channel, both])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def make_operating_point(
    *, factory: DatasetFactory | None = None, has_artefact: bool = True, **fields
) -> OperatingPoint:
    """A threshold of a version whose artefact is in place; needs `media` and an artefact folder of the test's."""
    factory = factory or make_dataset(ok=3, ng=3)
    version = make_version(factory)
    if has_artefact:
        make_artefact(version.artefact_path)
    return OperatingPoint.objects.create(
        **{"model_version": version, "ng_at": NG_AT, "reason": "as agreed", **fields}
    )


def make_version(factory: DatasetFactory) -> ModelVersion:
    """A model version without a training, with scores of its dataset's OK images."""
    dataset = factory.dataset
    number = TrainingJob.objects.count() + 1
    snapshot = Snapshot.objects.create(
        dataset=dataset, sha256=f"{number:064d}", contents={"images": []}, ok_count=3, ng_count=3
    )
    job = TrainingJob.objects.create(dataset=dataset, snapshot=snapshot, method="weak", state=JobState.DONE)
    version = ModelVersion.objects.create(
        dataset=dataset, job=job, method="weak", artefact=f"job-{job.pk}", stage=ModelStage.APPROVED
    )
    for place, image in enumerate(dataset.images.filter(current_class__number=0)):
        ImageScore.objects.create(
            model_version=version,
            image=image,
            is_ng=False,
            class_name="OK",
            score=0.40 + place / 100,
            split=ScoreSplit.HELD_OUT,
        )
    return version


def make_deployment(line: Line, point: OperatingPoint, *, state: str = DeploymentState.LIVE) -> Deployment:
    return Deployment.objects.create(line=line, operating_point=point, state=state)


def part_record(sequence: int, *, line: str = "demo", **fields) -> Record:
    """A part's record, as the journal's delivery hands it over."""
    begun_at = BEGINNING + timedelta(seconds=sequence)
    verdict = fields.pop("verdict", "OK")
    record = {
        "kind": "part",
        "line": line,
        "sequence": sequence,
        "origin": "line",
        "trigger_sequence": None,
        "serial": f"S{sequence}",
        "lot": "",
        "verdict": verdict,
        "judged_verdict": verdict,
        "error_code": 0,
        "error": "",
        "late": False,
        "score": 0.4,
        "score_rank": 5000,
        "defect_class": None,
        "views": [view_record(verdict=verdict)],
        "deployment": None,
        "model_version": None,
        "ng_at": NG_AT,
        "review_from": None,
        "triggered_at": begun_at.isoformat(),
        "judged_at": (begun_at + timedelta(milliseconds=40)).isoformat(),
        "acquire_ms": 3.0,
        "wait_ms": 0.5,
        "judge_ms": 30.0,
        "journal_ms": 1.0,
        "number": sequence,
        "previous_hash": "0" * 64,
        "hash": f"{sequence:064d}",
        "answer": None,
    }
    return record | fields


def view_record(station: str = "top", **fields) -> dict[str, Any]:
    """One view of a part's record."""
    return {
        "station": station,
        "verdict": "OK",
        "score": 0.4,
        "error_code": 0,
        "error": "",
        "frame_name": "a.png",
        "reference": None,
        "frame_path": None,
        "map_path": None,
        "map_height": None,
        "map_width": None,
        "map_max": None,
        "map_box": None,
        "image_height": SIZE,
        "image_width": SIZE,
        "defect_class": None,
        "closest_ok": None,
        "captured_at": BEGINNING.isoformat(),
        **fields,
    }


def answer_record(sequence: int, given: str | None = "OK", **fields) -> Record:
    """What the PLC was given for a part."""
    return {
        "kind": "answer",
        "line": "demo",
        "sequence": sequence,
        "trigger_sequence": sequence,
        "given": given,
        "error_code": 0,
        "late": False,
        "answered_at": None,
        "total_ms": 48.0,
        "reason": "",
        **fields,
    }


def make_parts(line: Line, count: int, *, first: int = 1, **fields) -> None:
    """Judged parts in the database, by the way they always come."""
    deliver_records(
        line=line,
        records=[part_record(number, line=line.slug, **fields) for number in range(first, first + count)],
    )
