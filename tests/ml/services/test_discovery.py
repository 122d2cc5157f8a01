"""Finding types of defects with a real model: what is kept, what is refused, who runs it, how it ends."""

from datetime import timedelta

import numpy as np
import pytest
from django.utils import timezone

from annotation.models import AuditEntry, Image, LabelClass
from ml.choices import DiscoveryAmong, JobState
from ml.errors import DiscoveryRefused
from ml.models import Discovery, ModelVersion
from ml.services import discovery as discoveries
from ml.services.discovery import (
    cancel_discovery,
    claim_discovery,
    find_lost_discoveries,
    queue_discovery,
    release_discoveries,
    run_discovery,
)
from tests.ml.factories import DatasetFactory, make_dataset, make_job, make_version

pytestmark = pytest.mark.django_db


@pytest.fixture
def dataset(media) -> DatasetFactory:
    return make_dataset(ok=4, ng=8)


@pytest.fixture
def version(dataset, gradient_artefact, settings) -> ModelVersion:
    settings.ARTEFACT_DIR = gradient_artefact.parent
    version = make_version(dataset, job=make_job(dataset, method="grad_mobilenet", state=JobState.DONE))
    version.artefact = gradient_artefact.name
    version.save()
    return version


def unlabel(images) -> None:
    Image.objects.filter(pk__in=[image.pk for image in images]).update(current_class=None)


def run(version, dataset, **asked) -> Discovery:
    queued = queue_discovery(version=version, dataset=dataset.dataset, **asked)
    return run_discovery(claim_discovery(queued.pk, "test:1"))


def test_every_image_that_is_not_ok_gets_a_point_and_a_type(version, dataset):
    new = [dataset.add(is_ng=True) for _ in range(4)]
    unlabel(new)
    done = run(version, dataset, types=2)
    assert (done.state, done.error, done.progress) == (JobState.DONE, "", 1.0)
    sorted_images = Image.objects.exclude(current_class=dataset.ok).values_list("pk", flat=True)
    assert sorted(point["image"] for point in done.points) == sorted(sorted_images)
    assert [point["class"] for point in done.points].count("") == 4
    assert {point["type"] for point in done.points} == {0, 1}
    assert [row["images"] for row in done.findings["types"]] == [
        sum(point["type"] == number for point in done.points) for number in (0, 1)
    ]
    assert all(0 <= point["norm"] < 1 for point in done.points)


def test_the_norms_of_ok_images_are_beside_those_of_the_others(version, dataset):
    norms = run(version, dataset).findings["norms"]["classes"]
    assert (norms["OK"]["images"], norms["NG"]["images"]) == (4, 8)
    assert norms["OK"]["variance"] > 0


@pytest.mark.parametrize(("among", "count"), [(DiscoveryAmong.NG, 8), (DiscoveryAmong.UNLABELLED, 6)])
def test_it_looks_among_the_images_it_was_told_to(version, dataset, among, count):
    unlabel([dataset.add() for _ in range(6)])
    assert len(run(version, dataset, among=among).points) == count


def test_an_image_in_dispute_counts_as_unlabelled(version, dataset):
    Image.objects.filter(current_class=dataset.ng).update(is_disputed=True)
    done = run(version, dataset, among=DiscoveryAmong.UNLABELLED)
    assert [point["class"] for point in done.points] == [""] * 8


def test_without_a_number_of_types_the_silhouettes_that_were_tried_are_kept(version, dataset):
    found = run(version, dataset).findings
    assert set(found["silhouettes"]) == {"2", "3", "4", "5", "6", "7"}
    best = max(found["silhouettes"], key=found["silhouettes"].get)
    assert len(found["types"]) == len(found["centroids"]) == int(best)


def test_purity_is_told_where_several_classes_are_known(version, dataset):
    assert run(version, dataset).findings["purity"] is None
    crack = LabelClass.objects.create(dataset=dataset.dataset, name="crack", number=2)
    for _ in range(4):
        dataset.add(is_ng=True, label_class=crack)
    purity = run(version, dataset, types=2).findings["purity"]
    assert (purity["images"], purity["classes"]) == (12, 2)
    assert 8 / 12 <= purity["types"] <= 1
    assert 8 / 12 <= purity["pixels"] <= 1


def test_new_images_are_sorted_into_types_that_were_found_before(version, dataset):
    first = run(version, dataset, types=2)
    new = {dataset.add(is_ng=True).pk for _ in range(2)}
    second = run(version, dataset, types_of=first)
    assert second.findings["centroids"] == first.findings["centroids"]
    assert new < {point["image"] for point in second.points}
    before = {point["image"]: point["type"] for point in first.points}
    same = [before[point["image"]] == point["type"] for point in second.points if point["image"] in before]
    assert np.mean(same) >= 0.75, "k-means is on the map, the nearest centroid among the features"
    assert np.array(second.findings["centroids"]).shape == (2, 258)


@pytest.mark.parametrize("change", ["state", "number", "model"])
def test_types_that_can_not_be_kept_are_refused(version, dataset, change):
    state = JobState.RUNNING if change == "state" else JobState.DONE
    owner = make_version(dataset) if change == "model" else version
    kept = Discovery.objects.create(model_version=owner, dataset=dataset.dataset, state=state)
    text = {"state": "once they are found", "number": "not both", "model": "this model has found"}[change]
    with pytest.raises(DiscoveryRefused, match=text):
        queue_discovery(
            version=version, dataset=dataset.dataset, types_of=kept, types=3 if change == "number" else None
        )


