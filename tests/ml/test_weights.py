"""Files of pretrained weights: found, refused, added, fetched; and the command that does it."""

import hashlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from ml import weights
from ml.weights import WEIGHT_FILES, WeightFile, WeightsUnusable, add_weights, download_weights, find_weights

CONTENT = b"numbers" * 1000


def a_file(network: str, content: bytes) -> WeightFile:
    return WeightFile(
        network, f"{network}-{hashlib.sha256(content).hexdigest()[:8]}.pth", len(content) / 2**20
    )


@pytest.fixture(autouse=True)
def tiny(monkeypatch) -> WeightFile:
    """One more network, whose file can be made here."""
    known = a_file("tiny", CONTENT)
    monkeypatch.setitem(WEIGHT_FILES, "tiny", known)
    return known


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "weights"


def put(folder: Path, known: WeightFile, content: bytes = CONTENT) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / known.name
    path.write_bytes(content)
    return path


class TestFind:
    def test_a_whole_file_is_found_under_its_own_name(self, folder, tiny):
        path = put(folder, tiny)
        assert find_weights("tiny", folder) == path

    def test_of_a_missing_file_name_size_and_place_are_told(self, folder):
        with pytest.raises(WeightsUnusable) as refused:
            find_weights("vgg16", folder)
        for told in ("vgg16-397923af.pth (528 MiB)", str(folder), "weights add FILE", "--download vgg16"):
            assert told in str(refused.value)

    def test_without_a_folder_it_is_said_that_there_is_none(self):
        with pytest.raises(WeightsUnusable, match="no folder"):
            find_weights("vgg16", None)

    @pytest.mark.parametrize("content", [b"", CONTENT[:-1], CONTENT[:-1] + b"x"])
    def test_a_file_with_another_hash_is_refused_with_both_hashes(self, folder, tiny, content):
        put(folder, tiny, content)
        with pytest.raises(WeightsUnusable, match=f"not with {tiny.sha256_prefix}"):
            find_weights("tiny", folder)

    def test_a_file_that_was_exchanged_is_hashed_again(self, folder, tiny):
        path = put(folder, tiny)
        find_weights("tiny", folder)
        path.write_bytes(b"other" + CONTENT)
        with pytest.raises(WeightsUnusable, match="damaged"):
            find_weights("tiny", folder)

    def test_a_whole_file_is_hashed_once(self, folder, tiny, monkeypatch):
        put(folder, tiny)
        find_weights("tiny", folder)
        monkeypatch.setattr(weights, "_hash", lambda _: pytest.fail("hashed again"))
        find_weights("tiny", folder)

    def test_a_folder_under_the_files_name_is_no_file(self, folder, tiny):
        (folder / tiny.name).mkdir(parents=True)
        with pytest.raises(WeightsUnusable, match="is not in"):
            find_weights("tiny", folder)

    def test_a_name_without_a_hash_is_a_mistake_of_the_program(self):
        with pytest.raises(ValueError, match="SHA-256"):
            WeightFile("tiny", "tiny.pth", 1.0).sha256_prefix  # noqa: B018


class TestAdd:
    def test_a_renamed_file_is_known_by_its_hash_and_gets_its_own_name(self, folder, tmp_path, tiny):
        source = tmp_path / "copy (1).pth"
        source.write_bytes(CONTENT)
        assert add_weights(source, folder) == folder / tiny.name
        assert find_weights("tiny", folder).read_bytes() == CONTENT

    def test_a_damaged_file_is_told_from_an_unknown_one_and_nothing_is_left(self, folder, tmp_path, tiny):
        damaged, unknown = tmp_path / tiny.name, tmp_path / "holiday.jpg"
        damaged.write_bytes(CONTENT[:-1])
        unknown.write_bytes(b"sun")
        with pytest.raises(WeightsUnusable, match="damaged"):
            add_weights(damaged, folder)
        with pytest.raises(WeightsUnusable, match="none of the files"):
            add_weights(unknown, folder)
        assert list(folder.iterdir()) == []

    def test_a_file_that_is_not_there_is_told(self, folder, tmp_path):
        with pytest.raises(WeightsUnusable, match="can't be read"):
            add_weights(tmp_path / "nothing.pth", folder)

    def test_a_whole_file_replaces_a_damaged_one(self, folder, tmp_path, tiny):
        put(folder, tiny, b"damaged")
        source = tmp_path / "whole.pth"
        source.write_bytes(CONTENT)
        add_weights(source, folder)
        assert find_weights("tiny", folder).read_bytes() == CONTENT


