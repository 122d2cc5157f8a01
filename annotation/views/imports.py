from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from annotation.choices import LabelHow, RemarkKind, Role
from annotation.errors import DomainError
from annotation.forms import ImportForm
from annotation.models import Dataset, ImportJob
from annotation.permissions import role_required
from annotation.services.images import add_upload, shown_name
from annotation.services.importing import queue_import, repeat_import
from annotation.services.uploads import keep_upload
from annotation.tasks import ask_for_import

from .answers import gone_to, refused, wants_json
from .layouts import LAYOUTS

REMARKS_PAGE_SIZE = 100


def imports(request: HttpRequest, slug: str) -> HttpResponse:
    """Bring images into a dataset; what came in before."""
    dataset = get_object_or_404(Dataset, slug=slug)
    if request.method == "POST":
        return _bring(request, dataset)
    return _imports_page(request, dataset, ImportForm())


def import_job(request: HttpRequest, slug: str, job_id: int) -> HttpResponse:
    """One import; htmx asks for its middle every second while it runs, and for more remarks."""
    jobs = ImportJob.objects.select_related("dataset", "created_by")
    job = get_object_or_404(jobs, dataset__slug=slug, pk=job_id)
    if request.htmx and (kind := request.GET.get("kind")):
        return render(request, "annotation/_remarks.html", _remarks(job, kind, request.GET.get("after", "")))
    context = {
        "job": job,
        "dataset": job.dataset,
        "refusals": _remarks(job, RemarkKind.REFUSED),
        "duplicates": _remarks(job, RemarkKind.DUPLICATE),
        "may_change": request.user.is_at_least(Role.QUALITY),
    }
    return render(request, "annotation/_import.html" if request.htmx else "annotation/import.html", context)


@require_POST
@role_required(Role.QUALITY)
def import_repeat(request: HttpRequest, slug: str, job_id: int) -> HttpResponse:
    job = get_object_or_404(ImportJob, dataset__slug=slug, pk=job_id)
    try:
        repeat_import(job=job)
        ask_for_import(job)
    except DomainError as error:
        messages.error(request, str(error))
    return redirect(job)


@role_required(Role.QUALITY)
def _bring(request: HttpRequest, dataset: Dataset) -> HttpResponse:
    form = ImportForm(request.POST, request.FILES)
    if form.is_valid():
        try:
            url = _brought(request, dataset, form)
        except DomainError as error:
            form.add_error("files", str(error))
        else:
            return gone_to(request, url)
    if wants_json(request):
        return refused(form)
    return _imports_page(request, dataset, form, status=400)


def _brought(request: HttpRequest, dataset: Dataset, form: ImportForm) -> str:
    """ZIPs become imports, the rest single images; the address to go on to."""
    files: list[UploadedFile] = form.cleaned_data["files"]
    archives = [file for file in files if _is_archive(file)]
    added = _add_images(request, dataset, [file for file in files if file not in archives])
    if added:
        text = ngettext("%(count)s image is in.", "%(count)s images are in.", added)
        messages.success(request, text % {"count": added})
    url = dataset.get_absolute_url()
    for archive in archives:
        job = queue_import(
            dataset=dataset,
            source=keep_upload(archive),
            source_name=archive.name or "",
            layout=form.cleaned_data["layout"] or "auto",
            is_upload=True,
            created_by=request.user,
        )
        ask_for_import(job)
        url = job.get_absolute_url()
    return url


def _add_images(request: HttpRequest, dataset: Dataset, files: list[UploadedFile]) -> int:
    added = 0
    for file in files:
        try:
            stored = add_upload(dataset=dataset, upload=file, author=request.user, how=LabelHow.KEYBOARD)
        except DomainError as error:
            messages.error(request, f"{shown_name(file.name or '')}: {error}")
            continue
        added += stored.is_new
        if not stored.is_new:
            text = _("%(name)s is byte-identical to %(other)s and not stored again.")
            messages.warning(request, text % {"name": shown_name(file.name or ""), "other": stored.image})
    return added


def _is_archive(file: UploadedFile) -> bool:
    """By content, or where there is none to tell by, by name."""
    start = file.read(2)
    file.seek(0)
    return start == b"PK" or (file.name or "").lower().endswith(".zip")


def _imports_page(
    request: HttpRequest, dataset: Dataset, form: ImportForm, status: int = 200
) -> HttpResponse:
    context = {
        "dataset": dataset,
        "form": form,
        "layouts": LAYOUTS,
        "jobs": dataset.imports.select_related("created_by")[:50],
        "may_change": request.user.is_at_least(Role.QUALITY),
    }
    return render(request, "annotation/imports.html", context, status=status)


def _remarks(job: ImportJob, kind: str, after: str = "") -> dict:
    remarks = job.remarks.filter(kind=kind)
    if after.isdecimal():
        remarks = remarks.filter(pk__gt=int(after))
    page = list(remarks[: REMARKS_PAGE_SIZE + 1])
    has_more = len(page) > REMARKS_PAGE_SIZE
    shown = page[:REMARKS_PAGE_SIZE]
    return {"job": job, "kind": kind, "remarks": shown, "after": shown[-1].pk if has_more else None}
