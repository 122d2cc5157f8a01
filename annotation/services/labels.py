"""Words on images: append-only, one per press of a key, settled into the class in force."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from django.db import transaction

from annotation.choices import LabelHow
from annotation.errors import DomainError
from annotation.models import Image, Label, LabelClass, User


class LabelRefused(DomainError):
    """The word can't be taken as it stands."""

    code = "label_refused"
    status = 400


@dataclass(frozen=True)
class Word:
    """One label, as far as settling is concerned. No class withdraws the author's earlier word."""

    class_id: int | None
    author_id: int | None
    is_adjudication: bool = False


@dataclass(frozen=True)
class Standing:
    """What all words on an image come to."""

    class_id: int | None
    is_disputed: bool


def settle(words: Sequence[Word]) -> Standing:
    """The class in force, from the words on one image, oldest first.

    The latest word of each author counts; two that differ are a dispute, and the later one is in force
    meanwhile. A word without an author (imported at the command line) gives way to any person's. An
    adjudication ends what was said before it and stays in force; a later word that differs from it opens
    the dispute again.
    """
    ruling = next((at for at in reversed(range(len(words))) if words[at].is_adjudication), None)
    if ruling is not None and words[ruling].class_id is not None:
        later = _standing_words(words[ruling + 1 :])
        class_id = words[ruling].class_id
        return Standing(class_id, any(word.class_id != class_id for word in later))
    standing = _standing_words([word for word in words if not word.is_adjudication])
    if not standing:
        return Standing(None, False)
    return Standing(standing[-1].class_id, len({word.class_id for word in standing}) > 1)


def _standing_words(words: Iterable[Word]) -> list[Word]:
    """The latest of each author, withdrawn ones left out, oldest first; persons before no person."""
    latest: dict[int | None, Word] = {}
    for word in words:
        latest.pop(word.author_id, None)
        latest[word.author_id] = word
    spoken = [word for word in latest.values() if word.class_id is not None]
    return [word for word in spoken if word.author_id is not None] or spoken


@transaction.atomic
def label_images(
    *,
    images: Iterable[Image],
    label_class: LabelClass | None,
    author: User | None,
    how: LabelHow,
    is_adjudication: bool = False,
) -> list[Image]:
    """Says of these images that they are of this class; None withdraws the author's earlier word.

    An image of which the author's standing word is the same already gets no second one.

    Args:
        images: images of one dataset.
        label_class: a class of that dataset, or None.
        author: who says so; None for an import at the command line.
        how: by what means.
        is_adjudication: settles a disagreement between authors.

    Returns:
        The images that got a new word, with their class in force as it is now.

    Raises:
        LabelRefused: the class belongs to another dataset.
    """
    chosen = {image.pk: image for image in images}
    if label_class and any(image.dataset_id != label_class.dataset_id for image in chosen.values()):
        raise LabelRefused(f"The class “{label_class}” belongs to another dataset than the images.")
    spoken = _lock_and_read(chosen)
    class_id = label_class.pk if label_class else None
    to_say = [
        pk
        for pk in chosen
        if is_adjudication or _standing_word(spoken[pk], author.pk if author else None) != class_id
    ]
    append_labels(
        classes=dict.fromkeys(to_say, class_id), author=author, how=how, is_adjudication=is_adjudication
    )
    return _refreshed(to_say)


@transaction.atomic
def undo_labels(*, images: Iterable[Image], author: User) -> list[Image]:
    """Takes back the author's last word on each image; what he said before it counts again.

    Words that came with an import are not undone. Undoing again goes further back.

    Returns:
        The images on which there was something to undo.
    """
    chosen = {image.pk: image for image in images}
    spoken = _lock_and_read(chosen)
    before: dict[int, int | None] = {}
    for pk in chosen:
        stack = _stack([label for label in spoken[pk] if label.author_id == author.pk])
        if stack and stack[-1].how != LabelHow.IMPORT:
            before[pk] = stack[-2].label_class_id if len(stack) > 1 else None
    append_labels(classes=before, author=author, how=LabelHow.UNDO)
    return _refreshed(before)


def append_labels(
    *,
    classes: Mapping[int, int | None],
    author: User | None,
    how: LabelHow,
    is_adjudication: bool = False,
) -> None:
    """One new label per image, by id, and the class in force settled anew. Call within a transaction."""
    Label.objects.bulk_create(
        [
            Label(
                image_id=pk, label_class_id=class_id, author=author, how=how, is_adjudication=is_adjudication
            )
            for pk, class_id in classes.items()
        ],
        batch_size=500,
    )
    settle_images(classes)


def settle_images(image_ids: Iterable[int]) -> None:
    """Writes the class in force of each image, from all words on it. Call within a transaction."""
    by_standing: dict[Standing, list[int]] = defaultdict(list)
    ids = list(image_ids)
    for pk, labels in _labels_of(ids).items():
        words = [Word(label.label_class_id, label.author_id, label.is_adjudication) for label in labels]
        by_standing[settle(words)].append(pk)
    for standing, pks in by_standing.items():
        Image.objects.filter(pk__in=pks).update(
            current_class_id=standing.class_id, is_disputed=standing.is_disputed
        )


def _lock_and_read(images: Mapping[int, Image]) -> dict[int, list[Label]]:
    """The words on the images, which nobody else can add to until the transaction ends."""
    list(Image.objects.select_for_update().filter(pk__in=images).order_by("pk").values_list("pk"))
    return _labels_of(list(images))


def _labels_of(image_ids: Sequence[int]) -> dict[int, list[Label]]:
    labels: dict[int, list[Label]] = {pk: [] for pk in image_ids}
    rows = Label.objects.filter(image_id__in=image_ids).order_by("image_id", "pk")
    for pk, group in groupby(rows, key=lambda label: label.image_id):
        labels[pk] = list(group)
    return labels


def _standing_word(labels: Sequence[Label], author_id: int | None) -> int | None:
    own = [label for label in labels if label.author_id == author_id]
    return own[-1].label_class_id if own else None


def _stack(labels: Sequence[Label]) -> list[Label]:
    """The words of one author that were not undone."""
    stack: list[Label] = []
    for label in labels:
        if label.how != LabelHow.UNDO:
            stack.append(label)
        elif stack:
            stack.pop()
    return stack


def _refreshed(image_ids: Iterable[int]) -> list[Image]:
    return list(Image.objects.filter(pk__in=list(image_ids)).select_related("current_class").order_by("pk"))
