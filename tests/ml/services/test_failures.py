"""What a person is told when a training ends early."""

import errno
import re

import cv2
import numpy as np
import pytest
import torch

from ml.choices import JobState
from ml.methods.contract import TrainingDiverged
from ml.methods.declarations import METHODS, WEAK
from ml.models import TrainingJob
from ml.services import claims, jobs, memory
from ml.services.execution import run_claimed_fold, run_claimed_job
from ml.services.failures import explained, is_out_of_memory
from ml.services.memory import CLEARLY_LESS, estimate, gigabytes
from tests.ml import toy as toy_module
from tests.ml.factories import make_dataset
from tests.ml.toy import TOY

SIZED = {"height": 1408, "width": 512, "pairs": 2, "stage1_rate": 0.1}


def torchs_own() -> RuntimeError:
    with pytest.raises(RuntimeError) as refused:
        torch.empty(2**50)
    return refused.value


def numpys_own() -> MemoryError:
    with pytest.raises(MemoryError) as refused:
        np.empty(2**50)
    return refused.value


def size_named(text: str) -> dict[str, int]:
    found = re.search(r"(\d+) × (\d+) px \(height × width\) fits", text)
    return {"height": int(found[1]), "width": int(found[2])}


OPENCVS = cv2.error(
    "OpenCV(5.0.0) alloc.cpp:73: error: (-4:Insufficient memory) Failed to allocate 9 bytes in function 'Out'"
)


class TestOutOfMemory:
    @pytest.mark.parametrize(
        "error",
        [
            torchs_own(),
            numpys_own(),
            MemoryError(),
            OPENCVS,
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
            OSError(errno.ENOMEM, "Cannot allocate memory"),
        ],
        ids=["torch", "numpy", "python", "opencv", "cuda", "system"],
    )
    def test_it_is_known_whoever_says_it(self, error):
        assert is_out_of_memory(error)
        wrapped = ValueError("the image can't be resized")
        wrapped.__cause__ = error
        assert is_out_of_memory(wrapped)

    @pytest.mark.parametrize(
        "error", [RuntimeError("mat1 and mat2 shapes cannot be multiplied"), OSError(errno.ENOSPC, "full")]
    )
    def test_nothing_else_is_taken_for_it(self, error):
        assert not is_out_of_memory(error)

    def test_it_names_the_largest_size_that_is_estimated_to_take_clearly_less(self):
        text = explained(torchs_own(), SIZED, "weak", images=300)
        assert "asked for" in text
        failed, smaller = WEAK.Parameters(**SIZED), size_named(text)
        took = estimate(WEAK, failed, images=300).training
        fits = estimate(WEAK, WEAK.Parameters(**SIZED | smaller), images=300).training
        assert f"It was estimated at {gigabytes(took)}" in text
        assert f"at about {gigabytes(fits)}" in text
        assert fits <= CLEARLY_LESS * took
        larger = {"height": smaller["height"] + 96, "width": smaller["width"] + 32}
        next_one = estimate(WEAK, WEAK.Parameters(**SIZED | larger), images=300).training
        assert next_one > CLEARLY_LESS * took

    def test_a_size_is_named_that_the_memory_which_is_free_would_hold(self, monkeypatch):
        monkeypatch.setattr(memory, "_free_without_this_process", lambda: 1_500_000_000)
        smaller = size_named(explained(MemoryError(), SIZED, "weak"))
        assert estimate(WEAK, WEAK.Parameters(**SIZED | smaller)).training <= 1_500_000_000

    def test_where_nothing_would_fit_it_says_what_else_to_do(self, monkeypatch):
        monkeypatch.setattr(memory, "_free_without_this_process", lambda: 1_000_000)
        assert "end what else uses memory" in explained(MemoryError(), SIZED, "weak")

    def test_a_square_input_keeps_its_sides_equal(self):
        named = size_named(explained(MemoryError(), {"size": 512}, "maa"))
        assert named["height"] == named["width"] < 512

    @pytest.mark.parametrize("method", ["", "toy"])
    def test_of_what_nobody_measured_no_size_is_named(self, method, monkeypatch):
        monkeypatch.setitem(METHODS, "toy", TOY)
        text = explained(MemoryError(), {}, method)
        assert text.endswith("Queue a training with a smaller input, or with fewer images in a step.")


def test_where_it_happened_comes_first():
    error = TrainingDiverged("Stage 1", 31, None)
    error.add_note("Fold 2 of 3")
    assert explained(error, {}).startswith(
        "Fold 2 of 3: Training diverged: the loss of Stage 1 was not finite at"
    )


def test_what_nobody_foresaw_is_not_explained():
    assert explained(ZeroDivisionError(), {}) is None


@pytest.mark.django_db(transaction=True)
class TestJob:
    @pytest.fixture(autouse=True)
    def toy(self, monkeypatch, settings, tmp_path, media):
        settings.ARTEFACT_DIR = tmp_path / "models"
        settings.CHECKPOINT_DIR = tmp_path / "checkpoints"
        monkeypatch.setitem(METHODS, "toy", TOY)

    @pytest.fixture
    def fail_with(self, monkeypatch):
        def fail(error: Exception) -> None:
            def fit(*_args, **_options):
                raise error

            monkeypatch.setattr(toy_module, "fit", fit)

        return fail

    def queued(self, folds: int = 0) -> TrainingJob:
        return jobs.queue_job(dataset=make_dataset(ok=16, ng=16).dataset, method="toy", folds=folds)

    def test_out_of_memory_ends_a_job_in_words_and_without_a_traceback(self, fail_with):
        fail_with(torchs_own())
        job = self.queued()
        assert run_claimed_job(claims.claim_job(job.pk, "a:1")) is None
        job.refresh_from_db()
        assert job.state == JobState.FAILED
        assert job.error.startswith("There was not enough memory")

    @pytest.mark.parametrize("is_fanned_out", [True, False])
    def test_a_loss_that_is_no_number_names_fold_stage_step_and_the_last_good_checkpoint(
        self, fail_with, tmp_path, is_fanned_out
    ):
        fail_with(TrainingDiverged("Stage 1", 31, tmp_path / "good"))
        job = self.queued(folds=2)
        if is_fanned_out:
            run_claimed_fold(claims.claim_fold(job.pk, 0, "a:1"))
        else:
            run_claimed_job(claims.claim_job(job.pk, "a:1"))
        job.refresh_from_db()
        assert job.state == JobState.FAILED
        assert job.error.startswith(
            "Fold 1 of 2: Training diverged: the loss of Stage 1 was not finite at step 31"
        )
        assert str(tmp_path / "good") in job.error
