"""Training jobs: the list, one job live, cancel and resume."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from annotation.choices import Role
from annotation.errors import DomainError
from annotation.permissions import role_required
from ml import events
from ml.choices import JobState
from ml.methods.declarations import METHODS
from ml.models import TrainingJob
from ml.selectors import jobs as job_rows
from ml.services import jobs
from ml.tasks import ask_for_training

from .paging import newest_first_page


@require_GET
def training_jobs(request: HttpRequest) -> HttpResponse:
    rows, before = newest_first_page(request, job_rows.jobs_for_list())
    return render(
        request,
        "ml/training_jobs.html",
        {
            "jobs": rows,
            "before": before,
            "is_live": any(not job.is_finished for job in rows),
            "may_train": request.user.is_at_least(Role.QUALITY),
        },
    )


@require_GET
def training_job(request: HttpRequest, job_id: int) -> HttpResponse:
    job = get_object_or_404(job_rows.jobs_for_detail(), pk=job_id)
    return render(
        request,
        "ml/training_job.html",
        {
            "job": job,
            "method": METHODS.get(job.method),
            "row": events.job_row(job),
            "version": getattr(job, "model_version", None),
            "can_cancel": job.state in {JobState.QUEUED, JobState.RUNNING},
            "can_resume": job.state in {JobState.CANCELLED, JobState.FAILED},
            "may_train": request.user.is_at_least(Role.QUALITY),
        },
    )


@require_POST
@role_required(Role.QUALITY)
def training_cancel(request: HttpRequest, job_id: int) -> HttpResponse:
    job = get_object_or_404(TrainingJob, pk=job_id)
    try:
        job = jobs.cancel_job(job=job, actor=request.user)
    except DomainError as error:
        messages.error(request, str(error))
    else:
        is_ended = job.state == JobState.CANCELLED
        messages.success(request, _("Cancelled.") if is_ended else _("The worker has been told to stop."))
    return redirect(job)


@require_POST
@role_required(Role.QUALITY)
def training_resume(request: HttpRequest, job_id: int) -> HttpResponse:
    job = get_object_or_404(TrainingJob, pk=job_id)
    try:
        job = jobs.resume_job(job=job, actor=request.user)
    except DomainError as error:
        messages.error(request, str(error))
    else:
        ask_for_training(job)
        messages.success(request, _("Queued again; it goes on from its last checkpoint."))
    return redirect(job)
