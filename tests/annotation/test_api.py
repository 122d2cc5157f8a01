from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from knox.models import AuthToken
from rest_framework.test import APIClient

from annotation.choices import ImportState, LabelHow, RemarkKind
from annotation.models import Dataset, Image, ImportJob, ImportRemark, Label
from annotation.services.datasets import create_class
from tests.annotation import factories

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media")]


@pytest.fixture
def api(people: dict) -> APIClient:
    """A program with the token of a quality engineer."""
    client = APIClient()
    _, token = AuthToken.objects.create(people["quality"])
    client.credentials(HTTP_AUTHORIZATION=f"Token {token}")
    return client


@pytest.fixture
def dataset(db) -> Dataset:
    return factories.dataset()


def upload(content: bytes, name: str = "a.png") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content)


def test_a_dataset_is_made_listed_and_read(api: APIClient) -> None:
    made = api.post("/api/v1/datasets/", {"name": "Gear", "description": "left"})
    assert made.status_code == 201
    assert made.json()["classes"] == [{"number": 0, "name": "OK"}]
    assert made.json()["counts"] == {"images": 0, "ok": 0, "ng": 0, "unlabelled": 0, "disputed": 0}
    listed = api.get("/api/v1/datasets/").json()
    assert set(listed) == {"next", "previous", "results"}
    assert listed["results"] == [made.json()]
    assert api.get("/api/v1/datasets/gear/").json() == made.json()


def test_a_name_that_is_taken_is_a_conflict_with_words(api: APIClient, dataset: Dataset) -> None:
    answer = api.post("/api/v1/datasets/", {"name": "bracket"})
    assert answer.status_code == 409
    assert answer.json() == {"detail": "There is a dataset “bracket” already.", "code": "dataset_refused"}


@pytest.mark.parametrize(
    "address", ["datasets/none/", "datasets/none/images/", "datasets/none/classes/", "datasets/none/regions/",
                "datasets/none/imports/", "datasets/bracket/imports/1/", "images/1/", "images/1/labels/"],
)  # fmt: skip
def test_what_is_not_there_is_not_found(api: APIClient, dataset: Dataset, address: str) -> None:
    assert api.get(f"/api/v1/{address}").status_code == 404


def test_an_image_comes_in_once_and_the_second_time_is_told_apart(api: APIClient, dataset: Dataset) -> None:
    content = factories.picture()
    fields = {"class": "NG", "item": "p7", "view": "top", "captured_at": "2026-01-02T03:04:05Z"}
    first = api.post(
        "/api/v1/datasets/bracket/images/", {"image": upload(content), **fields}, format="multipart"
    )
    assert first.status_code == 201
    record = first.json()
    assert record["class"] == {"number": 1, "name": "NG"}
    assert record["sources"] == [{"name": "a.png", "item": "p7", "view": "top"}]
    assert (record["height"], record["width"], record["captured_at"]) == (24, 32, "2026-01-02T03:04:05Z")
    assert Label.objects.get().how == LabelHow.API

    second = api.post(
        "/api/v1/datasets/bracket/images/", {"image": upload(content, "b.png")}, format="multipart"
    )
    assert (second.status_code, second.json()["id"]) == (200, record["id"])
    assert [source["name"] for source in second.json()["sources"]] == ["a.png", "b.png"]
    assert api.get(f"/api/v1/images/{record['id']}/").json() == second.json()


def test_a_client_s_file_name_is_not_trusted(api: APIClient, dataset: Dataset) -> None:
    sent = upload(factories.picture())
    sent._name = "..\\..\\evil\x00\n.png"
    answer = api.post("/api/v1/datasets/bracket/images/", {"image": sent}, format="multipart")
    assert answer.json()["name"].isprintable()
    assert ".." not in answer.json()["name"]


def test_an_image_with_an_unknown_class_is_refused_whole(api: APIClient, dataset: Dataset) -> None:
    answer = api.post(
        "/api/v1/datasets/bracket/images/",
        {"image": upload(factories.picture()), "class": "crakc"},
        format="multipart",
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "class_unknown")
    assert not Image.objects.exists()


