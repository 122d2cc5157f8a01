import pytest
from django.urls import reverse
from kombu import Connection

from ml import tasks
from ml.choices import JobState
from ml.models import TrainingJob
from ml.services import lost
from tests.ml.factories import TINY, make_dataset, make_job

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def broker_away(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    def to_nobody(job_id: int) -> None:
        options = {"max_retries": 1, "interval_start": 0, "interval_step": 0}
        with Connection(f"redis+socket://{tmp_path}/nobody.sock", transport_options=options) as connection:
            tasks.train.apply_async((job_id,), connection=connection, retry=False)

    monkeypatch.setattr(tasks.train, "delay", to_nobody)


@pytest.fixture
def dataset(media):
    return make_dataset(ok=12, ng=12)


@pytest.fixture
def quality(client, people):
    client.force_login(people["quality"])
    return client


def find_the_queued_one() -> TrainingJob:
    job = TrainingJob.objects.get()
    assert job.state == JobState.QUEUED
    assert lost.find_lost_jobs() == [job.pk]
    return job


@pytest.mark.usefixtures("broker_away")
@pytest.mark.parametrize(("name", "status"), [("api_job-list", 201), ("training_new", 302)])
def test_a_new_job_waits_for_beat_when_the_broker_cannot_be_reached(dataset, quality, caplog, name, status):
    parameters = {f"parameter-{field}": value for field, value in TINY.items()}
    fields = {"dataset": "bolts", "method": "weak", "preset": "", "folds": "0", "seed": "0"}
    answer = quality.post(reverse(name), fields | parameters)
    assert answer.status_code == status
    find_the_queued_one()
    assert "waits" in caplog.text


@pytest.mark.usefixtures("broker_away")
@pytest.mark.parametrize("name", ["api_job-resume", "training_resume"])
def test_a_resumed_job_waits_for_beat_when_the_broker_cannot_be_reached(dataset, quality, name):
    job = make_job(dataset, state=JobState.FAILED)
    answer = quality.post(reverse(name, args=[job.pk]))
    assert answer.status_code in {200, 302}
    find_the_queued_one()


@pytest.mark.usefixtures("broker_away")
def test_beat_looks_again_soon_when_it_could_not_ask_either(dataset):
    job = make_job(dataset, asked_at=None)
    tasks.requeue_lost_jobs()
    assert lost.find_lost_jobs() == [job.pk]
