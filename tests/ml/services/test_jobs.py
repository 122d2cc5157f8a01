from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from django.utils import timezone

from annotation.models import AuditEntry
from ml.choices import JobState
from ml.errors import DatasetUnsuitable, JobStateRefused, ParametersRefused, WeightsRefused
from ml.methods.declarations import METHODS, WEAK
from ml.models import TrainingJob
from ml.services import claims, jobs, lost
from tests.ml.factories import TINY, make_dataset, make_job

pytestmark = pytest.mark.django_db

LONG_AGO = timedelta(minutes=5)


@pytest.fixture
def dataset(media):
    return make_dataset(ok=12, ng=12)


def queue(dataset, **options) -> TrainingJob:
    return jobs.queue_job(**{"dataset": dataset.dataset, "method": "weak", "parameters": TINY, **options})


def go_stale(job: TrainingJob) -> None:
    TrainingJob.objects.filter(pk=job.pk).update(heartbeat_at=timezone.now() - LONG_AGO)


class TestQueue:
    def test_parameters_are_kept_whole_so_that_a_job_can_be_repeated(self, dataset):
        job = queue(dataset, preset="quick", parameters={"stage1_rate": 0.05})
        assert job.parameters["stage1_rate"] == 0.05
        assert job.parameters["height"] == 352
        assert job.parameters["alpha_init"] == 8.0

    def test_it_is_written_down_who_asked(self, dataset, people):
        job = queue(dataset, author=people["quality"])
        entry = AuditEntry.objects.get(action="training.queued")
        assert (entry.actor, entry.target_id) == (people["quality"], str(job.pk))

    def test_no_ng_images_are_refused_with_what_there_is_and_what_is_needed(self, media):
        with pytest.raises(DatasetUnsuitable, match="At least 5 NG images are needed; there are 0"):
            queue(make_dataset(ok=20))
        assert not TrainingJob.objects.exists()

    def test_enough_images_but_too_few_after_the_split_are_refused_and_the_split_is_named(self, media):
        with pytest.raises(DatasetUnsuitable, match=r"At least 5 NG images.*holds out"):
            queue(make_dataset(ok=20, ng=5))

    @pytest.mark.parametrize("folds", [0, 3])
    def test_images_that_all_look_the_same_are_refused_whatever_their_labels(self, media, folds):
        dataset = make_dataset()
        for level in range(24):
            dataset.add_pixels(
                np.full((64, 64), 100 + level, np.uint8), is_ng=level % 2 == 0, item=str(level)
            )
        with pytest.raises(DatasetUnsuitable, match="group"):
            queue(dataset, folds=folds)
        assert not TrainingJob.objects.exists()

    @pytest.mark.parametrize(
        ("parameters", "field"),
        [
            ({"stage1_rate": -1}, "stage1_rate"),
            ({"stage1_rate": "fast"}, "stage1_rate"),
            ({"pooling": "max"}, "pooling"),
            ({"learning_rate": 1}, "learning_rate"),
            ({"alpha_init": float("nan")}, "alpha_init"),
        ],
    )
    def test_a_bad_parameter_is_refused_by_its_name(self, dataset, parameters, field):
        with pytest.raises(ParametersRefused) as refused:
            queue(dataset, parameters=parameters)
        assert list(refused.value.errors) == [field]

    @pytest.mark.parametrize(
        "options", [{"method": "tarot"}, {"preset": "tarot"}, {"folds": 1}, {"folds": -3}, {"folds": 1000}]
    )
    def test_an_unknown_method_or_preset_or_an_impossible_fold_count_is_refused(self, dataset, options):
        with pytest.raises(ParametersRefused):
            queue(dataset, **options)


class TestPretrainedWeights:
    @pytest.fixture(autouse=True)
    def _asks_for_weights(self, monkeypatch, settings, tmp_path):
        settings.ML_WEIGHTS_DIR = tmp_path / "weights"
        asking = replace(WEAK, pretrained=lambda p: ("vgg16",) if p.recipe == "robust" else ())
        monkeypatch.setitem(METHODS, "weak", asking)

    def test_a_job_is_refused_before_it_is_queued_with_file_size_and_place(self, dataset, settings):
        with pytest.raises(WeightsRefused) as refused:
            queue(dataset)
        assert "vgg16-397923af.pth (528 MiB)" in str(refused.value)
        assert str(settings.ML_WEIGHTS_DIR) in str(refused.value)
        assert not TrainingJob.objects.exists()

    def test_a_damaged_file_is_refused_too(self, dataset, settings):
        settings.ML_WEIGHTS_DIR.mkdir()
        (settings.ML_WEIGHTS_DIR / "vgg16-397923af.pth").write_bytes(b"half of it")
        with pytest.raises(WeightsRefused, match="damaged"):
            queue(dataset)

    def test_parameters_that_call_for_none_need_none(self, dataset):
        assert queue(dataset, parameters=TINY | {"recipe": "paper"}).state == JobState.QUEUED


