"""Reads of images: the gallery's filters and one image's history."""

from dataclasses import dataclass

from django.db.models import Exists, OuterRef, Q, QuerySet

from annotation.models import Image, ImageSource, Label


@dataclass(frozen=True)
class ImageFilter:
    """Which images of a dataset to show.

    Attributes:
        show: "", "ok", "ng", "unlabelled", "disputed", or the number of a class.
        item: of one physical part.
        view: of one view.
        search: a piece of the name of one of its files.
    """

    show: str = ""
    item: str = ""
    view: str = ""
    search: str = ""

    @property
    def is_empty(self) -> bool:
        return not (self.show or self.item or self.view or self.search)


_SHOWN = {
    "ok": Q(current_class__number=0),
    "ng": Q(current_class__number__gt=0),
    "unlabelled": Q(current_class__isnull=True),
    "disputed": Q(is_disputed=True),
}


def images_matching(images: QuerySet[Image], wanted: ImageFilter) -> QuerySet[Image]:
    """Those images that the filter lets through; an unknown `show` lets none through."""
    if wanted.show in _SHOWN:
        images = images.filter(_SHOWN[wanted.show])
    elif wanted.show.isdecimal() and len(wanted.show) <= 5:
        images = images.filter(current_class__number=int(wanted.show))
    elif wanted.show:
        return images.none()
    sources = ImageSource.objects.filter(image=OuterRef("pk"))
    if wanted.item:
        # Few images are of one item: looked up by the item, not asked of every image.
        of_item = ImageSource.objects.filter(item=wanted.item)
        if wanted.view:
            of_item = of_item.filter(view=wanted.view)
        images = images.filter(pk__in=of_item.values("image"))
    elif wanted.view:
        images = images.filter(Exists(sources.filter(view=wanted.view)))
    if wanted.search:
        images = images.filter(Exists(sources.filter(name__icontains=wanted.search)))
    return images


def images_with_class() -> QuerySet[Image]:
    """Oldest first, with the class in force and the dataset."""
    return Image.objects.select_related("current_class", "dataset").order_by("pk")


def labels_of(image: Image) -> QuerySet[Label]:
    """Every word on an image, latest first."""
    return Label.objects.filter(image=image).select_related("label_class", "author").order_by("-pk")


def neighbours(image: Image) -> tuple[int | None, int | None]:
    """The ids of the images before and after this one in its dataset."""
    siblings = Image.objects.filter(dataset=image.dataset_id)
    before = siblings.filter(pk__lt=image.pk).order_by("-pk").values_list("pk", flat=True).first()
    after = siblings.filter(pk__gt=image.pk).order_by("pk").values_list("pk", flat=True).first()
    return before, after
