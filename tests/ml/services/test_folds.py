"""Folds as rows: who may take one, what is asked for again, how a job with folds under way ends."""

from datetime import timedelta

import pytest
from django.utils import timezone

from ml import events
from ml.choices import JobState
from ml.errors import JobStateRefused
from ml.methods.contract import Progress
from ml.methods.declarations import METHODS
from ml.models import FoldFit, TrainingJob
from ml.services import claims, jobs, lost
from ml.services.execution import run_claimed_fold, run_claimed_job
from ml.services.fitting import checkpoint_folder
from ml.services.reporter import FoldReporter
from tests.ml import toy as toy_module
from tests.ml.factories import make_dataset
from tests.ml.toy import TOY

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def folders(settings, tmp_path, media, monkeypatch):
    settings.ARTEFACT_DIR = tmp_path / "models"
    settings.CHECKPOINT_DIR = tmp_path / "checkpoints"
    monkeypatch.setitem(METHODS, "toy", TOY)


@pytest.fixture
def dataset():
    return make_dataset(ok=16, ng=16)


@pytest.fixture
def job(dataset) -> TrainingJob:
    """Of two folds, each asked for just now."""
    queued = jobs.queue_job(dataset=dataset.dataset, method="toy", folds=2)
    assert lost.ask_for_folds(queued.pk) == [0, 1]
    return queued


def fold_of(job: TrainingJob, fold: int) -> FoldFit:
    return FoldFit.objects.get(job=job, fold=fold)


def lose(taken: FoldFit) -> None:
    """As if the time after which a worker is given up for lost had passed."""
    FoldFit.objects.filter(pk=taken.pk).update(heartbeat_at=timezone.now() - timedelta(minutes=1))


def mark_done(job: TrainingJob, *folds: int) -> None:
    FoldFit.objects.filter(job=job, fold__in=folds).update(state=JobState.DONE, progress=1.0)


def ask_long_ago(rows) -> None:
    rows.update(asked_at=timezone.now() - timedelta(hours=1))


class TestClaim:
    def test_a_fold_has_one_worker_and_its_job_runs(self, job):
        taken = claims.claim_fold(job.pk, 0, "a:1")
        assert (taken.worker, taken.attempts) == ("a:1", 1)
        assert claims.claim_fold(job.pk, 0, "b:1") is None
        job.refresh_from_db()
        assert (job.state, job.worker) == (JobState.RUNNING, "")
        assert job.started_at

    def test_two_folds_run_on_two_workers(self, job):
        assert claims.claim_fold(job.pk, 0, "a:1")
        assert claims.claim_fold(job.pk, 1, "b:1")

    def test_a_fold_that_is_done_is_not_fitted_again_by_a_late_message(self, job):
        mark_done(job, 0)
        assert claims.claim_fold(job.pk, 0, "a:1") is None

    @pytest.mark.parametrize("state", [JobState.DONE, JobState.FAILED, JobState.CANCELLED])
    def test_no_fold_of_a_job_that_has_ended_is_taken(self, job, state):
        TrainingJob.objects.update(state=state)
        assert claims.claim_fold(job.pk, 0, "a:1") is None
        assert claims.claim_job(job.pk, "a:1") is None

    def test_a_job_that_a_command_runs_gives_its_folds_to_that_command_alone(self, job):
        claims.claim_job(job.pk, "command:1")
        assert claims.claim_fold(job.pk, 0, "a:1") is None
        assert claims.claim_fold(job.pk, 0, "command:1")
        job.refresh_from_db()
        assert job.worker == "command:1"

    def test_a_job_whose_folds_are_under_way_is_not_taken_as_a_whole(self, job):
        claims.claim_fold(job.pk, 0, "a:1")
        assert claims.claim_job(job.pk, "b:1") is None
        mark_done(job, 0)
        assert claims.claim_job(job.pk, "b:1") is None

    def test_the_final_fit_has_one_worker_when_two_folds_end_at_once(self, job):
        claims.claim_fold(job.pk, 0, "a:1")
        claims.claim_fold(job.pk, 1, "b:1")
        mark_done(job, 0, 1)
        assert claims.claim_job(job.pk, "a:1").worker == "a:1"
        assert claims.claim_job(job.pk, "b:1") is None

    def test_the_folds_of_a_lost_command_go_to_workers(self, job):
        claims.claim_job(job.pk, "command:1")
        TrainingJob.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=1))
        assert lost.find_lost_jobs() == [job.pk]
        assert claims.claim_fold(job.pk, 0, "a:1")
        job.refresh_from_db()
        assert job.worker == ""