class Handler(BaseHTTPRequestHandler):
    content = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(self.content)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def served(monkeypatch) -> Iterator[type[Handler]]:
    """A web server of this machine's in the place of torchvision's."""
    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setattr(weights, "ORIGIN", f"http://127.0.0.1:{server.server_port}/")
    yield Handler
    server.shutdown()
    thread.join()
    server.server_close()


class TestDownload:
    def test_it_is_checked_and_stored(self, served, folder, tiny, monkeypatch):
        monkeypatch.setattr(served, "content", CONTENT)
        seen: list[tuple[int, int]] = []
        assert download_weights("tiny", folder, lambda *event: seen.append(event)) == folder / tiny.name
        assert find_weights("tiny", folder).read_bytes() == CONTENT
        assert seen[-1] == (len(CONTENT), len(CONTENT))

    @pytest.mark.parametrize("content", [CONTENT[:3000], b"x" * len(CONTENT)])
    def test_one_that_broke_off_or_is_something_else_leaves_nothing(
        self, served, folder, monkeypatch, content
    ):
        monkeypatch.setattr(served, "content", content)
        with pytest.raises(WeightsUnusable, match="Try again"):
            download_weights("tiny", folder)
        assert list(folder.iterdir()) == []

    def test_without_a_way_there_the_way_by_hand_is_told(self, folder, monkeypatch):
        monkeypatch.setattr(weights, "ORIGIN", "http://127.0.0.1:1/")
        with pytest.raises(WeightsUnusable, match="weights add FILE"):
            download_weights("tiny", folder)


class TestCommand:
    @pytest.fixture(autouse=True)
    def _folder(self, settings, folder):
        settings.ML_WEIGHTS_DIR = folder

    def test_list_tells_what_is_here_and_where_the_rest_is_to_be_had(self, folder, tiny, capsys):
        put(folder, tiny)
        call_command("weights", "list")
        told = capsys.readouterr().out
        assert re.search(rf"tiny +{tiny.name} .*here$", told, re.MULTILINE)
        assert re.search(r"vgg19 .*548.1 MiB  not here; https://.*vgg19-dcbb9e9d.pth$", told, re.MULTILINE)

    def test_check_ends_well_while_what_is_here_is_whole(self, folder, tiny, capsys):
        put(folder, tiny)
        call_command("weights", "check")
        assert re.search(r"tiny .* whole$", capsys.readouterr().out, re.MULTILINE)

    def test_check_fails_on_a_damaged_file(self, folder, tiny, capsys):
        put(folder, tiny, b"damaged")
        with pytest.raises(CommandError, match="1 of these"):
            call_command("weights", "check")
        assert "damaged" in capsys.readouterr().out

    def test_add_copies_files_and_fetches_only_what_is_named(self, folder, tmp_path, tiny, capsys):
        source = tmp_path / "a.pth"
        source.write_bytes(CONTENT)
        call_command("weights", "add", str(source))
        assert f"Added {folder / tiny.name}" in capsys.readouterr().out
        assert [path.name for path in folder.iterdir()] == [tiny.name]

    def test_add_downloads_when_it_is_told_to(self, served, folder, tiny, monkeypatch, capsys):
        monkeypatch.setattr(served, "content", CONTENT)
        call_command("weights", "add", "--download", "tiny")
        assert (folder / tiny.name).is_file()

    @pytest.mark.parametrize("options", [[], ["nothing.pth"]])
    def test_add_of_nothing_is_refused(self, options):
        with pytest.raises(CommandError):
            call_command("weights", "add", *options)
