import numpy as np
import pytest

from annotation.models import Image
from annotation.services.fingerprints import add_missing_fingerprints
from ml.services.snapshots import freeze_dataset, frozen_images
from tests.ml.factories import make_dataset, make_pixels

pytestmark = pytest.mark.django_db


@pytest.fixture
def dataset(media):
    return make_dataset(ok=30, ng=10)


def darker(number: int, *, is_ng: bool = False) -> np.ndarray:
    """The picture of that number under less light."""
    return (make_pixels(number, is_ng=is_ng) * 0.8).astype(np.uint8)


def frozen(dataset, **options):
    snapshot = freeze_dataset(dataset=dataset.dataset, **options)
    return snapshot.contents["split"]["grouped"], {one.id: one for one in frozen_images(snapshot)}


@pytest.mark.parametrize("folds", [0, 5])
@pytest.mark.parametrize("seed", range(5))
def test_near_identical_images_never_straddle_a_split(dataset, folds, seed):
    originals = list(Image.objects.order_by("id")[:10])
    copies = [dataset.add_pixels(darker(number)) for number in range(1, 11)]
    entry, images = frozen(dataset, folds=folds, seed=seed)
    for original, copy in zip(originals, copies, strict=True):
        assert images[original.pk].group == images[copy.pk].group
        assert images[original.pk].fold == images[copy.pk].fold
    assert (entry["near_identical_groups"], entry["near_identical_images"]) == (10, 20)


def test_the_report_names_what_was_grouped(dataset):
    dataset.add_pixels(darker(1))
    entry, _images = frozen(dataset)
    (sentence,) = entry["sentences"]
    assert "1 group of near-identical images (2 images) was kept on one side" in sentence
    assert "ok_0001.png = ok_0041.png" in sentence


def test_images_that_look_alike_but_are_labelled_differently_are_pointed_out(dataset):
    dataset.add_pixels(darker(1), is_ng=True)
    entry, _images = frozen(dataset)
    assert entry["of_both_kinds"] == 1
    assert "look at their labels" in entry["sentences"][1]


def test_without_any_nothing_is_said(dataset):
    entry, images = frozen(dataset)
    assert entry["sentences"] == []
    assert len({image.group for image in images.values()}) == 40


def test_a_part_that_is_shown_again_under_another_name_joins_all_its_images(media):
    factory = make_dataset(ok=20, ng=10)
    for part in ("kos38", "kos39", "kos40"):
        for _ in range(3):
            factory.add(item=part)
    factory.add_pixels(darker(31), item="kos39")  # number 31 is kos38's first
    _entry, images = frozen(factory)
    assert len({one.group for one in images.values() if one.group.startswith("item:")}) == 2


def test_views_are_compared_each_with_itself(media):
    factory = make_dataset()
    for number in range(30):
        factory.add(item=f"part {number}", view="top")
    other = factory.add_pixels(darker(1), item="part 99", view="end")
    entry, images = frozen(factory)
    assert images[other.pk].group == "item:part 99"
    assert entry["bits_apart"].keys() == {"top", "end"}


def test_copies_of_a_file_are_counted(dataset):
    dataset.source(Image.objects.first())
    entry, _images = frozen(dataset)
    assert entry["sentences"] == ["1 byte-identical file is counted once."]


def test_a_dataset_of_nothing_but_blank_images_is_told_to_be_so(media):
    factory = make_dataset(ok=6)
    for grey in range(30):
        noisy = np.full((64, 64), 100, np.uint8)
        noisy[0, grey] = 255  # the one pixel that makes them different files
        factory.add_pixels(noisy)
    entry, _images = frozen(factory)
    assert any("too much alike" in sentence for sentence in entry["sentences"])


def test_a_fingerprint_that_is_missing_is_taken_once_and_kept(dataset, django_assert_num_queries):
    fingerprints = dict(Image.objects.values_list("pk", "fingerprint"))
    Image.objects.update(fingerprint="")
    freeze_dataset(dataset=dataset.dataset)
    assert dict(Image.objects.values_list("pk", "fingerprint")) == fingerprints


def test_a_file_that_cannot_be_read_has_no_fingerprint_and_stops_nothing(dataset, caplog):
    image = Image.objects.first()
    image.path.write_bytes(b"broken")
    assert add_missing_fingerprints([image.pk]) == {}
    assert "can't be read" in caplog.text
    Image.objects.filter(pk=image.pk).update(fingerprint="")
    assert len(frozen(dataset)[1]) == 40