def test_what_is_no_image_is_refused_with_words(api: APIClient, dataset: Dataset, settings) -> None:
    url = "/api/v1/datasets/bracket/images/"
    answer = api.post(url, {"image": upload(b"no image")}, format="multipart")
    assert (answer.status_code, answer.json()["code"]) == (400, "image_refused")
    settings.MAX_IMAGE_BYTES = 10
    answer = api.post(url, {"image": upload(factories.picture())}, format="multipart")
    assert "at most" in answer.json()["detail"]
    assert api.post(url, {}, format="multipart").json() == {"image": ["No file was submitted."]}


def test_images_are_listed_newest_first_page_by_page_and_filtered(api: APIClient, dataset: Dataset) -> None:
    made = factories.images(dataset, 5)
    first = api.get("/api/v1/datasets/bracket/images/", {"page_size": 3}).json()
    second = api.get(first["next"]).json()
    ids = [image["id"] for image in first["results"] + second["results"]]
    assert ids == [image.pk for image in reversed(made)]
    assert second["next"] is None
    found = api.get("/api/v1/datasets/bracket/images/", {"show": "ok"}).json()["results"]
    assert found == []
    assert len(api.get("/api/v1/datasets/bracket/images/", {"show": "unlabelled"}).json()["results"]) == 5


def test_a_label_is_said_once_and_listed(api: APIClient, dataset: Dataset) -> None:
    image = factories.image(dataset)
    url = f"/api/v1/images/{image.pk}/labels/"
    said = api.post(url, {"class": "OK"})
    assert said.status_code == 201
    assert (said.json()["class"], said.json()["author"]) == ({"number": 0, "name": "OK"}, "quality")
    again = api.post(url, {"class": "ok"})
    assert (again.status_code, again.json()["id"]) == (200, said.json()["id"])
    withdrawn = api.post(url, {"class": None})
    assert (withdrawn.status_code, withdrawn.json()["class"]) == (201, None)
    assert [label["class"] for label in api.get(url).json()["results"]] == [None, {"number": 0, "name": "OK"}]


def test_withdrawing_what_was_never_said_is_refused(api: APIClient, dataset: Dataset) -> None:
    image = factories.image(dataset)
    assert api.post(f"/api/v1/images/{image.pk}/labels/", {"class": None}).status_code == 400


def test_many_images_are_labelled_at_once_and_undone(api: APIClient, dataset: Dataset) -> None:
    create_class(dataset=dataset, name="crack", actor=None)
    ids = [image.pk for image in factories.images(dataset, 3)]
    url = "/api/v1/datasets/bracket/labels/"
    answer = api.post(url, {"images": ids[:2], "class": "crack"}).json()
    assert answer["images"] == [
        {"id": pk, "is_disputed": False, "class": {"number": 1, "name": "crack"}} for pk in ids[:2]
    ]
    assert answer["changed"] == ids[:2]
    assert answer["counts"] == {"images": 3, "ok": 0, "ng": 2, "unlabelled": 1, "disputed": 0}
    assert api.post(url, {"images": ids[:2], "class": "crack"}).json()["changed"] == []
    undone = api.post(f"{url}undo/", {"images": ids}).json()
    assert undone["changed"] == ids[:2]
    assert undone["counts"]["unlabelled"] == 3


def test_one_image_that_is_not_there_changes_nothing(api: APIClient, dataset: Dataset) -> None:
    [image] = factories.images(dataset, 1)
    [foreign] = factories.images(factories.dataset("Other"), 1)
    answer = api.post("/api/v1/datasets/bracket/labels/", {"images": [image.pk, foreign.pk], "class": "OK"})
    assert answer.status_code == 400
    assert "Nothing was changed" in answer.json()["images"][0]
    assert not Label.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        {"images": [], "class": "OK"},
        {"class": "OK"},
        {"images": list(range(1001)), "class": "OK"},
        {"images": [1]},
    ],
)
def test_a_bulk_label_that_says_too_little_or_too_much_is_refused(
    api: APIClient, dataset: Dataset, body: dict
) -> None:
    assert api.post("/api/v1/datasets/bracket/labels/", body).status_code == 400


