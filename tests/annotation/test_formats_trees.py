import os
import stat
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from annotation.formats import FolderTree, FormatError, Unreadable, ZipTree
from annotation.formats.zip_tree import RATIO_FLOOR_BYTES
from tests.annotation.factories import archive, folder

ROOMY = 10**9


def opened(path: Path, limit: int = ROOMY) -> ZipTree:
    return ZipTree(path, max_total_bytes=limit)


def test_a_folder_lists_its_files_and_skips_what_systems_leave_behind(tmp_path: Path) -> None:
    folder(
        tmp_path,
        dict.fromkeys(["b/2.png", "a.png", ".DS_Store", "b/Thumbs.db", "__MACOSX/._a", ".git/x"], b"x"),
    )
    tree = FolderTree(tmp_path)
    assert (list(tree.names), tree.refusals) == (["a.png", "b/2.png"], [])


def test_a_folder_follows_links_to_files_but_not_to_folders(tmp_path: Path) -> None:
    outside = folder(tmp_path / "outside", {"x.png": b"x"})
    inside = folder(tmp_path / "inside", {"a.png": b"a"})
    (inside / "linked.png").symlink_to(outside / "x.png")
    (inside / "round").symlink_to(inside)
    (inside / "gone.png").symlink_to(outside / "gone.png")
    tree = FolderTree(inside)
    assert list(tree.names) == ["a.png", "linked.png"]
    assert sorted(refusal.path for refusal in tree.refusals) == ["gone.png", "round"]


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.png")).write_bytes(b"x")
    tree = FolderTree(tmp_path)
    assert not tree.names
    assert tree.refusals[0].path.isprintable()
    assert "can't be shown" in tree.refusals[0].reason


def test_a_file_over_the_limit_is_not_read(tmp_path: Path) -> None:
    folder(tmp_path, {"a.png": b"x" * 11})
    assert FolderTree(tmp_path).read("a.png", 11) == b"x" * 11
    with pytest.raises(Unreadable, match="MB"):
        FolderTree(tmp_path).read("a.png", 10)


def test_an_archive_reads_like_a_folder(tmp_path: Path) -> None:
    files = {"b/2.png": b"two", "a.png": b"one", "__MACOSX/._a.png": b"x", "b/.DS_Store": b"x", "empty/": b""}
    with opened(archive(tmp_path / "a.zip", files)) as tree:
        assert tree.names == ["a.png", "b/2.png"]
        assert tree.read("b/2.png", 100) == b"two"
        assert tree.size("a.png") == 3
        assert not tree.refusals
        with pytest.raises(Unreadable):
            tree.read("a.png", 2)


@pytest.mark.parametrize(
    "name", ["../evil.png", "a/../../evil.png", "/etc/evil.png", "C:/evil.png", "..\\evil.png"]
)
def test_a_member_whose_name_leads_out_is_refused_and_the_rest_goes_in(tmp_path: Path, name: str) -> None:
    with opened(archive(tmp_path / "a.zip", {name: b"x", "good.png": b"y"})) as tree:
        assert tree.names == ["good.png"]
        assert len(tree.refusals) == 1


def test_a_link_in_an_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    link = zipfile.ZipInfo("link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as made:
        made.writestr(link, "/etc/passwd")
    with opened(path) as tree:
        assert not tree.names
        assert "link" in tree.refusals[0].reason


def test_a_member_of_a_thousand_to_one_is_refused(tmp_path: Path) -> None:
    rest = os.urandom(200_000)
    with opened(archive(tmp_path / "a.zip", {"bomb.png": bytes(10_000_000), "good.png": rest})) as tree:
        assert tree.names == ["good.png"]
        assert "times its packed size" in tree.refusals[0].reason


def test_a_small_black_mask_is_no_bomb(tmp_path: Path) -> None:
    content = bytes(RATIO_FLOOR_BYTES // 2)
    files = {"mask.bmp": content, "image.jpg": os.urandom(100_000)}
    with opened(archive(tmp_path / "a.zip", files)) as tree:
        assert tree.read("mask.bmp", ROOMY) == content


def test_an_archive_of_a_thousand_to_one_in_total_is_refused(tmp_path: Path) -> None:
    files = {f"{at}.png": bytes(RATIO_FLOOR_BYTES) for at in range(10)}
    with pytest.raises(FormatError, match="times its size"):
        opened(archive(tmp_path / "a.zip", files))


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"a.png": os.urandom(3000)})
    opened(path, 3000).close()
    with pytest.raises(FormatError, match="at most"):
        opened(path, 2999)


def test_what_is_no_archive_is_told_from_one_that_is_cut_short(tmp_path: Path) -> None:
    whole = archive(tmp_path / "a.zip", {"a.png": os.urandom(5000)})
    cut = tmp_path / "cut.zip"
    cut.write_bytes(whole.read_bytes()[:3000])
    with pytest.raises(FormatError, match="cut short"):
        opened(cut)
    with pytest.raises(FormatError, match="no ZIP archive"):
        opened(folder(tmp_path, {"b.zip": "not at all"}) / "b.zip")
    with pytest.raises(FormatError, match="no ZIP archive"):
        opened(folder(tmp_path, {"empty.zip": b""}) / "empty.zip")


def test_a_damaged_member_is_told_when_it_is_read(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"a.png": b"a" * 100, "b.png": b"b" * 100}, zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    content[content.index(b"aaaa")] = 0
    path.write_bytes(content)
    with opened(path) as tree:
        assert tree.read("b.png", 1000) == b"b" * 100
        with pytest.raises(Unreadable, match="damaged"):
            tree.read("a.png", 1000)


def test_a_directory_that_lies_about_a_size_gains_nothing(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"a.png": bytes(50_000_000)})
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02")
    content[at + 24 : at + 28] = struct.pack("<I", 1000)  # the stated size, in the central directory
    path.write_bytes(content)
    with opened(path) as tree:
        assert tree.size("a.png") == 1000
        tracemalloc.start()
        with pytest.raises(Unreadable, match="damaged"):
            tree.read("a.png", ROOMY)
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak_bytes < 1_000_000


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"a.png": b"x"})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with opened(path) as tree:
        assert "password" in tree.refusals[0].reason


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_is_there_twice_is_taken_once(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("a.png", b"first")
        made.writestr("a.png", b"second")
    with opened(path) as tree:
        assert tree.read("a.png", 100) == b"first"
        assert "twice" in tree.refusals[0].reason
