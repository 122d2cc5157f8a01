"""Training again over REST, and folds in a job's answer."""

import pytest
from rest_framework.test import APIClient

from ml.choices import JobState
from ml.models import FoldFit, TrainingJob
from tests.ml.factories import make_dataset, make_job, make_version

pytestmark = pytest.mark.django_db

API = "/api/v1"


@pytest.fixture(autouse=True)
def sent(monkeypatch) -> list[int]:
    from ml.tasks import train

    asked: list[int] = []
    monkeypatch.setattr(train, "delay", asked.append)
    return asked


@pytest.fixture
def quality(people) -> APIClient:
    client = APIClient()
    client.force_authenticate(people["quality"])
    return client


@pytest.fixture
def dataset(media):
    return make_dataset(ok=12, ng=12)


def test_an_operator_may_not_train_again(people, dataset):
    client = APIClient()
    client.force_authenticate(people["operator"])
    version = make_version(dataset)
    assert client.post(f"{API}/jobs/like/", {"model_version": version.pk}).status_code == 403


def test_a_model_without_its_artefact_is_a_conflict_with_the_reason(quality, dataset, sent):
    version = make_version(dataset)
    answer = quality.post(f"{API}/jobs/like/", {"model_version": version.pk})
    assert answer.status_code == 409
    assert answer.json()["code"] == "card_refused"
    assert "can't be trained again" in answer.json()["detail"]
    assert not sent


@pytest.mark.parametrize("body", [{}, {"model_version": 77}, {"model_version": 1, "dataset": "nuts"}])
def test_an_unknown_model_or_dataset_is_told(quality, dataset, body):
    assert quality.post(f"{API}/jobs/like/", body).status_code == 400
    assert not TrainingJob.objects.exists()


def test_a_job_tells_how_far_each_fold_is_and_all_their_curves(quality, dataset):
    job = make_job(dataset, folds=2, state=JobState.RUNNING, curves={"Final fit: look | loss": [[1, 2]]})
    FoldFit.objects.filter(job=job, fold=1).update(
        state=JobState.RUNNING, progress=0.5, curves={"Fold 2 of 2: look | loss": [[1, 3]]}
    )
    answer = quality.get(f"{API}/jobs/{job.pk}/").json()
    assert [(fold["fold"], fold["state"], fold["progress"]) for fold in answer["fold_fits"]] == [
        (0, "queued", 0.0),
        (1, "running", 0.5),
    ]
    assert list(answer["curves"]) == ["Fold 2 of 2: look | loss", "Final fit: look | loss"]
