"""The part of a model's page that tells how quick it is, and what may serve it."""

import html
import re

import pytest
from django.urls import reverse
from django.utils import timezone

from annotation.models import Image
from ml.choices import JobState
from ml.models import ServingMeasurement
from ml.serving.machine import machine_key
from ml.serving.measured import Measured, MeasuredVariant, State
from tests.ml.factories import make_dataset, make_point, make_version

pytestmark = pytest.mark.django_db

FACTS = {"processor": "Test processor", "graphics": [], "packages": {"openvino": "1.2"}}


@pytest.fixture
def version(media):
    version = make_version(make_dataset(ok=4, ng=4))
    make_point(version, ng_at=0.5)
    return version


@pytest.fixture
def as_role(client, people):
    def log_in(role: str):
        client.force_login(people[role])
        return client

    return log_in


@pytest.fixture
def sent(monkeypatch) -> list[int]:
    asked: list[int] = []
    monkeypatch.setattr("ml.tasks.measure_serving.apply_async", lambda args, **_: asked.append(args[0]))
    return asked


def one(engine: str, precision: str, median: float, **fields) -> MeasuredVariant:
    latency = {
        "1": {"p50": median, "p95": 1.1 * median, "p99": 1.2 * median, "n": 9},
        "4": {"p50": 3 * median, "p95": 4 * median, "p99": 5 * median, "n": 9},
    }
    values = {"max_difference": 1e-6, "spread": 0.5, "peak_mb": 321.4, "relative": median / 20, **fields}
    return MeasuredVariant(engine, precision, State.MEASURED, latency_ms=latency, **values)


def measure(version, *, machine: str = "", scores=(0.1, 0.2, 0.7, 0.8)) -> ServingMeasurement:
    """OpenVINO's bf16 is quickest; where a score of it crosses 0.5, it may not judge."""
    images = list(Image.objects.order_by("id").values_list("pk", flat=True))
    measured = Measured(
        machine=machine or machine_key(),
        facts=FACTS,
        threads=2,
        variants=[
            one("onnxruntime", "float32", 20.0),
            one("torch", "float32", 40.0),
            one("openvino", "bf16", 10.0, max_difference=0.01, scores=scores),
            MeasuredVariant("openvino", "float32", State.BROKEN, "Its process ended (SIGSEGV)."),
            MeasuredVariant("torch_cuda", "float32", State.ABSENT, "There is no NVIDIA graphics processor."),
        ],
        ids=[images[0], images[1], images[6], images[7]],
        is_ng=[False, False, True, True],
        expected=[0.1, 0.2, 0.7, 0.8],
        held_out_of=40,
    )
    return ServingMeasurement.objects.create(
        model_version=version,
        machine=measured.machine,
        state=JobState.DONE,
        measured=measured.to_json(),
        finished_at=timezone.now(),
    )


def section(client, version) -> str:
    """Its text, each run of blanks as one."""
    page = client.get(reverse("model_serving", args=[version.pk])).content.decode()
    return html.unescape(" ".join(re.sub(r"<[^>]+>", " ", page).split()))


def test_one_look_tells_time_rate_memory_and_engine(version, as_role):
    measure(version)
    text = section(as_role("operator"), version)
    assert "10 ms an image" in text
    assert "99 of 100 within 12 ms" in text
    assert "133 images per second" in text
    assert "321 MB OpenVINO bf16" in text
    assert "Test processor · 2 threads · openvino 1.2" in text


def test_every_engine_is_listed_with_its_figures_or_why_it_may_not_judge(version, as_role):
    measure(version)
    text = section(as_role("operator"), version)
    assert "OpenVINO bf16 in use 10 · 11 · 12 7.5 4.0 × 321 2.0e-02 yes" in text
    assert "PyTorch float32 40 · 44 · 48 30 1.0 × 321 2.0e-06 yes" in text
    assert "Its process ended (SIGSEGV)." in text
    assert "There is no NVIDIA graphics processor." in text
    assert "4 of 40 held-out images" in text


def test_a_lower_precision_that_flips_a_verdict_shows_the_image_by_both_paths(version, as_role):
    measure(version, scores=(0.1, 0.55, 0.7, 0.8))
    text = section(as_role("operator"), version)
    assert "1 held-out images change their verdict" in text
    assert "OK flips trained 0.2000 served 0.5500" in text
    assert text.index("flips") < text.index("served 0.7000")
    assert "ONNX Runtime float32 in use" in text


