"""Types of defects on the model page."""

import json
import re

import pytest
from django.urls import reverse

from annotation.models import Image
from ml.choices import JobState
from ml.models import Discovery
from ml.services.discovery import queue_discovery
from ml.tasks import discover
from tests.ml.factories import make_dataset, make_job, make_version

pytestmark = pytest.mark.django_db

FINDINGS = {
    "types": [{"number": 0, "images": 2}, {"number": 1, "images": 1}],
    "silhouettes": {"2": 0.7},
    "centroids": [[0.0], [1.0]],
    "norms": {
        "edges": [1e-6, 1e-5, 1e-4],
        "classes": {"OK": {"counts": [1, 1], "images": 2, "mean": 1e-5, "variance": 1e-12}},
    },
    "purity": {"images": 3, "classes": 2, "types": 0.75, "pixels": 0.5},
    "left_out": 4,
}
POINTS = [
    {"image": number, "x": 1.0, "y": 2.0, "type": number % 2, "class": "</script>", "norm": 1e-6}
    for number in range(3)
]


@pytest.fixture
def dataset(media):
    return make_dataset(ok=3, ng=6)


@pytest.fixture
def version(dataset):
    return make_version(dataset, job=make_job(dataset, method="grad_mobilenet", state=JobState.DONE))


@pytest.fixture(autouse=True)
def sent(monkeypatch) -> list[int]:
    asked: list[int] = []
    monkeypatch.setattr(discover, "delay", asked.append)
    return asked


@pytest.fixture
def as_role(client, people):
    def log_in(role: str):
        client.force_login(people[role])
        return client

    return log_in


def start(client, version, **fields):
    asked = {"dataset": "bolts", "among": "not_ok", "types": "", **fields}
    return client.post(reverse("discovery_new", args=[version.pk]), asked, follow=True)


def page(client, version) -> str:
    return client.get(version.get_absolute_url()).content.decode()


def test_it_is_started_from_the_model_page(version, as_role, sent, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        answer = start(as_role("quality"), version, types="3")
    queued = Discovery.objects.get()
    assert sent == [queued.pk]
    assert queued.types_asked == 3
    shown = answer.content.decode()
    assert reverse("discovery_state", args=[queued.pk]) in shown
    assert "every 2s" in shown


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"types": "7"}, "7 types can&#x27;t be found"),
        ({"types": "1"}, "Types:"),
        ({"dataset": "nuts"}, "Dataset:"),
    ],
)
def test_what_can_not_be_is_told_on_the_page(version, as_role, fields, text):
    assert text in start(as_role("quality"), version, **fields).content.decode()
    assert not Discovery.objects.exists()


def test_an_operator_sees_types_and_starts_none(version, as_role):
    client = as_role("operator")
    assert reverse("discovery_new", args=[version.pk]) not in page(client, version)
    assert client.post(reverse("discovery_new", args=[version.pk])).status_code == 403
    row = queue_discovery(version=version, dataset=version.dataset)
    assert client.get(reverse("discovery_state", args=[row.pk])).status_code == 200


def test_a_model_of_another_method_has_no_such_section(dataset, as_role):
    assert 'id="discovery"' not in page(as_role("quality"), make_version(dataset))


def test_one_that_runs_is_cancelled_on_the_page(version, as_role):
    row = queue_discovery(version=version, dataset=version.dataset)
    address = reverse("discovery_cancel", args=[row.pk])
    assert address not in page(as_role("operator"), version)
    assert as_role("operator").post(address).status_code == 403
    client = as_role("quality")
    assert address in page(client, version)
    assert "was cancelled" in client.post(address, follow=True).content.decode()
    row.refresh_from_db()
    assert row.state == JobState.CANCELLED
    assert "nothing left to cancel" in client.post(address, follow=True).content.decode()


def test_types_that_were_found_can_be_kept(version, as_role):
    client = as_role("quality")
    assert "Keep the types of" not in page(client, version)
    done = Discovery.objects.create(model_version=version, dataset=version.dataset, state=JobState.DONE)
    assert "Keep the types of" in page(client, version)
    start(client, version, types_of=str(done.pk))
    assert Discovery.objects.latest("id").types_of == done


def test_points_have_the_classes_of_today_to_label_by(version, dataset, as_role):
    ng, gone = Image.objects.filter(current_class=dataset.ng).first(), dataset.add(is_ng=True)
    points = [POINTS[0] | {"image": image.pk} for image in (ng, gone)]
    Discovery.objects.create(
        model_version=version, dataset=version.dataset, state=JobState.DONE, points=points, findings=FINDINGS
    )
    gone.delete()
    shown = page(as_role("quality"), version)
    drawn = json.loads(re.search(r'id="discovery-points"[^>]*>(.*?)</script>', shown)[1])
    assert [(point["image"], point["class"]) for point in drawn] == [(ng.pk, "NG")]
    assert "2 types among 1 images" in shown
    labels = reverse("api_dataset_labels", args=["bolts"])
    assert labels in shown
    assert '<option value="1">Type 2 (1)</option>' in shown
    assert labels not in page(as_role("operator"), version)


def test_what_was_found_is_shown_with_what_the_map_can_not_do(version, dataset, as_role):
    dataset.ng.name = "</script>"
    dataset.ng.save()
    images = Image.objects.filter(current_class=dataset.ng)[:3]
    points = [point | {"image": image.pk} for point, image in zip(POINTS, images, strict=True)]
    Discovery.objects.create(
        model_version=version, dataset=version.dataset, state=JobState.DONE, points=points, findings=FINDINGS
    )
    shown = page(as_role("operator"), version)
    assert "2 types among 3 images" in shown
    assert "best silhouette" in shown
    assert "4 more images were left out" in shown
    assert "t-SNE can't put it in" in shown or "t-SNE can&#x27;t put it in" in shown
    assert "75.0" in shown
    assert "50.0" in shown
    assert '"class": "\\u003C/script\\u003E"' in shown


def test_a_failed_one_shows_its_reason_and_is_followed_no_more(version, as_role):
    row = Discovery.objects.create(
        model_version=version,
        dataset=version.dataset,
        state=JobState.FAILED,
        error="All images look the same.",
    )
    partial = as_role("operator").get(reverse("discovery_state", args=[row.pk])).content.decode()
    assert "All images look the same." in partial
    assert "hx-get" not in partial


def test_an_earlier_one_can_be_opened(version, as_role):
    for text in ("first", "second"):
        Discovery.objects.create(
            model_version=version, dataset=version.dataset, state=JobState.FAILED, error=f"The {text} one."
        )
    earlier = Discovery.objects.last()
    client = as_role("operator")
    assert "The second one." in page(client, version)
    assert (
        "The first one." in client.get(version.get_absolute_url(), {"discovery": earlier.pk}).content.decode()
    )
