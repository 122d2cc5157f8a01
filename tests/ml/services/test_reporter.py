import pytest

from ml.choices import JobState
from ml.methods.contract import Progress
from ml.models import TrainingJob
from ml.services import claims, jobs, reporter
from ml.services.reporter import JobReporter
from tests.ml.factories import make_dataset, make_job

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def job(media):
    return claims.claim_job(make_job(make_dataset(ok=6, ng=6)).pk, "a:1")


def progress(iteration: int, **fields) -> Progress:
    return Progress(iteration / 100, "Stage 1", iteration, 100, {"loss": 1 / (iteration + 1)}, **fields)


def test_progress_curves_and_log_reach_the_row(job):
    mine = JobReporter(job)
    mine.on_progress(progress(10, message="The learning rate was halved."))
    mine.on_progress(progress(20))
    mine.flush()
    job.refresh_from_db()
    assert (job.progress, job.stage_text) == (0.2, "Stage 1 (20 of 100)")
    assert [step for step, _ in job.curves["Stage 1 | loss"]] == [10, 20]
    assert "The learning rate was halved.\n" in job.log


def test_the_database_is_written_once_a_second_at_most(job, django_assert_num_queries):
    mine = JobReporter(job)
    mine.on_progress(progress(1))
    with django_assert_num_queries(0):
        for iteration in range(2, 100):
            mine.on_progress(progress(iteration))


def test_the_heartbeat_sees_a_cancellation(job, monkeypatch):
    monkeypatch.setattr(reporter, "HEARTBEAT_S", 0.01)
    with JobReporter(job) as mine:
        assert not mine.should_stop()
        jobs.cancel_job(job=job, actor=None)
        assert mine._stop.wait(10)


def test_the_heartbeat_goes_on_while_the_fit_says_nothing(job, monkeypatch):
    monkeypatch.setattr(reporter, "HEARTBEAT_S", 0.01)
    TrainingJob.objects.update(heartbeat_at=None)
    with JobReporter(job) as mine:
        while TrainingJob.objects.filter(pk=job.pk, heartbeat_at=None).exists():
            assert mine._thread.is_alive()


def test_an_attempt_that_was_given_up_for_lost_stops_and_changes_nothing(job):
    mine = JobReporter(job)
    TrainingJob.objects.update(worker="b:1", attempts=2, progress=0.7)
    mine.on_progress(progress(10))
    assert mine.should_stop()
    assert not mine.flush(state=JobState.FAILED)
    job.refresh_from_db()
    assert (job.state, job.progress, job.log) == (JobState.RUNNING, 0.7, "")


def test_the_end_of_a_long_log_is_kept(job, monkeypatch):
    monkeypatch.setattr(reporter, "MAX_LOG_CHARACTERS", 100)
    mine = JobReporter(job)
    for number in range(20):
        mine.log(f"line {number}")
    mine.flush()
    job.refresh_from_db()
    assert job.log.endswith("line 19\n")
    assert len(job.log) == 100
