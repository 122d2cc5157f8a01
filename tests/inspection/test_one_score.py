"""The same PNG through every door gets the same score: one preprocessing, one scoring."""

import shutil

import numpy as np
import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from rest_framework.test import APIClient

from ml.methods.declarations import METHODS
from ml.models import ImageScore, ModelVersion
from ml.services import jobs
from ml.services.claims import claim_job
from ml.services.evaluating import evaluate_version
from ml.services.execution import run_claimed_job
from tests.inspection.factories import make_line
from tests.inspection.test_line_process import is_running, manage, terminate, wait_until
from tests.ml.factories import encode, make_dataset
from tests.ml.toy import TOY

pytestmark = pytest.mark.django_db(transaction=True)
NAME = "odd.png"


@pytest.fixture(autouse=True)
def clean(redis_here, monkeypatch):
    for folder in (settings.LINE_DIR, settings.ARTEFACT_DIR):
        shutil.rmtree(folder, ignore_errors=True)
    monkeypatch.setitem(METHODS, "toy", TOY)


def odd_pixels() -> np.ndarray:
    """Colour, of no size that the network takes, with structure that every way to shrink treats otherwise."""
    rows, columns = np.mgrid[0:131, 0:97]
    stripes = 60 * np.sin(rows / 2.3) * np.cos(columns / 1.7)
    return np.stack([120 + stripes, 90 + columns, 200 - rows], axis=2).clip(0, 255).astype(np.uint8)


def train(factory) -> ModelVersion:
    job = jobs.queue_job(dataset=factory.dataset, method="toy", seed=1)
    return run_claimed_job(claim_job(job.pk, "test:1"))


def test_training_evaluation_rest_push_and_replay_give_one_png_one_score(people):
    from inspection.services.deployments import deploy
    from inspection.services.frames import push_frame

    factory = make_dataset(ok=12, ng=12)
    image = factory.add_pixels(odd_pixels())
    image.name = NAME
    image.save()
    content = encode(odd_pixels())
    version = train(factory)
    scores = {"training": ImageScore.objects.get(model_version=version, image=image).score}

    report = evaluate_version(version=version, dataset=factory.dataset, on_scored=lambda *_: None)
    scores["evaluate"] = next(one["score"] for one in report["images"] if one["file"] == NAME)

    alone = make_dataset(name="Odd")
    alone.add_pixels(odd_pixels())
    replay = make_line(name="Replay", source="replay")
    replay.stations.update(source_settings={"dataset": "odd", "seed": 1, "parts_per_second": 5})
    pushed = make_line(name="Push")
    for line in (replay, pushed):
        deploy(operating_point=version.operating_points.first(), line=line, by=None)
    with manage("run_line", "replay") as one, manage("run_line", "push") as other:
        wait_until(lambda: is_running(pushed), "a sign of life")
        wait_until(lambda: pushed.deployments.get().state == "live", "the deployment live")
        api = APIClient()
        api.force_authenticate(people["operator"])
        answer = api.post(
            "/api/v1/lines/push/inspect/",
            {"top": SimpleUploadedFile(NAME, content, "image/png")},
            format="multipart",
        )
        assert answer.status_code == 200, answer.content
        scores["REST"] = answer.json()["views"][0]["score"]
        push_frame(line=pushed, station=pushed.stations.get(), name=NAME, content=content)
        judged = {line: line.parts.filter(origin="line", score__isnull=False) for line in (replay, pushed)}
        for line, parts in judged.items():
            wait_until(parts.exists, f"a judged part of {line}")
            scores[line.slug] = parts.first().score
        terminate(one)
        terminate(other)
    spread = max(scores.values()) - min(scores.values())
    assert spread < 1e-4, scores
    assert abs(scores["training"]) > 1e-3
