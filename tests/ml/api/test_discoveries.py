"""Discoveries over REST."""

import pytest
from rest_framework.test import APIClient

from ml.choices import JobState
from ml.models import Discovery
from ml.tasks import discover
from tests.ml.factories import make_dataset, make_job, make_version

pytestmark = pytest.mark.django_db
ADDRESS = "/api/v1/discoveries/"


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
def as_role(people):
    def log_in(role: str) -> APIClient:
        client = APIClient()
        client.force_authenticate(people[role])
        return client

    return log_in


def make_discovery(version, **fields) -> Discovery:
    return Discovery.objects.create(**{"model_version": version, "dataset": version.dataset, **fields})


def test_one_is_queued_and_a_worker_asked(version, as_role, people, sent, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        answer = as_role("quality").post(
            ADDRESS, {"version": version.pk, "dataset": "bolts", "types": 3}, format="json"
        )
    assert answer.status_code == 201
    queued = Discovery.objects.get()
    assert (queued.types_asked, queued.among, queued.created_by) == (3, "not_ok", people["quality"])
    assert sent == [queued.pk]


@pytest.mark.parametrize(
    ("change", "status", "text"),
    [
        ({"types": 7}, 409, "7 types can't be found among them"),
        ({"among": "unlabelled"}, 409, "At least 5 images are needed"),
        ({"types": 1}, 400, "types"),
        ({"dataset": "nuts"}, 400, "dataset"),
        ({"among": "all"}, 400, "among"),
    ],
)
def test_what_can_not_be_is_refused_with_the_reason(version, as_role, change, status, text):
    asked = {"version": version.pk, "dataset": "bolts"} | change
    answer = as_role("quality").post(ADDRESS, asked, format="json")
    assert answer.status_code == status
    assert text in str(answer.json())
    assert not Discovery.objects.exists()


def test_the_types_of_an_earlier_one_are_kept(version, as_role):
    client = as_role("quality")
    asked = {"version": version.pk, "dataset": "bolts"}
    done = make_discovery(version, state=JobState.DONE)
    answer = client.post(ADDRESS, asked | {"types_of": done.pk}, format="json")
    assert (answer.status_code, answer.json()["types_of"]) == (201, done.pk)
    refused = client.post(ADDRESS, asked | {"types_of": done.pk, "types": 3}, format="json")
    assert (refused.status_code, "not both" in str(refused.json())) == (409, True)
    assert client.post(ADDRESS, asked | {"types_of": 99}, format="json").status_code == 400


def test_one_is_cancelled_once_and_not_by_an_operator(version, as_role):
    address = f"{ADDRESS}{make_discovery(version).pk}/cancel/"
    assert as_role("operator").post(address).status_code == 403
    answer = as_role("quality").post(address)
    assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    again = as_role("quality").post(address)
    assert (again.status_code, "nothing left to cancel" in str(again.json())) == (409, True)


def test_one_has_its_map_but_the_list_does_not(version, as_role):
    points = [{"image": 1, "x": 0.5, "y": 1.5, "type": 0, "class": "", "norm": 1e-6}]
    made = make_discovery(version, state=JobState.DONE, points=points)
    client = as_role("operator")
    assert client.get(f"{ADDRESS}{made.pk}/").json()["points"] == points
    assert "points" not in client.get(ADDRESS).json()["results"][0]
    assert len(client.get(ADDRESS, {"model_version": version.pk}).json()["results"]) == 1
    assert client.get(ADDRESS, {"dataset": "nuts"}).json()["results"] == []


def test_the_list_costs_the_same_with_one_as_with_many(version, as_role, django_assert_num_queries):
    client = as_role("operator")
    for count in (1, 9):
        for _ in range(count):
            make_discovery(version)
        with django_assert_num_queries(1):
            client.get(ADDRESS)


def test_an_operator_looks_but_starts_none_and_a_stranger_sees_nothing(version, as_role):
    assert as_role("operator").get(ADDRESS).status_code == 200
    assert as_role("operator").post(ADDRESS, {}).status_code == 403
    assert APIClient().get(ADDRESS).status_code == 401
    assert APIClient().get(f"{ADDRESS}{make_discovery(version).pk}/").status_code == 401
