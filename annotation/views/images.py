from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from annotation.choices import LabelHow, Role
from annotation.errors import DomainError
from annotation.models import Image
from annotation.permissions import role_required
from annotation.selectors.images import images_with_class, labels_of, neighbours
from annotation.services.datasets import existing_class
from annotation.services.labels import label_images, undo_labels


def image(request: HttpRequest, image_id: int) -> HttpResponse:
    """One image: what it is, who said so and when."""
    found = get_object_or_404(images_with_class(), pk=image_id)
    before, after = neighbours(found)
    context = {
        "image": found,
        "dataset": found.dataset,
        "classes": found.dataset.classes.all(),
        "sources": found.sources.all(),
        "labels": labels_of(found),
        "before": before,
        "after": after,
        "may_change": request.user.is_at_least(Role.QUALITY),
    }
    return render(request, "annotation/image.html", context)


@require_POST
@role_required(Role.QUALITY)
def image_label(request: HttpRequest, image_id: int) -> HttpResponse:
    found = get_object_or_404(Image.objects.select_related("dataset"), pk=image_id)
    try:
        if "undo" in request.POST:
            changed = undo_labels(images=[found], author=request.user)
        else:
            name = request.POST.get("class", "")
            changed = label_images(
                images=[found],
                label_class=existing_class(dataset=found.dataset, name=name, actor=request.user),
                author=request.user,
                how=LabelHow.KEYBOARD,
                is_adjudication="adjudicate" in request.POST,
            )
    except DomainError as error:
        messages.error(request, str(error))
    else:
        if not changed:
            nothing = _("There is no word of yours to take back.")
            same = _("You have said so already.")
            messages.warning(request, nothing if "undo" in request.POST else same)
    return redirect(found)
