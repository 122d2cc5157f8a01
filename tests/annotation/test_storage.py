import errno
import os
import re
import resource
import signal
import threading
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from annotation.models import Dataset, Image, ImageSource
from annotation.services import storage
from annotation.services.datasets import delete_dataset
from annotation.services.renderings import ImageFileLost, shown_file, thumbnail
from annotation.services.storage import StorageFailed, UploadRefused, store_image, write_atomically
from tests.annotation import factories
from tests.annotation.test_decoding import png_header

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media")]


@pytest.fixture
def dataset(db) -> Dataset:
    return factories.dataset()


@contextmanager
def small_files_only():
    """The kernel itself refuses to write files over 4 kB, as a full disk would.

    Around one call alone: the limit also holds for the file that this process's own output may go to.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def everything_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_an_image_lies_under_its_own_hash(dataset: Dataset, media: Path) -> None:
    content = factories.picture()
    stored = store_image(dataset=dataset, content=content, name="a.png", item="p1", view="top")
    assert stored.is_new
    assert stored.image.path.read_bytes() == content
    assert stored.image.path.is_relative_to(media)
    assert (stored.image.height, stored.image.width, stored.image.extension) == (24, 32, ".png")
    assert list(stored.image.sources.values_list("name", "item", "view")) == [("a.png", "p1", "top")]


def test_the_same_content_is_one_image_with_two_names(dataset: Dataset, media: Path) -> None:
    content = factories.picture()
    first = store_image(dataset=dataset, content=content, name="a.png")
    second = store_image(dataset=dataset, content=content, name="b.png")
    assert (second.image, second.is_new) == (first.image, False)
    assert ImageSource.objects.filter(image=first.image).count() == 2
    assert len(everything_below(media)) == 1


def test_two_datasets_share_the_file_but_not_the_record(dataset: Dataset, media: Path) -> None:
    content = factories.picture()
    first = store_image(dataset=dataset, content=content, name="a.png").image
    other = store_image(dataset=factories.dataset("Other"), content=content, name="a.png").image
    assert first != other
    assert first.path == other.path


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"%PDF-1.7 no image", "not a JPEG"),
        (png_header(30_000, 30_000), "million"),
        (factories.picture(fmt="JPEG", size=(200, 200))[:6000], "cut short"),
    ],
    ids=["empty", "no image", "30,000 x 30,000", "truncated JPEG"],
)
def test_what_is_no_image_leaves_neither_record_nor_file(
    dataset: Dataset, media: Path, content: bytes, said: str
) -> None:
    with pytest.raises(UploadRefused, match=said):
        store_image(dataset=dataset, content=content, name="a.png")
    assert not Image.objects.exists()
    assert not everything_below(media)


def test_a_full_disk_is_told_and_leaves_neither_record_nor_file(dataset: Dataset, media: Path) -> None:
    with small_files_only(), pytest.raises(StorageFailed, match="disk is full"):
        store_image(dataset=dataset, content=factories.picture(size=(100, 100)), name="a.png")
    assert not Image.objects.exists()
    assert not everything_below(media)


def test_no_space_left_on_the_device_is_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageFailed, match="disk is full"):
        write_atomically(tmp_path / "a" / "b", b"x")
    assert not everything_below(tmp_path)


def test_a_file_that_was_cut_short_on_disk_is_written_again(dataset: Dataset) -> None:
    content = factories.picture()
    image = store_image(dataset=dataset, content=content, name="a.png").image
    image.path.write_bytes(content[:10])
    store_image(dataset=dataset, content=content, name="a.png")
    assert image.path.read_bytes() == content


def test_a_thumbnail_is_small_and_made_once(dataset: Dataset, media: Path) -> None:
    content = factories.picture(size=(1000, 500))
    image = store_image(dataset=dataset, content=content, name="a.png").image
    path = thumbnail(image)
    assert path.parent.is_relative_to(media / "thumbnails")
    made_at = path.stat().st_mtime_ns
    from PIL import Image as Picture

    with Picture.open(path) as picture:
        assert picture.size == (160, 320)
    assert thumbnail(image).stat().st_mtime_ns == made_at


def test_what_browsers_do_not_know_is_shown_as_png(dataset: Dataset) -> None:
    tiff = store_image(dataset=dataset, content=factories.picture(fmt="TIFF"), name="a.tif").image
    png = factories.image(dataset)
    assert shown_file(tiff).read_bytes().startswith(b"\x89PNG")
    assert shown_file(png) == png.path


def test_a_lost_file_is_told(dataset: Dataset) -> None:
    image = factories.image(dataset)
    image.path.unlink()
    with pytest.raises(ImageFileLost):
        thumbnail(image)
    with pytest.raises(ImageFileLost):
        shown_file(image)


@pytest.mark.django_db(transaction=True)
def test_a_file_that_went_with_another_dataset_before_it_was_recorded_is_written_again(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, doomed = factories.picture(), factories.dataset("Doomed")
    store_image(dataset=doomed, content=content, name="a.png")
    real = storage.store_content

    def store_and_delete_the_other(content: bytes) -> storage.StoredFile:
        stored = real(content)
        delete_dataset(dataset=doomed, actor=None)
        return stored

    monkeypatch.setattr(storage, "store_content", store_and_delete_the_other)
    image = store_image(dataset=dataset, content=content, name="a.png").image
    assert image.path.read_bytes() == content


@pytest.mark.django_db(transaction=True)
def test_no_file_is_removed_while_a_record_of_it_is_being_committed(dataset: Dataset) -> None:
    content, removed = factories.picture(), []

    def remove(sha256: str, extension: str) -> None:
        with closing(connection):
            removed.append(storage.remove_unused_files([(sha256, extension)]))

    with transaction.atomic():
        image = store_image(dataset=dataset, content=content, name="a.png").image
        thread = threading.Thread(target=remove, args=(image.sha256, image.extension))
        thread.start()
        thread.join(0.3)
        assert image.path.is_file()
    thread.join(20)
    assert removed == [0]
    assert image.path.is_file()


def test_postgresql_is_asked_for_a_shared_lock_by_who_records_and_for_a_whole_one_by_who_removes(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    if connection.vendor == "sqlite":
        for name in ("pg_advisory_xact_lock", "pg_advisory_xact_lock_shared"):
            connection.connection.create_function(name, 1, lambda _number: None)
        asked_as = SimpleNamespace(vendor="postgresql", cursor=connection.cursor)
        monkeypatch.setattr(storage, "connection", asked_as)
    with CaptureQueriesContext(connection) as queries:
        image = store_image(dataset=dataset, content=factories.picture(), name="a.png").image
        storage.remove_unused_files([(image.sha256, image.extension)])
    asked = [lock for query in queries for lock in re.findall(r"pg_advisory\w+", query["sql"])]
    assert asked == ["pg_advisory_xact_lock_shared", "pg_advisory_xact_lock"]
