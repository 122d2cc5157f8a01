"""What each page shows, to whom, and at what cost."""

import numpy as np
import pytest
from django.urls import reverse

from annotation.models import AuditEntry
from ml.choices import JobState
from ml.evaluation.report import evaluate_scores
from ml.events import job_state
from ml.models import FoldFit, OperatingPoint, TrainingJob
from tests.ml.factories import TINY, make_dataset, make_job, make_point, make_version

pytestmark = pytest.mark.django_db

ROLES = ["operator", "quality", "engineer", "admin"]


@pytest.fixture
def dataset(media):
    return make_dataset(ok=12, ng=12)


@pytest.fixture
def version(dataset):
    version = make_version(dataset)
    make_point(version)
    return version


@pytest.fixture
def sent(monkeypatch) -> list[int]:
    """The jobs that a worker was asked to take; there is none here to take them."""
    from ml.tasks import train

    asked: list[int] = []
    monkeypatch.setattr(train, "delay", asked.append)
    return asked


@pytest.fixture
def as_role(client, people):
    def log_in(role: str):
        client.force_login(people[role])
        return client

    return log_in


def new_job(**changes) -> dict:
    parameters = {f"parameter-{name}": value for name, value in TINY.items()}
    return (
        {"dataset": "bolts", "method": "weak", "preset": "", "folds": "0", "seed": "0"} | parameters | changes
    )


class TestWhoMay:
    @pytest.fixture
    def addresses(self, version) -> dict[str, list[tuple[str, str]]]:
        job, waiting = version.job_id, make_job_in(version, JobState.QUEUED).pk
        stopped = make_job_in(version, JobState.CANCELLED).pk
        return {
            "operator": [
                ("get", reverse("training_jobs")),
                ("get", reverse("training_job", args=[job])),
                ("get", reverse("model_versions")),
                ("get", reverse("model_version", args=[version.pk])),
            ],
            "quality": [
                ("get", reverse("training_new")),
                ("get", reverse("training_needs")),
                ("get", reverse("training_memory")),
                ("get", reverse("training_parameters")),
                ("post", reverse("training_new")),
                ("post", reverse("training_cancel", args=[waiting])),
                ("post", reverse("training_resume", args=[stopped])),
                ("post", reverse("model_stage", args=[version.pk])),
                ("post", reverse("operating_point_new", args=[version.pk])),
            ],
        }

    @pytest.mark.parametrize("role", ROLES)
    def test_each_role_sees_and_does_what_it_may_and_no_more(self, addresses, as_role, sent, role):
        client = as_role(role)
        for least, entries in addresses.items():
            may = ROLES.index(role) >= ROLES.index(least)
            for method, address in entries:
                status = getattr(client, method)(address).status_code
                assert (status != 403) == may, f"{role} {method} {address}: {status}"

    def test_a_stranger_is_sent_to_the_login(self, addresses, client, settings):
        for entries in addresses.values():
            for method, address in entries:
                answer = getattr(client, method)(address)
                assert answer.status_code == 302
                assert answer.url.startswith(reverse("login"))


def make_job_in(version, state: JobState) -> TrainingJob:
    return TrainingJob.objects.create(
        dataset=version.dataset, snapshot=version.job.snapshot, method="weak", parameters=TINY, state=state
    )


class TestTrainingList:
    def test_it_says_what_to_do_when_there_is_nothing(self, as_role):
        page = as_role("quality").get(reverse("training_jobs")).content.decode()
        assert "Nothing trained yet" in page
        assert reverse("training_new") in page

    def test_an_operator_is_not_offered_what_is_not_theirs(self, as_role):
        assert (
            reverse("training_new") not in as_role("operator").get(reverse("training_jobs")).content.decode()
        )

    def test_a_failed_job_shows_its_reason(self, dataset, as_role):
        make_job(dataset, state=JobState.FAILED, error="The disk is full.")
        assert "The disk is full." in as_role("operator").get(reverse("training_jobs")).content.decode()

    def test_its_queries_do_not_grow_with_the_jobs(self, dataset, as_role, django_assert_num_queries):
        client = as_role("quality")
        for count in (1, 20):
            for _ in range(count):
                make_version(dataset, job=make_job(dataset, state=JobState.DONE))
            with django_assert_num_queries(3):
                client.get(reverse("training_jobs"))

    def test_older_jobs_are_on_the_next_page(self, version, as_role):
        for _ in range(60):
            make_job_in(version, JobState.DONE)
        client = as_role("operator")
        first = client.get(reverse("training_jobs"))
        second = client.get(reverse("training_jobs"), {"before": first.context["before"]})
        ids = [job.pk for page in (first, second) for job in page.context["jobs"]]
        assert len(ids) == 61
        assert ids == sorted(ids, reverse=True)
        assert second.context["before"] is None


