"""Whole trainings in this process: what is registered, what is kept, what is left behind when one fails."""

import errno
import json
import subprocess
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from ml.choices import JobState, ScoreSplit
from ml.methods.contract import Progress
from ml.methods.declarations import METHODS
from ml.models import ImageScore, ModelVersion, OperatingPoint, TrainingJob
from ml.services import claims, jobs, training
from ml.services.execution import run_claimed_job
from ml.services.failures import is_disk_full
from ml.services.fitting import checkpoint_folder
from ml.services.reporter import JobReporter
from tests.ml import toy as toy_module
from tests.ml.factories import TINY, DatasetFactory, make_dataset
from tests.ml.toy import TOY

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def folders(settings, tmp_path, media):
    settings.ARTEFACT_DIR = tmp_path / "models"
    settings.CHECKPOINT_DIR = tmp_path / "checkpoints"


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    monkeypatch.setitem(METHODS, "toy", TOY)


@pytest.fixture
def dataset() -> DatasetFactory:
    return make_dataset(ok=14, ng=14)


def claimed(dataset, **options) -> TrainingJob:
    job = jobs.queue_job(**{"dataset": dataset.dataset, "method": "toy", **options})
    return claims.claim_job(job.pk, "test:1")


def stop_at(fraction: float):
    """A `watch` that stops the job once it has come this far."""

    def watch(reporter: JobReporter) -> None:
        on_progress = reporter.on_progress

        def watched(event: Progress, **options) -> None:
            on_progress(event, **options)
            if event.fraction >= fraction:
                reporter.stop()

        reporter.on_progress = watched

    return watch


class Fits:
    """The fits of the toy method, by the name of their checkpoint; one can be made to stop its job."""

    def __init__(self, method: ModuleType) -> None:
        self.names: list[str] = []
        self._fit = method.fit
        self._stop_in = ""
        self._reporter = None

    def stop_in(self, name: str) -> None:
        self._stop_in = name

    def watch(self, reporter: JobReporter) -> None:
        self._reporter = reporter

    def __call__(self, *args, checkpoint: Path, **options):
        self.names.append(checkpoint.name)
        if checkpoint.name == self._stop_in:
            self._stop_in = ""
            self._reporter.stop()
        return self._fit(*args, checkpoint=checkpoint, **options)


@pytest.fixture
def fits(monkeypatch) -> Fits:
    counted = Fits(toy_module)
    monkeypatch.setattr(toy_module, "fit", counted)
    return counted


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_hold_out_gives_a_version_with_artefact_scores_threshold_and_card(dataset, settings):
    job = claimed(dataset, seed=3)
    version = run_claimed_job(job)
    job.refresh_from_db()
    assert (job.state, job.progress, job.error) == (JobState.DONE, 1.0, "")
    assert job.model_version == version
    assert leftovers(settings.ARTEFACT_DIR) == [version.artefact]
    assert (version.artefact_path / "card.json").is_file()
    assert {name for name, engine in version.parity["engines"].items() if engine["passed"]} >= {
        "onnxruntime", "torch",
    }  # fmt: skip
    extra = version.card["extra"]
    assert extra["snapshot"] == job.snapshot.sha256
    assert {"python", "torch", "revision"} <= extra["versions"].keys()
    assert version.evaluation["model_version"] == version.pk
    assert version.evaluation["seconds"] > 0
    assert version.evaluation["peak_mb"] > 10
    assert not checkpoint_folder(job).exists()


def test_every_image_is_scored_once_and_those_of_the_training_part_are_marked(dataset):
    job = claimed(dataset)
    version = run_claimed_job(job)
    splits = dict(ImageScore.objects.values_list("image_id", "split"))
    held_out = {row[0] for row in job.snapshot.contents["images"] if row[-1] == 0}
    assert len(splits) == 28
    assert {image for image, split in splits.items() if split == ScoreSplit.HELD_OUT} == held_out
    assert sum(version.evaluation["n"].values()) == len(held_out)


