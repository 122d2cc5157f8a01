from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from annotation.choices import ImportState, LabelHow, RemarkKind
from annotation.models import AuditEntry, Dataset, Image, ImageSource, ImportJob, Label
from annotation.services import importing
from annotation.services.datasets import delete_dataset, existing_class
from annotation.services.labels import label_images
from annotation.services.storage import store_image
from tests.annotation import factories
from tests.annotation.test_decoding import png_header

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media")]


@pytest.fixture
def dataset(db) -> Dataset:
    return factories.dataset()


def bring(dataset: Dataset, source: Path, layout: str = "auto", author=None) -> ImportJob:
    queued = importing.queue_import(
        dataset=dataset, source=source, source_name=source.name, layout=layout, created_by=author
    )
    job = importing.run_import(importing.claim_import(queued.pk))
    job.refresh_from_db()
    assert job.files_done == job.images_added + job.already_there + job.duplicates + job.refused
    return job


def remarks(job: ImportJob, kind: RemarkKind = RemarkKind.REFUSED) -> dict[str, str]:
    return dict(job.remarks.filter(kind=kind).values_list("file", "reason"))


def classes(dataset: Dataset) -> dict[str, str | None]:
    return dict(Image.objects.filter(dataset=dataset).values_list("name", "current_class__name"))


def test_a_folder_and_an_archive_come_in_alike(dataset: Dataset, tmp_path: Path) -> None:
    files = {
        "good/1.png": factories.picture(),
        "crack/2.png": factories.picture(),
        "3.png": factories.picture(),
    }
    from_folder = bring(dataset, factories.folder(tmp_path / "set", files))
    from_archive = bring(factories.dataset("Other"), factories.archive(tmp_path / "set.zip", files))
    for job in (from_folder, from_archive):
        assert (job.state, job.images_added, job.labels_added) == (ImportState.DONE, 3, 2)
        assert job.layout_found == "folders"
        assert classes(job.dataset) == {"3.png": None, "crack/2.png": "crack", "good/1.png": "OK"}
    assert AuditEntry.objects.filter(action="import.done").count() == 2


def test_every_unusable_file_is_listed_with_its_reason_and_the_rest_goes_in(
    dataset: Dataset, tmp_path: Path
) -> None:
    files = {
        "good/fine.png": factories.picture(),
        "good/text.png": b"this is no image",
        "good/empty.png": b"",
        "good/cut.jpg": factories.picture(fmt="JPEG", size=(200, 200))[:6000],
        "crack/huge.png": png_header(30_000, 30_000),
        "../out.png": factories.picture(),
    }
    job = bring(dataset, factories.archive(tmp_path / "set.zip", files))
    assert (job.state, job.images_added, job.refused) == (ImportState.DONE, 1, 5)
    said = remarks(job)
    assert "not a JPEG" in said["good/text.png"]
    assert "empty" in said["good/empty.png"]
    assert "cut short" in said["good/cut.jpg"]
    assert "million" in said["crack/huge.png"]
    assert "leads out" in said["../out.png"]


def test_identical_files_are_one_image_and_are_reported(dataset: Dataset, tmp_path: Path) -> None:
    content = factories.picture()
    table = "file,label,item\na.png,NG,p1\nb.png,NG,p2\n"
    job = bring(
        dataset, factories.folder(tmp_path / "set", {"a.png": content, "b.png": content, "labels.csv": table})
    )
    assert (job.images_added, job.duplicates, job.labels_added) == (1, 1, 1)
    assert remarks(job, RemarkKind.DUPLICATE) == {"b.png": "Byte-identical to a.png."}
    assert list(ImageSource.objects.values_list("name", "item")) == [("a.png", "p1"), ("b.png", "p2")]


def test_identical_files_of_contradicting_classes_are_refused_and_the_first_stands(
    dataset: Dataset, tmp_path: Path
) -> None:
    content = factories.picture()
    files = {"crack/a.png": content, "good/b.png": content, "good/c.png": factories.picture()}
    job = bring(dataset, factories.folder(tmp_path / "set", files))
    assert (job.images_added, job.refused) == (2, 1)
    assert "another class (OK)" in remarks(job)["good/b.png"]
    assert classes(dataset) == {"crack/a.png": "crack", "good/c.png": "OK"}
    assert not ImageSource.objects.filter(name="good/b.png").exists()