class TestNewJob:
    def test_a_good_form_queues_the_job_and_asks_a_worker(
        self, dataset, as_role, people, sent, django_capture_on_commit_callbacks
    ):
        with django_capture_on_commit_callbacks(execute=True):
            answer = as_role("quality").post(reverse("training_new"), new_job(seed="7"))
        job = TrainingJob.objects.get()
        assert answer.url == reverse("training_job", args=[job.pk])
        assert (job.seed, job.created_by, job.parameters["height"]) == (7, people["quality"], 64)
        assert sent == [job.pk]

    def test_a_dataset_without_ng_is_refused_with_the_counts(self, media, as_role, sent):
        make_dataset(ok=20)
        answer = as_role("quality").post(reverse("training_new"), new_job())
        assert answer.status_code == 422
        assert "At least 5 NG images are needed; there are 0." in answer.content.decode()
        assert not sent

    def test_a_value_out_of_range_is_told_beside_its_field_and_the_fields_are_open(self, dataset, as_role):
        answer = as_role("quality").post(reverse("training_new"), new_job(**{"parameter-stage1_rate": "7"}))
        assert answer.status_code == 422
        assert "less than or equal to 1" in answer.context["parameters"].errors["stage1_rate"][0]
        assert "<details open>" in answer.content.decode()
        assert not TrainingJob.objects.exists()

    def test_the_needs_follow_the_chosen_dataset(self, dataset, as_role):
        make_dataset(ok=3, name="Nuts")
        make_dataset(ok=20, ng=6, name="Rings")
        client = as_role("quality")
        enough = client.get(
            reverse("training_needs"), {"dataset": "bolts", "method": "weak"}
        ).content.decode()
        short = client.get(reverse("training_needs"), {"dataset": "nuts", "method": "weak"}).content.decode()
        assert "Enough labelled images" in enough
        assert "At least 5 OK images are needed; there are 3." in short
        rings = client.get(reverse("training_needs"), {"dataset": "rings", "method": "weak"}).content.decode()
        assert "Enough labelled images" not in rings, "what a hold-out leaves is not"
        assert "Label 2 more NG (some are held out to measure with). Or cross-validate" in rings

    def test_the_parameters_follow_the_chosen_preset_with_ranges_and_units(self, as_role):
        page = as_role("quality").get(reverse("training_parameters"), {"method": "weak", "preset": "quick"})
        height = page.context["parameters"]["height"]
        assert height.value() == 352
        assert "[px]" in height.label
        assert 'min="64" max="4096"' in str(height).replace('max="4096" min="64"', 'min="64" max="4096"')
        assert "From 64 up to 4096." in height.help_text


class TestModelOfOkImagesAlone:
    def test_its_page_shows_what_can_be_measured_without_ng_images(self, as_role, media):
        dataset = make_dataset(ok=6, ng=0, name="Rings")
        version = make_version(dataset, job=make_job(dataset, method="maa", state=JobState.DONE))
        version.evaluation |= evaluate_scores(
            np.linspace(0, 1, 6), np.zeros(6, bool), groups=list("abcdef"), seed=0, class_names=["OK"] * 6
        )
        version.save()
        page = as_role("quality").get(version.get_absolute_url()).content.decode()
        assert "Overkill at the threshold" in page
        assert "1 of 6" in page


class TestJobPage:
    def test_what_is_offered_follows_the_state(self, dataset, as_role):
        client = as_role("quality")
        for state, can_cancel, can_resume in [
            (JobState.QUEUED, True, False),
            (JobState.RUNNING, True, False),
            (JobState.FAILED, False, True),
            (JobState.CANCELLED, False, True),
        ]:
            context = client.get(make_job(dataset, state=state).get_absolute_url()).context
            assert (context["can_cancel"], context["can_resume"]) == (can_cancel, can_resume)

    def test_cancelling_a_queued_job_ends_it(self, dataset, as_role):
        job = make_job(dataset)
        as_role("quality").post(reverse("training_cancel", args=[job.pk]))
        job.refresh_from_db()
        assert job.state == JobState.CANCELLED

    def test_resuming_asks_a_worker(self, dataset, as_role, sent, django_capture_on_commit_callbacks):
        job = make_job(dataset, state=JobState.FAILED)
        with django_capture_on_commit_callbacks(execute=True):
            as_role("quality").post(reverse("training_resume", args=[job.pk]))
        job.refresh_from_db()
        assert job.state == JobState.QUEUED
        assert sent == [job.pk]

    def test_cancelling_what_has_ended_says_so(self, version, as_role):
        answer = as_role("quality").post(reverse("training_cancel", args=[version.job_id]), follow=True)
        assert "nothing left to cancel" in answer.content.decode()

    def test_it_shows_how_far_each_fold_is(self, dataset, as_role):
        job = make_job(dataset, folds=3, state=JobState.RUNNING)
        FoldFit.objects.filter(job=job, fold=1).update(state=JobState.RUNNING, progress=0.25)
        page = as_role("operator").get(job.get_absolute_url()).content.decode()
        rows = [part.split("</li>")[0] for part in page.split("<li ") if "data-fold=" in part.split(">")[0]]
        assert ["Running" in row for row in rows] == [False, True, False]
        assert "25" in rows[1]
        assert "Fold 3" in rows[2]

    def test_its_log_can_not_inject_markup(self, dataset, as_role):
        job = make_job(dataset, log="<script>alert(1)</script>", curves={"</script><b>": [[1, 2]]})
        page = as_role("operator").get(job.get_absolute_url()).content.decode()
        assert "<script>alert(1)" not in page
        assert "</script><b>" not in page


