from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from annotation.choices import Role
from annotation.errors import DomainError
from annotation.forms import ClassForm, DatasetForm, DeleteForm, NewDatasetForm
from annotation.models import Dataset, LabelClass, Region, User
from annotation.permissions import role_required
from annotation.selectors.datasets import counts_by_class, counts_of, datasets_with_first_images
from annotation.services import datasets as service
from annotation.services.importing import queue_import
from annotation.services.uploads import keep_upload
from annotation.tasks import ask_for_import

from .answers import gone_to, refused, wants_json
from .layouts import LAYOUTS

PAGE_SIZE = 24


def datasets(request: HttpRequest) -> HttpResponse:
    rows = datasets_with_first_images()
    if after := request.GET.get("after"):
        rows = rows.filter(name__gt=after)
    page = list(rows[: PAGE_SIZE + 1])
    shown, has_more = page[:PAGE_SIZE], len(page) > PAGE_SIZE
    counts = counts_of(shown)
    cards = [{"dataset": one, "counts": counts[one.pk], "images": _first_images(one)} for one in shown]
    context = {
        "cards": cards,
        "after": shown[-1].name if has_more else None,
        "may_change": request.user.is_at_least(Role.QUALITY),
    }
    return render(request, "annotation/datasets.html", context)


@role_required(Role.QUALITY)
def dataset_new(request: HttpRequest) -> HttpResponse:
    form = NewDatasetForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        try:
            return gone_to(request, _made(form, request.user))
        except DomainError as error:
            form.add_error("name" if isinstance(error, service.DatasetRefused) else "archive", str(error))
    if request.method == "POST" and wants_json(request):
        return refused(form)
    return render(request, "annotation/dataset_new.html", {"form": form, "layouts": LAYOUTS})


@transaction.atomic
def _made(form: NewDatasetForm, author: User) -> str:
    """Makes the dataset, with an import when a ZIP came along; the address to go on to."""
    dataset = service.create_dataset(
        name=form.cleaned_data["name"],
        description=form.cleaned_data["description"],
        created_by=author,
    )
    archive: UploadedFile | None = form.cleaned_data["archive"]
    if not archive:
        return reverse("imports", args=[dataset.slug])
    job = queue_import(
        dataset=dataset,
        source=keep_upload(archive),
        source_name=archive.name or "",
        layout=form.cleaned_data["layout"] or "auto",
        is_upload=True,
        created_by=author,
    )
    ask_for_import(job)
    return job.get_absolute_url()


@role_required(Role.QUALITY)
def dataset_settings(request: HttpRequest, slug: str) -> HttpResponse:
    dataset = get_object_or_404(Dataset, slug=slug)
    initial = {"name": dataset.name, "description": dataset.description}
    form = DatasetForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            service.change_dataset(dataset=dataset, actor=request.user, **form.cleaned_data)
        except DomainError as error:
            form.add_error("name", str(error))
        else:
            messages.success(request, _("Saved."))
            return redirect("dataset_settings", slug=slug)
    return _settings_page(request, dataset, form=form)


@require_POST
@role_required(Role.QUALITY)
def class_new(request: HttpRequest, slug: str) -> HttpResponse:
    dataset = get_object_or_404(Dataset, slug=slug)
    form = ClassForm(request.POST)
    if form.is_valid():
        try:
            made = service.create_class(dataset=dataset, name=form.cleaned_data["name"], actor=request.user)
        except DomainError as error:
            form.add_error("name", str(error))
        else:
            messages.success(request, _("The class %(name)s has the number %(number)s.") % vars(made))
            return redirect("dataset_settings", slug=slug)
    return _settings_page(request, dataset, class_form=form)


@require_POST
@role_required(Role.QUALITY)
def class_rename(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    label_class = get_object_or_404(LabelClass, dataset__slug=slug, number=number)
    form = ClassForm(request.POST)
    try:
        if not form.is_valid():
            raise service.DatasetRefused(" ".join(form.errors["name"]))
        service.rename_class(label_class=label_class, name=form.cleaned_data["name"], actor=request.user)
    except DomainError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, _("Renamed; the number stays."))
    return redirect("dataset_settings", slug=slug)


@require_POST
@role_required(Role.QUALITY)
def dataset_delete(request: HttpRequest, slug: str) -> HttpResponse:
    dataset = get_object_or_404(Dataset, slug=slug)
    form = DeleteForm(request.POST, dataset=dataset)
    if form.is_valid():
        try:
            count = service.delete_dataset(dataset=dataset, actor=request.user)
        except DomainError as error:
            form.add_error("name", str(error))
        else:
            text = _("“%(name)s” and its %(count)s images are deleted.")
            messages.success(request, text % {"name": dataset.name, "count": count})
            return redirect("datasets")
    return _settings_page(request, dataset, delete_form=form)


def _settings_page(
    request: HttpRequest,
    dataset: Dataset,
    *,
    form: DatasetForm | None = None,
    class_form: ClassForm | None = None,
    delete_form: DeleteForm | None = None,
) -> HttpResponse:
    initial = {"name": dataset.name, "description": dataset.description}
    counts, classes = counts_by_class(dataset)
    context = {
        "dataset": dataset,
        "counts": counts,
        "classes": classes,
        "regions": Region.objects.filter(dataset=dataset).select_related("author"),
        "form": form or DatasetForm(initial=initial),
        "class_form": class_form or ClassForm(prefix=None),
        "delete_form": delete_form or DeleteForm(dataset=dataset),
    }
    has_errors = any(one and one.errors for one in (form, class_form, delete_form))
    return render(request, "annotation/dataset_settings.html", context, status=400 if has_errors else 200)


def _first_images(dataset: Dataset) -> list[int]:
    ids = [getattr(dataset, f"first_{at}") for at in range(1, 5)]
    return [pk for pk in ids if pk]
