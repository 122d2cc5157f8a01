import pytest

from annotation.models import LabelClass, Region
from ml.errors import DatasetUnsuitable
from ml.models import Snapshot
from ml.services.snapshots import count_images, freeze_dataset, frozen_images
from tests.ml.factories import make_dataset

pytestmark = pytest.mark.django_db


@pytest.fixture
def dataset(media):
    return make_dataset(ok=12, ng=6)


def folds_by_group(snapshot) -> dict[str, set[int]]:
    folds: dict[str, set[int]] = {}
    for image in frozen_images(snapshot):
        folds.setdefault(image.group, set()).add(image.fold)
    return folds


def test_the_same_contents_are_the_same_row(dataset):
    assert freeze_dataset(dataset=dataset.dataset) == freeze_dataset(dataset=dataset.dataset)
    assert Snapshot.objects.count() == 1


def test_another_seed_another_fold_count_or_another_label_is_another_snapshot(dataset):
    first = freeze_dataset(dataset=dataset.dataset)
    hashes = {first.sha256}
    hashes.add(freeze_dataset(dataset=dataset.dataset, seed=1).sha256)
    hashes.add(freeze_dataset(dataset=dataset.dataset, folds=3).sha256)
    image = dataset.dataset.images.first()
    image.current_class = dataset.ng
    image.save()
    hashes.add(freeze_dataset(dataset=dataset.dataset).sha256)
    assert len(hashes) == 4


def test_it_stays_as_it_was_when_labels_change(dataset):
    snapshot = freeze_dataset(dataset=dataset.dataset)
    dataset.dataset.images.update(current_class=dataset.ng)
    snapshot.refresh_from_db()
    assert (snapshot.ok_count, snapshot.ng_count) == (12, 6)
    assert count_images(frozen_images(snapshot), ["OK", "NG"]).ok == 12


def test_unlabelled_and_disputed_images_stay_out(dataset):
    unlabelled, disputed = dataset.add(), dataset.add(is_ng=True)
    unlabelled.current_class = None
    unlabelled.save()
    disputed.is_disputed = True
    disputed.save()
    ids = {image.id for image in frozen_images(freeze_dataset(dataset=dataset.dataset))}
    assert len(ids) == 18
    assert not ids & {unlabelled.pk, disputed.pk}


def test_images_of_one_part_stay_on_one_side(media):
    factory = make_dataset()
    for part in range(12):
        for view in ("top", "side", "end"):
            factory.add(is_ng=part % 3 == 0, item=f"part {part}", view=view)
    for folds in (0, 4):
        by_group = folds_by_group(freeze_dataset(dataset=factory.dataset, folds=folds))
        assert len(by_group) == 12
        assert all(len(found) == 1 for found in by_group.values())


def test_an_image_that_came_under_two_parts_joins_them(media):
    factory = make_dataset(ok=8, ng=8)
    shared = factory.add(item="kos01")
    factory.source(shared, item="kos26")
    first, second = factory.add(item="kos01"), factory.add(item="kos26")
    chained = factory.add(item="kos26")
    factory.source(chained, item="kos30")
    third = factory.add(item="kos30")
    groups = {image.id: image.group for image in frozen_images(freeze_dataset(dataset=factory.dataset))}
    assert {groups[image.pk] for image in (shared, first, second, chained, third)} == {"item:kos01"}
    assert len(set(groups.values())) == 17


def test_a_hold_out_takes_about_a_third_with_both_kinds_in_it(dataset):
    snapshot = freeze_dataset(dataset=dataset.dataset)
    held_out = [image for image in frozen_images(snapshot) if image.fold == 0]
    training = [image for image in frozen_images(snapshot) if image.fold == -1]
    assert len(held_out) + len(training) == 18
    assert 4 <= len(held_out) <= 7
    assert {image.is_ng for image in held_out} == {image.is_ng for image in training} == {True, False}


def test_k_folds_hold_each_image_out_once(dataset):
    images = frozen_images(freeze_dataset(dataset=dataset.dataset, folds=3))
    assert {image.fold for image in images} == {0, 1, 2}


def test_more_folds_than_parts_are_refused_with_the_numbers(media):
    factory = make_dataset(ok=2, ng=2)
    with pytest.raises(DatasetUnsuitable, match="4"):
        freeze_dataset(dataset=factory.dataset, folds=10)


def test_a_dataset_without_labels_is_refused(media):
    with pytest.raises(DatasetUnsuitable, match="no labelled images"):
        freeze_dataset(dataset=make_dataset().dataset)


def test_classes_are_ok_first_and_only_those_in_use(dataset):
    scratch = LabelClass.objects.create(dataset=dataset.dataset, name="Scratch", number=2)
    LabelClass.objects.create(dataset=dataset.dataset, name="Unused", number=3)
    dataset.add(is_ng=True, label_class=scratch)
    assert freeze_dataset(dataset=dataset.dataset).contents["classes"] == ["OK", "NG", "Scratch"]


def test_the_region_in_force_is_frozen_with_it(dataset):
    for version, top in ((1, 0), (2, 8)):
        Region.objects.create(
            dataset=dataset.dataset, view="", version=version, top=top, left=0, height=40, width=64
        )
    snapshot = freeze_dataset(dataset=dataset.dataset)
    assert [(region["version"], region["top"]) for region in snapshot.contents["regions"]] == [(2, 8)]
    Region.objects.create(dataset=dataset.dataset, view="", version=3, top=0, left=0, height=64, width=64)
    assert freeze_dataset(dataset=dataset.dataset) != snapshot


def test_the_number_of_queries_does_not_grow_with_the_images(media, django_assert_num_queries):
    small, large = make_dataset(ok=6, ng=6), make_dataset(ok=40, ng=20, name="Nuts")
    for factory in (small, large):
        with django_assert_num_queries(15):
            freeze_dataset(dataset=factory.dataset)
