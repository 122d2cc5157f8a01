"""REST of methods, jobs, model versions and operating points."""

import pytest
from rest_framework.test import APIClient

from ml.choices import JobState
from ml.models import OperatingPoint, TrainingJob
from tests.ml.factories import TINY, make_dataset, make_job, make_point, make_version

pytestmark = pytest.mark.django_db

ROLES = ["operator", "quality", "engineer", "admin"]
API = "/api/v1"


@pytest.fixture
def dataset(media):
    return make_dataset(ok=12, ng=12)


@pytest.fixture
def version(dataset):
    version = make_version(dataset)
    make_point(version)
    return version


@pytest.fixture(autouse=True)
def sent(monkeypatch) -> list[int]:
    from ml.tasks import train

    asked: list[int] = []
    monkeypatch.setattr(train, "delay", asked.append)
    return asked


@pytest.fixture
def as_role(people):
    def log_in(role: str) -> APIClient:
        client = APIClient()
        client.force_authenticate(people[role])
        return client

    return log_in


def addresses(version) -> list[tuple[str, str, str]]:
    job = version.job_id
    return [
        ("operator", "get", f"{API}/methods/"),
        ("operator", "get", f"{API}/methods/weak/"),
        ("operator", "get", f"{API}/jobs/"),
        ("operator", "get", f"{API}/jobs/{job}/"),
        ("operator", "get", f"{API}/model-versions/"),
        ("operator", "get", f"{API}/model-versions/{version.pk}/"),
        ("operator", "get", f"{API}/model-versions/{version.pk}/scores/"),
        ("operator", "get", f"{API}/model-versions/{version.pk}/score-columns/"),
        ("operator", "get", f"{API}/operating-points/"),
        ("quality", "post", f"{API}/jobs/"),
        ("quality", "post", f"{API}/jobs/{job}/cancel/"),
        ("quality", "post", f"{API}/jobs/{job}/resume/"),
        ("quality", "patch", f"{API}/model-versions/{version.pk}/"),
        ("quality", "post", f"{API}/operating-points/"),
    ]


@pytest.mark.parametrize("role", ROLES)
def test_each_role_may_what_it_may_and_no_more(version, as_role, role):
    client = as_role(role)
    for least, method, address in addresses(version):
        may = ROLES.index(role) >= ROLES.index(least)
        status = getattr(client, method)(address).status_code
        assert (status != 403) == may, f"{role} {method} {address}: {status}"


def test_without_a_token_nothing_is_told(version):
    for _least, method, address in addresses(version):
        assert getattr(APIClient(), method)(address).status_code == 401


def test_a_method_tells_its_needs_and_the_schema_of_its_parameters(as_role):
    method = as_role("operator").get(f"{API}/methods/weak/").json()
    assert method["needs"] == {"ok": 5, "ng": 5, "per_class": 0}
    assert method["parameters"]["properties"]["height"]["unit"] == "px"
    assert {"paper", "quick", "demo"} <= method["presets"].keys()


def test_an_unknown_method_is_not_found(as_role):
    answer = as_role("operator").get(f"{API}/methods/tarot/")
    assert answer.status_code == 404
    assert "weak" in answer.json()["detail"]


