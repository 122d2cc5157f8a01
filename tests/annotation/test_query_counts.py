"""The number of queries of each list does not depend on how much there is to list."""

import pytest
from django.test import Client
from django.urls import reverse

from annotation.choices import ImportState, LabelHow
from annotation.models import Dataset, ImportJob
from annotation.services.labels import label_images
from tests.annotation import factories

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media")]

# Session and user come to two of each.
BASELINE = {
    "datasets": 5,
    "dataset": 8,
    "imports": 4,
    "image": 8,
    "api_datasets": 6,
    "api_dataset": 6,
    "api_dataset_images": 5,
    "api_image_labels": 4,
    "api_imports": 4,
    "api_classes": 4,
}


def fill(dataset: Dataset, people: dict) -> None:
    for at in range(8):
        image = factories.image(dataset, item=f"p{at}")
        for author in people.values():
            label_images(
                images=[image],
                label_class=dataset.classes.get(number=0),
                author=author,
                how=LabelHow.KEYBOARD,
            )
        ImportJob.objects.create(
            dataset=dataset,
            source="/x",
            source_name="x",
            created_by=people["quality"],
            state=ImportState.DONE,
        )
        factories.image(factories.dataset(f"Other {at}"))


@pytest.mark.parametrize("name", BASELINE)
def test_a_list_takes_as_many_queries_as_its_baseline_says(
    name: str, people: dict, client: Client, django_assert_num_queries
) -> None:
    dataset = factories.dataset()
    image = factories.image(dataset)
    fill(dataset, people)
    client.force_login(people["quality"], "django.contrib.auth.backends.ModelBackend")
    arguments = {
        "datasets": [], "api_datasets": [], "image": [image.pk], "api_image_labels": [image.pk],
    }.get(name, [dataset.slug])  # fmt: skip
    with django_assert_num_queries(BASELINE[name]):
        assert client.get(reverse(name, args=arguments)).status_code == 200