class TestCancel:
    def test_one_that_waits_ends_at_once_and_nobody_takes_it(self, version, dataset, people):
        queued = queue_discovery(version=version, dataset=dataset.dataset)
        cancelled = cancel_discovery(discovery=queued, actor=people["quality"])
        assert cancelled.state == JobState.CANCELLED
        assert cancelled.finished_at
        assert claim_discovery(queued.pk, "test:1") is None
        assert AuditEntry.objects.filter(action="discovery.cancelled", actor=people["quality"]).exists()

    def test_one_that_runs_stops_before_the_next_images_and_keeps_nothing(self, version, dataset):
        queued = queue_discovery(version=version, dataset=dataset.dataset)
        told: list[float] = []

        def cancel_at_once(share: float, _text: str) -> None:
            told.append(share)
            if len(told) == 1:
                cancel_discovery(discovery=queued, actor=None)

        done = run_discovery(claim_discovery(queued.pk, "test:1"), on_progress=cancel_at_once)
        assert len(told) == 1
        assert (done.state, done.points, done.findings) == (JobState.CANCELLED, [], {})

    def test_one_that_has_ended_is_not_cancelled(self, version, dataset):
        done = run(version, dataset)
        with pytest.raises(DiscoveryRefused, match="nothing left to cancel"):
            cancel_discovery(discovery=done, actor=None)
        done.refresh_from_db()
        assert done.state == JobState.DONE


def test_more_images_than_are_sorted_at_once_are_sampled_and_counted(version, dataset, monkeypatch):
    monkeypatch.setattr(discoveries, "MAX_IMAGES", 6)
    done = run(version, dataset, types=2)
    assert (len(done.points), done.findings["left_out"]) == (6, 2)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"types": 9}, "has 8 images .*: 9 types can't be found"),
        ({"types": 1}, "From 2 to 50 types"),
        ({"among": DiscoveryAmong.UNLABELLED}, "At least 5 images are needed .* has 0"),
    ],
)
def test_what_can_not_be_found_is_refused_before_it_is_queued(version, dataset, asked, message):
    with pytest.raises(DiscoveryRefused, match=message):
        queue_discovery(version=version, dataset=dataset.dataset, **asked)
    assert not Discovery.objects.exists()


def test_a_model_without_gradients_is_refused(dataset):
    with pytest.raises(DiscoveryRefused, match="this one is of weak"):
        queue_discovery(version=make_version(dataset), dataset=dataset.dataset)


def test_images_that_all_look_the_same_end_it_with_the_reason(version, dataset):
    first = Image.objects.filter(current_class=dataset.ng).first()
    for other in Image.objects.filter(current_class=dataset.ng):
        other.path.write_bytes(first.path.read_bytes())
    done = run(version, dataset)
    assert done.state == JobState.FAILED
    assert "All 8 images look the same to this model" in done.error
    assert done.finished_at is not None


def test_an_image_that_is_gone_ends_it_with_its_name(version, dataset):
    gone = Image.objects.filter(current_class=dataset.ng).last()
    gone.path.unlink()
    done = run(version, dataset)
    assert done.state == JobState.FAILED
    assert gone.name in done.error


def test_an_artefact_that_was_changed_ends_it(version, dataset, tmp_path, settings):
    settings.ARTEFACT_DIR = tmp_path
    done = run(version, dataset)
    assert done.state == JobState.FAILED
    assert "card.json" in done.error


def test_what_nobody_foresaw_is_told_and_raised(version, dataset, monkeypatch):
    def broken(*_arguments):
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(discoveries, "find_types", broken)
    queued = queue_discovery(version=version, dataset=dataset.dataset)
    with pytest.raises(ZeroDivisionError):
        run_discovery(claim_discovery(queued.pk, "test:1"))
    queued.refresh_from_db()
    assert queued.state == JobState.FAILED
    assert "Unexpected ZeroDivisionError: oh" in queued.error


class TestWhoRunsIt:
    @pytest.fixture
    def queued(self, version, dataset) -> Discovery:
        return queue_discovery(version=version, dataset=dataset.dataset)

    def test_one_process_takes_it_and_no_other(self, queued):
        assert claim_discovery(queued.pk, "a:1") is not None
        assert claim_discovery(queued.pk, "b:1") is None

    def test_one_whose_worker_was_lost_is_found_and_taken(self, queued):
        claim_discovery(queued.pk, "a:1")
        assert find_lost_discoveries() == []
        Discovery.objects.update(heartbeat_at=timezone.now() - timedelta(hours=1))
        assert find_lost_discoveries() == [queued.pk]
        assert claim_discovery(queued.pk, "b:1").worker == "b:1"

    def test_one_whose_message_was_lost_is_found(self, queued):
        assert find_lost_discoveries() == []
        Discovery.objects.update(created_at=timezone.now() - timedelta(hours=1))
        assert find_lost_discoveries() == [queued.pk]

    def test_a_worker_that_ends_gives_it_back(self, queued):
        claim_discovery(queued.pk, "a:1")
        assert release_discoveries("b:") == 0
        assert release_discoveries("a:") == 1
        assert claim_discovery(queued.pk, "b:1") is not None

    def test_who_was_given_up_for_lost_changes_nothing_more(self, queued, version, dataset):
        ours = claim_discovery(queued.pk, "a:1")
        Discovery.objects.update(worker="b:1")
        run_discovery(ours)
        queued.refresh_from_db()
        assert (queued.state, queued.worker, queued.points) == (JobState.RUNNING, "b:1", [])

    def test_who_asked_is_written_down(self, queued):
        entry = AuditEntry.objects.get(action="discovery.queued")
        assert entry.target_id == str(queued.pk)
