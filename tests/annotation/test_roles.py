"""Every page and route of annotation, by every role and by nobody."""

import pytest
from django.test import Client
from django.urls import get_resolver, reverse

from annotation import urls as page_urls
from annotation.api import urls as api_urls
from annotation.models import ImportJob
from tests.annotation import factories

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media")]

EVERYBODY, QUALITY = "operator", "quality"
RANKS = ["operator", "quality", "engineer", "admin"]
PAGES = {
    ("datasets", "get"): EVERYBODY,
    ("dataset_new", "get"): QUALITY,
    ("dataset_new", "post"): QUALITY,
    ("dataset", "get"): EVERYBODY,
    ("dataset_label", "post"): QUALITY,
    ("dataset_settings", "get"): QUALITY,
    ("dataset_settings", "post"): QUALITY,
    ("class_new", "post"): QUALITY,
    ("class_rename", "post"): QUALITY,
    ("dataset_delete", "post"): QUALITY,
    ("imports", "get"): EVERYBODY,
    ("imports", "post"): QUALITY,
    ("import", "get"): EVERYBODY,
    ("import_repeat", "post"): QUALITY,
    ("image", "get"): EVERYBODY,
    ("image_label", "post"): QUALITY,
    ("image_file", "get"): EVERYBODY,
    ("image_thumbnail", "get"): EVERYBODY,
    ("media", "get"): EVERYBODY,
}
ROUTES = {
    ("api_datasets", "get"): EVERYBODY,
    ("api_datasets", "post"): QUALITY,
    ("api_dataset", "get"): EVERYBODY,
    ("api_dataset_images", "get"): EVERYBODY,
    ("api_dataset_images", "post"): QUALITY,
    ("api_dataset_labels", "post"): QUALITY,
    ("api_dataset_labels_undo", "post"): QUALITY,
    ("api_classes", "get"): EVERYBODY,
    ("api_classes", "post"): QUALITY,
    ("api_class", "put"): QUALITY,
    ("api_regions", "get"): EVERYBODY,
    ("api_regions", "post"): QUALITY,
    ("api_imports", "get"): EVERYBODY,
    ("api_imports", "post"): QUALITY,
    ("api_import", "get"): EVERYBODY,
    ("api_import_remarks", "get"): EVERYBODY,
    ("api_image", "get"): EVERYBODY,
    ("api_image_labels", "get"): EVERYBODY,
    ("api_image_labels", "post"): QUALITY,
}


@pytest.fixture
def addresses(db) -> dict[str, str]:
    dataset = factories.dataset()
    image = factories.image(dataset)
    job = ImportJob.objects.create(dataset=dataset, source="/x", source_name="x")
    known = {"slug": dataset.slug, "image_id": image.pk, "pk": image.pk, "job_id": job.pk, "number": 0}
    known["path"] = image.relative_path
    found = {}
    for name in {name for name, _ in [*PAGES, *ROUTES]}:
        [(_, parameters)] = get_resolver().reverse_dict.getlist(name)[0][0]
        values = {key: known[key] for key in parameters}
        if name.startswith("api_import"):
            values |= {"pk": job.pk} if "pk" in values else {}
        found[name] = reverse(name, kwargs=values)
    return found


def test_the_table_names_every_address() -> None:
    named = {name for name, _ in [*PAGES, *ROUTES]}
    assert named == {pattern.name for pattern in [*page_urls.urlpatterns, *api_urls.urlpatterns]}


@pytest.mark.parametrize("role", RANKS)
@pytest.mark.parametrize(("name", "method"), [*PAGES, *ROUTES])
def test_a_role_may_do_what_its_rank_allows(
    addresses: dict[str, str], people: dict, role: str, name: str, method: str
) -> None:
    client = Client()
    client.force_login(people[role], "django.contrib.auth.backends.ModelBackend")
    needed = (PAGES | ROUTES)[name, method]
    status = getattr(client, method)(addresses[name]).status_code
    if RANKS.index(role) >= RANKS.index(needed):
        assert status not in {401, 403, 404, 405, 500}
    else:
        assert status == 403


@pytest.mark.parametrize(("name", "method"), [*PAGES, *ROUTES])
def test_nobody_may_do_nothing(addresses: dict[str, str], name: str, method: str) -> None:
    response = getattr(Client(), method)(addresses[name])
    if name.startswith("api_"):
        assert response.status_code == 401
    else:
        assert response.status_code == 302
        assert response.url.startswith(reverse("login"))
