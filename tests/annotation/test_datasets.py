from pathlib import Path

import pytest

from annotation.choices import LabelHow
from annotation.models import AuditEntry, Dataset, Image, Label, LabelClass
from annotation.services.datasets import (
    ClassUnknown,
    DatasetRefused,
    change_dataset,
    class_named,
    create_class,
    create_dataset,
    delete_dataset,
    existing_class,
    rename_class,
)
from annotation.services.importing import queue_import
from annotation.services.labels import label_images
from annotation.services.regions import RegionRefused, set_region
from annotation.services.renderings import thumbnail
from annotation.services.storage import store_image
from tests.annotation import factories

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media")]


def test_a_new_dataset_has_the_class_ok_and_no_other(people: dict) -> None:
    dataset = create_dataset(name="  Gear  wheel ", created_by=people["quality"])
    assert (dataset.name, dataset.slug) == ("Gear wheel", "gear-wheel")
    assert list(dataset.classes.values_list("number", "name")) == [(0, "OK")]
    entry = AuditEntry.objects.get(action="dataset.created")
    assert (entry.actor, entry.target_label) == (people["quality"], "Gear wheel")


def test_names_that_slugs_make_alike_get_different_addresses() -> None:
    slugs = [create_dataset(name=name).slug for name in ("Gear!", "Gear?", "歯車", "齿轮", "New")]
    assert slugs == ["gear", "gear-2", "dataset", "dataset-2", "new-2"]


@pytest.mark.parametrize("name", ["", "   ", "x" * 121, "bracket", "BRACKET "])
def test_a_name_that_is_empty_too_long_or_taken_is_refused(name: str) -> None:
    create_dataset(name="Bracket")
    with pytest.raises(DatasetRefused):
        create_dataset(name=name)


def test_changing_a_dataset_keeps_its_address_and_is_audited() -> None:
    dataset = factories.dataset()
    change_dataset(dataset=dataset, name="Clamp", description="left", actor=None)
    assert (dataset.name, dataset.slug) == ("Clamp", "bracket")
    assert AuditEntry.objects.get(action="dataset.changed").details["before"]["name"] == "Bracket"


def test_classes_are_numbered_in_their_order_and_made_on_demand() -> None:
    dataset = factories.dataset()
    assert class_named(dataset=dataset, name="ok", actor=None).number == 0
    assert class_named(dataset=dataset, name="crack", actor=None).number == 1
    assert class_named(dataset=dataset, name="Crack ", actor=None).number == 1
    assert existing_class(dataset=dataset, name="NG", actor=None).number == 2
    assert AuditEntry.objects.filter(action="class.created").count() == 2


def test_a_class_that_nobody_made_is_not_made_by_a_slip_of_the_finger() -> None:
    with pytest.raises(ClassUnknown, match="it has OK"):
        existing_class(dataset=factories.dataset(), name="crakc", actor=None)


@pytest.mark.parametrize("name", ["", "12", "CRACK", "x" * 61])
def test_a_class_name_that_says_nothing_new_is_refused(name: str) -> None:
    dataset = factories.dataset()
    create_class(dataset=dataset, name="crack", actor=None)
    with pytest.raises(DatasetRefused):
        create_class(dataset=dataset, name=name, actor=None)


def test_renaming_a_class_keeps_its_number_and_is_audited() -> None:
    dataset = factories.dataset()
    crack = create_class(dataset=dataset, name="crack", actor=None)
    rename_class(label_class=crack, name="fissure", actor=None)
    assert LabelClass.objects.get(number=1).name == "fissure"
    entry = AuditEntry.objects.get(action="class.renamed")
    assert entry.details == {"number": 1, "before": "crack", "after": "fissure"}


@pytest.mark.parametrize(("old", "new"), [("OK", "fine"), ("crack", "ok"), ("crack", "Dent")])
def test_ok_keeps_its_name_and_no_two_classes_share_one(old: str, new: str) -> None:
    dataset = factories.dataset()
    for name in ("crack", "dent"):
        create_class(dataset=dataset, name=name, actor=None)
    with pytest.raises(DatasetRefused):
        rename_class(label_class=dataset.classes.get(name=old), name=new, actor=None)


@pytest.mark.django_db(transaction=True)
def test_deleting_a_dataset_takes_its_files_but_not_those_of_others(media: Path, people: dict) -> None:
    doomed, kept = factories.dataset("Doomed"), factories.dataset("Kept")
    shared, own = factories.picture(), factories.picture()
    survivor = store_image(dataset=kept, content=shared, name="a.png").image
    store_image(dataset=doomed, content=shared, name="a.png")
    lost = store_image(dataset=doomed, content=own, name="b.png").image
    rendering = thumbnail(lost)
    label_images(
        images=[lost], label_class=doomed.classes.get(), author=people["quality"], how=LabelHow.KEYBOARD
    )

    assert delete_dataset(dataset=doomed, actor=people["quality"]) == 2

    assert list(Dataset.objects.all()) == [kept]
    assert survivor.path.is_file()
    assert not lost.path.exists()
    assert not rendering.exists()
    assert not Label.objects.exists()
    assert AuditEntry.objects.get(action="dataset.deleted").details == {"images": 2}


def test_a_dataset_that_a_snapshot_uses_stays_whole() -> None:
    from ml.models import Snapshot

    dataset = factories.dataset()
    image = factories.image(dataset)
    Snapshot.objects.create(dataset=dataset, sha256="0" * 64, contents={}, ok_count=1, ng_count=0)
    with pytest.raises(DatasetRefused, match="snapshots were made from it"):
        delete_dataset(dataset=dataset, actor=None)
    assert Image.objects.filter(pk=image.pk).exists()
    assert image.path.is_file()


def test_a_dataset_that_an_import_fills_stays(tmp_path: Path) -> None:
    dataset = factories.dataset()
    queue_import(dataset=dataset, source=tmp_path, source_name="set")
    with pytest.raises(DatasetRefused, match="being imported"):
        delete_dataset(dataset=dataset, actor=None)


def test_every_region_is_a_new_version_of_its_view(people: dict) -> None:
    dataset = factories.dataset()
    factories.image(dataset, view="top")
    first = set_region(dataset=dataset, view="top", top=0, left=0, height=10, width=10)
    second = set_region(
        dataset=dataset, view="top", top=2, left=2, height=20, width=20, ignored=[[(0, 0), (4, 0), (0, 4)]],
        author=people["quality"],
    )  # fmt: skip
    assert (first.version, second.version) == (1, 2)
    assert set_region(dataset=dataset, top=0, left=0, height=24, width=32).version == 1
    assert AuditEntry.objects.filter(action="region.set").count() == 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"height": 25},
        {"left": 25},
        {"height": 4},
        {"ignored": [[(0, 0), (1, 1)]]},
        {"ignored": [[(0, 0), (1, 1), (-1, 0)]]},
    ],
)
def test_a_region_beyond_the_images_or_a_polygon_that_is_none_is_refused(wrong: dict) -> None:
    dataset = factories.dataset()
    factories.image(dataset)
    with pytest.raises(RegionRefused):
        set_region(dataset=dataset, **{"top": 0, "left": 0, "height": 10, "width": 10} | wrong)