class TestModelPages:
    def test_the_list_costs_the_same_with_one_model_as_with_many(
        self, dataset, as_role, django_assert_num_queries
    ):
        client = as_role("operator")
        for count in (1, 15):
            for _ in range(count):
                make_point(make_version(dataset))
            with django_assert_num_queries(4):
                client.get(reverse("model_versions"))

    def test_the_images_to_look_at_are_the_most_surprising_first(self, version, as_role):
        context = as_role("operator").get(version.get_absolute_url()).context
        assert [one.score for one in context["worst_ok"]] == sorted(
            (one.score for one in context["worst_ok"]), reverse=True
        )
        assert context["worst_ng"][0].score == pytest.approx(0.55)

    def test_one_costs_the_same_with_one_operating_point_as_with_many(
        self, version, as_role, django_assert_num_queries
    ):
        client = as_role("engineer")
        for _ in range(2):
            with django_assert_num_queries(8):
                client.get(version.get_absolute_url())
            for number in range(10):
                make_point(version, ng_at=number)

    def test_an_operator_can_look_but_has_no_button_to_save(self, version, as_role):
        page = as_role("operator").get(version.get_absolute_url()).content.decode()
        assert "data-scores" in page
        assert "Save as operating point" not in page

    def test_a_saved_threshold_has_its_author_reason_effect_and_audit_entry(self, version, as_role, people):
        as_role("quality").post(
            reverse("operating_point_new", args=[version.pk]),
            {"ng_at": "0.6", "review_from": "0.58", "reason": "customer's wish"},
        )
        point = OperatingPoint.objects.first()
        assert (point.ng_at, point.review_from, point.author) == (0.6, 0.58, people["quality"])
        assert point.expected["escapes"]["count"] == 1
        assert point.expected["overkill"]["count"] == 7
        assert AuditEntry.objects.get(action="threshold.saved").actor == people["quality"]

    @pytest.mark.parametrize(
        ("fields", "text"),
        [
            ({"ng_at": "0.5", "reason": ""}, "Reason: This field is required."),
            ({"ng_at": "nan", "reason": "x"}, "Enter a number."),
            ({"ng_at": "0.5", "review_from": "0.5", "reason": "x"}, "REVIEW must begin below"),
            ({"ng_at": "0.5", "reason": "   "}, "Reason: This field is required."),
        ],
    )
    def test_a_bad_threshold_is_refused_in_words(self, version, as_role, fields, text):
        address = reverse("operating_point_new", args=[version.pk])
        page = as_role("quality").post(address, fields, follow=True).content.decode()
        assert text in page
        assert OperatingPoint.objects.count() == 1

    def test_a_change_of_stage_is_written_down(self, version, as_role):
        as_role("quality").post(reverse("model_stage", args=[version.pk]), {"stage": "approved"})
        version.refresh_from_db()
        assert version.stage == "approved"
        assert AuditEntry.objects.get(action="model.stage_changed").details == {
            "from": "candidate", "to": "approved",
        }  # fmt: skip

    def test_an_unknown_stage_changes_nothing(self, version, as_role):
        as_role("quality").post(reverse("model_stage", args=[version.pk]), {"stage": "perfect"})
        version.refresh_from_db()
        assert version.stage == "candidate"


def test_a_queued_training_says_what_it_waits_for(as_role, dataset):
    first, second, third = (make_job(dataset) for _ in range(3))
    said = {job.pk: job_state(job)["stage_text"] for job in (first, second, third)}
    assert said == {
        first.pk: "waits for a worker",
        second.pk: "waits for 1 training",
        third.pk: "waits for 2 trainings",
    }
    assert "waits for 2 trainings" in as_role("operator").get(third.get_absolute_url()).content.decode()
    third.state, third.stage_text = JobState.RUNNING, "Stage 1 (3 of 9)"
    assert job_state(third)["stage_text"] == "Stage 1 (3 of 9)"
