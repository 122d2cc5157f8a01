"""The adviser on the new-job page."""

import pytest
from django.urls import reverse

from tests.ml.factories import make_dataset

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(media, client, people):
    client.force_login(people["quality"])

    def shown(name: str, **query: str) -> str:
        return client.get(reverse(name), query).content.decode()

    return shown


def test_a_proposed_method_can_be_chosen_by_its_label(page):
    make_dataset(ok=12, ng=12)
    html = page("training_needs", dataset="bolts", method="")
    assert "Which method?" in html
    assert "12 OK images and 12 NG images" in html
    form = page("training_new", dataset="bolts")
    assert 'id="method-weak"' in form


def test_the_first_proposal_is_chosen_beforehand(page):
    make_dataset(ok=12, ng=12)
    form = page("training_new", dataset="bolts")
    assert form.split('id="method-weak"')[1].split(">")[0].endswith("checked")


def test_without_enough_images_it_says_what_to_label(page):
    make_dataset(ok=3, ng=1)
    html = page("training_needs", dataset="bolts", method="weak")
    assert "No method can be trained on these images yet." in html
    assert "more NG" in html


def test_without_a_dataset_there_is_no_advice(page):
    make_dataset(ok=3)
    assert "Which method?" not in page("training_needs", dataset="", method="weak")