def test_the_contradiction_is_seen_across_batches(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "BATCH_FILES", 1)
    content = factories.picture()
    job = bring(dataset, factories.folder(tmp_path / "set", {"crack/a.png": content, "good/b.png": content}))
    assert list(remarks(job)) == ["good/b.png"]


def test_the_same_import_again_adds_nothing(dataset: Dataset, tmp_path: Path) -> None:
    content = factories.picture()
    files = {"good/1.png": content, "good/2.png": content, "crack/3.png": factories.picture()}
    source = factories.folder(tmp_path / "set", files)
    bring(dataset, source)
    again = bring(dataset, source)
    assert (again.state, again.images_added, again.already_there) == (ImportState.DONE, 0, 3)
    assert (again.duplicates, again.labels_added) == (0, 0)
    assert (Image.objects.count(), ImageSource.objects.count(), Label.objects.count()) == (2, 3, 2)


def test_importing_again_does_not_override_what_a_person_said_since(
    dataset: Dataset, tmp_path: Path, people: dict
) -> None:
    source = factories.folder(tmp_path / "set", {"good/1.png": factories.picture()})
    bring(dataset, source, author=people["quality"])
    ng = existing_class(dataset=dataset, name="NG", actor=None)
    label_images(images=Image.objects.all(), label_class=ng, author=people["quality"], how=LabelHow.KEYBOARD)
    bring(dataset, source, author=people["quality"])
    assert classes(dataset) == {"good/1.png": "NG"}


def test_a_corrected_table_brings_its_corrections(dataset: Dataset, tmp_path: Path) -> None:
    source = factories.folder(
        tmp_path, {"a.png": factories.picture(), "labels.csv": "file,label\na.png,OK\n"}
    )
    bring(dataset, source)
    factories.folder(source, {"labels.csv": "file,label,item\na.png,crack,p7\n"})
    again = bring(dataset, source)
    assert (again.already_there, again.labels_added) == (1, 1)
    assert classes(dataset) == {"a.png": "crack"}
    assert ImageSource.objects.get().item == "p7"


def test_a_file_that_is_not_what_its_hash_says_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    table = f"file,label,sha256\na.png,OK,{'0' * 64}\n"
    job = bring(
        dataset, factories.folder(tmp_path / "set", {"a.png": factories.picture(), "labels.csv": table})
    )
    assert "it was changed" in remarks(job)["a.png"]
    assert not Image.objects.exists()


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"set.zip": b"no zip"}, "no ZIP archive"),
        ({"set.zip": b"PK\x03\x04 begun"}, "cut short"),
        ({}, "nothing at"),
    ],
)
def test_a_source_that_cannot_be_used_fails_with_a_sentence(
    dataset: Dataset, tmp_path: Path, files: dict, said: str
) -> None:
    job = bring(dataset, factories.folder(tmp_path / "set", files) / "set.zip")
    assert job.state == ImportState.FAILED
    assert said in job.error
    assert AuditEntry.objects.get(action="import.failed").details["error"] == job.error


def test_an_import_of_which_nothing_is_usable_fails_and_lists_why(dataset: Dataset, tmp_path: Path) -> None:
    job = bring(dataset, factories.folder(tmp_path / "set", {"good/1.png": b"x", "good/2.png": b"y"}))
    assert job.state == ImportState.FAILED
    assert "all 2 files were refused" in job.error
    assert len(remarks(job)) == 2


def test_a_full_disk_ends_the_import_and_running_it_again_goes_on(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "BATCH_FILES", 2)
    source = factories.folder(
        tmp_path / "set", {f"good/{at:02}.png": factories.picture() for at in range(20)}
    )
    real, written = importing.store_content, []

    def store_until_full(content: bytes):
        if len(written) >= 12:
            from annotation.services.storage import StorageFailed

            raise StorageFailed("The server's disk is full; make room, then try again.")
        written.append(content)
        return real(content)

    monkeypatch.setattr(importing, "store_content", store_until_full)
    failed = bring(dataset, source)
    assert failed.state == ImportState.FAILED
    assert "disk is full" in failed.error
    assert 0 < failed.images_added == Image.objects.count() < 20

    monkeypatch.setattr(importing, "store_content", real)
    importing.repeat_import(job=failed)
    done = importing.run_import(importing.claim_import(failed.pk))
    assert (done.state, done.images_added, done.already_there) == (ImportState.DONE, 20, 0)
    assert Image.objects.count() == Label.objects.count() == 20


