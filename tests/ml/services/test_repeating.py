"""Training a model again from its card: the same scores, and a card that was touched is refused."""

import json
import random

import numpy as np
import pytest
import torch

from ml.errors import CardRefused
from ml.methods.declarations import METHODS
from ml.models import ModelVersion, Snapshot
from ml.services import claims, jobs
from ml.services.execution import run_claimed_job
from ml.services.repeating import queue_like
from tests.ml import toy as toy_module
from tests.ml.factories import TINY, make_dataset
from tests.ml.toy import TOY

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def folders(settings, tmp_path, media, monkeypatch):
    settings.ARTEFACT_DIR = tmp_path / "models"
    settings.CHECKPOINT_DIR = tmp_path / "checkpoints"
    monkeypatch.setitem(METHODS, "toy", TOY)


@pytest.fixture
def dataset():
    return make_dataset(ok=14, ng=14)


def trained(job) -> ModelVersion:
    version = run_claimed_job(claims.claim_job(job.pk, "test:1"))
    assert version, jobs.TrainingJob.objects.get(pk=job.pk).error
    return version


@pytest.fixture
def version(dataset) -> ModelVersion:
    parameters = {"iterations": 12}
    return trained(
        jobs.queue_job(dataset=dataset.dataset, method="toy", parameters=parameters, folds=2, seed=9)
    )


def scores_of(version: ModelVersion) -> list[tuple[int, float]]:
    return list(version.scores.order_by("image").values_list("image", "score"))


def edit_card(version: ModelVersion, change) -> None:
    path = version.artefact_path / "card.json"
    card = json.loads(path.read_text())
    change(card)
    path.write_text(json.dumps(card))


def test_it_has_all_from_the_card_and_the_same_snapshot_whatever_was_labelled_since(version, dataset):
    dataset.add(is_ng=True)
    job = queue_like(version=version)
    assert (job.method, job.parameters, job.folds, job.seed) == ("toy", {"iterations": 12, "hold": ""}, 2, 9)
    assert job.snapshot == version.job.snapshot
    assert scores_of(trained(job)) == scores_of(version)


def test_on_a_dataset_it_takes_the_newest_labels(version, dataset):
    dataset.add(is_ng=True)
    job = queue_like(version=version, dataset=dataset.dataset)
    assert job.snapshot != version.job.snapshot
    assert (job.snapshot.ng_count, job.parameters) == (15, version.job.parameters)


def test_a_card_that_was_edited_is_refused_and_says_where(version):
    edit_card(version, lambda card: card["parameters"].update(iterations=13))
    with pytest.raises(
        CardRefused, match=r"edited after it was made: parameters\.iterations is 13, and was 12"
    ):
        queue_like(version=version)


def test_a_card_that_lost_a_line_is_refused(version):
    edit_card(version, lambda card: card["extra"].pop("snapshot"))
    with pytest.raises(CardRefused, match=r"extra\.snapshot is absent"):
        queue_like(version=version)


def test_a_card_that_is_no_card_is_refused(version):
    (version.artefact_path / "card.json").write_text("{")
    with pytest.raises(CardRefused, match="not JSON"):
        queue_like(version=version)


def test_weights_that_are_not_the_cards_are_refused(version):
    (version.artefact_path / "weights.safetensors").write_bytes(b"others")
    with pytest.raises(CardRefused, match="not the file that was exported"):
        queue_like(version=version)


def test_a_snapshot_of_other_records_asks_for_a_dataset(version, dataset):
    Snapshot.objects.filter(pk=version.job.snapshot_id).update(sha256="0" * 64)
    with pytest.raises(CardRefused, match="Name a dataset"):
        queue_like(version=version)
    assert queue_like(version=version, dataset=dataset.dataset)


def test_the_card_names_the_machine_and_its_threads(version):
    assert version.card["extra"]["machine"]["threads"] == torch.get_num_threads()
    assert version.card["extra"]["machine"].keys() == {
        "processor", "cores", "memory_gb", "threads", "device",
    }  # fmt: skip


def test_what_a_library_draws_behind_a_fits_back_is_the_same_each_time(dataset, monkeypatch):
    drawn = []
    fit = toy_module.fit

    def drawing(*args, **options):
        drawn.append((random.random(), np.random.rand(), torch.rand(1).item()))
        return fit(*args, **options)

    monkeypatch.setattr(toy_module, "fit", drawing)
    for seed in (1, 1, 2):
        trained(jobs.queue_job(dataset=dataset.dataset, method="toy", seed=seed))
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]


def test_weak_trained_twice_gives_the_same_scores_to_the_last_bit(dataset):
    first = trained(jobs.queue_job(dataset=dataset.dataset, method="weak", parameters=TINY, seed=3))
    torch.rand(7)
    again = trained(queue_like(version=first))
    assert scores_of(again) == scores_of(first)
    assert again.evaluation["metrics"] == first.evaluation["metrics"]
