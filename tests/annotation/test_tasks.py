from pathlib import Path

import pytest
from kombu import Connection

from annotation import tasks
from annotation.choices import ImportState
from annotation.models import Dataset, Image, ImportJob
from annotation.services import importing
from annotation.services.uploads import upload_folder
from tests.annotation import factories

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media")]


@pytest.fixture
def dataset(db) -> Dataset:
    return factories.dataset()


def queued(dataset: Dataset, source: Path, **fields: bool) -> ImportJob:
    return importing.queue_import(dataset=dataset, source=source, source_name="set", **fields)


def test_the_task_runs_an_import_once_however_often_it_is_sent(dataset: Dataset, tmp_path: Path) -> None:
    job = queued(dataset, factories.folder(tmp_path / "set", {"good/1.png": factories.picture()}))
    tasks.run_import(job.pk)
    tasks.run_import(job.pk)
    job.refresh_from_db()
    assert (job.state, job.images_added, job.already_there) == (ImportState.DONE, 1, 0)


def test_an_unforeseen_failure_is_said_on_the_job_and_not_swallowed(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(content: bytes) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(importing, "store_content", broken)
    job = queued(dataset, factories.folder(tmp_path / "set", {"good/1.png": factories.picture()}))
    with pytest.raises(ZeroDivisionError):
        tasks.run_import(job.pk)
    job.refresh_from_db()
    assert job.state == ImportState.FAILED
    assert "worker's log" in job.error


def test_an_uploaded_archive_is_kept_until_its_import_is_done(dataset: Dataset, tmp_path: Path) -> None:
    good = factories.archive(upload_folder() / "good.zip", {"good/1.png": factories.picture()})
    bad = factories.folder(upload_folder(), {"bad.zip": b"no zip"}) / "bad.zip"
    for path in (good, bad):
        tasks.run_import(queued(dataset, path, is_upload=True).pk)
    assert not good.exists()
    assert bad.exists()
    assert Image.objects.count() == 1


def test_a_folder_of_the_server_is_never_deleted(dataset: Dataset, tmp_path: Path) -> None:
    source = factories.archive(tmp_path / "set.zip", {"good/1.png": factories.picture()})
    tasks.run_import(queued(dataset, source, is_upload=True).pk)
    assert source.exists()


@pytest.mark.django_db(transaction=True)
def test_an_import_waits_when_the_broker_cannot_be_reached(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def to_nobody(job_id: int) -> None:
        options = {"max_retries": 1, "interval_start": 0, "interval_step": 0}
        with Connection(f"redis+socket://{tmp_path}/nobody.sock", transport_options=options) as connection:
            tasks.run_import.apply_async((job_id,), connection=connection, retry=False)

    monkeypatch.setattr(tasks.run_import, "delay", to_nobody)
    job = queued(dataset, tmp_path)
    tasks.ask_for_import(job)
    assert "waits" in caplog.text
    assert ImportJob.objects.get().state == ImportState.QUEUED


def test_beat_asks_for_what_was_lost(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(tasks.run_import, "delay", asked.append)
    lost, alive = queued(dataset, tmp_path), queued(dataset, tmp_path)
    for job in (lost, alive):
        importing.claim_import(job.pk)
    ImportJob.objects.filter(pk=lost.pk).update(heartbeat_at="2020-01-01T00:00:00Z")
    tasks.requeue_lost_imports()
    assert asked == [lost.pk]
