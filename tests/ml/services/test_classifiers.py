"""The classifiers from a dataset with defect types to a measured version, as the page and the command go."""

import pytest

from annotation.models import LabelClass
from ml.choices import JobState
from ml.models import TrainingJob
from ml.services import claims, jobs
from ml.services.evaluating import evaluate_version
from ml.services.execution import run_claimed_job
from tests.ml.factories import DatasetFactory, make_dataset

pytestmark = pytest.mark.django_db(transaction=True)

SMALL = {
    "weights": "none",
    "height": 32,
    "width": 32,
    "epochs": 2,
    "hidden_units": 16,
    "precision": "float32",
}
PARAMETERS = {
    "transfer_vgg": SMALL | {"backbone": "resnet18", "recipe": "frozen"},
    "multipath_vgg": SMALL | {"copies": 1},
}


@pytest.fixture(autouse=True)
def folders(settings, tmp_path, media):
    settings.ARTEFACT_DIR = tmp_path / "models"
    settings.CHECKPOINT_DIR = tmp_path / "checkpoints"


@pytest.fixture
def dataset() -> DatasetFactory:
    """OK, NG and one defect type more."""
    factory = make_dataset(ok=18, ng=12)
    crack = LabelClass.objects.create(dataset=factory.dataset, name="crack", number=2)
    for _ in range(12):
        factory.add(is_ng=True, label_class=crack)
    return factory


def claimed(dataset: DatasetFactory, method: str) -> TrainingJob:
    job = jobs.queue_job(dataset=dataset.dataset, method=method, parameters=PARAMETERS[method])
    return claims.claim_job(job.pk, "test:1")


@pytest.mark.parametrize(
    ("method", "names"),
    [
        ("transfer_vgg", ["OK", "NG"]),
        pytest.param("multipath_vgg", ["OK", "NG", "crack"], marks=pytest.mark.slow),
    ],
)
def test_a_dataset_with_defect_types_gives_a_version_with_figures_by_class(dataset, method, names):
    version = run_claimed_job(claimed(dataset, method))
    assert version is not None, TrainingJob.objects.get().error
    assert version.parity["passed"]
    assert version.card["classes"] == names
    figures = version.evaluation["classes"]
    assert figures["classification"]["names"] == names
    assert figures["classification"]["by_class"].keys() == set(names)
    assert figures["detection"].keys() == {"OK", "NG", "crack"}
    again = evaluate_version(version=version, dataset=dataset.dataset, on_scored=lambda *_: None)
    held = again["classes"]["classification"]
    assert sum(sum(row) for row in held["confusion"]) == 42


def test_weights_that_went_away_after_queueing_fail_the_job_in_words(dataset, monkeypatch):
    job = claimed(dataset, "transfer_vgg")
    TrainingJob.objects.filter(pk=job.pk).update(parameters=job.parameters | {"weights": "imagenet"})
    job.refresh_from_db()
    assert run_claimed_job(job) is None
    job.refresh_from_db()
    assert job.state == JobState.FAILED
    assert "resnet18-f37072fd.pth" in job.error
    assert "weights add FILE" in job.error
