from pathlib import Path

import pytest

from annotation.formats import Entry, FolderTree, FormatError, Refusal, read_source
from tests.annotation.factories import folder


def read(tmp_path: Path, table: str | bytes, *files: str) -> list[Entry | Refusal]:
    source = folder(tmp_path, dict.fromkeys(files, b"x") | {"labels.csv": table})
    reading = read_source(FolderTree(source), "csv")
    entries = list(reading.listing.entries)
    assert len(entries) == reading.listing.count
    return entries


def reasons(entries: list[Entry | Refusal]) -> dict[str, str]:
    return {entry.path: entry.reason for entry in entries if isinstance(entry, Refusal)}


def test_every_column_is_read(tmp_path: Path) -> None:
    digest = "AB" * 32
    table = f"file,label,class,item,view,mask,sha256\na.png,NG,crack,p1,top,a_m.png,{digest}\n"
    assert read(tmp_path, table, "a.png", "a_m.png") == [Entry("a.png", "crack", "p1", "top", digest.lower())]


@pytest.mark.parametrize(
    ("label", "class_word", "expected"),
    [
        ("OK", "", "OK"),
        ("good", "", "OK"),
        ("OK", "free", "OK"),
        ("NG", "", "NG"),
        ("ng", "crack", "crack"),
        ("crack", "", "crack"),
        ("crack", "NG", "crack"),
        ("", "crack", "crack"),
        ("", "", None),
        ("NG", "NG", "NG"),
    ],
)
def test_label_and_class_say_one_class(
    tmp_path: Path, label: str, class_word: str, expected: str | None
) -> None:
    [entry] = read(tmp_path, f"file,label,class\na.png,{label},{class_word}\n", "a.png")
    assert entry == Entry("a.png", expected)


@pytest.mark.parametrize(
    ("label", "class_word"), [("OK", "crack"), ("NG", "good"), ("crack", "scratch"), ("OK", "NG")]
)
def test_a_class_that_contradicts_its_label_is_refused(tmp_path: Path, label: str, class_word: str) -> None:
    found = read(tmp_path, f"file,label,class\na.png,{label},{class_word}\n", "a.png")
    assert "contradict" in reasons(found)["a.png"]
    assert "line 2" in reasons(found)["a.png"]


def test_a_bare_number_is_refused_because_it_may_mean_either(tmp_path: Path) -> None:
    assert "bare number" in reasons(read(tmp_path, "file,label\na.png,0\n", "a.png"))["a.png"]


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    found = reasons(read(tmp_path, "file,label\na.png,OK\nb.png,OK\n", "a.png"))
    assert list(found) == ["b.png"]
    assert "no such file" in found["b.png"]


def test_a_file_named_twice_with_different_classes_is_refused_with_both(tmp_path: Path) -> None:
    found = reasons(read(tmp_path, "file,label,class\na.png,OK,\na.png,NG,crack\n", "a.png"))
    assert "OK and as crack" in found["a.png"]


def test_a_file_named_twice_with_the_same_words_is_taken_once(tmp_path: Path) -> None:
    assert read(tmp_path, "file,label\na.png,OK\n./a.png,ok\n", "a.png") == [Entry("a.png", "OK")]


def test_a_file_named_twice_with_different_items_is_refused(tmp_path: Path) -> None:
    assert (
        "different items"
        in reasons(read(tmp_path, "file,label,item\na.png,OK,1\na.png,OK,2\n", "a.png"))["a.png"]
    )


def test_a_file_that_the_table_does_not_name_is_refused_but_masks_are_not_mentioned(tmp_path: Path) -> None:
    found = reasons(
        read(tmp_path, "file,label,mask\na.png,NG,seen.png\n", "a.png", "a_mask.png", "seen.png", "b.png")
    )
    assert found == {"b.png": "labels.csv does not name it."}


@pytest.mark.parametrize("name", ["../a.png", "/etc/passwd", "C:\\a.png", "x/../../a.png"])
def test_a_name_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    found = read(tmp_path, f"file,label\n{name},OK\na.png,OK\n", "a.png")
    assert len(reasons(found)) == 1
    assert Entry("a.png", "OK") in found


def test_windows_names_mean_the_same_files(tmp_path: Path) -> None:
    assert read(tmp_path, "file,label\nkos01\\a.png,OK\n", "kos01/a.png") == [Entry("kos01/a.png", "OK")]


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_the_separators_of_spreadsheets_are_taken(tmp_path: Path, delimiter: str) -> None:
    table = delimiter.join(["file", "label"]) + "\r\n" + delimiter.join(["a.png", "NG"]) + "\r\n"
    assert read(tmp_path, b"\xef\xbb\xbf" + table.encode(), "a.png") == [Entry("a.png", "NG")]


def test_a_hash_that_is_none_is_refused(tmp_path: Path) -> None:
    assert "64 hexadecimal" in reasons(read(tmp_path, "file,label,sha256\na.png,OK,12\n", "a.png"))["a.png"]


def test_a_row_with_too_few_columns_is_refused_with_its_line(tmp_path: Path) -> None:
    found = reasons(read(tmp_path, "file,label\na.png\nb.png,OK\n", "a.png", "b.png"))
    assert "line 2" in found["a.png"]
    assert "1 columns" in found["a.png"]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("file\na.png\n", "no column label"),
        ("", "no column file and no column label"),
        ("file,label,label\n", "twice"),
        ("file,label,colour\n", "'colour' that means nothing"),
        ('file,label\n"a.png,OK\n', "line 2"),
        (b"file,label\n\xff\xfe,OK\n", "UTF-8"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused_as_a_whole(
    tmp_path: Path, table: str | bytes, said: str
) -> None:
    with pytest.raises(FormatError, match=said):
        read(tmp_path, table, "a.png")


def test_more_classes_than_anybody_means_are_refused(tmp_path: Path) -> None:
    names = [f"part{at}.png" for at in range(101)]
    rows = "".join(f"{name},kind{at}\n" for at, name in enumerate(names))
    with pytest.raises(FormatError, match="101 classes"):
        read(tmp_path, f"file,label\n{rows}", *names)


def test_without_a_table_the_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"no labels\.csv"):
        read_source(FolderTree(folder(tmp_path, {"a.png": b"x"})), "csv")
