"""A person's word on a judged part."""

from django.db import transaction
from django.utils.translation import gettext as _

from annotation.choices import LabelHow
from annotation.errors import DomainError
from annotation.models import LabelClass, User
from annotation.models.dataset import NG_CLASS_NAME
from annotation.services import audit
from annotation.services.labels import label_images
from inspection.choices import Verdict
from inspection.models import Disposition, Part, View


class DispositionRefused(DomainError):
    code = "disposition_refused"


@transaction.atomic
def dispose_part(
    *, part: Part, verdict: str, label_class: LabelClass | None, note: str, by: User
) -> Disposition:
    """Confirms or overrules a part's verdict; the latest word counts, earlier ones stay.

    Where a view's image belongs to a dataset, the word becomes a label of the image.

    Args:
        part: the judged part.
        verdict: OK or NG.
        label_class: the defect type, where the person knows it.
        note: for the record.
        by: who says so.

    Raises:
        DispositionRefused: an OK with a defect type, or a class of a dataset that the part does not show.
    """
    if verdict not in (Verdict.OK, Verdict.NG):
        raise DispositionRefused(_("A part is OK or NG; say one of the two."))
    if label_class is not None and label_class.is_ok != (verdict == Verdict.OK):
        raise DispositionRefused(
            _("The class %(name)s does not go with %(verdict)s.") % {"name": label_class, "verdict": verdict}
        )
    if label_class is not None and label_class.dataset_id not in datasets_of(part):
        raise DispositionRefused(_("The class %(name)s is of another product.") % {"name": label_class})
    disposition = Disposition.objects.create(
        part=part, verdict=verdict, label_class=label_class, note=note[:400], author=by
    )
    audit.record(
        actor=by,
        action="part.overruled" if verdict != part.verdict else "part.confirmed",
        target=part,
        details={"verdict": verdict, "class": str(label_class or ""), "note": note[:400]},
    )
    _label_images(part, verdict, label_class, by)
    return disposition


def _label_images(part: Part, verdict: str, label_class: LabelClass | None, by: User) -> None:
    """What was said of the part as labels of its images, as far as it can be said of each.

    OK holds for every view. NG holds for the only view, or for those that were NG; which of several views
    shows an escape nobody said.
    """
    views = list(View.objects.filter(part=part, image__isnull=False).select_related("image"))
    if verdict == Verdict.NG and len(views) > 1:
        views = [view for view in views if view.verdict == Verdict.NG]
    for view in views:
        if (image := view.image) is None:
            continue
        said = label_class or _class_of(image.dataset_id, verdict)
        if said is not None and said.dataset_id == image.dataset_id:
            label_images(images=[image], label_class=said, author=by, how=LabelHow.REVIEW)


def _class_of(dataset_id: int, verdict: str) -> LabelClass | None:
    """The class that a bare OK or NG means: of several defect types none but one named NG."""
    classes = LabelClass.objects.filter(dataset=dataset_id)
    if verdict == Verdict.OK:
        return classes.filter(number=0).first()
    defects = list(classes.filter(number__gt=0))
    return next((one for one in defects if one.name == NG_CLASS_NAME or len(defects) == 1), None)


def datasets_of(part: Part) -> set[int]:
    """The datasets whose classes can be said of a part: its images', else its model's."""
    of_images = View.objects.filter(part=part, image__isnull=False).values_list("image__dataset", flat=True)
    found = set(of_images)
    if not found and part.deployment:
        found = {part.deployment.operating_point.model_version.dataset_id}
    return found
