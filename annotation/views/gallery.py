from collections.abc import Sequence
from dataclasses import asdict
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from annotation.choices import ImportState, LabelHow, Role
from annotation.errors import DomainError
from annotation.models import Dataset, Image
from annotation.permissions import role_required
from annotation.selectors.datasets import counts_by_class
from annotation.selectors.images import ImageFilter, images_matching, images_with_class
from annotation.services.datasets import existing_class
from annotation.services.labels import label_images, undo_labels

PAGE_SIZE = 60


def dataset(request: HttpRequest, slug: str) -> HttpResponse:
    """The gallery. What htmx asks for is only the next images."""
    found = get_object_or_404(Dataset, slug=slug)
    wanted = _filter_asked(request)
    images, after = _page_of_images(found, wanted, request.GET.get("after", ""))
    query = urlencode({name: value for name, value in asdict(wanted).items() if value})
    context = {
        "dataset": found,
        "images": images,
        "more_url": f"{request.path}?{query}&after={after}" if after else None,
        "may_change": request.user.is_at_least(Role.QUALITY),
    }
    if request.htmx:
        return render(request, "annotation/_cells.html", context)
    counts, classes = counts_by_class(found)
    context |= {
        "wanted": wanted,
        "filter_query": urlencode({"item": wanted.item, "view": wanted.view, "search": wanted.search}),
        "counts": counts,
        "classes": classes,
        "running_imports": found.imports.filter(state__in=[ImportState.QUEUED, ImportState.RUNNING])[:3],
    }
    return render(request, "annotation/dataset.html", context)


@require_POST
@role_required(Role.QUALITY)
def dataset_label(request: HttpRequest, slug: str) -> HttpResponse:
    """The gallery's form, for browsers without script; scripts use REST."""
    found = get_object_or_404(Dataset, slug=slug)
    ids = [int(pk) for pk in request.POST.getlist("images") if pk.isdecimal()]
    images = Image.objects.filter(dataset=found, pk__in=ids)
    try:
        if "undo" in request.POST:
            changed: Sequence[Image] = undo_labels(images=images, author=request.user)
        else:
            changed = label_images(
                images=images,
                label_class=existing_class(
                    dataset=found, name=request.POST.get("class", ""), actor=request.user
                ),
                author=request.user,
                how=LabelHow.KEYBOARD,
            )
    except DomainError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, _("%(count)s images changed.") % {"count": len(changed)})
    back = request.META.get("HTTP_REFERER", "")
    is_own = url_has_allowed_host_and_scheme(back, {request.get_host()}, request.is_secure())
    return redirect(back if is_own else reverse("dataset", args=[slug]))


def _filter_asked(request: HttpRequest) -> ImageFilter:
    asked = {name: request.GET.get(name, "").strip() for name in ("show", "item", "view", "search")}
    return ImageFilter(**asked)


def _page_of_images(found: Dataset, wanted: ImageFilter, after: str) -> tuple[list[Image], int | None]:
    images = images_matching(images_with_class().filter(dataset=found), wanted)
    if after.isdecimal():
        images = images.filter(pk__gt=int(after))
    page = list(images[: PAGE_SIZE + 1])
    return page[:PAGE_SIZE], page[PAGE_SIZE - 1].pk if len(page) > PAGE_SIZE else None