class TestJobs:
    def test_a_job_is_queued_and_a_worker_asked(
        self, dataset, as_role, sent, django_capture_on_commit_callbacks
    ):
        body = {
            "dataset": "bolts",
            "method": "weak",
            "preset": "quick",
            "parameters": {"stage1_iterations": 7},
        }
        with django_capture_on_commit_callbacks(execute=True):
            answer = as_role("quality").post(f"{API}/jobs/", body | {"seed": 5})
        assert answer.status_code == 201
        job = TrainingJob.objects.get()
        assert answer.json()["id"] == job.pk
        assert (job.seed, job.parameters["stage1_iterations"], job.parameters["height"]) == (5, 7, 352)
        assert sent == [job.pk]

    def test_too_few_images_are_a_conflict_with_the_counts(self, media, as_role):
        make_dataset(ok=20)
        answer = as_role("quality").post(f"{API}/jobs/", {"dataset": "bolts", "method": "weak"})
        assert answer.status_code == 409
        assert answer.json() == {
            "detail": "At least 5 NG images are needed; there are 0.",
            "code": "dataset_unsuitable",
        }

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"dataset": "nuts"}, "dataset"),
            ({"method": "tarot"}, "method"),
            ({"folds": 400}, "folds"),
            ({"seed": -1}, "seed"),
            ({"parameters": {"stage1_rate": 7}}, "stage1_rate"),
            ({"parameters": {"nonsense": 7}}, "nonsense"),
            ({"preset": "tarot"}, "preset"),
        ],
    )
    def test_what_is_wrong_is_named(self, dataset, as_role, change, field):
        body = {"dataset": "bolts", "method": "weak", "parameters": TINY}
        answer = as_role("quality").post(f"{API}/jobs/", body | change)
        assert answer.status_code == 400
        assert field in answer.content.decode()

    def test_one_job_has_its_curves_and_log_but_the_list_does_not(self, dataset, as_role):
        job = make_job(dataset, curves={"loss": [[1, 0.5]]}, log="started\n")
        client = as_role("operator")
        one = client.get(f"{API}/jobs/{job.pk}/").json()
        assert (one["curves"], one["log"]) == ({"loss": [[1, 0.5]]}, "started\n")
        assert "curves" not in client.get(f"{API}/jobs/").json()["results"][0]

    def test_the_list_is_filtered_by_dataset_and_state(self, dataset, as_role):
        make_job(dataset, state=JobState.DONE)
        failed = make_job(dataset, state=JobState.FAILED)
        client = as_role("operator")
        found = client.get(f"{API}/jobs/", {"state": "failed", "dataset": "bolts"}).json()["results"]
        assert [job["id"] for job in found] == [failed.pk]
        assert client.get(f"{API}/jobs/", {"dataset": "nuts"}).json()["results"] == []

    def test_cancel_and_resume(self, dataset, as_role, sent, django_capture_on_commit_callbacks):
        job = make_job(dataset)
        client = as_role("quality")
        assert client.post(f"{API}/jobs/{job.pk}/cancel/").json()["state"] == "cancelled"
        assert client.post(f"{API}/jobs/{job.pk}/cancel/").status_code == 409
        with django_capture_on_commit_callbacks(execute=True):
            assert client.post(f"{API}/jobs/{job.pk}/resume/").json()["state"] == "queued"
        assert sent == [job.pk]
        assert client.post(f"{API}/jobs/{job.pk}/resume/").json()["code"] == "job_state"

    def test_the_list_costs_the_same_with_one_job_as_with_many(
        self, dataset, as_role, django_assert_num_queries
    ):
        client = as_role("operator")
        for count in (1, 15):
            for _ in range(count):
                make_version(dataset)
            with django_assert_num_queries(1):
                client.get(f"{API}/jobs/")


class TestModelVersions:
    def test_the_list_costs_the_same_with_one_as_with_many(self, dataset, as_role, django_assert_num_queries):
        client = as_role("operator")
        for count in (1, 15):
            for _ in range(count):
                make_version(dataset)
            with django_assert_num_queries(2):
                client.get(f"{API}/model-versions/")

    def test_one_has_its_card_and_parity(self, version, as_role):
        one = as_role("operator").get(f"{API}/model-versions/{version.pk}/").json()
        assert {"card", "parity", "evaluation"} <= one.keys()

    def test_scores_are_paged_with_their_images(self, version, as_role):
        page = as_role("operator").get(f"{API}/model-versions/{version.pk}/scores/", {"page_size": 5}).json()
        assert len(page["results"]) == 5
        assert page["next"]
        assert page["results"][0].keys() == {
            "id", "image", "file", "is_ng", "class_name", "score", "probabilities", "fold", "split",
        }  # fmt: skip

    def test_score_columns_are_sorted_and_complete(self, version, as_role):
        columns = as_role("operator").get(f"{API}/model-versions/{version.pk}/score-columns/").json()
        assert columns["held_out"]["ok"] == sorted(columns["held_out"]["ok"])
        assert (len(columns["held_out"]["ok"]), len(columns["held_out"]["ng"])) == (12, 12)
        assert columns["training"] == {"ok": [], "ng": []}
        assert columns["types"] == {"NG": columns["held_out"]["ng"]}

    def test_curves_are_told_of_one_model_but_not_in_the_list(self, version, as_role):
        version.evaluation["curves"] = {"roc": {"recall": [0, 1]}}
        version.save()
        client = as_role("operator")
        assert "curves" in client.get(f"{API}/model-versions/{version.pk}/").json()["evaluation"]
        (listed,) = client.get(f"{API}/model-versions/").json()["results"]
        assert "curves" not in listed["evaluation"]
        assert "metrics" in listed["evaluation"]

    def test_nothing_but_the_stage_can_be_changed(self, version, as_role):
        client = as_role("admin")
        address = f"{API}/model-versions/{version.pk}/"
        assert client.patch(address, {"stage": "approved", "method": "tarot"}).json()["stage"] == "approved"
        version.refresh_from_db()
        assert (version.stage, version.method) == ("approved", "weak")
        assert client.patch(address, {"stage": "perfect"}).status_code == 400
        assert client.put(address, {}).status_code == 405
        assert client.delete(address).status_code == 405