class TestLost:
    def test_folds_with_a_fresh_heartbeat_and_waiting_ones_are_left_alone(self, job):
        claims.claim_fold(job.pk, 0, "a:1")
        assert lost.find_lost_jobs() == []

    def test_a_fold_whose_worker_is_lost_is_asked_for_alone(self, job):
        lose(claims.claim_fold(job.pk, 0, "a:1"))
        claims.claim_fold(job.pk, 1, "b:1")
        assert lost.find_lost_jobs() == [job.pk]
        assert lost.ask_for_folds(job.pk) == [0]
        assert claims.claim_fold(job.pk, 0, "c:1").attempts == 2

    def test_a_waiting_fold_whose_message_was_lost_is_asked_for_again_but_not_every_time(self, job):
        claims.claim_fold(job.pk, 0, "a:1")
        ask_long_ago(FoldFit.objects.filter(fold=1))
        assert lost.find_lost_jobs() == [job.pk]
        assert lost.ask_for_folds(job.pk) == [1]
        assert lost.find_lost_jobs() == []

    def test_the_final_fit_is_asked_for_where_the_chord_was_lost(self, job):
        claims.claim_fold(job.pk, 0, "a:1")
        mark_done(job, 0, 1)
        assert lost.find_lost_jobs() == [], "the chord's own message comes first"
        ask_long_ago(TrainingJob.objects)
        assert lost.find_lost_jobs() == [job.pk]
        assert lost.ask_for_folds(job.pk) == []
        assert claims.open_folds(job.pk) == []
        assert lost.find_lost_jobs() == []

    def test_a_fold_that_lost_three_workers_fails_its_job_and_is_named(self, job):
        for worker in ("a:1", "b:1", "c:1"):
            lose(claims.claim_fold(job.pk, 1, worker))
        assert lost.find_lost_jobs() == []
        job.refresh_from_db()
        assert job.state == JobState.FAILED
        assert job.error.startswith("Fold 2 of 2: The worker was lost 3 times")
        assert "c:1" in job.error

    def test_a_worker_that_is_told_to_end_gives_its_fold_back_without_an_attempt_lost(self, job):
        claims.claim_fold(job.pk, 0, "cpu@here:17")
        claims.claim_fold(job.pk, 1, "cpu@there:17")
        assert claims.release_jobs("cpu@here:") == 1
        mine, other = fold_of(job, 0), fold_of(job, 1)
        assert (mine.state, mine.attempts, other.state) == (JobState.QUEUED, 0, JobState.RUNNING)
        assert lost.find_lost_jobs() == [job.pk]
        assert lost.ask_for_folds(job.pk) == [0]


class TestCancel:
    def test_it_ends_when_the_last_of_its_folds_has_stopped(self, job):
        first, second = claims.claim_fold(job.pk, 0, "a:1"), claims.claim_fold(job.pk, 1, "b:1")
        jobs.cancel_job(job=job, actor=None)
        assert job.state == JobState.RUNNING
        claims.give_back_fold(first)
        job.refresh_from_db()
        assert job.state == JobState.RUNNING
        claims.give_back_fold(second)
        job.refresh_from_db()
        assert job.state == JobState.CANCELLED
        assert job.finished_at

    def test_it_ends_at_once_between_two_folds(self, job):
        claims.claim_fold(job.pk, 0, "a:1")
        mark_done(job, 0)
        assert jobs.cancel_job(job=job, actor=None).state == JobState.CANCELLED
        assert claims.claim_fold(job.pk, 1, "a:1") is None

    def test_it_ends_where_the_fold_that_should_stop_is_lost(self, job):
        taken = claims.claim_fold(job.pk, 0, "a:1")
        jobs.cancel_job(job=job, actor=None)
        lose(taken)
        assert lost.find_lost_jobs() == []
        job.refresh_from_db()
        assert job.state == JobState.CANCELLED

    def test_running_folds_see_it_stop_and_keep_their_checkpoints(self, job, monkeypatch):
        taken = claims.claim_fold(job.pk, 0, "a:1")
        other = claims.claim_fold(job.pk, 1, "b:1")
        fit = toy_module.fit

        def cancelled_after_the_first_image(*args, stop, on_progress, **options):
            def told(event: Progress) -> None:
                on_progress(event)
                jobs.cancel_job(job=TrainingJob.objects.get(pk=job.pk), actor=None)
                reporters[-1]._beat_once()

            return fit(*args, stop=stop, on_progress=told, **options)

        reporters: list[FoldReporter] = []
        start = FoldReporter.__enter__
        monkeypatch.setattr(
            FoldReporter, "__enter__", lambda reporter: reporters.append(reporter) or start(reporter)
        )
        monkeypatch.setattr(toy_module, "fit", cancelled_after_the_first_image)
        run_claimed_fold(taken)
        assert fold_of(job, 0).state == JobState.QUEUED
        assert any((checkpoint_folder(job) / "fold-0").iterdir())
        run_claimed_fold(other)
        job.refresh_from_db()
        assert job.state == JobState.CANCELLED
        jobs.resume_job(job=job, actor=None)
        assert lost.ask_for_folds(job.pk) == [0, 1]

    def test_only_what_ended_can_be_resumed(self, job):
        claims.claim_fold(job.pk, 0, "a:1")
        with pytest.raises(JobStateRefused):
            jobs.resume_job(job=job, actor=None)


