"""The form of a new training job, with what the chosen data has and the chosen method needs beside it."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from annotation.choices import Role
from annotation.errors import DomainError
from annotation.models import Dataset
from annotation.permissions import role_required
from ml.errors import ParametersRefused
from ml.forms import NewJobForm, ParametersForm
from ml.methods.contract import NotEnoughImages, check_needs
from ml.methods.declarations import METHODS, MethodDeclaration
from ml.selectors.advice import advice_for, advice_on, facts_of, missing_for_hold_out
from ml.selectors.images import counts_of_dataset
from ml.services.jobs import queue_job
from ml.tasks import ask_for_training


@require_http_methods(["GET", "POST"])
@role_required(Role.QUALITY)
def training_new(request: HttpRequest) -> HttpResponse:
    return _queue(request) if request.method == "POST" else _ask(request)


@require_GET
@role_required(Role.QUALITY)
def training_needs(request: HttpRequest) -> HttpResponse:
    """The partial that says what the chosen dataset has and the chosen method needs."""
    dataset = Dataset.objects.filter(slug=request.GET.get("dataset", "")).first()
    return render(request, "ml/_needs.html", _needs(dataset, _declaration(request.GET.get("method", ""))))


@require_GET
@role_required(Role.QUALITY)
def training_parameters(request: HttpRequest) -> HttpResponse:
    """The partial with the fields of the chosen method, filled from the chosen preset."""
    declaration = _declaration(request.GET.get("method", ""))
    preset = request.GET.get("preset", "")
    is_known = preset in declaration.presets
    context = {
        "parameters": ParametersForm(declaration=declaration, preset=preset),
        # Another method has other presets: their field comes along, out of band.
        "form": NewJobForm(initial={"preset": preset if is_known else ""}, declaration=declaration),
        "is_partial": True,
    }
    return render(request, "ml/_parameters.html", context)


def _ask(request: HttpRequest) -> HttpResponse:
    dataset = Dataset.objects.filter(slug=request.GET.get("dataset", "")).first()
    declaration = _declaration(request.GET.get("method", "") or _first_advised(dataset))
    preset = "quick" if "quick" in declaration.presets else ""
    initial = {"dataset": request.GET.get("dataset"), "method": declaration.name, "preset": preset}
    form = NewJobForm(initial=initial, declaration=declaration)
    parameters = ParametersForm(declaration=declaration, preset=preset)
    return _page(request, form, parameters, declaration, dataset)


def _queue(request: HttpRequest) -> HttpResponse:
    declaration = _declaration(request.POST.get("method", ""))
    form = NewJobForm(request.POST, declaration=declaration)
    preset = request.POST.get("preset", "")
    parameters = ParametersForm(request.POST, declaration=declaration, preset=preset)
    are_valid = [form.is_valid(), parameters.is_valid()]
    if all(are_valid):
        chosen = form.cleaned_data
        try:
            job = queue_job(
                dataset=chosen["dataset"],
                method=chosen["method"],
                preset=chosen["preset"],
                parameters=parameters.given(),
                folds=chosen["folds"],
                seed=chosen["seed"],
                author=request.user,
            )
        except ParametersRefused as error:
            for text in parameters.add_parameter_errors(error.errors):
                form.add_error(None, text)
        except DomainError as error:
            form.add_error(None, str(error))
        else:
            ask_for_training(job)
            return redirect(job)
    dataset = form.cleaned_data.get("dataset") if hasattr(form, "cleaned_data") else None
    return _page(request, form, parameters, declaration, dataset, status=422)


def _page(
    request: HttpRequest,
    form: NewJobForm,
    parameters: ParametersForm,
    declaration: MethodDeclaration,
    dataset: Dataset | None,
    status: int = 200,
) -> HttpResponse:
    context = {
        "form": form,
        "parameters": parameters,
        "methods": METHODS.values(),
        "has_datasets": Dataset.objects.exists(),
    }
    return render(request, "ml/training_new.html", context | _needs(dataset, declaration), status=status)


def _declaration(name: str) -> MethodDeclaration:
    return METHODS.get(name) or next(iter(METHODS.values()))


def _first_advised(dataset: Dataset | None) -> str:
    proposals = advice_on(dataset).proposals if dataset else []
    return proposals[0].method if proposals else ""


def _needs(dataset: Dataset | None, declaration: MethodDeclaration) -> dict[str, Any]:
    shown: dict[str, Any] = {"chosen_dataset": dataset, "method": declaration, "needs": declaration.needs}
    if dataset is None:
        return shown
    has = counts_of_dataset(dataset)
    facts = facts_of(dataset)
    shown["advice"] = advice_for(facts)
    try:
        check_needs(declaration.needs, has)
    except NotEnoughImages as error:
        return shown | {"has": has, "shortfall": str(error)}
    return shown | {"has": has, "short_split": missing_for_hold_out(facts, declaration)}