def test_the_first_threshold_is_proposed_with_its_reason_and_what_it_does(dataset):
    run_claimed_job(claimed(dataset))
    point = OperatingPoint.objects.get()
    assert point.author is None
    assert "F1" in point.reason
    held_out = ImageScore.objects.filter(split=ScoreSplit.HELD_OUT)
    assert point.expected["escapes"]["count"] == held_out.filter(is_ng=True, score__lt=point.ng_at).count()
    assert point.expected["overkill"]["of"] == held_out.filter(is_ng=False).count()


def test_folds_score_every_image_by_a_model_that_had_not_seen_it(dataset, monkeypatch):
    job = claimed(dataset, folds=2)
    seen = []
    fit = training.load_method("toy").fit
    monkeypatch.setattr(
        training.load_method("toy"),
        "fit",
        lambda images, *args, **options: seen.append(set(images.groups)) or fit(images, *args, **options),
    )
    version = run_claimed_job(job)
    group_of = {row[0]: row[6] for row in job.snapshot.contents["images"]}
    assert len(seen) == 3
    assert seen[2] == set(group_of.values())
    for row in ImageScore.objects.all():
        assert row.split == ScoreSplit.HELD_OUT
        assert group_of[row.image_id] not in seen[row.fold]
    assert "all images" in version.card["extra"]["trained_on"]
    assert "2 models" in version.card["extra"]["measured_by"]


def test_the_same_job_gives_the_same_scores(dataset):
    scores = [
        list(run_claimed_job(claimed(dataset)).scores.order_by("image").values_list("score", flat=True))
        for _ in range(2)
    ]
    assert scores[0] == pytest.approx(scores[1], abs=1e-6)


def test_a_cancelled_job_keeps_its_checkpoint_and_goes_on_to_the_same_model(dataset):
    whole = run_claimed_job(claimed(dataset))
    job = claimed(dataset)
    assert run_claimed_job(job, watch=stop_at(0.4)) is None
    job.refresh_from_db()
    assert job.state == JobState.CANCELLED
    assert leftovers(checkpoint_folder(job))
    assert ModelVersion.objects.count() == 1
    jobs.resume_job(job=job, actor=None)
    resumed = run_claimed_job(claims.claim_job(job.pk, "test:2"))
    for one in whole.scores.all():
        assert resumed.scores.get(image=one.image_id).score == pytest.approx(one.score, abs=1e-5)


def test_folds_that_were_done_are_not_fitted_again(dataset, fits):
    job = claimed(dataset, folds=2)
    fits.stop_in("fold-1")
    run_claimed_job(job, watch=fits.watch)
    job.refresh_from_db()
    assert job.state == JobState.CANCELLED
    fits.names.clear()
    jobs.resume_job(job=job, actor=None)
    run_claimed_job(claims.claim_job(job.pk, "test:2"))
    assert fits.names == ["fold-1", "final"]
    assert ImageScore.objects.count() == 28


def test_a_full_disk_fails_the_job_in_words_and_leaves_no_half_model(dataset, settings, monkeypatch):
    real = training.versions

    def fill_the_disk() -> dict[str, str]:
        (settings.ARTEFACT_DIR / "x").parent.mkdir(exist_ok=True)
        real()
        raise OSError(errno.ENOSPC, "No space left on device", "weights.safetensors")

    monkeypatch.setattr(training, "versions", fill_the_disk)
    job = claimed(dataset)
    assert run_claimed_job(job) is None
    job.refresh_from_db()
    assert job.state == JobState.FAILED
    assert "disk is full (weights.safetensors)" in job.error
    assert "resume" in job.error
    assert leftovers(settings.ARTEFACT_DIR) == []
    assert not ModelVersion.objects.exists()
    assert leftovers(checkpoint_folder(job))