class TestRun:
    def test_folds_by_several_workers_give_the_very_scores_of_one_process(self, job, dataset):
        for fold, worker in ((1, "b:1"), (0, "a:1")):
            run_claimed_fold(claims.claim_fold(job.pk, fold, worker))
        fanned_out = run_claimed_job(claims.claim_job(job.pk, "a:1"))
        alone = jobs.queue_job(dataset=dataset.dataset, method="toy", folds=2)
        together = run_claimed_job(claims.claim_job(alone.pk, "command:1"))
        rows = [
            list(one.scores.order_by("image").values_list("score", "fold")) for one in (fanned_out, together)
        ]
        assert len(rows[0]) == 32
        assert rows[0] == rows[1]
        assert fanned_out.evaluation["metrics"] == together.evaluation["metrics"]
        assert fanned_out.evaluation["threshold"] == together.evaluation["threshold"]

    def test_the_job_shows_the_progress_curves_and_log_of_all_its_folds(self, job):
        reporters = [FoldReporter(claims.claim_fold(job.pk, fold, f"{fold}:1")) for fold in (0, 1)]
        for number, reporter in enumerate(reporters):
            reporter.on_progress(Progress(0.5, "Look", 10 + number, 20, {"level": 0.1}))
            reporter.log("half-way")
            assert reporter.flush()
        job.refresh_from_db()
        assert job.progress == pytest.approx(0.97 * (0.5 + 0.5) / 3)
        assert job.stage_text == "Fold 2 of 2: look (11 of 20)"
        assert "Fold 1 of 2: half-way\n" in job.log
        assert "Fold 2 of 2: half-way\n" in job.log
        row = events.job_row(job)
        assert list(row["curves"]) == ["Fold 1 of 2: look | level", "Fold 2 of 2: look | level"]
        assert [fold["progress"] for fold in row["job"]["folds"]] == [0.5, 0.5]

    def test_a_fold_that_was_given_up_for_lost_changes_nothing_when_it_comes_back(self, job):
        taken = claims.claim_fold(job.pk, 0, "a:1")
        reporter = FoldReporter(taken)
        lose(taken)
        again = claims.claim_fold(job.pk, 0, "b:1")
        assert not reporter.flush(state=JobState.DONE)
        assert reporter.should_stop()
        claims.give_back_fold(taken)
        assert fold_of(job, 0).worker == again.worker == "b:1"

    def test_a_fold_that_fails_ends_the_job_by_name_and_the_other_fold_stops(self, job, dataset):
        gone = dataset.dataset.images.order_by("id").first()
        gone.path.rename(gone.path.with_suffix(".away"))
        first, second = claims.claim_fold(job.pk, 0, "a:1"), claims.claim_fold(job.pk, 1, "b:1")
        other = FoldReporter(second)
        run_claimed_fold(first)
        job.refresh_from_db()
        assert job.state == JobState.FAILED
        assert job.error.startswith("Fold 1 of 2: Image")
        other._beat_once()
        assert other.should_stop()
        assert not other.flush(state=JobState.DONE)
        claims.give_back_fold(second)
        assert {fold["state"] for fold in events.fold_states(job)} == {JobState.QUEUED}
        gone.path.with_suffix(".away").rename(gone.path)
        jobs.resume_job(job=job, actor=None)
        assert lost.ask_for_folds(job.pk) == [0, 1]

    def test_what_nobody_foresaw_in_a_fold_fails_the_job_and_is_raised_for_the_log(self, job, monkeypatch):
        monkeypatch.setattr(toy_module, "fit", lambda *_args, **_options: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run_claimed_fold(claims.claim_fold(job.pk, 0, "a:1"))
        job.refresh_from_db()
        assert (job.state, fold_of(job, 0).state) == (JobState.FAILED, JobState.QUEUED)
        assert "ZeroDivisionError" in job.error

    def test_the_time_of_a_job_is_that_of_all_its_fits_wherever_they_ran(self, job):
        for fold in (0, 1):
            run_claimed_fold(claims.claim_fold(job.pk, fold, "a:1"))
            row = fold_of(job, fold)
            row.outcome["seconds"] += 1000
            row.save()
        version = run_claimed_job(claims.claim_job(job.pk, "a:1"))
        assert 2000 < version.evaluation["seconds"] < 2100
