"""Others write while a dataset is being frozen: the look for near-identical images holds up nobody."""

import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest
from django.db import connection

from annotation.models import Image, LabelClass
from annotation.services.datasets import delete_dataset
from ml.errors import DatasetUnsuitable
from ml.models import Snapshot, TrainingJob
from ml.services import grouping
from ml.services.jobs import queue_job
from ml.services.snapshots import count_images, freeze_dataset, frozen_images, labelled_images
from tests.ml.factories import TINY, make_dataset

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def dataset(media):
    return make_dataset(ok=12, ng=12)


@pytest.fixture
def during_the_search(monkeypatch):
    """Does something where the search for near-identical images runs, and then searches."""
    search = grouping.find_lookalikes

    def install(does: Callable[[], object]) -> list[object]:
        done: list[object] = []

        def searching(hashes):
            done.append(does())
            return search(hashes)

        monkeypatch.setattr(grouping, "find_lookalikes", searching)
        return done

    return install


def label_from_another_connection(image: Image, label_class: LabelClass) -> int:
    """Waits for no lock: where any transaction holds SQLite's, it raises OperationalError."""
    with closing(sqlite3.connect(connection.settings_dict["NAME"], timeout=0)) as other, other:
        table = Image._meta.db_table
        return other.execute(
            f"UPDATE {table} SET current_class_id = ? WHERE id = ?",
            (label_class.pk, image.pk),
        ).rowcount


def ok_count(snapshot: Snapshot) -> int:
    return count_images(frozen_images(snapshot), ["OK", "NG"]).ok


on_sqlite = pytest.mark.skipif(connection.vendor != "sqlite", reason="one writer at a time is SQLite's")


@on_sqlite
def test_another_connection_writes_while_a_job_is_being_queued(dataset, during_the_search):
    image = dataset.dataset.images.first()
    written = during_the_search(lambda: label_from_another_connection(image, dataset.ng))
    job = queue_job(dataset=dataset.dataset, method="weak", parameters=TINY)
    assert written == [1]
    image.refresh_from_db()
    assert image.current_class == dataset.ng
    assert ok_count(job.snapshot) == 12  # as it was when it was read


@on_sqlite
def test_another_connection_writes_while_images_are_listed_for_an_evaluation(dataset, during_the_search):
    image = dataset.dataset.images.first()
    written = during_the_search(lambda: label_from_another_connection(image, dataset.ng))
    assert sum(not one.is_ng for one in labelled_images(dataset.dataset)) == 12
    assert written == [1]


def test_what_was_labelled_meanwhile_is_in_the_next_snapshot(dataset, during_the_search):
    image = dataset.dataset.images.first()
    during_the_search(lambda: Image.objects.filter(pk=image.pk).update(current_class=dataset.ng))
    first = freeze_dataset(dataset=dataset.dataset)
    second = freeze_dataset(dataset=dataset.dataset)
    assert (ok_count(first), ok_count(second)) == (12, 11)
    assert (first.ok_count, second.ok_count) == (12, 11)


def test_a_region_and_a_class_that_change_meanwhile_stay_out_with_the_labels(dataset, during_the_search):
    def change():
        dataset.dataset.regions.create(view="", version=1, top=0, left=0, height=40, width=64)
        dataset.dataset.classes.filter(pk=dataset.ng.pk).update(name="Scratch")

    during_the_search(change)
    contents = freeze_dataset(dataset=dataset.dataset).contents
    assert contents["classes"] == ["OK", "NG"]
    assert contents["regions"] == []
    assert {row[4] for row in contents["images"]} == {"OK", "NG"}


def test_a_dataset_that_is_deleted_meanwhile_gets_no_job(dataset, during_the_search):
    during_the_search(lambda: delete_dataset(dataset=dataset.dataset, actor=None))
    with pytest.raises(DatasetUnsuitable, match="was deleted meanwhile"):
        queue_job(dataset=dataset.dataset, method="weak", parameters=TINY)
    assert not TrainingJob.objects.exists()
    assert not Snapshot.objects.exists()


def test_a_refused_job_leaves_no_snapshot(media):
    with pytest.raises(DatasetUnsuitable, match="holds out"):
        queue_job(dataset=make_dataset(ok=20, ng=5).dataset, method="weak", parameters=TINY)
    assert not Snapshot.objects.exists()
