"""What the adviser is told of a dataset."""

from django.db.models import Count

from annotation.models import Dataset, Image, ImageSource, Region
from ml.adviser import Advice, DatasetFacts, advise, missing
from ml.evaluation.splits import HELD_OUT_SHARE
from ml.methods.declarations import METHODS, MethodDeclaration

from .images import ok_and_types


def facts_of(dataset: Dataset) -> DatasetFacts:
    ok, by_type = ok_and_types(dataset)
    images = Image.objects.filter(dataset=dataset).order_by()
    sizes = images.values_list("height", "width").annotate(count=Count("pk")).order_by("-count")
    height, width, _count = sizes.first() or (0, 0, 0)
    views = ImageSource.objects.filter(dataset=dataset).exclude(view="").order_by()
    return DatasetFacts(
        ok=ok,
        by_type=by_type,
        unlabelled=images.filter(current_class__isnull=True).count(),
        views=max(1, views.values("view").distinct().count()),
        height=height,
        width=width,
        has_region=Region.objects.filter(dataset=dataset).exists(),
    )


def advice_on(dataset: Dataset) -> Advice:
    return advice_for(facts_of(dataset))


def advice_for(facts: DatasetFacts) -> Advice:
    return advise(facts, METHODS, held_out_share=HELD_OUT_SHARE)


def missing_for_hold_out(facts: DatasetFacts, declaration: MethodDeclaration) -> str:
    """What must be labelled so that a hold-out leaves this method enough to train on; empty where it does."""
    return missing(declaration, facts, HELD_OUT_SHARE)
