"""Methods that need OK images alone, and methods with classes, from the queue to the first threshold."""

from dataclasses import replace

import numpy as np
import pytest

from annotation.models import LabelClass
from ml.choices import JobState
from ml.errors import DatasetUnsuitable
from ml.methods.contract import Needs
from ml.methods.declarations import METHODS
from ml.models import ImageScore, ModelVersion, OperatingPoint
from ml.services import claims, jobs
from ml.services.execution import run_claimed_job
from ml.services.snapshots import frozen_images
from ml.services.training_sets import read_pixels
from ml.serving.artefact import read_card
from ml.serving.closest_ok import read_closest_ok
from ml.serving.predictor import load_predictor
from tests.ml import toy as toy_module
from tests.ml.factories import DatasetFactory, make_dataset
from tests.ml.toy import TOY

pytestmark = pytest.mark.django_db(transaction=True)

ONE_CLASS = replace(
    TOY, needs=Needs(ok=5), threshold_rule="pauta", threshold_parameters=lambda _parameters: {"gamma": 2}
)


@pytest.fixture(autouse=True)
def folders(settings, tmp_path, media, monkeypatch):
    settings.ARTEFACT_DIR = tmp_path / "models"
    settings.CHECKPOINT_DIR = tmp_path / "checkpoints"
    monkeypatch.setitem(METHODS, "toy", ONE_CLASS)


def trained(dataset: DatasetFactory, **options) -> ModelVersion:
    job = jobs.queue_job(dataset=dataset.dataset, method="toy", **options)
    version = run_claimed_job(claims.claim_job(job.pk, "test:1"))
    job.refresh_from_db()
    assert job.state == JobState.DONE, job.error
    return version


def ok_scores(version: ModelVersion) -> np.ndarray:
    rows = ImageScore.objects.filter(model_version=version, is_ng=False, split="held_out")
    return np.array(rows.values_list("score", flat=True))


@pytest.mark.parametrize("folds", [0, 3])
def test_without_any_ng_image_the_threshold_comes_from_ok_scores_that_no_fit_had_seen(folds):
    version = trained(make_dataset(ok=20), folds=folds)
    held_out = ok_scores(version)
    assert len(held_out) == (20 if folds else 6)
    point = OperatingPoint.objects.get()
    assert point.ng_at == pytest.approx(held_out.mean() + 2 * held_out.std(ddof=1), rel=0.02)
    assert point.reason.startswith("Pauta criterion")
    assert version.evaluation["threshold"]["value"] == point.ng_at
    assert version.evaluation["metrics"]["auroc"]["value"] is None
    assert version.evaluation["n"]["ng"] == 0


def test_with_ng_images_the_methods_own_rule_still_chooses_and_they_measure_it():
    version = trained(make_dataset(ok=20, ng=8), folds=2)
    point = OperatingPoint.objects.get()
    assert point.reason.startswith("Pauta criterion")
    assert point.expected["escapes"]["of"] == 8
    assert version.evaluation["metrics"]["auroc"]["value"] is not None


def test_where_the_rule_has_too_few_scores_the_evaluation_proposes_what_they_allow(monkeypatch):
    share = {"share": 0.99}
    declared = replace(ONE_CLASS, threshold_rule="quantile", threshold_parameters=lambda _parameters: share)
    monkeypatch.setitem(METHODS, "toy", declared)
    version = trained(make_dataset(ok=12), folds=2)
    assert "There is no NG image" in version.evaluation["threshold"]["reason"]


def test_ok_images_that_are_missing_are_refused_with_the_counts():
    with pytest.raises(DatasetUnsuitable, match="At least 5 OK images are needed; there are 0"):
        jobs.queue_job(dataset=make_dataset(ng=20).dataset, method="toy")


class TestClasses:
    """The toy names a class for each image, as a method with classes does."""

    @pytest.fixture
    def dataset(self) -> DatasetFactory:
        made = make_dataset(ok=10, ng=6)
        crack = LabelClass.objects.create(dataset=made.dataset, name="crack", number=2)
        for _ in range(6):
            made.add(is_ng=True, label_class=crack)
        return made

    @pytest.fixture(autouse=True)
    def with_classes(self, monkeypatch):
        predict = toy_module.Model.predict

        def predict_classes(model, images, views=None):
            prediction = predict(model, images, views)
            ng = 1 / (1 + np.exp(-10 * prediction.scores))
            rows = np.stack([1 - ng, 0.25 * ng, 0.75 * ng], axis=1).astype(np.float32)
            return replace(prediction, probabilities=rows)

        monkeypatch.setattr(toy_module.Model, "predict", predict_classes)

    @pytest.mark.parametrize("folds", [0, 2])
    def test_figures_by_class_are_made_of_the_held_out_probabilities(self, dataset, folds):
        version = trained(dataset, folds=folds)
        told_apart = version.evaluation["classes"]["classification"]
        assert told_apart["names"] == ["OK", "NG", "crack"]
        assert np.sum(told_apart["confusion"]) == sum(version.evaluation["n"].values())
        assert [row[1] for row in told_apart["confusion"]] == [0, 0, 0]
        assert version.evaluation["classes"]["detection"].keys() == {"OK", "NG", "crack"}

    def test_the_probabilities_stay_with_the_scores(self, dataset):
        version = trained(dataset, folds=2)
        for row in version.scores.all():
            assert sum(row.probabilities) == pytest.approx(1, abs=1e-6)
            assert row.probabilities[2] == pytest.approx(3 * row.probabilities[1])


def test_the_artefact_finds_the_closest_of_the_ok_images_that_it_learned_from():
    tiny = {"size": 32, "shape": "square", "iterations": 1, "batch": 2}
    job = jobs.queue_job(dataset=make_dataset(ok=20, ng=4).dataset, method="maa", parameters=tiny)
    version = run_claimed_job(claims.claim_job(job.pk, "test:1"))
    folder = version.artefact_path
    found = read_closest_ok(folder, read_card(folder))
    rows = ImageScore.objects.filter(model_version=version, is_ng=False, split="training")
    assert sorted(found.ids) == sorted(rows.values_list("image_id", flat=True))
    one = next(one for one in frozen_images(job.snapshot) if one.id in found.ids)
    said = load_predictor(folder, "onnxruntime").predict([read_pixels(one)])
    assert found.of(said.descriptors) == [one.id]
