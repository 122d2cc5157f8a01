import threading

import cv2
import numpy as np
import pytest

from inspection.line.events import AlarmBoard, EventHub
from inspection.line.evidence import (
    EvidenceFile,
    EvidenceWriter,
    evidence_path,
    frame_file,
    full_scale,
    grey_map,
)
from inspection.line.frames import Frame, frame_from_bytes

from .factories import picture, png


def a_writer(folder, **options):
    hub = EventHub()
    alarms = AlarmBoard(hub)
    return EvidenceWriter(folder, hub, alarms, **{"depth": 1, "keep_parts": 0} | options), alarms


def a_file(path, content=b"x"):
    return EvidenceFile(path=path, encode=lambda: content)


def test_one_too_many_is_refused_at_once_and_alarmed(tmp_path):
    writer, alarms = a_writer(tmp_path)
    entered, let_go = threading.Event(), threading.Event()

    def hang():
        entered.set()
        assert let_go.wait(10)
        return b"x"

    writer.start()
    assert writer.offer(1, [EvidenceFile(path="a", encode=hang)])
    assert entered.wait(5)
    assert writer.offer(2, [a_file("b")])
    assert not writer.offer(3, [a_file("c")])
    let_go.set()
    writer.stop()
    assert "evidence" in alarms.standing
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
    assert writer.dropped == 1


def test_old_evidence_is_removed_a_thousand_parts_at_a_time(tmp_path):
    writer, _ = a_writer(tmp_path, depth=10, keep_parts=1500)
    writer.start()
    for sequence in (1, 1001, 2001, 3001):
        writer.offer(sequence, [a_file(evidence_path(sequence, "top", "frame", "png"))])
    writer.stop()
    kept = sorted(int(folder.name) for folder in (tmp_path / "evidence").iterdir())
    assert kept == [1, 2, 3]


def test_a_map_shows_what_is_not_a_number_at_full_scale():
    shown = grey_map(np.array([[0, 0.5, 1, 2], [-1, np.nan, np.inf, -np.inf]], np.float32), 1.0)
    assert shown.tolist() == [[0, 128, 255, 255], [0, 255, 255, 0]]


@pytest.mark.parametrize(("values", "scale"), [([0.2, 3.0], 3.0), ([0.0, 0.0], 1.0), ([np.nan, np.inf], 1.0)])
def test_full_scale_is_the_highest_number_of_a_map(values, scale):
    assert full_scale(np.array([values], np.float32)) == scale


def test_a_frame_is_kept_as_it_came():
    encoded = png(picture())
    stored = frame_file(frame_from_bytes(encoded, "a"), 7, "top")
    assert stored.path == "evidence/00000000/00000000007-top-frame.png"
    assert stored.encode() == encoded


def test_bytes_that_are_no_image_are_kept_too():
    assert frame_file(frame_from_bytes(b"junk", "a"), 7, "top").path.endswith(".bin")


def test_pixels_without_a_file_are_kept_as_png_in_their_colours():
    image = np.zeros((4, 5, 3), np.uint8)
    image[..., 0] = 200
    encoded = frame_file(Frame(image=image, name="a"), 7, "top").encode()
    assert cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)[0, 0].tolist() == [0, 0, 200]


def test_a_frame_without_either_leaves_nothing():
    assert frame_file(Frame(image=None, name="a"), 7, "top") is None


def test_stopping_a_writer_that_was_never_started_is_quiet(tmp_path):
    writer, _ = a_writer(tmp_path)
    writer.stop()
    assert list(tmp_path.iterdir()) == []