class TestOperatingPoints:
    def test_saving_gives_the_point_with_what_it_does(self, version, as_role):
        body = {"model_version": version.pk, "ng_at": 0.6, "reason": "agreed with the customer"}
        answer = as_role("quality").post(f"{API}/operating-points/", body)
        assert answer.status_code == 201
        assert answer.json()["author"] == "quality"
        assert answer.json()["expected"]["escapes"]["of"] == 12

    @pytest.mark.parametrize(
        "change",
        [{"reason": ""}, {"ng_at": "high"}, {"ng_at": None}, {"review_from": 0.7}, {"model_version": 999}],
    )
    def test_a_bad_one_is_refused(self, version, as_role, change):
        body = {"model_version": version.pk, "ng_at": 0.6, "reason": "x"} | change
        assert as_role("quality").post(f"{API}/operating-points/", body).status_code == 400
        assert OperatingPoint.objects.count() == 1

    def test_infinity_is_no_threshold(self, version, as_role):
        body = f'{{"model_version": {version.pk}, "ng_at": 1e999, "reason": "x"}}'
        answer = as_role("quality").post(f"{API}/operating-points/", body, content_type="application/json")
        assert answer.status_code == 400

    def test_a_saved_one_never_changes(self, version, as_role):
        address = f"{API}/operating-points/{version.operating_points.first().pk}/"
        for method in ("put", "patch", "delete"):
            assert getattr(as_role("admin"), method)(address, {"ng_at": 0.1}).status_code == 405

    def test_the_list_costs_the_same_with_one_as_with_many(self, version, as_role, django_assert_num_queries):
        client = as_role("operator")
        for _ in range(2):
            with django_assert_num_queries(2):
                client.get(f"{API}/operating-points/", {"model_version": version.pk})
            for _ in range(10):
                make_point(version)


def test_the_schema_of_these_addresses_is_made_without_a_warning(capsys):
    from drf_spectacular.drainage import GENERATOR_STATS
    from drf_spectacular.generators import SchemaGenerator

    from ml.api.urls import urlpatterns

    GENERATOR_STATS.reset()
    schema = SchemaGenerator(patterns=urlpatterns).get_schema(request=None, public=True)
    assert not GENERATOR_STATS
    assert {"/jobs/", "/methods/", "/model-versions/{id}/scores/", "/operating-points/"} <= schema[
        "paths"
    ].keys()


class TestAdvice:
    def test_it_names_a_method_with_its_reason(self, dataset, as_role):
        answer = as_role("operator").get(f"{API}/datasets/bolts/advice/").json()
        assert answer["proposals"][0]["method"] == "weak"
        assert "12 OK images and 12 NG images" in answer["proposals"][0]["reason"]

    def test_what_is_missing_is_said_where_nothing_can_be_trained(self, media, as_role):
        make_dataset(ok=4, ng=1)
        answer = as_role("operator").get(f"{API}/datasets/bolts/advice/").json()
        weak = next(one for one in answer["openings"] if one["method"] == "weak")
        assert "4 more OK and 7 more NG" in weak["text"]

    def test_it_costs_the_same_for_many_images(self, dataset, as_role, django_assert_num_queries):
        client = as_role("operator")
        for _ in range(2):
            with django_assert_num_queries(6):
                client.get(f"{API}/datasets/bolts/advice/")
            for _ in range(10):
                dataset.add()

    def test_an_unknown_dataset_is_not_found_and_a_stranger_is_told_nothing(self, dataset, as_role):
        assert as_role("operator").get(f"{API}/datasets/nuts/advice/").status_code == 404
        assert APIClient().get(f"{API}/datasets/bolts/advice/").status_code == 401
