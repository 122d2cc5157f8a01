"""Every method on a part of the public images: asked for by command, API and page, trained, served, explained."""

import csv
import json
import os
import shutil
from itertools import islice
from pathlib import Path

import numpy as np
import onnx
import pytest
from django.core.management import call_command
from django.urls import reverse
from rest_framework.test import APIClient

from annotation.decoding import decode_image
from ml.models import ModelVersion, TrainingJob
from ml.serving.artefact import ONNX
from ml.serving.predictor import load_predictor
from ml.tasks import train

ROOT = Path(os.environ.get("INSPECTION_DATA_DIR", "/nowhere"))
pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not ROOT.is_dir(), reason="INSPECTION_DATA_DIR is not set"),
    pytest.mark.django_db(transaction=True),
]

OK, NG = 45, 5  # OK images, and NG ones of each class
CLASSES = {"kolektorsdd": 1, "magnetic_tile": 5}
SMALL = {"height": 64, "width": 64}
# Minutes of training are not the matter here: a few steps, small.
METHODS = {
    "weak": SMALL | {"stage1_iterations": 4, "stage2_iterations": 4, "stage3_iterations": 2},
    "maa": {"size": 64, "batch": 4, "iterations": 3},
    "grad_mobilenet": SMALL | {"weights": "none", "epochs": 2},
    "multipath_vgg": SMALL | {"weights": "none", "epochs": 1, "copies": 1, "hidden_units": 64},
    "transfer_vgg": SMALL | {"weights": "none", "recipe": "scratch", "backbone": "resnet18", "epochs": 1},
}


# Of the scores' spread. A gradient jumps where a ReLU's input is 0 but for the engine's rounding.
TOLERANCE = dict.fromkeys(METHODS, 1e-4) | {"grad_mobilenet": 1e-3}


@pytest.fixture(params=CLASSES)
def dataset(request, media, settings, tmp_path) -> str:
    """Some of a public set's images, imported as a user would."""
    settings.ARTEFACT_DIR = tmp_path / "artefacts"
    settings.CHECKPOINT_DIR = tmp_path / "checkpoints"
    with (ROOT / request.param / "labels.csv").open(newline="") as stream:
        rows = list({row["sha256"]: row for row in csv.DictReader(stream)}.values())
    ok = [row for row in rows if row["label"] == "OK"]
    chosen = ok[:: len(ok) // OK][:OK]
    for name in sorted({row.get("class", "") for row in rows if row["label"] == "NG"}):
        of_class = (row for row in rows if row["label"] == "NG" and row.get("class", "") == name)
        chosen += islice(of_class, NG * (CLASSES["magnetic_tile"] // CLASSES[request.param]))
    folder = tmp_path / request.param
    for row in chosen:
        (folder / row["file"]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / request.param / row["file"], folder / row["file"])
    with (folder / "labels.csv").open("w", newline="") as stream:
        table = csv.DictWriter(stream, rows[0].keys())
        table.writeheader()
        table.writerows(chosen)
    call_command("import_dataset", str(folder), "--name", request.param)
    return request.param


@pytest.mark.parametrize("method", METHODS)
def test_it_is_asked_for_in_three_ways_trained_judged_with_and_explained(
    dataset, method, client, people, monkeypatch, tmp_path
):
    monkeypatch.setattr(train, "delay", lambda _job: None)
    parameters = METHODS[method]
    out = tmp_path / "report.json"
    options = [part for name, value in parameters.items() for part in ("--set", f"{name}={value}")]
    call_command("train", dataset, "--method", method, *options, "--seed", "3", "--json", str(out))
    report = json.loads(out.read_text())

    api = APIClient()
    api.force_authenticate(people["quality"])
    asked = {"dataset": dataset, "method": method, "parameters": parameters, "folds": 0, "seed": 3}
    assert api.post("/api/v1/jobs/", asked, format="json").status_code == 201
    client.force_login(people["quality"])
    form = {"dataset": dataset, "method": method, "preset": "", "folds": "0", "seed": "3"}
    filled = client.get(reverse("training_parameters"), {"method": method, "preset": ""}).context[
        "parameters"
    ]
    shown = {field.html_name: field.value() for field in filled if field.value() not in (None, False)}
    changed = {f"parameter-{name}": value for name, value in parameters.items()}
    assert client.post(reverse("training_new"), form | shown | changed).status_code == 302
    by_command, by_api, by_page = TrainingJob.objects.order_by("id")
    for other in (by_api, by_page):
        assert other.parameters == by_command.parameters
        assert other.snapshot == by_command.snapshot
        assert (other.method, other.folds, other.seed) == (method, 0, 3)

    version = ModelVersion.objects.get()
    call_command("evaluate", version.pk, dataset, "--json", str(out))
    again = {image["file"]: image["score"] for image in json.loads(out.read_text())["images"]}
    trained = np.array([image["score"] for image in report["images"]])
    served = np.array([again[image["file"]] for image in report["images"]])
    np.testing.assert_allclose(served, trained, rtol=0, atol=TOLERANCE[method] * max(np.ptp(trained), 1e-6))

    onnx.checker.check_model(str(version.artefact_path / ONNX))
    images = [decode_image(path) for path in sorted((tmp_path / version.dataset.name).rglob("*.jpg"))[:3]]
    said = load_predictor(version.artefact_path).predict(images)
    assert said.maps is not None
    assert said.maps.shape[0] == len(images)
    assert np.isfinite(said.maps).all()
    assert np.ptp(said.maps) > 0