class TestClaim:
    def test_only_one_worker_gets_a_job(self, dataset):
        job = queue(dataset)
        assert claims.claim_job(job.pk, "a:1").worker == "a:1"
        assert claims.claim_job(job.pk, "b:1") is None

    def test_a_job_whose_worker_is_lost_goes_to_the_next_as_another_attempt(self, dataset):
        job = queue(dataset)
        claims.claim_job(job.pk, "a:1")
        go_stale(job)
        taken = claims.claim_job(job.pk, "b:1")
        assert (taken.worker, taken.attempts, taken.state) == ("b:1", 2, JobState.RUNNING)

    @pytest.mark.parametrize("state", [JobState.DONE, JobState.FAILED, JobState.CANCELLED])
    def test_a_job_that_has_ended_is_not_run_again_by_a_late_message(self, dataset, state):
        job = make_job(dataset, state=state)
        assert claims.claim_job(job.pk, "a:1") is None

    def test_a_job_that_is_gone_is_nobodys(self, db):
        assert claims.claim_job(12345, "a:1") is None


class TestCancel:
    def test_a_queued_job_ends_at_once(self, dataset, people):
        job = jobs.cancel_job(job=queue(dataset), actor=people["quality"])
        assert job.state == JobState.CANCELLED
        assert claims.claim_job(job.pk, "a:1") is None

    def test_a_running_job_is_told_to_stop(self, dataset, people):
        job = claims.claim_job(queue(dataset).pk, "a:1")
        job = jobs.cancel_job(job=job, actor=people["quality"])
        assert (job.state, job.is_cancel_requested) == (JobState.RUNNING, True)

    def test_a_job_that_has_ended_can_not_be_cancelled(self, dataset):
        with pytest.raises(JobStateRefused):
            jobs.cancel_job(job=make_job(dataset, state=JobState.DONE), actor=None)

    def test_a_cancelled_job_whose_worker_is_lost_ends_cancelled(self, dataset):
        job = claims.claim_job(queue(dataset).pk, "a:1")
        jobs.cancel_job(job=job, actor=None)
        go_stale(job)
        assert lost.find_lost_jobs() == []
        job.refresh_from_db()
        assert job.state == JobState.CANCELLED


class TestResume:
    @pytest.mark.parametrize("state", [JobState.FAILED, JobState.CANCELLED])
    def test_it_is_queued_with_all_attempts_before_it(self, dataset, state):
        job = make_job(dataset, state=state, attempts=3, error="lost", is_cancel_requested=True)
        job = jobs.resume_job(job=job, actor=None)
        assert (job.state, job.attempts, job.error, job.is_cancel_requested) == (
            JobState.QUEUED,
            0,
            "",
            False,
        )
        assert claims.claim_job(job.pk, "a:1") is not None

    @pytest.mark.parametrize("state", [JobState.QUEUED, JobState.RUNNING, JobState.DONE])
    def test_only_what_stopped_short_can_be_resumed(self, dataset, state):
        with pytest.raises(JobStateRefused):
            jobs.resume_job(job=make_job(dataset, state=state), actor=None)


class TestLost:
    def test_a_job_with_a_fresh_heartbeat_is_left_alone(self, dataset):
        claims.claim_job(queue(dataset).pk, "a:1")
        assert lost.find_lost_jobs() == []

    def test_a_stale_job_is_asked_for_again(self, dataset):
        job = claims.claim_job(queue(dataset).pk, "a:1")
        go_stale(job)
        assert lost.find_lost_jobs() == [job.pk]

    def test_after_three_workers_it_fails_and_says_why(self, dataset):
        job = queue(dataset)
        for worker in ("a:1", "b:1", "c:1"):
            assert claims.claim_job(job.pk, worker) is not None
            go_stale(job)
        assert claims.claim_job(job.pk, "d:1") is None
        assert lost.find_lost_jobs() == []
        job.refresh_from_db()
        assert job.state == JobState.FAILED
        assert "lost 3 times" in job.error
        assert "c:1" in job.error

    def test_a_queued_job_whose_message_was_lost_is_asked_for_again_but_not_every_time(self, dataset):
        job = queue(dataset)
        assert lost.find_lost_jobs() == []
        TrainingJob.objects.update(asked_at=timezone.now() - timedelta(hours=1))
        assert lost.find_lost_jobs() == [job.pk]
        assert lost.find_lost_jobs() == []

    def test_a_worker_that_is_told_to_end_gives_its_jobs_back_without_an_attempt_lost(self, dataset):
        mine, other = queue(dataset, seed=1), queue(dataset, seed=2)
        claims.claim_job(mine.pk, "celery@here:17")
        claims.claim_job(other.pk, "celery@there:17")
        assert claims.release_jobs("celery@here:") == 1
        mine.refresh_from_db()
        other.refresh_from_db()
        assert (mine.state, mine.attempts, other.state) == (JobState.QUEUED, 0, JobState.RUNNING)
        assert lost.find_lost_jobs() == [mine.pk]
