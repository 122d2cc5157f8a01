import threading

import pytest

from annotation.decoding import ImageRefused
from inspection.bus import inbox, liveness
from inspection.services import frames
from tests.inspection.factories import make_line
from tests.ml.factories import encode, make_pixels

pytestmark = pytest.mark.django_db
IMAGE = encode(make_pixels(1, is_ng=False))


@pytest.fixture
def line():
    return make_line(stations=("top", "side"))


@pytest.fixture
def running(line, redis_here):
    """A line of which Redis knows that it runs."""
    liveness.announce(line.slug, liveness.LineStatus(pid=1, started_at=""))
    return line


def push(line, **fields) -> None:
    frames.push_frame(line=line, station=line.stations.get(name="top"), name="a.png", content=IMAGE, **fields)


def test_a_line_that_does_not_run_takes_nothing_and_says_how_to_start_it(line, redis_here):
    with pytest.raises(frames.LineNotRunning, match="run_line demo"):
        push(line)
    assert inbox.take(line.slug) is None


def test_without_redis_no_line_is_known_to_run(line, monkeypatch):
    with pytest.raises(frames.LineNotRunning):
        push(line)


def test_a_frame_arrives_as_it_was_sent(running):
    push(running, trigger_sequence=4711)
    entry = inbox.take(running.slug)
    assert (entry.kind, entry.trigger_sequence, entry.reply) == ("frame", 4711, None)
    assert entry.frames == {"top": {"name": "a.png", "content": IMAGE}}


def test_frames_are_taken_in_the_order_they_came(running):
    for number in range(3):
        push(running, trigger_sequence=number)
    assert [inbox.take(running.slug).trigger_sequence for _ in range(3)] == [0, 1, 2]


def test_a_full_inbox_refuses_and_keeps_what_it_has(running):
    for _ in range(inbox.DEPTH):
        push(running)
    with pytest.raises(frames.LineFull):
        push(running)
    assert inbox.take(running.slug) is not None


def test_more_than_redis_takes_at_once_is_refused_in_words(running, monkeypatch):
    monkeypatch.setattr(inbox, "ENTRY_BYTES", 2 * len(IMAGE) - 1)
    views = {"top": ("a.png", IMAGE), "side": ("b.png", IMAGE)}
    with pytest.raises(frames.ImagesTooLong, match="one by one"):
        frames.inspect_images(line=running, frames=views)
    assert inbox.take(running.slug) is None


def test_a_station_with_a_camera_of_its_own_takes_no_pushed_frame(running):
    running.stations.update(source="replay")
    with pytest.raises(frames.NoPushStation, match="Replay"):
        push(running)


def test_what_was_sent_to_a_process_that_is_gone_is_forgotten(running):
    push(running)
    inbox.forget(running.slug)
    assert inbox.take(running.slug) is None


def test_an_inspection_brings_the_line_s_answer(running):
    def answer() -> None:
        entry = inbox.take(running.slug)
        inbox.answer(entry.reply, {"error": "the line is tired"})

    thread = threading.Thread(target=answer)
    thread.start()
    with pytest.raises(frames.NoInspection, match="tired"):
        frames.inspect_images(line=running, frames={"top": ("a.png", IMAGE)})
    thread.join(5)


def test_an_inspection_without_an_answer_ends_in_words(running, monkeypatch):
    monkeypatch.setattr(frames, "ANSWER_TIMEOUT_S", 0.05)
    with pytest.raises(frames.NoAnswer, match="no answer"):
        frames.inspect_images(line=running, frames={"top": ("a.png", IMAGE)})


@pytest.mark.parametrize("content", [b"", b"not an image", IMAGE[:-20]])
def test_what_is_no_whole_image_is_refused(content):
    with pytest.raises(ImageRefused):
        frames.check_image(content)


def test_the_pixel_limit_of_the_settings_holds(settings):
    settings.MAX_IMAGE_PIXELS = 100
    with pytest.raises(ImageRefused, match="pixels"):
        frames.check_image(IMAGE)
