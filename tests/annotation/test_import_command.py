import os
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from annotation.models import Dataset, Image, ImageSource, ImportJob
from tests.annotation import factories

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media")]


def run(path: Path, name: str = "Bracket", **options: str) -> tuple[dict[str, str], str]:
    """The summary by its first words, and all that was said to standard error."""
    out, errors = StringIO(), StringIO()
    call_command("import_dataset", path, name=name, stdout=out, stderr=errors, **options)
    lines = [line.split(maxsplit=1) for line in out.getvalue().splitlines()]
    return {line[0]: line[1] for line in lines}, errors.getvalue()


def test_a_folder_comes_in_with_a_summary(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    files = {
        "good/1.png": factories.picture(),
        "crack/2.png": factories.picture(),
        "crack/3.png": b"no image",
    }
    summary, errors = run(factories.folder(tmp_path / "set", files))
    assert summary["layout"].startswith("folders (There is one folder per class")
    assert (summary["files"], summary["refused"]) == ("3", "1")
    assert summary["distinct"] == "2 (1 OK, 1 NG, 0 unlabelled)"
    assert "crack/3.png: The content is not a JPEG" in errors
    assert "3 of 3 files" in capfd.readouterr().err


def test_an_existing_dataset_is_added_to(tmp_path: Path) -> None:
    dataset = factories.dataset()
    run(factories.folder(tmp_path / "set", {"good/1.png": factories.picture()}), name="bracket ")
    assert list(Dataset.objects.all()) == [dataset]
    assert dataset.images.count() == 1


def test_a_path_that_is_not_there_makes_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="nothing at"):
        run(tmp_path / "nowhere")
    assert not Dataset.objects.exists()


@pytest.mark.parametrize("files", [{"good/1.png": b"no image"}, {"labels.csv": "name,kind\n"}, {}])
def test_when_nothing_could_be_imported_the_command_fails_and_leaves_no_dataset(
    tmp_path: Path, files: dict
) -> None:
    (tmp_path / "set").mkdir()
    with pytest.raises(CommandError):
        run(factories.folder(tmp_path / "set", files))
    assert not Dataset.objects.exists()


def test_the_layout_can_be_said(tmp_path: Path) -> None:
    source = factories.folder(tmp_path / "set", {"good/1.png": factories.picture()})
    summary, _ = run(source, layout="plain")
    assert summary["layout"] == "plain (You said so.)"
    assert Image.objects.get().current_class is None


@pytest.mark.real_data
@pytest.mark.parametrize("layout", ["auto", "kolektor"])
def test_kolektorsdd_comes_in_whole(layout: str) -> None:
    root = os.environ.get("INSPECTION_DATA_DIR")
    if not root or not (Path(root) / "kolektorsdd").is_dir():
        pytest.skip("INSPECTION_DATA_DIR does not lead to a folder with kolektorsdd/")
    summary, _ = run(Path(root) / "kolektorsdd", "KolektorSDD", layout=layout)
    assert summary["files"] == "399"
    assert summary["byte-identical"] == "16"
    assert summary["refused"] == "0"
    assert summary["images"] == "399 (347 OK, 52 NG) of 50 items"
    assert Image.objects.count() == 383
    assert ImageSource.objects.filter(image__current_class__name="NG").count() == 52
    assert ImageSource.objects.values("item").distinct().count() == 50
    run(Path(root) / "kolektorsdd", "KolektorSDD", layout=layout)
    assert ImportJob.objects.latest("pk").already_there == 399
    assert (Image.objects.count(), ImageSource.objects.count()) == (383, 399)
