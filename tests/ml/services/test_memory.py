"""What a training is said to take, and how one that does not fit is refused."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from django.urls import reverse
from rest_framework.test import APIClient

from ml.errors import ParametersRefused
from ml.methods import classifier_features, classifier_training, large_kernels, prepared, weak_training
from ml.methods.declarations import METHODS
from ml.methods.declarations.memory import FEATURES_KEPT, IMAGES_KEPT, PEAKS, Peak, Workload
from ml.methods.declarations.weak import SPECTRA_FROM_PX
from ml.methods.weak_network import STRIDE
from ml.models import TrainingJob
from ml.services import jobs, memory
from tests.benchmarks.memory import SETTINGS
from tests.ml.factories import make_dataset

WEAK = METHODS["weak"]
ROOT = Path(__file__).resolve().parents[3]
GB = 10**9
# The estimate is of float32 and of every stage together; a measured peak lies within this factor of it.
WITHIN = 1.3
# Of these nothing is said before they are queued, and nothing refused.
UNMEASURED = {
    "transfer_vgg vgg16 whole",
    *(
        f"transfer_vgg {backbone} {part}"
        for backbone in ("mobilenet_v3_small", "mobilenet_v3_large", "inception_v3")
        for part in ("whole", "part")
    ),
}
PRESETS = [(name, preset) for name, method in METHODS.items() for preset in method.presets]


def weak(height: int, width: int, pairs: int = 2):
    return WEAK.Parameters(height=height, width=width, pairs=pairs, precision="float32")


@pytest.mark.parametrize(("method", "preset"), PRESETS)
def test_every_preset_of_every_method_says_what_it_takes(method, preset):
    parameters = METHODS[method].presets[preset]
    estimate = memory.estimate(METHODS[method], parameters)
    if METHODS[method].workload(parameters).network in UNMEASURED:
        assert estimate is None
    else:
        assert 0.1 * GB < estimate.serving < estimate.training


def test_every_network_is_measured_or_listed_as_one_that_is_not():
    assert set(SETTINGS) == PEAKS.keys() ^ UNMEASURED


def test_every_line_has_a_constant_and_a_slope():
    for peak in PEAKS.values():
        assert peak.training_mb > 100
        assert peak.bytes_per_px + peak.bytes_per_image_px > 0
        assert min(peak.bytes_per_px, peak.bytes_per_image_px, peak.serving_per_px) >= 0


@pytest.mark.parametrize(("height", "width", "pairs"), [(96, 96, 2)])
def test_the_estimate_of_weak_is_near_the_peak_of_a_real_training(height, width, pairs):
    setting = {
        "height": height, "width": width, "pairs": pairs, "precision": "float32",
        "stage1_iterations": 2, "stage2_iterations": 2, "stage3_iterations": 2,
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.memory", "--fit", "weak", json.dumps(setting)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
    )
    measured = json.loads(done.stdout.splitlines()[-1])
    estimate = memory.estimate(WEAK, weak(height, width, pairs), images=0)
    assert 1 / WITHIN < measured["training_mb"] * 2**20 / estimate.training < WITHIN
    assert 1 / WITHIN < measured["serving_mb"] * 2**20 / estimate.serving < WITHIN


def test_a_line_is_a_constant_and_its_slopes():
    peak = Peak(100, 2, 3, 50, 4, image_bytes=1, features_per_px=5)
    work = Workload("any", images=6, height=10, width=20, copies=2)
    assert peak.training(work) == 100 * 2**20 + 200 * 2 + 6 * 200 * 3
    assert peak.training(work, images=7) == peak.training(work) + 7 * 200 * (1 + 2 * 5)
    assert peak.serving(work) == 50 * 2**20 + 200 * 4


def test_a_step_that_is_computed_in_passes_takes_no_more_than_one_of_them():
    peak = Peak(0, 0, 1, 0, 0, pass_px=1000)
    assert peak.training(Workload("any", 3, 10, 20)) == 600
    assert peak.training(Workload("any", 64, 10, 20)) == 1000
    assert peak.training(Workload("any", 64, 10, 30)) == 900  # three whole images
    assert peak.training(Workload("any", 64, 40, 50)) == 2000  # one image at least


@pytest.mark.parametrize(("image_bytes", "features"), [(1, 0.0), (3, 0.0), (3, 8.0)])
def test_what_is_kept_of_images_is_bounded(image_bytes, features):
    peak = Peak(100, 0, 0, 50, 0, image_bytes=image_bytes, features_per_px=features)
    kept = peak.training(Workload("any", 1, 1408, 512), images=10**6) - 100 * 2**20
    assert kept == IMAGES_KEPT + (FEATURES_KEPT if features else 0)


def test_the_bounds_are_those_that_the_methods_keep_to():
    bounds = (prepared.BUDGET_BYTES, weak_training.FEATURES_BUDGET_BYTES, classifier_features.BUDGET_BYTES)
    assert bounds == (IMAGES_KEPT, FEATURES_KEPT, FEATURES_KEPT)
    assert PEAKS["weak"].pass_px == PEAKS["weak small"].pass_px == weak_training.BATCH_PX
    assert SPECTRA_FROM_PX == large_kernels.WORTHWHILE_CELLS * STRIDE**2
    assert PEAKS["multipath_vgg"].pass_px == classifier_training.BATCH_PX


def test_frozen_features_take_what_the_estimate_says():
    network = weak_training.new_network(weak(704, 256)).eval()
    with torch.no_grad():
        features = network.features(torch.zeros(1, 1, 64, 96))
        kept = features.nbytes + network.heat_map(features).nbytes
    assert kept / (64 * 96) == pytest.approx(PEAKS["weak"].features_per_px, rel=0.02)


def test_larger_inputs_and_more_images_take_more():
    small = memory.estimate(WEAK, weak(352, 128)).training
    assert memory.estimate(WEAK, weak(704, 256)).training > 1.5 * small
    assert memory.estimate(WEAK, weak(352, 128, pairs=8)).training > 1.5 * small
    assert memory.estimate(WEAK, weak(352, 128), images=1000).training > small


def test_the_sentence_has_both_figures():
    assert memory.MemoryEstimate(3_140_000_000, 612_000_000).sentence == (
        "About 3.1 GB to train, 0.6 GB to serve."
    )


def test_a_training_that_does_not_fit_is_refused_with_a_size_that_does(settings):
    settings.TRAINING_MEMORY_MB = 2000
    with pytest.raises(ParametersRefused) as refusal:
        memory.check_memory(WEAK, weak(1408, 512, pairs=4))
    text = refusal.value.errors["height"]
    assert "This training takes about" in text
    assert "there are 2.1 GB" in text
    height, width = (
        int(word) for word in text.partition("; so may")[0].split(". ")[1].split(" px")[0].split(" × ")
    )
    assert height / width == pytest.approx(1408 / 512, rel=0.15)
    memory.check_memory(WEAK, weak(height, width, pairs=4))
    larger = weak(height + 96, width + 32, pairs=4)
    with pytest.raises(ParametersRefused):
        memory.check_memory(WEAK, larger)


def test_a_training_that_fits_at_no_size_says_what_else_to_do(settings):
    settings.TRAINING_MEMORY_MB = 100
    with pytest.raises(ParametersRefused, match="take fewer images in a step"):
        memory.check_memory(WEAK, weak(1408, 512))


def test_of_a_method_that_nobody_measured_nothing_is_said_and_nothing_refused(settings):
    from tests.ml.toy import TOY, ToyParameters

    settings.TRAINING_MEMORY_MB = 1
    assert memory.estimate(TOY, ToyParameters()) is None
    memory.check_memory(TOY, ToyParameters())


def test_the_limit_is_what_the_machine_or_its_container_has(settings, monkeypatch, tmp_path):
    settings.TRAINING_MEMORY_MB = 0
    monkeypatch.setattr(memory, "_LIMIT_FILES", (tmp_path / "none",))
    whole = memory.memory_limit()
    assert whole > GB
    (tmp_path / "max").write_text("max\n")
    (tmp_path / "bounded").write_text("500000000\n")
    monkeypatch.setattr(memory, "_LIMIT_FILES", (tmp_path / "max", tmp_path / "bounded"))
    assert memory.memory_limit() == 500_000_000
    settings.TRAINING_MEMORY_MB = 300
    assert memory.memory_limit() == 300 * 2**20


@pytest.mark.django_db
def test_a_job_that_does_not_fit_is_refused_before_it_is_queued(settings, media):
    dataset = make_dataset(ok=10, ng=10)
    settings.TRAINING_MEMORY_MB = 2000
    with pytest.raises(ParametersRefused, match="height: This training takes about"):
        jobs.queue_job(dataset=dataset.dataset, method="weak", parameters={"height": 2816, "width": 1024})
    assert not TrainingJob.objects.exists()
    jobs.queue_job(dataset=dataset.dataset, method="weak", preset="demo")
    assert TrainingJob.objects.count() == 1


@pytest.mark.django_db
class TestTold:
    """The form and REST say the same before a job is queued, and queue nothing."""

    @pytest.fixture
    def dataset(self, media):
        return make_dataset(ok=10, ng=10)

    @pytest.fixture
    def quality(self, people) -> APIClient:
        client = APIClient()
        client.force_authenticate(people["quality"])
        return client

    ASKED = {"dataset": "bolts", "method": "weak", "parameters": {"height": 704, "width": 256}}

    def test_rest_tells_both_figures_and_the_limit(self, dataset, quality):
        answer = quality.post("/api/v1/jobs/memory/", self.ASKED, format="json").json()
        parameters = METHODS["weak"].Parameters(height=704, width=256)
        estimate = memory.estimate(WEAK, parameters, images=20)
        assert answer == {
            "training_bytes": estimate.training,
            "serving_bytes": estimate.serving,
            "limit_bytes": memory.memory_limit(),
            "refusal": "",
        }
        assert not TrainingJob.objects.exists()

    def test_rest_tells_the_refusal_that_queueing_would_meet(self, dataset, quality, settings):
        settings.TRAINING_MEMORY_MB = 1200
        told = quality.post("/api/v1/jobs/memory/", self.ASKED, format="json").json()["refusal"]
        refused = quality.post("/api/v1/jobs/", self.ASKED, format="json")
        assert refused.status_code == 400
        assert told in refused.content.decode()
        assert "px (height × width) fits" in told

    def test_rest_tells_nothing_of_a_method_that_nobody_measured(self, dataset, quality, monkeypatch):
        from tests.ml.toy import TOY

        monkeypatch.setitem(METHODS, "toy", TOY)
        answer = memory.tell_memory(TOY, TOY.Parameters())
        assert (answer.estimate, answer.refusal) == (None, "")

    @pytest.mark.parametrize(
        "wrong", [{"method": "tarot"}, {"dataset": "nuts"}, {"parameters": {"height": -1}}]
    )
    def test_what_is_wrong_is_a_bad_request(self, dataset, quality, wrong):
        answer = quality.post("/api/v1/jobs/memory/", self.ASKED | wrong, format="json")
        assert answer.status_code == 400

    def test_an_operator_is_not_told(self, dataset, people):
        client = APIClient()
        client.force_authenticate(people["operator"])
        assert client.post("/api/v1/jobs/memory/", self.ASKED, format="json").status_code == 403

    def test_the_form_tells_what_is_filled_in(self, dataset, client, people):
        client.force_login(people["quality"])
        page = client.get(
            reverse("training_memory"),
            {"dataset": "bolts", "method": "weak", "parameter-height": 704, "parameter-width": 256},
        )
        assert page.status_code == 200
        assert "GB to train" in page.content.decode()

    def test_the_form_tells_the_refusal(self, dataset, client, people, settings):
        settings.TRAINING_MEMORY_MB = 600
        client.force_login(people["quality"])
        page = client.get(reverse("training_memory"), {"dataset": "bolts", "method": "weak"})
        assert "This training takes about" in page.content.decode()
        assert 'role="alert"' in page.content.decode()

    def test_the_form_says_where_nothing_was_measured(self, dataset, client, people):
        client.force_login(people["quality"])
        asked = {"dataset": "bolts", "method": "transfer_vgg", "preset": "paper-scratch"}
        page = client.get(reverse("training_memory"), asked)
        assert "was not measured" in page.content.decode()