def test_a_database_that_fails_at_the_last_moment_leaves_no_artefact_without_a_row(
    dataset, settings, monkeypatch
):
    def fail(**_fields):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(training, "save_operating_point", fail)
    job = claimed(dataset)
    run_claimed_job(job)
    assert leftovers(settings.ARTEFACT_DIR) == []
    assert not ModelVersion.objects.exists()
    assert not ImageScore.objects.exists()


def test_an_attempt_that_lost_its_job_registers_nothing(dataset, settings, monkeypatch):
    job = claimed(dataset)
    real = training.versions

    def lose_the_job() -> dict[str, str]:
        TrainingJob.objects.update(worker="other:1", attempts=2)
        return real()

    monkeypatch.setattr(training, "versions", lose_the_job)
    run_claimed_job(job)
    job.refresh_from_db()
    assert (job.state, job.worker) == (JobState.RUNNING, "other:1")
    assert not ModelVersion.objects.exists()
    assert leftovers(settings.ARTEFACT_DIR) == []


def test_an_image_that_is_gone_is_named(dataset):
    job = claimed(dataset)
    image = dataset.dataset.images.order_by("id").first()
    image.path.unlink()
    run_claimed_job(job)
    job.refresh_from_db()
    assert job.state == JobState.FAILED
    assert image.name in job.error


def test_what_nobody_foresaw_fails_the_job_and_is_raised_for_the_log(dataset, monkeypatch):
    monkeypatch.setattr(training, "measure_scored", lambda *_args, **_options: 1 / 0)
    job = claimed(dataset)
    with pytest.raises(ZeroDivisionError):
        run_claimed_job(job)
    job.refresh_from_db()
    assert job.state == JobState.FAILED
    assert "ZeroDivisionError" in job.error


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_known_by_number_or_by_its_text(error):
    assert is_disk_full(error)
    wrapped = RuntimeError("save failed")
    wrapped.__cause__ = error
    assert is_disk_full(wrapped)
    assert not is_disk_full(OSError(errno.EACCES, "Permission denied"))


def test_the_card_of_the_version_is_that_of_the_artefact(dataset):
    version = run_claimed_job(claimed(dataset))
    assert version.card == json.loads((version.artefact_path / "card.json").read_text())


def test_the_real_method_at_its_smallest_goes_the_same_way(dataset):
    version = run_claimed_job(claimed(dataset, method="weak", parameters=TINY))
    assert version.parity["passed"]
    assert version.card["method"] == "weak"
    assert version.scores.count() == 28
    stages = {name.split(" | ")[0] for name in version.job.curves}
    assert len(stages) == 3


def test_a_model_that_is_not_served_as_it_was_trained_makes_no_version(dataset, settings, monkeypatch):
    predict = toy_module.Model.predict

    def predict_otherwise(self, images, views=None):
        prediction = predict(self, images, views)
        return replace(prediction, scores=prediction.scores * 1.01)

    monkeypatch.setattr(toy_module.Model, "predict", predict_otherwise)
    job = claimed(dataset)
    run_claimed_job(job)
    job.refresh_from_db()
    assert job.state == JobState.FAILED
    assert "served scores differ" in job.error
    assert leftovers(settings.ARTEFACT_DIR) == []


def test_a_disk_that_is_really_full_is_told_in_words(dataset, settings, tmp_path):
    """The artefact folder on a file system of 64 kB, where this process may make one."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("making a small file system needs root")
    settings.ARTEFACT_DIR = folder
    try:
        (folder / "ballast").write_bytes(b"x" * 60_000)
        job = claimed(dataset)
        run_claimed_job(job)
        job.refresh_from_db()
        assert job.state == JobState.FAILED
        assert "disk is full" in job.error
        assert leftovers(folder) == ["ballast"]
        (folder / "ballast").unlink()
        settings.ARTEFACT_DIR = tmp_path / "models"
        jobs.resume_job(job=job, actor=None)
        assert run_claimed_job(claims.claim_job(job.pk, "test:2")) is not None
    finally:
        subprocess.run(["umount", str(folder)], check=True)
