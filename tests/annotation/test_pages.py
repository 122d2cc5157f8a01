from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from annotation.choices import ImportState, LabelHow, RemarkKind
from annotation.models import Dataset, Image, ImportJob, ImportRemark, Label
from annotation.services.datasets import create_class
from annotation.services.labels import label_images
from tests.annotation import factories

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media", "asked_workers")]


@pytest.fixture
def asked_workers(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The imports that a worker was asked to take, instead of asking one."""
    asked: list[int] = []
    monkeypatch.setattr("annotation.tasks.run_import.delay", asked.append)
    return asked


@pytest.fixture
def quality(client: Client, people: dict) -> Client:
    client.force_login(people["quality"], "django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def dataset(db) -> Dataset:
    return factories.dataset()


def upload(name: str, content: bytes) -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content)


def text_of(response) -> str:
    return response.content.decode()


def test_without_datasets_the_page_says_what_one_is(quality: Client) -> None:
    page = text_of(quality.get(reverse("datasets")))
    assert "No dataset yet" in page
    assert reverse("dataset_new") in page


def test_a_card_shows_counts_pictures_and_what_is_synthetic(quality: Client, dataset: Dataset) -> None:
    Dataset.objects.update(is_synthetic=True)
    image = factories.image(dataset)
    page = text_of(quality.get(reverse("datasets")))
    assert reverse("image_thumbnail", args=[image.pk]) in page
    assert "synthetic" in page
    assert "1 unlabelled" in page


@pytest.mark.django_db(transaction=True)
def test_a_dataset_and_its_zip_are_made_in_one_step(
    quality: Client, tmp_path: Path, asked_workers: list[int]
) -> None:
    zipped = factories.archive(tmp_path / "set.zip", {"good/1.png": factories.picture()}).read_bytes()
    response = quality.post(reverse("dataset_new"), {"name": "Gear", "archive": upload("set.zip", zipped)})
    job = ImportJob.objects.get()
    assert response.url == job.get_absolute_url()
    assert Path(job.source).read_bytes() == zipped
    assert (job.source_name, job.is_upload, job.dataset.name) == ("set.zip", True, "Gear")
    assert asked_workers == [job.pk]


def test_an_empty_dataset_leads_on_to_adding_images(quality: Client) -> None:
    response = quality.post(reverse("dataset_new"), {"name": "Gear"})
    assert response.url == reverse("imports", args=["gear"])


def test_a_name_that_is_taken_is_said_beside_its_field(quality: Client, dataset: Dataset) -> None:
    page = text_of(quality.post(reverse("dataset_new"), {"name": "bracket"}))
    assert "There is a dataset “bracket” already." in page
    said = quality.post(reverse("dataset_new"), {"name": "bracket"}, headers={"Accept": "application/json"})
    assert (said.status_code, list(said.json())) == (400, ["name"])


def test_an_archive_over_the_limit_is_refused(quality: Client, dataset: Dataset, settings) -> None:
    settings.MAX_UPLOAD_BYTES = 10
    response = quality.post(
        reverse("imports", args=["bracket"]), {"files": upload("a.zip", b"PK" + bytes(20))}
    )
    assert response.status_code == 400
    assert "at most" in text_of(response)
    assert not ImportJob.objects.exists()


def test_single_images_go_straight_in_and_each_refusal_is_said(quality: Client, dataset: Dataset) -> None:
    content = factories.picture()
    files = [upload("a.png", content), upload("b.png", content), upload("c.png", b"no image")]
    response = quality.post(reverse("imports", args=["bracket"]), {"files": files}, follow=True)
    page = text_of(response)
    assert response.redirect_chain[-1][0] == dataset.get_absolute_url()
    assert "1 image is in" in page
    assert "b.png is byte-identical to a.png" in page
    assert "c.png: The content is not a JPEG" in page
    assert [image.name for image in dataset.images.all()] == ["a.png"]


@pytest.mark.django_db(transaction=True)
def test_a_zip_among_single_images_becomes_an_import(
    quality: Client, dataset: Dataset, asked_workers: list[int]
) -> None:
    files = [upload("a.png", factories.picture()), upload("set", b"PK\x03\x04")]
    response = quality.post(reverse("imports", args=["bracket"]), {"files": files})
    job = ImportJob.objects.get()
    assert response.url == job.get_absolute_url()
    assert asked_workers == [job.pk]
    assert dataset.images.count() == 1


def job_of(dataset: Dataset, **fields: object) -> ImportJob:
    return ImportJob.objects.create(dataset=dataset, source="/x.zip", source_name="x.zip", **fields)


def test_a_running_import_asks_for_itself_every_second_until_it_is_over(
    quality: Client, dataset: Dataset
) -> None:
    job = job_of(dataset, state=ImportState.RUNNING, files_total=10, files_done=5)
    assert 'hx-trigger="every 1s"' in text_of(quality.get(job.get_absolute_url()))
    partial = text_of(quality.get(job.get_absolute_url(), headers={"HX-Request": "true"}))
    assert "<html" not in partial
    assert 'value="50"' in partial
    ImportJob.objects.update(state=ImportState.DONE)
    assert "every 1s" not in text_of(quality.get(job.get_absolute_url(), headers={"HX-Request": "true"}))


def test_every_refused_file_can_be_read_page_by_page(quality: Client, dataset: Dataset) -> None:
    job = job_of(dataset, state=ImportState.DONE, refused=150)
    ImportRemark.objects.bulk_create(
        ImportRemark(job=job, kind=RemarkKind.REFUSED, file=f"f{at:03}.png", reason="Why.")
        for at in range(150)
    )
    first = quality.get(job.get_absolute_url())
    assert text_of(first).count("Why.") == 100
    after = first.context["refusals"]["after"]
    more = quality.get(
        job.get_absolute_url(), {"kind": "refused", "after": after}, headers={"HX-Request": "true"}
    )
    assert text_of(more).count("Why.") == 50
    assert "f149.png" in text_of(more)


@pytest.mark.django_db(transaction=True)
def test_a_failed_import_can_be_run_again(
    quality: Client, dataset: Dataset, asked_workers: list[int]
) -> None:
    job = job_of(dataset, state=ImportState.FAILED, error="The disk was full.")
    assert "The disk was full." in text_of(quality.get(job.get_absolute_url()))
    quality.post(reverse("import_repeat", args=["bracket", job.pk]))
    job.refresh_from_db()
    assert (job.state, asked_workers) == (ImportState.QUEUED, [job.pk])


def test_the_gallery_goes_on_where_it_ended(quality: Client, dataset: Dataset) -> None:
    factories.images(dataset, 70)
    first = quality.get(dataset.get_absolute_url())
    assert len(first.context["images"]) == 60
    more = quality.get(first.context["more_url"], headers={"HX-Request": "true"})
    assert [image.name for image in more.context["images"]] == [f"part{at}.png" for at in range(60, 70)]
    assert more.context["more_url"] is None
    assert "<html" not in text_of(more)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, {"ok", "crack", "plain", "item"}),
        ({"show": "ok"}, {"ok"}),
        ({"show": "ng"}, {"crack"}),
        ({"show": "1"}, {"crack"}),
        ({"show": "unlabelled"}, {"plain", "item"}),
        ({"show": "disputed"}, {"crack"}),
        ({"item": "p7"}, {"item"}),
        ({"view": "top"}, {"item"}),
        ({"item": "p7", "view": "side"}, set()),
        ({"search": "LAI"}, {"plain"}),
        ({"show": "nonsense"}, set()),
        ({"show": "99999999999"}, set()),
    ],
)
def test_the_gallery_filters(
    quality: Client, dataset: Dataset, people: dict, query: dict, expected: set
) -> None:
    made = {name: factories.image(dataset, name=name) for name in ("ok", "crack", "plain")}
    factories.image(dataset, name="item", item="p7", view="top")
    ok, crack = dataset.classes.get(), create_class(dataset=dataset, name="crack", actor=None)
    for name, label_class, author in [
        ("ok", ok, "quality"), ("crack", ok, "quality"), ("crack", crack, "engineer"),
    ]:  # fmt: skip
        label_images(
            images=[made[name]], label_class=label_class, author=people[author], how=LabelHow.KEYBOARD
        )
    page = quality.get(dataset.get_absolute_url(), query)
    assert {image.name for image in page.context["images"]} == expected


def test_labelling_works_without_script(quality: Client, dataset: Dataset) -> None:
    images = factories.images(dataset, 3)
    ids = [image.pk for image in images[:2]]
    quality.post(reverse("dataset_label", args=["bracket"]), {"images": ids, "class": "NG"})
    assert dataset.images.filter(current_class__name="NG").count() == 2
    quality.post(reverse("dataset_label", args=["bracket"]), {"images": ids[:1], "undo": "1"})
    assert dataset.images.filter(current_class__name="NG").count() == 1


def test_the_gallery_never_sends_anybody_to_another_site(quality: Client, dataset: Dataset) -> None:
    response = quality.post(
        reverse("dataset_label", args=["bracket"]),
        {"class": "OK"},
        headers={"Referer": "https://evil.example/"},
    )
    assert response.url == dataset.get_absolute_url()


def test_an_image_shows_who_said_what_and_a_dispute_can_be_settled(
    quality: Client, dataset: Dataset, people: dict
) -> None:
    image = factories.image(dataset, item="p7")
    ok, crack = dataset.classes.get(), create_class(dataset=dataset, name="crack", actor=None)
    label_images(images=[image], label_class=ok, author=people["admin"], how=LabelHow.KEYBOARD)
    label_images(images=[image], label_class=crack, author=people["engineer"], how=LabelHow.API)
    page = text_of(quality.get(image.get_absolute_url()))
    for word in ("admin", "engineer", "disputed", "It is crack", "p7"):
        assert word in page
    quality.post(reverse("image_label", args=[image.pk]), {"class": "crack", "adjudicate": "1"})
    image.refresh_from_db()
    assert (image.current_class, image.is_disputed) == (crack, False)
    assert "settled" in text_of(quality.get(image.get_absolute_url()))


def test_a_label_can_be_given_and_taken_back_on_the_image_page(quality: Client, dataset: Dataset) -> None:
    image = factories.image(dataset)
    url = reverse("image_label", args=[image.pk])
    quality.post(url, {"class": "OK"})
    quality.post(url, {"undo": "1"})
    image.refresh_from_db()
    assert image.current_class is None
    assert [label.how for label in Label.objects.all()] == ["keyboard", "undo"]
    assert "no word of yours" in text_of(quality.post(url, {"undo": "1"}, follow=True))


def test_classes_are_added_and_renamed_with_their_numbers_shown(quality: Client, dataset: Dataset) -> None:
    page = text_of(quality.post(reverse("class_new", args=["bracket"]), {"name": "crack"}, follow=True))
    assert "The class crack has the number 1." in page
    quality.post(reverse("class_rename", args=["bracket", 1]), {"name": "fissure"})
    assert dataset.classes.get(number=1).name == "fissure"
    refused = quality.post(reverse("class_new", args=["bracket"]), {"name": "Fissure"})
    assert refused.status_code == 400
    assert "already" in text_of(refused)


def test_a_dataset_is_deleted_only_with_its_name_typed(quality: Client, dataset: Dataset) -> None:
    url = reverse("dataset_delete", args=["bracket"])
    assert "Nothing was deleted" in text_of(quality.post(url, {"name": "bracket"}))
    assert Dataset.objects.exists()
    assert quality.post(url, {"name": "Bracket"}).url == reverse("datasets")
    assert not Dataset.objects.exists()


def test_no_page_asks_another_host_for_anything(quality: Client, dataset: Dataset) -> None:
    factories.image(dataset)
    for name, arguments in [("datasets", []), ("dataset", ["bracket"]), ("imports", ["bracket"])]:
        page = text_of(quality.get(reverse(name, args=arguments)))
        assert "http://" not in page.replace("http://www.w3.org/", "")
        assert "https://" not in page


def test_files_are_sent_for_good_and_only_to_people(
    client: Client, quality: Client, dataset: Dataset, people: dict
) -> None:
    image = factories.image(dataset)
    for name in ("image_file", "image_thumbnail"):
        response = quality.get(reverse(name, args=[image.pk]))
        assert response["Content-Type"] in {"image/png", "image/jpeg"}
        assert response["X-Content-Type-Options"] == "nosniff"
        assert {"private", "immutable"} <= set(response["Cache-Control"].split(", "))
        assert Client().get(reverse(name, args=[image.pk])).status_code == 302
    assert quality.get(reverse("image_file", args=[image.pk])).content == image.path.read_bytes()


def test_a_lost_file_is_not_found(quality: Client, dataset: Dataset) -> None:
    image = factories.image(dataset)
    image.path.unlink()
    assert quality.get(reverse("image_file", args=[image.pk])).status_code == 404
    assert quality.get(reverse("image_thumbnail", args=[image.pk])).status_code == 404


def test_media_are_sent_by_their_type(quality: Client, media: Path) -> None:
    factories.folder(media, {"maps/a.png": factories.picture(), "x.html": "<script>"})
    assert quality.get("/media/maps/a.png")["Content-Type"] == "image/png"
    assert quality.get("/media/x.html")["Content-Type"] == "application/octet-stream"
    assert Client().get("/media/maps/a.png").status_code == 302


@pytest.mark.parametrize(
    "path", ["../secret", "maps/../../secret", "%2e%2e/secret", "maps", "", "linked", "a%00b", "/etc/passwd"]
)
def test_nothing_outside_the_media_folder_is_ever_sent(quality: Client, media: Path, path: str) -> None:
    factories.folder(media, {"maps/a.png": b"x"})
    secret = media.parent / "secret"
    secret.write_text("secret")
    (media / "linked").symlink_to(secret)
    response = quality.get(f"/media/{path}")
    assert response.status_code == 404
    assert b"secret" not in response.content.replace(b"/secret", b"")
    assert Path(django_settings.MEDIA_ROOT) == media


def test_images_of_other_datasets_are_not_labelled_by_the_gallerys_form(
    quality: Client, dataset: Dataset
) -> None:
    [foreign] = factories.images(factories.dataset("Other"), 1)
    quality.post(reverse("dataset_label", args=["bracket"]), {"images": [foreign.pk], "class": "OK"})
    assert Image.objects.get(pk=foreign.pk).current_class is None
