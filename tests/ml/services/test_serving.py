"""What a machine finds out about a version: taken by one process, kept, given back, found when lost."""

import json
from datetime import timedelta

import numpy as np
import pytest
from django.utils import timezone

from ml import tasks
from ml.choices import JobState, ScoreSplit
from ml.methods.declarations import METHODS
from ml.models import ImageScore, ModelVersion, ServingMeasurement
from ml.services import jobs, serving
from ml.services.claims import claim_job
from ml.services.execution import run_claimed_job
from ml.serving import measuring
from ml.serving.artefact import ONNX, read_card
from ml.serving.held_out import read_held_out
from ml.serving.machine import machine_key
from ml.serving.measured import State, read_measured
from ml.serving.variants import Variant
from tests.ml.factories import make_dataset
from tests.ml.toy import TOY

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def folders(settings, tmp_path, media, monkeypatch):
    settings.ARTEFACT_DIR = tmp_path / "models"
    settings.CHECKPOINT_DIR = tmp_path / "checkpoints"
    monkeypatch.setitem(METHODS, "toy", TOY)
    # Two engines, each timed once: what is found out is tested with the pure room.
    quick = measuring.Plan((Variant("onnxruntime"), Variant("openvino")), turns=1, turn_s=0, nice=0)
    monkeypatch.setattr(measuring, "Plan", lambda **_: quick)


def trained(**options) -> ModelVersion:
    job = jobs.queue_job(dataset=make_dataset(ok=14, ng=14).dataset, method="toy", **options)
    return run_claimed_job(claim_job(job.pk, "test:1"))


@pytest.fixture
def version() -> ModelVersion:
    return trained()


def test_a_version_is_measured_once_and_kept_in_its_row_and_beside_its_artefact(version):
    row = serving.measure_version(version, worker="a")
    assert (row.state, row.progress, row.error, row.machine) == (JobState.DONE, 1.0, "", machine_key())
    kept = read_measured(version.artefact_path)
    assert row.measured == json.loads(json.dumps(kept.to_json()))
    assert [one.state for one in kept.variants] == [State.MEASURED, State.MEASURED]
    assert serving.measure_version(version, worker="b") is None
    assert serving.measurement_here(version) == row


def test_another_machine_measures_for_itself(version, monkeypatch):
    serving.measure_version(version, worker="a")
    monkeypatch.setattr(serving, "machine_key", lambda: "0123456789abcdef")
    assert serving.measurement_here(version) is None
    assert serving.measure_version(version, worker="b").state == JobState.DONE
    assert version.serving_measurements.count() == 2


def test_who_asks_again_gets_a_new_measurement(version):
    first = serving.measure_version(version, worker="a")
    assert serving.ask_again(version).state == JobState.QUEUED
    second = serving.measure_version(version, worker="a")
    assert (second.pk, second.state) == (first.pk, JobState.DONE)
    assert second.finished_at > first.finished_at


def under_way(version, *, age: timedelta = timedelta(0)) -> ServingMeasurement:
    return ServingMeasurement.objects.create(
        model_version=version,
        machine=machine_key(),
        state=JobState.RUNNING,
        worker="other",
        heartbeat_at=timezone.now() - age,
    )


def test_what_another_process_measures_is_left_to_it_also_by_who_asks_again(version):
    row = under_way(version)
    assert serving.measure_version(version, worker="b") is None
    assert serving.ask_again(version).state == JobState.RUNNING
    row.refresh_from_db()
    assert row.worker == "other"


def test_what_was_lost_is_found_and_taken_over(version):
    under_way(version, age=serving.STALE_AFTER + timedelta(seconds=1))
    assert serving.find_lost() == [version.pk]
    assert serving.measure_version(version, worker="b").worker == "b"
    assert serving.find_lost() == []


def test_a_row_of_another_machine_is_not_this_ones_to_find(version):
    row = under_way(version, age=timedelta(days=1))
    ServingMeasurement.objects.filter(pk=row.pk).update(machine="0123456789abcdef")
    assert serving.find_lost() == []


def test_a_process_that_is_told_to_stop_queues_the_row_again(version):
    assert serving.measure_version(version, worker="a", stop=lambda: True) is None
    row = serving.measurement_here(version)
    assert (row.state, row.worker) == (JobState.QUEUED, "")


def test_a_process_whose_row_was_given_back_stops_and_writes_nothing(version, monkeypatch):
    tell = serving._Watch.on_progress

    def give_back(watch, share, text):
        serving.release_measurements("a")
        tell(watch, share, text)

    monkeypatch.setattr(serving._Watch, "on_progress", give_back)
    assert serving.measure_version(version, worker="a@here:1") is None
    assert serving.measurement_here(version).state == JobState.QUEUED
    assert read_measured(version.artefact_path) is None


def test_a_damaged_artefact_fails_with_the_file_that_is_damaged(version):
    content = bytearray((version.artefact_path / ONNX).read_bytes())
    content[-1] ^= 1
    (version.artefact_path / ONNX).write_bytes(bytes(content))
    row = serving.measure_version(version, worker="a")
    assert row.state == JobState.FAILED
    assert "model.onnx is not the file that was exported" in row.error


def test_a_task_measures_and_a_second_message_does_no_harm(version):
    tasks.measure_serving.apply((version.pk,))
    before = serving.measurement_here(version)
    tasks.measure_serving.apply((version.pk,))
    assert before.state == JobState.DONE
    assert serving.measurement_here(version).finished_at == before.finished_at
    tasks.measure_serving.apply((version.pk + 1,))


def test_a_hold_outs_artefact_holds_what_the_model_had_not_seen_with_the_scores_it_gave(version):
    held = read_held_out(version.artefact_path, read_card(version.artefact_path))
    rows = ImageScore.objects.filter(model_version=version, split=ScoreSplit.HELD_OUT)
    assert dict(zip(held.ids.tolist(), held.expected, strict=True)) == pytest.approx(
        dict(rows.values_list("image_id", "score"))
    )
    assert dict(zip(held.ids.tolist(), held.is_ng.tolist(), strict=True)) == dict(
        rows.values_list("image_id", "is_ng")
    )
    assert held.of == rows.count()
    assert len(held.calibration) >= 1


def test_after_folds_the_exported_models_own_scores_are_held_not_those_of_the_folds_models():
    version = trained(folds=2)
    card = read_card(version.artefact_path)
    held = read_held_out(version.artefact_path, card)
    by_folds = dict(ImageScore.objects.filter(model_version=version).values_list("image_id", "score"))
    assert len(held.ids) == len(by_folds) == 28
    assert [by_folds[number] for number in held.ids] != pytest.approx(held.expected)
    from ml.serving.predictor import load_predictor

    own = load_predictor(version.artefact_path).predict_resized(list(held.images)).scores
    np.testing.assert_allclose(own, held.expected, atol=1e-5)


def test_an_engine_that_crashes_after_training_is_refused_by_name_and_the_model_is_kept(
    tmp_path, monkeypatch
):
    from tests.ml.serving.builders import CRASH, break_package

    break_package(monkeypatch, tmp_path / "broken", "openvino", CRASH)
    version = trained()
    assert "SIGSEGV" in version.parity["refused"]["openvino"]
    assert {name for name, one in version.parity["engines"].items() if one["passed"]} == {
        "onnxruntime",
        "torch",
    }