def test_a_person_at_a_page_labels_by_keyboard(client, people: dict, dataset: Dataset) -> None:
    [image] = factories.images(dataset, 1)
    client.force_login(people["quality"], "django.contrib.auth.backends.ModelBackend")
    client.post(
        "/api/v1/datasets/bracket/labels/",
        {"images": [image.pk], "class": "OK"},
        content_type="application/json",
    )
    assert Label.objects.get().how == LabelHow.KEYBOARD


def test_a_session_without_its_csrf_token_changes_nothing(people: dict, dataset: Dataset) -> None:
    strict = APIClient(enforce_csrf_checks=True)
    strict.force_login(people["quality"], "django.contrib.auth.backends.ModelBackend")
    assert strict.post("/api/v1/datasets/", {"name": "Gear"}).status_code == 403


def test_classes_are_listed_added_and_renamed(api: APIClient, dataset: Dataset) -> None:
    url = "/api/v1/datasets/bracket/classes/"
    assert api.post(url, {"name": "crack"}).json() == {"number": 1, "name": "crack"}
    assert api.put(f"{url}1/", {"name": "fissure"}).json() == {"number": 1, "name": "fissure"}
    assert api.get(url).json() == [{"number": 0, "name": "OK"}, {"number": 1, "name": "fissure"}]
    assert api.put(f"{url}0/", {"name": "fine"}).status_code == 409


def test_a_region_is_set_and_every_version_listed(api: APIClient, dataset: Dataset) -> None:
    factories.image(dataset)
    url = "/api/v1/datasets/bracket/regions/"
    body = {"top": 1, "left": 2, "height": 10, "width": 12, "ignored": [[[0, 0], [4, 0], [0, 4]]]}
    made = api.post(url, body)
    assert made.status_code == 201
    assert (made.json()["version"], made.json()["author"]) == (1, "quality")
    assert api.post(url, body | {"height": 100}).json()["code"] == "region_refused"
    assert [region["version"] for region in api.get(url).json()["results"]] == [1]


@pytest.mark.django_db(transaction=True)
def test_a_zip_is_accepted_and_a_worker_asked(
    api: APIClient, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr("annotation.tasks.run_import.delay", asked.append)
    content = factories.archive(tmp_path / "a.zip", {"good/1.png": factories.picture()}).read_bytes()
    answer = api.post(
        "/api/v1/datasets/bracket/imports/",
        {"archive": upload(content, "a.zip"), "layout": "folders"},
        format="multipart",
    )
    assert (answer.status_code, answer.json()["state"]) == (202, "queued")
    assert asked == [answer.json()["id"]]
    assert Path(ImportJob.objects.get().source).read_bytes() == content
    read = api.get(f"/api/v1/datasets/bracket/imports/{answer.json()['id']}/")
    assert read.json() == answer.json()
    assert api.get("/api/v1/datasets/bracket/imports/").json()["results"] == [answer.json()]


def test_the_remarks_of_an_import_are_listed_by_kind(api: APIClient, dataset: Dataset) -> None:
    job = ImportJob.objects.create(dataset=dataset, source="/x", source_name="x", state=ImportState.DONE)
    for kind in RemarkKind:
        ImportRemark.objects.create(job=job, kind=kind, file="a.png", reason=kind.label)
    url = f"/api/v1/datasets/bracket/imports/{job.pk}/remarks/"
    assert len(api.get(url).json()["results"]) == 2
    assert api.get(url, {"kind": "refused"}).json()["results"] == [
        {"kind": "refused", "file": "a.png", "reason": "Refused"}
    ]


def test_the_schema_describes_every_route_without_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "schema.yml"
    call_command(
        "spectacular", "--urlconf", "tests.annotation.api_only_urls", "--fail-on-warn", "--file", path
    )
    assert "/api/v1/datasets/{slug}/labels/undo/" in path.read_text()