def test_only_a_failed_import_can_be_run_again(dataset: Dataset, tmp_path: Path) -> None:
    job = bring(dataset, factories.folder(tmp_path / "set", {"good/1.png": factories.picture()}))
    with pytest.raises(importing.ImportNotRepeatable):
        importing.repeat_import(job=job)


def test_an_import_is_claimed_once(dataset: Dataset, tmp_path: Path) -> None:
    job = importing.queue_import(dataset=dataset, source=tmp_path, source_name="x")
    assert importing.claim_import(job.pk) == job
    assert importing.claim_import(job.pk) is None


def test_an_import_without_a_sign_of_life_is_found_and_can_be_claimed(
    dataset: Dataset, tmp_path: Path
) -> None:
    job = importing.queue_import(dataset=dataset, source=tmp_path, source_name="x")
    importing.claim_import(job.pk)
    assert importing.lost_imports() == []
    ImportJob.objects.update(heartbeat_at=timezone.now() - timedelta(seconds=61))
    assert importing.lost_imports() == [job.pk]
    assert importing.claim_import(job.pk) == job


def test_an_import_that_nobody_takes_is_asked_for_again_but_not_at_once(
    dataset: Dataset, tmp_path: Path
) -> None:
    job = importing.queue_import(dataset=dataset, source=tmp_path, source_name="x")
    assert importing.lost_imports() == []
    ImportJob.objects.update(created_at=timezone.now() - timedelta(minutes=3))
    assert importing.lost_imports() == [job.pk]
    assert importing.lost_imports() == []


def test_a_worker_that_lost_its_import_writes_nothing_more(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "BATCH_FILES", 1)
    source = factories.folder(tmp_path / "set", {f"good/{at}.png": factories.picture() for at in range(3)})
    slow = importing.claim_import(importing.queue_import(dataset=dataset, source=source, source_name="x").pk)

    def taken_over(job: ImportJob) -> None:
        ImportJob.objects.filter(pk=job.pk).update(files_done=3)

    with pytest.raises(importing.ImportLost):
        importing.run_import(slow, progress=taken_over)
    assert Image.objects.count() == 1


def test_an_interrupted_import_of_a_source_that_changed_begins_anew(dataset: Dataset, tmp_path: Path) -> None:
    source = factories.folder(tmp_path / "set", {"good/1.png": factories.picture()})
    job = bring(dataset, source)
    ImportJob.objects.update(state=ImportState.FAILED)
    factories.folder(source, {"good/0.png": factories.picture()})
    importing.repeat_import(job=job)
    done = importing.run_import(importing.claim_import(job.pk))
    assert (done.images_added, done.already_there, done.files_done) == (1, 1, 2)


def test_the_number_of_queries_does_not_grow_with_a_batch(
    dataset: Dataset, tmp_path: Path, django_assert_max_num_queries
) -> None:
    source = factories.folder(tmp_path / "set", {f"good/{at}.png": factories.picture() for at in range(100)})
    with django_assert_max_num_queries(45):
        bring(dataset, source)


@pytest.mark.django_db(transaction=True)
def test_a_file_that_went_with_another_dataset_before_it_was_recorded_is_stored_again(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = factories.picture()
    doomed = factories.dataset("Doomed")
    store_image(dataset=doomed, content=shared, name="a.png")
    real = importing._commit

    def commit_after_the_deletion(*given) -> None:
        if doomed.pk:
            delete_dataset(dataset=doomed, actor=None)
        real(*given)

    monkeypatch.setattr(importing, "_commit", commit_after_the_deletion)
    bring(
        dataset, factories.folder(tmp_path / "set", {"good/1.png": shared, "good/2.png": factories.picture()})
    )
    assert [image.path.is_file() for image in dataset.images.all()] == [True, True]