def test_the_newest_operating_point_decides_what_is_in_use(version, as_role):
    measure(version, scores=(0.1, 0.55, 0.7, 0.8))
    make_point(version, ng_at=0.6)
    assert "OpenVINO bf16 in use" in section(as_role("operator"), version)


def test_where_nothing_may_judge_the_page_says_that_the_model_cannot_be_activated(version, as_role):
    row = measure(version)
    for variant in row.measured["variants"]:
        variant.update(state="differs", reason="The scores differ.")
    row.save()
    assert "can't be activated on it" in section(as_role("operator"), version)


def test_the_models_page_has_the_section_at_a_fixed_cost(version, as_role, django_assert_max_num_queries):
    measure(version)
    measure(version, machine="0123456789abcdef")
    client = as_role("operator")
    with django_assert_max_num_queries(11):
        page = client.get(version.get_absolute_url()).content.decode()
    assert 'id="serving"' in page
    assert page.count("Test processor") == 2


def glance(client, version) -> str:
    """The line at the top of the model's page, each run of blanks as one."""
    page = client.get(version.get_absolute_url()).content.decode()
    line = page.partition('id="serving-glance"')[2].partition("</a>")[0]
    assert page.index('id="serving-glance"') < page.index('id="serving"')
    return html.unescape(" ".join(re.sub(r"<[^>]+>", " ", line).split()))


def test_the_models_page_begins_with_how_quick_it_is_here(version, as_role):
    assert "was not measured yet" in glance(as_role("operator"), version)
    measure(version, machine="0123456789abcdef")
    assert "was not measured yet" in glance(as_role("operator"), version)
    row = measure(version)
    text = glance(as_role("operator"), version)
    assert "10 ms an image on this machine 133 images per second OpenVINO bf16" in text
    for variant in row.measured["variants"]:
        variant.update(state="differs", reason="The scores differ.")
    row.save()
    assert "No engine of this machine" in glance(as_role("operator"), version)


def test_a_model_that_was_never_measured_says_so_and_offers_to(version, as_role):
    assert "Not measured on this machine yet" in section(as_role("quality"), version)
    assert "Measure here" in section(as_role("quality"), version)
    assert "Measure here" not in section(as_role("operator"), version)


def test_a_measurement_under_way_shows_how_far_it_is_and_refreshes_itself(version, as_role):
    ServingMeasurement.objects.create(
        model_version=version,
        machine=machine_key(),
        state=JobState.RUNNING,
        progress=0.25,
        stage_text="OpenVINO bf16: timing",
    )
    page = as_role("operator").get(reverse("model_serving", args=[version.pk])).content.decode()
    assert 'hx-trigger="every 3s"' in page
    assert 'value="0.250"' in page
    assert "OpenVINO bf16: timing" in page


def test_a_measurement_that_failed_says_why(version, as_role):
    ServingMeasurement.objects.create(
        model_version=version, machine=machine_key(), state=JobState.FAILED, error="model.onnx is missing."
    )
    assert "could not be measured here: model.onnx is missing." in section(as_role("operator"), version)


def test_asking_for_it_queues_the_measurement_and_asks_a_worker(
    version, as_role, sent, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        answer = as_role("quality").post(reverse("model_measure", args=[version.pk]))
    assert answer.url.endswith("#serving")
    assert version.serving_measurements.get().state == JobState.QUEUED
    assert sent == [version.pk]


def test_who_may_ask_for_it(version, as_role, sent, client):
    address = reverse("model_measure", args=[version.pk])
    assert as_role("operator").post(address).status_code == 403
    assert as_role("admin").post(address).status_code == 302
    assert as_role("admin").get(address).status_code == 405
    client.logout()
    for name in ("model_measure", "model_serving"):
        method = client.post if name == "model_measure" else client.get
        assert method(reverse(name, args=[version.pk])).url.startswith(reverse("login"))
    assert version.serving_measurements.count() == 1


def test_a_version_that_does_not_exist_is_not_found(as_role, db):
    assert as_role("admin").get(reverse("model_serving", args=[99])).status_code == 404
    assert as_role("admin").post(reverse("model_measure", args=[99])).status_code == 404
