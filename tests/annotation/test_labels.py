import pytest

from annotation.choices import LabelHow
from annotation.models import Dataset, Image, Label, LabelClass, User
from annotation.services.datasets import create_class
from annotation.services.labels import (
    LabelRefused,
    Standing,
    Word,
    label_images,
    settle,
    undo_labels,
)
from tests.annotation import factories

OK, NG, CRACK = 1, 2, 3
ANNA, BEN, NOBODY = 11, 12, None


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], Standing(None, False)),
        ([Word(OK, ANNA)], Standing(OK, False)),
        ([Word(OK, ANNA), Word(NG, ANNA)], Standing(NG, False)),
        ([Word(OK, ANNA), Word(NG, BEN)], Standing(NG, True)),
        ([Word(NG, ANNA), Word(OK, BEN), Word(OK, ANNA)], Standing(OK, False)),
        ([Word(NG, ANNA), Word(OK, BEN), Word(None, BEN)], Standing(NG, False)),
        ([Word(OK, ANNA), Word(None, ANNA)], Standing(None, False)),
        ([Word(OK, NOBODY)], Standing(OK, False)),
        ([Word(OK, NOBODY), Word(NG, ANNA)], Standing(NG, False)),
        ([Word(NG, ANNA), Word(OK, NOBODY)], Standing(NG, False)),
        ([Word(OK, ANNA), Word(NG, BEN), Word(CRACK, ANNA, True)], Standing(CRACK, False)),
        ([Word(NG, ANNA, True), Word(OK, BEN)], Standing(NG, True)),
        ([Word(NG, ANNA, True), Word(NG, BEN)], Standing(NG, False)),
        ([Word(NG, ANNA, True), Word(OK, BEN), Word(OK, ANNA, True)], Standing(OK, False)),
        ([Word(OK, ANNA), Word(NG, BEN), Word(OK, BEN, True), Word(None, BEN, True)], Standing(NG, True)),
    ],
)
def test_words_settle_into_a_class(words: list[Word], expected: Standing) -> None:
    assert settle(words) == expected


@pytest.fixture
def dataset(db, media) -> Dataset:
    return factories.dataset()


@pytest.fixture
def ok(dataset: Dataset) -> LabelClass:
    return dataset.classes.get(number=0)


@pytest.fixture
def crack(dataset: Dataset) -> LabelClass:
    return create_class(dataset=dataset, name="crack", actor=None)


@pytest.fixture
def anna(db) -> User:
    return User.objects.create_user("anna")


@pytest.fixture
def ben(db) -> User:
    return User.objects.create_user("ben")


def say(images: list[Image], label_class: LabelClass | None, author: User, **options: bool) -> list[Image]:
    return label_images(
        images=images, label_class=label_class, author=author, how=LabelHow.KEYBOARD, **options
    )


def standing(image: Image) -> tuple[str | None, bool]:
    image.refresh_from_db()
    return image.current_class.name if image.current_class else None, image.is_disputed


def test_a_label_is_added_and_never_changed(
    dataset: Dataset, ok: LabelClass, crack: LabelClass, anna: User
) -> None:
    [image] = factories.images(dataset, 1)
    say([image], ok, anna)
    say([image], crack, anna)
    assert list(Label.objects.values_list("label_class__name", flat=True)) == ["OK", "crack"]
    assert standing(image) == ("crack", False)


def test_saying_the_same_again_adds_nothing(dataset: Dataset, ok: LabelClass, anna: User, ben: User) -> None:
    [image] = factories.images(dataset, 1)
    assert say([image], ok, anna) == [image]
    assert say([image], ok, anna) == []
    assert say([image], ok, ben) == [image]


def test_people_who_disagree_make_a_dispute_that_an_adjudication_settles(
    dataset: Dataset, ok: LabelClass, crack: LabelClass, anna: User, ben: User
) -> None:
    [image] = factories.images(dataset, 1)
    say([image], ok, anna)
    say([image], crack, ben)
    assert standing(image) == ("crack", True)
    say([image], ok, anna, is_adjudication=True)
    assert standing(image) == ("OK", False)


def test_a_class_of_another_dataset_is_refused_and_nothing_is_said(dataset: Dataset, anna: User) -> None:
    [image] = factories.images(dataset, 1)
    other = factories.dataset("Other").classes.get()
    with pytest.raises(LabelRefused, match="another dataset"):
        say([image], other, anna)
    assert not Label.objects.exists()


def test_undo_goes_back_word_by_word(dataset: Dataset, ok: LabelClass, crack: LabelClass, anna: User) -> None:
    [image] = factories.images(dataset, 1)
    say([image], ok, anna)
    say([image], crack, anna)
    assert undo_labels(images=[image], author=anna) == [image]
    assert standing(image) == ("OK", False)
    undo_labels(images=[image], author=anna)
    assert standing(image) == (None, False)
    assert undo_labels(images=[image], author=anna) == []
    say([image], crack, anna)
    undo_labels(images=[image], author=anna)
    assert standing(image) == (None, False)


def test_undo_leaves_the_words_of_others_and_of_imports_alone(
    dataset: Dataset, ok: LabelClass, crack: LabelClass, anna: User, ben: User
) -> None:
    [image] = factories.images(dataset, 1)
    label_images(images=[image], label_class=ok, author=anna, how=LabelHow.IMPORT)
    say([image], crack, ben)
    assert undo_labels(images=[image], author=anna) == []
    assert standing(image) == ("crack", True)


def test_three_hundred_images_are_labelled_by_a_handful_of_queries(
    dataset: Dataset, ok: LabelClass, anna: User, django_assert_max_num_queries
) -> None:
    many = factories.images(dataset, 300)
    with django_assert_max_num_queries(12):
        assert len(say(many, ok, anna)) == 300
