"""What a model's card says of the weights that its training started from."""

import re

import pytest
from django.urls import reverse

from ml.choices import JobState
from ml.errors import WeightsRefused
from ml.models import TrainingJob
from ml.services.jobs import queue_job
from tests.ml.factories import TINY, make_dataset, make_job, make_version

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(client, people):
    client.force_login(people["quality"])
    return client


def page_of(client, **parameters) -> str:
    factory = make_dataset(ok=4, ng=4)
    job = make_job(factory, state=JobState.DONE, parameters=TINY | parameters)
    return client.get(make_version(factory, job=job).get_absolute_url()).content.decode()


def test_random_weights_stand_there_in_red(client, media):
    assert re.search(r'class="text-danger[^>]*>.*random weights', page_of(client, weights="none"))


def test_imagenet_weights_stand_there_quietly(client, media):
    page = page_of(client, weights="imagenet")
    assert "ImageNet weights" in page
    assert "random weights" not in page


def test_a_method_that_takes_none_says_nothing_of_them(client, media):
    assert "Started from" not in page_of(client)


def test_the_form_says_which_file_is_missing_and_where_it_belongs(client, media, settings, tmp_path):
    settings.ML_WEIGHTS_DIR = tmp_path
    factory = make_dataset(ok=30, ng=30)
    with pytest.raises(WeightsRefused):
        queue_job(dataset=factory.dataset, method="transfer_vgg", preset="paper")
    answer = client.post(
        reverse("training_new"),
        {"dataset": factory.dataset.slug, "method": "transfer_vgg", "preset": "paper", "folds": 0, "seed": 0},
    )
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "vgg16-397923af.pth (528 MiB)" in page
    assert str(tmp_path) in page
    assert not TrainingJob.objects.exists()
