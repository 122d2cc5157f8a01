"""`manage.py train` and `evaluate`: the report's shape, what goes where, how they end."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from annotation.decoding import decode_image
from annotation.models import Region
from ml.choices import JobState
from ml.methods.declarations import METHODS
from ml.models import ModelVersion, OperatingPoint, TrainingJob
from ml.services.snapshots import frozen_images
from ml.services.training_sets import image_path
from tests import children
from tests.ml.factories import TINY, make_dataset
from tests.ml.toy import TOY

pytestmark = pytest.mark.django_db(transaction=True)

REPORT_KEYS = {
    "method", "dataset", "model_version", "split", "n", "metrics", "threshold", "images", "seconds", "peak_mb",
}  # fmt: skip
METRICS = {
    "auroc", "average_precision", "overkill_at_full_recall", "false_calls_at_best_f1", "accuracy",
}  # fmt: skip


@pytest.fixture
def dataset():
    return make_dataset(ok=14, ng=14)


def overrides(parameters: dict = TINY) -> list[str]:
    return [part for name, value in parameters.items() for part in ("--set", f"{name}={value}")]


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    monkeypatch.setitem(METHODS, "toy", TOY)


def train(out: Path, *options: str, method: str = "toy") -> dict:
    call_command("train", "bolts", "--method", method, *options, "--json", str(out))
    return json.loads(out.read_text())


def check_shape(report: dict) -> None:
    assert report.keys() >= REPORT_KEYS
    assert report["split"].keys() >= {"by", "folds", "seed"}
    assert report["n"].keys() == {"ok", "ng"}
    assert report["metrics"].keys() >= METRICS
    assert report["metrics"]["auroc"].keys() >= {"value", "low", "high"}
    assert report["metrics"]["overkill_at_full_recall"].keys() >= {"count", "of", "low", "high"}
    assert report["metrics"]["false_calls_at_best_f1"].keys() >= {"count", "of"}
    assert report["threshold"].keys() == {"value", "reason"}
    assert len(report["images"]) == report["n"]["ok"] + report["n"]["ng"]
    for image in report["images"]:
        assert image.keys() == {"file", "label", "class", "score", "fold"}
        assert image["label"] in {"OK", "NG"}


def test_the_report_has_the_shape_that_every_method_shares(dataset, tmp_path):
    report = train(tmp_path / "report.json", "--seed", "4", *overrides(), method="weak")
    check_shape(report)
    assert (report["method"], report["dataset"]) == ("weak", "bolts")
    split = report["split"]
    assert (split["by"], split["folds"], split["seed"]) == ("group", 0, 4)
    assert split["grouped"]["sentences"] == []
    assert report["model_version"] == ModelVersion.objects.get().pk
    assert {image["fold"] for image in report["images"]} == {0}


def test_cross_validation_reports_every_image_with_its_fold(dataset, tmp_path):
    report = train(tmp_path / "report.json", "--folds", "2")
    check_shape(report)
    assert len(report["images"]) == 28
    assert {image["fold"] for image in report["images"]} == {0, 1}


def test_the_report_is_all_that_standard_output_has(dataset, capsys):
    call_command("train", "bolts", "--method", "toy")
    captured = capsys.readouterr()
    check_shape(json.loads(captured.out))
    assert "Fit on" in captured.err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["nuts", "--method", "weak"], "no dataset “nuts”. There are: bolts"),
        (["bolts"], "--method"),
        (["bolts", "--method", "weak", "--set", "stage1_rate=7"], "stage1_rate"),
        (["bolts", "--method", "weak", "--set", "stage1_rate"], "KEY=VALUE"),
        (["bolts", "--method", "weak", "--set", "nonsense=1"], "nonsense"),
        (["bolts", "--method", "weak", "--preset", "tarot"], "tarot"),
        (["bolts", "--method", "weak", "--folds", "1"], "folds"),
        (["--resume", "77"], "no job 77"),
        (["--like", "77"], "no model version 77"),
        (["--like", "77", "--method", "weak", "--seed", "3"], "--like takes method, seed from"),
        (["bolts", "--method", "weak", "--json", "/no/such/folder/x.json"], "no such folder"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_trained(dataset, arguments, text):
    with pytest.raises(CommandError, match=text):
        call_command("train", *arguments)
    assert not TrainingJob.objects.exists()


def test_a_dataset_without_ng_is_refused(media):
    make_dataset(ok=20)
    with pytest.raises(CommandError, match="At least 5 NG images are needed; there are 0"):
        call_command("train", "bolts", "--method", "weak")


def test_a_model_is_trained_again_from_its_card_to_the_same_scores(dataset, tmp_path):
    first = train(tmp_path / "first.json", "--seed", "4", "--folds", "2", "--set", "iterations=7")
    dataset.add(is_ng=True)
    again = tmp_path / "again.json"
    call_command("train", "--like", str(first["model_version"]), "--json", str(again))
    report = json.loads(again.read_text())
    for name in ("method", "dataset", "split", "n", "metrics", "threshold", "images"):
        assert report[name] == first[name]
    call_command("train", "--like", str(first["model_version"]), "--dataset", "bolts", "--json", str(again))
    assert json.loads(again.read_text())["n"] == {"ok": 14, "ng": 15}


def test_ctrl_c_keeps_the_checkpoint_says_how_to_resume_and_resuming_ends_well(dataset, tmp_path):
    long = overrides(TINY | {"stage1_iterations": 40})
    out = tmp_path / "report.json"
    command = [sys.executable, "manage.py", "train", "bolts", "--method", "weak", *long, "--json", str(out)]
    process = subprocess.Popen(
        command, env=children.environment(), cwd=settings.BASE_DIR, stderr=subprocess.PIPE, text=True
    )
    with process.stderr:
        for line in process.stderr:
            if "%" in line:
                process.send_signal(signal.SIGINT)
                break
        said = process.stderr.read()
    assert process.wait(60) == 130
    job = TrainingJob.objects.get()
    assert job.state == JobState.CANCELLED
    assert f"train --resume {job.pk}" in said
    assert not out.exists()
    call_command("train", "--resume", str(job.pk), "--json", str(out))
    check_shape(json.loads(out.read_text()))


class TestEvaluate:
    @pytest.fixture
    def version(self, dataset, tmp_path) -> ModelVersion:
        train(tmp_path / "trained.json")
        return ModelVersion.objects.get()

    def test_the_report_has_the_same_shape_at_the_newest_operating_point(self, version, tmp_path, capsys):
        OperatingPoint.objects.create(model_version=version, ng_at=0.25, reason="agreed")
        out = tmp_path / "evaluated.json"
        call_command("evaluate", str(version.pk), "bolts", "--json", str(out))
        report = json.loads(out.read_text())
        check_shape(report)
        assert report["threshold"] == {"value": 0.25, "reason": "agreed"}
        assert len(report["images"]) == 28
        seen = report["split"]["seen_in_training"]
        assert seen == version.scores.filter(split="training").count()
        assert f"{seen} of 28 images were in this model's training" in capsys.readouterr().err

    def test_images_that_look_like_trained_ones_are_pointed_out(self, version, tmp_path, capsys):
        fitted = frozen_images(version.job.snapshot)
        trained = next(image for image in fitted if image.fold < 0)
        other = make_dataset(ok=20, ng=2, name="Nuts", first=500)
        darker = (decode_image(image_path(trained)) * 0.8).astype(np.uint8)
        other.add_pixels(darker, is_ng=trained.is_ng)
        out = tmp_path / "evaluated.json"
        call_command("evaluate", str(version.pk), "nuts", "--json", str(out))
        split = json.loads(out.read_text())["split"]
        assert (split["seen_in_training"], split["near_identical_to_training"]) == (0, 1)
        assert "Near-identical to one that was: 1 more." in capsys.readouterr().err

    def test_serving_gives_the_scores_that_training_gave(self, version, tmp_path):
        out = tmp_path / "evaluated.json"
        call_command("evaluate", str(version.pk), "bolts", "--json", str(out))
        served = {image["file"]: image["score"] for image in json.loads(out.read_text())["images"]}
        for row in version.scores.select_related("image"):
            assert served[row.image.name] == pytest.approx(row.score, abs=1e-5)

    def test_a_map_outside_a_region_that_was_drawn_since_is_told(self, version, dataset, tmp_path, capsys):
        out = tmp_path / "evaluated.json"
        call_command("evaluate", str(version.pk), "bolts", "--json", str(out))
        assert json.loads(out.read_text())["outside_region"] is None
        Region.objects.create(dataset=dataset.dataset, version=1, left=0, top=0, width=32, height=64)
        call_command("evaluate", str(version.pk), "bolts", "--json", str(out))
        found = json.loads(out.read_text())["outside_region"]
        assert found["images"] == 14
        assert found["mean"] == pytest.approx(0.5, abs=0.1), "the toy's map is hot all over"
        assert "14 NG images, 5" in capsys.readouterr().err

    def test_a_dataset_of_ok_images_alone_is_judged_without_ranking_figures(self, version, tmp_path):
        make_dataset(ok=4, name="Nuts", first=1000)
        out = tmp_path / "evaluated.json"
        call_command("evaluate", str(version.pk), "nuts", "--json", str(out))
        report = json.loads(out.read_text())
        assert report["n"] == {"ok": 4, "ng": 0}
        assert report["metrics"]["auroc"]["value"] is None
        assert report["split"]["seen_in_training"] == 0

    def test_an_artefact_that_was_changed_is_refused(self, version):
        (version.artefact_path / "model.onnx").write_bytes(b"other")
        with pytest.raises(CommandError, match="not the file that was exported"):
            call_command("evaluate", str(version.pk), "bolts")

    def test_an_unknown_model_or_dataset_is_told(self, dataset):
        with pytest.raises(CommandError, match="no model version 77"):
            call_command("evaluate", "77", "bolts")
