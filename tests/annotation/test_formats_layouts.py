from pathlib import Path

import pytest

from annotation.formats import Entry, FolderTree, FormatError, Refusal, open_source, read_source
from tests.annotation.factories import archive, folder, mask


def entries(tmp_path: Path, layout: str, *names: str, **contents: bytes) -> list[Entry | Refusal]:
    source = folder(tmp_path, dict.fromkeys(names, b"x") | contents)
    reading = read_source(FolderTree(source), layout)
    found = list(reading.listing.entries)
    assert len(found) == reading.listing.count
    return found


def layout_of(tmp_path: Path, *names: str) -> str:
    source = folder(tmp_path, dict.fromkeys(names, b"x"))
    reading = read_source(FolderTree(source))
    assert reading.reason.endswith(".")
    return reading.layout


def test_the_first_folder_is_the_class_and_good_is_ok(tmp_path: Path) -> None:
    assert entries(tmp_path, "folders", "good/1.png", "crack/a/2.png", "free/3.png", "4.png") == [
        Entry("4.png", None),
        Entry("crack/a/2.png", "crack"),
        Entry("free/3.png", "OK"),
        Entry("good/1.png", "OK"),
    ]


def test_a_mask_beside_its_image_is_no_image(tmp_path: Path) -> None:
    found = entries(tmp_path, "folders", "crack/1.png", "crack/1_mask.png", "ok/2_mask.png")
    assert [entry.path for entry in found] == ["crack/1.png", "ok/2_mask.png"]


def test_a_folder_that_is_a_bare_number_is_refused(tmp_path: Path) -> None:
    found = entries(tmp_path, "folders", "0/1.png", "OK/2.png")
    assert isinstance(found[0], Refusal)
    assert found[1] == Entry("OK/2.png", "OK")


def test_one_folder_per_part_is_recognised_as_the_mistake_it_is(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="one folder or name per part"):
        entries(tmp_path, "folders", *(f"serial{at}/1.png" for at in range(101)))


def test_plain_images_come_in_unlabelled_whatever_their_folder(tmp_path: Path) -> None:
    assert entries(tmp_path, "plain", "crack/1.png", "2.png") == [Entry("2.png"), Entry("crack/1.png")]


def test_an_mvtec_tree_is_read_without_its_masks(tmp_path: Path) -> None:
    found = entries(
        tmp_path, "mvtec", "train/good/000.png", "test/good/000.png", "test/crack/000.png",
        "ground_truth/crack/000_mask.png", "readme.txt", "stray.png",
    )  # fmt: skip
    assert found == [
        Refusal("stray.png", "It lies outside train/<class> and test/<class>."),
        Entry("test/crack/000.png", "crack"),
        Entry("test/good/000.png", "OK"),
        Entry("train/good/000.png", "OK"),
    ]


def test_several_mvtec_products_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="bottle, cable"):
        entries(tmp_path, "auto", "bottle/train/good/0.png", "cable/train/good/0.png")


def test_kolektor_is_ng_only_where_a_mask_marks_a_pixel(tmp_path: Path) -> None:
    found = entries(
        tmp_path,
        "kolektor",
        "kos01/Part0.jpg",
        "kos01/Part1.jpg",
        "kos02/Part0.jpg",
        **{
            "kos01/Part0_label.bmp": mask(False, "BMP"),
            "kos01/Part1_label.bmp": mask(True, "BMP"),
            "kos02/Part0_mask.png": mask(True),
        },
    )
    assert found == [
        Entry("kos01/Part0.jpg", "OK", "kos01"),
        Entry("kos01/Part1.jpg", "NG", "kos01"),
        Entry("kos02/Part0.jpg", "NG", "kos02"),
    ]


def test_kolektor_refuses_an_image_whose_mask_is_damaged(tmp_path: Path) -> None:
    found = entries(tmp_path, "kolektor", "kos01/Part0.jpg", "kos01/Part0_label.bmp")
    assert isinstance(found[0], Refusal)
    assert "its class is not known" in found[0].reason


@pytest.mark.parametrize(("layout", "said"), [("kolektor", "no KolektorSDD"), ("mvtec", "no MVTec AD")])
def test_a_layout_that_was_asked_for_but_is_not_there_is_refused(
    tmp_path: Path, layout: str, said: str
) -> None:
    with pytest.raises(FormatError, match=said):
        entries(tmp_path, layout, "a/1.png")


@pytest.mark.parametrize(
    ("names", "layout"),
    [
        (["labels.csv", "good/1.png", "bad/1.png"], "csv"),
        (["kos01/Part0.jpg", "kos01/Part0_label.bmp"], "kolektor"),
        (["train/good/0.png", "test/crack/0.png"], "mvtec"),
        (["good/1.png", "crack/1.png"], "folders"),
        (["NG/1.png"], "folders"),
        (["holiday/1.png"], "plain"),
        (["1.png", "2.png"], "plain"),
    ],
)
def test_auto_recognises(tmp_path: Path, names: list[str], layout: str) -> None:
    if layout == "csv":
        folder(tmp_path, {"labels.csv": "file,label\n"})
        assert read_source(FolderTree(tmp_path)).layout == "csv"
    else:
        assert layout_of(tmp_path, *names) == layout


def test_folders_that_only_wrap_are_taken_off(tmp_path: Path) -> None:
    source = archive(tmp_path / "set.zip", {"data/set/good/1.png": b"x", "data/set/crack/1.png": b"y"})
    with open_source(source, max_total_bytes=1000) as tree:
        reading = read_source(tree)
        assert [entry.path for entry in reading.listing.entries] == ["crack/1.png", "good/1.png"]
        assert reading.tree.read("good/1.png", 10) == b"x"


def test_nothing_at_all_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no files"):
        read_source(FolderTree(tmp_path))
    with pytest.raises(FormatError, match="nothing at"):
        open_source(tmp_path / "nowhere", max_total_bytes=1)
